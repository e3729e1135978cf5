"""The event-driven simulator against root finding, closed forms and its definitions."""

import dataclasses
import math

import numpy as np
import pytest
from brian2 import ms
from hypothesis import given, settings
from hypothesis import strategies as st

import bsnn
from bsnn.simulators.event import EventSimulator
from tests.oracles import event as event_oracles
from tests.oracles import grid as oracles

pytestmark = pytest.mark.cpp

TAU_MEM, TAU_SYN, DURATION = 0.04, 0.02, 0.2


def make_model(sizes, dt_ms, **options):
    """`dt_ms` 0 means continuous; times as above unless given in `options`."""
    options = {
        "v_threshold": 0.2,
        "tau_syn": 20 * ms,
        "tau_mem": 40 * ms,
        "duration": 200 * ms,
        "rule": "quantised-event" if dt_ms else "continuous",
    } | options
    return bsnn.Model.dense(sizes, dt=dt_ms * ms, **options)


def make_inputs(model, time, neuron, sample=None, n_samples=1):
    time = np.asarray(time, dtype=float)
    return bsnn.Spikes.from_events(
        sample=np.zeros(time.size, int) if sample is None else sample,
        neuron=neuron,
        time=time,
        n_samples=n_samples,
        n_neurons=model.n_inputs,
        dt=model.dt_seconds,
    )


def run(model, weights, inputs, **options):
    with EventSimulator(model, **options) as simulator:
        return simulator.run([np.asarray(w, dtype=float) for w in weights], inputs)


def draw(model, rng, n_samples=1, n_spikes=15):
    """A neuron's spikes are multiples of 8 ms apart: never two in a time step."""
    weights = [rng.normal(3, 16, shape) for shape in model.weight_shapes]
    shape = n_samples, model.n_inputs, round(model.duration_seconds / 8e-3) - 1
    cells = [
        m * shape[1] * shape[2]
        + rng.choice(shape[1] * shape[2], n_spikes, replace=False)
        for m in range(n_samples)
    ]
    sample, neuron, slot = np.unravel_index(np.concatenate(cells), shape)
    phase = rng.uniform(size=shape[:2])[sample, neuron]
    inputs = make_inputs(model, 8e-3 * (slot + phase), neuron, sample, n_samples)
    return weights, inputs


def assert_same(records, others):
    """Bit for bit."""
    for record, other in zip(records, others, strict=True):
        for name in ("neuron", "offset", "step", "time", "slope"):
            np.testing.assert_array_equal(getattr(record, name), getattr(other, name))


def eps(delay):
    return event_oracles.response(delay, TAU_MEM, TAU_SYN)


# --- equality with the slow models


def by_root_finder(weights, inputs, thresholds, deltas):
    """Each layer's spikes in one sample, as the slow model finds them."""
    return event_oracles.simulate_network(
        list(zip(inputs.arrival, inputs.neuron, strict=True)),
        weights,
        layers=[
            {"tau_mem": TAU_MEM, "tau_syn": TAU_SYN, "v_threshold": v, "delta_v": d}
            for v, d in zip(thresholds, deltas, strict=True)
        ],
        duration=DURATION,
        dt=inputs.dt,
    )


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("dt_ms", [0, 0.5, 2, 7])
def test_network_equals_the_root_finder(dt_ms, seed):
    """19 neurons: more than one block of the kernel, and not a multiple of it."""
    thresholds, deltas = [0.2, 0.5], [0.2, 0.3]
    model = make_model([6, 19, 3], dt_ms, v_threshold=thresholds, delta_v=deltas)
    weights, inputs = draw(model, np.random.default_rng(seed), n_spikes=25)
    records = run(model, weights, inputs)
    expected = by_root_finder(weights, inputs, thresholds, deltas)
    for record, spikes in zip(records, expected, strict=True):
        time, slope, step, neuron = zip(*spikes, strict=True)
        np.testing.assert_array_equal(record.neuron, neuron)
        np.testing.assert_allclose(record.time, time, rtol=0, atol=1e-12)
        # A flat crossing magnifies the rounding of its time.
        np.testing.assert_allclose(record.slope, slope, rtol=1e-7, atol=1e-7)
        if dt_ms:
            np.testing.assert_array_equal(record.step, step)
        else:
            assert record.step is None
    assert records[0].n_spikes > 20 and records[1].n_spikes > 5


