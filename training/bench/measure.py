"""Measure what a minibatch costs, beside stock Brian2 and other libraries."""

import logging
import os
import re
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from bsnn.builds import cache_dir
from bsnn.datasets import data_folder, load_dataset
from bsnn.encoding import encode_ttfs
from bsnn.equations import time_rules
from bsnn.errors import BsnnError, DataError
from bsnn.program import build_program
from bsnn.runs import versions
from bsnn.simulator import n_cores
from bsnn.stock import run_stock

from ..epoch import train_epoch
from ..settings import make_network
from .peers import run_peer
from .report import PHASES, Report, Spread

MIN_REPEATS = 5
BATCHES = 20  # minibatches of a repeat, unless said otherwise
WARM_UP_BATCHES, WARM_UP_BATCH_SIZE = 100, 50
SYNTHETIC_SPIKES = 150  # a sample, as MNIST has on average

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, eq=False)
class Workload:
    """Images and labels to measure with."""

    name: str
    images: np.ndarray
    labels: np.ndarray

    def batch(self, number, size):
        """Return the indices of a minibatch, beginning anew after the last image."""
        return np.arange(number * size, (number + 1) * size) % len(self.labels)


def load_workload(name, *, n_inputs, seed, data_dir=None):
    """Return the images to measure with.

    Parameters
    ----------
    name : {"mnist", "synthetic"} or None
        MNIST's test images, or drawn ones whose spikes are about as many and uniform
        over the time of encoding. None takes MNIST if it is in the data folder.
    n_inputs, seed : int
    data_dir : path, optional

    Raises
    ------
    DataError
        If MNIST was asked for and is not there.
    """
    if name is None:
        name = "mnist" if _has_mnist(data_dir) and n_inputs == 784 else "synthetic"
    if name == "mnist":
        dataset = load_dataset("mnist", data_dir=data_dir)
        return Workload(
            name=name, images=dataset.test_images, labels=dataset.test_labels
        )
    if name != "synthetic":
        raise ValueError(f"'workload' must be mnist or synthetic, got {name!r}.")
    rng = np.random.default_rng(seed)
    shape = (2000, n_inputs)
    lit = rng.random(shape) < min(SYNTHETIC_SPIKES / n_inputs, 0.5)
    images = np.where(lit, rng.integers(1, 256, shape), 0).astype(np.uint8)
    return Workload(name=name, images=images, labels=rng.integers(0, 10, shape[0]))


def _has_mnist(data_dir):
    _, is_cache = data_folder(data_dir)
    if is_cache:  # where it would be downloaded to
        return False
    try:
        load_dataset("mnist", data_dir=data_dir)
    except DataError:
        return False
    return True


def run_bench(settings, workload, *, repeats=7, batches=BATCHES, stock=True, peers=()):
    """Measure building, a minibatch and its phases, memory, and what to compare with.

    The network is trained a little first, so that it spikes as networks in use do.

    Parameters
    ----------
    settings : Settings
        With the rule "grid".
    workload : Workload
    repeats : int
        Measurements of each kind, after one that does not count.
    batches : int
        Minibatches of a measurement.
    stock : bool
        Also measure stock Brian2 on the same weights and input.
    peers : sequence of str
        Libraries to measure, see `peers.PEERS`.

    Returns
    -------
    report : Report

    Raises
    ------
    ValueError
        If there are too few repeats, or the rule is not "grid".
    """
    model = benchable_model(settings, repeats)
    machine = describe_machine()  # its load, before ours
    log.info("building the program, unless it is cached")
    build = measure_build(model, settings)
    with make_network(settings, model) as network:
        log.info("measuring bsnn, after %d batches of training", WARM_UP_BATCHES)
        bench = Bench(network, settings, workload, batches)
        bench.train(WARM_UP_BATCHES, WARM_UP_BATCH_SIZE)
        phases = bench.phases(repeats)
        training = bench.training(repeats)
        inputs = [bench.encoded(number) for number in range(batches)]
        forward = bench.forward(inputs, repeats)
        single = inputs[0].select(0, 1)
        fixed = bench.single_call(single, repeats)["fixed_cost"]
        spikes = bench.spikes(inputs)
        memory = measure_memory(network.simulator)
        weights = [weight.detach().numpy().copy() for weight in network.weights]
        stocks = []
        if stock:
            stocks = [
                compare_stock(network, weights, chosen, settings.precision, repeats)
                for chosen in (inputs[0], single)
            ]
    return Report(
        setting={
            **describe_setting(settings, model, workload, repeats),
            "batches": batches,
        },
        machine=machine,
        versions=versions(),
        build=build,
        phases=phases,
        forward=forward,
        training=training,
        fixed_cost=fixed,
        memory=memory,
        spikes=spikes,
        stock=stocks,
        peers=[
            measure_peer(
                name, model, settings, weights, inputs[0], bench.labels(0), repeats
            )
            for name in peers
        ],
    )


def benchable_model(settings, repeats):
    """Return the model, or raise ValueError unless it can be measured so often."""
    if repeats < MIN_REPEATS:
        raise ValueError(f"'repeats' must be {MIN_REPEATS} or more, got {repeats}.")
    model = settings.model()
    if model.rule != time_rules.GRID:
        raise ValueError(
            f"'rule' must be 'grid' here, got {model.rule!r}; name a time step above 0."
        )
    return model


