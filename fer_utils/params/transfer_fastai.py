"""The notebook 40_fastai_transfer: a body that may be pretrained, first with a new head, then as a whole."""

from typing import Literal, Self

from pydantic import Field, model_validator

from fer_utils.params.base import Count, Positive, Rate
from fer_utils.params.stills import StillSplit, Training


class FastaiTransfer(Training):
    """40_fastai_transfer; `learning_rate` and `epochs` are those of the second stage, all layers unfrozen."""

    split_by: StillSplit
    architecture: Literal["small_resnet", "resnet18", "resnet34", "resnet50", "vgg19", "vgg19_bn"]
    image_size: Count
    weights: str = Field(min_length=1)
    weights_sha256: str = Field(pattern="^([0-9a-fA-F]{64})?$")
    dropout: Rate
    rate_rule: Literal["fixed", "steep", "valley", "minimum"]
    rate_steps: int = Field(ge=20)
    frozen_epochs: int = Field(ge=0)
    frozen_learning_rate: Positive
    rate_spread: float = Field(ge=1)
    momentum: Rate
    l2: float = Field(ge=0)
    label_smoothing: Rate
    rotation: float = Field(ge=0, le=180)
    crop: float = Field(ge=0, le=0.5)
    flip: bool
    cutout: Rate
    mixed_precision: bool
    ten_crop: bool
    cam_images: Count

    @model_validator(mode="after")
    def _size_is_used(self) -> Self:
        if self.architecture == "small_resnet" and self.image_size != 48:
            raise ValueError(
                f"image_size={self.image_size}: small_resnet takes the images as they are; leave it at 48"
            )
        return self
