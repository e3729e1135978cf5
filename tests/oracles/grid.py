"""Independent models of the physics; nothing here imports the code under test."""

import numpy as np
from scipy.linalg import expm
from scipy.optimize import brentq


def state_matrix(tau_mem, tau_syn):
    """d(v, i)/dt = A (v, i) between spikes."""
    return np.array([[-1 / tau_mem, 1.0], [0.0, -1 / tau_syn]])


def propagate(t, v0, i0, tau_mem, tau_syn):
    """State a time t later, by the matrix exponential."""
    return expm(state_matrix(tau_mem, tau_syn) * t) @ np.array([v0, i0])


def first_crossing(v0, i0, dt, v_threshold, tau_mem, tau_syn):
    """First upward crossing in (0, dt], by sampling and root finding; None if none."""

    def distance(t):
        return propagate(t, v0, i0, tau_mem, tau_syn)[0] - v_threshold

    times = np.linspace(0, dt, 200)
    advance = expm(state_matrix(tau_mem, tau_syn) * times[1])
    states = [np.array([v0, i0])]
    for _ in times[1:]:
        states.append(advance @ states[-1])
    above = np.array([state[0] >= v_threshold for state in states])
    risen = np.flatnonzero(~above[:-1] & above[1:])
    if not risen.size:
        return None
    k = risen[0]
    return brentq(distance, times[k], times[k + 1], xtol=1e-15)


def grid_spikes(
    weights, taus, thresholds, deltas, n_steps, dt, sample, rises_inside=None
):
    """Clock-driven spikes of one sample, each step: update, test, deliver, reset.

    `sample` lists (step, neuron) of the input. Returns, for each layer, a list of
    (step, neuron, v, i) with the state at the end of the bin before delivery and reset,
    and how close any potential came to the threshold. `rises_inside(k, v, i)` may tell
    which neurons of layer k, in that state at the start of a bin, fire besides those
    above threshold at its end, and how nearly others would.
    """
    v = [np.zeros(w.shape[1]) for w in weights]
    i = [np.zeros(w.shape[1]) for w in weights]
    step_matrix = [expm(state_matrix(*tau) * dt) for tau in taus]
    found, nearest = [[] for _ in weights], np.inf
    for step in range(n_steps):
        fired = [np.array([n for s, n in sample if s == step], dtype=int)]
        for k, advance in enumerate(step_matrix):
            start = v[k], i[k]
            v[k], i[k] = advance @ np.array(start)
            nearest = min(nearest, np.abs(v[k] - thresholds[k]).min())
            fires = v[k] >= thresholds[k]
            if rises_inside is not None:
                rises, margin = rises_inside(k, *start)
                fires, nearest = fires | rises, min(nearest, margin.min())
            fired.append(np.flatnonzero(fires))
            found[k] += [(step, int(n), v[k][n], i[k][n]) for n in fired[-1]]
        for k, weight in enumerate(weights):
            i[k] = i[k] + weight[fired[k]].sum(axis=0)
            v[k][fired[k + 1]] -= deltas[k]
    return found, nearest
