"""Sweep folders with made-up results, written in the format of real ones."""

import numpy as np
import pandas as pd
from brian2.units import ms

from bsnn.analysis import read_sweep
from bsnn.analysis.study.one_neuron import model_and_steps, save_counts
from bsnn.interchange.npz import save_spikes
from bsnn.runs import (
    CONFIDENCE,
    CONFIG,
    METRICS,
    METRICS_COLUMNS,
    SPIKES,
    SUMMARY,
    RunFolder,
)
from bsnn.spikes import Spikes
from tests.models import study_model

SIZES = (5, 4, 3)
LABELS = (1, 0)
SERIES = ("true", "false", "spike_penalty", "initial_mean", "slope_min")
# What is drawn of `write_sweep` with an example of spikes.
FIGURES = (
    "pareto",
    "decision",
    "confidence",
    "accuracy_over_dt",
    "spikes_over_dt",
    "transfer",
    "one_neuron",
    "training",
    "raster",
    "membrane",
)
TIMES_MS = np.arange(20.0, 201.0, 20.0)


def model(rule, dt_ms):
    return study_model(SIZES, 0.5, dt=dt_ms * ms, rule=rule)


def accuracies(dt_ms, seed):
    """Test accuracy after each of two epochs."""
    return 0.9 - 0.01 * dt_ms + 0.002 * seed, 0.88 - 0.01 * dt_ms + 0.004 * seed


def confidence_at(time_ms, dt_ms, seed):
    return np.maximum(0, time_ms - 40 - dt_ms) / (170 + 10 * seed)


def write_run(sweep, *, dataset="digits", rule="grid", dt_ms=1.0, seed=0, **config):
    """Write one run folder and return it as a `RunFolder`."""
    config = {
        "dataset": dataset,
        "rule": rule,
        "detect": "end",
        "dt_ms": dt_ms,
        "seed": seed,
        "epochs": 2,
        "batch_size": 20,
        "model": model(rule, dt_ms).to_dict(),
        "workers": seed,
        **config,
    }
    loss = "".join(f"_{name}{config[name]}" for name in SERIES if name in config)
    run = RunFolder(sweep / f"{dataset}_{rule}_dt{dt_ms:g}{loss}_seed{seed}")
    run.path.mkdir()
    run.write_json(CONFIG, config)
    points = [
        {"epoch": epoch, "accuracy": a, "hidden_spikes": 40 + seed, "output_spikes": 20}
        for epoch, a in enumerate(accuracies(dt_ms, seed), start=1)
    ]
    rest = dict.fromkeys(METRICS_COLUMNS, 0.0)
    rows = [
        {**rest, **p, "split": split, "loss": 1 / p["epoch"] + dt_ms}
        for p in points
        for split in ("train", "test")
    ]
    run.write_table(METRICS, rows, METRICS_COLUMNS)
    curve = confidence_at(TIMES_MS, dt_ms, seed)
    run.write_table(
        CONFIDENCE,
        {
            "epoch": np.repeat([1, 2], len(curve)),
            "time_ms": np.tile(TIMES_MS, 2),
            "confidence": np.concatenate([0 * curve, curve]),
        },
        ["epoch", "time_ms", "confidence"],
    )
    run.write_json(
        SUMMARY,
        {
            "best": points[0],
            "last": points[1],
            "silent_fraction": 0.25,
            "dead_labels": 0,
            # Confidence at 200 ms is below 0.9 for seed 1: it never answers.
            "latency_ms": {"0.5": 140.0, "0.8": 190.0, "0.9": None if seed else 200.0},
            "first_spike_ms": 45.0,
            "decision_ms": 70.0 + dt_ms + seed,
            "versions": {"python": "3.11.9", "brian2": "2.9.0"},
        },
    )
    return run


def write_example(run, dt=1e-3, start=10):
    """Give a run spikes of two test samples; return the weights they belong to."""
    rng = np.random.default_rng(5)
    layers = []
    for size in SIZES:
        fired = [(m, s, n) for m in (0, 1) for n in range(size) for s in (0, 50, 100)]
        sample, step, neuron = np.array(fired).T
        layers.append(
            Spikes.from_events(
                sample=sample,
                neuron=neuron,
                n_samples=2,
                n_neurons=size,
                dt=dt,
                step=start + step + neuron,
            )
        )
    save_spikes(run.path / SPIKES, layers, LABELS)
    shapes = zip(SIZES[:-1], SIZES[1:], strict=True)
    return [rng.uniform(0, 9, shape) for shape in shapes]


def write_sweep(sweep):
    """Write two rules, three time steps and continuous time, two seeds each."""
    sweep.mkdir(exist_ok=True)
    for seed in (0, 1):
        for dt_ms in (0.5, 1, 8):
            for rule in ("grid", "quantised-event"):
                run = write_run(sweep, rule=rule, dt_ms=dt_ms, seed=seed)
                write_evaluations(run, rule, seed)
        run = write_run(sweep, rule="continuous", dt_ms=0, seed=seed)
        write_evaluations(run, "grid", seed)
    return sweep


def write_counts(sweep):
    """Write made-up spikes of one neuron; return what is drawn of them."""
    sweep = read_sweep(sweep)
    _, steps = model_and_steps(sweep)
    cells = [("continuous", 0.0)]
    cells += [(rule, dt) for rule in ("grid", "quantised-event") for dt in steps]
    rows = [
        {"rule": rule, "dt_ms": dt, "charge": charge, "spikes": int(charge / (1 + dt))}
        for rule, dt in cells
        for charge in np.arange(0.0, 20.0, 0.5)
    ]
    table = pd.DataFrame(rows)
    save_counts(sweep, table)
    return table


def write_evaluations(run, rule, seed):
    run.write_table(
        "evaluations.csv",
        {
            "rule": [rule] * 3 + ["continuous"],
            "dt_ms": [0.5, 1, 8, 0],
            "accuracy": [0.5, 0.6 + 0.02 * seed, 0.7, 0.4],
        },
        ["rule", "dt_ms", "accuracy"],
    )
