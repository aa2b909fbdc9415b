/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See claim.h. The lock is pg_try_advisory_lock(CLAIM_CLASS, hash of the slot's name): it lives as
 * long as its session, so an answer in that session says that it is held.
 */
#include "pipeline/claim.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/code.h"
#include "base/errno.h"
#include "base/log.h"

#define CLAIM_CLASS "1851880055" /* "narw" */
#define KEY_SIZE    12
#define BEAT_NS     1000000000LL
#define RETRY_NS    250000000LL
#define PATIENCE_NS 2000000000LL /* for the session of a process that was killed just now */
#define CONFIRM_NS  5000000000LL
#define NOTICED_NS  100000000LL
#define FORMER_MAX  8
/* A walsender without a claim is an older narwal's, which answers at least every ten seconds, or is
 * left over from a host that is gone. */
#define UNCLAIMED_S 25.0
#define LOCKS                                                                                      \
    "pg_catalog.pg_locks l WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 2 AND "    \
    "l.classid = " CLAIM_CLASS "::oid AND l.objid = $1::oid AND l.database = (SELECT oid FROM "    \
    "pg_catalog.pg_database WHERE datname = pg_catalog.current_database())"
#define AGE(time) "extract(epoch FROM pg_catalog.clock_timestamp() - " time ")"
/* With them the server notices within half a minute that a host is gone. And since when it is
 * there. */
#define KEEPALIVES                                                                                 \
    "SELECT pg_catalog.set_config('tcp_keepalives_idle', '10', false), "                           \
    "pg_catalog.set_config('tcp_keepalives_interval', '5', false), "                               \
    "pg_catalog.set_config('tcp_keepalives_count', '4', false), (SELECT backend_start::text FROM " \
    "pg_catalog.pg_stat_activity WHERE pid = pg_catalog.pg_backend_pid())"
#define KEEPALIVES_START 3

enum claim_state {
    CLAIM_FREE,   /* not asked for */
    CLAIM_WANTED, /* asked for, and not had yet */
    CLAIM_HELD,
    CLAIM_BROKEN, /* it was held, and its session broke */
    CLAIM_LOST,   /* to another */
};

/* A session of ours: after a restart of the server another one may have its pid. */
struct former {
    int pid;
    char start[NW_CLAIM_TIME_SIZE];
};

struct nw_claim {
    char key[KEY_SIZE];
    char slot_name[NW_CLAIM_WHO_SIZE];
    pthread_t thread;
    bool started;
    atomic_bool ends; /* only a flag */

    /* the thread's */
    struct nw_session *session;

    pthread_mutex_t mutex; /* guards all below */
    pthread_cond_t changed;
    struct nw_pg_options connection;
    enum claim_state state;
    bool hurries;                     /* somebody has begun to wait for it */
    uint64_t asked, answered;         /* beats that somebody waits for */
    uint64_t tries;                   /* that ended */
    struct nw_error trouble;          /* why it is not held */
    struct former former[FORMER_MAX]; /* that asked for it: their ends may not have been noticed */
    uint32_t former_count;
};

static int64_t now_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* FNV-1a, without the sign's bit: what pg_locks shows as objid is then the same number. */
static void key_make(const char *name, char key[KEY_SIZE])
{
    uint32_t hash = 2166136261u;

    for (const char *at = name; *at != '\0'; at++) {
        hash = (hash ^ (unsigned char)*at) * 16777619u;
    }
    (void)snprintf(key, KEY_SIZE, "%u", hash & 0x7fffffffu);
}

/* ---- what the server says ---- */

static void who_put(char text[NW_CLAIM_WHO_SIZE], const struct nw_rows *rows, int column)
{
    const char *pid = nw_rows_text(rows, 0, column);
    const char *client = nw_rows_text(rows, 0, column + 1);
    const char *since = nw_rows_text(rows, 0, column + 2);

    text[0] = '\0';
    if (pid != NULL) {
        (void)snprintf(text, NW_CLAIM_WHO_SIZE, "process %.12s, connected from %.60s%s%.40s", pid,
                       client != NULL ? client : "the server's own host",
                       since != NULL ? " since " : "", since != NULL ? since : "");
    }
}

static void start_put(char start[NW_CLAIM_TIME_SIZE], const struct nw_rows *rows, int column)
{
    const char *text = nw_rows_text(rows, 0, column);

    (void)snprintf(start, NW_CLAIM_TIME_SIZE, "%s", text != NULL ? text : "");
}

static double age_of(const struct nw_rows *rows, int column)
{
    const char *text = nw_rows_text(rows, 0, column);
    double age = text == NULL ? -1 : strtod(text, NULL);

    return text != NULL && age < 0 ? 0 : age;
}

nw_status nw_claim_look(struct nw_session *session, const char *slot_name,
                        struct nw_claim_view *view, struct nw_error *err)
{
    static const char sql[] =
        "SELECT pg_catalog.pg_is_in_recovery(), s.slot_name IS NOT NULL, "
        "s.active_pid, pg_catalog.host(r.client_addr), r.backend_start::timestamptz(0), "
        "CASE WHEN r.pid IS NOT NULL THEN " AGE(
            "greatest(w.reply_time, r.backend_start)") " END, "
                                                       "h.pid, pg_catalog.host(h.client_addr), "
                                                       "h.backend_start::timestamptz(0), " AGE(
                                                           "h.state_change") ", "
                                                                             "h.backend_start::"
                                                                             "text FROM (SELECT) "
                                                                             "one "
                                                                             "LEFT JOIN "
                                                                             "pg_catalog.pg_"
                                                                             "replication_slots s "
                                                                             "ON s.slot_name = $2 "
                                                                             "LEFT JOIN "
                                                                             "pg_catalog.pg_stat_"
                                                                             "activity r ON r.pid "
                                                                             "= s.active_pid "
                                                                             "LEFT JOIN "
                                                                             "pg_catalog.pg_stat_"
                                                                             "replication w ON "
                                                                             "w.pid = s.active_pid "
                                                                             "LEFT JOIN (SELECT "
                                                                             "l.pid, "
                                                                             "a.client_addr, "
                                                                             "a.backend_start, "
                                                                             "a.state_change FROM "
                                                                             "(SELECT l.pid "
                                                                             "FROM " LOCKS
                                                                             " LIMIT 1) l LEFT "
                                                                             "JOIN "
                                                                             "pg_catalog.pg_stat_"
                                                                             "activity a ON "
                                                                             "a.pid = l.pid) h ON "
                                                                             "true";
    char key[KEY_SIZE];
    const char *params[2] = {key, slot_name};
    struct nw_rows *rows = NULL;
    nw_status status = NW_OK;

    key_make(slot_name, key);
    memset(view, 0, sizeof *view);
    status = nw_session_query(session, sql, params, 2, NULL, &rows, err);
    if (status == NW_OK) {
        view->in_recovery = nw_rows_bool(rows, 0, 0);
        view->exists = nw_rows_bool(rows, 0, 1);
        view->reader_pid = (int)nw_rows_u64(rows, 0, 2);
        view->reader_age_s = age_of(rows, 5);
        view->holder_pid = (int)nw_rows_u64(rows, 0, 6);
        view->holder_age_s = age_of(rows, 9);
        who_put(view->reader, rows, 2);
        who_put(view->holder, rows, 6);
        start_put(view->holder_start, rows, 10);
    }
    nw_rows_free(rows);
    return status;
}

nw_status nw_claim_end_silent(struct nw_session *session, const char *slot_name, double silent_s,
                              bool again, int *ended, struct nw_error *err)
{
    /* Nobody who holds the claim and was heard of; then who reads the slot goes too, whose only
     * sign of life may be the other's. */
    static const char sql[] = "WITH holder AS (SELECT l.pid, " AGE(
        "a.state_change") " AS age FROM (SELECT l.pid FROM " LOCKS
                          ") l LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid), "
                          "reader AS (SELECT s.active_pid AS pid, " AGE(
                              "greatest(w.reply_time, a.backend_start)") " AS age FROM "
                                                                         "pg_catalog.pg_"
                                                                         "replication_slots s JOIN "
                                                                         "pg_catalog.pg_stat_"
                                                                         "activity a ON a.pid = "
                                                                         "s.active_pid LEFT JOIN "
                                                                         "pg_catalog.pg_stat_"
                                                                         "replication w ON w.pid = "
                                                                         "s.active_pid WHERE "
                                                                         "s.slot_name = $2), "
                                                                         "heard AS (SELECT "
                                                                         "coalesce((SELECT "
                                                                         "bool_or(coalesce(age < "
                                                                         "$3::float8, true)) FROM "
                                                                         "holder), "
                                                                         "false) OR "
                                                                         "coalesce((SELECT "
                                                                         "bool_or(coalesce(age < "
                                                                         "$3::float8 + CASE WHEN "
                                                                         "EXISTS (SELECT "
                                                                         "FROM holder) THEN 0 ELSE "
                                                                         "$4::float8 END, true)) "
                                                                         "FROM reader), false) AS "
                                                                         "lately) "
                                                                         "SELECT "
                                                                         "count(pg_catalog.pg_"
                                                                         "terminate_backend(pid)) "
                                                                         "FROM (SELECT pid FROM "
                                                                         "holder UNION "
                                                                         "SELECT pid FROM reader) "
                                                                         "silent WHERE NOT (SELECT "
                                                                         "lately FROM heard)";
    char key[KEY_SIZE];
    char silent[32];
    char unclaimed[32];
    const char *params[4] = {key, slot_name, silent, unclaimed};
    struct nw_rows *rows = NULL;
    nw_status status = NW_OK;

    key_make(slot_name, key);
    (void)snprintf(silent, sizeof silent, "%.3f", silent_s);
    (void)snprintf(unclaimed, sizeof unclaimed, "%.3f",
                   !again && silent_s < UNCLAIMED_S ? UNCLAIMED_S - silent_s : 0.0);
    *ended = 0;
    status = nw_session_query(session, sql, params, 4, NULL, &rows, err);
    if (status == NW_OK) {
        *ended = (int)nw_rows_u64(rows, 0, 0);
    }
    nw_rows_free(rows);
    return status;
}

/* ---- the thread ---- */

static bool claim_ends(void *context)
{
    struct nw_claim *claim = context;

    return atomic_load_explicit(&claim->ends, memory_order_relaxed);
}

static void session_drop(struct nw_claim *claim)
{
    nw_session_close(claim->session);
    claim->session = NULL;
}

/* Before it asks for the lock: of an answer that is lost the server knows more than we do. */
static void former_note(struct nw_claim *claim, const struct nw_rows *rows)
{
    struct former *former = NULL;

    (void)pthread_mutex_lock(&claim->mutex);
    if (claim->former_count == FORMER_MAX) {
        memmove(claim->former, claim->former + 1, (FORMER_MAX - 1) * sizeof claim->former[0]);
        claim->former_count--;
    }
    former = &claim->former[claim->former_count++];
    former->pid = nw_session_backend_pid(claim->session);
    start_put(former->start, rows, KEEPALIVES_START);
    (void)pthread_mutex_unlock(&claim->mutex);
}

static nw_status session_make(struct nw_claim *claim, struct nw_error *err)
{
    struct nw_pg_options options;
    struct nw_rows *rows = NULL;
    nw_status status = NW_OK;

    (void)pthread_mutex_lock(&claim->mutex);
    options = claim->connection;
    (void)pthread_mutex_unlock(&claim->mutex);
    options.stopping = claim_ends;
    options.stopping_context = claim;
    status = nw_session_open(&options, false, &claim->session, err);
    if (status == NW_OK) {
        status = nw_session_query(claim->session, KEEPALIVES, NULL, 0, NULL, &rows, err);
    }
    if (status == NW_OK) {
        former_note(claim, rows);
    }
    nw_rows_free(rows);
    return status;
}

bool nw_claim_knows(struct nw_claim *claim, const struct nw_claim_view *view)
{
    bool known = false;

    (void)pthread_mutex_lock(&claim->mutex);
    for (uint32_t i = 0; i < claim->former_count && view->holder_start[0] != '\0'; i++) {
        known = known || (claim->former[i].pid == view->holder_pid &&
                          strcmp(claim->former[i].start, view->holder_start) == 0);
    }
    (void)pthread_mutex_unlock(&claim->mutex);
    return known;
}

/* A session of ours that broke may still be there on the server. */
static void former_end(struct nw_claim *claim, const struct nw_claim_view *view)
{
    char text[KEY_SIZE];
    const char *params[2] = {text, view->holder_start};
    struct nw_error ignored = {0};

    (void)snprintf(text, sizeof text, "%d", view->holder_pid);
    if (nw_session_query(claim->session,
                         "SELECT pg_catalog.pg_terminate_backend(pid) FROM "
                         "pg_catalog.pg_stat_activity WHERE pid = $1 AND "
                         "backend_start = $2::timestamptz",
                         params, 2, NULL, NULL, &ignored) != NW_OK) {
        nw_log(NW_LOG_DEBUG, "%s", ignored.text);
    }
}

nw_status nw_claim_refuse(const char *slot_name, const struct nw_claim_view *view,
                          struct nw_error *err)
{
    return nw_fail(err, NW_RETRY,
                   "NW1211 another narwal has slot %s (%s, last heard of %.0f s ago): nothing was "
                   "touched. If its host is gone for good: SELECT pg_terminate_backend(%d)",
                   slot_name, view->holder, view->holder_age_s, view->holder_pid);
}

/* Somebody else has it. */
static nw_status held_by(struct nw_claim *claim, bool was_ours, struct nw_error *err)
{
    struct nw_claim_view view;
    nw_status status = nw_claim_look(claim->session, claim->slot_name, &view, err);

    if (status != NW_OK) {
        return status;
    }
    if (nw_claim_knows(claim, &view)) {
        former_end(claim, &view);
        view.holder_pid = 0;
    }
    if (view.holder_pid == 0) {
        return nw_fail(err, NW_RETRY, "NW1211 the claim on slot %s is about to be free",
                       claim->slot_name);
    }
    if (was_ours) {
        return nw_fail(err, NW_FATAL,
                       "NW2350 another narwal has taken over slot %s (%s), while this one was "
                       "frozen or cut off from the server: this one ends, and writes nothing more",
                       claim->slot_name, view.holder);
    }
    return nw_claim_refuse(claim->slot_name, &view, err);
}

/* One try to get it. */
static nw_status lock_try(struct nw_claim *claim, bool was_ours, struct nw_error *err)
{
    const char *params[1] = {claim->key};
    struct nw_rows *rows = NULL;
    bool got = false;
    nw_status status = claim->session == NULL ? session_make(claim, err) : NW_OK;

    if (status == NW_OK) {
        status = nw_session_query(claim->session,
                                  "SELECT pg_catalog.pg_try_advisory_lock(" CLAIM_CLASS ", $1)",
                                  params, 1, NULL, &rows, err);
        got = status == NW_OK && nw_rows_bool(rows, 0, 0);
        nw_rows_free(rows);
    }
    return status == NW_OK && !got ? held_by(claim, was_ours, err) : status;
}

static nw_status beat(struct nw_claim *claim, struct nw_error *err)
{
    return nw_session_query(claim->session, "SELECT 1", NULL, 0, NULL, NULL, err);
}

/* What a try means. @param was  the state that it began with */
static void outcome_note(struct nw_claim *claim, enum claim_state was, uint64_t asked,
                         nw_status status, const struct nw_error *err)
{
    (void)pthread_mutex_lock(&claim->mutex);
    if (claim->state == CLAIM_FREE) { /* given up or given back meanwhile */
        claim->hurries = true;
    } else if (status == NW_OK) {
        claim->state = CLAIM_HELD;
        claim->answered = was == CLAIM_HELD ? asked : claim->answered;
    } else if (strncmp(err->text, "NW2350", 6) == 0) {
        claim->state = CLAIM_LOST;
    } else if (claim->state != CLAIM_WANTED) {
        claim->state = CLAIM_BROKEN;
    }
    if (status != NW_OK) {
        claim->trouble = *err;
        claim->trouble.status = status;
    }
    claim->tries++;
    (void)pthread_cond_broadcast(&claim->changed);
    (void)pthread_mutex_unlock(&claim->mutex);
}

/* Until `due`, or until there is something to do. @return the state then */
static enum claim_state pause_until(struct nw_claim *claim, int64_t due_ns, uint64_t *asked)
{
    struct timespec due = {.tv_sec = due_ns / 1000000000, .tv_nsec = due_ns % 1000000000};
    enum claim_state state;

    (void)pthread_mutex_lock(&claim->mutex);
    while (!claim_ends(claim) && now_ns() < due_ns && !claim->hurries &&
           !(claim->state == CLAIM_HELD && claim->asked > claim->answered)) {
        (void)pthread_cond_timedwait(&claim->changed, &claim->mutex, &due);
    }
    claim->hurries = false;
    state = claim->state;
    *asked = claim->asked;
    (void)pthread_mutex_unlock(&claim->mutex);
    return state;
}

static void *serve(void *context)
{
    struct nw_claim *claim = context;
    int64_t due_ns = 0;

    while (!claim_ends(claim)) {
        struct nw_error err = {0};
        uint64_t asked = 0;
        enum claim_state state = pause_until(claim, due_ns, &asked);
        nw_status status = NW_OK;

        due_ns = now_ns() + (state == CLAIM_HELD ? BEAT_NS : RETRY_NS);
        if (state == CLAIM_FREE) {
            session_drop(claim); /* with the lock, if it has that */
        }
        if (claim_ends(claim) || state == CLAIM_FREE || state == CLAIM_LOST) {
            continue;
        }
        status =
            state == CLAIM_HELD ? beat(claim, &err) : lock_try(claim, state == CLAIM_BROKEN, &err);
        if (status != NW_OK && strncmp(err.text, "NW1211", 6) != 0) {
            session_drop(claim);
        }
        outcome_note(claim, state, asked, status, &err);
        due_ns = status == NW_OK ? due_ns : now_ns() + RETRY_NS;
    }
    session_drop(claim);
    return NULL;
}

/* ---- for the others ---- */

nw_status nw_claim_create(const char *slot_name, struct nw_claim **claim, struct nw_error *err)
{
    struct nw_claim *made = calloc(1, sizeof *made);
    pthread_condattr_t attributes;

    if (made == NULL) {
        return nw_fail(err, NW_FATAL, "out of memory");
    }
    (void)snprintf(made->slot_name, sizeof made->slot_name, "%s", slot_name);
    key_make(slot_name, made->key);
    (void)pthread_mutex_init(&made->mutex, NULL);
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&made->changed, &attributes);
    (void)pthread_condattr_destroy(&attributes);
    *claim = made;
    return NW_OK;
}

