"""FER+'s votes join FER-2013 in both of its forms; labels and committed scores follow from them."""

import gzip
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers.face_sets import face_set
from hypothesis import given
from hypothesis import strategies as st

from fer_utils.data import MissingData
from fer_utils.data.votes import ROWS, VOTED, join, kaggle_rows, read_votes, with_labels
from fer_utils.files import PROJECT, read_json
from fer_utils.labels import FER7
from fer_utils.splits import Split
from fer_utils.studies.label_noise import read_methods, scored, with_votes

REFERENCE = PROJECT / "reports" / "reference"
HEADER = "Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF"
PUBLISHED = ["neutral", "happy", "surprise", "sad", "angry", "disgust", "fear", *VOTED[7:]]
"""Order of the columns in the published file."""


@pytest.fixture(scope="module")
def rows() -> list[str]:
    """Return the lines of a votes file whose counts tell its rows apart."""
    counts = np.random.default_rng(0).multinomial(10, [0.1] * 10, ROWS)
    return [HEADER, *(f"Training,x.png,{','.join(map(str, row))}" for row in counts.tolist())]


def written(folder: Path, rows: list[str]) -> Path:
    path = folder / "ferplus" / "fer2013new.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(rows))
    return path


@pytest.fixture(scope="module")
def votes(rows, tmp_path_factory) -> pd.DataFrame:
    return read_votes(written(tmp_path_factory.mktemp("raw"), rows).parents[1])


def test_the_map_has_every_file_once_and_is_reproducible():
    known = kaggle_rows()
    assert len(known) == ROWS and known.index.is_unique
    assert (known["row"] < 0).sum() == 175 and known["row"][known["row"] >= 0].is_unique
    with gzip.open(PROJECT / "data" / "kaggle_rows.csv.gz") as file:
        file.read()
        assert file.mtime == 0


def test_both_forms_of_fer2013_get_the_votes_of_their_rows(votes, rows):
    known = kaggle_rows().iloc[[0, 5, 30_000, 35_711, 35_712]]  # the last is one whose row is not known
    folder = join(votes, known.index.to_numpy(str), known["label"].to_numpy(str))
    for (_, found), row in zip(folder.iloc[:4].iterrows(), known["row"], strict=False):
        assert [str(found[name]) for name in PUBLISHED] == rows[row + 1].split(",")[2:]
    assert folder[[*VOTED]].iloc[4].sum() == 0 and np.isnan(folder["entropy"].iloc[4])
    ids = np.array([f"Training_row{row + 2:05d}" for row in known["row"][:4]])  # numbers of lines
    table = join(votes, ids, known["label"].to_numpy(str)[:4])
    assert table.reset_index(drop=True).equals(folder.iloc[:4].reset_index(drop=True))


def test_other_orders_and_names_are_refused(votes):
    alone = kaggle_rows().query("matched == 'bytes'").iloc[0]
    other = next(name for name in FER7 if name != alone["label"])
    with pytest.raises(ValueError, match=f"Training_row00002 is {other}.*another order"):
        join(votes, np.array([f"Training_row{alone['row'] + 2:05d}"]), np.array([other]))
    with pytest.raises(ValueError, match="train/happy/me: no image of FER-2013"):
        join(votes, np.array(["train/happy/me"]), np.array(["happy"]))


def test_the_voted_labels_are_those_of_training_and_validation_alone(votes):
    known = kaggle_rows().iloc[::200]
    labels = [FER7.index(name) for name in known["label"]]
    faces = face_set(np.zeros((len(known), 4, 4)), labels, FER7, sample_id=known.index.to_numpy(str))
    before = Split(*map(faces.take, np.array_split(np.arange(len(faces)), 3)), "official")
    split, shares = with_votes(before, votes)
    assert split.test is before.test
    for name in ("train", "validation"):
        images, found = getattr(before, name), getattr(split, name)
        voted = join(votes, images.sample_id, np.array(FER7)[images.labels])["ferplus"]
        voted = voted[voted != ""]
        assert 0 < len(voted) < len(images)
        assert dict(zip(found.sample_id, np.array(FER7)[found.labels], strict=True)) == voted.to_dict()
    np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-6)
    assert (shares.argmax(axis=1) == split.train.labels).all()


@pytest.mark.parametrize(
    ("line", "text", "message"),
    [
        (ROWS, None, "35,886 rows"),
        (0, HEADER.replace("fear", "terror"), "line 1: no column fear"),
        (5, "Training,x.png,ten,0,0,0,0,0,0,0,0,0", "line 6: neutral is 'ten'"),
        (5, "Training,x.png,9,9,0,0,0,0,0,0,0,0", "line 6: sum is '18"),
        (5, "Test,x.png,9,1,0,0,0,0,0,0,0,0", "line 6: usage is 'Test'"),
        (5, "Training,x.png" + 20 * ",1", "not readable .* line 6"),
    ],
)
def test_what_is_wrong_with_a_file_of_votes_is_named(line, text, message, rows, tmp_path):
    written(tmp_path, [*rows[:line], *([text] if text else []), *rows[line + 1 :]])
    with pytest.raises(ValueError, match=rf"fer2013new\.csv.*{message}.*download"):
        read_votes(tmp_path)


def test_missing_votes_are_looked_for_beside_the_file_of_images(tmp_path):
    (tmp_path / "fer2013.zip").touch()
    with pytest.raises(MissingData, match=r"ferplus/fer2013new\.csv"):
        read_votes(tmp_path / "fer2013.zip")


@given(st.lists(st.integers(0, 9), min_size=1, max_size=10))
def test_the_label_has_more_votes_than_anything_else(ballots):
    counts = np.bincount(ballots, minlength=10)
    (found,) = with_labels(pd.DataFrame([counts], columns=[*VOTED])).itertuples(index=False)
    winners = [name for name, count in zip(VOTED, counts, strict=True) if count == counts.max()]
    assert found.ferplus == (winners[0] if len(winners) == 1 and winners[0] in FER7 else "")
    assert found.top == counts[:7].max() and (found.entropy == pytest.approx(0)) == (
        counts.max() == len(ballots)
    )


def test_published_agreement_and_committed_scores_follow_from_the_real_votes():
    if not (folder := os.environ.get("FERPLUS_PATH")):
        pytest.skip("FERPLUS_PATH names no folder with the votes of FER+")
    known = kaggle_rows()
    table = join(read_votes(folder), known.index.to_numpy(str), known["label"].to_numpy(str))
    usable, clear = table[table["top"] > 0], table[table["ferplus"] != ""]
    first = usable[PUBLISHED[:7]].idxmax(axis=1)  # ties go to the first column
    groups = {"first": (first, usable["fer2013"], 35_707, 0.629)}
    for least, n, share in ((0, 33_498, 0.657), (6, 27_306, 0.718)):
        part = clear[clear["top"] >= least]
        groups[least] = (part["ferplus"], part["fer2013"], n, share)
    for voted, named, n, share in groups.values():
        assert (len(voted), round((voted == named).mean(), 3)) == (n, share)
    stored = read_json(REFERENCE / "62_label_noise" / "results.json")["other_metrics"]
    for method, runs in read_methods(REFERENCE)[0].items():
        for labels in ("fer2013", "ferplus"):
            shares = [scored(run, clear, labels).correct.mean() for run in runs]
            assert np.mean(shares) == pytest.approx(stored[method][labels]["value"])
