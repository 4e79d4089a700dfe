"""Which model belongs to which notebook, and the parameter files that are checked against it."""

import ast
from pathlib import Path

import yaml

from fer_utils.files import ConfigError, project_path
from fer_utils.params.audit import PaperAudit
from fer_utils.params.base import Parameters, assignments, nearest
from fer_utils.params.clips import Cnn3dSmic
from fer_utils.params.live import LiveDemo
from fer_utils.params.stills import BaselineCNN, DataPrep, HybridHogCNN
from fer_utils.params.summary import ProtocolEffects, Summary
from fer_utils.params.transfer import FastaiTransfer, KerasTransfer

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
    """Return the notebook of a run: the part of its name before `--`.

    Raises
    ------
    ConfigError
        When there is no such notebook, with the nearest that exists.
    """
    notebook = run.split("--")[0]
    if notebook not in NOTEBOOKS:
        raise ConfigError(f"run {run!r}: no notebook {notebook!r}{nearest(notebook, NOTEBOOKS)}")
    return notebook


def read_yaml(path: Path) -> dict[str, object]:
    """Return the parameters set in `params/<profile>/<run>.yaml`, checked against its notebook's model.

    Raises
    ------
    ConfigError
        For anything but a flat mapping of known names to usable values, naming the file and the key.
    """
    path = Path(path)
    model = NOTEBOOKS[notebook_of(path.stem)]
    try:
        values = yaml.load(path.read_text(encoding="utf-8"), Loader=_UniqueKeys)
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file{nearest(path.stem, yaml_runs(path.parent))}") from None
    except (yaml.YAMLError, ValueError) as error:  # a date such as 2026-13-01 is a plain ValueError
        raise ConfigError(f"{path}: not readable as YAML: {' '.join(str(error).split())}") from None
    values = {} if values is None else values
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: holds a {type(values).__name__}, not lines of `name: value`")
    if given := {"output_dir", "checkpoint_dir"} & set(values):
        raise ConfigError(
            f"{path}: {', '.join(sorted(given))} belongs to a machine, not to a study; remove it"
        )
    # The notebook's defaults fill what the file leaves out; they are checked by the notebook itself.
    model.checked(notebook_defaults(path.stem) | values, where=str(path))
    return values


def yaml_runs(folder: Path) -> list[str]:
    """Return the names of the runs that a profile's folder describes, in order."""
    return sorted(path.stem for path in Path(folder).glob("*.yaml"))


def notebook_path(run: str) -> Path:
    """Return the notebook file of a run."""
    return project_path("notebooks") / f"{notebook_of(run)}.ipynb"


def notebook_defaults(run: str) -> dict[str, object]:
    """Return the literal defaults in the `parameters` cell of a run's notebook."""
    import nbformat

    cells = nbformat.read(notebook_path(run), as_version=4).cells
    tagged = [cell.source for cell in cells if "parameters" in cell.metadata.get("tags", [])]
    if len(tagged) != 1:
        raise ConfigError(f"{notebook_path(run)}: {len(tagged)} cells tagged `parameters` instead of one")
    try:
        return {name: ast.literal_eval(value) for name, value in assignments(tagged[0]).items()}
    except ValueError:
        raise ConfigError(f"{notebook_path(run)}: a default is not a plain value") from None


class _UniqueKeys(yaml.SafeLoader):
    """YAML without the silent last-one-wins of repeated keys."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        if repeated := [key for position, key in enumerate(keys) if key in keys[:position]]:
            raise yaml.constructor.ConstructorError(
                None, None, f"{repeated[0]!r} is set twice", node.start_mark
            )
        return super().construct_mapping(node, deep=deep)
