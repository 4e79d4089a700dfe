"""Class names and their orders: a mistake here would silently turn happy into sad."""

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from fer_utils.data.registry import FACES
from fer_utils.labels import FER6, FER7, LABEL_SETS, SMIC3, SMIC3_OF, SYNONYMS, alike, canonical


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


TYPED = (
    str.upper,
    str.swapcase,
    lambda name: unicodedata.normalize("NFD", name),
    lambda name: f" {name}\u00a0",
    lambda name: f"\ufeff{name[:1]}\u200b{name[1:]}",
    lambda name: f"{name}.0" if name.isdecimal() else f"{name} ",
    lambda name: f"00{name}" if name[:1].isdecimal() else name.lower(),
    lambda name: "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in name),  # full width
)


@given(st.from_regex("[A-Za-zÄÉéčß日]{0,4}[1-9][0-9]{0,3}", fullmatch=True), st.lists(st.sampled_from(TYPED)))
def test_names_that_differ_only_in_how_they_were_typed_are_reported(name, changes):
    other = name
    for change in changes:
        other = change(other)
    assert bool(alike([name, other])) == (name != other)
    assert not alike([name, f"{name}1", f"x{name}", f"{name[:-1]}{(int(name[-1]) + 1) % 10}"])
