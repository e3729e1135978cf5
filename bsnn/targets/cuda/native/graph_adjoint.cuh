// A sample backwards in time, by the block that has simulated it: as graph_adjoint.h.
#pragma once
#include "graph_simulation.cuh"

namespace bsnn {

class Adjoint : public Simulation {
 public:
  __device__ Adjoint(const Job& job, Block& own) : Simulation(job, own) {}

  __device__ void forward() { simulate(); }

  __device__ void backward() {
    simulate();
    bool same = true;
    for (int k = 0; k < N_POPULATIONS; k++) {
      const Population& p = part(k);
      if (p.fires >= 0) same &= n_spikes(p) == p.offset[sample_ + 1] - p.offset[sample_];
    }
    if (same) sweep();
    else if (leads_) atomicMin(job_.differs, (unsigned long long)sample_);
  }

 private:
  __device__ void clear(const List<int>& arrays, int64_t n) {
    for (int a = 0; a < arrays.n; a++) BSNN_EACH(j, n) own_.real(arrays[a])[j] = 0;
  }

  __device__ void begin_sweep(const Population& p) {
    clear(p.lambda, p.n);
    for (int q = 0; q < p.learned.n; q++)
      BSNN_EACH(j, p.n) own_.real(p.learned[q].array)[j] = 0;
    if (p.sent < 0) return;
    const int64_t n = job_.n_steps * p.n;
    Real* const to = in<Real>(p.sent_tape);
    BSNN_EACH(k, n) to[k] = p.existing ? p.existing[sample_ * n + k] : Real(0);
  }

  __device__ void sweep() {
    for (int k = 0; k < N_POPULATIONS; k++) begin_sweep(part(k));
    __syncthreads();
    for (int k = 0; k < N_POPULATIONS; k++)
      if (part(k).crossing >= 0 && part(k).at_once) locate(k, 0, job_.n_steps);
    for (int64_t n = job_.n_steps - 1; n >= 0; n--) {
      __syncthreads();
      bind_clock(n);
      bind_currents(n);
      BSNN_EACH(k, N_POPULATIONS) bind_step(k, n);
      BSNN_EACH(c, N_CONNECTIONS) bind_arrivals(c, n);
      __syncthreads();
      for (int k = 0; k < N_POPULATIONS; k++) recall_states(k);
      for (int k = 0; k < N_POPULATIONS; k++)
        if (part(k).worth >= 0) call(part(k).worth, own_);
      __syncthreads();
      for (int k = 0; k < N_POPULATIONS; k++)
        if (part(k).reset >= 0 && own_.fired[k].n) call(part(k).reset, own_);
      __syncthreads();
      // Arrivals last to first, as in C++.
      for (int c = N_CONNECTIONS; c-- > 0;)
        if (!joined(c).delayed()) pull_back_arrivals(c);
      for (int k = 0; k < N_POPULATIONS; k++)
        if (part(k).n_slots) remember(part(k), n);
      __syncthreads();
      for (int c = N_CONNECTIONS; c-- > 0;)
        if (joined(c).delayed()) pull_back_arrivals(c);
      for (int c = 0; c < N_CONNECTIONS; c++) gather_worth(c, n);
      for (int k = 0; k < N_POPULATIONS; k++) bind_current_gradients(part(k), n);
      __syncthreads();
      for (int k = 0; k < N_POPULATIONS; k++)
        if (part(k).update >= 0) call(part(k).update, own_);
      __syncthreads();
      for (int k = 0; k < N_POPULATIONS; k++) {
        if (part(k).spike >= 0) call(part(k).spike, own_);
        else if (own_.fired[k].n) cross(k, n);
      }
      __syncthreads();
      for (int k = 0; k < N_POPULATIONS; k++) take_traces(part(k), n);
      __syncthreads();
      for (int k = 0; k < N_POPULATIONS; k++)
        if (part(k).release >= 0 && own_.released[k].n) call(part(k).release, own_);
    }
    __syncthreads();
    for (int k = 0; k < N_POPULATIONS; k++) gather(part(k));
  }

