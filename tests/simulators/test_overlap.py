"""Calls that overlap take turns; forks begin anew; what breaks off leaves nothing."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from brian2 import ms

import bsnn
from bsnn.program.supervised import SupervisedProgram
from bsnn.simulators.grid import GridSimulator
from bsnn.training import SpikingNetwork
from tests.models import draw, grid_model, study_model
from tests.processes.survivors import is_alive
from tests.program.test_supervised import assert_same_records

pytestmark = pytest.mark.cpp

MODELS = {
    "grid": grid_model(),
    **{
        rule: study_model((20, 30, 6), [0.12, 0.4], dt=dt_ms * ms, rule=rule)
        for rule, dt_ms in (("quantised-event", 1), ("continuous", 0))
    },
}
N_THREADS, N_CALLS = 4, 10
WEIGHTS, _ = draw(MODELS["grid"], np.random.default_rng(0))
ROOT = Path(__file__).parents[2]


def draw_inputs(model, seed):
    rng = np.random.default_rng(seed)
    return bsnn.Spikes.from_events(
        sample=np.repeat(np.arange(4), 30),
        # In turn, so that none fires twice in a time step.
        neuron=np.tile(rng.permutation(20), 6),
        time=np.sort(rng.uniform(0, 0.15, (4, 30))).ravel(),
        n_samples=4,
        n_neurons=20,
        dt=model.dt_seconds,
    )


@pytest.fixture(scope="module", params=MODELS)
def model(request):
    return MODELS[request.param]


@pytest.fixture
def simulator(model):
    with bsnn.make_simulator(model, workers=2) as opened:
        yield opened


@pytest.fixture
def on_grid():
    with GridSimulator(MODELS["grid"], workers=2) as opened:
        yield opened


@pytest.fixture
def network(model):
    with SpikingNetwork(
        model, workers=2, precision="double", low=-1, high=3, n_threads=2
    ) as opened:
        yield opened


def in_threads(function):
    """Call a function with 0, 1, ..., each in a thread of its own, all at once."""
    start = threading.Barrier(N_THREADS)

    def begin(number):
        start.wait()
        return [function(number) for _ in range(N_CALLS)]

    with ThreadPoolExecutor(N_THREADS) as pool:
        return list(pool.map(begin, range(N_THREADS)))


def test_threads_get_the_records_of_their_own_inputs(simulator):
    inputs = [draw_inputs(simulator.model, seed) for seed in range(N_THREADS)]
    expected = [simulator.run(WEIGHTS, given) for given in inputs]
    found = in_threads(lambda n: simulator.run(WEIGHTS, inputs[n]))
    for n, of_thread in enumerate(found):
        for records in of_thread:
            assert_same_records(records, expected[n])


def test_threads_get_their_own_weights(simulator):
    inputs = draw_inputs(simulator.model, 0)
    scaled = [[(1 + n / 4) * w for w in WEIGHTS] for n in range(N_THREADS)]
    expected = [simulator.run(weights, inputs) for weights in scaled]
    found = in_threads(lambda n: simulator.run(scaled[n], inputs))
    for n, of_thread in enumerate(found):
        for records in of_thread:
            assert_same_records(records, expected[n])


def learn(network, inputs):
    layers = network(inputs)
    value = sum((layer.time**2).sum() for layer in layers)
    return torch.autograd.grad(value, network.weights)


def test_threads_get_the_gradients_of_their_own_inputs(network):
    network.slope_min = (1e9,) * network.model.n_layers  # more than any slope
    inputs = [draw_inputs(network.model, seed) for seed in range(N_THREADS)]
    expected = [learn(network, given) for given in inputs]
    n_clamped, network.n_clamped = network.n_clamped, 0
    assert n_clamped > 0
    found = in_threads(lambda n: learn(network, inputs[n]))
    for n, of_thread in enumerate(found):
        for gradients in of_thread:
            assert all(map(torch.equal, gradients, expected[n]))
    assert network.n_clamped == N_CALLS * n_clamped


def test_threads_may_pull_back_through_one_graph(network):
    layers = network(draw_inputs(network.model, 0))
    value = sum((layer.time**2).sum() for layer in layers)

    def pull_back(_=None):
        return torch.autograd.grad(value, network.weights, retain_graph=True)

    expected = pull_back()
    for of_thread in in_threads(pull_back):
        for gradients in of_thread:
            assert all(map(torch.equal, gradients, expected))


def test_executors_of_asyncio_take_turns(simulator):
    inputs = [draw_inputs(simulator.model, seed) for seed in range(N_THREADS)]
    expected = [simulator.run(WEIGHTS, given) for given in inputs]

    async def run_all():
        run = asyncio.get_running_loop().run_in_executor
        calls = [run(None, simulator.run, WEIGHTS, given) for given in inputs]
        return await asyncio.gather(*calls)

    for found, records in zip(asyncio.run(run_all()), expected, strict=True):
        assert_same_records(found, records)


@pytest.fixture
def during_receive(monkeypatch):
    """Do something in the middle of the next call, when programs are at work."""

    def arrange(action):
        receive, actions = SupervisedProgram.receive, [action]

        def act(self):
            if actions:
                actions.pop()()
            return receive(self)

        monkeypatch.setattr(SupervisedProgram, "receive", act)

    return arrange


@pytest.fixture
def on_signal():
    """Let a function handle SIGUSR1; return what sends it."""
    before = signal.getsignal(signal.SIGUSR1)

    def handle(action):
        signal.signal(signal.SIGUSR1, lambda *_: action())
        return lambda: signal.raise_signal(signal.SIGUSR1)

    yield handle
    signal.signal(signal.SIGUSR1, before)


def test_a_call_within_a_call_is_refused(on_grid, during_receive, on_signal):
    inputs, other = (draw_inputs(on_grid.model, seed) for seed in (0, 1))
    expected = on_grid.run(WEIGHTS, other)
    during_receive(on_signal(lambda: on_grid.run(WEIGHTS, inputs)))
    with pytest.raises(RuntimeError, match="'run' was called in the middle of another"):
        on_grid.run(WEIGHTS, inputs)
    assert_same_records(on_grid.run(WEIGHTS, other), expected)


def test_closed_within_a_call_it_ends_with_the_call(on_grid, during_receive, on_signal):
    inputs, pids = draw_inputs(on_grid.model, 0), on_grid.pids
    expected = on_grid.run(WEIGHTS, inputs)
    during_receive(on_signal(on_grid.close))
    assert_same_records(on_grid.run(WEIGHTS, inputs), expected)
    assert on_grid.closed
    assert not any(map(is_alive, pids))


def test_closed_by_another_thread_it_ends_after_the_call(on_grid, during_receive):
    inputs, pids = draw_inputs(on_grid.model, 0), on_grid.pids
    expected = on_grid.run(WEIGHTS, inputs)
    closing = threading.Thread(target=on_grid.close)

    def close_beside():
        closing.start()
        closing.join(0.1)  # as far as it comes
        assert closing.is_alive()

    during_receive(close_beside)
    assert_same_records(on_grid.run(WEIGHTS, inputs), expected)
    closing.join()
    assert not any(map(is_alive, pids))
    with pytest.raises(RuntimeError, match="GridSimulator has been closed"):
        on_grid.run(WEIGHTS, inputs)


@pytest.mark.parametrize("method", ["send", "receive"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_a_call_that_breaks_off_leaves_no_answer(method, error, on_grid, monkeypatch):
    inputs, other = (draw_inputs(on_grid.model, seed) for seed in (0, 1))
    expected = on_grid.run(WEIGHTS, other)
    original, programs = getattr(SupervisedProgram, method), []

    def break_off(self, *arguments):
        programs.append(self)
        if len(programs) == 2:
            raise error
        return original(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(SupervisedProgram, method, break_off)
        with pytest.raises(error):
            on_grid.run(WEIGHTS, inputs)
    assert len(set(programs)) == 2
    assert_same_records(on_grid.run(WEIGHTS, other), expected)


def test_weights_that_change_during_a_call_are_noticed(network, monkeypatch):
    inputs, run = draw_inputs(network.model, 0), type(network.simulator)._run

    def change(self, *arguments):
        with torch.no_grad():
            network.weights[1].add_(1)
        return run(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(type(network.simulator), "_run", change)
        for call in (network, network.simulate):
            with pytest.raises(RuntimeError, match=r"changed.*network.turn\(\):"):
                call(inputs)
    network(inputs)


def test_no_call_begins_while_another_thread_has_the_turn(network):
    inputs = draw_inputs(network.model, 0)
    with ThreadPoolExecutor(1) as pool:
        with network.turn():
            call = pool.submit(network.simulate, inputs)
            with torch.no_grad():
                for weight in network.weights:
                    weight.mul_(1.5)
            expected = network.simulate(inputs)  # of this thread they do
            with torch.no_grad():
                for weight in network.weights:
                    weight.mul_(0)
            assert not call.done()
        assert call.result()[0].n_spikes == 0 < expected[0].n_spikes


def test_weights_that_lie_elsewhere_overwrite_none(on_grid):
    """Arrays that were handed out keep their values, whatever is simulated."""
    inputs = draw_inputs(on_grid.model, 0)
    handed_out = on_grid.weight_arrays()
    for array, weight in zip(handed_out, WEIGHTS, strict=True):
        array[:] = weight
    expected = on_grid.run(WEIGHTS, inputs)
    on_grid.run([np.zeros_like(w) for w in WEIGHTS], inputs)
    for array, weight in zip(handed_out, WEIGHTS, strict=True):
        np.testing.assert_array_equal(array, weight)
    assert_same_records(on_grid.run(handed_out, inputs), expected)
    mixed = [WEIGHTS[0], handed_out[1]]
    assert_same_records(on_grid.run(mixed, inputs), expected)


def test_the_same_memory_in_another_order_is_no_weight_of_ours(rng):
    model = study_model((20, 30, 30, 6), [0.12, 0.4, 0.3])
    inputs = draw_inputs(model, 0)
    weights = [rng.uniform(-1, 3, shape) for shape in model.weight_shapes]
    turned = [weights[0], weights[1].T, weights[2]]
    with GridSimulator(model, workers=1) as simulator:
        expected = simulator.run([np.ascontiguousarray(w) for w in turned], inputs)
        ours = simulator.weight_arrays()
        for array, weight in zip(ours, weights, strict=True):
            array[:] = weight
        found = simulator.run([ours[0], ours[1].T, ours[2]], inputs)
        assert_same_records(found, expected)


def run_script(code, rule):
    """Run a script in a process of its own, which may fork and exit as it likes."""
    head = f"""
        import os, signal, sys, time
        import numpy as np, torch
        from bsnn.training import SpikingNetwork
        from tests.processes.survivors import is_alive
        from tests.simulators.test_overlap import MODELS, draw_inputs, in_child, same
        model = MODELS[{rule!r}]
        inputs = draw_inputs(model, 0)
        net = SpikingNetwork(model, workers=2, precision="double", high=3, n_threads=2)
    """
    lines = [line[8:] for line in (head + code).splitlines()]
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", "\n".join(lines)],
        cwd=ROOT,
        text=True,
        capture_output=True,
        timeout=300,
    )


def in_child(function):
    """Fork; the child calls the function and goes through all of Python's exit."""
    child = os.fork()
    if not child:
        function()
        sys.exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


