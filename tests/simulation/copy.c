/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The model of the sessions that read chunks of tables with COPY BINARY under a snapshot. The SQL
 * is a token: the numbers of a plan and a chunk of it, and how many rows are left out.
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

#define NEVER UINT32_MAX

struct sim_reader {
    struct nw_stream stream; /* first */
    struct sim *sim;
    struct wire in, out;
    size_t out_read;
    uint32_t idle; /* permille of reads that find nothing */
    bool ending;   /* after out the session is gone */
    /* the answer that is under way */
    bool saying;
    bool empty; /* the table was rewritten: no rows */
    bool cancelled;
    const struct sim_plan *plan;
    struct sim_contents other; /* of another snapshot */
    bool is_other;
    uint32_t next_row, end_row;
    uint32_t fail_at, cut_at; /* before this row; NEVER */
};

/* ---- contents ---- */

void sim_contents_read(const struct sim *sim, uint32_t oid, uint64_t lsn,
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
    if (contents->count > SIM_ROWS_MAX) {
        memmove(contents->rows, contents->rows + contents->count - SIM_ROWS_MAX,
                SIM_ROWS_MAX * sizeof *contents->rows);
        contents->count = SIM_ROWS_MAX;
    }
}

/* Since the snapshot it was emptied or altered, so that the snapshot sees nothing of it. */
static bool is_rewritten(const struct sim *sim, const struct sim_plan *plan)
{
    const struct sim_server *server = &sim->server;

    for (size_t i = server->items_count; i > 0; i--) {
        const struct sim_item *item = &server->items[i - 1];

        if (item->commit_lsn < plan->fence_lsn) {
            break;
        }
        if (item->kind == 'T' && item->table == SIM_OID + plan->table) {
            return true;
        }
    }
    return server->versions[plan->table] != plan->version;
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

static void ready_say(struct wire *out, char state)
{
    size_t place = wire_message_start(out, 'Z');

    wire_u8(out, (uint8_t)state);
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
    ready_say(out, 'I');
}

/* The transaction fails; the session is in it until it is told to roll back. */
static void refusal_say(struct sim_reader *reader, const char *sqlstate, const char *text)
{
    wire_server_error(&reader->out, sqlstate, text);
    ready_say(&reader->out, 'E');
    reader->saying = false;
}

/* What goes wrong before anything is read. @return whether something did */
static bool chunk_refuse(struct sim_reader *reader)
{
    struct sim *sim = reader->sim;
    struct sim_random *random = &sim->server.random;
    const struct sim_plan *plan = reader->plan;

    if (is_locked(sim, plan->table)) {
        SIM_COUNT(copies_locked);
        refusal_say(reader, "55P03", "canceling statement due to lock timeout");
    } else if (sim->server.versions[plan->table] != plan->version && sim_chance(random, 500)) {
        SIM_COUNT(copies_rewritten);
        refusal_say(reader, "42703", "column \"note\" does not exist");
    } else if (sim_chance(random, sim->copy.fault)) {
        SIM_COUNT(copies_renamed);
        refusal_say(reader, "42P01", "relation \"t\" does not exist");
    } else if (sim_chance(random, sim->copy.fault / 10)) {
        SIM_COUNT(snapshots_gone);
        refusal_say(reader, "22023", "invalid snapshot identifier");
    } else if (sim_chance(random, sim->copy.fault)) {
        SIM_COUNT(sessions_ended);
        wire_server_error(&reader->out, "57P01", "terminating connection");
        reader->ending = true;
    } else {
        return false;
    }
    return true;
}

/* Somewhere in a chunk that has so many rows left. */
static uint32_t place_choose(struct sim_reader *reader, bool happens)
{
    uint32_t left = reader->end_row - reader->next_row;

    return happens ? reader->next_row + sim_below(&reader->sim->server.random, left + 1) : NEVER;
}

/* The answer to one chunk's transaction; its rows follow as they are read. */
static void chunk_say(struct sim_reader *reader, const struct sim_chunk *chunk, uint64_t rows)
{
    struct sim *sim = reader->sim;
    struct sim_random *random = &sim->server.random;
    const struct sim_plan *plan = chunk->plan;
    bool rewritten = is_rewritten(sim, plan);

    reader->plan = plan;
    reader->cancelled = false;
    if (chunk_refuse(reader)) {
        return;
    }
    reader->is_other = sim_chance(random, sim->copy.fault); /* the session has another snapshot */
    if (reader->is_other) {
        SIM_COUNT(copies_of_another_snapshot);
        sim_contents_read(sim, SIM_OID + plan->table, sim->server.lsn, &reader->other);
    }
    reader->empty = rewritten;
    sim_counters.copies_rewritten += rewritten;
    sim_counters.rows_left_out += rows;
    reader->next_row = chunk->first_row + (uint32_t)rows;
    reader->end_row = reader->is_other ? (uint32_t)reader->other.count : chunk->end_row;
    reader->end_row = reader->end_row < reader->next_row ? reader->next_row : reader->end_row;
    reader->fail_at = place_choose(reader, sim_chance(random, sim->copy.fault / 2));
    reader->cut_at = place_choose(reader, sim_chance(random, sim->copy.fault * 5));
    checks_say(&reader->out, reader->is_other ? "7:9:" : "5:5:", !rewritten);
    header_say(&reader->out);
    reader->saying = true;
}

/* The session breaks off, anywhere in what was not read of it. */
static void session_cut(struct sim_reader *reader)
{
    struct wire *out = &reader->out;
    size_t left = out->size - reader->out_read;

    SIM_COUNT(copies_cut);
    reader->ending = true;
    reader->saying = false;
    if (left > 0) {
        out->size = reader->out_read + sim_below(&reader->sim->server.random, (uint32_t)left);
    }
}

/* A few rows more of the answer that is under way, or its end. */
static void answer_go_on(struct sim_reader *reader)
{
    const struct sim_contents *contents =
        reader->is_other ? &reader->other : &reader->plan->contents;
    uint32_t count = 1 + sim_below(&reader->sim->server.random, 6);

    for (uint32_t i = 0; i < count && reader->saying; i++) {
        uint32_t row = reader->next_row;

        if (reader->cancelled) {
            refusal_say(reader, "57014", "canceling statement due to user request");
        } else if (row == reader->cut_at) {
            session_cut(reader);
        } else if (row == reader->fail_at) {
            SIM_COUNT(copies_failed);
            refusal_say(reader, "XX001", "invalid page in a block");
        } else if (row == reader->end_row || reader->empty) {
            trailer_say(&reader->out);
            reader->saying = false;
        } else {
            row_say(&reader->out, &contents->rows[row], sim_columns_count(reader->plan->version),
                    row);
            reader->next_row++;
        }
    }
}

void sim_reader_cancel(struct sim_reader *reader)
{
    reader->cancelled = true;
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
    if (!reader->sim->server.quiet && sim_chance(random, reader->idle)) {
        return NW_AGAIN;
    }
    if (reader->saying && sim_chance(random, 700)) {
        answer_go_on(reader);
    }
    piece = sim_chance(random, 800) && piece > 500 ? 500 : piece;
    status = sim_out_take(random, &reader->out, &reader->out_read, bytes, piece, got);

    return status == NW_AGAIN && reader->ending
               ? nw_fail(err, NW_RETRY, "the session of a copy is gone")
               : status;
}

/* A whole query: 'Q', the length, the text, NUL. */
static void query_take(struct sim_reader *reader, const char *text)
{
    const struct sim_copy *copy = &reader->sim->copy;
    unsigned plan = 0;
    unsigned chunk = 0;
    uint64_t rows = 0;

    if (strcmp(text, "ROLLBACK") == 0) {
        ready_say(&reader->out, 'I');
        return;
    }
    if (sscanf(text, "%u %u %" SCNu64, &plan, &chunk, &rows) != 3 || plan >= copy->plans_count) {
        sim_fail(reader->sim, "a session was sent something else than a chunk: %s", text);
    }
    chunk_say(reader, &copy->plans[plan]->chunks[chunk], rows);
}

static nw_status reader_write(struct nw_stream *stream, const void *bytes, size_t size, size_t *put,
                              struct nw_error *err)
{
    struct sim_reader *reader = reader_of(stream);
    struct wire *in = &reader->in;

    (void)err;
    *put = sim_chance(&reader->sim->server.random, 200) ? 1 : size;
    wire_bytes(in, bytes, *put);
    if (in->size > 5 && in->bytes[in->size - 1] == '\0') { /* the length of short ones has NULs */
        struct nw_cursor cursor = nw_cursor_of(in->bytes + 1, 4);

        if (nw_cursor_u32be(&cursor) + 1 == in->size) {
            query_take(reader, (const char *)in->bytes + 5);
            wire_clear(in);
        }
    }
    return NW_OK;
}

static const struct nw_stream_ops reader_ops = MODEL_STREAM_OPS(reader_read, reader_write);

struct sim_reader *sim_reader_create(struct sim *sim)
{
    struct sim_reader *reader = calloc(1, sizeof *reader);

    if (reader == NULL) {
        abort();
    }
    reader->stream = (struct nw_stream){&reader_ops, NW_TRANSPORT_MODEL};
    reader->sim = sim;
    reader->idle = sim_chance(&sim->server.random, 200) ? 980 : 600; /* epochs end meanwhile */
    return reader;
}

void sim_reader_destroy(struct sim_reader *reader)
{
    if (reader != NULL) {
        wire_free(&reader->in);
        wire_free(&reader->out);
        free(reader->other.rows);
        free(reader);
    }
}

struct nw_stream *sim_reader_stream(struct sim_reader *reader)
{
    return &reader->stream;
}
