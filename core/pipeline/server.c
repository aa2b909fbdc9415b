/* SPDX-License-Identifier: Apache-2.0 */
/* See server.h. */
#include "pipeline/server.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "pg/explain.h"
#include "pg/lsn.h"
#include "pg/types.h"

#define DESCRIBE_BYTES_MAX (16u << 20)
#define START_TIMEOUT_NS   60000000000LL
#define STOP_NOTICED_MS    100
#define REPAIR                                                                                     \
    "To begin again with a new copy: stop narwal, drop the slot with SELECT "                      \
    "pg_drop_replication_slot('%s'), and move the sinks' former data away"

nw_status nw_server_session(const struct nw_server *server, bool replication,
                            struct nw_session **session, struct nw_error *err)
{
    return nw_session_open(&server->options.connection, replication, session, err);
}

nw_status nw_server_control_open(struct nw_server *server, struct nw_error *err)
{
    return server->control != NULL ? NW_OK
                                   : nw_server_session(server, false, &server->control, err);
}

static bool is_abandoned(void *context)
{
    struct nw_server *server = context;

    return atomic_load_explicit(&server->abandoned, memory_order_relaxed);
}

void nw_server_abandon(struct nw_server *server)
{
    /* Only a flag: nothing is handed over by it. */
    atomic_store_explicit(&server->abandoned, true, memory_order_relaxed);
}

/* One of the service thread's. */
static nw_status service_session(struct nw_server *server, bool replication,
                                 struct nw_session **session, struct nw_error *err)
{
    struct nw_pg_options options = server->options.connection;

    options.stopping = is_abandoned;
    options.stopping_context = server;
    return nw_session_open(&options, replication, session, err);
}

static nw_status identity_read(struct nw_server *server, struct nw_error *err)
{
    struct nw_session *session = NULL;
    struct nw_catalog_identity identity = {0};
    nw_status status = nw_server_session(server, true, &session, err);

    if (status == NW_OK) {
        status = nw_catalog_identity(session, &identity, err);
    }
    if (status == NW_OK) {
        server->version = identity.server_version;
        server->identity.system_identifier = strtoull(identity.system_id, NULL, 10);
        server->identity.timeline = identity.timeline;
        server->identity.database_oid = identity.database_oid;
        server->end_lsn = identity.flush_lsn;
        server->in_recovery = identity.in_recovery;
        (void)snprintf(server->database, sizeof server->database, "%s", identity.database);
        (void)snprintf(server->identity.slot_name, sizeof server->identity.slot_name, "%s",
                       server->options.slot_name);
        if (strcmp(identity.wal_level, "logical") != 0) {
            status = nw_fail(
                err, NW_FATAL,
                "NW1206 the server's wal_level is %s, and logical is needed: ALTER SYSTEM SET "
                "wal_level = logical; then restart the server",
                identity.wal_level);
        } else if (identity.server_version < 140000) {
            status = nw_fail(err, NW_FATAL,
                             "NW1204 the server is PostgreSQL %d; 14 and later are followed",
                             identity.server_version / 10000);
        }
    }
    nw_session_close(session);
    return status;
}

nw_status nw_server_open(struct nw_server *server, const struct nw_server_options *options,
                         struct nw_error *err)
{
    nw_status status = NW_OK;

    memset(server, 0, sizeof *server);
    server->options = *options;
    server->followed = options->followed;
    nw_arena_init(&server->describe_arena, DESCRIBE_BYTES_MAX);
    if (strlen(options->slot_name) >= sizeof server->identity.slot_name) {
        status = nw_fail(err, NW_FATAL, "NW1013 slot name %s is too long", options->slot_name);
    }
    if (status == NW_OK) {
        status = identity_read(server, err);
    }
    if (status == NW_OK) {
        status = nw_server_session(server, false, &server->control, err);
    }
    if (status != NW_OK) {
        nw_server_close(server);
    }
    return status;
}

