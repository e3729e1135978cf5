{# A kernel for the first `_replicas` replicas, those that have a sample, launched without
   waiting. A child sets the dimensions and the body; every thread reaches each barrier. #}
{# USES_VARIABLES { N } #}
{% extends 'common_group.cu' %}
{% block extra_headers %}
#include "replicas.cuh"
{% endblock %}
{% block kernel %}
__global__ void _run_kernel_{{codeobj_name}}(
    const int _replicas,
    {% block extra_kernel_parameters %}
    {% endblock %}
    %KERNEL_PARAMETERS%
    )
{
    using namespace brian;
    %KERNEL_CONSTANTS%
    {{kernel_lines|autoindent}}
    {% block kernel_maincode %}
    {% endblock %}
}
{% endblock kernel %}
{% block prepare_kernel %}{% endblock %}
{% block kernel_call %}
    const int _replicas = bsnn::busy_replicas();
    const dim3 _blocks({% block blocks %}1, 1{% endblock %});
    const dim3 _threads({% block threads %}256{% endblock %});
    _run_kernel_{{codeobj_name}}<<<_blocks, _threads, 0, bsnn::stream()>>>(
            _replicas,
            {% block extra_host_parameters %}
            {% endblock %}
            %HOST_PARAMETERS%
        );
    CUDA_CHECK_ERROR("_run_kernel_{{codeobj_name}}");
{% endblock kernel_call %}
