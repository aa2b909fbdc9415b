/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The model database: transactions side by side, with savepoints, and the WAL that they leave; and
 * the connection to it. What the walsender makes of the WAL is in walsender.c.
 */
#include "server.h"

#include "../unit/model_stream.h"
#include <narwal/sink.h>

void sim_note(uint64_t lsn, uint32_t size, char *note)
{
    struct sim_random random = {.state = lsn};

    for (uint32_t i = 0; i < size; i++) {
        note[i] = (char)('a' + sim_below(&random, 26));
    }
    note[size] = '\0';
}

void sim_column_name(uint16_t version, char name[32])
{
    (void)snprintf(name, 32, "note_v%u", version);
}

uint16_t sim_columns_count(uint16_t version)
{
    return version % 3 == 2 ? 3 : 2;
}

int16_t sim_extra_attnum(uint16_t version)
{
    return (int16_t)(2 + (version + 1) / 3); /* never the same twice */
}

void sim_server_init(struct sim_server *server, struct sim *sim, uint64_t seed)
{
    server->sim = sim;
    server->random.state = seed ^ 0x736572766572u;
    server->lsn = SIM_SLOT_LSN;
    server->xid = 1000;
    server->confirmed_lsn = server->told_lsn = SIM_SLOT_LSN;
    for (uint32_t i = 0; i < SIM_TABLES; i++) {
        server->versions[i] = 1;
    }
    server->open_max = 1 + sim_below(&server->random, 5);
    server->stream_after =
        sim_chance(&server->random, 600) ? 1 + sim_below(&server->random, 12) : 0;
    server->long_transactions = sim_chance(&server->random, 250);
    server->note_max = server->long_transactions ? 40000 : 200;
}

void sim_server_free(struct sim_server *server)
{
    for (uint32_t i = 0; i < server->txns_count; i++) {
        free(server->txns[i].changes);
    }
    free(server->txns);
    free(server->events);
    free(server->items);
}

/* ---- the database ---- */

static struct sim_event *event_add(struct sim_server *server, enum sim_event_kind kind,
                                   uint32_t txn)
{
    struct sim_event *event = NULL;

    server->events = sim_grow(server->events, server->events_count, &server->events_capacity,
                              sizeof *server->events);
    event = &server->events[server->events_count++];
    /* Records follow one another at once, or after something that nobody decodes. */
    server->lsn += sim_chance(&server->random, 500) ? 0 : 8u * (1 + sim_below(&server->random, 20));
    *event = (struct sim_event){.kind = kind, .txn = txn, .lsn = server->lsn};
    server->lsn += 8u * (1 + sim_below(&server->random, 8));
    event->end_lsn = server->lsn;
    return event;
}

static struct sim_item *item_add(struct sim_server *server)
{
    server->items = sim_grow(server->items, server->items_count, &server->items_capacity,
                             sizeof *server->items);
    memset(&server->items[server->items_count], 0, sizeof *server->items);
    return &server->items[server->items_count++];
}

static bool table_wanted(const struct sim_server *server, uint32_t table)
{
    return SIM_OID + table != server->sim->unwanted_oid;
}

/* What a committed change means for a sink; seq counts all that the transaction kept. */
static void change_items(struct sim_server *server, const struct sim_txn *txn,
                         const struct sim_change *change, uint32_t seq)
{
    for (uint32_t table = 0; table < SIM_TABLES; table++) {
        bool about = change->kind == 'T' ? ((unsigned)change->tables >> table & 1u) != 0
                                         : change->kind != 'M' && change->table == table;

        if (about && table_wanted(server, table)) {
            *item_add(server) = (struct sim_item){.commit_lsn = txn->commit_lsn,
                                                  .order = 2u * seq + 1,
                                                  .table = SIM_OID + table,
                                                  .xid = txn->xid,
                                                  .lsn = change->lsn,
                                                  .id = change->id,
                                                  .note_size = change->note_size,
                                                  .version = change->version[table],
                                                  .kind = change->kind,
                                                  .origin = txn->origin};
        }
    }
    if (change->kind == 'M') {
        *item_add(server) = (struct sim_item){.commit_lsn = txn->commit_lsn,
                                              .order = 2u * seq + 1,
                                              .xid = txn->xid,
                                              .lsn = change->lsn,
                                              .id = change->id,
                                              .note_size = change->note_size,
                                              .kind = 'M',
                                              .origin = txn->origin};
    }
}

