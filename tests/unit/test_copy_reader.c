/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The copy reader: COPY BINARY's bytes to rows, whole tables or an error that says why. The server
 * is a script of bytes, handed out in pieces.
 */
#include "dealer_kit.h"

#include "ring/agent.h"
#include "source/copy.h"

#define SNAPSHOT "7:9:"

/* The server: what it says, in pieces of so many bytes. */
struct script {
    struct nw_stream stream; /* first */
    struct wire out;
    size_t at, piece;
    bool ends; /* the connection breaks behind it */
    struct wire in;
};

struct fixture {
    struct kit kit; /* the producer and its lanes; no dealer */
    struct script script;
    struct nw_spsc *tasks, *done;
    struct nw_copy_reader *reader;
    struct nw_agent agent;
    struct nw_table table;
    struct nw_copy_task task;
    int64_t now_ns;
};

static struct script *script_of(struct nw_stream *stream)
{
    return (struct script *)(void *)stream;
}

static nw_status script_read(struct nw_stream *stream, void *bytes, size_t size, size_t *got,
                             struct nw_error *err)
{
    struct script *script = script_of(stream);
    size_t left = script->out.size - script->at;

    *got = 0;
    if (left == 0) {
        return script->ends ? nw_fail(err, NW_RETRY, "the connection broke") : NW_AGAIN;
    }
    left = left < size ? left : size;
    left = left < script->piece ? left : script->piece;
    memcpy(bytes, script->out.bytes + script->at, left);
    script->at += left;
    *got = left;
    return NW_OK;
}

static nw_status script_write(struct nw_stream *stream, const void *bytes, size_t size, size_t *put,
                              struct nw_error *err)
{
    (void)err;
    wire_bytes(&script_of(stream)->in, bytes, size);
    *put = size;
    return NW_OK;
}

static int script_descriptor(struct nw_stream *stream)
{
    (void)stream;
    return -1;
}

static void script_low_water(struct nw_stream *stream, size_t bytes)
{
    (void)stream;
    (void)bytes;
}

static bool script_pending(struct nw_stream *stream)
{
    (void)stream;
    return false;
}

static void script_destroy(struct nw_stream *stream)
{
    (void)stream;
}

static const struct nw_stream_ops script_ops = {.read = script_read,
                                                .write = script_write,
                                                .descriptor = script_descriptor,
                                                .low_water = script_low_water,
                                                .pending = script_pending,
                                                .destroy = script_destroy};

static void fixture_make(struct fixture *f)
{
    struct nw_copy_reader_options options = {0};

    memset(f, 0, sizeof *f);
    f->now_ns = 1000000000;
    f->script.stream = (struct nw_stream){.ops = &script_ops, .transport = NW_TRANSPORT_MODEL};
    f->script.piece = SIZE_MAX;
    kit_producer_make(&f->kit, 4);
    assert_int_equal(nw_spsc_create(NW_COPY_TASKS_MAX, &f->tasks, &f->kit.err), NW_OK);
    assert_int_equal(nw_spsc_create(NW_COPY_TASKS_MAX, &f->done, &f->kit.err), NW_OK);
    options.producer = f->kit.producer;
    options.tasks = f->tasks;
    options.done = f->done;
    assert_int_equal(nw_copy_reader_create(&options, &f->reader, &f->kit.err), NW_OK);
    f->agent = nw_copy_reader_agent(f->reader);
    f->table = kit_table(100);
    f->task = (struct nw_copy_task){.table = &f->table,
                                    .generation = 3,
                                    .mark = {.origin = {.fence_lsn = 4000},
                                             .range = {100, 0, NW_COPY_PAGE_END},
                                             .chunks_count = 1},
                                    .fence_lsn = 5000,
                                    .stream = &f->script.stream,
                                    .turn = 1,
                                    .sql = "BEGIN; COPY",
                                    .snapshot = SNAPSHOT};
    assert_true(nw_spsc_push(f->tasks, &f->task));
}

