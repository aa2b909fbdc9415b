/* SPDX-License-Identifier: Apache-2.0 */
/* Tables whose changes are kept: what goes into a backlog, and what is dealt out of it. */
#include "dealer_kit.h"

#include "io/env_model.h"
#include "source/backlog.h"
#include "source/stream_private.h"

#define TABLE 100u
#define OTHER 200u

struct story {
    struct kit kit;
    struct nw_env *env;
    struct nw_backlog_options options;
    struct nw_backlog *backlog;
};

static void backlog_steps(struct story *s)
{
    for (int i = 0; i < 200; i++) {
        uint32_t work = 0;

        nw_env_model_advance(s->env, 1000000);
        assert_int_equal(
            nw_backlog_step(s->backlog, s->env->ops->now_ns(s->env), &work, &s->kit.err), NW_OK);
    }
}

static void story_begin(struct story *s)
{
    memset(s, 0, sizeof *s);
    kit_init(&s->kit, 32, false);
    kit_know(&s->kit, TABLE);
    kit_know(&s->kit, OTHER);
    nw_dealer_advance(s->kit.dealer, 900);
    assert_int_equal(nw_env_model_create(1, &s->env, &s->kit.err), NW_OK);
    s->options =
        (struct nw_backlog_options){.env = s->env, .folder = "/backlog", .quota_bytes = 4u << 20};
}

static void story_end(struct story *s)
{
    nw_backlog_destroy(s->backlog);
    nw_env_model_destroy(s->env);
    kit_fini(&s->kit);
}

/* What comes of the table that stops is kept. */
static void stop_keep(struct story *s)
{
    const struct nw_dealer_stop *stop = nw_dealer_stopping(s->kit.dealer);

    assert_non_null(stop);
    assert_int_equal(nw_backlog_begin(&s->options, stop->table, stop->seen, stop->place,
                                      &s->backlog, &s->kit.err),
                     NW_OK);
    assert_int_equal(nw_dealer_stopped(s->kit.dealer, s->backlog, &s->kit.err), NW_OK);
}

/* The table is paused, as the source would do it. */
static void pause_table(struct story *s)
{
    const struct nw_dealer_stop *stop = NULL;

    assert_int_equal(nw_dealer_pause(s->kit.dealer, TABLE, &s->kit.err), NW_OK);
    stop = nw_dealer_stopping(s->kit.dealer);
    assert_non_null(stop);
    assert_true(stop->paused && stop->keeps);
    stop_keep(s);
}

static void transaction(struct story *s, uint64_t lsn, uint32_t rows)
{
    kit_begin(&s->kit, lsn);
    for (uint32_t i = 0; i < rows; i++) {
        kit_row(&s->kit, OTHER, lsn + 1);
        kit_row(&s->kit, TABLE, lsn + 2);
    }
    kit_commit(&s->kit, lsn);
}

/* Deals all that can be read. @return whether that is the end of what was kept */
static bool play(struct story *s)
{
    struct kit *kit = &s->kit;
    bool end = false;

    assert_int_equal(nw_dealer_play_begin(kit->dealer, s->backlog, &kit->err), NW_OK);
    while (!end) {
        struct nw_backlog_record record;
        nw_status status = nw_backlog_next(s->backlog, &record, &end, &kit->err);

        if (status == NW_AGAIN) {
            backlog_steps(s);
            continue;
        }
        assert_int_equal(status, NW_OK);
        status = end ? NW_OK : nw_dealer_play(kit->dealer, &record, 1, &kit->err);
        if (status == NW_AGAIN && nw_dealer_unknown(kit->dealer) != NULL) {
            struct nw_table described = kit_table(TABLE);

            assert_int_equal(nw_dealer_describe(kit->dealer, &described, &kit->err), NW_OK);
            status = nw_dealer_play(kit->dealer, &record, 1, &kit->err);
        }
        assert_int_equal(status, NW_OK);
    }
    end = nw_dealer_play_is_whole(kit->dealer);
    assert_int_equal(nw_dealer_play_end(kit->dealer, end, 1, &kit->err), NW_OK);
    return end;
}

