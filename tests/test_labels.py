"""Class names and their orders: the one place where a silent mistake would turn happy into sad."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fer_utils.labels import FER6, FER7, LABEL_SETS, SYNONYMS, canonical, classes_of, map_labels


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


def test_a_label_set_is_named_or_the_data_sets_own():
    assert classes_of("fer6", own=("bored",)) == FER6
    assert classes_of("own", own=["bored", "happy"]) == ("bored", "happy")
