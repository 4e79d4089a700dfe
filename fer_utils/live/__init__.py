"""Live demo: `sources` yield frames, `pipeline` classifies faces, `session` logs, `panel` displays."""
