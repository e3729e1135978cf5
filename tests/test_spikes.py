"""The container of spikes: what it takes and promises, and a round trip to disk."""

import copy
import pickle
import zipfile

import numpy as np
import pytest
import torch
from brian2 import ms, mV, second
from hypothesis import given, settings
from hypothesis import strategies as st

from bsnn import Spikes
from bsnn.errors import RunFolderError
from bsnn.interchange.npz import load_spikes, save_spikes

N_SAMPLES, N_NEURONS, N_STEPS = 4, 5, 20


@st.composite
def events(draw):
    """Up to 40 different spikes, in any order: sample, neuron and step of each."""
    size = draw(st.integers(0, 40))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = N_SAMPLES, N_NEURONS, N_STEPS
    return np.unravel_index(rng.choice(np.prod(shape), size, replace=False), shape)


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


GOOD = {
    "neuron": np.array([0, 1, 3]),
    "step": np.array([0, 1, 1]),
    "offset": np.array([0, 1, 3]),
    "n_neurons": 5,
    "dt": 1e-3,
}
CONTINUOUS = {**GOOD, "dt": 0, "step": None, "time": np.array([0.0, 0.1, 0.1])}
EVENT = {
    "sample": [0],
    "neuron": [0],
    "step": [0],
    "n_samples": 4,
    "n_neurons": 5,
    "dt": 1e-3,
}


def test_arrays_that_do_not_fit_are_refused():
    for changes, words in (
        ({"offset": [0, 1]}, "'offset' must end at the number of spikes, 3, got 1"),
        ({"offset": []}, r"'offset' must be one-dimensional and start at 0.*\(0,\)"),
        ({"offset": [1, 3]}, r"'offset' must .* start at 0, got .*, 1 first"),
        ({"offset": [[0, 3]]}, r"'offset' must be one-dimensional.*\(1, 2\)"),
        ({"step": [0]}, r"'step' must have shape \(3,\), got \(1,\)"),
        ({"neuron": [[0, 1, 3]]}, r"'neuron' must be one-dimensional.*\(1, 3\)"),
        ({"state": {"v": [0.5]}}, r"'v' must have shape \(3,\), got \(1,\)"),
        ({"step": None}, "'step' or 'time' must be given"),
        ({"n_neurons": 0}, r"'n_neurons' must lie in 1\.\.2147483647, got 0"),
    ):
        with pytest.raises(ValueError, match=words):
            Spikes(**{**GOOD, **changes})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"neuron": [0, 1, 5]}, r"'neuron' must lie in 0\.\.4, got 0\.\.5"),
        ({"neuron": [0, 1, -1]}, r"'neuron' must lie in 0\.\.4, got -1\.\.1"),
        # As int32 these are 0 and 1.
        ({"neuron": [0, 1, 2**32]}, r"'neuron' must lie in .* got 0\.\.4294967296"),
        ({"neuron": np.array([0, 1, 2**64 - 1], "u8")}, "'neuron' must lie in"),
        ({"step": [0, 1, -1]}, r"'step' must lie in 0\.\..*, got -1\.\.1"),
        ({"step": [0, 1, 2**31]}, r"'step' must lie in 0\.\.2147483646"),
        ({"offset": [0, 4, 3]}, r"'offset' must lie in 0\.\.3, got 0\.\.4"),
        ({"offset": [0, 2, 1, 3]}, "'offset' must not fall"),
        ({"dt": np.inf}, "'dt' must be finite, got inf"),
        ({"dt": np.nan}, "'dt' must be finite, got nan"),
        ({"dt": -1e-3}, "'dt' must not be negative, got -0.001 s"),
        ({"dt": 0}, "'step' has no length where 'dt' is 0; give 'time'"),
        ({"time": [0, 1e-3, 2.5e-3]}, "'time' must lie within 'step', got 0.0025 s"),
    ],
)
def test_impossible_values_are_refused(changes, words):
    with pytest.raises(ValueError, match=words):
        Spikes(**{**GOOD, **changes})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"time": [0, 0.1, np.nan]}, "'time' must be finite, got nan"),
        ({"time": [0, 0.1, -np.inf]}, "'time' must be finite, got -inf"),
        ({"time": [-1e-9, 0.1, 0.1]}, "'time' must not be negative, got -1e-09 s"),
        ({"dt": 1e-3}, "'step' must be given where 'dt' is 0.001 s, got 'time' alone"),
    ],
)
def test_impossible_times_are_refused(changes, words):
    with pytest.raises(ValueError, match=words):
        Spikes(**{**CONTINUOUS, **changes})


