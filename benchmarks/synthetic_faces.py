"""How fast are synthetic faces drawn on one core? ``python benchmarks/synthetic_faces.py [images]``."""

import sys
import time

import cv2

from fer_utils.synthetic import synthetic_faces

SUBJECTS = 20


def main(n_images: int) -> None:
    """Draw `n_images` at 48 px and a tenth of them at 256 px; print images per second of each."""
    cv2.setNumThreads(1)
    synthetic_faces(n_subjects=3, images_per_subject=7)  # imports and caches
    for size, count in ((48, n_images), (256, n_images // 10)):
        wall, cpu = time.perf_counter(), time.process_time()
        drawn = len(
            synthetic_faces(n_subjects=SUBJECTS, images_per_subject=max(count // SUBJECTS, 1), size=size)
        )
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        rates = f"{drawn / wall:5.0f} images/s, {drawn / cpu:5.0f} per CPU second"
        print(f"synthetic faces, {size:3d} px: {rates} ({drawn} images)")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2000)
