"""The notebooks about transfer, 40 and 41: a body that may be pretrained, under a new head."""

from typing import Literal, Self

from pydantic import Field, model_validator

from fer_utils.params.base import Count, Positive, Rate
from fer_utils.params.stills import FixedSplit, Training

_SMALLEST = 16
"""Pixels that any of the networks needs."""


class Transfer(Training):
    """What both have; `learning_rate` and `epochs` are those of the second stage."""

    split_by: FixedSplit
    picture_size: Count
    image_size: Count
    weights: str = Field(min_length=1)
    weights_sha256: str = Field(pattern="^([0-9a-fA-F]{64})?$")
    dropout: Rate
    l2: float = Field(ge=0)
    frozen_learning_rate: Positive
    cam_images: Count

    def data(self) -> dict[str, object]:
        """Return the arguments of `fer_utils.data.load_faces`, the size of the pictures among them."""
        return super().data() | {"image_size": self.picture_size}

    @model_validator(mode="after")
    def _weights_are_named(self) -> Self:
        is_file = self.weights.endswith(".safetensors")
        if self.weights not in ("none", "imagenet") and not is_file:
            raise ValueError(
                f"weights={self.weights!r}: write none, imagenet or the path of a .safetensors file"
            )
        if self.weights_sha256 and not is_file:
            raise ValueError(f"weights_sha256 belongs to a file; leave it empty with weights: {self.weights}")
        return self


class FastaiTransfer(Transfer):
    """40_fastai_transfer."""

    architecture: Literal["small_resnet", "vgg8", "resnet18", "resnet34", "resnet50", "vgg19", "vgg19_bn"]
    width: Positive
    window: int = Field(ge=0)
    rate_rule: Literal["fixed", "steep", "valley", "minimum"]
    rate_steps: int = Field(ge=20)
    frozen_epochs: int = Field(ge=0)
    rate_spread: float = Field(ge=1)
    schedule: Literal["one_cycle", "cosine", "constant"]
    optimizer: Literal["adam", "rmsprop", "sgd", "nesterov"]
    momentum: Rate
    label_smoothing: Rate
    mixup: float = Field(ge=0, allow_inf_nan=False)
    weight_averaging: Rate
    rotation: float = Field(ge=0, le=180)
    crop: float = Field(ge=0, le=0.5)
    flip: bool
    cutout: Rate
    repeats: Count
    compiled: bool
    keep_every: int = Field(ge=0)
    checkpoint_every: Count
    ten_crop: bool
    flip_views: bool

    @property
    def scratch(self) -> bool:
        """Whether the network takes pictures as they are and has no weights from ImageNet."""
        return self.architecture in ("small_resnet", "vgg8")

    @model_validator(mode="after")
    def _window_in_the_picture(self) -> Self:
        beside = self.picture_size - self.window
        if self.window and (self.window < _SMALLEST or beside < 0 or beside % 2):
            raise ValueError(
                f"window={self.window}, picture_size={self.picture_size}: write {_SMALLEST} to "
                f"{self.picture_size} pixels with as many on either side of it, or 0 for the whole picture"
            )
        return self

    @model_validator(mode="after")
    def _own_networks(self) -> Self:
        if not self.scratch:
            if self.width != 1:
                raise ValueError(
                    f"width={self.width}: only small_resnet and vgg8 can be narrower or wider; write 1.0"
                )
            return self
        if self.weights == "imagenet":
            raise ValueError(
                f"weights='imagenet': there are none for {self.architecture}; write none, or a file"
            )
        step = 16 if self.architecture == "small_resnet" else 1  # which halves its maps four times
        whole = not self.window
        if self.image_size != self.picture_size or (whole and self.image_size % step):
            raise ValueError(
                f"image_size={self.image_size}, picture_size={self.picture_size}: {self.architecture} takes "
                f"pictures as they are; write one {'multiple of 16' if step > 1 else 'size'} for both"
            )
        if self.window % step:
            raise ValueError(
                f"window={self.window}: {self.architecture} needs a multiple of 16; write 32, or 0 for the "
                "whole picture"
            )
        return self


class KerasTransfer(Transfer):
    """41_keras_transfer."""

    architecture: Literal["mobilenetv2"]
    alpha: Positive
    frozen_epochs: Count
    fine_tune_from: str = Field(min_length=1)
    batch_norm: Literal["inference", "training"]
