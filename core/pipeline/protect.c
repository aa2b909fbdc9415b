/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Protecting the primary: how much WAL the slot holds back there, and what is done when that is
 * more than allowed. On the main thread, beside what it conducts and between two attempts.
 */
#include "pipeline/run_private.h"

#include <inttypes.h>
#include <time.h>

#include "base/code.h"
#include "base/log.h"

#define LOOK_NS       10000000000LL
#define SAY_NS        60000000000LL
#define DROP_TRIES    50
#define DROP_PAUSE_NS 100000000L

/* @return false when it cannot be learned now */
static bool retained_read(struct nw_run *run, struct nw_session **session, uint64_t *bytes)
{
    static const char sql[] =
        "SELECT greatest(0, wal.lsn - restart_lsn), wal.lsn - '0/0'::pg_catalog.pg_lsn FROM "
        "(SELECT "
        "CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn() ELSE "
        "pg_catalog.pg_current_wal_flush_lsn() END AS lsn) wal, pg_catalog.pg_replication_slots "
        "WHERE slot_name = $1";
    const char *params[1] = {run->options->server.slot_name};
    struct nw_rows *rows = NULL;
    struct nw_error why = {0};
    nw_status status = NW_OK;
    bool known = false;

    if (*session == NULL) {
        status = nw_session_open(&run->options->server.connection, false, session, &why);
    }
    if (status == NW_OK) {
        status = nw_session_query(*session, sql, params, 1, NULL, &rows, &why);
    }
    if (status == NW_OK && nw_rows_count(rows) == 1) {
        *bytes = nw_rows_u64(rows, 0, 0);
        run->status.server_lsn = nw_rows_u64(rows, 0, 1);
        known = true;
    } else if (status != NW_OK) {
        nw_log(NW_LOG_DEBUG, "how much WAL the slot holds is not known: %s", why.text);
        nw_session_close(*session);
        *session = NULL;
    }
    nw_rows_free(rows);
    return known;
}

/* By the attempt's session, or by one of its own when there is no attempt. */
static bool retained_look(struct nw_run *run, uint64_t *bytes)
{
    struct nw_session *session = NULL;
    bool known = false;

    if (run->server_open) {
        return retained_read(run, &run->server.control, bytes);
    }
    known = retained_read(run, &session, bytes);
    nw_session_close(session);
    return known;
}

nw_status nw_run_protect(struct nw_run *run, struct nw_error *err)
{
    uint64_t limit = run->options->retained_wal_bytes;
    int64_t now_ns = run->env->ops->now_ns(run->env);
    uint64_t bytes = 0;

    if (run->options->snapshot == NW_SNAPSHOT_ONLY || now_ns - run->protect_seen_ns < LOOK_NS ||
        (limit == 0 && !run->server_open)) { /* only for people: not worth a connection */
        return NW_OK;
    }
    run->protect_seen_ns = now_ns;
    if (!retained_look(run, &bytes)) {
        return NW_OK;
    }
    run->status.retained_wal_bytes = bytes;
    if (limit == 0 || bytes <= limit) {
        return NW_OK;
    }
    if (run->options->drop_slot) {
        run->drop_slot = true;
        return nw_fail(err, NW_FATAL,
                       "NW2319 slot %s holds %" PRIu64
                       " MiB of WAL on the server, and protect.retained_wal "
                       "allows %" PRIu64 ": the run ends, and the slot is dropped as "
                       "protect.when_exceeded says. To go on: move the sinks' former data away and "
                       "start with a new copy",
                       run->options->server.slot_name, bytes >> 20, limit >> 20);
    }
    if (now_ns - run->protect_said_ns >= SAY_NS || run->protect_said_ns == 0) {
        run->protect_said_ns = now_ns;
        nw_log(NW_LOG_WARN,
               "NW2319 slot %s holds %" PRIu64 " MiB of WAL on the server, more than the %" PRIu64
               " that protect.retained_wal allows: %s",
               run->options->server.slot_name, bytes >> 20, limit >> 20,
               run->server_open ? "a sink or the spool's disk is too slow, or a transaction has "
                                  "been open for long"
                                : "nothing is received at present");
    }
    return NW_OK;
}

void nw_run_slot_drop(struct nw_run *run)
{
    const char *params[1] = {run->options->server.slot_name};
    struct timespec pause = {.tv_nsec = DROP_PAUSE_NS};
    struct nw_session *session = NULL;
    struct nw_error why = {0};
    nw_status status = nw_session_open(&run->options->server.connection, false, &session, &why);

    if (status == NW_OK) {
        status = NW_RETRY; /* our walsender takes a moment to let go of it */
    }
    for (int i = 0; i < DROP_TRIES && session != NULL && status != NW_OK; i++) {
        status = nw_session_query(session, "SELECT pg_catalog.pg_drop_replication_slot($1)", params,
                                  1, NULL, NULL, &why);
        if (status != NW_OK) {
            (void)nanosleep(&pause, NULL);
        }
    }
    nw_session_close(session);
    if (status == NW_OK) {
        run->slot_stays = false;
        nw_log(NW_LOG_WARN, "NW2320 slot %s was dropped to save the server",
               run->options->server.slot_name);
    } else {
        nw_log(NW_LOG_ERROR,
               "NW2321 slot %s could not be dropped: %s. Drop it by hand: SELECT "
               "pg_drop_replication_slot('%s');",
               run->options->server.slot_name, nw_code_rest(why.text),
               run->options->server.slot_name);
    }
}