/* Takes what was dealt. @return rows of the table; all of them out of its backlog, or none */
static uint32_t dealt(struct story *s, bool of_backlog)
{
    struct nw_block *block = NULL;
    uint32_t rows = 0;

    while ((block = kit_next(&s->kit)) != NULL) {
        if (block->kind == NW_BLOCK_CHANGES && block->table->relation_oid == TABLE) {
            assert_int_equal(block->backlog_oid, of_backlog ? TABLE : 0);
            for (uint32_t i = 0; i < block->frames_count; i++) {
                assert_int_equal(block->frames[i].seq % 2, 1); /* as it was in the stream */
            }
            rows += block->frames_count;
        }
        kit_back(&s->kit, block);
    }
    return rows;
}

static struct nw_place behind(struct story *s)
{
    struct nw_behind_list list;
    struct nw_identity identity;
    struct nw_block *block = NULL;
    uint64_t lsn = 0;

    assert_int_equal(nw_dealer_end_epoch(s->kit.dealer, true, 1, &lsn, &s->kit.err), NW_OK);
    while ((block = kit_next(&s->kit)) != NULL && block->kind != NW_BLOCK_EPOCH_END) {
        kit_back(&s->kit, block);
    }
    assert_non_null(block);
    assert_int_equal(nw_position_unpack((struct nw_bytes){block->bytes, block->position.size},
                                        &identity, &lsn, &list, &s->kit.err),
                     NW_OK);
    kit_back(&s->kit, block);
    return list.count == 0 ? (struct nw_place){0} : list.tables[0].place;
}

static void what_is_kept_is_dealt_later_in_its_order(void **state)
{
    struct story s;

    (void)state;
    story_begin(&s);
    transaction(&s, 1000, 2);
    kit_flush(&s.kit);
    assert_int_equal(dealt(&s, false), 2);
    pause_table(&s);
    transaction(&s, 2000, 3);
    transaction(&s, 3000, 1);
    kit_flush(&s.kit);
    assert_int_equal(dealt(&s, false), 0);
    assert_int_equal(kit_state(&s.kit).rows_kept, 4);
    assert_int_equal(behind(&s).commit_lsn, 1008); /* where it was paused */
    backlog_steps(&s);
    assert_true(play(&s));
    assert_int_equal(dealt(&s, true), 4);
    assert_int_equal(behind(&s).commit_lsn, 0); /* not any more */
    transaction(&s, 4000, 1);
    kit_flush(&s.kit);
    assert_int_equal(dealt(&s, false), 1);
    story_end(&s);
}

static void a_connection_that_breaks_doubles_nothing(void **state)
{
    struct story s;

    (void)state;
    story_begin(&s);
    pause_table(&s);
    kit_begin(&s.kit, 2000);
    kit_row(&s.kit, OTHER, 1);
    kit_row(&s.kit, TABLE, 2);
    nw_dealer_reconnected(s.kit.dealer);
    transaction(&s, 2000, 2);
    nw_dealer_reconnected(s.kit.dealer);
    transaction(&s, 2000, 2);
    transaction(&s, 3000, 1);
    backlog_steps(&s);
    (void)kit_drop_all(&s.kit);
    assert_true(play(&s));
    assert_int_equal(dealt(&s, true), 3);
    story_end(&s);
}

