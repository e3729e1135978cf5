"""Membrane potentials of one sample, reconstructed exactly from its spikes.

Between spikes the equations are linear, so with the responses eps and rho of
`bsnn.equations.linear`

    v(t) = sum_i w_i eps(t - T_i) + sum_z rho(t - T_z),

over arrivals T_i and own resets T_z. Nothing is integrated, and no state is recorded.
"""

import numpy as np
import pandas as pd

from bsnn.equations.units import rates_in_hertz, times_in_seconds
from bsnn.recorded import as_layers, as_spikes

SAMPLING = 2e-4  # seconds between the points of a drawn trace


def membrane_trace(modes, weights, inputs, resets, times):
    """Return the potential of one neuron.

    Parameters
    ----------
    modes : ExponentialModes
        The neuron's responses.
    weights : array_like, shape (n_pre,)
        Weights onto the neuron. Bare numbers are in Hz.
    inputs : Spikes or SpikeMonitor
        Spikes of the layer before it, of one sample.
    resets : Quantity, shape (n_resets,)
        Times of its own resets.
    times : Quantity, shape (n_times,)
        At the time of a reset, v is what it was reset to.

    Returns
    -------
    v : ndarray, shape (n_times,), float64

    Raises
    ------
    TypeError
        If `resets` or `times` are bare numbers.
    ValueError
        If `inputs` holds several samples, or `weights` do not fit it.
    """
    resets, times = times_in_seconds(resets, "resets"), times_in_seconds(times, "times")
    return _potential(modes, weights, inputs, resets, times)


def _potential(modes, weights, inputs, resets, times):
    weights, inputs = rates_in_hertz(weights, "weights"), as_spikes(inputs)
    if inputs.n_samples != 1:
        raise ValueError(
            f"'inputs' must hold one sample, got {inputs.n_samples}; select one."
        )
    if weights.shape != (inputs.n_neurons,):
        raise ValueError(
            f"'weights' must have shape ({inputs.n_neurons},), one weight for each "
            f"presynaptic neuron, got {weights.shape}."
        )
    kicks = _sum_after(modes.response, times, inputs.arrival, weights[inputs.neuron])
    return kicks + _sum_after(modes.reset_response, times, resets, 1.0)


def trace_table(model, weights, layers, layer, neurons):
    """Return the potentials of some neurons of one sample, dense enough to draw.

    Parameters
    ----------
    model : Model
    weights : sequence of ndarray, shapes `model.weight_shapes`
        Weights of each layer in Hz.
    layers : sequence of Spikes or SpikeMonitor
        Spikes of the input and every layer, of one sample.
    layer : int
        Which of the model's layers; 0 is the first after the input, -1 the output.
    neurons : sequence of int

    Returns
    -------
    table : DataFrame
        Columns `neuron`, `time_ms`, `v`, `v_threshold`. Each reset has two rows: v just
        before it and v after it.
    """
    layer, layers = layer % model.n_layers, as_layers(layers)
    lif, inputs, own = model.neurons[layer], layers[layer], layers[layer + 1]
    grid = np.arange(0, model.duration_seconds + SAMPLING / 2, SAMPLING)
    parts = []
    for neuron in neurons:
        resets = reset_times(own, model)[own.neuron == neuron]
        resets = resets[resets <= model.duration_seconds]
        times = np.sort(np.concatenate([grid, np.nextafter(resets, 0), resets]))
        v = _potential(lif.modes, weights[layer][:, neuron], inputs, resets, times)
        part = {"neuron": neuron, "time_ms": 1e3 * times, "v": v}
        parts.append(pd.DataFrame({**part, "v_threshold": lif.v_threshold}))
    return pd.concat(parts, ignore_index=True)


def reset_times(spikes, model):
    """Return when each spike reset its neuron, in seconds; shape (n_spikes,).

    Under "grid" the reset is where the spike arrives, under the event rules where the
    potential crossed the threshold; None if the spikes do not hold that.
    """
    return model.time_rule.reset_time(spikes)


def raster_table(layers):
    """Return the spikes of one sample, to draw them.

    Parameters
    ----------
    layers : sequence of Spikes or SpikeMonitor, or one of them
        Spikes of the input and every layer, of one sample.

    Returns
    -------
    table : DataFrame
        Columns `layer` (0 is the input), `n_neurons` (of the layer), `neuron`,
        `time_ms` (the arrival).
    """
    parts = [
        pd.DataFrame(
            {
                "layer": index,
                "n_neurons": layer.n_neurons,
                "neuron": layer.neuron,
                "time_ms": 1e3 * layer.arrival,
            }
        )
        for index, layer in enumerate(as_layers(layers))
    ]
    return pd.concat(parts, ignore_index=True)


def _sum_after(response, times, events, amplitudes):
    delay = np.asarray(times, float)[:, None] - np.asarray(events, float)
    begun = delay >= 0
    return (amplitudes * np.where(begun, response(np.where(begun, delay, 0)), 0)).sum(1)
