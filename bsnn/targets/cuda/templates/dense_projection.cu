{# As dense_projection.cpp, for replicas side by side: block (tile, replica), each thread
   owns one target, so that nothing is summed atomically. The spikes of replica r are
   those of the source from entry r * n_pre on, up to an entry of -1, in rising order;
   two rows are added at a time, as in C++, so that sums round alike. #}
{# USES_VARIABLES { N } #}
{% extends 'block_kernel.cu' %}
{% block blocks %}({{n_post}} + 127) / 128, _replicas{% endblock %}
{% block threads %}128{% endblock %}
{% block kernel_maincode %}
    {% set _real = c_data_type(weights.dtype) %}
    const int _j = blockIdx.x * blockDim.x + threadIdx.x;
    if (_j >= {{n_post}})
        return;
    const int32_t* const _fired = {{get_array_name(source_events)}} + (size_t)blockIdx.y * {{n_pre}};
    const int32_t _first_neuron = blockIdx.y * {{n_pre}};
    if (_fired[0] < 0)
        return;
    const {{_real}}* const __restrict__ _column = {{get_array_name(weights)}} + _j;
    {{_real}} _sum = {{get_array_name(target)}}[(size_t)blockIdx.y * {{n_post}} + _j];
    for (int _k = 0; _k < {{n_pre}}; _k += 2) {
        const int32_t _one = _fired[_k];
        if (_one < 0)
            break;
        const int32_t _other = _k + 1 < {{n_pre}} ? _fired[_k + 1] : -1;
        const {{_real}} _first = _column[(size_t)(_one - _first_neuron) * {{n_post}}];
        if (_other < 0) {
            _sum += _first;
            break;
        }
        _sum += _first + _column[(size_t)(_other - _first_neuron) * {{n_post}}];
    }
    {{get_array_name(target)}}[(size_t)blockIdx.y * {{n_post}} + _j] = _sum;
{% endblock %}
