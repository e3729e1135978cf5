// How code objects are called: as they are, or timed where BSNN_PROFILE is defined.
#pragma once

namespace bsnn {

typedef void (*Code)();

}  // namespace bsnn

#ifndef BSNN_PROFILE
#define BSNN_CODE(name) _run_##name
#else
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <map>
#include <string>
#if defined(__x86_64__)
#include <x86intrin.h>
#endif

// The same code object may be called from several places, which share its times.
#define BSNN_CODE(name)                                           \
  [] {                                                            \
    static bsnn::Timed& timed = bsnn::profile.of_code[#name];     \
    const int64_t start = bsnn::ticks();                          \
    _run_##name();                                                \
    timed.ticks += bsnn::ticks() - start;                         \
    timed.calls++;                                                \
  }

namespace bsnn {

inline int64_t ticks() {
#if defined(__x86_64__)
  return __rdtsc();
#else
  return std::chrono::steady_clock::now().time_since_epoch().count();
#endif
}

struct Timed {
  int64_t calls = 0, ticks = 0;
};

// Leaves a line for each code object as the program ends: its name, calls and seconds,
// without those of the clock; and what requests took in all, as "run" and "pull_back",
// and the clock in them, as "clock".
struct Profile {
  std::map<std::string, Timed> of_code;
  const int64_t start_ticks = ticks();
  const std::chrono::steady_clock::time_point start = std::chrono::steady_clock::now();

  std::map<std::string, std::pair<int64_t, double>> of_requests;

  void add(const char* request, double seconds) {
    auto& [count, sum] = of_requests[request];
    count++;
    sum += seconds;
  }

  void write() const {
    const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - start;
    const double seconds = spent.count() / (ticks() - start_ticks);
    // Of an empty call: what it seems to take, and what it takes.
    const int64_t n = 100000, begun = ticks();
    Timed empty;
    for (int64_t k = 0; k < n; k++) {
      const int64_t start = ticks();
      empty.ticks += ticks() - start;
      empty.calls++;
    }
    const double whole = double(ticks() - begun) / n, inside = double(empty.ticks) / n;
    std::ofstream file(std::string(std::getenv("BSNN_PROFILE")) + "/" + std::to_string(getpid()) + ".tsv");
    int64_t calls = 0;
    for (const auto& [name, timed] : of_code) {
      file << name << '\t' << timed.calls << '\t' << (timed.ticks - inside * timed.calls) * seconds << '\n';
      calls += timed.calls;
    }
    file << "clock\t" << calls << '\t' << whole * calls * seconds << '\n';
    for (const auto& [name, request] : of_requests)
      file << name << '\t' << request.first << '\t' << request.second << '\n';
  }
};

inline Profile profile;

}  // namespace bsnn
#endif