void nw_server_close(struct nw_server *server)
{
    nw_server_disconnect(server, NULL);
    nw_session_close(server->catalog);
    nw_session_close(server->control);
    server->catalog = server->control = NULL;
    nw_arena_fini(&server->describe_arena);
}

/* On the timeline that was followed: whether the server's WAL reaches that far. */
static nw_status end_check(const struct nw_server *server, uint64_t lsn, struct nw_error *err)
{
    char wanted[NW_LSN_TEXT_SIZE];
    char reached[NW_LSN_TEXT_SIZE];

    if (lsn > server->end_lsn && server->in_recovery) {
        return nw_fail(err, NW_RETRY,
                       "NW2312 the standby has come to %s, and the sinks have everything "
                       "up to %s",
                       nw_lsn_text(reached, server->end_lsn), nw_lsn_text(wanted, lsn));
    }
    if (lsn > server->end_lsn) {
        return nw_fail(
            err, NW_FATAL,
            "NW2308 the sinks have everything up to %s, and the server's WAL ends at %s: it is "
            "an older state of the server, and the sinks hold changes that it never had. "
            "narwal adopt goes back, with new copies",
            nw_lsn_text(wanted, lsn), nw_lsn_text(reached, server->end_lsn));
    }
    return NW_OK;
}

nw_status nw_server_history_check(const struct nw_server *server, uint32_t timeline, uint64_t lsn,
                                  struct nw_error *err)
{
    struct nw_session *session = NULL;
    uint64_t switch_lsn = 0;
    char wanted[NW_LSN_TEXT_SIZE];
    char switched[NW_LSN_TEXT_SIZE];
    nw_status status = NW_OK;

    if (timeline == server->identity.timeline) {
        return end_check(server, lsn, err);
    }
    if (timeline > server->identity.timeline) {
        return nw_fail(err, NW_FATAL,
                       "NW2308 the server is on timeline %" PRIu32 ", and timeline %" PRIu32
                       " was followed so far: it is an older state of the server, or a former "
                       "primary. Point narwal to the present one",
                       server->identity.timeline, timeline);
    }
    status = nw_server_session(server, true, &session, err);
    if (status == NW_OK) {
        status = nw_replication_switch_lsn(session, server->identity.timeline, timeline,
                                           &switch_lsn, err);
    }
    nw_session_close(session);
    if (status == NW_OK && lsn > switch_lsn) {
        return nw_fail(
            err, NW_FATAL,
            "NW2308 the sinks have everything up to %s, and the server, promoted since, has gone "
            "on without what came after %s: the sinks hold changes that it never had. "
            "narwal adopt names them, and goes back, with new copies of the tables that differ",
            nw_lsn_text(wanted, lsn), nw_lsn_text(switched, switch_lsn));
    }
    return status;
}

/* ---- the slot ---- */

/* Why the slot cannot be read any more, in the server's word; NULL: it can. */
static const char *slot_invalid(const struct nw_catalog_slot *slot)
{
    if (slot->invalidation_reason[0] != '\0') {
        return slot->invalidation_reason;
    }
    return strcmp(slot->wal_status, "lost") == 0 || slot->conflicting || slot->restart_lsn == 0
               ? slot->wal_status
               : NULL;
}

static nw_status slot_usable(const struct nw_server *server, const struct nw_catalog_slot *slot,
                             struct nw_error *err)
{
    const char *name = server->options.slot_name;
    const char *invalid = slot_invalid(slot);

