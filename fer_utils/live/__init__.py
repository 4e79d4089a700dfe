"""Live demo: `sources` yield frames, `pipeline` finds and classifies faces, `session` logs, `panel` displays."""
