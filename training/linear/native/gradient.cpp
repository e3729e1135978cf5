// The spike-time gradient of one fully connected layer, as gradient.py states it, in one
// sweep backwards in time over the spikes.
//
// First, sample by sample, what does not depend on the loss: crossings, exponentials and
// the order of the spikes. Then the sensitivity q_z of every postsynaptic spike. Then,
// for each block of `width` postsynaptic neurons: walk the samples' presynaptic spikes
// from last to first with the traces of the block,
//
//     Lambda_kj(t) = sum_{z of j, t_z > t} q_z exp(-(t_z - t)/tau_k),
//
// adding a row of traces to the block's part of the weight gradient at each of them.
// Samples and blocks are independent and are added up in a fixed order, so the result
// is bit for bit the same for any number of threads.
//
// Times, their differences and sensitivities are double; exponentials, traces and sums
// have the type of the weights.

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <limits>
#include <memory>
#include <new>
#include <utility>

#include "exponentials.h"
#include "helpers.h"

// Python reads the members from this text.
struct Layer {
    int64_t n_samples, n_pre, n_post, n_modes, n_arrivals, n_spikes;
    // Presynaptic spikes.
    const int64_t *pre_offset;
    const int32_t *pre_neuron;
    const double *pre_time;
    // Postsynaptic spikes.
    const int64_t *post_offset;
    const int32_t *post_neuron;
    const double *grad_sent;
    // Their crossings, or, if these are null, the state at the end of their bins, from
    // which the crossings are recovered; of the type of the called function.
    const double *crossing, *slope, *sent, *reset;
    const void *v, *i_syn;
    const int64_t *step;
    double dt, v_threshold, tau_mem;
    // The neuron model.
    const double *tau, *synaptic_amplitude, *reset_amplitude;
    double slope_min;
    // Row-major (n_pre, n_post), of the type of the called function.
    const void *weight;
    void *grad_weight;
    // One entry for each presynaptic spike, or null.
    double *grad_arrival;
    int64_t n_clamped;  // result
};

namespace {

enum Status { done, bad_index, out_of_memory };

// Traces are kept as their value at the end of the current window of time, so that
// neither a spike nor its decay costs an exponential per column. A window lasts this
// many times the shortest time constant: the longer it is, the more its exp() amplifies
// the rounding of an exponent.
constexpr double window_in_tau = 4;

constexpr int64_t max_modes = 8;

// What a thread does in about 50 microseconds, several times what waking it costs.
constexpr int64_t spikes_per_thread = 2000, elements_per_thread = 250000;

// Samples are swept in this many groups where there are few blocks to share out.
constexpr int64_t least_tasks = 4;

// An array that starts without values: it is written before it is read.
template <class T>
class Array {
    std::unique_ptr<T[]> values;
    int64_t capacity = 0;

public:
    Array() = default;
    explicit Array(int64_t n) { resize(n); }
    void resize(int64_t n) {
#ifdef BSNN_SANITIZE
        capacity = 0;  // so that nothing lies behind the end
#endif
        if (n <= capacity) return;
        values.reset(new T[n]);
        capacity = n;
    }
    T *data() { return values.get(); }
    const T *data() const { return values.get(); }
    T &operator[](int64_t i) { return values[i]; }
    const T &operator[](int64_t i) const { return values[i]; }
};

// The last of the presynaptic spikes that arrive together and see the same traces, and
// where the window of their arrival ends.
struct Instant {
    int64_t stop;
    double end;
};

// Where a postsynaptic spike enters the traces: its column within the block, the last
// instant before its crossing, and its place among the spikes as they were given.
struct Place {
    int32_t column, latest, spike;
};

// What is prepared for all blocks. Entries of the presynaptic spikes or instants of
// sample m begin at pre_offset[m], those of its postsynaptic spikes at post_offset[m].
template <class Real>
struct Shared {
    const Layer &layer;
    const int log2_width;
    const int64_t n_blocks;
    const double window;
    Array<Instant> instants;
    Array<Real> response;  // [instant][k]: synaptic_k exp(-(end - T)/tau_k)
    // Postsynaptic spikes, in each sample by block, then instant.
    Array<Place> places;
    Array<Real> growth;         // [spike][k]: exp((end - t)/tau_k)
    Array<int32_t> block_stop;  // [sample][block]
    // Of the postsynaptic spikes as they were given.
    Array<int32_t> later;  // the neuron's next in the sample, or the number of spikes
    Array<double> recovered_slope;
    Array<Real> inside, waiting;  // [mode that a reset excites][spike]
    Array<Real> sensitivity;      // q
    int excited[max_modes], n_excited = 0;
    std::atomic<int64_t> n_clamped{0};
    std::atomic<bool> bad_index{false};

