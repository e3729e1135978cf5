// Exact event-driven solution of one layer of CUBA LIF neurons, tau_mem = 2 tau_syn.
//
// With x = exp(-(t - t_ref)/tau_mem), the potential of a neuron is the quadratic
//     v = a x - b x^2
// until the next event. kappa is tau_mem here (see equations/models/cuba_lif.py), so
//     a delivery of weight w at x_i adds  tau_mem w / x_i   to a
//                                   and   tau_mem w / x_i^2 to b,
//     a reset at x_z takes                delta_v / x_z     from a,
// and between events there is nothing to update. x falls as time goes on: v rises
// through the threshold at the larger root of a x - b x^2 = v_threshold, at most once
// between two events, and does not come back after it has fallen below.
//
// A neuron that may fire starts each interval between deliveries below threshold. That
// is known, not tested: only its potential at the interval's end and its peak are. So
// rounding at a delivery can neither lose a crossing nor find the same one twice; a
// reset leaves v at v_threshold - delta_v, much further below than rounding reaches.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <memory>
#include <new>
#include <vector>

namespace {

constexpr int64_t kBlock = 16;         // neurons that are tested together
constexpr double kLongestSpan = 64;    // in tau_mem; keeps a^2 ~ exp(2 * 64) finite
constexpr int64_t kRunaway = 100'000;  // spikes of one neuron that no drive justifies

enum Status : int { kDone, kOutOfMemory, kFiresWithoutBound };
struct FiresWithoutBound {};

// Python reads the members from this text.
struct Parameters {
  double tau_mem, v_threshold, delta_v, duration;
  double dt;           // 0: nothing is quantised
  int64_t max_spikes;  // 0: as many as it likes
  int64_t n_post;
};

struct Spike {
  double time, slope;
  int64_t step;
  int32_t neuron;
};

struct Spikes {
  std::vector<Spike> all;
  std::vector<int64_t> offset{0};
};

// From one delivery to the next or to the end of the sample, in t and in x.
struct Interval {
  double t_start, t_stop, x_start, x_stop;
};

inline double potential(double a, double b, double x) { return x * (a - b * x); }

// Whether v, below theta at x_start, ends above it at x_stop or peaks in between.
inline bool crosses(double a, double b, double x_start, double x_stop, double theta) {
  const bool ends_above = potential(a, b, x_stop) >= theta;
  const bool peaks = (a < 2 * b * x_start) & (a > 2 * b * x_stop);
  return ends_above | (peaks & (a * a >= 4 * theta * b));
}

template <typename Weight>
class Layer {
 public:
  Layer(const Parameters& p, const Weight* weights, Spikes& spikes)
      : p_(p), weights_(weights), spikes_(spikes),
        n_blocks_((p.n_post + kBlock - 1) / kBlock) {}

  void simulate(int64_t n_deliveries, const int32_t* source, const double* arrival) {
    clear();
    const size_t n_of_others = spikes_.all.size();
    for (int64_t first = 0, last; first < n_deliveries; first = last) {
      const double t_start = arrival[first];
      if (!drives(t_start)) break;
      for (last = first + 1; last < n_deliveries && arrival[last] == t_start;) ++last;
      const bool more = last < n_deliveries && drives(arrival[last]);
      const double t_stop = more ? arrival[last] : p_.duration;
      if (t_start - t_ref_ > kLongestSpan * p_.tau_mem) move_reference(t_start);
      const Interval interval{t_start, t_stop, decay(t_start), decay(t_stop)};
      add_weights(source + first, last - first);
      deliver(interval);
      const size_t n_before = spikes_.all.size();
      for (int64_t block = 0; block < n_blocks_; ++block)
        for (uint64_t bits = crosses_[block] | above_[block]; bits; bits &= bits - 1)
          fire(block * kBlock + __builtin_ctzll(bits), interval);
      sort_from(n_before);
    }
    // One interval may end, by rounding, with a spike at the instant of the next one's.
    sort_from(n_of_others);
    spikes_.offset.push_back(spikes_.all.size());
  }