/* What a crash leaves of the transaction under way is dealt, and what comes again of it is not. */
static void a_transaction_that_a_crash_broke_off_is_dealt_once(void **state)
{
    struct story s;

    (void)state;
    story_begin(&s);
    pause_table(&s);
    transaction(&s, 2000, 1);
    kit_begin(&s.kit, 3000);
    kit_row(&s.kit, OTHER, 1);
    kit_row(&s.kit, TABLE, 2);
    backlog_steps(&s);
    assert_int_equal(nw_backlog_end_lsn(s.backlog), 2008);
    nw_backlog_destroy(s.backlog);
    kit_fini(&s.kit);
    kit_init(&s.kit, 32, false);
    kit_know(&s.kit, TABLE);
    kit_know(&s.kit, OTHER);
    assert_int_equal(nw_backlog_open(&s.options, TABLE, 2008, &s.backlog, &s.kit.err), NW_OK);
    assert_non_null(s.backlog);
    nw_dealer_backlog(s.kit.dealer, s.backlog);
    transaction(&s, 2000, 1); /* sent again, and kept before */
    backlog_steps(&s);
    (void)kit_drop_all(&s.kit);
    assert_false(play(&s));
    assert_int_equal(dealt(&s, true), 2);
    assert_int_equal(behind(&s).commit_lsn, 3000);
    transaction(&s, 3000, 3);
    backlog_steps(&s);
    assert_true(play(&s));
    assert_int_equal(dealt(&s, true), 2);
    story_end(&s);
}

static void what_was_reached_and_is_not_there_is_said(void **state)
{
    struct nw_backlog *none = NULL;
    struct story s;

    (void)state;
    story_begin(&s);
    pause_table(&s);
    transaction(&s, 2000, 1);
    backlog_steps(&s);
    assert_int_equal(nw_backlog_synced_lsn(s.backlog), 2008);
    assert_int_equal(nw_backlog_limit_lsn(s.backlog), UINT64_MAX);
    transaction(&s, 3000, 1);
    assert_int_equal(nw_backlog_limit_lsn(s.backlog), 2008);
    nw_backlog_destroy(s.backlog); /* never written */
    assert_int_equal(nw_backlog_open(&s.options, TABLE, 3008, &none, &s.kit.err), NW_FATAL);
    assert_null(none);
    assert_int_equal(nw_backlog_open(&s.options, TABLE, 2008, &s.backlog, &s.kit.err), NW_OK);
    story_end(&s);
}

/* A crash needs it until all that was dealt of it is durable at the sinks. */
static void what_was_dealt_holds_back_what_is_acknowledged_until_it_goes(void **state)
{
    struct nw_source *source = calloc(1, sizeof *source);
    struct nw_backlog_reached reached;
    struct story s;

    (void)state;
    assert_non_null(source);
    story_begin(&s);
    pause_table(&s);
    transaction(&s, 2000, 1);
    backlog_steps(&s);
    transaction(&s, 3000, 1); /* not synced */
    source->backlogs.first = s.backlog;
    s.backlog->state = NW_BACKLOG_DONE;
    assert_int_equal(nw_source_limit_lsn(source), 2008);
    nw_source_reached(source, &reached);
    assert_int_equal(reached.count, 1);
    assert_int_equal(reached.tables[0].lsn, 2008);
    source->backlogs.ending = s.backlog; /* it is durable, and goes */
    assert_true(nw_source_limit_lsn(source) == UINT64_MAX);
    nw_source_reached(source, &reached);
    assert_int_equal(reached.count, 0);
    free(source);
    story_end(&s);
}

