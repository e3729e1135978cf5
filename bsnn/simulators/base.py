"""The common face of the simulators."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from bsnn.equations.models import cuba_lif
from bsnn.equations.units import as_int, rates_in_hertz
from bsnn.errors import NumbersError
from bsnn.gate import spikes_for
from bsnn.machine import n_cores
from bsnn.model import Model
from bsnn.spikes import Spikes

from .turns import Turns

# In Hz. The sum of a billion such spikes is still a number in single precision.
LARGEST_WEIGHT = 1e18


def count_workers(workers):
    """Return the number of workers: as many as cores, unless given."""
    return n_cores() if workers is None else as_int(workers, "workers", least=1)


class Simulator(Turns):
    """Runs a model on batches of input spikes with given weights.

    Parameters
    ----------
    model : Model
    **options
        With which the same simulator is made again.
    """

    def __init__(self, model: Model, **options):
        check_model(model)
        super().__init__(model, **options)
        self.model = model

    def __repr__(self):
        return f"{type(self).__name__}({self.model.in_short()})"

    def run(
        self, weights: Sequence[ArrayLike], inputs: Spikes | ArrayLike
    ) -> list[Spikes]:
        """Simulate one batch.

        Parameters
        ----------
        weights : sequence of array_like, shapes `model.weight_shapes`
            Weights of each layer, row = presynaptic neuron. Bare numbers are in Hz.
        inputs : Spikes, array_like or tensor
            Input spikes with ``n_neurons == model.n_inputs`` and the model's dt, none
            at or after the sample's end. A spike of the last step arrives at that end
            and acts on nothing. Or an array of 0 and 1 of shape (n_samples, n_steps,
            n_inputs).

        Returns
        -------
        records : list of Spikes
            Spikes of each layer, with what the spike-time gradient needs: `state` under
            the rule "grid", `time` and `slope` under the event rules.

        Raises
        ------
        TypeError
            If weights are no numbers, or the inputs no spikes.
        ValueError
            If weights or inputs do not fit the model or are not finite.
        ProgramError
            If a simulating program fails three times in a row.
        RuntimeError
            If the simulator has been closed, or is called in the middle of another call
            of the same thread.
        """
        with self._call():
            return self._run(*self._checked(weights, inputs))

    def _checked(self, weights, inputs):
        """Return weights and inputs as the simulators read them."""
        inputs = spikes_for(self.model, inputs)
        shapes = self.model.weight_shapes
        if len(weights) != len(shapes):
            raise ValueError(
                f"'weights' must have {len(shapes)} matrices, one for each layer, "
                f"got {len(weights)}."
            )
        weights = [rates_in_hertz(weight, "weights") for weight in weights]
        for layer, (weight, shape) in enumerate(
            zip(weights, shapes, strict=True), start=1
        ):
            check_weights(weight, shape, f"layer {layer}")
        return weights, inputs

    @abstractmethod
    def _run(self, weights, inputs):
        """Do the work of `run` on checked arguments."""


def check_weights(weight, shape, where):
    """Raise ValueError unless `weight` has `shape`, NumbersError unless sound.

    Weights are sound if finite and below `LARGEST_WEIGHT`: then no membrane overflows,
    so that all states of a simulation are finite.
    """
    if tuple(weight.shape) != shape:
        hint = "; transpose it" if tuple(weight.shape) == shape[::-1] else ""
        raise ValueError(
            f"'weights' of {where} must have shape {shape}, "
            f"got {tuple(weight.shape)}{hint}."
        )
    check_finite(weight, f"'weights' of {where}", LARGEST_WEIGHT)


def check_finite(values, what, limit=np.inf):
    """Raise NumbersError unless an array is finite, each value below `limit`."""
    # A dot product may wait long for the second of its threads on a busy core.
    if -limit < values.min(initial=0) and values.max(initial=0) < limit:  # no NaN is
        return
    n_wrong = np.count_nonzero(~(np.abs(values) < limit))
    if n_wrong:
        bound = "" if np.isinf(limit) else f" and below {limit:g}"
        raise NumbersError(
            f"{what} must be finite{bound}, got {n_wrong} values that are not; "
            "a learning rate that is too high is the usual cause."
        )


def check_model(model):
    """Raise ValueError unless there is a simulator for the model."""
    for layer, neuron in enumerate(model.neurons, start=1):
        # Again: models also come from pickles, and classes change in a session.
        cuba_lif.check_neuron(neuron, f"'neurons' of layer {layer}")
        model.time_rule.check(neuron, f"layer {layer}")
