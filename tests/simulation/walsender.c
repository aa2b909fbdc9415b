/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The model walsender: what PostgreSQL's logical decoding and pgoutput make of the WAL, for one
 * connection. Transactions come whole at their commit, or in segments when too much of them waits;
 * a table is announced before its first row, in a stream once more.
 *
 * PostgreSQL 16, src/backend/replication/logical/reorderbuffer.c, pgoutput/pgoutput.c.
 */
#include "server.h"

void sim_told_free(struct sim_connection *connection)
{
    for (uint32_t i = 0; i < connection->told_count; i++) {
        free(connection->told[i].states);
    }
    free(connection->told);
}

static struct sim_told *told_of(struct sim_connection *connection, uint32_t txn)
{
    if (txn >= connection->told_count) {
        uint32_t count = connection->server->txns_count + 16;

        connection->told = realloc(connection->told, count * sizeof *connection->told);
        if (connection->told == NULL) {
            abort();
        }
        memset(connection->told + connection->told_count, 0,
               (count - connection->told_count) * sizeof *connection->told);
        connection->told_count = count;
    }
    return &connection->told[txn];
}

/* ---- messages ---- */

static void data_send(struct sim_connection *connection, uint64_t lsn, const struct wire *payload)
{
    size_t place = wire_data_start(&connection->out, lsn, connection->server->lsn);

    wire_bytes(&connection->out, payload->bytes, payload->size);
    wire_message_end(&connection->out, place);
}

void sim_send_keepalive(struct sim_connection *connection)
{
    bool reply = sim_chance(&connection->server->random, 300);

    wire_keepalive(&connection->out, connection->sent_lsn, reply);
    SIM_COUNT(keepalives);
    sim_counters.replies_wanted += reply;
}

/* Announces a table's version unless it is known, in this stream or outside of streams. */
static void relation_send(struct sim_connection *connection, uint16_t *known, uint32_t table,
                          const struct sim_change *change, uint32_t xid)
{
    struct wire payload = {0};
    char column[32];
    char name[32];
    uint16_t version = change->version[table];

    if (known[table] == version) {
        return;
    }
    known[table] = version;
    sim_column_name(version, column);
    (void)snprintf(name, sizeof name, "t%u", table);
    wire_relation(&payload, xid, SIM_OID + table, name, 'd',
                  (const struct wire_column[]){
                      {"id", 20, -1, true}, {column, 25, -1, false}, {"extra", 25, -1, false}},
                  sim_columns_count(version));
    data_send(connection, change->lsn, &payload);
    wire_free(&payload);
}

static void tuple_put(struct wire *payload, const struct sim_change *change, const char *note)
{
    char id[32];
    uint16_t count = sim_columns_count(change->version[change->table]);

    (void)snprintf(id, sizeof id, "%" PRId64, change->id);
    wire_u16(payload, count);
    wire_value(payload, id);
    wire_value(payload, change->kind == 'D' ? NULL : note);
    if (count == 3) {
        wire_value(payload, change->kind == 'D' ? NULL : "extra");
    }
}

static void change_send(struct sim_connection *connection, uint16_t *known,
                        const struct sim_change *change, uint32_t xid)
{
    struct wire payload = {0};
    uint32_t oids[SIM_TABLES];
    uint32_t oids_count = 0;
    char *note = malloc(change->note_size + 1u);

    if (note == NULL) {
        abort();
    }
    sim_note(change->lsn + (uint64_t)change->id, change->note_size, note);
    for (uint32_t table = 0; table < SIM_TABLES; table++) {
        if (((unsigned)change->tables >> table & 1u) != 0) {
            relation_send(connection, known, table, change, xid);
            oids[oids_count++] = SIM_OID + table;
        }
    }
    if (change->kind == 'T') {
        wire_truncate(&payload, xid, 0, oids, oids_count);
    } else if (change->kind == 'M') {
        wire_logical(&payload, xid, true, change->lsn, "sim", note, change->note_size);
    } else {
        wire_type(&payload, change->kind, xid);
        wire_u32(&payload, SIM_OID + change->table);
        wire_u8(&payload, change->kind == 'D' ? 'K' : 'N');
        tuple_put(&payload, change, note);
    }
    data_send(connection, change->lsn, &payload);
    wire_free(&payload);
    free(note);
}

