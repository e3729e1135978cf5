"""Networks of any neurons: stock Brian2's spikes, and a torch replay's gradients."""

import dataclasses
import json
import re

import numpy as np
import pytest
import torch
from brian2.units import ms

from bsnn import Connection, Inputs, Network, Neuron, Population
from bsnn.equations.dynamics import Dynamics
from bsnn.equations.synapse import Synapse
from bsnn.errors import NumbersError, ProgramError
from bsnn.program.graph_form import Losses
from bsnn.simulators.network import NetworkSimulator
from tests.neurons import CASES, NOISY, SIZE, all_neurons, draw, learned
from tests.oracles.noise import normal
from tests.oracles.replay import replay
from tests.oracles.stock import run_stock

pytestmark = [
    pytest.mark.cpp,
    # Of torch itself, where it first differentiates forwards.
    pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated"),
]

NETWORK = all_neurons()
BRIEF = all_neurons(12 * ms)  # what the replay has the time for
WEIGHTS, INPUTS = draw(NETWORK, np.random.default_rng(1))
SEED = 5
FLOORS = {
    name: max(0.1 * Dynamics(case.neuron).slope_scale(), 1e-3)
    for name, case in CASES.items()
}


# Whose backward pass needs no states between spikes.
LINEAR = all_neurons(names=["cuba", "alif", "condition", "each"])


@pytest.fixture(scope="module")
def simulator():
    with NetworkSimulator(NETWORK, learn=learned()) as simulator:
        yield simulator


@pytest.fixture(scope="module")
def records(simulator):
    return simulator.run(WEIGHTS, INPUTS, seed=SEED)


@pytest.fixture(scope="module")
def stock():
    return [run_stock(NETWORK, WEIGHTS, INPUTS, sample) for sample in range(2)]


@pytest.mark.parametrize("name", sorted(CASES.keys() - NOISY))
@pytest.mark.parametrize("sample", range(2))
def test_spikes_and_traces_are_those_of_stock_brian2(name, sample, records, stock):
    spikes = records.spikes[name].select(sample, sample + 1)
    found = set(zip(spikes.step.tolist(), spikes.neuron.tolist(), strict=True))
    assert found == stock[sample].spikes[name]
    assert len({neuron for _, neuron in found}) == SIZE  # all of them fire
    (variable,) = NETWORK.named[name].record
    np.testing.assert_allclose(
        records.traces[name, variable][sample],
        stock[sample].traces[name, variable],
        rtol=0,
        atol=1e-11 * np.abs(stock[sample].traces[name, variable]).max(),
    )


def test_numbers_below_the_normal_ones_are_kept(simulator):
    """As by stock Brian2; a program linked with -ffast-math would make them zero."""
    tiny = [weight * (1e-310 / np.abs(weight).max()) for weight in WEIGHTS]
    (variable,) = NETWORK.named["cuba"].record
    trace = simulator.run(tiny, INPUTS, seed=SEED).traces["cuba", variable]
    assert 0 < np.abs(trace).max() < np.finfo(float).tiny


def _losses(records, rng):
    return Losses(
        spikes={
            name: (spikes.offset, rng.normal(size=spikes.n_spikes))
            for name, spikes in records.spikes.items()
        },
        traces={
            key: rng.normal(size=trace.shape) / trace.shape[1]
            for key, trace in records.traces.items()
        },
    )


def _replayed(network, weights, inputs, records, losses, learn, normal=None):
    """Return the leaves of a replay of one sample, with their derivatives."""
    leaves, times, traces = replay(
        network,
        weights,
        inputs,
        records.spikes,
        0,
        learn=learn,
        slope_min=FLOORS,
        normal=normal,
    )
    loss = sum(
        (times[n] * torch.tensor(v)).sum() for n, (_, v) in losses.spikes.items()
    )
    loss = loss + sum(
        (traces[k] * torch.tensor(v[0])).sum() for k, v in losses.traces.items()
    )
    loss.backward()
    return leaves


