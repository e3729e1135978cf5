// The spike-time gradient of one fully connected layer, as training/gradient.py states
// it, in one sweep backwards in time over the spikes.
//
// First, sample by sample: the sensitivity q_z of every postsynaptic spike, and all
// exponentials. Then, for each block of `width` postsynaptic neurons: walk the samples'
// presynaptic spikes from last to first with the traces of the block,
//
//     Lambda_kj(t) = sum_{z of j, t_z > t} q_z exp(-(t_z - t)/tau_k),
//
// adding a row of traces to the block's part of the weight gradient at each of them.
// Samples and blocks are independent and are added up in a fixed order, so the result
// is bit for bit the same for any number of threads.
//
// Times, sensitivities and exponentials are double; traces and sums have the type of
// the weights.

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <exception>
#include <limits>
#include <memory>
#include <new>
#include <thread>
#include <utility>
#include <vector>

// The recorded state of spikes and what is to be recovered from it. Mirrored by
// `_Crossings` in training/kernel.py.
struct Crossings {
    int64_t n_spikes;
    const void *v, *i_syn;  // of the type of the called function
    const int64_t *step;
    double dt, v_threshold, tau_mem;
    double *time, *slope;  // results
};

// Mirrored by `_Layer` in training/kernel.py.
struct Layer {
    int64_t n_samples, n_pre, n_post, n_modes, n_arrivals, n_spikes;
    // Presynaptic spikes.
    const int64_t *pre_offset;
    const int32_t *pre_neuron;
    const double *pre_time;
    // Postsynaptic spikes.
    const int64_t *post_offset;
    const int32_t *post_neuron;
    const double *crossing, *slope, *sent, *reset, *grad_sent;
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
// neither a spike nor its decay costs an exponential per column. A window lasts so many
// of the shortest time constant: their exp() must leave room in a float.
constexpr double window_in_tau = 16;

constexpr int64_t max_modes = 8;

// What a thread does in about 200 microseconds, several times what starting it costs.
constexpr int64_t spikes_per_thread = 8000, elements_per_thread = 1000000;

// exp(x) to about 2e-16 for -700 <= x <= 700, in a form that compilers vectorise. Below
// that it stays at 1e-304, which is as good as zero here.
inline double exponential(double x) {
    const double round = 6755399441055744.0;  // 1.5 * 2^52 pushes the fraction out
    const double bounded = x > -700 ? x : -700;
    const double shifted = bounded * 1.4426950408889634 + round;
    const double n = shifted - round;
    // log(2) in two parts, the first with trailing zeros so that its product is exact.
    const double r =
        bounded - n * 6.93147180369123816490e-1 - n * 1.90821492927058770002e-10;
    double sum = 1;  // 1 + r (1 + r/2 (1 + r/3 (...)))
    for (int i = 12; i > 0; --i) sum = 1 + sum * (r * (1.0 / i));
    uint64_t bits, exponent;
    std::memcpy(&exponent, &shifted, sizeof exponent);
    std::memcpy(&bits, &sum, sizeof bits);
    bits += exponent << 52;
    std::memcpy(&sum, &bits, sizeof sum);
    return sum;
}

// log(x) to about 2e-16 for normal x > 0, in the same spirit: with x = 2^n m and
// 1/sqrt(2) <= m < sqrt(2), log(m) = 2 artanh((m - 1) / (m + 1)) as a series.
inline double logarithm(double x) {
    constexpr uint64_t one = 0x3ff0000000000000, root_half = 0x3fe6a09e667f3bcd;
    constexpr uint64_t two_to_52 = 0x4330000000000000;
    uint64_t bits;
    std::memcpy(&bits, &x, sizeof bits);
    const uint64_t shifted = (bits - root_half + one) >> 52;  // n + 1023
    const uint64_t count = shifted | two_to_52;
    bits -= (shifted << 52) - one;
    double n, m;
    std::memcpy(&n, &count, sizeof n);
    std::memcpy(&m, &bits, sizeof m);
    n -= 4503599627370496.0 + 1023;
    const double t = (m - 1) / (m + 1), square = t * t;
    double sum = 0;
    for (int i = 21; i > 0; i -= 2) sum = sum * square + 2.0 / i;
    return n * 0.6931471805599453 + t * sum;
}

void exponentiate(double *x, int64_t n) {
    for (int64_t i = 0; i < n; ++i) x[i] = exponential(x[i]);
}

// An array that starts without values: it is written before it is read.
template <class T>
class Array {
    std::unique_ptr<T[]> values;
    int64_t capacity = 0;

public:
    Array() = default;
    explicit Array(int64_t n) { resize(n); }
    void resize(int64_t n) {
        if (n <= capacity) return;
        values.reset(new T[n]);
        capacity = n;
    }
    T *data() { return values.get(); }
    const T *data() const { return values.get(); }
    T &operator[](int64_t i) { return values[i]; }
    const T &operator[](int64_t i) const { return values[i]; }
};

// Make a function in each thread with `make_task` and call it with each task.
template <class MakeTask>
void run_tasks(int64_t n_threads, int64_t n_tasks, MakeTask make_task) {
    std::atomic<int64_t> next{0};
    std::atomic<bool> failed{false};
    const auto work = [&] {
        try {
            auto task = make_task();
            for (int64_t i; (i = next++) < n_tasks;) task(i);
        } catch (const std::bad_alloc &) {
            failed = true;
        }
    };
    std::vector<std::thread> others;
    try {
        while (int64_t(others.size()) + 1 < std::min(n_threads, n_tasks))
            others.emplace_back(work);
    } catch (const std::exception &) {
        // No thread to be had: those that run do all tasks.
    }
    work();
    for (auto &thread : others) thread.join();
    if (failed) throw std::bad_alloc();
}

// Presynaptic spikes first <= i < stop that arrive together and see the same traces.
struct Instant {
    int32_t first, stop;
    int64_t window;
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
    Array<int32_t> column;      // within the block
    Array<int32_t> latest;      // the last instant before the crossing
    Array<Real> amplitude;      // [spike][k]: q exp((end - t)/tau_k)
    Array<int32_t> block_stop;  // [sample][block]
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
          column(layer.n_spikes),
          latest(layer.n_spikes),
          amplitude(layer.n_spikes * layer.n_modes),
          block_stop(layer.n_samples * n_blocks) {}

