"""What goes into a model: one meaning under every rule, or a refusal."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from brian2 import ms
from hypothesis import given, settings
from hypothesis import strategies as st

import bsnn
from bsnn import gate
from bsnn.equations import time_rules
from bsnn.simulators.base import Simulator
from bsnn.simulators.choose import make_simulator
from bsnn.simulators.stock import run_stock
from bsnn.training import SpikeCountLoss, SpikingNetwork
from tests.oracles import event as event_oracles
from tests.reliability import outside
from tests.reliability.outside import RULES, make_model

N_INPUTS, DURATION = 12, 0.2
# Double precision shares the program of test_grid.py.
NETWORK = {"precision": "double", "low": -50, "high": 90, "workers": 1}


class Taken(Simulator):
    """Keeps what came through the gate."""

    def _run(self, weights, inputs):
        return inputs

    def _release(self):
        pass


def take(model, inputs):
    return Taken(model).run([np.ones(shape) for shape in model.weight_shapes], inputs)


def event(model, time, neuron=0, n_samples=2):
    return bsnn.Spikes.from_events(
        sample=[0],
        neuron=[neuron],
        time=[time],
        n_samples=n_samples,
        n_neurons=model.n_inputs,
        dt=model.dt_seconds,
    )


# --- the ends of a sample


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("late", [0.0, 1e-3, 1.0, 1e5])
def test_a_spike_after_the_sample_is_refused(rule, late):
    model = make_model(rule)
    end = model.n_steps * model.dt_seconds or DURATION  # 203 ms in steps of 7 ms
    assert take(model, event(model, np.nextafter(end, 0) - 1e-4)).n_spikes == 1
    with pytest.raises(
        ValueError, match="'inputs' must .* spike .*leave later spikes out, or choose a"
    ):
        take(model, event(model, end + late))


@pytest.mark.parametrize("rule", RULES)
def test_the_bounds_are_named(rule):
    model = make_model(rule)
    words = {
        "continuous": "before the sample's end at 0.2 s, got a spike at 0.21 s",
        "grid": r"in the sample's steps 0\.\.28, got a spike in step 30",
    }
    with pytest.raises(ValueError, match=words.get(rule, words["grid"])):
        take(model, event(model, 0.21))


def test_a_step_without_a_time_ends_with_the_sample():
    model = make_model("grid")
    spikes = event(model, 0.1)
    last = dataclasses.replace(spikes, time=None, step=[model.n_steps - 1])
    assert take(model, last).last == 28
    with pytest.raises(ValueError, match=r"steps 0\.\.28, got a spike in step 29"):
        take(model, dataclasses.replace(last, step=[model.n_steps]))


@pytest.mark.cpp
@pytest.mark.parametrize("rule", RULES)
def test_a_spike_of_the_last_step_acts_in_no_sample(rule):
    """It arrives at the sample's end, whatever its weight; one step earlier it acts."""
    model = make_model(rule, 0 if rule == "continuous" else 1)
    weights = [np.full(shape, 300.0) for shape in model.weight_shapes]
    last = np.nextafter(DURATION, 0)
    with make_simulator(model, workers=1) as simulator:
        for record in simulator.run(weights, event(model, last)):
            assert record.n_spikes == 0
        first, *_ = simulator.run(weights, event(model, last - 5e-3))
        assert first.counts()[0].all() and not first.counts()[1].any()


@pytest.mark.parametrize("rule", ["grid", "quantised-event"])
def test_spikes_of_another_model_are_refused(rule):
    model = make_model(rule)
    with pytest.raises(ValueError, match="'inputs' must have 12 neurons, got 13"):
        take(model, dataclasses.replace(event(model, 0.1), n_neurons=13))
    other = make_model(rule, 1)
    with pytest.raises(ValueError, match="encoded at the model's time step of 0.007 s"):
        take(model, event(other, 0.1))


