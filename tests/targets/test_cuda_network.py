"""Networks of any neurons in CUDA: refused without a GPU, emulated on the host."""

import numpy as np
import pytest
import torch
from brian2.units import ms

from bsnn import Connection, Inputs, Network, Neuron, Population, Spikes
from bsnn.equations.estimators import Surrogate
from bsnn.errors import BackendUnavailable, NumbersError, ProgramError
from bsnn.machine import find_gpus
from bsnn.program.build import generate
from bsnn.program.graph_form import Losses
from bsnn.program.graph_specification import specify
from bsnn.simulators import network as simulators
from bsnn.simulators.network import NetworkSimulator
from bsnn.targets.cuda.graph import MOST_PARTS, CudaNetworkTarget
from bsnn.targets.cuda.tools import find_nvcc
from bsnn.training import DerivedNetwork
from tests.neurons import CASES, N_INPUTS, draw
from tests.simulators import test_delays, test_patterns, test_surrogate
from tests.targets.cuda_on_host import compile_network_for_host

NO_GPU = not find_gpus()
needs_gpu = pytest.mark.skipif(NO_GPU, reason="there is no GPU")
no_gpu = pytest.mark.skipif(not NO_GPU, reason="there is a GPU")

N_THREADS, WIDE = 32, 40  # more neurons than the emulated block has threads
N_SAMPLES, SEED = 5, 7

# Noise, a refractory period, currents of each neuron and of all.
DRIVEN = Neuron(
    """
    dv/dt = (drive + I_own(t, i) + I_all(t) - v)/tau + 0.1*xi*tau**-0.5 : 1
    ddrive/dt = -drive/tau_s : 1
    """,
    threshold="v > theta",
    reset="v -= theta",
    refractory=1 * ms,
    method="euler",
    parameters={"tau": 8 * ms, "tau_s": 4 * ms, "theta": 0.9},
    currents={"I_own": 1, "I_all": 1},
)


def delayed():
    """Delays of each synapse and neuron, pairs, refractory periods, bent synapses."""
    network = test_delays.NETWORK
    weights, inputs = draw(network, np.random.default_rng(1), N_SAMPLES)
    return network, test_delays.LEARN, None, weights, inputs


def sparse():
    """Pairs and weights that they share."""
    rng, network = np.random.default_rng(2), test_patterns.SPARSE
    strengths = [14.0, 3.0, 3.0, 6.0, 0.3, 0.3]
    weights = [
        strength * rng.uniform(0.3, 1.0, shape)
        for strength, shape in zip(strengths, network.weight_shapes, strict=True)
    ]
    shape = N_SAMPLES, network.n_steps, test_patterns.N
    spikes = Spikes.from_dense(rng.random(shape) < 0.02, dt=network.dt)
    learn = {"cells": ["tau_e"], "each": ["bound"]}
    return network, learn, None, weights, {"in": spikes}


def surrogate():
    """A surrogate on a graph that learns its delays, and spikes that are not sent."""
    rng, network = np.random.default_rng(3), test_surrogate.graph()
    weights, _ = test_surrogate.driven(network, rng)
    shape = N_SAMPLES, network.n_steps, 4
    spikes = Spikes.from_dense(rng.random(shape) < 0.3, dt=network.dt)
    estimator = Surrogate("triangle", width=1.0)
    learn = {c.name: ["delay"] for c in network.connections if np.any(c.delay)}
    return network, learn, estimator, weights, {"in": spikes}


def losses_of(records, network, estimator):
    rng = np.random.default_rng(4)
    by_times = estimator is None
    return Losses(
        spikes={
            n: (s.offset.copy(), by_times * rng.normal(size=s.n_spikes))
            for n, s in records.spikes.items()
        },
        traces={k: rng.normal(size=t.shape) for k, t in records.traces.items()},
        existing={}
        if by_times
        else {"b": rng.normal(size=(N_SAMPLES, network.n_steps, 5))},
    )


def small_network():
    case = CASES["lif"]
    return Network(
        [Inputs("inputs", 2), Population("lif", 2, case.neuron)],
        [Connection("inputs", "lif", on_pre=case.on_pre)],
        dt=0.1 * ms,
        duration=1 * ms,
    )