    double window_end(int64_t instant) const {
        return double(instants[instant].window + 1) * window;
    }
};

// Fills `Shared`, one sample at a time.
template <class Real>
class Preparation {
    Shared<Real> &shared;
    const Layer &layer;
    const int64_t n_modes;
    double inverse_tau[max_modes];
    int excited[max_modes], n_excited = 0;  // the modes that a reset excites
    int64_t first_arrival, n_arrivals, n_instants, first_spike, n_spikes, n_kept,
        stride;
    const int32_t *neuron;  // of the sample's postsynaptic spikes
    // Of the sample's instants.
    Array<double> instant_time;
    Array<int32_t> n_until;
    // Of its postsynaptic spikes; `n_before` counts the instants before the crossing.
    Array<double> time, inverse_slope, sensitivity;
    Array<int32_t> n_before, later, by_instant, by_block;
    // [excited mode][spike], with a given stride
    Array<double> inside, waiting, state;
    Array<double> exponent;
    Array<int32_t> later_of_neuron;

public:
    explicit Preparation(Shared<Real> &shared)
        : shared(shared),
          layer(shared.layer),
          n_modes(layer.n_modes),
          later_of_neuron(layer.n_post) {
        for (int k = 0; k < n_modes; ++k) {
            inverse_tau[k] = 1 / layer.tau[k];
            if (layer.reset_amplitude[k] != 0) excited[n_excited++] = k;
        }
        std::fill_n(later_of_neuron.data(), layer.n_post, -1);
    }

