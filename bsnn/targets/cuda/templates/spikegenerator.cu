{# One block a replica. The spikes lie ordered by step, then neuron, replica by replica,
   so those of a replica and step are found by bisection; the event space is that of
   threshold.cu. #}
{# USES_VARIABLES {_spikespace, neuron_index, _timebins, t_in_timesteps, N} #}
{% extends 'block_kernel.cu' %}
{% block blocks %}_replicas{% endblock %}
{% block extra_kernel_parameters %}
    const int* _trial, const int _trial_steps,
{% endblock %}
{% block extra_host_parameters %}
    bsnn::trial(),
    bsnn::steps_per_trial(),
{% endblock %}
{% block kernel_maincode %}
    const int _n = {{owner.N}} / {{n_replicas}}, _first = blockIdx.x * _n;
    const int32_t _now = *_trial * _trial_steps + {{t_in_timesteps}};
    __shared__ int _bounds[2];
    if (threadIdx.x < 2) {
        const int _neuron = _first + threadIdx.x * _n;
        int _low = 0, _high = _num_timebins;
        while (_low < _high) {
            const int _middle = (_low + _high) / 2;
            const int32_t _bin = {{_timebins}}[_middle];
            if (_bin < _now || (_bin == _now && {{neuron_index}}[_middle] < _neuron))
                _low = _middle + 1;
            else
                _high = _middle;
        }
        _bounds[threadIdx.x] = _low;
    }
    __syncthreads();
    const int _count = _bounds[1] - _bounds[0];
    for (int _k = threadIdx.x; _k < _n; _k += blockDim.x)
        {{_spikespace}}[_first + _k] = _k < _count ? {{neuron_index}}[_bounds[0] + _k] : -1;
{% endblock %}
