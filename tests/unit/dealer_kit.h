/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What tests of the source share: a producer with the rings that its lanes would have, a dealer
 * over it, and messages said in one line. The test is the lanes: it takes blocks and gives them
 * back.
 */
#ifndef TEST_DEALER_KIT_H
#define TEST_DEALER_KIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "source/dealer.h"
#include "wire.h"

#define KIT_LANES 3u

struct kit {
    struct nw_spsc *in[KIT_LANES];
    struct nw_spsc *back[KIT_LANES];
    struct nw_producer *producer;
    struct nw_schemas *schemas;
    struct nw_dealer *dealer;
    uint32_t unwanted_oid;
    uint32_t waiting_oid;
    uint32_t copied_oid;
    uint64_t ordinal; /* of the next block to look at */
    int64_t now_ns;
    struct wire wire;
    struct nw_error err;
};

static const struct wire_column kit_columns[2] = {{"id", 20, -1, true}, {"note", 25, -1, false}};

static inline bool kit_wanted(void *context, const struct nw_table *table)
{
    return ((struct kit *)context)->unwanted_oid != table->relation_oid;
}

static inline bool kit_waits(void *context, const struct nw_table *table)
{
    return ((struct kit *)context)->waiting_oid == table->relation_oid;
}

static inline bool kit_copied(void *context, const struct nw_table *table)
{
    return ((struct kit *)context)->copied_oid == table->relation_oid;
}

static inline void kit_producer_make(struct kit *kit, uint32_t blocks_max)
{
    struct nw_producer_options options = {.lanes_count = KIT_LANES, .blocks_max = blocks_max};

    for (uint32_t i = 0; i < KIT_LANES; i++) {
        assert_int_equal(nw_spsc_create(NW_BLOCKS_PER_PRODUCER, &kit->in[i], &kit->err), NW_OK);
        assert_int_equal(nw_spsc_create(NW_BLOCKS_PER_PRODUCER, &kit->back[i], &kit->err), NW_OK);
        options.in[i] = kit->in[i];
        options.block_return[i] = kit->back[i];
    }
    assert_int_equal(nw_producer_create(&options, &kit->producer, &kit->err), NW_OK);
}

static inline void kit_init(struct kit *kit, uint32_t blocks_max, bool transactions)
{
    struct nw_dealer_options options = {.identity = {.system_identifier = 7,
                                                     .timeline = 1,
                                                     .database_oid = 5,
                                                     .slot_name = "narwal"},
                                        .transactions = transactions,
                                        .wanted = kit_wanted,
                                        .waits = kit_waits,
                                        .copied = kit_copied,
                                        .keeps = true,
                                        .context = kit};

    memset(kit, 0, sizeof *kit);
    kit->now_ns = 1000;
    kit_producer_make(kit, blocks_max);
    assert_int_equal(nw_schemas_create(&kit->schemas, &kit->err), NW_OK);
    options.producer = kit->producer;
    options.schemas = kit->schemas;
    assert_int_equal(nw_dealer_create(&options, &kit->dealer, &kit->err), NW_OK);
}

static inline void kit_fini(struct kit *kit)
{
    nw_dealer_destroy(kit->dealer);
    nw_schemas_destroy(kit->schemas);
    nw_producer_destroy(kit->producer);
    for (uint32_t i = 0; i < KIT_LANES; i++) {
        nw_spsc_destroy(kit->in[i]);
        nw_spsc_destroy(kit->back[i]);
    }
    wire_free(&kit->wire);
}

/* The next block in the order of ordinals, or NULL. */
static inline struct nw_block *kit_next(struct kit *kit)
{
    struct nw_block *block = nw_spsc_pop(kit->in[kit->ordinal % KIT_LANES]);

    if (block != NULL) {
        assert_int_equal(block->ordinal, kit->ordinal);
        kit->ordinal++;
    }
    return block;
}

static inline void kit_back(struct kit *kit, struct nw_block *block)
{
    assert_true(nw_spsc_push(kit->back[block->ordinal % KIT_LANES], block));
}

