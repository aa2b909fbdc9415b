/* SPDX-License-Identifier: Apache-2.0 */
/* See copy_fence.h. */
#include "pipeline/copy_fence.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/errno.h"
#include "base/log.h"
#include "pg/lsn.h"
#include "pipeline/slot_make.h"

/* Makes a temporary slot; the session that made it lends its snapshot until its next command. */
static nw_status temporary_slot_make(const struct nw_server *server, struct nw_session *session,
                                     struct nw_slot_created *slot, struct nw_error *err)
{
    char name[NW_SLOT_NAME_SIZE];
    struct nw_slot_request request = {
        .name = name, .temporary = true, .snapshot = NW_SLOT_SNAPSHOT_EXPORT};
    char lsn[NW_LSN_TEXT_SIZE];
    uint64_t token = 0; /* in containers all have the same process id */
    nw_status status = NW_OK;

    server->options.env->ops->random(server->options.env, &token, sizeof token);
    (void)snprintf(name, sizeof name, "narwal_copy_%016" PRIx64, token);
    nw_log(NW_LOG_INFO, "waiting for a consistent point (running transactions must end first)");
    status = nw_replication_create_slot(session, &request, NULL, slot, err);
    if (status == NW_OK) {
        nw_log(NW_LOG_INFO, "snapshot of a temporary slot at %s",
               nw_lsn_text(lsn, slot->consistent_lsn));
    }
    return status;
}

nw_status nw_copy_snapshot_enter(struct nw_session *session, const char *snapshot,
                                 struct nw_error *err)
{
    char sql[160];
    nw_status status = nw_session_query(session, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
                                        NULL, 0, NULL, NULL, err);

    (void)snprintf(sql, sizeof sql, "SET TRANSACTION SNAPSHOT '%.100s'", snapshot);
    return status == NW_OK ? nw_session_query(session, sql, NULL, 0, NULL, NULL, err) : status;
}

/*
 * "xmin:xmax:those between that go on". Of a slot's snapshot xmin may be above xmax, which is
 * behind the last commit that it saw: all below xmin had ended all the same.
 */
static nw_status xids_read(struct nw_copy_fence *fence, struct nw_error *err)
{
    char *at = NULL;

    fence->xmin = fence->next_xid = strtoull(fence->text, &at, 10);
    if (*at == ':') {
        uint64_t xmax = strtoull(at + 1, &at, 10);

        fence->next_xid = xmax > fence->xmin ? xmax : fence->xmin;
    }
    return *at == ':' && fence->xmin > 0
               ? NW_OK
               : nw_fail(err, NW_FATAL, "NW1119 pg_current_snapshot() says %.100s", fence->text);
}

/* The holder's transaction takes the snapshot over, and lends it under a name of its own. */
static nw_status snapshot_hold(struct nw_copy_fence *fence, const char *snapshot,
                               struct nw_error *err)
{
    struct nw_rows *rows = NULL;
    nw_status status = nw_copy_snapshot_enter(fence->holder, snapshot, err);

    if (status == NW_OK) {
        status = nw_session_query(
            fence->holder,
            "SELECT pg_catalog.pg_export_snapshot(), pg_catalog.pg_current_snapshot()::text", NULL,
            0, NULL, &rows, err);
    }
    if (status == NW_OK) {
        (void)snprintf(fence->snapshot, sizeof fence->snapshot, "%s", nw_rows_text(rows, 0, 0));
        fence->text = strdup(nw_rows_text(rows, 0, 1));
        status = fence->text == NULL ? nw_fail(err, NW_FATAL, "out of memory for a snapshot")
                                     : xids_read(fence, err);
    }
    nw_rows_free(rows);
    return status;
}

/* Waits for a consistent point and takes its snapshot. */
static nw_status fence_make(struct nw_copy_fencer *fencer, const struct nw_pg_options *connection,
                            struct nw_copy_fence *fence, struct nw_error *err)
{
    struct nw_session *exporter = NULL;
    struct nw_slot_created slot = {0};
    nw_status status = nw_session_open(connection, true, &exporter, err);

    memset(fence, 0, sizeof *fence);
    if (status == NW_OK) {
        status = nw_session_open(connection, false, &fence->holder, err);
    }
    if (status == NW_OK) {
        atomic_store_explicit(&fencer->backend_pid, nw_session_backend_pid(exporter),
                              memory_order_relaxed);
        status = fencer->make_slot
                     ? nw_slot_make(fencer->server, connection, exporter, true, &slot, err)
                     : temporary_slot_make(fencer->server, exporter, &slot, err);
        atomic_store_explicit(&fencer->backend_pid, 0, memory_order_relaxed);
    }
    if (status == NW_OK) {
        fence->lsn = slot.consistent_lsn;
        status = snapshot_hold(fence, slot.snapshot, err);
    }
    nw_session_close(exporter);
    if (status != NW_OK) {
        nw_copy_fence_end(fence);
    }
    return status;
}

void nw_copy_fence_end(struct nw_copy_fence *fence)
{
    nw_session_close(fence->holder);
    free(fence->text);
    memset(fence, 0, sizeof *fence);
}

/* ---- by a thread of its own ---- */

static bool fencer_stops(void *context)
{
    const struct nw_copy_fencer *fencer = context;
    const struct nw_pg_options *connection = &fencer->server->options.connection;

    return atomic_load_explicit(&fencer->stop, memory_order_relaxed) ||
           (connection->stopping != NULL && connection->stopping(connection->stopping_context));
}

static void *fencer_run(void *context)
{
    struct nw_copy_fencer *fencer = context;
    struct nw_pg_options connection = fencer->server->options.connection;

    connection.stopping = fencer_stops;
    connection.stopping_context = fencer;
    fencer->status = fence_make(fencer, &connection, &fencer->fence, &fencer->error);
    /* Release: pairs with the acquire in nw_copy_fencer_take(). */
    atomic_store_explicit(&fencer->done, true, memory_order_release);
    return NULL;
}

nw_status nw_copy_fencer_start(struct nw_copy_fencer *fencer, const struct nw_server *server,
                               bool make_slot, struct nw_error *err)
{
    int failure = 0;

    fencer->server = server;
    fencer->make_slot = make_slot;
    atomic_store_explicit(&fencer->backend_pid, 0, memory_order_relaxed);
    atomic_store_explicit(&fencer->done, false, memory_order_relaxed);
    atomic_store_explicit(&fencer->stop, false, memory_order_relaxed);
    failure = pthread_create(&fencer->thread, NULL, fencer_run, fencer);
    if (failure != 0) {
        return nw_fail(err, NW_RETRY, "NW2901 cannot start a thread: %s", nw_errno_text(failure));
    }
    fencer->started = true;
    return NW_OK;
}

nw_status nw_copy_fencer_take(struct nw_copy_fencer *fencer, struct nw_copy_fence *fence,
                              struct nw_error *err)
{
    /* Acquire: pairs with the release at the end of fencer_run(). */
    if (!fencer->started || !atomic_load_explicit(&fencer->done, memory_order_acquire)) {
        return NW_AGAIN;
    }
    (void)pthread_join(fencer->thread, NULL);
    fencer->started = false;
    if (fencer->status != NW_OK) {
        *err = fencer->error;
        return fencer->status;
    }
    *fence = fencer->fence;
    return NW_OK;
}

void nw_copy_fencer_end(struct nw_copy_fencer *fencer)
{
    if (fencer->started) {
        atomic_store_explicit(&fencer->stop, true, memory_order_relaxed);
        (void)pthread_join(fencer->thread, NULL);
        fencer->started = false;
        nw_copy_fence_end(&fencer->fence);
    }
}