@pytest.mark.parametrize(
    ("given", "changes", "words"),
    [
        (
            GOOD,
            {"step": [0, 2, 1]},
            "got 1 of neuron 3 after 2 of neuron 1 in sample 1",
        ),
        (GOOD, {"neuron": [0, 3, 1]}, "'step' must be in order, .*from_events sorts"),
        (CONTINUOUS, {"time": [0, 0.2, 0.1]}, "'time' must be in order.*0.1 s of neur"),
        (
            GOOD,
            {"neuron": [0, 3, 3]},
            "'neuron' must not fire twice at one 'step', got",
        ),
        (
            CONTINUOUS,
            {"neuron": [0, 3, 3]},
            "neuron 3 twice at 0.1 s of sample 1; keep",
        ),
    ],
)
def test_order_is_by_sample_then_time_then_neuron(given, changes, words):
    """A spike out of its turn would be delivered late; a second one is not a spike."""
    Spikes(**given)
    with pytest.raises(ValueError, match=words):
        Spikes(**{**given, **changes})


@settings(deadline=None)
@given(events(), st.permutations(range(40)))
def test_spikes_by_hand_are_those_in_order_or_refused(loose, order):
    """Whatever the order of what is given: sorted by `from_events`, else refused."""
    sorted_ones = make(*loose)
    order = [k for k in order if k < sorted_ones.n_spikes]
    fields = {
        "neuron": sorted_ones.neuron[order],
        "step": sorted_ones.step[order],
        "offset": sorted_ones.offset,
        "n_neurons": N_NEURONS,
        "dt": 1e-3,
    }
    shuffled = list(
        zip(sorted_ones.sample, fields["step"], fields["neuron"], strict=True)
    )
    if shuffled == sorted(set(shuffled)):  # none comes twice by being moved
        np.testing.assert_array_equal(Spikes(**fields).step, fields["step"])
    else:
        with pytest.raises(ValueError, match="'step' must be in order|fire twice"):
            Spikes(**fields)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sample": [4]}, r"'sample' must lie in 0\.\.3, got 4\.\.4"),
        ({"neuron": [-1]}, r"'neuron' must lie in 0\.\.4, got -1\.\.-1"),
        ({"neuron": [2**32]}, r"'neuron' must lie in 0\.\.4, got 4294967296"),
        ({"step": [-1]}, r"'step' must lie in 0\.\..*, got -1"),
        ({"step": [0, 1]}, r"'step' must have shape \(1,\), got \(2,\)"),
        ({"sample": [0, 1]}, r"'sample' must have shape \(1,\), got \(2,\)"),
        ({"step": None}, "'step' or 'time' must be given"),
        ({"dt": 0}, "'step' has no length where 'dt' is 0"),
        ({"time": [5e-3]}, "'time' must lie within 'step', got 0.005 s in step 0"),
        ({"step": None, "time": [np.nan]}, "'time' must be finite, got nan"),
        ({"step": None, "time": [-1e-9]}, "'time' must not be negative"),
        ({"step": None, "time": [1e300]}, "'time' must come before step 2147483647"),
        ({"n_samples": 0}, "'sample' must be empty, got 1 values"),
        ({"n_samples": -1}, r"'n_samples' must lie in 0\.\.2147483647, got -1"),
        (
            {"sample": [1, 1], "neuron": [2, 2], "step": [3, 3]},
            "got neuron 2 twice at 3 of sample 1; keep one of the two, or choose a sm",
        ),
    ],
)
def test_impossible_events_are_refused(changes, words):
    with pytest.raises(ValueError, match=words):
        Spikes.from_events(**{**EVENT, **changes})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"neuron": [0.0]}, "'neuron' must hold int, got float64"),
        ({"neuron": [True]}, "'neuron' must hold int, got bool"),
        ({"neuron": ["0"]}, "'neuron' must hold int, got <U1"),
        ({"neuron": [None]}, "'neuron' must hold int, got object"),
        ({"neuron": [[0], [0, 1]]}, "'neuron' cannot be read as an array"),
        ({"sample": [0.5]}, "'sample' must hold int, got float64"),
        ({"step": [1.5]}, "'step' must hold int, got float64"),
        ({"step": np.ma.array([1], mask=[True])}, "'step' must not be masked"),
        ({"step": None, "time": ["0"]}, "'time' must hold float, got <U1"),
        ({"step": None, "time": [0] * mV}, "'time' must have the dimension of time"),
        ({"step": None, "time": [0 * ms, 0]}, "'time' must be all of one unit"),
        ({"n_neurons": 5.0}, "'n_neurons' must be an int, got 5.0"),
        ({"n_neurons": True}, "'n_neurons' must be an int, got True"),
        ({"dt": "1"}, "'dt' must be a number, got '1'"),
        ({"dt": [1e-3, 1e-3]}, "'dt' must be a number, got"),
        ({"dt": 1 * mV}, "'dt' must be a Brian2 quantity with the dimension of time"),
    ],
)
def test_events_of_another_kind_are_refused(changes, words):
    with pytest.raises(TypeError, match=words):
        Spikes.from_events(**{**EVENT, **changes})