static void more_than_the_quota_gives_it_up(void **state)
{
    nw_status status = NW_OK;
    struct story s;
    uint64_t stopped_lsn = 0;

    (void)state;
    story_begin(&s);
    s.options.quota_bytes = 1u << 20;
    pause_table(&s);
    for (uint64_t lsn = 2000; status == NW_OK; lsn += 1000) {
        kit_begin(&s.kit, lsn);
        for (uint32_t i = 0; i < 300 && status == NW_OK; i++) {
            status = kit_row_try(&s.kit, TABLE, lsn);
        }
        status = status == NW_OK ? kit_commit_try(&s.kit, lsn) : status;
        backlog_steps(&s);
        assert_true(lsn < 1000000);
    }
    assert_int_equal(status, NW_AGAIN);
    assert_ptr_equal(nw_dealer_stopping(s.kit.dealer)->given_up, s.backlog);
    assert_non_null(strstr(nw_dealer_stopping(s.kit.dealer)->reason, "limits.backlog"));
    stopped_lsn = nw_dealer_stopping(s.kit.dealer)->place.commit_lsn;
    assert_int_equal(nw_dealer_stopped(s.kit.dealer, NULL, &s.kit.err), NW_OK);
    assert_int_equal(s.backlog->state, NW_BACKLOG_GIVEN_UP);
    kit_row(&s.kit, TABLE, 1);
    assert_int_equal(kit_state(&s.kit).rows_left_out, 1);
    kit_commit(&s.kit, stopped_lsn);
    assert_int_equal(behind(&s).commit_lsn, stopped_lsn); /* positions go on saying so */
    story_end(&s);
}

/* What is kept for one sink is dealt as it comes, too; its past has a version of its own. */
static void what_is_kept_for_some_is_dealt_to_the_others(void **state)
{
    struct story s;
    struct nw_block *block = NULL;
    const struct nw_dealer_stop *stop = NULL;

    (void)state;
    story_begin(&s);
    nw_dealer_apart(s.kit.dealer, &(struct nw_apart){TABLE, 2, 950});
    kit_begin(&s.kit, 2000);
    assert_int_equal(kit_row_try(&s.kit, TABLE, 2001), NW_AGAIN);
    stop = nw_dealer_stopping(s.kit.dealer);
    assert_true(stop->keeps && stop->sinks == 2 && !stop->again);
    assert_int_equal(stop->place.commit_lsn, 950); /* nothing came of it since */
    stop_keep(&s);
    kit_row(&s.kit, TABLE, 2001);
    kit_row(&s.kit, TABLE, 2002);
    kit_commit(&s.kit, 2000);
    kit_flush(&s.kit);
    block = kit_expect(&s.kit, NW_BLOCK_CHANGES);
    assert_int_equal(block->backlog_oid, 0);
    assert_int_equal(block->frames_count, 2);
    kit_back(&s.kit, block);
    assert_int_equal(behind(&s).commit_lsn, 950);
    backlog_steps(&s);
    assert_true(play(&s));
    while ((block = kit_next(&s.kit)) != NULL && block->kind == NW_BLOCK_EVENT) {
        kit_back(&s.kit, block);
    }
    assert_int_equal(block->kind, NW_BLOCK_CHANGES);
    assert_int_equal(block->backlog_oid, TABLE);
    assert_int_equal(block->frames_count, 2);
    kit_back(&s.kit, block);
    block = kit_expect(&s.kit, NW_BLOCK_COPY_END);
    assert_true(block->mark.rejoins);
    assert_int_equal(block->mark.joining_sinks, 2);
    kit_back(&s.kit, block);
    assert_int_equal(behind(&s).commit_lsn, 0);
    /* The sequencers know it as one that is kept for some until they begin anew. */
    assert_int_equal(nw_dealer_pause(s.kit.dealer, TABLE, &s.kit.err), NW_OK);
    assert_true(nw_dealer_stopping(s.kit.dealer)->again);
    story_end(&s);
}

/* The catalog has the table under this name. */
static void describe_table(struct story *s, const char *name)
{
    struct nw_table described = kit_table(TABLE);

    described.name = name;
    assert_non_null(nw_dealer_unknown(s->kit.dealer));
    assert_int_equal(nw_dealer_describe(s->kit.dealer, &described, &s->kit.err), NW_OK);
}

/* The stream says that the table has another name now. */
static void rename_table(struct story *s, const char *name)
{
    wire_clear(&s->kit.wire);
    wire_relation(&s->kit.wire, 0, TABLE, name, 'd', kit_columns, 2);
    assert_int_equal(kit_take(&s->kit, 1), NW_AGAIN);
    describe_table(s, name);
    assert_int_equal(kit_take(&s->kit, 1), NW_OK);
}

