"""The network through all that torch and notebooks do with a module."""

import contextlib
import copy
import gc
import io
import os
import pickle
import subprocess
import sys
import threading
import time
import warnings
import weakref
from pathlib import Path

import numpy as np
import pytest
import torch
from brian2 import ms
from torch import nn
from torch.nn.utils import parametrizations, parametrize, prune

import bsnn
from bsnn.settings import Settings
from bsnn.training import FirstSpikeLoss, SpikeCountLoss, SpikingNetwork
from tests.processes.survivors import is_alive

pytestmark = pytest.mark.cpp

MODELS = {
    "grid": Settings.reference("digits", dt_ms=2.0).model(),
    "continuous": Settings.reference("digits", rule="continuous", dt_ms=0.0).model(),
}
ROOT = Path(__file__).parents[2]
DIGITS = bsnn.load_dataset("digits")
LABELS = DIGITS.train_labels[:20]


def make_network(model, **options):
    return SpikingNetwork(model, **{"workers": 1, "n_threads": 1, **options})


@pytest.fixture(scope="module", params=MODELS)
def model(request):
    return MODELS[request.param]


@pytest.fixture(scope="module")
def inputs(model):
    return bsnn.encode_ttfs(DIGITS.train_images[:20], model)


@pytest.fixture
def network(model):
    with make_network(model) as opened:
        yield opened


def counts(network, inputs):
    return [record.counts() for record in network.simulate(inputs)]


def assert_same(found, expected):
    for one, other in zip(found, expected, strict=True):
        assert other.any()
        np.testing.assert_array_equal(one, other)


def learn(network, inputs, steps=2):
    """Train, and return the gradients of the last step."""
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    for _ in range(steps):
        optimizer.zero_grad()
        SpikeCountLoss()(network(inputs), LABELS).backward()
        optimizer.step()
    return [p.grad for p in network.parameters()]


def through_pickle(network):
    return pickle.loads(pickle.dumps(network))


