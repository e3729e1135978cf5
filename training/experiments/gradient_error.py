r"""How far the gradient of each estimator is from the one without a time grid.

At the time step 0 spike times are exact functions of the weights, and so is the
gradient of a loss of times: it is compared with what each estimator finds at each time
step, for the same weights and samples; of the weights, and of each spike by itself,
where a spike is the k-th of its neuron in both simulations. A loss of counts has no
such gradient, since a count moves in jumps. What counts do when weights change is asked
of the network itself: jittered weights make them smooth,

    L_s(w) = E[L(w + s xi)],     xi normal, s relative to the spread of each layer's w,

and the slope of L_s along the direction of an estimator is measured by differences over
common jitters, at several distances. It is compared with what the estimator promised,
its norm.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
from brian2.units import ms

from bsnn.equations.units import as_int, as_list, as_number
from bsnn.network_settings import settings_of
from bsnn.run_settings import ESTIMATORS, STRAIGHT_THROUGH
from bsnn.training.early_spikes import EarlySpikeLoss
from bsnn.training.from_settings import make_network
from bsnn.training.losses import SpikeCountLoss

from .checkpoint import check_fits, load_checkpoint, set_weights, weights_that_count

DT_MS = (0.1, 0.2, 0.5, 1.0, 2.0, 4.0, 8.0, 12.0)
DISTANCES = (0.001, 0.005)
WEIGHTS, SPIKES, LOSS = "weights", "spikes", "loss"
COLUMNS = (
    "run",
    "weights",
    "loss",
    "of",
    "estimator",
    "dt_ms",
    "layer",
    "cosine",
    "norm_ratio",
    "sign_errors",
    "matched",
    "distance",
    "slope",
    "promised",
)
EVERY_LAYER = "all"
_JITTER = 0.02  # of the spread of a layer's weights
_NEGLIGIBLE = 1e-3  # of the largest derivative: its sign is none


def gradient_errors(
    folder,
    load,
    *,
    dt_ms: Sequence[float] = DT_MS,
    estimators: Sequence[str] = ESTIMATORS,
    n_samples: int = 100,
    n_jitters: int = 8,
    distances: Sequence[float] = DISTANCES,
    tau_ms: float = 30.0,
    workers: int | None = None,
) -> Iterator[dict]:
    """Yield rows for each of weights, loss, time step and estimator of a run.

    Parameters
    ----------
    folder : RunFolder
        Of a chain; its network is taken before and after training.
    load : callable
        ``load(name)`` returns the `Dataset`.
    dt_ms : sequence of float
        Time steps, above 0, under the rule "grid", whatever that of the training.
    estimators : sequence of str
    n_samples : int
        The first so many training samples.
    n_jitters : int
        Jittered weights whose losses are averaged; each is simulated twice.
    distances : sequence of float
        Of the differences, to either side, relative to the norm of all spreads.
    tau_ms : float
        Of the loss of times, `EarlySpikeLoss`.
    workers : int, optional

    Yields
    ------
    row : dict
        With `COLUMNS`; NaN where one says nothing of a row. `of` says what it is about:

        - "weights": `cosine`, `norm_ratio` and `sign_errors` (a share) compare the
          gradient of a layer's weights, or of "all", with that at the time step 0: of
          the same loss, and of the count loss by straight-through;
        - "spikes": the same of dL/dT of the spikes of a layer that both simulations
          have, by estimators that have it; `matched` is their share of those at the
          time step 0;
        - "loss": `slope` is the measured one of the smoothed count loss along the
          gradient of all weights, at a `distance`, and `promised` the gradient's norm.

    Raises
    ------
    RunFolderError
        If the folder holds no readable run.
    ValueError
        If the run's network is one of one's own, or an argument is not possible.
    """
    config = folder.config()
    if "model_file" in config:
        raise ValueError(
            f"the run in {folder.path} is of a network of one's own, which has no "
            "exact gradient to compare with; give runs of chains."
        )
    trained = settings_of(config, workers=workers)
    steps, distances = _positive(dt_ms, "dt_ms"), _positive(distances, "distances")
    n_jitters = as_int(n_jitters, "n_jitters", least=1)
    base = trained.simulated().at(DT_MS[0], "grid")
    base = replace(base, detect="end", precision="double")
    state = load_checkpoint(folder)
    check_fits(state, base.model().weight_shapes)
    dataset, n_samples = load(base.dataset), as_int(n_samples, "n_samples", least=1)
    if n_samples > len(dataset.train_labels):
        raise ValueError(
            f"'n_samples' must not exceed the {len(dataset.train_labels)} training "
            f"samples of {dataset.title}, got {n_samples}."
        )
    dataset = dataset.head(n_samples, 1)
    base.check_dataset(dataset)
    measuring = _Measuring(base, dataset, n_jitters, distances, tau_ms)
    kinds = {"untrained": None, "trained": weights_that_count(state)}
    nothing = dict.fromkeys(COLUMNS, np.nan)
    for kind, weights in kinds.items():
        exact = measuring.at(0.0, STRAIGHT_THROUGH, weights)
        for dt in steps:
            for estimator in estimators:
                found = measuring.at(dt, estimator, weights)
                told = {"run": folder.path.name, "weights": kind, "dt_ms": dt}
                told["estimator"] = estimator
                for row in _compared(found, exact):
                    yield nothing | told | row


def _positive(values, name):
    numbers = [as_number(value, name) for value in as_list(values, name)]
    if min(numbers, default=0) <= 0:
        raise ValueError(f"'{name}' must be positive, got {values}.")
    return numbers


class _Measuring:
    """Finds gradients of both losses, and slopes, on the same samples."""

    def __init__(self, base, dataset, n_jitters, distances, tau_ms):
        self.base, self.dataset = base, dataset
        self.n_jitters, self.distances = n_jitters, distances
        self.losses = {
            "times": EarlySpikeLoss(tau=tau_ms * ms),
            "counts": SpikeCountLoss(true=base.true, false=base.false),
        }

    def at(self, dt_ms, estimator, weights):
        """Return gradients by loss, of weights and of spikes, and measured slopes."""
        settings = replace(self.base.at(dt_ms, "grid"), estimator=estimator)
        with make_network(settings, settings.model()) as network:
            if weights is not None:
                set_weights(network, weights)
            samples = self.dataset.samples("train", settings.encode, network.model)
            inputs = samples.spikes(np.arange(len(samples)))
            gradients, of_spikes, slopes = {}, {}, {}
            for name, loss in self.losses.items():
                network.zero_grad()
                loss(network(inputs), samples.labels).backward()
                gradients[name] = [
                    w.grad.numpy().astype(float) for w in network.weights
                ]
                if settings.make_estimator().by_times:
                    of_spikes[name] = network.time_gradients(
                        inputs, lambda layers, loss=loss: loss(layers, samples.labels)
                    )
            if dt_ms:
                given = network, gradients["counts"], inputs, samples.labels
                slopes = {d: self._slope(*given, d) for d in self.distances}
        return gradients, of_spikes, slopes

    def _slope(self, network, gradient, inputs, labels, distance):
        """Return the derivative of the smoothed count loss along a gradient's unit."""
        norm = _norm(gradient)
        if not norm:
            return 0.0
        before = [w.detach().clone() for w in network.weights]
        spreads = [w.std().item() for w in before]
        sizes = [s * np.sqrt(w.numel()) for s, w in zip(spreads, before, strict=True)]
        step = distance * np.linalg.norm(sizes) / norm
        generator = torch.Generator().manual_seed(0)
        total = 0.0
        for _ in range(self.n_jitters):
            jitters = [
                _JITTER * s * torch.randn(w.shape, generator=generator, dtype=w.dtype)
                for s, w in zip(spreads, before, strict=True)
            ]
            for sign in (1, -1):
                moved = [
                    w + xi + sign * step * torch.from_numpy(g).to(w.dtype)
                    for w, xi, g in zip(before, jitters, gradient, strict=True)
                ]
                set_weights(network, moved)
                with torch.no_grad():
                    loss = self.losses["counts"](network(inputs), labels)
                total += sign * loss.item()
        set_weights(network, before)
        return total / self.n_jitters / (2 * step * norm)


