"""Figures of faces with what was predicted for them."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from fer_utils.plots.style import GREEN, GREY, ORANGE, RED, WIDTH, darker, face, panels, styled


@styled
def prediction_grid(
    images: np.ndarray,
    *,
    truths: Sequence[int] | np.ndarray,
    probabilities: np.ndarray,
    class_names: Sequence[str],
    columns: int = 6,
) -> Figure:
    """Draw faces with the predicted class, its probability and the truth; ✓ or ✗ says whether they agree.

    Parameters
    ----------
    images : ndarray of uint8, shape (N, H, W)
    truths : sequence of int, length N
    probabilities : ndarray, shape (N, K)
    class_names : sequence of str, length K

    Raises
    ------
    ValueError
        When the arrays do not fit together or are empty.
    """
    images, truths, probabilities = np.asarray(images), np.asarray(truths), np.asarray(probabilities)
    _check_fit(images, truths, probabilities, class_names)
    figure, axes = panels(len(images), columns=columns, row_height=1.12 * WIDTH / max(columns, 1) + 0.25)
    for ax, image, truth, row in zip(axes, images, truths, probabilities, strict=True):
        right = row.argmax() == truth
        face(ax, image, frame=GREEN if right else RED)
        said = f"{'✓' if right else '✗'} {class_names[row.argmax()]} {row.max():.2f}"
        ax.set_title(said, loc="center", fontsize=8.5, pad=4, color=darker(GREEN if right else RED))
        ax.set_xlabel(f"truth: {class_names[truth]}", fontsize=8.5)
    return figure


@styled
def mistake(
    image: np.ndarray, *, probabilities: Sequence[float] | np.ndarray, truth: int, class_names: Sequence[str]
) -> Figure:
    """Draw one face, shape (H, W), beside the K probabilities of its classes; raises as `prediction_grid`."""
    probabilities = np.asarray(probabilities)
    _check_fit(np.asarray(image)[None], np.asarray([truth]), probabilities[None], class_names)
    figure, (left, right) = panels(2, columns=2, row_height=2.6, width=6.4, width_ratios=(1, 1.5))
    predicted = int(probabilities.argmax())
    face(left, image, frame=GREEN if predicted == truth else RED)
    left.set_xlabel(f"truth: {class_names[truth]}")
    colors = [ORANGE if k == predicted else GREY for k in range(len(class_names))]
    bars = right.barh(range(len(class_names)), probabilities, color=colors, height=0.7)
    right.bar_label(bars, fmt="{:.2f}", padding=3, fontsize=8)
    marks = [f"{name}  (truth)" if k == truth else name for k, name in enumerate(class_names)]
    right.set_yticks(range(len(class_names)), marks)
    right.set(xlim=(0, 1.12), xticks=(0, 0.5, 1), xlabel="probability")
    right.invert_yaxis()
    right.grid(False, axis="y")
    sign = "✓" if predicted == truth else "✗"
    right.set_title(f"{sign} predicted {class_names[predicted]}, probability {probabilities[predicted]:.2f}")
    return figure


def _check_fit(
    images: np.ndarray, truths: np.ndarray, probabilities: np.ndarray, class_names: Sequence[str]
) -> None:
    n, k = len(images), len(class_names)
    if images.ndim != 3 or not n:
        raise ValueError(f"images must have shape (N, H, W) with N at least 1, got {images.shape}")
    if truths.shape != (n,) or probabilities.shape != (n, k):
        raise ValueError(
            f"{n} images of {k} classes need truths of shape ({n},) and probabilities of shape ({n}, {k}), "
            f"got {truths.shape} and {probabilities.shape}"
        )
    if truths.min() < 0 or truths.max() >= k:
        raise ValueError(f"truths must be 0 to {k - 1}, got {truths.min()} to {truths.max()}")