@pytest.fixture(scope="module")
def derivatives():
    """Of one brief sample: those of the program, and those of the replay."""
    weights, inputs = draw(BRIEF, np.random.default_rng(2), n_samples=1, n_spikes=4)
    with NetworkSimulator(BRIEF, learn=learned(), workers=1) as simulator:
        records = simulator.run(weights, inputs, seed=SEED)
        losses = _losses(records, np.random.default_rng(3))
        found = simulator.pull_back(
            weights, inputs, losses, seed=SEED, slope_min=FLOORS
        )

    def numbers(name, noise, step, sample):
        streams = sorted(CASES[name].neuron.parsed.stochastic_variables)
        part = [p.name for p in BRIEF.populations].index(name)
        stream = (part << 8) + streams.index(noise)
        drawn = normal(SIZE, seed=SEED, sample=sample, step=step, stream=stream)
        return torch.from_numpy(drawn)

    leaves = _replayed(BRIEF, weights, inputs, records, losses, learned(), numbers)
    return records, found, leaves


def _assert_close(found, leaf):
    expected = torch.zeros_like(leaf) if leaf.grad is None else leaf.grad
    expected = expected.numpy().reshape(found.shape)
    np.testing.assert_allclose(
        found, expected, rtol=0, atol=1e-9 * np.abs(expected).max()
    )


@pytest.mark.parametrize("name", sorted(CASES))
def test_derivatives_are_those_of_a_replay(name, derivatives):
    records, found, leaves = derivatives
    assert records.spikes[name].n_spikes >= 2
    for k, connection in enumerate(BRIEF.connections):
        if connection.target == name:
            _assert_close(found.weights[k], leaves["weights"][k])
            if connection.name in leaves["delays"]:
                leaf = leaves["delays"][connection.name]
                _assert_close(found.delays[connection.name], leaf)
    for key, leaf in leaves["parameters"].items():
        if key[0] == name:
            _assert_close(found.parameters[key], leaf)


def test_derivatives_by_input_times_and_currents_are_those_of_a_replay(derivatives):
    _, found, leaves = derivatives
    _assert_close(found.inputs["inputs"], leaves["inputs"]["inputs"])
    assert len(found.currents) == 2
    for key, leaf in leaves["currents"].items():
        _assert_close(found.currents[key], leaf)


def test_numbers_of_workers_change_no_bit(simulator, records):
    weights, inputs = draw(NETWORK, np.random.default_rng(4), n_samples=5)
    results = []
    for workers in (1, 2):
        with NetworkSimulator(NETWORK, learn=learned(), workers=workers) as other:
            assert other.folder == simulator.folder
            ran = other.run(weights, inputs, seed=SEED)
            losses = _losses(ran, np.random.default_rng(6))
            results.append((ran, other.pull_back(weights, inputs, losses, seed=SEED)))
    (one, by_one), (two, by_two) = results
    for name in CASES:
        np.testing.assert_array_equal(one.spikes[name].step, two.spikes[name].step)
        np.testing.assert_array_equal(one.spikes[name].offset, two.spikes[name].offset)
    for a, b in zip(by_one.weights, by_two.weights, strict=True):
        np.testing.assert_array_equal(a, b)
    for key in by_one.parameters:
        np.testing.assert_array_equal(by_one.parameters[key], by_two.parameters[key])
    np.testing.assert_array_equal(by_one.inputs["inputs"], by_two.inputs["inputs"])


def test_linear_neurons_are_not_simulated_again():
    weights, inputs = draw(LINEAR, np.random.default_rng(4), n_samples=13)
    learn = {
        "cuba": ["v_threshold", "delta_v"],
        "alif": ["beta"],
        "condition": ["theta"],
        "each": ["bound", "factor"],
    }
    _, fewer = draw(LINEAR, np.random.default_rng(5), n_samples=12)
    results = []
    for workers in (1, 2):
        with NetworkSimulator(LINEAR, learn=learn, workers=workers) as simulator:

            def pull_back(weights, records, given=inputs, simulator=simulator):
                losses = _losses(records, np.random.default_rng(6))
                return simulator.pull_back(weights, given, losses, records=records)

            ran = simulator.run(weights, inputs)
            results.append(pull_back(weights, ran))
            ran = simulator.run(weights, inputs, keep=True)
            assert ran.crossings is None
            results += [pull_back(weights, ran), pull_back(weights, ran)]
            moved = [2 * w for w in weights]  # of which nothing is simulated
            other = pull_back(moved, ran)
            assert np.any(other.weights[1] != results[-1].weights[1])
            # Where later runs are kept, earlier ones are simulated again.
            simulator.run(weights, fewer, keep=True)
            results.append(pull_back(weights, ran))
            last = simulator.run(moved, inputs, keep=True)
            results.append(pull_back(weights, ran))
            losses = _losses(last, np.random.default_rng(6))
            with pytest.raises(ValueError, match="in 12 samples, got"):
                simulator.pull_back(weights, fewer, losses, records=last)
            # Fewer samples than were kept are simulated again, and found to differ.
            losses = losses.select(0, 12)
            with pytest.raises(ProgramError, match="gave other spikes"):
                simulator.pull_back(weights, fewer, losses, records=last)
    first, *others = results
    assert all(np.any(w) for w in first.weights)
    for other in others:
        for a, b in zip(first.weights, other.weights, strict=True):
            np.testing.assert_array_equal(a, b)
        for key in first.parameters:
            np.testing.assert_array_equal(first.parameters[key], other.parameters[key])
        np.testing.assert_array_equal(first.inputs["inputs"], other.inputs["inputs"])