static void origin_send(struct sim_connection *connection, const struct sim_txn *txn)
{
    struct wire payload = {0};

    if (txn->origin != 0) {
        wire_origin(&payload, 1, (const char[]){txn->origin, '\0'});
        data_send(connection, 0, &payload);
        wire_free(&payload);
    }
}

/* ---- transactions ---- */

/* Sends a segment: all that waits of a transaction in progress. */
static void segment_send(struct sim_connection *connection, uint32_t index)
{
    const struct sim_txn *txn = &connection->server->txns[index];
    struct sim_told *told = told_of(connection, index);
    struct wire payload = {0};
    uint64_t lsn = connection->sent_lsn;

    wire_stream_start(&payload, txn->xid, !told->streamed);
    data_send(connection, lsn, &payload);
    if (!told->streamed) {
        origin_send(connection, txn);
    }
    for (size_t i = 0; i < told->decoded; i++) {
        const struct sim_change *change = &txn->changes[i];

        if (told->states[i] == 1) {
            change_send(connection, told->versions, change, change->subxid);
            told->states[i] = 2;
        }
    }
    wire_clear(&payload);
    wire_stream_stop(&payload);
    data_send(connection, lsn, &payload);
    wire_free(&payload);
    told->streamed = true;
    connection->queued -= told->queued;
    told->queued = 0;
    SIM_COUNT(segments);
}

/* Too much waits: the largest transaction is sent as far as it is. */
static void pressure_relieve(struct sim_connection *connection)
{
    uint32_t largest = 0;

    if (connection->server->stream_after == 0 ||
        connection->queued <= connection->server->stream_after ||
        connection->sent_lsn < connection->start_lsn) {
        return;
    }
    for (uint32_t i = 0; i < connection->told_count; i++) {
        if (connection->told[i].queued > connection->told[largest].queued) {
            largest = i;
        }
    }
    segment_send(connection, largest);
}

static void change_decode(struct sim_connection *connection, const struct sim_event *event)
{
    struct sim_told *told = told_of(connection, event->txn);

    told->states =
        sim_grow(told->states, event->change, &told->states_capacity, sizeof *told->states);
    told->states[event->change] = 1;
    told->decoded = event->change + 1u;
    told->queued++;
    connection->queued++;
    connection->sent_lsn =
        event->end_lsn > connection->sent_lsn ? event->end_lsn : connection->sent_lsn;
    if (event->end_lsn >= connection->start_lsn) {
        pressure_relieve(connection);
    }
}

static void abort_send(struct sim_connection *connection, const struct sim_event *event,
                       uint32_t subxid)
{
    struct sim_told *told = told_of(connection, event->txn);
    struct wire payload = {0};

    wire_stream_abort(&payload, connection->server->txns[event->txn].xid, subxid);
    data_send(connection, event->lsn, &payload);
    wire_free(&payload);
    memset(told->versions, 0, sizeof told->versions); /* what it announced is undone with it */
}

/* Drops what waits of a subtransaction, or of all with subxid 0. @return whether some was sent */
static bool queued_drop(struct sim_connection *connection, const struct sim_event *event,
                        uint32_t subxid)
{
    const struct sim_txn *txn = &connection->server->txns[event->txn];
    struct sim_told *told = told_of(connection, event->txn);
    bool sent = false;

    for (size_t i = 0; i < told->decoded; i++) {
        if (subxid != 0 && txn->changes[i].subxid != subxid) {
            continue;
        }
        sent = sent || told->states[i] == 2;
        if (told->states[i] == 1) {
            told->states[i] = 3;
            told->queued--;
            connection->queued--;
        }
    }
    return sent;
}

