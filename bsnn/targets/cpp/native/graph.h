// The loop of a resident program of a network of any neurons: wait for a request,
// simulate its samples one after another, and answer with their spikes and traces, or
// with the derivatives that one sweep backwards in time gives.
//
// Brian2's code objects do the arithmetic. This loop owns the steps: it binds their
// arrays to where a step's values are, and calls them in Brian2's order or in reverse.
#pragma once
#include <algorithm>
#include <chrono>
#include <numeric>
#include <vector>

#include "brianlib/clocks.h"
#include "protocol.h"

namespace bsnn {

const int MAX_PARTS = 256;  // populations, and connections

// What code objects visit in a step: some neurons, and dL/dT of the spikes they mean.
struct Visits {
  const int32_t* neuron;
  int64_t n;
  double* total;         // of spike k, or of spike `spike[k]`
  const int64_t* spike;
  const void* weights;   // of a projection: n_pre x n_post
  void* gradient;        // dL/d(weights)
};
inline Visits fired[MAX_PARTS], released[MAX_PARTS], arriving[MAX_PARTS];

// Spikes whose crossings are located together, and where the answer goes.
struct Crossings {
  int64_t n;
  void* time;   // from the start of the step
  void* slope;  // of the margin
  void* by;     // the margin's derivatives: gains x n
};
inline Crossings crossings[MAX_PARTS];
inline int64_t generation = 0;  // what does not change within one is kept

typedef void (*Code)();

template <class Real>
struct Array {
  Real** array;  // the program's own pointer
  int64_t n;
  bool shared;   // by all neurons, also where there is but one
};

template <class Real>
struct Population {
  int64_t n;
  const int32_t* fires;              // what the thresholder writes; null of inputs
  std::vector<Real**> state, before, end, lambda;
  char **free, **open;               // null where nothing is refractory
  double** last_spike;
  std::vector<int> recorded;         // states whose traces are wanted
  std::vector<Array<Real>> parameters, currents;
  std::vector<Array<Real>> learned;  // dL/dp, one a neuron; n = 1 of a shared one
  std::vector<Array<Real>> current_gradients;
  std::vector<Real**> normal;
  bool can_freeze;
  int32_t** index;
  std::vector<Real**> gains;         // what a crossing adds to: lambda, dL/dp
  bool at_once;                      // crossings read nothing that a step changes
  Code reset, update, crossing, release;  // backwards; null where there is nothing

  // Of the sample at hand.
  std::vector<int32_t> neuron;
  std::vector<int64_t> start;        // spikes of step n: start[n]..start[n + 1]
  std::vector<double> total;
  std::vector<Real> tape;            // states at each step
  // Of each spike, the states at the start of its step and those before its reset.
  std::vector<Real> at_spikes;
  std::vector<char> tape_free, tape_open;
  std::vector<int64_t> last;         // each neuron's last spike
  std::vector<Real> time, slope, by;  // of each crossing; gains x crossings
  int64_t first;                     // spike that they begin with
  std::vector<std::vector<Real>> there;  // what the crossings' code reads
  std::vector<int32_t> index_there;
  std::vector<int32_t> released;
  std::vector<int64_t> released_spike, released_start;
  // Of the batch.
  std::vector<int32_t> out_neuron, out_step;
  std::vector<int64_t> out_offset;
  std::vector<Real> out_crossings;
};

struct Connection {
  int source, target;
  int64_t n_pre, n_post;
  int64_t delay;
  Code forward, backward;
  std::vector<Code> slopes;  // of the target, needed before `backward`
};

struct Steps {
  std::vector<Code> groups, thresholds, resets;
};

// A number that is neither infinite nor NaN, whatever the compiler takes for granted.
inline bool sound(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  return (bits & 0x7f800000u) != 0x7f800000u;
}
inline bool sound(double x) {
  uint64_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  return (bits & 0x7ff0000000000000u) != 0x7ff0000000000000u;
}

// Uniform bits of a counter (splitmix64, Steele et al. 2014, doi:10.1145/2714064.2660195):
// the same for a sample whoever simulates it, and as often as it is repeated.
inline uint64_t scrambled(uint64_t x) {
  x += 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}
template <class Real>
void draw_normal(Real* values, int64_t n, uint64_t seed, uint64_t sample, uint64_t step,
                 uint64_t stream) {
  const uint64_t key = scrambled(scrambled(scrambled(seed ^ scrambled(sample)) ^ step) ^ stream);
  for (int64_t k = 0; k < n; k++) {  // Box & Muller 1958
    const uint64_t bits = scrambled(key ^ uint64_t(k));
    const double u = ((bits >> 32) + 0.5) * 0x1p-32, phase = (bits & 0xffffffffu) * 0x1p-32;
    values[k] = Real(std::sqrt(-2 * std::log(u)) * std::cos(6.283185307179586 * phase));
  }
}

template <class Real>
class Program {
  const int socket_ = descriptor("BSNN_SOCKET");
  Clock& clock_;
  std::vector<Population<Real>> pops_;
  std::vector<Connection> connections_;
  Steps steps_;
  Segment data_, exchange_;
  // Of the request at hand; as in bsnn/program/graph_messages.py.
  Request request_;
  int64_t n_steps_;
  uint64_t seed_, first_sample_;
  bool kept_;                // crossings are wanted; backwards, given
  bool by_inputs_;           // derivatives by the times of inputs are wanted
  const bool repeats_;       // backwards, states between spikes are needed, too
  bool taping_ = false, noting_ = false;
  const double* slope_min_;  // of each population's crossings
  int64_t n_clamped_;        // slopes below it
  std::vector<const Real*> initial_, weights_;
  std::vector<const int64_t*> offset_;            // spikes of each sample
  std::vector<const int32_t*> step_, neuron_;     // of inputs
  std::vector<std::vector<const Real*>> current_;  // [population][current]
  std::vector<Real*> own_;  // arrays of the code objects, while others stand for them
  struct { int64_t population, variable, step, sample, neuron; } broken_;

