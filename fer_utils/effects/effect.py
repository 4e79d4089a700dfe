"""What an experiment found: two arms and their difference, as a table, as metric records, as a file."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd

from fer_utils.data import MissingData
from fer_utils.effects.arms import Arm
from fer_utils.files import read_json, write_json
from fer_utils.statistics import Interval


@dataclass(frozen=True)
class Effect:
    """One experiment: an accuracy measured honestly, and by the way that makes it look good.

    Attributes
    ----------
    key : str
        Name of the experiment, in `EXPERIMENTS`.
    trick : str
        What is done to make the number look good.
    honest, leaky : Arm
    interval : (float, float)
        95 % interval of `size`, as it varies with the samples.
    by_seed : tuple of float
        `size` for each seed that both arms have.
    data : str
        What was measured on; whatever begins with "synthetic" says nothing about people.
    runs : tuple of str
        The runs it was read from.
    """

    key: str
    trick: str
    honest: Arm
    leaky: Arm
    interval: Interval
    by_seed: tuple[float, ...]
    data: str
    runs: tuple[str, ...]

    @property
    def size(self) -> float:
        """What the trick adds to the accuracy, as a fraction."""
        return self.leaky.value - self.honest.value


def effects_table(effects: Sequence[Effect]) -> pd.DataFrame:
    """Return one row per effect, the largest first: both accuracies in percent, what is added in points."""
    ordered = sorted(effects, key=lambda effect: -effect.size)
    rows = {
        effect.trick: {
            "honest": f"{100 * effect.honest.value:.1f} %",
            "looks like": f"{100 * effect.leaky.value:.1f} %",
            "adds, points [95 %]": _points(effect),
            "each seed": ", ".join(f"{100 * size:+.1f}" for size in effect.by_seed),
            "n": f"{effect.leaky.n:,}",
            "data": effect.data,
        }
        for effect in ordered
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("what is done")


def pick(effects: Sequence[Effect], *keys: str) -> list[Effect]:
    """Return those of the effects that have one of the keys, in the order of the keys.

    Raises
    ------
    MissingData
        When none has.
    """
    found = {effect.key: effect for effect in effects}
    if not (picked := [found[key] for key in keys if key in found]):
        raise MissingData(f"not one of the experiments {', '.join(keys)} has finished runs; make them first")
    return picked


def sizes_table(effects: Sequence[Effect]) -> pd.DataFrame:
    """Return the effects as numbers for a figure, the largest first: honest, leaky, low, high, data."""
    ordered = sorted(effects, key=lambda effect: -effect.size)
    rows = {
        effect.trick: {
            "honest": effect.honest.value,
            "leaky": effect.leaky.value,
            "low": effect.interval[0],
            "high": effect.interval[1],
            "data": effect.data,
        }
        for effect in ordered
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("what is done")


def arms_table(effects: Sequence[Effect]) -> pd.DataFrame:
    """Return every arm of the effects once, for a figure: label, value, low, high, n, leak, seeds.

    An arm that several effects share stands where the last of them has it.
    """
    arms: dict[str, Arm] = {}
    for effect in effects:
        for arm in (effect.honest, effect.leaky):
            arms.pop(arm.label, None)
            arms[arm.label] = arm
    rows = [
        {
            "label": arm.label,
            "value": arm.value,
            "low": arm.interval[0],
            "high": arm.interval[1],
            "n": arm.n,
            "leak": arm.leak,
            "seeds": arm.by_seed,
        }
        for arm in arms.values()
    ]
    return pd.DataFrame(rows)


def records(effects: Sequence[Effect]) -> dict[str, dict[str, dict]]:
    """Return the effects as metric records, for `other_metrics` of results.json."""
    return {
        effect.key: {
            "honest": _record(effect.honest.value, effect.honest.interval, effect.honest.n),
            "leaky": _record(effect.leaky.value, effect.leaky.interval, effect.leaky.n),
            "difference": _record(effect.size, effect.interval, effect.leaky.n),
        }
        for effect in effects
    }


def write_effects(path: str | Path, effects: Sequence[Effect]) -> Path:
    """Write the effects as JSON, with the seeds of both arms and the runs they were read from."""
    return write_json(path, [asdict(effect) for effect in effects])


def read_effects(path: str | Path) -> list[Effect]:
    """Read what `write_effects` wrote."""
    return [_effect(stored) for stored in read_json(path)]


def _effect(stored: dict) -> Effect:
    arms = {name: Arm(**_tuples(stored[name])) for name in ("honest", "leaky")}
    return Effect(**_tuples(stored | arms))


def _tuples(values: dict) -> dict:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}


def _points(effect: Effect) -> str:
    low, high = (100 * end for end in effect.interval)
    return f"{100 * effect.size:+.1f} [{low:+.1f}, {high:+.1f}]"


def _record(value: float, interval: Interval, n: int) -> dict[str, object]:
    return {"value": value, "ci95": list(interval), "n": n}