/* The next block, which must be there and of this kind. */
static inline struct nw_block *kit_expect(struct kit *kit, enum nw_block_kind kind)
{
    struct nw_block *block = kit_next(kit);

    assert_non_null(block);
    if (block == NULL) {
        abort(); /* the compiler does not know that cmocka's asserts do not return */
    }
    assert_int_equal(block->kind, kind);
    return block;
}

/* Takes all blocks that were dealt and gives them back. @return how many rows they had */
static inline uint64_t kit_drop_all(struct kit *kit)
{
    struct nw_block *block = NULL;
    uint64_t rows = 0;

    while ((block = kit_next(kit)) != NULL) {
        rows += block->kind == NW_BLOCK_CHANGES ? block->frames_count : 0;
        kit_back(kit, block);
    }
    return rows;
}

/* What is in kit->wire goes to the dealer. */
static inline nw_status kit_take(struct kit *kit, uint64_t lsn)
{
    return nw_dealer_take(kit->dealer, lsn, kit->now_ns, wire_slice(&kit->wire), &kit->err);
}

static inline void kit_begin(struct kit *kit, uint64_t commit_lsn)
{
    wire_clear(&kit->wire);
    wire_begin(&kit->wire, commit_lsn, 77, (uint32_t)commit_lsn);
    assert_int_equal(kit_take(kit, commit_lsn), NW_OK);
}

static inline nw_status kit_commit_try(struct kit *kit, uint64_t commit_lsn)
{
    wire_clear(&kit->wire);
    wire_commit(&kit->wire, commit_lsn, commit_lsn + 8, 77);
    return kit_take(kit, commit_lsn);
}

static inline void kit_commit(struct kit *kit, uint64_t commit_lsn)
{
    assert_int_equal(kit_commit_try(kit, commit_lsn), NW_OK);
}

static inline nw_status kit_row_try(struct kit *kit, uint32_t oid, uint64_t lsn)
{
    wire_clear(&kit->wire);
    wire_insert(&kit->wire, 0, oid, "1", "a note");
    return kit_take(kit, lsn);
}

static inline void kit_row(struct kit *kit, uint32_t oid, uint64_t lsn)
{
    assert_int_equal(kit_row_try(kit, oid, lsn), NW_OK);
}

/* A table as a catalog read would find it. */
static inline struct nw_table kit_table(uint32_t oid)
{
    static const struct nw_column_schema columns[2] = {{.name = "id",
                                                        .type_name = "bigint",
                                                        .type_oid = 20,
                                                        .base_type_oid = 20,
                                                        .typmod = -1,
                                                        .attnum = 1,
                                                        .type = NW_TYPE_INT64,
                                                        .not_null = true,
                                                        .identity = true},
                                                       {.name = "note",
                                                        .type_name = "text",
                                                        .type_oid = 25,
                                                        .base_type_oid = 25,
                                                        .typmod = -1,
                                                        .attnum = 2,
                                                        .type = NW_TYPE_TEXT}};
    static const uint16_t key[1] = {0};

    return (struct nw_table){.size = sizeof(struct nw_table),
                             .relation_oid = oid,
                             .schema_name = "public",
                             .name = "t",
                             .replica_identity = 'd',
                             .key_is_primary = true,
                             .columns_count = 2,
                             .key_columns_count = 1,
                             .columns = columns,
                             .key_columns = key};
}

static inline void kit_relation_wire(struct kit *kit, uint32_t oid)
{
    wire_clear(&kit->wire);
    wire_relation(&kit->wire, 0, oid, "t", 'd', kit_columns, 2);
}

/* Makes a table known before the stream begins, as the pipeline's start does. */
static inline void kit_know(struct kit *kit, uint32_t oid)
{
    struct nw_table described = kit_table(oid);
    const struct nw_table *table = NULL;

    assert_int_equal(nw_schemas_add(kit->schemas, &described, 0, &table, &kit->err), NW_OK);
}

static inline struct nw_dealer_state kit_state(const struct kit *kit)
{
    struct nw_dealer_state state;

    nw_dealer_state(kit->dealer, &state);
    return state;
}

static inline void kit_flush(struct kit *kit)
{
    assert_int_equal(nw_dealer_flush(kit->dealer, &kit->err), NW_OK);
}

#endif
