"""How the cost grows: each axis is varied alone, and drawn as it was measured."""

import numpy as np
import pandas as pd
import pytest

from bsnn.analysis.figures import scaling
from bsnn.analysis.figures.style import new_figure
from bsnn.settings import Settings
from bsnn.training.bench import scale
from bsnn.training.bench.scale import scale_points
from tests.training.bench.conftest import TINY


def test_scaling_varies_each_axis_alone():
    base = Settings.reference("mnist")
    changed = {
        "hidden": {"layers"},
        "batch_size": {"batch_size"},
        "dt_ms": {"dt_ms"},
        "hidden_layers": {"layers", "v_threshold"},
    }
    seen = {}
    for axis, value, point in scale_points(base):
        seen.setdefault(axis, []).append(value)
        different = {
            name
            for name, given in point.to_dict().items()
            if given != base.to_dict()[name]
        }
        assert different <= changed[axis]
        assert point.model().n_layers == len(point.v_threshold)
    assert set(seen) == set(changed)
    assert seen["hidden"] == [200, 800, 3200] and seen["hidden_layers"] == [1, 2, 3]
    assert min(seen["batch_size"]) == 1 and max(seen["batch_size"]) == 1000


@pytest.mark.cpp
def test_every_point_becomes_a_row(workload, monkeypatch):
    monkeypatch.setattr(scale, "call_apart", lambda work, *given: work(*given))
    monkeypatch.setattr(scale, "scale_points", lambda base: [("dt_ms", 5.0, base)])
    (row,) = scale.run_scale(TINY, workload, repeats=5)
    assert (row["axis"], row["value"]) == ("dt_ms", 5.0)
    assert (row["samples"], row["steps"]) == (4, 40)
    assert (row["neurons"], row["synapses"]) == (40, 900)
    for name in ("forward_ms", "training_ms"):
        assert 0 < row[f"{name}_low"] <= row[name] <= row[f"{name}_high"]


@pytest.fixture
def rows():
    return [
        {
            "axis": axis,
            "value": value,
            "memory_mib": 100.0 + value,
            **{
                f"{kind}_ms{end}": value * factor * scale
                for kind, factor in (("forward", 1), ("training", 3))
                for end, scale in (("", 1), ("_low", 0.9), ("_high", 1.2))
            },
        }
        for axis in scaling.AXES
        for value in (4.0, 1.0, 2.0)
    ]


def test_scaling_figures_draw_the_table(rows, tmp_path):
    paths = scaling.make_scaling_figures(rows, tmp_path)
    assert {path.suffix for path in paths} == {".pdf", ".png", ".csv"}
    saved = pd.read_csv(tmp_path / "scaling_time.csv")
    pd.testing.assert_frame_equal(saved, pd.DataFrame(rows), rtol=1e-12)
    ax = new_figure()[1][0]
    assert scaling.plot(pd.DataFrame(rows), ax, "dt_ms", "time") is ax
    (training,) = [c for c in ax.containers if c.get_label() == "training"]
    line, _, (bars,) = training.lines
    np.testing.assert_array_equal(line.get_xydata(), [[1, 3], [2, 6], [4, 12]])
    np.testing.assert_allclose(
        np.array(bars.get_segments())[0, :, 1], [2.7, 3.6], rtol=1e-12
    )
    assert ax.get_xlabel() == "Time step (ms)" and ax.get_ylabel() == "Minibatch (ms)"