@pytest.mark.parametrize("dt_ms", [0, 2])
def test_duration_of_thousands_of_time_constants(dt_ms):
    """Bursts of 100 tau_mem, 1000 tau_mem apart: further than exp() reaches."""
    taus = {"tau_mem": 0.002, "tau_syn": 0.001}
    model = make_model(
        [4, 3], dt_ms, tau_mem=2 * ms, tau_syn=1 * ms, duration=6000 * ms
    )
    rng, starts = np.random.default_rng(4), (0, 2.4, 4.8)
    bursts = [rng.choice(400, 60, replace=False) for _ in starts]
    neuron, slot = np.divmod(np.concatenate(bursts), 100)
    time = np.repeat(starts, 60) + 2e-3 * (slot + rng.uniform(size=slot.size))
    weights = rng.normal(200, 200, (4, 3))
    inputs = make_inputs(model, time, neuron)
    twice = bsnn.Spikes.concatenate([inputs, inputs])
    (both,) = run(model, [weights], twice, workers=1)
    record = both.select(0, 1)
    assert_same([record], [both.select(1, 2)])
    for start in starts:
        # Nothing of a burst is left at the next one, which the oracle sees alone.
        here = (inputs.arrival >= start) & (inputs.arrival < start + 1)
        spikes = event_oracles.simulate_layer(
            list(zip(inputs.arrival[here] - start, inputs.neuron[here], strict=True)),
            weights,
            v_threshold=0.2,
            delta_v=0.2,
            duration=0.22,
            dt=model.dt_seconds,
            **taus,
        )
        found = (record.time >= start) & (record.time < start + 1)
        assert len(spikes) > 20
        np.testing.assert_array_equal(record.neuron[found], [s[3] for s in spikes])
        np.testing.assert_allclose(
            record.time[found] - start, [s[0] for s in spikes], rtol=0, atol=1e-12
        )


def test_grid_converges_to_continuous_at_first_order():
    layers = [(TAU_MEM, TAU_SYN)] * 2, [0.2, 0.3], [0.2, 0.3]
    model = make_model([6, 5, 3], 0, v_threshold=layers[1])
    rng = np.random.default_rng(8)
    # On the coarsest grid's bin starts, one early, as a grid delivers them on time.
    bins, neuron = np.divmod(rng.choice(180 * 6, 20, replace=False), 6)
    weights = [rng.normal(5, 16, shape) for shape in model.weight_shapes]
    exact = run(model, weights, make_inputs(model, (bins + 1) * 1e-3, neuron))
    errors = []
    for fine in (4, 8, 16, 32):
        dt, n_steps = 1e-3 / fine, 200 * fine
        sample = list(zip((bins + 1) * fine - 1, neuron, strict=True))
        found, _ = oracles.grid_spikes(weights, *layers, n_steps, dt, sample)
        differences = []
        for record, spikes in zip(exact, found, strict=True):
            grid = [(n, (step + 1) * dt) for step, n, *_ in spikes]
            order = np.lexsort((record.time, record.neuron))
            assert [n for n, _ in sorted(grid)] == record.neuron[order].tolist()
            late = np.array([t for _, t in sorted(grid)]) - record.time[order]
            differences.extend(late)
        errors.append(np.mean(differences))
    assert exact[0].n_spikes > 10 and exact[1].n_spikes > 5
    assert errors[-1] > 0
    # Halving dt halves the mean lateness, up to the spread over some 30 spikes.
    np.testing.assert_allclose(errors[0] / errors[-1], 8, rtol=0.25)


# --- single neurons in closed form


