"""What goes into a model from outside, whichever simulator runs it."""

import itertools

import numpy as np

from .outside import MAX_INT32, plain_array, truths
from .spikes import Spikes


def spikes_for(model, inputs):
    """Return `inputs` as `Spikes` that every simulator of `model` reads alike.

    Parameters
    ----------
    model : Model
    inputs : Spikes, array_like or tensor
        An array of 0 and 1 has the shape (n_samples, n_steps, n_inputs).

    Raises
    ------
    TypeError
        If `inputs` are of another kind.
    ValueError
        If they do not fit the model, or a spike comes at or after a sample's end.
    """
    if not isinstance(inputs, Spikes):
        inputs = _of_array(model, inputs)
    if inputs.n_neurons != model.n_inputs:
        raise ValueError(
            f"'inputs' must have {model.n_inputs} neurons, got {inputs.n_neurons}."
        )
    if inputs.dt != model.dt_seconds:
        raise ValueError(
            f"'inputs' must be encoded at the model's time step of "
            f"{model.dt_seconds} s, got {inputs.dt} s; encode them again."
        )
    inputs = _with_last_step(model, inputs)
    remedy = "leave later spikes out, or choose a longer 'duration'."
    if inputs.dt == 0 and not inputs.last < model.duration_seconds:
        raise ValueError(
            f"'inputs' must come before the sample's end at {model.duration_seconds} "
            f"s, got a spike at {inputs.last} s; {remedy}"
        )
    if inputs.dt > 0 and not inputs.last < model.n_steps:
        raise ValueError(
            f"'inputs' must lie in the sample's steps 0..{model.n_steps - 1}, got a "
            f"spike in step {inputs.last}; {remedy}"
        )
    _check_numbering(model, inputs)
    return inputs


def _with_last_step(model, inputs):
    """Return `inputs`, with what rounding put just past the last step back in it."""
    n_steps = model.n_steps
    if inputs.time is None or inputs.dt == 0 or inputs.last != n_steps:
        return inputs
    if not inputs.time.max() < n_steps * inputs.dt:
        return inputs
    return Spikes.from_events(
        sample=inputs.sample,
        neuron=inputs.neuron,
        step=np.minimum(inputs.step, n_steps - 1),
        time=inputs.time,
        n_samples=inputs.n_samples,
        n_neurons=inputs.n_neurons,
        dt=inputs.dt,
    )


def _check_numbering(model, inputs):
    """Raise ValueError where a generated program would count beyond int32."""
    if not model.time_rule.clock_driven:
        return
    if inputs.n_samples * model.n_steps > MAX_INT32:
        raise ValueError(
            f"'inputs' must not hold more than {MAX_INT32 // model.n_steps} samples at "
            f"this time step, got {inputs.n_samples}; split the batch."
        )
    if inputs.n_spikes > MAX_INT32:
        raise ValueError(
            f"'inputs' must not hold more than {MAX_INT32} spikes, got "
            f"{inputs.n_spikes}; split the batch."
        )


def _of_array(model, inputs):
    """Return the spikes of a dense array, unless what it means is in doubt."""
    remedy = None
    if isinstance(getattr(inputs, "record", None), Spikes):
        remedy = "pass its '.record'"
    elif hasattr(inputs, "source"):
        remedy = "bsnn.analysis.as_spikes reads a SpikeMonitor"
    if remedy:
        kind = type(inputs).__name__
        raise TypeError(f"'inputs' must be Spikes, got {kind}; {remedy}.")
    array = plain_array(inputs, "inputs")
    if array.dtype.kind not in "biuf":
        raise TypeError(
            "'inputs' must be Spikes or an array of 0 and 1, got "
            f"{type(inputs).__name__}."
        )
    if model.dt_seconds == 0:
        raise ValueError(
            "'inputs' must be Spikes where time is continuous, got an array of shape "
            f"{array.shape}; Spikes.from_events and from_padded make them of times."
        )
    expected = (model.n_steps, model.n_inputs)
    if array.ndim != 3 or array.shape[1:] != expected:
        raise ValueError(
            f"'inputs' as an array must have shape (n_samples, {expected[0]}, "
            f"{expected[1]}), its samples, steps and neurons, got {array.shape}; "
            f"{_remedy(array.shape, expected)}."
        )
    if model.n_steps in (len(array), model.n_inputs):
        raise ValueError(
            f"'inputs' of shape {array.shape} leave open which axis is time; say so "
            f"with Spikes.from_dense(inputs, dt={model.dt_seconds})."
        )
    return Spikes.from_dense(truths(array, "inputs"), dt=model.dt_seconds)


def _remedy(shape, expected):
    if shape == expected:
        return "put a single sample in a batch of one with inputs[None]"
    if len(shape) == 3 and expected in {
        axes[1:] for axes in itertools.permutations(shape)
    }:
        return "transpose it"
    return (
        "images go through bsnn.encode_ttfs, lists of events through "
        "Spikes.from_events or from_padded"
    )
