"""Checkpoints: weights and optimiser state, loaded without executing anything."""

import contextlib
import errno
import io
import os
import pickletools
import shutil
import warnings
import zipfile

import torch

from bsnn.errors import RunFolderError
from bsnn.files import replacing
from bsnn.runs import CHECKPOINT, METRICS_COLUMNS, PREVIOUS
from bsnn.simulators.base import check_weights

FORMAT = 5
FOLDER = 0x10  # of a member's attributes in a zip
_WITHIN = ("batch", "loss", "n_samples", "seconds", "measured")
_ADAM = ("step", "exp_avg", "exp_avg_sq")
# Of a file system, or a file, that cannot have another name.
_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)
# All that a checkpoint's pickle names.
_GLOBALS = (
    "collections OrderedDict",
    "torch FloatStorage",
    "torch DoubleStorage",
    "torch._utils _rebuild_tensor_v2",
)


def save_checkpoint(
    folder,
    network,
    optimizer,
    *,
    epoch,
    rows,
    within=None,
    chosen=None,
    n_clamped=None,
):
    """Write the state of a training, and keep the one before as `PREVIOUS`.

    Parameters
    ----------
    folder : RunFolder
    network : SpikingNetwork
    optimizer : torch.optim.Optimizer
    epoch : int
        Epochs done.
    rows : list of dict
        Of metrics.csv so far.
    within : dict, optional
        How far the next epoch is, as `EpochProgress.state` says it.
    chosen : list of Tensor, optional
        Weights of the epoch that validation has chosen so far.
    n_clamped : int, optional
        That of the network, unless given.

    Raises
    ------
    ValueError
        If a weight is not finite.
    RunFolderError
        If it cannot be written; the checkpoints there stay.
    """
    for name, weight in network.named_weights():
        check_weights(weight.detach().numpy(), tuple(weight.shape), name)
    state = {
        "format": FORMAT,
        "epoch": epoch,
        "within": within,
        "weights": [weight.detach() for weight in network.weights],
        "frozen": [at for at, w in enumerate(network.weights) if not w.requires_grad],
        "optimizer": optimizer.state_dict(),
        "n_clamped": network.n_clamped if n_clamped is None else n_clamped,
        "rows": rows,
        "chosen": chosen,
    }
    content = io.BytesIO()  # to a file that cannot grow, torch raises RuntimeError
    torch.save(state, content)
    path, link = folder.path / CHECKPOINT, folder.path / f".{PREVIOUS}.link"
    try:
        with replacing(path, "wb") as file:
            file.write(content.getbuffer())
            link.unlink(missing_ok=True)
            if path.is_file():
                _link(path, link)
        # Not before: killed in between, one checkpoint would have both names.
        if link.is_file():
            os.replace(link, folder.path / PREVIOUS)
    finally:
        with contextlib.suppress(OSError):  # it goes at the next start
            link.unlink()


def _link(path, link):
    try:
        os.link(path, link)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        shutil.copyfile(path, link)


