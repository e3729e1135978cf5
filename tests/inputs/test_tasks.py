"""Generated tasks: what makes their classes, and that seeds make their samples."""

import numpy as np
import pytest
from brian2 import Hz, ms, second
from hypothesis import given
from hypothesis import strategies as st

from bsnn import Model, load_dataset
from bsnn.inputs import codes, tasks
from bsnn.inputs.poisson import poisson_events
from bsnn.inputs.tasks import evidence, randman, sequence, store_recall

SMALL = {"n_train": 60, "n_test": 30}


def events_of(dataset, split="train"):
    source = getattr(dataset, split)
    return source.take(np.arange(len(source)))


def same(first, second):
    return all(
        np.array_equal(getattr(first, name), getattr(second, name))
        for name in ("time", "channel", "offset")
    )


@pytest.mark.parametrize("name", tasks.NAMES)
def test_samples_depend_on_the_seed_alone(name):
    dataset = tasks.make(name, **SMALL)
    again, other = tasks.make(name, **SMALL), tasks.make(name, **SMALL, seed=1)
    assert (len(dataset.train), len(dataset.test)) == (60, 30)
    for split in ("train", "test"):
        assert same(events_of(dataset, split), events_of(again, split))
        assert not same(events_of(dataset, split), events_of(other, split))
        labels = getattr(dataset, f"{split}_labels")
        counts = np.bincount(labels, minlength=dataset.n_classes)
        assert counts.max() - counts.min() <= 1
        assert np.array_equal(labels, getattr(again, f"{split}_labels"))
    places = np.array([40, 3])
    alone = [dataset.train.take(places[k : k + 1]) for k in range(2)]
    both = dataset.train.take(places)
    for k in range(2):
        mine = slice(*both.offset[k : k + 2])
        assert np.array_equal(both.time[mine], alone[k].time)
        assert np.array_equal(both.channel[mine], alone[k].channel)
    assert not same(dataset.train.take([0]), dataset.test.take([0]))


@pytest.mark.parametrize("name", tasks.NAMES)
def test_all_events_fit_their_model(name):
    dataset = load_dataset(name).head(40, 20)
    model = Model.dense(
        [dataset.n_inputs, dataset.n_classes],
        v_threshold=1.0,
        tau_syn=5 * ms,
        tau_mem=10 * ms,
        dt=1 * ms,
        duration=dataset.duration,
    )
    encode = codes.named(dataset.code)
    for split, n in (("train", 40), ("test", 20)):
        samples = dataset.samples(split, lambda e, m: encode(e, m, merge=True), model)
        spikes = samples.spikes(np.arange(n))
        assert spikes.n_spikes > 0
        assert set(spikes.neuron) == set(range(dataset.n_inputs))
    assert dataset.name == name


def test_sizes_are_ones_choice_and_take_no_memory():
    dataset = store_recall.make(n_train=10**6, n_test=10, group_size=3)
    assert len(dataset.train) == 10**6 and dataset.n_inputs == 12
    assert len(dataset.train.take(np.array([999_999]))) == 1


@given(rate=st.floats(5, 500), n_slots=st.integers(1, 5))
def test_poisson_events_have_the_mean_and_variance_of_their_rate(rate, n_slots):
    rng = np.random.default_rng(0)
    rates = np.outer(np.arange(n_slots), np.ones(2000)) * rate
    time, channel = poisson_events(rng, rates, 0.1)
    slot = np.minimum((time / 0.1).astype(int), n_slots - 1)
    for k in range(n_slots):
        counts = np.bincount(channel[slot == k], minlength=2000)
        mean = k * rate * 0.1
        # Of 2,000 draws: five standard errors, of the mean and of the variance.
        assert counts.mean() == pytest.approx(mean, abs=5 * np.sqrt(mean / 2000) + 1e-9)
        spread = 5 * np.sqrt((mean + 2 * mean**2) / 2000) + 1e-9
        assert counts.var() == pytest.approx(mean, abs=spread)
    assert np.all(time < n_slots * 0.1)


# --- what the classes are -------------------------------------------------------------


def test_the_bit_that_comes_with_the_command_is_recalled():
    dataset = store_recall.make(**SMALL, rate=2000 * Hz, group_size=1)  # hardly silent
    events = events_of(dataset)
    for m in range(60):
        mine = slice(*events.offset[m : m + 2])
        slot = (events.time[mine] / 0.1).astype(int)
        active = np.zeros((10, 4), bool)
        active[slot, events.channel[mine]] = True
        (stored,) = np.flatnonzero(active[:, store_recall.STORE])
        assert stored < 3
        assert active[stored, :2].tolist() == [
            not dataset.train_labels[m],
            dataset.train_labels[m],
        ]
        assert active[-1].tolist() == [False, False, False, True]
        assert not (active[:, 0] & active[:, 1]).any()
        assert not active[:-1, store_recall.RECALL].any()


def test_only_the_order_tells_a_sequence():
    rng = np.random.default_rng(0)
    drawn = {
        label: [sequence.draw_symbols(rng, label, 4, 3, 8) for _ in range(2000)]
        for label in (0, 1)
    }
    text = {k: ["".join(map(str, s)) for s in v] for k, v in drawn.items()}
    assert all("012" in t for t in text[1]) and not any("012" in t for t in text[0])
    counts = [
        np.mean([np.bincount(s, minlength=4) for s in drawn[k]], 0) for k in (0, 1)
    ]
    # Symbols are as frequent; five standard errors of 2,000 draws of 8 symbols.
    np.testing.assert_allclose(*counts, atol=5 * np.sqrt(2 * 8 * 0.25 / 2000))