static void fixture_free(struct fixture *f)
{
    nw_copy_reader_destroy(f->reader);
    nw_spsc_destroy(f->tasks);
    nw_spsc_destroy(f->done);
    wire_free(&f->script.out);
    wire_free(&f->script.in);
    kit_fini(&f->kit);
}

static void step(struct fixture *f)
{
    uint32_t work = 0;

    f->now_ns += 1000000;
    assert_int_equal(f->agent.do_work(f->agent.self, f->now_ns, &work, &f->kit.err), NW_OK);
}

/* ---- what the server says ---- */

static void say(struct fixture *f, char type, const void *body, size_t size)
{
    size_t place = wire_message_start(&f->script.out, type);

    wire_bytes(&f->script.out, body, size);
    wire_message_end(&f->script.out, place);
}

static void say_checks(struct fixture *f, const char *snapshot, const char *same_file)
{
    size_t place = wire_message_start(&f->script.out, 'D');

    wire_u16(&f->script.out, 2);
    wire_u32(&f->script.out, (uint32_t)strlen(snapshot));
    wire_bytes(&f->script.out, snapshot, strlen(snapshot));
    wire_u32(&f->script.out, (uint32_t)strlen(same_file));
    wire_bytes(&f->script.out, same_file, strlen(same_file));
    wire_message_end(&f->script.out, place);
}

static void header_put(struct wire *wire)
{
    wire_bytes(wire, "PGCOPY\n\377\r\n\0", 11);
    wire_u32(wire, 0);
    wire_u32(wire, 0);
}

/* (id, note); a negative size: note is null. */
static void tuple_put(struct wire *wire, uint64_t id, int note_size)
{
    wire_u16(wire, 2);
    wire_u32(wire, 8);
    wire_u64(wire, id);
    wire_u32(wire, (uint32_t)note_size);
    for (int i = 0; i < note_size; i++) {
        wire_u8(wire, 'n');
    }
}

static void say_row(struct fixture *f, uint64_t id, int note_size)
{
    size_t place = wire_message_start(&f->script.out, 'd');

    tuple_put(&f->script.out, id, note_size);
    wire_message_end(&f->script.out, place);
}

static void say_begin(struct fixture *f)
{
    struct wire header = {0};

    say(f, 'C', "BEGIN", 6);
    say_checks(f, SNAPSHOT, "t");
    say(f, 'C', "SELECT 1", 9);
    say(f, 'H', "\1\0\0", 3);
    header_put(&header);
    say(f, 'd', header.bytes, header.size);
    wire_free(&header);
}

static void say_end(struct fixture *f)
{
    say(f, 'd', "\377\377", 2);
    say(f, 'c', NULL, 0);
    say(f, 'C', "COPY 2", 7);
    say(f, 'C', "COMMIT", 7);
    say(f, 'Z', "I", 1);
}

/* Behind an error: the answers to the query that failed, and to ROLLBACK. */
static void say_undone(struct fixture *f)
{
    say(f, 'Z', "E", 1);
    say(f, 'C', "ROLLBACK", 9);
    say(f, 'Z', "I", 1);
}

/* Steps until the task comes back. @return rows that were dealt, blocks given back at once */
static uint64_t finish(struct fixture *f)
{
    uint64_t rows = 0;
    struct nw_block *block = NULL;

    for (int i = 0; i < 100000; i++) {
        struct nw_copy_task *done = NULL;

        step(f);
        while ((block = kit_next(&f->kit)) != NULL) {
            rows += block->kind == NW_BLOCK_COPY ? block->frames_count : 0;
            kit_back(&f->kit, block);
        }
        done = nw_spsc_pop(f->done);
        if (done != NULL) {
            assert_ptr_equal(done, &f->task);
            return rows;
        }
    }
    fail_msg("the task does not come back");
    return 0;
}

/* ---- */