void nw_claim_destroy(struct nw_claim *claim)
{
    if (claim == NULL) {
        return;
    }
    if (claim->started) {
        (void)pthread_mutex_lock(&claim->mutex);
        atomic_store_explicit(&claim->ends, true, memory_order_relaxed);
        (void)pthread_cond_broadcast(&claim->changed);
        (void)pthread_mutex_unlock(&claim->mutex);
        (void)pthread_join(claim->thread, NULL);
    }
    (void)pthread_cond_destroy(&claim->changed);
    (void)pthread_mutex_destroy(&claim->mutex);
    free(claim);
}

/* With the mutex, which the claim's thread has meanwhile. @return false: that is enough */
static bool wait_a_little(struct nw_claim *claim, int64_t until_ns)
{
    int64_t due_ns = now_ns() + NOTICED_NS;
    struct timespec due = {.tv_sec = due_ns / 1000000000, .tv_nsec = due_ns % 1000000000};

    (void)pthread_cond_timedwait(&claim->changed, &claim->mutex, &due);
    return now_ns() < until_ns;
}

static nw_status thread_start(struct nw_claim *claim, struct nw_error *err)
{
    int failure = claim->started ? 0 : pthread_create(&claim->thread, NULL, serve, claim);

    if (failure != 0) {
        return nw_fail(err, NW_RETRY, "NW2901 a thread cannot be started: %s",
                       nw_errno_text(failure));
    }
    claim->started = true;
    return NW_OK;
}

