"""Networks of any neurons in CUDA: refused without a GPU, emulated on the host."""

import numpy as np
import pytest
import torch
from brian2.units import ms

from bsnn import Connection, Inputs, Network, Population
from bsnn.equations.estimators import Surrogate
from bsnn.errors import BackendUnavailable, NumbersError
from bsnn.machine import find_gpus
from bsnn.patterns import Pattern, random_pairs
from bsnn.program.build import generate
from bsnn.program.graph_form import Losses
from bsnn.program.graph_specification import specify
from bsnn.simulators import network as simulators
from bsnn.simulators.network import NetworkSimulator
from bsnn.targets.cuda.graph import MOST_PARTS, CudaNetworkTarget
from bsnn.targets.cuda.tools import find_nvcc
from bsnn.training import DerivedNetwork
from tests.neurons import CASES, N_INPUTS, SIZE, draw
from tests.targets.cuda_on_host import compile_network_for_host

NO_GPU = not find_gpus()
needs_gpu = pytest.mark.skipif(NO_GPU, reason="there is no GPU")
no_gpu = pytest.mark.skipif(not NO_GPU, reason="there is a GPU")

WIDE = 40  # more neurons than the emulated block has threads
N_THREADS = 32
# Linear; bent in what synapses add to, and frozen; values one for each; currents given
# and shared; a learned refractory period; noise.
NAMES = ["alif", "coba_lif", "each", "current", "learned_period", "noisy"]
N_SAMPLES, SEED = 5, 7


def make_network():
    """All kinds of patterns and delays between all kinds of neurons."""
    rng = np.random.default_rng(0)
    populations = [Inputs("inputs", N_INPUTS), Inputs("too", N_INPUTS)]
    populations += [
        Population(
            name,
            WIDE if name == "alif" else SIZE,
            CASES[name].neuron,
            record=CASES[name].neuron.states[:1],
        )
        for name in NAMES
    ]
    connections = [
        Connection("inputs", name, on_pre=CASES[name].on_pre) for name in NAMES
    ]

    def join(source, target, delay=0.0, pattern=None):
        name = f"{source} to {target}"
        joined = {"delay": np.asarray(delay) * ms, "pattern": pattern, "name": name}
        connections.append(
            Connection(source, target, on_pre=CASES[target].on_pre, **joined)
        )

    sparse = random_pairs(WIDE, SIZE, 0.3, seed=1)
    shared = Pattern(np.arange(SIZE), np.arange(SIZE)[::-1], [0, 1, 0, 1, 0])
    fan = Pattern(np.zeros(SIZE, int), np.arange(SIZE), np.zeros(SIZE, int))
    join("too", "alif", 0.4)
    join("alif", "alif", 0.3)
    join("alif", "coba_lif", rng.uniform(0, 1, len(sparse.i)), sparse)
    join("coba_lif", "coba_lif", rng.uniform(0, 1, (SIZE, 1)))
    join("too", "coba_lif", 0.0, Pattern(np.arange(SIZE), np.arange(SIZE)))
    join("each", "each", 0.2, shared)
    join("inputs", "learned_period", rng.uniform(0, 2, (N_INPUTS, SIZE)))
    join("learned_period", "noisy", 0.0, fan)
    return Network(populations, connections, dt=0.1 * ms, duration=16 * ms)


NETWORK = make_network()
LEARN = {n: [*CASES[n].neuron.values, *CASES[n].neuron.currents] for n in NAMES} | {
    "alif to alif": ["delay"],
    "alif to coba_lif": ["delay"],
    "coba_lif to coba_lif": ["delay"],
    "inputs to learned_period": ["delay"],
}


def drawn(network, seed=1):
    weights, inputs = draw(network, np.random.default_rng(seed), N_SAMPLES)
    if "too" in network.named:
        _, others = draw(network, np.random.default_rng(seed + 1), N_SAMPLES)
        inputs["too"] = others["inputs"]
    return weights, inputs


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
    largest = np.abs(expected).max()
    assert np.isfinite(found).all() and largest > 0, what
    np.testing.assert_allclose(found, expected, rtol=0, atol=rtol * largest)


def numbers(derivatives, network):
    names = [connection.name for connection in network.connections]
    yield from zip(names, derivatives.weights, strict=True)
    for kind in ("parameters", "delays", "inputs", "currents"):
        yield from getattr(derivatives, kind).items()


@pytest.mark.cpp
@pytest.mark.cuda_build
@pytest.mark.slow
def test_emulated_network_equals_cpp(emulated):
    weights, inputs = drawn(NETWORK)
    with NetworkSimulator(NETWORK, learn=LEARN, workers=1) as cpp:
        expected = cpp.run(weights, inputs, seed=SEED)
        rng = np.random.default_rng(3)
        losses = Losses(
            spikes={
                n: (s.offset.copy(), rng.normal(size=s.n_spikes))
                for n, s in expected.spikes.items()
            },
            traces={k: rng.normal(size=t.shape) for k, t in expected.traces.items()},
        )
        derivatives = cpp.pull_back(weights, inputs, losses, seed=SEED)
        broken = [1e307 * w for w in weights]
        with pytest.raises(NumbersError) as of_cpp:
            cpp.run(broken, inputs)
    # The last of three turns has one sample for two replicas.
    with NetworkSimulator(NETWORK, learn=LEARN, device="cuda", replicas=2) as cuda:
        found = cuda.run(weights, inputs, seed=SEED)
        assert_same_spikes(found.spikes, expected.spikes)
        for key, trace in expected.traces.items():
            assert_close(found.traces[key], trace, 1e-11, key)
        for by_inputs in (True, False):
            result = cuda.pull_back(
                weights, inputs, losses, seed=SEED, by_inputs=by_inputs
            )
            assert result.n_clamped == derivatives.n_clamped
            expectations = dict(numbers(derivatives, NETWORK))
            results = dict(numbers(result, NETWORK))
            assert results.keys() == expectations.keys()
            for key, values in expectations.items():
                if by_inputs or key not in ("inputs", "too"):
                    assert_close(results[key], values, 1e-10, key)
                else:
                    assert not results[key].any()
        again = cuda.pull_back(weights, inputs, losses, seed=SEED, by_inputs=False)
        for key, values in numbers(again, NETWORK):
            np.testing.assert_array_equal(values, results[key])
        with pytest.raises(NumbersError) as of_cuda:
            cuda.run(broken, inputs)
        nothing = {name: s.select(0, 0) for name, s in inputs.items() if name in WITH}
        empty = {n: {c: x[:0] for c, x in inputs["current"].items()} for n in CURRENT}
        assert cuda.run(weights, nothing | empty).spikes["alif"].n_samples == 0
    assert str(of_cuda.value) == str(of_cpp.value)


