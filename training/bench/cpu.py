"""Measure the C++ target, beside stock Brian2 and other libraries."""

import logging

from bsnn.machine import versions
from bsnn.training.from_settings import make_network

from .compare import compare_stock, measure_peer
from .describe import benchable_model, describe_machine, describe_setting
from .measure import BATCHES, WARM_UP_BATCHES, Bench, measure_build, measure_memory
from .report import Report

log = logging.getLogger(__name__)


def run_bench(settings, workload, *, repeats=7, batches=BATCHES, stock=True, peers=()):
    """Measure building, a minibatch and its phases, memory, and what to compare with.

    The network is trained a little first, so that it spikes as networks in use do.

    Parameters
    ----------
    settings : Settings
        With the rule "grid".
    workload : Workload
    repeats : int
        Measurements of each kind, after one that does not count.
    batches : int
        Minibatches of a measurement.
    stock : bool
        Also measure stock Brian2 on the same weights and input.
    peers : sequence of str
        Libraries to measure, see `peers.PEERS`.

    Returns
    -------
    report : Report

    Raises
    ------
    ValueError
        If there are too few repeats, or the rule is not "grid".
    """
    model = benchable_model(settings, repeats)
    machine = describe_machine()  # its load, before ours
    log.info("building the program, unless it is cached")
    build = measure_build(model, settings)
    with make_network(settings, model) as network:
        log.info("measuring bsnn, after %d batches of training", WARM_UP_BATCHES)
        bench = Bench(network, settings, workload, batches)
        bench.warm_up()
        costs = {"phases": bench.phases(repeats), "training": bench.training(repeats)}
        inputs = [bench.encoded(number) for number in range(batches)]
        single = inputs[0].select(0, 1)
        costs |= {
            "forward": bench.forward(inputs, repeats),
            "fixed_cost": bench.single_call(single, repeats)["fixed_cost"],
            "spikes": bench.spikes(inputs),
            "memory": measure_memory(network.simulator),
        }
        weights = bench.weights()
        stocks = [
            compare_stock(network, weights, chosen, settings.precision, repeats)
            for chosen in ((inputs[0], single) if stock else ())
        ]
    setting = describe_setting(settings, model, workload, repeats)
    batch = weights, inputs[0], bench.labels(0)
    return Report(
        setting={**setting, "batches": batches},
        machine=machine,
        versions=versions(),
        build=build,
        **costs,
        stock=stocks,
        peers=[measure_peer(name, model, settings, *batch, repeats) for name in peers],
    )
