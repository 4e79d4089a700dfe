"""The class-activation map study that 40_fastai_transfer and 41_keras_transfer share."""

import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fer_utils.data import FaceSet
from fer_utils.explain import checks
from fer_utils.explain.checks import FACE_BANDS, FER2013_BANDS, mean_intervals
from fer_utils.explain.network import METHODS, Network
from fer_utils.papers import load_paper
from fer_utils.synthetic import PROTOTYPES, synthetic_changes

CHANGED = 10  # gray levels by which the pixels of an expression differ from the person's neutral face
FEWEST_UNITS = 6  # subjects (images where they are unknown) for a verdict: intervals of fewer are too narrow
RANDOM = "random maps"

_DRAWS = 20  # random maps of each image


class CamStudy:
    """Grad-CAM and Grad-CAM++ maps of some test images, and four checks on them.

    The explained class is the true one. Intervals are of 95 % and resample subjects where they are known,
    else images. All checks use `maps`, those of Grad-CAM. The images are `per_class` of each class of the
    test set, drawn by the seed, which is also that of the data set and the controls. `bands` is where brow,
    eye, nose and mouth are. `masks`, bool (N, H, W), has the pixels that a synthetic expression changes.
    """

    def __init__(self, network: Network, faces: FaceSet, *, per_class: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        classes = range(len(faces.class_names))
        rows = [rng.permutation(np.flatnonzero(faces.labels == label))[:per_class] for label in classes]
        self.network, self.seed = network, seed
        self.faces = faces.take(np.concatenate(rows))
        self.regions = load_paper("srivastav2024").cam_regions  # what the paper claims
        self.bands = FACE_BANDS if faces.source == "synthetic" else FER2013_BANDS
        self._unit = "subject" if (self.faces.subject != "").all() else "image"  # what intervals resample
        self._units = self.faces.subject if self._unit == "subject" else self.faces.sample_id
        labels = self.faces.labels
        self.cams = {method: network.maps(self.faces.images, labels, method=method) for method in METHODS}
        self.maps = self.cams["Grad-CAM"]
        self.masks = None
        if faces.source == "synthetic":
            self.masks = synthetic_changes(self.faces, seed=seed) > CHANGED
            still = [label for label, name in enumerate(faces.class_names) if not PROTOTYPES[name]]
            self.masks[np.isin(labels, still)] = False  # a weak unit alone is no expression

    @property
    def description(self) -> str:
        """Number of images and subjects, size of the maps, and how the bands were measured."""
        n_subjects = len(np.unique(self._units)) if self._unit == "subject" else "unknown"
        synthetic = self.faces.source == "synthetic"
        bands = f"bands measured on {'synthetic faces' if synthetic else 'the mean face of FER-2013'}"
        if not synthetic and self.faces.name != "fer2013":
            bands += f": a guess for {self.faces.name}; check them on the mean face"
        layer = "{}: a map of {}×{}".format(self.maps.layer, *self.maps.native_size)
        return f"{len(self.faces)} test images; subjects: {n_subjects}\n{layer}\n{bands}"

    @cached_property
    def band_shares(self) -> pd.DataFrame:
        """How much of each class's evidence lies in each band of the face: one row per class and band.

        Columns class, band, claimed (by the paper), share of the map's sum with low and high, area (share of
        a uniform map), density (share / area), n (maps that are not all zero).
        """
        uniform = np.ones((1, *self.faces.images.shape[1:]))
        areas = checks.band_energy(uniform, self.bands).iloc[0]
        rows = []
        for name, (shares, units) in self._shares.items():
            intervals = mean_intervals(shares.to_numpy(), units)
            for band, (share, low, high) in zip(shares.columns, intervals, strict=True):
                claimed, area = band in self.regions.get(name, ()), areas[band]
                rows.append((name, band, claimed, share, low, high, area, share / area, len(shares)))
        columns = ["class", "band", "claimed", "share", "low", "high", "area", "density", "n"]
        return pd.DataFrame(rows, columns=columns)

    @cached_property
    def claims(self) -> pd.DataFrame:
        """The paper's claims with a verdict each; classes without a claim have a row without a verdict.

        Evidence per area decides. A claim holds ("most evidence there") when its band has more than its area
        and is denser than every band that is not claimed, each by the 95 % interval of paired differences.
        Otherwise the densest band that it is not above is named: "but most" if that one is denser at the
        Bonferroni level, else "perhaps as much". No verdict from fewer than `FEWEST_UNITS` subjects.
        Columns class, claimed, share, low, high, area, densest (band of the class), verdict, n.
        """
        rows = []
        for name, bands in self.band_shares.set_index("band").groupby("class", sort=False):
            shares, units = self._shares[name]
            row = {"class": name, "densest": bands["density"].idxmax(), "n": len(shares)}
            claimed = self.regions.get(name, ())
            for band in claimed:
                density = shares / bands["area"]
                verdict = self._too_few(units) or _claim_verdict(band, bands, density, claimed, units)
                values = bands.loc[band, ["share", "low", "high", "area"]].to_dict()
                rows.append(row | values | {"claimed": band, "verdict": verdict})
            if not claimed:
                rows.append(row | {"claimed": "", "verdict": "nothing claimed"})
        columns = ["class", "claimed", "share", "low", "high", "area", "densest", "verdict", "n"]
        return pd.DataFrame(rows, columns=columns).astype(dict.fromkeys(columns[2:6], float))

    @cached_property
    def truth(self) -> pd.DataFrame | None:
        """How often maps point at the expression and how much of them lies on it; None for real faces.

        Index: the methods, then three controls: "maps of other classes" (each face's map replaced by that
        of a face of another class), "random maps, as coarse", "anywhere, by area". Columns pointing (share of
        maxima inside) and energy (mean share inside), each with low and high; n faces with an expression.
        """
        if self.masks is None:
            return None
        used = self.masks.any(axis=(1, 2))
        masks, size = self.masks[used], self.maps.native_size

        def scores(maps: np.ndarray) -> np.ndarray:
            return np.stack([checks.pointing_game(maps, masks), checks.energy_inside(maps, masks)], axis=1)

        found = {name: scores(cam.maps[used]) for name, cam in self.cams.items()}
        others = _rows_of_other_classes(self.faces.labels[used], seed=self.seed)
        found["maps of other classes"] = scores(self.maps.maps[used][others])
        seeds = range(self.seed, self.seed + _DRAWS)
        noise = [scores(checks.random_maps(masks.shape, seed=seed, native_size=size)) for seed in seeds]
        found["random maps, as coarse"] = np.mean(noise, axis=0)
        found["anywhere, by area"] = np.repeat(masks.mean(axis=(1, 2))[:, None], 2, axis=1)
        units = self._units[used]
        return _interval_table(["pointing", "energy"], {name: (one, units) for name, one in found.items()})

    @cached_property
    def perturbation(self) -> pd.DataFrame:
        """The mean deletion and insertion curves: way, maps, share of the pixels, probability, low, high."""
        parts = []
        for (way, name), curves in self._curves.items():
            means = mean_intervals(curves, self._units, n_boot=1000)
            part = pd.DataFrame(means, columns=["probability", "low", "high"])
            parts.append(part.assign(way=way, maps=name, share=curves.columns))
        return pd.concat(parts, ignore_index=True)[["way", "maps", "share", "probability", "low", "high"]]

    @cached_property
    def perturbation_areas(self) -> pd.DataFrame:
        """The mean area under each curve and the paired difference to random maps.

        Index deletion and insertion: area, low, high, random maps, difference, difference low, difference
        high, verdict, n. Deletion is better the lower, insertion the higher.
        """

        def verdict(way: str, low: float, high: float) -> str:
            if low <= 0 <= high:
                return f"not told apart from {RANDOM}"
            return f"{'better' if (high < 0) == (way == 'deletion') else 'worse'} than {RANDOM}"

        areas = {}
        for way in ("deletion", "insertion"):
            curves = self._curves[way, self.maps.method], self._curves[way, RANDOM]
            ours, noise = (np.trapezoid(curve, curve.columns, axis=1) for curve in curves)
            areas[way] = np.stack([ours, noise, ours - noise], axis=1), self._units
        table = _interval_table(["area", RANDOM, "difference"], areas)
        table = table.rename(columns={"area low": "low", "area high": "high"})
        differences = table[["difference low", "difference high"]].itertuples()
        verdicts = [self._too_few(self._units) or verdict(*row) for row in differences]
        table.insert(len(table.columns) - 1, "verdict", verdicts)
        return table.drop(columns=[f"{RANDOM} low", f"{RANDOM} high"])

    @cached_property
    def randomisation(self) -> pd.DataFrame:
        """How similar the maps of the trained network and of partly randomised ones are.

        Index: the layer from which on the weights are random, from the last one down, then "maps of other
        images" (of another class, same network): how similar maps are by chance. Columns rank correlation
        and ssim, each with low and high; n pairs of which neither map is all zero.
        """
        images, labels, trained = self.faces.images, self.faces.labels, self.maps.maps
        after = {}
        for name in self.network.cascade:
            random = self.network.randomised(name, seed=self.seed)
            after[name] = random.maps(images, labels, layer=self.maps.layer).maps
        after["maps of other images"] = trained[_rows_of_other_classes(labels, seed=self.seed)]
        similar = {}
        for name, others in after.items():
            used = trained.any(axis=(1, 2)) & others.any(axis=(1, 2))
            values = checks.map_similarity(trained, others)[used].dropna()
            similar[name] = values.to_numpy(), self._units[values.index]
        return _interval_table(["rank", "ssim"], similar).rename(columns={"rank": "rank correlation"})

    def metrics(self) -> dict[str, dict[str, dict[str, Any]]]:
        """Return the tables as records of value, ci95 and n for `other_metrics` of results.json."""
        areas, similar, truth = self.perturbation_areas, self.randomisation, self.truth
        found = {
            f"cam_share_{name}": _records(table.set_index("band"), "share", "low", "high")
            for name, table in self.band_shares.groupby("class", sort=False)
        }
        for part in (["area", "low", "high"], [RANDOM], ["difference", "difference low", "difference high"]):
            for way, record in _records(areas, *part).items():
                found.setdefault(f"cam_{way}", {})[part[0].replace(" ", "_")] = record
        found["cam_rank_correlation"] = _records(similar, "rank correlation", "rank low", "rank high")
        found["cam_ssim"] = _records(similar, "ssim", "ssim low", "ssim high")
        if truth is not None:
            found["cam_pointing_game"] = _records(truth, "pointing", "pointing low", "pointing high")
            found["cam_energy_inside"] = _records(truth, "energy", "energy low", "energy high")
        return found

    def save(self, folder: Path) -> None:
        """Write the tables as ``cam_<name>.csv`` into a folder."""
        tables = {"bands": self.band_shares, "claims": self.claims, "truth": self.truth}
        tables |= {"curves": self.perturbation, "areas": self.perturbation_areas}
        tables["randomised"] = self.randomisation
        for name, table in tables.items():
            if table is not None:
                table.to_csv(folder / f"cam_{name}.csv", index=not isinstance(table.index, pd.RangeIndex))

    @cached_property
    def _shares(self) -> dict[str, tuple[pd.DataFrame, np.ndarray]]:
        """The share of each map in each band and the unit of each map, by class, without all-zero maps."""
        shares = checks.band_energy(self.maps.maps, self.bands)
        lit = shares.any(axis=1)
        found = {}
        for label, name in enumerate(self.faces.class_names):
            if (chosen := lit & (self.faces.labels == label)).any():
                found[name] = shares[chosen], self._units[chosen]
        return found

    @cached_property
    def _curves(self) -> dict[tuple[str, str], pd.DataFrame]:
        maps, images = self.maps, self.faces.images
        noise = checks.random_maps(images.shape, seed=self.seed, native_size=maps.native_size)
        how = {"classes": self.faces.labels, "seed": self.seed}
        return {
            (way, name): checks.perturbation_curves(self.network.predict, images, order, way=way, **how)
            for way in ("deletion", "insertion")
            for name, order in {maps.method: maps.maps, RANDOM: noise}.items()
        }

    def _too_few(self, units: np.ndarray) -> str:
        n = len(np.unique(units))
        return f"{n} {self._unit}{'s' * (n > 1)}: no verdict" if n < FEWEST_UNITS else ""


def _interval_table(names: Sequence[str], found: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> pd.DataFrame:
    """Return means with their intervals: a row for each (values, units), whose columns have these names."""
    columns = [column for name in names for column in (name, f"{name} low", f"{name} high")]
    rows = {row: [*mean_intervals(*both).ravel(), len(both[0])] for row, both in found.items()}
    return pd.DataFrame.from_dict(rows, orient="index", columns=[*columns, "n"]).astype({"n": int})


def _claim_verdict(
    band: str, bands: pd.DataFrame, density: pd.DataFrame, claimed: Sequence[str], unit: np.ndarray
) -> str:
    """Return the verdict on one claimed band, from the densities of each map, one column a band."""
    low, high, area = bands.loc[band, ["low", "high", "area"]]
    if low <= area:
        return "less than its area" if high < area else "not told apart from its area"
    rivals = density.drop(columns=list(claimed))
    ahead = -rivals.sub(density[band], axis=0)
    low = mean_intervals(ahead.to_numpy(), unit)[:, 1]
    if (low > 0).all():
        return "most evidence there"
    rival = bands.loc[rivals.columns[low <= 0], "density"].idxmax()
    level = 1 - 0.05 / rivals.shape[1]
    high = mean_intervals(ahead[[rival]].to_numpy(), unit, level=level, n_boot=20_000)[0, 2]
    place = "outside the bands" if rival == "elsewhere" else f"in the {rival} band"
    return f"more than its area, but {'most' if high < 0 else 'perhaps as much'} {place}"


def _rows_of_other_classes(labels: np.ndarray, *, seed: int) -> np.ndarray:
    """Return for each image the row of a random one of another class."""
    rng = np.random.default_rng(seed)
    return np.array([rng.choice(np.flatnonzero(labels != label)) for label in labels])


def _records(table: pd.DataFrame, *columns: str) -> dict[str, dict[str, Any]]:
    """Return a column, with low and high where given, as metrics; what could not be measured is left out."""
    found = {}
    for name, row in table[table[columns[0]].notna()].iterrows():
        value, *ci95 = (float(row[column]) for column in columns)
        key = re.sub(r"\W+", "_", name.lower().replace("++", " plus plus"))
        known = ci95 and not np.isnan(ci95).any()
        found[key] = {"value": value, "ci95": ci95 if known else None, "n": int(row["n"])}
    return found
