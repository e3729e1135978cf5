"""Fetch a file over the network, checked and all or nothing."""

import hashlib
import http.client
import logging
import os
import shutil
import sys
import tempfile
import urllib.request
from pathlib import Path

import filelock
from tqdm import tqdm

from bsnn.errors import DataError

from .idx import CHUNK, DAMAGED_GZIP, open_unpacked

MAX_BYTES = 64 << 20  # twice the largest file; a server must not fill the disk
LOCK = ".lock"
TIMEOUT = 30  # seconds without an answer

logger = logging.getLogger(__name__)


def download(url, target, sha256, *, max_bytes=MAX_BYTES):
    """Fetch `url` to the file `target`, which appears whole and checked or not at all.

    Parameters
    ----------
    url : str
    target : Path
        Its folder is made if need be.
    sha256 : str
        Checksum of the content, unpacked where it is gzip: gzip files of one content
        differ.
    max_bytes : int
        Largest size accepted.

    Raises
    ------
    DataError
        If the file cannot be fetched or written, or has another checksum.
    """
    remedy = f"put the file into {target.parent} by hand, or name a folder in BSNN_DATA"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(target.parent / LOCK), _scratch(target) as folder:
            part = Path(folder) / target.name
            _fetch(url, part, max_bytes)
            got = _checksum(part)
            if got != sha256:
                raise DataError(
                    f"{url} must have the SHA-256 {sha256} when unpacked, got {got}; "
                    f"try again later, {remedy}."
                )
            os.replace(part, target)
    except (OSError, http.client.HTTPException) as error:
        raise DataError(f"{url} could not be fetched ({error}); {remedy}.") from error


def _scratch(target):
    """Return a temporary folder beside `target`; those of killed downloads go."""
    prefix = f".{target.name}."
    for leftover in target.parent.glob(f"{prefix}*/"):
        shutil.rmtree(leftover)
    return tempfile.TemporaryDirectory(prefix=prefix, dir=target.parent)


def _fetch(url, path, max_bytes):
    logger.info("downloading %s", url)
    with urllib.request.urlopen(url, timeout=TIMEOUT) as answer, open(path, "wb") as f:
        length = int(answer.headers.get("Content-Length") or 0)
        # disable=None: the bar shows on a terminal and stays away from log files.
        bar = tqdm(
            total=length or None,
            desc=path.name,
            unit="B",
            unit_scale=True,
            file=sys.stderr,
            disable=None,
        )
        with bar:
            while piece := answer.read(CHUNK):
                f.write(piece)
                bar.update(len(piece))
                if f.tell() > max_bytes:
                    raise OSError(f"it is longer than {max_bytes} bytes")


def _checksum(path):
    digest = hashlib.sha256()
    try:
        with open_unpacked(path) as stream:
            while piece := stream.read(CHUNK):
                digest.update(piece)
    except DAMAGED_GZIP as error:
        return f"a damaged file ({error})"
    return digest.hexdigest()
