"""Peers take the same network and batch; one that is missing says how to get it."""

import importlib.util
import json
from types import SimpleNamespace

import numpy as np
import pytest

from bsnn.errors import BackendUnavailable, ProgramError
from bsnn.training import SpikingNetwork
from bsnn.training.bench import peers
from bsnn.training.bench.cpu import run_bench
from bsnn.training.bench.peers.case import Case
from tests.oracles import grid as oracles
from tests.training.bench.conftest import TINY

OPTIONS = {"target": (15, 3), "learning_rate": 0.1, "n_threads": 1, "repeats": 5}


def test_a_missing_peer_says_how_to_install_it(batch, monkeypatch):
    monkeypatch.setattr(peers, "is_installed", lambda name: False)
    model, inputs, labels = batch
    weights = [np.zeros(shape) for shape in model.weight_shapes]
    with pytest.raises(BackendUnavailable, match="pip install norse"):
        peers.run_peer("norse", model, weights, inputs, labels, **OPTIONS)


@pytest.mark.cpp
def test_a_missing_peer_leaves_the_other_measurements(workload, monkeypatch):
    monkeypatch.setattr(peers, "is_installed", lambda name: False)
    found = run_bench(TINY, workload, repeats=5, batches=1, stock=False, peers=["spyx"])
    (peer,) = found.peers
    assert peer["name"] == "spyx" and "pip install spyx" in peer["error"]
    assert "pip install spyx" in found.table()
    assert found.forward.median > 0


def test_a_peer_that_fails_says_why(batch, monkeypatch):
    monkeypatch.setattr(peers, "PEERS", (*peers.PEERS, "unheard-of"))
    monkeypatch.setattr(peers, "is_installed", lambda name: True)
    model, inputs, labels = batch
    weights = [np.zeros(shape) for shape in model.weight_shapes]
    with pytest.raises(ProgramError, match="unheard-of failed"):
        peers.run_peer("unheard-of", model, weights, inputs, labels, **OPTIONS)


SYNAPTIC = """
import torch


class Synaptic(torch.nn.Module):
    def __init__(self, *, alpha, beta, threshold):
        super().__init__()
        self.alpha, self.beta, self.threshold = alpha, beta, threshold

    def forward(self, current, syn, mem):
        mem = self.beta * mem + syn
        spike = (mem >= self.threshold).to(mem) + 0 * mem
        return spike, self.alpha * syn + current, mem - self.threshold * spike
"""


@pytest.mark.cpp
def test_a_peer_in_a_process_of_its_own_spikes_as_the_model(batch, install_snntorch):
    """With a module in place of snnTorch that resets when Brian2 does."""
    install_snntorch(SYNAPTIC)
    model, inputs, labels = batch
    with SpikingNetwork(model, seed=3, workers=1) as network:
        weights = [weight.detach().numpy() for weight in network.weights]
        ours = [record.n_spikes for record in network.simulate(inputs)]
    found = peers.run_peer("snntorch", model, weights, inputs, labels, **OPTIONS)
    assert found["version"] == "9.9"
    assert min(ours) > 0 and found["spikes"] == ours
    assert len(found["forward_seconds"]) == len(found["training_seconds"]) == 5
    assert found["peak_memory"] > 0


@pytest.mark.parametrize("name", peers.PEERS)
def test_each_peer_is_a_file_of_that_name(name):
    assert importlib.util.find_spec(f"{peers.__name__}.{name}")


@pytest.mark.parametrize("name", peers.PEERS)
@pytest.mark.slow
def test_installed_peers_spike_about_as_the_model(name, batch):
    pytest.importorskip(name, reason=f"{name} is not installed", exc_type=ImportError)
    model, inputs, labels = batch
    with SpikingNetwork(model, seed=3, workers=1) as network:
        weights = [weight.detach().numpy() for weight in network.weights]
        ours = [record.n_spikes for record in network.simulate(inputs)]
    found = peers.run_peer(name, model, weights, inputs, labels, **OPTIONS)
    # Resets a step late or to zero, and spikes a step late, make few of them differ.
    np.testing.assert_allclose(found["spikes"], ours, rtol=0.35)
    assert len(found["forward_seconds"]) == len(found["training_seconds"]) == 5


def test_peers_take_the_input_and_the_constants_of_the_model(batch, tmp_path):
    model, inputs, labels = batch
    values = {
        "tau": [0.26, 0.13],
        "dt": model.dt_seconds,
        "n_steps": model.n_steps,
        "v_threshold": [0.04, 0.1],
        "target": [15, 3],
    }
    np.savez(
        tmp_path / "case.npz",
        case=json.dumps(values),
        sample=inputs.sample,
        step=inputs.step,
        neuron=inputs.neuron,
        labels=labels,
        weights0=np.ones((20, 30)),
        weights1=np.ones((30, 10)),
    )
    case = Case(tmp_path / "case.npz")
    assert case.inputs.sum() == inputs.n_spikes
    k = inputs.n_spikes // 2
    assert case.inputs[inputs.step[k], inputs.sample[k], inputs.neuron[k]] == 1
    # A step takes (v, i_syn) from (0, 1) to (gain, syn_decay), and v alone decays.
    (v, i_syn), (v_alone, _) = (
        oracles.propagate(model.dt_seconds, *start, 0.26, 0.13)
        for start in ([0, 1], [1, 0])
    )
    found = [case.gain, case.syn_decay, case.mem_decay]
    np.testing.assert_allclose(found, [v, i_syn, v_alone], rtol=1e-12)
    assert (case.targets.sum(1) == 15 + 9 * 3).all()
    assert (case.targets[np.arange(4), labels] == 15).all()


def test_a_peer_is_told_its_device(batch, monkeypatch):
    sent = {}

    def run(command, *, env, **_):
        with np.load(command[-1]) as case:
            sent.update(json.loads(str(case["case"])), jax=env["JAX_PLATFORMS"])
        return SimpleNamespace(returncode=0, stdout='{"spikes": []}')

    monkeypatch.setattr(peers, "is_installed", lambda name: True)
    monkeypatch.setattr(peers, "subprocess", SimpleNamespace(run=run))
    model, inputs, labels = batch
    weights = [np.zeros(shape) for shape in model.weight_shapes]
    peers.run_peer("spyx", model, weights, inputs, labels, **OPTIONS, device="cuda")
    assert (sent["device"], sent["jax"]) == ("cuda", "cuda")