/* Whether a sink hears of the change: it has no table, or one of its tables is wanted. */
static bool change_arrives(const struct sim_server *server, const struct sim_change *change)
{
    bool arrives = change->kind == 'M';

    for (uint32_t table = 0; table < SIM_TABLES; table++) {
        bool about = change->kind == 'T' ? ((unsigned)change->tables >> table & 1u) != 0
                                         : change->table == table;

        arrives |= about && table_wanted(server, table);
    }
    return arrives;
}

static void items_commit(struct sim_server *server, const struct sim_txn *txn)
{
    uint32_t seq = 0;
    bool begun = false;

    for (size_t i = 0; i < txn->changes_count; i++) {
        const struct sim_change *change = &txn->changes[i];

        if (change->undone) {
            continue;
        }
        if (!begun && change_arrives(server, change)) {
            begun = true;
            *item_add(server) = (struct sim_item){.commit_lsn = txn->commit_lsn,
                                                  .order = 2u * seq,
                                                  .xid = txn->xid,
                                                  .kind = 'b',
                                                  .origin = txn->origin};
        }
        change_items(server, txn, change, seq);
        seq++;
    }
    if (begun) {
        *item_add(server) = (struct sim_item){.commit_lsn = txn->commit_lsn,
                                              .order = UINT64_MAX,
                                              .xid = txn->xid,
                                              .kind = 'c',
                                              .origin = txn->origin};
    }
    sim_counters.empty_transactions += seq == 0;
}

static void txn_begin(struct sim_server *server)
{
    size_t capacity = server->txns_capacity;
    struct sim_txn *txn = NULL;

    server->txns = sim_grow(server->txns, server->txns_count, &capacity, sizeof *server->txns);
    server->txns_capacity = (uint32_t)capacity;
    txn = &server->txns[server->txns_count++];
    *txn = (struct sim_txn){.xid = ++server->xid, .open = true};
    if (sim_chance(&server->random, 150)) {
        txn->origin = (char)('a' + sim_below(&server->random, 3));
        SIM_COUNT(origins);
    }
}

static uint32_t sub_current(const struct sim_txn *txn)
{
    return txn->subs_count == 0 ? txn->xid : txn->subs[txn->subs_count - 1];
}

static void txn_change(struct sim_server *server, uint32_t index)
{
    static const char kinds[] = "IIIIIUUUDDTM";
    struct sim_txn *txn = &server->txns[index];
    struct sim_event *event = event_add(server, SIM_EVENT_CHANGE, index);
    struct sim_change change = {.kind = kinds[sim_below(&server->random, 12)],
                                .table = (uint8_t)sim_below(&server->random, SIM_TABLES),
                                .subxid = sub_current(txn),
                                .lsn = event->lsn,
                                .id = sim_below(&server->random, 1000) % SIM_KEYS,
                                .note_size = sim_below(&server->random, server->note_max)};

    if (sim_chance(&server->random, 300) && txn->changes_count > 0) {
        change.lsn = txn->changes[txn->changes_count - 1].lsn; /* rows of one COPY share one */
    }
    change.tables = (uint8_t)(1u << change.table);
    if (change.kind == 'M') { /* events are not spilled, and the memory is small here */
        change.note_size %= 200;
    }
    if (change.kind == 'T' && sim_copy_reads(server->sim) && sim_chance(&server->random, 700)) {
        change.kind = 'I'; /* what is emptied during the copy makes it begin again */
    }
    if (change.kind == 'T') {
        change.tables = (uint8_t)(1 + sim_below(&server->random, 15));
    } else if (change.kind == 'M') {
        change.tables = 0;
    }
    memcpy(change.version, server->versions, sizeof change.version);
    txn->tables = (uint8_t)(txn->tables | change.tables);
    event->change = (uint32_t)txn->changes_count;
    txn->changes =
        sim_grow(txn->changes, txn->changes_count, &txn->changes_capacity, sizeof *txn->changes);
    txn->changes[txn->changes_count++] = change;
    sim_counters.rows += change.kind == 'I';
    sim_counters.updates += change.kind == 'U';
    sim_counters.deletes += change.kind == 'D';
    sim_counters.truncates += change.kind == 'T';
    sim_counters.messages += change.kind == 'M';
}