    Shared(const Layer &layer, int log2_width)
        : layer(layer),
          log2_width(log2_width),
          n_blocks((layer.n_post + (1 << log2_width) - 1) >> log2_width),
          window(window_in_tau *
                 *std::min_element(layer.tau, layer.tau + layer.n_modes)),
          instants(layer.n_arrivals),
          response(layer.n_arrivals * layer.n_modes),
          places(layer.n_spikes),
          growth(layer.n_spikes * layer.n_modes),
          block_stop(layer.n_samples * n_blocks),
          later(layer.n_spikes),
          recovered_slope(layer.crossing ? 0 : layer.n_spikes),
          sensitivity(layer.n_spikes) {
        for (int k = 0; k < layer.n_modes; ++k)
            if (layer.reset_amplitude[k] != 0) excited[n_excited++] = k;
        inside.resize(layer.n_spikes * n_excited);
        waiting.resize(layer.n_spikes * n_excited);
    }
    const double *slope() const {
        return layer.crossing ? layer.slope : recovered_slope.data();
    }
};

// `crossing` in equations/models/cuba_lif.py for tau_mem = 2 tau_syn, where v is a
// quadratic in exp(-t/tau_mem).
template <class Real>
void recover_crossings(const Layer &layer, int64_t first, int64_t n_spikes,
                       double *__restrict time, double *__restrict slope,
                       double *__restrict sent) {
    const double dt = layer.dt, v_threshold = layer.v_threshold;
    const double rate = 1 / layer.tau_mem, kappa = layer.tau_mem;
    const double growth_mem = std::exp(dt * rate), growth_syn = std::exp(2 * dt * rate);
    const double x_end = std::exp(-dt * rate);
    const double nan = std::numeric_limits<double>::quiet_NaN();
    const Real *const v_end = static_cast<const Real *>(layer.v) + first;
    const Real *const i_end = static_cast<const Real *>(layer.i_syn) + first;
    for (int64_t z = 0; z < n_spikes; ++z) {
        const int64_t step = layer.step[first + z];
        time[z] = double(step) * dt;
        sent[z] = double(step + 1) * dt;
    }
    for (int64_t z = 0; z < n_spikes; ++z) {
        const double v = v_end[z], i_syn = i_end[z];
        const double v0 = v * growth_mem + kappa * i_syn * (growth_mem - growth_syn);
        const double i0 = i_syn * growth_syn, a = kappa * i0, b = v0 + a;
        const double square = b * b - 4 * a * v_threshold;
        double x = (b + std::sqrt(square > 0 ? square : 0)) / (2 * a);
        const double root = x > 0 ? -kappa * logarithm(x) : nan;
        const bool above = v0 >= v_threshold, rises = a > 0;
        double delay = above | !rises ? 0 : root;
        delay = delay < 0 ? 0 : delay;
        delay = delay > dt ? dt : delay;
        x = (above | !rises) || x > 1 ? 1 : x;
        x = x < x_end ? x_end : x;  // exp(-delay/tau_mem)
        const double at_start = i0 - v0 * rate, at_end = i_syn - v * rate;
        const double steepest_end = at_start > at_end ? at_start : at_end;
        const double i_crossing = i0 * x * x;
        const double crossing = time[z] + delay;
        time[z] = crossing > sent[z] ? sent[z] : crossing;
        slope[z] = above ? steepest_end : i_crossing - v_threshold * rate;
    }
}

// Fills `Shared`, one sample at a time, up to the sensitivities.
template <class Real>
class Preparation {
    Shared<Real> &shared;
    const Layer &layer;
    const int64_t n_modes;
    double inverse_tau[max_modes];
    int64_t first_arrival, n_arrivals, n_instants, first_spike, n_spikes;
    // Of the sample's postsynaptic spikes.
    const int32_t *neuron;
    const double *reset;
    Array<double> recovered_reset;
    // Of the sample's instants.
    Array<double> instant_time;
    Array<int32_t> n_until;
    // Of its postsynaptic spikes; `n_before` counts the instants before the crossing.
    Array<double> time;
    bool in_order;  // of `n_before`, as they are wherever bins hold no arrivals inside
    Array<int32_t> n_before, by_instant;
    Array<Real> growth;  // [mode][spike]
    Array<int32_t> later_of_neuron;
    Array<int32_t> block_stop;  // its own, so that threads do not share cache lines

public:
    explicit Preparation(Shared<Real> &shared)
        : shared(shared),
          layer(shared.layer),
          n_modes(layer.n_modes),
          later_of_neuron(layer.n_post),
          block_stop(shared.n_blocks) {
        for (int k = 0; k < n_modes; ++k) inverse_tau[k] = 1 / layer.tau[k];
        std::fill_n(later_of_neuron.data(), layer.n_post, -1);
    }

