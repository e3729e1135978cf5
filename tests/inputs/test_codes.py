"""Codes: what they say of values, against closed forms, definitions and Brian2."""

from dataclasses import replace

import brian2
import numpy as np
import pytest
from brian2 import Hz, ms, second
from hypothesis import given
from hypothesis import strategies as st

import bsnn
from bsnn import Model
from bsnn.gate import spikes_for
from bsnn.inputs import codes
from bsnn.inputs.codes import cochlea
from bsnn.inputs.codes.cochlea import encode_cochlea
from bsnn.inputs.codes.currents import encode_currents
from bsnn.inputs.codes.delta import encode_delta
from bsnn.inputs.codes.held import step_means
from bsnn.inputs.codes.population import encode_population
from bsnn.inputs.codes.rate import encode_rate
from bsnn.inputs.events import Events
from bsnn.inputs.numbers import FIRST_OF_TEST, with_numbers
from bsnn.inputs.series import Series
from bsnn.inputs.waves import Waves
from bsnn.simulators.network_inputs import checked_inputs

LENGTH = 0.2


def make_model(dt_ms=1.0, n_inputs=4, duration=LENGTH * second):
    return Model.dense(
        [n_inputs, 2],
        v_threshold=1.0,
        tau_syn=5 * ms,
        tau_mem=10 * ms,
        dt=dt_ms * ms,
        duration=duration,
    )


def make_series(n_samples=3, n_features=4, n_frames=20, seed=0, **changes):
    rng = np.random.default_rng(seed)
    frames = [rng.random((n_frames, n_features)) for _ in range(n_samples)]
    return Series(**{"frames": frames, "step": 10 * ms, "low": 0, "high": 1, **changes})


def spikes_of(spikes):
    when = spikes.time if spikes.step is None else spikes.step
    return list(
        zip(spikes.sample.tolist(), when.tolist(), spikes.neuron.tolist(), strict=True)
    )


def check_sound(spikes):
    """Raise ValueError unless they are what every simulator relies on."""
    bsnn.Spikes(
        neuron=spikes.neuron,
        offset=spikes.offset,
        n_neurons=spikes.n_neurons,
        dt=spikes.dt,
        step=spikes.step,
        time=spikes.time if spikes.dt == 0 else None,
    )


# --- frames on the clock --------------------------------------------------------------


@given(
    n_frames=st.integers(1, 8),
    per_frame=st.integers(1, 7),
    per_step=st.integers(1, 7),
    n_steps=st.integers(1, 12),
    seed=st.integers(0, 99),
)
def test_a_step_holds_the_mean_of_its_frames(
    n_frames, per_frame, per_step, n_steps, seed
):
    # On a clock so fine that frames and steps are whole numbers of its ticks.
    frames = np.random.default_rng(seed).normal(size=(n_frames, 2))
    ticks = np.zeros((max(n_steps * per_step, n_frames * per_frame), 2))
    ticks[: n_frames * per_frame] = np.repeat(frames, per_frame, axis=0)
    expected = ticks[: n_steps * per_step].reshape(n_steps, per_step, 2).mean(axis=1)
    tick = 1.7e-4
    found = step_means(frames, per_frame * tick, per_step * tick, n_steps)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


def test_a_step_within_a_frame_is_it_to_the_last_bit():
    frames = np.random.default_rng(0).random((30, 3))
    for dt in (0.1e-3, 0.5e-3, 1e-3, 10e-3):
        found = step_means(frames, 10e-3, dt, round(0.3 / dt))
        assert np.array_equal(found, np.repeat(frames, round(10e-3 / dt), axis=0))


# --- rate -----------------------------------------------------------------------------