WITH, CURRENT = ("inputs", "too"), ("current",)


@pytest.mark.cpp
@pytest.mark.cuda_build
@pytest.mark.slow
def test_emulated_training_equals_cpp(emulated):
    # Under a surrogate, in single precision.
    case = CASES["learned_period"]
    network = Network(
        [
            Inputs("inputs", N_INPUTS),
            Population("learned_period", SIZE, case.neuron, record=["v"]),
        ],
        [
            Connection("inputs", "learned_period", on_pre=case.on_pre, name="in"),
            Connection(
                "learned_period",
                "learned_period",
                on_pre=case.on_pre,
                delay=np.linspace(0.1, 2, SIZE)[:, None] * ms,
                name="own",
            ),
        ],
        dt=0.1 * ms,
        duration=20 * ms,
    )
    (into, own), inputs = drawn(network)
    found = []
    for device, options in (("cpp", {"workers": 1}), ("cuda", {"replicas": 3})):
        module = DerivedNetwork(
            network,
            weights={"in": into, "own": own},
            learn={"learned_period": ["tau", "depth"]},
            estimator=Surrogate(),
            device=device,
            **options,
        )
        result = module(inputs)["learned_period"]
        chosen = torch.linspace(-1, 1, result.raster.numel()).view_as(result.raster)
        (result.raster * chosen).sum().backward()
        gradients = {n: p.grad.numpy() for n, p in module.named_parameters()}
        found.append((result.record, gradients))
        module.simulator.close()
    (spikes, gradients), (on_gpu, others) = found
    assert_same_spikes({"": on_gpu}, {"": spikes})
    assert len(gradients) == 4
    for name, values in gradients.items():
        assert_close(others[name], values, 1e-4, name)


@pytest.mark.cuda_build
@pytest.mark.slow
@pytest.mark.skipif(find_nvcc() is None, reason="nvcc is not installed")
def test_smallest_network_compiles():
    case = CASES["lif"]
    network = Network(
        [Inputs("inputs", 2), Population("lif", 2, case.neuron)],
        [Connection("inputs", "lif", on_pre=case.on_pre)],
        dt=0.1 * ms,
        duration=1 * ms,
    )
    target = CudaNetworkTarget(replicas=2, arch=9.0)
    folder = target.build(network, precision="single", learn={})
    assert (folder / "main").stat().st_mode & 0o100


@no_gpu
def test_network_on_cuda_without_gpu_is_refused():
    with pytest.raises(BackendUnavailable, match="no GPU was found.*nvidia-smi"):
        NetworkSimulator(NETWORK, device="cuda")


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
        NetworkSimulator(NETWORK, **options)


def test_networks_of_too_many_parts_are_refused():
    case = CASES["lif"]
    parts = [Population(f"p{k}", 1, case.neuron) for k in range(MOST_PARTS + 1)]
    network = Network(parts, [], dt=1 * ms, duration=2 * ms)
    with pytest.raises(ValueError, match="'device' must be 'cpp' for .* 65 populatio"):
        CudaNetworkTarget(arch=9.0).build(network, precision="double")


def test_the_kernel_of_chains_is_refused_on_cuda():
    weights = {connection.name: (0, 1) for connection in NETWORK.connections}
    with pytest.raises(ValueError, match="'gradient' must be 'adjoint' on the device"):
        DerivedNetwork(NETWORK, weights=weights, device="cuda", gradient="modes")


@pytest.mark.cuda
@needs_gpu
@pytest.mark.parametrize("replicas", [1, 4, None])
def test_network_on_gpu_equals_cpp(replicas):
    weights, inputs = drawn(NETWORK)
    options = {"learn": LEARN, "device": "cuda", "replicas": replicas}
    with (
        NetworkSimulator(NETWORK, learn=LEARN, workers=1) as cpp,
        NetworkSimulator(NETWORK, **options) as cuda,
    ):
        expected = cpp.run(weights, inputs, seed=SEED)
        found = cuda.run(weights, inputs, seed=SEED)
        assert_same_spikes(found.spikes, expected.spikes)
        losses = Losses(
            spikes={
                n: (s.offset.copy(), np.ones(s.n_spikes))
                for n, s in expected.spikes.items()
            },
            traces={k: np.ones(t.shape) for k, t in expected.traces.items()},
        )
        one = cpp.pull_back(weights, inputs, losses, seed=SEED)
        other = cuda.pull_back(weights, inputs, losses, seed=SEED)
        expectations = dict(numbers(one, NETWORK))
        for key, values in numbers(other, NETWORK):
            assert_close(values, expectations[key], 1e-9, key)
