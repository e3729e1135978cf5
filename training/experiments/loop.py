"""Train a network epoch by epoch and leave a run folder."""

import logging
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from tqdm import tqdm

from bsnn import runs
from bsnn.errors import RunFolderError
from bsnn.inputs.datasets import Dataset
from bsnn.inputs.samples import ChosenSamples, held_out, own_validation
from bsnn.inputs.shifted import ShiftedSamples
from bsnn.interchange.npz import save_spikes
from bsnn.settings import Settings
from bsnn.training.callbacks import EpochEnd, as_callbacks, ends
from bsnn.training.from_settings import make_loss, make_network
from bsnn.training.layered_network import LayeredNetwork

from .board import board, writer_class
from .checkpoint import (
    load_checkpoint,
    restore_training,
    save_checkpoint,
    set_weights,
)
from .epoch import evaluate, numbers_named, train_epoch
from .progress import EpochProgress, TrainingProgress
from .ranks import Unwritten, together
from .summary import make_curve, make_line, make_row, make_summary, warn_of_silence

N_RECORDED = 20  # test samples whose spikes are kept
_SHIFTS = 1  # what of an epoch is drawn besides its order

log = logging.getLogger(__name__)


def train(
    settings: Settings,
    dataset: Dataset,
    folder: runs.RunFolder,
    *,
    measurement: Callable,
    resume: bool = False,
    progress: bool | None = None,
    callbacks: Sequence[Callable[[EpochEnd], object]] = (),
    checkpoint_seconds: float = 30.0,
    tensorboard: bool = False,
) -> dict:
    """Train with `settings` and fill a run folder.

    Processes that torchrun started train together, each on its part of each batch, and
    the first of them writes; they save after each epoch, and not within.

    Parameters
    ----------
    settings : Settings
    dataset : Dataset
    folder : RunFolder
        Made once the program runs.
    measurement : callable
        ``measurement(model, target, readout)`` returns an object with `seen`, `add`,
        `summary` and `confidence`, such as `bsnn.analysis.Measurement`.
    resume : bool
        Go on from the checkpoint of the run that the folder holds, also for more
        epochs than it had.
    progress : bool, optional
        Show a progress bar; by default, if stderr is a terminal.
    callbacks : sequence of callable, or one
        Each is called with an `EpochEnd` after each epoch, once it is saved, and with
        the last one where a training goes on; it ends after one of them returns True.
        Of several processes, in the first alone.
    checkpoint_seconds : float
        Between checkpoints within an epoch; 0 saves after each batch.
    tensorboard : bool
        Write the rows of metrics.csv for TensorBoard, too.

    Returns
    -------
    summary : dict
        What summary.json holds.

    Raises
    ------
    TypeError
        If a callback cannot be called.
    ValueError
        If the data set does not fit the settings.
    BackendUnavailable
        If `tensorboard` is not installed.
    NumbersError
        If weights or gradients are not finite; the last checkpoint stands.
    RunFolderError
        If the folder holds another run, or cannot be written.
    ProgramError
        If the simulating program dies; the last checkpoint stands.
    """
    if tensorboard:
        writer_class()  # before anything is built or written
    callbacks = [*as_callbacks(callbacks), *settings.callbacks]
    with together() as ranks:
        if not ranks.first:
            folder, tensorboard, callbacks = Unwritten(folder.path), False, []
        settings = settings.of(dataset)
        model = settings.model()
        settings.check_dataset(dataset)
        config = settings.config()
        parts = _parts(dataset, settings)
        folder.check_free(config, resume=resume)
        show = ranks.first and (sys.stderr.isatty() if progress is None else progress)
        readout = settings.readout(model)
        loss = make_loss(settings, readout)
        with make_network(settings, model) as network, folder.locked():
            folder.check_free(config, resume=resume)  # another may have begun since
            # Nothing is altered where it is damaged.
            state = _state_of(folder, settings) if ranks.first else None
            state = ranks.of_first(state)
            folder.create(config)
            measured = partial(measurement, network.model, settings.true, readout)
            trainer = _Trainer(settings, network, loss, dataset, measured, parts, ranks)
            checkpoints = _Checkpoints(folder, trainer, checkpoint_seconds)
            ranks.take_of_first(network.weights)
            if state is not None:
                trainer.restore(state)
                trainer.say("resuming %s after epoch %d", folder.path, state["epoch"])
            with board(folder, trainer.progress.epoch, tensorboard) as write:
                last = _train_epochs(
                    trainer, folder, checkpoints, show, write, callbacks
                )
                rows, tested = _test(trainer, folder, last)
                write(rows[len(trainer.progress.rows) :])
            if ranks.first:
                _record_spikes(network, trainer.test_samples, folder)
            network.n_clamped = trainer.n_clamped()
        summary = make_summary(settings, rows, tested, network)
        folder.write_json(runs.SUMMARY, summary)
        return summary