 public:
  Program(Clock& clock, std::vector<Population<Real>> pops,
          std::vector<Connection> connections, Steps steps, bool repeats)
      : clock_(clock), pops_(pops), connections_(connections), steps_(steps),
        repeats_(repeats), data_(descriptor("BSNN_WEIGHTS"), PROT_READ),
        exchange_(descriptor("BSNN_EXCHANGE"), PROT_READ | PROT_WRITE) {}

  void serve() {
    wake_at_parents_death();
    data_.map_all();
    while (receive(socket_, request_)) {
      generation++;
      exchange_.map(request_.exchange_bytes);
      size_t at = 0;
      const int64_t* table = exchange_.block<int64_t>(at, request_.n_inputs);
      const bool backwards = table[0];
      seed_ = table[1];
      first_sample_ = table[2];
      kept_ = table[3];
      by_inputs_ = table[4];
      for (size_t c = 0; c < connections_.size(); c++) connections_[c].delay = table[5 + c];
      n_steps_ = request_.n_steps;
      clock_.dt[0] = request_.dt;
      broken_ = {-1, 0, 0, 0, 0};
      read_data();
      read_inputs(at);
      const auto start = std::chrono::steady_clock::now();
      const size_t answer_at = backwards ? pull_back(at) : run(at);
      const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - start;
      const Answer answer = {MAGIC, int64_t(exchange_.bytes()), int64_t(answer_at), spent.count()};
      if (send(socket_, &answer, sizeof answer, MSG_NOSIGNAL) != sizeof answer) break;
    }
    _exit(0);  // not through Brian2's end, which writes every array to disk
  }

 private:
  // Weights are read in place; parameters go where the code objects read them.
  void read_data() {
    size_t at = request_.weights_at;
    weights_.clear();
    initial_.clear();
    for (auto& c : connections_) weights_.push_back(data_.block<Real>(at, c.n_pre * c.n_post));
    for (auto& p : pops_) {
      for (auto& q : p.parameters) {
        const Real* values = data_.block<Real>(at, q.n);
        std::copy(values, values + q.n, *q.array);
      }
      for (size_t s = 0; s < p.state.size(); s++) initial_.push_back(data_.block<Real>(at, p.n));
    }
    slope_min_ = data_.block<double>(at, pops_.size());
  }

  void read_inputs(size_t& at) {
    const int64_t m = request_.n_samples;
    offset_.assign(pops_.size(), nullptr);
    step_ = neuron_ = std::vector<const int32_t*>(pops_.size(), nullptr);
    current_.assign(pops_.size(), {});
    for (size_t k = 0; k < pops_.size(); k++) {
      auto& p = pops_[k];
      if (!p.fires && p.state.empty()) {
        offset_[k] = exchange_.block<int64_t>(at, m + 1);
        step_[k] = exchange_.block<int32_t>(at, offset_[k][m]);
        neuron_[k] = exchange_.block<int32_t>(at, offset_[k][m]);
      }
      for (auto& c : p.currents)
        current_[k].push_back(exchange_.block<Real>(at, m * n_steps_ * c.n));
    }
  }

  Real* current(size_t k, size_t c, int64_t sample, int64_t n) {
    return const_cast<Real*>(current_[k][c]) + (sample * n_steps_ + n) * pops_[k].currents[c].n;
  }

