{# Visit the pairs that begin at neuron `_i`: `_idx` is the neuron that each leads to, and
   `_weight` which weight it has, `w`. Where delays differ, `_at` is where what the pair
   carries lies among what is on its way. #}
{% macro visited(real, dense, n_post, delay_of) %}
    {% if delay_of == "source" %}
    const int64_t _delay = _arriving.delay[_i];
    const size_t _from = _arriving.slot_after(_delay) * {{n_post}};
    {% endif %}
    {% if dense %}
    const size_t _first = (size_t)_i * {{n_post}};
    for (int _idx = 0; _idx < {{n_post}}; _idx++) {
        const size_t _vectorisation_idx = _idx, _pair = _first + _idx, _weight = _pair;
    {% else %}
    const size_t _end = _arriving.row[_i + 1];
    for (size_t _pair = _arriving.row[_i]; _pair < _end; _pair++) {
        const size_t _idx = _arriving.target[_pair], _vectorisation_idx = _idx;
        const size_t _weight = _arriving.shared[_pair];
    {% endif %}
        const {{real}} w = _weights[_weight];
    {% if delay_of == "source" %}
        const size_t _at = _from + _idx;
    {% elif delay_of == "synapse" %}
        const int64_t _delay = _arriving.delay[_pair];
        const size_t _at = _arriving.slot_after(_delay) * {{n_post}} + _idx;
    {% endif %}
        {{caller()}}
    }
{% endmacro %}