static void a_table_is_begun_filled_and_ended(void **state)
{
    struct fixture f;
    struct nw_block *block = NULL;

    (void)state;
    fixture_make(&f);
    say_begin(&f);
    say_row(&f, 1, 10);
    say_row(&f, 2, -1);
    say_end(&f);
    step(&f);
    step(&f);
    assert_int_equal(f.script.in.bytes[0], 'Q');
    assert_string_equal((char *)f.script.in.bytes + 5, "BEGIN; COPY");
    block = kit_expect(&f.kit, NW_BLOCK_COPY_BEGIN);
    assert_int_equal(block->generation, 3);
    assert_int_equal(block->mark.origin.fence_lsn, 4000);
    assert_int_equal(block->mark.chunks_count, 1);
    kit_back(&f.kit, block);
    block = kit_expect(&f.kit, NW_BLOCK_COPY);
    assert_int_equal(block->frames_count, 2);
    assert_int_equal(block->fence_lsn, 5000);
    assert_int_equal(block->frames[0].op, NW_OP_INSERT);
    assert_int_equal(block->frames[0].size, 2 + 4 + 8 + 4 + 10);
    assert_int_equal(block->frames[1].size, 2 + 4 + 8 + 4);
    assert_int_equal(block->frames[1].offset, block->frames[0].size);
    assert_int_equal(block->bytes[1], 2); /* from the count of fields on */
    kit_back(&f.kit, block);
    block = kit_expect(&f.kit, NW_BLOCK_COPY_END);
    assert_int_equal(block->mark.range.relation_oid, 100);
    kit_back(&f.kit, block);
    assert_ptr_equal(nw_spsc_pop(f.done), &f.task);
    assert_int_equal(f.task.outcome, NW_COPY_DONE);
    assert_int_equal(f.task.rows, 2);
    fixture_free(&f);
}

static void pieces_of_any_size_make_the_same_rows(void **state)
{
    (void)state;
    for (size_t piece = 1; piece < 40; piece += 3) {
        struct fixture f;

        fixture_make(&f);
        f.script.piece = piece;
        say_begin(&f);
        for (uint64_t id = 0; id < 40; id++) {
            say_row(&f, id, (int)id - 1);
        }
        say_end(&f);
        assert_int_equal(finish(&f), 40);
        assert_int_equal(f.task.outcome, NW_COPY_DONE);
        fixture_free(&f);
    }
}

static void an_empty_table_has_a_begin_and_an_end(void **state)
{
    struct fixture f;

    (void)state;
    fixture_make(&f);
    say_begin(&f);
    say_end(&f);
    assert_int_equal(finish(&f), 0);
    assert_int_equal(f.task.outcome, NW_COPY_DONE);
    assert_int_equal(f.kit.ordinal, 2);
    fixture_free(&f);
}

/* Blocks that come back late. */
static void back_pressure_loses_and_repeats_nothing(void **state)
{
    struct fixture f;
    uint64_t next = 0;
    bool done = false;

    (void)state;
    fixture_make(&f);
    say_begin(&f);
    for (uint64_t id = 0; id < 400; id++) {
        say_row(&f, id, 30000); /* 8 in a block, 4 blocks */
    }
    say_end(&f);
    for (int i = 0; i < 10000 && !done; i++) {
        struct nw_block *block = NULL;

        step(&f);
        if (i % 7 == 0 && (block = kit_next(&f.kit)) != NULL) {
            for (uint32_t row = 0; block->kind == NW_BLOCK_COPY && row < block->frames_count;
                 row++) {
                struct nw_cursor cursor =
                    nw_cursor_of(block->bytes + block->frames[row].offset + 6, 8);

                assert_int_equal(nw_cursor_u64be(&cursor), next);
                next++;
            }
            done = block->kind == NW_BLOCK_COPY_END;
            kit_back(&f.kit, block);
        }
    }
    assert_true(done);
    assert_int_equal(next, 400);
    assert_ptr_equal(nw_spsc_pop(f.done), &f.task);
    assert_int_equal(f.task.rows, 400);
    fixture_free(&f);
}

/* The same task as a new one. */
static void again(struct fixture *f)
{
    f->task.begun = false;
    f->task.rows = f->task.bytes = 0;
    assert_true(nw_spsc_push(f->tasks, &f->task));
}

