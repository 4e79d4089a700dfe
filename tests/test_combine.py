"""Sets become one by the names of their classes, and what one of them lacks is said."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fer_utils.data import FaceSet, combine, separate
from fer_utils.labels import CKPLUS7, FER7


def faces(name: str, labels, class_names=FER7, *, split="train", size=4, **more) -> FaceSet:
    count = len(labels)
    return FaceSet(
        name=name,
        source=more.pop("source", "real"),
        images=np.arange(count * size * size, dtype=np.uint8).reshape(count, size, size),
        labels=np.array(labels, dtype=np.int64),
        class_names=class_names,
        split=np.full(count, split, dtype="U12"),
        sample_id=np.array([str(number) for number in range(count)], dtype=str),
        **more,
    )


def shown(one: FaceSet) -> list[str]:
    return [one.class_names[label] for label in one.labels]


labels_of_seven = st.lists(st.integers(0, 6), max_size=12)


@given(labels_of_seven, labels_of_seven, st.permutations(sorted({*FER7, *CKPLUS7})))
def test_every_image_keeps_its_class_split_and_pixels_under_an_id_of_its_set(some, others, class_names):
    fer = faces("fer2013", some, split="validation")
    ckplus = faces("ckplus", others, CKPLUS7)
    both = combine([fer, ckplus], class_names=class_names)
    assert both.name == "fer2013+ckplus" and both.class_names == tuple(class_names)
    assert shown(both) == shown(fer) + shown(ckplus)
    assert both.split.tolist() == [*fer.split, *ckplus.split]
    assert both.sample_id.tolist() == [f"{one.name}/{x}" for one in (fer, ckplus) for x in one.sample_id]
    np.testing.assert_array_equal(both.images, np.concatenate([fer.images, ckplus.images]))


@given(labels_of_seven, labels_of_seven)
def test_sets_that_were_joined_can_be_told_apart_again(some, others):
    sets = [faces("fer2013", some, split="validation"), faces("rafdb", others)]
    both = combine(sets, class_names=FER7)
    for before, after in zip(sets, separate(both), strict=True):
        assert after.name == before.name and shown(after) == shown(before)
        assert after.sample_id.tolist() == [f"{before.name}/{one}" for one in before.sample_id]
        np.testing.assert_array_equal(after.images, before.images)


@pytest.mark.parametrize("name", ["fer2013", "mine+yours"])
def test_a_set_that_was_not_joined_stays_whole_whatever_its_name(name):
    (alone,) = separate(one := faces(name, [0, 1]))
    assert alone is one


def test_classes_that_a_set_lacks_and_images_that_have_no_place_are_declared():
    both = combine([faces("rafdb", range(7)), faces("ckplus", range(7), CKPLUS7)], class_names=FER7)
    assert len(both) == 13
    assert both.notes == (
        "ckplus has no neutral",
        "ckplus: 1 of 7 images left out, of classes that have no place in angry, disgust, fear, happy, sad, "
        "surprise, neutral: contempt 1",
    )
    eight = combine(
        [faces("rafdb", range(7)), faces("ckplus", range(7), CKPLUS7)], class_names=(*FER7, "contempt")
    )
    assert len(eight) == 14
    assert eight.notes == ("rafdb has no contempt", "ckplus has no neutral")


def test_a_mapping_moves_classes_that_the_names_do_not():
    sets = [faces("mine", [0, 1, 1], ("Joy", "bored")), faces("ckplus", [1], CKPLUS7)]
    both = combine(sets, class_names=FER7, mapping={"bored": "neutral", "contempt": "disgust"})
    assert shown(both) == ["happy", "neutral", "neutral", "disgust"]
    assert "mine: classes were merged: happy = Joy 1; neutral = bored 2" in both.notes
    with pytest.raises(ValueError, match="mapping: no set has a class borde"):
        combine(sets, class_names=FER7, mapping={"borde": "neutral"})
    with pytest.raises(ValueError, match=r"classes cannot become \['tired'\]"):
        combine(sets, class_names=FER7, mapping={"bored": "tired"})


def test_a_class_is_found_by_the_very_name_that_is_asked_for_before_its_canonical_one():
    sets = [faces("mine", [0, 1], ("anger", "joy")), faces("yours", [0, 1], ("anger", "happy"))]
    as_spelt = combine(sets, class_names=("anger", "happy"))
    assert shown(as_spelt) == ["anger", "happy", "anger", "happy"]
    assert [note for note in as_spelt.notes if "anger" in note] == []
    assert shown(combine(sets, class_names=FER7)) == ["angry", "happy", "angry", "happy"]
    both = combine([faces("mine", [0, 1], ("anger", "angry"))], class_names=("angry", "anger"))
    assert shown(both) == ["anger", "angry"]


def test_people_of_two_sets_are_not_one_and_the_unknown_stay_unknown():
    some = faces("a", [0, 1], subject=np.array(["S1", ""]))
    both = combine([some, faces("b", [0], subject=np.array(["S1"]))], class_names=FER7)
    assert both.subject.tolist() == ["a/S1", "", "b/S1"]


def test_origin_notes_and_what_was_dropped_are_kept_apart():
    one = faces("a", [0], origin={"sha256": "x", "bytes": 3}, notes=("first",), dropped=("line 3: bad",))
    both = combine([one, faces("b", range(7), origin={"sha256": "y"})], class_names=FER7)
    assert both.origin == {"a.sha256": "x", "a.bytes": 3, "b.sha256": "y"}
    assert both.dropped == ("a: line 3: bad",)
    assert both.notes == ("a has no disgust, fear, happy, sad, surprise, neutral", "a: first")


def test_images_without_a_class_are_left_out_and_counted():
    both = combine([faces("fer2013", [-1, 0, -1])], class_names=("angry",))
    assert len(both) == 1 and both.notes == ("fer2013: 2 images without a class left out",)


@pytest.mark.parametrize(
    ("sets", "message"),
    [
        ([], "cannot combine nothing"),
        ([faces("a", [0]), faces("a", [1])], "cannot combine a, a: give sets of different names"),
        ([faces("a", [0]), faces("b", [0], size=5)], r"different sizes .*a has 4x4, b has 5x5.*image_size"),
        ([faces("a", [0]), faces("b", [0], source="synthetic")], "a is real, b is synthetic"),
    ],
)
def test_sets_that_do_not_belong_together_are_refused(sets, message):
    with pytest.raises(ValueError, match=message):
        combine(sets, class_names=FER7)