    void operator()(int64_t sample) {
        first_arrival = layer.pre_offset[sample];
        n_arrivals = layer.pre_offset[sample + 1] - first_arrival;
        first_spike = layer.post_offset[sample];
        n_spikes = layer.post_offset[sample + 1] - first_spike;
        neuron = layer.post_neuron + first_spike;
        if (!in_range()) {
            shared.bad_index = true;
            return;
        }
        find_instants();
        find_crossings();
        place_crossings();
        find_later_spikes();
        find_decays();
        find_growths();
        if (in_order)
            fill_blocks(first_kept(), [](int32_t i) { return i; });
        else
            fill_blocks(sort_by_instant(), [this](int32_t i) { return by_instant[i]; });
        std::copy_n(block_stop.data(), shared.n_blocks,
                    shared.block_stop.data() + sample * shared.n_blocks);
    }

private:
    bool in_range() const {
        bool all = true;
        for (int64_t i = first_arrival; i < first_arrival + n_arrivals; ++i)
            all &= uint32_t(layer.pre_neuron[i]) < uint64_t(layer.n_pre);
        for (int64_t z = 0; z < n_spikes; ++z)
            all &= uint32_t(neuron[z]) < uint64_t(layer.n_post);
        return all;
    }

    void find_instants() {
        Instant *const instants = shared.instants.data() + first_arrival;
        instant_time.resize(n_arrivals);
        double previous = std::numeric_limits<double>::quiet_NaN();
        int64_t last = -1;
        for (int64_t i = 0; i < n_arrivals; ++i) {  // without branches
            const double arrival = layer.pre_time[first_arrival + i];
            last += arrival != previous;
            previous = arrival;
            instant_time[last] = arrival;
            instants[last].stop = first_arrival + i + 1;
        }
        n_instants = last + 1;
        const double per_window = 1 / shared.window;
        Real *const response = shared.response.data() + first_arrival * n_modes;
        for (int64_t n = 0; n < n_instants; ++n)
            instants[n].end =
                (std::floor(instant_time[n] * per_window) + 1) * shared.window;
        for (int64_t k = 0; k < n_modes; ++k) {
            const auto synaptic = Real(layer.synaptic_amplitude[k]);
            for (int64_t n = 0; n < n_instants; ++n) {
                const double since = (instant_time[n] - instants[n].end) * inverse_tau[k];
                response[n * n_modes + k] = synaptic * exponential(Real(since));
            }
        }
    }

    void find_crossings() {
        time.resize(n_spikes + 1);
        if (layer.crossing) {
            reset = layer.reset + first_spike;
            const double *const crossing = layer.crossing + first_spike;
            const double *const sent = layer.sent + first_spike;
            for (int64_t z = 0; z < n_spikes; ++z)
                time[z] = std::min(crossing[z], sent[z]);
        } else {
            recovered_reset.resize(n_spikes);
            reset = recovered_reset.data();  // acts when the spike is sent
            recover_crossings<Real>(layer, first_spike, n_spikes, time.data(),
                                    shared.recovered_slope.data() + first_spike,
                                    recovered_reset.data());
        }
    }

    void place_crossings() {
        n_before.resize(n_spikes);
        in_order = true;
        for (int64_t z = 0, n = 0; z < n_spikes; ++z) {
            // An undefined crossing comes after all, to leave an undefined gradient.
            while (n < n_instants && !(instant_time[n] >= time[z])) ++n;
            for (; n > 0 && instant_time[n - 1] >= time[z]; --n) in_order = false;
            n_before[z] = n;
        }
    }

