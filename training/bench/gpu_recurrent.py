"""Measure a recurrent network on a GPU over the number of replicas, beside C++."""

import logging
from dataclasses import dataclass

import torch

from bsnn.machine import find_gpus, versions
from bsnn.training.derived_network import DerivedNetwork
from bsnn.training.trace_losses import ReadoutLoss

from .compare import same_spikes
from .describe import check_repeats, describe_machine
from .gpu import REPLICAS
from .measure import one_thread, taking_turns, training_step
from .recurrent_network import Recurrent
from .report import ReplicasReport, Spread
from .rows import aligned

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class RecurrentGpuReport(ReplicasReport):
    """What `run_gpu_recurrent_bench` found; the batch is as large as the replicas."""

    def table(self):
        s, m = self.setting, self.machine
        rows = [
            ("network", f"80 inputs, {s['size']} recurrent ALIF, 10 integrators"),
            ("steps", f"{s['n_steps']} of 1 ms, seed {s['seed']}, {s['precision']}"),
            ("machine", f"{m['processor']}, {m['n_cores']} cores"),
            ("GPU", m["gpu"]),
            ("versions", ", ".join(f"{k} {v}" for k, v in self.versions.items())),
        ]
        return "\n\n".join([aligned(rows), self.over_replicas()])


def run_gpu_recurrent_bench(
    *,
    precision,
    seed,
    workers,
    repeats,
    replicas=REPLICAS,
    arch=None,
    workload=None,
    make=DerivedNetwork,
):
    """Measure calls and training steps of a recurrent network on a GPU.

    Parameters
    ----------
    precision, seed, repeats
        As for `run_recurrent_bench`.
    workers : int or None
        Of the C++ target.
    replicas : sequence of int
        Samples simulated at the same time, and in a batch.
    arch : float, optional
        See `CudaNetworkTarget`.
    workload : Recurrent, optional
        ``Recurrent()`` unless given.
    make : callable
        ``make(network, weights=, precision=, device=, **options)`` returns the module.

    Returns
    -------
    report : RecurrentGpuReport

    Raises
    ------
    ValueError
        If there are too few repeats or replicas.
    BackendUnavailable
        If there is no GPU.
    """
    check_repeats(repeats)
    if not replicas or min(replicas) < 1:
        raise ValueError(f"'replicas' must name numbers above 0, got {replicas}.")
    machine = {**describe_machine(), "gpu": find_gpus() or "none"}
    workload = workload or Recurrent()
    network = workload.network
    weights = workload.weights(network, seed)
    points = []
    for number in replicas:
        inputs, labels = workload.batch(number, seed)
        found, records = {}, []
        for target, options in (
            ("cuda", {"replicas": number, "arch": arch}),
            ("cpp", {"workers": workers}),
        ):
            given = {"weights": weights, "precision": precision, "device": target}
            with make(network, **given, **options) as net:
                found[target], record = _measure(net, inputs, labels, repeats)
            records.append(record)
        points.append(
            {"replicas": number, **found, "equal": same_spikes(*records)},
        )
        log.info("%d replicas measured", number)
    return RecurrentGpuReport(
        setting={
            "size": workload.size,
            "n_steps": workload.n_steps,
            "seed": seed,
            "repeats": repeats,
            "precision": precision,
            "workers": workers,
        },
        machine=machine,
        versions=versions(),
        points=points,
    )


def _measure(net, inputs, labels, repeats):
    """Return what a target does, and the spikes of the neurons."""
    readout = ReadoutLoss("max")

    def call():
        with torch.no_grad():
            return net(inputs)

    step = training_step(net, lambda: readout(net(inputs)["out"].trace["v"], labels))
    with one_thread():
        seconds = taking_turns({"forward": call, "training": step}, repeats)
    record = call()["hidden"].record
    n = inputs.n_samples
    speeds = {name: Spread.of(n / taken) for name, taken in seconds.items()}
    return {**speeds, "spikes": [s.n_spikes / n for s in (inputs, record)]}, record