def load_checkpoint(folder, *, mend=False):
    """Return the newest whole dict that `save_checkpoint` wrote.

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
        _check_archive(path)
        state = torch.load(path, weights_only=True)
        known = isinstance(state, dict) and state.get("format") == FORMAT
        if known:
            _check_state(state, path.stat().st_size)
    except Exception as error:  # zipfile, pickle and torch raise many kinds
        raise RunFolderError(
            f"{path} is damaged ({type(error).__name__}); delete its folder and train "
            "again."
        ) from error
    if not known:
        raise RunFolderError(f"{path} is no checkpoint of this version of bsnn.")
    return state


def _check_archive(path):
    """Refuse what could unpack to more memory than the file is long, or was altered."""
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        packed = any(member.compress_type != zipfile.ZIP_STORED for member in members)
        if packed or sum(m.file_size for m in members) > path.stat().st_size:
            raise ValueError("it is packed")
        # torch notices neither: it reads altered bytes without a word, and does not
        # read what is marked as a folder at all.
        marked = any(member.external_attr & FOLDER for member in members)
        if marked or archive.testzip() is not None:
            raise ValueError("its bytes are not those that were written")
        (pickled,) = (m for m in members if m.filename.endswith("/data.pkl"))
        # Some that `weights_only` allows, such as bytearray, reserve memory at will.
        for operation, argument, _ in pickletools.genops(archive.read(pickled)):
            if "GLOBAL" in operation.name and argument not in _GLOBALS:
                raise ValueError(f"it names {argument}")


def _check_state(state, n_bytes):
    """Raise KeyError, TypeError or ValueError unless all is there and of its kind."""
    shapes = [_checked(weight).shape for weight in state["weights"]]
    moments = state["optimizer"]["state"]
    frozen = state.setdefault("frozen", [])  # older versions learned all
    chosen = state.setdefault("chosen", None)  # and validated nothing
    if chosen is not None and [_checked(w).shape for w in chosen] != shapes:
        raise ValueError("the weights chosen are not those of its network")
    learned = [at for at in range(len(shapes)) if at not in frozen]
    if moments and sorted(moments) != learned:
        raise ValueError("its moments are not those of its weights")
    for index, moment in moments.items():
        if set(moment) != set(_ADAM):
            raise ValueError("its moments are not those of Adam")
        for name, value in moment.items():
            if _checked(value).shape != (() if name == "step" else shapes[index]):
                raise ValueError("its moments are not those of its weights")
    names = ("epoch", "n_clamped", "within", "rows", "frozen")
    _check_plain([state[name] for name in names], n_bytes)
    counts, within = [state["epoch"], state["n_clamped"]], state["within"]
    _check_rows(state["rows"], METRICS_COLUMNS, text={"split"})
    if len(state["rows"]) != 2 * state["epoch"]:
        raise ValueError("its rows are not those of its epochs")
    if within is not None:
        _check_rows([within], _WITHIN, text={"measured"})
        counts += [within["batch"], within["n_samples"]]
    if any(type(count) is not int or count < 0 for count in counts):
        raise ValueError("a count is no count")


def _check_plain(values, most):
    """Raise unless these are plain values, and no more than `most`.

    A file may name one list in many places: what is written once is there many times.
    """
    pending = [values]
    for _ in range(most):
        if not pending:
            return
        value = pending.pop()
        if isinstance(value, (list, dict)):
            pending += value.values() if isinstance(value, dict) else value
        elif not isinstance(value, (int, float, str, type(None))):
            raise TypeError(f"it holds a {type(value).__name__}")
    raise ValueError("it repeats itself")


def _check_rows(rows, columns, text=frozenset()):
    for row in rows:
        numbers = {type(row[name]) for name in columns if name not in text}
        if len(row) != len(columns) or not numbers <= {int, float}:
            raise ValueError("its rows are not those of its tables")


def _checked(tensor):
    """Return a tensor if it is one of ours: of finite floats, all in their places."""
    plain = tensor.is_floating_point() and tensor.is_contiguous()
    if not plain or tensor.device.type != "cpu" or not torch.isfinite(tensor).all():
        raise ValueError("a tensor is not as it was saved")
    return tensor


def check_fits(state, shapes):
    """Raise RunFolderError unless a checkpoint's weights have these shapes."""
    given, shapes = [tuple(weight.shape) for weight in state["weights"]], list(shapes)
    if given != shapes:
        raise RunFolderError(
            f"the checkpoint holds weights of shapes {given}, the model needs {shapes}."
        )


def weights_that_count(state):
    """Return the weights of a checkpoint's network: those chosen, or the last."""
    chosen = state.get("chosen")
    return state["weights"] if chosen is None else chosen


def set_weights(network, weights):
    """Put weights into a network of the same shapes."""
    with torch.no_grad():
        for weight, saved in zip(network.weights, weights, strict=True):
            weight.copy_(saved)


def restore_weights(network, state):
    """Put the weights that count in a checkpoint into a network of the same shapes.

    Raises
    ------
    RunFolderError
        If the shapes differ.
    """
    check_fits(state, [tuple(weight.shape) for weight in network.weights])
    set_weights(network, weights_that_count(state))


def restore_training(network, optimizer, state):
    """Put a checkpoint's last weights and moments back; raises as `restore_weights`."""
    check_fits(state, [tuple(weight.shape) for weight in network.weights])
    set_weights(network, state["weights"])
    # The options of the optimiser follow from the settings.
    optimizer.load_state_dict(
        {**optimizer.state_dict(), "state": state["optimizer"]["state"]}
    )
    network.n_clamped = state["n_clamped"]