    // An imaginary spike at infinity, of no effect, follows each neuron's last one.
    void find_later_spikes() {
        time[n_spikes] = std::numeric_limits<double>::infinity();
        int32_t *const later = shared.later.data() + first_spike;
        // A thread takes samples in order: anything less is from an earlier one.
        for (int64_t z = n_spikes - 1; z >= 0; --z) {
            const int64_t next =
                std::exchange(later_of_neuron[neuron[z]], first_spike + z) - first_spike;
            later[z] = next < 0 ? n_spikes : next;
        }
    }

    void find_decays() {
        const int32_t *const later = shared.later.data() + first_spike;
        for (int e = 0; e < shared.n_excited; ++e) {
            const double inverse = inverse_tau[shared.excited[e]];
            Real *const in = shared.inside.data() + e * layer.n_spikes + first_spike;
            Real *const wait = shared.waiting.data() + e * layer.n_spikes + first_spike;
            for (int64_t z = 0; z < n_spikes; ++z) {
                in[z] = exponential(Real((time[z] - reset[z]) * inverse));
                wait[z] = exponential(Real((reset[z] - time[later[z]]) * inverse));
            }
        }
    }

    void find_growths() {
        if (n_instants == 0) return;
        const Instant *const instants = shared.instants.data() + first_arrival;
        growth.resize(n_spikes * n_modes);
        for (int64_t k = 0; k < n_modes; ++k)
            for (int64_t z = 0; z < n_spikes; ++z) {
                // One before all arrivals takes part in nothing: any window will do.
                const double end = instants[std::max(n_before[z] - 1, 0)].end;
                growth[k * n_spikes + z] =
                    exponential(Real((end - time[z]) * inverse_tau[k]));
            }
    }

    // A spike before all arrivals takes part in nothing and is left out.
    int32_t first_kept() const {
        int32_t z = 0;
        while (z < n_spikes && n_before[z] == 0) ++z;
        return z;
    }

    // The spikes in order of their latest instant, by counting; returns the first kept.
    int32_t sort_by_instant() {
        by_instant.resize(n_spikes);
        n_until.resize(n_instants + 1);
        std::fill_n(n_until.data(), n_instants + 1, 0);
        for (int64_t z = 0; z < n_spikes; ++z) ++n_until[n_before[z]];
        const int32_t n_early = n_until[0];
        int32_t sum = 0;
        for (int64_t n = 0; n <= n_instants; ++n)
            n_until[n] = std::exchange(sum, sum + n_until[n]);
        for (int64_t z = 0; z < n_spikes; ++z) by_instant[n_until[n_before[z]]++] = z;
        return n_early;
    }

    int32_t block_of(int32_t z) const { return neuron[z] >> shared.log2_width; }

    // From the `first` on in the order of instants, which `spike` tells.
    template <class Spike>
    void fill_blocks(int32_t first, Spike spike) {
        std::fill_n(block_stop.data(), shared.n_blocks, 0);
        for (int32_t i = first; i < n_spikes; ++i) ++block_stop[block_of(spike(i))];
        int32_t sum = first_spike;
        for (int64_t block = 0; block < shared.n_blocks; ++block)
            block_stop[block] = std::exchange(sum, sum + block_stop[block]);
        for (int32_t i = first; i < n_spikes; ++i) {
            const int32_t z = spike(i), block = block_of(z);
            const int64_t at = block_stop[block]++;
            shared.places[at] = {neuron[z] - (block << shared.log2_width),
                                 int32_t(first_arrival + n_before[z] - 1),
                                 int32_t(first_spike + z)};
            for (int64_t k = 0; k < n_modes; ++k)
                shared.growth[at * n_modes + k] = growth[k * n_spikes + z];
        }
    }
};

// Finds q_z, one sample at a time, by the recurrence that `crossing_sensitivity` in
// training/linear/gradient.py states.
template <class Real>
class Sensitivities {
    Shared<Real> &shared;
    const Layer &layer;
    double rate[max_modes];
    Array<double> sensitivity, state;

public:
    explicit Sensitivities(Shared<Real> &shared) : shared(shared), layer(shared.layer) {
        for (int e = 0; e < shared.n_excited; ++e) {
            const int k = shared.excited[e];
            rate[e] = layer.reset_amplitude[k] * (1 / layer.tau[k]);
        }
    }

