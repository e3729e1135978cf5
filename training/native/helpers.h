// Work for several threads, which stay from one call to the next.
#pragma once
#include <pthread.h>
#ifdef __linux__
#include <sched.h>
#endif

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <new>
#include <thread>
#include <vector>

namespace {

// Threads that help whoever calls. One that has nothing to do looks out for more for a
// moment, because the parts of a backward pass follow each other closely, then sleeps.
class Helpers {
    static constexpr std::chrono::microseconds patience{100};
    std::mutex callers, mutex;
    std::condition_variable wake;
    std::atomic<int64_t> round{0}, n_working{0};
    int64_t n_wanted = 0, n_asleep = 0;
    const std::function<void()> *work = nullptr;
    std::vector<std::thread> threads;
    int kept_off = -1;  // the processor that helpers stay off

public:
    // Call `task` here and in as many helpers as come in time, up to `n_helpers`.
    void share(const std::function<void()> &task, int64_t n_helpers) {
        if (n_helpers < 1) return task();
        // A second caller, from another thread, does all of its work itself.
        const std::unique_lock caller(callers, std::try_to_lock);
        if (!caller) return task();
        {
            const std::lock_guard lock(mutex);
            hire(n_helpers);
            keep_off_this_processor();
            work = &task;
            n_wanted = n_helpers;
            ++round;
            if (n_asleep) wake.notify_all();
        }
        task();
        {
            const std::lock_guard lock(mutex);
            n_wanted = 0;
        }
        while (n_working) std::this_thread::yield();
    }

private:
    void hire(int64_t n_helpers) {
        try {
            while (int64_t(threads.size()) < n_helpers) {
                threads.emplace_back([this] { help(); });
                kept_off = -1;
            }
        } catch (const std::exception &) {
            // No thread to be had: those that run do all tasks.
        }
    }

    // Virtual machines may wake a helper where the caller runs, to wait for its end.
    void keep_off_this_processor() {
#ifdef __linux__
        const int here = sched_getcpu();
        cpu_set_t others;
        if (here < 0 || here == kept_off || sched_getaffinity(0, sizeof others, &others))
            return;
        CPU_CLR(here, &others);
        if (CPU_COUNT(&others) == 0) return;
        for (auto &thread : threads)
            pthread_setaffinity_np(thread.native_handle(), sizeof others, &others);
        kept_off = here;
#endif
    }

    void help() {
        for (int64_t seen = 0;;) {
            const auto bedtime = std::chrono::steady_clock::now() + patience;
            while (round == seen && std::chrono::steady_clock::now() < bedtime) {
            }
            std::unique_lock lock(mutex);
            ++n_asleep;
            wake.wait(lock, [&] { return round != seen; });
            --n_asleep;
            seen = round;
            if (n_wanted == 0) continue;
            --n_wanted;
            ++n_working;
            lock.unlock();
            (*work)();
            --n_working;
        }
    }
};

// Never destroyed: its threads are there until the process ends, but in no fork of it,
// where the locks may be in any state.
Helpers *helpers = new Helpers;
[[maybe_unused]] const int on_fork =
    pthread_atfork(nullptr, nullptr, [] { helpers = new Helpers; });

// Make a function in each thread with `make_task` and call it with each task.
template <class MakeTask>
void run_tasks(int64_t n_threads, int64_t n_tasks, MakeTask make_task) {
    std::atomic<int64_t> next{0};
    std::atomic<bool> failed{false};
    const auto work = [&] {
        try {
            if (next >= n_tasks) return;
            auto task = make_task();
            for (int64_t i; (i = next++) < n_tasks;) task(i);
        } catch (const std::bad_alloc &) {
            failed = true;
        }
    };
    helpers->share(work, std::min(n_threads, n_tasks) - 1);
    if (failed) throw std::bad_alloc();
}

}  // namespace