  void bind_currents(int64_t sample, int64_t n) {
    for (size_t k = 0; k < pops_.size(); k++) {
      auto& p = pops_[k];
      for (size_t c = 0; c < p.currents.size(); c++)
        *p.currents[c].array = current(k, c, sample, n);
      for (size_t x = 0; x < p.normal.size(); x++)
        draw_normal(*p.normal[x], p.n, seed_, first_sample_ + sample, n, (k << 8) + x);
    }
  }

  // Point a connection at what arrives in step n: a stretch of its source's spikes.
  void bind_arrivals(size_t c, int64_t n) {
    const auto& connection = connections_[c];
    auto& p = pops_[connection.source];
    const int64_t sent = n - connection.delay;
    auto& a = arriving[c];
    a.n = 0;
    a.weights = weights_[c];
    if (sent < 0) return;
    a.neuron = p.neuron.data() + p.start[sent];
    a.n = p.start[sent + 1] - p.start[sent];
    a.total = p.fires || by_inputs_ ? p.total.data() + p.start[sent] : nullptr;
  }

  // Take all spikes of a sample as they are given.
  void set_spikes(Population<Real>& p, const int32_t* step, const int32_t* neuron, int64_t count) {
    p.neuron.assign(neuron, neuron + count);
    p.start.assign(1, 0);
    int64_t z = 0;
    for (int64_t n = 0; n < n_steps_; n++) {
      while (z < count && step[z] <= n) z++;
      p.start.push_back(z);
    }
  }
  void set_inputs(size_t k, int64_t sample) {
    const int64_t from = offset_[k][sample], to = offset_[k][sample + 1];
    set_spikes(pops_[k], step_[k] + from, neuron_[k] + from, to - from);
  }

  void simulate(int64_t sample, std::vector<std::vector<Real*>>* traces) {
    size_t which = 0;
    for (size_t k = 0; k < pops_.size(); k++) {
      auto& p = pops_[k];
      if (offset_[k]) {
        set_inputs(k, sample);
        continue;
      }
      p.neuron.clear();
      p.start.assign(1, 0);
      p.at_spikes.clear();
      for (auto* x : p.state) {
        std::copy(initial_[which], initial_[which] + p.n, *x);
        which++;
      }
      if (p.free) {
        std::fill(*p.free, *p.free + p.n, 1);
        std::fill(*p.last_spike, *p.last_spike + p.n, -1e4);
      }
      if (taping_) begin_tape(p);
    }
    for (int64_t n = 0; n < n_steps_; n++) {
      clock_.timestep[0] = n;
      clock_.t[0] = n * request_.dt;
      bind_currents(sample, n);
      for (size_t k = 0; k < pops_.size(); k++) {
        auto& p = pops_[k];
        if (taping_) tape_states(p, n);
        if (traces)
          for (size_t r = 0; r < p.recorded.size(); r++) {
            const Real* x = *p.state[p.recorded[r]];
            std::copy(x, x + p.n, (*traces)[k][r] + (sample * n_steps_ + n) * p.n);
          }
      }
      for (auto f : steps_.groups) f();
      if (taping_) for (auto& p : pops_) note_free(p, n);
      for (auto f : steps_.thresholds) f();
      for (size_t k = 0; k < pops_.size(); k++) {
        auto& p = pops_[k];
        if (p.fires) {
          const int32_t count = p.fires[p.n];
          if (taping_)
            for (int32_t z = 0; z < count; z++) p.last[p.fires[z]] = p.neuron.size() + z;
          p.neuron.insert(p.neuron.end(), p.fires, p.fires + count);
          if (noting_) note_states(p, count, p.before, 0);
        }
        if (!offset_[k]) p.start.push_back(p.neuron.size());
        if (taping_ && p.open) std::copy(*p.free, *p.free + p.n, &p.tape_open[n * p.n]);
      }
      for (size_t c = 0; c < connections_.size(); c++) {
        bind_arrivals(c, n);
        if (arriving[c].n) connections_[c].forward();
      }
      if (noting_)
        for (auto& p : pops_)
          if (p.fires) note_states(p, p.fires[p.n], p.state, p.state.size());
      for (auto f : steps_.resets) f();
    }
    if (taping_) for (auto& p : pops_) write_states(p, n_steps_);
    check_states(sample);
  }

  // ---- forwards ----------------------------------------------------------------------

