"""Samples of other libraries: tonic, Neo, aeon, and series of one's own."""

import sys
from types import ModuleType

import numpy as np
import pytest
from brian2 import ms

from bsnn import Model, TimedDataset
from bsnn.errors import BackendUnavailable
from bsnn.inputs import codes

FIELDS = [("t", int), ("x", np.int16), ("y", np.int16), ("p", bool)]


def make_model(dataset, n_inputs=None, dt_ms=1.0):
    return Model.dense(
        [n_inputs or dataset.n_inputs, dataset.n_classes],
        v_threshold=1.0,
        tau_syn=5 * ms,
        tau_mem=10 * ms,
        dt=dt_ms * ms,
        duration=dataset.duration,
    )


# --- tonic ----------------------------------------------------------------------------


class Tonic:
    """What tonic's data sets are: pairs of structured events in microseconds."""

    def __init__(self, n_samples, sensor_size=(4, 3, 2), fields=FIELDS, seed=0):
        rng = np.random.default_rng(seed)
        self.sensor_size, self.n_read = sensor_size, 0
        self.targets = [int(k) for k in rng.integers(3, size=n_samples)]
        self.samples = []
        for _ in range(n_samples):
            events = np.zeros(20, fields)
            events["t"] = np.sort(rng.integers(0, 50_000, 20))
            for name, size in zip("xyp", sensor_size, strict=True):
                if name in events.dtype.names:
                    events[name] = rng.integers(size, size=20)
            self.samples.append(events)

    def __len__(self):
        return len(self.samples)

    def __getitem__(self, m):
        self.n_read += 1
        return self.samples[m], self.targets[m]


def test_events_of_tonic_have_a_channel_for_pixel_and_polarity():
    train, test = Tonic(6), Tonic(4, seed=1)
    dataset = TimedDataset.from_tonic(train, test, n_classes=3)
    assert (dataset.n_inputs, dataset.name) == (24, "Tonic")
    assert dataset.train_labels.tolist() == train.targets
    last = max(events["t"].max() for part in (train, test) for events in part.samples)
    assert last / 1000 < dataset.duration / ms <= last / 1000 + 1
    events = dataset.test.take(np.array([2]))
    found = set(
        zip(np.rint(events.time * 1e6).astype(int), events.channel, strict=True)
    )
    expected = set()
    for e in test.samples[2]:
        # Counted as in an array of shape (polarities, height, width).
        place = np.ravel_multi_index((int(e["p"]), e["y"], e["x"]), (2, 3, 4))
        expected.add((e["t"], place))
    assert found == expected


def test_a_sample_of_tonic_is_read_when_it_is_asked_for():
    train, test = Tonic(6), Tonic(4)
    dataset = TimedDataset.from_tonic(train, test, duration=60 * ms, n_classes=3)
    assert train.n_read == test.n_read == 0  # it lists its targets
    dataset.train.take(np.array([4, 1]))
    assert train.n_read == 2


def test_a_sensor_of_one_row_needs_no_more_than_x():
    # SHD: 700 channels, and a polarity that is always 1.
    fields = [("t", int), ("x", np.int16), ("p", int)]
    train, test = (Tonic(3, (700, 1, 1), fields, seed=k) for k in range(2))
    for part in (train, test):
        for events in part.samples:
            events["p"] = 1
    dataset = TimedDataset.from_tonic(train, test, n_classes=3)
    assert dataset.n_inputs == 700
    taken = dataset.train.take(np.array([0]))
    assert np.array_equal(taken.channel, train.samples[0]["x"])


def test_targets_that_are_transformed_are_read(monkeypatch):
    train, test = Tonic(4), Tonic(4)
    train.target_transform = lambda target: target
    train.targets = [0, 1, 2, 0]
    original, train.targets = train.targets, [7, 7, 7, 7]
    monkeypatch.setattr(
        Tonic, "__getitem__", lambda self, m: (self.samples[m], original[m])
    )
    dataset = TimedDataset.from_tonic(train, test, n_classes=3)
    assert dataset.train_labels.tolist() == original


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (
            {"sensor_size": None},
            ValueError,
            "'sensor_size' must be .* got None; give",
        ),
        ({"sensor_size": (2, 3, 2)}, ValueError, "'x' of sample 0 must lie in 0..1"),
        ({"fields": FIELDS[:2]}, TypeError, "sample 0 must have the field p, got t, x"),
    ],
)
def test_events_that_do_not_fit_the_sensor_are_named(change, error, words):
    train = Tonic(3, fields=change.get("fields", FIELDS))
    train.sensor_size = change.get("sensor_size", (4, 3, 2))
    with pytest.raises(error, match=words):
        TimedDataset.from_tonic(train, train, n_classes=3)


def test_frames_of_tonic_are_refused():
    train = Tonic(2)
    train.samples = [np.zeros((5, 2, 3, 4))] * 2
    with pytest.raises(TypeError, match="fields t and x, got ndarray; leave"):
        TimedDataset.from_tonic(train, train, n_classes=3)


# --- Neo ------------------------------------------------------------------------------


def trains_of(times, start=0.0, stop=100.0):
    neo = pytest.importorskip("neo")
    return [neo.SpikeTrain(t, units="ms", t_start=start, t_stop=stop) for t in times]


