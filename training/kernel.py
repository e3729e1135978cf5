"""The spike-time gradient of `bsnn.training.gradient` as native code for the CPU."""

import ctypes
from dataclasses import dataclass
from pathlib import Path

import torch

from bsnn.builds import load_kernel
from bsnn.equations import cuba_lif

from .gradient import LayerGradient, check_layer

SOURCE = Path(__file__).parent / "native" / "gradient.cpp"
MAX_MODES = 8  # max_modes in SOURCE
_BAD_INDEX, _OUT_OF_MEMORY = 1, 2  # Status in SOURCE

_COUNTS = "n_samples n_pre n_post n_modes n_arrivals n_spikes".split()
_ARRIVALS = "pre_offset pre_neuron pre_time".split()
_SPIKES = "post_offset post_neuron grad_sent".split()
_CROSSINGS = "crossing slope sent reset".split()
_STATES = "v i_syn step".split()
_NEURON = "dt v_threshold tau_mem".split()
_MODES = "tau synaptic_amplitude reset_amplitude".split()


class _Layer(ctypes.Structure):
    # Mirrors `Layer` in SOURCE.
    _fields_ = [
        *[(name, ctypes.c_int64) for name in _COUNTS],
        *[(n, ctypes.c_void_p) for n in _ARRIVALS + _SPIKES + _CROSSINGS + _STATES],
        *[(name, ctypes.c_double) for name in _NEURON],
        *[(name, ctypes.POINTER(ctypes.c_double)) for name in _MODES],
        ("slope_min", ctypes.c_double),
        ("weight", ctypes.c_void_p),
        ("grad_weight", ctypes.c_void_p),
        ("grad_arrival", ctypes.c_void_p),
        ("n_clamped", ctypes.c_int64),
    ]


@dataclass(frozen=True, kw_only=True, eq=False)
class BinStates:
    """Postsynaptic spikes on a grid as they were recorded, in place of `Crossings`.

    The kernel recovers the crossings as ``neuron.crossing`` does, in double precision.
    Resets act when the spikes are sent, at the end of the bin.

    Parameters
    ----------
    offset : Tensor, shape (n_samples + 1,), int64
        Sample m owns the spikes ``offset[m]:offset[m + 1]``, in the order of time.
    neuron : Tensor, shape (n_spikes,), int32
    step : Tensor, shape (n_spikes,), int64
        Bin of each spike.
    v, i_syn : Tensor, shape (n_spikes,)
        State at the end of the bin, before synapses and reset; dimensionless and in Hz.
    dt, tau_mem : float
        Seconds; ``tau_mem == 2 * tau_syn``.
    v_threshold : float
    """

    offset: torch.Tensor
    neuron: torch.Tensor
    step: torch.Tensor
    v: torch.Tensor
    i_syn: torch.Tensor
    dt: float
    tau_mem: float
    v_threshold: float


def can_recover(record, neuron):
    """Return whether `bin_states` knows the neuron's closed form."""
    p = neuron.parameters
    return (
        record.time is None
        and tuple(neuron.state) == ("v", "i_syn")
        and cuba_lif.is_quadratic(p["tau_mem"], p["tau_syn"])
    )


def bin_states(record, neuron):
    """Return the recorded `Spikes` of neurons for which `can_recover`."""
    arrays = {"offset": record.offset, "neuron": record.neuron, "step": record.step}
    return BinStates(
        **{
            name: torch.from_numpy(array)
            for name, array in {**arrays, **record.state}.items()
        },
        dt=record.dt,
        **{name: neuron.parameters[name] for name in ("tau_mem", "v_threshold")},
    )


def layer_gradient(
    pre,
    post,
    grad_sent,
    weight,
    modes,
    *,
    slope_min,
    need_pre=True,
    out=None,
    n_threads=1,
):
    """Return the gradient of one layer as `bsnn.training.gradient` defines it.

    Bit for bit the same for every number of threads. Sums are taken in another order
    than there, which changes them by rounding.

    Parameters
    ----------
    pre, post, grad_sent, weight, modes, slope_min, need_pre, out
        As for `bsnn.training.gradient.layer_gradient`, on the CPU, with contiguous
        `out` and at most `MAX_MODES` modes. `post` may also be `BinStates`.
    n_threads : int

    Returns
    -------
    LayerGradient

    Raises
    ------
    ValueError
        If the arguments do not fit together or an index is out of range.
    BackendUnavailable, BuildError
        If the kernel is not in the cache and cannot be compiled.
    """
    check_layer(pre, post, grad_sent, weight, slope_min, out)
    if weight.device.type != "cpu" or not 1 <= len(modes.tau) <= MAX_MODES:
        raise ValueError(
            f"the native gradient takes CPU tensors and 1 to {MAX_MODES} modes, got "
            f"{weight.device.type} and {len(modes.tau)}; "
            "use bsnn.training.gradient.layer_gradient."
        )
    if out is None:
        out = torch.empty(weight.shape, dtype=weight.dtype)
    elif not out.is_contiguous():
        raise ValueError("'out' must be contiguous, got another memory layout.")
    real, whole, index = torch.float64, torch.int64, torch.int32
    tensors = {
        "pre_offset": _packed(pre.offset, whole),
        "pre_neuron": _packed(pre.neuron, index),
        "pre_time": _packed(pre.time, real),
        "post_offset": _packed(post.offset, whole),
        "post_neuron": _packed(post.neuron, index),
        "grad_sent": _packed(grad_sent, real),
        "weight": _packed(weight, weight.dtype),
        "grad_weight": out,
    }
    numbers = {}
    if isinstance(post, BinStates):
        tensors["step"] = _packed(post.step, whole)
        tensors |= {n: _packed(getattr(post, n), weight.dtype) for n in ("v", "i_syn")}
        numbers = {name: getattr(post, name) for name in _NEURON}
    else:
        tensors["crossing"] = _packed(post.time, real)
        tensors |= {n: _packed(getattr(post, n), real) for n in _CROSSINGS[1:]}
    if need_pre:
        tensors["grad_arrival"] = torch.empty(pre.time.shape, dtype=real)
    vector = ctypes.c_double * len(modes.tau)
    layer = _Layer(
        n_samples=len(pre.offset) - 1,
        n_pre=weight.shape[0],
        n_post=weight.shape[1],
        n_modes=len(modes.tau),
        n_arrivals=len(pre.time),
        n_spikes=len(post.neuron),
        tau=vector(*modes.tau),
        synaptic_amplitude=vector(*modes.synaptic),
        reset_amplitude=vector(*modes.reset),
        slope_min=slope_min,
        **numbers,
        **{name: tensor.data_ptr() for name, tensor in tensors.items()},
    )
    library = load_kernel(SOURCE)
    single = weight.dtype == torch.float32
    run = library.layer_gradient_float if single else library.layer_gradient_double
    status = run(ctypes.byref(layer), ctypes.c_int64(n_threads))
    if status == _BAD_INDEX:
        raise ValueError(
            "'pre' and 'post' must have offsets that rise from 0 to their number of "
            f"spikes, and neurons below the {tuple(weight.shape)} of 'weight'; "
            "at least one is wrong."
        )
    if status == _OUT_OF_MEMORY:
        raise MemoryError("no memory left for the native gradient.")
    return LayerGradient(out, tensors.get("grad_arrival"), layer.n_clamped)


def _packed(tensor, dtype):
    if tensor.dtype == dtype and tensor.is_contiguous():
        return tensor
    return tensor.to(dtype).contiguous()