 private:
  void clear() {
    const int64_t padded = n_blocks_ * kBlock;
    for (auto* vector : {&a_, &b_, &weight_}) vector->assign(padded, 0.0);
    n_fired_.assign(padded, 0);
    above_.assign(n_blocks_, 0);
    crosses_.assign(n_blocks_, 0);
    t_ref_ = 0.0;
  }

  // Counted as equations/time_rules.py counts the steps of a sample.
  int64_t bins_until(double t) const { return int64_t(std::ceil(t / p_.dt - 1e-9)); }

  bool drives(double t) const {
    return p_.dt > 0 ? bins_until(t) < bins_until(p_.duration) : t < p_.duration;
  }

  double decay(double t) const { return std::exp(-(t - t_ref_) / p_.tau_mem); }

  void move_reference(double t) {
    const double x = decay(t);
    for (auto& a : a_) a *= x;
    for (auto& b : b_) b *= x * x;
    t_ref_ = t;
  }

  // Sums the weights of simultaneous deliveries.
  void add_weights(const int32_t* source, int64_t n_deliveries) {
    double* __restrict sum = weight_.data();
    const Weight* row = weights_ + source[0] * p_.n_post;
    for (int64_t n = 0; n < p_.n_post; ++n) sum[n] = row[n];
    for (int64_t i = 1; i < n_deliveries; ++i) {
      row = weights_ + source[i] * p_.n_post;
      for (int64_t n = 0; n < p_.n_post; ++n) sum[n] += row[n];
    }
  }

  // Delivers the sums and finds the neurons that cross. Most of the time goes here; the
  // plain arrays let the compiler vectorise it.
  void deliver(const Interval& interval) {
    const double x_start = interval.x_start, x_stop = interval.x_stop;
    const double to_a = p_.tau_mem / x_start, to_b = to_a / x_start;
    const double theta = p_.v_threshold, *weight = weight_.data();
    double *__restrict a = a_.data(), *__restrict b = b_.data();
    for (int64_t block = 0; block < n_blocks_; ++block) {
      uint64_t bits = 0;
      for (int64_t k = 0, n = block * kBlock; k < kBlock; ++k, ++n) {
        a[n] += to_a * weight[n];
        b[n] += to_b * weight[n];
        bits |= uint64_t(crosses(a[n], b[n], x_start, x_stop, theta)) << k;
      }
      crosses_[block] = bits;
    }
  }

  // Emits the spikes of neuron n in the interval. A neuron above threshold since it
  // sent a spike cannot rise through it before the next delivery, but it can fall.
  void fire(int64_t n, const Interval& interval) {
    const double b = b_[n], theta = p_.v_threshold;
    double &a = a_[n], x_from = interval.x_start;
    const auto above_at = [&](double x) { return potential(a, b, x) >= theta; };
    if (is_above(n)) return set_above(n, above_at(interval.x_stop));
    while (crosses(a, b, x_from, interval.x_stop, theta)) {
      if (p_.max_spikes && n_fired_[n] >= p_.max_spikes) return;
      if (!(b > 0)) return;  // v falls: it is above threshold by rounding alone
      const double root = std::sqrt(std::max(a * a - 4 * theta * b, 0.0));
      const double x = std::clamp((a + root) / (2 * b), interval.x_stop, x_from);
      const double t = std::clamp(t_ref_ - p_.tau_mem * std::log(x), interval.t_start,
                                  interval.t_stop);
      if (t >= p_.duration) return;
      if (++n_fired_[n] > kRunaway || !std::isfinite(root)) throw FiresWithoutBound{};
      const int64_t step = p_.dt > 0 ? bin_of(t, interval) : 0;
      spikes_.all.push_back({t, x * root / p_.tau_mem, step, int32_t(n)});
      a -= p_.delta_v / x;
      x_from = x;
      if (p_.dt > 0) {
        // The next crossing must come after the time sent.
        const double t_sent = (step + 1) * p_.dt;
        x_from = t_sent < interval.t_stop ? decay(t_sent) : interval.x_stop;
        if (above_at(x_from)) return set_above(n, above_at(interval.x_stop));
      }
    }
  }

