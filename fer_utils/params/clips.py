"""The notebook about clips of micro-expressions: 30_cnn3d_smic."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from fer_utils.files import project_path
from fer_utils.params.base import Count, Parameters, Positive, Rate

Seeds = list[Annotated[int, Field(ge=0)]]
Share = Annotated[float, Field(gt=0, lt=1)]


class ClipParameters(Parameters):
    """What every notebook about clips has."""

    dataset: Literal["synthetic", "smic-hs", "smic-vis", "smic-nir", "samm", "casme2", "table"]
    data_path: str
    label_set: Literal["own", "smic3"]
    strict: bool
    leave_out: list[str]
    sampling: Literal["interpolate", "first"]
    n_frames: int = Field(ge=2)
    image_size: Count
    frame_rate: Positive
    synthetic_subjects: int = Field(ge=2)
    synthetic_clips_per_subject: Positive
    synthetic_seed: int = Field(ge=0)

    def data(self) -> dict[str, object]:
        """Return the arguments of `fer_utils.data.load_clips`."""
        given = self.model_dump(include=set(ClipParameters.model_fields) - set(Parameters.model_fields))
        return given | {"size": given.pop("image_size"), "seed": given.pop("synthetic_seed")}


class Cnn3dSmic(ClipParameters):
    """30_cnn3d_smic."""

    activation: Literal["relu", "swish"]
    view: Literal["pixels", "change"]
    dropout: Rate
    momentum: Rate
    learning_rate: Positive
    batch_size: Count
    epochs: Count
    epoch_choice: Literal["fixed", "inner"]
    inner_share: Share
    random_folds: int = Field(ge=2)
    grid_shares: list[Share]
    grid_seeds: Seeds
    comparisons: bool
    flow_learning_rate: Positive
    flow_epochs: Count
    seed: int = Field(ge=0)
    fold_jobs: Count
    threads: Count
    device: Literal["auto", "cpu", "cuda"]
    checkpoint_dir: str = Field(min_length=1)

    @property
    def checkpoints(self) -> Path:
        """Where a training leaves what it needs to continue after a kill."""
        return project_path(self.checkpoint_dir)

    @model_validator(mode="after")
    def _grid_is_whole(self) -> Self:
        if bool(self.grid_shares) != bool(self.grid_seeds):
            raise ValueError("grid_shares and grid_seeds: give both, or leave both empty for no grid")
        return self

    def varied(self, **changes: object) -> Self:
        """Return these parameters with `changes`."""
        return self.checked(self.model_dump() | changes, where="varied")
