// A sample forwards in time, by one block: as graph_simulation.h, the loop owns the steps
// and binds the arrays of the code objects to where a step's values are.
//
// Threads take turns over neurons, number k those that are k modulo their number, so that
// what one neuron's step leaves to its next needs no waiting. They wait where others'
// values are read, and before and after a pointer of the block is moved.
#pragma once
#include "graph_block.cuh"
#include "graph_noise.h"

namespace bsnn {

__device__ void call(int code, Block& own);  // generated

// What a block knows of its sample.
class Simulation {
 protected:
  const Job& job_;
  Block& own_;
  char* const base_;      // of the replica
  const int64_t sample_;
  const bool leads_ = threadIdx.x == 0;

  __device__ Simulation(const Job& job, Block& own)
      : job_(job), own_(own), base_(job.replicas + blockIdx.x * job.stride),
        sample_(job.first + blockIdx.x) {}

  template <class T>
  __device__ T* in(size_t offset) const { return reinterpret_cast<T*>(base_ + offset); }
  template <class T>
  __device__ T* pointer(int k) const { return static_cast<T*>(job_.pointers[k]); }
  __device__ const Population& part(int k) const { return job_.populations[k]; }
  __device__ const Connection& joined(int c) const { return job_.connections[c]; }

  __device__ const int32_t* neurons(const Population& p) const {
    return p.inputs ? p.given_neuron + p.offset[sample_] : in<int32_t>(p.neuron);
  }
  __device__ const int64_t* starts(const Population& p) const { return in<int64_t>(p.start); }
  __device__ int64_t n_spikes(const Population& p) const { return starts(p)[job_.n_steps]; }
  // dL/dT of the sample's spikes, or null.
  __device__ double* total(const Population& p) const {
    return p.total ? p.total + p.offset[sample_] : nullptr;
  }
  __device__ Real* slot(const Population& p, int64_t n, int s) const {
    return in<Real>(p.tape) + (n * p.state.n + s) * p.n;
  }
  __device__ Real* current(const Population& p, int c, int64_t n) const {
    return pointer<Real>(p.given_current + c) + (sample_ * job_.n_steps + n) * p.currents[c].n;
  }
  __device__ void run(const List<int>& codes) {
    for (int k = 0; k < codes.n; k++) call(codes[k], own_);
  }

  __device__ void bind_own() {
    BSNN_EACH(k, N_ARRAYS) {
      const Place place = job_.places[k];
      own_.at(k) = (place.shared ? job_.shared : base_) + place.at;
    }
    __syncthreads();
  }

  __device__ void bind_clock(int64_t n) {
    if (!leads_) return;
    *static_cast<int64_t*>(own_.at(AT_TIMESTEP)) = n;
    *static_cast<double*>(own_.at(AT_T)) = n * job_.dt;
  }

  __device__ void bind_currents(int64_t n) {
    for (int k = 0; k < N_POPULATIONS; k++) {
      const Population& p = part(k);
      if (leads_)
        for (int c = 0; c < p.currents.n; c++) own_.at(p.currents[c].array) = current(p, c, n);
      for (int x = 0; x < p.normal.n; x++) {
        const uint64_t key = noise_key(job_.seed, job_.first_sample + sample_, n, (k << 8) + x);
        Real* const values = own_.real(p.normal[x]);
        BSNN_EACH(j, p.n) values[j] = normal_number(key, j);
      }
    }
  }

  // Point a connection at what arrives in step n, by one thread: see graph_simulation.h.
  __device__ void bind_arrivals(int c, int64_t n) {
    const Connection& connection = joined(c);
    const Population& p = part(connection.source);
    const int64_t sent = connection.delayed() ? n : n - connection.delay;
    Visits& a = own_.arriving[c];
    a.n = 0;
    a.weights = connection.weights;
    a.delay = connection.delays;
    a.row = connection.row;
    a.target = connection.pair_target;
    a.shared = connection.shared;
    a.gradient = in<Real>(connection.gradient);
    a.by_delay = in<Real>(connection.by_delay);
    if (connection.delayed()) {
      const Population& target = part(connection.target);
      a.n_slots = target.n_slots;
      a.slot = n % a.n_slots;
      a.n_left = job_.n_steps - n;
      a.future = in<Real>(connection.future);
      a.past = in<Real>(target.past);
      a.past_flags = in<char>(target.past_flags);
    }
    a.timed = !p.inputs || job_.by_inputs || connection.learns_delay;
    if (sent < 0) return;
    const int64_t from = starts(p)[sent];
    a.neuron = neurons(p) + from;
    a.n = starts(p)[sent + 1] - from;
    a.total = total(p) && (!p.inputs || job_.by_inputs) ? total(p) + from : nullptr;
  }

