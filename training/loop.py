"""Train a network epoch by epoch and leave a run folder."""

import contextlib
import itertools
import logging
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from bsnn import runs
from bsnn.encoding import encode_ttfs
from bsnn.equations import time_rules
from bsnn.errors import NumbersError, RunFolderError
from bsnn.simulator import check_finite
from bsnn.spikes import Spikes

from .checkpoint import (
    check_fits,
    load_checkpoint,
    restore_training,
    restore_weights,
    save_checkpoint,
)
from .settings import Settings
from .spiking_network import SpikingNetwork

EVALUATION_BATCH = 500
SAMPLES_BESIDE = 50  # that are encoded or measured at a time, in small batches
N_RECORDED = 20  # test samples whose spikes are kept

log = logging.getLogger(__name__)


def train(
    settings,
    dataset,
    folder,
    *,
    measurement,
    resume=False,
    progress=None,
    after_epoch=None,
    checkpoint_seconds=30.0,
):
    """Train with `settings` and fill a run folder.

    Parameters
    ----------
    settings : Settings
    dataset : Dataset
    folder : RunFolder
        Made once the program runs.
    measurement : callable
        ``measurement(model, target)`` returns an object with `add`, `summary` and
        `confidence`, such as `bsnn.analysis.Measurement`.
    resume : bool
        Go on from the checkpoint of the run that the folder holds.
    progress : bool, optional
        Show a progress bar; by default, if stderr is a terminal.
    after_epoch : callable, optional
        Called with the number of each epoch that has been saved.
    checkpoint_seconds : float
        Between checkpoints within an epoch; 0 saves after each batch.

    Returns
    -------
    summary : dict
        What summary.json holds.

    Raises
    ------
    ValueError
        If the data set does not fit the settings.
    NumbersError
        If weights or gradients are not finite; the last checkpoint stands.
    RunFolderError
        If the folder holds another run, or cannot be written.
    ProgramError
        If the simulating program dies; the last checkpoint stands.
    """
    model = settings.model()
    settings.check_dataset(dataset)
    config = settings.config()
    folder.check_free(config, resume=resume)
    progress = sys.stderr.isatty() if progress is None else progress
    loss = settings.loss()
    with make_network(settings, model) as network, folder.locked():
        folder.check_free(config, resume=resume)  # another may have begun since
        folder.create(config)
        optimizer = torch.optim.Adam(
            network.parameters(), lr=settings.learning_rate, fused=True
        )
        done, rows, confidence, within = 0, [], pd.DataFrame(), None
        warned = set()
        saved = time.monotonic()

        def save(epoch, within=None):
            nonlocal saved
            save_checkpoint(
                folder,
                network,
                optimizer,
                epoch=epoch,
                rows=rows,
                confidence=confidence,
                within=within,
            )
            saved = time.monotonic()

        if any((folder.path / n).is_file() for n in (runs.CHECKPOINT, runs.PREVIOUS)):
            state = load_checkpoint(folder, mend=True)
            restore_training(network, optimizer, state)
            done, rows, within = state["epoch"], state["rows"], state["within"]
            confidence = pd.DataFrame(state["confidence"])
            if done > settings.epochs:
                raise RunFolderError(
                    f"{folder.path} has a checkpoint of epoch {done}, but "
                    f"{settings.epochs} epochs; delete the folder and train again."
                )
            log.info("resuming %s after epoch %d", folder.path, done)
        for epoch in range(done + 1, settings.epochs + 1):
            for group in optimizer.param_groups:
                group["lr"] = settings.learning_rate_at(epoch)
            # The order of the data is a function of seed and epoch: nothing to save.
            order = np.random.default_rng([settings.seed, epoch]).permutation(
                len(dataset.train_labels)
            )
            batches = np.split(
                order, range(settings.batch_size, len(order), settings.batch_size)
            )
            measured = measurement(model, settings.true)

            def save_if_due(state, done=epoch - 1):
                if time.monotonic() - saved >= checkpoint_seconds:
                    save(done, state())

            label = f"epoch {epoch}/{settings.epochs}"
            with tqdm(
                total=len(order), desc=label, unit="sample", disable=not progress
            ) as bar:
                with _numbers_named(f"epoch {epoch}, "):
                    trained = train_epoch(
                        network,
                        loss,
                        optimizer,
                        dataset.train_images,
                        dataset.train_labels,
                        batches,
                        measured=measured,
                        advance=bar.update,
                        within=within,
                        after_batch=save_if_due,
                    )
            within = None
            with _numbers_named(f"epoch {epoch}, after its last batch: "):
                tested, curve = evaluate(
                    network,
                    dataset.test_images,
                    dataset.test_labels,
                    loss=loss,
                    measured=measurement(model, settings.true),
                )
            rows += [
                _row(epoch, "train", trained),
                _row(epoch, "test", tested),
            ]
            confidence = _with_curve(confidence, epoch, *curve)
            folder.write_table(runs.METRICS, rows, runs.METRICS_COLUMNS)
            folder.write_table(runs.CONFIDENCE, confidence, runs.CONFIDENCE_COLUMNS)
            save(epoch)
            log.info("%s", _line(label, trained, tested))
            _warn_of_silence(epoch, tested, warned)
            if after_epoch is not None:
                after_epoch(epoch)
        if done == settings.epochs:
            tested, _ = evaluate(
                network,
                dataset.test_images,
                dataset.test_labels,
                loss=loss,
                measured=measurement(model, settings.true),
            )
        _record_spikes(network, dataset, folder)
    summary = _summary(settings, rows, tested, network)
    folder.write_json(runs.SUMMARY, summary)
    return summary