    void operator()(int64_t sample) {
        first_arrival = layer.pre_offset[sample];
        n_arrivals = layer.pre_offset[sample + 1] - first_arrival;
        first_spike = layer.post_offset[sample];
        n_spikes = layer.post_offset[sample + 1] - first_spike;
        stride = n_spikes + 1;
        neuron = layer.post_neuron + first_spike;
        if (!in_range()) {
            shared.bad_index = true;
            return;
        }
        find_instants();
        place_crossings();
        find_later_spikes();
        find_decays();
        find_slopes();
        find_sensitivities();
        sort_by_instant();
        sort_by_block(&shared.block_stop[sample * shared.n_blocks]);
        fill_spikes();
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
        n_instants = 0;
        for (int64_t i = first_arrival; i < first_arrival + n_arrivals; ++i) {
            const double arrival = layer.pre_time[i];
            if (n_instants && arrival == instant_time[n_instants - 1]) {
                instants[n_instants - 1].stop = i + 1;
            } else {
                const auto window = int64_t(std::floor(arrival / shared.window));
                instants[n_instants] = {int32_t(i), int32_t(i + 1), window};
                instant_time[n_instants++] = arrival;
            }
        }
        exponent.resize(n_instants);
        for (int64_t k = 0; k < n_modes; ++k) {
            for (int64_t n = 0; n < n_instants; ++n)
                exponent[n] = (instant_time[n] - shared.window_end(first_arrival + n)) *
                              inverse_tau[k];
            exponentiate(exponent.data(), n_instants);
            Real *const response = shared.response.data() + first_arrival * n_modes + k;
            for (int64_t n = 0; n < n_instants; ++n)
                response[n * n_modes] = Real(layer.synaptic_amplitude[k] * exponent[n]);
        }
    }

    void place_crossings() {
        time.resize(stride);
        n_before.resize(n_spikes);
        for (int64_t z = 0; z < n_spikes; ++z)
            time[z] =
                std::min(layer.crossing[first_spike + z], layer.sent[first_spike + z]);
        int64_t n = 0;
        for (int64_t z = 0; z < n_spikes; ++z) {
            while (n < n_instants && instant_time[n] < time[z]) ++n;
            while (n > 0 && instant_time[n - 1] >= time[z]) --n;
            n_before[z] = n;
        }
    }

    // An imaginary spike at infinity, of no effect, follows each neuron's last one.
    void find_later_spikes() {
        time[n_spikes] = std::numeric_limits<double>::infinity();
        later.resize(n_spikes);
        for (int64_t z = n_spikes - 1; z >= 0; --z) {
            const int32_t next = std::exchange(later_of_neuron[neuron[z]], z);
            later[z] = next < 0 ? n_spikes : next;
        }
        for (int64_t z = 0; z < n_spikes; ++z) later_of_neuron[neuron[z]] = -1;
    }

    void find_decays() {
        const double *const reset = layer.reset + first_spike;
        inside.resize(stride * n_excited);
        waiting.resize(stride * n_excited);
        for (int e = 0; e < n_excited; ++e) {
            const double inverse = inverse_tau[excited[e]];
            double *const in = &inside[e * stride], *const wait = &waiting[e * stride];
            for (int64_t z = 0; z < n_spikes; ++z) {
                in[z] = (time[z] - reset[z]) * inverse;
                wait[z] = (reset[z] - time[later[z]]) * inverse;
            }
            exponentiate(in, n_spikes);
            exponentiate(wait, n_spikes);
        }
    }

    void find_slopes() {
        const double *const slope = layer.slope + first_spike;
        int64_t n_clamped = 0;
        inverse_slope.resize(n_spikes);
        for (int64_t z = 0; z < n_spikes; ++z) {
            n_clamped += slope[z] < layer.slope_min;
            inverse_slope[z] = 1 / std::max(slope[z], layer.slope_min);
        }
        shared.n_clamped += n_clamped;
    }

    // q_z by the recurrence that `crossing_sensitivity` in training/gradient.py states.
    void find_sensitivities() {
        double rate[max_modes];
        state.resize(stride * n_excited);
        for (int e = 0; e < n_excited; ++e) {
            rate[e] = layer.reset_amplitude[excited[e]] * inverse_tau[excited[e]];
            state[e * stride + n_spikes] = 0;
        }
        sensitivity.resize(n_spikes);
        for (int64_t z = n_spikes - 1; z >= 0; --z) {
            double total = layer.grad_sent[first_spike + z];
            for (int e = 0; e < n_excited; ++e) {
                double *const own = &state[e * stride];
                own[z] = waiting[e * stride + z] * own[later[z]];
                total += rate[e] * own[z];
            }
            sensitivity[z] = -total * inverse_slope[z];
            for (int e = 0; e < n_excited; ++e) {
                double &own = state[e * stride + z];
                own = sensitivity[z] + inside[e * stride + z] * own;
            }
        }
    }

