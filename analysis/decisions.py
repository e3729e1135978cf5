r"""What a readout says over the course of a sample, and when it stops changing.

Each readout gives every output a score so far. The label so far is the output with the
highest, the lowest index on ties; where all scores are equal, nothing is decided.

================  ==========================================
most-spikes       spikes that have arrived
first-spike       1 at the outputs whose spike arrived first
max, mean         maximum, or mean, of the trace up to then
================  ==========================================

*Time to a stable decision*: from when on the label so far no longer changes. Spikes
count when they arrive, as in `latency`; a trace's value at the start of a step counts
at that step's end.
"""

from collections.abc import Iterator

import numpy as np
from brian2.units import Quantity

from bsnn.equations.units import any_seconds
from bsnn.readout import Readout
from bsnn.recorded import as_spikes

_AT_A_TIME = 4_000_000  # scores in memory


def scores(readout: Readout, output, dt: float | None = None) -> Iterator[tuple]:
    """Yield the scores so far of some samples after others.

    Parameters
    ----------
    readout : Readout
    output : Spikes, or ndarray, shape (n_samples, n_steps, n_neurons)
        Of the output population: its trace under "max" and "mean".
    dt : float
        Of a trace, in seconds.

    Yields
    ------
    score : ndarray, shape (some samples, n_moments, n_neurons)
        Moments are the steps of a trace, or the samples' spikes, one after another;
        that of the last spike is repeated where a sample has fewer than others.
    time : ndarray, shape (some samples, n_moments) or (1, n_moments)
        In seconds; NaN in samples without a spike.
    """
    if readout.by_spikes:
        yield from _of_spikes(readout, output)
        return
    n_samples, n_steps, n_neurons = output.shape
    time = dt * np.arange(1, n_steps + 1)[None]
    for part in _slices(n_samples, n_steps * n_neurons):
        if readout.kind == "max":
            yield np.maximum.accumulate(output[part], axis=1), time
        else:
            total = np.cumsum(output[part], axis=1, dtype=np.float64)
            yield total / np.arange(1, n_steps + 1)[:, None], time


def _of_spikes(readout, output):
    most = int(np.diff(output.offset).max(initial=0)) + 1
    for part in _slices(output.n_samples, most * output.n_neurons):
        spikes = output.select(part.start, part.stop)
        n_samples = spikes.n_samples
        rank = np.arange(spikes.n_spikes) - spikes.offset[spikes.sample]
        count = np.zeros((n_samples, most, spikes.n_neurons), np.int32)
        count[spikes.sample, rank, spikes.neuron] = 1
        time = np.full((n_samples, most), np.nan)
        time[spikes.sample, rank] = spikes.arrival
        n_spikes = np.diff(spikes.offset)[:, None]
        last = np.minimum(np.arange(most), np.maximum(n_spikes - 1, 0))
        time = np.take_along_axis(time, last, 1)
        # Spikes that arrive together are seen together.
        later = np.r_["1", time[:, 1:] > time[:, :-1], np.ones((n_samples, 1), bool)]
        end = np.where(later, np.arange(most), most)
        end = np.minimum.accumulate(end[:, ::-1], axis=1)[:, ::-1]
        score = np.take_along_axis(count.cumsum(axis=1), end[:, :, None], 1)
        if readout.kind == "first-spike":
            score = np.broadcast_to(np.minimum(score[:, :1], 1), score.shape)
        yield score, time


def _slices(n_samples, n_scores):
    together = max(_AT_A_TIME // max(n_scores, 1), 1)
    for start in range(0, n_samples, together):
        yield slice(start, min(start + together, n_samples))


def labels_so_far(score) -> np.ndarray:
    """Return the label so far, shape (n_samples, n_moments); -1 where all are equal."""
    undecided = score.max(axis=2) == score.min(axis=2)
    return np.where(undecided, -1, score.argmax(axis=2))


def stable_since(score, time) -> np.ndarray:
    """Return from when on the label no longer changes, shape (n_samples,), in seconds.

    NaN where nothing is decided at the end.
    """
    label = labels_so_far(score)
    n_moments = label.shape[1]
    other = label != label[:, -1:]
    # The moment after the last at which it was another.
    since = np.where(other.any(1), n_moments - other[:, ::-1].argmax(1), 0)
    at = np.broadcast_to(time, label.shape)[np.arange(len(label)), since]
    return np.where(label[:, -1] < 0, np.nan, at)


def as_trace(output, readout: Readout, name: str = "'output'") -> np.ndarray:
    """Return the trace of an output if it is one; `name` is for the message.

    Raises
    ------
    TypeError
        If it is no array of shape (n_samples, n_steps, n_neurons).
    """
    if not isinstance(output, np.ndarray) or output.ndim != 3:
        shape = f" of shape {output.shape}" if isinstance(output, np.ndarray) else ""
        raise TypeError(
            f"{name} must be a trace of shape (n_samples, n_steps, n_neurons) under "
            f"the readout {readout.kind!r}, got {type(output).__name__}{shape}."
        )
    return output


def decision_latency(
    output, readout: Readout | None = None, *, dt: float | Quantity | None = None
):
    """Return the time to a stable decision of each sample.

    Parameters
    ----------
    output : Spikes or SpikeMonitor, or ndarray, shape (n_samples, n_steps, n_neurons)
        Of the output population: its trace under "max" and "mean".
    readout : Readout, optional
        Most spikes unless given.
    dt : Quantity or float, optional
        Time step of a trace, for which it is needed; a number is in seconds.

    Returns
    -------
    latency : ndarray, shape (n_samples,), float64
        Seconds; NaN where nothing is decided.

    Raises
    ------
    TypeError
        If `output` is not what the readout reads.
    ValueError
        If a trace has no time step.
    """
    readout, step = readout or Readout(), None
    if readout.by_spikes:
        output = as_spikes(output)
    else:
        output = as_trace(output, readout)
        step = 0.0 if dt is None else any_seconds(dt, "dt")
        if step <= 0:
            raise ValueError(
                f"'dt' must be positive for a trace, got {dt!r}; give its time step."
            )
    parts = [stable_since(*part) for part in scores(readout, output, step)]
    return np.concatenate(parts) if parts else np.zeros(0)
