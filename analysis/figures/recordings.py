"""Spikes and traces of one's own: of a network here, of Brian2, or as arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from brian2.units import Quantity
from brian2.units.fundamentalunits import DIMENSIONLESS, get_dimensions

from bsnn.equations import time_rules
from bsnn.equations.units import in_seconds, positive_seconds
from bsnn.outside import floats, plain_array
from bsnn.recorded import as_spikes, monitor_times

from .colours import COLOURS
from .raster import mark
from .style import new_figure, print_style

MANY = 5  # traces that are drawn unless neurons are named


def plot_raster(
    recorded,
    *,
    sample: int = 0,
    duration: Quantity | None = None,
    n_samples: int = 1,
    n_neurons: int | None = None,
    dt: Quantity | None = None,
    ax=None,
):
    """Draw the spikes of one sample.

    Parameters
    ----------
    recorded : Spikes, SpikeMonitor, pair (i, t), Activity, or dict of str to these
        Of one population, or of several by name, which have a band each. Times are
        those that a ``SpikeMonitor`` gives.
    sample : int
    duration : Quantity, optional
        Of a sample: the end of the axis; needed of several samples in a monitor.
    n_samples, n_neurons, dt : optional
        Of a monitor, or a pair (i, t): see `bsnn.analysis.as_spikes`.
    ax : Axes, optional
        Of matplotlib; those of a new figure unless given, ``ax.figure``.

    Returns
    -------
    ax : Axes

    Raises
    ------
    TypeError, ValueError
        As `as_spikes`, or if there is no such sample.
    """
    parts = dict(recorded) if isinstance(recorded, Mapping) else {None: recorded}
    found = {}
    for name, part in parts.items():
        given = {}
        if isinstance(part, (tuple, list)):
            given = {"n_neurons": n_neurons, "dt": dt}
        spikes = as_spikes(part, n_samples, duration, **given)
        _check_sample(sample, spikes.n_samples)
        found[name] = spikes.select(sample, sample + 1)
    with print_style():
        ax = new_figure(height=3.0)[1][0] if ax is None else ax
        if None in found:
            _one_population(found[None], ax)
        else:
            _bands(found, ax)
        end = None if duration is None else 1e3 * positive_seconds(duration, "duration")
        ax.set_xlim(0, end)
        ax.set_xlabel("Time (ms)")
    return ax


def plot_traces(
    recorded,
    variable: str | None = None,
    *,
    neurons: Sequence[int] | None = None,
    sample: int = 0,
    duration: Quantity | None = None,
    dt: Quantity | None = None,
    ax=None,
):
    """Draw a recorded variable of some neurons in one sample.

    Parameters
    ----------
    recorded : StateMonitor, Activity or array_like
        A monitor of Brian2, whose samples follow one another; what a `DerivedNetwork`
        returns of a population; or values, perhaps with a unit, of shape (n_steps,
        n_neurons) or (n_samples, n_steps, n_neurons).
    variable : str, optional
        The first that was recorded unless given; of an array what the axis calls it.
    neurons : sequence of int, optional
        The first five recorded unless given.
    sample : int
    duration : Quantity, optional
        Of a sample in a monitor; all of it is one sample unless given.
    dt : Quantity, optional
        Time step; needed of all but a monitor.
    ax : Axes, optional
        Of matplotlib; those of a new figure unless given, ``ax.figure``.

    Returns
    -------
    ax : Axes

    Raises
    ------
    TypeError
        If `recorded` is none of these.
    ValueError
        If there is no such variable, neuron or sample, or `dt` is missing.
    """
    if hasattr(recorded, "record_variables"):
        variable, values, known, step = _of_monitor(recorded, variable, duration)
    else:
        variable, values = _of_arrays(recorded, variable)
        known = np.arange(values.shape[2])
        if dt is None:
            raise ValueError("'dt' must be given, the time step of what was recorded.")
        step = in_seconds(dt, "dt")
    _check_sample(sample, len(values))
    chosen = known[:MANY] if neurons is None else np.asarray(neurons)
    unknown = np.setdiff1d(chosen, known)
    if unknown.size:
        raise ValueError(
            f"'neurons' must be among those recorded, {known.tolist()!s:.60}, got "
            f"{unknown[0]}."
        )
    numbers, unit = _in_readable_unit(values[sample])
    time_ms = 1e3 * step * np.arange(len(numbers))
    with print_style():
        ax = new_figure(height=2.6)[1][0] if ax is None else ax
        for k, neuron in enumerate(chosen):
            ax.plot(
                time_ms,
                numbers[:, np.flatnonzero(known == neuron)[0]],
                color=COLOURS[k % len(COLOURS)],
                linewidth=1,
                label=f"neuron {neuron}",
            )
        ax.set_xlim(0, 1e3 * step * len(numbers))
        ax.set_xlabel("Time (ms)")
        ax.set_ylabel(f"{variable} ({unit})" if unit else variable)
        # Beside the axes: traces leave no room inside them.
        ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return ax


def _one_population(spikes, ax):
    time_ms = 1e3 * monitor_times(spikes)
    mark(ax, time_ms, spikes.neuron, 160.0 / spikes.n_neurons, "black")
    ax.set_ylim(-0.5, spikes.n_neurons - 0.5)
    ax.yaxis.get_major_locator().set_params(integer=True)
    ax.set_ylabel("Neuron")


def _bands(found, ax):
    for band, spikes in enumerate(found.values()):
        y = band + 0.05 + 0.9 * (spikes.neuron + 0.5) / spikes.n_neurons
        height = 140.0 / (len(found) * spikes.n_neurons)
        time_ms = 1e3 * monitor_times(spikes)
        mark(ax, time_ms, y, height, COLOURS[band % len(COLOURS)])
        if band:
            ax.axhline(band, color="0.7", linewidth=0.6)
    names = [f"{name}\n({spikes.n_neurons})" for name, spikes in found.items()]
    ax.set_yticks(np.arange(len(found)) + 0.5, names)
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(0, len(found))
    ax.set_ylabel("Population (neurons)")


def _check_sample(sample, n_samples):
    if not 0 <= sample < n_samples:
        raise ValueError(f"'sample' must lie in 0..{n_samples - 1}, got {sample}.")


def _of_monitor(monitor, variable, duration):
    """Return name, values of all samples, neurons and time step of a monitor."""
    variable = _chosen(variable, list(monitor.record_variables))
    values = getattr(monitor, variable).T
    step = in_seconds(monitor.clock.dt, "dt")
    n_steps = len(values)
    if duration is not None:
        n_steps = time_rules.count_steps(positive_seconds(duration, "duration"), step)
    if not n_steps or len(values) % n_steps:
        raise ValueError(
            f"'recorded' must hold whole samples of {n_steps} steps, got "
            f"{len(values)} steps."
        )
    values = values.reshape(-1, n_steps, values.shape[1])
    return variable, values, np.asarray(monitor.record), step


def _of_arrays(recorded, variable):
    """Return name and values of an `Activity`, or of an array."""
    traces = getattr(recorded, "trace", None)
    if isinstance(traces, Mapping):
        variable = _chosen(variable, list(traces))
        recorded = traces[variable]
        recorded = recorded.detach() if hasattr(recorded, "detach") else recorded
    dimension = DIMENSIONLESS
    if isinstance(recorded, Quantity):
        dimension, recorded = recorded.dim, np.asarray(recorded)
    values = floats(plain_array(recorded, "recorded"), "recorded")
    if values.ndim == 2:
        values = values[None]
    if values.ndim != 3:
        raise ValueError(
            "'recorded' must have shape (n_steps, n_neurons) or (n_samples, n_steps, "
            f"n_neurons), got {values.shape}."
        )
    return variable or "Value", Quantity(values, dim=dimension)


def _chosen(variable, names):
    if variable is None and names:
        return names[0]
    if variable not in names:
        raise ValueError(
            f"'variable' must be one that was recorded ({', '.join(names) or 'none'}), "
            f"got {variable!r}."
        )
    return variable


def _in_readable_unit(values):
    """Return values as plain numbers of a unit that suits them, and its name."""
    if get_dimensions(values) is DIMENSIONLESS:
        return np.asarray(values), ""
    unit = np.abs(values).max().get_best_unit()
    return np.asarray(values / unit), str(unit)