/* Only who holds it may yet give it up: then it is waited for. */
static bool is_refused(const struct nw_claim *claim)
{
    return claim->trouble.text[0] != '\0' && strncmp(claim->trouble.text, "NW1211", 6) != 0;
}

nw_status nw_claim_take(struct nw_claim *claim, const struct nw_pg_options *connection,
                        struct nw_error *err)
{
    int64_t until_ns = now_ns() + PATIENCE_NS;
    uint64_t tries = 0;
    nw_status status = thread_start(claim, err);

    if (status != NW_OK) {
        return status;
    }
    (void)pthread_mutex_lock(&claim->mutex);
    claim->connection = *connection;
    claim->trouble = (struct nw_error){0};
    tries = claim->tries;
    if (claim->state == CLAIM_FREE) {
        claim->state = CLAIM_WANTED;
    }
    claim->hurries = claim->state != CLAIM_HELD;
    (void)pthread_cond_broadcast(&claim->changed);
    while (claim->state != CLAIM_HELD && claim->state != CLAIM_LOST && !is_refused(claim) &&
           (wait_a_little(claim, until_ns) || claim->tries == tries)) {
        if (connection->stopping != NULL && connection->stopping(connection->stopping_context)) {
            break;
        }
    }
    if (claim->state != CLAIM_HELD) {
        *err = claim->trouble;
        status = err->text[0] != '\0' ? err->status
                                      : nw_fail(err, NW_RETRY, "NW2005 stopped before it began");
    }
    if (claim->state == CLAIM_WANTED) {
        claim->state = CLAIM_FREE;
    }
    (void)pthread_mutex_unlock(&claim->mutex);
    return status;
}