def _compared(found, exact):
    """Yield what differs between two sets of gradients, by loss and layer."""
    gradients, of_spikes, slopes = found
    for loss, layers in gradients.items():
        reference = exact[0][loss]
        parts = {str(n): ([g], [r]) for n, (g, r) in _numbered(layers, reference)}
        parts[EVERY_LAYER] = layers, reference
        for layer, (one, other) in parts.items():
            told = {"loss": loss, "of": WEIGHTS, "layer": layer}
            yield told | _difference(one, other)
    for loss, layers in of_spikes.items():
        for layer, (one, other) in _numbered(layers, exact[1][loss]):
            told = {"loss": loss, "of": SPIKES, "layer": str(layer)}
            yield told | _spike_difference(one, other)
    for distance, slope in slopes.items():
        told = {"loss": "counts", "of": LOSS, "layer": EVERY_LAYER}
        promised = _norm(gradients["counts"])
        yield told | {"distance": distance, "slope": slope, "promised": promised}


def _spike_difference(one, other):
    """Compare derivatives of the spikes that both of two simulations have."""
    (spikes, of_one), (exact, of_other) = one, other
    there, here = common_spikes(spikes, exact)
    one, other = of_one.numpy()[there], of_other.numpy()[here]
    share = len(here) / exact.n_spikes if exact.n_spikes else np.nan
    if not len(here):
        return {"matched": share}
    return {"matched": share, **_difference([one], [other])}


def common_spikes(one, other):
    """Return indices of the spikes that both of two `Spikes` of a layer have.

    The k-th spike of a neuron in a sample is the same in both.
    """
    keys = []
    most = max(one.n_spikes, other.n_spikes, 1)
    for spikes in (one, other):
        train = spikes.sample_and_neuron
        order = np.argsort(train, kind="stable")
        ordered = train[order]
        rank = np.arange(len(train)) - np.searchsorted(ordered, ordered)
        key = np.empty(len(train), np.int64)
        key[order] = ordered * most + rank
        keys.append(key)
    _, of_one, of_other = np.intersect1d(*keys, assume_unique=True, return_indices=True)
    return of_one, of_other


def _numbered(one, other):
    return enumerate(zip(one, other, strict=True), start=1)


def _norm(arrays):
    return float(np.sqrt(sum(np.vdot(a, a) for a in arrays)))


def _difference(one, other):
    """Return cosine, ratio of norms and share of other signs of two gradients."""
    norms = _norm(one), _norm(other)
    product = sum(np.vdot(a, b) for a, b in zip(one, other, strict=True))
    large = [np.abs(b) > _NEGLIGIBLE * np.abs(b).max() for b in other]
    wrong = [
        (np.sign(a) != np.sign(b))[chosen]
        for a, b, chosen in zip(one, other, large, strict=True)
    ]
    n_large = sum(map(len, wrong))
    return {
        "cosine": float(product / np.prod(norms)) if all(norms) else np.nan,
        "norm_ratio": norms[0] / norms[1] if norms[1] else np.nan,
        "sign_errors": sum(map(np.sum, wrong)) / n_large if n_large else np.nan,
    }
