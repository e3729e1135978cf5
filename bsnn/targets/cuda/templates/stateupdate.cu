{# Brian2CUDA's state updater as a kernel that can be captured in a graph. A thread works
   out what depends on dt alone, exponentials mostly, once for several neurons. #}
{# USES_VARIABLES { N } #}
{# ALLOWS_SCALAR_WRITE #}
{% extends 'block_kernel.cu' %}
{% set _n = "(" ~ owner.N ~ " / " ~ n_replicas ~ ")" %}
{% block blocks %}(_replicas * {{_n}} + 2047) / 2048{% endblock %}
{% block kernel_maincode %}
    const int _vectorisation_idx = -1;
    {{scalar_code|autoindent}}
    for (int _idx = blockIdx.x * blockDim.x + threadIdx.x; _idx < _replicas * {{_n}};
         _idx += gridDim.x * blockDim.x) {
        const int _vectorisation_idx = _idx;
        {{vector_code|autoindent}}
    }
{% endblock %}