/* ROLLBACK TO: the savepoint at depth and all in it. */
static void txn_undo(struct sim_server *server, uint32_t index)
{
    struct sim_txn *txn = &server->txns[index];
    uint32_t depth = sim_below(&server->random, txn->subs_count);
    uint32_t first = txn->subs[depth];

    /* Subtransactions released inside have higher xids than the one that is undone. */
    for (uint32_t subxid = server->xid; subxid >= first; subxid--) {
        bool found = false;

        for (size_t i = 0; i < txn->changes_count; i++) {
            struct sim_change *change = &txn->changes[i];

            if (change->subxid == subxid && !change->undone) {
                change->undone = true;
                found = true;
            }
        }
        if (found) {
            event_add(server, SIM_EVENT_UNDONE, index)->subxid = subxid;
            SIM_COUNT(undone);
        }
    }
    txn->subs_count = depth;
}

static void txn_end(struct sim_server *server, uint32_t index)
{
    struct sim_txn *txn = &server->txns[index];
    bool commits = sim_chance(&server->random, 850);
    struct sim_event *event =
        event_add(server, commits ? SIM_EVENT_COMMIT : SIM_EVENT_ABORT, index);

    txn->open = false;
    txn->aborted = !commits;
    if (commits) {
        txn->commit_lsn = event->lsn;
        txn->end_lsn = event->end_lsn;
        txn->commit_ts = (int64_t)event->lsn * 1000;
        items_commit(server, txn);
        SIM_COUNT(commits);
    } else {
        SIM_COUNT(aborts);
    }
}

static void txn_act(struct sim_server *server, uint32_t index)
{
    struct sim_txn *txn = &server->txns[index];
    uint32_t choice = sim_below(&server->random, 100);

    if (choice >= 86 && server->long_transactions && sim_chance(&server->random, 700)) {
        choice = 0;
    }
    if (choice < 70 && !server->quiet) {
        txn_change(server, index);
    } else if (choice < 76 && txn->subs_count < SUBS_MAX && !server->quiet) {
        txn->subs[txn->subs_count++] = ++server->xid;
        SIM_COUNT(savepoints);
    } else if (choice < 82 && txn->subs_count > 0) {
        txn_undo(server, index);
    } else if (choice < 86 && txn->subs_count > 0) {
        txn->subs_count--; /* RELEASE: its changes belong to the one around it */
    } else if (choice >= 86 || server->quiet) {
        txn_end(server, index);
    }
}

void sim_server_alter(struct sim_server *server, uint32_t table)
{
    for (uint32_t i = 0; i < server->txns_count; i++) {
        if (server->txns[i].open && ((unsigned)server->txns[i].tables >> table & 1u) != 0) {
            return; /* it is locked */
        }
    }
    server->versions[table]++;
    SIM_COUNT(schema_changes);
}

static void free_message(struct sim_server *server)
{
    struct sim_event *event = event_add(server, SIM_EVENT_MESSAGE, 0);

    event->change = sim_below(&server->random, 100);
    *item_add(server) = (struct sim_item){.commit_lsn = event->end_lsn - 1,
                                          .order = 1,
                                          .lsn = event->end_lsn,
                                          .note_size = event->change,
                                          .kind = 'M'};
    SIM_COUNT(free_messages);
}

