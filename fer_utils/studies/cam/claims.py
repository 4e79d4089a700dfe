"""srivastav2024's sentence about Fig. 11 as a table: in which part of the face each class's evidence lies."""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
import pandas as pd

from fer_utils.data import FaceSet
from fer_utils.saliency import GradCAM, band_areas, band_energy, band_means, mean_intervals
from fer_utils.studies.cam.choice import bands_of, people, too_few

CLAIMED: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "angry": ("nose",),
        "neutral": ("mouth",),
        "happy": ("mouth",),
        "sad": ("mouth",),
        "surprise": ("nose", "mouth"),
    }
)
"""srivastav2024, text above Fig. 11: the part of the face that is "highlighted" for each class. Fig. 11 shows
fear as well, of which the text says nothing; disgust is in neither."""


def band_table(faces: FaceSet, maps: GradCAM) -> pd.DataFrame:
    """Return how much of each class's evidence lies in each band of the face.

    Parameters
    ----------
    faces : FaceSet
        The images that `maps` are of. Images are counted in their true class.
    maps : GradCAM
        All-zero ones say nothing of places and are left out.

    Returns
    -------
    DataFrame
        One row a class and band, brow to mouth and elsewhere: class, band, claimed (by the paper), share of
        the map's sum with low and high (95 %), area (what a map that is the same all over would have there),
        density (share / area), n (maps used).

    Raises
    ------
    ValueError
        When there is not one map for each image.
    """
    _, height, _ = _checked(faces, maps).shape
    bands = bands_of(faces)
    shares = band_energy(maps.maps, bands)
    table = band_means(shares, faces.labels, class_names=faces.class_names, unit=people(faces))
    table = table.rename(columns={"mean": "share"})
    area = table["band"].map(band_areas(height, bands))
    claimed = [
        band in CLAIMED.get(name, ()) for name, band in zip(table["class"], table["band"], strict=True)
    ]
    table.insert(2, "claimed", claimed)
    table.insert(6, "area", area)
    table.insert(7, "density", table["share"] / area)
    return table


def claim_table(faces: FaceSet, maps: GradCAM) -> pd.DataFrame:
    """Return the paper's claims with a verdict each; classes of which it says nothing have a row without one.

    Evidence per area decides: a large band has a large share of any map. Rivals are all bands that are not
    claimed, hair and background included. A claim holds ("most evidence there") when its band has more than
    its area and is denser than every rival, each by a 95 % interval of the paired differences. Else the
    densest rival that it could not be told from is named: "but most" there when that one is denser by an
    interval at the Bonferroni level, since it was picked among the rivals, else "perhaps as much". No
    verdict from fewer than `FEWEST_UNITS` people.

    Parameters and errors as in `band_table`.

    Returns
    -------
    DataFrame
        One row a class and claimed band: class, claimed, share, low, high, area, densest (band of the class),
        verdict, n.
    """
    table = band_table(faces, maps)
    rows = []
    for name, bands in table.set_index("band").groupby("class", sort=False):
        rows_of = np.flatnonzero(faces.labels == faces.class_names.index(name))
        shares = band_energy(maps.maps[rows_of], bands_of(faces))
        used = (shares.sum(axis=1) > 0).to_numpy()
        density = shares[used] / bands["area"]
        counted = faces.take(rows_of[used])
        first = {"class": name, "densest": bands["density"].idxmax(), "n": bands["n"].iloc[0]}
        said = CLAIMED.get(name, ())
        for band in said:
            verdict = too_few(counted) or _verdict(band, bands, density, said=said, unit=people(counted))
            rows.append(first | bands.loc[band, ["share", "low", "high", "area"]].to_dict())
            rows[-1] |= {"claimed": band, "verdict": verdict}
        if not said:
            rows.append(first | {"claimed": "", "verdict": "nothing claimed"})
    columns = ["class", "claimed", "share", "low", "high", "area", "densest", "verdict", "n"]
    return pd.DataFrame(rows, columns=columns).astype(dict.fromkeys(columns[2:6], float))


def _verdict(
    band: str, bands: pd.DataFrame, density: pd.DataFrame, *, said: tuple[str, ...], unit: np.ndarray
) -> str:
    low, high, area = bands.loc[band, ["low", "high", "area"]]
    if low <= area:
        return "less than its area" if high < area else "not told apart from its area"
    rivals = density.drop(columns=list(said))
    ahead = -rivals.sub(density[band], axis=0)
    _, low, _ = mean_intervals(ahead.to_numpy(), unit).T
    if (low > 0).all():
        return "most evidence there"
    other = bands.loc[rivals.columns[low <= 0], "density"].idxmax()
    place = "outside the bands" if other == "elsewhere" else f"in the {other} band"
    # Picked among the rivals as the densest: by chance one of them would often be denser at 95 %.
    level = 1 - 0.05 / rivals.shape[1]
    _, _, high = mean_intervals(ahead[[other]].to_numpy(), unit, level=level, n_boot=20_000)[0]
    return f"more than its area, but {'most' if high < 0 else 'perhaps as much'} {place}"


def _checked(faces: FaceSet, maps: GradCAM) -> np.ndarray:
    if maps.maps.shape != faces.images.shape:
        raise ValueError(f"maps {maps.maps.shape} do not fit the images {faces.images.shape}")
    return maps.maps