@pytest.mark.parametrize("dt_ms", [0, 0.5])
def test_one_neuron_fires_at_the_root_of_the_quadratic(dt_ms):
    model, weight = make_model([1, 1], dt_ms), 21.0
    (record,) = run(model, [[[weight]]], make_inputs(model, [0.0], [0]))
    x = (1 + math.sqrt(1 - 4 * 0.2 / (TAU_MEM * weight))) / 2
    delay = -TAU_MEM * math.log(x)
    np.testing.assert_allclose(record.time, model.dt_seconds + delay, rtol=1e-13)
    slope = weight * math.exp(-delay / TAU_SYN) - 0.2 / TAU_MEM
    np.testing.assert_allclose(record.slope, slope, rtol=1e-12)
    if dt_ms:
        assert record.step == math.floor((model.dt_seconds + delay) / model.dt_seconds)


@pytest.mark.parametrize("dt_ms", [0, 2])
@pytest.mark.parametrize("excess", [-1e-9, 1e-9])
def test_grazing_neuron_fires_only_if_its_peak_reaches_threshold(dt_ms, excess):
    """One spike of weight w peaks at tau_mem w / 4, after tau_mem ln 2."""
    model = make_model([1, 1], dt_ms)
    weight = 4 * 0.2 / TAU_MEM * (1 + excess)
    (record,) = run(model, [[[weight]]], make_inputs(model, [0.01], [0]))
    if excess < 0:
        assert record.n_spikes == 0
    else:
        arrival = 0.01 + model.dt_seconds
        peak = arrival + TAU_MEM * math.log(2)
        np.testing.assert_allclose(record.time, peak, atol=1e-4 * TAU_MEM)
        # v is a parabola there: slope^2 = 2 (v_peak - v_threshold) |d2v/dt2|.
        slope = math.sqrt(2 * 0.2 * excess * 0.2 / (TAU_MEM * TAU_SYN))
        np.testing.assert_allclose(record.slope, slope, rtol=1e-3)


def test_a_peak_that_just_touches_the_threshold_fires():
    """Of a spike at 0, v = tau_mem w (x - x^2): its peak is found without rounding."""
    model = make_model([1, 1], 0)
    weight = 4 * 0.2 / TAU_MEM
    height = TAU_MEM * weight
    assert height**2 == 4 * 0.2 * height
    (record,) = run(model, [[[weight]]], make_inputs(model, [0.0], [0]))
    # The square root there magnifies what rounding leaves.
    np.testing.assert_allclose(record.time, [TAU_MEM * math.log(2)], rtol=1e-7)
    np.testing.assert_allclose(record.slope, [0], atol=1e-6)


@pytest.mark.parametrize("dt_ms", [0, 2])
def test_inhibition_alone_never_fires(dt_ms):
    model = make_model([2, 1], dt_ms)
    inputs = make_inputs(model, [0.01, 0.012, 0.05], [0, 1, 0])
    assert run(model, [[[-30.0], [-1e6]]], inputs)[0].n_spikes == 0
    # Excitation that overcomes it does.
    assert run(model, [[[30.0], [-1.0]]], inputs)[0].n_spikes > 0


def test_neuron_left_above_threshold_stays_silent_until_it_crosses_again():
    """One strong spike, 8 ms bins: above threshold at the time sent, then only falling.

    An inhibitory spike pulls it below; the next excitation makes it cross again.
    """
    model = make_model([2, 1], 8)
    weights = [[150.0], [-150.0]]
    inputs = make_inputs(model, [0.0, 0.040, 0.072], [0, 1, 0])
    (record,) = run(model, [weights], inputs)
    assert record.step.tolist() == [1, 11]

    # By definition: after the reset v is above threshold still when the spike is sent.
    reset = math.exp(-(0.016 - record.time[0]) / TAU_MEM)
    assert 150 * eps(0.016 - 0.008) - 0.2 * reset > 0.2
    expected = event_oracles.simulate_layer(
        [(0.008, 0), (0.048, 1), (0.080, 0)],
        weights,
        tau_mem=TAU_MEM,
        tau_syn=TAU_SYN,
        v_threshold=0.2,
        delta_v=0.2,
        duration=DURATION,
        dt=0.008,
    )
    assert record.step.tolist() == [step for _, _, step, _ in expected]
    np.testing.assert_allclose(record.time, [s[0] for s in expected], atol=1e-12)
    # In continuous time the same drive makes it fire several times in that bin.
    exact = make_model([2, 1], 0)
    (record,) = run(exact, [weights], make_inputs(exact, [0.008, 0.048], [0, 1]))
    assert np.count_nonzero(record.time < 0.016) > 1


