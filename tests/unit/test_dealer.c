/* SPDX-License-Identifier: Apache-2.0 */
/* The dealer: what it deals, in which order, and that a broken connection changes nothing. */
#include "dealer_kit.h"

static void rows_keep_their_order_and_their_index_in_the_transaction(void **state)
{
    struct kit kit;
    struct nw_block *first = NULL;
    struct nw_block *second = NULL;

    (void)state;
    kit_init(&kit, 8, false);
    kit_know(&kit, 100);
    kit_know(&kit, 101);
    kit_begin(&kit, 1000);
    kit_row(&kit, 100, 901);
    kit_row(&kit, 101, 902);
    kit_row(&kit, 100, 903);
    kit_commit(&kit, 1000);
    kit_begin(&kit, 1100);
    kit_row(&kit, 101, 1050);
    kit_commit(&kit, 1100);
    assert_null(kit_next(&kit)); /* blocks stay open until a flush */
    kit_flush(&kit);

    first = kit_expect(&kit, NW_BLOCK_CHANGES);
    second = kit_expect(&kit, NW_BLOCK_CHANGES);
    assert_null(kit_next(&kit));
    assert_int_equal(first->table->relation_oid, 100);
    assert_int_equal(first->frames_count, 2);
    assert_int_equal(first->frames[0].seq, 0);
    assert_int_equal(first->frames[1].seq, 2);
    assert_int_equal(first->frames[1].row_lsn, 903);
    assert_int_equal(first->transactions_count, 1);
    assert_int_equal(first->transactions[0].commit_lsn, 1000);
    assert_int_equal(second->frames_count, 2);
    assert_int_equal(second->frames[0].seq, 1);
    assert_int_equal(second->frames[1].seq, 0);
    assert_int_equal(second->transactions[second->frames[1].transaction].commit_lsn, 1100);
    assert_int_equal(second->transactions[1].xid, 1100);
    assert_false(first->cut);
    assert_true(second->cut); /* the last of a flush, and only it */
    kit_back(&kit, first);
    kit_back(&kit, second);
    kit_fini(&kit);
}

static void a_full_block_leaves_with_all_others(void **state)
{
    struct kit kit;
    struct nw_block *small = NULL;
    struct nw_block *full = NULL;

    (void)state;
    kit_init(&kit, 8, false);
    kit_know(&kit, 100);
    kit_know(&kit, 101);
    kit_begin(&kit, 1000);
    kit_row(&kit, 101, 1);
    for (uint32_t i = 0; i < NW_BLOCK_ROWS_MAX; i++) {
        kit_row(&kit, 100, 2 + i);
    }
    assert_null(kit_next(&kit));
    kit_row(&kit, 100, 9000);
    small = kit_expect(&kit, NW_BLOCK_CHANGES);
    full = kit_expect(&kit, NW_BLOCK_CHANGES);
    assert_int_equal(small->frames_count, 1);
    assert_int_equal(full->frames_count, NW_BLOCK_ROWS_MAX);
    assert_true(full->cut);
    assert_null(kit_next(&kit));
    kit_back(&kit, small);
    kit_back(&kit, full);
    kit_fini(&kit);
}

static void a_large_row_has_a_block_of_its_own(void **state)
{
    struct kit kit;
    struct nw_block *block = NULL;
    char *large = malloc(NW_BLOCK_BYTES + 1);

    (void)state;
    assert_non_null(large);
    memset(large, 'x', NW_BLOCK_BYTES);
    large[NW_BLOCK_BYTES] = '\0';
    kit_init(&kit, 8, false);
    kit_know(&kit, 100);
    kit_begin(&kit, 1000);
    kit_row(&kit, 100, 1);
    wire_clear(&kit.wire);
    wire_insert(&kit.wire, 0, 100, "2", large);
    assert_int_equal(kit_take(&kit, 2), NW_OK);
    kit_row(&kit, 100, 3);
    kit_flush(&kit);
    for (uint32_t i = 0; i < 3; i++) {
        block = kit_expect(&kit, NW_BLOCK_CHANGES);
        assert_int_equal(block->frames_count, 1);
        assert_int_equal(block->frames[0].seq, i);
        kit_back(&kit, block);
    }
    assert_null(kit_next(&kit));
    kit_fini(&kit);
    free(large);
}

