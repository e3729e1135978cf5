// CUDA and thrust as far as generated programs use them, on the host: the threads of a
// block are fibers that take turns at each barrier, blocks follow one another.
#pragma once
#include <ucontext.h>
#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <functional>
#include <iostream>
#include <stdexcept>
#include <string>
#include <vector>

using namespace std;  // as generated code expects of its headers

#define __global__
#define __device__
#define __host__
#define __shared__ static
#define __noinline__
#define __launch_bounds__(...)

struct dim3 {
  unsigned x, y, z;
  dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};
inline dim3 threadIdx, blockIdx, blockDim, gridDim;

namespace on_host {
struct Fiber {
  ucontext_t context;
  std::vector<char> stack;
  bool done;
};
inline std::vector<Fiber> fibers(1024);
inline ucontext_t scheduler;
inline unsigned current;
inline std::function<void()> body;
inline void enter() {
  body();
  fibers[current].done = true;
}
inline void run(dim3 grid, unsigned threads, const std::function<void()>& kernel) {
  if (threads > fibers.size() || !threads || !grid.x || !grid.y)
    throw std::invalid_argument("an impossible launch");
  gridDim = grid, blockDim = dim3(threads);
  body = kernel;
  for (blockIdx.y = 0; blockIdx.y < grid.y; blockIdx.y++)
    for (blockIdx.x = 0; blockIdx.x < grid.x; blockIdx.x++) {
      for (unsigned k = 0; k < threads; k++) {
        Fiber& fiber = fibers[k];
        fiber.stack.resize(1 << 15);
        fiber.done = false;
        getcontext(&fiber.context);
        fiber.context.uc_stack.ss_sp = fiber.stack.data();
        fiber.context.uc_stack.ss_size = fiber.stack.size();
        fiber.context.uc_link = &scheduler;
        makecontext(&fiber.context, enter, 0);
      }
      for (bool busy = true; busy;) {
        busy = false;
        for (current = 0; current < threads; current++) {
          if (fibers[current].done) continue;
          threadIdx.x = current;
          swapcontext(&scheduler, &fibers[current].context);
          busy |= !fibers[current].done;
        }
      }
    }
}
// A graph keeps launches with their arguments; while one is captured, nothing else may
// touch the device.
typedef std::vector<std::function<void()>> Graph;
inline Graph* captured = nullptr;
inline void not_in_a_capture() {
  if (captured) throw std::logic_error("not in a capture");
}
struct Shape {
  dim3 grid, block;
  size_t shared = 0;
  int stream = 0;
};
template <class Kernel, class... Arguments>
void launch(Kernel kernel, Shape shape, Arguments... arguments) {
  const auto work = [=] { run(shape.grid, shape.block.x, [=] { kernel(arguments...); }); };
  if (shape.stream) {
    if (!captured) throw std::logic_error("a launch on a stream that is not captured");
    captured->push_back(work);
  } else {
    not_in_a_capture();
    work();
  }
}
}  // namespace on_host
inline void __syncthreads() {
  const unsigned me = on_host::current;
  swapcontext(&on_host::fibers[me].context, &on_host::scheduler);
}
inline int __popc(unsigned bits) { return __builtin_popcount(bits); }
inline unsigned __ballot_sync(unsigned, bool vote) {
  static bool votes[1024];
  const unsigned me = threadIdx.x, first = me / 32 * 32;
  votes[me] = vote;
  __syncthreads();
  unsigned all = 0;
  for (unsigned k = 0; k < 32; k++) all |= unsigned(votes[first + k]) << k;
  __syncthreads();
  return all;
}
template <class T>
T __shfl_down_sync(unsigned, T value, unsigned distance) {
  static T values[1024];
  const unsigned me = threadIdx.x, from = me % 32 + distance < 32 ? me + distance : me;
  values[me] = value;
  __syncthreads();
  const T found = values[from];
  __syncthreads();
  return found;
}
template <class T>
T atomicMin(T* at, T value) { T old = *at; *at = std::min(old, value); return old; }
template <class T>
T atomicAdd(T* at, T value) { T old = *at; *at += value; return old; }
template <class T, class U, class V>
T atomicCAS(T* at, U compare, V value) { T old = *at; if (old == T(compare)) *at = value; return old; }
template <class To, class From>
To bits(From from) { To to; std::memcpy(&to, &from, sizeof to); return to; }
inline long long __double_as_longlong(double x) { return bits<long long>(x); }
inline double __longlong_as_double(long long x) { return bits<double>(x); }
inline int __float_as_int(float x) { return bits<int>(x); }
inline float __int_as_float(int x) { return bits<float>(x); }

