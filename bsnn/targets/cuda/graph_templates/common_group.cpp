{# A piece of Brian2's code as a function that all threads of a block run together. Its
   arrays are those of the block's sample. #}
{% macro cpp_file() %}
namespace of_{{codeobj_name}} {

#define inline BSNN_ANYWHERE inline
{{support_code_lines|autoindent}}
#undef inline
{{hashdefine_lines|autoindent}}

__device__ __noinline__ void run(bsnn::Block& _own)
{
    %CONSTANTS%
    {{of_block(pointers_lines)|autoindent}}

    {% block maincode %}
    {% endblock %}
}

}  // namespace of_{{codeobj_name}}
{% endmacro %}

{% macro h_file() %}
{% endmacro %}

{% macro before_run_cpp_file() %}
{% endmacro %}

{% macro before_run_h_file() %}
{% endmacro %}

{% macro after_run_cpp_file() %}
{% endmacro %}

{% macro after_run_h_file() %}
{% endmacro %}