  size_t run(size_t at) {
    taping_ = false;
    noting_ = kept_ && !repeats_;
    const int64_t m = request_.n_samples;
    std::vector<std::vector<Real*>> traces(pops_.size());
    // Traces first, whose size is known, then the spikes.
    size_t end = at;
    for (auto& p : pops_) end += p.recorded.size() * aligned(m * n_steps_ * p.n * sizeof(Real));
    if (end > at) { grow(end); }
    const size_t answer_at = at;
    for (size_t k = 0; k < pops_.size(); k++) {
      auto& p = pops_[k];
      for (size_t r = 0; r < p.recorded.size(); r++)
        traces[k].push_back(exchange_.block<Real>(at, m * n_steps_ * p.n));
      p.out_neuron.clear();
      p.out_step.clear();
      p.out_offset.assign(1, 0);
      p.out_crossings.clear();
    }
    for (int64_t sample = 0; sample < m; sample++) {
      simulate(sample, &traces);
      for (size_t k = 0; k < pops_.size(); k++) {
        auto& p = pops_[k];
        if (!p.fires) continue;
        p.out_neuron.insert(p.out_neuron.end(), p.neuron.begin(), p.neuron.end());
        for (int64_t n = 0; n < n_steps_; n++)
          p.out_step.insert(p.out_step.end(), p.start[n + 1] - p.start[n], int32_t(n));
        p.out_offset.push_back(p.out_neuron.size());
        if (noting_) store_crossings(k, sample);
      }
    }
    end = at + aligned(6 * 8);
    for (auto& p : pops_)
      if (p.fires)
        end += aligned(p.out_offset.size() * 8) + 2 * aligned(p.out_neuron.size() * 4) +
               (noting_ ? aligned(p.out_crossings.size() * sizeof(Real)) : 0);
    grow(end);
    store_status(at, 6)[5] = noting_;
    for (auto& p : pops_) {
      if (!p.fires) continue;
      std::copy(p.out_offset.begin(), p.out_offset.end(), exchange_.block<int64_t>(at, p.out_offset.size()));
      std::copy(p.out_neuron.begin(), p.out_neuron.end(), exchange_.block<int32_t>(at, p.out_neuron.size()));
      std::copy(p.out_step.begin(), p.out_step.end(), exchange_.block<int32_t>(at, p.out_step.size()));
      if (noting_)
        std::copy(p.out_crossings.begin(), p.out_crossings.end(), exchange_.block<Real>(at, p.out_crossings.size()));
    }
    return answer_at;
  }

  // All that the backward pass reads of a spike, unless it reads more than of spikes.
  size_t crossing_size(const Population<Real>& p) const {
    return 2 + p.gains.size() + p.state.size();
  }

  void store_crossings(size_t k, int64_t sample) {
    auto& p = pops_[k];
    locate(k, sample, 0, n_steps_);
    const size_t n = p.neuron.size(), m = p.state.size(), before = p.out_crossings.size();
    p.out_crossings.resize(before + n * crossing_size(p));
    Real* to = p.out_crossings.data() + before;
    for (size_t z = 0; z < n; z++) {
      *to++ = p.time[z];
      *to++ = p.slope[z];
      for (size_t g = 0; g < p.gains.size(); g++) *to++ = p.by[g * n + z];
      to = std::copy_n(p.at_spikes.data() + (2 * z + 1) * m, m, to);
    }
  }

  void take_crossings(Population<Real>& p, const Real* from, size_t n) {
    const size_t m = p.state.size();
    p.first = 0;
    p.slope.resize(n);
    p.by.resize(p.gains.size() * n);
    p.at_spikes.resize(2 * m * n);
    for (size_t z = 0; z < n; z++, from += crossing_size(p)) {
      p.slope[z] = from[1];
      for (size_t g = 0; g < p.gains.size(); g++) p.by[g * n + z] = from[2 + g];
      std::copy(from + 2 + p.gains.size(), from + crossing_size(p), &p.at_spikes[(2 * z + 1) * m]);
    }
  }

  // A larger segment lies elsewhere: what points into it is read again.
  void grow(size_t end) {
    if (end <= exchange_.bytes()) return;
    exchange_.grow(end);
    size_t at = 0;
    exchange_.block<int64_t>(at, request_.n_inputs);
    read_inputs(at);
  }

  // What an answer begins with: where a state broke, and what else `n` numbers say.
  int64_t* store_status(size_t& at, int64_t n) {
    int64_t* where = exchange_.block<int64_t>(at, n);
    where[0] = broken_.population;
    where[1] = broken_.variable;
    where[2] = broken_.step;
    where[3] = broken_.sample;
    where[4] = broken_.neuron;
    return where;
  }

