"""Spikes of one layer over a batch of samples."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, field, fields

import numpy as np
from brian2.units import Quantity
from numpy.typing import ArrayLike

from bsnn.equations import time_rules
from bsnn.equations.units import plain_seconds

from .outside import fixed, floats, indices, plain_array, seconds, truths, whole_number
from .sound import bins_of, check_clock, check_shapes, sound_arrays, time_step

PER_SPIKE = ("neuron", "step", "time", "slope")


@dataclass(frozen=True, kw_only=True, eq=False)
class Spikes:
    """All spikes of one layer, ordered by sample, then time, then neuron.

    Whatever its rule or device, a simulator reads the same of them: a sample begins at
    time 0, and a neuron fires at most once in a time step, or at one instant. That no
    spike comes at or after a sample's end is checked only with the model: see
    `Simulator.run`. The arrays are copies that cannot be written.

    Parameters
    ----------
    neuron : array_like, shape (n_spikes,), int
        Index of the neuron that fired; kept as int32.
    offset : array_like, shape (n_samples + 1,), int
        Sample m owns the spikes ``offset[m]:offset[m + 1]``; kept as int64.
    n_neurons : int
        Size of the layer.
    dt : float or Quantity
        Time step in seconds; 0 where time is continuous.
    step : array_like, shape (n_spikes,), int
        Bin of each spike, counted from the start of its sample; what a
        ``SpikeMonitor`` calls ``t/dt``; kept as int64. None where time is continuous.
    time : array_like, shape (n_spikes,), float or Quantity, optional
        Exact time of each spike in seconds, where it is known; within its bin.
    slope : array_like, shape (n_spikes,), float, optional
        dv/dt in Hz at `time`.
    state : dict of str to array_like, shape (n_spikes,)
        State variables of the neuron at the end of the bin, before synapses and reset.

    Raises
    ------
    TypeError
        If an array is of another kind.
    ValueError
        If the arrays do not fit together, are out of order or hold what cannot be.
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
        n_neurons, dt = whole_number(self.n_neurons, "n_neurons", 1), time_step(self.dt)
        arrays = {name: getattr(self, name) for name in ("offset", *PER_SPIKE, "state")}
        sound = sound_arrays(**arrays, n_neurons=n_neurons, dt=dt)
        self.__dict__.update(n_neurons=n_neurons, dt=dt, **sound)

    def __repr__(self):
        return (
            f"Spikes(n_spikes={self.n_spikes}, n_samples={self.n_samples}, "
            f"n_neurons={self.n_neurons}, dt={1e3 * self.dt:g} ms)"
        )

    def __reduce__(self):  # arrays of a copy can be written, so it is checked again
        return _made_of, ({f.name: getattr(self, f.name) for f in fields(self)},)

    @classmethod
    def known(cls, **given) -> Spikes:
        """Return `Spikes` of arrays that are in order and that nobody else writes.

        Nothing is checked or copied: for what bsnn itself has made.
        """
        spikes = object.__new__(cls)
        absent = {"step": None, "time": None, "slope": None, "state": {}}
        spikes.__dict__.update(absent | given)
        return spikes

    @classmethod
    def from_events(
        cls,
        *,
        sample: ArrayLike,
        neuron: ArrayLike,
        n_samples: int,
        n_neurons: int,
        dt: float | Quantity,
        step: ArrayLike | None = None,
        time: ArrayLike | None = None,
    ) -> Spikes:
        """Sort loose events of several samples into `Spikes`.

        Parameters
        ----------
        sample, neuron : array_like, shape (n_spikes,), int
        n_samples, n_neurons : int
        dt : float or Quantity
            Time step in seconds; 0 for continuous time.
        step : array_like, shape (n_spikes,), int, optional
        time : array_like, shape (n_spikes,), float or Quantity, optional
            Seconds. Given alone with dt > 0, the rule of the grid makes its `step`.

        Raises
        ------
        TypeError
            If an array is of another kind.
        ValueError
            If the arrays do not fit together, an index is out of range, `step` and
            `time` contradict each other, or a neuron fires twice in a time step.
        """
        n_samples = whole_number(n_samples, "n_samples", 0)
        n_neurons, dt = whole_number(n_neurons, "n_neurons", 1), time_step(dt)
        sample = indices(sample, "sample", n_samples)
        neuron = indices(neuron, "neuron", n_neurons)
        step = None if step is None else indices(step, "step")
        time = None if time is None else seconds(time, "time")
        check_shapes({"neuron": neuron, "sample": sample, "step": step, "time": time})
        if step is None and time is not None and dt > 0:
            step = bins_of(time, dt)
        check_clock(dt, step, time)
        order = np.lexsort((neuron, time if step is None else step, sample))
        n_per_sample = np.bincount(sample, minlength=n_samples)
        return cls(
            neuron=neuron[order],
            offset=np.concatenate([[0], np.cumsum(n_per_sample)]).astype(np.int64),
            n_neurons=n_neurons,
            dt=dt,
            step=None if step is None else step[order],
            time=None if time is None else time[order],
        )

    @classmethod
    def from_dense(cls, spikes: ArrayLike, *, dt: float | Quantity) -> Spikes:
        """Read an array that has a 1 where a neuron fires.

        Parameters
        ----------
        spikes : array_like or tensor, shape (n_samples, n_steps, n_neurons)
            0 and 1, of any kind of number.
        dt : float or Quantity
            Time step in seconds.

        Raises
        ------
        TypeError
            If `spikes` are no numbers.
        ValueError
            If the array has another number of axes or other values, or `dt` is 0.
        """
        array = plain_array(spikes, "spikes")
        if array.ndim != 3:
            raise ValueError(
                "'spikes' must have shape (n_samples, n_steps, n_neurons), got "
                f"{array.shape}."
            )
        fired = truths(array, "spikes")
        sample, step, neuron = np.nonzero(fired)
        n_samples, _, n_neurons = array.shape
        return cls.from_events(
            sample=sample,
            neuron=neuron,
            step=step,
            n_samples=n_samples,
            n_neurons=n_neurons,
            dt=dt,
        )

    @classmethod
    def from_padded(
        cls,
        *,
        time: ArrayLike,
        neuron: ArrayLike,
        n_neurons: int,
        dt: float | Quantity,
    ) -> Spikes:
        """Read a list of events for each sample, all padded to one length.

        Parameters
        ----------
        time : array_like or tensor, shape (n_samples, ...), float or Quantity
            Seconds from the start of the sample; inf where there is no spike.
        neuron : array_like or tensor, int
            Broadcast to the shape of `time`: of a table of first spike times, shape
            (n_samples, n_neurons), it is ``np.arange(n_neurons)``. Where there is no
            spike it may be any number.
        n_neurons : int
        dt : float or Quantity
            Time step in seconds, whose rule makes the times steps; 0 for continuous
            time.

        Raises
        ------
        TypeError, ValueError
            As `from_events`; if the arrays do not fit together.
        """
        time = floats(plain_seconds(time, "time", bare=True), "time")
        neuron = plain_array(neuron, "neuron")
        if time.ndim < 2:
            raise ValueError(
                f"'time' must have shape (n_samples, ...), got {time.shape}; put a "
                "single sample in a batch of one."
            )
        try:
            neuron = np.broadcast_to(neuron, time.shape)
        except ValueError as error:
            raise ValueError(
                f"'neuron' must fit the shape of 'time', {time.shape}, got "
                f"{neuron.shape}."
            ) from error
        there = time != np.inf
        return cls.from_events(
            sample=np.nonzero(there)[0],
            neuron=neuron[there],
            time=time[there],
            n_samples=len(time),
            n_neurons=n_neurons,
            dt=dt,
        )

    @property
    def n_spikes(self) -> int:
        return len(self.neuron)

    @property
    def n_samples(self) -> int:
        return len(self.offset) - 1

    @functools.cached_property
    def sample(self) -> np.ndarray:
        """Sample each spike belongs to; shape (n_spikes,), int64."""
        return fixed(np.repeat(np.arange(self.n_samples), np.diff(self.offset)))

    @functools.cached_property
    def arrival(self) -> np.ndarray:
        """When each spike takes effect; shape (n_spikes,), float64, seconds."""
        if self.step is None:
            return self.time
        return fixed(time_rules.delivery_time(self.step, self.dt))

    @functools.cached_property
    def last(self) -> int | None:
        """Largest `step`, or `time` where that is continuous; -1 of no spikes."""
        when = self.time if self.step is None else self.step
        return when.max(initial=-1)

    @functools.cached_property
    def sample_and_neuron(self) -> np.ndarray:
        """Index of each spike in a flat (n_samples, n_neurons) array; int64."""
        return fixed(self.sample * self.n_neurons + self.neuron)

    @functools.cached_property
    def _counts(self):
        shape = (self.n_samples, self.n_neurons)
        flat = self.sample_and_neuron
        return fixed(np.bincount(flat, minlength=shape[0] * shape[1]).reshape(shape))

    def counts(self) -> np.ndarray:
        """Return spikes per sample and neuron; (n_samples, n_neurons), int64, fixed."""
        return self._counts

    def select(self, start: int, stop: int) -> Spikes:
        """Return the spikes of samples ``start:stop``.

        Raises
        ------
        ValueError
            If they are not in 0..n_samples, or `stop` comes before `start`.
        """
        if not 0 <= start <= stop <= self.n_samples:
            raise ValueError(
                f"'start' and 'stop' must rise within 0..{self.n_samples}, the number "
                f"of samples, got {start} and {stop}."
            )
        first, last = self.offset[start], self.offset[stop]
        chosen = {name: a[first:last] for name, a in self._per_spike().items()}
        return self._with(fixed(self.offset[start : stop + 1] - first), chosen)

    @staticmethod
    def concatenate(parts: Sequence[Spikes]) -> Spikes:
        """Return the samples of several `Spikes` of one layer, one after another.

        The arrays are new ones, also where there is one part.

        Raises
        ------
        ValueError
            If there is no part, or they are not of one layer.
        """
        arrays = [part._per_spike() for part in parts]
        kinds = {(p.n_neurons, p.dt, *a) for p, a in zip(parts, arrays, strict=True)}
        if len(kinds) != 1:
            raise ValueError(
                "'parts' must be of one layer, with equal 'n_neurons', 'dt' and kinds "
                f"of arrays, got {len(kinds)} kinds."
            )
        dtypes = {"step": np.int64}
        joined = {}
        for name in arrays[0]:
            columns = [a[name] for a in arrays]
            joined[name] = fixed(np.concatenate(columns, dtype=dtypes.get(name)))
        start = np.cumsum([0] + [part.n_spikes for part in parts])
        offset = [p.offset[1:] + s for p, s in zip(parts, start[:-1], strict=True)]
        return parts[0]._with(fixed(np.concatenate([[0], *offset])), joined)

    def _per_spike(self):
        named = {name: getattr(self, name) for name in PER_SPIKE} | self.state
        return {name: array for name, array in named.items() if array is not None}

    def _with(self, offset, arrays):
        state = {name: arrays.pop(name) for name in self.state}
        return Spikes.known(
            offset=offset, n_neurons=self.n_neurons, dt=self.dt, state=state, **arrays
        )


def _made_of(given):
    return Spikes(**given)
