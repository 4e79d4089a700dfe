"""A project of one small notebook, for tests of what runs notebooks."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import nbformat
import pytest

import fer_utils.files

RUN = "90_summary"
"""The notebook with the fewest parameters lends its name."""

DEFAULTS = '# Defaults\nreports_dir = "reports"\noutput_dir = "reports/by_hand/90_summary"'
WRITE_RESULTS = """\
import json
from pathlib import Path

folder = Path(output_dir)
heading = {"kind": "summary", "status": "done", "variant": None, "notebook": "90_summary", "paper": None}
results = heading | {"run": folder.name, "profile": folder.parent.name}
(folder / "results.json").write_text(json.dumps(results))
print("written to", folder)"""

_COMMAND_LINE = """\
import sys
from pathlib import Path

import fer_utils.files

fer_utils.files.PROJECT = Path(sys.argv[1])
from fer_utils.cli import main

sys.exit(main(sys.argv[2:]))"""


@dataclass(frozen=True)
class TinyProject:
    """A project folder with one notebook, which needs neither a framework nor fer_utils."""

    folder: Path
    notebooks = property(lambda self: self.folder / "notebooks")
    yaml = property(lambda self: self.folder / "params" / "smoke" / f"{RUN}.yaml")
    target = property(lambda self: self.folder / "reports" / "smoke" / RUN)
    failed = property(lambda self: self.folder / "reports" / "smoke" / ".failed" / RUN)
    staging = property(lambda self: self.folder / "reports" / ".staging")

    def write(self, *cells: str, yaml: str = "") -> None:
        """Write the notebook, its parameters cell first, and its parameter file."""
        code = [nbformat.v4.new_code_cell(source) for source in (DEFAULTS, *cells)]
        code[0].metadata.tags = ["parameters"]
        for folder in (self.notebooks, self.yaml.parent):
            folder.mkdir(parents=True, exist_ok=True)
        notebook = nbformat.v4.new_notebook(cells=code, metadata={"language_info": {"name": "python"}})
        nbformat.write(notebook, self.notebooks / f"{RUN}.ipynb")
        self.yaml.write_text(yaml, encoding="utf-8")

    def finished_earlier(self) -> None:
        """Leave the folder of an earlier good run."""
        self.target.mkdir(parents=True)
        earlier = {"kind": "summary", "status": "done", "run": RUN, "reason": "made earlier", "notebook": RUN}
        earlier |= {"profile": "smoke", "variant": None, "paper": None}
        (self.target / "results.json").write_text(json.dumps(earlier), encoding="utf-8")

    def results(self, folder: Path) -> dict:
        return json.loads((folder / "results.json").read_text(encoding="utf-8"))

    def command_line(self, *arguments: object) -> subprocess.Popen:
        """Start `fer-utils` on this project in a process of its own."""
        command = [sys.executable, "-c", _COMMAND_LINE, str(self.folder), *map(str, arguments)]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL}
        return subprocess.Popen(command, text=True, **pipes)


@pytest.fixture
def tiny(tmp_path, monkeypatch) -> TinyProject:
    """Return an empty project that this process, too, takes for the project."""
    monkeypatch.setattr(fer_utils.files, "PROJECT", tmp_path)
    return TinyProject(tmp_path)


@pytest.fixture(scope="session")
def torch_first():
    """Load torch whole: in a process that has TensorFlow already, parts of it would end the process."""
    import torch._dynamo
    import torchvision

    return torch, torchvision
