"""A network of any neurons as a torch module."""

import copy

import numpy as np
import pytest
import torch
from brian2.units import Hz, ms, second

from bsnn import Connection, Inputs, Network, Neuron, Population
from bsnn.equations.models import alif, cuba
from bsnn.equations.models.lif import EQUATIONS, RESET, THRESHOLD
from bsnn.errors import NumbersError
from bsnn.training import (
    DerivedNetwork,
    FirstSpikeLoss,
    SpikeCountLoss,
    SpikingNetwork,
)
from tests.models import draw, grid_model

pytestmark = pytest.mark.cpp

MODEL = grid_model()
WEIGHTS, INPUTS = draw(MODEL, np.random.default_rng(0), n_samples=3)
LABELS = [0, 3, 5]


def as_network(model):
    """A chain of CUBA LIF layers, written as a network of any neurons."""
    populations, connections = [Inputs("layer0", model.n_inputs)], []
    for k, (size, neuron) in enumerate(
        zip(model.layer_sizes, model.neurons, strict=True), start=1
    ):
        values = {
            name: value * second if name.startswith("tau") else value
            for name, value in neuron.parameters.items()
        }
        populations.append(Population(f"layer{k}", size, cuba(**values)))
        connections.append(
            Connection(f"layer{k - 1}", f"layer{k}", on_pre="i_syn += w")
        )
    dt, duration = model.dt_seconds * second, model.duration_seconds * second
    return Network(populations, connections, dt=dt, duration=duration)


NETWORK = as_network(MODEL)
NAMED = dict(zip([c.name for c in NETWORK.connections], WEIGHTS, strict=True))


def derived(precision="double", **options):
    slopes = {"layer1": 5.0, "layer2": 5.0}
    return DerivedNetwork(
        NETWORK, weights=NAMED, precision=precision, slope_min=slopes, **options
    )


def test_a_population_without_a_least_slope_of_its_own_has_the_default():
    with DerivedNetwork(NETWORK, weights=NAMED) as module:
        default = module.slope_min
    given = {"layer2": 5.0}
    with DerivedNetwork(NETWORK, weights=NAMED, slope_min=given) as module:
        assert module.slope_min == default | given


def gradients(activity, loss, module):
    module.zero_grad()
    loss([activity["layer1"], activity["layer2"]], LABELS).backward()
    return [c.weight.grad.numpy().copy() for c in module.connections.values()]


@pytest.fixture(scope="module")
def chain():
    """Spikes and gradients of the kernel for chains."""
    with SpikingNetwork(MODEL, precision="double", slope_min=5.0) as network:
        with torch.no_grad():
            for connection, weight in zip(network.connections, WEIGHTS, strict=True):
                connection.weight[:] = torch.from_numpy(weight)
        layers = network(INPUTS)
        SpikeCountLoss(true=8, false=2, spike_penalty=0.3)(layers, LABELS).backward()
        yield layers, [c.weight.grad.numpy().copy() for c in network.connections]


@pytest.mark.parametrize("gradient", ["adjoint", "modes"])
def test_the_derived_adjoint_equals_the_kernel_for_chains(chain, gradient):
    layers, expected = chain
    with derived(gradient=gradient) as network:
        activity = network(INPUTS)
        for k, layer in enumerate(layers, start=1):
            record = activity[f"layer{k}"].record
            assert record.n_spikes > 20
            np.testing.assert_array_equal(record.step, layer.record.step)
            np.testing.assert_array_equal(record.neuron, layer.record.neuron)
        loss = SpikeCountLoss(true=8, false=2, spike_penalty=0.3)
        for mine, theirs in zip(
            gradients(activity, loss, network), expected, strict=True
        ):
            np.testing.assert_allclose(
                mine, theirs, rtol=0, atol=1e-10 * np.abs(theirs).max()
            )
        assert network.n_clamped > 0


def test_single_precision_is_close(chain):
    _, expected = chain
    with derived("single") as network:
        loss = SpikeCountLoss(true=8, false=2, spike_penalty=0.3)
        found = gradients(network(INPUTS), loss, network)
        for mine, theirs in zip(found, expected, strict=True):
            assert mine.dtype == np.float32
            np.testing.assert_allclose(
                mine, theirs, rtol=0, atol=2e-3 * np.abs(theirs).max()
            )