def evaluate_run(folder, *, load, measurement, dt_ms=None, rule=None, workers=None):
    """Test the network of a run folder, also at time steps it was not trained at.

    The results join those in the folder's evaluations.csv.

    Parameters
    ----------
    folder : RunFolder
    load : callable
        ``load(name)`` returns the `Dataset`.
    measurement : callable
        As for `train`.
    dt_ms : sequence of float, optional
        Time steps in milliseconds; that of the training unless given.
    rule : str, optional
        Time rule; that of the training unless given. At 0 ms it is "continuous".
    workers : int, optional

    Returns
    -------
    rows : list of dict
        Rows of evaluations.csv.

    Raises
    ------
    RunFolderError
        If the folder holds no readable run.
    """
    config = folder.config()
    config.pop("model", None)
    trained = Settings.from_dict({**config, "workers": workers})
    state = load_checkpoint(folder)
    check_fits(state, trained.model())  # before memory is reserved for the model
    dataset = load(trained.dataset).head(trained.n_train, trained.n_test)
    rows = []
    for dt in [trained.dt_ms] if dt_ms is None else dt_ms:
        chosen = time_rules.CONTINUOUS if dt == 0 else rule or trained.rule
        if dt > 0 and chosen == time_rules.CONTINUOUS:
            chosen = time_rules.GRID
        settings = replace(trained, dt_ms=float(dt), rule=chosen)
        with make_network(settings, settings.model()) as network:
            restore_weights(network, state)
            tested, _ = evaluate(
                network,
                dataset.test_images,
                dataset.test_labels,
                measured=measurement(network.model, settings.true),
            )
        rows.append(
            {"rule": chosen, "dt_ms": dt}
            | {name: tested[name] for name in runs.EVALUATION_COLUMNS[2:]}
        )
    folder.add_evaluations(rows)
    return rows


def make_network(settings, model):
    """Return the untrained network that `settings` describe."""
    options = {"workers": settings.workers, "device": settings.device}
    if model.rule == time_rules.GRID:
        options["projection"] = settings.projection
    if settings.device == "cuda":
        options |= {"arch": settings.cuda_arch, "replicas": settings.replicas}
        if torch.cuda.is_available():
            options["gradient"] = "cuda"
    return SpikingNetwork(
        model, seed=settings.seed, precision=settings.precision, **options
    )


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
        unmeasured, tallies = [], []

        def measure():
            for tally in tallies:
                tally.result()
            tallies[:] = [beside.submit(_measure, measured, list(unmeasured))]
            unmeasured.clear()

        def state():
            measure()
            tallies[0].result()
            return {
                "batch": number + 1,
                "loss": total,
                "n_samples": n_samples,
                "seconds": time.perf_counter() - start,
                "measured": measured.state(),
            }

        encoded = _encoded(images, batches[first:], network.model, beside)
        for number, inputs in enumerate(encoded, start=first):
            batch = batches[number]
            with _numbers_named(f"batch {number + 1}: "):
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
                with _numbers_named(f"after batch {number + 1}: "):
                    after_batch(state)
        measure()
        tallies[0].result()
    return {
        **measured.summary(),
        "loss": total / max(n_samples, 1),
        "seconds": time.perf_counter() - start,
    }