def test_losses_that_do_not_fit_the_samples_are_refused(simulator):
    ran = simulator.run(WEIGHTS, INPUTS, seed=SEED)
    losses = _losses(ran, np.random.default_rng(6))
    (name, (offset, values)), *_ = losses.spikes.items()
    (key, trace), *_ = losses.traces.items()
    n = len(offset) - 1
    for changed, message in (
        (
            {"spikes": {**losses.spikes, "other": (offset, values)}},
            "'spikes' of 'losses'",
        ),
        ({"spikes": {}}, "'spikes' of 'losses' must be those of"),
        (
            {"spikes": {**losses.spikes, name: (offset, values[:-1])}},
            f"by the spikes of '{name}'",
        ),
        (
            {"spikes": {**losses.spikes, name: (offset[:-1], values)}},
            f"in {n} samples, got",
        ),
        ({"traces": {}}, "'traces' of 'losses'"),
        ({"traces": {**losses.traces, key: trace[:-1]}}, r"must have shape \("),
        ({"traces": {**losses.traces, key: trace[..., :-1]}}, r"must have shape \("),
        ({"existing": {name: trace[:, 1:]}}, r"must have shape \("),
    ):
        with pytest.raises(ValueError, match=message):
            simulator.pull_back(
                WEIGHTS, INPUTS, dataclasses.replace(losses, **changed), seed=SEED
            )


def test_neurons_that_bend_are_simulated_again(simulator):
    ran = simulator.run(WEIGHTS, INPUTS, seed=SEED, keep=True, crossings=True)
    assert ran.crossings is None
    losses = _losses(ran, np.random.default_rng(6))
    with pytest.raises(ProgramError, match="gave other spikes"):
        simulator.pull_back(
            [2 * w for w in WEIGHTS], INPUTS, losses, seed=SEED, records=ran
        )


def test_single_precision_is_close(records):
    with NetworkSimulator(NETWORK, learn=learned(), precision="single") as simulator:
        found = simulator.run(WEIGHTS, INPUTS, seed=SEED)
        by = simulator.pull_back(
            WEIGHTS,
            INPUTS,
            _losses(found, np.random.default_rng(6)),
            seed=SEED,
            slope_min=FLOORS,
        )
    for name in CASES:
        mine, theirs = found.spikes[name], records.spikes[name]
        # Rounding moves a spike by a step now and then.
        counts = mine.counts(), theirs.counts()
        assert np.abs(counts[0] - counts[1]).sum() <= 0.05 * theirs.n_spikes, name
    for trace in found.traces.values():
        assert trace.dtype == np.float32 and np.isfinite(trace).all()
    for derivatives in (by.weights, by.parameters.values(), by.inputs.values()):
        assert all(np.isfinite(d).all() for d in derivatives)
    assert all(np.any(d) for d in by.weights)


