"""Checksums of what builds have left, by which damage in the cache is noticed."""

import hashlib
import os

from .errors import BuildError

SEAL = "sha256"  # the file with the checksum of a folder's products


def is_sound(folder, product):
    """Return whether a cached folder has its product, whole and executable.

    What is no program nor library, of several files, need not be executable.
    """
    if product is None:
        return folder.is_dir()
    try:
        whole = (folder / SEAL).read_text("utf-8") == _digest(folder, product)
    except (OSError, UnicodeDecodeError):
        return False
    runs = isinstance(product, tuple) or os.access(folder / product, os.X_OK)
    return whole and runs


def seal(folder, product):
    """Note the checksum of the product that a build has left.

    Raises
    ------
    BuildError
        If it has left none.
    """
    if product is not None:
        try:
            (folder / SEAL).write_text(_digest(folder, product), "utf-8")
        except FileNotFoundError as error:
            name = os.path.basename(error.filename)
            raise BuildError(f"the build succeeded but left no {name}.") from error


def _digest(folder, product):
    digest = hashlib.sha256()
    for name in product if isinstance(product, tuple) else (product,):
        digest.update((folder / name).read_bytes())
    return digest.hexdigest()
