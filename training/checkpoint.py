"""Checkpoints: weights and optimiser state, loaded without executing anything."""

import pickle

import torch

from bsnn.errors import RunFolderError
from bsnn.runs import CHECKPOINT, replacing

FORMAT = 1


def save_checkpoint(folder, network, optimizer, *, epoch, rows, confidence):
    """Write the state after `epoch` epochs; the one before stays until it is whole.

    Parameters
    ----------
    folder : RunFolder
    network : SpikingNetwork
    optimizer : torch.optim.Optimizer
    epoch : int
        Epochs done.
    rows, confidence : list of dict
        Of metrics.csv and confidence.csv so far.
    """
    state = {
        "format": FORMAT,
        "epoch": epoch,
        "weights": [weight.detach() for weight in network.weights],
        "optimizer": optimizer.state_dict(),
        "n_clamped": network.n_clamped,
        "rows": rows,
        "confidence": confidence,
    }
    with replacing(folder.path / CHECKPOINT, "wb") as file:
        torch.save(state, file)


def load_checkpoint(folder):
    """Return the dict that `save_checkpoint` wrote.

    Raises
    ------
    RunFolderError
        If there is none, or it is damaged or of another format.
    """
    path = folder.path / CHECKPOINT
    if not path.is_file():
        raise RunFolderError(f"{folder.path} holds no {CHECKPOINT}; train first.")
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