  // A state that is no number stays none: looked for at the end, and then step by step.
  void check_states(int64_t sample) {
    if (broken_.population >= 0) return;
    for (size_t k = 0; k < pops_.size(); k++)
      for (size_t s = 0; s < pops_[k].state.size(); s++)
        for (int64_t j = 0; j < pops_[k].n; j++)
          if (!sound((*pops_[k].state[s])[j])) {
            broken_ = {int64_t(k), int64_t(s), n_steps_ - 1, sample, j};
            if (!taping_) find_step(sample);
            return;
          }
  }

  void find_step(int64_t sample) {
    taping_ = true;
    simulate(sample, nullptr);
    taping_ = false;
    for (int64_t n = 1; n <= n_steps_; n++)
      for (size_t k = 0; k < pops_.size(); k++) {
        auto& p = pops_[k];
        for (size_t s = 0; s < p.state.size(); s++)
          for (int64_t j = 0; j < p.n; j++)
            if (!sound(p.tape[(n * p.state.size() + s) * p.n + j])) {
              broken_ = {int64_t(k), int64_t(s), n - 1, sample, j};
              return;
            }
      }
  }

  // ---- the tape ----------------------------------------------------------------------

  void begin_tape(Population<Real>& p) {
    p.tape.resize((n_steps_ + 1) * p.state.size() * p.n);
    p.last.assign(p.n, -1);
    p.released.clear();
    p.released_spike.clear();
    p.released_start.assign(1, 0);
    if (p.free) {
      p.tape_free.resize(n_steps_ * p.n);
      p.tape_open.resize(n_steps_ * p.n);
    }
  }

  Real* slot(Population<Real>& p, int64_t n, size_t s) {
    return &p.tape[(n * p.state.size() + s) * p.n];
  }

  // Where there is a backward pass the state update keeps what it overwrites.
  void tape_states(Population<Real>& p, int64_t n) {
    if (p.before.empty()) write_states(p, n);
    else
      for (size_t s = 0; s < p.state.size(); s++) *p.before[s] = slot(p, n, s);
  }

  void write_states(Population<Real>& p, int64_t n) {
    for (size_t s = 0; s < p.state.size(); s++)
      std::copy(*p.state[s], *p.state[s] + p.n, slot(p, n, s));
  }

  void note_free(Population<Real>& p, int64_t n) {
    if (!p.free) return;
    char* free = &p.tape_free[n * p.n];
    std::copy(*p.free, *p.free + p.n, free);
    if (p.can_freeze && n)
      for (int64_t j = 0; j < p.n; j++)
        if (free[j] && !p.tape_open[(n - 1) * p.n + j] && p.last[j] >= 0) {
          p.released.push_back(j);
          p.released_spike.push_back(p.last[j]);
        }
    p.released_start.push_back(p.released.size());
  }

  // Note some states of the neurons that fired last.
  void note_states(Population<Real>& p, int64_t count, const std::vector<Real**>& from, size_t place) {
    const size_t m = 2 * p.state.size();
    p.at_spikes.resize(p.neuron.size() * m);
    for (size_t z = p.neuron.size() - count; z < p.neuron.size(); z++)
      for (size_t s = 0; s < from.size(); s++)
        p.at_spikes[z * m + place + s] = (*from[s])[p.neuron[z]];
  }

  // ---- backwards ---------------------------------------------------------------------

  struct Loss {
    const int64_t* offset = nullptr;       // spikes of each sample
    const double* spikes = nullptr;        // dL/dT of each of them
    const int32_t *step = nullptr, *neuron = nullptr;  // themselves, if they are given
    const Real* crossings = nullptr;
    std::vector<const Real*> traces;       // dL/d(trace)
  };

  std::vector<Loss> read_losses(size_t& at) {
    const int64_t m = request_.n_samples;
    std::vector<Loss> losses(pops_.size());
    for (size_t k = 0; k < pops_.size(); k++) {
      auto &p = pops_[k];
      auto &loss = losses[k];
      if (p.fires) {
        loss.offset = exchange_.block<int64_t>(at, m + 1);
        const int64_t n = loss.offset[m];
        loss.spikes = exchange_.block<double>(at, n);
        if (kept_) {
          loss.step = exchange_.block<int32_t>(at, n);
          loss.neuron = exchange_.block<int32_t>(at, n);
          loss.crossings = exchange_.block<Real>(at, n * crossing_size(p));
        }
      }
      for (size_t r = 0; r < p.recorded.size(); r++)
        loss.traces.push_back(exchange_.block<Real>(at, m * n_steps_ * p.n));
    }
    return losses;
  }