def _encoded(images, batches, model, beside):
    """Yield the input spikes of each batch, encoded beside what is done with others."""
    if not batches:
        return
    n_together = max(SAMPLES_BESIDE // len(batches[0]), 1)
    groups = [
        batches[at : at + n_together] for at in range(0, len(batches), n_together)
    ]

    def encode(group):
        return encode_ttfs(images[np.concatenate(group)], model)

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
def _numbers_named(where):
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


def _warn_of_silence(epoch, tested, warned):
    """Say, once each, that output neurons or whole layers do not fire."""
    remedy = (
        "another 'seed', a lower 'v_threshold' or another 'learning_rate' may wake them"
    )
    for name, what in (
        ("dead_labels", "outputs fire for no test sample: their labels are lost"),
        ("silent_layers", "layers fire for no test sample"),
    ):
        if tested[name] and name not in warned:
            warned.add(name)
            log.warning("epoch %d: %d %s; %s", epoch, tested[name], what, remedy)


def evaluate(network, images, labels, *, measured, loss=None):
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
            layers = network(encode_ttfs(images[chosen], network.model))
            if loss is not None:
                total += loss(layers, labels[chosen]).item() * len(labels[chosen])
        measured.add([layer.record for layer in layers], labels[chosen])
    metrics = {
        **measured.summary(),
        "loss": total / len(labels),
        "seconds": time.perf_counter() - start,
    }
    return metrics, measured.confidence()


def _record_spikes(network, dataset, folder):
    inputs = encode_ttfs(dataset.test_images[:N_RECORDED], network.model)
    layers = [inputs, *network.simulate(inputs)]
    runs.save_spikes(
        folder.path / runs.SPIKES, layers, dataset.test_labels[:N_RECORDED]
    )


def _row(epoch, split, metrics):
    values = {name: metrics[name] for name in runs.METRICS_COLUMNS if name in metrics}
    return {"epoch": epoch, "split": split, **values}


def _with_curve(table, epoch, time_ms, confidence):
    curve = pd.DataFrame({"epoch": epoch, "time_ms": time_ms, "confidence": confidence})
    return pd.concat([table, curve], ignore_index=True) if len(table) else curve


def _line(label, trained, tested):
    return (
        f"{label}  train {100 * trained['accuracy']:.2f} %  "
        f"test {100 * tested['accuracy']:.2f} %  "
        f"loss {tested['loss']:.3f}  "
        f"spikes {tested['hidden_spikes']:.1f} + {tested['output_spikes']:.1f}  "
        f"{trained['seconds']:.1f} s"
    )


def _summary(settings, rows, tested, network):
    tests = [row for row in rows if row["split"] == "test"]
    seconds = [row["seconds"] for row in rows if row["split"] == "train"]

    def brief(row):
        names = ("epoch", "accuracy", "hidden_spikes", "output_spikes")
        return {name: row[name] for name in names}

    return {
        "dataset": settings.dataset,
        "rule": settings.rule,
        "detect": settings.detect,
        "dt_ms": settings.dt_ms,
        "seed": settings.seed,
        "epochs": settings.epochs,
        "best": brief(max(tests, key=lambda row: row["accuracy"])),
        "last": brief(tests[-1]),
        **{
            name: tested[name]
            for name in (
                "undecided",
                "layer_spikes",
                "silent_fraction",
                "dead_labels",
                "silent_layers",
                "latency_ms",
                "first_spike_ms",
                "silent_samples",
            )
        },
        "seconds_per_epoch": float(np.median(seconds)),
        "target": settings.true,
        "n_clamped": network.n_clamped,
        "backend": {
            "device": settings.device,
            "gradient": network.gradient,
            "precision": settings.precision,
            "projection": settings.projection,
        },
        "versions": runs.versions(),
    }
