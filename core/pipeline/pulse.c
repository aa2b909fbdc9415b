/* SPDX-License-Identifier: Apache-2.0 */
/* See pulse.h. The session is the thread's own; `stop` is told by the main thread. */
#include "pipeline/pulse.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/code.h"
#include "base/errno.h"
#include "base/log.h"

#define STEP_NS 50000000LL

/* A statement that is not narwal's finds tables by their bare names, as in any other session; and
 * a lock that it does not get soon is not waited for. */
static const char SETTINGS[] = "SET search_path = \"$user\", public; SET lock_timeout = '10s'";

struct nw_pulse {
    struct nw_pg_options connection; /* asks this pulse whether to stop */
    struct nw_pg_options given;
    const char *statement;
    int64_t every_ns;
    struct nw_session *session; /* NULL: not open */
    bool failing;               /* it was said */
    atomic_bool stop;
    pthread_t thread;
};

static int64_t now_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static bool stops(void *context)
{
    const struct nw_pulse *pulse = context;

    return atomic_load_explicit(&pulse->stop, memory_order_relaxed) ||
           (pulse->given.stopping != NULL && pulse->given.stopping(pulse->given.stopping_context));
}

static nw_status beat(struct nw_pulse *pulse, struct nw_error *err)
{
    nw_status status = NW_OK;

    if (pulse->session == NULL) {
        status = nw_session_open(&pulse->connection, false, &pulse->session, err);
        if (status == NW_OK) {
            status = nw_session_query(pulse->session, SETTINGS, NULL, 0, NULL, NULL, err);
        }
        if (status != NW_OK) { /* without them the statement is not run */
            nw_session_close(pulse->session);
            pulse->session = NULL;
        }
    }
    if (status == NW_OK) {
        status = nw_session_query(pulse->session, pulse->statement, NULL, 0, NULL, NULL, err);
    }
    /* One that broke, or that is left in a transaction, is of no use any more. */
    if (pulse->session != NULL &&
        (status == NW_RETRY || nw_session_in_transaction(pulse->session))) {
        nw_session_close(pulse->session);
        pulse->session = NULL;
    }
    return status;
}

/* Says when it begins to fail, and when it does not any more. */
static void outcome_say(struct nw_pulse *pulse, nw_status status, const struct nw_error *why)
{
    if (status != NW_OK && !pulse->failing && !stops(pulse)) {
        nw_log(NW_LOG_WARN,
               "NW2329 source.heartbeat.statement fails, and is tried again every %.1f s: %s",
               (double)pulse->every_ns / 1e9, nw_code_rest(why->text));
    } else if (status == NW_OK && pulse->failing) {
        nw_log(NW_LOG_INFO, "source.heartbeat.statement works again");
    }
    pulse->failing = status != NW_OK;
}

static void *run(void *context)
{
    struct nw_pulse *pulse = context;
    const struct timespec step = {.tv_nsec = STEP_NS};

    while (!stops(pulse)) {
        int64_t due_ns = now_ns() + pulse->every_ns;
        struct nw_error why = {0};
        nw_status status = beat(pulse, &why);

        outcome_say(pulse, status, &why);
        while (!stops(pulse) && now_ns() < due_ns) {
            (void)nanosleep(&step, NULL);
        }
    }
    nw_session_close(pulse->session);
    return NULL;
}

nw_status nw_pulse_start(const struct nw_pg_options *connection, const char *statement,
                         int64_t every_us, struct nw_pulse **pulse, struct nw_error *err)
{
    struct nw_pulse *made = calloc(1, sizeof *made);
    int failure = 0;

    if (made == NULL) {
        return nw_fail(err, NW_RETRY, "out of memory for the heartbeat");
    }
    made->connection = made->given = *connection;
    made->connection.stopping = stops;
    made->connection.stopping_context = made;
    made->statement = statement;
    made->every_ns = every_us * 1000;
    failure = pthread_create(&made->thread, NULL, run, made);
    if (failure != 0) {
        free(made);
        return nw_fail(err, NW_RETRY, "NW2901 cannot start a thread: %s", nw_errno_text(failure));
    }
    *pulse = made;
    return NW_OK;
}

void nw_pulse_stop(struct nw_pulse *pulse)
{
    if (pulse != NULL) {
        atomic_store_explicit(&pulse->stop, true, memory_order_relaxed);
        (void)pthread_join(pulse->thread, NULL);
        free(pulse);
    }
}