def _parts(dataset, settings):
    """Return what to train on and what to validate with, as (split, indices) each."""
    share, seed = settings.validation, settings.validation_seed
    if own_validation(dataset, share, seed):
        splits = {"train": dataset.train, "validation": dataset.validation}
        return [(split, np.arange(len(source))) for split, source in splits.items()]
    parts = held_out(dataset.train_labels, share, seed)
    return [("train", part) for part in parts]


def _state_of(folder, settings):
    if not any((folder.path / n).is_file() for n in (runs.CHECKPOINT, runs.PREVIOUS)):
        return None
    state = load_checkpoint(folder, mend=True)
    if state["epoch"] > settings.epochs:
        raise RunFolderError(
            f"{folder.path} has a checkpoint of epoch {state['epoch']}, but "
            f"{settings.epochs} epochs; delete the folder and train again."
        )
    return state


def _train_epochs(trainer, folder, checkpoints, show, write, callbacks):
    """Train all epochs that are not done, unless something ends it early.

    Return what the last of them said of the samples looked at, None without one.
    """
    progress, settings = trainer.progress, trainer.settings
    warned, seen, curve = set(), None, None
    if progress.epoch and trainer.ended_by(callbacks):  # which may have ended it then
        return None
    for epoch in range(progress.epoch + 1, settings.epochs + 1):
        if settings.is_over(progress.validations()):
            trainer.say("no better validation in %d epochs", settings.patience)
            break
        folder.remove(runs.EVALUATIONS)  # of weights that are not the last
        label = f"epoch {epoch}/{settings.epochs}"
        with numbers_named(f"epoch {epoch}, "):
            trained = trainer.train(epoch, label, show, checkpoints.save_if_due)
        with numbers_named(f"epoch {epoch}, after its last batch: "):
            seen, curve = trainer.look()
        progress.end_epoch(trained, seen, trainer.split)
        trainer.choose()
        # Before the checkpoint: after a kill in between, the epoch is trained again and
        # writes its rows again; the other way round, they could be missing for ever.
        folder.write_table(runs.METRICS, progress.rows, runs.METRICS_COLUMNS)
        if not trainer.validates:
            folder.write_epoch(runs.CONFIDENCE, epoch, make_curve(epoch, *curve))
        checkpoints.save()
        trainer.say("%s", make_line(label, trained, seen, trainer.split))
        if trainer.ranks.first:
            warn_of_silence(epoch, seen, warned, trainer.split)
        write(progress.rows[-2:])
        if trainer.ended_by(callbacks):
            break
    return None if seen is None else (seen, curve)


def _test(trainer, folder, last):
    """Test the weights that count; return the rows of metrics.csv, and the test's."""
    epoch = trainer.take_chosen()
    if trainer.validates or last is None:
        last = trainer.test()
    tested, curve = last
    rows = trainer.progress.rows
    if trainer.validates:
        rows = [*rows, make_row(epoch, "test", tested)]
        folder.write_table(runs.METRICS, rows, runs.METRICS_COLUMNS)
        folder.write_table(
            runs.CONFIDENCE, make_curve(epoch, *curve), runs.CONFIDENCE_COLUMNS
        )
        trainer.say("epoch %d is chosen  test %.2f %%", epoch, 100 * tested["accuracy"])
    return rows, tested


