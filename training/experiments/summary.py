"""What a run says of itself: rows, lines, warnings and the summary."""

import logging

import numpy as np
import pandas as pd

from bsnn import runs
from bsnn.machine import description, versions

log = logging.getLogger(__name__)


def make_row(epoch, split, metrics):
    values = {name: metrics[name] for name in runs.METRICS_COLUMNS if name in metrics}
    return {"epoch": epoch, "split": split, **values}


def make_curve(epoch, time_ms, confidence):
    columns = zip(runs.CONFIDENCE_COLUMNS, (epoch, time_ms, confidence), strict=True)
    return pd.DataFrame(dict(columns))


def make_line(label, trained, seen, split):
    return (
        f"{label}  train {100 * trained['accuracy']:.2f} %  "
        f"{split} {100 * seen['accuracy']:.2f} %  "
        f"loss {seen['loss']:.3f}  "
        f"spikes {seen['hidden_spikes']:.1f} + {seen['output_spikes']:.1f}  "
        f"{trained['seconds']:.1f} s"
    )


def make_summary(settings, rows, tested, network):
    tests, validations, trainings = (
        [row for row in rows if row["split"] == split]
        for split in ("test", "validation", "train")
    )
    seconds = [row["seconds"] for row in trainings]
    # With validation there is one test, of the weights that it chose.
    chosen = [row for row in validations if row["epoch"] == tests[-1]["epoch"]]

    def brief(row):
        names = ("epoch", "accuracy", "hidden_spikes", "output_spikes")
        return {name: row[name] for name in names}

    return {
        "dataset": settings.dataset,
        "rule": settings.rule,
        "detect": settings.detect,
        "dt_ms": settings.dt_ms,
        "seed": settings.seed,
        "epochs": settings.epochs,
        "best": brief(max(tests, key=lambda row: row["accuracy"])),
        "last": brief(tests[-1]),
        "validation": brief(chosen[0]) if chosen else None,
        **{
            name: tested[name]
            for name in (
                "undecided",
                "layer_spikes",
                "silent_fraction",
                "dead_labels",
                "silent_layers",
                "latency_ms",
                "first_spike_ms",
                "decision_ms",
                "silent_samples",
            )
        },
        "seconds_per_epoch": float(np.median(seconds)),
        "test_samples": tested["n_samples"],
        "target": settings.true,
        "n_clamped": network.n_clamped,
        "backend": {
            "device": settings.device,
            "gradient": network.backend,
            "precision": settings.precision,
            "projection": settings.projection,
        },
        "versions": versions(),
        "machine": description(),
    }


def warn_of_silence(epoch, seen, warned, split):
    """Say, once each, that output neurons or whole layers do not fire."""
    remedy = (
        "another 'seed', a larger 'initial_drive', a lower 'v_threshold' or another "
        "'learning_rate' may wake them"
    )
    for name, what in (
        ("dead_labels", f"outputs fire for no {split} sample: their labels are lost"),
        ("silent_layers", f"layers fire for no {split} sample"),
    ):
        if seen[name] and name not in warned:
            warned.add(name)
            log.warning("epoch %d: %d %s; %s", epoch, seen[name], what, remedy)
