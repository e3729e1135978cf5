"""The container of spikes: order, slices, counts, and a round trip to disk."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bsnn import Spikes
from bsnn.errors import RunFolderError
from bsnn.runs import load_spikes, save_spikes

N_SAMPLES, N_NEURONS, N_STEPS = 4, 5, 20


@st.composite
def events(draw):
    size = draw(st.integers(0, 40))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return (
        rng.integers(N_SAMPLES, size=size),
        rng.integers(N_NEURONS, size=size),
        rng.integers(N_STEPS, size=size),
    )


def make(sample, neuron, step, dt=1e-3):
    return Spikes.from_events(
        sample=sample,
        neuron=neuron,
        step=step,
        n_samples=N_SAMPLES,
        n_neurons=N_NEURONS,
        dt=dt,
    )


@given(events())
def test_events_come_out_sorted_and_complete(loose):
    spikes = make(*loose)
    found = list(zip(spikes.sample, spikes.step, spikes.neuron, strict=True))
    sample, neuron, step = loose
    assert found == sorted(zip(sample, step, neuron, strict=True))


@given(events())
def test_counts_are_the_events_of_each_neuron(loose):
    expected = np.zeros((N_SAMPLES, N_NEURONS), int)
    for sample, neuron, _ in zip(*loose, strict=True):
        expected[sample, neuron] += 1
    np.testing.assert_array_equal(make(*loose).counts(), expected)


@given(events(), st.integers(0, N_SAMPLES), st.integers(0, N_SAMPLES))
def test_slices_put_together_are_the_whole(loose, a, b):
    spikes = make(*loose)
    first, second = sorted((a, b))
    parts = [
        spikes.select(0, first),
        spikes.select(first, second),
        spikes.select(second, N_SAMPLES),
    ]
    whole = Spikes.concatenate(parts)
    for name in ("neuron", "step", "offset"):
        np.testing.assert_array_equal(getattr(whole, name), getattr(spikes, name))


def test_a_spike_takes_effect_at_the_end_of_its_bin():
    spikes = make([0, 0, 1], [0, 1, 2], [0, 7, 19], dt=0.007)
    np.testing.assert_allclose(spikes.arrival, [0.007, 0.056, 0.14], rtol=1e-15)
    continuous = Spikes.from_events(
        sample=[0], neuron=[1], time=[0.0123], n_samples=1, n_neurons=2, dt=0
    )
    assert continuous.step is None
    assert continuous.arrival == [0.0123]


def test_times_find_their_bins():
    spikes = Spikes.from_events(
        sample=[0, 0, 0],
        neuron=[0, 1, 2],
        time=[0.0, 0.0069, 0.007],
        n_samples=1,
        n_neurons=3,
        dt=0.007,
    )
    assert spikes.step.tolist() == [0, 0, 1]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sample": [4]}, r"'sample' must lie in 0\.\.3, got 4\.\.4"),
        ({"neuron": [-1]}, r"'neuron' must lie in 0\.\.4, got -1\.\.-1"),
    ],
)
def test_events_out_of_range_are_refused(changes, words):
    event = {"sample": [0], "neuron": [0], "step": [0], **changes}
    with pytest.raises(ValueError, match=words):
        make(**event)


def test_arrays_that_do_not_fit_are_refused():
    good = make([0, 1], [0, 1], [0, 1])
    fields = {"n_neurons": 5, "dt": 1e-3, "neuron": good.neuron, "step": good.step}
    with pytest.raises(ValueError, match="'offset' must end at the number of spikes"):
        Spikes(offset=np.array([0, 1]), **fields)
    with pytest.raises(ValueError, match="'step' must have shape"):
        Spikes(offset=good.offset, **{**fields, "step": good.step[:1]})
    with pytest.raises(ValueError, match="'step' or 'time' must be given"):
        Spikes(offset=good.offset, **{**fields, "step": None})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"neuron": np.array([0, 5])}, r"'neuron' must lie in 0\.\.4, got 0\.\.5"),
        ({"neuron": np.array([0.0, 1.0])}, "'neuron' must hold int, got float64"),
        ({"step": np.array([0, -1])}, "'step' must not be negative, got -1"),
        ({"step": np.array([0, 1], np.uint64)}, "'step' must hold int, got uint64"),
        ({"time": np.array([0, np.nan])}, "'time' must be finite"),
        ({"dt": float("inf")}, "'dt' must be finite and not negative, got inf"),
        ({"offset": np.array([0, 3, 2])}, "'offset' must not fall"),
    ],
)
def test_values_from_outside_are_checked(changes, words):
    good = {
        "neuron": np.array([0, 1]),
        "step": np.array([0, 1]),
        "offset": np.array([0, 1, 2]),
        "n_neurons": 5,
        "dt": 1e-3,
    }
    Spikes(**good).check_values()
    with pytest.raises(ValueError, match=words):
        Spikes(**{**good, **changes}).check_values()


@given(loose=events())
def test_disk_keeps_spikes(loose, tmp_path_factory):
    path = tmp_path_factory.mktemp("spikes") / "spikes.npz"
    spikes = make(*loose)
    recorded = Spikes(
        neuron=spikes.neuron,
        offset=spikes.offset,
        step=spikes.step,
        n_neurons=N_NEURONS,
        dt=spikes.dt,
        state={"v": np.linspace(0, 1, spikes.n_spikes)},
    )
    save_spikes(path, [spikes, recorded], np.arange(N_SAMPLES))
    layers, labels = load_spikes(path)
    assert labels.tolist() == list(range(N_SAMPLES))
    np.testing.assert_array_equal(layers[0].neuron, spikes.neuron)
    np.testing.assert_array_equal(layers[1].state["v"], recorded.state["v"])
    assert layers[1].dt == spikes.dt
    assert layers[0].state == {}


def test_a_damaged_spike_file_is_an_error(tmp_path):
    path = tmp_path / "spikes.npz"
    for content in (b"", b"PK\x03\x04 not a zip", b"\x80\x04K\x01."):
        path.write_bytes(content)
        with pytest.raises(RunFolderError, match="cannot be read as spikes"):
            load_spikes(path)