@pytest.mark.parametrize("dt_ms", [0, 0.5, 1, 4])
def test_expected_numbers_of_spikes_are_the_rates(dt_ms):
    values = np.array([0.0, 0.25, 0.5, 1.0])
    n_samples = 2000
    series = Series(
        frames=[values[None]] * n_samples, step=LENGTH * second, low=0, high=1
    )
    spikes = encode_rate(series, make_model(dt_ms), rate=80 * Hz, background=5 * Hz)
    check_sound(spikes)
    expected = (5 + 75 * values) * LENGTH
    counts = spikes.counts()
    # Five standard errors of a Poisson mean; a binomial's is smaller.
    bound = 5 * np.sqrt(expected / n_samples)
    assert (np.abs(counts.mean(axis=0) - expected) < bound).all()
    p = 0 if dt_ms == 0 else (5 + 75 * values) * dt_ms * 1e-3
    np.testing.assert_allclose(counts.var(axis=0), expected * (1 - p), rtol=0.2)


def test_rates_follow_values_over_time_and_end_with_them():
    frames = np.zeros((10, 4))
    frames[3, 1], frames[7, 2] = 1, 1
    series = Series(frames=[frames] * 200, step=10 * ms, low=0, high=1)
    for dt_ms in (0, 1):
        spikes = encode_rate(series, make_model(dt_ms), rate=1000 * Hz)
        when = spikes.time if dt_ms == 0 else spikes.step * 1e-3
        for neuron, start in ((1, 0.03), (2, 0.07)):
            mine = when[spikes.neuron == neuron]
            assert start <= mine.min() and mine.max() < start + 0.01
        assert set(spikes.neuron) == {1, 2}
        if dt_ms == 1:  # the largest rate: each step
            assert spikes.n_spikes == 200 * 20


def test_silent_pixels_are_silent_and_intensities_are_rates():
    images = np.zeros((500, 2, 2), np.uint8)
    images[:, 1, 0] = 255
    spikes = encode_rate(images, make_model(1), rate=50 * Hz)
    assert set(spikes.neuron) == {2}
    assert spikes.n_spikes == pytest.approx(500 * 50 * LENGTH, rel=0.1)


@pytest.mark.parametrize("dt_ms", [0, 1])
def test_a_sample_has_the_same_spikes_in_any_batch(dt_ms):
    images = np.random.default_rng(1).integers(0, 256, (9, 2, 2), np.uint8)
    labels = np.zeros(9, int)
    dataset = bsnn.Dataset(
        name="own",
        title="own",
        train_images=images,
        train_labels=labels,
        test_images=images,
        test_labels=labels,
        n_classes=1,
    )
    model = make_model(dt_ms)
    train = dataset.samples("train", encode_rate, model)
    one = spikes_of(train.spikes(np.array([4])))
    assert one
    both = train.spikes(np.array([7, 4]))
    assert spikes_of(both.select(1, 2)) == one
    assert spikes_of(dataset.samples("test", encode_rate, model).spikes([4])) != one
    assert (
        spikes_of(dataset.head(5).samples("train", encode_rate, model).spikes([4]))
        == one
    )

    def seeded(images, model):
        return encode_rate(images, model, seed=1)

    assert spikes_of(dataset.samples("train", seeded, model).spikes([4])) != one
    # By hand, samples are numbered as they come: repetitions of an image differ.
    twice = encode_rate(images[[4, 4]], model)
    assert spikes_of(twice.select(0, 1)) != spikes_of(twice.select(1, 2))
    number = np.array([FIRST_OF_TEST + 4])
    tested = dataset.samples("test", encode_rate, model).spikes([4])
    assert spikes_of(
        encode_rate(with_numbers(images[[4]], number), model)
    ) == spikes_of(tested)


def test_values_beyond_their_range_count_as_its_ends():
    series = make_series()
    wide = replace(series, frames=[3 * f - 1 for f in series.frames])
    ends = replace(series, frames=[np.clip(3 * f - 1, 0, 1) for f in series.frames])
    model = make_model()
    assert spikes_of(encode_rate(wide, model)) == spikes_of(encode_rate(ends, model))


# --- population -----------------------------------------------------------------------


