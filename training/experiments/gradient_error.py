r"""How far the gradient of each estimator is from the one without a time grid.

At the time step 0 spike times are exact functions of the weights, and so is the
gradient of a loss of times: it is compared with what each estimator finds at each time
step, for the same weights and samples. A loss of counts has no such gradient, since a
count moves in jumps. What counts do when weights change is asked of the network itself:
jittered weights make them smooth,

    L_s(w) = E[L(w + s xi)],     xi normal, s relative to the spread of each layer's w,

and the slope of L_s along the direction of an estimator is measured by differences over
common jitters. It is compared with what the estimator promised, its norm.
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
COLUMNS = (
    "run",
    "weights",
    "loss",
    "estimator",
    "dt_ms",
    "layer",
    "cosine",
    "norm_ratio",
    "sign_errors",
    "slope",
    "promised",
)
EVERY_LAYER = "all"
_JITTER = 0.02  # of the spread of a layer's weights
_STEP = 0.001  # of the differences, relative to the norm of all spreads
_NEGLIGIBLE = 1e-3  # of the largest derivative: its sign is none


def gradient_errors(
    folder,
    load,
    *,
    dt_ms: Sequence[float] = DT_MS,
    estimators: Sequence[str] = ESTIMATORS,
    n_samples: int = 100,
    n_jitters: int = 8,
    tau_ms: float = 30.0,
    workers: int | None = None,
) -> Iterator[dict]:
    """Yield a row for each of weights, loss, time step, estimator and layer of a run.

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
    tau_ms : float
        Of the loss of times, `EarlySpikeLoss`.
    workers : int, optional

    Yields
    ------
    row : dict
        With `COLUMNS`. `cosine`, `norm_ratio` and `sign_errors` (a share) compare a
        gradient with that at the time step 0: of the same loss, and of the count loss
        by straight-through. `slope` is the measured one of the smoothed count loss
        along the gradient, and `promised` the gradient's norm; both are NaN for the
        loss of times, and but for all layers together.

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
    steps = [as_number(dt, "dt_ms") for dt in as_list(dt_ms, "dt_ms")]
    if min(steps, default=0) <= 0:
        raise ValueError(f"'dt_ms' must be positive, got {dt_ms}.")
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
    measuring = _Measuring(base, dataset, n_jitters, tau_ms)
    kinds = {"untrained": None, "trained": weights_that_count(state)}
    for kind, weights in kinds.items():
        exact = measuring.at(0.0, STRAIGHT_THROUGH, weights)
        for dt in steps:
            for estimator in estimators:
                found = measuring.at(dt, estimator, weights)
                for row in _compared(found, exact):
                    row |= {"run": folder.path.name, "weights": kind, "dt_ms": dt}
                    row["estimator"] = estimator
                    yield {name: row[name] for name in COLUMNS}


class _Measuring:
    """Finds gradients of both losses, and slopes, on the same samples."""

    def __init__(self, base, dataset, n_jitters, tau_ms):
        self.base, self.dataset, self.n_jitters = base, dataset, n_jitters
        self.losses = {
            "times": EarlySpikeLoss(tau=tau_ms * ms),
            "counts": SpikeCountLoss(true=base.true, false=base.false),
        }

    def at(self, dt_ms, estimator, weights):
        """Return gradients and measured slopes by loss, at one time step."""
        settings = replace(self.base.at(dt_ms, "grid"), estimator=estimator)
        with make_network(settings, settings.model()) as network:
            if weights is not None:
                set_weights(network, weights)
            samples = self.dataset.samples("train", settings.encode, network.model)
            inputs = samples.spikes(np.arange(len(samples)))
            gradients = {}
            for name, loss in self.losses.items():
                network.zero_grad()
                loss(network(inputs), samples.labels).backward()
                gradients[name] = [
                    w.grad.numpy().astype(float) for w in network.weights
                ]
            slope = None
            if dt_ms:
                direction = gradients["counts"]
                slope = self._slope(network, direction, inputs, samples.labels)
        return gradients, slope

    def _slope(self, network, gradient, inputs, labels):
        """Return the derivative of the smoothed count loss along a gradient's unit."""
        norm = _norm(gradient)
        if not norm:
            return 0.0
        before = [w.detach().clone() for w in network.weights]
        spreads = [w.std().item() for w in before]
        sizes = [s * np.sqrt(w.numel()) for s, w in zip(spreads, before, strict=True)]
        step = _STEP * np.linalg.norm(sizes) / norm
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
    gradients, slope = found
    for loss, layers in gradients.items():
        reference = exact[0][loss]
        parts = {str(n): ([g], [r]) for n, (g, r) in _numbered(layers, reference)}
        parts[EVERY_LAYER] = layers, reference
        for layer, (one, other) in parts.items():
            counted = loss == "counts" and layer == EVERY_LAYER
            yield {
                "loss": loss,
                "layer": layer,
                **_difference(one, other),
                "slope": slope if counted else np.nan,
                "promised": _norm(one) if counted else np.nan,
            }


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
