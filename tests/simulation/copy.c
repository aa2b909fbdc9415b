/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first copy: what a run decides before it (core/pipeline/decide.c), the conductor, and the
 * model of the sessions that read tables with COPY BINARY under a snapshot.
 *
 * A table's contents are a function of the history: the rows inserted since its last truncate, the
 * newest of them, in their order. So the rows of another snapshot are other rows.
 *
 * PostgreSQL documentation: "COPY", "Binary Format"; "Message Formats".
 */
#include "server.h"

#include "../unit/model_stream.h"
#include "source/position.h"
#include <narwal/sink.h>

#define CONTENTS_MAX 60u

struct sim_reader {
    struct nw_stream stream; /* first */
    struct sim *sim;
    struct wire in, out;
    size_t out_read;
    bool ending; /* after out the session is gone */
};

/* ---- contents ---- */

static void contents_read(const struct sim *sim, uint32_t oid, uint64_t lsn,
                          struct sim_contents *contents)
{
    const struct sim_server *server = &sim->server;

    contents->count = 0;
    for (size_t i = 0; i < server->items_count && server->items[i].commit_lsn < lsn; i++) {
        const struct sim_item *item = &server->items[i];

        if (item->table != oid || (item->kind != 'I' && item->kind != 'T')) {
            continue;
        }
        if (item->kind == 'T') {
            contents->count = 0;
            continue;
        }
        contents->rows =
            sim_grow(contents->rows, contents->count, &contents->capacity, sizeof *contents->rows);
        contents->rows[contents->count++] = *item;
    }
    if (contents->count > CONTENTS_MAX) {
        memmove(contents->rows, contents->rows + contents->count - CONTENTS_MAX,
                CONTENTS_MAX * sizeof *contents->rows);
        contents->count = CONTENTS_MAX;
    }
}

/* Since the snapshot it was emptied or altered, so that the snapshot sees nothing of it. */
static bool is_rewritten(const struct sim *sim, uint32_t table)
{
    const struct sim_server *server = &sim->server;

    for (size_t i = server->items_count; i > 0; i--) {
        const struct sim_item *item = &server->items[i - 1];

        if (item->commit_lsn < sim->copy.fence_lsn) {
            break;
        }
        if (item->kind == 'T' && item->table == SIM_OID + table) {
            return true;
        }
    }
    return server->versions[table] != sim->copy.versions[table];
}

/* A transaction that goes on has emptied it. */
static bool is_locked(const struct sim *sim, uint32_t table)
{
    for (uint32_t t = 0; t < sim->server.txns_count; t++) {
        const struct sim_txn *txn = &sim->server.txns[t];

        for (size_t i = 0; txn->open && i < txn->changes_count; i++) {
            if (txn->changes[i].kind == 'T' && !txn->changes[i].undone &&
                ((unsigned)txn->changes[i].tables >> table & 1u) != 0) {
                return true;
            }
        }
    }
    return false;
}

/* ---- a reader's session ---- */

static void checks_say(struct wire *out, const char *snapshot, bool same_file)
{
    size_t place = wire_message_start(out, 'D');

    wire_u16(out, 2);
    wire_u32(out, (uint32_t)strlen(snapshot));
    wire_bytes(out, snapshot, strlen(snapshot));
    wire_u32(out, 1);
    wire_u8(out, same_file ? 't' : 'f');
    wire_message_end(out, place);
}

static void field_say(struct wire *out, const char *text)
{
    wire_u32(out, (uint32_t)strlen(text));
    wire_bytes(out, text, strlen(text));
}

static void row_say(struct wire *out, const struct sim_item *row, uint16_t columns, size_t index)
{
    size_t place = wire_message_start(out, 'd');
    char *note = malloc(row->note_size + 1u);

    if (note == NULL) {
        abort();
    }
    sim_note(row->lsn + (uint64_t)row->id, row->note_size, note);
    wire_u16(out, columns);
    wire_u32(out, 8);
    wire_u64(out, index);
    field_say(out, note);
    if (columns == 3) {
        if (index % 2 == 0) {
            field_say(out, "extra");
        } else {
            wire_u32(out, UINT32_MAX); /* NULL */
        }
    }
    wire_message_end(out, place);
    free(note);
}

static void mark_say(struct wire *out, char type)
{
    wire_message_end(out, wire_message_start(out, type));
}

static void ready_say(struct wire *out)
{
    size_t place = wire_message_start(out, 'Z');

    wire_u8(out, 'I');
    wire_message_end(out, place);
}

