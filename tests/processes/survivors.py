"""What is left of processes that a test started, orphans too."""

import contextlib
import time
from pathlib import Path


def is_alive(pid):
    """Whether a process runs; one that nobody has waited for yet does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def marked(mark):
    """Return the names, by id, of the processes with BSNN_TEST=`mark` around them."""
    mark, found = f"BSNN_TEST={mark}".encode(), {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if mark in (folder / "environ").read_bytes().split(b"\0"):
                found[int(folder.name)] = (folder / "comm").read_text().strip()
    return found


def assert_none_left(mark, seconds=60):
    deadline = time.monotonic() + seconds
    while found := marked(mark):
        assert time.monotonic() < deadline, f"{found} outlive their parent"
        time.sleep(0.01)