  // By one thread.
  __device__ void bind_step(int k, int64_t n) {
    const Population& p = part(k);
    if (p.sent >= 0) own_.at(p.sent) = in<Real>(p.sent_tape) + n * p.n;
    for (int s = 0; s < p.end.n; s++) {
      own_.at(p.state[s]) = slot(p, n, s);
      own_.at(p.end[s]) = slot(p, n + 1, s);
    }
    if (p.open >= 0) {
      own_.at(p.free) = in<char>(p.tape_free) + n * p.n;
      own_.at(p.open) = in<char>(p.tape_open) + n * p.n;
      const int64_t* const start = in<int64_t>(p.released_start);
      Visits& released = own_.released[k];
      released.neuron = in<int32_t>(p.released) + start[n];
      released.spike = in<int64_t>(p.released_spike) + start[n];
      released.n = start[n + 1] - start[n];
      released.total = total(p);
    }
    Visits& fired = own_.fired[k];
    fired.n = 0;
    if (p.fires < 0) return;
    const int64_t from = starts(p)[n];
    fired.neuron = neurons(p) + from;
    fired.n = starts(p)[n + 1] - from;
    fired.total = total(p) + from;
  }

  // What the tape holds there is what the reset left; step n + 1 is done with it.
  __device__ void recall_states(int k) {
    const Population& p = part(k);
    const Visits& fired = own_.fired[k];
    if (!fired.n) return;
    const Real* const after = in<Real>(p.after) + (fired.neuron - neurons(p)) * p.state.n;
    for (int s = 0; s < p.end.n; s++)
      BSNN_EACH(z, fired.n) own_.real(p.end[s])[fired.neuron[z]] = after[z * p.state.n + s];
  }

  __device__ void pull_back_arrivals(int c) {
    const Connection& connection = joined(c);
    if (!own_.arriving[c].n) return;
    if (!connection.delayed() && own_.arriving[c].timed) {
      run(connection.slopes);
      __syncthreads();
    }
    call(connection.backward, own_);
    __syncthreads();
  }

  // Keep what spikes that arrive in this step meet, for when their sending is reached.
  __device__ void remember(const Population& p, int64_t n) {
    run(p.slopes);
    const int64_t at = n % p.n_slots * p.n;
    for (int a = 0; a < p.arrived.n; a++) {
      Real* const to = in<Real>(p.past) + at * p.arrived.n;
      BSNN_EACH(j, p.n) to[j * p.arrived.n + a] = own_.real(p.arrived[a])[j];
    }
    for (int a = 0; a < p.flags.n; a++) {
      char* const to = in<char>(p.past_flags) + at * p.flags.n;
      BSNN_EACH(j, p.n) to[j * p.flags.n + a] = own_.flag(p.flags[a])[j];
    }
  }

  // What spikes that would arrive in this step are worth to those that they reach.
  __device__ void gather_worth(int c, int64_t n) {
    const Connection& connection = joined(c);
    if (connection.worth < 0) return;
    if (leads_) {
      Visits& a = own_.arriving[c];
      a.sent = in<Real>(part(connection.source).sent_tape);
      a.step = n;
      a.late = connection.delay;
    }
    __syncthreads();
    if (connection.delayed() || n >= connection.delay) call(connection.worth, own_);
    __syncthreads();
  }

  __device__ Real* current_gradient(const Population& p, int q, int64_t n) const {
    return pointer<Real>(p.by_current + q) + (sample_ * job_.n_steps + n) * p.current_gradients[q].n;
  }

  // dL/d(current) of a step is gathered in place, or, where neurons share it, summed.
  __device__ void bind_current_gradients(const Population& p, int64_t n) {
    for (int q = 0; q < p.current_gradients.n; q++) {
      const Array g = p.current_gradients[q];
      if (g.n != p.n) BSNN_EACH(j, p.n) own_.real(g.array)[j] = 0;
      else if (leads_) own_.at(g.array) = current_gradient(p, q, n);
    }
  }

  __device__ void take_traces(const Population& p, int64_t n) {
    for (int q = 0; q < p.current_gradients.n; q++) {
      const Array g = p.current_gradients[q];
      if (g.n == p.n) continue;
      const Real all = summed(own_.real(g.array), p.n);
      if (leads_) *current_gradient(p, q, n) = all;
    }
    for (int r = 0; r < p.recorded.n; r++) {
      const Real* const by = pointer<Real>(p.by_trace + r) + (sample_ * job_.n_steps + n) * p.n;
      Real* const lambda = own_.real(p.lambda[p.recorded[r]]);
      BSNN_EACH(j, p.n) lambda[j] += by[j];
    }
  }