// Memory is filled with a pattern: what a program does not set itself is seen.
template <class T>
int cudaMalloc(T** at, size_t n) { *at = (T*)std::malloc(n + 1); std::memset((void*)*at, 0x5a, n); return 0; }
inline int cudaFree(void* at) { std::free(at); return 0; }
enum { cudaMemcpyHostToDevice, cudaMemcpyDeviceToHost, cudaMemcpyDeviceToDevice, cudaLimitMallocHeapSize };
inline int cudaMemcpy(void* to, const void* from, size_t n, int) { on_host::not_in_a_capture(); if (n) std::memcpy(to, from, n); return 0; }
inline int cudaMemcpyAsync(void* to, const void* from, size_t n, int kind) { return cudaMemcpy(to, from, n, kind); }
inline int cudaMemset(void* at, int value, size_t n) { on_host::not_in_a_capture(); std::memset(at, value, n); return 0; }
inline int cudaMemsetAsync(void* at, int value, size_t n) { return cudaMemset(at, value, n); }
template <class T, class U>
int cudaMemcpyToSymbol(T& symbol, U* from, size_t n) { std::memcpy((void*)&symbol, (void*)from, n); return 0; }
inline int cudaDeviceSynchronize() { on_host::not_in_a_capture(); return 0; }
inline int cudaGetLastError() { return 0; }
inline int cudaSetDevice(int) { return 0; }
inline int cudaProfilerStop() { return 0; }
inline int cudaProfilerStart() { return 0; }
inline int cudaDeviceSetLimit(int, size_t) { return 0; }
inline int cudaMemGetInfo(size_t* a, size_t* b) { *a = *b = 1 << 30; return 0; }
typedef int cudaError_t, cudaStream_t;
typedef on_host::Graph *cudaGraph_t, *cudaGraphExec_t;
enum { cudaSuccess, cudaStreamNonBlocking = 1, cudaStreamCaptureModeThreadLocal = 1 };
inline const char* cudaGetErrorString(int) { return "an error"; }
inline int cudaStreamCreateWithFlags(cudaStream_t* stream, int) { *stream = 1; return 0; }
inline int cudaStreamBeginCapture(cudaStream_t, int) { on_host::captured = new on_host::Graph; return 0; }
inline int cudaStreamEndCapture(cudaStream_t, cudaGraph_t* graph) { *graph = on_host::captured; on_host::captured = nullptr; return 0; }
inline int cudaGraphInstantiate(cudaGraphExec_t* to, cudaGraph_t from, unsigned long long) { *to = new on_host::Graph(*from); return 0; }
inline int cudaGraphDestroy(cudaGraph_t graph) { delete graph; return 0; }
inline int cudaGraphExecDestroy(cudaGraphExec_t graph) { delete graph; return 0; }
inline int cudaGraphLaunch(cudaGraphExec_t graph, cudaStream_t) { for (auto& node : *graph) node(); return 0; }
struct cudaDeviceProp {
  int multiProcessorCount = 1, maxThreadsPerBlock = 1024, maxThreadsPerMultiProcessor = 1024, warpSize = 32;
  size_t sharedMemPerBlock = 49152, totalGlobalMem = 1 << 30;
};
inline int cudaGetDeviceProperties(cudaDeviceProp*, int) { return 0; }
struct cudaFuncAttributes {
  int numRegs = 0, maxThreadsPerBlock = 1024;
  size_t sharedSizeBytes = 0, localSizeBytes = 0, constSizeBytes = 0;
};
template <class F> int cudaFuncGetAttributes(cudaFuncAttributes*, F) { return 0; }
template <class F> int cudaOccupancyMaxPotentialBlockSize(int* least, int* threads, F, size_t, int) { *least = 1; *threads = 64; return 0; }
template <class F> int cudaOccupancyMaxActiveBlocksPerMultiprocessor(int* n, F, int, size_t) { *n = 1; return 0; }

typedef int curandGenerator_t, curandState, curandStatus_t;
enum { CURAND_RNG_PSEUDO_DEFAULT };
template <class... A> int curandCreateGenerator(A...) { return 0; }
template <class... A> int curandDestroyGenerator(A...) { return 0; }
template <class... A> int curandSetPseudoRandomGeneratorSeed(A...) { return 0; }
template <class... A> int curandSetGeneratorOffset(A...) { return 0; }
template <class... A> int curandGenerateUniform(A...) { return 0; }
template <class... A> int curandGenerateUniformDouble(A...) { return 0; }
template <class... A> int curandGenerateNormal(A...) { return 0; }
template <class... A> int curandGenerateNormalDouble(A...) { return 0; }
template <class... A> int curandGeneratePoisson(A...) { return 0; }
template <class... A> void curand_init(A...) {}

namespace thrust {
template <class T> using host_vector = std::vector<T>;
template <class T> struct device_vector : std::vector<T> { using std::vector<T>::vector;
  device_vector() {}
  device_vector(const std::vector<T>& v) : std::vector<T>(v) {} };
template <class T> T* raw_pointer_cast(T* p) { return p; }
template <class I> void sort(I a, I b) { std::sort(a, b); }
template <class I, class J>
void sort_by_key(I key, I end, J value) {
  std::vector<std::pair<typename I::value_type, typename J::value_type>> all;
  for (auto k = key; k != end; ++k) all.push_back({*k, value[k - key]});
  std::sort(all.begin(), all.end());
  for (size_t k = 0; k < all.size(); k++) key[k] = all[k].first, value[k] = all[k].second;
}
template <class I, class T = int>
void sequence(I a, I b, T first = 0, T step = 1) { for (; a != b; ++a, first += step) *a = first; }
template <class I, class J, class F> void transform(I a, I b, J to, F f) { std::transform(a, b, to, f); }
template <class I, class J, class K, class F>
void transform(I a, I b, J c, K to, F f) { std::transform(a, b, c, to, f); }
template <class I, class T> void fill(I a, I b, T value) { std::fill(a, b, value); }
template <class I, class J, class K>
void lower_bound(I a, I b, J from, J end, K to) { for (; from != end; ++from, ++to) *to = std::lower_bound(a, b, *from) - a; }
template <class I, class J> void copy(I a, I b, J to) { std::copy(a, b, to); }
template <class I, class J, class K>
void gather(I a, I b, J from, K to) { for (; a != b; ++a, ++to) *to = from[*a]; }
}  // namespace thrust

#define CUDA_SAFE_CALL(call) (void)(call)
#define CUDA_CHECK_ERROR(message)
#define CUDA_CHECK_MEMORY()
#define THRUST_CHECK_ERROR(code) { code; }