@pytest.fixture
def emulated(tmp_path, monkeypatch):
    """Let networks on the device "cuda" run on the host."""

    class Emulated(CudaNetworkTarget):
        def here(self):
            return self

        def build(self, network, **options):
            generate(
                "bsnn.targets.cuda.graph", specify(network, **options), str(tmp_path)
            )
            compile_network_for_host(tmp_path, N_THREADS)
            return tmp_path

    monkeypatch.setattr(simulators, "CudaNetworkTarget", Emulated)


def assert_same_spikes(found, expected):
    assert found.keys() == expected.keys()
    for name, spikes in expected.items():
        assert spikes.n_spikes >= N_SAMPLES, name
        np.testing.assert_array_equal(found[name].offset, spikes.offset)
        np.testing.assert_array_equal(found[name].step, spikes.step)
        np.testing.assert_array_equal(found[name].neuron, spikes.neuron)


def assert_close(found, expected, rtol, what):
    atol = rtol * np.abs(expected).max()
    assert np.isfinite(found).all(), what
    np.testing.assert_allclose(found, expected, rtol=0, atol=atol, err_msg=str(what))


def numbers(derivatives):
    """Return all derivatives, by their kind and name."""
    found = {("weights", c): given for c, given in enumerate(derivatives.weights)}
    for kind in ("parameters", "delays", "inputs", "currents"):
        for key, given in getattr(derivatives, kind).items():
            found[kind, key] = given
    return found


# Their C++ programs are those of other tests.
@pytest.mark.cpp
@pytest.mark.cuda_build
@pytest.mark.slow
@pytest.mark.parametrize("make", [delayed, sparse, surrogate])
def test_emulated_network_equals_cpp(make, emulated):
    network, learn, estimator, weights, inputs = make()
    options = {"learn": learn, "estimator": estimator}
    broken = [1e304 * w for w in weights]
    with NetworkSimulator(network, workers=1, **options) as cpp:
        expected = cpp.run(weights, inputs)
        losses = losses_of(expected, network, estimator)
        derivatives = cpp.pull_back(weights, inputs, losses)
        expectations = numbers(derivatives)
        assert sum(np.any(values) for values in expectations.values()) > 5
        with pytest.raises(NumbersError) as of_cpp:
            cpp.run(broken, inputs)
    # The last of three turns has one sample for two replicas.
    with NetworkSimulator(network, device="cuda", replicas=2, **options) as cuda:
        found = cuda.run(weights, inputs, keep=True)
        assert_same_spikes(found.spikes, expected.spikes)
        assert found.traces.keys() == expected.traces.keys()
        for key, trace in expected.traces.items():
            assert_close(found.traces[key], trace, 1e-11, key)
        for by_inputs in (True, False):
            pulled = cuda.pull_back(
                weights, inputs, losses, records=found, by_inputs=by_inputs
            )
            assert pulled.n_clamped == derivatives.n_clamped
            results = numbers(pulled)
            assert results.keys() == expectations.keys()
            for key, values in expectations.items():
                if by_inputs or key[0] != "inputs":
                    assert_close(results[key], values, 1e-10, key)
                else:
                    assert not results[key].any()
        again = cuda.pull_back(weights, inputs, losses, by_inputs=False)
        for key, values in numbers(again).items():
            np.testing.assert_array_equal(values, results[key])
        with pytest.raises(ProgramError, match="gave other spikes"):
            cuda.pull_back([0.5 * w for w in weights], inputs, losses)
        with pytest.raises(NumbersError) as of_cuda:
            cuda.run(broken, inputs)
        nothing = {name: spikes.select(0, 0) for name, spikes in inputs.items()}
        for spikes in cuda.run(weights, nothing).spikes.values():
            assert (spikes.n_samples, spikes.n_spikes) == (0, 0)
    assert str(of_cuda.value) == str(of_cpp.value)


