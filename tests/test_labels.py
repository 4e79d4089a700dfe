"""Class names and their orders: the one place where a silent mistake would turn happy into sad."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fer_utils.data import ClipSet
from fer_utils.data.clip_readers import CASME2_7, SAMM8
from fer_utils.labels import (
    CKPLUS7,
    FER6,
    FER7,
    LABEL_SETS,
    RAFDB7,
    SMIC3,
    SMIC3_OF,
    SYNONYMS,
    canonical,
    classes_of,
    map_labels,
)


def test_fer2013s_labels_are_in_the_order_of_its_integers():
    assert dict(enumerate(FER7)) == {
        0: "angry", 1: "disgust", 2: "fear", 3: "happy", 4: "sad", 5: "surprise", 6: "neutral",
    }  # fmt: skip


def test_the_six_classes_are_the_seven_without_disgust_in_the_same_order():
    assert FER6 == ("angry", "fear", "happy", "sad", "surprise", "neutral")


@pytest.mark.parametrize("spelling", sorted(SYNONYMS))
def test_every_known_spelling_leads_to_a_class(spelling):
    assert canonical(f" {spelling.upper()}\n") in FER7


@pytest.mark.parametrize("name", FER7)
def test_a_class_is_its_own_canonical_name(name):
    assert canonical(name) == canonical(name.title()) == name


def test_an_unknown_spelling_is_kept_in_lower_case():
    assert canonical(" Contempt ") == "contempt"


labels_of_fer7 = st.lists(st.integers(0, 6), max_size=30).map(lambda values: np.array(values, dtype=np.int64))


@given(labels_of_fer7)
def test_mapping_keeps_every_name_and_marks_what_the_target_lacks(labels):
    mapped = map_labels(labels, source=FER7, target=FER6)
    assert mapped.dtype == np.int64 and mapped.shape == labels.shape
    for before, after in zip(labels, mapped, strict=True):
        assert (after == -1) if FER7[before] == "disgust" else (FER6[after] == FER7[before])


@given(labels_of_fer7, st.permutations(FER7))
def test_mapping_there_and_back_changes_nothing(labels, other):
    there = map_labels(labels, source=FER7, target=other)
    np.testing.assert_array_equal(map_labels(there, source=other, target=FER7), labels)


def test_every_label_set_holds_known_classes_once():
    for names in LABEL_SETS.values():
        assert len(set(names)) == len(names) and set(names) <= set(FER7)


def test_raf_db_has_the_seven_classes_in_another_order_and_ckplus_has_contempt_for_neutral():
    assert sorted(RAFDB7) == sorted(FER7) and RAFDB7 != FER7
    assert {*CKPLUS7} ^ {*FER7} == {"contempt", "neutral"} and len(CKPLUS7) == 7
    assert all(canonical(name) == name for name in (*RAFDB7, *CKPLUS7))


def test_a_label_set_is_named_or_the_data_sets_own():
    assert classes_of("fer6", own=("bored",)) == FER6
    assert classes_of("own", own=["bored", "happy"]) == ("bored", "happy")


# --- merged classes ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("classes", "left"), [(SAMM8, {"other"}), (CASME2_7, {"others"}), (SMIC3, set())])
def test_every_class_of_the_clips_but_other_has_its_place_among_smics_three(classes, left):
    assert set(SMIC3_OF.values()) == set(SMIC3)
    assert {name for name in classes if name not in SMIC3_OF} == left
    assert [SMIC3_OF[name] for name in SMIC3] == list(SMIC3)


@pytest.mark.parametrize("spelling", ["Anger", "Contempt", "Disgust", "Fear", "Sadness", "Repression"])
def test_what_megc_2019_calls_negative_is(spelling):
    assert SMIC3_OF[canonical(spelling)] == "negative"
    assert SMIC3_OF[canonical("Happiness")] == "positive" and SMIC3_OF[canonical("Surprise")] == "surprise"


def clips(labels, class_names=SAMM8) -> ClipSet:
    count = len(labels)
    times = dict.fromkeys(("onset", "apex", "offset"), np.arange(count))
    return ClipSet(
        name="small",
        source="real",
        clips=np.zeros((count, 2, 2, 2), dtype=np.uint8),
        labels=np.array(labels, dtype=np.int64),
        class_names=class_names,
        sample_id=np.array([f"c{number}" for number in range(count)], dtype=str),
        subject=np.array(["s1"] * count, dtype=str),
        frame_rate=np.full(count, 200.0),
        notes=("first",),
        **times,
    )


@given(st.lists(st.integers(0, 7), min_size=1, max_size=30))
def test_merging_keeps_order_and_ids_and_counts_what_is_left_out(labels):
    merged = clips(labels).merged(SMIC3_OF, SMIC3)
    kept = [number for number, label in enumerate(labels) if SAMM8[label] != "other"]
    assert merged.class_names == SMIC3
    assert merged.sample_id.tolist() == [f"c{number}" for number in kept]
    assert [SMIC3[label] for label in merged.labels] == [SMIC3_OF[SAMM8[labels[number]]] for number in kept]
    lost = len(labels) - len(kept)
    assert any(f"{lost} of {len(labels)} clips left out" in note for note in merged.notes) == (lost > 0)


def test_the_note_on_merging_says_which_class_became_which_and_how_many():
    merged = clips([0, 0, 2, 4, 6, 7, 7]).merged(SMIC3_OF, SMIC3)
    assert merged.notes == (
        "first",
        "classes were merged: negative = angry 2 + disgust 1; positive = happy 1",
        "2 of 7 clips left out, of classes that are not in negative, positive, surprise: other 2",
    )
    same = clips([0, 1, 2], SMIC3).merged(SMIC3_OF, SMIC3)
    assert same.notes == ("first",) and same.labels.tolist() == [0, 1, 2]


def test_merging_into_a_class_that_is_not_asked_for_is_refused():
    with pytest.raises(ValueError, match=r"small: classes cannot become \['surprise'\], only"):
        clips([0]).merged(SMIC3_OF, ("negative", "positive"))
