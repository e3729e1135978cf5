"""What is drawn equals the table, and what is saved can be printed."""

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot
from matplotlib.colors import to_rgb
from matplotlib.text import Text

from bsnn.analysis import axes, plots, published, sample_plots, tables


@pytest.fixture
def ax():
    return plots.new_figure()[1][0]


@pytest.fixture
def cells():
    theirs = tables.cells(published.runs("emnist"))
    ours = theirs.assign(
        source="bsnn", dataset="emnist", accuracy=theirs.accuracy - 0.1
    )
    return pd.concat([ours, theirs], ignore_index=True)


def series(ax, label):
    """The data line and the error bars of a series, by its label in the legend."""
    (found,) = [c for c in ax.containers if c.get_label() == label]
    line, _, bars = found.lines
    return line.get_xydata(), [np.array(b.get_segments()) for b in bars]


@pytest.mark.parametrize(
    ("value", "scale", "label"),
    [
        ("accuracy", 100, "Test accuracy (%)"),
        ("total_spikes", 1, "Spikes per sample"),
        ("output_spikes", 1, "Output spikes per sample"),
    ],
)
def test_lines_over_dt_are_the_table(ax, cells, value, scale, label):
    assert plots.plot_over_dt(cells, ax, value) is ax
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
    plots.plot_over_dt(cells, ax, "accuracy")
    (point,), _ = series(ax, "continuous")
    smallest = cells.dt_ms[cells.dt_ms > 0].min()
    assert 0 < point[0] < smallest / 2
    labels = [text.get_text() for text in ax.get_xticklabels()]
    assert labels[-1] == "0"
    assert "15" in labels and "0.1" in labels
    assert ax.get_xlim()[0] < point[0]


def test_accuracy_axis_keeps_small_differences_beside_a_collapse(ax):
    accuracy = pd.Series([0.575, 0.980, 0.983])
    axes.accuracy_axis(ax, accuracy)
    heights = ax.transAxes.inverted().transform(
        ax.transData.transform([(0, 100 * a) for a in accuracy])
    )[:, 1]
    # Equal ratios of the error (plus half a per cent) are equal distances.
    errors = np.log(100.5 - 100 * accuracy)
    expected = (errors[1] - errors[2]) / (errors[0] - errors[2])
    found = (heights[2] - heights[1]) / (heights[2] - heights[0])
    assert found == pytest.approx(expected, rel=1e-6)
    assert (heights > 0).all() and (heights < 1).all()
    assert "98" in [text.get_text() for text in ax.get_yticklabels()]
    # What the pointer shows follows from the way back.
    scale = ax.yaxis.get_transform()
    back = scale.inverted().transform(scale.transform([57.5, 98.0, 100.0]))
    np.testing.assert_allclose(back, [57.5, 98.0, 100.0], rtol=1e-12)


def test_accuracies_close_together_have_a_plain_axis(ax):
    axes.accuracy_axis(ax, pd.Series([0.95, 0.98]))
    assert ax.get_yscale() == "linear"


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
    plots.plot_pareto(table, ax)
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


def test_one_confidence_line_for_each_time_step(ax):
    curves = published.confidence("emnist")
    by = [*tables.CELL, "time_ms"]
    theirs = tables.mean_over_seeds(curves, by, ["confidence"])
    ours = theirs.assign(source="bsnn", dataset="emnist")
    plots.plot_confidence(pd.concat([ours, theirs]), ax)
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
    plots.plot_confidence(pd.DataFrame(rows), ax)
    assert len({line.get_marker() for line in ax.lines}) == len(steps)
    colours = np.array([to_rgb(line.get_color()) for line in ax.lines])
    # Luminance rises steadily: the order survives a grey print.
    luminance = colours @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(luminance) > 0).all() and luminance.max() < 0.75


def test_transfer_matrix_has_training_as_rows(ax):
    table = pd.DataFrame(
        {
            "source": "bsnn",
            "dataset": "digits",
            "dt_ms": [1, 1, 8],
            "test_dt_ms": [1, 8, 8],
            "accuracy": [0.95, 0.5, 0.9],
        }
    )
    plots.plot_transfer(table, ax)
    np.testing.assert_allclose(
        np.ma.filled(ax.images[0].get_array(), np.nan), [[95, 50], [np.nan, 90]]
    )
    places = {text.get_text(): text.get_position() for text in ax.texts}
    assert places == {"95.0": (0, 0), "50.0": (1, 0), "90.0": (1, 1)}
    assert "test" in ax.get_xlabel() and "training" in ax.get_ylabel()
    assert [t.get_text() for t in ax.get_yticklabels()] == ["1", "8"]


