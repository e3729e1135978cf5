"""What the output population did, as the readout sees it."""

from __future__ import annotations

import numpy as np

from bsnn.readout import Readout
from bsnn.recorded import as_spikes

from . import decisions, latency, metrics


class OutputSpikes:
    """Spikes of the output, of which the most or the first are read out.

    Parameters
    ----------
    readout : Readout
    output : Spikes, LayerSpikes or SpikeMonitor

    Attributes
    ----------
    n_samples, n_neurons, n_spikes : int
    prediction : ndarray, shape (n_samples,), int
        The lowest index on ties.
    tied : ndarray, shape (n_samples,), bool
        Where several outputs share the highest score.
    """

    def __init__(self, readout: Readout, output):
        self._spikes, self._readout = as_spikes(output), readout
        self.n_samples, self.n_neurons = self._spikes.n_samples, self._spikes.n_neurons
        self.n_spikes = self._spikes.n_spikes
        if readout.kind == "most-spikes":
            score = self._spikes.counts()
        else:
            parts = [s[:, -1] for s, _ in decisions.scores(readout, self._spikes)]
            score = np.concatenate([np.zeros((0, self.n_neurons)), *parts])
        self.prediction, self.tied = _decided(score)

    def answering(self):
        """Return which outputs fire in any sample, shape (n_neurons,), bool."""
        return metrics.has_fired(self._spikes)

    def first(self):
        """Return the first arrival in each sample, in seconds; NaN where none is."""
        return latency.first_output_latency(self._spikes)

    def decided(self):
        """Return the time to a stable decision in each sample, in seconds."""
        return decisions.decision_latency(self._spikes, self._readout)

    def confidence(self, labels, times, target):
        """Return the summed confidence of all samples at each time, times `target`.

        Under "most-spikes" the spikes of the true label's output so far; under
        "first-spike" `target` where that output has fired, and no other before it.
        """
        if self._readout.kind == "most-spikes":
            spikes, _ = metrics.true_label_spikes(self._spikes, labels)
            return metrics.count_arrived(spikes, times)
        first = self.first()[self.prediction == labels]
        first = np.sort(first[~np.isnan(first)])
        # An arrival at the end of a step counts there, whatever it is rounded to.
        return target * np.searchsorted(first, times * (1 + 1e-12), side="right")


class OutputTrace:
    """The trace of the output, whose maximum or mean is read out.

    Attributes as of `OutputSpikes`.

    Parameters
    ----------
    readout : Readout
    output : ndarray, shape (n_samples, n_steps, n_neurons)
    dt : float
        Time step in seconds.

    Raises
    ------
    TypeError
        If `output` is no such array.
    """

    n_spikes = 0

    def __init__(self, readout: Readout, output, dt: float):
        output = decisions.as_trace(output, readout, "the last of 'layers'")
        self._trace, self._readout, self._dt = output, readout, dt
        self.n_samples, _, self.n_neurons = output.shape
        along = output.max if readout.kind == "max" else output.mean
        self.prediction, self.tied = _decided(along(axis=1))

    def answering(self):
        """Return which outputs are the prediction of any sample."""
        counts = np.bincount(self.prediction, minlength=self.n_neurons)
        return counts > 0

    def first(self):
        """Return NaN: an integrator has no first spike."""
        return np.full(self.n_samples, np.nan)

    def decided(self):
        """Return the time to a stable decision in each sample, in seconds."""
        return decisions.decision_latency(self._trace, self._readout, dt=self._dt)

    def confidence(self, labels, times, target):
        """Return as `OutputSpikes` the softmax of the label's score so far."""
        total = np.zeros(len(times))
        at = 0
        for score, _ in decisions.scores(self._readout, self._trace, self._dt):
            scaled = score / self._readout.scale
            scaled = np.exp(scaled - scaled.max(axis=2, keepdims=True))
            label = labels[at : at + len(score)]
            chosen = scaled[np.arange(len(label)), :, label]
            total += (chosen / scaled.sum(axis=2)).sum(axis=0)
            at += len(score)
        return target * total


def _decided(score):
    highest = score.max(axis=1, keepdims=True)
    return score.argmax(axis=1), (score == highest).sum(axis=1) > 1
