"""Run every check that needs a GPU and print a table: ``examples/gpu_check.py``.

Needs the extra ``cuda`` and nvcc (`bsnn doctor`), and MNIST in the data folder. Takes
some ten minutes, most of them for building programs.
"""

import shutil
import subprocess
import sys
import time

import numpy as np
from brian2 import ms

import bsnn
from bsnn.cuda import CudaSimulator, require_gpu
from bsnn.errors import BsnnError
from bsnn.grid import GridSimulator

SANITIZED = """
import sys, numpy as np
sys.path.insert(0, {folder!r})
from gpu_check import drawn, small_model
from bsnn.cuda import CudaSimulator
model = small_model()
with CudaSimulator(model, replicas=4, timeout=600) as simulator:
    simulator.run(*drawn(model, 6))
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


def same_spikes():
    """Spikes equal to those of C++ in double, at 1, 16 and 256 replicas."""
    model = mnist_model()
    weights, inputs = drawn(model, 300)
    with GridSimulator(model) as simulator:
        expected = simulator.run(weights, inputs)
    for replicas in (1, 16, 256):
        with CudaSimulator(model, replicas=replicas) as simulator:
            records = simulator.run(weights, inputs)
        equal = all(
            r.n_spikes > 0
            and np.array_equal(r.offset, e.offset)
            and np.array_equal(r.step, e.step)
            and np.array_equal(r.neuron, e.neuron)
            for r, e in zip(records, expected, strict=True)
        )
        yield f"spikes as in C++, R = {replicas}", f"{records[0].n_spikes}", equal


def same_gradient():
    """The torch gradient on the GPU equal to that on the CPU, to rounding."""
    import torch

    from bsnn.training import gradient
    from bsnn.training.spiking_network import arrivals, crossings

    model = mnist_model()
    weights, inputs = drawn(model, 50)
    with GridSimulator(model) as simulator:
        record = simulator.run(weights, inputs)[0]
    results = []
    for device in ("cpu", "cuda"):
        pre, post = (
            type(part)(**{k: v.to(device) for k, v in vars(part).items()})
            for part in (arrivals(inputs), crossings(record, model.neurons[0]))
        )
        result = gradient.layer_gradient(
            pre,
            post,
            torch.ones_like(post.time),
            torch.from_numpy(weights[0]).to(device),
            model.neurons[0].modes,
            slope_min=0.1,
        )
        results.append(result.weight.cpu())
    error = float((results[0] - results[1]).abs().max() / results[0].abs().max())
    yield "gradient as on the CPU", f"{error:.1e}", error < 1e-9


def speed():
    """Forward samples a second at R = 1000, and the fixed cost of a minibatch."""
    model = mnist_model()
    weights, inputs = drawn(model, 1000)
    with CudaSimulator(model, replicas=1000, precision="single") as simulator:
        arrays = simulator.weight_arrays()
        for array, weight in zip(arrays, weights, strict=True):
            array[:] = weight
        seconds = []
        for _ in range(8):
            start = time.perf_counter()
            simulator.run(arrays, inputs)
            seconds.append(time.perf_counter() - start)
        rate = 1000 / np.median(seconds[1:])
        yield "forward samples/s, R = 1000", f"{rate:.0f}", rate >= 50_000
        empty = bsnn.encode_ttfs(np.zeros((1, model.n_inputs), np.uint8), model)
        seconds = []
        for _ in range(30):
            start = time.perf_counter()
            simulator.run(arrays, empty)
            seconds.append(time.perf_counter() - start)
        cost = 1e3 * np.median(seconds[5:])
        yield "fixed cost of a minibatch, ms", f"{cost:.2f}", cost <= 3


def accuracy():
    """One epoch of MNIST at batches of 50 and 1000."""
    import tempfile
    from pathlib import Path

    from bsnn.analysis import Measurement
    from bsnn.datasets import load_dataset
    from bsnn.runs import RunFolder
    from bsnn.training.loop import train
    from bsnn.training.settings import Settings

    dataset = load_dataset("mnist")
    for batch_size, epochs, least in ((50, 1, 0.955), (1000, 3, 0.0)):
        settings = Settings.reference(
            "mnist", batch_size=batch_size, epochs=epochs, device="cuda"
        )
        with tempfile.TemporaryDirectory() as folder:
            run = RunFolder(Path(folder) / "run")
            train(settings, dataset, run, measurement=Measurement)
            table = run.metrics()
        best = table[table.split == "test"].accuracy.max()
        seconds = table[table.split == "train"].seconds.min()
        name = f"MNIST, batch {batch_size}, {epochs} epochs"
        yield f"{name}: accuracy", f"{best:.4f}", best >= least
        if batch_size == 1000:
            yield f"{name}: seconds an epoch", f"{seconds:.1f}", seconds <= 5


def memory_errors():
    """compute-sanitizer memcheck on a small run."""
    tool, name = shutil.which("compute-sanitizer"), "compute-sanitizer memcheck"
    if tool is None:
        yield name, "not installed", False
        return
    from pathlib import Path

    code = SANITIZED.format(folder=str(Path(__file__).parent))
    run = subprocess.run(
        [tool, "--target-processes", "all", "--error-exitcode", "9"]
        + [sys.executable, "-c", code],
        capture_output=True,
        text=True,
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
    for check in (same_spikes, same_gradient, memory_errors, speed, accuracy):
        try:
            for name, value, ok in check():
                passed &= bool(ok)
                print(f"{'ok' if ok else 'FAILED':8}{name:42}{value}", flush=True)
        except (BsnnError, ImportError, ValueError) as error:
            passed = False
            print(f"{'FAILED':8}{check.__name__:42}{error}", flush=True)
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