  // Sums of derivatives over whole chunks of samples; two that lie beside each other in
  // the binary tree of all chunks become one, so that their order is always the same.
  struct Sum {
    int64_t level, index;
    std::vector<Real*> by_weight;
    std::vector<double*> by_parameter;
  };

  size_t pull_back(size_t at) {
    const int64_t m = request_.n_samples;
    size_t after_losses = at;
    read_losses(after_losses);
    size_t answer_at = after_losses;
    const int64_t n_chunks = *exchange_.block<int64_t>(answer_at, 2);
    exchange_.block<int64_t>(answer_at, n_chunks + 1);
    size_t bytes = aligned(8 * 8);
    for (auto& c : connections_) bytes += n_chunks * aligned(c.n_pre * c.n_post * sizeof(Real));
    for (size_t k = 0; k < pops_.size(); k++) {
      auto& p = pops_[k];
      for (auto& q : p.learned) bytes += n_chunks * aligned(q.n * 8);
      for (auto& q : p.current_gradients) bytes += aligned(m * n_steps_ * q.n * sizeof(Real));
      if (offset_[k]) bytes += aligned(offset_[k][m] * 8);
    }
    grow(answer_at + bytes);
    const std::vector<Loss> losses = read_losses(at);
    const int64_t first_chunk = exchange_.block<int64_t>(at, 2)[1];
    const int64_t* bounds = exchange_.block<int64_t>(at, n_chunks + 1);

    size_t to = answer_at;
    exchange_.block<int64_t>(to, 8);
    std::vector<std::vector<Real*>> by_current(pops_.size());
    std::vector<double*> by_input(pops_.size(), nullptr);
    for (size_t k = 0; k < pops_.size(); k++) {
      auto& p = pops_[k];
      for (auto& q : p.current_gradients) {
        by_current[k].push_back(exchange_.block<Real>(to, m * n_steps_ * q.n));
        std::fill_n(by_current[k].back(), m * n_steps_ * q.n, Real(0));
      }
      if (offset_[k]) by_input[k] = exchange_.block<double>(to, offset_[k][m]);
    }
    std::vector<Sum> places(n_chunks);
    for (auto& sum : places) {
      for (auto& c : connections_)
        sum.by_weight.push_back(exchange_.block<Real>(to, c.n_pre * c.n_post));
      for (auto& p : pops_)
        for (auto& q : p.learned) sum.by_parameter.push_back(exchange_.block<double>(to, q.n));
    }

    n_clamped_ = 0;
    int64_t differ = -1, n_sums = 0;
    taping_ = noting_ = !kept_;
    for (int64_t chunk = 0; chunk < n_chunks; chunk++) {
      Sum& sum = places[n_sums++];
      sum.level = 0;
      sum.index = first_chunk + chunk;
      clear(sum);
      for (size_t c = 0; c < connections_.size(); c++) arriving[c].gradient = sum.by_weight[c];
      for (int64_t sample = bounds[chunk]; sample < bounds[chunk + 1]; sample++) {
        if (kept_) recall(sample, losses);
        else simulate(sample, nullptr);
        for (size_t k = 0; k < pops_.size(); k++) {
          auto& p = pops_[k];
          p.total.assign(p.neuron.size(), 0.0);
          if (!losses[k].offset) continue;
          const int64_t* offset = losses[k].offset;
          if (offset[sample + 1] - offset[sample] != int64_t(p.neuron.size())) {
            differ = sample;
            continue;
          }
          std::copy(losses[k].spikes + offset[sample], losses[k].spikes + offset[sample + 1], p.total.begin());
        }
        sweep(sample, losses, by_current);
        size_t which = 0;
        for (auto& p : pops_)
          for (auto& q : p.learned) {
            double* total = sum.by_parameter[which++];
            for (int64_t j = 0; j < p.n; j++) total[q.n == 1 ? 0 : j] += (*q.array)[j];
          }
        for (size_t k = 0; k < pops_.size(); k++)
          if (by_input[k])
            std::copy(pops_[k].total.begin(), pops_[k].total.end(), by_input[k] + offset_[k][sample]);
      }
      while (n_sums > 1 && siblings(places[n_sums - 2], places[n_sums - 1])) {
        add(places[n_sums - 2], places[n_sums - 1]);
        n_sums--;
      }
    }
    size_t back = answer_at;
    int64_t* status = store_status(back, 8);
    status[5] = differ;
    status[6] = n_clamped_;
    status[7] = n_sums;
    return answer_at;
  }

