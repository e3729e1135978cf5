"""What `Spikes` promise of their arrays: they fit together and are in order."""

import numpy as np

from bsnn.equations import time_rules
from bsnn.equations.units import any_seconds

from .outside import MAX_INT32, fixed, floats, indices, seconds

ROUNDING = 2 * time_rules.BIN_SHIFT  # of a time that lies at an edge of its bin


def time_step(dt):
    """Return a time step as a float in seconds, 0 for continuous time."""
    value = any_seconds(dt, "dt")
    if value < 0:
        raise ValueError(f"'dt' must not be negative, got {value} s.")
    return value


def bins_of(time, dt):
    """Return the bin of each time, refusing times too far off to have a number."""
    if (time >= MAX_INT32 * dt).any():
        raise ValueError(
            f"'time' must come before step {MAX_INT32} of {dt} s, got {time.max()} s; "
            "it is in seconds."
        )
    return time_rules.bin_index(time, dt)


def sound_arrays(neuron, offset, step, time, slope, state, *, n_neurons, dt):
    """Return the arrays of `Spikes` as new ones of the right kind, not to be written.

    Raises
    ------
    TypeError
        If one is of another kind.
    ValueError
        If they do not fit together, are out of order or hold what cannot be.
    """
    arrays = {
        "neuron": indices(neuron, "neuron", n_neurons).astype(np.int32),
        "step": None if step is None else indices(step, "step"),
        "time": None if time is None else seconds(time, "time"),
        "slope": None if slope is None else floats(slope, "slope"),
    }
    state = {name: _real(values, name) for name, values in state.items()}
    check_shapes({**arrays, **state})
    check_clock(dt, arrays["step"], arrays["time"])
    offset = _sound_offset(offset, len(arrays["neuron"]))
    when = "time" if dt == 0 else "step"
    _check_order(offset, when, arrays[when], arrays["neuron"])
    arrays = {n: a if a is None else fixed(a) for n, a in arrays.items()}
    state = {name: fixed(values) for name, values in state.items()}
    return {**arrays, "offset": fixed(offset), "state": state}


def check_shapes(arrays):
    """Raise ValueError unless all are one-dimensional, and as long as the first."""
    first = next(iter(arrays.values()))
    if first.ndim != 1:
        name = next(iter(arrays))
        raise ValueError(f"'{name}' must be one-dimensional, got shape {first.shape}.")
    for name, array in arrays.items():
        if array is not None and array.shape != first.shape:
            raise ValueError(
                f"'{name}' must have shape {first.shape}, got {array.shape}."
            )


def check_clock(dt, step, time):
    """Raise ValueError unless steps, or times where time is continuous, tell when."""
    if step is None and time is None:
        raise ValueError("'step' or 'time' must be given, got neither.")
    if dt == 0 and step is not None:
        raise ValueError(
            "'step' has no length where 'dt' is 0; give 'time' instead, or a time step."
        )
    if dt > 0 and step is None:
        raise ValueError(
            f"'step' must be given where 'dt' is {dt} s, got 'time' alone; "
            "Spikes.from_events makes steps of times."
        )
    if step is not None and time is not None:
        middle = dt * (step + 0.5)
        outside = np.abs(time - middle) > dt * (0.5 + ROUNDING)
        if outside.any():
            raise ValueError(
                f"'time' must lie within 'step', got {time[outside][0]} s in step "
                f"{step[outside][0]} of {dt} s; give one of them."
            )


def _sound_offset(offset, n_spikes):
    given = indices(offset, "offset", n_spikes + 1)
    if given.ndim != 1 or not given.size or given[0] != 0:
        raise ValueError(
            "'offset' must be one-dimensional and start at 0, "
            f"got shape {given.shape}{f', {given[0]} first' if given.size else ''}."
        )
    if given[-1] != n_spikes:
        raise ValueError(
            f"'offset' must end at the number of spikes, {n_spikes}, got {given[-1]}."
        )
    if (given[1:] < given[:-1]).any():
        raise ValueError("'offset' must not fall.")
    return given


def _check_order(offset, name, when, neuron):
    """Raise ValueError unless a sample's spikes are in order, none of them twice."""
    before, after = when[:-1], when[1:]
    falls = after <= before
    falls &= (after < before) | (neuron[1:] <= neuron[:-1])
    starts = offset[1:-1]
    falls[starts[(0 < starts) & (starts < len(neuron))] - 1] = False
    if not falls.any():
        return
    k = int(falls.argmax())
    sample = np.searchsorted(offset, k, side="right") - 1
    unit = " s" if name == "time" else ""
    if before[k] == after[k] and neuron[k] == neuron[k + 1]:
        raise ValueError(
            f"'neuron' must not fire twice at one '{name}', got neuron {neuron[k]} "
            f"twice at {when[k]}{unit} of sample {sample}; keep one of the two, or "
            "choose a smaller time step."
        )
    raise ValueError(
        f"'{name}' must be in order, by sample, then {name}, then neuron; got "
        f"{after[k]}{unit} of neuron {neuron[k + 1]} after {before[k]}{unit} of neuron "
        f"{neuron[k]} in sample {sample}; Spikes.from_events sorts."
    )


def _real(values, name):
    # Single precision stays: it is what the program computed in.
    array = np.array(values)
    return array if array.dtype == np.float32 else floats(array, name)