def test_what_programs_number_in_32_bits_is_bounded(monkeypatch):
    grid, exact = make_model("grid"), make_model("continuous")
    most = (2**31 - 1) // grid.n_steps
    with pytest.raises(ValueError, match=f"more than {most} samples.*split the batch"):
        take(grid, _empty(grid, most + 1))
    assert take(exact, event(exact, 0.1)).n_spikes == 1
    inputs = bsnn.Spikes.concatenate([event(grid, 0.1)] * 3)
    monkeypatch.setattr(gate, "MAX_INT32", 2)
    monkeypatch.setattr(type(grid), "n_steps", 0)
    monkeypatch.setattr(type(inputs), "last", -1)
    with pytest.raises(ValueError, match="more than 2 spikes, got 3; split the batch"):
        take(make_model("grid"), inputs)


def _empty(model, n_samples):
    class Offset(np.ndarray):
        """As long as that of many samples, without its memory."""

        def __len__(self):
            return n_samples + 1

    none = bsnn.Spikes.from_events(
        sample=[],
        neuron=[],
        step=[],
        n_samples=0,
        n_neurons=model.n_inputs,
        dt=model.dt_seconds,
    )
    none.__dict__["offset"] = none.offset.view(Offset)
    return none


# --- arrays in place of spikes


def dense(model, seed=0, n_samples=3):
    rng = np.random.default_rng(seed)
    return rng.random((n_samples, model.n_steps, model.n_inputs)) < 0.1


@pytest.mark.parametrize("rule", ["grid", "quantised-event"])
def test_a_dense_array_is_its_spikes(rule):
    model = make_model(rule)
    array = dense(model)
    for given_ in (array, array.tolist(), torch.tensor(array), array.astype("f4")):
        spikes = take(model, given_)
        back = np.zeros(array.shape, bool)
        back[spikes.sample, spikes.step, spikes.neuron] = True
        np.testing.assert_array_equal(back, array)


@pytest.mark.parametrize(
    ("shape", "remedy"),
    [
        ((29, 12), r"batch of one with inputs\[None\]"),
        ((29, 3, 12), "transpose it"),
        ((3, 12, 29), "transpose it"),
        ((3, 28, 12), "its samples, steps and neurons.*encode_ttfs"),
        ((3, 12), "lists of events through Spikes.from_events or from_padded"),
        ((3, 28, 28), "images go through bsnn.encode_ttfs"),
        ((), "encode_ttfs"),
    ],
)
def test_an_array_of_another_shape_is_refused_with_the_remedy(shape, remedy):
    words = rf"'inputs' as an array must have shape \(n_samples, 29, 12\).*{remedy}"
    with pytest.raises(ValueError, match=words):
        take(make_model("grid"), np.zeros(shape))


@pytest.mark.parametrize("dt_ms", [7, 200 / 12])
def test_an_array_that_leaves_the_order_of_axes_open_is_refused(dt_ms):
    """Time first and samples first look alike: 29 samples of 29 steps, 12 of 12."""
    model = make_model("grid", dt_ms)
    array = dense(model, n_samples=29 if dt_ms == 7 else 3)
    with pytest.raises(ValueError, match="leave open which axis is time.*from_dense"):
        take(model, array)
    spikes = bsnn.Spikes.from_dense(array, dt=model.dt)
    assert take(model, spikes).n_spikes == array.sum() > 0


@pytest.mark.parametrize(
    ("inputs", "error", "words"),
    [
        (np.full((3, 29, 12), 0.5), ValueError, "'inputs' must hold 0 and 1 .*encode"),
        (
            torch.zeros(3, 29, 12, requires_grad=True),
            TypeError,
            "'inputs' must not",
        ),
        (
            torch.zeros(3, 29, 12, device="meta"),
            TypeError,
            "in main memory, got",
        ),
        (np.full((3, 29, 12), "a"), TypeError, "must be Spikes or an array.*ndarray"),
        ("spikes", TypeError, "must be Spikes or an array of 0 and 1, got str"),
        (None, TypeError, "must be Spikes or an array of 0 and 1, got NoneType"),
        ([object()], TypeError, "must be Spikes or an array of 0 and 1, got list"),
        ({0: [0.1]}, TypeError, "must be Spikes or an array of 0 and 1, got dict"),
    ],
)
def test_what_is_no_spikes_is_refused(inputs, error, words):
    with pytest.raises(error, match=words):
        take(make_model("grid"), inputs)