static void header_say(struct wire *out)
{
    size_t place = 0;

    mark_say(out, 'H');
    place = wire_message_start(out, 'd');
    wire_bytes(out, "PGCOPY\n\377\r\n", 11); /* with its NUL */
    wire_u32(out, 0);
    wire_u32(out, 0);
    wire_message_end(out, place);
}

static void trailer_say(struct wire *out)
{
    size_t place = wire_message_start(out, 'd');

    wire_u16(out, UINT16_MAX);
    wire_message_end(out, place);
    mark_say(out, 'c');
    ready_say(out);
}

/* The answer to one table's transaction. */
static void table_say(struct sim_reader *reader, uint32_t table)
{
    struct sim *sim = reader->sim;
    struct sim_random *random = &sim->server.random;
    bool is_other = sim_chance(random, sim->copy.fault); /* the session has another snapshot */
    bool rewritten = is_rewritten(sim, table);
    struct sim_contents *contents = &sim->copy.contents[table];
    struct sim_contents other = {0};

    sim_counters.copies_rewritten += rewritten;
    sim_counters.copies_of_another_snapshot += is_other;
    if (is_locked(sim, table)) {
        SIM_COUNT(copies_locked);
        wire_server_error(&reader->out, "55P03", "canceling statement due to lock timeout");
        ready_say(&reader->out);
        return;
    }
    if (is_other) {
        contents_read(sim, SIM_OID + table, sim->server.lsn, &other);
        contents = &other;
    }
    checks_say(&reader->out, is_other ? "7:9:" : "5:5:", !rewritten);
    header_say(&reader->out);
    for (size_t i = 0; !rewritten && i < contents->count; i++) {
        row_say(&reader->out, &contents->rows[i], sim_columns_count(sim->copy.versions[table]), i);
    }
    if (sim_chance(random, sim->copy.fault)) {
        SIM_COUNT(copies_failed);
        wire_server_error(&reader->out, "XX001", "invalid page in a block");
        ready_say(&reader->out);
    } else {
        trailer_say(&reader->out);
    }
    if (sim_chance(random, sim->copy.fault)) {
        SIM_COUNT(copies_cut);
        reader->out.size = sim_below(random, (uint32_t)reader->out.size);
        reader->ending = true;
    }
    free(other.rows);
}

static struct sim_reader *reader_of(struct nw_stream *stream)
{
    return (struct sim_reader *)(void *)stream;
}

static nw_status reader_read(struct nw_stream *stream, void *bytes, size_t size, size_t *got,
                             struct nw_error *err)
{
    struct sim_reader *reader = reader_of(stream);
    struct sim_random *random = &reader->sim->server.random;
    size_t piece = size < 500 ? size : 1 + sim_below(random, (uint32_t)size);
    nw_status status = NW_OK;

    *got = 0;
    if (!reader->sim->server.quiet && sim_chance(random, 700)) { /* so that epochs end meanwhile */
        return NW_AGAIN;
    }
    piece = sim_chance(random, 800) && piece > 500 ? 500 : piece;
    status = sim_out_take(random, &reader->out, &reader->out_read, bytes, piece, got);

    return status == NW_AGAIN && reader->ending
               ? nw_fail(err, NW_RETRY, "the session of a copy is gone")
               : status;
}

static nw_status reader_write(struct nw_stream *stream, const void *bytes, size_t size, size_t *put,
                              struct nw_error *err)
{
    struct sim_reader *reader = reader_of(stream);
    struct wire *in = &reader->in;

    (void)err;
    *put = sim_chance(&reader->sim->server.random, 200) ? 1 : size;
    wire_bytes(in, bytes, *put);
    if (in->size == 7) { /* 'Q', the length, the table's digit, NUL */
        table_say(reader, (uint32_t)(in->bytes[5] - '0'));
        wire_clear(in);
    }
    return NW_OK;
}

static const struct nw_stream_ops reader_ops = MODEL_STREAM_OPS(reader_read, reader_write);

/* ---- the decision ---- */

static bool is_whole(const struct sim *sim, const struct nw_sink_recovered *recovered)
{
    uint32_t wanted = SIM_TABLES - (sim->unwanted_oid != 0);
    uint32_t whole = 0;

    for (uint32_t i = 0; i < recovered->copies_count; i++) {
        whole += recovered->copies[i].complete;
    }
    return whole == wanted;
}

