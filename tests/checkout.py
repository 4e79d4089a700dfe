"""A copy of the project as a person would clone it, with its own results, that uses this environment."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]


def copy_project(folder: Path, *, without: tuple[str, ...] = ()) -> Path:
    """Copy what git would keep into `folder`, link `.venv` to the running environment and return the copy.

    Parameters
    ----------
    folder : Path
        Made here.
    without : tuple of str
        Starts of paths to leave out.
    """
    listed = subprocess.run(
        ["git", "-C", PROJECT, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        capture_output=True,
        text=True,
        check=True,
    )
    for name in sorted(set(listed.stdout.split("\0")) - {""}):
        if (PROJECT / name).is_file() and not name.startswith(without):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(PROJECT / name, folder / name)
    (folder / ".venv").symlink_to(sys.prefix, target_is_directory=True)
    return folder


def environment(folder: Path) -> dict[str, str]:
    """Return the variables with which every process, kernels included, imports the copy's `fer_utils`."""
    cleared = {"VIRTUAL_ENV", "MAKEFLAGS", "MAKELEVEL", "MFLAGS"}
    kept = {name: value for name, value in os.environ.items() if name not in cleared}
    return kept | {"PYTHONPATH": str(folder), "TF_CPP_MIN_LOG_LEVEL": "3"}