    if (!slot->logical || strcmp(slot->plugin, "pgoutput") != 0) {
        return nw_fail(err, NW_FATAL,
                       "NW1213 slot %s is not one of pgoutput (%s): choose another slot.name", name,
                       slot->logical ? slot->plugin : "it is physical");
    }
    if (slot->database_oid != server->identity.database_oid) {
        return nw_fail(
            err, NW_FATAL,
            "NW1213 slot %s belongs to database %s: choose another slot.name, or connect to that "
            "database",
            name, slot->database);
    }
    if (slot->two_phase) {
        return nw_fail(
            err, NW_FATAL,
            "NW1214 slot %s has two_phase on: a prepared transaction that was acknowledged would "
            "never be sent again. Let narwal make a slot of its own",
            name);
    }
    if (slot->synced) { /* only while in recovery: later it only tells where the slot is from */
        return nw_fail(err, server->followed ? NW_RETRY : NW_FATAL,
                       "NW2306 slot %s is kept in step with a primary by this standby: %s", name,
                       server->followed ? "waiting for its promotion" : "follow the primary");
    }
    if (invalid != NULL) {
        return nw_fail(
            err, NW_FATAL,
            "NW1210 slot %s was invalidated (%s): the server removed WAL that was not read yet, "
            "and changes are gone. " REPAIR,
            name, invalid, name);
    }
    return NW_OK;
}

nw_status nw_server_slot_check(struct nw_server *server, struct nw_session *session, uint64_t *lsn,
                               bool *found, struct nw_error *err)
{
    struct nw_catalog_slot slot = {0};
    char wanted[NW_LSN_TEXT_SIZE];
    char confirmed[NW_LSN_TEXT_SIZE];
    nw_status status = nw_catalog_slot(session, server->options.slot_name, &slot, err);

    *found = slot.exists;
    if (status != NW_OK || !slot.exists) {
        return status;
    }
    status = slot_usable(server, &slot, err);
    if (status == NW_OK && *lsn != 0 && slot.confirmed_flush_lsn > *lsn) {
        return nw_fail(err, NW_FATAL,
                       "NW2307 slot %s stands at %s, past %s up to which the sinks have "
                       "everything: it was made "
                       "again or moved by someone, and the changes between are gone. Nothing was "
                       "written. " REPAIR,
                       server->options.slot_name, nw_lsn_text(confirmed, slot.confirmed_flush_lsn),
                       nw_lsn_text(wanted, *lsn), server->options.slot_name);
    }
    if (status == NW_OK && slot.active) {
        return nw_fail(err, NW_RETRY, "NW1211 slot %s is in use by process %d",
                       server->options.slot_name, slot.active_pid);
    }
    if (*lsn == 0) {
        *lsn = slot.confirmed_flush_lsn;
    }
    return status;
}

nw_status nw_server_slot_watch(struct nw_server *server, struct nw_error *err)
{
    struct nw_catalog_slot slot = {0};
    struct nw_error why = {0};
    nw_status status = NW_OK;

    if (server->control == NULL) {
        status = nw_server_session(server, false, &server->control, &why);
    }
    if (status == NW_OK) {
        status = nw_catalog_slot(server->control, server->options.slot_name, &slot, &why);
    }
    if (status != NW_OK) {
        nw_log(NW_LOG_DEBUG, "the slot's state is not known: %s", why.text);
        nw_session_close(server->control);
        server->control = NULL;
        return NW_OK;
    }
    if (!slot.exists) {
        return nw_fail(
            err, NW_FATAL,
            "NW2301 slot %s was dropped during the copy: move the sinks' unfinished data away "
            "and start again",
            server->options.slot_name);
    }
    return slot_usable(server, &slot, err);
}

/* ---- tables ---- */

static struct nw_catalog_scope scope_of(const struct nw_server *server, const char *names[2])
{
    names[0] = server->publications.main;
    names[1] = server->publications.insert_only;
    return (struct nw_catalog_scope){names, server->publications.count};
}

nw_status nw_server_tables(struct nw_server *server, struct nw_session *session,
                           struct nw_arena *arena, struct nw_catalog_tables *tables,
                           struct nw_error *err)
{
    const char *names[2];
    struct nw_catalog_scope scope = scope_of(server, names);

    return nw_catalog_tables(session, &scope, arena, tables, err);
}

