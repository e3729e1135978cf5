"""Lines of prediction confidence, one for each time step."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb

from bsnn.analysis import read_sweep
from bsnn.analysis.figures import confidence
from bsnn.analysis.study import published, tables
from tests.training.experiments import sweep_folders


def test_one_confidence_line_for_each_time_step(ax):
    curves = published.confidence("emnist")
    by = [*tables.CELL, "time_ms"]
    theirs = tables.mean_over_seeds(curves, by, ["confidence"])
    ours = theirs.assign(source="bsnn", dataset="emnist")
    confidence.plot(pd.concat([ours, theirs]), ax)
    labelled = {line.get_label(): line for line in ax.lines}
    steps = sorted(ours.dt_ms.unique())
    names = ["0 (continuous)", *(f"{dt:g} ms" for dt in steps[1:])]
    assert [label for label in labelled if not label.startswith("_")] == names
    assert len(ax.lines) == 2 * len(steps)
    for dt, name in zip(steps, names, strict=True):
        expected = ours[ours.dt_ms == dt][["time_ms", "confidence"]]
        np.testing.assert_allclose(labelled[name].get_xydata(), expected, rtol=1e-12)
    assert ax.get_xlabel() == "Time (ms)"


def test_time_steps_differ_in_colour_and_marker(ax):
    curve = {"source": "bsnn", "dataset": "mnist", "time_ms": 1.0, "confidence": 0.1}
    steps = [0, 0.5, 1, 2, 3, 4, 5, 7, 8]
    rows = [{**curve, "dt_ms": dt, "confidence_sd": np.nan} for dt in steps]
    confidence.plot(pd.DataFrame(rows), ax)
    assert len({line.get_marker() for line in ax.lines}) == len(steps)
    colours = np.array([to_rgb(line.get_color()) for line in ax.lines])
    # Luminance rises steadily: the order survives a grey print.
    luminance = colours @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(luminance) > 0).all() and luminance.max() < 0.75


@pytest.mark.parametrize(("dt_ms", "n_lines"), [(1.0, 3), (0, 2)])
def test_a_line_is_of_one_loss(tmp_path, dt_ms, n_lines):
    rule = "grid" if dt_ms else "continuous"
    sweep_folders.write_run(tmp_path, rule=rule, dt_ms=dt_ms, true=8, false=2)
    for config in ({}, {"spike_penalty": 0.01}):
        sweep_folders.write_run(tmp_path, rule="continuous", dt_ms=0, **config)
    figure, _, _ = confidence.draw(read_sweep(tmp_path))
    lines = [line for ax in figure.axes for line in ax.lines]
    for line in lines:
        np.testing.assert_array_equal(line.get_xdata(), sweep_folders.TIMES_MS)
    assert len(figure.axes) == 2 and len(lines) == n_lines
