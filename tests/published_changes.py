"""The papers' published files, changed in places, and one finding among many."""

from pathlib import Path

from fer_utils.audit import Finding, audit
from fer_utils.papers import PUBLISHED_FOLDER, load_paper


def with_changes(folder: Path, key: str, *changes: tuple[str, str]) -> list[Finding]:
    """Audit a paper after replacing parts of its published file."""
    text = (PUBLISHED_FOLDER / f"{key}.yaml").read_text(encoding="utf-8")
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    (folder / f"{key}.yaml").write_text(text, encoding="utf-8")
    return audit(load_paper(key, folder=folder))


def one(findings: list[Finding], location: str, *, paper: str = "") -> Finding:
    """Return the only finding at a location, of a paper where it is given."""
    found = [f for f in findings if f.location == location and paper in f.paper]
    assert len(found) == 1, found
    return found[0]
