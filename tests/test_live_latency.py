import numpy as np
import pandas as pd
import pytest

from fer_utils.files import read_json


@pytest.fixture
def seconds() -> pd.DataFrame:
    steps = {"detect": [0.010, 0.001, 0.001, 0.001], "draw": [0.001] * 4}
    return pd.DataFrame(steps).assign(total=lambda table: table.sum(axis=1))


def test_the_table_has_medians_and_what_is_slow_now_and_then(seconds):
    from fer_utils.live import latency

    table = latency.table(seconds)
    assert table.loc["detect", "median_ms"] == pytest.approx(1.0)
    assert table.loc["detect", "p95_ms"] == pytest.approx(
        1000 * np.quantile([0.010, 0.001, 0.001, 0.001], 0.95)
    )
    assert table.loc["detect", "share"] == pytest.approx(13 / 17)
    assert table.loc["total", "share"] == 1


def test_latency_json_says_on_what_it_was_measured(tmp_path, seconds):
    from fer_utils.live import latency

    path = latency.write(
        tmp_path / "latency.json", seconds, hardware="a processor", threads=2, video="drawn", usual={"x": 1}
    )
    written = read_json(path)
    assert written["hardware"] == "a processor" and written["frames"] == 4 and written["usual"] == {"x": 1}
    assert [row["step"] for row in written["steps"]] == ["detect", "draw", "total"]
    assert written["frames_per_second"] == pytest.approx(4 / 0.017, rel=1e-3)
