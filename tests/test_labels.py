"""Class names and their orders: a mistake here would silently turn happy into sad."""

from fer_utils.data.registry import FACES
from fer_utils.labels import FER6, FER7, LABEL_SETS, SMIC3, SMIC3_OF, SYNONYMS, canonical


def test_the_label_sets_have_the_orders_of_their_sources():
    assert FER7 == ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
    assert FER6 == ("angry", "fear", "happy", "sad", "surprise", "neutral")
    assert [*FACES["rafdb"].codes.values()] == [
        "surprise",
        "fear",
        "disgust",
        "happy",
        "sad",
        "angry",
        "neutral",
    ]
    assert {*FACES["ckplus"].class_names} ^ {*FER7} == {"contempt", "neutral"}
    for names in LABEL_SETS.values():
        assert len(set(names)) == len(names) and set(names) <= set(FER7)


def test_every_known_spelling_leads_to_a_class():
    for name in (*SYNONYMS, *FER7):
        assert canonical(f" {name.upper()}\n") in FER7
    assert canonical("Contempt") == "contempt"


def test_micro_expressions_are_merged_as_in_megc_2019():
    assert [SMIC3_OF[name] for name in SMIC3] == list(SMIC3) and set(SMIC3_OF.values()) == set(SMIC3)
    negative = ("Anger", "Contempt", "Disgust", "Fear", "Sadness", "Repression")
    assert {SMIC3_OF[canonical(name)] for name in negative} == {"negative"}
    assert SMIC3_OF[canonical("Happiness")] == "positive"
    assert "other" not in SMIC3_OF and "others" not in SMIC3_OF