    // The spikes in order of their latest instant, by counting. A spike before all
    // arrivals takes part in nothing and is left out.
    void sort_by_instant() {
        n_until.resize(n_instants + 1);
        std::fill_n(n_until.data(), n_instants + 1, 0);
        for (int64_t z = 0; z < n_spikes; ++z) ++n_until[n_before[z]];
        int32_t sum = -n_until[0];
        for (int64_t n = 0; n <= n_instants; ++n)
            n_until[n] = std::exchange(sum, sum + n_until[n]);
        n_kept = sum;
        by_instant.resize(n_kept);
        for (int64_t z = 0; z < n_spikes; ++z)
            if (n_before[z]) by_instant[n_until[n_before[z]]++] = z;
    }

    int32_t block_of(int32_t z) const { return neuron[z] >> shared.log2_width; }

    void sort_by_block(int32_t *block_stop) {
        std::fill_n(block_stop, shared.n_blocks, 0);
        for (int64_t i = 0; i < n_kept; ++i) ++block_stop[block_of(by_instant[i])];
        int32_t sum = 0;
        for (int64_t block = 0; block < shared.n_blocks; ++block)
            block_stop[block] = std::exchange(sum, sum + block_stop[block]);
        by_block.resize(n_kept);
        for (int64_t i = 0; i < n_kept; ++i)
            by_block[block_stop[block_of(by_instant[i])]++] = by_instant[i];
        for (int64_t block = 0; block < shared.n_blocks; ++block)
            block_stop[block] += first_spike;
    }

    void fill_spikes() {
        int32_t *const column = shared.column.data() + first_spike;
        int32_t *const latest = shared.latest.data() + first_spike;
        for (int64_t i = 0; i < n_kept; ++i) {
            const int32_t z = by_block[i];
            column[i] = neuron[z] - (block_of(z) << shared.log2_width);
            latest[i] = first_arrival + n_before[z] - 1;
        }
        exponent.resize(n_kept);
        for (int64_t k = 0; k < n_modes; ++k) {
            for (int64_t i = 0; i < n_kept; ++i) {
                const double until_end =
                    shared.window_end(latest[i]) - time[by_block[i]];
                exponent[i] = until_end * inverse_tau[k];
            }
            exponentiate(exponent.data(), n_kept);
            Real *const amplitude = shared.amplitude.data() + first_spike * n_modes + k;
            for (int64_t i = 0; i < n_kept; ++i)
                amplitude[i * n_modes] = Real(sensitivity[by_block[i]] * exponent[i]);
        }
    }
};

// `crossing` in equations/cuba_lif.py for tau_mem = 2 tau_syn, where v is a quadratic in
// exp(-t/tau_mem).
template <class Real>
void find_crossings(const Crossings &spikes, int64_t first, int64_t stop) {
    const double dt = spikes.dt, v_threshold = spikes.v_threshold;
    const double rate = 1 / spikes.tau_mem, kappa = spikes.tau_mem;
    const double growth_mem = std::exp(dt * rate), growth_syn = std::exp(2 * dt * rate);
    const double nan = std::numeric_limits<double>::quiet_NaN();
    const Real *const v_end = static_cast<const Real *>(spikes.v);
    const Real *const i_end = static_cast<const Real *>(spikes.i_syn);
    double *const __restrict time = spikes.time, *const __restrict slope = spikes.slope;
    for (int64_t z = first; z < stop; ++z) time[z] = double(spikes.step[z]) * dt;
    for (int64_t z = first; z < stop; ++z) {
        const double v = v_end[z], i_syn = i_end[z];
        const double v0 = v * growth_mem + kappa * i_syn * (growth_mem - growth_syn);
        const double i0 = i_syn * growth_syn, a = kappa * i0, b = v0 + a;
        const double square = b * b - 4 * a * v_threshold;
        const double x = (b + std::sqrt(square > 0 ? square : 0)) / (2 * a);
        const double root = x > 0 ? -kappa * logarithm(x) : nan;
        const bool above = v0 >= v_threshold, rises = a > 0;
        double delay = above | !rises ? 0 : root;
        delay = delay < 0 ? 0 : delay;
        delay = delay > dt ? dt : delay;
        const double at_start = i0 - v0 * rate, at_end = i_syn - v * rate;
        const double steepest_end = at_start > at_end ? at_start : at_end;
        const double i_crossing = i0 * exponential(-2 * delay * rate);
        time[z] += delay;
        slope[z] = above ? steepest_end : i_crossing - v_threshold * rate;
    }
}

// Several columns side by side, for the vector registers.
template <class Real>
struct Lanes {
    static constexpr int count = 32 / sizeof(Real);
    typedef Real Type __attribute__((vector_size(32)));
    typedef Real Unaligned
        __attribute__((vector_size(32), aligned(sizeof(Real)), may_alias));
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
        Real total = 0;
        for (int n = 0; n < Lanes<Real>::count; ++n) total += sum[n];
        return total;
    }
};