/* However few blocks come back, each row is dealt once. */
static void back_pressure_loses_and_repeats_nothing(void **state)
{
    struct kit kit;
    uint64_t seen = 0;
    uint64_t again = 0;

    (void)state;
    kit_init(&kit, 4, true);
    for (uint32_t i = 0; i < 7; i++) { /* more tables than blocks */
        kit_know(&kit, 100 + i);
    }
    kit_begin(&kit, 1000);
    for (uint32_t i = 0; i < 500; i++) {
        nw_status status = NW_AGAIN;

        while ((status = kit_row_try(&kit, 100 + i % 7, i)) == NW_AGAIN) {
            struct nw_block *block = kit_next(&kit);

            again++;
            if (block != NULL) {
                for (uint32_t f = 0; block->kind == NW_BLOCK_CHANGES && f < block->frames_count;
                     f++) {
                    assert_int_equal(block->frames[f].seq, block->frames[f].row_lsn);
                    seen++;
                }
                kit_back(&kit, block);
            }
        }
        assert_int_equal(status, NW_OK);
    }
    while (kit_commit_try(&kit, 1000) == NW_AGAIN) {
        seen += kit_drop_all(&kit);
    }
    seen += kit_drop_all(&kit);
    assert_int_equal(seen, 500);
    assert_true(again > 100);
    assert_int_equal(kit_state(&kit).rows, 500);
    kit_fini(&kit);
}

static void no_more_than_the_window_is_in_flight(void **state)
{
    struct kit kit;
    struct nw_block *oldest = NULL;
    uint32_t dealt = 0;

    (void)state;
    kit_init(&kit, NW_BLOCKS_PER_PRODUCER, false);
    kit_know(&kit, 100);
    kit_begin(&kit, 1000);
    kit_row(&kit, 100, 1);
    kit_flush(&kit);
    oldest = kit_expect(&kit, NW_BLOCK_CHANGES);
    for (dealt = 1; dealt < 200; dealt++) { /* all but the oldest come back at once */
        if (kit_row_try(&kit, 100, 1) != NW_OK || nw_dealer_flush(kit.dealer, &kit.err) != NW_OK) {
            break;
        }
        (void)kit_drop_all(&kit);
    }
    assert_int_equal(dealt, NW_BLOCKS_PER_PRODUCER);
    kit_back(&kit, oldest);
    kit_flush(&kit);
    assert_int_equal(kit_drop_all(&kit), 1);
    kit_fini(&kit);
}

/* Sends transaction 1000 (rows 0 .. 9), cut off before the row `cut` at its first sending. */
static void send_again_after(uint32_t cut, bool flushed)
{
    struct kit kit;
    uint64_t next = 0;
    struct nw_block *block = NULL;

    kit_init(&kit, 16, false);
    kit_know(&kit, 100);
    kit_begin(&kit, 1000);
    for (uint32_t i = 0; i < cut; i++) {
        kit_row(&kit, 100, i);
    }
    if (flushed) {
        kit_flush(&kit);
    }
    nw_dealer_reconnected(kit.dealer);
    kit_begin(&kit, 500); /* the server begins earlier than that */
    kit_commit(&kit, 500);
    kit_begin(&kit, 1000);
    for (uint32_t i = 0; i < 10; i++) {
        kit_row(&kit, 100, i);
    }
    kit_commit(&kit, 1000);
    kit_flush(&kit);
    while ((block = kit_next(&kit)) != NULL) {
        for (uint32_t f = 0; f < block->frames_count; f++) {
            assert_int_equal(block->frames[f].seq, next);
            assert_int_equal(block->frames[f].row_lsn, next);
            assert_int_equal(block->transactions[block->frames[f].transaction].commit_lsn, 1000);
            next++;
        }
        kit_back(&kit, block);
    }
    assert_int_equal(next, 10);
    nw_dealer_reconnected(kit.dealer); /* and a third time, after its commit */
    kit_begin(&kit, 1000);
    kit_row(&kit, 100, 0);
    kit_commit(&kit, 1000);
    kit_flush(&kit);
    assert_null(kit_next(&kit));
    kit_fini(&kit);
}

