"""Measure a recurrent network, beside stock Brian2 and other libraries."""

import logging
from dataclasses import dataclass

import numpy as np
import torch

from bsnn.machine import n_cores, versions
from bsnn.simulators.stock_network import run_stock_network
from bsnn.training.derived_network import DerivedNetwork
from bsnn.training.trace_losses import ReadoutLoss

from .compare import measured, same_spikes
from .describe import check_repeats, describe_machine
from .measure import (
    cpu_seconds,
    measure_memory,
    one_thread,
    taking_turns,
    training_step,
)
from .peers.recurrent import run_recurrent_peer
from .recurrent_network import Recurrent
from .report import BenchReport, Spread, speeds
from .rows import MIB, aligned, layers, peer_rows

log = logging.getLogger(__name__)
BATCH_SIZE = 50
LEARNING_RATE = 0.0  # every step repeats the same spikes


@dataclass(frozen=True, kw_only=True)
class RecurrentReport(BenchReport):
    """What `run_recurrent_bench` found.

    Parameters
    ----------
    setting, machine, versions : dict
        What was measured, on what, with what.
    found : dict
        Seconds of a `call` and of a `training` step as they are, and, of one step, what
        the programs take `forward` and `backward` by their own clock; `spikes` per
        sample of the input and the neurons; `memory`, peak bytes of the `parent`, the
        `programs`, and in `total`; `training_cpu`, the seconds that all processes work
        for a step, which do not depend on who else uses the machine.
    stock : list of dict
        Stock Brian2: seconds of a `call` and of the `build`, `spikes` per sample, and
        whether they are `equal`, one by one; the largest `error` of a trace.
    peers : list of dict
        Other libraries: measurements, or the `error` for which there are none.
    """

    setting: dict
    machine: dict
    versions: dict
    found: dict
    stock: list
    peers: list

    @property
    def comparisons(self):
        return self.stock

    def table(self):
        s, m = self.setting, self.machine
        sizes = f"80 inputs, {s['size']} ALIF all-to-all recurrent, 10 integrators"
        rows = [
            ("network", f"{sizes}, 1 ms, {s['n_steps']} steps"),
            ("batch", f"{BATCH_SIZE} drawn samples, seed {s['seed']}"),
            ("precision", f"{s['precision']}, {s['workers']} workers"),
            (
                "machine",
                f"{m['processor']}, {m['n_cores']} cores, load {m['load']:.1f} before",
            ),
            ("versions", ", ".join(f"{k} {v}" for k, v in self.versions.items())),
            ("spikes per sample", layers(self.found["spikes"], "input")),
            ("", ""),
            *self._costs(),
        ]
        for stock in self.stock:
            rows += [("", ""), *self._stock_rows(stock)]
        for peer in self.peers:
            ours = speeds(self.found, BATCH_SIZE)
            rows += [("", ""), *peer_rows(peer, ours, "hidden")]
            rows += self._work_row(peer)
        return aligned(rows)

    def _costs(self):
        found = self.found
        yield "forward", found["call"].text(1e3, "ms", 2)
        yield "  of it the programs", found["forward"].text(1e3, "ms", 2)
        yield "training step", found["training"].text(1e3, "ms", 2)
        yield "  of it the way back", found["backward"].text(1e3, "ms", 2)
        yield "  CPU time", f"{1e3 * found['training_cpu']:9.1f} ms"
        yield "peak memory", f"{found['memory']['total'] / MIB:9.0f} MiB"

    def _work_row(self, peer):
        if "error" not in peer:
            cpu = peer["training_cpu"]
            ratio = cpu / self.found["training_cpu"]
            text = f"{1e3 * cpu:9.1f} ms  {ratio:.1f} times that of bsnn"
            yield f"{peer['name']} CPU time of a step", text

    def _stock_rows(self, stock):
        ratio = stock["call"].median / self.found["call"].median
        yield "stock Brian2, forward", stock["call"].text(1e3, "ms", 1)
        yield "  ratio", f"{ratio:9.1f}"
        verdict = "equal spike by spike" if stock["equal"] else "NOT EQUAL"
        yield "  spikes", f"{layers(stock['spikes'], 'hidden')}: {verdict}"
        yield "  traces", f"{stock['error']:9.1e} apart at most"


