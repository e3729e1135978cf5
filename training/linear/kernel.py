"""The spike-time gradient of `gradient.py` as native code for the CPU."""

import ctypes
import functools
import threading
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from bsnn.equations.models import cuba_lif
from bsnn.kernels import load_kernel, struct

from .gradient import LayerGradient, check_layer, check_results

SOURCE = Path(__file__).parent / "native" / "gradient.cpp"
MAX_MODES = 8  # max_modes in SOURCE
MAX_SPIKES = 2**31 - 1  # of a batch: they are numbered in int32 there
_BAD_INDEX, _OUT_OF_MEMORY = 1, 2  # Status in SOURCE


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


def as_tensor(array):
    """Return an array of `Spikes` as a tensor, which is not to be written."""
    if array.flags.writeable:
        return torch.from_numpy(array)
    # torch warns of an array that cannot be written, but the array it views can be.
    whole = array.base
    if isinstance(whole, np.ndarray) and whole.shape == array.shape:
        return torch.from_numpy(whole)
    return torch.tensor(array)


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
            name: as_tensor(array) for name, array in {**arrays, **record.state}.items()
        },
        dt=record.dt,
        **{name: neuron.parameters[name] for name in ("tau_mem", "v_threshold")},
    )


class PreparedGradient:
    """The gradient of one layer, which helping threads begin at once.

    All that does not depend on the loss, more than a third of the work, is done while
    the caller goes on. Call it with the derivatives of the loss for the rest.

    Parameters
    ----------
    pre, post, weight, modes, slope_min, need_pre
        As for `bsnn.training.linear.gradient.layer_gradient`, on the CPU, with at most
        `MAX_MODES` modes. `post` may also be `BinStates`. None may change before the
        gradient is there.
    n_threads : int

    Raises
    ------
    ValueError
        If the arguments do not fit together.
    MemoryError
        If there is none left.
    BackendUnavailable, BuildError
        If the kernel is not in the cache and cannot be compiled.
    """

    _begun = None  # what is to be freed

    def __init__(
        self, pre, post, weight, modes, *, slope_min, need_pre=True, n_threads=1
    ):
        check_layer(pre, post, weight, slope_min)
        if weight.device.type != "cpu" or not 1 <= len(modes.tau) <= MAX_MODES:
            raise ValueError(
                f"the native gradient takes CPU tensors and 1 to {MAX_MODES} modes, "
                f"got {weight.device.type} and {len(modes.tau)}; "
                "use bsnn.training.linear.gradient.layer_gradient."
            )
        n_spikes = max(len(pre.time), len(post.neuron))
        if n_spikes > MAX_SPIKES:
            raise ValueError(
                f"the native gradient takes at most {MAX_SPIKES} spikes of a layer, "
                f"got {n_spikes}; split the batch."
            )
        self._post, self._weight = post, weight
        tensors = {
            "pre_offset": _packed(pre.offset, torch.int64),
            "pre_neuron": _packed(pre.neuron, torch.int32),
            "pre_time": _packed(pre.time, torch.float64),
            "post_offset": _packed(post.offset, torch.int64),
            "post_neuron": _packed(post.neuron, torch.int32),
            "weight": _packed(weight, weight.dtype),
        }
        numbers = {}
        if isinstance(post, BinStates):
            tensors["step"] = _packed(post.step, torch.int64)
            for name in ("v", "i_syn"):
                tensors[name] = _packed(getattr(post, name), weight.dtype)
            numbers = {n: getattr(post, n) for n in ("dt", "v_threshold", "tau_mem")}
        else:
            tensors["crossing"] = _packed(post.time, torch.float64)
            for name in ("slope", "sent", "reset"):
                tensors[name] = _packed(getattr(post, name), torch.float64)
        vector = ctypes.c_double * len(modes.tau)
        vectors = [vector(*of) for of in (modes.tau, modes.synaptic, modes.reset)]
        tau, synaptic, reset = map(ctypes.addressof, vectors)
        self._tensors, self._vectors, self._need_pre = tensors, vectors, need_pre
        self._layer = struct(SOURCE, "Layer")(
            n_samples=len(pre.offset) - 1,
            n_pre=weight.shape[0],
            n_post=weight.shape[1],
            n_modes=len(modes.tau),
            n_arrivals=len(pre.time),
            n_spikes=len(post.neuron),
            tau=tau,
            synaptic_amplitude=synaptic,
            reset_amplitude=reset,
            slope_min=slope_min,
            **numbers,
            **{name: tensor.data_ptr() for name, tensor in tensors.items()},
        )
        self._n_threads, self._library = n_threads, _library()
        self._lock = threading.RLock()  # two backward passes may come to one graph
        self._begun = self._begin()

    def _begin(self):
        single = self._weight.dtype == torch.float32
        begun = self._library.begin_gradient(
            ctypes.byref(self._layer), single, self._n_threads
        )
        if begun is None:
            raise MemoryError("no memory left for the native gradient.")
        return begun

    def __call__(self, grad_sent, out=None):
        """Return the `LayerGradient`.

        Parameters
        ----------
        grad_sent : Tensor, shape (n_crossings,)
            dL/dT_z in 1/s.
        out : Tensor, shape and dtype of the weights, contiguous, optional
            Overwritten with the gradient of the weights, and returned.

        Raises
        ------
        ValueError
            If the arguments do not fit together or an index is out of range.
        MemoryError
            If there is none left.
        """
        with self._lock:
            return self._finish(grad_sent, out)

    def _finish(self, grad_sent, out):
        weight, layer = self._weight, self._layer
        check_results(self._post, grad_sent, weight, out)
        if out is None:
            out = torch.empty_like(weight, memory_format=torch.contiguous_format)
        elif not out.is_contiguous():
            raise ValueError("'out' must be contiguous, got another memory layout.")
        grad_sent, grad_arrival = _packed(grad_sent, torch.float64), None
        layer.grad_sent, layer.grad_weight = grad_sent.data_ptr(), out.data_ptr()
        if self._need_pre:
            grad_arrival = torch.empty_like(self._tensors["pre_time"])
            layer.grad_arrival = grad_arrival.data_ptr()
        begun, self._begun = self._begun or self._begin(), None  # a second time
        try:
            status = self._library.finish_gradient(begun)
        finally:
            self._library.free_gradient(begun)
        if status == _BAD_INDEX:
            raise ValueError(
                "'pre' and 'post' must have offsets that rise from 0 to their number "
                f"of spikes, and neurons below the {tuple(weight.shape)} of 'weight'; "
                "at least one is wrong."
            )
        if status == _OUT_OF_MEMORY:
            raise MemoryError("no memory left for the native gradient.")
        return LayerGradient(out, grad_arrival, layer.n_clamped)

    def __del__(self):
        if self._begun is not None:
            self._library.free_gradient(self._begun)


def layer_gradient(pre, post, grad_sent, weight, modes, *, out=None, **options):
    """Return the gradient of one layer as `bsnn.training.linear.gradient` defines it.

    Bit for bit the same for every number of threads. Sums are taken in another order
    than there, which changes them by rounding. Parameters and errors are those of
    `PreparedGradient`.
    """
    return PreparedGradient(pre, post, weight, modes, **options)(grad_sent, out)


@functools.cache
def _library():
    library = load_kernel(SOURCE)
    library.begin_gradient.argtypes = [ctypes.c_void_p, ctypes.c_bool, ctypes.c_int64]
    library.begin_gradient.restype = ctypes.c_void_p
    library.finish_gradient.argtypes = [ctypes.c_void_p]
    library.free_gradient.argtypes = [ctypes.c_void_p]
    library.free_gradient.restype = None
    return library


def _packed(tensor, dtype):
    if tensor.dtype == dtype and tensor.is_contiguous():
        return tensor
    return tensor.to(dtype).contiguous()
