"""How soon a network answers, in seconds; NaN where it never does.

A latency is the arrival of the spike that completes an answer: the end of its bin on a
grid, the spike itself where time is continuous. It is not interpolated within a bin,
because nothing downstream could have known of the spike earlier.
"""

import numpy as np
from brian2.units import ms

from bsnn.equations import time_rules
from bsnn.equations.units import as_positive, in_seconds, times_in_seconds
from bsnn.recorded import as_spikes

from .metrics import true_label_spikes

LEVELS = (0.5, 0.8, 0.9)


def mean_latency(times, confidence, level):
    """Return the first time at which a mean prediction confidence reaches `level`.

    Parameters
    ----------
    times : Quantity, shape (n_times,)
        Increasing.
    confidence : array_like, shape (n_times,)
        What `prediction_confidence` returned for these times.
    level : float

    Returns
    -------
    latency : float
        One of `times`, in seconds; NaN if `level` is never reached.

    Raises
    ------
    TypeError
        If `times` are bare numbers.
    ValueError
        If the arrays differ in shape, or `level` is not positive.
    """
    times, confidence = times_in_seconds(times, "times"), np.asarray(confidence, float)
    if times.shape != confidence.shape or times.ndim != 1:
        raise ValueError(
            "'times' and 'confidence' must be of one length, "
            f"got shapes {times.shape} and {confidence.shape}."
        )
    return first_reached(times, confidence, as_positive(level, "level"))


def first_reached(times, confidence, level):
    """Return the first of `times` at which `confidence` is `level` or more, or NaN."""
    reached = confidence >= level
    return float(times[reached.argmax()]) if reached.any() else float("nan")


def sample_latency(output, labels, target, level):
    """Return when each sample's own prediction confidence reaches `level`.

    Parameters
    ----------
    output : Spikes or SpikeMonitor
        Spikes of the output layer.
    labels : array_like, shape (n_samples,), int
    target : float
        Spikes that the loss asks of the true label's output.
    level : float

    Returns
    -------
    latency : ndarray, shape (n_samples,), float64
        Arrival in seconds of true-label spike number ``ceil(level * target)``; NaN
        where it never comes. ``np.isnan(latency).mean()`` is the NaN fraction.

    Raises
    ------
    ValueError
        If `target` or `level` is not positive, or `labels` do not fit.
    """
    level, target = as_positive(level, "level"), as_positive(target, "target")
    spikes, _ = true_label_spikes(as_spikes(output), labels)
    needed = int(np.ceil(level * target - 1e-9))
    reached = np.diff(spikes.offset) >= needed
    latency = np.full(spikes.n_samples, np.nan)
    latency[reached] = spikes.arrival[spikes.offset[:-1][reached] + needed - 1]
    return latency


def first_spike_latency(spikes, onset=0 * ms):
    """Return each neuron's first spike time after stimulus onset.

    Parameters
    ----------
    spikes : Spikes or SpikeMonitor
        Recorded spikes of one layer.
    onset : Quantity
        Stimulus onset from the start of each sample.

    Returns
    -------
    latency : ndarray, shape (n_samples, n_neurons), float64
        Seconds from `onset` to the arrival of the first spike that arrives after it;
        NaN where there is none.

    Raises
    ------
    TypeError
        If `onset` is a bare number.
    ValueError
        If `onset` is not finite.
    """
    spikes, onset = as_spikes(spikes), in_seconds(onset, "onset")
    if spikes.step is None:
        after = spikes.time > onset
    else:
        after = spikes.step >= time_rules.bin_index(onset, spikes.dt)
    latency = np.full(spikes.n_samples * spikes.n_neurons, np.nan)
    train = spikes.sample_and_neuron[after]
    # Spikes of a sample are in order of time, so a train's first index is its first
    # spike.
    fired, first = np.unique(train, return_index=True)
    latency[fired] = spikes.arrival[after][first] - onset
    return latency.reshape(spikes.n_samples, spikes.n_neurons)


def first_output_latency(output):
    """Return when the first spike of any neuron arrives in each sample.

    Returns
    -------
    latency : ndarray, shape (n_samples,), float64
        Seconds; NaN where the layer stays silent.
    """
    output = as_spikes(output)
    latency = np.full(output.n_samples, np.nan)
    fired = np.diff(output.offset) > 0
    latency[fired] = output.arrival[output.offset[:-1][fired]]
    return latency
