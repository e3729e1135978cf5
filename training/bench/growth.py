"""How a step of the recurrent network grows with its size, duration, delay, sparseness.

Work is proportional to the arrivals at synapses where their number is large, so the
time of one, in nanoseconds, says whether cost is linear.
"""

import logging
from dataclasses import replace

from bsnn.processes.tasks import call_apart
from bsnn.training.derived_network import DerivedNetwork

from .describe import check_repeats
from .recurrent import BATCH_SIZE, measure_training
from .recurrent_network import Recurrent
from .rows import MIB

AXES = {
    "size": (64, 128, 256, 512, 1024),
    "n_steps": (125, 250, 500, 1000, 2000),
    "delay": (1, 8, 64, 512),
    "longest": (8, 64, 512),
    "probability": (1, 0.5, 0.2, 0.1, 0.05),
}
# Long enough for the longest delay, large enough for absent synapses to matter.
BASES = {
    **dict.fromkeys(("delay", "longest"), Recurrent(n_steps=1000)),
    "probability": Recurrent(size=1024),
}
N_CALLS = 5  # of a measurement
COLUMNS = "axis value synapses steps spikes forward/ms training/ms ns/event MiB".split()

log = logging.getLogger(__name__)


def growth_points():
    """Return (axis, value, `Recurrent`) of each point, each axis varied alone."""
    for axis, values in AXES.items():
        for value in values:
            yield axis, value, replace(BASES.get(axis, Recurrent()), **{axis: value})


def run_growth(*, precision, seed, workers, repeats):
    """Measure every point of `growth_points`.

    Each in a process of its own, so that its peak memory is its own.

    Returns
    -------
    rows : list of dict
        `axis` and `value`; median and quartiles (`_low`, `_high`) of `forward_ms` and
        `training_ms` of a batch; `memory_mib`; `samples`, `steps`, `neurons` and
        `synapses`; `spikes` per sample with the input's; arrivals at synapses,
        `events`, per sample; and `ns_per_event` of a training step.

    Raises
    ------
    ValueError
        If there are too few repeats.
    """
    check_repeats(repeats)
    options = {"precision": precision, "workers": workers}
    rows = []
    for axis, value, point in growth_points():
        log.info("measuring %s %g", axis, value)
        row = call_apart(_measure, point, options, seed, repeats)
        rows.append({"axis": axis, "value": value, **row})
    return rows


def _measure(point, options, seed, repeats):
    network = point.network
    weights = point.weights(network, seed)
    inputs, labels = point.batch(BATCH_SIZE, seed)
    with DerivedNetwork(network, weights=weights, **options) as net:
        found, _ = measure_training(net, inputs, labels, repeats, N_CALLS)
    events = point.synaptic_events(found["spikes"])
    row = {
        "samples": BATCH_SIZE,
        "steps": point.n_steps,
        "neurons": point.size,
        "synapses": sum(weight.size for weight in weights.values()),
        "spikes": sum(found["spikes"]),
        "events": events,
        "memory_mib": found["memory"]["total"] / MIB,
        "ns_per_event": 1e9 * found["training"].median / (events * BATCH_SIZE),
    }
    for name, kind in (("forward", "call"), ("training", "training")):
        spread = found[kind]
        row[f"{name}_ms"] = 1e3 * spread.median
        row[f"{name}_ms_low"], row[f"{name}_ms_high"] = (
            1e3 * spread.low,
            1e3 * spread.high,
        )
    return row


def growth_table(rows):
    """Return the rows as lines of aligned text."""
    lines = [COLUMNS]
    for row in rows:
        numbers = (
            f"{row['value']:g}",
            f"{row['synapses']}",
            f"{row['steps']}",
            f"{row['spikes']:.0f}",
            f"{row['forward_ms']:.1f}",
            f"{row['training_ms']:.1f}",
            f"{row['ns_per_event']:.2f}",
            f"{row['memory_mib']:.0f}",
        )
        lines.append((row["axis"], *numbers))
    return "\n".join("".join(f"{cell:>14}" for cell in line) for line in lines)
