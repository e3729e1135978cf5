"""What was recorded, by bsnn, by Brian2 or elsewhere, as `Spikes`."""

import numpy as np

from bsnn.equations import time_rules
from bsnn.equations.units import in_seconds, positive_seconds

from .outside import indices, seconds
from .sound import bins_of, check_shapes
from .spikes import Spikes


def as_spikes(recorded, n_samples=1, duration=None, *, n_neurons=None, dt=None):
    """Return recorded spikes as `Spikes`.

    Parameters
    ----------
    recorded : Spikes, LayerSpikes, SpikeMonitor or pair (i, t)
        `Spikes`, also those of a network's layer, are returned as they are. A Brian2
        monitor, or the neurons and times (a Quantity) of its spikes, must hold the
        samples one after another, the first starting at time 0.
    n_samples : int
        Samples in the monitor.
    duration : Quantity, optional
        Length of a sample, rounded up to whole time steps; needed if there are several.
    n_neurons : int, optional
        Size of the layer; needed for a pair (i, t).
    dt : Quantity, optional
        Time step of a pair (i, t) that a clock-driven simulation recorded; without it
        time is continuous.

    Returns
    -------
    spikes : Spikes
        Its `step` is the monitor's ``t/dt`` within the sample, so that a spike arrives
        at the monitor's ``t + dt``.

    Raises
    ------
    TypeError
        If `recorded` is none of these, or its times have no unit.
    ValueError
        If `duration` or `n_neurons` is missing, the monitor has recorded no times or at
        several time steps, or there are spikes after the last sample.
    """
    for spikes in (recorded, getattr(recorded, "record", None)):  # of a network's layer
        if isinstance(spikes, Spikes):
            return spikes
    if isinstance(recorded, (tuple, list)) and len(recorded) == 2:
        neuron, time = recorded
        if n_neurons is None:
            raise ValueError(
                "'n_neurons' must be given for a pair (i, t), which tells nothing of "
                "silent neurons: as_spikes((i, t), n_neurons=10)."
            )
        neuron, time = indices(neuron, "i", n_neurons), seconds(time, "t", bare=False)
        check_shapes({"i": neuron, "t": time})
        dt = 0.0 if dt is None else in_seconds(dt, "dt")
    else:
        if n_neurons is not None or dt is not None:
            raise ValueError(
                "'n_neurons' and 'dt' are for a pair (i, t); leave them out."
            )
        neuron, time, n_neurons, dt = _read_monitor(recorded)
    step = bins_of(time, dt) if dt > 0 else None
    sample = np.zeros(time.shape, int)
    if duration is not None:
        length = positive_seconds(duration, "duration")
        if dt > 0:
            sample, step = np.divmod(step, time_rules.count_steps(length, dt))
        else:
            sample = np.floor(time / length + 1e-9).astype(int)
            time = np.maximum(time - sample * length, 0)  # of rounding
    elif n_samples != 1:
        raise ValueError(
            f"'duration' must be given to tell {n_samples} samples of one recording "
            "apart."
        )
    if sample.size and sample.max() >= n_samples:
        raise ValueError(
            f"'recorded' holds spikes of {sample.max() + 1} samples of {duration!s}, "
            f"but 'n_samples' is {n_samples}; raise it, or record less."
        )
    return Spikes.from_events(
        sample=sample,
        neuron=neuron,
        n_samples=n_samples,
        n_neurons=n_neurons,
        dt=dt,
        **({"time": time} if step is None else {"step": step}),
    )


def monitor_times(spikes: Spikes) -> np.ndarray:
    """Return when spikes were recorded, as a ``SpikeMonitor`` says it.

    Under a grid, the start of the step at whose end the spike takes effect.

    Returns
    -------
    times : ndarray, shape (n_spikes,), float64
        Seconds from the start of the sample.
    """
    return spikes.time if spikes.step is None else spikes.step * spikes.dt


def _read_monitor(monitor):
    """Return neurons and times of a `SpikeMonitor`, its number of neurons, its dt."""
    if getattr(monitor, "record", None) is False and hasattr(monitor, "source"):
        raise ValueError(
            "'recorded' must hold times, got a SpikeMonitor that counts alone; make it "
            "without record=False and simulate again."
        )
    if not all(hasattr(monitor, name) for name in ("i", "t", "source")):
        raise TypeError(
            "'recorded' must be Spikes, a SpikeMonitor or a pair (i, t), got "
            f"{type(monitor).__name__}."
        )
    dt = in_seconds(monitor.source.clock.dt, "dt")
    time = seconds(monitor.t, "t")
    off_grid = np.abs(time / dt - np.rint(time / dt)) > time_rules.BIN_SHIFT
    if off_grid.any():
        raise ValueError(
            f"'recorded' must be of one time step, {dt} s, got a spike at "
            f"{time[off_grid][0]} s; give what was recorded at each as a pair (i, t)."
        )
    return np.asarray(monitor.i), time, len(monitor.source), dt


def as_layers(recorded):
    """Return the `Spikes` of several layers, or of the one that is not in a list."""
    single = isinstance(recorded, Spikes) or hasattr(recorded, "source")
    if single or isinstance(getattr(recorded, "record", None), Spikes):
        recorded = [recorded]
    return [as_spikes(layer) for layer in recorded]