@pytest.mark.cpp
@pytest.mark.cuda_build
@pytest.mark.slow
def test_emulated_training_equals_cpp(emulated):
    # In single precision.
    network = Network(
        [Inputs("in", N_INPUTS), Population("wide", WIDE, DRIVEN, record=["v"])],
        [Connection("in", "wide", on_pre="drive += w")],
        dt=0.1 * ms,
        duration=15 * ms,
    )
    rng = np.random.default_rng(5)
    shape = N_SAMPLES, network.n_steps
    spikes = Spikes.from_dense(rng.random((*shape, N_INPUTS)) < 0.02, dt=network.dt)
    found = []
    for device, options in (("cpp", {"workers": 1}), ("cuda", {"replicas": 3})):
        module = DerivedNetwork(
            network,
            weights={"in->wide": (0, 0.6)},
            learn={"wide": ["tau", "theta", "I_own", "I_all"]},
            device=device,
            **options,
        )
        currents = {
            "I_own": torch.linspace(0, 1, WIDE).expand(*shape, WIDE).clone(),
            "I_all": torch.full((*shape, 1), 0.3),
        }
        for current in currents.values():
            current.requires_grad_()
        given = {"in": spikes, "wide": currents}
        result = module(given, seed=SEED)["wide"]
        times = torch.linspace(-1, 1, len(result.time), dtype=float)
        ((result.time * times).sum() + result.trace["v"].sum() / 100).backward()
        gradients = {n: p.grad.numpy() for n, p in module.named_parameters()}
        gradients |= {n: c.grad.numpy() for n, c in currents.items()}
        found.append((result.record, gradients))
        module.simulator.close()
    (expected, expectations), (record, gradients) = found
    assert_same_spikes({"wide": record}, {"wide": expected})
    assert gradients.keys() == expectations.keys() and len(gradients) == 5
    for name, values in expectations.items():
        assert np.any(values), name
        assert_close(gradients[name], values, 1e-4, name)


@pytest.mark.cuda_build
@pytest.mark.slow
@pytest.mark.skipif(find_nvcc() is None, reason="nvcc is not installed")
def test_smallest_network_compiles():
    target = CudaNetworkTarget(replicas=2, arch=9.0)
    folder = target.build(small_network(), precision="single", learn={})
    assert (folder / "main").stat().st_mode & 0o100


@no_gpu
def test_network_on_cuda_without_gpu_is_refused():
    with pytest.raises(BackendUnavailable, match="no GPU was found.*nvidia-smi"):
        NetworkSimulator(small_network(), device="cuda")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"device": "tpu"}, "'device' must be one of cpp, cuda, got 'tpu'"),
        ({"replicas": 3}, "'replicas' and 'arch' belong to the device 'cuda'"),
        ({"device": "cuda", "replicas": 0}, "'replicas' must be .*, got 0"),
    ],
)
def test_impossible_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        NetworkSimulator(small_network(), **options)


def test_networks_of_too_many_parts_are_refused():
    case = CASES["lif"]
    parts = [Population(f"p{k}", 1, case.neuron) for k in range(MOST_PARTS + 1)]
    network = Network(parts, [], dt=1 * ms, duration=2 * ms)
    with pytest.raises(ValueError, match="'device' must be 'cpp' for .* 65 populatio"):
        CudaNetworkTarget(arch=9.0).build(network, precision="double")


def test_the_kernel_of_chains_is_refused_on_cuda():
    options = {"weights": {"inputs->lif": (0, 1)}, "gradient": "modes"}
    with pytest.raises(ValueError, match="'gradient' must be 'adjoint' on the device"):
        DerivedNetwork(small_network(), device="cuda", **options)


@pytest.mark.cuda
@needs_gpu
@pytest.mark.parametrize("make", [delayed, sparse, surrogate])
@pytest.mark.parametrize("replicas", [1, 4, None])
def test_network_on_gpu_equals_cpp(make, replicas):
    network, learn, estimator, weights, inputs = make()
    options = {"learn": learn, "estimator": estimator}
    with (
        NetworkSimulator(network, workers=1, **options) as cpp,
        NetworkSimulator(network, device="cuda", replicas=replicas, **options) as cuda,
    ):
        expected = cpp.run(weights, inputs)
        losses = losses_of(expected, network, estimator)
        assert_same_spikes(cuda.run(weights, inputs).spikes, expected.spikes)
        results = numbers(cuda.pull_back(weights, inputs, losses))
        for key, values in numbers(cpp.pull_back(weights, inputs, losses)).items():
            assert_close(results[key], values, 1e-9, key)
