"""How time and memory grow with the network, the batch and the time step."""

import logging
from dataclasses import replace

from bsnn.processes.tasks import call_apart

from .cpu import run_bench
from .measure import BATCHES

HIDDEN = (200, 800, 3200)
BATCH_SIZES = (1, 10, 50, 200, 1000)
DT_MS = (0.5, 1.0, 2.0, 4.0, 8.0)
HIDDEN_LAYERS = (1, 2, 3)
SAMPLES = 1000  # of a measurement, about

log = logging.getLogger(__name__)


def scale_points(settings):
    """Return (axis, value, settings) of each point, each axis varied alone.

    Parameters
    ----------
    settings : Settings
        Where the axes meet; its first hidden layer is the one that is varied.
    """
    n_inputs, *hidden, n_outputs = settings.layers
    first, *_, last = settings.v_threshold

    def with_hidden(sizes):
        return replace(
            settings,
            layers=(n_inputs, *sizes, n_outputs),
            # Layers that are driven by spikes of a layer, like the output.
            v_threshold=(first, *[last] * len(sizes)),
        )

    for size in HIDDEN:
        yield "hidden", size, with_hidden((size, *hidden[1:]))
    for size in BATCH_SIZES:
        yield "batch_size", size, replace(settings, batch_size=size)
    for dt in DT_MS:
        yield "dt_ms", dt, replace(settings, dt_ms=dt)
    for number in HIDDEN_LAYERS:
        yield "hidden_layers", number, with_hidden(hidden[:1] * number)


def run_scale(settings, workload, *, repeats):
    """Measure every point of `scale_points`.

    Each in a process of its own, so that its peak memory is its own.

    Returns
    -------
    rows : list of dict
        `axis` and `value`; median and quartiles (`_low`, `_high`) of `forward_ms` and
        `training_ms` of a minibatch; `memory_mib`; `samples`, `steps`, `neurons` and
        `synapses`; `spikes` per sample with the input's; and `report`, in full.
    """
    rows = []
    for axis, value, point in scale_points(settings):
        batches = min(max(SAMPLES // point.batch_size, 2), BATCHES)
        report = call_apart(_measure, point, workload, repeats, batches)
        rows.append({"axis": axis, "value": value, **_row(report)})
        log.info(
            "%s %g: forward %.4g ms, training %.4g ms, %.0f MiB",
            axis,
            value,
            *(rows[-1][name] for name in ("forward_ms", "training_ms", "memory_mib")),
        )
    return rows


def _measure(settings, workload, repeats, batches):
    return run_bench(settings, workload, repeats=repeats, batches=batches, stock=False)


def _row(report):
    setting = report.setting
    row = {
        "samples": setting["batch_size"],
        "steps": setting["n_steps"],
        "neurons": setting["n_neurons"],
        "synapses": setting["n_synapses"],
        "spikes": sum(report.spikes),
        "memory_mib": report.memory["total"] / 2**20,
    }
    for name in ("forward", "training"):
        speed = getattr(report, name)
        to_ms = 1e3 * setting["batch_size"]
        row[f"{name}_ms"] = to_ms / speed.median
        row[f"{name}_ms_low"] = to_ms / speed.high
        row[f"{name}_ms_high"] = to_ms / speed.low
    return {**row, "report": report.to_dict()}