  __device__ void bind_all_arrivals(int64_t n) {
    __syncthreads();
    BSNN_EACH(c, N_CONNECTIONS) bind_arrivals(c, n);
    __syncthreads();
  }

  // Add what has arrived in this step, which leaves its slot for a later one.
  __device__ void deliver(int c) {
    const Connection& connection = joined(c);
    const Population& p = part(connection.target);
    const int m = connection.added.n;
    Real* const from = in<Real>(connection.future) + own_.arriving[c].slot * p.n * m;
    for (int a = 0; a < m; a++) {
      const Added added = connection.added[a];
      Real* const to = own_.real(p.state[added.state]);
      const char* const free = added.freezes ? own_.flag(p.free) : nullptr;
      BSNN_EACH(j, p.n) {
        if (!free || free[j]) to[j] += from[j * m + a];
        from[j * m + a] = 0;
      }
    }
  }

  __device__ void begin_part(const Population& p) {
    int64_t* const start = in<int64_t>(p.start);
    if (p.inputs) {
      const int64_t from = p.offset[sample_], count = p.offset[sample_ + 1] - from;
      const int32_t* const step = p.given_step + from;
      BSNN_EACH(n, job_.n_steps + 1) {  // the first spike that is not before step n
        int64_t low = 0, high = count;
        while (low < high) {
          const int64_t middle = (low + high) / 2;
          if (step[middle] < n) low = middle + 1;
          else high = middle;
        }
        start[n] = low;
      }
      return;
    }
    if (leads_) start[0] = 0;
    for (int s = 0; s < p.state.n; s++) {
      const Real* const initial = pointer<Real>(p.initial + s);
      Real* const x = own_.real(p.state[s]);
      BSNN_EACH(j, p.n) x[j] = initial[j];
    }
    if (p.free >= 0)
      BSNN_EACH(j, p.n) {
        own_.flag(p.free)[j] = 1;
        static_cast<double*>(own_.at(p.last_spike))[j] = -1e4;
      }
    if (!job_.taping) return;
    if (leads_) in<int64_t>(p.released_start)[0] = 0;
    BSNN_EACH(j, p.n) in<int64_t>(p.last)[j] = -1;
  }

  __device__ void simulate() {
    bind_own();
    for (int k = 0; k < N_POPULATIONS; k++) begin_part(part(k));
    for (int c = 0; c < N_CONNECTIONS; c++)
      if (joined(c).delayed()) {
        const Population& p = part(joined(c).target);
        BSNN_EACH(k, p.n_slots * p.n * joined(c).added.n) in<Real>(joined(c).future)[k] = 0;
      }
    for (int64_t n = 0; n < job_.n_steps; n++) {
      __syncthreads();
      bind_clock(n);
      bind_currents(n);
      for (int k = 0; k < N_POPULATIONS; k++) {
        const Population& p = part(k);
        if (job_.taping && leads_)
          for (int s = 0; s < p.before.n; s++) own_.at(p.before[s]) = slot(p, n, s);
        if (!job_.taping) keep_traces(p, n);
      }
      __syncthreads();
      run(job_.steps.groups);
      if (job_.taping)
        for (int k = 0; k < N_POPULATIONS; k++) note_free(part(k), n);
      run(job_.steps.thresholds);
      __syncthreads();
      for (int k = 0; k < N_POPULATIONS; k++) note_spikes(part(k), n);
      bind_all_arrivals(n);
      for (int c = 0; c < N_CONNECTIONS; c++) {
        if (own_.arriving[c].n) {
          call(joined(c).forward, own_);
          __syncthreads();
        }
        if (joined(c).delayed()) {
          deliver(c);
          __syncthreads();
        }
      }
      if (job_.taping)
        for (int k = 0; k < N_POPULATIONS; k++) note_states(part(k), n);
      __syncthreads();
      run(job_.steps.resets);
      if (job_.watching) check_states(n);
    }
    __syncthreads();
    if (job_.taping)
      for (int k = 0; k < N_POPULATIONS; k++)
        for (int s = 0; s < part(k).state.n; s++) {
          Real* const to = slot(part(k), job_.n_steps, s);
          BSNN_EACH(j, part(k).n) to[j] = own_.real(part(k).state[s])[j];
        }
    if (!job_.watching) check_states(0);
    __syncthreads();
  }

