"""The notebooks about still faces: 00_data_prep, 10_baseline_cnn, 20_hybrid_hog_cnn (or frames of clips)."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from fer_utils.files import project_path
from fer_utils.labels import LABEL_SETS
from fer_utils.params.base import Count, Parameters, Positive, Rate, unknown

FixedSplit = Literal["official", "random_80_20", "random_80_10_10", "cached_80_10_10"]
"""How still faces are split once: a key of `fer_utils.splits.FACE_SPLITS`."""

StillSplit = Literal[FixedSplit, "reshuffled_80_10_10"]
"""The same, or again for every epoch."""

FRAME_SIZE = 48
"""Side in pixels of the frames of kishor2022 (Section 3.2), and of FER-2013's images."""


class FaceParameters(Parameters):
    """What every notebook about still faces has."""

    dataset: Literal["synthetic", "fer2013", "rafdb", "ckplus", "jaffe", "folder", "rafdb+fer2013"]
    data_path: str
    on_bad_rows: Literal["error", "drop"]
    synthetic_subjects: int = Field(ge=3)
    synthetic_per_subject: Count
    seed: int = Field(ge=0)

    def data(self) -> dict[str, object]:
        """Return the arguments of `fer_utils.data.load_faces`."""
        return self.model_dump(include=set(FaceParameters.model_fields) - set(Parameters.model_fields))


class DataPrep(FaceParameters):
    """00_data_prep."""

    kind = "data"


class Training(FaceParameters):
    """What every notebook that trains on still faces has."""

    label_set: Literal["own", *LABEL_SETS]
    optimizer: Literal["adam", "rmsprop", "sgd"]
    learning_rate: Positive
    batch_size: Count
    epochs: Count
    mixed_precision: bool
    threads: Count
    device: Literal["auto", "cpu", "cuda"]
    checkpoint_dir: str = Field(min_length=1)

    @property
    def checkpoints(self) -> Path:
        """Where a training leaves what it needs to continue after a kill."""
        return project_path(self.checkpoint_dir)


class BaselineCNN(Training):
    """10_baseline_cnn."""

    paper: Literal["kumar2021", "bamb2023"]
    split_by: StillSplit
    record_epochs: bool
    architecture: Literal["kumar2021", "little_vgg", "bamb2023"]
    image_size: Count
    dropout: Rate
    l2: float = Field(ge=0)
    batch_norm: bool

    def data(self) -> dict[str, object]:
        """Return the arguments of `fer_utils.data.load_faces`, the size of the images among them."""
        return super().data() | {"image_size": self.image_size}

    @model_validator(mode="after")
    def _records_fixed_parts(self) -> Self:
        if self.record_epochs and self.split_by == "reshuffled_80_10_10":
            raise ValueError(
                "record_epochs=True: under split_by='reshuffled_80_10_10' every epoch validates on other "
                "images, which are not recorded; leave it False"
            )
        return self


class HybridHogCNN(Training):
    """20_hybrid_hog_cnn: on still faces, or on single frames of the clips that `frames_of` names."""

    frames_of: Literal["", "synthetic", "smic-hs", "smic-vis", "smic-nir", "samm", "casme2", "table"]
    split_by: Literal["official", "frame", "clip", "subject"]
    frame_folds: int = Field(ge=3)
    frames_per_clip: int = Field(ge=2)
    synthetic_clips_per_subject: Positive
    label_set: Literal["own", "smic3", *LABEL_SETS]
    features: Literal["raw", "hybrid", "hog"]
    depth: Literal["shallow", "deep"]
    hog_orientations: Count
    hog_cell: Count
    hog_block: Count
    hog_norm: Literal["L1", "L1-sqrt", "L2", "L2-Hys"]
    dropout: Rate
    batch_norm: bool
    l2: float = Field(ge=0)
    rotation: float = Field(ge=0, le=180)
    crop: float = Field(ge=0, le=0.5)
    flip: bool
    schedule: Literal["constant", "one_cycle"]
    sweeps: bool
    sweep_seeds: list[Annotated[int, Field(ge=0)]]
    cv_folds: int = Field(ge=0)
    cv_grid: dict[str, list]

    def clips(self) -> dict[str, object]:
        """Return the arguments of `fer_utils.data.load_clips` for the clips that the frames are of."""
        same = {"data_path", "label_set", "synthetic_subjects", "synthetic_clips_per_subject", "seed"}
        strict = self.on_bad_rows == "error"
        form = {"n_frames": self.frames_per_clip, "size": FRAME_SIZE}
        return self.model_dump(include=same) | form | {"dataset": self.frames_of, "strict": strict}

    @model_validator(mode="after")
    def _frames_or_stills(self) -> Self:
        if self.frames_of and self.dataset != "synthetic":
            raise ValueError(
                f"frames_of={self.frames_of!r} takes the place of dataset={self.dataset!r}; leave one out"
            )
        kind = "frames of clips" if self.frames_of else "stills (frames_of is empty)"
        splits = ("subject", "clip", "frame") if self.frames_of else ("official",)
        labels = ("own", "smic3") if self.frames_of else ("own", *LABEL_SETS)
        for name, allowed in {"split_by": splits, "label_set": labels}.items():
            if (value := getattr(self, name)) not in allowed:
                raise ValueError(f"{name}={value!r}: for {kind} write {name}: {' or '.join(allowed)}")
        return self

    @model_validator(mode="after")
    def _grid_fits(self) -> Self:
        for name, values in self.cv_grid.items():
            if name in _NOT_IN_A_GRID or name not in type(self).model_fields:
                known = set(type(self).model_fields) - _NOT_IN_A_GRID
                raise ValueError(f"cv_grid: {unknown(name, known)}")
            if not values:
                raise ValueError(f"cv_grid: no value for {name!r}; give a list of at least one")
            for value in values:
                self.varied(**{name: value})
        if self.cv_folds == 1:
            raise ValueError("cv_folds=1: one fold leaves nothing to train on; use 0 (none) or 2 and more")
        return self

    def varied(self, **changes: object) -> Self:
        """Return one cell of a sweep: these parameters with `changes`, and no sweep of its own."""
        alone = {"sweeps": False, "cv_folds": 0, "cv_grid": {}}
        return self.checked(self.model_dump() | alone | changes, where="sweep")


_NOT_IN_A_GRID = {
    *("sweeps", "sweep_seeds", "cv_folds", "cv_grid", "output_dir", "checkpoint_dir"),
    *("dataset", "frames_of", "split_by", "frame_folds", "frames_per_clip", "synthetic_clips_per_subject"),
}
