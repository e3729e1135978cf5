"""Train a network epoch by epoch and leave a run folder."""

import logging
import sys
import time

import numpy as np
import torch
from tqdm import tqdm

from bsnn import runs
from bsnn.errors import RunFolderError
from bsnn.interchange.npz import save_spikes
from bsnn.training.from_settings import make_loss, make_network

from .checkpoint import load_checkpoint, restore_training, save_checkpoint
from .epoch import evaluate, numbers_named, train_epoch
from .summary import make_curve, make_line, make_row, make_summary, warn_of_silence

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
        Go on from the checkpoint of the run that the folder holds, also for more
        epochs than it had.
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
    loss = make_loss(settings)
    with make_network(settings, model) as network, folder.locked():
        folder.check_free(config, resume=resume)  # another may have begun since
        state = _state_of(folder, settings)  # nothing is altered where it is damaged
        folder.create(config)
        optimizer = torch.optim.Adam(
            network.parameters(), lr=settings.learning_rate, fused=True
        )
        done, rows, within = 0, [], None
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
                within=within,
            )
            saved = time.monotonic()

        def test():
            return evaluate(
                network,
                dataset.test_images,
                dataset.test_labels,
                loss=loss,
                measured=measurement(model, settings.true),
                encode=settings.encode,
            )

        if state is not None:
            restore_training(network, optimizer, state)
            done, rows, within = state["epoch"], state["rows"], state["within"]
            log.info("resuming %s after epoch %d", folder.path, done)
        if done < settings.epochs:
            folder.remove(runs.EVALUATIONS)  # of weights that are not the last
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
                with numbers_named(f"epoch {epoch}, "):
                    trained = train_epoch(
                        network,
                        loss,
                        optimizer,
                        dataset.train_images,
                        dataset.train_labels,
                        batches,
                        measured=measured,
                        advance=bar.update,
                        encode=settings.encode,
                        within=within,
                        after_batch=save_if_due,
                    )
            within = None
            with numbers_named(f"epoch {epoch}, after its last batch: "):
                tested, curve = test()
            rows += [
                make_row(epoch, "train", trained),
                make_row(epoch, "test", tested),
            ]
            folder.write_table(runs.METRICS, rows, runs.METRICS_COLUMNS)
            folder.write_epoch(runs.CONFIDENCE, epoch, make_curve(epoch, *curve))
            save(epoch)
            log.info("%s", make_line(label, trained, tested))
            warn_of_silence(epoch, tested, warned)
            if after_epoch is not None:
                after_epoch(epoch)
        if done == settings.epochs:
            tested, _ = test()
        _record_spikes(network, dataset, folder, settings.encode)
    summary = make_summary(settings, rows, tested, network)
    folder.write_json(runs.SUMMARY, summary)
    return summary


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


def _record_spikes(network, dataset, folder, encode):
    inputs = encode(dataset.test_images[:N_RECORDED], network.model)
    layers = [inputs, *network.simulate(inputs)]
    save_spikes(folder.path / runs.SPIKES, layers, dataset.test_labels[:N_RECORDED])
