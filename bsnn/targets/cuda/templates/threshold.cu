{# One block a replica of n neurons. The neurons of replica r that fire stand in rising
   order from entry r * n of the event space on, the rest of its n entries is -1. #}
{# USES_VARIABLES { N } #}
{% extends 'block_kernel.cu' %}
{% set _events = get_array_name(eventspace_variable) %}
{% block blocks %}_replicas{% endblock %}
{% block kernel_maincode %}
    {% if _uses_refractory %}
    #error "refractory neurons need brian2cuda's own threshold template"
    {% endif %}
    const int _n = {{owner.N}} / {{n_replicas}}, _first = blockIdx.x * _n;
    const int _lane = threadIdx.x % 32, _warp = threadIdx.x / 32;
    __shared__ int _fired[8];  // neurons of each warp
    int _count = 0;
    for (int _start = 0; _start < _n; _start += blockDim.x) {
        const int _idx = _first + _start + threadIdx.x;
        const int _vectorisation_idx = _idx;
        bool _crossed = false;
        if (_start + (int)threadIdx.x < _n) {
            {{scalar_code|autoindent}}
            {
                {{vector_code|autoindent}}
                _crossed = _cond;
            }
        }
        const unsigned _votes = __ballot_sync(0xffffffff, _crossed);
        if (_lane == 0)
            _fired[_warp] = __popc(_votes);
        __syncthreads();
        int _before = __popc(_votes & ((1u << _lane) - 1)), _all = 0;
        for (int _k = 0; _k < 8; _k++) {
            _before += _k < _warp ? _fired[_k] : 0;
            _all += _fired[_k];
        }
        if (_crossed)
            {{_events}}[_first + _count + _before] = _idx;
        _count += _all;
        __syncthreads();
    }
    for (int _k = _count + threadIdx.x; _k < _n; _k += blockDim.x)
        {{_events}}[_first + _k] = -1;
{% endblock %}
