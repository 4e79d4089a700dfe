"""Seconds and peak memory of reading `fer2013.csv`, beside pandas with numpy.

``FER2013_CSV=/path/to/fer2013.csv python benchmarks/read_csv.py [rows]``; without that variable it writes a
file of the same form with random pixels. Every reader has a process of its own, because a peak never falls.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROWS = 5000


def write(path: str, rows: str) -> None:
    import numpy as np

    rng = np.random.default_rng(0)
    with open(path, "w", newline="") as file:
        file.write("emotion,pixels,Usage\n")
        for row in range(int(rows)):
            pixels = " ".join(map(str, rng.integers(256, size=48 * 48).tolist()))
            file.write(f"{row % 7},{pixels},{('Training', 'PublicTest', 'PrivateTest')[row % 3]}\n")


def usual(path: str) -> None:
    import numpy as np
    import pandas as pd

    def read() -> np.ndarray:
        table = pd.read_csv(path)
        rows = [np.fromstring(row, dtype=np.uint8, sep=" ") for row in table["pixels"]]
        return np.stack(rows).reshape(-1, 48, 48)

    measure(read)


def ours(path: str) -> None:
    from fer_utils.data.fer2013 import read_fer2013

    measure(lambda: read_fer2013(path).images)


def measure(read: Callable) -> None:
    before, wall, cpu = peak_mb(), time.perf_counter(), time.process_time()
    images = read()
    print(time.perf_counter() - wall, time.process_time() - cpu, peak_mb() - before, images.nbytes / 1e6)


def peak_mb() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6  # bytes there, KiB elsewhere


def warm_up(path: str) -> None:
    with open(path, "rb") as file:  # so that neither reader waits for the disk
        while file.read(2**20):
            pass


def in_a_process(*arguments: str) -> list[float]:
    output = subprocess.run(
        [sys.executable, __file__, *arguments], check=True, stdout=subprocess.PIPE, text=True
    )
    return [float(number) for number in output.stdout.split()]


def main(rows: str) -> None:
    """Print seconds, peak memory above the imported libraries, and the ratio of the two readers."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.environ.get("FER2013_CSV")
        if not path:
            path = str(Path(folder) / "fer2013.csv")
            in_a_process("write", path, rows)
        warm_up(path)
        results = {
            "pandas + np.fromstring": in_a_process("usual", path),
            "fer_utils": in_a_process("ours", path),
        }
        print(f"fer2013.csv, {os.path.getsize(path) / 1e6:.0f} MB:")
    for name, (wall, cpu, peak, images) in results.items():
        print(
            f"  {name:24s} {wall:6.2f} s, {cpu:6.2f} CPU s, peak +{peak:4.0f} MB ({images:.0f} MB of images)"
        )
    first, second = results.values()
    print(f"  fer_utils is {first[0] / second[0]:.1f} times as fast ({first[1] / second[1]:.1f} in CPU time)")


if __name__ == "__main__":
    steps = {"write": write, "usual": usual, "ours": ours}
    name, *arguments = sys.argv[1:] or [str(ROWS)]
    steps[name](*arguments) if name in steps else main(name)
