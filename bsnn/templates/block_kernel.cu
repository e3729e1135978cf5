{# A kernel of one block of threads per replica and tile, launched without waiting. A
   child sets the dimensions and the body; every thread reaches each barrier. #}
{# USES_VARIABLES { N } #}
{% extends 'common_group.cu' %}
{% block kernel %}
__global__ void _run_kernel_{{codeobj_name}}(
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
    const dim3 _blocks({% block blocks %}1, 1{% endblock %});
    _run_kernel_{{codeobj_name}}<<<_blocks, {% block threads %}256{% endblock %}>>>(
            {% block extra_host_parameters %}
            {% endblock %}
            %HOST_PARAMETERS%
        );
    CUDA_CHECK_ERROR("_run_kernel_{{codeobj_name}}");
{% endblock kernel_call %}