# --- the edges of a sample


def weight_to_cross_at(delay):
    """Weight of one spike that makes v reach 0.2 `delay` seconds after it arrives."""
    return 0.2 / eps(delay)


@pytest.mark.parametrize("time", [0.198, 0.201])
def test_crossing_counts_if_it_comes_before_the_duration(time):
    """Bin 28 of 7 ms is [196, 203) ms: it ends after the sample, which lasts 200 ms."""
    sizes, strength = [1, 1, 1], [[1e4]]
    model = make_model(sizes, 7)
    weights = [[[weight_to_cross_at(time - 0.182)]], strength]
    hidden, output = run(model, weights, make_inputs(model, [0.176], [0]))
    assert hidden.step.tolist() == ([28] if time < DURATION else [])
    # It is sent after the sample's end, so it drives nothing in it.
    assert output.n_spikes == 0
    longer = make_model(sizes, 7, duration=210 * ms)
    hidden, output = run(longer, weights, make_inputs(longer, [0.176], [0]))
    np.testing.assert_allclose(hidden.time[:1], [time], rtol=1e-12)
    assert hidden.step[0] == 28 and output.n_spikes > 0


@pytest.mark.parametrize(("dt_ms", "last"), [(7, 0.1959), (2, 0.1979)])
@pytest.mark.parametrize("late_weight", [1e6, -1e6])
def test_nothing_delivered_after_the_duration_drives(dt_ms, last, late_weight):
    model = make_model([2, 1], dt_ms)
    late = make_inputs(model, [last + 1e-4], [0])
    assert run(model, [[[late_weight], [0.0]]], late)[0].n_spikes == 0
    early = make_inputs(model, [last - 1e-4], [0])
    assert run(model, [[[1e5], [0.0]]], early)[0].n_spikes > 0


@pytest.mark.parametrize("dt_ms", [0, 2])
def test_max_spikes_stops_a_neuron(dt_ms):
    free = make_model([6, 19, 3], dt_ms)
    capped = make_model([6, 19, 3], dt_ms, max_spikes=(2, 100))
    weights, inputs = draw(free, np.random.default_rng(0), n_samples=3)
    all_spikes, (hidden, output) = (run(m, weights, inputs) for m in (free, capped))
    seen, kept = {}, []
    for sample, neuron in zip(all_spikes[0].sample, all_spikes[0].neuron, strict=True):
        seen[sample, neuron] = seen.get((sample, neuron), 0) + 1
        kept.append(seen[sample, neuron] <= 2)
    assert 0 < np.count_nonzero(kept) < len(kept)
    np.testing.assert_array_equal(hidden.neuron, all_spikes[0].neuron[kept])
    np.testing.assert_array_equal(hidden.time, all_spikes[0].time[kept])
    # The next layer is driven by those alone.
    second = make_model([19, 3], dt_ms)
    driven = dataclasses.replace(hidden, slope=None)
    assert_same([output], run(second, weights[1:], driven))


@pytest.mark.parametrize("dt_ms", [0, 2])
def test_simultaneous_deliveries_act_together(dt_ms):
    model = make_model([2, 1], dt_ms)
    inputs = make_inputs(model, [0.02, 0.02, 0.1, 0.1], [0, 1, 1, 0])
    assert run(model, [[[1000.0], [-1000.0]]], inputs)[0].n_spikes == 0
    halves = run(model, [[[16.0], [16.0]]], inputs)
    whole = run(model, [[[32.0], [0.0]]], inputs)
    assert whole[0].n_spikes > 0
    assert_same(halves, whole)


@pytest.mark.parametrize("dt_ms", [0, 2])
def test_silence_and_empty_batches(dt_ms):
    model = make_model([2, 3, 1], dt_ms)
    weights = [np.full(shape, 50.0) for shape in model.weight_shapes]
    for n_samples in (0, 1, 3):
        records = run(model, weights, make_inputs(model, [], [], n_samples=n_samples))
        assert [r.n_samples for r in records] == [n_samples] * 2
        assert [r.n_spikes for r in records] == [0, 0]


