"""What a network costs: its build, a minibatch and its phases, memory."""

import contextlib
import os
import re
import time
from pathlib import Path

import numpy as np
import torch

from bsnn.builds import cache_dir
from bsnn.inputs.encoding import encode_ttfs
from bsnn.inputs.samples import ImageSamples
from bsnn.targets.cpp.target import CppTarget
from bsnn.training.experiments.epoch import train_epoch
from bsnn.training.experiments.progress import EpochProgress
from bsnn.training.from_settings import make_loss, make_network

from .report import Spread

PHASES = ("encode", "exchange", "simulate", "gradient", "optimiser")
BATCHES = 20  # minibatches of a repeat, unless said otherwise
WARM_UP_BATCHES, WARM_UP_BATCH_SIZE = 100, 50


class Bench:
    """A network, its optimiser and a workload, which the measurements share."""

    def __init__(self, network, settings, workload, batches):
        self._network, self._workload = network, workload
        self._samples = ImageSamples(
            workload.images, workload.labels, encode_ttfs, network.model
        )
        self._batches = batches
        self._batch_size = settings.batch_size
        self._loss = make_loss(settings)
        self._optimizer = torch.optim.Adam(
            network.parameters(), lr=settings.learning_rate, fused=True
        )

    def labels(self, number):
        return self._samples.labels[self._workload.batch(number, self._batch_size)]

    def encoded(self, number):
        return self._samples.spikes(self._workload.batch(number, self._batch_size))

    def weights(self):
        """Return copies of the network's weights."""
        return [weight.detach().numpy().copy() for weight in self._network.weights]

    def warm_up(self):
        """Train a little, so that the network spikes as networks in use do."""
        self.train(WARM_UP_BATCHES, WARM_UP_BATCH_SIZE)

    def train(self, n_batches, batch_size):
        """Train as `bsnn train` does; return the seconds it took."""
        metrics = train_epoch(
            self._network,
            self._loss,
            self._optimizer,
            self._samples,
            [self._workload.batch(number, batch_size) for number in range(n_batches)],
            progress=EpochProgress(_Unmeasured()),
        )
        return metrics["seconds"]

    def training(self, repeats):
        """Return the samples per second of whole training steps."""
        seconds = [
            self.train(self._batches, self._batch_size) for _ in range(1 + repeats)
        ]
        return Spread.of(self._batches * self._batch_size / np.array(seconds[1:]))

    def phases(self, repeats):
        """Return what each phase of a training step takes, one after another."""
        taken = [self._step(number) for number in range((1 + repeats) * self._batches)]
        columns = np.array(taken[self._batches :]).T
        return {
            name: Spread.of(column)
            for name, column in zip(PHASES, columns, strict=True)
        }

    def _step(self, number):
        clock = [time.perf_counter()]

        def lap():
            clock.append(time.perf_counter())
            return clock[-1] - clock[-2]

        inputs = self.encoded(number)
        encode = lap()
        layers = self._network(inputs)
        simulate = self._network.simulator.seconds
        exchange = lap() - simulate
        loss = self._loss(layers, self.labels(number))
        self._network.zero_grad()
        loss.backward()
        gradient = lap()
        self._optimizer.step()
        return encode, exchange, simulate, gradient, lap()

    def forward(self, inputs, repeats):
        """Return the samples per second of whole calls, weights in, spikes out."""
        seconds = [
            sum(timed_runs(self._network, inputs)[0]) for _ in range(1 + repeats)
        ]
        n_samples = sum(batch.n_samples for batch in inputs)
        return Spread.of(n_samples / np.array(seconds[1:]))

    def single_call(self, single, repeats):
        """Return the seconds of a `call` with one sample, and without its simulation.

        The latter is the `fixed_cost`.
        """
        calls, simulating, _ = timed_runs(self._network, [single] * (1 + repeats) * 10)
        return {
            "call": Spread.of(calls[10:]),
            "fixed_cost": Spread.of(np.subtract(calls, simulating)[10:]),
        }

    def spikes(self, inputs):
        """Return the mean spikes per sample of the input and each layer."""
        counts = [
            [x.n_spikes, *(r.n_spikes for r in self._network.simulate(x))]
            for x in inputs
        ]
        n_samples = sum(batch.n_samples for batch in inputs)
        return (np.sum(counts, 0) / n_samples).tolist()


class _Unmeasured:
    """Stands in for a `Measurement` where the speed alone counts."""

    def seen(self, layers):
        return [layer.record for layer in layers]

    def add(self, records, labels):
        pass

    def summary(self):
        return {}


def timed_runs(network, batches):
    """Return seconds of each whole call and of its simulation, and the last records."""
    calls, simulating = [], []
    for inputs in batches:
        start = time.perf_counter()
        records = network.simulate(inputs)
        calls.append(time.perf_counter() - start)
        simulating.append(network.simulator.seconds)
    return calls, simulating, records


@contextlib.contextmanager
def one_thread():
    """Let torch work on one thread, as it waits long for a second on a busy core."""
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(n_threads)


def taking_turns(functions, repeats, n_calls=1):
    """Return the seconds of a call of each function, by name, in repeated measurements.

    One of each that does not count comes first; a measurement is of `n_calls` calls.
    """
    seconds = {name: [] for name in functions}
    for _ in range(1 + repeats):
        for name, function in functions.items():
            start = time.perf_counter()
            for _ in range(n_calls):
                function()
            seconds[name].append((time.perf_counter() - start) / n_calls)
    return {name: np.array(taken[1:]) for name, taken in seconds.items()}


def training_step(module, loss, *, learning_rate=0.0):
    """Return a function that trains once by Adam; with 0, all repeat the same spikes.

    `loss()` runs the module and returns its loss.
    """
    optimizer = torch.optim.Adam(module.parameters(), lr=learning_rate, fused=True)

    def step():
        value = loss()
        optimizer.zero_grad()
        value.backward()
        optimizer.step()

    return step


def cpu_seconds(simulator):
    """Return what this process and the programs have worked so far, all threads."""
    ticks = 0
    for pid in simulator.pids:
        text = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
        user, system = text.rpartition(")")[2].split()[11:13]
        ticks += int(user) + int(system)
    return time.process_time() + ticks / os.sysconf("SC_CLK_TCK")


def measure_build(model, settings, make=make_network):
    """Return the seconds until the program is there, and whether it was cached."""
    folder = cache_dir() / "programs"
    before = set(folder.glob("*")) if folder.is_dir() else set()
    start = time.perf_counter()
    if settings.device == "cuda":
        with make(settings, model) as network:
            built = network.simulator.folder
    else:
        built = CppTarget().build(
            model, precision=settings.precision, projection=settings.projection
        )
    return {"seconds": time.perf_counter() - start, "cached": built in before}


def measure_memory(simulator):
    """Return the peak memory in bytes of this process and of each program.

    They share the weights and the exchanged spikes, which count in each.
    """
    programs = [_peak_memory(pid) for pid in simulator.pids]
    parent = _peak_memory(os.getpid())
    return {
        "parent": parent,
        "programs": programs,
        "total": parent + sum(programs),
    }


def _peak_memory(pid):
    status = Path(f"/proc/{pid}/status").read_text("utf-8", "replace")
    return 1024 * int(re.search(r"VmHWM:\s*(\d+) kB", status)[1])
