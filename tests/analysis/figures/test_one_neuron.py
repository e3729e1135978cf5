"""Spikes of one neuron, one line for each time step."""

import numpy as np
import pandas as pd

from bsnn.analysis.figures import one_neuron
from bsnn.analysis.figures.colours import sequential_colour


def test_lines_are_the_counts(ax):
    cells = [("continuous", 0.0, [0, 1, 2]), ("grid", 1.0, [0, 1, 1])]
    cells.append(("grid", 8.0, [0, 0, 1]))
    rows = [
        {"rule": rule, "dt_ms": dt, "charge": charge, "spikes": count}
        for rule, dt, counts in cells
        for charge, count in enumerate(counts)
    ]
    assert one_neuron.plot(pd.DataFrame(rows), ax, target=15) is ax
    lines = {line.get_label(): line for line in ax.lines}
    names = ("0 (continuous)", "1 ms", "8 ms")
    for name, (_, _, counts) in zip(names, cells, strict=True):
        expected = np.column_stack([range(3), counts])
        np.testing.assert_array_equal(lines[name].get_xydata(), expected)
    assert lines["0 (continuous)"].get_color() == "black"
    for index, name in enumerate(("1 ms", "8 ms")):
        assert lines[name].get_color() == sequential_colour(index, 2)
    assert [text.get_text() for text in ax.texts] == ["target"]