def test_a_slot_is_that_of_its_symbol():
    dataset = sequence.make(**SMALL, rate=2000 * Hz)
    events = events_of(dataset)
    for m in range(60):
        mine = slice(*events.offset[m : m + 2])
        slot, group = (events.time[mine] / 0.05).astype(int), events.channel[mine] // 5
        shown = [set(group[slot == k]) for k in range(8)]
        assert all(len(one) == 1 for one in shown)
        text = "".join(str(*one) for one in shown)
        assert ("012" in text) == dataset.train_labels[m]


def test_most_cues_come_on_the_side_of_the_class():
    dataset = evidence.make(**SMALL, rate=2000 * Hz)
    events = events_of(dataset)
    assert float(dataset.duration / second) == pytest.approx(7 * 0.15 + 1 + 0.15)
    for m in range(60):
        mine = slice(*events.offset[m : m + 2])
        time, group = events.time[mine], events.channel[mine] // 10
        cues = [
            set(group[(time >= 0.15 * k) & (time < 0.15 * k + 0.1) & (group < 2)])
            for k in range(7)
        ]
        assert all(len(cue) == 1 for cue in cues)
        sides = [side for (side,) in cues]
        assert (sum(sides) > 3.5) == dataset.train_labels[m]
        between = (group < 2) & ((time % 0.15 > 0.1 + 1e-9) | (time > 1.05))
        assert not between.any()
        asked = time[group == evidence.RECALL]
        assert 2.05 <= asked.min() and asked.max() < 2.2
        assert (group == evidence.NOISE).any()


def test_manifolds_are_smooth_and_alpha_says_how():
    x = np.linspace(0, 1, 2001)[:, None]
    rough = []
    for alpha in (1.0, 2.0, 3.0):
        surface = randman.Surface(np.random.default_rng(5), 50, 1, alpha)
        y = randman._scaled(surface(x))
        rough.append(np.abs(np.diff(y, axis=0)).sum(axis=0).mean())  # total variation
    assert rough[0] > 1.5 * rough[1] > 1.5 * rough[2]


def test_a_manifold_is_the_sum_of_its_definition():
    surface = randman.Surface(np.random.default_rng(1), 3, 2, 2.0)
    assert len(surface.k) == 31  # (k + 1)^-2 reaches a thousandth at 31.6
    a, b, c = np.random.default_rng(1).random((3, 31, 3, 2))
    for k in range(1, 32):
        np.testing.assert_allclose(surface.amplitude[k - 1], a[k - 1] / (k + 1) ** 2)
    assert np.array_equal(surface.stretch, b) and np.array_equal(surface.phase, c)
    x = np.random.default_rng(2).random((4, 2))
    for n in range(4):
        for i in range(3):
            value = 1.0
            for d in range(2):
                value *= sum(
                    surface.amplitude[k - 1, i, d]
                    * np.sin(
                        2
                        * np.pi
                        * (
                            k * x[n, d] * surface.stretch[k - 1, i, d]
                            + surface.phase[k - 1, i, d]
                        )
                    )
                    for k in range(1, 32)
                )
            assert surface(x)[n, i] == pytest.approx(value, rel=1e-12)


def test_inputs_of_a_manifold_spike_once_within_the_duration():
    dataset = randman.make(**SMALL, n_inputs=7, n_classes=3, duration=40 * ms)
    events = events_of(dataset)
    assert np.array_equal(events.channel, np.tile(np.arange(7), 60))
    assert 0 <= events.time.min() and events.time.max() < 0.04
    # Each input and class uses all of it, of all samples together.
    both = np.concatenate([events.time, events_of(dataset, "test").time]).reshape(90, 7)
    labels = np.concatenate([dataset.train_labels, dataset.test_labels])
    for label in range(3):
        np.testing.assert_allclose(both[labels == label].min(0), 0, atol=1e-12)
        np.testing.assert_allclose(both[labels == label].max(0), 0.04, rtol=1e-12)


@pytest.mark.parametrize(
    ("make", "sizes", "words"),
    [
        (store_recall.make, {"store_within": 10}, "'store_within' must be less than"),
        (store_recall.make, {"n_train": 0}, "'n_train' must be at least 1, got 0"),
        (sequence.make, {"length": 5}, "'length' must be at most .* 4 and 8, got 5"),
        (evidence.make, {"n_cues": 6}, "'n_cues' must be odd, got 6"),
        (evidence.make, {"bias": 0.3}, r"'bias' must lie in 0\.5\.\.1, got 0\.3"),
        (evidence.make, {"cue": 0 * ms}, "'cue' must be positive"),
        (randman.make, {"alpha": 0}, "'alpha' must be positive"),
        (randman.make, {"seed": -1}, "'seed' must be at least 0"),
    ],
)
def test_impossible_sizes_are_refused(make, sizes, words):
    with pytest.raises(ValueError, match=words):
        make(**sizes)