/* Where the sink needs the stream to begin; UINT64_MAX: at the fence of the copy that it gets. */
static uint64_t need_of(struct sim *sim, const struct sim_sink *sink,
                        const struct nw_sink_recovered *recovered)
{
    struct nw_identity identity;
    struct nw_error err = {0};
    uint64_t lowest = UINT64_MAX;

    if (recovered->positions_count > 0 && recovered->positions[0].size > 0) {
        struct nw_bytes bytes = {recovered->positions[0].bytes, recovered->positions[0].size};

        if (nw_position_unpack(bytes, &identity, &lowest, &err) != NW_OK) {
            sim_fail(sim, "sink %u: %s", sink->index, err.text);
        }
        return lowest;
    }
    for (uint32_t i = 0; sim->copies && !sink->needs_copy && i < recovered->copies_count; i++) {
        struct nw_bytes bytes = {recovered->copies[i].bytes, recovered->copies[i].size};
        struct nw_copy_progress progress;

        if (nw_copy_unpack(bytes, &progress, &err) != NW_OK) {
            sim_fail(sim, "sink %u: %s", sink->index, err.text);
        }
        lowest = progress.fence_lsn < lowest ? progress.fence_lsn : lowest;
    }
    return sim->copies ? lowest : SIM_SLOT_LSN;
}

/* Unfinished copies are thrown away; @return the highest generation that the sink knows. */
static uint32_t copies_resolve(struct sim *sim, struct nw_sink *sink,
                               const struct nw_sink_recovered *recovered)
{
    uint32_t highest = 0;
    struct nw_error err = {0};

    for (uint32_t i = 0; i < recovered->copies_count; i++) {
        const struct nw_copy_state *copy = &recovered->copies[i];

        highest = copy->generation > highest ? copy->generation : highest;
        if (!copy->complete && nw_sink_resolve(sink, copy->relation_oid, copy->generation,
                                               NW_COPY_DISCARD, &err) != NW_OK) {
            sim_fail(sim, "a sink does not discard a copy: %s", err.text);
        }
    }
    return highest;
}

void sim_copy_decide(struct sim *sim, struct nw_sink *const *sinks,
                     const struct nw_sink_recovered *recovered)
{
    uint32_t highest = sim_chance(&sim->random, 500) ? sim->copy.generation : 0; /* state is lost */
    uint64_t lowest = UINT64_MAX;

    sim->copy.running = false;
    for (uint32_t i = 0; i < sim->sinks_count; i++) {
        struct sim_sink *sink = &sim->sinks[i];
        bool has_position = recovered[i].positions_count > 0 && recovered[i].positions[0].size > 0;
        uint32_t known = copies_resolve(sim, sinks[i], &recovered[i]);
        uint64_t need_lsn = 0;

        highest = known > highest ? known : highest;
        sink->needs_copy = sim->copies && !has_position && !is_whole(sim, &recovered[i]);
        sim->copy.running = sim->copy.running || sink->needs_copy;
        need_lsn = need_of(sim, sink, &recovered[i]);
        lowest = need_lsn < lowest ? need_lsn : lowest;
    }
    if (sim->copy.running) {
        sim->copy.generation = highest + 1;
        sim->copy.fence_lsn = sim->server.lsn;
        if (!sim->server.has_slot) {
            sim->server.has_slot = true;
            sim->server.confirmed_lsn = sim->server.told_lsn = sim->server.lsn;
            lowest = UINT64_MAX;
        }
        sim_counters.copies_apart += lowest < sim->copy.fence_lsn;
    }
    sim->start_lsn =
        lowest < sim->copy.fence_lsn || !sim->copy.running ? lowest : sim->copy.fence_lsn;
}

void sim_copy_fences(struct sim *sim, struct nw_engine *engine)
{
    struct nw_error err = {0};

    for (uint32_t i = 0; i < sim->sinks_count; i++) {
        for (uint32_t t = 0; t < SIM_TABLES; t++) {
            const struct sim_copied *copied = &sim->sinks[i].copies[t];

            if (copied->complete && !sim->sinks[i].needs_copy &&
                nw_engine_fence(engine, i, SIM_OID + t, copied->fence_lsn, &err) != NW_OK) {
                sim_fail(sim, "%s", err.text);
            }
        }
    }
}

/* ---- the conductor ---- */

static void task_add(struct sim *sim, uint32_t table, struct nw_schemas *schemas)
{
    static const char *const queries[SIM_TABLES] = {"0", "1", "2", "3"};
    struct sim_copy *copy = &sim->copy;
    struct nw_copy_task *task = &copy->tasks[copy->tasks_count++];
    const struct nw_table *described = NULL;
    struct nw_error err = {0};

    sim_server_describe(&sim->server, SIM_OID + table, &described);
    *task = (struct nw_copy_task){.generation = copy->generation,
                                  .mark = {.fence_lsn = copy->fence_lsn,
                                           .range = {SIM_OID + table, 0, NW_COPY_PAGE_END},
                                           .chunks_count = 1},
                                  .sql = queries[table],
                                  .snapshot = "5:5:"};
    if (nw_schemas_add(schemas, described, 0, &task->table, &err) != NW_OK) {
        sim_fail(sim, "%s", err.text);
    }
    copy->versions[table] = sim->server.versions[table];
    contents_read(sim, SIM_OID + table, copy->fence_lsn, &copy->contents[table]);
}