@pytest.fixture(scope="module")
def learner():
    cell = Neuron(
        EQUATIONS + "gain : 1 (shared, constant)",
        THRESHOLD,
        RESET,
        refractory=2 * ms,
        parameters={
            "tau_mem": [15, 20, 30] * ms,
            "tau_syn": 5 * ms,
            "v_threshold": 1,
            "v_reset": 0,
            "gain": 1,
        },
    )
    network = Network(
        [Inputs("in", 6), Population("out", 3, cell, record=["v"])],
        [Connection("in", "out", on_pre="i_syn += gain*w")],
        dt=0.5 * ms,
        duration=30 * ms,
    )
    with DerivedNetwork(
        network,
        weights={"in->out": (0.5, 2.0)},
        learn={"out": ["tau_mem", "v_threshold", "refractory_period"]},
        bounds={"out": {"v_threshold": (0.9, 1.05)}},
        precision="double",
    ) as module:
        yield module


def _spikes():
    rng = np.random.default_rng(8)
    return rng.random((2, 60, 6)) < 0.2


def test_parameters_are_learned_within_their_bounds(learner):
    optimiser = torch.optim.SGD(learner.parameters(), lr=0.3)
    before = learner.values()
    for _ in range(2):
        activity = learner(_spikes())
        loss = activity["out"].time.sum() + activity["out"].trace["v"].square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    learner(_spikes())
    after = learner.values()
    assert after["out", "tau_mem"].dim == second.dim
    assert after["out", "tau_mem"].shape == (3,)
    for key, value in before.items():
        assert (np.asarray(after[key]) != np.asarray(value)).all(), key
    assert after["out", "v_threshold"] in (0.9, 1.05)


def test_times_of_inputs_gather_gradients(learner):
    activity = learner(_spikes(), input_times=True)
    activity["out"].time.sum().backward()
    grad = activity["in"].time.grad
    assert grad.shape == (activity["in"].record.n_spikes,)
    assert grad.abs().sum() > 0
    # What arrives at the sample's end acts on nothing.
    last = torch.from_numpy(activity["in"].record.step == 59)
    assert last.any() and (grad[last] == 0).all()


def test_weights_changed_before_the_backward_pass_are_noticed(learner):
    activity = learner(_spikes())
    with torch.no_grad():
        learner.connections["in->out"].weight.mul_(1.01)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        activity["out"].time.sum().backward()


def test_calls_before_a_backward_pass_do_not_spoil_it(learner):
    learner(_spikes())  # brings parameters within their bounds
    one, two = learner(_spikes()), learner(_spikes())
    (one["out"].time.sum() + two["out"].time.sum()).backward()


def test_a_parameter_that_is_no_number_is_named(learner):
    value = learner.learned["out"]["tau_mem"]
    before = value.detach().clone()
    with torch.no_grad():
        value[1] = np.nan
    with pytest.raises(NumbersError, match="'tau_mem' of 'out' must be finite"):
        learner(_spikes())
    with torch.no_grad():
        value[:] = before


def test_a_copy_has_programs_of_its_own(learner):
    other = copy.deepcopy(learner)
    with other:
        assert set(other._simulator.pids).isdisjoint(learner._simulator.pids)
        found = other(_spikes())["out"].record
        expected = learner(_spikes())["out"].record
        np.testing.assert_array_equal(found.step, expected.step)
    with pytest.raises(RuntimeError, match="has been closed"):
        other(_spikes())


def test_populations_are_given_to_losses_in_order(learner):
    activity = learner(_spikes())
    for loss in (
        SpikeCountLoss(),
        FirstSpikeLoss(tau=10 * ms, duration=30 * ms),
    ):
        with pytest.raises(TypeError, match="a list of populations, the output last"):
            loss(activity, [0, 1])


CURRENT = "dv/dt = (-v + I_stim(t, i))/tau : 1"
ALONE = {"threshold": "v > 1", "reset": "v = 0", "parameters": {"tau": 10 * ms}}


def test_a_population_may_be_driven_by_currents_alone():
    cell = Neuron(CURRENT, **ALONE, currents={"I_stim": 1})
    network = Network(
        [Population("cell", 2, cell, record=["v"])], [], dt=1 * ms, duration=50 * ms
    )
    drive = np.full((3, 50, 2), [1.5, 0.5])
    with DerivedNetwork(network, weights={}, learn={"cell": ["tau"]}) as module:
        activity = module({"cell": {"I_stim": drive}})
        counts = activity["cell"].record.counts()
        assert (counts[:, 0] > 2).all() and (counts[:, 1] == 0).all()
        activity["cell"].time.sum().backward()
        assert module.learned["cell"]["tau"].grad > 0  # slower neurons fire later
        with pytest.raises(ValueError, match="must be a dict of the currents"):
            module(drive)


