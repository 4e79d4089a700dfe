"""What a person must know about the demo's networks before believing an answer."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from fer_utils.onnx import OnnxModel

NOT_FOR = (
    "hiring, schooling, policing, border control, insurance, credit or medicine",
    "judging anybody who has not agreed to it",
    "deciding whether somebody lies, is ill, is fit for work or is dangerous",
)
"""What nobody must use it for. Inferring the emotions of people at work and at school is forbidden in the
European Union: Regulation (EU) 2024/1689, Article 5(1)(f)."""

LIMITS = (
    "It names the expression that a face shows, as labellers of pictures named it. What a person feels, it "
    "cannot see.",
    "Faces from the side, covered, very small or dark are missed or misread, and drawings are nothing it has "
    "seen.",
    "The percentage is the network's own. The notebook compares it with how often it is right on FER-2013; "
    "before your camera nobody has.",
)
FER2013_LIMITS = (
    "FER-2013 was collected by web searches for words of emotion. Age, sex and skin of its people are not "
    "recorded, so nobody can say for whom it works worse.",
    "FER-2013's parts share pictures, so that an accuracy measured on it is somewhat too high.",
)


def sections(stills: OnnxModel, clips: OnnxModel | None) -> dict[str, list[str]]:
    """Return the card as lines under headings."""
    networks = [_network("Expressions", stills)]
    if clips is not None:
        networks.append(_network("Micro-expressions", clips))
    return {
        "The networks": networks,
        "What they cannot do": [
            *LIMITS,
            *(FER2013_LIMITS if stills.description.dataset == "fer2013" else ()),
        ],
        "What this must not be used for": list(NOT_FOR),
        "Where the pictures go": [
            "To the machine that runs this notebook and no further; it looks at them and forgets them. A "
            "video is kept only while “record” is ticked, until it is downloaded or cleared."
        ],
    }


def as_html(card: Mapping[str, Sequence[str]]) -> str:
    """Return the card for the demo's panel."""
    return "".join(
        f"<h4>{escape(heading)}</h4><ul>{''.join(f'<li>{escape(line)}</li>' for line in lines)}</ul>"
        for heading, lines in card.items()
    )


def as_markdown(card: Mapping[str, Sequence[str]]) -> str:
    """Return the card for a notebook."""
    return "\n\n".join(
        "\n".join([f"**{heading}**", "", *(f"- {escape(line, quote=False)}" for line in lines)])
        for heading, lines in card.items()
    )


def _network(task: str, model: OnnxModel) -> str:
    told: Mapping[str, Any] = model.description.model_dump()
    drawn = told["source"] == "synthetic"
    learned = f"{task}: {', '.join(model.class_names)}. Trained on {told['dataset']}"
    learned += " (drawn faces: its answers about people mean nothing)" if drawn else ""
    accuracy = told["metrics"]["accuracy"]
    value = f"{100 * accuracy['value']:.1f} %"
    if accuracy["ci95"] is not None:
        value += " [{:.1f}, {:.1f}]".format(*(100 * end for end in accuracy["ci95"]))
    measured = f"Accuracy {value}, n {accuracy['n']:,}: {told['estimate']}; {told['split']}"
    return f"{learned}. {measured}. From run {told['run']}."