  // A state that is no number stays none: looked for at the end, and then step by step.
  __device__ void check_states(int64_t n) {
    int64_t place = 0;
    for (int k = 0; k < N_POPULATIONS; k++)
      for (int s = 0; s < part(k).state.n; s++) {
        const Real* const x = own_.real(part(k).state[s]);
        BSNN_EACH(j, part(k).n)
          if (!sound(x[j])) atomicMin(&job_.broken[sample_], (unsigned long long)(n * N_STATES + place + j));
        place += part(k).n;
      }
  }

  __device__ void keep_traces(const Population& p, int64_t n) {
    for (int r = 0; r < p.recorded.n; r++) {
      const Real* const x = own_.real(p.state[p.recorded[r]]);
      Real* const to = pointer<Real>(p.trace + r) + (sample_ * job_.n_steps + n) * p.n;
      BSNN_EACH(j, p.n) to[j] = x[j];
    }
  }

  // Keep who is free, and who has become so.
  __device__ void note_free(const Population& p, int64_t n) {
    if (p.free < 0) return;
    const char* const free = own_.flag(p.free);
    char* const kept = in<char>(p.tape_free) + n * p.n;
    BSNN_EACH(j, p.n) kept[j] = free[j];
    int64_t* const start = in<int64_t>(p.released_start);
    int count = 0;
    const int64_t before = n ? start[n] : 0;
    if (p.can_freeze && n) {
      const char* const open = in<char>(p.tape_open) + (n - 1) * p.n;
      const int64_t* const last = in<int64_t>(p.last);
      for (int64_t first = 0; first < p.n; first += blockDim.x) {
        const int64_t j = first + threadIdx.x;
        const bool wanted = j < p.n && free[j] && !open[j] && last[j] >= 0;
        const int64_t at = before + own_.place(wanted, count);
        if (!wanted) continue;
        in<int32_t>(p.released)[at] = j;
        in<int64_t>(p.released_spike)[at] = last[j];
      }
    }
    if (leads_) start[n + 1] = before + count;
  }

  __device__ void note_spikes(const Population& p, int64_t n) {
    if (p.inputs) return;
    int64_t* const start = in<int64_t>(p.start);
    const int64_t from = start[n];
    int64_t count = 0;
    if (p.fires >= 0) {
      const int32_t* const fires = static_cast<int32_t*>(own_.at(p.fires));
      count = fires[p.n];
      if (count > p.room - from) count = p.room - from;  // then the sample differs
      BSNN_EACH(z, count) {
        in<int32_t>(p.neuron)[from + z] = fires[z];
        in<int32_t>(p.step)[from + z] = n;
        if (job_.taping) in<int64_t>(p.last)[fires[z]] = from + z;
      }
    }
    if (leads_) start[n + 1] = from + count;
    if (job_.taping && p.open >= 0) {
      char* const open = in<char>(p.tape_open) + n * p.n;
      BSNN_EACH(j, p.n) open[j] = own_.flag(p.free)[j];
    }
  }

  // States of the neurons that fired, before their reset.
  __device__ void note_states(const Population& p, int64_t n) {
    if (p.fires < 0) return;
    const int64_t from = starts(p)[n], count = starts(p)[n + 1] - from;
    const int32_t* const neuron = neurons(p) + from;
    Real* const to = in<Real>(p.after) + from * p.state.n;
    for (int s = 0; s < p.state.n; s++)
      BSNN_EACH(z, count) to[z * p.state.n + s] = own_.real(p.state[s])[neuron[z]];
  }
};

}  // namespace bsnn
