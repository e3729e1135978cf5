r"""The spike-time gradient of one fully connected layer, in torch on any device.

Spike z of a neuron crosses threshold at t_z with slope v'_z, is sent at T_z, and resets
the neuron at r_z. Presynaptic spikes arrive at T_i with weight w_i. With the responses
eps and rho of `bsnn.equations.linear`,

    v(t) = sum_i w_i eps(t - T_i) + sum_z rho(t - r_z),       v(t_z) = v_threshold.

Differentiating the crossing, and taking dT/dt = dr/dt = 1 straight through the grid,

    lambda_z = dL/dT_z + sum_{later z'} q_z' (-rho'(t_z' - r_z))      total dL/dt_z
    q_z      = -lambda_z / max(v'_z, slope_min)                       dL/dv(t_z)
    dL/dw_ij = sum_z q_z eps(t_z - T_i)
    dL/dT_i  = sum_{j,z} q_z w_ij (-eps'(t_z - T_i))

where a pair (i, z) counts if T_i < t_z, strictly: what arrives as a neuron crosses did
not make it cross. The responses are sums of exponential modes, so both sums over z are
read from one trace for each mode k and neuron j, swept backwards in time:

    Lambda_kj(t) = sum_{z of j, t_z > t} q_z exp(-(t_z - t)/tau_k).

References
----------
Bohte et al. 2002, doi:10.1016/S0925-2312(01)00658-0 (the derivative of a crossing).
Bacho & Chu 2023, doi:10.1162/neco_a_01609 (several spikes per neuron, soft reset).
Bengio et al. 2013, arXiv:1308.3432 (straight-through).
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch

# Samples are swept together while their traces have at most this many elements; a
# sample that alone has more is swept by itself. A few large sweeps suit a GPU best: a
# gigabyte or so of traces.
MAX_TRACE_ELEMENTS = {"cpu": 2**22, "cuda": 2**26}


@dataclass(frozen=True, kw_only=True, eq=False)
class Arrivals:
    """Presynaptic spikes, ordered by sample, then time.

    Parameters
    ----------
    offset : Tensor, shape (n_samples + 1,), int64
        Sample m owns the spikes ``offset[m]:offset[m + 1]``.
    neuron : Tensor, shape (n_spikes,), int32 or int64
    time : Tensor, shape (n_spikes,), float64
        When each spike takes effect, in seconds from the start of its sample.
    """

    offset: torch.Tensor
    neuron: torch.Tensor
    time: torch.Tensor


@dataclass(frozen=True, kw_only=True, eq=False)
class Crossings:
    """Postsynaptic spikes; those of one neuron and sample follow each other in time.

    Parameters
    ----------
    offset : Tensor, shape (n_samples + 1,), int64
    neuron : Tensor, shape (n_spikes,), int32 or int64
    time : Tensor, shape (n_spikes,), float64
        Exact crossing t_z in seconds. On a time grid the start of a bin must be
        computed as an arrival is, an integer times dt, so that the two compare equal.
    slope : Tensor, shape (n_spikes,), float64
        dv/dt at the crossing, in Hz.
    sent : Tensor, shape (n_spikes,), float64
        When the spike takes effect elsewhere, T_z. A crossing that rounding put behind
        it counts as coming at T_z.
    reset : Tensor, shape (n_spikes,), float64
        When the reset acts, r_z: from t_z to the neuron's next crossing.
    """

    offset: torch.Tensor
    neuron: torch.Tensor
    time: torch.Tensor
    slope: torch.Tensor
    sent: torch.Tensor
    reset: torch.Tensor


class LayerGradient(NamedTuple):
    """Derivatives of the loss with respect to what drives a layer.

    Parameters
    ----------
    weight : Tensor, shape (n_pre, n_post), dtype of the weights
    arrival : Tensor, shape (n_arrivals,), float64, or None
        With respect to the arrivals, per second; None if not asked for.
    n_clamped : int
        Slopes that were below `slope_min`.
    """

    weight: torch.Tensor
    arrival: torch.Tensor | None
    n_clamped: int


def layer_gradient(
    pre, post, grad_sent, weight, modes, *, slope_min, need_pre=True, out=None
):
    """Return the gradient of one layer.

    Spike times and the derivatives with respect to them are float64; traces have the
    dtype of the weights. Time and memory grow as spikes times fan-out, whatever the
    duration. Indices are trusted.

    Parameters
    ----------
    pre : Arrivals
    post : Crossings
        Of the same samples, on the device of `weight` like all other tensors.
    grad_sent : Tensor, shape (n_crossings,)
        dL/dT_z in 1/s, as if each spike time were free.
    weight : Tensor, shape (n_pre, n_post), float32 or float64
        In Hz.
    modes : ExponentialModes
    slope_min : float
        Smaller slopes count as this many Hz.
    need_pre : bool
        Whether the derivatives with respect to the arrivals are wanted.
    out : Tensor, shape (n_pre, n_post), dtype of `weight`, optional
        Overwritten with the gradient of the weights, and returned.

    Returns
    -------
    LayerGradient

    Raises
    ------
    ValueError
        If `slope_min` is not positive or the tensors do not fit together.
    """
    check_layer(pre, post, weight, slope_min)
    check_results(post, grad_sent, weight, out)
    crossing = torch.minimum(post.time, post.sent)
    sensitivity = crossing_sensitivity(
        post, crossing, grad_sent, modes, slope_min, n_post=weight.shape[1]
    )
    sweep = _Sweep(pre, post, crossing, sensitivity, weight, modes)
    grad_weight = torch.zeros_like(weight) if out is None else out.zero_()
    grad_arrival = torch.zeros_like(pre.time) if need_pre else None
    synaptic, tau = weight.new_tensor(modes.synaptic), weight.new_tensor(modes.tau)
    for arrivals, spikes in _chunks(pre, post, len(tau) * weight.shape[1]):
        trace, row = sweep.traces(arrivals, spikes), pre.neuron[arrivals].long()
        grad_weight.index_add_(0, row, _over_modes(trace, synaptic))
        if need_pre:
            by_arrival = _over_modes(trace, synaptic / tau) * weight[row]
            grad_arrival[arrivals] = by_arrival.sum(1).double()
    n_clamped = int((post.slope < slope_min).sum())
    return LayerGradient(grad_weight, grad_arrival, n_clamped)


def _over_modes(trace, amplitude):
    # One after another: how a matrix product rounds depends on the number of threads.
    return sum(trace[:, k] * factor for k, factor in enumerate(amplitude))


def layer_gradient_on(device, pre, post, grad_sent, weight, modes, **options):
    """Return `layer_gradient`, computed on `device` and brought back.

    The result lies where `weight` does. Parameters are those of `layer_gradient`.
    """
    home, out = weight.device, options.pop("out", None)
    result = layer_gradient(
        _moved(pre, device),
        _moved(post, device),
        grad_sent.to(device),
        weight.to(device),
        modes,
        **options,
    )
    grad_weight = result.weight.to(home)
    if out is not None:
        grad_weight = out.copy_(grad_weight)
    arrival = None if result.arrival is None else result.arrival.to(home)
    return LayerGradient(grad_weight, arrival, result.n_clamped)


def _moved(spikes, device):
    return type(spikes)(**{k: v.to(device) for k, v in vars(spikes).items()})


def check_layer(pre, post, weight, slope_min):
    """Raise ValueError unless these arguments of `layer_gradient` fit together."""
    if not slope_min > 0:
        raise ValueError(f"'slope_min' must be positive, got {slope_min}.")
    if weight.ndim != 2 or weight.dtype not in (torch.float32, torch.float64):
        raise ValueError(
            "'weight' must be a float32 or float64 matrix, "
            f"got {weight.dtype} of shape {tuple(weight.shape)}."
        )
    if pre.offset.shape != post.offset.shape:
        raise ValueError(
            "'pre' and 'post' must have the same samples, "
            f"got {len(pre.offset) - 1} and {len(post.offset) - 1}."
        )
    for where, spikes in (("pre", pre), ("post", post)):
        for name, value in vars(spikes).items():
            if name != "offset" and isinstance(value, torch.Tensor):
                _check_length(f"{where}.{name}", value, spikes)


def check_results(post, grad_sent, weight, out):
    """Raise ValueError unless these arguments of `layer_gradient` fit together."""
    _check_length("grad_sent", grad_sent, post)
    if out is not None and (out.shape != weight.shape or out.dtype != weight.dtype):
        raise ValueError(
            f"'out' must have the shape {tuple(weight.shape)} and dtype {weight.dtype} "
            f"of 'weight', got {tuple(out.shape)} and {out.dtype}."
        )


def _check_length(name, tensor, spikes):
    if tensor.shape != spikes.neuron.shape:
        raise ValueError(
            f"'{name}' must have one entry for each of the {len(spikes.neuron)} "
            f"spikes, got shape {tuple(tensor.shape)}."
        )


def crossing_sensitivity(post, crossing, grad_sent, modes, slope_min, *, n_post):
    r"""Return q_z, the derivative of the loss with respect to v(t_z).

    A later own spike acts through the state P_k = Lambda_k at the spike's crossing, of
    the modes k that a reset excites. From the next spike z' back to z,

        P_z = q_z + inside_z carried_z,   carried_z = waiting_z P_z',
        q_z = -(dL/dT_z + sum_k (reset_k/tau_k) carried_zk) / slope_z,

    with inside = exp(-(r_z - t_z)/tau), waiting = exp(-(t_z' - r_z)/tau): an affine
    recurrence in P along each neuron's spikes.

    Returns
    -------
    sensitivity : Tensor, shape (n_crossings,), float64
    """
    neuron_and_sample = _sample(post.offset) * n_post + post.neuron
    key, order = torch.sort(neuron_and_sample, stable=True)
    time, reset = crossing[order], post.reset[order]
    grad, slope = grad_sent[order].double(), post.slope[order].clamp(min=slope_min)

    excited = [k for k, amplitude in enumerate(modes.reset) if amplitude != 0]
    tau = time.new_tensor([modes.tau[k] for k in excited])
    rate = time.new_tensor([modes.reset[k] for k in excited]) / tau
    inside = torch.exp(-(reset - time)[:, None] / tau)
    waiting = torch.zeros_like(inside)
    waiting[:-1] = torch.exp(-(time[1:] - reset[:-1])[:, None] / tau)
    waiting[:-1][key[1:] != key[:-1]] = 0

    own = torch.diag_embed(inside * waiting)
    coupling = (rate * waiting / slope[:, None])[:, None, :]
    free = (-grad / slope)[:, None, None].expand(-1, len(excited), 1)
    n_repeats = torch.unique_consecutive(key, return_counts=True)[1]
    state = reverse_scan(
        own - coupling, free, longest=_largest(n_repeats), product=torch.matmul
    )
    carried = waiting * torch.cat([state[1:, :, 0], state[:1, :, 0]])
    sensitivity = torch.empty_like(time)
    sensitivity[order] = -(grad + (carried * rate).sum(1)) / slope
    return sensitivity


def reverse_scan(decay, value, *, longest, product=torch.mul):
    """Solve ``x[n] = value[n] + product(decay[n], x[n + 1])`` by doubling.

    Parameters
    ----------
    decay, value : Tensor, shape (n, ...)
        `decay` is zero at the last entry of each segment.
    longest : int
        Length of the longest segment; its logarithm is the number of rounds.
    product : callable
        ``torch.mul``, or ``torch.matmul`` for matrices.

    Returns
    -------
    x : Tensor, shape of `value`
    """
    x, shift = value.clone(), 1
    while shift < min(longest, len(x)):
        n_reached = len(x) - shift
        x[:n_reached] += product(decay[:n_reached], x[shift:])
        # x[n] now holds the terms up to n + 2 shift - 1; decay[n] leads to n + 2 shift.
        n_reached = max(n_reached - shift, 0)
        decay = product(decay[:n_reached], decay[shift:][:n_reached])
        shift *= 2
    return x


class _Sweep:
    """What the traces of any chunk of samples are made from.

    Each spike enters the trace at the last arrival before it and decays from there to
    the earlier ones, so that no exponent is positive, however long the sample.
    """

    def __init__(self, pre, post, crossing, sensitivity, weight, modes):
        self.weight, tau = weight, pre.time.new_tensor(modes.tau)
        sample = _sample(pre.offset)
        self.decay = pre.time.new_zeros(len(pre.time), len(tau))
        self.decay[:-1] = torch.exp(-pre.time.diff()[:, None] / tau)
        self.decay[:-1][sample[1:] != sample[:-1]] = 0
        self.longest = _largest(pre.offset.diff())

        last = _arrivals_before(pre, post, crossing) - 1
        self.counts = last >= pre.offset[_sample(post.offset)]
        delay = crossing - pre.time[last.clamp(min=0)] if len(pre.time) else crossing
        self.amount = sensitivity[:, None] * torch.exp(-delay[:, None] / tau)
        self.last, self.column = last, post.neuron.long()

    def traces(self, arrivals, spikes):
        """Return Lambda_kj at the arrivals of a chunk; shape (n, K, n_post)."""
        n_modes, dtype = self.decay.shape[1], self.weight.dtype
        chosen = self.counts[spikes]
        row = self.last[spikes][chosen] - arrivals.start
        column = self.column[spikes][chosen]
        # On the CPU, torch adds floats in any order, but doubles one after another.
        entering = self.weight.new_zeros(
            (arrivals.stop - arrivals.start, n_modes, self.weight.shape[1]),
            dtype=dtype if self.weight.is_cuda else torch.float64,
        )
        entering.transpose(1, 2).index_put_(
            (row, column), self.amount[spikes][chosen].to(entering), accumulate=True
        )
        decay = self.decay[arrivals, :, None].to(dtype)
        return reverse_scan(decay, entering.to(dtype), longest=self.longest)


def _chunks(pre, post, elements_per_arrival):
    # Arrivals and spikes of consecutive samples, as pairs of slices.
    arrivals, spikes = pre.offset.tolist(), post.offset.tolist()
    most = MAX_TRACE_ELEMENTS["cuda" if pre.time.is_cuda else "cpu"]
    start, limit = 0, most // max(elements_per_arrival, 1)
    for stop in range(1, len(arrivals)):
        is_last = stop + 1 == len(arrivals)
        if is_last or arrivals[stop + 1] - arrivals[start] > limit:
            yield (
                slice(arrivals[start], arrivals[stop]),
                slice(spikes[start], spikes[stop]),
            )
            start = stop


def _arrivals_before(pre, post, crossing):
    # Index of the first arrival of its sample that does not precede each crossing.
    # Ranks in place of times let one integer hold sample and time without rounding.
    instants, rank = torch.unique(torch.cat([pre.time, crossing]), return_inverse=True)
    sample = torch.cat([_sample(pre.offset), _sample(post.offset)])
    key = sample * len(instants) + rank
    return torch.searchsorted(key[: len(pre.time)], key[len(pre.time) :])


def _sample(offset):
    # Sample of each spike.
    index = torch.arange(len(offset) - 1, device=offset.device)
    return index.repeat_interleave(offset.diff())


def _largest(counts):
    return int(counts.max()) if len(counts) else 0