// Sweeps the samples with the traces of one block of columns.
template <class Real, int width>
class Sweep {
    using Block = Row<Real, width>;
    const Shared<Real> &shared;
    const Layer &layer;
    const int n_modes;
    Real rate[max_modes];
    Real *const parts;  // [block][presynaptic spike] of the arrivals' gradient, or null
    // Of the current block.
    Block trace[max_modes];
    int64_t window;  // of the traces
    std::vector<Block> gradient, padded_weight;
    const Real *weight;
    int64_t weight_stride;
    Real *grad_arrival;

public:
    Sweep(const Shared<Real> &shared, Real *parts)
        : shared(shared),
          layer(shared.layer),
          n_modes(layer.n_modes),
          parts(parts),
          gradient(layer.n_pre) {
        for (int k = 0; k < n_modes; ++k) rate[k] = Real(1 / layer.tau[k]);
    }

    void operator()(int64_t block) {
        const int64_t n_columns =
            std::min<int64_t>(width, layer.n_post - block * width);
        if (parts) {
            grad_arrival = parts + block * layer.n_arrivals;
            std::fill_n(grad_arrival, layer.n_arrivals, Real(0));
            find_weights(block, n_columns);
        }
        for (Block &row : gradient) row.clear();
        for (int64_t sample = 0; sample < layer.n_samples; ++sample)
            sweep(sample, block);
        Real *out = static_cast<Real *>(layer.grad_weight) + block * width;
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
        padded_weight.assign(layer.n_pre, Block{});
        for (int64_t i = 0; i < layer.n_pre; ++i)
            std::copy_n(weight + i * layer.n_post, n_columns, padded_weight[i].data());
        weight = reinterpret_cast<const Real *>(padded_weight.data());
        weight_stride = width;
    }

    void sweep(int64_t sample, int64_t block) {
        const int32_t *const stop = &shared.block_stop[sample * shared.n_blocks];
        const int64_t first = block ? stop[block - 1] : layer.post_offset[sample];
        int64_t z = stop[block];
        if (z == first) return;
        for (int k = 0; k < n_modes; ++k) trace[k].clear();
        window = shared.instants[shared.latest[z - 1]].window;
        for (int64_t n = shared.latest[z - 1]; n >= layer.pre_offset[sample]; --n) {
            const Instant &instant = shared.instants[n];
            if (instant.window != window) move_to(instant.window);
            for (; z > first && shared.latest[z - 1] == n; --z)
                for (int k = 0; k < n_modes; ++k)
                    trace[k].data()[shared.column[z - 1]] +=
                        shared.amplitude[(z - 1) * n_modes + k];
            add(instant, &shared.response[n * n_modes]);
        }
    }

    void move_to(int64_t earlier) {
        const double elapsed = double(window - earlier) * shared.window;
        for (int k = 0; k < n_modes; ++k)
            trace[k].scale(Real(std::exp(-elapsed / layer.tau[k])));
        window = earlier;
    }

