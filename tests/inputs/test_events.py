"""Recorded events: as data sets of one's own, and on the clock of a model."""

import itertools

import numpy as np
import pytest
from brian2 import ms, second, us
from hypothesis import given
from hypothesis import strategies as st

from bsnn import Model, Spikes
from bsnn.inputs import codes
from bsnn.inputs.codes.events import encode_events
from bsnn.inputs.events import Events
from bsnn.inputs.timed_dataset import TimedDataset

CHANNELS, LENGTH = 6, 0.05


def make_model(dt_ms=1.0, n_inputs=CHANNELS, duration=LENGTH * second):
    return Model.dense(
        [n_inputs, 2],
        v_threshold=1.0,
        tau_syn=5 * ms,
        tau_mem=10 * ms,
        dt=dt_ms * ms,
        duration=duration,
    )


def pairs_of(n_samples, seed=0, n_events=20, length=LENGTH):
    rng = np.random.default_rng(seed)
    return [
        (rng.random(n_events) * length, rng.integers(CHANNELS, size=n_events))
        for _ in range(n_samples)
    ]


def slow_spikes(pairs, dt):
    """Return (sample, step, neuron) in order, by the definition of a bin."""
    return sorted(
        {
            (m, int(np.floor(t / dt + 1e-3)), int(i))
            for m, (times, channels) in enumerate(pairs)
            for t, i in zip(times, channels, strict=True)
        }
    )


def found_spikes(spikes):
    found = zip(spikes.sample, spikes.step, spikes.neuron, strict=True)
    return [tuple(map(int, spike)) for spike in found]


event_lists = st.lists(
    st.lists(
        st.tuples(st.floats(0, 0.0499), st.integers(0, CHANNELS - 1)), max_size=12
    ),
    min_size=1,
    max_size=4,
)


@given(lists=event_lists, dt_ms=st.sampled_from([0.1, 0.5, 1.0, 7.0]))
def test_events_fall_into_the_bins_of_their_times(lists, dt_ms):
    pairs = [tuple(np.array(part).reshape(-1, 2).T) for part in lists]
    pairs = [(t, i.astype(int)) for t, i in pairs]
    events = Events.from_pairs(pairs, n_channels=CHANNELS)
    spikes = encode_events(events, make_model(dt_ms), merge=True)
    n_steps = make_model(dt_ms).n_steps
    expected = [
        (m, min(n, n_steps - 1), i) for m, n, i in slow_spikes(pairs, dt_ms / 1e3)
    ]
    assert found_spikes(spikes) == sorted(set(expected))
    Spikes(  # all that a simulator relies on
        neuron=spikes.neuron,
        step=spikes.step,
        offset=spikes.offset,
        n_neurons=CHANNELS,
        dt=spikes.dt,
    )


@given(lists=event_lists)
def test_continuous_time_keeps_times(lists):
    pairs = [([t for t, _ in part], [i for _, i in part]) for part in lists]
    pairs = [(np.array(t, float), np.array(i, int)) for t, i in pairs]
    events = Events.from_pairs(pairs, n_channels=CHANNELS)
    spikes = encode_events(events, make_model(0), merge=True)
    found = zip(spikes.sample, spikes.time, spikes.neuron, strict=True)
    expected = {(m, t, i) for m, part in enumerate(lists) for t, i in part}
    assert [tuple(one) for one in found] == sorted(expected)


def test_scale_pool_and_crop_do_what_they_say():
    events = Events.from_pairs([([4, 10, 30] * ms, [0, 3, 5])], n_channels=6)
    model = make_model(1, n_inputs=3, duration=16 * ms)
    fast = encode_events(events, model, pool=2, time_scale=0.5)
    assert found_spikes(fast) == [(0, 2, 0), (0, 5, 1), (0, 15, 2)]
    cut = encode_events(events, model, pool=2, crop=True)
    assert found_spikes(cut) == [(0, 4, 0), (0, 10, 1)]
    words = r"before the model's end at 0.016 s, got 0.03 s in sample 0; .* crop=True"
    with pytest.raises(ValueError, match=words):
        encode_events(events, model, pool=2)
    with pytest.raises(ValueError, match="6 channels, which need 6 inputs, .* has 3"):
        encode_events(events, model)
    with pytest.raises(ValueError, match="'time_scale' must be positive"):
        encode_events(events, model, pool=2, time_scale=0)
    for pool, error, words in (
        (0, ValueError, "at least 1"),
        (2.0, TypeError, "an int"),
    ):
        with pytest.raises(error, match=f"'pool' must be {words}"):
            encode_events(events, model, pool=pool)


def test_events_at_the_end_are_late_and_just_before_it_are_not():
    model = make_model(1, duration=10 * ms)
    last = np.nextafter(0.01, 0)
    events = Events.from_pairs([([last], [0])], n_channels=CHANNELS)
    assert found_spikes(encode_events(events, model)) == [(0, 9, 0)]
    events = Events.from_pairs([([0.01], [0])], n_channels=CHANNELS)
    with pytest.raises(ValueError, match="must come before the model's end"):
        encode_events(events, model)


