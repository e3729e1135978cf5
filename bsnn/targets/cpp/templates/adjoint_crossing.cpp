{# Where in its step each of some spikes crossed threshold, or is taken to have, and the
   derivatives of the margin there. A spike has a place of its own in every array; a block of them is
   solved together, without branches, so that the compiler has vectors to work with. #}
{# USES_VARIABLES { N, dt } #}
{% extends 'common_group.cpp' %}
{% block maincode %}
    const bsnn::Crossings& _crossings = {{here}}crossings[{{population}}];
    {{real}}* const _times = static_cast<{{real}}*>(_crossings.time);
    {{real}}* const _slopes = static_cast<{{real}}*>(_crossings.slope);
    {{real}}* const _by = static_cast<{{real}}*>(_crossings.by);
    const size_t _vectorisation_idx = -1;
    const {{real}} _length = {{dt}};
    const int _block = {{block}};
    {{kept(scalar_code['evaluate'])|autoindent}}
    {{each_block("_start", "_crossings.n")}} {
        const int _count = std::min<int64_t>(_block, _crossings.n - _start);
        {{real}} _time[_block], _height[_block], _slope[_block];
        const auto _look = [&]() {{apart}} {
            {{independent}}
            for (int _k = 0; _k < _count; _k++) {
                const size_t _idx = _start + _k;
                const size_t _vectorisation_idx = _idx;
                const {{real}} _h = _time[_k];
                {{vector_code['evaluate']|autoindent}}
                _height[_k] = _margin;
                _slope[_k] = _steepness;
            }
        };
        {{real}} _first[_block], _steepest[_block];
        {% if crossing == 'exact' %}
        {{real}} _low[_block], _high[_block], _stride[_block], _bend[_block];
        int32_t _open[_block], _left = 0;
        {% elif crossing == 'linear' %}
        {{real}} _chord_slope[_block];
        {% endif %}
        for (int _k = 0; _k < _count; _k++) _time[_k] = {{start}};
        _look();
        for (int _k = 0; _k < _count; _k++) {
            _first[_k] = _height[_k];
            _steepest[_k] = _slope[_k];
            _time[_k] = _length;
        }
        _look();
        for (int _k = 0; _k < _count; _k++) {
            {% if crossing == 'exact' %}
            const {{real}} _begun = _steepest[_k];
            {% endif %}
            _steepest[_k] = std::max(_steepest[_k], _slope[_k]);
            {% if crossing != 'end' %}
            // Above threshold already: it crossed nowhere in this step.
            const bool _crosses = _first[_k] < 0;
            const {{real}} _rise = _height[_k] - _first[_k];
            const {{real}} _chord = _rise > 0 ? -_first[_k] / _rise * _length : _length / 2;
            _time[_k] = _crosses ? std::min(std::max(_chord, {{real}}(0)), _length) : {{real}}(0);
            {% endif %}
            {% if crossing == 'exact' %}
            _open[_k] = _crosses;
            _left += _open[_k];
            _low[_k] = 0;
            _high[_k] = _stride[_k] = _length;
            // |g''|, as far as g at both ends tells.
            const {{real}} _mean = _rise / _length;
            _bend[_k] = 2 * std::max(std::abs(_begun - _mean), std::abs(_slope[_k] - _mean)) / _length;
            {% elif crossing == 'linear' %}
            _chord_slope[_k] = _rise / _length;
            {% endif %}
        }
        {% if crossing == 'exact' %}
        // Newton's method inside a bracket; bisection where it leaves the bracket or does
        // not halve its steps, as from far beyond an exponential upstroke. After a step d it
        // is within |g''| / 2 g' d^2 of the root; a neuron is done where eight times that is
        // nothing, or d itself.
        for (int _turn = 0; _left && _turn < 100; _turn++) {
            _look();
            _left = 0;
            for (int _k = 0; _k < _count; _k++) {
                const {{real}} _now = _time[_k], _steep = std::max(_slope[_k], {{real}}(1e-30));
                _high[_k] = _height[_k] >= 0 ? _now : _high[_k];
                _low[_k] = _height[_k] >= 0 ? _low[_k] : _now;
                const {{real}} _newton = _now - _height[_k] / _steep;
                const bool _slow = 2 * std::abs(_height[_k]) > _stride[_k] * _steep;
                const bool _out = (_newton < _low[_k]) | (_newton > _high[_k]);
                const {{real}} _next = _slow | _out ? _low[_k] + (_high[_k] - _low[_k]) / 2 : _newton;
                const {{real}} _moved = std::abs(_next - _now);
                _time[_k] = _open[_k] ? _next : _now;
                _stride[_k] = _open[_k] ? _moved : _stride[_k];
                const {{real}} _shrinks = 4 * _bend[_k] * _moved / _steep;
                const {{real}} _nothing = _length * {{real}}({{precision}});
                _open[_k] &= _moved * (_slow | _out ? 1 : std::min({{real}}(1), _shrinks)) > _nothing;
                _left += _open[_k];
            }
        }
        {% endif %}
        {
            {{kept(scalar_code['pull'])|autoindent}}
            {{independent}}
            for (int _k = 0; _k < _count; _k++) {
                const size_t _idx = _start + _k;
                const size_t _vectorisation_idx = _idx;
                const {{real}} _h = _time[_k];
                {{vector_code['pull']|autoindent}}
                _times[_idx] = _h;
                {% set slope = {'exact': '_steepness', 'linear': '_chord_slope[_k]', 'end': '_steepness'} %}
                _slopes[_idx] = _first[_k] < 0 ? {{slope[crossing]}} : _steepest[_k];
                {% for name in gains %}
                _by[{{loop.index0}} * _crossings.n + _idx] = _by_{{name}};
                {% endfor %}
            }
        }
    }
{% endblock %}