nw_status nw_server_register(struct nw_server *server, const struct nw_catalog_tables *tables,
                             struct nw_arena *arena, struct nw_error *err)
{
    nw_status status = NW_OK;

    if (nw_session_encoding_is_unknown(server->control)) {
        nw_schemas_text_unchecked(server->schemas);
    }
    for (size_t i = 0; i < tables->count && status == NW_OK; i++) {
        struct nw_table *described = NULL;
        const struct nw_table *table = NULL;

        status = nw_catalog_to_table(&tables->tables[i], arena, &described, err);
        if (status == NW_OK) {
            status = nw_schemas_add(server->schemas, described, 0, &table, err);
        }
    }
    return status;
}

/* Whether a snapshot of now has the transaction. Its id is compared in the circle of 32 bits: in
 * the half before the snapshot's end is what is older. */
static nw_status seen_ask(struct nw_server *server, uint32_t xid, bool *seen, struct nw_error *err)
{
    static const char sql[] =
        "SELECT EXISTS (SELECT FROM pg_snapshot_xip(s) x WHERE x::text::int8 & 4294967295 = $1)"
        " OR ($1::int8 - pg_snapshot_xmax(s)::text::int8) & 4294967295 < 1073741824"
        " FROM pg_current_snapshot() s";
    char text[16];
    const char *params[] = {text};
    struct nw_rows *rows = NULL;
    nw_status status = NW_OK;

    (void)snprintf(text, sizeof text, "%" PRIu32, xid);
    status = nw_session_query(server->catalog, sql, params, 1, NULL, &rows, err);
    *seen = status == NW_OK && !nw_rows_bool(rows, 0, 0);
    nw_rows_free(rows);
    return status;
}

nw_status nw_server_describe(void *context, uint32_t relation_oid, uint32_t xid,
                             const struct nw_table **described, struct nw_error *err)
{
    struct nw_server *server = context;
    const struct nw_catalog_table *table = NULL;
    struct nw_table *made = NULL;
    const char *names[2];
    struct nw_catalog_scope scope = scope_of(server, names);
    bool seen = true;
    nw_status status = NW_OK;

    *described = NULL;
    nw_arena_reset(&server->describe_arena);
    if (server->catalog == NULL) {
        status = service_session(server, false, &server->catalog, err);
    }
    if (status == NW_OK && xid != 0) {
        status = seen_ask(server, xid, &seen, err); /* before the table is read */
    }
    if (status == NW_OK) {
        status = nw_catalog_table(server->catalog, &scope, relation_oid, &server->describe_arena,
                                  &table, err);
    }
    if (status == NW_RETRY) { /* a broken session is of no use for the next try */
        nw_session_close(server->catalog);
        server->catalog = NULL;
    }
    if (status == NW_OK && table != NULL) {
        status = nw_catalog_to_table(table, &server->describe_arena, &made, err);
        *described = made;
    }
    return status == NW_OK && !seen ? NW_AGAIN : status;
}

nw_status nw_server_query(struct nw_server *server, const char *sql, const char *const *params,
                          int params_count, struct nw_rows **rows, struct nw_error *err)
{
    nw_status status = NW_OK;

    if (server->catalog == NULL) {
        status = service_session(server, false, &server->catalog, err);
    }
    if (status == NW_OK) {
        status = nw_session_query(server->catalog, sql, params, params_count, NULL, rows, err);
    }
    if (status == NW_RETRY) {
        nw_session_close(server->catalog);
        server->catalog = NULL;
    }
    return status;
}

/* ---- the walsender ---- */

static bool all_binary(const struct nw_server *server)
{
    for (uint32_t i = 0; i < nw_schemas_count(server->schemas); i++) {
        if (!nw_table_is_binary(nw_schemas_at(server->schemas, i))) {
            return false;
        }
    }
    return !server->options.text;
}

