"""Reader of IDX files, the format of MNIST and its relatives."""

import contextlib
import gzip
import math
import struct
import zlib

import numpy as np

from bsnn.errors import DataError

# The largest relative of MNIST, EMNIST by class, has 814,255 images; a header that
# claims more than this is damaged, and must not make us reserve memory.
MAX_ITEMS = 1_000_000
MAX_BYTES = MAX_ITEMS * 28 * 28
CHUNK = 1 << 20  # bytes read at a time
DAMAGED_GZIP = (EOFError, zlib.error, gzip.BadGzipFile)


def read_idx(path, item_shape=()):
    """Read an IDX file of unsigned bytes, plain or compressed with gzip.

    The file is a big-endian header (two zero bytes, the type 0x08, the number of
    dimensions, the size of each as uint32) and then the bytes. No more is read than the
    header declares, so what a damaged or hostile file can cost is bounded.

    Parameters
    ----------
    path : Path
    item_shape : tuple of int or None
        Required shape of one item: (28, 28) for images, () for labels; None: any.

    Returns
    -------
    items : ndarray, shape (n_items, ...), uint8

    Raises
    ------
    DataError
        If the file is missing or damaged, or holds anything else.
    """
    try:
        with open_unpacked(path) as stream:
            items = np.empty(_read_shape(stream, path, item_shape), np.uint8)
            n_read = _fill(stream, memoryview(items).cast("B"))
            if n_read < items.size or stream.read(1):
                got = f"{n_read}; it is truncated" if n_read < items.size else "more"
                raise DataError(
                    f"{path} must have {items.size} bytes after its header, "
                    f"got {got}; fetch the file again."
                )
            return items
    except FileNotFoundError as error:
        raise DataError(
            f"{path} does not exist; put the file there, or name another data folder "
            "(--data-dir or BSNN_DATA)."
        ) from error
    except DAMAGED_GZIP as error:
        raise DataError(
            f"{path} must be intact gzip, got: {error}; fetch the file again."
        ) from error
    except OSError as error:
        raise DataError(
            f"{path} must be a readable file, got: {error.strerror}; "
            "check its type and permissions."
        ) from error


@contextlib.contextmanager
def open_unpacked(path):
    """Open a file for reading bytes, unpacking it if it begins as gzip does."""
    with open(path, "rb") as stream:
        if stream.peek(2)[:2] == b"\x1f\x8b":
            with gzip.open(stream) as unpacked:
                yield unpacked
        else:
            yield stream


def _read_shape(stream, path, item_shape):
    """Read the header; return the declared shape if it is possible and as required."""
    n_dimensions = 1 + len(item_shape)
    header = stream.read(4 + 4 * n_dimensions)
    required, magic = _magic_number(n_dimensions), header[:4]
    if not required.startswith(magic):
        wanted, other = ("images", "labels") if item_shape else ("labels", "images")
        swapped = magic == _magic_number(1 if item_shape else 3)
        remedy = f"it holds {other}" if swapped else "it is no such file, or damaged"
        raise DataError(
            f"{path} must begin with the magic number 0x{required.hex()} of IDX "
            f"{wanted}, got 0x{magic.hex()}; {remedy}: put the right file there."
        )
    if len(header) < 4 + 4 * n_dimensions:
        raise DataError(
            f"{path} must have a header of {4 + 4 * n_dimensions} bytes, "
            f"got {len(header)}; it is truncated, fetch the file again."
        )
    n_items, *shape = struct.unpack(f">{n_dimensions}I", header[4:])
    pairs = zip(item_shape, shape, strict=True)
    if any(required not in (None, size) for required, size in pairs):
        pixels, got = ("x".join(map(str, sizes)) for sizes in (item_shape, shape))
        raise DataError(
            f"{path} must hold images of {pixels} pixels, got {got}; "
            "put the right file there."
        )
    if not 0 < n_items <= MAX_ITEMS:
        raise DataError(
            f"{path} must declare 1 to {MAX_ITEMS} items in its header, "
            f"got {n_items}; it is damaged, fetch the file again."
        )
    if not 0 < math.prod(shape) <= MAX_BYTES // n_items:
        raise DataError(
            f"{path} must declare 1 to {MAX_BYTES} bytes in its header, got "
            f"{n_items * math.prod(shape)}; it is damaged, write the file again."
        )
    return n_items, *shape


def _magic_number(n_dimensions):
    unsigned_byte = 0x08
    return bytes([0, 0, unsigned_byte, n_dimensions])


def _fill(stream, buffer):
    """Read into `buffer` until it is full or the stream ends; return the byte count."""
    n_read = 0
    while n_read < len(buffer):
        piece = stream.read(min(CHUNK, len(buffer) - n_read))
        if not piece:
            break
        buffer[n_read : n_read + len(piece)] = piece
        n_read += len(piece)
    return n_read