def run_recurrent_bench(*, precision, seed, workers, repeats, stock=True, peers=()):
    """Measure calls and training steps of a recurrent network, and of others on it.

    Parameters
    ----------
    precision : {"single", "double"}
        Of ours and of stock Brian2; the other libraries are always single.
    seed : int
        Of weights and inputs.
    workers : int or None
    repeats : int
        Measurements of each kind, after one that does not count.
    stock : bool
        Also measure stock Brian2 on the same weights and input.
    peers : sequence of str
        Libraries to measure, see `peers.PEERS`.

    Returns
    -------
    report : RecurrentReport

    Raises
    ------
    ValueError
        If there are too few repeats.
    """
    check_repeats(repeats)
    machine = describe_machine()  # its load, before ours
    workers = workers or n_cores()
    workload = Recurrent()
    network = workload.network
    weights = workload.weights(network, seed)
    inputs, labels = workload.batch(BATCH_SIZE, seed)
    log.info("building and measuring the recurrent network")
    options = {"precision": precision, "workers": workers}
    with DerivedNetwork(network, weights=weights, **options) as net:
        found, activity = measure_training(net, inputs, labels, repeats)
    given = network, list(weights.values()), inputs
    n_fired = activity["hidden"].record.n_spikes / BATCH_SIZE
    return RecurrentReport(
        setting={
            "size": workload.size,
            "n_steps": workload.n_steps,
            "seed": seed,
            "repeats": repeats,
            **options,
        },
        machine=machine,
        versions=versions(),
        found=found,
        stock=[_measure_stock(*given, activity, precision, repeats)] if stock else [],
        peers=[
            measured(
                name,
                BATCH_SIZE,
                lambda name=name: run_recurrent_peer(
                    name,
                    *given,
                    labels,
                    settled=_settled(network, n_fired),
                    learning_rate=LEARNING_RATE,
                    n_threads=workers,
                    repeats=repeats,
                ),
            )
            for name in peers
        ],
    )


def measure_training(net, inputs, labels, repeats, n_calls=10):
    """Return what calls and training steps of a recurrent network cost.

    Returns
    -------
    found : dict
        As `RecurrentReport.found`.
    activity : dict of str to Activity
        Of the last call.
    """
    readout = ReadoutLoss("max")

    def loss():
        return readout(net(inputs)["out"].trace["v"], labels)

    def call():
        with torch.no_grad():
            return net(inputs)

    step = training_step(net, loss, learning_rate=LEARNING_RATE)
    with one_thread():  # the programs have the cores
        seconds = taking_turns({"call": call, "training": step}, repeats, n_calls)
        seconds |= _within_programs(net, loss, repeats)
        before = cpu_seconds(net.simulator)
        for _ in range(repeats * n_calls):
            step()
        worked = (cpu_seconds(net.simulator) - before) / (repeats * n_calls)
    activity = call()
    fired = inputs, activity["hidden"].record
    return {
        **{name: Spread.of(taken) for name, taken in seconds.items()},
        "spikes": [record.n_spikes / inputs.n_samples for record in fired],
        "memory": measure_memory(net.simulator),
        "training_cpu": worked,
    }, activity


def _within_programs(net, loss, repeats):
    seconds = {"forward": [], "backward": []}
    for _ in range(repeats):
        value = loss()
        seconds["forward"].append(net.simulator.seconds)
        value.backward()
        seconds["backward"].append(net.simulator.seconds)
    return seconds


def _measure_stock(network, weights, inputs, activity, precision, repeats):
    log.info("building and measuring stock Brian2")
    run = run_stock_network(
        network, weights, {"in": inputs}, precision=precision, repeats=repeats
    )
    trace = activity["out"].trace["v"].numpy()
    theirs = run.records["hidden"]
    return {
        "call": Spread.of(run.call_seconds),
        "build_seconds": run.build_seconds,
        "spikes": [theirs.n_spikes / inputs.n_samples],
        "equal": same_spikes(activity["hidden"].record, theirs),
        "error": float(np.abs(trace - run.traces["out", "v"]).max()),
    }


def _settled(network, n_fired):
    """Return the mean threshold of neurons that fire so often in a sample in all."""
    hidden = network.named["hidden"]
    rate = n_fired / hidden.size / network.duration_seconds
    return float(
        1 + hidden.neuron.values["beta"] * rate * hidden.neuron.values["tau_a"]
    )