    void operator()(int64_t sample) {
        const int64_t first = layer.post_offset[sample];
        const int64_t n_spikes = layer.post_offset[sample + 1] - first;
        const int n_excited = shared.n_excited;
        const double *const slope = shared.slope() + first;
        const int32_t *const later = shared.later.data() + first;
        const Real *const inside = shared.inside.data() + first;
        const Real *const waiting = shared.waiting.data() + first;
        sensitivity.resize(n_spikes);
        int64_t n_clamped = 0;
        for (int64_t z = 0; z < n_spikes; ++z) {
            n_clamped += slope[z] < layer.slope_min;
            sensitivity[z] = -1 / std::max(slope[z], layer.slope_min);
        }
        shared.n_clamped += n_clamped;
        const int64_t stride = n_spikes + 1;
        state.resize(stride * n_excited);
        for (int e = 0; e < n_excited; ++e) state[e * stride + n_spikes] = 0;
        for (int64_t z = n_spikes - 1; z >= 0; --z) {
            double total = layer.grad_sent[first + z];
            for (int e = 0; e < n_excited; ++e) {
                double *const own = &state[e * stride];
                own[z] = waiting[e * layer.n_spikes + z] * own[later[z]];
                total += rate[e] * own[z];
            }
            sensitivity[z] *= total;
            for (int e = 0; e < n_excited; ++e) {
                double &own = state[e * stride + z];
                own = sensitivity[z] + inside[e * layer.n_spikes + z] * own;
            }
        }
        std::copy_n(sensitivity.data(), n_spikes, shared.sensitivity.data() + first);
    }
};

// Several columns side by side, for the vector registers.
template <class Real>
struct Lanes {
    static constexpr int count = 32 / sizeof(Real);
    typedef Real Type __attribute__((vector_size(32)));
    typedef Real Unaligned
        __attribute__((vector_size(32), aligned(sizeof(Real)), may_alias));

    static Real total(const Type &lanes) {
        Real sum = 0;
        for (int n = 0; n < count / 2; ++n) sum += lanes[n] + lanes[n + count / 2];
        return sum;
    }
};

template <class Real, int width>
struct Row {
    static constexpr int n_lanes = width / Lanes<Real>::count;
    typename Lanes<Real>::Type lanes[n_lanes];

    Real *data() { return reinterpret_cast<Real *>(lanes); }
    void clear() { std::fill_n(lanes, n_lanes, typename Lanes<Real>::Type{}); }
    void scale(Real factor) {
        for (auto &lane : lanes) lane *= factor;
    }
    void add(const Row &other) {
        for (int n = 0; n < n_lanes; ++n) lanes[n] += other.lanes[n];
    }
    void add(Real factor, const Row &other) {
        for (int n = 0; n < n_lanes; ++n) lanes[n] += factor * other.lanes[n];
    }
    Real dot(const Real *other) const {
        const auto *with =
            reinterpret_cast<const typename Lanes<Real>::Unaligned *>(other);
        typename Lanes<Real>::Type sum{};
        for (int n = 0; n < n_lanes; ++n) sum += lanes[n] * with[n];
        return Lanes<Real>::total(sum);
    }
};

// Sweeps a group of samples with the traces of one block of columns.
template <class Real, int width>
class Sweep {
    using Block = Row<Real, width>;
    const Shared<Real> &shared;
    const Layer &layer;
    const int n_modes;
    const int64_t n_groups;
    Real rate[max_modes];
    Real *const sums;   // [group] of matrices like the weights
    Real *const parts;  // [block][presynaptic spike] of the arrivals' gradient, or null
    // Of the current block.
    Block trace[max_modes];
    double end;  // of the window of the traces
    Array<Block> gradient, padded_weight;
    const Real *weight;
    int64_t weight_stride;
    Real *grad_arrival;

public:
    Sweep(const Shared<Real> &shared, int64_t n_groups, Real *sums, Real *parts)
        : shared(shared),
          layer(shared.layer),
          n_modes(layer.n_modes),
          n_groups(n_groups),
          sums(sums),
          parts(parts),
          gradient(layer.n_pre) {
        for (int k = 0; k < n_modes; ++k) rate[k] = Real(1 / layer.tau[k]);
    }

