/* SPDX-License-Identifier: Apache-2.0 */
/* Blocks made by hand, for the tests of the decode stage. One block lives at a time. */
#ifndef NW_TESTS_DECODE_BLOCKS_H
#define NW_TESTS_DECODE_BLOCKS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "decode/builder.h"
#include "pg/types.h"
#include "source/block.h"

#define BLOCK_ROWS 4096u

/* A block that owns its memory, with one transaction. */
static inline struct nw_block *block_make(enum nw_block_kind kind, const struct nw_table *table)
{
    struct nw_block *block = calloc(1, sizeof *block);

    assert_non_null(block);
    block->kind = kind;
    block->table = table;
    block->frames = calloc(BLOCK_ROWS, sizeof *block->frames);
    block->transactions = calloc(BLOCK_ROWS, sizeof *block->transactions);
    block->names = calloc(1, 256);
    block->names_size = 1;
    block->names_capacity = 256;
    block->transactions_count = 1;
    block->transactions[0] = (struct nw_transaction){
        .commit_lsn = 0x100000200, .commit_ts = 1700000000000000, .xid = 777};
    block->fence_lsn = 0xABCD;
    return block;
}

static inline void block_free(struct nw_block *block)
{
    free(block->frames);
    free(block->transactions);
    free(block->names);
    free(block->bytes);
    free(block);
}

static inline void block_bytes(struct nw_block *block, const void *bytes, size_t size)
{
    block->bytes = realloc(block->bytes, block->bytes_size + size + 1);
    assert_non_null(block->bytes);
    memcpy(block->bytes + block->bytes_size, bytes, size);
    block->bytes_size += (uint32_t)size;
    block->frames[block->frames_count - 1].size += (uint32_t)size;
}

static inline void block_row(struct nw_block *block, char op)
{
    struct nw_frame *frame = &block->frames[block->frames_count];

    assert_true(block->frames_count < BLOCK_ROWS);
    *frame = (struct nw_frame){.offset = block->bytes_size,
                               .row_lsn = 0x100000000 + block->frames_count,
                               .seq = block->frames_count,
                               .op = op};
    block->frames_count++;
}

static inline void block_u16(struct nw_block *block, uint16_t value)
{
    block_bytes(block, (uint8_t[]){(uint8_t)(value >> 8), (uint8_t)value}, 2);
}

static inline void block_u32(struct nw_block *block, uint32_t value)
{
    block_u16(block, (uint16_t)(value >> 16));
    block_u16(block, (uint16_t)value);
}

/* Begin a tuple: its letter (N K O; 0: none, as in COPY) and its number of columns. */
static inline void block_tuple(struct nw_block *block, char letter, uint16_t count)
{
    if (letter != 0) {
        block_bytes(block, &letter, 1);
    }
    block_u16(block, count);
}

static inline void block_value(struct nw_block *block, char kind, const void *bytes, size_t size)
{
    block_bytes(block, &kind, 1);
    block_u32(block, (uint32_t)size);
    block_bytes(block, bytes, size);
}

static inline void block_text(struct nw_block *block, const char *text)
{
    block_value(block, 't', text, strlen(text));
}

/* n or u */
static inline void block_kind(struct nw_block *block, char kind)
{
    block_bytes(block, &kind, 1);
}

static inline struct nw_column_schema column_make(const char *name, uint32_t oid, int32_t typmod)
{
    struct nw_type_form form = nw_type_of(oid, typmod);

    return (struct nw_column_schema){.name = name,
                                     .type_name = "a type",
                                     .type_oid = oid,
                                     .base_type_oid = oid,
                                     .typmod = typmod,
                                     .type = (uint8_t)form.type,
                                     .precision = form.precision,
                                     .scale = form.scale};
}

static inline struct nw_table table_make(const struct nw_column_schema *columns, uint16_t count)
{
    return (struct nw_table){.size = sizeof(struct nw_table),
                             .relation_oid = 16400,
                             .schema_name = "public",
                             .name = "thing",
                             .columns = columns,
                             .columns_count = count};
}

/* Decode and pack; NULL with err filled when it fails. Free the item. */
static inline struct nw_item *block_decode(const struct nw_block *block, nw_status *status,
                                           struct nw_error *err)
{
    struct nw_builder *builder = NULL;
    struct nw_item *item = NULL;
    size_t size = 0;

    assert_int_equal(nw_builder_create(&builder, err), NW_OK);
    *status = nw_builder_decode(builder, block, &size, err);
    if (*status == NW_OK) {
        item = malloc(size);
        assert_non_null(item);
        nw_builder_pack(builder, item);
        assert_int_equal(item->size, size);
    }
    nw_builder_destroy(builder);
    return item;
}

#endif
