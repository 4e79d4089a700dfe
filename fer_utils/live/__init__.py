"""Live demo: `sources` yield frames, `pipeline` classifies faces, `session` logs, `panel` displays."""

from pathlib import Path

import yaml

THRESHOLDS = yaml.safe_load(Path(__file__).with_name("thresholds.yaml").read_text("utf-8"))