    void operator()(int64_t task) {
        const int64_t block = task / n_groups, group = task % n_groups;
        const int64_t first = group * layer.n_samples / n_groups;
        const int64_t stop = (group + 1) * layer.n_samples / n_groups;
        const int64_t n_columns =
            std::min<int64_t>(width, layer.n_post - block * width);
        if (parts) {
            grad_arrival = parts + block * layer.n_arrivals;
            std::fill(grad_arrival + layer.pre_offset[first],
                      grad_arrival + layer.pre_offset[stop], Real(0));
            find_weights(block, n_columns);
        }
        for (int64_t i = 0; i < layer.n_pre; ++i) gradient[i].clear();
        for (int64_t sample = first; sample < stop; ++sample) sweep(sample, block);
        Real *out = sums + group * layer.n_pre * layer.n_post + block * width;
        for (int64_t i = 0; i < layer.n_pre; ++i, out += layer.n_post)
            if (n_columns == width)
                std::memcpy(out, gradient[i].data(), sizeof(Block));
            else
                std::copy_n(gradient[i].data(), n_columns, out);
    }

private:
    // Rows of a block that is not full are copied, so that each can be read to its end.
    void find_weights(int64_t block, int64_t n_columns) {
        weight = static_cast<const Real *>(layer.weight) + block * width;
        weight_stride = layer.n_post;
        if (n_columns == width) return;
        padded_weight.resize(layer.n_pre);
        for (int64_t i = 0; i < layer.n_pre; ++i) {
            padded_weight[i].clear();
            std::copy_n(weight + i * layer.n_post, n_columns, padded_weight[i].data());
        }
        weight = padded_weight[0].data();
        weight_stride = width;
    }

    void sweep(int64_t sample, int64_t block) {
        const int32_t *const stop = &shared.block_stop[sample * shared.n_blocks];
        const int64_t first = block ? stop[block - 1] : layer.post_offset[sample];
        const int64_t first_arrival = layer.pre_offset[sample];
        int64_t z = stop[block];
        if (z == first) return;
        for (int k = 0; k < n_modes; ++k) trace[k].clear();
        end = shared.instants[shared.places[z - 1].latest].end;
        for (int64_t n = shared.places[z - 1].latest; n >= first_arrival; --n) {
            const Instant &instant = shared.instants[n];
            if (instant.end != end) move_to(instant.end);
            for (; z > first && shared.places[z - 1].latest == n; --z)
                enter(shared.places[z - 1], &shared.growth[(z - 1) * n_modes]);
            add(n > first_arrival ? shared.instants[n - 1].stop : first_arrival,
                instant.stop, &shared.response[n * n_modes]);
        }
    }

    void enter(const Place &place, const Real *growth) {
        const Real sensitivity = shared.sensitivity[place.spike];
        for (int k = 0; k < n_modes; ++k)
            trace[k].data()[place.column] += sensitivity * growth[k];
    }

    void move_to(double earlier) {
        for (int k = 0; k < n_modes; ++k)
            trace[k].scale(Real(std::exp((earlier - end) / layer.tau[k])));
        end = earlier;
    }

    // The presynaptic spikes first <= i < stop of an instant.
    void add(int64_t first, int64_t stop, const Real *response) {
        Block by_weight{}, by_arrival{};
        for (int k = 0; k < n_modes; ++k) by_weight.add(response[k], trace[k]);
        for (int64_t i = first; i < stop; ++i)
            gradient[layer.pre_neuron[i]].add(by_weight);
        if (!parts) return;
        for (int k = 0; k < n_modes; ++k)
            by_arrival.add(response[k] * rate[k], trace[k]);
        for (int64_t i = first; i < stop; ++i)
            grad_arrival[i] =
                by_arrival.dot(weight + layer.pre_neuron[i] * weight_stride);
    }
};

// Add up parts that lie one after another.
template <class Real, class Sum>
void add_up(const Real *parts, int64_t n_parts, int64_t size, Sum *sum) {
    std::fill_n(sum, size, Sum(0));
    for (int64_t part = 0; part < n_parts; ++part, parts += size)
        for (int64_t i = 0; i < size; ++i) sum[i] += parts[i];
}

// Fewer threads than asked for where there is too little work to wake them.
int64_t threads_for(int64_t work, int64_t work_per_thread, int64_t n_threads) {
    return std::min(n_threads, 1 + work / work_per_thread);
}

bool is_offset(const int64_t *offset, int64_t n_samples, int64_t n_spikes) {
    return offset[0] == 0 && offset[n_samples] == n_spikes &&
           std::is_sorted(offset, offset + n_samples + 1);
}

// Calls what `make_task` makes with the numbers of all tasks, in several threads.
template <class MakeTask>
void run_tasks(int64_t n_threads, int64_t n_tasks, MakeTask make_task) {
    Tasks<MakeTask>(n_threads, n_tasks, make_task).finish();
}

struct Gradient {
    virtual ~Gradient() = default;
    virtual Status finish() = 0;
};

// A gradient whose preparation has begun, and that can be finished once.
template <class Real, int log2_width>
class LayerGradient final : public Gradient {
    Layer &layer;
    const int64_t n_threads;
    const bool in_order;
    Shared<Real> shared;
    Tasks<std::function<Preparation<Real>()>> preparation;

public:
    LayerGradient(Layer &layer, int64_t n_threads)
        : layer(layer),
          n_threads(n_threads),
          in_order(is_offset(layer.pre_offset, layer.n_samples, layer.n_arrivals) &&
                   is_offset(layer.post_offset, layer.n_samples, layer.n_spikes)),
          shared(layer, log2_width),
          preparation(threads_for_spikes(), in_order ? layer.n_samples : 0,
                      [this] { return Preparation<Real>(shared); }) {}

