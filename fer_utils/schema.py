"""The form of results.json, and whether something has it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

SCHEMA = json.loads(Path(__file__).with_name("results.schema.json").read_text(encoding="utf-8"))


def check_results(results: Mapping[str, Any]) -> None:
    """Check the content of a results.json against `SCHEMA`.

    Raises
    ------
    jsonschema.ValidationError
        Naming the place and what is wrong there.
    """
    # Imported here: it takes seconds, and most of what imports this package never writes a result.
    from jsonschema import Draft202012Validator, validate

    validate(results, SCHEMA, cls=Draft202012Validator)
