// A sample forwards in time, with the tape of what the backward pass reads of it.
//
// Brian2's code objects do the arithmetic. This loop owns the steps: it binds their
// arrays to where a step's values are, and calls them in Brian2's order.
#pragma once
#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "brianlib/clocks.h"
#include "graph_noise.h"
#include "graph_parts.h"
#include "protocol.h"

namespace bsnn {

class Simulation {
 protected:
  const int socket_ = descriptor("BSNN_SOCKET");
  Clock& clock_;
  std::vector<Population> pops_;
  std::vector<Connection> connections_;
  Steps steps_;
  Segment data_, exchange_;
  // Of the request at hand; as in bsnn/program/graph_form.py.
  Request request_;
  int64_t n_steps_;
  uint64_t seed_, first_sample_;
  bool by_inputs_;           // derivatives by the times of inputs are wanted
  bool taping_ = false;      // states of all steps are kept
  bool noting_ = false;      // states at spikes are kept
  const double* of_spikes_;  // least, then largest slope of each population; or width, height
  std::vector<std::pair<Real**, Real*>> rest_;
  std::vector<const Real*> initial_, weights_;
  std::vector<const int64_t*> offset_;             // spikes of each sample
  std::vector<const int32_t*> step_, neuron_;      // of inputs
  std::vector<std::vector<const Real*>> current_;  // [population][current]
  struct { int64_t population, variable, step, sample, neuron; } broken_;

  // Which populations have neurons, thresholds and so on, and which connections have one
  // delay: asking each in every step would take as long as the steps of few neurons.
  std::vector<size_t> groups_, firing_, refractory_, driven_, recorded_, prompt_, delayed_;

  Simulation(Clock& clock, std::vector<Population> pops,
             std::vector<Connection> connections, Steps steps)
      : clock_(clock), pops_(pops), connections_(connections), steps_(steps),
        data_(descriptor("BSNN_WEIGHTS"), PROT_READ),
        exchange_(descriptor("BSNN_EXCHANGE"), PROT_READ | PROT_WRITE) {
    for (size_t k = 0; k < pops_.size(); k++) {
      auto& p = pops_[k];
      for (auto* arrays : {&p.before, &p.end})
        for (auto* x : *arrays) rest_.push_back({x, *x});
      if (!p.state.empty()) groups_.push_back(k);
      if (p.fires) firing_.push_back(k);
      if (p.free) refractory_.push_back(k);
      if (!p.currents.empty() || !p.normal.empty()) driven_.push_back(k);
      if (!p.recorded.empty()) recorded_.push_back(k);
    }
    for (size_t c = 0; c < connections_.size(); c++)
      (connections_[c].delayed() ? delayed_ : prompt_).push_back(c);
  }

  // What points into a tape points to the code objects' own arrays again.
  void leave_tape() {
    for (auto& [array, own] : rest_) *array = own;
  }

  // Weights are read in place; parameters go where the code objects read them.
  void read_data() {
    size_t at = request_.weights_at;
    weights_.clear();
    initial_.clear();
    for (auto& c : connections_) weights_.push_back(data_.block<Real>(at, c.n_weights));
    for (auto& p : pops_) {
      for (auto& q : p.parameters) {
        const Real* values = data_.block<Real>(at, q.n);
        std::copy(values, values + q.n, *q.array);
      }
      for (size_t s = 0; s < p.state.size(); s++) initial_.push_back(data_.block<Real>(at, p.n));
    }
    of_spikes_ = data_.block<double>(at, 2 * pops_.size());
    for (size_t k = 0; k < pops_.size(); k++) {
      if (!pops_[k].sent) continue;
      **pops_[k].width = of_spikes_[k];
      **pops_[k].height = of_spikes_[pops_.size() + k];
    }
    for (auto& p : pops_) p.n_slots = 0;
    for (size_t c = 0; c < connections_.size(); c++) {
      if (!connections_[c].delayed()) continue;
      arriving[c].delay = data_.block<int32_t>(at, connections_[c].n_delays());
      auto& n_slots = pops_[connections_[c].target].n_slots;
      n_slots = std::max(n_slots, connections_[c].delay + 1);
    }
    for (size_t c = 0; c < connections_.size(); c++) {
      if (connections_[c].dense) continue;
      arriving[c].row = data_.block<int64_t>(at, connections_[c].n_pre + 1);
      arriving[c].target = data_.block<int32_t>(at, connections_[c].n_pairs);
      arriving[c].shared = data_.block<int32_t>(at, connections_[c].n_pairs);
    }
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
    for (size_t k : driven_) {
      auto& p = pops_[k];
      for (size_t c = 0; c < p.currents.size(); c++)
        *p.currents[c].array = current(k, c, sample, n);
      for (size_t x = 0; x < p.normal.size(); x++)
        draw_normal(*p.normal[x], p.n, seed_, first_sample_ + sample, n, (k << 8) + x);
    }
  }

  // What of arrivals is the same in all steps of a request.
  void begin_arrivals() {
    for (size_t c = 0; c < connections_.size(); c++) {
      const auto& connection = connections_[c];
      const auto& p = pops_[connection.source];
      auto& a = arriving[c];
      a.weights = weights_[c];
      a.n_slots = pops_[connection.target].n_slots;
      a.moves = p.fires ? !p.sent : by_inputs_;  // no spike, under a surrogate
      a.timed = a.moves || connection.learns_delay;
    }
  }

  // Point a connection at what arrives in step n: a stretch of its source's spikes.
  void bind_arrivals(size_t c, int64_t n) {
    const auto& connection = connections_[c];
    auto& a = arriving[c];
    const int64_t sent = n - connection.delay;
    if (sent < 0) a.n = 0;
    else bind_spikes(a, pops_[connection.source], sent);
  }

