"""Eight processes at once build the same model, run it, and print what they got."""

import os
import sys

import numpy as np

from bsnn.simulators.grid import GridSimulator
from tests.models import draw, grid_model

N_PROCESSES = 8


def run_once():
    model = grid_model()
    weights, inputs = draw(model, np.random.default_rng(0))
    with GridSimulator(model, workers=1) as simulator:
        records = simulator.run(weights, inputs)
        output = records[-1]
        spikes = f"{output.n_spikes} {hash(output.step.tobytes())}"
        # In one piece also where Python does not buffer: others write, too.
        sys.stdout.write(f"{simulator.folder} {spikes}\n")


if __name__ == "__main__":
    children = []
    for _ in range(N_PROCESSES):
        child = os.fork()
        if child == 0:
            run_once()
            sys.stdout.flush()
            os._exit(0)
        children.append(child)
    statuses = [os.waitpid(child, 0)[1] for child in children]
    sys.exit(any(statuses))