def test_events_of_one_bin_count_as_one_and_that_is_said():
    events = Events.from_pairs([([1.1, 1.7, 1.7] * ms, [2, 2, 3])], n_channels=CHANNELS)
    with pytest.warns(UserWarning, match="count as one; say merge=True"):
        spikes = encode_events(events, make_model(1))
    assert found_spikes(spikes) == [(0, 1, 2), (0, 1, 3)]
    assert found_spikes(encode_events(events, make_model(1), merge=True)) == [
        (0, 1, 2),
        (0, 1, 3),
    ]
    with pytest.raises(ValueError, match=r"time step of 0.001 s .* got 1 of 3 .*merge"):
        encode_events(events, make_model(1), merge=False)
    assert encode_events(events, make_model(0.5), merge=False).n_spikes == 3


@pytest.mark.parametrize(
    ("pair", "error", "words"),
    [
        (([0.1], [6]), ValueError, r"'channel' must lie in 0\.\.5, got 6 in sample 1"),
        (([0.1], [-1]), ValueError, r"'channel' must lie in 0\.\.5, got -1 in sample"),
        (([-0.1], [0]), ValueError, "not negative, got -0.1 s in sample 1"),
        (([np.nan], [0]), ValueError, "must be finite .* got nan s in sample 1"),
        (([0.1, 0.2], [0]), ValueError, r"'t' and 'i' of sample 1 .* \(2,\) and \(1,"),
        (([0.1], [0.5]), TypeError, "'i' must hold int, got float64"),
        ((["a"], [0]), TypeError, "'t' must hold float"),
        ((0.1,), TypeError, r"sample 1 must be a pair \(t, i\)"),
        (None, TypeError, r"sample 1 must be a pair \(t, i\) .* got NoneType"),
    ],
)
def test_what_is_no_sample_is_named(pair, error, words):
    with pytest.raises(error, match=words):
        Events.from_pairs([([0.1], [0]), pair], n_channels=CHANNELS)


def test_values_for_another_code_are_refused():
    with pytest.raises(TypeError, match="'events' must be Events, got ndarray; .*code"):
        encode_events(np.zeros((2, CHANNELS)), make_model())


# --- data sets ------------------------------------------------------------------------


def own_dataset(**changes):
    given = {
        "train": pairs_of(5),
        "train_labels": [0, 1, 2, 0, 1],
        "test": pairs_of(3, seed=1),
        "test_labels": [2, 1, 0],
        "n_channels": CHANNELS,
    }
    return TimedDataset.from_events(**{**given, **changes})


def test_a_data_set_of_pairs():
    dataset = own_dataset()
    last = max(t.max() for t, _ in pairs_of(5) + pairs_of(3, seed=1))
    assert last < float(dataset.duration / second) <= last + 1e-3
    assert (dataset.n_inputs, dataset.n_classes, dataset.code) == (6, 3, "events")
    model = make_model(1)
    samples = dataset.samples("train", codes.named("events"), model)
    order = np.array([3, 0, 3])
    with pytest.warns(UserWarning):
        spikes = samples.spikes(order)
    chosen = [pairs_of(5)[m] for m in order]
    assert found_spikes(spikes) == slow_spikes(chosen, 1e-3)
    assert len(samples) == 5 and samples.labels.tolist() == [0, 1, 2, 0, 1]
    head = dataset.head(2, 1)
    assert (len(head.train), head.train_labels.tolist()) == (2, [0, 1])
    assert (len(head.test), len(dataset.head(2).test)) == (1, 3)
    with pytest.raises(ValueError, match=r"'n_train' must lie in 1\.\.5"):
        dataset.head(6)
    with pytest.raises(ValueError, match="'split' must be one of train, test"):
        dataset.samples("val", codes.named("events"), model)


def test_the_duration_is_the_first_whole_millisecond_after_the_last_event():
    for last, expected in ((0.0, 1), (0.0104, 11), (0.011, 12), (0.0109999, 11)):
        pairs = [([last], [0])]
        dataset = own_dataset(
            train=pairs, train_labels=[0], test=pairs, test_labels=[0]
        )
        assert dataset.duration / ms == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"train_labels": [0, 1]}, ValueError, "'train_labels' must have shape .5,.,"),
        ({"test_labels": [0.0, 1, 2]}, TypeError, "'test_labels' must be integers"),
        ({"n_classes": 2}, ValueError, r"'train_labels' must lie in 0\.\.1"),
        ({"n_channels": 3}, ValueError, r"'channel' must lie in 0\.\.2, got [345] in"),
        ({"test": [([], [])] * 3}, ValueError, "sample 0 has no events; .*allow_empty"),
        ({"duration": 3}, TypeError, "'duration' must be a Brian2 quantity"),
    ],
)
def test_what_makes_no_data_set_is_named(changes, error, words):
    with pytest.raises(error, match=words):
        own_dataset(**changes)