    void add(const Instant &instant, const Real *response) {
        Block by_weight{}, by_arrival{};
        for (int k = 0; k < n_modes; ++k) by_weight.add(response[k], trace[k]);
        for (int64_t i = instant.first; i < instant.stop; ++i)
            gradient[layer.pre_neuron[i]].add(by_weight);
        if (!parts) return;
        for (int k = 0; k < n_modes; ++k)
            by_arrival.add(response[k] * rate[k], trace[k]);
        for (int64_t i = instant.first; i < instant.stop; ++i)
            grad_arrival[i] =
                by_arrival.dot(weight + layer.pre_neuron[i] * weight_stride);
    }
};

// Fewer threads than asked for where there is too little work to start them.
int64_t threads_for(int64_t work, int64_t work_per_thread, int64_t n_threads) {
    return std::min(n_threads, 1 + work / work_per_thread);
}

bool is_offset(const int64_t *offset, int64_t n_samples, int64_t n_spikes) {
    return offset[0] == 0 && offset[n_samples] == n_spikes &&
           std::is_sorted(offset, offset + n_samples + 1);
}

template <class Real, int log2_width>
Status differentiate(Layer &layer, int64_t n_threads) {
    if (!is_offset(layer.pre_offset, layer.n_samples, layer.n_arrivals) ||
        !is_offset(layer.post_offset, layer.n_samples, layer.n_spikes))
        return bad_index;
    Shared<Real> shared(layer, log2_width);
    run_tasks(
        threads_for(layer.n_arrivals + layer.n_spikes, spikes_per_thread, n_threads),
        layer.n_samples, [&] { return Preparation<Real>(shared); });
    if (shared.bad_index) return bad_index;
    layer.n_clamped = shared.n_clamped;

    Array<Real> parts(layer.grad_arrival ? shared.n_blocks * layer.n_arrivals : 0);
    const int64_t n_elements = (layer.n_arrivals + layer.n_pre) * layer.n_post;
    run_tasks(threads_for(n_elements, elements_per_thread, n_threads), shared.n_blocks,
              [&] { return Sweep<Real, 1 << log2_width>(shared, parts.data()); });
    if (!layer.grad_arrival) return done;
    std::fill_n(layer.grad_arrival, layer.n_arrivals, 0.0);
    for (int64_t block = 0; block < shared.n_blocks; ++block)
        for (int64_t i = 0; i < layer.n_arrivals; ++i)
            layer.grad_arrival[i] += parts[block * layer.n_arrivals + i];
    return done;
}

template <class Real>
void recover_crossings(const Crossings &spikes, int64_t n_threads) {
    constexpr int64_t chunk = 4096;
    run_tasks(threads_for(spikes.n_spikes, spikes_per_thread, n_threads),
              (spikes.n_spikes + chunk - 1) / chunk, [&] {
                  return [&](int64_t i) {
                      find_crossings<Real>(spikes, i * chunk,
                                           std::min((i + 1) * chunk, spikes.n_spikes));
                  };
              });
}

// Blocks of one, two or more cache lines, so that narrow layers waste little.
template <class Real>
int layer_gradient(Layer &layer, int64_t n_threads) {
    constexpr int line = sizeof(Real) == 4 ? 4 : 3;  // log2 of its columns
    const auto run = layer.n_post <= 1 << line   ? differentiate<Real, line>
                     : layer.n_post <= 2 << line ? differentiate<Real, line + 1>
                                                 : differentiate<Real, line + 2>;
    try {
        return run(layer, n_threads);
    } catch (const std::bad_alloc &) {
        return out_of_memory;
    }
}

}  // namespace

extern "C" {
int layer_gradient_float(Layer *layer, int64_t n_threads) {
    return layer_gradient<float>(*layer, n_threads);
}

int layer_gradient_double(Layer *layer, int64_t n_threads) {
    return layer_gradient<double>(*layer, n_threads);
}

void crossings_float(const Crossings *spikes, int64_t n_threads) {
    recover_crossings<float>(*spikes, n_threads);
}

void crossings_double(const Crossings *spikes, int64_t n_threads) {
    recover_crossings<double>(*spikes, n_threads);
}
}
