"""The raster of one sample."""

import numpy as np
import pandas as pd

from bsnn import Spikes
from bsnn.analysis.figures import raster
from bsnn.analysis.figures.colours import COLOURS
from bsnn.analysis.traces import raster_table


def test_raster_has_a_band_for_each_layer(ax):
    table = pd.DataFrame(
        {
            "layer": [0, 0, 1, 2, 2],
            "n_neurons": [784, 784, 800, 10, 10],
            "neuron": [0, 783, 400, 3, 9],
            "time_ms": [1.0, 2.0, 50.0, 90.0, 110.0],
        }
    )
    raster.plot(table, ax, label=3, duration_ms=200)
    drawn = np.concatenate(
        [line.get_xydata() for line in ax.lines if line.get_marker() == "|"]
    )
    assert sorted(drawn[:, 0]) == [1, 2, 50, 90, 110]
    bands = dict(zip(drawn[:, 0], np.floor(drawn[:, 1]), strict=True))
    assert bands == {1: 0, 2: 0, 50: 1, 90: 2, 110: 2}
    (coloured,) = [
        x for x in ax.lines if x.get_color() == COLOURS[1] and len(x.get_xdata())
    ]
    assert coloured.get_xdata().tolist() == [90]
    assert [t.get_text() for t in ax.get_yticklabels()] == [
        "input\n(784)",
        "hidden\n(800)",
        "output\n(10)",
    ]
    assert ax.get_xlim() == (0, 200)
    # A line between bands, and marks as high as a neuron has room, within reason.
    between = [line for line in ax.lines if line.get_marker() != "|"]
    assert [line.get_ydata()[0] for line in between] == [1, 2]
    heights = [line.get_markersize() for line in ax.lines if line.get_marker() == "|"]
    assert heights == [2, 2, 2, 2, 6, 6]


def test_a_silent_layer_keeps_its_band_and_name(ax):
    """The output is silent: what fires last must not be taken for it."""
    layers = [
        Spikes.from_events(
            sample=[0] * len(at), neuron=at, step=at, n_samples=1, n_neurons=4, dt=1e-3
        )
        for at in ([0, 2], [], [1], [])
    ]
    table = raster_table(layers)
    named = ["ear", "first", "second", "out"]
    for names, shown in (
        (None, ["input", "hidden 1", "hidden 2", "output"]),
        (named, named),
    ):
        ax.clear()
        raster.plot(table, ax, label=1, duration_ms=5, names=names, sizes=[4] * 4)
        ticks = [text.get_text().split("\n")[0] for text in ax.get_yticklabels()]
        assert ticks == shown
    coloured = [line for line in ax.lines if line.get_color() != "black"]
    assert all(
        not len(line.get_xdata()) for line in coloured if line.get_marker() == "|"
    )