def test_silence_is_a_sample_where_it_is_meant():
    dataset = own_dataset(test=[([], [])] * 3, allow_empty=True)
    samples = dataset.samples("test", codes.named("events"), make_model())
    assert samples.spikes([2, 0]).offset.tolist() == [0, 0, 0]


def test_a_loader_of_ones_own_is_asked_for_what_is_needed():
    class Loader:
        asked = []

        def __len__(self):
            return 1000

        def __getitem__(self, m):
            self.asked.append(m)
            return [0.001 * (m % 40)] * second, [m % CHANNELS]

    loader, labels = Loader(), np.arange(1000) % 2
    dataset = own_dataset(
        train=loader,
        train_labels=labels,
        test=loader,
        test_labels=labels,
        duration=50 * ms,
    )
    assert loader.asked == []
    samples = dataset.samples("train", codes.named("events"), make_model(1))
    spikes = samples.spikes(np.array([7, 77]))
    assert loader.asked == [7, 77]
    assert found_spikes(spikes) == [(0, 7, 1), (1, 37, 5)]


def test_errors_name_the_sample_of_the_split():
    late = [([0.01], [0]), ([0.04], [0])]
    dataset = own_dataset(test=late, test_labels=[0, 1])
    samples = dataset.samples(
        "test", codes.named("events"), make_model(duration=20 * ms)
    )
    with pytest.raises(ValueError, match=r"got 0\.04 s in test sample 1;"):
        samples.spikes(np.array([1]))


@pytest.mark.parametrize(
    ("kind", "unit"), [(float, second), (np.float32, second), (np.int64, us)]
)
def test_windows_of_a_recording_stay_on_disk(tmp_path, kind, unit):
    rng = np.random.default_rng(3)
    on_disk = np.sort(rng.random(5000) * 100 * second / unit).astype(kind)
    time = on_disk.astype(float) * float(unit / second)
    channel = rng.integers(CHANNELS, size=5000)
    files = [
        np.lib.format.open_memmap(tmp_path / f"{n}.npy", "w+", dtype, (5000,))
        for n, dtype in (("t", kind), ("i", np.int16))
    ]
    files[0][:], files[1][:] = on_disk, channel
    dataset = TimedDataset.from_recording(
        *files,
        train_start=[0, 20, 40.5],
        train_labels=[0, 1, 0],
        test_start=[60, 99.5] * second,
        test_labels=[1, 0],
        duration=1 * second,
        n_channels=CHANNELS,
        unit=unit,
    )
    assert isinstance(dataset.train.time.base, np.memmap)
    model = make_model(1, duration=1 * second)
    spikes = dataset.samples(
        "train", lambda e, m: encode_events(e, m, merge=True), model
    ).spikes(np.array([2, 0]))
    expected = [
        (time[(time >= s) & (time < s + 1)] - s, channel[(time >= s) & (time < s + 1)])
        for s in (40.5, 0)
    ]
    assert found_spikes(spikes) == slow_spikes(expected, 1e-3)
    assert spikes.n_spikes > 50


def test_recordings_out_of_order_are_refused():
    given = {
        "train_start": [0],
        "train_labels": [0],
        "test_start": [1],
        "test_labels": [0],
        "duration": 1 * second,
        "n_channels": 2,
    }
    for time in ([1.0, 0.5], [0.5, np.nan]):
        with pytest.raises(ValueError, match="'t' of a recording must be .* in order"):
            TimedDataset.from_recording(time, [0, 1], **given)
    with pytest.raises(ValueError, match=r"equally long, got shapes \(2,\) and \(1,\)"):
        TimedDataset.from_recording([0.5, 1], [0], **given)
    with pytest.raises(ValueError, match="'start' must be a list of finite times"):
        TimedDataset.from_recording([0.5, 1], [0, 1], **given | {"test_start": 3})


def test_codes_have_names():
    assert all(callable(codes.named(name)) for name in codes.NAMES)
    with pytest.raises(ValueError, match="'code' must be one of first-spike, events"):
        codes.named("ttfs")
    assert (codes.n_inputs("events", 5), codes.n_inputs("first-spike", 7)) == (5, 7)


def test_units_of_time_are_read(rng):
    times = rng.integers(0, 49_000, 30)
    pair = times * us, rng.integers(CHANNELS, size=30)
    events = Events.from_pairs([pair], n_channels=CHANNELS)
    np.testing.assert_allclose(events.time, times * 1e-6, rtol=1e-15)


def test_all_orders_of_a_batch_give_a_sample_the_same_spikes():
    dataset = own_dataset()
    merged = lambda events, model: encode_events(events, model, merge=True)  # noqa: E731
    samples = dataset.samples("train", merged, make_model(1))
    alone = [samples.spikes(np.array([m])) for m in range(3)]
    for order in itertools.permutations(range(3)):
        together = samples.spikes(np.array(order))
        for place, m in enumerate(order):
            assert found_spikes(together.select(place, place + 1)) == found_spikes(
                alone[m]
            )