static void whole_send(struct sim_connection *connection, const struct sim_event *event)
{
    const struct sim_txn *txn = &connection->server->txns[event->txn];
    struct sim_told *told = told_of(connection, event->txn);
    struct wire payload = {0};

    if (told->queued == 0 && sim_chance(&connection->server->random, 500)) {
        return; /* servers from 15 on leave empty transactions out */
    }
    wire_begin(&payload, txn->commit_lsn, txn->commit_ts, txn->xid);
    data_send(connection, event->lsn, &payload);
    origin_send(connection, txn);
    for (size_t i = 0; i < told->decoded; i++) {
        if (told->states[i] == 1) {
            change_send(connection, connection->versions, &txn->changes[i], 0);
            if (sim_chance(&connection->server->random, 20)) {
                sim_send_keepalive(connection);
            }
        }
    }
    wire_clear(&payload);
    wire_commit(&payload, txn->commit_lsn, txn->end_lsn, txn->commit_ts);
    data_send(connection, txn->end_lsn, &payload);
    wire_free(&payload);
}

static void streamed_commit_send(struct sim_connection *connection, const struct sim_event *event)
{
    const struct sim_txn *txn = &connection->server->txns[event->txn];
    struct sim_told *told = told_of(connection, event->txn);
    struct wire payload = {0};

    if (told->queued > 0) {
        segment_send(connection, event->txn);
    }
    wire_stream_commit(&payload, txn->xid, txn->commit_lsn, txn->end_lsn, txn->commit_ts);
    data_send(connection, txn->end_lsn, &payload);
    wire_free(&payload);
    for (uint32_t i = 0; i < SIM_TABLES; i++) {
        if (told->versions[i] != 0) {
            connection->versions[i] = told->versions[i];
        }
    }
    SIM_COUNT(streamed_commits);
}

static void commit_decode(struct sim_connection *connection, const struct sim_event *event)
{
    struct sim_told *told = told_of(connection, event->txn);

    sim_counters.resent +=
        event->lsn >= connection->start_lsn && event->lsn <= connection->server->sent_commit_lsn;
    if (event->lsn < connection->start_lsn) {
        SIM_COUNT(skipped);
    } else if (told->streamed) {
        streamed_commit_send(connection, event);
    } else {
        whole_send(connection, event);
    }
    if (event->lsn > connection->server->sent_commit_lsn) {
        connection->server->sent_commit_lsn = event->lsn;
    }
    (void)queued_drop(connection, event, 0);
}

static void abort_decode(struct sim_connection *connection, const struct sim_event *event)
{
    (void)queued_drop(connection, event, 0);
    if (told_of(connection, event->txn)->streamed) {
        abort_send(connection, event, connection->server->txns[event->txn].xid);
        SIM_COUNT(streamed_aborts);
    }
}

static void message_send(struct sim_connection *connection, const struct sim_event *event)
{
    struct wire payload = {0};
    char note[128];

    if (event->lsn < connection->start_lsn) {
        return;
    }
    sim_note(event->end_lsn, event->change, note);
    wire_logical(&payload, 0, false, event->end_lsn, "sim", note, event->change);
    data_send(connection, event->end_lsn, &payload);
    wire_free(&payload);
}

void sim_send_event(struct sim_connection *connection, const struct sim_event *event)
{
    switch (event->kind) {
    case SIM_EVENT_CHANGE:
        change_decode(connection, event);
        return;
    case SIM_EVENT_UNDONE:
        if (queued_drop(connection, event, event->subxid)) {
            abort_send(connection, event, event->subxid);
            SIM_COUNT(streamed_undone);
        }
        break;
    case SIM_EVENT_ABORT:
        abort_decode(connection, event);
        break;
    case SIM_EVENT_COMMIT:
        commit_decode(connection, event);
        break;
    case SIM_EVENT_MESSAGE:
        message_send(connection, event);
        break;
    }
    if (event->end_lsn > connection->sent_lsn) {
        connection->sent_lsn = event->end_lsn;
    }
}
