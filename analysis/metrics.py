r"""What is measured of recorded spikes; each quantity is defined here and nowhere else.

*Accuracy*: the fraction of samples whose label is the output neuron with most spikes,
the lowest index on ties. That is the field's convention, and what published numbers
use, but it makes a silent output layer "say" class 0. The fraction of samples decided
by the order of the neurons alone is therefore reported beside it, as *undecided*.

*Sparsity*: hidden and output spikes per sample, and the *silent fraction*: neurons,
over all layers after the input, that fire in none of the samples. A *dead label* is an
output neuron of that kind. Both describe a network over its whole test set, not over
one sample.

*Prediction confidence* at time t: spikes of the true label's output that arrived up to
t, divided by their target number, averaged over the samples.

Every function takes `Spikes`, or a Brian2 ``SpikeMonitor`` of one sample; a recording
of several samples and pairs (i, t) go through `as_spikes` first. Where layers are
wanted, a single one need not be in a list.
"""

import numpy as np

from bsnn.equations import time_rules
from bsnn.equations.units import as_positive, times_in_seconds
from bsnn.labels import checked_labels
from bsnn.recorded import as_layers, as_spikes
from bsnn.spikes import Spikes

# Where time is continuous there are no bins to end; sample every millisecond.
CONTINUOUS_SAMPLING = 1e-3


def accuracy(output, labels):
    """Return the fraction of samples whose label fires most.

    Parameters
    ----------
    output : Spikes or SpikeMonitor
        Spikes of the output layer.
    labels : array_like, shape (n_samples,), int

    Returns
    -------
    accuracy : float
        Ties go to the lowest index; see `undecided`.

    Raises
    ------
    ValueError
        If there is not one label in 0..n_neurons-1 for each sample.
    """
    return float(np.mean(is_correct(output, labels)))


def is_correct(output, labels):
    """Return in which samples the label fires most; shape (n_samples,), bool."""
    output = as_spikes(output)
    labels = checked_labels(labels, output.n_samples, output.n_neurons)
    return output.counts().argmax(axis=1) == labels


def undecided(output):
    """Return the fraction of samples in which several outputs share the top count.

    Silent samples are among them: there all outputs share the count 0.
    """
    return float(np.mean(is_tied(output)))


def is_tied(output):
    """Return in which samples outputs share the top count; shape (n_samples,), bool."""
    counts = as_spikes(output).counts()
    return (counts == counts.max(axis=1, keepdims=True)).sum(axis=1) > 1


def spikes_per_sample(layers):
    """Return the mean number of spikes of each layer in a sample.

    Parameters
    ----------
    layers : sequence of Spikes or SpikeMonitor, or one of them
        The layers after the input; the last is the output.

    Returns
    -------
    spikes : ndarray, shape (n_layers,), float64
        Hidden spikes are the sum of all but the last, total spikes the sum of all.
    """
    layers = as_layers(layers)
    return np.array([layer.n_spikes / layer.n_samples for layer in layers])


def has_fired(layer):
    """Return which neurons fire in any of the samples; shape (n_neurons,), bool."""
    layer = as_spikes(layer)
    return np.bincount(layer.neuron, minlength=layer.n_neurons) > 0


def silent_fraction(layers):
    """Return the fraction of neurons, over all `layers`, that fire in no sample."""
    fired = [has_fired(layer) for layer in as_layers(layers)]
    return float(1 - np.mean(np.concatenate(fired)))


def dead_labels(output):
    """Return how many output neurons fire in no sample."""
    return int(np.count_nonzero(~has_fired(output)))


def prediction_confidence(output, labels, target, times):
    """Return the mean prediction confidence at each of `times`.

    Parameters
    ----------
    output : Spikes or SpikeMonitor
        Spikes of the output layer.
    labels : array_like, shape (n_samples,), int
    target : float
        Spikes that the loss asks of the true label's output.
    times : Quantity, shape (n_times,)
        From the start of a sample; a spike that arrives at one counts.

    Returns
    -------
    confidence : ndarray, shape (n_times,), float64
        Not bounded by 1: an output may fire more often than its target.

    Raises
    ------
    TypeError
        If `times` are bare numbers.
    ValueError
        If `target` is not positive, or `labels` do not fit.
    """
    output, times = as_spikes(output), times_in_seconds(times, "times")
    target = as_positive(target, "target")
    arrived = count_arrived(true_label_spikes(output, labels)[0], times)
    return arrived / (output.n_samples * target)


def confidence_times(model):
    """Return when the confidence of `model` can change, in seconds; shape (n_times,).

    These are the ends of the bins; every millisecond where time is continuous.
    """
    dt = model.dt_seconds or CONTINUOUS_SAMPLING
    n_times = time_rules.count_steps(model.duration_seconds, dt)
    return time_rules.delivery_time(np.arange(n_times), dt)


def true_label_spikes(output, labels):
    """Return only those spikes that the output of the true label fired.

    Returns
    -------
    spikes : Spikes
        Without slope and state.
    labels : ndarray, shape (n_samples,), int64
    """
    labels = checked_labels(labels, output.n_samples, output.n_neurons)
    sample = output.sample
    chosen = output.neuron == labels[sample]
    n_per_sample = np.bincount(sample[chosen], minlength=output.n_samples)
    spikes = Spikes.known(
        neuron=output.neuron[chosen],
        offset=np.concatenate([[0], np.cumsum(n_per_sample)]),
        n_neurons=output.n_neurons,
        dt=output.dt,
        step=None if output.step is None else output.step[chosen],
        time=None if output.time is None else output.time[chosen],
    )
    return spikes, labels


def count_arrived(spikes, times):
    """Return how many of all the spikes arrived up to each time; (n_times,), int64."""
    if spikes.step is None:
        return np.searchsorted(np.sort(spikes.time), times, side="right")
    # On a grid whole bins are compared: those that end by a time precede its own bin.
    bins = time_rules.bin_index(times, spikes.dt)
    return np.searchsorted(np.sort(spikes.step), bins, side="left")
