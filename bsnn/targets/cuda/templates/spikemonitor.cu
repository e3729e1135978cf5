{# Appends the spikes of this step in no order, counting also those for which there is
   no room: the caller then makes room and simulates again.
   The clock begins anew with each trial, the recorded time does not. #}
{# USES_VARIABLES { N, _source_start, _source_stop } #}
{# WRITES_TO_READ_ONLY_VARIABLES { N } #}
{% extends 'block_kernel.cu' %}
{% block define_N %}{% endblock %}
{% set _n = "(" ~ owner.source.N ~ " / " ~ n_replicas ~ ")" %}
{% block blocks %}(_replicas * {{_n}} + 255) / 256{% endblock %}
{% block extra_kernel_parameters %}
    int* _n_recorded, const int _room, const int32_t* _events,
    const int* _trial, const double _trial_seconds,
    {% for name, var in record_variables.items() %}
    {{c_data_type(var.dtype)}}* _new_{{name}},
    {% endfor %}
{% endblock %}
{% block extra_host_parameters %}
    {% set _space = get_array_name(eventspace_variable, access_data=False) %}
    {% set _any = record_variables.values() | first %}
    bsnn::recorded({{owner.name[6:]}}),
    (int)dev{{get_array_name(_any, access_data=False)}}.size(),
    dev{{_space}}[current_idx{{_space}}],
    bsnn::trial(),
    bsnn::seconds_per_trial(),
    {% for name, var in record_variables.items() %}
    thrust::raw_pointer_cast(dev{{get_array_name(var, access_data=False)}}.data()),
    {% endfor %}
{% endblock %}
{% block kernel_maincode %}
    const int _entry = blockIdx.x * blockDim.x + threadIdx.x;
    const int _idx = _entry < _replicas * {{_n}} ? _events[_entry] : -1;
    if (_idx < 0)
        return;
    const int _vectorisation_idx = _idx;
    const int _at = atomicAdd(_n_recorded, 1);
    if (_at >= _room)
        return;
    {{scalar_code|autoindent}}
    {
        {{vector_code|autoindent}}
        {% for name, var in record_variables.items() %}
        _new_{{name}}[_at] = _to_record_{{name}}{{" + *_trial * _trial_seconds" if name == "t" else ""}};
        {% endfor %}
    }
{% endblock %}