class _Trainer:
    """A network with all that its epochs and tests need, and how far it is."""

    def __init__(self, settings, network, loss, dataset, measured, parts, ranks):
        self.settings, self.network, self.ranks = settings, network, ranks
        samples = {
            split: dataset.samples(split, settings.encode, network.model)
            for split in {"test", *(split for split, _ in parts)}
        }
        self.test_samples = samples["test"]
        self.train_samples, self.validation_samples = (
            ChosenSamples(samples[split], part) for split, part in parts
        )
        self._chosen = None
        self.optimizer = torch.optim.Adam(
            network.weights, lr=settings.learning_rate, fused=True
        )
        self.progress = TrainingProgress()
        self._loss, self._measured = loss, measured

    def restore(self, state):
        """Go on from a checkpoint."""
        restore_training(self.network, self.optimizer, state)
        if not self.ranks.first:
            self.network.n_clamped = 0
        self._chosen = state["chosen"]
        self.progress.restore(state)

    def train(self, epoch, label, show, after_batch):
        """Train an epoch, or go on within it; return its metrics."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.settings.learning_rate_at(
                epoch, self.progress.validations()
            )
        progress = EpochProgress(self._measured())
        with tqdm(
            total=len(self.train_samples), desc=label, unit="sample", disable=not show
        ) as bar:
            if self.progress.within is not None:
                progress.restore(self.progress.within)
                bar.update(progress.n_samples)
            return train_epoch(
                self.network,
                self._loss,
                self.optimizer,
                self._samples(epoch),
                self._batches(epoch),
                progress=progress,
                advance=bar.update,
                after_batch=after_batch if self.ranks.size == 1 else None,
                ranks=self.ranks,
            )

    @property
    def validates(self):
        return len(self.validation_samples) > 0

    @property
    def split(self):
        """What the samples are that are looked at after each epoch."""
        return "validation" if self.validates else "test"

    def look(self):
        """Return what `evaluate` does for the samples looked at after each epoch."""
        return self._evaluated(
            self.validation_samples if self.validates else self.test_samples
        )

    def test(self):
        """Return what `evaluate` does for the test samples."""
        return self._evaluated(self.test_samples)

    def _evaluated(self, samples):
        return evaluate(
            self.network,
            samples,
            measured=self._measured(),
            loss=self._loss,
            ranks=self.ranks,
        )

    def choose(self):
        """Keep the weights if no epoch before has done better in validation."""
        validations = self.progress.validations()
        if validations and validations[-1] > max(validations[:-1], default=()):
            self._chosen = [w.detach().clone() for w in self.network.weights]

    def take_chosen(self):
        """Put the weights that were chosen in their place; return their epoch."""
        if not self.validates:
            return self.progress.epoch
        set_weights(self.network, self._chosen)
        validations = self.progress.validations()
        return 1 + validations.index(max(validations))

    def state(self):
        """Return what a checkpoint holds beside the network's and the optimiser's."""
        return {**self.progress.state(), "chosen": self._chosen}

    def ended_by(self, callbacks):
        """Call what is to be called after an epoch; return whether training ends."""
        progress, network = self.progress, self.network
        if isinstance(network, LayeredNetwork):
            network = network.network
        end = EpochEnd(progress.epoch, [*progress.rows], network)
        over = self.ranks.of_first(ends(callbacks, end))
        if over:
            self.say("ended by a callback after epoch %d", progress.epoch)
        return over

    def n_clamped(self):
        """Return the clamped slopes that all processes have met."""
        return sum(self.ranks.gathered(self.network.n_clamped))

    def say(self, *message):
        """Tell once of what all processes know."""
        if self.ranks.first:
            log.info(*message)

    def _samples(self, epoch):
        """Return the training samples as they are in an epoch."""
        chosen, settings = self.train_samples, self.settings
        if not settings.max_shift:
            return chosen
        seed = [settings.seed, epoch, _SHIFTS]
        shifted = ShiftedSamples.drawn(chosen.samples, settings.max_shift, seed)
        return replace(chosen, samples=shifted)

    def _batches(self, epoch):
        # The order of the data is a function of seed and epoch: nothing to save.
        rng = np.random.default_rng([self.settings.seed, epoch])
        order = rng.permutation(len(self.train_samples))
        size = self.settings.batch_size
        return np.split(order, range(size, len(order), size))


class _Checkpoints:
    """Saves a training after each epoch, and within one when that is due."""

    def __init__(self, folder, trainer, seconds):
        self._folder, self._trainer, self._seconds = folder, trainer, seconds
        self._saved = time.monotonic()

    def save(self):
        trainer = self._trainer
        n_clamped = trainer.n_clamped()
        if trainer.ranks.first:
            save_checkpoint(
                self._folder,
                trainer.network,
                trainer.optimizer,
                n_clamped=n_clamped,
                **trainer.state(),
            )
        self._saved = time.monotonic()

    def save_if_due(self, state):
        """Save within an epoch if the last save was long enough ago.

        ``state()``, of the epoch's progress, is asked for only then: it waits for the
        measurement.
        """
        if time.monotonic() - self._saved >= self._seconds:
            self._trainer.progress.within = state()
            self.save()


def _record_spikes(network, samples, folder):
    chosen = np.arange(min(N_RECORDED, len(samples)))
    inputs = samples.spikes(chosen)
    entering = network.entering(inputs) if isinstance(inputs, Mapping) else [inputs]
    layers = [*entering, *network.simulate(inputs)]
    save_spikes(folder.path / runs.SPIKES, layers, samples.labels[chosen])