@pytest.mark.parametrize("kind", ["u1", "i2", "u8", "i8", list, "torch"])
def test_any_kind_of_whole_number_is_the_same(kind):
    def given(values):
        if kind == "torch":
            return torch.tensor(values)
        array = np.repeat(values, 2)[::2]  # in memory with gaps
        return values if kind is list else array.astype(kind)

    spikes = Spikes.from_events(
        sample=given([1, 0, 1]),
        neuron=given([2, 4, 0]),
        step=given([7, 3, 7]),
        n_samples=np.int64(2),
        n_neurons=torch.tensor(5),
        dt=np.float32(0.5),
    )
    assert (spikes.neuron.dtype, spikes.step.dtype) == (np.int32, np.int64)
    assert spikes.offset.tolist() == [0, 1, 3]
    assert spikes.neuron.tolist() == [4, 0, 2]
    assert spikes.step.tolist() == [3, 7, 7]
    assert spikes.dt == 0.5


def test_times_have_their_unit():
    expected = Spikes.from_events(**{**EVENT, "step": None, "time": [0.012], "dt": 0})
    for time in (12 * ms, [12] * ms, [12 * ms], np.array([0.012]) * second):
        if np.shape(time) == ():
            continue
        spikes = Spikes.from_events(
            **{**EVENT, "step": None, "time": time, "dt": 0 * ms}
        )
        np.testing.assert_allclose(spikes.time, expected.time, rtol=1e-15)
    on_grid = Spikes.from_events(
        **{**EVENT, "step": None, "time": [12] * ms, "dt": 4 * ms}
    )
    assert on_grid.step.tolist() == [3]
    assert on_grid.dt == 0.004


def test_spikes_are_what_was_checked():
    """Whoever holds the arrays that were given cannot change them afterwards."""
    buffers = {name: np.array(GOOD[name]) for name in ("neuron", "step", "offset")}
    spikes = Spikes(**{**GOOD, **buffers, "state": {"v": np.ones(3)}})
    for buffer in buffers.values():
        buffer[:] = 10**6
    assert spikes.neuron.tolist() == [0, 1, 3]
    assert spikes.step.tolist() == [0, 1, 1]
    whole = Spikes.concatenate([spikes, spikes.select(1, 2)])
    for one in (spikes, whole, pickle.loads(pickle.dumps(whole)), copy.deepcopy(whole)):
        assert one.step[-1] == 1
        arrays = [one.neuron, one.step, one.offset, one.sample, one.arrival]
        for array in [*arrays, one.sample_and_neuron, one.state["v"], one.counts()]:
            with pytest.raises(ValueError, match="read-only"):
                array[:1] = 0


def test_arrays_of_spikes_are_given_by_name():
    with pytest.raises(TypeError, match="positional"):
        Spikes(*(GOOD[name] for name in ("neuron", "offset", "n_neurons", "dt")))


def test_slices_that_do_not_exist_are_refused():
    spikes = Spikes(**GOOD)
    for start, stop in ((0, 3), (-1, 2), (2, 1)):
        with pytest.raises(
            ValueError, match=r"'start' and 'stop' must rise within 0..2"
        ):
            spikes.select(start, stop)


def test_parts_of_other_layers_are_refused():
    spikes = Spikes(**GOOD)
    for other in (
        Spikes(**{**GOOD, "n_neurons": 4}),
        Spikes(**{**GOOD, "dt": 2e-3}),
        Spikes(**CONTINUOUS),
        Spikes(**GOOD, slope=np.ones(3)),
    ):
        with pytest.raises(ValueError, match="'parts' must be of one layer.*2 kinds"):
            Spikes.concatenate([spikes, other])
    with pytest.raises(ValueError, match="'parts' must be of one layer.*0 kinds"):
        Spikes.concatenate([])


# --- dense and padded


@pytest.mark.parametrize("kind", ["?", "u1", "i8", "f2", "f8", "torch"])
@given(events())
def test_dense_arrays_are_their_ones(kind, loose):
    sample, neuron, step = loose
    dense = np.zeros((N_SAMPLES, N_STEPS, N_NEURONS), int)
    dense[sample, step, neuron] = 1
    array = torch.tensor(dense) if kind == "torch" else dense.astype(kind)
    spikes = Spikes.from_dense(array, dt=1 * ms)
    expected = make(*loose)
    for name in ("neuron", "step", "offset"):
        np.testing.assert_array_equal(getattr(spikes, name), getattr(expected, name))
    assert (spikes.n_neurons, spikes.dt) == (N_NEURONS, 1e-3)