void sim_server_act(struct sim_server *server)
{
    uint32_t open[64];
    uint32_t open_count = 0;

    for (uint32_t i = 0; i < server->txns_count && open_count < 64; i++) {
        if (server->txns[i].open) {
            open[open_count++] = i;
        }
    }
    if (!server->quiet && sim_chance(&server->random, 10)) {
        sim_server_alter(server, sim_below(&server->random, SIM_TABLES));
    } else if (!server->quiet && sim_chance(&server->random, 20)) {
        free_message(server);
    } else if (!server->quiet && open_count < server->open_max &&
               sim_chance(&server->random, 300)) {
        txn_begin(server);
    } else if (open_count > 0) {
        txn_act(server, open[sim_below(&server->random, open_count)]);
    }
}

/* ---- the catalog ---- */

const struct nw_table *sim_server_describe(const struct sim_server *server, uint32_t oid,
                                           struct sim_description *description)
{
    static const uint16_t key[1] = {0};
    uint16_t version = server->versions[oid - SIM_OID];

    sim_column_name(version, description->column_name);
    (void)snprintf(description->name, sizeof description->name, "t%u", oid - SIM_OID);
    description->columns[0] = (struct nw_column_schema){.name = "id",
                                                        .type_name = "bigint",
                                                        .type_oid = 20,
                                                        .base_type_oid = 20,
                                                        .typmod = -1,
                                                        .attnum = 1,
                                                        .type = NW_TYPE_INT64,
                                                        .not_null = true,
                                                        .identity = true};
    description->columns[1] = (struct nw_column_schema){.name = description->column_name,
                                                        .type_name = "text",
                                                        .type_oid = 25,
                                                        .base_type_oid = 25,
                                                        .typmod = -1,
                                                        .attnum = 2,
                                                        .type = NW_TYPE_TEXT};
    description->columns[2] = description->columns[1];
    description->columns[2].name = "extra";
    description->columns[2].attnum = sim_extra_attnum(version);
    description->table = (struct nw_table){.size = sizeof description->table,
                                           .relation_oid = oid,
                                           .schema_name = "public",
                                           .name = description->name,
                                           .replica_identity = 'd',
                                           .key_is_primary = true,
                                           .columns_count = sim_columns_count(version),
                                           .key_columns_count = 1,
                                           .columns = description->columns,
                                           .key_columns = key,
                                           .attributes_count = (uint16_t)sim_extra_attnum(version)};
    return &description->table;
}

nw_status sim_describe(void *context, uint32_t oid, uint32_t xid, const struct nw_table **described,
                       struct nw_error *err)
{
    struct sim_server *server = &((struct sim *)context)->server;

    (void)xid; /* this catalog shows everything at once */
    SIM_COUNT(catalog_reads);
    if (sim_chance(&server->random, server->catalog_fault)) {
        SIM_COUNT(catalog_failures);
        return nw_fail(err, NW_RETRY, "the catalog cannot be read now");
    }
    *described = sim_server_describe(server, oid, &server->description);
    return NW_OK;
}

bool sim_wanted(void *context, const struct nw_table *table)
{
    return table->relation_oid != ((struct sim *)context)->unwanted_oid;
}

/* ---- the connection ---- */

static struct sim_connection *connection_of(struct nw_stream *stream)
{
    return (struct sim_connection *)(void *)stream;
}

nw_status sim_out_take(struct sim_random *random, struct wire *out, size_t *out_read, void *bytes,
                       size_t size, size_t *got)
{
    size_t left = out->size - *out_read;

    *got = 0;
    if (left == 0) {
        return NW_AGAIN;
    }
    left = left < size ? left : size;
    if (sim_chance(random, 300)) { /* segments end anywhere */
        left = 1 + sim_below(random, (uint32_t)left);
    }
    memcpy(bytes, out->bytes + *out_read, left);
    *out_read += left;
    *got = left;
    if (*out_read == out->size) {
        out->size = *out_read = 0;
    }
    return NW_OK;
}

