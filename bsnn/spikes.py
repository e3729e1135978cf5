"""Spikes of one layer over a batch of samples."""

import functools
import math
from dataclasses import dataclass, field

import numpy as np

from .equations import time_rules
from .equations.units import any_seconds


@dataclass(frozen=True, kw_only=True, eq=False)
class Spikes:
    """All spikes of one layer, ordered by sample, then time, then neuron.

    Parameters
    ----------
    neuron : ndarray, shape (n_spikes,), int32
        Index of the neuron that fired.
    offset : ndarray, shape (n_samples + 1,), int64
        Sample m owns the spikes ``offset[m]:offset[m + 1]``.
    n_neurons : int
        Size of the layer.
    dt : float or Quantity
        Time step, a bare number in seconds; 0 where time is continuous.
    step : ndarray, shape (n_spikes,), int64, optional
        Bin of each spike, counted from the start of its sample; what a
        ``SpikeMonitor`` calls ``t/dt``. None where time is continuous.
    time : ndarray, shape (n_spikes,), float64, optional
        Exact time of each spike in seconds, where the simulator knows it.
    slope : ndarray, shape (n_spikes,), float64, optional
        dv/dt in Hz at `time`.
    state : dict of str to ndarray, shape (n_spikes,)
        State variables of the neuron at the end of the bin, before synapses and reset.

    Raises
    ------
    ValueError
        If the arrays do not fit together.
    """

    neuron: np.ndarray
    offset: np.ndarray
    n_neurons: int
    dt: float
    step: np.ndarray | None = None
    time: np.ndarray | None = None
    slope: np.ndarray | None = None
    state: dict[str, np.ndarray] = field(default_factory=dict)

    def __post_init__(self):
        object.__setattr__(self, "dt", any_seconds(self.dt, "dt"))
        if self.offset.ndim != 1 or self.offset[0] != 0:
            raise ValueError(
                "'offset' must be one-dimensional and start at 0, "
                f"got shape {self.offset.shape}."
            )
        if self.offset[-1] != len(self.neuron):
            raise ValueError(
                f"'offset' must end at the number of spikes, {len(self.neuron)}, "
                f"got {self.offset[-1]}."
            )
        if self.step is None and self.time is None:
            raise ValueError("'step' or 'time' must be given, got neither.")
        shape = self.neuron.shape
        arrays = (self.step, self.time, self.slope, *self.state.values())
        if all(array is None or array.shape == shape for array in arrays):
            return
        for name, array in self._per_spike().items():
            if array.shape != shape:
                raise ValueError(
                    f"'{name}' must have shape {shape}, got {array.shape}."
                )

    def check_values(self):
        """Raise ValueError unless the values are possible; for spikes from outside."""
        for name, kind, what in (
            ("offset", "i", "int"),
            ("neuron", "i", "int"),
            ("step", "i", "int"),
            ("time", "f", "float"),
        ):
            array = getattr(self, name)
            if array is not None and array.dtype.kind != kind:
                raise ValueError(f"'{name}' must hold {what}, got {array.dtype}.")
        if not (math.isfinite(self.dt) and self.dt >= 0):
            raise ValueError(f"'dt' must be finite and not negative, got {self.dt}.")
        if (self.offset[1:] < self.offset[:-1]).any():
            raise ValueError("'offset' must not fall.")
        _check_index("neuron", self.neuron, self.n_neurons)
        if self.step is not None and np.any(self.step < 0):
            raise ValueError(f"'step' must not be negative, got {self.step.min()}.")
        if self.time is not None and not np.isfinite(self.time).all():
            raise ValueError("'time' must be finite.")

    @classmethod
    def from_events(
        cls, *, sample, neuron, n_samples, n_neurons, dt, step=None, time=None
    ):
        """Sort loose events of several samples into `Spikes`.

        Parameters
        ----------
        sample, neuron : array_like, shape (n_spikes,), int
        n_samples, n_neurons : int
        dt : float or Quantity
            A bare number in seconds; 0 for continuous time.
        step : array_like, shape (n_spikes,), int, optional
        time : array_like, shape (n_spikes,), float, optional
            Seconds. Given alone with dt > 0, the rule of the grid makes its `step`.

        Raises
        ------
        ValueError
            If a sample or neuron index is out of range.
        """
        dt = any_seconds(dt, "dt")
        sample, neuron = np.asarray(sample, np.int64), np.asarray(neuron, np.int32)
        _check_index("sample", sample, n_samples)
        _check_index("neuron", neuron, n_neurons)
        if step is None and dt > 0:
            step = time_rules.bin_index(time, dt)
        order = np.lexsort((neuron, time if step is None else step, sample))
        n_per_sample = np.bincount(sample, minlength=n_samples)
        return cls(
            neuron=neuron[order],
            offset=np.concatenate([[0], np.cumsum(n_per_sample)]).astype(np.int64),
            n_neurons=n_neurons,
            dt=dt,
            step=None if step is None else np.asarray(step, np.int64)[order],
            time=None if time is None else np.asarray(time, np.float64)[order],
        )

    @property
    def n_spikes(self):
        return len(self.neuron)

    @property
    def n_samples(self):
        return len(self.offset) - 1

    @functools.cached_property
    def sample(self):
        """Sample each spike belongs to; shape (n_spikes,), int64."""
        return np.repeat(np.arange(self.n_samples), np.diff(self.offset))

    @functools.cached_property
    def arrival(self):
        """When each spike takes effect; shape (n_spikes,), float64, seconds."""
        if self.step is None:
            return self.time
        return time_rules.delivery_time(self.step, self.dt)

    @functools.cached_property
    def sample_and_neuron(self):
        """Index of each spike in a flat (n_samples, n_neurons) array; int64."""
        return self.sample * self.n_neurons + self.neuron

    @functools.cached_property
    def _counts(self):
        shape = (self.n_samples, self.n_neurons)
        flat = self.sample_and_neuron
        counts = np.bincount(flat, minlength=shape[0] * shape[1]).reshape(shape)
        counts.flags.writeable = False
        return counts

    def counts(self):
        """Return spikes per sample and neuron; (n_samples, n_neurons), int64, fixed."""
        return self._counts

    def select(self, start, stop):
        """Return the spikes of samples ``start:stop``."""
        first, last = self.offset[start], self.offset[stop]
        chosen = {name: a[first:last] for name, a in self._per_spike().items()}
        return self._with(self.offset[start : stop + 1] - first, chosen)

    @staticmethod
    def concatenate(parts):
        """Return the samples of several `Spikes` of one layer, one after another.

        The arrays are new ones, also where there is one part.
        """
        arrays = [part._per_spike() for part in parts]
        dtypes = {"step": np.int64}
        joined = {
            name: np.concatenate([a[name] for a in arrays], dtype=dtypes.get(name))
            for name in arrays[0]
        }
        start = np.cumsum([0] + [part.n_spikes for part in parts])
        offset = [p.offset[1:] + s for p, s in zip(parts, start[:-1], strict=True)]
        return parts[0]._with(np.concatenate([[0], *offset]), joined)

    def _per_spike(self):
        named = {
            "neuron": self.neuron,
            "step": self.step,
            "time": self.time,
            "slope": self.slope,
            **self.state,
        }
        return {name: array for name, array in named.items() if array is not None}

    def _with(self, offset, arrays):
        state = {name: arrays.pop(name) for name in self.state}
        return Spikes(
            offset=offset,
            n_neurons=self.n_neurons,
            dt=self.dt,
            state=state,
            **arrays,
        )


def _check_index(name, index, stop):
    if index.size and not (0 <= index.min() and index.max() < stop):
        raise ValueError(
            f"'{name}' must lie in 0..{stop - 1}, got {index.min()}..{index.max()}."
        )
