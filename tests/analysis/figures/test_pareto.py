"""The drawn front is the table's."""

import numpy as np
import pandas as pd
import pytest

from bsnn.analysis import read_sweep
from bsnn.analysis.figures import pareto
from bsnn.runs import SUMMARY
from tests.analysis.figures.series import series
from tests.training.experiments import sweep_folders


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
    assert {text.get_text() for text in ax.texts} == {"1 ms", "2 ms", "4 ms"}
    # The axis is of inverse spikes, and says spikes.
    assert "Spikes per sample" in ax.get_xlabel()
    for place, text in zip(ax.get_xticks(), ax.get_xticklabels(), strict=True):
        assert 1 / place == pytest.approx(float(text.get_text()))
    assert len(ax.get_xticks()) >= 4


@pytest.mark.parametrize(("worst", "n_panels"), [(0.95, 1), (0.93, 2)])
def test_a_cell_that_collapsed_leaves_the_others_a_panel(tmp_path, worst, n_panels):
    """Above three times the least error, here 2 %."""
    for dt_ms, accuracy in ((1.0, 0.98), (2.0, 0.975), (4.0, worst)):
        run = sweep_folders.write_run(tmp_path, dt_ms=dt_ms)
        summary = run.summary()
        summary["last"]["accuracy"] = accuracy
        run.write_json(SUMMARY, summary)
    figure, *_ = pareto.draw(read_sweep(tmp_path))
    assert len(figure.axes) == n_panels
