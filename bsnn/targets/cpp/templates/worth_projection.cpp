{# What a spike of each source neuron, sent or not, gives to the neurons that it would
   reach in this step: dL/ds of the step in which it would have been sent. #}
{# USES_VARIABLES { N } #}
{% extends 'common_group.cpp' %}
{% from 'pairs.cpp' import visited %}
{% block maincode %}
    const bsnn::Visits& _arriving = {{here}}arriving[{{connection}}];
    const {{real}}* const __restrict _weights = static_cast<const {{real}}*>(_arriving.weights);
    {{real}}* const __restrict _sent = static_cast<{{real}}*>(_arriving.sent);
    const size_t _vectorisation_idx = -1;
    {{kept(scalar_code)|autoindent}}

    {{each("int32_t", "_i", n_pre)}} {
        {% if delay_of == "source" %}
        if (_arriving.delay[_i] > _arriving.step) continue;
        {% endif %}
        {% if delay_of != "synapse" %}
        {{real}} _sum = 0;
        {% endif %}
        {% call visited(real, dense, n_post, delay_of, in_turn) %}
            {% if delay_of == "synapse" %}
            if (_delay > _arriving.step) continue;
            {% endif %}
            {{vector_code|autoindent}}
            {% if delay_of == "synapse" %}
            _sent[(_arriving.step - _delay) * {{n_pre}} + _i] += _gain;
            {% else %}
            _sum += _gain;
            {% endif %}
        {% endcall %}
        {% if delay_of == "source" %}
        _sent[(_arriving.step - _delay) * {{n_pre}} + _i] += _sum;
        {% elif delay_of == "connection" %}
        _sent[(_arriving.step - _arriving.late) * {{n_pre}} + _i] += _sum;
        {% endif %}
    }
{% endblock %}