/* Sends what is queued, and waits for bytes. */
static nw_status start_receive(struct nw_server *server, int64_t deadline_ns, struct nw_error *err)
{
    struct nw_env *env = server->options.env;
    struct pollfd poll_stream = {.fd = server->stream->ops->descriptor(server->stream),
                                 .events = POLLIN};
    size_t got = 0;
    nw_status status = nw_transmitter_flush(&server->transmitter, err);

    if (status != NW_OK && status != NW_AGAIN) {
        return status;
    }
    while (!server->stream->ops->pending(server->stream) &&
           poll(&poll_stream, 1, STOP_NOTICED_MS) == 0) {
        if (is_abandoned(server)) {
            return nw_fail(err, NW_RETRY, "NW2005 stopped before the server began to stream");
        }
        if (env->ops->now_ns(env) > deadline_ns) {
            return nw_fail(err, NW_RETRY, "NW2327 the server did not answer START_REPLICATION");
        }
    }
    return nw_receiver_fill(server->receiver, env->ops->now_ns(env), &got, err);
}

/* Waits for the answer to START_REPLICATION. */
static nw_status start_wait(struct nw_server *server, struct nw_error *err)
{
    struct nw_env *env = server->options.env;
    int64_t deadline_ns = env->ops->now_ns(env) + START_TIMEOUT_NS;

    for (;;) {
        struct nw_message message;
        nw_status status = nw_receiver_next(server->receiver, &message, err);

        if (status == NW_OK && message.type == 'W') {
            return NW_OK;
        }
        if (status == NW_OK && message.type == 'E') {
            struct nw_server_error error;

            nw_server_error_parse(message.body, &error);
            return nw_fail(err, nw_sqlstate_status(error.sqlstate),
                           "NW2327 the server does not start to stream: %s (%s)", error.message,
                           error.sqlstate);
        }
        if (status == NW_AGAIN) {
            status = start_receive(server, deadline_ns, err);
        }
        if (status != NW_OK && status != NW_AGAIN) {
            return status;
        }
    }
}

static nw_status walsender_start(struct nw_server *server, uint64_t lsn, bool binary,
                                 struct nw_error *err)
{
    const char *names[2];
    struct nw_catalog_scope scope = scope_of(server, names);
    struct nw_start start = {.slot = server->options.slot_name,
                             .lsn = lsn,
                             .publications = scope.publications,
                             .publications_count = scope.publications_count,
                             .server_version = server->version,
                             .streaming = server->options.streaming,
                             .binary = binary,
                             .messages = server->options.messages,
                             .origin_none = server->options.origin_none};
    nw_status status = nw_session_take_stream(server->walsender, &server->stream, err);

    if (status == NW_OK) {
        nw_transmitter_init(&server->transmitter, server->stream);
        status = nw_receiver_create(server->stream, &server->receiver, err);
    }
    if (status == NW_OK) {
        status = nw_start_queue(&start, &server->transmitter, err);
    }
    return status == NW_OK ? start_wait(server, err) : status;
}

static nw_status same_server(struct nw_server *server, struct nw_error *err)
{
    struct nw_system system = {0};
    nw_status status = nw_replication_identify(server->walsender, &system, err);

    if (status == NW_OK &&
        strtoull(system.system_id, NULL, 10) != server->identity.system_identifier) {
        return nw_fail(
            err, NW_FATAL,
            "NW2309 the server is another one now: its system identifier is %s, and %" PRIu64
            " was followed so far. Point narwal to the former, or begin anew with empty "
            "sinks",
            system.system_id, server->identity.system_identifier);
    }
    if (status == NW_OK && system.timeline != server->identity.timeline) {
        server->promoted = true;
        return nw_fail(err, NW_FATAL,
                       "NW2311 the server is on timeline %" PRIu32 " now, and was on %" PRIu32
                       ": starting again from what the sinks have",
                       system.timeline, server->identity.timeline);
    }
    return status;
}

/*
 * A connection moved to a standby that is not promoted yet, and has no slot of ours that could be
 * read there: it will, or the DSN leads elsewhere again.
 */
