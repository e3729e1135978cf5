"""Labels of samples: what counts as one, for losses, measures and data sets alike."""

import numpy as np


def checked_labels(labels, n_samples, n_classes, name="labels"):
    """Return labels as int64 if they are one class for each sample.

    Parameters
    ----------
    labels : array_like or tensor, shape (n_samples,), int
    n_samples, n_classes : int
    name : str
        The argument's name, for the error message.

    Returns
    -------
    labels : ndarray, shape (n_samples,), int64

    Raises
    ------
    TypeError
        If they are no integers.
    ValueError
        If they are of another shape, or not in 0..n_classes-1.
    """
    labels = np.asarray(labels.cpu() if hasattr(labels, "cpu") else labels)
    if labels.shape != (n_samples,):
        one_hot = n_classes > 1 and labels.shape == (n_samples, n_classes)
        hint = "; undo one-hot labels with argmax(1)" if one_hot else ""
        raise ValueError(
            f"'{name}' must have shape {(n_samples,)}, one for each sample, "
            f"got {labels.shape}{hint}."
        )
    if not n_samples:
        return labels.astype(np.int64)
    if labels.dtype.kind not in "iu":
        raise TypeError(
            f"'{name}' must be integers, got {labels.dtype}; if these are classes, "
            "number them from 0."
        )
    checked = labels.astype(np.int64)
    # Without their sign, negative labels are large.
    if checked.view(np.uint64).max() >= n_classes:
        raise ValueError(
            f"'{name}' must lie in 0..{n_classes - 1}, the classes, "
            f"got {labels.min()}..{labels.max()}."
        )
    return checked
