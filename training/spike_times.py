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
        for _, layer in down_the_chain(ctx.gradients, ctx.records, grad_times):
            grad_weights.append(layer.weight)
            ctx.clamped.add(layer.n_clamped)
        return None, None, None, *reversed(grad_weights)


def down_the_chain(gradients, records, grad_times):
    """Yield dL/dT of each spike and the `LayerGradient` of each layer, the last first.

    Parameters
    ----------
    gradients : sequence of callable
        Of each layer, as of `PreparedGradient`.
    records : sequence of Spikes
    grad_times : sequence of Tensor or None
        What the loss says itself of each layer's spikes.
    """
    of_sent = None  # what the layer above makes of the spikes that it received
    layers = zip(gradients, records, grad_times, strict=True)
    for layer_gradient, record, of_loss in reversed([*layers]):
        grad_time = _sum_of(of_loss, of_sent, record)
        layer = layer_gradient(grad_time)
        yield grad_time, layer
        of_sent = layer.arrival


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
