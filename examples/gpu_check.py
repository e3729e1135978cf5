"""Every check that needs a GPU, with a table of what each found
=============================================================

::

    python examples/gpu_check.py

Needs the extra ``cuda``, nvcc and compute-sanitizer (``bsnn doctor``), a torch with
CUDA, and MNIST in the data folder; snnTorch and SpikingJelly are measured where
installed. A check that fails does not end the others. Building a dozen programs takes
most of the time.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from brian2 import ms

import bsnn
from bsnn.errors import BsnnError
from bsnn.processes.children import python_command, python_environment
from bsnn.simulators.grid import GridSimulator
from bsnn.targets.cuda.target import CudaTarget, require_gpu
from bsnn.training.bench.peers import is_installed

FORWARD = 50_000  # samples/s at R = 1000
EPOCH = 5  # seconds, MNIST in batches of 1000
FIXED_COST = 3  # ms of a call with one sample
ACCURACY = 0.955  # of MNIST after one epoch in batches of 50

SANITIZED = """
import sys, numpy as np
sys.path.insert(0, {folder!r})
from gpu_check import drawn, small_model, train_network
from bsnn.simulators.grid import GridSimulator
from bsnn.targets.cuda.target import CudaTarget
model = small_model()
with GridSimulator(model, CudaTarget(replicas=4), timeout=600) as simulator:
    simulator.run(*drawn(model, 6))
