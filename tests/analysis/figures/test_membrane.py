"""Membrane potentials of one sample."""

import pandas as pd

from bsnn.analysis.figures import membrane


def test_membrane_shows_traces_and_threshold(ax):
    table = pd.DataFrame(
        {
            "neuron": [3, 3, 5, 5],
            "time_ms": [0.0, 1.0, 0.0, 1.0],
            "v": [0.0, 0.4, 0.1, 0.2],
            "v_threshold": 0.7,
        }
    )
    membrane.plot(table, ax, label=5)
    lines = {line.get_label(): line for line in ax.lines}
    assert lines["neuron 3"].get_ydata().tolist() == [0.0, 0.4]
    assert lines["neuron 5 (label)"].get_ydata().tolist() == [0.1, 0.2]
    assert set(lines["threshold"].get_ydata()) == {0.7}