def test_noise_in_single_precision_is_close():
    # Its rate is infinite at the very start of a step, where neurons that a kick has
    # put far above threshold cross.
    neuron = Neuron(
        "dv/dt = -v/tau + 0.1*xi*tau**-0.5 : 1",
        threshold="v > 1",
        reset="v -= 1",
        method="euler",
        parameters={"tau": 8 * ms},
    )
    network = Network(
        [Inputs("in", 2), Population("cells", SIZE, neuron)],
        [Connection("in", "cells", on_pre="v += w")],
        dt=0.1 * ms,
        duration=10 * ms,
    )
    rng = np.random.default_rng(7)
    weights = [rng.uniform(0.5, 4.0, (2, SIZE))]
    inputs = np.zeros((4, network.n_steps, 2))
    inputs[:, ::7] = 1
    found = []
    for precision in ("single", "double"):
        options = {"learn": {"cells": ["tau"]}, "precision": precision}
        with NetworkSimulator(network, **options) as simulator:
            ran = simulator.run(weights, inputs, seed=SEED)
            losses = _losses(ran, np.random.default_rng(6))
            by = simulator.pull_back(
                weights, inputs, losses, seed=SEED, slope_min={"cells": 500.0}
            )
            found.append((ran.spikes["cells"], by))
    (spikes, by), (expected, by_double) = found
    np.testing.assert_array_equal(spikes.step, expected.step)
    assert expected.n_spikes > 500
    for mine, theirs in (
        (by.weights[0], by_double.weights[0]),
        (by.parameters["cells", "tau"], by_double.parameters["cells", "tau"]),
    ):
        np.testing.assert_allclose(
            mine, theirs, rtol=0, atol=1e-3 * np.abs(theirs).max()
        )


def test_noise_belongs_to_the_seed(simulator, records):
    again = simulator.run(WEIGHTS, INPUTS, seed=SEED)
    other = simulator.run(WEIGHTS, INPUTS, seed=SEED + 1)
    trace = records.traces["noisy", "v"]
    np.testing.assert_array_equal(again.traces["noisy", "v"], trace)
    assert (other.traces["noisy", "v"] != trace).mean() > 0.9
    assert (trace[0] != trace[1]).mean() > 0.9  # so do samples


def test_drawn_numbers_are_standard_normal():
    drawn = np.concatenate(
        [normal(500, seed=1, sample=0, step=k, stream=256) for k in range(20)]
    )
    assert abs(drawn.mean()) < 4 / np.sqrt(drawn.size)
    assert abs(drawn.var() - 1) < 4 * np.sqrt(2 / drawn.size)
    assert abs((drawn**4).mean() - 3) < 4 * np.sqrt(96 / drawn.size)


def test_one_program_serves_every_number(simulator):
    changed = {}
    for name, case in CASES.items():
        numbers = {n: 0.9 * v for n, v in case.neuron.parameters.items()}
        refractory = case.neuron.refractory
        if name in ("lif", "volt", "coba_lif"):
            refractory = 2 * refractory
        changed[name] = dataclasses.replace(
            case.neuron, parameters=numbers, refractory=refractory
        )
    populations = [
        part
        if isinstance(part, Inputs)
        else dataclasses.replace(part, neuron=changed[part.name])
        for part in NETWORK.populations
    ]
    network = Network(populations, NETWORK.connections, dt=0.05 * ms, duration=10 * ms)
    with NetworkSimulator(network, learn=learned()) as other:
        assert other.folder == simulator.folder
        weights, inputs = draw(network, np.random.default_rng(7), n_samples=1)
        found = other.run(weights, inputs)
    expected = run_stock(network, weights, inputs, 0)
    for name in CASES.keys() - NOISY:
        spikes = found.spikes[name]
        steps = zip(spikes.step.tolist(), spikes.neuron.tolist(), strict=True)
        assert set(steps) == expected.spikes[name], name


def test_a_state_that_explodes_is_named(simulator):
    weights = [w.copy() for w in WEIGHTS]
    at = [c.target for c in NETWORK.connections].index("adex_rk4")
    weights[at] *= 1e15
    with pytest.raises(NumbersError) as raised:
        simulator.run(weights, INPUTS)
    said = str(raised.value)
    assert re.search("^'[uv]' of population 'adex_rk4' .* step .* of sample 0", said)
    step = int(re.search(r"step (\d+)", said)[1])
    assert 0 <= step < 100  # where the first spikes arrive, not at the sample's end


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda i: i["inputs"], "lack current.I_all, current.I_stim"),
        (lambda i: {**i, "hidden": {}}, "'inputs' names 'hidden'"),
        (lambda i: {**i, "lif": {"I": 0}}, "'inputs' of 'lif' name 'I'"),
        (
            lambda i: {**i, "current": {**i["current"], "I_all": np.zeros((2, 3, 1))}},
            r"'I_all' in shape \(n_samples, 400, 1\), got \(2, 3, 1\)",
        ),
        (
            lambda i: {**i, "inputs": i["inputs"].select(0, 1)},
            "different numbers of samples",
        ),
    ],
)
def test_inputs_that_do_not_fit_are_refused(simulator, change, message):
    with pytest.raises(ValueError, match=message):
        simulator.run(WEIGHTS, change(INPUTS))