  // Deliveries lie at the ends of bins, so a crossing between two of them lies in a bin
  // between them, whatever rounding does to t/dt.
  int64_t bin_of(double t, const Interval& interval) const {
    return std::clamp(int64_t(t / p_.dt), bins_until(interval.t_start),
                      bins_until(interval.t_stop) - 1);
  }

  bool is_above(int64_t n) const { return above_[n / kBlock] >> (n % kBlock) & 1; }

  void set_above(int64_t n, bool above) {
    const uint64_t bit = uint64_t(1) << (n % kBlock);
    uint64_t& block = above_[n / kBlock];
    block = above ? block | bit : block & ~bit;
  }

  void sort_from(size_t first) {
    const bool continuous = p_.dt == 0;
    const auto earlier = [=](const Spike& s, const Spike& other) {
      if (continuous && s.time != other.time) return s.time < other.time;
      if (s.step != other.step) return s.step < other.step;
      return s.neuron < other.neuron;
    };
    const auto begin = spikes_.all.begin() + first, end = spikes_.all.end();
    if (!std::is_sorted(begin, end, earlier)) std::sort(begin, end, earlier);
  }

  const Parameters& p_;
  const Weight* weights_;
  Spikes& spikes_;
  const int64_t n_blocks_;
  double t_ref_ = 0.0;
  std::vector<double> a_, b_, weight_;
  std::vector<int64_t> n_fired_;
  // One bit a neuron, one word a block.
  std::vector<uint64_t> crosses_;
  std::vector<uint64_t> above_;  // since a spike was sent, hence silent
};

template <typename Weight>
int run(const Parameters* parameters, const Weight* weights, int64_t n_samples,
        const int64_t* offset, const int32_t* source, const double* arrival,
        Spikes** result) {
  try {
    auto spikes = std::make_unique<Spikes>();
    Layer<Weight> layer(*parameters, weights, *spikes);
    for (int64_t m = 0; m < n_samples; ++m)
      layer.simulate(offset[m + 1] - offset[m], source + offset[m],
                     arrival + offset[m]);
    *result = spikes.release();
    return kDone;
  } catch (const FiresWithoutBound&) {
    return kFiresWithoutBound;
  } catch (const std::bad_alloc&) {
    return kOutOfMemory;
  }
}

}  // namespace

// `event_run_*` fills *result, to be read and then destroyed, only if it returns kDone.
extern "C" {

int event_run_float(const Parameters* p, const float* weights, int64_t n_samples,
                    const int64_t* offset, const int32_t* source, const double* arrival,
                    Spikes** result) {
  return run(p, weights, n_samples, offset, source, arrival, result);
}

int event_run_double(const Parameters* p, const double* weights, int64_t n_samples,
                     const int64_t* offset, const int32_t* source,
                     const double* arrival, Spikes** result) {
  return run(p, weights, n_samples, offset, source, arrival, result);
}

int64_t event_count(const Spikes* spikes) { return spikes->all.size(); }

void event_read(const Spikes* spikes, int64_t* offset, int32_t* neuron, int64_t* step,
                double* time, double* slope) {
  std::copy(spikes->offset.begin(), spikes->offset.end(), offset);
  for (const Spike& spike : spikes->all) {
    *neuron++ = spike.neuron;
    *step++ = spike.step;
    *time++ = spike.time;
    *slope++ = spike.slope;
  }
}

void event_destroy(Spikes* spikes) { delete spikes; }

}  // extern "C"