def test_raster_has_a_band_for_each_layer(ax):
    table = pd.DataFrame(
        {
            "layer": [0, 0, 1, 2, 2],
            "n_neurons": [784, 784, 800, 10, 10],
            "neuron": [0, 783, 400, 3, 9],
            "time_ms": [1.0, 2.0, 50.0, 90.0, 110.0],
        }
    )
    sample_plots.plot_raster(table, ax, label=3, duration_ms=200)
    drawn = np.concatenate(
        [line.get_xydata() for line in ax.lines if line.get_marker() == "|"]
    )
    assert sorted(drawn[:, 0]) == [1, 2, 50, 90, 110]
    bands = dict(zip(drawn[:, 0], np.floor(drawn[:, 1]), strict=True))
    assert bands == {1: 0, 2: 0, 50: 1, 90: 2, 110: 2}
    (coloured,) = [
        x for x in ax.lines if x.get_color() == plots.COLOURS[1] and len(x.get_xdata())
    ]
    assert coloured.get_xdata().tolist() == [90]
    assert [t.get_text() for t in ax.get_yticklabels()] == [
        "input\n(784)",
        "hidden\n(800)",
        "output\n(10)",
    ]
    assert ax.get_xlim() == (0, 200)


def test_membrane_shows_traces_and_threshold(ax):
    table = pd.DataFrame(
        {
            "neuron": [3, 3, 5, 5],
            "time_ms": [0.0, 1.0, 0.0, 1.0],
            "v": [0.0, 0.4, 0.1, 0.2],
            "v_threshold": 0.7,
        }
    )
    sample_plots.plot_membrane(table, ax, label=5)
    lines = {line.get_label(): line for line in ax.lines}
    assert lines["neuron 3"].get_ydata().tolist() == [0.0, 0.4]
    assert lines["neuron 5 (label)"].get_ydata().tolist() == [0.1, 0.2]
    assert set(lines["threshold"].get_ydata()) == {0.7}


@pytest.mark.parametrize("plot", [plots.plot_pareto, plots.plot_confidence])
def test_two_data_sets_in_one_plot_are_refused(ax, plot):
    table = pd.DataFrame({"source": "bsnn", "dataset": ["mnist", "digits"]})
    with pytest.raises(ValueError, match="one data set, got digits, mnist from bsnn"):
        plot(table, ax)


def test_saved_figure_has_its_numbers_beside_it(tmp_path, cells):
    figure, (ax,) = plots.new_figure(width="column", height=2.5)
    plots.plot_over_dt(cells, ax, "accuracy")
    path = tmp_path / "new" / "accuracy"
    with plots.print_style():
        written = plots.save_figure(figure, path, cells)
    names = ["accuracy.csv", "accuracy.pdf", "accuracy.png"]
    assert sorted(p.name for p in path.parent.iterdir()) == names
    assert sorted(p.name for p in written) == names
    assert path.with_suffix(".pdf").read_bytes().startswith(b"%PDF-")
    # Width and height stand at a fixed place in a PNG.
    png = path.with_suffix(".png").read_bytes()
    assert png.startswith(b"\x89PNG") and int.from_bytes(png[16:20], "big") == 700
    saved = pd.read_csv(path.with_suffix(".csv"))
    pd.testing.assert_frame_equal(saved, cells, rtol=1e-15, check_dtype=False)


def test_a_figure_that_fails_leaves_nothing(tmp_path, cells, monkeypatch):
    figure, _ = plots.new_figure()
    plots.save_figure(figure, tmp_path / "kept", cells)
    before = (tmp_path / "kept.png").read_bytes()

    def fail(*_, **__):
        raise RuntimeError("no ink")

    monkeypatch.setattr(figure, "savefig", fail)
    with pytest.raises(RuntimeError, match="no ink"):
        plots.save_figure(figure, tmp_path / "kept", cells)
    assert (tmp_path / "kept.png").read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 3


def test_print_style_is_legible_and_leaves_no_trace(cells):
    before = dict(matplotlib.rcParams)
    with plots.print_style():
        figure, (left, right) = plots.new_figure(2)
        plots.plot_over_dt(cells, left, "accuracy")
        plots.plot_over_dt(cells, right, "output_spikes")
    assert dict(matplotlib.rcParams) == before
    sizes = [text.get_fontsize() for text in figure.findobj(Text) if text.get_text()]
    assert min(sizes) >= 8
    assert 3.5 <= figure.get_figwidth() <= 7


def test_pyplot_knows_nothing_of_the_figures(cells):
    figure, (ax,) = plots.new_figure()
    plots.plot_over_dt(cells, ax, "accuracy")
    assert pyplot.get_fignums() == []
