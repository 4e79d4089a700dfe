"""Keras networks whose weights are set by hand, so that one known patch of an image decides the class."""

import numpy as np

SIDE = 24
PATCHES = {0: (3, 2), 1: (15, 14)}
"""Class -> top and left of the patch of 7 pixels that speaks for it."""
PATCH = 7


def striped_images(n: int = 2) -> np.ndarray:
    """Return flat gray images with upright stripes in the patch of class 0, level ones in that of class 1."""
    images = np.full((n, SIDE, SIDE), 90, np.uint8)
    stripes = np.broadcast_to(np.where(np.arange(PATCH) % 2, 200, 90), (PATCH, PATCH))
    for k, pattern in enumerate((stripes, stripes.T)):
        top, left = PATCHES[k]
        images[:, top : top + PATCH, left : left + PATCH] = pattern
    return images


def patch_network(last: str = "softmax"):
    """Return a network whose channel k answers to the stripes of class k, and whose logit k is its mean."""
    import keras
    from keras import layers

    upright = np.array([[-1, 2, -1]] * 3) / 6
    model = keras.Sequential(
        [
            layers.Input((SIDE, SIDE, 1), dtype="uint8"),
            layers.Rescaling(1 / 255, name="scale"),
            layers.Conv2D(2, 3, padding="valid", activation="relu", name="conv"),
            layers.MaxPooling2D(2, name="pool"),
            layers.MaxPooling2D(4, name="small"),
            layers.GlobalAveragePooling2D(name="mean"),
            layers.Dropout(0.5, name="dropout"),
            layers.Dense(2, activation=last, name="end"),
        ]
    )
    kernels = np.stack([upright, upright.T], axis=-1)[:, :, None]
    model.get_layer("conv").set_weights([kernels, np.full(2, -0.2)])  # the ends of stripes: 0.14
    model.get_layer("end").set_weights([4 * np.eye(2), np.zeros(2)])
    return model


def energy_in_patch(maps: np.ndarray, k: int) -> np.ndarray:
    """Return the share of each map in the patch of class k, two pixels of pooling's reach included."""
    top, left = (max(edge - 2, 0) for edge in PATCHES[k])
    reach = PATCH + 4
    return maps[:, top : top + reach, left : left + reach].sum(axis=(1, 2)) / maps.sum(axis=(1, 2))
