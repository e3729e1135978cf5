"""The measures of a whole test set, gathered batch by batch."""

from __future__ import annotations

import operator
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from bsnn.equations.units import as_positive
from bsnn.model import Model
from bsnn.spikes import Spikes

from . import latency, metrics
from .recorded import as_layers


class Measurement:
    """Gathers what `metrics` and `latency` define, without keeping the spikes.

    Parameters
    ----------
    model : Model
    target : float
        Spikes that the loss asks of the true label's output.

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

    def __init__(self, model: Model, target: float):
        self.model = model
        self.target = as_positive(target, "target")
        self.n_samples = 0
        self._times = metrics.confidence_times(model)
        self._arrived = np.zeros(len(self._times))
        self._fired = [np.zeros(size, bool) for size in model.layer_sizes]
        self._sums = {}
        self._layer_spikes = np.zeros(model.n_layers)

    def add(self, layers: Sequence[Spikes], labels: ArrayLike) -> None:
        """Add a batch.

        Parameters
        ----------
        layers : sequence of Spikes or SpikeMonitor, or one of them
            Spikes of each layer after the input.
        labels : array_like, shape (n_samples,), int

        Raises
        ------
        ValueError
            If the layers are not those of the model, or `labels` do not fit.
        """
        layers = as_layers(layers)
        sizes = tuple(layer.n_neurons for layer in layers)
        if sizes != self.model.layer_sizes:
            raise ValueError(
                f"'layers' must be the model's layers of {self.model.layer_sizes} "
                f"neurons, got {sizes}; leave the input out."
            )
        output, n_samples = layers[-1], layers[-1].n_samples
        if any(layer.n_samples != n_samples for layer in layers):
            raise ValueError(
                "'layers' must be of the same samples, got "
                f"{[layer.n_samples for layer in layers]}."
            )
        if n_samples == 0:
            return
        true_spikes, labels = metrics.true_label_spikes(output, labels)
        first = latency.first_output_latency(output)
        self.n_samples += n_samples
        self._arrived += metrics.count_arrived(true_spikes, self._times)
        self._layer_spikes += [layer.n_spikes for layer in layers]
        for fired, layer in zip(self._fired, layers, strict=True):
            fired |= metrics.has_fired(layer)
        for name, value in (
            ("correct", metrics.is_correct(output, labels).sum()),
            ("undecided", metrics.is_tied(output).sum()),
            ("answered", np.count_nonzero(~np.isnan(first))),
            ("first_spike", np.nansum(first)),
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
            `accuracy` and `undecided`, fractions of the samples; `hidden_spikes`,
            `output_spikes` and `layer_spikes` (a list), per sample; `silent_fraction`
            of the neurons after the input, `dead_labels`, a number of outputs, and
            `silent_layers`, a number of layers;
            `latency_ms`, a dict from a level to the time at which the mean confidence
            reaches it (None: never); `first_spike_ms`, the mean first output spike
            over the samples that have one (None: none has), and
            `silent_samples`, the fraction that has none.

        Raises
        ------
        ValueError
            If no sample was added.
        """
        self._check_any()
        mean = {name: total / self.n_samples for name, total in self._sums.items()}
        layer_spikes = self._layer_spikes / self.n_samples
        answered = self._sums["answered"]
        first = self._sums["first_spike"] / answered if answered else float("nan")
        time_ms, confidence = self.confidence()
        return {
            "accuracy": float(mean["correct"]),
            "undecided": float(mean["undecided"]),
            "hidden_spikes": float(layer_spikes[:-1].sum()),
            "output_spikes": float(layer_spikes[-1]),
            "layer_spikes": layer_spikes.tolist(),
            "silent_fraction": float(1 - np.mean(np.concatenate(self._fired))),
            "dead_labels": int(np.count_nonzero(~self._fired[-1])),
            "silent_layers": sum(not fired.any() for fired in self._fired),
            "latency_ms": {
                f"{level:g}": _none_if_nan(
                    latency.first_reached(time_ms, confidence, level)
                )
                for level in latency.LEVELS
            },
            "first_spike_ms": _none_if_nan(1e3 * first),
            "silent_samples": float(1 - mean["answered"]),
        }

    def _check_any(self):
        if self.n_samples == 0:
            raise ValueError("nothing was measured: 'add' a batch first.")


def _none_if_nan(value):
    return None if np.isnan(value) else float(value)
