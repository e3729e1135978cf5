// A sample backwards in time: the same steps in reverse, with the adjoint's code objects.
#pragma once
#include <numeric>

#include "graph_simulation.h"

namespace bsnn {

class Adjoint : public Simulation {
  static constexpr int64_t AHEAD = 16;  // steps

 protected:
  bool recalled_ = false;   // crossings were kept, and nothing is simulated again
  int64_t n_clamped_;       // slopes below the least
  std::vector<Real*> own_;  // arrays of the code objects, while others stand for them
  std::vector<size_t> worthy_, of_worth_;  // populations and connections, of a surrogate

  Adjoint(Clock& clock, std::vector<Population> pops, std::vector<Connection> connections,
          Steps steps)
      : Simulation(clock, pops, connections, steps) {
    for (size_t k = 0; k < pops_.size(); k++)
      if (pops_[k].worth) worthy_.push_back(k);
    for (size_t c = 0; c < connections_.size(); c++)
      if (connections_[c].worth) of_worth_.push_back(c);
  }

  struct Loss {
    const int64_t* offset = nullptr;       // spikes of each sample
    const double* spikes = nullptr;        // dL/dT of each of them
    std::vector<const Real*> traces;       // dL/d(trace)
    const Real* existing = nullptr;        // dL/ds of all steps, under a surrogate
  };

  void sweep(int64_t sample, const std::vector<Loss>& losses,
             const std::vector<std::vector<Real*>>& by_current) {
    std::vector<std::vector<Real*>> own(pops_.size());
    std::vector<char*> free(pops_.size()), open(pops_.size());
    std::vector<Real*> sent(pops_.size());
    for (size_t k = 0; k < pops_.size(); k++) {
      auto& p = pops_[k];
      if (p.sent) {
        sent[k] = *p.sent;
        begin_worth(p, losses[k].existing, sample);
      }
      for (auto* x : p.state) own[k].push_back(*x);
      if (p.free) free[k] = *p.free, open[k] = *p.open;
      for (auto* x : p.lambda) std::fill(*x, *x + p.n, Real(0));
      for (auto& q : p.learned) std::fill(*q.array, *q.array + p.n, Real(0));
    }
    if (!recalled_)
      for (size_t k : firing_)
        if (pops_[k].crossing && pops_[k].at_once) locate(k, sample, 0, n_steps_);
    for (int64_t n = n_steps_ - 1; n >= 0; n--) {
      clock_.timestep[0] = n;
      clock_.t[0] = n * request_.dt;
      bind_currents(sample, n);
      for (size_t k : groups_) bind_step(pops_[k], k, n);
      for (size_t k : worthy_) pops_[k].worth();
      for (size_t k : firing_)
        if (fired[k].n && pops_[k].reset) pops_[k].reset();
      // Arrivals are visited last to first: of those that meet, the last ones are taken
      // to be those whose delays do not differ, and then those that were sent last.
      for (size_t z = prompt_.size(); z-- > 0;) {
        const size_t c = prompt_[z];
        bind_arrivals(c, n);
        if (!arriving[c].n) continue;
        if (arriving[c].timed)
          for (auto f : connections_[c].slopes) f();
        connections_[c].backward();
      }
      if (!delayed_.empty()) pull_back_sent(n);
      for (size_t c : of_worth_) gather_worth(c, n);
      for (size_t k : groups_) {
        auto& p = pops_[k];
        for (size_t q = 0; q < p.current_gradients.size(); q++)
          bind_current_gradient(p, q, by_current[k][q] + (sample * n_steps_ + n) * p.current_gradients[q].n);
        if (p.update) p.update();
        if (p.spike) p.spike();
        else if (fired[k].n) cross(k, sample, n);
        for (size_t q = 0; q < p.current_gradients.size(); q++)
          gather_current_gradient(p, q, by_current[k][q] + (sample * n_steps_ + n) * p.current_gradients[q].n);
        for (size_t r = 0; r < p.recorded.size(); r++) {
          const Real* by_trace = losses[k].traces[r] + (sample * n_steps_ + n) * p.n;
          Real* const __restrict lambda = *p.lambda[p.recorded[r]];
          __builtin_prefetch(by_trace - AHEAD * p.n);  // another process has written it
          for (int64_t j = 0; j < p.n; j++) lambda[j] += by_trace[j];
        }
        if (p.release && released[k].n) p.release();
      }
    }
    leave_tape();
    for (size_t k = 0; k < pops_.size(); k++) {
      auto& p = pops_[k];
      for (size_t s = 0; s < p.state.size(); s++) *p.state[s] = own[k][s];
      if (p.free) *p.free = free[k], *p.open = open[k];
      if (p.sent) *p.sent = sent[k];
    }
  }

  void begin_worth(Population& p, const Real* existing, int64_t sample) {
    const size_t n = n_steps_ * p.n;
    if (existing) p.sent_tape.assign(existing + sample * n, existing + (sample + 1) * n);
    else p.sent_tape.assign(n, Real(0));
  }