nw_status nw_claim_check(struct nw_claim *claim, struct nw_error *err)
{
    nw_status status = NW_OK;

    (void)pthread_mutex_lock(&claim->mutex);
    if (claim->state == CLAIM_LOST) {
        *err = claim->trouble;
        status = NW_FATAL;
    }
    (void)pthread_mutex_unlock(&claim->mutex);
    return status;
}

bool nw_claim_is_had(struct nw_claim *claim)
{
    bool had = false;

    (void)pthread_mutex_lock(&claim->mutex);
    had = claim->state == CLAIM_HELD || claim->state == CLAIM_BROKEN || claim->state == CLAIM_LOST;
    (void)pthread_mutex_unlock(&claim->mutex);
    return had;
}

void nw_claim_release(struct nw_claim *claim)
{
    (void)pthread_mutex_lock(&claim->mutex);
    if (claim->state == CLAIM_HELD || claim->state == CLAIM_BROKEN) {
        claim->state = CLAIM_FREE;
        claim->hurries = true;
        (void)pthread_cond_broadcast(&claim->changed);
    }
    (void)pthread_mutex_unlock(&claim->mutex);
}

nw_status nw_claim_confirm(struct nw_claim *claim, bool (*given_up)(void *context), void *context,
                           struct nw_error *err)
{
    int64_t until_ns = now_ns() + CONFIRM_NS;
    uint64_t wanted = 0;
    nw_status status = NW_OK;