def describe_setting(settings, model, workload, repeats):
    """Return what is measured, as a report says it."""
    return {
        **settings.to_dict(),
        "dataset": workload.name,
        "workers": settings.workers or n_cores(),
        "n_steps": model.n_steps,
        "n_neurons": sum(model.layer_sizes),
        "n_synapses": sum(m * n for m, n in model.weight_shapes),
        "repeats": repeats,
        "warm_up_batches": WARM_UP_BATCHES,
    }


def measure_build(model, settings, make=make_network):
    """Return the seconds until the program is there, and whether it was cached."""
    folder = cache_dir() / "programs"
    before = set(folder.glob("*")) if folder.is_dir() else set()
    start = time.perf_counter()
    if settings.device == "cuda":
        with make(settings, model) as network:
            built = network.simulator.folder
    else:
        built = build_program(
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


def compare_stock(network, weights, inputs, precision, repeats):
    """Return calls of stock Brian2 and of bsnn on one batch, and their spikes.

    Both take weights and leave every layer's spikes, with the neurons' state. Stock
    Brian2 takes no input in a call: it keeps that of its build.
    """
    log.info("building and measuring stock Brian2, %d a call", inputs.n_samples)
    theirs = run_stock(
        network.model, weights, inputs, precision=precision, repeats=repeats
    )
    seconds, _, ours = _timed_runs(network, [inputs] * (1 + repeats))
    return {
        "n_samples": inputs.n_samples,
        "build_seconds": theirs.build_seconds,
        "call": Spread.of(theirs.call_seconds),
        "program": Spread.of(theirs.program_seconds),
        "bsnn_call": Spread.of(seconds[1:]),
        "ratio": float(np.median(theirs.call_seconds) / np.median(seconds[1:])),
        "spikes": [record.n_spikes for record in theirs.records],
        "bsnn_spikes": [record.n_spikes for record in ours],
        "equal": all(map(same_spikes, ours, theirs.records)),
    }


class Bench:
    """A network, its optimiser and a workload, which the measurements share."""

    def __init__(self, network, settings, workload, batches):
        self._network, self._workload = network, workload
        self._batches = batches
        self._batch_size = settings.batch_size
        self._loss = settings.loss()
        self._optimizer = torch.optim.Adam(
            network.parameters(), lr=settings.learning_rate, fused=True
        )

    def images(self, number):
        return self._workload.images[self._workload.batch(number, self._batch_size)]

    def labels(self, number):
        return self._workload.labels[self._workload.batch(number, self._batch_size)]

    def encoded(self, number):
        return encode_ttfs(self.images(number), self._network.model)

    def train(self, n_batches, batch_size):
        """Train as `bsnn train` does; return the seconds it took."""
        metrics = train_epoch(
            self._network,
            self._loss,
            self._optimizer,
            self._workload.images,
            self._workload.labels,
            [self._workload.batch(number, batch_size) for number in range(n_batches)],
            measured=_Unmeasured(),
            advance=lambda n_samples: None,
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
            sum(_timed_runs(self._network, inputs)[0]) for _ in range(1 + repeats)
        ]
        n_samples = sum(batch.n_samples for batch in inputs)
        return Spread.of(n_samples / np.array(seconds[1:]))

    def single_call(self, single, repeats):
        """Return the seconds of a `call` with one sample, and without its simulation.

        The latter is the `fixed_cost`.
        """
        calls, simulating, _ = _timed_runs(self._network, [single] * (1 + repeats) * 10)
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

    def add(self, records, labels):
        pass

    def summary(self):
        return {}


def _timed_runs(network, batches):
    """Return seconds of each whole call and of its simulation, and the last records."""
    calls, simulating = [], []
    for inputs in batches:
        start = time.perf_counter()
        records = network.simulate(inputs)
        calls.append(time.perf_counter() - start)
        simulating.append(network.simulator.seconds)
    return calls, simulating, records


def same_spikes(one, other):
    return all(
        np.array_equal(getattr(one, name), getattr(other, name))
        for name in ("offset", "neuron", "step")
    )


def measure_peer(
    name, model, settings, weights, inputs, labels, repeats, *, device="cpu"
):
    """Return the measurements of a peer on one batch, or why there are none."""
    log.info("measuring %s", name)
    try:
        result = run_peer(
            name,
            model,
            weights,
            inputs,
            labels,
            learning_rate=settings.learning_rate,
            target=(settings.true, settings.false),
            n_threads=settings.workers or n_cores(),
            repeats=repeats,
            device=device,
        )
    except BsnnError as error:  # the other peers can still be measured
        return {"name": name, "error": str(error)}
    n_samples = inputs.n_samples
    return {
        "name": name,
        "version": result["version"],
        "forward": Spread.of(n_samples / np.array(result["forward_seconds"])),
        "training": Spread.of(n_samples / np.array(result["training_seconds"])),
        "spikes": [count / n_samples for count in result["spikes"]],
        "peak_memory": result["peak_memory"],
    }


def _peak_memory(pid):
    status = Path(f"/proc/{pid}/status").read_text()
    return 1024 * int(re.search(r"VmHWM:\s*(\d+) kB", status)[1])


def describe_machine():
    """Return the processor, its cores and how busy they are."""
    cpuinfo = Path("/proc/cpuinfo").read_text()
    model = re.search(r"model name\s*:\s*(.*)", cpuinfo)
    return {
        "processor": model[1] if model else "unknown",
        "n_cores": n_cores(),
        "load": os.getloadavg()[0],
    }
