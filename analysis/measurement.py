"""The measures of a whole test set, gathered batch by batch."""

from __future__ import annotations

import operator
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from bsnn.equations.units import as_positive
from bsnn.labels import checked_labels
from bsnn.model import Model
from bsnn.readout import Readout
from bsnn.recorded import as_layers
from bsnn.spikes import Spikes

from . import latency, metrics
from .outputs import OutputSpikes, OutputTrace


class Measurement:
    """Gathers what `metrics` and `latency` define, without keeping the spikes.

    Parameters
    ----------
    model : Model
    target : float
        Spikes that the loss asks of the true label's output.
    readout : Readout, optional
        How the label is read out of the output: most spikes unless given.

    Raises
    ------
    ValueError
        If `target` is not positive.

    Examples
    --------
    >>> measured = Measurement(model, target=15)                      # doctest: +SKIP
    >>> for inputs, labels in batches:                                # doctest: +SKIP
    ...     measured.add(simulator.run(weights, inputs), labels)
    >>> measured.summary()["accuracy"]                                # doctest: +SKIP
    """

    def __init__(self, model: Model, target: float, readout: Readout | None = None):
        self.model, self.readout = model, readout or Readout()
        self.target = as_positive(target, "target")
        self.n_samples = 0
        self._times = metrics.confidence_times(model)
        self._arrived = np.zeros(len(self._times))
        self._fired = [np.zeros(size, bool) for size in model.layer_sizes]
        self._sums = {}
        self._layer_spikes = np.zeros(model.n_layers)

    def seen(self, layers: Sequence) -> list:
        """Return what `add` takes of a network's layers; see `Readout.seen`."""
        return self.readout.seen(layers)

    def add(self, layers: Sequence[Spikes], labels: ArrayLike) -> None:
        """Add a batch.

        Parameters
        ----------
        layers : sequence of Spikes or SpikeMonitor, or one of them
            Spikes of each layer after the input; the last is the trace, shape
            (n_samples, n_steps, n_neurons), where that is read out.
        labels : array_like, shape (n_samples,), int

        Raises
        ------
        ValueError
            If the layers are not those of the model, or `labels` do not fit.
        """
        *hidden, output = layers if isinstance(layers, Sequence) else [layers]
        hidden = as_layers(hidden)
        if self.readout.by_spikes:
            seen = OutputSpikes(self.readout, output)
        else:
            seen = OutputTrace(self.readout, output, self.model.dt_seconds)
        sizes = (*(layer.n_neurons for layer in hidden), seen.n_neurons)
        if sizes != self.model.layer_sizes:
            raise ValueError(
                f"'layers' must be the model's layers of {self.model.layer_sizes} "
                f"neurons, got {sizes}; leave the input out."
            )
        n_samples = [*(layer.n_samples for layer in hidden), seen.n_samples]
        if len(set(n_samples)) > 1:
            raise ValueError(f"'layers' must be of the same samples, got {n_samples}.")
        if seen.n_samples == 0:
            return
        labels = checked_labels(labels, seen.n_samples, seen.n_neurons)
        self.n_samples += seen.n_samples
        self._arrived += seen.confidence(labels, self._times, self.target)
        self._layer_spikes += [*(layer.n_spikes for layer in hidden), seen.n_spikes]
        for fired, layer in zip(self._fired, hidden, strict=False):
            fired |= metrics.has_fired(layer)
        self._fired[-1] |= seen.answering()
        first, decided = seen.first(), seen.decided()
        for name, value in (
            ("correct", np.count_nonzero(seen.prediction == labels)),
            ("undecided", np.count_nonzero(seen.tied)),
            ("answered", np.count_nonzero(~np.isnan(first))),
            ("first_spike", np.nansum(first)),
            ("decided", np.count_nonzero(~np.isnan(decided))),
            ("decision", np.nansum(decided)),
        ):
            self._sums[name] = self._sums.get(name, 0.0) + value

    def state(self) -> str:
        """Return all that was gathered, as plain numbers and lists."""
        return {
            "n_samples": self.n_samples,
            "arrived": self._arrived.tolist(),
            "fired": [fired.tolist() for fired in self._fired],
            "sums": {name: float(value) for name, value in self._sums.items()},
            "layer_spikes": self._layer_spikes.tolist(),
        }

    def restore(self, state: str) -> None:
        """Go on from what `state` returned, for the same model.

        Raises
        ------
        ValueError
            If it is of another model, or damaged.
        """
        try:
            arrived = np.array(state["arrived"], float)
            fired = [np.array(fired, bool) for fired in state["fired"]]
            layer_spikes = np.array(state["layer_spikes"], float)
            sums = {name: float(value) for name, value in state["sums"].items()}
            n_samples = operator.index(state["n_samples"])
        except (
            KeyError,
            TypeError,
            ValueError,
            AttributeError,
            OverflowError,
        ) as error:
            raise ValueError(f"'state' is damaged ({error!r}).") from error
        given = (arrived.shape, [f.shape for f in fired], layer_spikes.shape)
        mine = (self._arrived.shape, [f.shape for f in self._fired])
        if given != (*mine, self._layer_spikes.shape):
            raise ValueError("'state' must be that of a measurement of the same model.")
        self.n_samples, self._arrived, self._fired = n_samples, arrived, fired
        self._sums, self._layer_spikes = sums, layer_spikes

    def join(self, states: Sequence[dict]) -> None:
        """Take what several measured, each of samples of its own, as `state` says it.

        Raises
        ------
        ValueError
            As `restore`.
        """
        first, *others = states
        self.restore(first)
        for state in others:
            other = Measurement(self.model, self.target, self.readout)
            other.restore(state)
            self.n_samples += other.n_samples
            self._arrived += other._arrived
            self._layer_spikes += other._layer_spikes
            for fired, more in zip(self._fired, other._fired, strict=True):
                fired |= more
            for name, value in other._sums.items():
                self._sums[name] = self._sums.get(name, 0.0) + value

    def confidence(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the prediction confidence over time.

        Returns
        -------
        time_ms : ndarray, shape (n_times,), float64
            Ends of the bins; every millisecond where time is continuous.
        confidence : ndarray, shape (n_times,), float64
            Mean over the samples.

        Raises
        ------
        ValueError
            If no sample was added.
        """
        self._check_any()
        time_ms = np.round(1e3 * self._times, 9)  # 144, not 144.00000000000003
        return time_ms, self._arrived / (self.n_samples * self.target)

    def summary(self) -> dict:
        """Return the measures as plain numbers, ready for JSON.

        Returns
        -------
        summary : dict
            `n_samples`; `accuracy` and `undecided`, fractions of them; `hidden_spikes`,
            `output_spikes` and `layer_spikes` (a list), per sample; `silent_fraction`
            of the neurons after the input, `dead_labels`, a number of outputs, and
            `silent_layers`, a number of layers;
            `latency_ms`, a dict from a level to the time at which the mean confidence
            reaches it (None: never); `first_spike_ms`, the mean first output spike
            over the samples that have one (None: none has), and
            `silent_samples`, the fraction that has none; `decision_ms`, the mean time
            to a stable decision over the samples that have one (None: none has).
            Of an integrator, which has no spikes, a dead label is one that is never
            predicted.

        Raises
        ------
        ValueError
            If no sample was added.
        """
        self._check_any()
        mean = {name: total / self.n_samples for name, total in self._sums.items()}
        layer_spikes = self._layer_spikes / self.n_samples

        def mean_of(total, among):  # those that have it
            n_samples = self._sums.get(among, 0)
            return self._sums[total] / n_samples if n_samples else float("nan")

        time_ms, confidence = self.confidence()
        return {
            "n_samples": self.n_samples,
            "accuracy": float(mean["correct"]),
            "undecided": float(mean["undecided"]),
            "hidden_spikes": float(layer_spikes[:-1].sum()),
            "output_spikes": float(layer_spikes[-1]),
            "layer_spikes": layer_spikes.tolist(),
            "silent_fraction": self._silent_fraction(),
            "dead_labels": int(np.count_nonzero(~self._fired[-1])),
            "silent_layers": sum(not fired.any() for fired in self._firing),
            "latency_ms": {
                f"{level:g}": _none_if_nan(
                    latency.first_reached(time_ms, confidence, level)
                )
                for level in latency.LEVELS
            },
            "first_spike_ms": _none_if_nan(1e3 * mean_of("first_spike", "answered")),
            "decision_ms": _none_if_nan(1e3 * mean_of("decision", "decided")),
            "silent_samples": float(1 - mean["answered"])
            if self.readout.by_spikes
            else 0.0,
        }

    @property
    def _firing(self):
        """Which neurons have fired, of each layer that can."""
        return self._fired if self.readout.by_spikes else self._fired[:-1]

    def _silent_fraction(self):
        fired = np.concatenate([np.zeros(0, bool), *self._firing])
        return float(1 - fired.mean()) if fired.size else 0.0

    def _check_any(self):
        if self.n_samples == 0:
            raise ValueError("nothing was measured: 'add' a batch first.")


def _none_if_nan(value):
    return None if np.isnan(value) else float(value)