    Status finish() override {
        preparation.finish();
        if (!in_order || shared.bad_index) return bad_index;
        run_tasks(threads_for(layer.n_spikes, spikes_per_thread, n_threads),
                  layer.n_samples, [this] { return Sensitivities<Real>(shared); });
        layer.n_clamped = shared.n_clamped;

        const int64_t n_elements = layer.n_pre * layer.n_post;
        const int64_t n_blocks = std::max<int64_t>(shared.n_blocks, 1);
        const int64_t n_groups =
            std::max<int64_t>(std::min(layer.n_samples, least_tasks / n_blocks), 1);
        Real *const grad_weight = static_cast<Real *>(layer.grad_weight);
        Array<Real> of_groups(n_groups > 1 ? n_groups * n_elements : 0);
        Array<Real> of_blocks(layer.grad_arrival ? shared.n_blocks * layer.n_arrivals
                                                 : 0);
        run_tasks(threads_for(layer.n_arrivals * layer.n_post + n_elements,
                              elements_per_thread, n_threads),
                  shared.n_blocks * n_groups, [&] {
                      return Sweep<Real, 1 << log2_width>(
                          shared, n_groups,
                          n_groups > 1 ? of_groups.data() : grad_weight,
                          of_blocks.data());
                  });
        if (n_groups > 1)
            add_up(of_groups.data(), n_groups, n_elements, grad_weight);
        if (layer.grad_arrival)
            add_up(of_blocks.data(), shared.n_blocks, layer.n_arrivals,
                   layer.grad_arrival);
        return done;
    }

private:
    int64_t threads_for_spikes() const {
        return threads_for(layer.n_arrivals + layer.n_spikes, spikes_per_thread,
                           n_threads);
    }
};

// Blocks of one, two or more cache lines, so that narrow layers waste little.
template <class Real>
Gradient *make_gradient(Layer &layer, int64_t n_threads) {
    constexpr int line = sizeof(Real) == 4 ? 4 : 3;  // log2 of its columns
    if (layer.n_post <= 1 << line)
        return new LayerGradient<Real, line>(layer, n_threads);
    if (layer.n_post <= 2 << line)
        return new LayerGradient<Real, line + 1>(layer, n_threads);
    return new LayerGradient<Real, line + 2>(layer, n_threads);
}

}  // namespace

extern "C" {
// Begin with the gradient of a layer that stays where it is; null if there is no memory.
Gradient *begin_gradient(Layer *layer, bool is_single, int64_t n_threads) {
    try {
        return is_single ? make_gradient<float>(*layer, n_threads)
                         : make_gradient<double>(*layer, n_threads);
    } catch (const std::bad_alloc &) {
        return nullptr;
    }
}

// Needs `grad_sent` and the results' places, which may be put into the layer meanwhile.
int finish_gradient(Gradient *gradient) {
    try {
        return gradient->finish();
    } catch (const std::bad_alloc &) {
        return out_of_memory;
    }
}

void free_gradient(Gradient *gradient) { delete gradient; }
}