static nw_status stream_read(struct nw_stream *stream, void *bytes, size_t size, size_t *got,
                             struct nw_error *err)
{
    struct sim_connection *connection = connection_of(stream);
    nw_status status = sim_out_take(&connection->server->random, &connection->out,
                                    &connection->out_read, bytes, size, got);

    if (status == NW_AGAIN && connection->ending) {
        connection->gone = true;
        return nw_fail(err, NW_RETRY, "the connection is gone");
    }
    if (sim_capture != NULL) {
        wire_bytes(&connection->captured, bytes, *got);
    }
    return status;
}

/* The one invariant that matters most: what the server may forget is durable everywhere. */
static void feedback_take(struct sim_server *server, uint64_t written, uint64_t flushed)
{
    struct sim *sim = server->sim;

    SIM_COUNT(feedbacks);
    sim_trace(sim, flushed);
    for (uint32_t i = 0; i < sim->sinks_count; i++) {
        sim_counters.told_by_spool += flushed > sim->sinks[i].durable_lsn;
        if (flushed > sim->sinks[i].durable_lsn && !sim_spool_has(sim, flushed)) {
            sim_fail(sim, "told the server %" PRIu64 ", but sink %u has only %" PRIu64, flushed, i,
                     sim->sinks[i].durable_lsn);
        }
        if (flushed > sim_topics_need(&sim->sinks[i]) && !sim_spool_has(sim, flushed)) {
            sim_fail(sim, "told the server %" PRIu64 ", but sink %u lacks a table from %" PRIu64,
                     flushed, i, sim_topics_need(&sim->sinks[i]));
        }
    }
    if (flushed < server->told_lsn) {
        sim_fail(sim, "told the server %" PRIu64 " after %" PRIu64, flushed, server->told_lsn);
    }
    if (flushed > sim->safe_lsn) {
        sim_fail(sim, "told the server %" PRIu64 ", recorded is %" PRIu64, flushed, sim->safe_lsn);
    }
    if (written < flushed || written > server->lsn) {
        sim_fail(sim, "written %" PRIu64 " at flushed %" PRIu64, written, flushed);
    }
    server->told_lsn = flushed;
    server->confirmed_lsn = flushed > server->confirmed_lsn ? flushed : server->confirmed_lsn;
}

static void updates_take(struct sim_connection *connection)
{
    struct wire *in = &connection->in;

    while (in->size >= 39) { /* one status update: type, length, body */
        struct nw_cursor cursor = nw_cursor_of(in->bytes, 39);
        bool right = nw_cursor_u8(&cursor) == 'd' && nw_cursor_u32be(&cursor) == 38 &&
                     nw_cursor_u8(&cursor) == 'r';
        uint64_t written = nw_cursor_u64be(&cursor);
        uint64_t flushed = nw_cursor_u64be(&cursor);

        if (!right) {
            sim_fail(connection->server->sim, "the server was sent something else than feedback");
        }
        feedback_take(connection->server, written, flushed);
        in->size -= 39;
        memmove(in->bytes, in->bytes + 39, in->size);
    }
}

static nw_status stream_write(struct nw_stream *stream, const void *bytes, size_t size, size_t *put,
                              struct nw_error *err)
{
    struct sim_connection *connection = connection_of(stream);
    struct sim_random *random = &connection->server->random;

    *put = 0;
    if (connection->gone) {
        return nw_fail(err, NW_RETRY, "the connection is gone");
    }
    if (sim_chance(random, 50)) {
        return NW_AGAIN;
    }
    *put = sim_chance(random, 200) ? 1 + sim_below(random, (uint32_t)size) : size;
    wire_bytes(&connection->in, bytes, *put);
    updates_take(connection);
    return NW_OK;
}