    (void)pthread_mutex_lock(&claim->mutex);
    wanted = ++claim->asked;
    (void)pthread_cond_broadcast(&claim->changed);
    while (claim->answered < wanted && claim->state != CLAIM_LOST && !given_up(context) &&
           wait_a_little(claim, until_ns)) {
    }
    if (claim->state == CLAIM_LOST) {
        *err = claim->trouble;
        status = NW_FATAL;
    } else if (claim->answered < wanted) {
        status = nw_fail(err, NW_RETRY, "NW1211 the claim on slot %s is not confirmed%s%s",
                         claim->slot_name, claim->trouble.text[0] != '\0' ? ": " : "",
                         nw_code_rest(claim->trouble.text));
    }
    (void)pthread_mutex_unlock(&claim->mutex);
    return status;
}

nw_status nw_claim_alone(const char *slot_name, const struct nw_pg_options *connection,
                         struct nw_claim **claim, struct nw_error *err)
{
    struct nw_session *session = NULL;
    struct nw_claim_view view = {0};
    nw_status status = nw_claim_create(slot_name, claim, err);

    if (status == NW_OK) {
        status = nw_claim_take(*claim, connection, err);
    }
    if (status == NW_OK) {
        status = nw_session_open(connection, false, &session, err);
    }
    if (status == NW_OK) {
        status = nw_claim_look(session, slot_name, &view, err);
    }
    nw_session_close(session);
    return status == NW_OK && view.reader_pid != 0
               ? nw_fail(err, NW_RETRY, "NW1211 slot %s is in use by %s", slot_name, view.reader)
               : status;
}