def test_weights_that_do_not_fit_are_refused(simulator):
    with pytest.raises(ValueError, match="one for each connection"):
        simulator.run(WEIGHTS[1:], INPUTS)
    with pytest.raises(ValueError, match=r"connection 'inputs->cuba' .* transpose it"):
        simulator.run([WEIGHTS[0].T, *WEIGHTS[1:]], INPUTS)


@pytest.mark.parametrize(
    ("populations", "connections", "message"),
    [
        ([Inputs("a", 2)], [], "must hold a Population"),
        ([Inputs("a", 2), Inputs("a", 3)], [], r"different names, got \['a'\] twice"),
        (
            [Inputs("a", 2), Population("b", 2, CASES["lif"].neuron)],
            [Connection("a", "c", on_pre="i_syn += w")],
            "'target' of a connection names 'c'; the populations are a, b",
        ),
        (
            [Inputs("a", 2), Population("b", 2, CASES["lif"].neuron)],
            [Connection("b", "a", on_pre="i_syn += w")],
            "which nothing can drive",
        ),
        (
            [Inputs("a", 2), Population("b", 2, CASES["lif"].neuron)],
            [Connection("a", "b", on_pre="g += w")],
            "adds to 'g', which is no variable",
        ),
        (
            [Inputs("a", 2), Population("b", 2, CASES["adex"].neuron)],
            [Connection("a", "b", on_pre="g_e = w*nS")],
            "must add to 'g_e'",
        ),
        (
            [Inputs("a", 2), Population("b", 2, CASES["adex"].neuron)],
            [Connection("a", "b", on_pre="g_e += w*nS*exp(v/mV)")],
            "reads 'v', which changes",
        ),
        (
            [Inputs("a", 2), Population("b", 2, CASES["lif"].neuron)],
            [Connection("a", "b", on_pre="i_syn_post += w")],
            "called 'i_syn'",
        ),
    ],
)
def test_parts_that_do_not_fit_are_named(populations, connections, message):
    with pytest.raises(ValueError, match=message):
        Network(populations, connections, dt=1 * ms, duration=10 * ms)


@pytest.mark.parametrize("changing", ["v", "twice", "again", "wave", "not_refractory"])
def test_a_synapse_reads_nothing_that_changes(changing):
    neuron = Neuron(
        """
        dv/dt = -v/tau : 1
        twice = 2*v    : 1
        again = twice  : 1
        wave = sin(t/tau) : 1
        fixed = 2*k    : 1
        k              : 1 (constant)
        """,
        threshold="v > 1",
        reset="v = 0",
        refractory=2 * ms,
        parameters={"tau": 10 * ms, "k": 1},
    )
    assert Synapse("v += w*fixed*k", neuron, "a").unit == 1
    with pytest.raises(ValueError, match=f"reads '{changing}', which changes"):
        Synapse(f"v += w*int({changing} > 0)", neuron, "a")


def test_a_program_has_room_for_so_many_parts():
    populations = [Inputs("a", 1), Population("b", 1, CASES["lif"].neuron)]
    connections = [
        Connection("a", "b", on_pre="i_syn += w", name=f"c{k}") for k in range(257)
    ]
    times = {"dt": 1 * ms, "duration": 10 * ms}
    Network(populations, connections[:256], **times)
    with pytest.raises(ValueError, match="must not be more than 256, got 257"):
        Network(populations, connections, **times)


def test_a_network_survives_json():
    again = Network.from_dict(json.loads(json.dumps(NETWORK.to_dict())))
    assert again.to_dict() == NETWORK.to_dict()
    for one, other in zip(again.groups, NETWORK.groups, strict=True):
        assert one.neuron.texts == other.neuron.texts