def same(found, expected):
    for layer, record in zip(found, expected, strict=True):
        assert record.n_spikes > 0
        np.testing.assert_array_equal(layer.arrival, record.arrival)
        np.testing.assert_array_equal(layer.neuron, record.neuron)


FORK = """
        expected = net.simulate(inputs)
        weights = [w.detach().clone() for w in net.weights]
        pids = getattr(net.simulator, "pids", [])

        def learn():
            same(net.simulate(inputs), expected)
            assert not set(pids) & set(getattr(net.simulator, "pids", []))
            sum((layer.time**2).sum() for layer in net(inputs)).backward()
            torch.optim.SGD(net.parameters(), lr=1e-3).step()
            assert not torch.equal(net.weights[0], weights[0])
            in_child(lambda: net(inputs))  # one more generation

        in_child(learn)
        in_child(net.close)
        in_child(lambda: None)
        with net.turn():
            in_child(learn)
        assert all(map(torch.equal, net.weights, weights))
        same(net.simulate(inputs), expected)
        assert getattr(net.simulator, "pids", []) == pids
        assert all(map(is_alive, pids))
        net.close()

        def change():
            with torch.no_grad():
                net.weights[0].add_(1)

        in_child(change)
        assert all(map(torch.equal, net.weights, weights))
        print("fine")
"""