static nw_status promotion_check(struct nw_server *server, bool found, struct nw_error *err)
{
    struct nw_rows *rows = NULL;
    nw_status status = NW_OK;

    if (found && server->version >= 160000) {
        return NW_OK; /* standbys decode since then */
    }
    status = nw_session_query(server->walsender, "SELECT pg_catalog.pg_is_in_recovery()", NULL, 0,
                              NULL, &rows, err);
    if (status == NW_OK && nw_rows_bool(rows, 0, 0)) {
        status =
            nw_fail(err, NW_RETRY,
                    "NW2306 the server is a standby that does not have slot %s: waiting for its "
                    "promotion, or for the primary",
                    server->options.slot_name);
    }
    nw_rows_free(rows);
    return status;
}

/* One that standbys are to keep, too, and do not yet: nobody reads it just now. */
static nw_status failover_ensure(struct nw_server *server, struct nw_error *err)
{
    struct nw_catalog_slot slot = {0};
    nw_status status = NW_OK;

    if (!server->options.failover || server->in_recovery) {
        return NW_OK;
    }
    status = nw_catalog_slot(server->walsender, server->options.slot_name, &slot, err);
    if (status != NW_OK || slot.failover) {
        return status;
    }
    status = nw_replication_slot_failover(server->walsender, server->options.slot_name, err);
    if (status == NW_OK) {
        nw_log(NW_LOG_INFO, "slot %s is one that standbys may keep now", server->options.slot_name);
    }
    return status;
}

static nw_status claim_confirm(struct nw_server *server, struct nw_error *err)
{
    return server->options.claim == NULL
               ? NW_OK
               : nw_claim_confirm(server->options.claim, is_abandoned, server, err);
}

/* @param lsn  from where it is to be read */
static nw_status slot_ready(struct nw_server *server, uint64_t lsn, struct nw_error *err)
{
    bool found = false;
    nw_status status = nw_server_slot_check(server, server->walsender, &lsn, &found, err);

    if (status == NW_OK) {
        status = promotion_check(server, found, err);
    }
    if (status == NW_OK && !found) {
        return nw_fail(
            err, NW_FATAL,
            "NW2301 slot %s is gone, and with it the changes since the last that the "
            "sinks have. To begin again with a new copy: stop narwal and move the sinks' "
            "former data away",
            server->options.slot_name);
    }
    return status == NW_OK ? failover_ensure(server, err) : status;
}

nw_status nw_server_connect(void *context, uint64_t lsn, struct nw_walsender *walsender,
                            struct nw_error *err)
{
    struct nw_server *server = context;
    bool binary = all_binary(server) && !walsender->text_only;
    nw_status status = service_session(server, true, &server->walsender, err);

    if (status == NW_OK) {
        status = same_server(server, err);
    }
    if (status == NW_OK) { /* else what the slot is like is another's doing */
        status = claim_confirm(server, err);
    }
    if (status == NW_OK) {
        status = slot_ready(server, lsn, err);
    }
    if (status == NW_OK) {
        status = walsender_start(server, lsn, binary, err);
    }
    if (status == NW_OK) { /* now that nobody else can read it */
        status = claim_confirm(server, err);
    }
    if (status != NW_OK) {
        nw_server_disconnect(server, NULL);
        return status;
    }
    server->followed = true;
    *walsender = (struct nw_walsender){.receiver = server->receiver,
                                       .transmitter = &server->transmitter,
                                       .binary = binary,
                                       .context = server};
    return NW_OK;
}

void nw_server_disconnect(void *context, struct nw_walsender *walsender)
{
    struct nw_server *server = context;

    (void)walsender;
    nw_receiver_destroy(server->receiver);
    server->receiver = NULL;
    if (server->stream != NULL) {
        nw_transmitter_fini(&server->transmitter);
        server->stream->ops->destroy(server->stream);
        server->stream = NULL;
    }
    nw_session_close(server->walsender);
    server->walsender = NULL;
}