def test_without_inputs_and_currents_there_is_no_number_of_samples():
    cell = Neuron("dv/dt = (2 - v)/tau : 1", **ALONE)
    network = Network([Population("cell", 1, cell)], [], dt=1 * ms, duration=5 * ms)
    with DerivedNetwork(network, weights={}, learn={}) as module:
        with pytest.raises(ValueError, match="neither Inputs nor currents"):
            module({})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weights": {}}, "'in->out' is missing"),
        ({"weights": {"in->out": (0, 1), "x": 1}}, "'x' is unknown"),
        ({"weights": {"in->out": np.ones((3, 6))}}, r"shape \(6, 3\), got \(3, 6\)"),
        ({"weights": {"in->out": (2, 1)}}, "must rise from low to high"),
        ({"weights": {"in->out": (0 * Hz, 1 * Hz)}}, "must be in"),
        ({"weights": {"in->out": (0, np.nan)}}, "must be finite"),
        ({"weights": [1]}, "must be a dict by name"),
        ({"learn": {"in": ["tau"]}}, "'learn' names 'in'; the populations are out"),
        ({"learn": {"out": ["tau"]}}, "names 'tau', which is no parameter"),
        ({"learn": {"out": ["gain"]}}, "which 'on_pre' of 'in->out' reads"),
        ({"bounds": {"out": {"v_reset": (0, 1)}}}, "which is not learned"),
        ({"slope_min": {"in": 1.0}}, "'slope_min' must name out; 'in' is unknown"),
        ({"slope_min": {"out": 0.0}}, "'slope_min of out' must be positive"),
        ({"slope_min": 5.0}, "'slope_min' must be a dict by name"),
    ],
)
def test_what_does_not_fit_is_named(learner, change, message):
    options = {
        "weights": {"in->out": (0.5, 2.0)},
        "learn": {"out": ["tau_mem", "v_threshold", "refractory_period"]},
        "precision": "double",
        **change,
    }
    with pytest.raises((TypeError, ValueError), match=message):
        DerivedNetwork(learner.network, **options)


def test_the_modes_of_adaptive_neurons_give_the_gradient_of_their_adjoint():
    network = Network(
        [Inputs("in", 12), Population("a", 15, alif()), Population("b", 6, alif())],
        [
            Connection("in", "a", on_pre="i_syn += 0.5*w"),
            Connection("a", "b", on_pre="i_syn += w", delay=2 * ms),
        ],
        dt=0.5 * ms,
        duration=60 * ms,
    )
    rng = np.random.default_rng(3)
    lit = rng.random((4, 120, 12)) < 0.08
    weights = {"in->a": rng.uniform(0, 2, (12, 15)), "a->b": rng.uniform(0, 1, (15, 6))}
    found, clamped = [], []
    for gradient in ("adjoint", "modes", None):
        with DerivedNetwork(
            network, weights=weights, precision="double", gradient=gradient
        ) as net:
            activity = net(lit)
            assert activity["b"].record.n_spikes > 10
            loss = SpikeCountLoss(true=8, false=1, spike_penalty=0.1)
            loss([activity["a"], activity["b"]], [0, 2, 4, 5]).backward()
            found.append([c.weight.grad.numpy() for c in net.connections.values()])
            clamped.append(net.n_clamped)
    adjoint, modes, chosen = found
    for one, other, third in zip(adjoint, modes, chosen, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-10 * abs(one).max())
        np.testing.assert_array_equal(other, third)
    assert len(set(clamped)) == 1


def test_modes_that_do_not_exist_are_refused():
    with pytest.raises(ValueError, match="'gradient' is 'modes', which needs a chain"):
        derived(gradient="modes", learn={"layer1": ["tau_mem"]})
    with pytest.raises(ValueError, match="'gradient' must be one of modes, adjoint"):
        derived(gradient="fast")


def test_a_network_of_any_neurons_comes_through_the_same_door():
    slopes = {"layer1": 5.0, "layer2": 5.0}
    options = {"weights": NAMED, "precision": "double", "slope_min": slopes}
    with SpikingNetwork(NETWORK, **options) as network:
        assert isinstance(network, DerivedNetwork)
        assert network(INPUTS)["layer2"].record.n_spikes > 20


def test_other_things_are_refused_at_the_door():
    with pytest.raises(TypeError, match="'model' must be a Model or a Network"):
        SpikingNetwork([3, 2])
    with pytest.raises(TypeError, match="a Model is trained by SpikingNetwork"):
        DerivedNetwork(MODEL, weights={})
