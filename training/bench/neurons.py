"""Measure networks of any neurons: the derived adjoint; AdEx beside others."""

import logging
from dataclasses import dataclass

import torch
from brian2.units import ms

from bsnn.equations.models import adex, cuba
from bsnn.inputs.encoding import encode_ttfs
from bsnn.machine import n_cores, versions
from bsnn.model import Model
from bsnn.network import Connection, Inputs, Network, Population
from bsnn.simulators.stock_network import run_stock_network
from bsnn.training.derived_network import DerivedNetwork
from bsnn.training.losses import SpikeCountLoss
from bsnn.training.spiking_network import SpikingNetwork

from .compare import measured, same_spikes
from .describe import check_repeats, describe_machine
from .measure import measure_memory, taking_turns, training_step
from .peers.adex import run_adex_peer
from .report import BenchReport, Spread, speeds
from .rows import MIB, aligned, layers, peer_rows

log = logging.getLogger(__name__)
TAU = {"tau_mem": 260 * ms, "tau_syn": 130 * ms}
HIDDEN = {"chain": 800, "adex": 400}
N_OUT, BATCH_SIZE, DURATION = 10, 50, 200 * ms
CHAIN_WEIGHTS = {"in->hidden": (-1.0, 1.0), "hidden->out": (-1.0, 1.0)}
ADEX_WEIGHTS = {"in->hidden": (0.0, 4.0), "hidden->out": (0.0, 0.5)}
COUNT_LOSS = SpikeCountLoss()


@dataclass(frozen=True, kw_only=True)
class NeuronsReport(BenchReport):
    """What `run_neurons_bench` found.

    Parameters
    ----------
    setting, machine, versions : dict
        What was measured, on what, with what.
    chain : dict
        CUBA LIF 784-800-10 at 1 ms: samples per second in `training` of the fast path
        (`fast`) and of the same network as text, by `gradient`; `spikes` per sample.
    adex : dict
        AdEx 784-400-10 at 0.5 ms: seconds of a `call`, of a `training` step and of a
        call of `stock` Brian2, with the spikes of both.
    peers : list of dict
        Other libraries with AdEx neurons: measurements, or the `error` for which there
        are none.
    """

    setting: dict
    machine: dict
    versions: dict
    chain: dict
    adex: dict
    peers: list

    @property
    def comparisons(self):
        return [self.chain, self.adex]

    def table(self):
        s, chain, adex = self.setting, self.chain, self.adex
        fast = chain["fast"].median
        rows = [
            ("batch", f"{BATCH_SIZE} of {s['dataset']}, seed {s['seed']}"),
            ("precision", f"{s['precision']}, {s['workers'] or 'all'} workers"),
            (
                "machine",
                f"{self.machine['processor']}, {self.machine['n_cores']} cores",
            ),
            ("", ""),
            ("CUBA LIF 784-800-10, 1 ms", layers(chain["spikes"], "hidden")),
            ("  SpikingNetwork, training", chain["fast"].text(1, "samples/s", 0)),
        ]
        for name in ("modes", "adjoint"):
            speed = chain[name].text(1, "samples/s", 0)
            share = chain[name].median / fast
            rows.append((f"  as text, by {name}", f"{speed}  {share:.2f} of it"))
        ratio = adex["stock"].median / adex["call"].median
        rows += [
            ("", ""),
            ("AdEx 784-400-10, 0.5 ms", layers(adex["spikes"], "hidden")),
            ("  forward", adex["call"].text(1e3, "ms", 1)),
            ("  training step", adex["training"].text(1e3, "ms", 1)),
            ("  stock Brian2, forward", adex["stock"].text(1e3, "ms", 1)),
            ("  ratio", f"{ratio:9.1f}"),
            ("  spikes, stock", layers(adex["stock_spikes"], "hidden")),
            ("  equal", "spike by spike" if adex["equal"] else "NOT EQUAL"),
            ("  peak memory", f"{adex['memory']['total'] / MIB:9.0f} MiB"),
        ]
        for peer in self.peers:
            rows += [("", ""), *peer_rows(peer, speeds(adex, BATCH_SIZE), "hidden")]
        return aligned(rows)


def run_neurons_bench(workload, *, precision, seed, workers, repeats, peers=()):
    """Measure the derived adjoint beside the fast path, and AdEx beside others.

    Parameters
    ----------
    workload : Workload
        Of 784 inputs.
    precision : {"single", "double"}
    seed : int
        Of the initial weights.
    workers : int or None
    repeats : int
        Measurements of each kind, after one that does not count.
    peers : sequence of str
        Libraries to measure with AdEx neurons, see `peers.PEERS`.

    Returns
    -------
    report : NeuronsReport

    Raises
    ------
    ValueError
        If there are too few repeats.
    """
    check_repeats(repeats)
    machine = describe_machine()  # its load, before ours
    options = {"precision": precision, "seed": seed, "workers": workers}
    chain = _measure_chain(workload, repeats, options)
    adex_found, given = _measure_adex(workload, repeats, options)
    return NeuronsReport(
        setting={"dataset": workload.name, "repeats": repeats, **options},
        machine=machine,
        versions=versions(),
        chain=chain,
        adex=adex_found,
        peers=[
            measured(
                name,
                BATCH_SIZE,
                lambda name=name: run_adex_peer(
                    name,
                    *given,
                    learning_rate=0.0,  # every step repeats the same spikes
                    target=(COUNT_LOSS.true, COUNT_LOSS.false),
                    n_threads=workers or n_cores(),
                    repeats=repeats,
                ),
            )
            for name in peers
        ],
    )


