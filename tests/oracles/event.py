"""Slow, independent models of CUBA LIF networks; they import nothing from bsnn.

The potential is the sum of the responses to all earlier deliveries and resets, and its
crossings are bracketed on a fine grid and found by root finding: no quadratic formula,
no state carried from event to event. A layer's spikes are a list of tuples.
"""

import math

import numpy as np
from scipy.optimize import brentq


def response(delay, tau_mem, tau_syn):
    """Return v (per Hz) `delay` seconds after a spike of weight 1 Hz; 0 before it."""
    late = np.maximum(delay, 0.0)
    kappa = tau_mem * tau_syn / (tau_mem - tau_syn)
    return kappa * (np.exp(-late / tau_mem) - np.exp(-late / tau_syn))


class Membrane:
    """One neuron: deliveries (time, weight), and the resets made so far."""

    def __init__(self, deliveries, *, tau_mem, tau_syn, v_threshold, delta_v):
        self.arrival = np.array([time for time, _ in deliveries], dtype=float)
        self.weight = np.array([weight for _, weight in deliveries], dtype=float)
        self.tau_mem, self.tau_syn = tau_mem, tau_syn
        self.v_threshold, self.delta_v = v_threshold, delta_v
        self.resets = []

    def v(self, time):
        time = np.asarray(time, dtype=float)[..., None]
        eps = response(time - self.arrival, self.tau_mem, self.tau_syn)
        total = (self.weight * eps).sum(-1)
        delay = time - np.array(self.resets)
        rho = np.exp(-np.maximum(delay, 0.0) / self.tau_mem) * (delay >= 0)
        return total - self.delta_v * rho.sum(-1)

    def slope(self, time):
        """Return dv/dt just before `time`."""
        time = np.asarray(time, dtype=float)
        delay = time[..., None] - self.arrival
        decay = np.exp(-np.maximum(delay, 0.0) / self.tau_syn) * (delay > 0)
        return (self.weight * decay).sum(-1) - self.v(time) / self.tau_mem

    def next_crossing(self, t_from, t_stop, n_points=500):
        """Return the first time in (t_from, t_stop) at which v rises to threshold.

        v must be below threshold before that: a neuron above it at `t_from` is waited
        for until it has fallen. None if there is no such time.
        """
        kinks = self.arrival[(self.arrival > t_from) & (self.arrival < t_stop)]
        grid = np.unique([*np.linspace(t_from, t_stop, n_points), *kinks])
        left, right = grid[:-1], grid[1:]
        below = self.v(grid) < self.v_threshold
        # A hidden bump: v rises at the start of a piece and falls at its end.
        inner = 1e-9 * (right - left)
        bump = (self.slope(left + inner) > 0) & (self.slope(right - inner) < 0)
        for k in np.flatnonzero(below[:-1] & (~below[1:] | bump)):
            top = right[k]
            if below[k + 1]:
                top = brentq(self.slope, left[k] + inner[k], top - inner[k], xtol=1e-15)
                if self.v(top) < self.v_threshold:
                    continue
            return brentq(
                lambda t: self.v(t) - self.v_threshold, left[k], top, xtol=1e-15
            )
        return None


def simulate_layer(
    spikes, weights, *, duration, dt=0.0, max_spikes=math.inf, **parameters
):
    """Return one layer's spikes as a list of (time, slope, bin or None, neuron).

    Parameters
    ----------
    spikes : list of (delivery time in seconds, presynaptic neuron)
    weights : array_like, shape (n_pre, n_post)
    dt : float
        0: continuous. Else the published quantised rule: a spike is sent at the end of
        its bin, and the next crossing must come after the time last sent.
    """
    found = []
    for neuron, column in enumerate(np.transpose(weights)):
        deliveries = [(t, column[pre]) for t, pre in spikes if t < duration - 1e-12]
        membrane = Membrane(deliveries, **parameters)
        t_from = 0.0
        while len(membrane.resets) < max_spikes and t_from < duration:
            time = membrane.next_crossing(t_from, duration)
            if time is None:
                break
            slope, step = membrane.slope(time), None
            membrane.resets.append(time)
            t_from = time
            if dt > 0:
                step = math.floor(time / dt)
                t_from = (step + 1) * dt
            found.append((time, slope, step, neuron))
    return sorted(found, key=lambda s: (s[0] if s[2] is None else s[2], s[3]))


def simulate_network(spikes, weights, *, layers, duration, dt=0.0):
    """Return `simulate_layer` of each layer; `layers` holds each one's parameters."""
    records = []
    for matrix, parameters in zip(weights, layers, strict=True):
        record = simulate_layer(spikes, matrix, duration=duration, dt=dt, **parameters)
        records.append(record)
        spikes = [
            (time if step is None else (step + 1) * dt, neuron)
            for time, _, step, neuron in record
        ]
    return records


def fires_in_bin(v, i_syn, dt, *, tau_mem, tau_syn, v_threshold, n_points=800):
    """Return whether v ends the bin at threshold or rose to it inside, and the margin.

    Parameters
    ----------
    v, i_syn : ndarray, shape (n,)
        State at the start of the bin; nothing arrives in it.

    Returns
    -------
    fires : ndarray, shape (n,), bool
    margin : ndarray, shape (n,)
        How far v at the start, at the end or at its maximum is from threshold: where
        it is tiny, rounding decides.
    """
    times = np.linspace(0.0, dt, n_points)

    def potential(t, v, i_syn):
        return v * np.exp(-t / tau_mem) + i_syn * response(t, tau_mem, tau_syn)

    path = potential(times[:, None], v, i_syn)
    highest = path.argmax(0)
    # Golden-section search between the neighbours of the highest point.
    low, high = (
        times[np.maximum(highest - 1, 0)],
        times[np.minimum(highest + 1, n_points - 1)],
    )
    ratio = (math.sqrt(5) - 1) / 2
    for _ in range(60):
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        better_left = potential(left, v, i_syn) > potential(right, v, i_syn)
        low, high = np.where(better_left, low, left), np.where(better_left, right, high)
    peak = np.maximum(path.max(0), potential(low, v, i_syn))
    start, end = path[0], path[-1]
    rose = (start < v_threshold) & (peak >= v_threshold)
    levels = np.stack([start, end, peak])
    return (end >= v_threshold) | rose, np.abs(levels - v_threshold).min(0)
