"""Loss and accuracy over epochs are those of the runs."""

import numpy as np
import pytest

from bsnn.analysis import read_sweep
from bsnn.analysis.figures import training
from bsnn.analysis.study.sweep import NoData
from bsnn.runs import METRICS, METRICS_COLUMNS
from tests.training.experiments import sweep_folders


def test_lines_are_means_over_seeds_of_each_epoch(sweep):
    figure, table, caption = training.draw(read_sweep(sweep[0]))
    loss, accuracy = figure.axes
    told = {line.get_label(): line for line in loss.lines}
    names = ["0 (continuous)", "0.5 ms", "1 ms", "8 ms"]
    assert [name for name in told if not name.startswith("_")] == names
    np.testing.assert_allclose(told["8 ms"].get_xydata(), [[1, 9], [2, 8.5]])
    (line,) = [x for x in accuracy.lines if x.get_label() == "8 ms"]
    mean = np.mean([sweep_folders.accuracies(8, seed) for seed in (0, 1)], axis=0)
    np.testing.assert_allclose(line.get_ydata(), 100 * mean)
    assert accuracy.get_title() == "test samples" and "test samples" in caption
    assert "Full lines: grid; dashed: quantised-event" in caption
    assert set(table.n_seeds) == {2}


def test_validation_is_shown_where_there_is_one(tmp_path):
    run = sweep_folders.write_run(tmp_path, dt_ms=1.0)
    rows = run.metrics()
    seen = rows[rows.split == "test"].assign(split="validation", accuracy=[0.5, 0.6])
    tested = rows[rows.split == "test"].tail(1)
    rows = [*rows[rows.split == "train"].to_dict("records")]
    rows += [*seen.to_dict("records"), *tested.to_dict("records")]
    run.write_table(METRICS, rows, METRICS_COLUMNS)
    figure, _, caption = training.draw(read_sweep(tmp_path))
    np.testing.assert_allclose(figure.axes[1].lines[0].get_ydata(), [50, 60])
    assert "validation samples" in caption and "dashed" not in caption


def test_one_epoch_has_no_curve(tmp_path):
    run = sweep_folders.write_run(tmp_path, dt_ms=1.0)
    rows = run.metrics()
    first = rows[rows.epoch == 1].to_dict("records")
    run.write_table(METRICS, first, METRICS_COLUMNS)
    with pytest.raises(NoData, match="two epochs"):
        training.draw(read_sweep(tmp_path))
