/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The loop that runs agents on a thread (agent.h). A pass steps every agent once; when none did
 * anything the thread parks its bell, looks once more, and polls what the agents wait for.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "base/assert.h"
#include "base/errno.h"
#include "ring/bell.h"

#define AGENTS_MAX 128u
#define NAME_SIZE  16u

struct nw_thread {
    struct nw_thread_options options;
    char name[NAME_SIZE];
    pthread_t thread;
    _Atomic bool stopping;
    _Atomic int64_t pass_ns; /* when the pass under way began; 0: it sleeps. Relaxed: a number */
};

/* Steps every agent. @return false when one failed, which was told. */
static bool step_all(struct nw_thread *thread, uint32_t *work)
{
    int64_t now_ns = thread->options.now_ns(thread->options.clock);

    atomic_store_explicit(&thread->pass_ns, now_ns, memory_order_relaxed);
    for (uint32_t i = 0; i < thread->options.agents_count; i++) {
        struct nw_agent *agent = &thread->options.agents[i];
        struct nw_error error = {0};
        nw_status status = agent->do_work(agent->self, now_ns, work, &error);

        if (status != NW_OK && status != NW_AGAIN) {
            error.status = status;
            thread->options.failed(thread->options.context, agent, &error);
            return false;
        }
    }
    return true;
}

static void sleep_until(const struct nw_thread *thread, struct pollfd *polls, nfds_t count,
                        int64_t deadline_ns)
{
    struct timespec timeout = {0};
    int64_t left_ns = 0;

    if (deadline_ns == INT64_MAX) {
        (void)ppoll(polls, count, NULL, NULL);
        return;
    }
    left_ns = deadline_ns - thread->options.now_ns(thread->options.clock);
    if (left_ns > 0) {
        timeout.tv_sec = left_ns / 1000000000;
        timeout.tv_nsec = left_ns % 1000000000;
    }
    (void)ppoll(polls, count, &timeout, NULL); /* EINTR: look again, that is all */
}

static void idle(struct nw_thread *thread)
{
    struct pollfd polls[AGENTS_MAX + 1];
    nfds_t count = 0;
    int64_t deadline_ns = INT64_MAX;
    int64_t now_ns = thread->options.now_ns(thread->options.clock);

    polls[count++] =
        (struct pollfd){.fd = nw_bell_descriptor(thread->options.bell), .events = POLLIN};
    for (uint32_t i = 0; i < thread->options.agents_count; i++) {
        struct nw_agent *agent = &thread->options.agents[i];
        struct nw_wait wait = {.descriptor = -1, .deadline_ns = INT64_MAX};

        if (agent->wait != NULL) {
            agent->wait(agent->self, now_ns, &wait);
        }
        if (wait.descriptor >= 0) {
            polls[count++] = (struct pollfd){.fd = wait.descriptor, .events = wait.events};
        }
        deadline_ns = wait.deadline_ns < deadline_ns ? wait.deadline_ns : deadline_ns;
    }
    atomic_store_explicit(&thread->pass_ns, 0, memory_order_relaxed);
    sleep_until(thread, polls, count, deadline_ns);
}

static void run(struct nw_thread *thread)
{
    /* Acquire pairs with the release in nw_thread_stop(); the bell wakes us for it. */
    while (!atomic_load_explicit(&thread->stopping, memory_order_acquire)) {
        uint32_t work = 0;

        if (!step_all(thread, &work)) {
            return;
        }
        if (work > 0) {
            continue;
        }
        nw_bell_park(thread->options.bell);
        if (!step_all(thread, &work)) {
            return;
        }
        if (work == 0 && !atomic_load_explicit(&thread->stopping, memory_order_acquire)) {
            idle(thread);
        }
        nw_bell_unpark(thread->options.bell);
    }
}

static void pin(int core)
{
    cpu_set_t cores;

    if (core >= 0 && core < CPU_SETSIZE) {
        CPU_ZERO(&cores);
        CPU_SET((unsigned)core, &cores);
        /* A core that is not ours is not worth failing for: the plan said where, not whether. */
        (void)pthread_setaffinity_np(pthread_self(), sizeof cores, &cores);
    }
}

static void *thread_main(void *context)
{
    struct nw_thread *thread = context;
    uint32_t started = 0;
    struct nw_error error = {0};

    (void)pthread_setname_np(pthread_self(), thread->name);
    (void)prctl(PR_SET_TIMERSLACK, 1000UL, 0UL, 0UL, 0UL);
    pin(thread->options.core);
    for (; started < thread->options.agents_count; started++) {
        struct nw_agent *agent = &thread->options.agents[started];

        nw_status status = agent->on_start == NULL ? NW_OK : agent->on_start(agent->self, &error);

        if (status != NW_OK) {
            error.status = status;
            thread->options.failed(thread->options.context, agent, &error);
            break;
        }
    }
    if (started == thread->options.agents_count) {
        run(thread);
    }
    for (uint32_t i = 0; i < started; i++) {
        if (thread->options.agents[i].on_close != NULL) {
            thread->options.agents[i].on_close(thread->options.agents[i].self);
        }
    }
    atomic_store_explicit(&thread->pass_ns, 0, memory_order_relaxed);
    return NULL;
}

int64_t nw_thread_busy_ns(const struct nw_thread *thread, int64_t now_ns)
{
    int64_t pass_ns = atomic_load_explicit(&thread->pass_ns, memory_order_relaxed);

    return pass_ns == 0 || now_ns < pass_ns ? 0 : now_ns - pass_ns;
}

nw_status nw_thread_start(const struct nw_thread_options *options, struct nw_thread **thread,
                          struct nw_error *err)
{
    struct nw_thread *made = calloc(1, sizeof *made);
    int error = 0;

    NW_ASSERT(options->agents_count <= AGENTS_MAX);
    if (made == NULL) {
        return nw_fail(err, NW_FATAL, "out of memory for a thread");
    }
    made->options = *options;
    (void)strncpy(made->name, options->name, sizeof made->name - 1);
    error = pthread_create(&made->thread, NULL, thread_main, made);
    if (error != 0) {
        free(made);
        return nw_fail(err, NW_FATAL, "NW2901 cannot start thread %s: %s", options->name,
                       nw_errno_text(error));
    }
    *thread = made;
    return NW_OK;
}

void nw_thread_stop(struct nw_thread *thread)
{
    atomic_store_explicit(&thread->stopping, true, memory_order_release);
    nw_bell_ring(thread->options.bell);
}

void nw_thread_destroy(struct nw_thread *thread)
{
    if (thread != NULL) {
        nw_thread_stop(thread);
        (void)pthread_join(thread->thread, NULL);
        free(thread);
    }
}
