"""One pass over the samples: training, and testing."""

import contextlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch

from bsnn.errors import NumbersError
from bsnn.inputs.samples import Samples
from bsnn.simulators.base import check_finite
from bsnn.training.spiking_network import SpikingNetwork

from .beside import MeasuringBeside, encoded
from .progress import EpochProgress

EVALUATION_BATCH = 500


def train_epoch(
    network: SpikingNetwork,
    loss: Callable,
    optimizer: torch.optim.Optimizer,
    samples: Samples,
    batches: Sequence[np.ndarray],
    *,
    progress: EpochProgress,
    advance: Callable[[int], object] | None = None,
    after_batch: Callable[[Callable[[], dict]], object] | None = None,
) -> dict:
    """Update the weights once for each batch.

    Parameters
    ----------
    network : SpikingNetwork
    loss : callable
        ``loss(layers, labels)``, such as `SpikeCountLoss`.
    optimizer : torch.optim.Optimizer
    samples : Samples
    batches : sequence of ndarray of int
        Indices of the samples of each batch.
    progress : EpochProgress
        Where to go on in the epoch; its measurement is given each batch.
    advance : callable, optional
        Called with the number of samples after each batch.
    after_batch : callable, optional
        Called after each batch but the last with a function that returns the state of
        `progress`, which waits for the measurement.

    Returns
    -------
    metrics : dict
        ``progress.metrics()``.
    """
    remaining = batches[progress.batch :]
    # Batches are encoded and measured while another is simulated.
    with ThreadPoolExecutor(1) as beside:
        measuring = MeasuringBeside(progress.measured, beside)

        def state():
            measuring.finish()
            return progress.state()

        inputs_of_each = encoded(samples, remaining, beside)
        for batch, inputs in zip(remaining, inputs_of_each, strict=True):
            labels = samples.labels[batch]
            with numbers_named(f"batch {progress.batch + 1}: "):
                layers, value = _update(network, loss, optimizer, inputs, labels)
            measuring.add(progress.measured.seen(layers), labels)
            progress.add(value, len(batch))
            if advance is not None:
                advance(len(batch))
            if after_batch is not None and progress.batch < len(batches):
                with numbers_named(f"after batch {progress.batch}: "):
                    after_batch(state)
        measuring.finish()
    return progress.metrics()


def _update(network, loss, optimizer, inputs, labels):
    """Update the weights once; return the layers and the loss before it."""
    layers = network(inputs)
    value = loss(layers, labels)
    network.zero_grad()
    value.backward()
    _check_gradients(network)
    optimizer.step()
    return layers, value.item()


@contextlib.contextmanager
def numbers_named(where):
    """Say where numbers went wrong."""
    try:
        yield
    except NumbersError as error:
        raise NumbersError(f"{where}{error}") from error


def _check_gradients(network):
    """Stop before the optimiser takes NaN on.

    It spreads from the loss to the input: the last layer that has it is where it began.
    """
    for name, weight in reversed(network.named_weights()):
        if weight.grad is not None:
            check_finite(weight.grad.numpy(), f"the gradient of {name}")


def evaluate(
    network: SpikingNetwork,
    samples: Samples,
    *,
    measured,
    loss: Callable | None = None,
) -> tuple[dict, tuple[np.ndarray, np.ndarray]]:
    """Simulate all samples without learning.

    Returns
    -------
    metrics : dict
        ``measured.summary()``, with `loss`, 0 without one, and `seconds`.
    confidence : tuple of ndarray
        ``measured.confidence()``.
    """
    progress = EpochProgress(measured)
    for at in range(0, len(samples), EVALUATION_BATCH):
        chosen = np.arange(at, min(at + EVALUATION_BATCH, len(samples)))
        labels = samples.labels[chosen]
        with torch.no_grad():
            layers = network(samples.spikes(chosen))
            value = 0.0 if loss is None else loss(layers, labels).item()
        measured.add(measured.seen(layers), labels)
        progress.add(value, len(labels))
    return progress.metrics(), measured.confidence()
