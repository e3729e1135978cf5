// What the resident programs of all targets say to their caller, and how.
//
// Two shared segments, inherited as file descriptors: the weights, which all workers
// read in place, and this worker's exchange, which holds its inputs and then its
// records and which it enlarges when the records need more room. Requests and answers
// go through a socket; when the other end closes, the program ends.
#pragma once
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <sys/mman.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#ifdef BSNN_SANITIZE
#include <sanitizer/asan_interface.h>
#endif

namespace bsnn {

const uint64_t MAGIC = 0x3330306e6e736200;  // "\0bsnn003", version of this protocol

struct Request {
  uint64_t magic;
  int64_t n_samples, n_steps, n_inputs;
  double dt;
  int64_t exchange_bytes;  // size of the exchange as the caller knows it
  int64_t weights_at;      // where in their segment the weights begin
};

struct Answer {
  uint64_t magic;
  int64_t exchange_bytes;  // its size now
  int64_t records_at;      // where in it the records begin
  double seconds;          // what stepping the network took
};

inline void fail(const char* what) {
  std::perror(what);
  _exit(3);
}

// Blocks in a segment begin on cache lines, with a gap of at least one byte between
// them; the Python side counts the same way.
inline size_t aligned(size_t bytes) { return (bytes + 64) & ~size_t(63); }

// No allocator watches over a segment: tell the sanitizer what nobody may touch there.
inline void forbid(const char* from, size_t bytes) {
#ifdef BSNN_SANITIZE
  __asan_poison_memory_region(from, bytes);
#endif
}
inline void allow(const char* from, size_t bytes) {
#ifdef BSNN_SANITIZE
  __asan_unpoison_memory_region(from, bytes);
#endif
}

class Segment {
  int fd_, access_;
  char* base_ = nullptr;
  size_t bytes_ = 0;

 public:
  Segment(int fd, int access) : fd_(fd), access_(access) {}

  // Blocks that were asked for before are gone.
  void map(size_t bytes) {
    if (bytes != bytes_) {
      allow(base_, bytes_);
      if (base_) munmap(base_, bytes_);
      void* base = mmap(nullptr, bytes, access_, MAP_SHARED, fd_, 0);
      if (base == MAP_FAILED) fail("mapping shared memory");
      base_ = static_cast<char*>(base);
      bytes_ = bytes;
    }
    forbid(base_, bytes_);
  }
  void map_all() {
    struct stat status;
    if (fstat(fd_, &status)) fail("measuring shared memory");
    map(status.st_size);
  }
  void grow(size_t bytes) {
    if (bytes <= bytes_) return;
    bytes += bytes / 2;
    if (ftruncate(fd_, bytes)) fail("enlarging shared memory");
    map(bytes);
  }
  char* at(size_t offset) const { return base_ + offset; }
  // The n values that begin at byte `offset`, which moves on to the next block.
  template <class T>
  T* block(size_t& offset, size_t n) const {
    char* const first = at(offset);
    allow(first, n * sizeof(T));
    offset += aligned(n * sizeof(T));
    return reinterpret_cast<T*>(first);
  }
  size_t bytes() const { return bytes_; }
};

inline bool receive(int fd, Request& request) {
  size_t done = 0;
  char* to = reinterpret_cast<char*>(&request);
  while (done < sizeof request) {
    const ssize_t n = recv(fd, to + done, sizeof request - done, 0);
    if (n == 0) return false;
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail("receiving a request");
    done += n;
  }
  if (request.magic != MAGIC) fail("a request of another protocol");
  return true;
}

// A stopped program would not see the socket close; its parent's death wakes it.
inline void wake_at_parents_death() {
#ifdef __linux__
  prctl(PR_SET_PDEATHSIG, SIGCONT);
#endif
}

inline int descriptor(const char* name) {
  const char* value = std::getenv(name);
  if (!value) {
    std::fprintf(stderr, "%s is not set: bsnn starts this program\n", name);
    _exit(3);
  }
  return std::atoi(value);
}

}  // namespace bsnn
