"""Checksums of what builds have left, by which damage in the cache is noticed."""

import hashlib
import os

from .errors import BuildError

SEAL = "sha256"  # the file with the checksum of a folder's product


def is_sound(folder, product):
    """Return whether a cached folder has its product, whole and executable."""
    if product is None:
        return folder.is_dir()
    try:
        whole = (folder / SEAL).read_text("utf-8") == _digest(folder / product)
    except (OSError, UnicodeDecodeError):
        return False
    return whole and os.access(folder / product, os.X_OK)


def seal(folder, product):
    """Note the checksum of the product that a build has left.

    Raises
    ------
    BuildError
        If it has left none.
    """
    if product is not None:
        try:
            (folder / SEAL).write_text(_digest(folder / product), "utf-8")
        except FileNotFoundError as error:
            raise BuildError(f"the build succeeded but left no {product}.") from error


def _digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()
