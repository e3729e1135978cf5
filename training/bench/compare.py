"""The same batch by others: stock Brian2, and other libraries."""

import logging

import numpy as np

from bsnn.errors import BsnnError
from bsnn.machine import n_cores
from bsnn.simulators.stock import run_stock

from .measure import timed_runs
from .peers import run_peer
from .report import Spread

log = logging.getLogger(__name__)


def compare_stock(network, weights, inputs, precision, repeats):
    """Return calls of stock Brian2 and of bsnn on one batch, and their spikes.

    Both take weights and leave every layer's spikes, with the neurons' state. Stock
    Brian2 takes no input in a call: it keeps that of its build.
    """
    log.info("building and measuring stock Brian2, %d a call", inputs.n_samples)
    theirs = run_stock(
        network.model, weights, inputs, precision=precision, repeats=repeats
    )
    seconds, _, ours = timed_runs(network, [inputs] * (1 + repeats))
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


def same_spikes(one, other):
    return all(
        np.array_equal(getattr(one, name), getattr(other, name))
        for name in ("offset", "neuron", "step")
    )


def measure_peer(
    name, model, settings, weights, inputs, labels, repeats, *, device="cpu"
):
    """Return the measurements of a peer on one batch, or why there are none."""
    return measured(
        name,
        inputs.n_samples,
        lambda: run_peer(
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
        ),
    )


def measured(name, n_samples, run):
    """Return what `run()` measured of a peer, or why it did not, for the report."""
    log.info("measuring %s", name)
    try:
        result = run()
    except BsnnError as error:  # the other peers can still be measured
        return {"name": name, "error": str(error)}
    return {
        "name": name,
        "version": result["version"],
        "forward": Spread.of(n_samples / np.array(result["forward_seconds"])),
        "training": Spread.of(n_samples / np.array(result["training_seconds"])),
        "training_cpu": result["training_cpu"],
        "spikes": [count / n_samples for count in result["spikes"]],
        "peak_memory": result["peak_memory"],
    }