def _measure_chain(workload, repeats, options):
    log.info("measuring the chain")
    size = HIDDEN["chain"]
    model = Model.dense(
        [784, size, N_OUT], v_threshold=[0.2, 1.3], dt=1 * ms, duration=DURATION, **TAU
    )
    network = chain_network()
    inputs, labels = batch_of(workload, model)
    found, records = {}, {}
    with SpikingNetwork(model, **options) as fast:
        weights = [w.detach().numpy().copy() for w in fast.weights]
        named = dict(zip([c.name for c in network.connections], weights, strict=True))
        alike = {
            gradient: DerivedNetwork(
                network, weights=named, gradient=gradient, **options
            )
            for gradient in ("modes", "adjoint")
        }
        modules = {"fast": fast, **alike}
        seconds = _training(modules, inputs, labels, repeats)
        with torch.no_grad():
            for name, module in modules.items():
                records[name] = [a.record for a in _layers(module(inputs))]
        for module in alike.values():
            module.close()
    for name, taken in seconds.items():
        found[name] = Spread.of(BATCH_SIZE / taken)
    return {
        **found,
        "spikes": [r.n_spikes / BATCH_SIZE for r in records["fast"]],
        "equal": all(
            map(same_spikes, records["fast"] * 2, records["modes"] + records["adjoint"])
        ),
    }


def _measure_adex(workload, repeats, options):
    network = adex_network()
    inputs, labels = batch_of(workload, network)
    log.info("building and measuring AdEx neurons")
    with DerivedNetwork(network, weights=ADEX_WEIGHTS, **options) as net:
        matrices = [c.weight.detach().numpy().copy() for c in net.connections.values()]
        seconds = _training({"training": net}, inputs, labels, repeats)
        with torch.no_grad():
            calls = taking_turns({"call": lambda: net(inputs)}, repeats)
            ours = [a.record for a in _layers(net(inputs))]
        memory = measure_memory(net.simulator)
    log.info("building and measuring stock Brian2")
    stock = run_stock_network(
        network,
        matrices,
        {"in": inputs},
        precision=options["precision"],
        repeats=repeats,
    )
    theirs = list(stock.records.values())
    found = {
        "call": Spread.of(calls["call"]),
        "training": Spread.of(seconds["training"]),
        "stock": Spread.of(stock.call_seconds),
        "stock_build_seconds": stock.build_seconds,
        "spikes": [r.n_spikes / BATCH_SIZE for r in ours],
        "stock_spikes": [r.n_spikes / BATCH_SIZE for r in theirs],
        "equal": all(map(same_spikes, ours, theirs)),
        "memory": memory,
    }
    return found, (network, matrices, inputs, labels)


def chain_network():
    """Return the network 784-800-10 of MNIST as text, CUBA LIF neurons at 1 ms."""
    hidden, output = (cuba(v_threshold=v, **TAU) for v in (0.2, 1.3))
    size = HIDDEN["chain"]
    return _network((size, hidden), output, on_pre="i_syn += w", dt=1 * ms)


def adex_network():
    """Return a network 784-400-10 of AdEx neurons with conductances, at 0.5 ms."""
    hidden = HIDDEN["adex"], adex()
    return _network(hidden, adex(), on_pre="g_e += w*nS", dt=0.5 * ms)


def _network(hidden, output, *, on_pre, dt):
    size, neuron = hidden
    return Network(
        [
            Inputs("in", 784),
            Population("hidden", size, neuron),
            Population("out", N_OUT, output),
        ],
        [
            Connection("in", "hidden", on_pre=on_pre),
            Connection("hidden", "out", on_pre=on_pre),
        ],
        dt=dt,
        duration=DURATION,
    )


def batch_of(workload, network):
    """Return input spikes and labels of the first batch of a workload."""
    chosen = workload.batch(0, BATCH_SIZE)
    return encode_ttfs(workload.images[chosen], network), workload.labels[chosen]


def _layers(result):
    return [result["hidden"], result["out"]] if isinstance(result, dict) else result


def _training(modules, inputs, labels, repeats):
    """Return the seconds of training steps, the modules taking turns."""

    def step(module):
        return training_step(
            module, lambda: COUNT_LOSS(_layers(module(inputs)), labels)
        )

    steps = {name: step(module) for name, module in modules.items()}
    return taking_turns(steps, repeats, n_calls=10)