@pytest.mark.parametrize(
    ("array", "error", "words"),
    [
        (np.zeros((2, 3)), ValueError, r"'spikes' must have shape .*got \(2, 3\)"),
        (np.full((1, 2, 3), 2), ValueError, "0 and 1 alone, got 2: .*encode_ttfs"),
        (
            np.full((1, 2, 3), 0.5),
            ValueError,
            "'spikes' must hold 0 and 1 alone, got 0.5",
        ),
        (np.full((1, 2, 3), np.nan), ValueError, "must hold 0 and 1 alone, got nan"),
        (np.full((1, 2, 3), -1), ValueError, "must hold 0 and 1 alone, got -1"),
        (np.full((1, 2, 3), "1"), TypeError, "'spikes' must hold numbers, got <U1"),
        (
            torch.ones(1, 2, 3, requires_grad=True),
            TypeError,
            r"pass it with .detach\(\)",
        ),
        (torch.ones(1, 2, 3, device="meta"), TypeError, r"on meta; pass it with .cpu"),
        (
            torch.ones(1, 2, 3).bfloat16(),
            TypeError,
            "'spikes' cannot be read as an arr",
        ),
        (
            torch.ones(1, 2, 3).to_sparse(),
            TypeError,
            "'spikes' cannot be read as an arr",
        ),
    ],
)
def test_other_dense_arrays_are_refused(array, error, words):
    with pytest.raises(error, match=words):
        Spikes.from_dense(array, dt=1e-3)
    with pytest.raises(ValueError, match="'step' has no length where 'dt' is 0"):
        Spikes.from_dense(np.zeros((1, 2, 3)), dt=0)


@given(events(), st.booleans())
def test_padded_events_are_those_that_come(loose, as_tensors):
    """Each sample's events in any place of its row, the rest of which is inf."""
    sample, neuron, step = loose
    time = np.full((N_SAMPLES, 45), np.inf)
    padded = np.full(time.shape, -1)
    column = np.random.default_rng(0).permutation(45)[: len(sample)]
    time[sample, column], padded[sample, column] = (step + 0.5) * 1e-3, neuron
    if as_tensors:
        time, padded = torch.tensor(time), torch.tensor(padded)
    spikes = Spikes.from_padded(time=time, neuron=padded, n_neurons=N_NEURONS, dt=1e-3)
    expected = make(*loose)
    for name in ("neuron", "step", "offset"):
        np.testing.assert_array_equal(getattr(spikes, name), getattr(expected, name))


def test_a_table_of_first_spike_times_is_padded():
    time = [[np.inf, 0.02, 0.01], [0.03, np.inf, np.inf]] * second
    spikes = Spikes.from_padded(time=time, neuron=np.arange(3), n_neurons=3, dt=0)
    assert spikes.offset.tolist() == [0, 2, 3]
    assert spikes.neuron.tolist() == [2, 1, 0]
    assert spikes.time.tolist() == [0.01, 0.02, 0.03]


@pytest.mark.parametrize(
    ("time", "neuron", "words"),
    [
        (
            [0.1, np.inf],
            [0, 0],
            r"'time' must have shape \(n_samples, ...\), got \(2,\)",
        ),
        (
            [[0.1, np.inf]],
            [0, 0, 0],
            r"'neuron' must fit the shape of 'time', \(1, 2\)",
        ),
        ([[0.1, np.nan]], [0, 0], "'time' must be finite, got nan"),
        ([[0.1, -1]], [0, 0], "'time' must not be negative, got -1.0 s"),
        ([[0.1, np.inf]], [3, 0], r"'neuron' must lie in 0\.\.2, got 3\.\.3"),
    ],
)
def test_other_padding_is_refused(time, neuron, words):
    with pytest.raises(ValueError, match=words):
        Spikes.from_padded(time=time, neuron=neuron, n_neurons=3, dt=0)


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


def test_a_spike_file_may_be_packed_in_part(tmp_path):
    save_spikes(tmp_path / "whole.npz", [make([0, 1], [2, 0], [3, 4])], [0] * 4)
    packings = zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED
    with (
        zipfile.ZipFile(tmp_path / "whole.npz") as whole,
        zipfile.ZipFile(tmp_path / "part.npz", "w") as part,
    ):
        for number, name in enumerate(whole.namelist()):
            part.writestr(name, whole.read(name), packings[number % 2])
    (layer,), _ = load_spikes(tmp_path / "part.npz")
    assert layer.step.tolist() == [3, 4]


def test_a_damaged_spike_file_is_an_error(tmp_path):
    path = tmp_path / "spikes.npz"
    for content in (b"", b"PK\x03\x04 not a zip", b"\x80\x04K\x01."):
        path.write_bytes(content)
        with pytest.raises(RunFolderError, match="cannot be read as spikes"):
            load_spikes(path)