static void after_a_reconnect_what_was_dealt_is_dropped(void **state)
{
    (void)state;
    for (uint32_t cut = 0; cut <= 10; cut++) {
        send_again_after(cut, true);
        send_again_after(cut, false);
    }
}

static void no_epoch_ends_while_a_broken_transaction_is_half_dealt(void **state)
{
    struct kit kit;
    uint64_t lsn = 0;

    (void)state;
    kit_init(&kit, 16, false);
    kit_know(&kit, 100);
    kit_begin(&kit, 900);
    kit_row(&kit, 100, 1);
    kit_commit(&kit, 900);
    assert_true(kit_state(&kit).between);
    kit_begin(&kit, 1000);
    kit_row(&kit, 100, 2);
    nw_dealer_reconnected(kit.dealer);
    assert_false(kit_state(&kit).between);
    nw_dealer_advance(kit.dealer, 2000); /* and no keepalive moves the position past it */
    assert_int_equal(kit_state(&kit).position_lsn, 908);
    kit_begin(&kit, 900);
    kit_row(&kit, 100, 1);
    kit_commit(&kit, 900);
    assert_false(kit_state(&kit).between);
    kit_begin(&kit, 1000);
    kit_row(&kit, 100, 2);
    kit_row(&kit, 100, 3);
    kit_commit(&kit, 1000);
    assert_true(kit_state(&kit).between);
    assert_int_equal(nw_dealer_end_epoch(kit.dealer, true, 5, &lsn, &kit.err), NW_OK);
    assert_int_equal(lsn, 1008);
    assert_int_equal(kit_drop_all(&kit), 3);
    kit_fini(&kit);
}

static void a_reconnect_between_transactions_leaves_epochs_free_to_end(void **state)
{
    struct kit kit;

    (void)state;
    kit_init(&kit, 16, false);
    kit_know(&kit, 100);
    kit_begin(&kit, 900);
    kit_row(&kit, 100, 1);
    kit_commit(&kit, 900);
    nw_dealer_reconnected(kit.dealer);
    assert_true(kit_state(&kit).between);
    kit_begin(&kit, 1000); /* nothing was dealt of this one */
    nw_dealer_reconnected(kit.dealer);
    assert_true(kit_state(&kit).between);
    kit_fini(&kit);
}

static void unwanted_tables_count_but_are_not_dealt(void **state)
{
    struct kit kit;
    struct nw_block *block = NULL;

    (void)state;
    kit_init(&kit, 8, false);
    kit.unwanted_oid = 101;
    kit_know(&kit, 100);
    kit_know(&kit, 101);
    kit_begin(&kit, 1000);
    kit_row(&kit, 101, 1);
    kit_row(&kit, 100, 2);
    kit_row(&kit, 101, 3);
    kit_row(&kit, 100, 4);
    kit_commit(&kit, 1000);
    kit_flush(&kit);
    block = kit_expect(&kit, NW_BLOCK_CHANGES);
    assert_int_equal(block->frames_count, 2);
    assert_int_equal(block->frames[0].seq, 1);
    assert_int_equal(block->frames[1].seq, 3);
    kit_back(&kit, block);
    assert_null(kit_next(&kit));
    kit_fini(&kit);
}

/* There was no room for the event of the last table when the connection broke. */
static void a_truncate_that_broke_off_between_two_tables_ends_no_epoch(void **state)
{
    static const uint32_t oids[] = {100, 101, 102, 103, 104};
    struct nw_block *blocks[4];
    struct nw_block *last = NULL;
    struct kit kit;

    (void)state;
    kit_init(&kit, 4, false);
    for (uint32_t i = 0; i < 5; i++) {
        kit_know(&kit, oids[i]);
    }
    for (int tries = 0; tries < 2; tries++) {
        kit_begin(&kit, 1000);
        wire_clear(&kit.wire);
        wire_truncate(&kit.wire, 0, 0, oids, 5);
        assert_int_equal(kit_take(&kit, 1), tries == 0 ? NW_AGAIN : NW_OK);
        for (uint32_t i = 0; i < 4 && tries == 0; i++) {
            blocks[i] = kit_expect(&kit, NW_BLOCK_EVENT);
        }
        if (tries == 0) {
            nw_dealer_reconnected(kit.dealer);
            assert_false(kit_state(&kit).between);
            for (uint32_t i = 0; i < 4; i++) {
                kit_back(&kit, blocks[i]);
            }
        }
    }
    last = kit_expect(&kit, NW_BLOCK_EVENT);
    assert_int_equal(last->event.tables[0]->relation_oid, 104);
    kit_back(&kit, last);
    kit_commit(&kit, 1000);
    assert_true(kit_state(&kit).between);
    kit_fini(&kit);
}