def through_torch(network):
    file = io.BytesIO()
    torch.save(network, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


@pytest.mark.parametrize("close_first", [False, True])
@pytest.mark.parametrize("make", [copy.deepcopy, through_pickle, through_torch])
def test_a_copy_has_weights_and_programs_of_its_own(make, close_first, network, inputs):
    learn(network, inputs)
    network.n_clamped = 3
    expected, weights = counts(network, inputs), network.weights
    before = [weight.detach().clone() for weight in weights]
    if close_first:
        network.close()
    with make(network) as other:
        assert other.n_clamped == 3
        assert_same(counts(other, inputs), expected)
        learn(other, inputs, steps=5)
        assert not torch.equal(other.weights[0], before[0])
        assert all(map(torch.equal, weights, before))
        if other.model.rule == "grid":  # nothing need be copied for each batch
            assert not set(other.simulator.pids) & set(network.simulator.pids)
            for weight, array in zip(
                other.weights, other.simulator.weight_arrays(), strict=True
            ):
                assert weight.data_ptr() == array.ctypes.data


def test_a_copy_learns_as_the_original_would(network, inputs):
    with copy.deepcopy(network) as other:
        assert all(map(torch.equal, learn(other, inputs), learn(network, inputs)))
        assert all(map(torch.equal, other.weights, network.weights))


def test_averaged_weights_are_simulated(network, inputs):
    averaged = torch.optim.swa_utils.AveragedModel(network)
    averaged.update_parameters(network)
    first = [weight.detach().clone() for weight in network.weights]
    learn(network, inputs, steps=3)
    averaged.update_parameters(network)
    with make_network(network.model) as other, torch.no_grad():
        for weight, one, two in zip(other.weights, first, network.weights, strict=True):
            weight.copy_(one + (two - one) / 2)
        # Torch may round the mean in another way.
        for one, two in zip(averaged.module.weights, other.weights, strict=True):
            torch.testing.assert_close(one, two, rtol=1e-6, atol=1e-7)
            two.copy_(one)
        expected = counts(other, inputs)
    assert_same([layer.counts().numpy() for layer in averaged(inputs)], expected)
    averaged.module.close()


def test_states_are_exchanged_also_those_of_old_names(network, inputs):
    expected, state = counts(network, inputs), network.state_dict()
    assert list(state) == ["connections.0.weight", "connections.1.weight"]
    old = {f"weights.{n}": weight for n, weight in enumerate(state.values())}
    with make_network(network.model, seed=5) as other:
        for given in (state, old):
            for weight in other.parameters():
                nn.init.zeros_(weight)
            other.load_state_dict(given)
            assert_same(counts(other, inputs), expected)
        nn.Sequential(other).load_state_dict({f"0.{k}": v for k, v in old.items()})
        with pytest.raises(RuntimeError, match=r"Missing key.*connections.1.weight"):
            other.load_state_dict({"weights.0": old["weights.0"]})
        given = {name: weight.clone() for name, weight in state.items()}
        other.load_state_dict(given, assign=True)
        assert_same(counts(other, inputs), expected)


def test_closed_it_says_so_and_keeps_weights_and_gradients(network, inputs):
    layers = network(inputs)
    expected = counts(network, inputs)
    network.close()
    network.close()
    for call in (network, network.simulate):
        with pytest.raises(RuntimeError, match=r"SpikingNetwork has been closed.*copy"):
            call(inputs)
    SpikeCountLoss()(layers, LABELS).backward()
    assert all(weight.grad.any() for weight in network.weights)
    with make_network(network.model, seed=5) as other:
        other.load_state_dict(network.state_dict())
        assert_same(counts(other, inputs), expected)


@pytest.mark.parametrize(
    ("convert", "came"),
    [
        (lambda net: net.double(), "float64 on cpu"),
        (lambda net: net.half(), "float16 on cpu"),
        (lambda net: net.bfloat16(), "bfloat16 on cpu"),
        (lambda net: net.to(torch.float64), "float64 on cpu"),
        (lambda net: net.to("meta"), "float32 on meta"),
        (lambda net: net.to_empty(device="meta"), "float32 on meta"),
        (lambda net: nn.Sequential(net).double(), "float64 on cpu"),
        (lambda net: net.connections[1].double(), "float64 on cpu"),
    ],
)
def test_another_precision_or_place_is_refused_at_once(convert, came, network, inputs):
    before = [weight.data_ptr() for weight in network.weights]
    with pytest.raises(
        TypeError, match=rf"must stay torch.float32 on the CPU.*got torch.{came}.*'dou"
    ):
        convert(network)
    assert [weight.data_ptr() for weight in network.weights] == before
    assert all(weight.dtype == torch.float32 for weight in network.weights)


def test_what_changes_nothing_is_accepted(network, inputs):
    expected = counts(network, inputs)
    assert network.float().cpu().to("cpu").to(torch.float32).eval().train() is network
    assert_same(counts(network, inputs), expected)
    with make_network(network.model, precision="double") as other:
        assert other.double().weights[0].dtype == torch.float64


def test_weights_replaced_by_another_kind_are_refused(network, inputs):
    network.connections[1].weight.data = network.weights[1].data.double()
    with pytest.raises(TypeError, match="'weight' of layer 2 must stay torch.float32"):
        network(inputs)


def test_weights_in_memory_shared_by_torch(network, inputs):
    expected = counts(network, inputs)
    network.share_memory()
    assert all(weight.is_shared() for weight in network.weights)
    assert_same(counts(network, inputs), expected)
    learn(network, inputs)
    with copy.deepcopy(network) as other:
        assert_same(counts(network, inputs), counts(other, inputs))


def test_weights_put_aside_keep_their_values(network, inputs):
    expected, kept = counts(network, inputs), network.weights[0].data
    values = kept.clone()
    network.weights[0].data = torch.zeros_like(kept)
    assert not any(count.any() for count in counts(network, inputs))
    assert torch.equal(kept, values)
    network.weights[0].data = kept
    assert_same(counts(network, inputs), expected)


class Scaled(nn.Module):
    """weight = scale * parameter, with a scale to be learned."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(0.5))

    def forward(self, parameter):
        return self.scale * parameter

    def right_inverse(self, weight):
        return weight / 0.5


def test_the_gradient_flows_through_a_parametrization(network, inputs):
    """Of w = s p: dL/dp = s dL/dw, and dL/ds is the sum of p dL/dw."""
    with copy.deepcopy(network) as plain:
        parametrize.register_parametrization(network.connections[1], "weight", Scaled())
        for _ in range(3):
            SpikeCountLoss()(plain(inputs), LABELS).backward()
            SpikeCountLoss()(network(inputs), LABELS).backward()
            assert torch.equal(network.weights[1], plain.weights[1])
            free = network.connections[1].parametrizations.weight.original
            scale = network.connections[1].parametrizations.weight[0].scale
            grad = plain.weights[1].grad
            torch.testing.assert_close(free.grad, 0.5 * grad)
            torch.testing.assert_close(
                scale.grad, (free * grad).sum(), rtol=1e-4, atol=1e-5
            )
            assert torch.equal(network.weights[0].grad, plain.weights[0].grad)
            with torch.no_grad():  # the free weight changes, and what is simulated
                free += 0.1
                plain.weights[1].copy_(0.5 * free)
                for net in (network, plain):
                    net.zero_grad()
        assert_same(counts(network, inputs), counts(plain, inputs))
        with copy.deepcopy(network) as other:
            assert_same(counts(other, inputs), counts(plain, inputs))


def test_ready_parametrizations_learn(network, inputs):
    for connection in network.connections:
        parametrizations.weight_norm(connection)
    for gradient in learn(network, inputs):
        assert gradient.any()


def test_pruned_weights_stay_zero_and_the_others_learn(network, inputs):
    connection = network.connections[0]
    before = network.weights[0].detach().clone()
    prune.l1_unstructured(connection, "weight", amount=0.5)
    kept = connection.weight_mask.bool()
    assert kept.float().mean() == 0.5
    with make_network(network.model) as other, torch.no_grad():
        other.weights[0].mul_(kept)
        other.weights[1].copy_(network.weights[1])
        expected = counts(other, inputs)
    assert_same(counts(network, inputs), expected)
    # The free weights are not those that are simulated.
    assert torch.equal(connection.weight_orig, before)
    learn(network, inputs, steps=5)
    (weight, _) = network.weights
    assert not weight[~kept].any()
    assert (weight != before)[kept & (before != 0)].any()
    with copy.deepcopy(network) as other, through_pickle(network) as another:
        for net in (other, another):
            assert_same(counts(net, inputs), counts(network, inputs))
            learn(net, inputs)
            assert not net.weights[0][~kept].any()
    expected = counts(network, inputs)
    prune.remove(connection, "weight")
    assert_same(counts(network, inputs), expected)


def test_a_parametrization_in_another_precision_is_refused(network, inputs):
    class Rounded(nn.Module):
        def forward(self, weight):
            return weight.half()

    parametrize.register_parametrization(
        network.connections[0], "weight", Rounded(), unsafe=True
    )
    with pytest.raises(TypeError, match=r"'weight' of layer 1 must .*torch.float16"):
        network(inputs)


def test_a_frozen_layer_stays_and_the_others_have_the_same_gradient(network, inputs):
    expected = learn(network, inputs, steps=1)
    with make_network(network.model) as other:
        other.connections[0].requires_grad_(False)
        found = learn(other, inputs, steps=1)
        assert found[0] is None
        assert torch.equal(found[1], expected[1])
        other.requires_grad_(False)
        assert not any(layer.time.requires_grad for layer in other(inputs))


def test_functional_calls_simulate_the_given_weights(network, inputs):
    expected = learn(network, inputs, steps=1)
    own = [weight.detach().clone() for weight in network.weights]
    with make_network(network.model, seed=5) as other:
        before = counts(other, inputs)
        given = {
            f"connections.{n}.weight": nn.Parameter(w)
            for n, w in enumerate(make_network(network.model).weights)
        }
        layers = torch.func.functional_call(other, given, (inputs,))
        SpikeCountLoss()(layers, LABELS).backward()
        for weight, gradient in zip(given.values(), expected, strict=True):
            assert torch.equal(weight.grad, gradient)
        assert all(weight.grad is None for weight in other.weights)
        assert_same(counts(other, inputs), before)
    assert all(map(torch.equal, network.weights, own))


def test_networks_may_share_a_weight(network, inputs):
    with make_network(network.model, seed=5) as other:
        other.connections[0].weight = network.connections[0].weight
        other.connections[1].weight = network.connections[1].weight
        assert_same(counts(other, inputs), counts(network, inputs))
        learn(network, inputs)
        assert_same(counts(other, inputs), counts(network, inputs))
        SpikeCountLoss()(other(inputs), LABELS).backward()


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
def test_without_gradients(context, network, inputs):
    expected = counts(network, inputs)
    parametrize.register_parametrization(network.connections[1], "weight", Scaled())
    with context():
        layers = network(inputs)
    assert_same([layer.counts().numpy() for layer in layers], expected)
    assert not any(layer.time.requires_grad for layer in layers)
    network(inputs)


def test_a_default_device_of_torch_changes_nothing(network, inputs):
    """The device "meta", which holds no values, stands for a GPU."""
    expected = learn(network, inputs, steps=1)
    with torch.device("meta"), make_network(network.model) as other:
        layers = other(inputs)
        assert not any(layer.counts().is_meta for layer in layers)
        FirstSpikeLoss(tau=10 * ms, duration=200 * ms)(layers, LABELS).backward()
        other.zero_grad()
        SpikeCountLoss()(other(inputs), LABELS).backward()
        assert all(map(torch.equal, [w.grad for w in other.weights], expected))


def test_times_that_change_in_place_are_noticed(network, inputs):
    """The next layer's gradient reads them."""
    layers = network(inputs)
    time = layers[0].time
    time *= 1000
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        time.sum().backward()


# Torch says so of every module without inputs that require gradients.
@pytest.mark.filterwarnings("ignore:Full backward hook is firing:UserWarning")
def test_hooks_are_called(network, inputs):
    called = []
    network.register_forward_pre_hook(lambda *_: called.append("before"))
    network.register_forward_hook(lambda *_: called.append("after"))
    for connection in network.connections:
        connection.register_full_backward_hook(
            lambda module, _, grads: called.append((module, grads[0].clone()))
        )
    gradients = learn(network, inputs, steps=1)
    assert called[:2] == ["before", "after"]
    assert dict(called[2:]).keys() == set(network.connections)
    for connection, gradient in zip(network.connections, gradients, strict=True):
        assert torch.equal(dict(called[2:])[connection], gradient)


def test_a_hook_may_call_the_network(network, inputs):
    expected, found = counts(network, inputs), []

    def call(*_):
        hook.remove()
        found.extend(counts(network, inputs))

    hook = network.connections[1].register_forward_hook(call)
    layers = network(inputs)
    assert_same(found, expected)
    assert_same([layer.counts().numpy() for layer in layers], expected)


@pytest.mark.parametrize(
    "name",
    [
        "register_backward_hook",
        "register_full_backward_hook",
        "register_full_backward_pre_hook",
    ],
)
def test_backward_hooks_of_the_whole_say_where_to_go(name, network):
    with pytest.raises(TypeError, match=f"'{name}'.*network.connections"):
        getattr(network, name)(lambda *_: None)


@pytest.mark.slow
def test_compilation_leaves_it_as_it_is(network, inputs):
    expected = learn(network, inputs, steps=1)
    with make_network(network.model) as other, warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of torch's own code
        compiled = torch.compile(other)
        SpikeCountLoss()(compiled(inputs), LABELS).backward()
        assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 0
    assert all(map(torch.equal, [w.grad for w in other.weights], expected))


def test_data_parallel_without_a_gpu_is_the_network(network, inputs):
    expected = counts(network, inputs)
    layers = nn.DataParallel(network)(inputs)
    assert_same([layer.counts().numpy() for layer in layers], expected)


def test_it_shows_what_it_is(network, inputs):
    model = network.model
    times = f"dt={1e3 * model.dt_seconds:g} ms, duration=200 ms, rule='{model.rule}'"
    line = f"64-128-10 CubaLIF, {times}"
    text = repr(network)
    assert f"{line}, precision='single', backend='native'" in text
    assert "(0): Connection(64 -> 128)" in text
    assert repr(network.simulator) == f"{type(network.simulator).__name__}({line})"
    shown = f"n_samples=20, n_neurons=64, dt={1e3 * model.dt_seconds:g} ms"
    assert repr(inputs) == f"Spikes(n_spikes={inputs.n_spikes}, {shown})"
    output = network(inputs)[-1]
    assert repr(output) == f"LayerSpikes({output.record!r})"


# What a network that is no longer used leaves behind.


def resources():
    """Descriptors, threads, children and shared memory of this process."""
    maps = Path("/proc/self/maps").read_text()
    tasks = Path(f"/proc/{os.getpid()}/task").iterdir()
    children = []
    for task in tasks:
        with contextlib.suppress(FileNotFoundError):  # a thread that ends meanwhile
            children.append((task / "children").read_text().split())
    return (
        len(os.listdir("/proc/self/fd")),
        threading.active_count(),
        sum(map(len, children)),
        maps.count("memfd:bsnn"),
    )


def assert_no_more_than(before, which=(0, 1, 2, 3)):
    """Threads that were told to end do so in a moment."""
    deadline = time.monotonic() + 30
    while any(resources()[k] > before[k] for k in which):
        assert time.monotonic() < deadline, (resources(), before)
        time.sleep(0.01)


def use_and_drop(model, inputs):
    network = make_network(model)
    network(inputs)


def use_and_drop_in_a_circle(model, inputs):
    network = make_network(model)
    network.itself = network
    network(inputs)


def use_and_raise(model, inputs):
    network = make_network(model)
    network(inputs)
    raise ZeroDivisionError


def use_and_leave_layers(model, inputs):
    network = make_network(model)
    use_and_leave_layers.layers = network(inputs)


def use_copies(model, inputs):
    network = copy.deepcopy(make_network(model))
    network(inputs)
    torch.optim.swa_utils.AveragedModel(network)(inputs)


def fail_to_make(model, inputs):
    with pytest.raises(ValueError, match="'workers'"):
        make_network(model, workers=0)


@pytest.mark.parametrize(
    "cell",
    [
        use_and_drop,
        use_and_drop_in_a_circle,
        use_and_raise,
        use_copies,
        use_and_leave_layers,
        fail_to_make,
    ],
)
def test_cells_run_again_leave_nothing(cell, model, inputs):
    def run():
        try:
            cell(model, inputs)
        except ZeroDivisionError:
            pass
        gc.collect()

    run()  # torch and the kernels keep what they need
    if hasattr(cell, "layers"):
        del cell.layers
    before = resources()
    for _ in range(3):
        run()
    if hasattr(cell, "layers"):
        assert_no_more_than(before, [1, 2])  # memory stays with the layers
        SpikeCountLoss()(cell.layers, LABELS).backward()
        del cell.layers
    assert_no_more_than(before)


def test_weights_outlive_their_network(model, inputs):
    network = make_network(model, seed=3)
    weights, arrays = network.weights, [w.detach().numpy() for w in network.weights]
    expected, gone = [array.copy() for array in arrays], weakref.ref(network.simulator)
    pids = getattr(network.simulator, "pids", [])
    del network
    gc.collect()
    assert gone() is None
    assert not any(map(is_alive, pids))
    assert_same(arrays, expected)
    with torch.no_grad():
        weights[0].add_(1)
    np.testing.assert_array_equal(arrays[0], expected[0] + 1)


EXIT = """
import sys
from tests.training.test_module_life import DIGITS, MODELS, bsnn, make_network
model = MODELS[sys.argv[1]]
network = make_network(model)
network(bsnn.encode_ttfs(DIGITS.train_images[:20], model))
network.itself = network
print(*getattr(network.simulator, "pids", []), flush=True)
if sys.argv[2] == "raise":
    raise ZeroDivisionError
"""


@pytest.mark.parametrize("end", ["end", "raise"])
def test_the_end_of_python_leaves_nothing(end, model):
    run = subprocess.run(
        [sys.executable, "-W", "error::ResourceWarning", "-c", EXIT, model.rule, end],
        cwd=ROOT,
        text=True,
        capture_output=True,
        timeout=300,
    )
    assert run.returncode == (end == "raise"), run.stderr
    assert ("ZeroDivisionError" in run.stderr) == (end == "raise")
    assert run.stderr.count("\n") <= 4
    assert not any(is_alive(int(pid)) for pid in run.stdout.split())
