"""One typed model per notebook checks its parameters cell, papermill's values and all files in params/."""

import ast
import difflib
import itertools
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from fer_utils.files import ConfigError, nearest, project_path
from fer_utils.labels import LABEL_SETS
from fer_utils.papers import PAPERS

Count = Annotated[int, Field(ge=1)]
Rate = Annotated[float, Field(ge=0, lt=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Share = Annotated[float, Field(gt=0, lt=1)]
Seed = Annotated[int, Field(ge=0)]

FixedSplit = Literal["official", "random_80_20", "random_80_10_10", "cached_80_10_10"]
FaceSplit = Literal[FixedSplit, "reshuffled_80_10_10"]


class Settings(BaseModel):
    """Checked, immutable settings."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    @classmethod
    def from_values(cls, values: Mapping[str, object], *, where: str = "parameters") -> Self:
        """Return the settings that `values` describe.

        An unknown name (the nearest valid one is named) or a value of the wrong type or range is a
        `ConfigError` that begins with `where`, the source of the values.
        """
        if unknown := [name for name in values if name not in cls.model_fields]:
            problems = (f"unknown parameter {name!r}{nearest(name, cls.model_fields)}" for name in unknown)
            raise ConfigError(f"{where}: {'; '.join(problems)}")
        try:
            return cls(**values)
        except ValidationError as error:
            raise ConfigError(f"{where}: " + "; ".join(map(_problem, error.errors()))) from None

    def replace(self, **changes: object) -> Self:
        """Return a copy with `changes`, checked again."""
        return self.from_values(self.model_dump() | changes)


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

        At the first call every plain value of `globals()` (number, text, list, dict, None) is a parameter, so
        an unknown name is an error; in a kernel where later cells have run, only a name that resembles a
        parameter is. An unknown name is removed, so that the corrected cell can be run again.
        """
        repeated = any(isinstance(value, Parameters) for value in namespace.values())
        unknown = [
            name
            for name, value in namespace.items()
            if name not in cls.model_fields
            and not (name.startswith("_") or name in ("In", "Out"))  # IPython's own
            and (value is None or isinstance(value, (bool, int, float, str, list, dict)))
        ]
        if repeated:
            unknown = [name for name in unknown if difflib.get_close_matches(name, cls.model_fields, 1, 0.8)]
        values = {name: namespace[name] for name in cls.model_fields if name in namespace}
        if not values:
            raise ConfigError("this notebook: no parameters found; run the parameters cell first")
        values |= {name: namespace.pop(name) for name in unknown}
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

    @property
    def checkpoints(self) -> Path:
        """Folder of the checkpoints from which an interrupted training resumes."""
        return project_path(self.checkpoint_dir)


class FaceParameters(Settings):
    """Which images of faces are read."""

    dataset: Literal["synthetic", "fer2013", "rafdb", "ckplus", "jaffe", "folder", "rafdb+fer2013"] = (
        "synthetic"
    )
    data_path: str = "data/raw"
    on_bad_rows: Literal["error", "drop"] = "error"
    label_set: Literal["own", *LABEL_SETS] = "own"
    image_size: Count = 48
    synthetic_subjects: int = Field(ge=3, default=40)
    synthetic_per_subject: Count = 60
    seed: Seed = 0


class ClipParameters(Settings):
    """Which clips of micro-expressions are read, and in what form."""

    dataset: Literal["synthetic", "smic-hs", "smic-vis", "smic-nir", "samm", "casme2", "table"] = "synthetic"
    data_path: str = "data/raw"
    label_set: Literal["own", "smic3"] = "own"
    strict: bool = False
    leave_out: list[str] = []
    sampling: Literal["interpolate", "first"] = "interpolate"
    n_frames: int = Field(ge=2, default=18)
    image_size: Count = 64
    frame_rate: Positive = 100.0
    synthetic_subjects: int = Field(ge=2, default=16)
    synthetic_clips_per_subject: Positive = 10.25
    synthetic_seed: Seed = 0


class DataPrep(FaceParameters, Parameters):
    """00_data_prep."""

    kind = "data"


class Training(FaceParameters, TrainingParameters):
    """The parameters of every notebook that trains on images of faces."""

    label_set: Literal["own", *LABEL_SETS]
    dropout: Rate
    l2: float = Field(ge=0)
    optimizer: Literal["adam", "rmsprop", "sgd"]
    mixed_precision: bool


class BaselineCNN(Training):
    """10_baseline_cnn."""

    paper: Literal["kumar2021", "bamb2023"]
    split_by: FaceSplit
    record_epochs: bool
    architecture: Literal["kumar2021", "little_vgg", "bamb2023"]
    image_size: Count
    batch_norm: bool

    @model_validator(mode="after")
    def _recorded_split_is_fixed(self) -> Self:
        if self.record_epochs and self.split_by == "reshuffled_80_10_10":
            raise ValueError(
                "record_epochs=True: split_by='reshuffled_80_10_10' validates on other images in each epoch; "
                "set record_epochs to False"
            )
        return self


class HybridHogCNN(Training):
    """20_hybrid_hog_cnn: on images of faces, or on single frames of the clips that `frames_of` names."""

    frames_of: Literal["", "synthetic", "smic-hs", "smic-vis", "smic-nir", "samm", "casme2", "table"]
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
    cv_grid: dict[str, list]

    def clips(self) -> ClipParameters:
        """Return which clips the frames are taken from."""
        return ClipParameters(
            dataset=self.frames_of,
            data_path=self.data_path,
            label_set=self.label_set,
            strict=self.on_bad_rows == "error",
            n_frames=self.frames_per_clip,
            image_size=48,  # Section 3.2 of the paper
            synthetic_subjects=self.synthetic_subjects,
            synthetic_clips_per_subject=self.synthetic_clips_per_subject,
            synthetic_seed=self.seed,
        )

    @model_validator(mode="after")
    def _frames_or_faces(self) -> Self:
        if self.frames_of and self.dataset != "synthetic":
            raise ValueError(f"frames_of={self.frames_of!r} replaces dataset={self.dataset!r}; remove one")
        kind = "frames of clips" if self.frames_of else "images of faces (frames_of is empty)"
        splits = ("subject", "clip", "frame") if self.frames_of else ("official",)
        labels = ("own", "smic3") if self.frames_of else ("own", *LABEL_SETS)
        for name, allowed in {"split_by": splits, "label_set": labels}.items():
            if (value := getattr(self, name)) not in allowed:
                raise ValueError(f"{name}={value!r}: for {kind} write {name}: {' or '.join(allowed)}")
        return self

    @model_validator(mode="after")
    def _arms_fit(self) -> Self:
        arms = [("sweeps", arm) for sweep in self.sweeps.values() for arm in sweep]
        arms += [("cv_grid", {name: value}) for name, values in self.cv_grid.items() for value in values]
        for where, arm in arms:
            for name in arm:
                if name in _NOT_IN_AN_ARM or name not in type(self).model_fields:
                    known = set(type(self).model_fields) - _NOT_IN_AN_ARM
                    raise ValueError(f"{where}: unknown parameter {name!r}{nearest(name, known)}")
            self.varied(**arm)
        if empty := [name for name, values in self.cv_grid.items() if not values]:
            raise ValueError(f"cv_grid: no value for {empty[0]!r}; give a list of at least one")
        if bool(self.test_arms) != bool(self.test_seeds):
            raise ValueError("test_arms and test_seeds: give both, or leave both empty")
        if self.cv_folds == 1:
            raise ValueError("cv_folds=1: one fold leaves no training set; use 0 (none) or at least 2")
        return self

    def varied(self, **changes: object) -> Self:
        """Return one arm: these parameters with `changes`, and no comparison with other arms."""
        return self.replace(**(_ONE_ARM | changes))


_ONE_ARM = {"sweeps": {}, "test_arms": [], "test_seeds": [], "cv_folds": 0, "cv_grid": {}}
_NOT_IN_AN_ARM = {
    *_ONE_ARM,
    *("output_dir", "checkpoint_dir", "dataset", "frames_of", "split_by", "frame_folds", "frames_per_clip"),
    "synthetic_clips_per_subject",
}


class Cnn3dSmic(ClipParameters, TrainingParameters):
    """30_cnn3d_smic."""

    activation: Literal["relu", "swish"]
    view: Literal["pixels", "change"]
    dropout: Rate
    epoch_choice: Literal["fixed", "inner"]
    comparisons: list[Literal["best_epoch", "random", "random_best_epoch", "other_view", "still", "flow"]]
    random_folds: int = Field(ge=2)
    grid_shares: list[Share]
    grid_seeds: list[Seed]
    flow_epochs: Count
    fold_jobs: Count

    @model_validator(mode="after")
    def _grid_is_complete(self) -> Self:
        if bool(self.grid_shares) != bool(self.grid_seeds):
            raise ValueError("grid_shares and grid_seeds: give both, or leave both empty for no grid")
        return self

    def varied(self, **changes: object) -> Self:
        """Return one training: these parameters with `changes`, without the other trainings of the run."""
        one = {"comparisons": [], "grid_shares": [], "grid_seeds": [], "fold_jobs": 1, "random_folds": 2}
        return self.replace(**(one | changes))


class Transfer(Training):
    """The parameters of 40 and 41; `learning_rate` and `epochs` are those of the second stage."""

    split_by: FixedSplit
    picture_size: Count
    image_size: Count
    weights: str = Field(min_length=1)
    weights_sha256: str = Field(pattern="^([0-9a-fA-F]{64})?$")
    frozen_learning_rate: Positive
    cam_images: Count

    @model_validator(mode="after")
    def _weights_exist(self) -> Self:
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

    architecture: Literal["small_resnet", "resnet18", "resnet34", "resnet50", "vgg19", "vgg19_bn"]
    width: Positive
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

    @model_validator(mode="after")
    def _network_exists(self) -> Self:
        if self.architecture == "small_resnet":
            if self.weights == "imagenet":
                raise ValueError("weights='imagenet': small_resnet has none; write none, or a file")
            if self.image_size != self.picture_size or self.image_size % 16:
                raise ValueError(
                    f"image_size={self.image_size}, picture_size={self.picture_size}: small_resnet does not "
                    "scale its images; write one multiple of 16 for both"
                )
        elif self.width != 1:
            raise ValueError(f"width={self.width}: only small_resnet has a width; write 1.0")
        elif self.image_size < 32:
            raise ValueError(f"image_size={self.image_size}: {self.architecture} needs at least 32 pixels")
        return self


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
    low_light: Literal["off", "auto", "on"]
    smoothing_seconds: float = Field(ge=0)
    photographs: int = Field(ge=0)
    data_path: str
    spotting_videos: int = Field(ge=0)
    spotting_seconds: float = Field(ge=8)
    latency_frames: int = Field(ge=20)
    seed: Seed
    threads: Count

    @model_validator(mode="after")
    def _paths_fit(self) -> Self:
        if (self.source in ("video", "folder")) != bool(self.source_path):
            needed = "names the file or folder" if self.source != "synthetic" else "stays empty"
            raise ValueError(f"source={self.source!r}, source_path={self.source_path!r}: the path {needed}")
        if self.detector == "haar" and self.detector_path:
            raise ValueError(f"detector_path={self.detector_path!r}: it is for yunet; leave it empty")
        return self


class PaperAudit(Parameters):
    """60_paper_audit."""

    kind = "audit"

    papers: Annotated[list[Literal[*PAPERS]], Field(min_length=1)]


class ProtocolEffects(Parameters):
    """61_protocol_effects."""

    kind = "audit"

    reports_dir: str


class Summary(Parameters):
    """90_summary."""

    kind = "summary"

    reports_dir: str


NOTEBOOKS: dict[str, type[Parameters]] = {
    "00_data_prep": DataPrep,
    "10_baseline_cnn": BaselineCNN,
    "20_hybrid_hog_cnn": HybridHogCNN,
    "30_cnn3d_smic": Cnn3dSmic,
    "40_fastai_transfer": FastaiTransfer,
    "41_keras_transfer": KerasTransfer,
    "50_live_demo": LiveDemo,
    "60_paper_audit": PaperAudit,
    "61_protocol_effects": ProtocolEffects,
    "90_summary": Summary,
}


def notebook_of(run: str) -> str:
    """Return the notebook of a run: the text of its name before `--`; `ConfigError` if there is none."""
    notebook = run.split("--")[0]
    if notebook not in NOTEBOOKS:
        raise ConfigError(f"run {run!r}: no notebook {notebook!r}{nearest(notebook, NOTEBOOKS)}")
    return notebook


def notebook_path(run: str) -> Path:
    """Return the notebook file of a run."""
    return project_path("notebooks") / f"{notebook_of(run)}.ipynb"


def notebook_defaults(run: str) -> dict[str, object]:
    """Return the defaults in the `parameters` cell of a run's notebook."""
    path = notebook_path(run)
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    tagged = ["".join(cell["source"]) for cell in cells if "parameters" in cell["metadata"].get("tags", [])]
    if len(tagged) != 1:
        raise ConfigError(f"{path}: {len(tagged)} cells tagged `parameters` instead of one")
    try:
        lines = [node for node in ast.parse(tagged[0]).body if isinstance(node, ast.Assign)]
        return {target.id: ast.literal_eval(line.value) for line in lines for target in line.targets}
    except (SyntaxError, ValueError, AttributeError):
        raise ConfigError(f"{path}: the parameters cell may hold only lines `name = literal`") from None


def read_runs(path: Path) -> dict[str, dict[str, object]]:
    """Return the runs of a parameter file with their values, checked against the notebook's model.

    A file describes one run with its own name, `params/<profile>/<run>.yaml`. With a `grid:` block, such as
    ``grid: {seed: [0, 1, 2]}``, it describes one run for each combination of values: `<file>--seed0`,
    `<file>--seed1`, and so on. Several keys are joined by `-`; of a string only the value is in the name.
    """
    model, runs = NOTEBOOKS[notebook_of(path.stem)], _expand_grid(path)
    defaults = notebook_defaults(path.stem)
    for run, values in runs.items():
        # The notebook's defaults fill what the file leaves out.
        model.from_values(defaults | values, where=str(path) if run == path.stem else f"{path}, {run}")
    return runs


def profile_runs(folder: Path) -> dict[str, Path]:
    """Return all runs of a profile, sorted by name, each with its parameter file; values are not checked."""
    return dict(sorted((run, path) for path in folder.glob("*.yaml") for run in _expand_grid(path)))


def find_runs(folder: Path, name: str) -> dict[str, Path]:
    """Return the runs of a profile that `name` means: one run, or all runs of a parameter file."""
    runs = profile_runs(folder)
    found = {run: path for run, path in runs.items() if name in (run, path.stem)}
    if not found:
        known = {*runs, *(path.stem for path in runs.values())}
        raise ConfigError(f"{folder}: no run {name!r}{nearest(name, known)}")
    return found


def method_of(run: str) -> str:
    """Return the name of a run without its seed: the method of ``x--raw--seed2`` is ``x--raw``."""
    return re.sub(r"--?seed\d+$", "", run)


def _expand_grid(path: Path) -> dict[str, dict[str, object]]:
    """Return the runs of a parameter file with their values, which are not checked."""
    try:
        values = yaml.load(path.read_text(encoding="utf-8"), Loader=_ParameterLoader) or {}
    except FileNotFoundError:
        known = [other.stem for other in path.parent.glob("*.yaml")]
        raise ConfigError(f"{path}: no such file{nearest(path.stem, known)}") from None
    except (yaml.YAMLError, ValueError) as error:  # a date such as 2026-13-01 is a plain ValueError
        raise ConfigError(f"{path}: not readable as YAML: {' '.join(str(error).split())}") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: expected lines of `name: value`, got a {type(values).__name__}")
    if given := {"output_dir", "checkpoint_dir"} & set(values):
        raise ConfigError(f"{path}: {', '.join(sorted(given))} depends on the machine; remove it")
    if (grid := values.pop("grid", None)) is None:
        return {path.stem: values}
    if not isinstance(grid, dict) or not all(isinstance(cell, list) and cell for cell in grid.values()):
        raise ConfigError(f"{path}: grid: write a list of values for each name, such as `seed: [0, 1, 2]`")
    if twice := set(grid) & set(values):
        raise ConfigError(
            f"{path}: {', '.join(sorted(twice))} stands in the file and in its grid; remove one"
        )
    runs = {}
    for combination in itertools.product(*grid.values()):
        cell = dict(zip(grid, combination, strict=True))
        names = (value if isinstance(value, str) else f"{name}{value}" for name, value in cell.items())
        runs[f"{path.stem}--{'-'.join(names)}"] = values | cell
    return runs


class _ParameterLoader(yaml.SafeLoader):
    """YAML in which a repeated key is an error (else the last one would silently win) and 1e-3 a number."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        if repeated := [key for position, key in enumerate(keys) if key in keys[:position]]:
            raise yaml.constructor.ConstructorError(
                None, None, f"{repeated[0]!r} is set twice", node.start_mark
            )
        return super().construct_mapping(node, deep=deep)


_ParameterLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+$"), list("-+0123456789")
)


def _problem(error: Mapping[str, object]) -> str:
    name, text = ".".join(map(str, error["loc"])), str(error["msg"])
    if not name:  # a rule about several parameters names them itself
        return text.removeprefix("Value error, ")
    if error["type"] == "missing":
        return f"{name} is missing"
    return f"{name}={error['input']!r}: {text[0].lower()}{text[1:]}"