def test_arrays_need_time_steps():
    with pytest.raises(ValueError, match="must be Spikes where time is continuous"):
        take(make_model("continuous"), np.zeros((3, 200, 12)))


@pytest.mark.cpp
def test_a_network_takes_arrays_and_its_own_records():
    model = make_model("grid")
    array = dense(model)
    spikes = bsnn.Spikes.from_dense(array, dt=model.dt)
    loss, labels = SpikeCountLoss(), [0, 1, 2]
    with SpikingNetwork(model, **NETWORK) as network:
        gradients = []
        for inputs in (spikes, array, torch.tensor(array).float()):
            network.zero_grad()
            layers = network(inputs)
            assert layers[-1].record.n_spikes > 5
            loss(layers, labels).backward()
            gradients.append([w.grad.clone() for w in network.parameters()])
        for other in gradients[1:]:
            assert all(map(torch.equal, gradients[0], other))
        with pytest.raises(TypeError, match="got LayerSpikes; pass its '.record'"):
            network(layers[0])
        with pytest.raises(ValueError, match="'inputs' must lie in the sample's steps"):
            network(event(model, 0.3))


@pytest.mark.cpp
def test_a_gradient_of_times_that_were_changed_in_place_is_refused():
    model = make_model("grid")
    with SpikingNetwork(model, **NETWORK) as network:
        layers = network(dense(model))
        layers[0].time.mul_(1e3)
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            layers[-1].time.sum().backward()


def test_a_monitor_is_refused_with_the_remedy():
    class SpikeMonitor:
        source, i, t, record = [], [], [], True

    with pytest.raises(TypeError, match="got SpikeMonitor; bsnn.analysis.as_spikes"):
        take(make_model("grid"), SpikeMonitor())


def test_stock_brian2_has_the_same_gate():
    model = make_model("grid")
    weights = [np.ones(shape) for shape in model.weight_shapes]
    with pytest.raises(ValueError, match="'inputs' must lie in the sample's steps"):
        run_stock(model, weights, event(model, 0.3))
    event_model = make_model("quantised-event")
    with pytest.raises(ValueError, match="'rule' must be 'grid' here"):
        run_stock(event_model, weights, event(event_model, 0.1))


# --- whatever passes: the same alone as in a batch, and as in the slow models

# From all of a sample, and more often from its ends; a neuron fires once in 7 ms.
TIMES = st.one_of(
    st.floats(0, 0.2, exclude_max=True),
    st.sampled_from([0.0, 0.1995, np.nextafter(0.2, 0)]),
)
EVENTS = st.lists(
    st.tuples(st.integers(0, 3), TIMES, st.integers(0, N_INPUTS - 1)),
    max_size=40,
    unique_by=lambda event: (event[0], event[2], int(event[1] / 7e-3 + 1e-3)),
)


@pytest.fixture(scope="module")
def simulators():
    made = outside.make_simulators()
    yield made
    for simulator in made.values():
        simulator.close()


def passed(model, events):
    """Return the spikes of `events`, as the gate passes them."""
    sample, time, neuron = zip(*events, strict=True) if events else ([], [], [])
    spikes = bsnn.Spikes.from_events(
        sample=sample,
        neuron=neuron,
        time=time,
        n_samples=4,
        n_neurons=N_INPUTS,
        dt=model.dt_seconds,
    )
    return take(model, spikes)


@pytest.mark.cpp
@pytest.mark.parametrize("rule", RULES)
@settings(max_examples=25, deadline=None)
@given(events=EVENTS)
def test_samples_are_the_same_alone(simulators, rule, events):
    model = make_model(rule)
    spikes = passed(model, events)
    outside.check_simulation(simulators[rule], spikes)


