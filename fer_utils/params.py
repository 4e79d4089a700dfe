"""One typed model per notebook checks its parameters cell, papermill's values and all files in params/."""

import difflib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, Field, ValidationError, model_validator

from fer_utils.files import ConfigError, nearest, project_path
from fer_utils.labels import LABEL_SETS
from fer_utils.papers import PAPERS

Count = Annotated[int, Field(ge=1)]
ImageSize = Annotated[int, Field(ge=8, le=1024)]
Rate = Annotated[float, Field(ge=0, lt=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Seed = Annotated[int, Field(ge=0)]

FaceData = Literal["synthetic", "fer2013", "rafdb", "ckplus", "jaffe", "folder", "rafdb+fer2013"]
ClipData = Literal["synthetic", "smic-hs", "smic-vis", "smic-nir", "samm", "casme2", "table"]
FixedSplit = Literal["official", "official_distinct", "random_80_20", "random_80_10_10", "cached_80_10_10"]


class Settings(BaseModel, frozen=True, extra="forbid", strict=True, allow_inf_nan=False):
    """Checked, immutable settings."""

    @classmethod
    def from_values(cls, values: Mapping[str, object], *, where: str = "parameters") -> Self:
        """Return the settings; a wrong name or value is a `ConfigError` that begins with `where` it is."""
        try:
            return cls(**values)
        except ValidationError as error:
            problems = "; ".join(_problem(one, known=cls.model_fields) for one in error.errors())
            raise ConfigError(f"{where}: {problems}") from None

    def _conflicts(self) -> Iterator[str]:
        """Yield what is wrong with values that are valid each by itself."""
        yield from ()

    @model_validator(mode="after")
    def _without_conflicts(self) -> Self:
        if problems := list(self._conflicts()):
            raise ValueError("; ".join(problems))
        return self


def _problem(error: Mapping[str, Any], *, known: Iterable[str]) -> str:
    name, text = ".".join(map(str, error["loc"])), error["msg"]
    match error["type"]:
        case "extra_forbidden":
            return f"unknown parameter {name!r}{nearest(name, known)}"
        case "missing":
            return f"{name} is missing in the notebook's parameters cell"
        case "value_error":  # of `_conflicts`, which names the parameters
            return text.removeprefix("Value error, ")
    return f"{name}={error['input']!r}: {text[0].lower()}{text[1:]}"


class Parameters(Settings):
    """The parameters that every notebook has."""

    kind: ClassVar[str] = "study"

    output_dir: str = Field(min_length=1)
    """The run folder, `reports/<profile>/<run>`; a relative path starts at the project folder."""

    @property
    def folder(self) -> Path:
        """The run folder, independent of the working directory."""
        return project_path(self.output_dir)

    @property
    def run(self) -> str:
        """Name of the run: `<notebook>` or `<notebook>--<variant>`."""
        return self.folder.name

    @property
    def profile(self) -> str:
        """`smoke`, `reference`, `paper`, or `by_hand` for a run outside the profiles."""
        return self.folder.parent.name

    def studied(self) -> dict[str, object]:
        """Return the parameters without the output folders, which do not affect results."""
        return self.model_dump(exclude={"output_dir", "checkpoint_dir"})

    @classmethod
    def from_notebook(cls, namespace: dict[str, object]) -> Self:
        """Return the parameters that the cells before this one have assigned.

        At the first call every plain value of `globals()` is a parameter, and an unknown name an error; after
        later cells, only a name that resembles a parameter is. It is removed, so that the cell can run again.
        """
        known, plain = cls.model_fields, (int, float, str, list, dict, type(None))
        own = {name: value for name, value in namespace.items() if name not in ("In", "Out")}  # IPython's
        is_plain = {name: isinstance(value, plain) and name[0] != "_" for name, value in own.items()}
        values = {name: value for name, value in own.items() if name in known or is_plain[name]}
        if any(isinstance(value, Parameters) for value in namespace.values()):  # later cells have run
            values = {n: v for n, v in values.items() if difflib.get_close_matches(n, known, 1, 0.8)}
        if not known.keys() & values:
            raise ConfigError("this notebook: no parameters found; run the parameters cell first")
        for name in values.keys() - known:
            del namespace[name]
        return cls.from_values(values, where="this notebook")


class TrainingParameters(Parameters):
    """The parameters of every notebook that trains."""

    learning_rate: Positive
    batch_size: Count
    epochs: Count
    seed: Seed
    threads: Count
    device: Literal["auto", "cpu", "cuda"]
    checkpoint_dir: str = Field(min_length=1)

    alone: ClassVar[dict[str, object]] = {}
    """Values with which a run is one training, without those that it is compared with."""

    def varied(self, **changes: object) -> Self:
        """Return the parameters of one training: these with `changes`, without other trainings of the run."""
        return self.from_values(self.model_dump() | self.alone | changes)

    @property
    def checkpoints(self) -> Path:
        """Folder of the checkpoints from which an interrupted training resumes."""
        return project_path(self.checkpoint_dir)


class FaceParameters(Settings):
    """Which images of faces are read."""

    dataset: FaceData = "synthetic"
    data_path: str = "data/raw"
    on_bad_rows: Literal["error", "drop"] = "error"
    label_set: Literal["own", *LABEL_SETS] = "own"
    image_size: ImageSize = 48
    synthetic_subjects: int = Field(ge=3, default=40)
    synthetic_per_subject: Count = 60
    seed: Seed = 0


class ClipParameters(Settings):
    """Which clips of micro-expressions are read, and in what form."""

    dataset: Literal[ClipData, "megc2019"] = "synthetic"
    data_path: str = "data/raw"
    label_set: Literal["own", "smic3"] = "own"
    strict: bool = False
    leave_out: list[str] = []
    sampling: Literal["interpolate", "first"] = "interpolate"
    n_frames: int = Field(ge=2, default=18)
    image_size: ImageSize = 64
    frame_rate: Positive = 100.0
    synthetic_subjects: int = Field(ge=2, default=16)
    synthetic_clips_per_subject: Positive = 10.25
    synthetic_seed: Seed = 0


class DataPrep(FaceParameters, Parameters):
    """00_data_prep."""

    kind = "data"


class Training(FaceParameters, TrainingParameters):
    """The parameters of every notebook that trains on images of faces."""

    dropout: Rate
    l2: float = Field(ge=0)
    optimizer: Literal["adam", "rmsprop", "sgd"]
    mixed_precision: bool


class BaselineCNN(Training):
    """10_baseline_cnn."""

    paper: Literal["kumar2021", "bamb2023"]
    split_by: Literal[FixedSplit, "reshuffled_80_10_10"]
    record_epochs: bool
    architecture: Literal["kumar2021", "little_vgg", "bamb2023"]
    batch_norm: bool

    def _conflicts(self) -> Iterator[str]:
        if self.record_epochs and self.split_by == "reshuffled_80_10_10":
            yield f"record_epochs=True: {self.split_by} has other images in every epoch; write False"


class HybridHogCNN(Training):
    """20_hybrid_hog_cnn: on images of faces, or on single frames of the clips that `frames_of` names."""

    frames_of: Literal["", ClipData]
    split_by: Literal["official", "frame", "clip", "subject"]
    frame_folds: int = Field(ge=3)
    frames_per_clip: int = Field(ge=2)
    synthetic_clips_per_subject: Positive
    label_set: Literal["own", "smic3", *LABEL_SETS]
    features: Literal["raw", "hybrid", "hog"]
    depth: Literal["shallow", "deep"]
    hog_cell: Count
    batch_norm: bool
    rotation: float = Field(ge=0, le=180)
    crop: float = Field(ge=0, le=0.5)
    flip: bool
    sweeps: dict[str, list[dict]]
    test_arms: list[Literal["raw", "hybrid", "hog"]]
    test_seeds: list[Seed]
    cv_folds: int = Field(ge=0)
    cv_grid: dict[str, Annotated[list, Field(min_length=1)]]

    alone = {"sweeps": {}, "test_arms": [], "test_seeds": [], "cv_folds": 0, "cv_grid": {}}
    in_all_arms: ClassVar = {
        *("output_dir", "checkpoint_dir", "dataset", "frames_of", "split_by", "frame_folds"),
        *("frames_per_clip", "synthetic_clips_per_subject", *alone),
    }

    def _conflicts(self) -> Iterator[str]:
        if self.frames_of and self.dataset != "synthetic":
            yield f"frames_of={self.frames_of!r} replaces dataset={self.dataset!r}; remove one"
        kind = "frames of clips" if self.frames_of else "images of faces (frames_of is empty)"
        splits = ("subject", "clip", "frame") if self.frames_of else ("official",)
        labels = ("own", "smic3") if self.frames_of else ("own", *LABEL_SETS)
        for name, allowed in {"split_by": splits, "label_set": labels}.items():
            if (value := getattr(self, name)) not in allowed:
                yield f"{name}={value!r}: for {kind} write {name}: {' or '.join(allowed)}"
        arms = [("sweeps", arm) for sweep in self.sweeps.values() for arm in sweep]
        arms += [("cv_grid", {name: value}) for name, values in self.cv_grid.items() for value in values]
        for where, arm in arms:
            for name in arm.keys() & self.in_all_arms:
                yield f"{where}: {name} is the same in all arms; remove it"
            self.from_values(self.model_dump() | self.alone | arm, where=where)
        if bool(self.test_arms) != bool(self.test_seeds):
            yield "test_arms and test_seeds: give both, or leave both empty"
        if self.cv_folds == 1:
            yield "cv_folds=1: one fold leaves no training set; use 0 (none) or at least 2"


class Cnn3dSmic(ClipParameters, TrainingParameters):
    """30_cnn3d_smic."""

    mirrored: ClassVar[bool] = False
    balanced: ClassVar[bool] = False
    flow_learning_rate: ClassVar[float] = 0.001  # of Adam

    dataset: ClipData = "synthetic"
    activation: Literal["relu", "swish"]
    view: Literal["pixels", "change"]
    dropout: Rate
    epoch_choice: Literal["fixed", "inner"]
    comparisons: list[Literal["best_epoch", "random", "random_best_epoch", "other_view", "still", "flow"]]
    random_folds: int = Field(ge=2)
    grid_shares: list[Annotated[float, Field(gt=0, lt=1)]]
    grid_seeds: list[Seed]
    flow_epochs: Count
    fold_jobs: Count

    alone = {"comparisons": [], "grid_shares": [], "grid_seeds": [], "fold_jobs": 1, "random_folds": 2}

    def _conflicts(self) -> Iterator[str]:
        if bool(self.grid_shares) != bool(self.grid_seeds):
            yield "grid_shares and grid_seeds: give both, or leave both empty for no grid"


class MicroFlow(ClipParameters, TrainingParameters):
    """31_micro_expressions_flow."""

    activation: Literal["relu", "swish"]
    mirrored: bool
    balanced: bool
    epoch_choice: Literal["fixed", "inner"]
    seeds: Annotated[list[Seed], Field(min_length=1)]
    leaks: list[Literal["best_epoch", "random"]]
    random_folds: int = Field(ge=2)
    random_repeats: Count
    grid_shares: list[Annotated[float, Field(gt=0, lt=1)]]
    grid_seeds: list[Seed]

    alone = {"seeds": [0], "leaks": [], "random_repeats": 1, "grid_shares": [], "grid_seeds": []}
    flow_learning_rate = property(lambda self: self.learning_rate)
    flow_epochs = property(lambda self: self.epochs)


class Transfer(Training):
    """The parameters of 40 and 41; `learning_rate` and `epochs` are those of the second stage."""

    split_by: FixedSplit
    picture_size: ImageSize
    weights: str = Field(min_length=1)
    weights_sha256: str = Field(pattern="^([0-9a-fA-F]{64})?$")
    frozen_learning_rate: Positive
    cam_images: Count

    def _conflicts(self) -> Iterator[str]:
        is_file = self.weights.endswith(".safetensors")
        if self.weights not in ("none", "imagenet") and not is_file:
            yield f"weights={self.weights!r}: write none, imagenet or the path of a .safetensors file"
        if self.weights_sha256 and not is_file:
            yield f"weights_sha256 belongs to a file; leave it empty with weights: {self.weights}"


class FastaiTransfer(Transfer):
    """40_fastai_transfer."""

    architecture: Literal[
        "small_resnet", "efficientnet_lite0", "resnet18", "resnet34", "resnet50", "vgg19", "vgg19_bn"
    ]
    width: Positive
    target: Literal["own", "ferplus_majority", "ferplus_distribution"]
    rate_rule: Literal["fixed", "steep", "valley", "minimum"]
    rate_steps: int = Field(ge=20)
    frozen_epochs: int = Field(ge=0)
    rate_spread: float = Field(ge=1)
    label_smoothing: Rate
    mixup: float = Field(ge=0, allow_inf_nan=False)
    weight_averaging: Rate
    rotation: float = Field(ge=0, le=180)
    crop: float = Field(ge=0, le=0.5)
    flip: bool
    cutout: Rate

    def _conflicts(self) -> Iterator[str]:
        yield from super()._conflicts()
        if self.target != "own" and self.dataset != "fer2013":
            yield f"target={self.target!r}: FER+ has votes on FER-2013 alone; write dataset: fer2013, or own"
        if self.architecture == "small_resnet":
            if self.weights == "imagenet":
                yield "weights='imagenet': small_resnet has none; write none, or a file"
            if self.image_size != self.picture_size or self.image_size % 16:
                sizes = f"image_size={self.image_size}, picture_size={self.picture_size}"
                yield f"{sizes}: small_resnet does not scale images; write one multiple of 16 for both"
        elif self.width != 1:
            yield f"width={self.width}: only small_resnet has a width; write 1.0"
        elif self.image_size < 32:
            yield f"image_size={self.image_size}: {self.architecture} needs at least 32 pixels"


class KerasTransfer(Transfer):
    """41_keras_transfer."""

    architecture: Literal["mobilenetv2"]
    alpha: Positive
    frozen_epochs: Count
    fine_tune_from: str = Field(min_length=1)
    batch_norm: Literal["inference", "training"]


class LiveDemo(Parameters):
    """50_live_demo."""

    kind = "live"

    model: str = Field(min_length=1)
    clip_model: str = Field(min_length=1)
    source: Literal["synthetic", "video", "folder"]
    source_path: str
    camera_index: int = Field(ge=0)
    seconds: Positive
    frame_rate: float = Field(ge=10, le=240)
    people: int = Field(ge=1, le=4)
    detector: Literal["haar", "yunet"]
    detector_path: str
    low_light: Literal["off", "auto"]
    smoothing_seconds: float = Field(ge=0)
    photographs: int = Field(ge=0)
    data_path: str
    spotting_videos: int = Field(ge=0)
    spotting_seconds: float = Field(ge=8)
    latency_frames: int = Field(ge=20)
    seed: Seed
    threads: Count

    def _conflicts(self) -> Iterator[str]:
        if (self.source in ("video", "folder")) != bool(self.source_path):
            needed = "names the file or folder" if self.source != "synthetic" else "stays empty"
            yield f"source={self.source!r}, source_path={self.source_path!r}: the path {needed}"


class PaperAudit(Parameters):
    """60_paper_audit."""

    kind = "audit"

    papers: Annotated[list[Literal[*PAPERS]], Field(min_length=1)]


class ProtocolEffects(Parameters):
    """61_protocol_effects."""

    kind = "audit"

    reports_dir: str


class LabelNoise(FaceParameters, ProtocolEffects):
    """62_label_noise."""

    dataset: Literal["synthetic", "fer2013"] = "synthetic"
    examples: Count


class PublicModels(FaceParameters, Parameters):
    """63_public_models."""

    kind = "audit"

    dataset: Literal["synthetic", "fer2013"] = "synthetic"
    models_dir: str
    against: str


class Summary(ProtocolEffects):
    """90_summary."""

    kind = "summary"


NOTEBOOKS: dict[str, type[Parameters]] = {
    "00_data_prep": DataPrep,
    "10_baseline_cnn": BaselineCNN,
    "20_hybrid_hog_cnn": HybridHogCNN,
    "30_cnn3d_smic": Cnn3dSmic,
    "31_micro_expressions_flow": MicroFlow,
    "40_fastai_transfer": FastaiTransfer,
    "41_keras_transfer": KerasTransfer,
    "50_live_demo": LiveDemo,
    "60_paper_audit": PaperAudit,
    "61_protocol_effects": ProtocolEffects,
    "62_label_noise": LabelNoise,
    "63_public_models": PublicModels,
    "90_summary": Summary,
}