  // What spikes that would arrive in this step are worth to those that they reach.
  void gather_worth(size_t c, int64_t n) {
    auto& connection = connections_[c];
    auto& a = arriving[c];
    a.sent = pops_[connection.source].sent_tape.data();
    a.step = n;
    a.late = connection.delay;
    if (connection.delayed() || n >= connection.delay) connection.worth();
  }

  // Where delays differ, arrivals are pulled back as their sending is reached.
  void pull_back_sent(int64_t n) {
    for (auto& p : pops_)
      if (p.n_slots) remember(p, n);
    for (size_t z = delayed_.size(); z-- > 0;) {
      const size_t c = delayed_[z];
      bind_sent(c, n);
      if (!arriving[c].n) continue;
      auto& target = pops_[connections_[c].target];
      arriving[c].past = target.past.data();
      arriving[c].past_flags = target.past_flags.data();
      connections_[c].backward();
    }
  }

  // Keep what spikes that arrive in this step meet, for when their sending is reached.
  void remember(Population& p, int64_t n) {
    for (auto f : p.slopes) f();
    keep(p, p.arrived, p.past, n);
    keep(p, p.flags, p.past_flags, n);
  }

  template <class T>
  void keep(const Population& p, const std::vector<T**>& arrays, std::vector<T>& past, int64_t n) {
    const size_t m = arrays.size();
    past.resize(p.n_slots * p.n * m);
    T* const __restrict to = past.data() + n % p.n_slots * p.n * m;
    for (size_t a = 0; a < m; a++) {
      const T* const __restrict from = *arrays[a];
      for (int64_t j = 0; j < p.n; j++) to[j * m + a] = from[j];
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
    const double least = of_spikes_[k], largest = of_spikes_[pops_.size() + k];
    const Visits& spikes = fired[k];
    const int64_t at = p.start[n] - p.first, n_located = p.slope.size();
    const size_t n_gains = p.gains.size();
    for (int64_t z = 0; z < spikes.n; z++) {
      const Real slope = p.slope[at + z];
      n_clamped_ += slope < least;
      const Real q = -spikes.total[z] / std::min(std::max<double>(slope, least), largest);
      for (size_t g = 0; g < n_gains; g++)
        (*p.gains[g])[spikes.neuron[z]] += q * p.by[g * n_located + at + z];
    }
  }

  void bind_step(Population& p, size_t k, int64_t n) {
    if (p.sent) *p.sent = &p.sent_tape[n * p.n];
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
    Visits& spikes = fired[k];
    spikes.neuron = p.neuron.data() + from;
    spikes.n = p.start[n + 1] - from;
    spikes.total = p.total.data() + from;
    // What the tape holds there is what the reset left; step n + 1 is done with it.
    const size_t m = p.state.size();
    const Real* const before = p.at_spikes.data() + (2 * from + 1) * m;
    for (size_t s = 0; s < m; s++) {
      Real* const end = *p.end[s];
      for (int64_t z = 0; z < spikes.n; z++) end[spikes.neuron[z]] = before[2 * z * m + s];
    }
  }

  // dL/d(current) of a step is gathered in place, or, where neurons share it, summed.
  void bind_current_gradient(Population& p, size_t q, Real* to) {
    auto& g = p.current_gradients[q];
    if (g.n == p.n) *g.array = to;
    else std::fill(*g.array, *g.array + p.n, Real(0));
  }

  void gather_current_gradient(Population& p, size_t q, Real* to) {
    auto& g = p.current_gradients[q];
    if (g.n == p.n) return;
    *to = std::accumulate(*g.array, *g.array + p.n, Real(0));
  }

  // As at the end of a simulation: a sample whose spikes were kept.
  void recall(int64_t sample) {
    for (size_t k = 0; k < pops_.size(); k++) {
      auto& p = pops_[k];
      if (offset_[k]) {
        set_inputs(k, sample);
      } else if (p.fires) {
        const Fired& kept = p.kept;
        const int64_t from = kept.offset[sample], n = kept.offset[sample + 1] - from;
        set_spikes(p, kept.step.data() + from, kept.neuron.data() + from, n);
        take_crossings(p, kept.crossings.data() + from * crossing_size(p), n);
      } else {
        set_spikes(p, nullptr, nullptr, 0);
      }
    }
  }

  // All that the backward pass reads of a spike, unless it reads more than of spikes.
  size_t crossing_size(const Population& p) const {
    return 2 + p.gains.size() + p.state.size();
  }

  void store_crossings(size_t k, int64_t sample) {
    auto& p = pops_[k];
    locate(k, sample, 0, n_steps_);
    const size_t n = p.neuron.size(), m = p.state.size(), before = p.out.crossings.size();
    p.out.crossings.resize(before + n * crossing_size(p));
    Real* to = p.out.crossings.data() + before;
    for (size_t z = 0; z < n; z++) {
      *to++ = p.time[z];
      *to++ = p.slope[z];
      for (size_t g = 0; g < p.gains.size(); g++) *to++ = p.by[g * n + z];
      to = std::copy_n(p.at_spikes.data() + (2 * z + 1) * m, m, to);
    }
  }

  void take_crossings(Population& p, const Real* from, size_t n) {
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
};

}  // namespace bsnn
