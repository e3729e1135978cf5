"""One pass over the samples: training, and testing."""

import contextlib
import functools
import itertools
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch

from bsnn.errors import NumbersError, RunFolderError
from bsnn.inputs.encoding import encode_ttfs
from bsnn.simulators.base import check_finite
from bsnn.spikes import Spikes

EVALUATION_BATCH = 500
SAMPLES_BESIDE = 50  # that are encoded or measured at a time, in small batches


def train_epoch(
    network,
    loss,
    optimizer,
    images,
    labels,
    batches,
    *,
    measured,
    advance,
    encode=encode_ttfs,
    within=None,
    after_batch=None,
):
    """Update the weights once for each batch.

    Parameters
    ----------
    network : SpikingNetwork
    loss : callable
        ``loss(layers, labels)``, such as `SpikeCountLoss`.
    optimizer : torch.optim.Optimizer
    images, labels : ndarray
    batches : sequence of ndarray of int
        Indices of the samples of each batch.
    measured : object
        Its ``add(records, labels)`` is called for each batch.
    advance : callable
        Called with the number of samples after each batch.
    encode : callable
        ``encode(images, model)`` returns the input spikes.
    within : dict, optional
        Where to go on in the epoch, as `after_batch` was told.
    after_batch : callable, optional
        Called after each batch but the last with a function that returns how far the
        epoch is: `batch`, `loss`, `n_samples`, `seconds` and the state of `measured`.

    Returns
    -------
    metrics : dict
        ``measured.summary()``, with `loss` and `seconds`.
    """
    first, start, total, n_samples = 0, time.perf_counter(), 0.0, 0
    if within is not None:
        first, total = within["batch"], within["loss"]
        n_samples, start = within["n_samples"], start - within["seconds"]
        try:
            measured.restore(within["measured"])
        except ValueError as error:
            raise RunFolderError(
                f"the checkpoint is damaged ({error}); delete its folder and train "
                "again."
            ) from error
        advance(n_samples)
    # Batches are encoded and measured while another is simulated, small ones together.
    with ThreadPoolExecutor(1) as beside:
        unmeasured, tally = [], None

        def measure():
            nonlocal tally
            if tally is not None:
                tally.result()
            tally = beside.submit(_measure, measured, list(unmeasured))
            unmeasured.clear()
            return tally

        def state():
            measure().result()
            return {
                "batch": number + 1,
                "loss": total,
                "n_samples": n_samples,
                "seconds": time.perf_counter() - start,
                "measured": measured.state(),
            }

        encode_there = functools.partial(encode, model=network.model)
        encoded = _encoded(images, batches[first:], encode_there, beside)
        for number, inputs in enumerate(encoded, start=first):
            batch = batches[number]
            with numbers_named(f"batch {number + 1}: "):
                layers = network(inputs)
                value = loss(layers, labels[batch])
                network.zero_grad()
                value.backward()
                _check_gradients(network)
            optimizer.step()
            unmeasured.append(([layer.record for layer in layers], labels[batch]))
            if len(unmeasured) * len(batch) >= SAMPLES_BESIDE:
                measure()
            total += value.item() * len(batch)
            n_samples += len(batch)
            advance(len(batch))
            if after_batch is not None and number + 1 < len(batches):
                with numbers_named(f"after batch {number + 1}: "):
                    after_batch(state)
        measure().result()
    return {
        **measured.summary(),
        "loss": total / max(n_samples, 1),
        "seconds": time.perf_counter() - start,
    }


def _encoded(images, batches, encode_there, beside):
    """Yield the input spikes of each batch, encoded beside what is done with others."""
    if not batches:
        return
    n_together = max(SAMPLES_BESIDE // len(batches[0]), 1)
    groups = [
        batches[at : at + n_together] for at in range(0, len(batches), n_together)
    ]

    def encode(group):
        return encode_there(images[np.concatenate(group)])

    pending = [beside.submit(encode, groups[0])]
    for group, following in itertools.zip_longest(groups, groups[1:]):
        inputs = pending.pop().result()
        if following is not None:
            pending.append(beside.submit(encode, following))
        bounds = itertools.accumulate(map(len, group), initial=0)
        for start, stop in itertools.pairwise(bounds):
            yield inputs.select(start, stop)


def _measure(measured, batches):
    """Add the records and labels of batches together, which takes less time."""
    if len(batches) > 1:
        records, labels = zip(*batches, strict=True)
        layers = map(Spikes.concatenate, zip(*records, strict=True))
        batches = [(list(layers), np.concatenate(labels))]
    for layers, labels in batches:
        measured.add(layers, labels)


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
    for layer, weight in reversed([*enumerate(network.weights, start=1)]):
        if weight.grad is not None:
            check_finite(weight.grad.numpy(), f"the gradient of layer {layer}")


def evaluate(network, images, labels, *, measured, loss=None, encode=encode_ttfs):
    """Simulate all samples without learning.

    Returns
    -------
    metrics : dict
        ``measured.summary()``, with `loss` and `seconds`.
    confidence : tuple of ndarray
        ``measured.confidence()``.
    """
    start, total = time.perf_counter(), 0.0
    for at in range(0, len(labels), EVALUATION_BATCH):
        chosen = slice(at, at + EVALUATION_BATCH)
        with torch.no_grad():
            layers = network(encode(images[chosen], network.model))
            if loss is not None:
                total += loss(layers, labels[chosen]).item() * len(labels[chosen])
        measured.add([layer.record for layer in layers], labels[chosen])
    metrics = {
        **measured.summary(),
        "loss": total / len(labels),
        "seconds": time.perf_counter() - start,
    }
    return metrics, measured.confidence()
