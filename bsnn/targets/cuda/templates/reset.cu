{# Brian2CUDA's reset for the event space of threshold.cu: a thread for each entry. #}
{# USES_VARIABLES { N } #}
{% extends 'block_kernel.cu' %}
{% set _n = "(" ~ owner.N ~ " / " ~ n_replicas ~ ")" %}
{% block blocks %}(_replicas * {{_n}} + 255) / 256{% endblock %}
{% block kernel_maincode %}
    const int _entry = blockIdx.x * blockDim.x + threadIdx.x;
    const int _idx = _entry < _replicas * {{_n}} ? {{get_array_name(eventspace_variable)}}[_entry] : -1;
    if (_idx < 0)
        return;
    const int _vectorisation_idx = _idx;
    {{scalar_code|autoindent}}
    {
        {{vector_code|autoindent}}
    }
{% endblock %}