  // As at the end of a simulation: a sample whose spikes are given.
  void recall(int64_t sample, const std::vector<Loss>& losses) {
    for (size_t k = 0; k < pops_.size(); k++) {
      auto& p = pops_[k];
      if (offset_[k]) {
        set_inputs(k, sample);
      } else if (p.fires) {
        auto& loss = losses[k];
        const int64_t from = loss.offset[sample], to = loss.offset[sample + 1];
        set_spikes(p, loss.step + from, loss.neuron + from, to - from);
        take_crossings(p, loss.crossings + from * crossing_size(p), to - from);
      } else {
        set_spikes(p, nullptr, nullptr, 0);
      }
    }
  }

  void clear(Sum& sum) {
    for (size_t c = 0; c < connections_.size(); c++)
      std::fill_n(sum.by_weight[c], connections_[c].n_pre * connections_[c].n_post, Real(0));
    size_t which = 0;
    for (auto& p : pops_)
      for (auto& q : p.learned) std::fill_n(sum.by_parameter[which++], q.n, 0.0);
  }

  static bool siblings(const Sum& one, const Sum& other) {
    return one.level == other.level && one.index % 2 == 0 && other.index == one.index + 1;
  }

  void add(Sum& sum, const Sum& other) {
    for (size_t c = 0; c < connections_.size(); c++) {
      Real* const __restrict to = sum.by_weight[c];
      const Real* const __restrict from = other.by_weight[c];
      for (int64_t k = 0; k < connections_[c].n_pre * connections_[c].n_post; k++) to[k] += from[k];
    }
    size_t which = 0;
    for (auto& p : pops_)
      for (auto& q : p.learned) {
        for (int64_t k = 0; k < q.n; k++) sum.by_parameter[which][k] += other.by_parameter[which][k];
        which++;
      }
    sum.level++;
    sum.index /= 2;
  }

  void sweep(int64_t sample, const std::vector<Loss>& losses,
             const std::vector<std::vector<Real*>>& by_current) {
    std::vector<std::vector<Real*>> own(pops_.size()), own_free(pops_.size());
    std::vector<char*> free(pops_.size()), open(pops_.size());
    for (size_t k = 0; k < pops_.size(); k++) {
      auto& p = pops_[k];
      for (auto* x : p.state) own[k].push_back(*x);
      if (p.free) free[k] = *p.free, open[k] = *p.open;
      for (auto* x : p.lambda) std::fill(*x, *x + p.n, Real(0));
      for (auto& q : p.learned) std::fill(*q.array, *q.array + p.n, Real(0));
    }
    for (size_t k = 0; k < pops_.size(); k++)
      if (!kept_ && pops_[k].crossing && pops_[k].at_once) locate(k, sample, 0, n_steps_);
    for (int64_t n = n_steps_ - 1; n >= 0; n--) {
      clock_.timestep[0] = n;
      clock_.t[0] = n * request_.dt;
      bind_currents(sample, n);
      for (size_t k = 0; k < pops_.size(); k++) bind_step(pops_[k], k, n);
      for (auto& p : pops_) if (p.reset && fired[&p - &pops_[0]].n) p.reset();
      for (size_t c = connections_.size(); c-- > 0;) {
        bind_arrivals(c, n);
        if (!arriving[c].n) continue;
        if (arriving[c].total)
          for (auto f : connections_[c].slopes) f();
        connections_[c].backward();
      }
      for (size_t k = 0; k < pops_.size(); k++) {
        auto& p = pops_[k];
        for (size_t q = 0; q < p.current_gradients.size(); q++)
          bind_current_gradient(p, q, by_current[k][q] + (sample * n_steps_ + n) * p.current_gradients[q].n);
        if (p.update) p.update();
        if (fired[k].n) cross(k, sample, n);
        for (size_t q = 0; q < p.current_gradients.size(); q++)
          gather_current_gradient(p, q, by_current[k][q] + (sample * n_steps_ + n) * p.current_gradients[q].n);
        for (size_t r = 0; r < p.recorded.size(); r++) {
          const Real* by_trace = losses[k].traces[r] + (sample * n_steps_ + n) * p.n;
          Real* lambda = *p.lambda[p.recorded[r]];
          for (int64_t j = 0; j < p.n; j++) lambda[j] += by_trace[j];
        }
        if (p.release && released[k].n) p.release();
      }
    }
    for (size_t k = 0; k < pops_.size(); k++) {
      auto& p = pops_[k];
      for (size_t s = 0; s < p.state.size(); s++) *p.state[s] = own[k][s];
      if (p.free) *p.free = free[k], *p.open = open[k];
    }
  }

