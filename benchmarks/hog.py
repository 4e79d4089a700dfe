"""Images per second of `hog_features` beside scikit-image. ``python benchmarks/hog.py [images]``.

scikit-image takes one image a call, on one core: as people call it, and spread over a process for each core.
`hog_features` is measured with one thread and with one for each core. Rounds take turns, and each figure is
its best round.
"""

import os
import sys
import time
from collections.abc import Callable

import numpy as np
import torch
from joblib import Parallel, delayed
from skimage.feature import hog as skimage_hog

from fer_utils.features.hog import HOG, hog_features
from fer_utils.synthetic import synthetic_faces

ROUNDS = 5
SETTINGS = (HOG(), HOG(orientations=8, pixels_per_cell=6, cells_per_block=2))
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def one_by_one(images: np.ndarray, hog: HOG) -> np.ndarray:
    cell, block = 2 * (hog.pixels_per_cell,), 2 * (hog.cells_per_block,)
    return np.stack([skimage_hog(image, hog.orientations, cell, block) for image in images])


def spread(pool: Parallel, images: np.ndarray, hog: HOG) -> np.ndarray:
    parts = np.array_split(images, CORES)
    return np.concatenate(pool(delayed(one_by_one)(part, hog) for part in parts))


def threaded(threads: int, images: np.ndarray, hog: HOG) -> np.ndarray:
    torch.set_num_threads(threads)
    return hog_features(images, hog)


def measure(function: Callable, n: int) -> tuple[float, float]:
    """Return microseconds an image, by the clock and of this process's cores."""
    wall, cpu = time.perf_counter(), time.process_time()
    function()
    return (time.perf_counter() - wall) / n * 1e6, (time.process_time() - cpu) / n * 1e6


def compare(images: np.ndarray, hog: HOG, pool: Parallel) -> None:
    few = images[: len(images) // 10]
    ways = {
        "scikit-image, 1 process": (lambda: one_by_one(few, hog), len(few)),
        f"scikit-image, {CORES} processes": (lambda: spread(pool, few, hog), len(few)),
        "hog_features, 1 thread": (lambda: threaded(1, images, hog), len(images)),
        f"hog_features, {CORES} threads": (lambda: threaded(CORES, images, hog), len(images)),
    }
    for function, _ in ways.values():
        function()  # imports, processes and caches
    best = np.min([[measure(*way) for way in ways.values()] for _ in range(ROUNDS)], axis=0)
    height, width = images.shape[1:]
    cells = f"cells of {hog.pixels_per_cell}, blocks of {hog.cells_per_block}"
    print(f"HOG of {height}×{width} pixels, {hog.orientations} orientations, {cells}:")
    for name, (wall, cpu) in zip(ways, best, strict=True):
        elsewhere = "processes" in name  # whose time is not this process's
        line = f"  {name:26s} {1e6 / wall:8,.0f} images/s: {wall:6.1f} µs an image"
        print(line if elsewhere else f"{line}, {cpu:6.1f} of CPU")
    (one, several), (thread, threads) = best[:2, 0], best[2:, 0]
    print(f"  one core each: {one / thread:.1f} times as fast, {best[0, 1] / best[2, 1]:.1f} in CPU time")
    print(f"  {CORES} cores each: {several / threads:.1f} times as fast")
    print(f"  the faster way of each: {min(one, several) / min(thread, threads):.1f} times as fast")


def main(n_images: int) -> None:
    """Print the speeds for some geometries, then the largest difference."""
    images = synthetic_faces(n_subjects=20, images_per_subject=max(n_images // 20, 1)).images
    with Parallel(n_jobs=CORES) as pool:
        for hog in SETTINGS:
            compare(images, hog, pool)
    few = images[:100]
    worst = max(np.abs(hog_features(few, hog) - one_by_one(few, hog)).max() for hog in SETTINGS)
    print(f"  largest difference: {worst:.1e}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 4000)