static const struct nw_stream_ops stream_ops = MODEL_STREAM_OPS(stream_read, stream_write);

nw_status sim_connect(void *context, uint64_t lsn, struct nw_walsender *walsender,
                      struct nw_error *err)
{
    struct sim_server *server = &((struct sim *)context)->server;
    struct sim_connection *made = NULL;

    if (server->connection != NULL) {
        sim_fail(server->sim, "a second connection to the slot");
    }
    if (sim_chance(&server->random, server->connect_fault)) {
        SIM_COUNT(refused_connects);
        return nw_fail(err, NW_RETRY, "the server is starting up");
    }
    SIM_COUNT(connects);
    made = calloc(1, sizeof *made);
    if (made == NULL) {
        abort();
    }
    made->stream = (struct nw_stream){.ops = &stream_ops, .transport = NW_TRANSPORT_MODEL};
    made->server = server;
    made->start_lsn = lsn > server->confirmed_lsn ? lsn : server->confirmed_lsn;
    made->sent_lsn = made->start_lsn;
    nw_transmitter_init(&made->transmitter, &made->stream);
    *walsender = (struct nw_walsender){.transmitter = &made->transmitter, .context = made};
    server->connection = made;
    return nw_receiver_create(&made->stream, &walsender->receiver, err);
}

/* The longest connection is kept. */
static void capture_keep(struct wire *captured)
{
    static size_t longest;

    if (captured->size > longest) {
        FILE *file = fopen(sim_capture, "w");

        longest = captured->size;
        if (file == NULL || fputc(0, file) == EOF || /* the target's choices */
            fwrite(captured->bytes, 1, captured->size, file) != captured->size ||
            fclose(file) != 0) {
            perror(sim_capture);
            exit(1);
        }
    }
    wire_free(captured);
}

void sim_disconnect(void *context, struct nw_walsender *walsender)
{
    struct sim_server *server = &((struct sim *)context)->server;
    struct sim_connection *connection = walsender->context;

    nw_receiver_destroy(walsender->receiver);
    nw_transmitter_fini(walsender->transmitter);
    capture_keep(&connection->captured);
    sim_told_free(connection);
    wire_free(&connection->out);
    wire_free(&connection->in);
    free(connection);
    server->connection = NULL;
}

void sim_server_cut(struct sim_server *server)
{
    struct sim_connection *connection = server->connection;
    size_t left = 0;

    if (connection == NULL || connection->ending) {
        return;
    }
    SIM_COUNT(cuts);
    left = connection->out.size - connection->out_read;
    sim_counters.cuts_inside += left > 0;
    if (sim_chance(&server->random, 200)) {
        wire_server_error(&connection->out, "57P01", "terminating connection");
        SIM_COUNT(server_errors);
    } else if (left > 0) {
        connection->out.size = connection->out_read + sim_below(&server->random, (uint32_t)left);
    }
    connection->ending = true;
}

void sim_server_send(struct sim_server *server)
{
    struct sim_connection *connection = server->connection;

    if (connection == NULL || connection->ending || connection->out.size > (1u << 20)) {
        return;
    }
    if (sim_chance(&server->random, 60)) {
        sim_send_keepalive(connection);
    }
    /* What is before its start is decoded too, of which nothing is sent. */
    while (connection->next_event < server->events_count &&
           server->events[connection->next_event].end_lsn <= connection->start_lsn) {
        sim_send_event(connection, &server->events[connection->next_event++]);
    }
    if (connection->next_event < server->events_count) {
        sim_send_event(connection, &server->events[connection->next_event++]);
    }
}

bool sim_server_rests(const struct sim_server *server)
{
    for (uint32_t i = 0; i < server->txns_count; i++) {
        if (server->txns[i].open) {
            return false;
        }
    }
    return server->connection != NULL && server->connection->next_event == server->events_count &&
           server->connection->out.size == 0;
}