  // Find where the spikes of some steps crossed threshold. What the code reads of each
  // neuron is copied to a place of each spike's own, which it takes for the neuron's.
  void locate(size_t k, int64_t sample, int64_t from, int64_t until) {
    auto& p = pops_[k];
    const int64_t first = p.first = p.start[from], n = p.start[until] - first;
    p.time.resize(n);
    p.slope.resize(n);
    p.by.resize(p.gains.size() * n);
    if (!n) return;
    std::vector<Real**> moved;
    p.there.resize(p.state.size() + p.parameters.size() + p.currents.size() + p.normal.size());
    const auto place = [&](Real** array) {
      auto& there = p.there[moved.size()];
      moved.push_back(array);
      there.resize(n);
      return there.data();
    };
    // `row` gives the values that neurons have in a step.
    const auto gather = [&](Real** array, auto row) {
      Real* there = place(array);
      for (int64_t step = from; step < until; step++) {
        const Real* values = row(step);
        for (int64_t z = p.start[step]; z < p.start[step + 1]; z++)
          there[z - first] = values[p.neuron[z]];
      }
    };
    for (size_t s = 0; s < p.state.size(); s++) {
      Real* there = place(p.state[s]);
      for (int64_t z = 0; z < n; z++)
        there[z] = p.at_spikes[(first + z) * 2 * p.state.size() + s];
    }
    for (auto& q : p.parameters)
      if (!q.shared) gather(q.array, [&](int64_t) { return *q.array; });
    for (size_t c = 0; c < p.currents.size(); c++)
      if (!p.currents[c].shared)
        gather(p.currents[c].array, [&](int64_t step) { return current(k, c, sample, step); });
    if (!p.at_once)
      for (auto* x : p.normal) gather(x, [&](int64_t) { return *x; });
    p.index_there.assign(p.neuron.begin() + first, p.neuron.begin() + first + n);
    int32_t* index = *p.index;
    *p.index = p.index_there.data();
    for (size_t a = 0; a < moved.size(); a++) {
      own_.push_back(*moved[a]);
      *moved[a] = p.there[a].data();
    }
    crossings[k] = {n, p.time.data(), p.slope.data(), p.by.data()};
    p.crossing();
    *p.index = index;
    for (size_t a = 0; a < moved.size(); a++) *moved[a] = own_[a];
    own_.clear();
  }

  // Give dL/dT of the spikes of a step to what made them cross.
  void cross(size_t k, int64_t sample, int64_t n) {
    auto& p = pops_[k];
    if (!p.at_once) locate(k, sample, n, n + 1);
    const int64_t n_located = p.slope.size();
    for (int64_t z = p.start[n]; z < p.start[n + 1]; z++) {
      const int64_t at = z - p.first;
      if (p.slope[at] < slope_min_[k]) n_clamped_++;
      const Real q = -p.total[z] / std::max<double>(p.slope[at], slope_min_[k]);
      for (size_t g = 0; g < p.gains.size(); g++)
        (*p.gains[g])[p.neuron[z]] += q * p.by[g * n_located + at];
    }
  }

  void bind_step(Population<Real>& p, size_t k, int64_t n) {
    for (size_t s = 0; s < p.state.size() && taping_; s++) {
      *p.state[s] = slot(p, n, s);
      *p.end[s] = slot(p, n + 1, s);
    }
    if (p.free && taping_) {
      *p.free = &p.tape_free[n * p.n];
      *p.open = &p.tape_open[n * p.n];
      const int64_t from = p.released_start[n];
      released[k].neuron = p.released.data() + from;
      released[k].spike = p.released_spike.data() + from;
      released[k].n = p.released_start[n + 1] - from;
      released[k].total = p.total.data();
    }
    if (!p.fires) return;
    const int64_t from = p.start[n];
    fired[k].neuron = p.neuron.data() + from;
    fired[k].n = p.start[n + 1] - from;
    fired[k].total = p.total.data() + from;
    // What the tape holds there is what the reset left; step n + 1 is done with it.
    const size_t m = p.state.size();
    for (int64_t z = from; z < p.start[n + 1]; z++)
      for (size_t s = 0; s < m; s++)
        (*p.end[s])[p.neuron[z]] = p.at_spikes[(2 * z + 1) * m + s];
  }

  // dL/d(current) of a step is gathered in place, or, where neurons share it, summed.
  void bind_current_gradient(Population<Real>& p, size_t q, Real* to) {
    auto& g = p.current_gradients[q];
    if (g.n == p.n) *g.array = to;
    else std::fill(*g.array, *g.array + p.n, Real(0));
  }
  void gather_current_gradient(Population<Real>& p, size_t q, Real* to) {
    auto& g = p.current_gradients[q];
    if (g.n == p.n) return;
    *to = std::accumulate(*g.array, *g.array + p.n, Real(0));
  }
};

}  // namespace bsnn
