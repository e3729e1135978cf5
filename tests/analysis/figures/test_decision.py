"""Accuracy over the time to a stable decision."""

import numpy as np
import pytest

from bsnn.analysis import read_sweep
from bsnn.analysis.figures import decision
from bsnn.analysis.study.sweep import NoData
from bsnn.runs import SUMMARY
from tests.analysis.figures.series import series
from tests.training.experiments import sweep_folders


def write(sweep, accuracy, decision_ms, **config):
    run = sweep_folders.write_run(sweep, **config)
    summary = run.summary() | {"decision_ms": decision_ms}
    summary["last"]["accuracy"] = accuracy
    run.write_json(SUMMARY, summary)


def test_the_front_is_of_early_and_accurate_cells(tmp_path):
    write(tmp_path, 0.95, 60.0, dt_ms=1.0)
    write(tmp_path, 0.96, 64.0, dt_ms=1.0, seed=1)
    write(tmp_path, 0.94, 70.0, dt_ms=2.0)
    write(tmp_path, 0.97, 80.0, dt_ms=4.0)
    write(tmp_path, 0.99, None, dt_ms=8.0)  # never measured
    figure, table, caption = decision.draw(read_sweep(tmp_path))
    assert table.dt_ms.tolist() == [1, 2, 4]
    np.testing.assert_allclose(table.decision_ms, [62, 70, 80])
    np.testing.assert_allclose(table.accuracy, [0.955, 0.94, 0.97])
    assert table.on_front.tolist() == [True, False, True]
    (ax,) = figure.axes
    points, (across, _) = series(ax, "grid")
    np.testing.assert_allclose(points[:, 0], table.decision_ms)
    deviation = np.sqrt(8)  # of 60 and 64 ms
    np.testing.assert_allclose(across[0, :, 0], [62 - deviation, 62 + deviation])
    # 40 or 41 hidden spikes, 20 of the outputs.
    assert {"60, 2 ms", "60, 4 ms"} <= {text.get_text() for text in ax.texts}
    assert "the label told by the outputs no longer changes" in caption


def test_what_was_not_measured_is_no_figure(tmp_path):
    write(tmp_path, 0.95, 60.0, dt_ms=1.0)
    write(tmp_path, 0.94, None, dt_ms=2.0)
    with pytest.raises(NoData, match="two cells with a time to a stable decision"):
        decision.draw(read_sweep(tmp_path))
