"""Rasters and traces of a user's own monitor, arrays and spikes."""

from types import SimpleNamespace

import numpy as np
import pytest
from brian2.units import ms, mV

import bsnn
from bsnn.analysis import plot_raster, plot_traces
from tests.interchange.test_neo import draw, monitors  # noqa: F401  a fixture


def points(ax):
    marks = [x.get_xydata() for x in ax.lines if x.get_marker() == "|"]
    return {tuple(np.round(point, 6)) for point in np.concatenate(marks)}


def test_a_raster_has_the_monitors_times_and_neurons(ax, monitors):  # noqa: F811
    spikes, _ = monitors
    assert bsnn.plot_raster(spikes, ax=ax) is ax
    times, neurons = 1e3 * np.asarray(spikes.t), np.asarray(spikes.i)
    assert points(ax) == set(zip(np.round(times, 6), neurons, strict=True))
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("Time (ms)", "Neuron")
    assert ax.get_ylim() == (-0.5, 2.5)


def test_a_raster_of_one_sample_of_spikes(ax):
    fired, spikes = draw()
    plot_raster(spikes, sample=1, duration=50 * ms, ax=ax)
    step, neuron = np.nonzero(fired[1])
    assert points(ax) == set(zip(step.astype(float), neuron, strict=True))
    assert ax.get_xlim() == (0, 50)


def test_a_raster_of_neurons_and_times():
    ax = plot_raster(([2, 0], [1.5, 3] * ms), n_neurons=4)
    assert points(ax) == {(1.5, 2), (3.0, 0)}
    assert ax.figure.get_axes() == [ax]


def test_populations_have_a_band_each_silent_ones_too(ax):
    pair = ([1], [4] * ms)
    parts = {"a": pair, "silent": ([], [] * ms), "b": pair}
    plot_raster(parts, n_neurons=2, duration=10 * ms, ax=ax)
    assert sorted(np.floor(y) for _, y in points(ax)) == [0, 2]
    labels = [text.get_text() for text in ax.get_yticklabels()]
    assert labels == ["a\n(2)", "silent\n(2)", "b\n(2)"]


def test_traces_are_those_of_the_monitor_in_a_readable_unit(ax, monitors):  # noqa: F811
    _, trace = monitors
    plot_traces(trace, sample=1, duration=20 * ms, ax=ax)
    assert [line.get_label() for line in ax.lines] == ["neuron 2", "neuron 0"]
    values = np.asarray(trace.v / mV)[:, 200:]
    for line, expected in zip(ax.lines, values, strict=True):
        assert line.get_ydata() == pytest.approx(expected)
        assert line.get_xdata() == pytest.approx(0.1 * np.arange(200))
    assert ax.get_ylabel() == "v (mV)" and ax.get_xlim() == (0, 20)


def test_traces_of_a_network_and_of_arrays(ax):
    values = np.random.default_rng(0).normal(size=(3, 20, 8))
    part = SimpleNamespace(trace={"u": values, "v": 2 * values})
    plot_traces(part, "v", sample=2, neurons=[6], dt=2 * ms, ax=ax)
    (line,) = ax.lines
    assert np.array_equal(line.get_ydata(), 2 * values[2, :, 6])
    assert line.get_xdata()[1] == 2 and ax.get_ylabel() == "v"
    other = plot_traces(values[0] * mV, "U", dt=1 * ms)
    assert len(other.lines) == 5 and other.get_ylabel() == "U (mV)"
    assert plot_traces(values[0], dt=1 * ms).get_ylabel() == "Value"


def test_what_cannot_be_drawn_is_refused(monitors):  # noqa: F811
    spikes, trace = monitors
    with pytest.raises(ValueError, match="'sample' must lie in 0..2, got 3"):
        plot_raster(draw()[1], sample=3)
    with pytest.raises(ValueError, match="'n_neurons' must be given for a pair"):
        plot_raster(([0], [1] * ms))
    with pytest.raises(TypeError, match="'recorded' must be Spikes, a SpikeMonitor or"):
        plot_raster(trace)
    with pytest.raises(
        ValueError, match=r"must be one that was recorded \(v\), got 'u'"
    ):
        plot_traces(trace, "u")
    with pytest.raises(ValueError, match=r"those recorded, \[2, 0\], got 1"):
        plot_traces(trace, neurons=[1])
    with pytest.raises(ValueError, match="'sample' must lie in 0..0, got 1"):
        plot_traces(trace, sample=1)
    with pytest.raises(ValueError, match="whole samples of 300 steps, got 400 steps"):
        plot_traces(trace, duration=30 * ms)
    with pytest.raises(ValueError, match="'dt' must be given, the time step of what"):
        plot_traces(np.ones((3, 2)))
    with pytest.raises(ValueError, match=r"must have shape .*, got \(3,\)"):
        plot_traces(np.ones(3), dt=1 * ms)
    with pytest.raises(TypeError, match="'recorded' must hold float, got <U1"):
        plot_traces("v", dt=1 * ms)