@given(x=st.floats(-2, 3), k=st.integers(3, 9), dt_ms=st.sampled_from([0, 1]))
def test_a_population_fires_by_its_definition(x, k, dt_ms):
    series = Series(frames=[[[x]]], step=LENGTH * second, low=-1, high=2)
    model = make_model(dt_ms, n_inputs=k)
    spikes = encode_population(series, model, t_max=50 * ms)
    check_sound(spikes)
    expected = {}
    for i in range(1, k + 1):
        centre = -1 + (2 * i - 3) / 2 * 3 / (k - 2)
        sigma = 3 / (k - 2) / 1.5
        r = np.exp(-((np.clip(x, -1, 2) - centre) ** 2) / (2 * sigma**2))
        if r >= 0.1 + 1e-12:
            expected[i - 1] = 0.05 * (1 - r)
    found = dict(zip(spikes.neuron, spikes.arrival, strict=True))
    assert found.keys() >= expected.keys() and len(found) >= 2
    for neuron, time in expected.items():
        if dt_ms == 0:
            assert found[neuron] == pytest.approx(time, abs=1e-12)
        else:  # the end of its bin
            assert -1e-9 <= found[neuron] - time <= 1.01e-3


def test_each_frame_has_its_own_spikes():
    series = make_series(n_features=2, n_frames=20)
    spikes = encode_population(series, make_model(1, n_inputs=10))
    check_sound(spikes)
    frames = spikes.step // 10
    for m in range(3):
        assert set(frames[spikes.sample == m]) == set(range(20))
    first = spikes.neuron < 5
    assert first.any() and not first.all()


# --- delta ----------------------------------------------------------------------------


def crossed(spikes, n_features, m):
    """Return +1 and -1 of each spike of a sample, with its feature."""
    mine = slice(*spikes.offset[m : m + 2])
    neuron = spikes.neuron[mine]
    return mine, neuron % n_features, np.where(neuron < n_features, 1, -1)


@given(seed=st.integers(0, 999), dt_ms=st.sampled_from([0.5, 1, 3]))
def test_levels_give_back_the_value_within_delta(seed, dt_ms):
    delta = 0.2
    rng = np.random.default_rng(seed)
    steps = rng.uniform(-1, 1, (20, 2)) * delta * 10 / dt_ms * 0.95
    x = np.cumsum(steps, axis=0)  # changes by less than delta in a time step
    series = Series(frames=[x], step=10 * ms, low=0, high=1)
    model = make_model(dt_ms, n_inputs=4)
    spikes = encode_delta(series, model, delta=delta)
    check_sound(spikes)
    _, feature, sign = crossed(spikes, 2, 0)
    for n in range(model.n_steps):
        end = (n + 1) * dt_ms / 10
        for f in range(2):
            value = np.interp(end, np.arange(20), x[:, f])
            told = x[0, f] + delta * sign[(feature == f) & (spikes.step <= n)].sum()
            assert abs(value - told) <= delta * (1 + 1e-6)


@given(seed=st.integers(0, 999))
def test_in_continuous_time_levels_are_crossed_at_their_instants(seed):
    delta = 0.3
    x = np.random.default_rng(seed).normal(size=(15, 3))
    series = Series(frames=[x], step=10 * ms, low=0, high=1)
    spikes = encode_delta(series, make_model(0, n_inputs=6), delta=delta)
    check_sound(spikes)
    mine, feature, sign = crossed(spikes, 3, 0)
    assert spikes.n_spikes > 0
    for f in range(3):
        time = spikes.time[mine][feature == f]
        levels = x[0, f] + delta * np.cumsum(sign[feature == f])
        values = np.interp(time / 0.01, np.arange(15), x[:, f])
        np.testing.assert_allclose(values, levels, atol=1e-8)
        told = levels[-1] if len(levels) else x[0, f]
        assert abs(x[-1, f] - told) < delta


def test_a_jump_is_followed_and_none_of_it_lost():
    frames = np.array([[0.0], [0.0], [1.0], [1.0]])
    series = Series(frames=[frames], step=1 * ms, low=0, high=1)
    spikes = encode_delta(series, make_model(1, n_inputs=2), delta=0.1)
    assert spikes_of(spikes) == [(0, n, 0) for n in range(1, 11)]
    down = replace(series, frames=[1 - frames])
    assert spikes_of(encode_delta(down, make_model(1, n_inputs=2))) == [
        (0, n, 1) for n in range(1, 11)
    ]