static void a_truncate_names_its_wanted_tables_behind_their_rows(void **state)
{
    struct kit kit;
    struct nw_block *block = NULL;

    (void)state;
    kit_init(&kit, 8, false);
    kit.unwanted_oid = 101;
    for (uint32_t oid = 100; oid < 103; oid++) {
        kit_know(&kit, oid);
    }
    kit_begin(&kit, 1000);
    kit_row(&kit, 100, 1);
    wire_clear(&kit.wire);
    wire_truncate(&kit.wire, 0, 3, (const uint32_t[]){100, 101, 102}, 3);
    assert_int_equal(kit_take(&kit, 2), NW_OK);
    wire_clear(&kit.wire);
    wire_truncate(&kit.wire, 0, 0, (const uint32_t[]){101}, 1);
    assert_int_equal(kit_take(&kit, 3), NW_OK); /* of no wanted table: only counted */
    kit_row(&kit, 102, 4);
    kit_commit(&kit, 1000);
    kit_flush(&kit);

    block = kit_expect(&kit, NW_BLOCK_CHANGES);
    assert_true(block->cut);
    kit_back(&kit, block);
    block = kit_expect(&kit, NW_BLOCK_EVENT);
    assert_int_equal(block->event.kind, NW_EVENT_TRUNCATE);
    assert_int_equal(block->event.seq, 1);
    assert_int_equal(block->event.commit_lsn, 1000);
    assert_int_equal(block->event.lsn, 2);
    assert_int_equal(block->event.flags, NW_TRUNCATE_CASCADE | NW_TRUNCATE_RESTART_IDENTITY);
    assert_int_equal(block->event.tables_count, 1);
    assert_int_equal(block->event.tables[0]->relation_oid, 100);
    kit_back(&kit, block);
    block = kit_expect(&kit, NW_BLOCK_EVENT);
    assert_int_equal(block->event.seq, 1);
    assert_int_equal(block->event.tables[0]->relation_oid, 102);
    kit_back(&kit, block);
    block = kit_expect(&kit, NW_BLOCK_CHANGES);
    assert_int_equal(block->frames[0].seq, 3);
    kit_back(&kit, block);
    kit_fini(&kit);
}

static void take_message(struct kit *kit, bool transactional, uint64_t lsn)
{
    wire_clear(&kit->wire);
    wire_logical(&kit->wire, 0, transactional, lsn, "prefix", "content", 7);
    assert_int_equal(kit_take(kit, lsn), NW_OK);
}

static void a_message_outside_transactions_moves_the_position_and_comes_once(void **state)
{
    struct kit kit;
    struct nw_block *block = NULL;

    (void)state;
    kit_init(&kit, 8, false);
    take_message(&kit, false, 700);
    /* The server skips commits that begin before the position, and one may begin at 700. */
    assert_int_equal(kit_state(&kit).position_lsn, 700);
    block = kit_expect(&kit, NW_BLOCK_EVENT);
    assert_int_equal(block->event.kind, NW_EVENT_MESSAGE);
    assert_int_equal(block->event.flags, 0);
    assert_int_equal(block->event.lsn, 700);
    assert_int_equal(block->event.commit_lsn, 0);
    assert_string_equal(block->event.prefix, "prefix");
    assert_memory_equal(block->event.content, "content", 7);
    assert_int_equal(block->event.content_size, 7);
    kit_back(&kit, block);
    nw_dealer_reconnected(kit.dealer);
    take_message(&kit, false, 700);
    assert_null(kit_next(&kit));
    take_message(&kit, false, 708);
    kit_back(&kit, kit_expect(&kit, NW_BLOCK_EVENT));
    kit_fini(&kit);
}