/* Plays one transaction of what is kept; then it is the stream's turn. */
static void play_turn(struct story *s)
{
    struct nw_backlog_record record = {0};
    bool end = false;

    assert_int_equal(nw_dealer_play_begin(s->kit.dealer, s->backlog, &s->kit.err), NW_OK);
    while (record.kind != 'C') {
        nw_status status = nw_backlog_next(s->backlog, &record, &end, &s->kit.err);

        if (status == NW_AGAIN) {
            backlog_steps(s);
            continue;
        }
        assert_int_equal(status, NW_OK);
        assert_false(end);
        status = nw_dealer_play(s->kit.dealer, &record, 1, &s->kit.err);
        if (status == NW_AGAIN) {
            describe_table(s, "u");
            status = nw_dealer_play(s->kit.dealer, &record, 1, &s->kit.err);
        }
        assert_int_equal(status, NW_OK);
    }
    assert_int_equal(nw_dealer_play_end(s->kit.dealer, false, 1, &s->kit.err), NW_OK);
}

/* The name under which the next rows of the table are dealt, and whether out of its backlog. */
static void expect_rows_of(struct story *s, const char *name, bool of_backlog)
{
    struct nw_block *block = NULL;

    while ((block = kit_next(&s->kit)) != NULL && block->kind != NW_BLOCK_CHANGES) {
        kit_back(&s->kit, block);
    }
    assert_non_null(block);
    assert_string_equal(block->table->name, name);
    assert_int_equal(block->backlog_oid, of_backlog ? TABLE : 0);
    kit_back(&s->kit, block);
    assert_null(kit_next(&s->kit));
}

/* A turn of the past of a table that changed is dealt as it was, and what comes then as it is. */
static void the_past_of_a_table_and_its_present_take_turns(void **state)
{
    struct story s;

    (void)state;
    story_begin(&s);
    nw_dealer_apart(s.kit.dealer, &(struct nw_apart){TABLE, 2, 950});
    kit_begin(&s.kit, 2000);
    assert_int_equal(kit_row_try(&s.kit, TABLE, 2001), NW_AGAIN);
    stop_keep(&s);
    kit_row(&s.kit, TABLE, 2001);
    kit_commit(&s.kit, 2000);
    kit_begin(&s.kit, 3000);
    kit_row(&s.kit, TABLE, 3001);
    kit_commit(&s.kit, 3000);
    kit_flush(&s.kit);
    expect_rows_of(&s, "t", false);
    kit_begin(&s.kit, 4000);
    rename_table(&s, "u");
    kit_row(&s.kit, TABLE, 4001);
    kit_commit(&s.kit, 4000);
    kit_flush(&s.kit);
    expect_rows_of(&s, "u", false);
    backlog_steps(&s);
    for (uint64_t turn = 0; turn < 3; turn++) {
        play_turn(&s);
        expect_rows_of(&s, turn < 2 ? "t" : "u", true);
        kit_begin(&s.kit, 5000 + turn * 1000);
        kit_row(&s.kit, TABLE, 5000 + turn * 1000);
        kit_commit(&s.kit, 5000 + turn * 1000);
        kit_flush(&s.kit);
        expect_rows_of(&s, "u", false);
    }
    story_end(&s);
}