def test_what_never_changes_is_refused():
    with pytest.raises(ValueError, match="must change, got one frame of each sample"):
        encode_delta(np.full((2, 4), 99.0), make_model(n_inputs=8))


# --- currents -------------------------------------------------------------------------

NEURON = "dv/dt = (-v + {})/(10*ms) : 1"


def make_network(current="I_stim(t, i)", dt=1 * ms):
    neuron = bsnn.Neuron(
        NEURON.format(current),
        threshold="v > 1",
        reset="v = 0",
        currents={current.partition("(")[0]: 1},
    )
    return bsnn.Network(
        [bsnn.Population("cells", 4, neuron)], [], dt=dt, duration=LENGTH * second
    )


@pytest.mark.parametrize("dt_ms", [0.1, 1, 7])
def test_a_network_takes_currents_whose_charge_is_kept(dt_ms):
    network, series = make_network(dt=dt_ms * ms), make_series(n_frames=17)
    inputs = encode_currents(series, network, population="cells", gain=2.0)
    _, taken, n_samples = checked_inputs(network, inputs, None, float)
    assert n_samples == 3
    current = taken["cells", "I_stim"]
    charge = current.sum(axis=1) * dt_ms * 1e-3
    expected = [2 * frames.sum(axis=0) * 0.01 for frames in series.frames]
    np.testing.assert_allclose(charge, expected, rtol=1e-9)
    assert not current[:, round(0.17 / (dt_ms * 1e-3)) + 1 :].any()


def test_a_current_that_neurons_share_takes_one_feature():
    network = make_network("I_all(t)")
    inputs = encode_currents(
        make_series(n_features=1), network, population="cells", current="I_all"
    )
    assert checked_inputs(network, inputs, None, float)[1]["cells", "I_all"].shape == (
        3,
        200,
        1,
    )
    with pytest.raises(ValueError, match="a feature for each of 1 neurons or currents"):
        encode_currents(make_series(), network, population="cells", current="I_all")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"population": "out"}, "'population' must be one of .*, cells, got 'out'"),
        ({"current": "I"}, r"'current' must be one of 'cells', I_stim, got .I.; name"),
        ({"gain": np.nan}, "'gain' must be finite"),
    ],
)
def test_what_no_network_takes_is_refused(changes, words):
    with pytest.raises(ValueError, match=words):
        encode_currents(
            make_series(), make_network(), **{"population": "cells", **changes}
        )


# --- cochlea --------------------------------------------------------------------------

RATE = 8000
FILTERS = 24


def tone(frequency, seconds=LENGTH):
    return np.sin(2 * np.pi * frequency * np.arange(seconds * RATE) / RATE)


@pytest.mark.slow
def test_the_neuron_behind_a_filter_is_brian2s():
    waves = Waves(waves=[np.random.default_rng(0).normal(size=1500)], rate=RATE * Hz)
    model = make_model(0.5, n_inputs=FILTERS)
    spikes = encode_cochlea(waves, model)
    options = {"lowest": 100 * Hz, "highest": None, "gain": 4.0, "compression": 1 / 3}
    driven = cochlea.drive(waves, model, **options, crop=False)[0]
    group = brian2.NeuronGroup(
        FILTERS,
        cochlea.EQUATIONS.replace("drive", "drive(t, i)"),
        threshold=cochlea.THRESHOLD,
        reset=cochlea.RESET,
        method=cochlea.METHOD,
        namespace={
            "tau": 10 * ms,
            "drive": brian2.TimedArray(driven, dt=0.5 * ms),
        },
        dt=0.5 * ms,
        codeobj_class=brian2.codegen.runtime.numpy_rt.NumpyCodeObject,
        name="behind_filters",
    )
    monitor = brian2.SpikeMonitor(group, name="spikes_behind_filters")
    brian2.Network(group, monitor).run(LENGTH * second, namespace={})
    expected = sorted(
        zip(np.rint(monitor.t / (0.5 * ms)).astype(int), monitor.i, strict=True)
    )
    assert len(expected) > 100
    assert [(n, i) for _, n, i in spikes_of(spikes)] == [
        (int(n), int(i)) for n, i in expected
    ]