static void another_table_follows_on_the_same_connection(void **state)
{
    struct fixture f;

    (void)state;
    fixture_make(&f);
    say_begin(&f);
    say_row(&f, 1, 1);
    say_end(&f);
    assert_int_equal(finish(&f), 1);
    again(&f);
    say_begin(&f);
    say_row(&f, 1, 1);
    say_row(&f, 2, 1);
    say_end(&f);
    assert_int_equal(finish(&f), 2);
    assert_int_equal(f.task.outcome, NW_COPY_DONE);
    assert_int_equal(f.task.rows, 2);
    fixture_free(&f);
}

static void checks(const char *snapshot, const char *same_file, enum nw_copy_outcome expected)
{
    struct fixture f;

    fixture_make(&f);
    say(&f, 'C', "BEGIN", 6);
    say_checks(&f, snapshot, same_file);
    say(&f, 'H', "\1\0\0", 3);
    say(&f, 'd', "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\0", 19);
    say_row(&f, 1, 1);
    say_end(&f);
    assert_int_equal(finish(&f), expected == NW_COPY_DONE ? 1 : 0);
    assert_int_equal(f.task.outcome, expected);
    assert_int_equal(f.task.begun, expected == NW_COPY_DONE);
    fixture_free(&f);
}

static void checks_that_fail_end_the_copy(void **state)
{
    (void)state;
    checks(SNAPSHOT, "t", NW_COPY_DONE);
    checks("7:10:", "t", NW_COPY_BROKEN); /* a session that sees another is of no use */
    checks("", "t", NW_COPY_BROKEN);
    checks(SNAPSHOT, "f", NW_COPY_REWRITTEN);
    checks(SNAPSHOT, "n", NW_COPY_GONE); /* the name is another's */
    checks(SNAPSHOT, "", NW_COPY_REWRITTEN);
}

/* The chunk is refused with this code after so many rows. */
static void refused(const char *sqlstate, uint64_t rows, enum nw_copy_outcome expected)
{
    struct fixture f;

    fixture_make(&f);
    if (rows > 0) {
        say_begin(&f);
    } else {
        say(&f, 'C', "BEGIN", 6);
    }
    for (uint64_t id = 0; id < rows; id++) {
        say_row(&f, id, 1);
    }
    wire_server_error(&f.script.out, sqlstate, "refused");
    say_undone(&f);
    assert_int_equal(finish(&f), rows); /* what was dealt is counted, and the other way round */
    assert_int_equal(f.task.outcome, expected);
    assert_int_equal(f.task.rows, rows);
    assert_int_equal(f.task.begun, rows > 0);
    assert_non_null(memmem(f.script.in.bytes, f.script.in.size, "ROLLBACK", 9));
    fixture_free(&f);
}

static void what_the_server_says_decides_what_becomes_of_a_chunk(void **state)
{
    (void)state;
    for (uint64_t rows = 0; rows < 3; rows++) {
        refused("55P03", rows, NW_COPY_LOCKED);
        refused("40P01", rows, NW_COPY_LOCKED);
        refused("57014", rows, NW_COPY_LOCKED);
        refused("42P01", rows, NW_COPY_GONE);
        refused("42703", rows, NW_COPY_REWRITTEN);
        /* Once rows come the snapshot was there: something that was read is what it does not take.
         */
        refused("22023", rows, rows == 0 ? NW_COPY_NO_SNAPSHOT : NW_COPY_FAILED);
        refused("42501", rows, NW_COPY_REFUSED);
        refused("XX001", rows, NW_COPY_FAILED);
    }
}

