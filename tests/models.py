"""Models that many tests share."""

import numpy as np
from brian2.units import ms

from bsnn import Model, Spikes


def study_model(sizes, v_threshold, dt=1 * ms, **changes):
    """A model with the time constants and the duration of the study.

    tau_mem = 2 tau_syn, as the event rules need it.
    """
    study = {"tau_syn": 130 * ms, "tau_mem": 260 * ms, "duration": 200 * ms}
    return Model.dense(sizes, v_threshold=v_threshold, dt=dt, **{**study, **changes})


# "blocks" lie beyond one block of the thresholder, and are no multiple of it.
BLOCK = 32
SIZES = {
    "two layers": (20, 30, 6),
    "three layers": (12, 25, 15, 5),
    "blocks": (20, 70, 41),
}


def grid_model(name="two layers", dt_ms=1):
    sizes = SIZES[name]
    return study_model(
        sizes,
        [0.12, 0.4, 0.3][: len(sizes) - 1],
        delta_v=[0.12, 0.3, 0.3][: len(sizes) - 1],
        tau_mem=[260, 200][len(sizes) % 2] * ms,
        dt=dt_ms * ms,
    )


def draw(model, rng, n_samples=3):
    """Random weights, and input with several spikes a neuron, also in the last bin."""
    weights = [
        rng.uniform(-1, 1.6, shape) * 8 / np.sqrt(shape[0])
        for shape in model.weight_shapes
    ]
    size = (n_samples, 3 * model.n_inputs)
    sample = np.broadcast_to(np.arange(n_samples)[:, None], size).ravel()
    neuron = rng.integers(model.n_inputs, size=size).ravel()
    step = np.minimum(rng.integers(0, model.n_steps + 3, size), model.n_steps - 1)
    unique = np.unique(np.stack([sample, neuron, step.ravel()]), axis=1)
    inputs = Spikes.from_events(
        sample=unique[0],
        neuron=unique[1],
        step=unique[2],
        n_samples=n_samples,
        n_neurons=model.n_inputs,
        dt=model.dt_seconds,
    )
    return weights, inputs
