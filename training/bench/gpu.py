"""Measure the CUDA target over the number of replicas, beside the C++ target."""

import logging
from dataclasses import replace

import torch

from bsnn.inputs.encoding import encode_ttfs
from bsnn.machine import find_gpus, versions
from bsnn.training.from_settings import make_network

from .compare import measure_peer, same_spikes
from .describe import benchable_model, describe_machine, describe_setting
from .measure import BATCHES, WARM_UP_BATCHES, Bench, measure_build
from .report import GpuReport

REPLICAS = (1, 16, 64, 256, 1000)
SAMPLES = 1000  # of a measurement, about

log = logging.getLogger(__name__)


def run_gpu_bench(
    settings,
    workload,
    *,
    replicas=REPLICAS,
    batch_size=None,
    repeats=7,
    batches=BATCHES,
    peers=(),
    make=make_network,
):
    """Measure the network with several numbers of replicas on a GPU.

    Each is compared with the C++ target on the same machine, batches and weights.

    Parameters
    ----------
    settings : Settings
        With the rule "grid" and the device "cuda".
    workload : Workload
    replicas : sequence of int
        Samples simulated at the same time.
    batch_size : int, optional
        Samples of a batch; as many as replicas unless given.
    repeats : int
        Measurements of each kind, after one that does not count.
    batches : int
        Minibatches of a measurement, at most.
    peers : sequence of str
        Libraries to measure on the same GPU, see `peers.PEERS`.
    make : callable
        ``make(settings, model)`` returns a `SpikingNetwork` for those settings.

    Returns
    -------
    report : GpuReport

    Raises
    ------
    ValueError
        If there are too few repeats or replicas, or the rule is not "grid".
    BackendUnavailable
        If there is no GPU.
    """
    if not replicas or min(replicas) < 1:
        raise ValueError(f"'replicas' must name numbers above 0, got {replicas}.")
    model = benchable_model(settings, repeats)
    machine = {**describe_machine(), "gpu": find_gpus() or "none"}
    weights = _trained_weights(settings, model, workload, make)
    points = []
    for number in replicas:
        size = number if batch_size is None else batch_size
        point = replace(settings, replicas=number, batch_size=size)
        n_batches = min(max(SAMPLES // size, 2), batches)
        points.append(
            _measure(point, model, workload, weights, n_batches, repeats, make)
        )
        log.info(
            "%d replicas: %.0f samples/s forward, %.0f in training",
            number,
            *(points[-1]["cuda"][kind].median for kind in ("forward", "training")),
        )
    chosen = workload.batch(0, point.batch_size)
    inputs = encode_ttfs(workload.images[chosen], model)
    batch = weights, inputs, workload.labels[chosen]
    return GpuReport(
        setting=describe_setting(settings, model, workload, repeats),
        machine=machine,
        versions=versions(),
        points=points,
        peers=[
            measure_peer(name, model, point, *batch, repeats, device="cuda")
            for name in peers
        ],
    )


def _on_cpp(settings):
    return replace(settings, device="cpp", cuda_arch=None, replicas=None)


def _trained_weights(settings, model, workload, make):
    """Return the weights after a little training, with which networks spike as in use.

    Both targets take them: trained apart, they would differ by rounding.
    """
    with make(_on_cpp(settings), model) as network:
        bench = Bench(network, settings, workload, WARM_UP_BATCHES)
        bench.warm_up()
        return bench.weights()


def _measure(settings, model, workload, weights, batches, repeats, make):
    """Return one point of the report."""
    build = measure_build(model, settings, make)
    found = {}
    for name, chosen in (("cuda", settings), ("cpp", _on_cpp(settings))):
        with make(chosen, model) as network:
            with torch.no_grad():
                for ours, given in zip(network.weights, weights, strict=True):
                    ours.copy_(torch.from_numpy(given))
            found[name] = _measure_target(network, chosen, workload, batches, repeats)
    records = [target.pop("records") for target in found.values()]
    return {
        "replicas": settings.replicas,
        "batch_size": settings.batch_size,
        "batches": batches,
        "build": build,
        **found,
        "equal": all(map(same_spikes, *records)),
    }


def _measure_target(network, settings, workload, batches, repeats):
    """Return what a target does; the weights are those given until it trains."""
    bench = Bench(network, settings, workload, batches)
    inputs = [bench.encoded(number) for number in range(batches)]
    single = inputs[0].select(0, 1)
    return {
        "records": network.simulate(inputs[0]),
        "spikes": bench.spikes(inputs),
        "forward": bench.forward(inputs, repeats),
        **bench.single_call(single, repeats),
        "phases": bench.phases(repeats),
        "training": bench.training(repeats),
    }