  // Where delays differ, point it at what is sent then.
  void bind_sent(size_t c, int64_t n) {
    auto& a = arriving[c];
    a.slot = n % a.n_slots;
    a.n_left = n_steps_ - n;
    bind_spikes(a, pops_[connections_[c].source], n);
  }

  void bind_spikes(Visits& a, Population& p, int64_t sent) {
    const int64_t from = p.start[sent];
    a.neuron = p.neuron.data() + from;
    a.n = p.start[sent + 1] - from;
    a.total = a.moves ? p.total.data() + from : nullptr;
  }

  // Let nothing be on its way.
  void clear_future(size_t c) {
    auto& connection = connections_[c];
    const auto& p = pops_[connection.target];
    connection.future.assign(p.n_slots * p.n * connection.added.size(), 0);
    arriving[c].future = connection.future.data();
  }

  // Add what has arrived in this step, which leaves its slot for a later one.
  void deliver(size_t c) {
    auto& connection = connections_[c];
    auto& p = pops_[connection.target];
    const size_t m = connection.added.size();
    Real* const __restrict from = &connection.future[arriving[c].slot * p.n * m];
    for (size_t a = 0; a < m; a++) {
      const auto& added = connection.added[a];
      Real* const __restrict to = *p.state[added.state];
      const char* free = added.freezes ? *p.free : nullptr;
      for (int64_t j = 0; j < p.n; j++)
        if (!free || free[j]) to[j] += from[j * m + a];
    }
    std::fill_n(from, p.n * m, Real(0));
  }

  // Take all spikes of a sample as they are given.
  void set_spikes(Population& p, const int32_t* step, const int32_t* neuron, int64_t count) {
    p.neuron.assign(neuron, neuron + count);
    p.start.assign(n_steps_ + 1, 0);
    int64_t* const end = p.start.data() + 1;
    for (int64_t z = 0; z < count; z++)
      if (uint64_t(step[z]) < uint64_t(n_steps_)) end[step[z]] = z + 1;  // the last stays
    for (int64_t n = 1; n < n_steps_; n++) end[n] = std::max(end[n], end[n - 1]);
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
    for (size_t c : delayed_) clear_future(c);
    for (int64_t n = 0; n < n_steps_; n++) {
      clock_.timestep[0] = n;
      clock_.t[0] = n * request_.dt;
      bind_currents(sample, n);
      if (taping_)
        for (size_t k : groups_) tape_states(pops_[k], n);
      if (traces)
        for (size_t k : recorded_) {
          auto& p = pops_[k];
          for (size_t r = 0; r < p.recorded.size(); r++) {
            const Real* x = *p.state[p.recorded[r]];
            std::copy(x, x + p.n, (*traces)[k][r] + (sample * n_steps_ + n) * p.n);
          }
        }
      for (auto f : steps_.groups) f();
      if (taping_)
        for (size_t k : refractory_) note_free(pops_[k], n);
      for (auto f : steps_.thresholds) f();
      for (size_t k : firing_) note_spikes(pops_[k]);
      if (taping_)
        for (size_t k : refractory_) {
          auto& p = pops_[k];
          std::copy(*p.free, *p.free + p.n, &p.tape_open[n * p.n]);
        }
      for (size_t c = 0; c < connections_.size(); c++) {
        auto& connection = connections_[c];
        const bool delayed = connection.delayed();
        if (delayed) bind_sent(c, n);
        else bind_arrivals(c, n);
        if (arriving[c].n) connection.forward();
        if (delayed) deliver(c);
      }
      if (noting_)
        for (size_t k : firing_) {
          auto& p = pops_[k];
          note_states(p, p.fires[p.n], p.state, p.state.size());
        }
      for (auto f : steps_.resets) f();
    }
    if (taping_)
      for (size_t k : groups_) write_states(pops_[k], n_steps_);
    leave_tape();
    check_states(sample);
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

  void begin_tape(Population& p) {
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

  Real* slot(Population& p, int64_t n, size_t s) {
    return &p.tape[(n * p.state.size() + s) * p.n];
  }

  // Where there is a backward pass the state update keeps what it overwrites.
  void tape_states(Population& p, int64_t n) {
    if (p.before.empty()) write_states(p, n);
    else
      for (size_t s = 0; s < p.state.size(); s++) *p.before[s] = slot(p, n, s);
  }

  void write_states(Population& p, int64_t n) {
    for (size_t s = 0; s < p.state.size(); s++)
      std::copy(*p.state[s], *p.state[s] + p.n, slot(p, n, s));
  }

  // Take the spikes of a step as its threshold has left them.
  void note_spikes(Population& p) {
    const int32_t count = p.fires[p.n];
    if (count) {
      if (taping_)
        for (int32_t z = 0; z < count; z++) p.last[p.fires[z]] = p.neuron.size() + z;
      p.neuron.insert(p.neuron.end(), p.fires, p.fires + count);
      if (noting_) note_states(p, count, p.before, 0);
    }
    p.start.push_back(p.neuron.size());
  }

  void note_free(Population& p, int64_t n) {
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
  void note_states(Population& p, int64_t count, const std::vector<Real**>& from, size_t place) {
    if (!count) return;
    const size_t m = 2 * p.state.size(), first = p.neuron.size() - count;
    p.at_spikes.resize(p.neuron.size() * m);
    const int32_t* const neuron = p.neuron.data() + first;
    for (size_t s = 0; s < from.size(); s++) {
      const Real* const states = *from[s];
      Real* const noted = p.at_spikes.data() + first * m + place + s;
      for (int64_t z = 0; z < count; z++) noted[z * m] = states[neuron[z]];
    }
  }
};

}  // namespace bsnn