void sim_copy_begin(struct sim *sim, struct nw_schemas *schemas)
{
    struct sim_copy *copy = &sim->copy;

    SIM_COUNT(copy_lives);
    copy->tasks_count = copy->tasks_given = copy->tasks_done = 0;
    memset(copy->under_way, 0, sizeof copy->under_way);
    for (uint32_t table = 0; table < SIM_TABLES; table++) {
        if (SIM_OID + table != sim->unwanted_oid) {
            task_add(sim, table, schemas);
        }
    }
    for (uint32_t r = 0; r < SIM_READERS; r++) {
        copy->readers[r] = calloc(1, sizeof *copy->readers[r]);
        if (copy->readers[r] == NULL) {
            abort();
        }
        copy->readers[r]->stream = (struct nw_stream){&reader_ops, NW_TRANSPORT_MODEL};
        copy->readers[r]->sim = sim;
    }
}

bool sim_copy_reads(const struct sim *sim)
{
    return !sim->server.has_slot ||
           (sim->copy.running && sim->copy.tasks_done < sim->copy.tasks_count);
}

void sim_copy_end(struct sim *sim)
{
    for (uint32_t r = 0; r < SIM_READERS; r++) {
        if (sim->copy.readers[r] != NULL) {
            wire_free(&sim->copy.readers[r]->in);
            wire_free(&sim->copy.readers[r]->out);
            free(sim->copy.readers[r]);
            sim->copy.readers[r] = NULL;
        }
    }
}

void sim_copy_free(struct sim *sim)
{
    for (uint32_t table = 0; table < SIM_TABLES; table++) {
        free(sim->copy.contents[table].rows);
    }
}

static bool task_collect(struct sim *sim, struct nw_engine *engine, uint32_t reader)
{
    struct sim_copy *copy = &sim->copy;
    struct nw_copy_task *task = nw_engine_copied(engine, reader);

    if (task == NULL) {
        return true;
    }
    copy->under_way[reader] = NULL;
    switch (task->outcome) {
    case NW_COPY_DONE:
        copy->tasks_done++;
        return true;
    case NW_COPY_LOCKED: /* at once again */
        copy->under_way[reader] = nw_engine_copy(engine, reader, task) ? task : NULL;
        return true;
    case NW_COPY_BROKEN:
    case NW_COPY_REWRITTEN:
    case NW_COPY_GONE:
    case NW_COPY_NO_SNAPSHOT:
    case NW_COPY_REFUSED:
        return false;
    case NW_COPY_FAILED:
        break;
    }
    if (task->error.status != NW_RETRY) {
        sim_fail(sim, "a copy failed: %s", task->error.text);
    }
    return false;
}

bool sim_copy_step(struct sim *sim, struct nw_engine *engine, struct nw_sink *const *sinks,
                   bool *finished)
{
    struct sim_copy *copy = &sim->copy;

    for (uint32_t r = 0; r < SIM_READERS; r++) {
        if (!task_collect(sim, engine, r)) {
            return false;
        }
        if (copy->under_way[r] == NULL && copy->tasks_given < copy->tasks_count) {
            copy->under_way[r] = &copy->tasks[copy->tasks_given++];
            copy->under_way[r]->stream = &copy->readers[r]->stream;
            if (!nw_engine_copy(engine, r, copy->under_way[r])) {
                sim_fail(sim, "an idle reader takes no task");
            }
        }
    }
    *finished = copy->tasks_done == copy->tasks_count;
    for (uint32_t i = 0; i < sim->sinks_count; i++) {
        struct nw_sink_status status;

        nw_sink_status(sinks[i], &status);
        *finished = *finished && (!sim->sinks[i].needs_copy || status.copies >= copy->tasks_count);
    }
    for (uint32_t i = 0; *finished && i < sim->sinks_count; i++) {
        if (sim->sinks[i].needs_copy && sim_sink_whole(&sim->sinks[i]) < copy->tasks_count) {
            sim_fail(sim, "sink %u is said to have the copy, and has %u of %u tables", i,
                     sim_sink_whole(&sim->sinks[i]), copy->tasks_count);
        }
    }
    return true;
}