static void a_message_of_a_transaction_counts_and_comes_once(void **state)
{
    struct kit kit;
    struct nw_block *block = NULL;

    (void)state;
    kit_init(&kit, 8, false);
    for (int sending = 0; sending < 2; sending++) {
        kit_begin(&kit, 1000);
        take_message(&kit, true, 800);
        take_message(&kit, true, 801);
        nw_dealer_reconnected(kit.dealer);
    }
    for (uint32_t i = 0; i < 2; i++) {
        block = kit_expect(&kit, NW_BLOCK_EVENT);
        assert_int_equal(block->event.seq, i);
        assert_int_equal(block->event.commit_lsn, 1000);
        assert_int_equal(block->event.flags, 1);
        kit_back(&kit, block);
    }
    assert_null(kit_next(&kit));
    kit_fini(&kit);
}

static void rows_know_the_origin_of_their_transaction(void **state)
{
    struct kit kit;
    struct nw_block *block = NULL;
    char name[600];

    (void)state;
    memset(name, 'o', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    kit_init(&kit, 8, false);
    kit_know(&kit, 100);
    for (uint64_t commit_lsn = 1000; commit_lsn < 1003; commit_lsn++) {
        kit_begin(&kit, commit_lsn);
        if (commit_lsn != 1001) {
            wire_clear(&kit.wire);
            wire_origin(&kit.wire, 1, commit_lsn == 1000 ? "upstream" : name);
            assert_int_equal(kit_take(&kit, 1), NW_OK);
        }
        kit_row(&kit, 100, 1);
        kit_commit(&kit, commit_lsn);
    }
    take_message(&kit, false, 2000);
    block = kit_expect(&kit, NW_BLOCK_CHANGES);
    assert_string_equal(block->names + block->transactions[0].origin, "upstream");
    assert_string_equal(block->names + block->transactions[1].origin, "");
    assert_string_equal(block->names + block->transactions[2].origin, name);
    kit_back(&kit, block);
    block = kit_expect(&kit, NW_BLOCK_EVENT);
    assert_string_equal(block->event.origin, ""); /* not that of the transaction before it */
    kit_back(&kit, block);
    kit_fini(&kit);
}

/* Kinds of the events dealt so far, as letters: b c t m s; rows as their count in digits. */
static void kit_story(struct kit *kit, char *story)
{
    static const char letters[] = "?bctms";
    struct nw_block *block = NULL;

    while ((block = kit_next(kit)) != NULL) {
        *story++ = block->kind == NW_BLOCK_EVENT ? letters[block->event.kind]
                                                 : (char)('0' + block->frames_count);
        kit_back(kit, block);
    }
    *story = '\0';
}

static void a_transaction_begins_before_its_first_row_and_commits_once(void **state)
{
    struct kit kit;
    struct nw_block *block = NULL;
    char story[64];

    (void)state;
    kit_init(&kit, 8, true);
    kit_know(&kit, 100);
    kit_know(&kit, 101);
    kit_begin(&kit, 1000); /* without rows: nothing is said */
    kit_commit(&kit, 1000);
    kit_begin(&kit, 1100);
    kit_row(&kit, 100, 1);
    kit_row(&kit, 101, 2);
    kit_row(&kit, 100, 3);
    kit_commit(&kit, 1100);
    block = kit_expect(&kit, NW_BLOCK_EVENT);
    assert_int_equal(block->event.kind, NW_EVENT_BEGIN);
    assert_int_equal(block->event.commit_lsn, 1100);
    kit_back(&kit, block);
    kit_back(&kit, kit_expect(&kit, NW_BLOCK_CHANGES));
    kit_back(&kit, kit_expect(&kit, NW_BLOCK_CHANGES));
    block = kit_expect(&kit, NW_BLOCK_EVENT);
    assert_int_equal(block->event.kind, NW_EVENT_COMMIT);
    assert_int_equal(block->event.commit_end_lsn, 1108);
    assert_int_equal(block->event.counts_count, 2);
    assert_int_equal(block->event.counts[0].rows_count, 2);
    assert_int_equal(block->event.counts[1].rows_count, 1);
    assert_int_equal(block->event.counts[1].table->relation_oid, 101);
    kit_back(&kit, block);

    nw_dealer_reconnected(kit.dealer); /* its commit was dealt: it is not dealt again */
    kit_begin(&kit, 1100);
    kit_row(&kit, 100, 1);
    kit_row(&kit, 101, 2);
    kit_row(&kit, 100, 3);
    kit_commit(&kit, 1100);
    kit_flush(&kit);
    kit_story(&kit, story);
    assert_string_equal(story, "");
    kit_fini(&kit);
}

static void a_begin_is_dealt_once_over_reconnects(void **state)
{
    struct kit kit;
    char story[64];

    (void)state;
    kit_init(&kit, 8, true);
    kit.unwanted_oid = 101;
    kit_know(&kit, 100);
    kit_know(&kit, 101);
    kit_begin(&kit, 1000);
    kit_row(&kit, 101, 1); /* nobody wants it: no begin yet */
    nw_dealer_reconnected(kit.dealer);
    kit_begin(&kit, 1000);
    kit_row(&kit, 101, 1);
    kit_row(&kit, 100, 2);
    nw_dealer_reconnected(kit.dealer);
    kit_begin(&kit, 1000);
    kit_row(&kit, 101, 1);
    kit_row(&kit, 100, 2);
    kit_row(&kit, 100, 3);
    kit_commit(&kit, 1000);
    kit_story(&kit, story);
    assert_string_equal(story, "b2c");
    kit_fini(&kit);
}

static void a_begin_whose_row_found_no_block_is_not_dealt_again(void **state)
{
    struct kit kit;
    char story[64];

    (void)state;
    kit_init(&kit, 4, true);
    kit_know(&kit, 100);
    for (uint64_t lsn = 100; lsn < 103; lsn++) { /* three of four blocks are in use */
        take_message(&kit, false, lsn);
    }
    kit_begin(&kit, 1000);
    assert_int_equal(kit_row_try(&kit, 100, 1), NW_AGAIN); /* the fourth has the begin */
    nw_dealer_reconnected(kit.dealer);
    kit_story(&kit, story);
    assert_string_equal(story, "mmmb");
    kit_begin(&kit, 1000);
    kit_row(&kit, 100, 1);
    kit_commit(&kit, 1000);
    kit_story(&kit, story);
    assert_string_equal(story, "1c");
    kit_fini(&kit);
}

static void an_epoch_ends_with_the_position_of_the_last_commit(void **state)
{
    struct kit kit;
    struct nw_identity identity;
    struct nw_block *block = NULL;
    uint64_t lsn = 0;
    uint64_t packed = 0;

    (void)state;
    kit_init(&kit, 8, false);
    kit_know(&kit, 100);
    kit_begin(&kit, 1000);
    kit_row(&kit, 100, 1);
    nw_dealer_advance(kit.dealer, 5000); /* inside a transaction nothing is complete */
    assert_false(kit_state(&kit).between);
    kit_commit(&kit, 1000);
    assert_int_equal(kit_state(&kit).epoch, 1);
    assert_int_equal(kit_state(&kit).epoch_rows, 1);
    assert_int_equal(kit_state(&kit).epoch_first_ns, 1000);
    assert_int_equal(nw_dealer_end_epoch(kit.dealer, true, 5, &lsn, &kit.err), NW_OK);
    assert_int_equal(lsn, 1008);
    assert_int_equal(kit_state(&kit).epoch, 2);
    assert_int_equal(kit_state(&kit).epoch_rows, 0);
    assert_int_equal(kit_state(&kit).epoch_first_ns, 0);
    block = kit_expect(&kit, NW_BLOCK_CHANGES); /* its rows come first */
    assert_int_equal(block->epoch, 1);
    kit_back(&kit, block);
    block = kit_expect(&kit, NW_BLOCK_EPOCH_END);
    assert_int_equal(block->epoch, 1);
    assert_int_equal(block->position.lsn, 1008);
    assert_int_equal(
        nw_position_unpack((struct nw_bytes){block->position.bytes, block->position.size},
                           &identity, &packed, NULL, &kit.err),
        NW_OK);
    assert_int_equal(packed, 1008);
    assert_string_equal(identity.slot_name, "narwal");
    kit_back(&kit, block);
    nw_dealer_advance(kit.dealer, 5000);
    assert_int_equal(nw_dealer_end_epoch(kit.dealer, false, 5, &lsn, &kit.err), NW_OK);
    assert_int_equal(lsn, 5000);
    block = kit_expect(&kit, NW_BLOCK_EPOCH_END);
    assert_int_equal(block->position.size, 0); /* the first copy has no position */
    kit_back(&kit, block);
    nw_dealer_advance(kit.dealer, 4000);
    assert_int_equal(kit_state(&kit).position_lsn, 5000);
    kit_fini(&kit);
}

static void a_new_relation_waits_for_the_catalog(void **state)
{
    struct kit kit;
    struct nw_table described = kit_table(100);
    struct nw_block *block = NULL;

    (void)state;
    kit_init(&kit, 8, false);
    kit_begin(&kit, 1000);
    kit_relation_wire(&kit, 100);
    assert_int_equal(kit_take(&kit, 1), NW_AGAIN);
    assert_non_null(nw_dealer_unknown(kit.dealer));
    memset(kit.wire.bytes, 0xee, kit.wire.size); /* the receiver's buffer moves on */
    assert_string_equal(nw_dealer_unknown(kit.dealer)->name, "t");
    assert_string_equal(nw_dealer_unknown(kit.dealer)->columns[1].name, "note");
    kit_relation_wire(&kit, 100);
    assert_int_equal(kit_take(&kit, 1), NW_AGAIN);
    assert_int_equal(nw_dealer_describe(kit.dealer, &described, &kit.err), NW_OK);
    assert_null(nw_dealer_unknown(kit.dealer));
    assert_int_equal(kit_take(&kit, 1), NW_OK);
    assert_null(kit_next(&kit)); /* a version that nothing uses is not worth an event */
    kit_row(&kit, 100, 2);
    block = kit_expect(&kit, NW_BLOCK_EVENT);
    assert_int_equal(block->event.kind, NW_EVENT_SCHEMA);
    assert_int_equal(block->event.tables[0]->version, 1);
    kit_back(&kit, block);
    kit_commit(&kit, 1000);
    kit_fini(&kit);
}

static void a_changed_relation_comes_behind_the_rows_of_the_former(void **state)
{
    static const struct wire_column changed[2] = {{"id", 20, -1, true}, {"remark", 25, -1, false}};
    struct kit kit;
    struct nw_block *block = NULL;

    (void)state;
    kit_init(&kit, 8, false);
    kit_know(&kit, 100);
    kit_begin(&kit, 1000);
    kit_row(&kit, 100, 1);
    wire_clear(&kit.wire);
    wire_relation(&kit.wire, 0, 100, "t", 'd', changed, 2);
    assert_int_equal(kit_take(&kit, 1), NW_AGAIN);
    assert_int_equal(nw_dealer_describe(kit.dealer, NULL, &kit.err), NW_OK);
    wire_clear(&kit.wire);
    wire_relation(&kit.wire, 0, 100, "t", 'd', changed, 2);
    assert_int_equal(kit_take(&kit, 1), NW_OK);
    kit_row(&kit, 100, 2);
    kit_flush(&kit);
    block = kit_expect(&kit, NW_BLOCK_CHANGES);
    assert_int_equal(block->table->version, 1);
    kit_back(&kit, block);
    block = kit_expect(&kit, NW_BLOCK_EVENT);
    assert_int_equal(block->event.tables[0]->version, 2);
    kit_back(&kit, block);
    block = kit_expect(&kit, NW_BLOCK_CHANGES);
    assert_int_equal(block->table->version, 2);
    assert_string_equal(block->table->columns[1].name, "remark");
    assert_int_equal(block->frames[0].seq, 1);
    kit_back(&kit, block);
    kit_fini(&kit);
}

static void a_reconnect_forgets_the_relation_that_waited(void **state)
{
    struct kit kit;

    (void)state;
    kit_init(&kit, 8, false);
    kit_begin(&kit, 1000);
    kit_relation_wire(&kit, 100);
    assert_int_equal(kit_take(&kit, 1), NW_AGAIN);
    nw_dealer_reconnected(kit.dealer);
    assert_null(nw_dealer_unknown(kit.dealer));
    kit_fini(&kit);
}

static void what_the_protocol_forbids_is_corrupt(void **state)
{
    struct kit kit;

    (void)state;
    kit_init(&kit, 8, false);
    kit_know(&kit, 100);
    assert_int_equal(kit_row_try(&kit, 100, 1), NW_CORRUPT); /* outside any transaction */
    assert_int_equal(kit_commit_try(&kit, 1), NW_CORRUPT);
    kit_begin(&kit, 1000);
    wire_clear(&kit.wire);
    wire_begin(&kit.wire, 1100, 77, 5);
    assert_int_equal(kit_take(&kit, 1), NW_CORRUPT);
    assert_int_equal(kit_row_try(&kit, 999, 1), NW_CORRUPT); /* never announced */
    wire_clear(&kit.wire);
    wire_truncate(&kit.wire, 0, 0, (const uint32_t[]){100, 999}, 2);
    assert_int_equal(kit_take(&kit, 1), NW_CORRUPT);
    wire_clear(&kit.wire);
    wire_u8(&kit.wire, 'I');
    wire_u16(&kit.wire, 0);
    assert_int_equal(kit_take(&kit, 1), NW_CORRUPT); /* ends early */
    wire_clear(&kit.wire);
    wire_u8(&kit.wire, '?');
    assert_int_equal(kit_take(&kit, 1), NW_CORRUPT);
    wire_clear(&kit.wire);
    assert_int_equal(kit_take(&kit, 1), NW_CORRUPT);
    assert_int_equal(kit_commit_try(&kit, 999), NW_CORRUPT); /* of another transaction */
    kit_fini(&kit);
}

static void prepared_transactions_are_refused(void **state)
{
    struct kit kit;

    (void)state;
    kit_init(&kit, 8, false);
    for (const char *type = "bPKrp"; *type != '\0'; type++) {
        wire_clear(&kit.wire);
        wire_u8(&kit.wire, (unsigned char)*type);
        wire_u64(&kit.wire, 0);
        assert_int_equal(kit_take(&kit, 1), NW_FATAL);
        assert_non_null(strstr(kit.err.text, "two_phase"));
        assert_memory_equal(kit.err.text, "NW1214", 6);
    }
    kit_fini(&kit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_keep_their_order_and_their_index_in_the_transaction),
        cmocka_unit_test(a_full_block_leaves_with_all_others),
        cmocka_unit_test(a_large_row_has_a_block_of_its_own),
        cmocka_unit_test(back_pressure_loses_and_repeats_nothing),
        cmocka_unit_test(no_more_than_the_window_is_in_flight),
        cmocka_unit_test(after_a_reconnect_what_was_dealt_is_dropped),
        cmocka_unit_test(no_epoch_ends_while_a_broken_transaction_is_half_dealt),
        cmocka_unit_test(a_reconnect_between_transactions_leaves_epochs_free_to_end),
        cmocka_unit_test(unwanted_tables_count_but_are_not_dealt),
        cmocka_unit_test(a_truncate_that_broke_off_between_two_tables_ends_no_epoch),
        cmocka_unit_test(a_truncate_names_its_wanted_tables_behind_their_rows),
        cmocka_unit_test(a_message_outside_transactions_moves_the_position_and_comes_once),
        cmocka_unit_test(a_message_of_a_transaction_counts_and_comes_once),
        cmocka_unit_test(rows_know_the_origin_of_their_transaction),
        cmocka_unit_test(a_transaction_begins_before_its_first_row_and_commits_once),
        cmocka_unit_test(a_begin_is_dealt_once_over_reconnects),
        cmocka_unit_test(a_begin_whose_row_found_no_block_is_not_dealt_again),
        cmocka_unit_test(an_epoch_ends_with_the_position_of_the_last_commit),
        cmocka_unit_test(a_new_relation_waits_for_the_catalog),
        cmocka_unit_test(a_changed_relation_comes_behind_the_rows_of_the_former),
        cmocka_unit_test(a_reconnect_forgets_the_relation_that_waited),
        cmocka_unit_test(what_the_protocol_forbids_is_corrupt),
        cmocka_unit_test(prepared_transactions_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
