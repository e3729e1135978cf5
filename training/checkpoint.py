"""Checkpoints: weights and optimiser state, loaded without executing anything."""

import os
import pickle
import warnings

import torch

from bsnn.errors import RunFolderError
from bsnn.runs import CHECKPOINT, PREVIOUS, replacing
from bsnn.simulator import check_weights

FORMAT = 2


def save_checkpoint(
    folder, network, optimizer, *, epoch, rows, confidence, within=None
):
    """Write the state of a training, and keep the one before as `PREVIOUS`.

    Parameters
    ----------
    folder : RunFolder
    network : SpikingNetwork
    optimizer : torch.optim.Optimizer
    epoch : int
        Epochs done.
    rows, confidence : list of dict
        Of metrics.csv and confidence.csv so far.
    within : dict, optional
        How far the next epoch is, as `train_epoch` says it.

    Raises
    ------
    ValueError
        If a weight is not finite.
    RunFolderError
        If it cannot be written; the checkpoints there stay.
    """
    for layer, weight in enumerate(network.weights, start=1):
        check_weights(weight.detach().numpy(), tuple(weight.shape), f"layer {layer}")
    state = {
        "format": FORMAT,
        "epoch": epoch,
        "within": within,
        "weights": [weight.detach() for weight in network.weights],
        "optimizer": optimizer.state_dict(),
        "n_clamped": network.n_clamped,
        "rows": rows,
        "confidence": confidence,
    }
    path = folder.path / CHECKPOINT
    with replacing(path, "wb") as file:
        torch.save(state, file)
        if path.is_file():  # both names hold it until the new one is whole
            link = folder.path / f".{PREVIOUS}.link"
            link.unlink(missing_ok=True)
            os.link(path, link)
            os.replace(link, folder.path / PREVIOUS)
            link.unlink(missing_ok=True)  # two names of one file are not replaced


def load_checkpoint(folder, *, mend=False):
    """Return the newest dict that `save_checkpoint` wrote and that is whole.

    Parameters
    ----------
    folder : RunFolder
    mend : bool
        Put the one before in the place of a damaged one.

    Warns
    -----
    UserWarning
        If the newest is damaged and the one before is returned.

    Raises
    ------
    RunFolderError
        If there is none, or none that is whole and of this format.
    """
    path, previous = folder.path / CHECKPOINT, folder.path / PREVIOUS
    try:
        return _load(path)
    except RunFolderError as error:
        if not previous.is_file():
            raise
        state = _load(previous)
        warnings.warn(f"{error} Taking {previous} instead.", stacklevel=2)
    if mend:
        os.replace(previous, path)
    return state


def _load(path):
    if not path.is_file():
        raise RunFolderError(f"{path.parent} holds no {path.name}; train first.")
    try:
        state = torch.load(path, weights_only=True)
    except (RuntimeError, OSError, EOFError, pickle.UnpicklingError) as error:
        raise RunFolderError(
            f"{path} is damaged ({type(error).__name__}); delete its folder and train "
            "again."
        ) from error
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise RunFolderError(f"{path} is no checkpoint of this version of bsnn.")
    return state


def restore_weights(network, state):
    """Put a checkpoint's weights into a network of the same shape.

    Raises
    ------
    RunFolderError
        If the shapes differ.
    """
    given = [tuple(weight.shape) for weight in state["weights"]]
    if given != list(network.model.weight_shapes):
        raise RunFolderError(
            f"the checkpoint holds weights of shapes {given}, the model needs "
            f"{list(network.model.weight_shapes)}."
        )
    with torch.no_grad():
        for weight, saved in zip(network.weights, state["weights"], strict=True):
            weight.copy_(saved)
