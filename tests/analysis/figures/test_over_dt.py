"""Lines over the time step are the table."""

import numpy as np
import pytest

from bsnn.analysis.figures import over_dt
from tests.analysis.figures.series import series


@pytest.mark.parametrize(
    ("value", "scale", "label"),
    [
        ("accuracy", 100, "Test accuracy (%)"),
        ("total_spikes", 1, "Spikes per sample"),
        ("output_spikes", 1, "Output spikes per sample"),
    ],
)
def test_lines_over_dt_are_the_table(ax, cells, value, scale, label):
    assert over_dt.plot(cells, ax, value) is ax
    for source, name in (
        ("bsnn", "quantised-event"),
        ("published", "quantised-event, published"),
    ):
        chosen = cells[(cells.source == source) & (cells.dt_ms > 0)]
        points, (bars,) = series(ax, name)
        np.testing.assert_allclose(points[:, 0], chosen.dt_ms, rtol=1e-12)
        np.testing.assert_allclose(points[:, 1], scale * chosen[value], rtol=1e-12)
        half = (bars[:, 1, 1] - bars[:, 0, 1]) / 2
        np.testing.assert_allclose(half, scale * chosen[f"{value}_sd"], rtol=1e-6)
    assert (ax.get_xscale(), ax.get_xlabel()) == ("log", "Time step (ms)")
    assert ax.get_ylabel() == label


def test_continuous_time_stands_left_of_the_axis_break(ax, cells):
    over_dt.plot(cells, ax, "accuracy")
    (point,), _ = series(ax, "continuous")
    smallest = cells.dt_ms[cells.dt_ms > 0].min()
    assert 0 < point[0] < smallest / 2
    labels = [text.get_text() for text in ax.get_xticklabels()]
    assert labels[-1] == "0"
    assert "15" in labels and "0.1" in labels
    assert ax.get_xlim()[0] < point[0]
    (strokes,) = [line for line in ax.lines if line.get_color() == "black"]
    left, right = strokes.get_xdata()
    assert point[0] < left < right < smallest
