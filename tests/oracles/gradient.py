"""Slow, independent models of the spike-time gradient: plain floats, no bsnn.

A response is a list of (amplitude, tau) pairs, a layer a list of `Spike` in which those
of one neuron follow each other in time.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq


def response(modes, s):
    """Return sum_k amplitude_k exp(-s/tau_k)."""
    return sum(amplitude * math.exp(-s / tau) for amplitude, tau in modes)


def response_slope(modes, s):
    """Return the derivative of `response` at s."""
    return sum(-amplitude / tau * math.exp(-s / tau) for amplitude, tau in modes)


@dataclass(frozen=True, kw_only=True)
class Spike:
    """One spike of one sample; of an input spike only `neuron` and `sent` are used."""

    neuron: int
    sent: float
    time: float = math.nan
    slope: float = math.nan
    reset: float = math.nan


def network_gradient(layers, grad_sent, weights, synaptic, reset, slope_min):
    """Return the gradient of a network on one sample, from all pairs of its spikes.

    Solves for all spikes at once. With J[a, b] = dv(t_a)/dT_b over every spike of the
    network, S the diagonal of slopes, and straight-through times, the total derivatives
    are those with total = grad_sent - J^T S^-1 total.

    Parameters
    ----------
    layers : list of list of Spike
        Input spikes, then the spikes of each layer.
    grad_sent : list of list of float
        Explicit dL/dT of every spike in `layers`.
    weights : list of ndarray, shape (n_pre, n_post)
    synaptic, reset : list of (amplitude, tau)
    slope_min : float

    Returns
    -------
    grad_weights : list of ndarray
    grad_inputs : ndarray
        Total dL/dT of each input spike.
    """
    index = [(n, spike) for n, layer in enumerate(layers) for spike in layer]
    inverse_slope = np.zeros(len(index))
    jacobian = np.zeros((len(index), len(index)))
    for a, (layer, post) in enumerate(index):
        if layer == 0:
            continue
        inverse_slope[a] = 1 / max(post.slope, slope_min)
        for b, (other, pre) in enumerate(index):
            if other == layer - 1 and pre.sent < post.time:
                weight = weights[other][pre.neuron, post.neuron]
                jacobian[a, b] = -weight * response_slope(
                    synaptic, post.time - pre.sent
                )
            elif other == layer and pre.neuron == post.neuron and b < a:
                jacobian[a, b] = -response_slope(reset, post.time - pre.reset)
    explicit = np.array([g for grads in grad_sent for g in grads], dtype=float)
    total = np.linalg.solve(np.eye(len(index)) + jacobian.T * inverse_slope, explicit)
    grad_weights = [np.zeros(weight.shape) for weight in weights]
    for a, (layer, post) in enumerate(index):
        for other, pre in index:
            if other == layer - 1 and pre.sent < post.time:
                grad_weights[other][pre.neuron, post.neuron] += (
                    -total[a]
                    * inverse_slope[a]
                    * response(synaptic, post.time - pre.sent)
                )
    return grad_weights, total[: len(layers[0])]


def continuous_spikes(arrivals, weights, synaptic, reset, v_threshold, t_stop):
    """Return the spikes of one neuron in continuous time, by bracketing and brentq.

    Parameters
    ----------
    arrivals, weights : sequence of float
        One presynaptic spike each.
    synaptic, reset : list of (amplitude, tau)
    v_threshold, t_stop : float

    Returns
    -------
    spikes : list of Spike
        With ``sent == reset == time``.
    """
    spikes = []

    def v(t, part=response):
        driven = sum(
            w * part(synaptic, t - arrival)
            for arrival, w in zip(arrivals, weights, strict=True)
            if arrival < t
        )
        return driven + sum(part(reset, t - spike.time) for spike in spikes)

    # Between arrivals v is smooth; the grid is much finer than the time constants.
    grid = sorted({*np.linspace(0, t_stop, 1001), *(a for a in arrivals if a < t_stop)})
    for start, stop in zip(grid[:-1], grid[1:], strict=True):
        while v(stop) >= v_threshold:
            t = brentq(lambda s: v(s) - v_threshold, start, stop, xtol=1e-16)
            slope = v(t, response_slope)
            spikes.append(Spike(neuron=0, sent=t, time=t, slope=slope, reset=t))
            start = t
    return spikes


RULES = ("grid", "quantised-event", "continuous")


def random_inputs(rng, n_spikes, n_neurons, dt, n_steps):
    """Return input spikes on the grid; several may come at once."""
    steps = np.sort(rng.integers(0, n_steps, n_spikes))
    neurons = rng.integers(0, n_neurons, n_spikes)
    return [
        Spike(neuron=int(neuron), sent=(int(step) + 1) * dt)
        for step, neuron in zip(steps, neurons, strict=True)
    ]


def random_layer(rng, n_spikes, n_neurons, dt, n_steps, rule):
    """Return spikes that obey the order of a time rule, but no equation.

    On the grid a tenth of the neurons is above threshold as the bin begins. Slopes
    are 20 Hz on average, exponentially distributed.
    """
    fired = rng.choice(n_neurons * n_steps, n_spikes, replace=False)
    spikes = []
    for step, neuron in sorted(divmod(int(f), n_neurons) for f in fired):
        delay = rng.uniform(0, dt)
        if rule == "grid" and rng.random() < 0.1:
            delay = 0.0
        crossing, end = step * dt + delay, (step + 1) * dt
        spikes.append(
            Spike(
                neuron=neuron,
                sent=crossing if rule == "continuous" else end,
                time=crossing,
                slope=rng.exponential(20.0),
                reset=end if rule == "grid" else crossing,
            )
        )
    return sorted(spikes, key=lambda spike: (spike.sent, spike.neuron))
