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

// Threads that help whoever has a job. One that has nothing to do looks out for more for
// a moment, because the parts of a backward pass follow each other closely, then sleeps.
class Helpers {
    static constexpr std::chrono::microseconds patience{100};
    std::mutex mutex;
    std::condition_variable wake;
    std::atomic<int64_t> n_wanted{0};  // by all jobs
    int64_t n_asleep = 0;
    std::vector<std::thread> threads;
    int kept_off = -1;  // the processor that helpers stay off

public:
    // What several threads may call at the same time.
    struct Job {
        std::function<void()> work;
        Helpers *helpers = nullptr;  // while it is open to them
        int64_t n_wanted = 0;
        std::atomic<int64_t> n_working{0};
    };

    // Let helpers, up to `n_helpers`, call a job's work until the job ends.
    void open(Job &job, int64_t n_helpers) {
        if (n_helpers < 1) return;
        const std::lock_guard lock(mutex);
        hire(n_helpers);
        keep_off_this_processor();
        jobs.push_back(&job);
        job.helpers = this;
        job.n_wanted = n_helpers;
        n_wanted += n_helpers;
        if (n_asleep) wake.notify_all();
    }

    // Keep others off the job and wait for those that are at it.
    void end(Job &job) {
        if (job.helpers != this) return;
        {
            const std::lock_guard lock(mutex);
            jobs.erase(std::find(jobs.begin(), jobs.end(), &job));
            n_wanted -= job.n_wanted;
        }
        while (job.n_working) std::this_thread::yield();
        job.helpers = nullptr;
    }

private:
    std::vector<Job *> jobs;

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
        for (;;) {
            const auto bedtime = std::chrono::steady_clock::now() + patience;
            while (n_wanted == 0 && std::chrono::steady_clock::now() < bedtime) {
            }
            std::unique_lock lock(mutex);
            ++n_asleep;
            wake.wait(lock, [&] { return n_wanted > 0; });
            --n_asleep;
            const auto wants = [](const Job *job) { return job->n_wanted > 0; };
            Job &job = **std::find_if(jobs.begin(), jobs.end(), wants);
            --job.n_wanted;
            --n_wanted;
            ++job.n_working;
            lock.unlock();
            job.work();
            --job.n_working;
        }
    }
};

// Never destroyed: its threads are there until the process ends, but in no fork of it,
// where the locks may be in any state.
Helpers *helpers = new Helpers;
[[maybe_unused]] const int on_fork =
    pthread_atfork(nullptr, nullptr, [] { helpers = new Helpers; });

// Tasks that helpers begin with at once. Each thread makes a function with `make_task`
// and calls it with the numbers of tasks that nobody else has taken.
template <class MakeTask>
class Tasks {
    const int64_t n_tasks;
    const MakeTask make_task;
    std::atomic<int64_t> next{0};
    std::atomic<bool> failed{false};
    Helpers::Job job;

    void work() {
        try {
            if (next >= n_tasks) return;
            auto task = make_task();
            for (int64_t i; (i = next++) < n_tasks;) task(i);
        } catch (const std::bad_alloc &) {
            failed = true;
        }
    }

public:
    Tasks(int64_t n_threads, int64_t n_tasks, MakeTask make_task)
        : n_tasks(n_tasks), make_task(make_task), job{[this] { work(); }} {
        helpers->open(job, std::min(n_threads, n_tasks) - 1);
    }
    Tasks(const Tasks &) = delete;

    // Do what nobody has taken, and wait for the rest.
    void finish() {
        // In a fork, what helpers had taken is not done.
        if (job.helpers && job.helpers != helpers) next = 0;
        work();
        helpers->end(job);
        if (failed) throw std::bad_alloc();
    }

    ~Tasks() {
        next = n_tasks;
        helpers->end(job);
    }
};

}  // namespace