@pytest.fixture(scope="module")
def reader(simulators, tmp_path_factory):
    return outside.make_reader(tmp_path_factory.mktemp("outside"), simulators)


@pytest.mark.cpp
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("door", outside.DOORS)
def test_every_door_is_open_to_sound_spikes(reader, door, rule):
    is_open = rule != "continuous" or door not in ("dense", "array")
    call = outside.valid_call(door, rule)
    assert reader.accepts(json.dumps(call).encode()) == is_open


@pytest.mark.cpp
@settings(max_examples=60, deadline=None)
@given(rng=st.randoms(use_true_random=False))
def test_damaged_spikes_are_refused_by_name_or_simulated_alike(reader, rng):
    """A short run of what `make fuzz` does."""
    reader.accepts(reader.damaged(reader.valid, rng))


@pytest.mark.cpp
@pytest.mark.parametrize("dt_ms", [0, 7])
@settings(max_examples=10, deadline=None)
@given(events=EVENTS, seed=st.integers(0, 99))
def test_event_rules_equal_the_root_finder(dt_ms, events, seed):
    model = bsnn.Model.dense(
        [N_INPUTS, 3, 2],
        v_threshold=0.2,
        tau_syn=20 * ms,
        tau_mem=40 * ms,
        dt=dt_ms * ms,
        duration=200 * ms,
        rule="quantised-event" if dt_ms else "continuous",
    )
    spikes = passed(model, events)
    rng = np.random.default_rng(seed)
    weights = [rng.normal(3, 16, shape) for shape in model.weight_shapes]
    with make_simulator(model, workers=1) as simulator:
        records = simulator.run(weights, spikes)
    layer = {"tau_mem": 0.04, "tau_syn": 0.02, "v_threshold": 0.2, "delta_v": 0.2}
    for m in range(4):
        one = spikes.select(m, m + 1)
        expected = event_oracles.simulate_network(
            list(zip(one.arrival, one.neuron, strict=True)),
            weights,
            layers=[layer] * 2,
            duration=DURATION,
            dt=model.dt_seconds,
        )
        for record, found in zip(records, expected, strict=True):
            part = record.select(m, m + 1)
            assert part.neuron.tolist() == [neuron for *_, neuron in found]
            np.testing.assert_allclose(
                part.time, [time for time, *_ in found], rtol=0, atol=1e-12
            )


@given(st.floats(0, 0.2), st.sampled_from([0.25, 1, 7]))
def test_both_clocked_rules_take_a_time_for_the_same_step(time, dt_ms):
    steps = []
    for rule in ("grid", "quantised-event"):
        model = make_model(rule, dt_ms)
        try:
            steps.append(take(model, event(model, time)).step.tolist())
        except ValueError:
            steps.append(None)
    assert steps[0] == steps[1]
    step = min(int(time_rules.bin_index(time, dt_ms * 1e-3)), model.n_steps - 1)
    end = model.n_steps * model.dt_seconds
    assert steps[0] == ([step] if time < end else None)


@pytest.mark.parametrize("rule", RULES)
def test_times_just_before_the_end_are_in_the_sample(rule):
    """Brian2's bins begin 1e-3 of a step early; the last one ends with the sample."""
    model = make_model(rule, 0 if rule == "continuous" else 1)
    spikes = bsnn.Spikes.from_events(
        sample=[0, 1, 1],
        neuron=[0, 3, 2],
        time=[DURATION - 1e-8, DURATION - 2e-4, DURATION - 1e-8],
        n_samples=2,
        n_neurons=model.n_inputs,
        dt=model.dt_seconds,
    )
    found = take(model, spikes)
    assert found.n_spikes == 3
    if rule != "continuous":
        assert found.step.tolist() == [199] * 3
        assert found.neuron.tolist() == [0, 2, 3]