/* A truncate of several tables is kept for one, and dealt for the other. */
static void a_truncate_is_kept_for_its_table(void **state)
{
    struct story s;
    struct nw_block *block = NULL;
    uint32_t truncates = 0;

    (void)state;
    story_begin(&s);
    pause_table(&s);
    kit_begin(&s.kit, 2000);
    wire_clear(&s.kit.wire);
    wire_truncate(&s.kit.wire, 0, 0, (const uint32_t[]){OTHER, TABLE}, 2);
    assert_int_equal(kit_take(&s.kit, 1), NW_OK);
    kit_commit(&s.kit, 2000);
    while ((block = kit_next(&s.kit)) != NULL) {
        truncates += block->event.kind == NW_EVENT_TRUNCATE;
        assert_int_equal(block->event.tables[0]->relation_oid, OTHER);
        kit_back(&s.kit, block);
    }
    assert_int_equal(truncates, 1);
    backlog_steps(&s);
    assert_true(play(&s));
    block = kit_expect(&s.kit, NW_BLOCK_EVENT);
    assert_int_equal(block->event.kind, NW_EVENT_TRUNCATE);
    assert_int_equal(block->event.tables[0]->relation_oid, TABLE);
    assert_int_equal(block->event.commit_lsn, 2000);
    assert_int_equal(block->backlog_oid, TABLE);
    kit_back(&s.kit, block);
    story_end(&s);
}

/* ---- what the columns were ---- */

/* The table as the stream has it, which the catalog has moved past. */
static void past_wire(struct story *s)
{
    static const struct wire_column past[2] = {{"id", 20, -1, true}, {"was", 25, -1, false}};

    wire_clear(&s->kit.wire);
    wire_relation(&s->kit.wire, 0, TABLE, "t", 'd', past, 2);
}

static void past_take(struct story *s)
{
    struct nw_table described = kit_table(TABLE);

    past_wire(s);
    if (kit_take(&s->kit, 1) == NW_AGAIN) {
        assert_int_equal(nw_dealer_describe(s->kit.dealer, &described, &s->kit.err), NW_OK);
        past_wire(s);
        assert_int_equal(kit_take(&s->kit, 1), NW_OK);
    }
}

/* Another process, which finds the table in the catalog. */
static void process_begin(struct story *s)
{
    nw_backlog_destroy(s->backlog);
    s->backlog = NULL;
    kit_fini(&s->kit);
    kit_init(&s->kit, 32, false);
    kit_know(&s->kit, TABLE);
    kit_know(&s->kit, OTHER);
    assert_int_equal(nw_backlog_open(&s->options, TABLE, 0, &s->backlog, &s->kit.err), NW_OK);
    assert_non_null(s->backlog);
    nw_dealer_backlog(s->kit.dealer, s->backlog);
}

/* Plays what was kept. @return the rows that were dealt with the columns of the past */
static uint32_t past_dealt(struct story *s)
{
    struct nw_block *block = NULL;
    uint32_t rows = 0;

    backlog_steps(s);
    assert_true(play(s));
    while ((block = kit_next(&s->kit)) != NULL) {
        if (block->kind == NW_BLOCK_CHANGES && block->backlog_oid == TABLE) {
            assert_string_equal(block->table->columns[1].name, "was");
            rows += block->frames_count;
        }
        kit_back(&s->kit, block);
    }
    return rows;
}

/* A spool whose beginning went begins with what the server had said, before any transaction. */
static void what_a_spool_begins_with_is_kept(void **state)
{
    struct story s;

    (void)state;
    story_begin(&s);
    pause_table(&s);
    past_wire(&s);
    assert_int_equal(nw_dealer_resume(s.kit.dealer, wire_slice(&s.kit.wire), &s.kit.err), NW_OK);
    transaction(&s, 2000, 2);
    backlog_steps(&s);
    process_begin(&s);
    (void)kit_drop_all(&s.kit);
    assert_int_equal(past_dealt(&s), 2);
    story_end(&s);
}