def test_trains_of_neo_are_channels_from_their_start():
    neo = pytest.importorskip("neo")
    segment = neo.Segment()
    segment.spiketrains.extend(trains_of([[1, 2], [], [30.5]]))
    late = trains_of([[1010.2], [1050], []], start=1000, stop=1060)
    dataset = TimedDataset.from_neo([segment, late], [0, 1], [late], [1])
    assert (dataset.n_inputs, dataset.n_classes) == (3, 2)
    assert 100 <= dataset.duration / ms <= 101
    samples = dataset.samples("train", codes.named("events"), make_model(dataset))
    spikes = samples.spikes(np.array([1, 0]))
    found = list(zip(spikes.sample, spikes.step, spikes.neuron, strict=True))
    assert found == [(0, 10, 0), (0, 50, 1), (1, 1, 0), (1, 2, 0), (1, 30, 2)]


def test_trains_that_do_not_fit_together_are_named():
    good = trains_of([[1], [2]])
    with pytest.raises(ValueError, match="got 2 in sample 0 and 1 in sample 1; a"):
        TimedDataset.from_neo([good, good[:1]], [0, 1], [good], [0])
    with pytest.raises(ValueError, match="'test' must have 2 spike trains .* got 1"):
        TimedDataset.from_neo([good], [0], [good[:1]], [0])
    mixed = [good[0], *trains_of([[60]], start=50)]
    with pytest.raises(ValueError, match="must have one t_start, got 0.0 to 0.05 s;"):
        TimedDataset.from_neo([mixed], [0], [good], [0])
    with pytest.raises(TypeError, match="must hold neo.SpikeTrain, .* got list in"):
        TimedDataset.from_neo([[[0.1, 0.2]]], [0], [good], [0])
    with pytest.raises(ValueError, match="sample 0 has no events; .*allow_empty=True"):
        TimedDataset.from_neo([trains_of([[], []])], [0], [good], [0])


# --- series ---------------------------------------------------------------------------


def vowels(n_samples, seed=0):
    """As aeon's JapaneseVowels: (features, frames) of different lengths."""
    rng = np.random.default_rng(seed)
    return [rng.normal(size=(12, rng.integers(7, 30))) for _ in range(n_samples)]


def test_series_are_scaled_by_the_samples_for_training():
    train, test = vowels(5), [3 * x for x in vowels(4, seed=1)]
    dataset = TimedDataset.from_series(
        train, [0, 1, 2, 0, 1], test, [2, 1, 0, 0], step=10 * ms, features_first=True
    )
    longest = max(x.shape[1] for x in (*train, *test))
    assert dataset.duration / ms == pytest.approx(10 * longest)
    assert (dataset.n_inputs, dataset.n_classes, dataset.code) == (12, 3, "rate")
    series = dataset.test.take(np.array([3, 0]))
    assert np.array_equal(series.frames[1], test[0].T)
    every = np.concatenate(train, axis=1)
    assert np.array_equal(series.low, every.min(axis=1))
    assert np.array_equal(series.high, every.max(axis=1))
    for name, n_inputs in (("rate", 12), ("delta", 24), ("population", 60)):
        samples = dataset.samples(
            "test", codes.named(name), make_model(dataset, n_inputs)
        )
        assert samples.spikes(np.arange(4)).n_spikes > 0


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        (
            {"train": [np.ones(5)]},
            ValueError,
            r"sample 0 must have .* \[:, None\]",
        ),
        (
            {"train": [[[np.nan]]]},
            ValueError,
            "sample 0 must hold finite .*cut off",
        ),
        ({"train": [[["a"]]]}, TypeError, "'frames of sample 0' must hold float"),
        ({"train": [np.ones((0, 3))]}, ValueError, "sample 0 must have frames"),
        ({"train": [[[1.0], [1.0]]]}, ValueError, "a feature out that never changes"),
        (
            {"test": [np.ones((3, 2))]},
            ValueError,
            "'(low|high)' must be a finite",
        ),
        ({"test": []}, ValueError, "'train' and 'test' must hold samples"),
        ({"low": 0}, ValueError, "'low' and 'high' must be given together"),
        ({"step": 0.01}, TypeError, "'step' must be a Brian2 quantity"),
        ({"train_labels": ["1"]}, TypeError, "'train_labels' must be integers"),
    ],
)
def test_what_is_no_series_is_named(changes, error, words):
    given = {
        "train": [[[1.0], [2.0]]],
        "train_labels": [0],
        "test": [[[1.5]]],
        "test_labels": [0],
        "step": 10 * ms,
    }
    with pytest.raises(error, match=words):
        TimedDataset.from_series(**given | changes)


def test_classes_of_aeon_are_numbered(monkeypatch):
    made = {"train": (vowels(4), list("3132")), "test": (vowels(2, 1), list("21"))}
    datasets = ModuleType("aeon.datasets")
    datasets.load_classification = lambda name, split: (
        made[split][0],
        np.array(made[split][1]),
    )
    monkeypatch.setitem(sys.modules, "aeon", ModuleType("aeon"))
    monkeypatch.setitem(sys.modules, "aeon.datasets", datasets)
    dataset = TimedDataset.from_aeon("JapaneseVowels", step=10 * ms)
    assert dataset.train_labels.tolist() == [2, 0, 2, 1]
    assert dataset.test_labels.tolist() == [1, 0]
    assert (dataset.n_inputs, dataset.n_classes) == (12, 3)


def test_the_extra_is_named_where_aeon_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "aeon.datasets", None)
    with pytest.raises(BackendUnavailable, match=r"pip install 'bsnn\[aeon\]'"):
        TimedDataset.from_aeon("BasicMotions", step=10 * ms)
