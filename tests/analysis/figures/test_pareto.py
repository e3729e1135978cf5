"""The drawn front is the table's."""

import numpy as np
import pandas as pd

from bsnn.analysis.figures import pareto
from tests.analysis.figures.series import series


def test_pareto_marks_the_front(ax):
    table = pd.DataFrame(
        {
            "source": ["bsnn"] * 3,
            "dataset": "digits",
            "rule": "grid",
            "dt_ms": [1.0, 2.0, 4.0],
            "accuracy": [0.95, 0.93, 0.94],
            "accuracy_sd": [0.01, 0.02, np.nan],
            "inverse_spikes": [0.002, 0.003, 0.004],
            "inverse_spikes_low": [0.0018, 0.0025, np.nan],
            "inverse_spikes_high": [0.0023, np.nan, np.nan],
            "on_front": [True, False, True],
        }
    )
    pareto.plot(table, ax)
    points, (across, up) = series(ax, "grid")
    expected = np.column_stack([table.inverse_spikes, 100 * table.accuracy])
    np.testing.assert_allclose(points, expected, rtol=1e-12)
    np.testing.assert_allclose(across[0, :, 0], [0.0018, 0.0023], rtol=1e-12)
    np.testing.assert_allclose(up[1, :, 1], [91, 95], rtol=1e-12)
    (front,) = [line for line in ax.lines if line.get_label() == "Pareto front"]
    np.testing.assert_allclose(front.get_xydata(), expected[[0, 2]], rtol=1e-12)
    # The front falls straight down from a point, then runs to the right.
    assert front.get_drawstyle() == "steps-pre"
    assert {text.get_text() for text in ax.texts} == {"1", "2", "4"}