static void a_refused_chunk_goes_on_with_its_rows_counted_and_one_begin(void **state)
{
    struct fixture f;

    (void)state;
    fixture_make(&f);
    say_begin(&f);
    say_row(&f, 1, 1);
    wire_server_error(&f.script.out, "42501", "permission denied for table t");
    say_undone(&f);
    assert_int_equal(finish(&f), 1);
    assert_int_equal(f.task.error.status, NW_FATAL);
    assert_non_null(strstr(f.task.error.text, "GRANT SELECT"));
    assert_int_equal(f.kit.ordinal, 2); /* the begin, and the row */
    f.task.turn++;
    assert_true(nw_spsc_push(f.tasks, &f.task));
    say_begin(&f);
    say_row(&f, 2, 1);
    say_end(&f);
    assert_int_equal(finish(&f), 1);
    assert_int_equal(f.task.outcome, NW_COPY_DONE);
    assert_int_equal(f.task.rows, 2);
    assert_int_equal(f.kit.ordinal, 4); /* a row and the end: it had begun */
    fixture_free(&f);
}

static void a_chunk_that_is_given_up_is_read_to_its_end_and_dropped(void **state)
{
    struct fixture f;

    (void)state;
    fixture_make(&f);
    say_begin(&f);
    say_row(&f, 1, 1);
    step(&f);
    step(&f);
    atomic_store(&f.task.give_up, true);
    say_row(&f, 2, 1);
    say_row(&f, 3, 1);
    wire_server_error(&f.script.out, "57014", "canceling statement due to user request");
    say_undone(&f);
    assert_int_equal(finish(&f), 1);
    assert_int_equal(f.task.outcome, NW_COPY_LOCKED);
    assert_int_equal(f.task.rows, 1);
    fixture_free(&f);
}

static struct nw_copy_task *next_done(struct fixture *f)
{
    struct nw_copy_task *done = NULL;
    struct nw_block *block = NULL;

    for (int i = 0; i < 1000 && done == NULL; i++) {
        step(f);
        while ((block = kit_next(&f->kit)) != NULL) {
            kit_back(&f->kit, block);
        }
        done = nw_spsc_pop(f->done);
    }
    return done;
}

static void what_was_given_ahead_is_read_at_once(void **state)
{
    struct fixture f;
    struct nw_copy_task second;

    (void)state;
    fixture_make(&f);
    second = f.task;
    second.sql = "BEGIN; COPY the next";
    assert_true(nw_spsc_push(f.tasks, &second));
    say_begin(&f);
    say_end(&f);
    say_begin(&f);
    say_row(&f, 7, 1);
    say_end(&f);
    assert_ptr_equal(next_done(&f), &f.task);
    assert_ptr_equal(next_done(&f), &second);
    assert_int_equal(second.outcome, NW_COPY_DONE);
    assert_int_equal(second.rows, 1);
    fixture_free(&f);
}

/* Whether its session broke, or the server refused it and goes on. */
static void what_was_given_ahead_comes_back_unread_behind_a_failure(void **state)
{
    (void)state;
    for (int breaks = 0; breaks < 2; breaks++) {
        struct fixture f;
        struct nw_copy_task second;
        struct nw_copy_task third;
        size_t sent = 0;

        fixture_make(&f);
        second = third = f.task;
        assert_true(nw_spsc_push(f.tasks, &second));
        say_begin(&f);
        say_row(&f, 1, 1);
        if (breaks) {
            f.script.ends = true;
        } else {
            wire_server_error(&f.script.out, "55P03", "locked");
            say_undone(&f);
        }
        assert_ptr_equal(next_done(&f), &f.task);
        assert_int_equal(f.task.outcome, breaks ? NW_COPY_BROKEN : NW_COPY_LOCKED);
        sent = f.script.in.size;
        assert_true(nw_spsc_push(f.tasks, &third)); /* before the conductor has heard of it */
        assert_ptr_equal(next_done(&f), &second);
        assert_int_equal(second.outcome, NW_COPY_UNREAD);
        assert_ptr_equal(next_done(&f), &third);
        assert_int_equal(third.outcome, NW_COPY_UNREAD);
        assert_int_equal(f.script.in.size, sent); /* the session was left alone */
        f.script.ends = false;
        third.turn++;
        say_begin(&f);
        say_end(&f);
        assert_true(nw_spsc_push(f.tasks, &third));
        assert_ptr_equal(next_done(&f), &third);
        assert_int_equal(third.outcome, NW_COPY_DONE);
        fixture_free(&f);
    }
}

