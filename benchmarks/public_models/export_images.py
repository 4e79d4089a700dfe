"""FER-2013's PrivateTest as plain files for the packages here. ``python export_images.py FOLDER``.

Writes `images.bin` (bytes, N x 48 x 48) and `ids.json` (the sample ids of this project, in the same order).
"""

import json
import os
import sys
from pathlib import Path

from fer_utils.data import load_faces
from fer_utils.params import FaceParameters

folder, data_path = Path(sys.argv[1]), os.environ.get("FER2013_PATH", "data/raw")
folder.mkdir(parents=True, exist_ok=True)
test = load_faces(FaceParameters(dataset="fer2013", data_path=data_path)).only("test")
(folder / "images.bin").write_bytes(test.images.tobytes())
(folder / "ids.json").write_text(json.dumps(test.sample_id.tolist()))
print(f"{len(test):,} images in {folder}")
