"""The SLURM profile on one machine: as root, with Debian's slurmctld, slurmd, slurm-client and munge.

``check``: a sweep whose node fails in a training has the metrics of an undisturbed one. ``overhead 10 100``:
seconds a cell that does nothing, here and by SLURM. ``index 250 1000``: seconds of the pages of so many.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT / "tests"))
from checkout import copy_project, environment  # noqa: E402

from fer_utils.files import read_json, write_json  # noqa: E402

PYTHON = Path(sys.executable)
SNAKEMAKE = PYTHON.with_name("snakemake")
ONE_HOST = PROJECT / "profiles" / "slurm" / "one_host.sh"
NUMBERS = ("status", "dataset", "metrics", "other_metrics", "per_class", "confusion_matrix")
SWEEP = """\
image_size: 24
hog_cell: 6
features: raw
synthetic_subjects: 30
synthetic_per_subject: 14
sweeps: {}
test_arms: []
test_seeds: []
cv_folds: 0
epochs: 5
grid:
  seed: [0, 1]
"""


CELLS = """\
rule all:
    input: expand("out/{i}", i=range(int(config["cells"])))
rule cell:
    output: touch("out/{i}")
    shell: "true"
"""


@contextmanager
def slurm(folder: Path) -> Iterator[None]:
    """Run SLURM on this machine."""
    try:
        subprocess.run([ONE_HOST, "start", folder], check=True)
        yield
    finally:
        subprocess.run([ONE_HOST, "stop", folder], check=False)


def without_accounting(project: Path) -> None:
    """Change the profile of a copy as docs/cluster.md says for a cluster without accounting."""
    config = project / "profiles" / "slurm" / "config.yaml"
    text = config.read_text().replace("# slurm-status-command", "slurm-status-command")
    text = text.replace("# slurm-no-account", "slurm-no-account").replace("mem_mb: 16000", "mem_mb: 3000")
    config.write_text(text.replace("checks: 20", "checks: 3"))


def reproduce(project: Path, *more: str) -> subprocess.Popen:
    """Start `make reproduce` in a copy of the project."""
    command = ["make", "--assume-old=.venv/.installed", "reproduce", *more]
    return subprocess.Popen(command, cwd=project, env=environment(project))


def fail_node(project: Path) -> None:
    """Kill the daemon of the node and everything that it has started in `project`, as a power cut does."""
    for process in psutil.process_iter(["name", "environ"]):
        with suppress(psutil.NoSuchProcess):
            of_job = (process.info["environ"] or {}).get("SLURM_SUBMIT_DIR") == str(project)
            if of_job or process.info["name"] in ("slurmd", "slurmstepd"):
                process.send_signal(signal.SIGKILL)


def check(folder: Path) -> None:
    """Compare a sweep by SLURM, whose node fails in the first training, with one on this machine."""
    projects = [copy_project(folder / name, without=("params/smoke",)) for name in ("here", "cluster")]
    for project in projects:
        (project / "params" / "smoke").mkdir()
        (project / "params" / "smoke" / "20_hybrid_hog_cnn--sweep.yaml").write_text(SWEEP)
        without_accounting(project)
    here, cluster = projects
    assert reproduce(here).wait() == 0
    with slurm(folder / "slurm"):
        running = reproduce(cluster, "EXECUTOR=slurm", "GPU=0")
        while not list(cluster.glob("checkpoints/**/state.pth")):
            assert running.poll() is None, "ended before the first epoch"
            time.sleep(0.1)
        fail_node(cluster)
        subprocess.run([ONE_HOST, "start_slurmd", folder / "slurm"], check=True)
        print("the node failed in a training, and is up again", flush=True)
        assert running.wait() == 0
    for seed in (0, 1):
        run = f"reports/smoke/20_hybrid_hog_cnn--sweep--seed{seed}/results.json"
        expected, found = (read_json(project / run) for project in projects)
        differ = [name for name in NUMBERS if expected[name] != found[name]]
        assert not differ, f"{run}: other {', '.join(differ)} than without a failure"
    print("both runs have the numbers of an undisturbed sweep")


def overhead(folder: Path, *cells: int) -> None:
    """Print the seconds a cell that does nothing takes: here, and by SLURM alone, in an array, in groups."""
    (folder / "Snakefile").write_text(CELLS)
    by_slurm = "--executor slurm --slurm-status-command squeue --slurm-no-account --jobs 200"
    by_slurm += " --default-resources mem_mb=100 --slurm-init-seconds-before-status-checks 2"
    with slurm(folder / "slurm"):
        for n in cells or (10,):
            ways = {"here": "--cores 2", "SLURM, single jobs": by_slurm}
            ways["SLURM, an array"] = f"{by_slurm} --slurm-array-jobs cell"
            ways["SLURM, groups of two"] = f"{by_slurm} --groups cell=two --group-components two=2"
            for name, options in ways.items():
                shutil.rmtree(folder / "out", ignore_errors=True)
                command = [SNAKEMAKE, *f"--quiet all --nolock {options} --config cells={n}".split()]
                seconds = timed(command, folder)
                print(f"{n:5} cells, {name}: {seconds:6.1f} s, {seconds / n:.2f} s a cell", flush=True)


def index(folder: Path, *runs: int) -> None:
    """Print the seconds of the index page and of 90_summary with so many copies of one run."""
    project = copy_project(folder / "project", without=("params/smoke",))
    (project / "params" / "smoke").mkdir()
    shutil.copy(PROJECT / "params/smoke/90_summary.yaml", project / "params/smoke")
    stored = read_json(PROJECT / "reports/reference/20_hybrid_hog_cnn--raw--seed0/results.json")
    predictions = PROJECT / "reports/reference/20_hybrid_hog_cnn--raw--seed0/predictions.npz"
    for n in runs or (250, 500, 1000):
        for i in range(n):
            run = f"20_hybrid_hog_cnn--cell{i}"
            reports = project / "reports" / "smoke" / run
            reports.mkdir(parents=True, exist_ok=True)
            (project / "params" / "smoke" / f"{run}.yaml").touch()
            write_json(reports / "results.json", stored | {"run": run, "profile": "smoke"})
            shutil.copy(predictions, reports)
        page = timed([PYTHON, "-m", "fer_utils.cli", "index", "--profile", "smoke"], project)
        summary = timed([PYTHON, "-m", "fer_utils.cli", "run", "params/smoke/90_summary.yaml"], project)
        print(f"{n:5} runs: index {page:.1f} s, 90_summary {summary:.1f} s", flush=True)


def timed(command: list[str | Path], folder: Path) -> float:
    """Run a command in a folder and return the seconds it took."""
    start = time.monotonic()
    subprocess.run(command, cwd=folder, env=environment(folder), check=True, capture_output=True)
    return time.monotonic() - start


def main(command: str = "overhead", *values: str) -> None:
    """Run one of the commands in a temporary folder."""
    if command != "index" and (shutil.which("slurmctld") is None or os.geteuid()):
        print("SLURM is not installed here, or this is not root: nothing to do")
        return
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)  # munged has a user of its own
        {"check": check, "overhead": overhead, "index": index}[command](Path(name), *map(int, values))


if __name__ == "__main__":
    main(*sys.argv[1:])