static void a_chunk_that_is_given_up_before_it_is_begun_takes_no_lock(void **state)
{
    struct fixture f;

    (void)state;
    fixture_make(&f);
    atomic_store(&f.task.give_up, true);
    assert_ptr_equal(next_done(&f), &f.task);
    assert_int_equal(f.task.outcome, NW_COPY_UNREAD);
    assert_int_equal(f.script.in.size, 0);
    fixture_free(&f);
}

/* A copy of one row whose messages, but for the last, are these. */
static void malformed(struct nw_bytes header, struct nw_bytes row, struct nw_bytes trailer,
                      nw_status expected)
{
    struct fixture f;

    fixture_make(&f);
    say(&f, 'C', "BEGIN", 6);
    say_checks(&f, SNAPSHOT, "t");
    say(&f, 'H', "\1\0\0", 3);
    say(&f, 'd', header.at, header.size);
    say(&f, 'd', row.at, row.size);
    say(&f, 'd', trailer.at, trailer.size);
    say(&f, 'Z', "I", 1);
    (void)finish(&f);
    assert_int_equal(f.task.outcome, expected == NW_OK ? NW_COPY_DONE : NW_COPY_FAILED);
    assert_int_equal(f.task.error.status, expected);
    fixture_free(&f);
}

/* What a row's fields hold is for whoever decodes it. */
static void malformed_data_is_corrupt(void **state)
{
    static const uint8_t end[] = {0xff, 0xff, 0};
    const struct nw_bytes trailer = {end, 2};
    struct wire header = {0};
    struct wire row = {0};

    (void)state;
    header_put(&header);
    tuple_put(&row, 1, 5);
    const struct nw_bytes first = {header.bytes, header.size};
    const struct nw_bytes second = {row.bytes, row.size};

    malformed(first, second, trailer, NW_OK);
    for (size_t size = 0; size < header.size; size++) {
        malformed((struct nw_bytes){header.bytes, size}, second, trailer, NW_CORRUPT);
    }
    for (size_t size = 0; size < 2; size++) {
        malformed(first, (struct nw_bytes){row.bytes, size}, trailer, NW_CORRUPT);
        malformed(first, second, (struct nw_bytes){end, size}, NW_CORRUPT);
    }
    malformed(first, second, (struct nw_bytes){end, 3}, NW_CORRUPT); /* more behind the trailer */
    malformed(first, trailer, trailer, NW_CORRUPT);
    malformed(first, trailer, second, NW_CORRUPT);
    row.bytes[1] = 3; /* fields */
    malformed(first, second, trailer, NW_CORRUPT);
    row.bytes[1] = 2;
    header.bytes[0] = 'p';
    malformed(first, second, trailer, NW_CORRUPT);
    header.bytes[0] = 'P';
    header.bytes[12] = 1; /* a critical flag: with oids */
    malformed(first, second, trailer, NW_CORRUPT);
    header.bytes[12] = 0;
    malformed(first, second, trailer, NW_OK);
    wire_free(&header);
    wire_free(&row);
}

/* As PostgreSQL sends them up to version 18. */
static void the_first_row_may_come_with_the_header(void **state)
{
    struct fixture f;
    struct wire both = {0};

    (void)state;
    fixture_make(&f);
    header_put(&both);
    tuple_put(&both, 1, 5);
    say(&f, 'C', "BEGIN", 6);
    say_checks(&f, SNAPSHOT, "t");
    say(&f, 'H', "\1\0\0", 3);
    say(&f, 'd', both.bytes, both.size);
    say_row(&f, 2, 3);
    say_end(&f);
    assert_int_equal(finish(&f), 2);
    assert_int_equal(f.task.outcome, NW_COPY_DONE);
    wire_free(&both);
    fixture_free(&f);
}