@pytest.mark.parametrize("rule", MODELS)
def test_a_forked_child_has_weights_and_programs_of_its_own(rule):
    run = run_script(FORK, rule)
    assert (run.stdout, run.stderr) == ("fine\n", "")


LOADER = """
        from torch.utils.data import DataLoader, Dataset

        class Simulated(Dataset):
            def __len__(self):
                return 4

            def __getitem__(self, index):
                record = net.simulate(inputs.select(index, index + 1))[-1]
                return torch.from_numpy(record.counts()[0])

        expected = net.simulate(inputs)[-1].counts()
        assert expected.any()
        loader = DataLoader(Simulated(), batch_size=2, num_workers=2)
        found = torch.cat(list(loader)).numpy()
        np.testing.assert_array_equal(found, expected)
        np.testing.assert_array_equal(net.simulate(inputs)[-1].counts(), expected)
        print("fine")
"""


@pytest.mark.parametrize("rule", ["grid", "continuous"])
def test_workers_of_a_data_loader_may_simulate(rule):
    run = run_script(LOADER, rule)
    assert (run.stdout, run.stderr) == ("fine\n", "")


KILLED = """
        net.simulate(inputs)
        child = os.fork()
        if not child:
            os.close(1), os.close(2)
            time.sleep(60)
            os._exit(0)
        print(child, *net.simulator.pids, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
"""


def test_programs_end_with_their_parent_though_a_fork_of_it_lives():
    run = run_script(KILLED, "grid")
    child, *pids = map(int, run.stdout.split())
    assert len(pids) == 2
    assert is_alive(child)
    for _ in range(600):
        if not any(map(is_alive, pids)):
            break
        threading.Event().wait(0.1)
    assert not any(map(is_alive, pids))
    assert is_alive(child)
    os.kill(child, signal.SIGKILL)
