// The loop of a resident program of a network of any neurons: wait for a request,
// simulate its samples one after another, and answer with their spikes and traces, or
// with the derivatives that one sweep backwards in time gives.
#include <chrono>

#include "graph_adjoint.h"

namespace bsnn {

class Program : public Adjoint {
  const bool repeats_;  // backwards, states between spikes are needed, too
  int64_t kept_ = 0;        // which run is kept; the latest that was to be
  std::vector<int64_t> existing_;  // of each population, whether dL/ds is given

 public:
  Program(Clock& clock, std::vector<Population> pops,
          std::vector<Connection> connections, Steps steps, bool repeats)
      : Adjoint(clock, pops, connections, steps), repeats_(repeats) {}

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
      const int64_t kept = table[3];
      by_inputs_ = table[4];
      const bool crossings = table[6];  // table[5]: how many replicas a GPU is to have
      for (size_t c = 0; c < connections_.size(); c++) {
        connections_[c].delay = table[7 + 3 * c];
        connections_[c].n_weights = table[8 + 3 * c];
        connections_[c].n_pairs = table[9 + 3 * c];
      }
      existing_.assign(table + 7 + 3 * connections_.size(), table + request_.n_inputs);
      n_steps_ = request_.n_steps;
      clock_.dt[0] = request_.dt;
      broken_ = {-1, 0, 0, 0, 0};
      read_data();
      begin_arrivals();
      for (auto f : steps_.fixed) f();
      read_inputs(at);
      const auto start = std::chrono::steady_clock::now();
      const size_t answer_at = backwards ? pull_back(at, kept) : run(at, kept, crossings);
      const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - start;
#ifdef BSNN_PROFILE
      profile.add(backwards ? "pull_back" : "run", spent.count());
#endif
      const Answer answer = {MAGIC, int64_t(exchange_.bytes()), int64_t(answer_at), spent.count()};
      if (send(socket_, &answer, sizeof answer, MSG_NOSIGNAL) != sizeof answer) break;
    }
#ifdef BSNN_PROFILE
    profile.write();
#endif
    _exit(0);  // not through Brian2's end, which writes every array to disk
  }

 private:
  size_t run(size_t at, int64_t keep, bool crossings) {
    taping_ = false;
    noting_ = (keep || crossings) && !repeats_;
    crossings = crossings && noting_;
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
      p.out.neuron.clear();
      p.out.step.clear();
      p.out.offset.assign(1, 0);
      p.out.crossings.clear();
    }
    for (int64_t sample = 0; sample < m; sample++) {
      simulate(sample, &traces);
      for (size_t k = 0; k < pops_.size(); k++) {
        auto& p = pops_[k];
        if (!p.fires) continue;
        p.out.neuron.insert(p.out.neuron.end(), p.neuron.begin(), p.neuron.end());
        for (int64_t n = 0; n < n_steps_; n++)
          p.out.step.insert(p.out.step.end(), p.start[n + 1] - p.start[n], int32_t(n));
        p.out.offset.push_back(p.out.neuron.size());
        if (noting_) store_crossings(k, sample);
      }
    }
    end = at + aligned(6 * 8);
    for (auto& p : pops_)
      if (p.fires)
        end += aligned(p.out.offset.size() * 8) + 2 * aligned(p.out.neuron.size() * 4) +
               (crossings ? aligned(p.out.crossings.size() * sizeof(Real)) : 0);
    grow(end);
    store_status(at, 6)[5] = crossings;
    for (auto& p : pops_) {
      if (!p.fires) continue;
      std::copy(p.out.offset.begin(), p.out.offset.end(), exchange_.block<int64_t>(at, p.out.offset.size()));
      std::copy(p.out.neuron.begin(), p.out.neuron.end(), exchange_.block<int32_t>(at, p.out.neuron.size()));
      std::copy(p.out.step.begin(), p.out.step.end(), exchange_.block<int32_t>(at, p.out.step.size()));
      if (crossings)
        std::copy(p.out.crossings.begin(), p.out.crossings.end(), exchange_.block<Real>(at, p.out.crossings.size()));
    }
    if (noting_ && keep) {
      kept_ = keep;
      for (auto& p : pops_) std::swap(p.out, p.kept);
    }
    return answer_at;
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

  std::vector<Loss> read_losses(size_t& at) {
    const int64_t m = request_.n_samples;
    std::vector<Loss> losses(pops_.size());
    for (size_t k = 0; k < pops_.size(); k++) {
      auto &p = pops_[k];
      auto &loss = losses[k];
      if (p.fires) {
        loss.offset = exchange_.block<int64_t>(at, m + 1);
        loss.spikes = exchange_.block<double>(at, loss.offset[m]);
      }
      for (size_t r = 0; r < p.recorded.size(); r++)
        loss.traces.push_back(exchange_.block<Real>(at, m * n_steps_ * p.n));
      if (p.sent && existing_[k])
        loss.existing = exchange_.block<Real>(at, m * n_steps_ * p.n);
    }
    return losses;
  }

  // Sums of derivatives over whole chunks of samples; two that lie beside each other in
  // the binary tree of all chunks become one, so that their order is always the same.
  struct Sum {
    int64_t level, index;
    std::vector<Real*> by_connection;  // weights and, where they are learned, delays
    std::vector<double*> by_parameter;
  };

  // How many numbers a sum has of each.
  std::vector<int64_t> sizes_;

  void count_sizes() {
    sizes_.clear();
    for (auto& c : connections_) {
      sizes_.push_back(c.n_weights);
      if (c.learns_delay) sizes_.push_back(c.n_delays());
    }
  }

  void bind_gradients(const Sum& sum) {
    size_t which = 0;
    for (size_t c = 0; c < connections_.size(); c++) {
      arriving[c].gradient = sum.by_connection[which++];
      if (connections_[c].learns_delay) arriving[c].by_delay = sum.by_connection[which++];
    }
  }

  size_t pull_back(size_t at, int64_t kept) {
    const int64_t m = request_.n_samples;
    size_t after_losses = at;
    read_losses(after_losses);
    size_t answer_at = after_losses;
    const int64_t n_chunks = *exchange_.block<int64_t>(answer_at, 2);
    exchange_.block<int64_t>(answer_at, n_chunks + 1);
    size_t bytes = aligned(8 * 8);
    count_sizes();
    for (int64_t n : sizes_) bytes += n_chunks * aligned(n * sizeof(Real));
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
      for (int64_t n : sizes_) sum.by_connection.push_back(exchange_.block<Real>(to, n));
      for (auto& p : pops_)
        for (auto& q : p.learned) sum.by_parameter.push_back(exchange_.block<double>(to, q.n));
    }

    n_clamped_ = 0;
    int64_t differ = -1, n_sums = 0;
    recalled_ = kept && kept == kept_ && fits_kept();
    taping_ = noting_ = !recalled_;
    for (int64_t chunk = 0; chunk < n_chunks; chunk++) {
      Sum& sum = places[n_sums++];
      sum.level = 0;
      sum.index = first_chunk + chunk;
      clear(sum);
      bind_gradients(sum);
      for (int64_t sample = bounds[chunk]; sample < bounds[chunk + 1]; sample++) {
        if (recalled_) recall(sample);
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

  // Whether the batch at hand can be that which is kept: its spikes are looked up by sample.
  bool fits_kept() const {
    for (auto& p : pops_)
      if (p.fires && int64_t(p.kept.offset.size()) != request_.n_samples + 1) return false;
    return true;
  }

  void clear(Sum& sum) {
    for (size_t k = 0; k < sizes_.size(); k++) std::fill_n(sum.by_connection[k], sizes_[k], Real(0));
    size_t which = 0;
    for (auto& p : pops_)
      for (auto& q : p.learned) std::fill_n(sum.by_parameter[which++], q.n, 0.0);
  }

  static bool siblings(const Sum& one, const Sum& other) {
    return one.level == other.level && one.index % 2 == 0 && other.index == one.index + 1;
  }

  void add(Sum& sum, const Sum& other) {
    for (size_t k = 0; k < sizes_.size(); k++) {
      Real* const __restrict to = sum.by_connection[k];
      const Real* const __restrict from = other.by_connection[k];
      for (int64_t i = 0; i < sizes_[k]; i++) to[i] += from[i];
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
};

void serve(Clock& clock, std::vector<Population> pops, std::vector<Connection> connections,
           Steps steps, bool repeats) {
  Program(clock, pops, connections, steps, repeats).serve();
}

}  // namespace bsnn