/* It would be taken for what the columns were before those that the stream has. */
static void what_only_the_catalog_has_is_not_kept(void **state)
{
    struct nw_backlog_record record = {0};
    struct nw_relation relation;
    bool end = false;
    struct story s;

    (void)state;
    story_begin(&s);
    pause_table(&s);
    assert_int_equal(nw_backlog_end_lsn(s.backlog), 900);
    kit_begin(&s.kit, 2000);
    kit_relation_wire(&s.kit, TABLE);
    assert_int_equal(kit_take(&s.kit, 1), NW_OK);
    assert_false(nw_dealer_wants_text(s.kit.dealer)); /* that is what the catalog has */
    kit_commit(&s.kit, 2000);
    story_end(&s);
    story_begin(&s);
    pause_table(&s);
    kit_begin(&s.kit, 2000);
    past_take(&s);
    assert_true(nw_dealer_wants_text(s.kit.dealer));
    kit_row(&s.kit, TABLE, 1);
    kit_commit(&s.kit, 2000);
    backlog_steps(&s);
    while (record.kind != 'M') {
        nw_status status = nw_backlog_next(s.backlog, &record, &end, &s.kit.err);

        assert_true(status == NW_AGAIN || status == NW_OK);
        backlog_steps(&s);
    }
    assert_int_equal(nw_pgoutput_relation_parse(record.message, &relation, &s.kit.err), NW_OK);
    assert_string_equal(relation.columns[1].name, "was");
    story_end(&s);
}

/* What the stream showed goes into it at once: the server does not say it again. */
static void what_the_stream_showed_is_kept_at_the_beginning(void **state)
{
    struct story s;

    (void)state;
    story_begin(&s);
    kit_begin(&s.kit, 1000);
    past_take(&s);
    kit_row(&s.kit, TABLE, 1);
    kit_commit(&s.kit, 1000);
    kit_flush(&s.kit);
    pause_table(&s);
    transaction(&s, 2000, 1);
    backlog_steps(&s);
    process_begin(&s);
    assert_int_equal(past_dealt(&s), 1);
    story_end(&s);
}

/* The process that began it had seen nothing of the table. A later one is sent more of its past. */
static void what_was_said_before_the_beginning_is_kept_with_the_first_change(void **state)
{
    struct story s;

    (void)state;
    story_begin(&s);
    pause_table(&s);
    process_begin(&s);
    kit_begin(&s.kit, 800);
    past_take(&s);
    kit_row(&s.kit, TABLE, 1);
    kit_commit(&s.kit, 800);
    transaction(&s, 2000, 1);
    assert_false(s.backlog->relation_size == 0 || !s.backlog->relation_added);
    transaction(&s, 3000, 1);
    backlog_steps(&s);
    process_begin(&s);
    (void)kit_drop_all(&s.kit);
    assert_int_equal(past_dealt(&s), 2);
    story_end(&s);
}

/* What is kept of it would not outlive the copy that was asked for meanwhile. */
static void a_table_that_is_copied_is_not_paused(void **state)
{
    struct story s;

    (void)state;
    story_begin(&s);
    s.kit.copied_oid = TABLE;
    assert_int_equal(nw_dealer_pause(s.kit.dealer, TABLE, &s.kit.err), NW_OK);
    assert_null(nw_dealer_stopping(s.kit.dealer));
    s.kit.copied_oid = 0;
    pause_table(&s);
    story_end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_kept_is_dealt_later_in_its_order),
        cmocka_unit_test(a_connection_that_breaks_doubles_nothing),
        cmocka_unit_test(a_transaction_that_a_crash_broke_off_is_dealt_once),
        cmocka_unit_test(what_was_reached_and_is_not_there_is_said),
        cmocka_unit_test(what_was_dealt_holds_back_what_is_acknowledged_until_it_goes),
        cmocka_unit_test(more_than_the_quota_gives_it_up),
        cmocka_unit_test(what_is_kept_for_some_is_dealt_to_the_others),
        cmocka_unit_test(the_past_of_a_table_and_its_present_take_turns),
        cmocka_unit_test(a_truncate_is_kept_for_its_table),
        cmocka_unit_test(a_table_that_is_copied_is_not_paused),
        cmocka_unit_test(what_a_spool_begins_with_is_kept),
        cmocka_unit_test(what_only_the_catalog_has_is_not_kept),
        cmocka_unit_test(what_the_stream_showed_is_kept_at_the_beginning),
        cmocka_unit_test(what_was_said_before_the_beginning_is_kept_with_the_first_change),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