# --- properties


def spike_trains(n_neurons):
    """Bins of 1 ms and neurons of input spikes; never two of a neuron within 7 ms."""
    pairs = st.tuples(st.integers(0, 13), st.integers(0, n_neurons - 1))
    trains = st.lists(pairs, min_size=5, max_size=30, unique=True)
    return trains.map(lambda train: [(7 * slot + n, n) for slot, n in train])


# Whole numbers, so that sums of weights do not depend on their order.
SEEDS, DT_MS = st.integers(0, 2**32 - 1), st.sampled_from([0, 0.5, 2, 7])


@settings(max_examples=40)
@given(spike_trains(5), SEEDS, DT_MS)
def test_permuting_neurons_permutes_the_spikes(train, seed, dt_ms):
    rng = np.random.default_rng(seed)
    model = make_model([5, 37], dt_ms)
    time, neuron = np.array(train).T
    weights = rng.integers(-30, 40, (5, 37)).astype(float)
    rows, columns = rng.permutation(5), rng.permutation(37)
    plain = run(model, [weights], make_inputs(model, time * 1e-3, neuron))[0]
    permuted = run(
        model,
        [weights[rows][:, columns]],
        make_inputs(model, time * 1e-3, np.argsort(rows)[neuron]),
    )[0]
    back = columns[permuted.neuron]
    when = permuted.time if dt_ms == 0 else permuted.step
    order = np.lexsort((back, when))
    np.testing.assert_array_equal(back[order], plain.neuron)
    np.testing.assert_array_equal(permuted.time[order], plain.time)
    np.testing.assert_array_equal(permuted.slope[order], plain.slope)


@settings(max_examples=40)
@given(spike_trains(5), SEEDS, st.sampled_from([0.5, 2, 7]), st.integers(1, 13))
def test_shifting_the_input_by_whole_bins_shifts_the_output(train, seed, dt_ms, shift):
    rng = np.random.default_rng(seed)
    time, neuron = np.array(train).T
    weights = [rng.normal(3, 16, (5, 7))]
    model = make_model([5, 7], dt_ms, duration=1000 * ms)
    inputs = make_inputs(model, time * 1e-3, neuron)
    later = dataclasses.replace(inputs, step=inputs.step + shift, time=None)
    first, second = run(model, weights, inputs)[0], run(model, weights, later)[0]
    np.testing.assert_array_equal(first.neuron, second.neuron)
    np.testing.assert_array_equal(first.step + shift, second.step)
    np.testing.assert_allclose(
        first.time + shift * model.dt_seconds, second.time, rtol=0, atol=1e-9
    )


@settings(max_examples=40)
@given(spike_trains(5), SEEDS, DT_MS)
def test_spikes_are_ordered_and_at_most_one_a_bin(train, seed, dt_ms):
    rng = np.random.default_rng(seed)
    model = make_model([5, 20, 4], dt_ms)
    weights = [rng.normal(10, 30, shape) for shape in model.weight_shapes]
    time, neuron = np.array(train).T
    for record in run(model, weights, make_inputs(model, time * 1e-3, neuron)):
        assert np.all(np.diff(record.arrival) >= 0)
        assert np.all((record.time >= 0) & (record.time < DURATION))
        assert np.all(np.isfinite(record.slope) & (record.slope >= 0))
        if dt_ms:
            assert np.all(record.time <= record.arrival)
            assert np.all(record.arrival - record.time <= model.dt_seconds * (1 + 1e-9))
            pairs = set(zip(record.step.tolist(), record.neuron.tolist(), strict=True))
            assert len(pairs) == record.n_spikes


# --- what must not matter