train_network()
"""


def small_model():
    return mnist_model([20, 30, 6])


def mnist_model(layers=(784, 800, 10)):
    return bsnn.Model.dense(
        layers,
        v_threshold=[0.2, 1.3],
        tau_syn=130 * ms,
        tau_mem=260 * ms,
        dt=1 * ms,
        duration=200 * ms,
    )


def drawn(model, n_samples, seed=0):
    """Return random weights, and inputs of about 150 spikes or fewer a sample."""
    rng = np.random.default_rng(seed)
    lit = rng.random((n_samples, model.n_inputs)) < min(150 / model.n_inputs, 0.8)
    images = np.where(lit, rng.integers(1, 256, lit.shape), 0).astype(np.uint8)
    scale = 1 if model.n_inputs > 100 else 4
    weights = [rng.uniform(-scale, 1.5 * scale, s) for s in model.weight_shapes]
    return weights, bsnn.encode_ttfs(images, model)


def train_network():
    """Pull a small recurrent network back once, on the GPU."""
    from bsnn.training import DerivedNetwork
    from bsnn.training.bench.recurrent_network import Recurrent

    workload = Recurrent(size=40, n_steps=60, longest=5)
    network = workload.network
    weights = workload.weights(network, seed=0)
    options = {"learn": {"hidden->hidden": ["w", "delay"]}, "replicas": 4}
    net = DerivedNetwork(network, weights=weights, device="cuda", **options)
    net(workload.batch(6, seed=0)[0])["out"].trace["v"].sum().backward()


def same_spikes():
    """Spikes equal to those of C++ in double, at 1, 16 and 256 replicas."""
    model = mnist_model()
    weights, inputs = drawn(model, 300)
    with GridSimulator(model) as simulator:
        expected = simulator.run(weights, inputs)
    for replicas, graph in ((1, "1"), (16, "1"), (16, "0"), (256, "1")):
        os.environ["BSNN_CUDA_GRAPH"] = graph
        with GridSimulator(model, CudaTarget(replicas=replicas)) as simulator:
            records = simulator.run(weights, inputs)
        equal = all(
            r.n_spikes > 0
            and np.array_equal(r.offset, e.offset)
            and np.array_equal(r.step, e.step)
            and np.array_equal(r.neuron, e.neuron)
            for r, e in zip(records, expected, strict=True)
        )
        name = f"spikes as in C++, R = {replicas}{', no graph' * (graph == '0')}"
        yield name, f"{sum(r.n_spikes for r in records)}", equal
    del os.environ["BSNN_CUDA_GRAPH"]


def same_gradient():
    """The torch gradient on the GPU equal to that on the CPU, to rounding."""
    import torch

    from bsnn.training.linear import gradient
    from bsnn.training.spike_times import arrivals, crossings

    model = mnist_model()
    weights, inputs = drawn(model, 50)
    with GridSimulator(model) as simulator:
        records = simulator.run(weights, inputs)
    for layer, neuron in enumerate(model.neurons):
        post = crossings(records[layer], neuron)
        arguments = (
            arrivals(records[layer - 1] if layer else inputs),
            post,
            torch.ones_like(post.time),
            torch.from_numpy(weights[layer]),
            neuron.modes,
        )
        found, expected = (
            gradient.layer_gradient_on(device, *arguments, slope_min=0.1)
            for device in ("cuda", "cpu")
        )
        for name in ("weight", "arrival"):
            one, other = getattr(found, name), getattr(expected, name)
            error = float((one - other).abs().max() / other.abs().max())
            what = f"gradient as on the CPU, layer {layer + 1}, {name}"
            yield what, f"{error:.1e}", error < 1e-9


def same_network():
    """A recurrent network and its adjoint as in C++, at 1, 16 and 256 replicas."""
    from bsnn.program.graph_form import Losses
    from bsnn.simulators.network import NetworkSimulator
    from bsnn.training.bench.recurrent_network import Recurrent

    workload = Recurrent(size=64, longest=8)
    network = workload.network
    weights = list(workload.weights(network, seed=0).values())
    inputs, _ = workload.batch(300, seed=0)
    learn = {"hidden": ["tau_mem", "beta"], "hidden->hidden": ["delay"]}

    def ran(**options):
        with NetworkSimulator(network, learn=learn, **options) as simulator:
            records = simulator.run(weights, inputs)
            losses = Losses(
                spikes={
                    n: (s.offset.copy(), np.ones(s.n_spikes))
                    for n, s in records.spikes.items()
                },
                traces={k: np.ones_like(t) for k, t in records.traces.items()},
            )
            found = simulator.pull_back(weights, inputs, losses)
        return records.spikes["hidden"], {
            **{f"weights {k}": w for k, w in enumerate(found.weights)},
            **{f"{name} of {p}": g for (p, name), g in found.parameters.items()},
            **{f"delays of {name}": g for name, g in found.delays.items()},
            "input times": found.inputs["in"],
        }

    spikes, expected = ran()
    for replicas in (1, 16, 256):
        found, derivatives = ran(device="cuda", replicas=replicas)
        equal = spikes.n_spikes > 0 and all(
            np.array_equal(getattr(found, name), getattr(spikes, name))
            for name in ("offset", "step", "neuron")
        )
        yield f"network as in C++, R = {replicas}", f"{found.n_spikes}", equal
        error = max(
            float(np.abs(derivatives[name] - e).max() / np.abs(e).max())
            for name, e in expected.items()
        )
        yield f"its derivatives, R = {replicas}", f"{error:.1e}", error < 1e-9
    _, again = ran(device="cuda", replicas=256)
    same = all(np.array_equal(again[name], d) for name, d in derivatives.items())
    yield "the same bits again", "", same


def network_speed():
    """The bench of the recurrent network over R; no bar was set for it."""
    from bsnn.training.bench.gpu_recurrent import run_gpu_recurrent_bench

    report = run_gpu_recurrent_bench(
        precision="single", seed=0, workers=None, repeats=5
    )
    last = report.points[-1]
    for kind in ("forward", "training"):
        speed = f"{last['cuda'][kind].median:.0f}"
        yield f"network {kind}, samples/s, R = {last['replicas']}", speed, True
    print(f"\n{report.table()}\n", flush=True)


def speed():
    """The bench over R, with the bars on its last row, and the cost without graphs."""
    from bsnn.settings import Settings
    from bsnn.training.bench.gpu import REPLICAS, run_gpu_bench
    from bsnn.training.bench.workload import load_workload

    settings = Settings.reference("mnist", preset="published", device="cuda")
    workload = load_workload("mnist", n_inputs=784, seed=0)
    peers = [name for name in ("snntorch", "spikingjelly") if is_installed(name)]
    report = run_gpu_bench(settings, workload, repeats=5, peers=peers)
    os.environ["BSNN_CUDA_GRAPH"] = "0"
    without = run_gpu_bench(settings, workload, replicas=REPLICAS[-1:], repeats=5)
    del os.environ["BSNN_CUDA_GRAPH"]

    name, last = f"R = {REPLICAS[-1]}", report.points[-1]["cuda"]
    forward = last["forward"].median
    yield f"forward samples/s, {name}", f"{forward:.0f}", forward >= FORWARD
    cost = 1e3 * last["call"].median
    yield "fixed cost of a minibatch, ms", f"{cost:.2f}", cost <= FIXED_COST
    cost = 1e3 * without.points[-1]["cuda"]["call"].median
    yield "the same without graphs, ms", f"{cost:.2f}", True
    print(f"\n{report.table()}\n", flush=True)


def accuracy():
    """MNIST in batches of 50 over one epoch and of 1000 over three, as fast as due."""
    from bsnn.inputs.datasets import load_dataset
    from bsnn.settings import Settings

    dataset = load_dataset("mnist")
    settings = Settings.reference("mnist", epochs=1, device="cuda")
    best, _ = _train(settings, dataset)
    yield "MNIST, batch 50: accuracy", f"{best:.4f}", best >= ACCURACY
    settings = replace(settings, batch_size=1000, epochs=3)
    on_cpp, _ = _train(replace(settings, device="cpp"), dataset)
    best, seconds = _train(settings, dataset)
    value = f"{best:.4f}, C++ {on_cpp:.4f}"
    yield "MNIST, batch 1000: accuracy", value, best >= on_cpp - 0.01
    yield "MNIST, batch 1000: s an epoch", f"{seconds:.1f}", seconds <= EPOCH


def _train(settings, dataset):
    """Return the best accuracy and the seconds of the fastest epoch."""
    from bsnn.analysis import Measurement
    from bsnn.runs import RunFolder
    from bsnn.training.experiments.loop import train

    with tempfile.TemporaryDirectory() as folder:
        run = RunFolder(Path(folder) / "run")
        train(settings, dataset, run, measurement=Measurement)
        table = run.metrics()
    seconds = table[table.split == "train"].seconds.min()
    return table[table.split == "test"].accuracy.max(), seconds


def memory_errors():
    """compute-sanitizer memcheck on a small run."""
    tool, name = shutil.which("compute-sanitizer"), "compute-sanitizer memcheck"
    if tool is None:
        yield name, "not installed", False
        return
    code = SANITIZED.format(folder=str(Path(__file__).parent))
    run = subprocess.run(
        [tool, "--target-processes", "all", "--error-exitcode", "9"]
        + python_command("-c", code),
        env=python_environment(),
        capture_output=True,
        encoding="utf-8",
        errors="replace",
    )
    summary = [line for line in run.stdout.splitlines() if "ERROR SUMMARY" in line]
    clean = run.returncode == 0 and bool(summary)
    clean &= all(" 0 errors" in line for line in summary)
    yield name, summary[-1].strip("= ") if summary else f"exit {run.returncode}", clean


def main():
    try:
        require_gpu()
    except BsnnError as error:
        print(f"gpu_check: {error}", file=sys.stderr)
        return 1
    passed = True
    checks = (same_spikes, same_gradient, same_network, memory_errors)
    for check in (*checks, accuracy, speed, network_speed):
        try:
            for name, value, ok in check():
                passed &= bool(ok)
                print(f"{'ok' if ok else 'FAILED':8}{name:42}{value}", flush=True)
        except Exception as error:  # whatever it is, the other checks are due
            passed = False
            reason = f"{type(error).__name__}: {error}"
            print(f"{'FAILED':8}{check.__name__:42}{reason}", flush=True)
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
