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
from .ranks import Ranks

ALONE = Ranks()
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
    ranks: Ranks = ALONE,
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
    ranks : Ranks
        Processes that share each batch.

    Returns
    -------
    metrics : dict
        ``progress.metrics()``, of all processes.
    """
    remaining = batches[progress.batch :]
    parts = [ranks.part(batch) for batch in remaining]
    # Batches are encoded and measured while another is simulated.
    with ThreadPoolExecutor(1) as beside:
        measuring = MeasuringBeside(progress.measured, beside)

        def state():
            measuring.finish()
            return progress.state()

        inputs_of_each = encoded(samples, [p for p in parts if len(p)], beside)
        for batch, part in zip(remaining, parts, strict=True):
            with numbers_named(f"batch {progress.batch + 1}: "):
                network.zero_grad()
                value = 0.0
                if len(part):
                    labels = samples.labels[part]
                    layers = network(next(inputs_of_each))
                    of_part = loss(layers, labels)
                    (of_part * (len(part) / len(batch))).backward()
                    value = of_part.item()
                    measuring.add(progress.measured.seen(layers), labels)
                if ranks.size > 1:
                    ranks.sum_gradients(network.weights)
                _check_gradients(network)
                optimizer.step()
            progress.add(value, len(part))
            if advance is not None:
                advance(len(batch))
            if after_batch is not None and progress.batch < len(batches):
                with numbers_named(f"after batch {progress.batch}: "):
                    after_batch(state)
        measuring.finish()
    progress.join(ranks)
    return progress.metrics()


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
    ranks: Ranks = ALONE,
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
        chosen = ranks.part(np.arange(at, min(at + EVALUATION_BATCH, len(samples))))
        if not len(chosen):
            continue
        labels = samples.labels[chosen]
        with torch.no_grad():
            layers = network(samples.spikes(chosen))
            value = 0.0 if loss is None else loss(layers, labels).item()
        measured.add(measured.seen(layers), labels)
        progress.add(value, len(labels))
    progress.join(ranks)
    return progress.metrics(), measured.confidence()