def test_a_filter_answers_a_click_with_a_gammatone():
    centre = np.array([500.0])
    click = np.zeros(400)
    click[0] = 1
    found = cochlea.filtered(click, cochlea.filter_bank(centre, RATE))[:, 0]
    t = np.arange(400) / RATE
    width = 1.019 * 24.7 * (1 + 4.37e-3 * 500)
    # Four poles in discrete time: (n + 1)(n + 2)(n + 3) stands for n^3.
    n = np.arange(400)
    expected = (
        (n + 1)
        * (n + 2)
        * (n + 3)
        * np.exp(-2 * np.pi * width * t)
        * np.cos(2 * np.pi * 500 * t)
    )
    scale = found[3] / expected[3]
    np.testing.assert_allclose(found, scale * expected, atol=1e-9 * np.abs(found).max())


@pytest.mark.parametrize("place", [2, 11, 20])
def test_a_tone_has_gain_one_at_its_place_and_fires_there_most(place):
    centres = cochlea.centre_frequencies(100, 0.4 * RATE, FILTERS, RATE)
    wave, bank = tone(centres[place], seconds=1), cochlea.filter_bank(centres, RATE)
    out = np.abs(cochlea.filtered(wave, bank)[RATE // 2 :]).max(axis=0)
    assert out[place] == pytest.approx(1, abs=0.02)
    assert out.argmax() == place
    waves = Waves(waves=[tone(centres[place])], rate=RATE * Hz)
    counts = encode_cochlea(waves, make_model(0.5, n_inputs=FILTERS)).counts()[0]
    assert abs(int(counts.argmax()) - place) <= 1 and counts.max() > 5


@pytest.mark.parametrize("gain", [1e-3, 50])
def test_a_cochlea_knows_no_loudness(gain):
    wave = np.random.default_rng(3).normal(size=1200)
    model = make_model(1, n_inputs=FILTERS)
    one, other = (
        encode_cochlea(Waves(waves=[w], rate=RATE * Hz), model)
        for w in (wave, gain * wave)
    )
    assert np.abs(one.counts() - other.counts()).max() <= 1
    silent = encode_cochlea(Waves(waves=[np.zeros(1200)], rate=RATE * Hz), model)
    assert silent.n_spikes == 0 and one.n_spikes > 0


def test_places_are_equally_far_apart_in_erbs():
    centres = cochlea.centre_frequencies(100, 3000, 10, RATE)
    assert centres[[0, -1]] == pytest.approx([100, 3000], rel=1e-12)
    erbs = 21.4 * np.log10(1 + 0.00437 * centres)
    assert np.diff(erbs) == pytest.approx(np.full(9, np.diff(erbs)[0]), rel=1e-9)


# --- all of them ----------------------------------------------------------------------

CALLS = {
    "rate": (make_series, 4),
    "population": (make_series, 20),
    "delta": (make_series, 8),
}


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("dt_ms", [0, 1])
def test_batches_do_not_matter(name, dt_ms):
    make, n_inputs = CALLS[name]
    series, code = make(), codes.named(name)
    model = make_model(dt_ms, n_inputs=n_inputs)
    whole = code(series, model)
    assert whole.n_spikes > 0
    for m in range(3):
        alone = replace(series, frames=[series.frames[m]], number=np.array([m]))
        assert spikes_of(code(alone, model)) == spikes_of(whole.select(m, m + 1))


@pytest.mark.parametrize("name", CALLS)
def test_inputs_of_a_network_take_what_a_code_makes_of_them(name):
    n_inputs = CALLS[name][1]
    cells = make_network().groups[0]
    network = bsnn.Network(
        [bsnn.Inputs("few", 1), bsnn.Inputs("in", n_inputs), cells],
        [],
        dt=0.5 * ms,
        duration=LENGTH * second,
    )
    entrance = network.entrance(network.named["in"])
    spikes = codes.named(name)(make_series(), entrance)
    assert spikes_for(entrance, spikes) is spikes
    assert spikes.n_spikes > 0


@pytest.mark.parametrize("name", CALLS)
def test_what_is_longer_than_the_model_is_cropped_if_that_is_said(name):
    series, code = make_series(n_frames=25), codes.named(name)
    model = make_model(1, n_inputs=CALLS[name][1])
    series = series.numbered(FIRST_OF_TEST + np.array([7, 8, 9]))
    words = r"end with the model at 0\.2 s, got 0\.25 s of test sample 7; .* crop=True"
    with pytest.raises(ValueError, match=words):
        code(series, model)
    cut = code(series, model, crop=True)
    check_sound(cut)
    assert 180 <= cut.last < 200
    fast = code(series, model, time_scale=0.5)
    assert 100 <= fast.last < 135


@pytest.mark.parametrize("name", CALLS)
def test_what_does_not_fit_is_named(name):
    code, n_inputs = codes.named(name), CALLS[name][1]
    with pytest.raises(
        ValueError, match=f"4 features, which need .* has {n_inputs + 1}"
    ):
        code(make_series(), make_model(n_inputs=n_inputs + 1))
    unknown = Series(frames=make_series().frames, step=10 * ms)
    with pytest.raises(ValueError, match="'low' and 'high' must be given for values"):
        code(unknown, make_model(n_inputs=n_inputs))
    given_range = code(unknown, make_model(n_inputs=n_inputs), low=0, high=1)
    known = code(make_series(), make_model(n_inputs=n_inputs))
    assert spikes_of(given_range) == spikes_of(known)
    with pytest.raises(ValueError, match="'low' must be less than 'high', got 1.0 and"):
        code(unknown, make_model(n_inputs=n_inputs), low=1, high=1)
    events = Events.from_pairs([([0.1], [0])], n_channels=4)
    with pytest.raises(TypeError, match="got Events, .* the code for them is 'events'"):
        code(events, make_model(n_inputs=n_inputs))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            lambda: encode_rate(make_series(), make_model(1), rate=1001 * Hz),
            "one spike",
        ),
        (lambda: encode_rate(make_series(), make_model(1), rate=0 * Hz), "positive"),
        (
            lambda: encode_rate(make_series(), make_model(1), background=-1 * Hz),
            "'background' must not be negative",
        ),
        (
            lambda: encode_population(
                make_series(), make_model(1, n_inputs=20), t_max=11 * ms
            ),
            "'t_max' must not exceed the length of a frame, 0.01 s",
        ),
        (
            lambda: encode_population(make_series(), make_model(1, n_inputs=8)),
            r"need 12 inputs \(3 each\), but the model has 8",
        ),
        (
            lambda: encode_delta(make_series(), make_model(1, 8), delta=0),
            "'delta' must",
        ),
    ],
)
def test_impossible_options_are_refused(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_a_cochlea_refuses_what_it_cannot_hear():
    waves = Waves(waves=[np.ones(1601)], rate=RATE * Hz)
    model = make_model(1, n_inputs=FILTERS)
    with pytest.raises(ValueError, match=r"'waves' must end .* got 0\.2001\d* s of"):
        encode_cochlea(waves, model)
    assert encode_cochlea(waves, model, crop=True).n_samples == 1
    with pytest.raises(ValueError, match="must have a time step for the code cochlea"):
        encode_cochlea(waves, make_model(0, n_inputs=FILTERS))
    with pytest.raises(TypeError, match="'waves' must be Waves, got Series: a cochlea"):
        encode_cochlea(make_series(), model)
    with pytest.raises(ValueError, match="'lowest' and 'highest' must rise .* 4000 Hz"):
        encode_cochlea(waves, model, crop=True, highest=4001 * Hz)


def test_other_codes_see_the_mel_bands_of_sound():
    waves = Waves(waves=[tone(440), tone(1000)], rate=RATE * Hz)
    model = make_model(1, n_inputs=40)
    assert spikes_of(encode_rate(waves, model)) == spikes_of(
        encode_rate(waves.series(), model)
    )


def test_every_code_tells_how_many_inputs_it_needs():
    needed = {name: codes.n_inputs(name, 10) for name in codes.NAMES}
    assert needed == {
        "first-spike": 10,
        "events": 10,
        "rate": 10,
        "population": None,
        "delta": 20,
        "cochlea": None,
        "currents": 0,
    }