static void rows_before_their_checks_are_corrupt(void **state)
{
    struct fixture f;
    struct wire header = {0};

    (void)state;
    fixture_make(&f);
    header_put(&header);
    say(&f, 'H', "\1\0\0", 3);
    say(&f, 'd', header.bytes, header.size);
    (void)finish(&f);
    assert_int_equal(f.task.outcome, NW_COPY_FAILED);
    assert_int_equal(f.task.error.status, NW_CORRUPT);
    wire_free(&header);
    fixture_free(&f);
}

static void a_chunk_whose_session_broke_goes_on_with_another(void **state)
{
    struct fixture f;
    size_t whole = 0;

    (void)state;
    fixture_make(&f);
    say_begin(&f);
    say_row(&f, 1, 5);
    say_end(&f);
    whole = f.script.out.size;
    fixture_free(&f);
    for (size_t size = 0; size < whole; size += 5) {
        struct script other = {.stream = {.ops = &script_ops, .transport = NW_TRANSPORT_MODEL},
                               .piece = SIZE_MAX};
        struct script former;
        uint64_t rows = 0;

        fixture_make(&f);
        say_begin(&f);
        say_row(&f, 1, 5);
        say_end(&f);
        f.script.out.size = size;
        f.script.ends = true;
        rows = finish(&f);
        assert_int_equal(f.task.outcome, NW_COPY_BROKEN);
        assert_int_equal(f.task.rows, rows);
        former = f.script;
        f.script = other;
        f.task.stream = &f.script.stream;
        f.task.turn++;
        assert_true(nw_spsc_push(f.tasks, &f.task));
        say_begin(&f);
        if (rows == 0) {
            say_row(&f, 1, 5);
        }
        say_end(&f);
        assert_int_equal(rows + finish(&f), 1);
        assert_int_equal(f.task.outcome, NW_COPY_DONE);
        wire_free(&former.out);
        wire_free(&former.in);
        fixture_free(&f);
    }
}

static void rows_wait_no_longer_than_a_moment_for_a_full_block(void **state)
{
    struct fixture f;
    struct nw_block *block = NULL;

    (void)state;
    fixture_make(&f);
    say_begin(&f);
    say_row(&f, 1, 1);
    step(&f);
    step(&f);
    kit_back(&f.kit, kit_expect(&f.kit, NW_BLOCK_COPY_BEGIN));
    assert_null(kit_next(&f.kit));
    f.now_ns += 20000000;
    step(&f);
    block = kit_expect(&f.kit, NW_BLOCK_COPY);
    assert_int_equal(block->frames_count, 1);
    kit_back(&f.kit, block);
    fixture_free(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_table_is_begun_filled_and_ended),
        cmocka_unit_test(pieces_of_any_size_make_the_same_rows),
        cmocka_unit_test(an_empty_table_has_a_begin_and_an_end),
        cmocka_unit_test(back_pressure_loses_and_repeats_nothing),
        cmocka_unit_test(another_table_follows_on_the_same_connection),
        cmocka_unit_test(what_was_given_ahead_is_read_at_once),
        cmocka_unit_test(what_was_given_ahead_comes_back_unread_behind_a_failure),
        cmocka_unit_test(a_chunk_that_is_given_up_before_it_is_begun_takes_no_lock),
        cmocka_unit_test(checks_that_fail_end_the_copy),
        cmocka_unit_test(what_the_server_says_decides_what_becomes_of_a_chunk),
        cmocka_unit_test(a_refused_chunk_goes_on_with_its_rows_counted_and_one_begin),
        cmocka_unit_test(a_chunk_that_is_given_up_is_read_to_its_end_and_dropped),
        cmocka_unit_test(malformed_data_is_corrupt),
        cmocka_unit_test(the_first_row_may_come_with_the_header),
        cmocka_unit_test(rows_before_their_checks_are_corrupt),
        cmocka_unit_test(a_chunk_whose_session_broke_goes_on_with_another),
        cmocka_unit_test(rows_wait_no_longer_than_a_moment_for_a_full_block),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
