"""The process of one peer: takes a case, prints what it cost as JSON."""

import importlib.metadata
import json
import resource
import sys
import time

from .case import Case


def main(name, path):
    case = Case(path)
    peer = importlib.import_module(f".{name}", __package__)
    forward, step = peer.make(case)
    result = {
        "version": importlib.metadata.version(name),
        "spikes": forward(),
        "forward_seconds": _timed(forward, case.repeats),
        "training_seconds": _timed(step, case.repeats),
        "peak_memory": 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
    }
    print(json.dumps(result))


def _timed(function, repeats):
    function()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - start)
    return seconds


if __name__ == "__main__":
    main(*sys.argv[1:])
