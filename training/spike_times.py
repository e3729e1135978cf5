"""From recorded spikes to the derivatives of their times."""

import math
from dataclasses import dataclass

import torch

from bsnn.presets import PRESETS
from bsnn.spikes import Spikes
from bsnn.training.linear.gradient import Arrivals, Crossings
from bsnn.training.linear.kernel import as_tensor


@dataclass(frozen=True, kw_only=True, eq=False)
class LayerSpikes:
    """One layer's spikes, differentiable in their times.

    Parameters
    ----------
    record : Spikes
        What the simulator recorded.
    time : Tensor, shape (n_spikes,), float64
        When each spike takes effect, in seconds, in the order of `record`. Gradients
        with respect to it flow back into the weights, unless spikes have a raster.
    raster : Tensor, shape (n_samples, n_steps, n_neurons), optional
        1 where a neuron fires, differentiable, where a surrogate gradient is used.
    """

    record: Spikes
    time: torch.Tensor
    raster: torch.Tensor | None = None

    def differentiable_times(self) -> torch.Tensor:
        """Return `time`.

        Raises
        ------
        TypeError
            If nothing flows back from it.
        """
        if self.raster is not None:
            raise TypeError(
                "this loss differentiates spike times, which a surrogate gradient does "
                "not; use a loss of counts, of the raster or of traces, or leave "
                "'estimator' out."
            )
        return self.time

    def counts(self):
        """Return spikes per sample and neuron; shape (n_samples, n_neurons), int64."""
        return torch.tensor(self.record.counts(), device="cpu")

    def __repr__(self):
        return f"LayerSpikes({self.record!r})"


class SpikeTimes(torch.autograd.Function):
    """Times of recorded spikes as a function of the weights that caused them."""

    @staticmethod
    def forward(ctx, clamped, gradients, records, *weights):
        ctx.clamped, ctx.gradients, ctx.records = clamped, gradients, records
        times = tuple(as_tensor(record.arrival) for record in records)
        # The times, too: they share the memory of the records.
        ctx.save_for_backward(*weights, *times)
        ctx.set_materialize_grads(False)
        return times

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, *grad_times):
        _ = ctx.saved_tensors  # raises if a weight or a time has changed since
        grad_weights = []
        grad_sent = None  # of the spikes that the layer above received
        for layer_gradient, grad_time, record in zip(
            reversed(ctx.gradients),
            reversed(grad_times),
            reversed(ctx.records),
            strict=True,
        ):
            grad_weight, grad_sent, n_clamped = layer_gradient(
                _sum_of(grad_time, grad_sent, record)
            )
            grad_weights.append(grad_weight)
            ctx.clamped.add(n_clamped)
        return None, None, None, *reversed(grad_weights)


def _sum_of(one, other, record):
    if one is None and other is None:
        return torch.zeros(record.n_spikes, dtype=torch.float64, device="cpu")
    if one is None or other is None:
        return one if other is None else other
    return one + other


def relative_slopes(model, relative=PRESETS["default"]["relative_slope_min"]):
    """Return each layer's slope of v in Hz, given one relative to its leak.

    At threshold v rises with this slope where the synaptic current is ``relative + 1``
    times the current that would hold it there.
    """
    return [relative * neuron.leak for neuron in model.neurons]


def arrivals(spikes):
    """Return what a layer's gradient needs of its presynaptic `Spikes`."""
    return Arrivals(
        offset=as_tensor(spikes.offset),
        neuron=as_tensor(spikes.neuron),
        time=as_tensor(spikes.arrival),
    )


def crossings(record, neuron, device="cpu", crossing="exact", steepest=math.inf):
    """Return what a layer's gradient needs of its own `Spikes`.

    Under the rule "grid" the crossing is recovered from the recorded state, in double
    precision, where the estimator `crossing` says, and the reset acts when the spike is
    delivered; the event rules know the crossing and reset there. Slopes count as at
    most `steepest`, in Hz.
    """

    def there(array):
        return as_tensor(array).to(device)

    sent = there(record.arrival)
    if record.time is None:
        state = (there(values).double() for values in record.state.values())
        delay, slope = neuron.crossing(*state, record.dt, xp=torch, taken=crossing)
        time, reset = there(record.step).double() * record.dt + delay, sent
    else:
        time, slope = there(record.time), there(record.slope)
        reset = time
    return Crossings(
        offset=there(record.offset),
        neuron=there(record.neuron),
        time=time,
        slope=slope.clamp(max=steepest),
        sent=sent,
        reset=reset,
    )