@pytest.mark.parametrize("dt_ms", [0, 8])
def test_workers_and_batching_do_not_matter(dt_ms):
    """At 8 ms with strong weights some neurons end a sample above threshold."""
    model = make_model([6, 19, 3], dt_ms)
    weights, inputs = draw(model, np.random.default_rng(1), n_samples=5)
    weights = [3 * weight for weight in weights]
    one = run(model, weights, inputs, workers=1)
    assert one[-1].n_spikes > 5
    for workers in (2, 3, 8, None):
        assert_same(one, run(model, weights, inputs, workers=workers))
    alone = [run(model, weights, inputs.select(m, m + 1)) for m in range(5)]
    joined = [bsnn.Spikes.concatenate(parts) for parts in zip(*alone, strict=True)]
    assert_same(one, joined)


@pytest.mark.parametrize("dt_ms", [0, 2])
def test_precision_and_layout_of_weights_do_not_matter(dt_ms):
    """Whatever the arrays are, the kernel computes in double."""
    model = make_model([6, 19, 3], dt_ms)
    weights, inputs = draw(model, np.random.default_rng(2))
    single = [weight.astype(np.float32) for weight in weights]
    expected = run(model, [weight.astype(np.float64) for weight in single], inputs)
    assert expected[-1].n_spikes > 5
    with EventSimulator(model) as simulator:
        for variant in (
            single,
            [np.asfortranarray(weight) for weight in single],
            [np.repeat(weight, 2, axis=1)[:, ::2] for weight in single],
            [single[0], single[1].astype(np.float64)],
        ):
            assert_same(expected, simulator.run(variant, inputs))


# --- refusals


@pytest.mark.parametrize("dt_ms", [0, 1])
def test_other_time_constants_are_refused(dt_ms):
    model = make_model([2, 3, 1], dt_ms)
    odd = dataclasses.replace(model.neurons[1], tau_mem=50 * ms)
    model = dataclasses.replace(model, neurons=(model.neurons[0], odd))
    message = rf"'tau_mem' of layer 2 must be 2 tau_syn under the rule '{model.rule}'"
    with pytest.raises(ValueError, match=f"{message}.*use the rule 'grid'"):
        EventSimulator(model)


def test_other_rules_and_no_workers_are_refused():
    with pytest.raises(ValueError, match="'rule' must be .*got 'grid'"):
        EventSimulator(make_model([2, 1], 1, rule="grid"))
    with pytest.raises(ValueError, match="'workers' must be at least 1, got 0"):
        EventSimulator(make_model([2, 1], 1), workers=0)


@pytest.mark.parametrize(("weight", "delta_v"), [(1e12, 0.2), (9e17, 0.2), (60, 1e-12)])
def test_firing_without_bound_is_an_error_and_the_simulator_survives(weight, delta_v):
    model = make_model([1, 1, 1], 0, delta_v=[0.2, delta_v])
    inputs = make_inputs(model, [0.01], [0])
    with EventSimulator(model) as simulator:
        for _ in range(2):
            with pytest.raises(ValueError, match="layer 2 fires without bound"):
                simulator.run([np.array([[60.0]]), np.array([[weight]])], inputs)
            records = simulator.run([np.array([[60.0]]), np.array([[0.0]])], inputs)
            assert records[0].n_spikes > 0


def test_spikes_at_one_instant_are_in_order_of_neurons():
    """Neuron 5 fires just as the spike arrives that makes neuron 3 fire at once.

    Rounding puts that into the interval before the arrival or into the one after it.
    """
    model = make_model([2, 6], 0, max_spikes=(1,))
    n_together = 0
    with EventSimulator(model, workers=1) as simulator:
        for weight in np.linspace(56, 60, 41):
            weights = np.zeros((2, 6))
            weights[0, 5], weights[1, 3] = weight, 1e17
            alone = simulator.run([weights], make_inputs(model, [0.0], [0]))[0].time[0]
            inputs = make_inputs(model, [0.0, alone], [0, 1])
            (record,) = simulator.run([weights], inputs)
            found = list(zip(record.time, record.neuron, strict=True))
            assert found == sorted(found)
            assert len(found) == 2
            n_together += record.time[0] == record.time[1]
    assert n_together > 10


def test_make_simulator_chooses_it_and_closing_twice_is_fine():
    for dt_ms in (0, 1):
        simulator = bsnn.make_simulator(make_model([2, 1], dt_ms), workers=1)
        assert isinstance(simulator, EventSimulator)
        simulator.close()
        simulator.close()