  __device__ Real summed(const Real* x, int64_t n) {
    Real mine = 0;
    BSNN_EACH(j, n) mine += x[j];
    return own_.sum(mine);
  }

  // Add what is learned to what this replica's samples before have given.
  __device__ void gather(const Population& p) {
    double* to = in<double>(p.gathered);
    for (int q = 0; q < p.learned.n; q++) {
      const Array& g = p.learned[q];
      const Real* const x = own_.real(g.array);
      if (g.n == p.n) {
        BSNN_EACH(j, p.n) to[j] += x[j];
      } else {
        const Real all = summed(x, p.n);
        if (leads_) to[0] += all;
      }
      to += g.n;
    }
  }

  // Find where the spikes of some steps crossed threshold. What the code reads of each
  // neuron is copied to a place of each spike's own, which it takes for the neuron's.
  __device__ void locate(int k, int64_t from, int64_t until) {
    const Population& p = part(k);
    const int64_t first = starts(p)[from], n = starts(p)[until] - first;
    if (!n) return;
    const int32_t* const neuron = neurons(p) + first;
    const int32_t* const step = in<int32_t>(p.step) + first;
    Real* there = in<Real>(p.there);
    int moved[MOST_MOVED], n_moved = 0;
    const auto move = [&](int array) {
      moved[n_moved++] = array;
      there += p.room;
    };
    for (int s = 0; s < p.state.n; s++) {
      BSNN_EACH(z, n) there[z] = slot(p, step[z], s)[neuron[z]];
      move(p.state[s]);
    }
    for (int q = 0; q < p.parameters.n; q++) {
      if (p.parameters[q].shared) continue;
      const Real* const values = own_.real(p.parameters[q].array);
      BSNN_EACH(z, n) there[z] = values[neuron[z]];
      move(p.parameters[q].array);
    }
    for (int c = 0; c < p.currents.n; c++) {
      if (p.currents[c].shared) continue;
      BSNN_EACH(z, n) there[z] = current(p, c, step[z])[neuron[z]];
      move(p.currents[c].array);
    }
    for (int x = 0; x < p.normal.n && !p.at_once; x++) {
      const Real* const values = own_.real(p.normal[x]);
      BSNN_EACH(z, n) there[z] = values[neuron[z]];
      move(p.normal[x]);
    }
    int32_t* const index = in<int32_t>(p.index_there);
    BSNN_EACH(z, n) index[z] = neuron[z];
    void* own[MOST_MOVED];
    void* const own_index = own_.at(p.index);
    for (int a = 0; a < n_moved; a++) own[a] = own_.at(moved[a]);
    __syncthreads();
    if (leads_) {
      own_.at(p.index) = index;
      for (int a = 0; a < n_moved; a++) own_.at(moved[a]) = in<Real>(p.there) + a * p.room;
      own_.crossings[k] = {n, in<Real>(p.time), in<Real>(p.slope), in<Real>(p.by)};
    }
    __syncthreads();
    call(p.crossing, own_);
    __syncthreads();
    if (leads_) {
      own_.at(p.index) = own_index;
      for (int a = 0; a < n_moved; a++) own_.at(moved[a]) = own[a];
    }
    __syncthreads();
  }

  // Give dL/dT of the spikes of a step to what made them cross.
  __device__ void cross(int k, int64_t n) {
    const Population& p = part(k);
    if (!p.at_once) locate(k, n, n + 1);
    const Visits& fired = own_.fired[k];
    const int64_t first = p.at_once ? starts(p)[n] : 0, n_located = own_.crossings[k].n;
    const double least = job_.of_spikes[k], largest = job_.of_spikes[N_POPULATIONS + k];
    const Real *const slope = in<Real>(p.slope) + first, *const by = in<Real>(p.by) + first;
    BSNN_EACH(z, fired.n) {
      if (slope[z] < least) atomicAdd(job_.clamped, 1ull);
      const Real q = -fired.total[z] / min(max(double(slope[z]), least), largest);
      for (int g = 0; g < p.gains.n; g++)
        own_.real(p.gains[g])[fired.neuron[z]] += q * by[g * n_located + z];
    }
  }
};

}  // namespace bsnn
