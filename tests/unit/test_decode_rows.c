/* SPDX-License-Identifier: Apache-2.0 */
/* Rows into batches: images, what is missing, exceptions, malformed rows. */
#include "decode_blocks.h"

#define MANY_ROWS 1000u

static struct nw_column_schema columns[3];
static struct nw_table table;

static int set_up(void **state)
{
    (void)state;
    columns[0] = column_make("id", NW_OID_INT4, -1);
    columns[0].identity = true;
    columns[1] = column_make("body", NW_OID_TEXT, -1);
    columns[2] = column_make("day", NW_OID_DATE, -1);
    table = table_make(columns, 3);
    return 0;
}

static struct nw_item *decode_good(struct nw_block *block)
{
    struct nw_error err = {.text = ""};
    nw_status status = NW_OK;
    struct nw_item *item = block_decode(block, &status, &err);

    assert_string_equal(err.text, "");
    assert_non_null(item);
    block_free(block);
    return item;
}

static void decode_corrupt(struct nw_block *block, const char *text)
{
    struct nw_error err;
    nw_status status = NW_OK;
    struct nw_item *item = block_decode(block, &status, &err);

    assert_null(item);
    assert_int_equal(status, NW_CORRUPT);
    assert_int_equal(err.status, NW_CORRUPT);
    assert_string_equal(err.text, text);
    block_free(block);
}

static struct nw_value get(const struct nw_item *item, int side, uint32_t row, uint16_t column)
{
    return nw_batch_value(&item->as.batch, side, row, column);
}

static void assert_text(const struct nw_item *item, int side, uint32_t row, const char *text)
{
    struct nw_value value = get(item, side, row, 1);

    assert_int_equal(value.kind, NW_VALUE_PRESENT);
    assert_int_equal(value.size, strlen(text));
    assert_memory_equal(value.bytes, text, strlen(text));
}

static void full_tuple(struct nw_block *block, char letter, const char *id, const char *body,
                       const char *day)
{
    block_tuple(block, letter, 3);
    block_text(block, id);
    block_text(block, body);
    block_text(block, day);
}

static void insert_has_only_an_after_image(void **state)
{
    struct nw_block *block = block_make(NW_BLOCK_CHANGES, &table);
    struct nw_item *item = NULL;

    (void)state;
    block->epoch = 9;
    block->ordinal = 5;
    block->received_ns = 44;
    block_row(block, 'I');
    full_tuple(block, 'N', "7", "hello", "1970-01-02");
    item = decode_good(block);
    assert_int_equal(item->kind, NW_ITEM_BATCH);
    assert_int_equal(item->ordinal, 5);
    assert_int_equal(item->epoch, 9);
    assert_int_equal(item->received_ns, 44);
    assert_ptr_equal(item->table, &table);
    assert_int_equal(item->as.batch.epoch, 9);
    assert_int_equal(item->as.batch.rows_count, 1);
    assert_int_equal(item->as.batch.op[0], NW_OP_INSERT);
    assert_int_equal(item->as.batch.commit_lsn[0], 0x100000200);
    assert_int_equal(item->as.batch.row_lsn[0], 0x100000000);
    assert_int_equal(item->as.batch.xid[0], 777);
    assert_int_equal(item->as.batch.commit_ts[0], 1700000000000000);
    assert_null(item->as.batch.image[NW_BEFORE].columns);
    assert_int_equal(get(item, NW_AFTER, 0, 0).as.integer, 7);
    assert_text(item, NW_AFTER, 0, "hello");
    assert_int_equal(get(item, NW_AFTER, 0, 2).as.integer, 1);
    assert_int_equal(get(item, NW_BEFORE, 0, 0).kind, NW_VALUE_MISSING);
    free(item);
}

static void null_is_null_and_counted(void **state)
{
    struct nw_block *block = block_make(NW_BLOCK_CHANGES, &table);
    struct nw_item *item = NULL;

    (void)state;
    for (int i = 0; i < 2; i++) {
        block_row(block, 'I');
        block_tuple(block, 'N', 3);
        block_text(block, "1");
        block_kind(block, 'n');
        block_kind(block, 'n');
    }
    item = decode_good(block);
    assert_int_equal(get(item, NW_AFTER, 1, 1).kind, NW_VALUE_NULL);
    assert_int_equal(get(item, NW_AFTER, 1, 2).kind, NW_VALUE_NULL);
    assert_int_equal(item->as.batch.image[NW_AFTER].columns[0].nulls_count, 0);
    assert_int_equal(item->as.batch.image[NW_AFTER].columns[1].nulls_count, 2);
    free(item);
}

static void unchanged_value_without_old_image_is_missing(void **state)
{
    struct nw_block *block = block_make(NW_BLOCK_CHANGES, &table);
    struct nw_item *item = NULL;

    (void)state;
    block_row(block, 'U');
    block_tuple(block, 'N', 3);
    block_text(block, "1");
    block_kind(block, 'u');
    block_kind(block, 'n');
    item = decode_good(block);
    assert_null(item->as.batch.image[NW_BEFORE].columns);
    assert_int_equal(get(item, NW_AFTER, 0, 1).kind, NW_VALUE_MISSING);
    assert_int_equal(get(item, NW_AFTER, 0, 2).kind, NW_VALUE_NULL);
    free(item);
}

static void unchanged_value_comes_from_a_full_old_image(void **state)
{
    struct nw_block *block = block_make(NW_BLOCK_CHANGES, &table);
    struct nw_item *item = NULL;

    (void)state;
    block_row(block, 'U');
    block_tuple(block, 'O', 3);
    block_text(block, "1");
    block_text(block, "large");
    block_kind(block, 'u');
    block_tuple(block, 'N', 3);
    block_text(block, "2");
    block_kind(block, 'u');
    block_kind(block, 'u');
    block_row(block, 'U'); /* the image of the row before must not be used */
    block_tuple(block, 'N', 3);
    block_text(block, "3");
    block_kind(block, 'u');
    block_kind(block, 'n');
    item = decode_good(block);
    assert_int_equal(get(item, NW_BEFORE, 0, 0).as.integer, 1);
    assert_text(item, NW_BEFORE, 0, "large");
    assert_int_equal(get(item, NW_BEFORE, 0, 2).kind, NW_VALUE_MISSING);
    assert_int_equal(get(item, NW_AFTER, 0, 0).as.integer, 2);
    assert_text(item, NW_AFTER, 0, "large");
    assert_int_equal(get(item, NW_AFTER, 0, 2).kind, NW_VALUE_MISSING);
    assert_false(nw_batch_has(&item->as.batch, NW_BEFORE, 1));
    assert_int_equal(get(item, NW_AFTER, 1, 1).kind, NW_VALUE_MISSING);
    free(item);
}

static void key_image_has_all_but_the_key_missing(void **state)
{
    struct nw_block *block = block_make(NW_BLOCK_CHANGES, &table);
    struct nw_item *item = NULL;

    (void)state;
    block_row(block, 'U');
    block_tuple(block, 'K', 3);
    block_text(block, "1");
    block_kind(block, 'n');
    block_kind(block, 'n');
    block_tuple(block, 'N', 3);
    block_text(block, "2");
    block_kind(block, 'u');
    block_kind(block, 'n');
    item = decode_good(block);
    assert_int_equal(get(item, NW_BEFORE, 0, 0).as.integer, 1);
    assert_int_equal(get(item, NW_BEFORE, 0, 1).kind, NW_VALUE_MISSING);
    assert_int_equal(get(item, NW_BEFORE, 0, 2).kind, NW_VALUE_MISSING);
    assert_int_equal(get(item, NW_AFTER, 0, 1).kind, NW_VALUE_MISSING);
    free(item);
}

static void unchanged_key_column_comes_from_the_key_image(void **state)
{
    struct nw_block *block = block_make(NW_BLOCK_CHANGES, &table);
    struct nw_item *item = NULL;

    (void)state;
    columns[1].identity = true;
    block_row(block, 'U');
    block_tuple(block, 'K', 3);
    block_text(block, "1");
    block_text(block, "large");
    block_kind(block, 'n');
    block_tuple(block, 'N', 3);
    block_text(block, "2");
    block_kind(block, 'u');
    block_kind(block, 'u');
    item = decode_good(block);
    columns[1].identity = false;
    assert_text(item, NW_AFTER, 0, "large");
    assert_int_equal(get(item, NW_AFTER, 0, 2).kind, NW_VALUE_MISSING);
    free(item);
}

static void null_in_a_full_old_image_is_null(void **state)
{
    struct nw_block *block = block_make(NW_BLOCK_CHANGES, &table);
    struct nw_item *item = NULL;

    (void)state;
    block_row(block, 'D');
    block_tuple(block, 'O', 3);
    block_text(block, "1");
    block_kind(block, 'n');
    block_text(block, "2000-01-01");
    item = decode_good(block);
    assert_int_equal(get(item, NW_BEFORE, 0, 1).kind, NW_VALUE_NULL);
    assert_int_equal(get(item, NW_BEFORE, 0, 2).as.integer, 10957);
    assert_null(item->as.batch.image[NW_AFTER].columns);
    free(item);
}

static void rows_of_all_operations_keep_their_slots_apart(void **state)
{
    static const char ops[] = "IUD";
    struct nw_block *block = block_make(NW_BLOCK_CHANGES, &table);
    struct nw_item *item = NULL;
    char text[16];

    (void)state;
    for (uint32_t i = 0; i < MANY_ROWS; i++) {
        char op = ops[i % 3];

        (void)snprintf(text, sizeof text, "%u", i);
        block_row(block, op);
        if (op != 'I') {
            full_tuple(block, 'O', text, text, "1970-01-01");
        }
        if (op != 'D') {
            full_tuple(block, 'N', text, text, "1970-01-01");
        }
    }
    item = decode_good(block);
    assert_int_equal(item->as.batch.rows_count, MANY_ROWS);
    for (uint32_t i = 0; i < MANY_ROWS; i++) {
        (void)snprintf(text, sizeof text, "%u", i);
        assert_int_equal(nw_batch_has(&item->as.batch, NW_BEFORE, i), ops[i % 3] != 'I');
        assert_int_equal(nw_batch_has(&item->as.batch, NW_AFTER, i), ops[i % 3] != 'D');
        for (int side = 0; side < 2; side++) {
            if (nw_batch_has(&item->as.batch, side, i)) {
                assert_int_equal(get(item, side, i, 0).as.integer, i);
                assert_text(item, side, i, text);
            }
        }
        assert_int_equal(item->as.batch.seq[i], i);
    }
    free(item);
}

static void exceptions_come_in_order_of_row_side_column(void **state)
{
    struct nw_column_schema both[2] = {column_make("day", NW_OID_DATE, -1),
                                       column_make("price", NW_OID_NUMERIC, 655366)};
    struct nw_table prices = table_make(both, 2);
    struct nw_block *block = block_make(NW_BLOCK_CHANGES, &prices);
    struct nw_item *item = NULL;
    const struct nw_batch *batch = NULL;

    (void)state;
    for (int i = 0; i < 3; i++) {
        block_row(block, 'U');
        block_tuple(block, 'O', 2);
        block_text(block, "infinity");
        block_text(block, "NaN");
        block_tuple(block, 'N', 2);
        block_text(block, i == 1 ? "2000-01-01" : "-infinity");
        block_text(block, "99999999999.99"); /* larger than the column can hold */
    }
    item = decode_good(block);
    batch = &item->as.batch;
    assert_int_equal(batch->exceptions_count, 11);
    for (uint32_t i = 1; i < batch->exceptions_count; i++) {
        const struct nw_exception *a = &batch->exceptions[i - 1];
        const struct nw_exception *b = &batch->exceptions[i];

        assert_true(((a->row * 2u + a->side) * 2u + a->column) <
                    ((b->row * 2u + b->side) * 2u + b->column));
    }
    assert_int_equal(get(item, NW_AFTER, 1, 0).kind, NW_VALUE_PRESENT);
    assert_int_equal(get(item, NW_AFTER, 2, 0).kind, NW_VALUE_EXCEPTION);
    assert_int_equal(get(item, NW_AFTER, 2, 1).size, 14);
    assert_memory_equal(get(item, NW_AFTER, 2, 1).bytes, "99999999999.99", 14);
    assert_int_equal(batch->image[NW_AFTER].columns[0].nulls_count, 2);
    free(item);
}

static void copied_rows_carry_the_fence(void **state)
{
    struct nw_block *block = block_make(NW_BLOCK_COPY, &table);
    struct nw_item *item = NULL;

    (void)state;
    block->generation = 4;
    block->upsert = true;
    block_row(block, 'I');
    block_tuple(block, 0, 3);
    block_u32(block, 4);
    block_u32(block, 12);
    block_u32(block, 2);
    block_bytes(block, "ab", 2);
    block_u32(block, UINT32_MAX);
    item = decode_good(block);
    assert_int_equal(item->as.batch.flags, NW_BATCH_COPY | NW_BATCH_UPSERT);
    assert_int_equal(item->as.batch.generation, 4);
    assert_int_equal(item->as.batch.op[0], NW_OP_INSERT);
    assert_int_equal(item->as.batch.commit_lsn[0], 0xABCD);
    assert_int_equal(item->as.batch.xid[0], 0);
    assert_int_equal(item->as.batch.commit_ts[0], 0);
    assert_int_equal(get(item, NW_AFTER, 0, 0).as.integer, 12);
    assert_text(item, NW_AFTER, 0, "ab");
    assert_int_equal(get(item, NW_AFTER, 0, 2).kind, NW_VALUE_NULL);
    free(item);
}

static void origin_is_that_of_the_transaction(void **state)
{
    struct nw_block *block = block_make(NW_BLOCK_CHANGES, &table);
    struct nw_item *item = NULL;

    (void)state;
    memcpy(block->names, "\0far\0", 5);
    block->names_size = 5;
    block->transactions_count = 2;
    block->transactions[1] = (struct nw_transaction){.commit_lsn = 1, .origin = 1};
    for (uint16_t i = 0; i < 3; i++) {
        block_row(block, 'I');
        block->frames[i].transaction = i % 2;
        full_tuple(block, 'N', "1", "x", "2000-01-01");
    }
    item = decode_good(block);
    assert_int_equal(item->as.batch.origin_offsets[0], 0);
    assert_int_equal(item->as.batch.origin_offsets[1], 0);
    assert_int_equal(item->as.batch.origin_offsets[2], 3);
    assert_int_equal(item->as.batch.origin_offsets[3], 3);
    assert_memory_equal(item->as.batch.origin_bytes, "far", 3);
    assert_int_equal(item->as.batch.xid[1], 0);
    assert_int_equal(item->as.batch.xid[2], 777);
    free(item);
}

static void malformed_rows_name_lsn_table_and_column(void **state)
{
    static const char *const bad_ids[] = {
        "", "-", "x", "1.0", "2147483648", "-2147483649", "+1", " 1", "99999999999999999999"};
    struct nw_block *block = NULL;

    (void)state;
    for (size_t i = 0; i < sizeof bad_ids / sizeof bad_ids[0]; i++) {
        block = block_make(NW_BLOCK_CHANGES, &table);
        block_row(block, 'I');
        full_tuple(block, 'N', bad_ids[i], "x", "2000-01-01");
        decode_corrupt(block, "malformed row of public.thing at LSN 1/0: column id (a type) has a "
                              "value that its type cannot have");
    }
    block = block_make(NW_BLOCK_CHANGES, &table);
    block_row(block, 'I');
    block_tuple(block, 'N', 2);
    block_text(block, "1");
    block_text(block, "1");
    decode_corrupt(block, "malformed row of public.thing at LSN 1/0: it has 2 columns, the table "
                          "has 3");
    block = block_make(NW_BLOCK_CHANGES, &table);
    block_row(block, 'I');
    full_tuple(block, 'N', "1", "x", "2000-01-01");
    block_bytes(block, "n", 1);
    decode_corrupt(block, "malformed row of public.thing at LSN 1/0: bytes follow its end");
    block = block_make(NW_BLOCK_CHANGES, &table);
    block_row(block, 'I');
    block_tuple(block, 'N', 3);
    block_kind(block, 'z');
    decode_corrupt(block, "malformed row of public.thing at LSN 1/0: column id (a type) has a "
                          "value of an unknown kind");
    block = block_make(NW_BLOCK_CHANGES, &table);
    block_row(block, 'D');
    full_tuple(block, 'N', "1", "x", "2000-01-01");
    decode_corrupt(block, "malformed row of public.thing at LSN 1/0: a delete without the old row");
    block = block_make(NW_BLOCK_CHANGES, &table);
    block_row(block, 'U');
    full_tuple(block, 'O', "1", "x", "2000-01-01");
    full_tuple(block, 'O', "1", "x", "2000-01-01");
    decode_corrupt(block, "malformed row of public.thing at LSN 1/0: the new row does not follow");
}

static void a_row_cut_anywhere_is_corrupt(void **state)
{
    uint32_t whole = 0;

    (void)state;
    for (uint32_t cut = 0; cut == 0 || cut < whole; cut++) {
        struct nw_block *block = block_make(NW_BLOCK_CHANGES, &table);
        struct nw_error err;
        nw_status status = NW_OK;

        block_row(block, 'U');
        full_tuple(block, 'O', "1", "x", "2000-01-01");
        full_tuple(block, 'N', "1", "x", "2000-01-01");
        whole = block->frames[0].size;
        block->frames[0].size = cut;
        assert_null(block_decode(block, &status, &err));
        assert_int_equal(status, NW_CORRUPT);
        block_free(block);
    }
}

static void binary_value_of_an_unknown_type_is_refused(void **state)
{
    struct nw_column_schema span = column_make("span", 3904, -1);
    struct nw_table hosts = table_make(&span, 1);
    struct nw_block *block = block_make(NW_BLOCK_CHANGES, &hosts);

    (void)state;
    assert_int_equal(span.type, NW_TYPE_TEXT);
    assert_false(nw_type_is_binary(3904, 'b'));
    block_row(block, 'I');
    block_tuple(block, 'N', 1);
    block_value(block, 'b', "\x02\x20\x00\x04\x7f\x00\x00\x01", 8);
    decode_corrupt(block, "malformed row of public.thing at LSN 1/0: column span (a type) came "
                          "in a binary format that narwal does not decode");
}

static void table_without_columns_has_rows(void **state)
{
    struct nw_table empty = table_make(NULL, 0);
    struct nw_block *block = block_make(NW_BLOCK_CHANGES, &empty);
    struct nw_item *item = NULL;

    (void)state;
    for (int i = 0; i < 2; i++) {
        block_row(block, 'I');
        block_tuple(block, 'N', 0);
    }
    item = decode_good(block);
    assert_int_equal(item->as.batch.rows_count, 2);
    assert_true(nw_batch_has(&item->as.batch, NW_AFTER, 1));
    free(item);
}

static void moved_item_reads_the_same(void **state)
{
    struct nw_block *block = block_make(NW_BLOCK_CHANGES, &table);
    struct nw_item *item = NULL;
    struct nw_item *copy = NULL;

    (void)state;
    block_row(block, 'U');
    full_tuple(block, 'O', "1", "old", "infinity");
    full_tuple(block, 'N', "2", "new", "2000-01-01");
    item = decode_good(block);
    copy = malloc(item->size);
    assert_non_null(copy);
    memcpy(copy, item, item->size);
    nw_item_relocate(copy, (uintptr_t)item);
    memset(item, 0xEE, item->size); /* nothing may point back */
    free(item);
    assert_text(copy, NW_BEFORE, 0, "old");
    assert_text(copy, NW_AFTER, 0, "new");
    assert_int_equal(get(copy, NW_BEFORE, 0, 2).kind, NW_VALUE_EXCEPTION);
    assert_memory_equal(get(copy, NW_BEFORE, 0, 2).bytes, "infinity", 8);
    assert_int_equal(copy->as.batch.op[0], NW_OP_UPDATE);
    assert_int_equal(copy->as.batch.origin_offsets[1], 0);
    free(copy);
}

static struct nw_item *move_item(struct nw_item *item)
{
    struct nw_item *copy = malloc(item->size);

    assert_non_null(copy);
    memcpy(copy, item, item->size);
    nw_item_relocate(copy, (uintptr_t)item);
    memset(item, 0xEE, item->size);
    free(item);
    return copy;
}

static void event_is_copied_whole(void **state)
{
    struct nw_block *block = block_make(NW_BLOCK_EVENT, NULL);
    const struct nw_table *tables[] = {&table};
    struct nw_table_count counts[] = {{.table = &table, .rows_count = 3}};
    char prefix[] = "app";
    char content[] = "\0\1\2";
    char origin[] = "far";
    struct nw_item *item = NULL;

    (void)state;
    block->epoch = 12;
    block->event = (struct nw_event){.kind = NW_EVENT_MESSAGE,
                                     .lsn = 5,
                                     .origin = origin,
                                     .tables = tables,
                                     .tables_count = 1,
                                     .counts = counts,
                                     .counts_count = 1,
                                     .prefix = prefix,
                                     .content = (const uint8_t *)content,
                                     .content_size = 3};
    item = decode_good(block);
    memset(prefix, 0, sizeof prefix);
    memset(content, 9, sizeof content);
    memset(origin, 0, sizeof origin);
    tables[0] = NULL;
    item = move_item(item);
    assert_int_equal(item->kind, NW_ITEM_EVENT);
    assert_int_equal(item->as.event.size, sizeof(struct nw_event));
    assert_int_equal(item->as.event.epoch, 12);
    assert_int_equal(item->as.event.lsn, 5);
    assert_string_equal(item->as.event.prefix, "app");
    assert_string_equal(item->as.event.origin, "far");
    assert_memory_equal(item->as.event.content, "\0\1\2", 3);
    assert_ptr_equal(item->as.event.tables[0], &table);
    assert_ptr_equal(item->as.event.counts[0].table, &table);
    assert_int_equal(item->as.event.counts[0].rows_count, 3);
    free(item);
}

static void positions_and_marks_of_copies_are_copied(void **state)
{
    uint8_t bytes[] = "position";
    struct nw_block *block = block_make(NW_BLOCK_EPOCH_END, NULL);
    struct nw_item *item = NULL;

    (void)state;
    block->position = (struct nw_position){.bytes = bytes, .size = sizeof bytes, .lsn = 77};
    item = move_item(decode_good(block));
    assert_int_equal(item->kind, NW_ITEM_EPOCH_END);
    assert_int_equal(item->as.position.lsn, 77);
    assert_ptr_not_equal(item->as.position.bytes, bytes);
    assert_memory_equal(item->as.position.bytes, bytes, sizeof bytes);
    free(item);

    block = block_make(NW_BLOCK_COPY_END, &table);
    block->generation = 3;
    block->mark = (struct nw_copy_mark){
        .origin = {.fence_lsn = 77}, .range = {16400, 5, NW_COPY_PAGE_END}, .chunks_count = 2};
    item = move_item(decode_good(block));
    assert_int_equal(item->kind, NW_ITEM_COPY_END);
    assert_int_equal(item->generation, 3);
    assert_ptr_equal(item->table, &table);
    assert_int_equal(item->as.mark.origin.fence_lsn, 77);
    assert_int_equal(item->as.mark.range.end_page, NW_COPY_PAGE_END);
    assert_int_equal(item->as.mark.chunks_count, 2);
    free(item);

    block = block_make(NW_BLOCK_COPY_BEGIN, &table);
    item = move_item(decode_good(block));
    assert_int_equal(item->kind, NW_ITEM_COPY_BEGIN);
    free(item);
}

static void builder_is_used_again_for_another_table(void **state)
{
    struct nw_column_schema wide[40] = {{0}};
    struct nw_table other = table_make(wide, 40);
    struct nw_builder *builder = NULL;
    struct nw_error err;
    size_t size = 0;
    char *text = malloc(3000000);

    (void)state;
    memset(text, 'x', 3000000);
    for (int i = 0; i < 40; i++) {
        wide[i] = column_make("c", i % 2 == 0 ? NW_OID_TEXT : NW_OID_BOOL, -1);
    }
    assert_int_equal(nw_builder_create(&builder, &err), NW_OK);
    for (int round = 0; round < 6; round++) {
        struct nw_block *block = block_make(NW_BLOCK_CHANGES, round % 2 == 0 ? &table : &other);
        struct nw_item *item = NULL;

        block_row(block, 'I');
        block_tuple(block, 'N', block->table->columns_count);
        for (int i = 0; i < block->table->columns_count; i++) {
            if (round % 2 == 0) {
                block_text(block, i == 2 ? "2000-01-01" : "5");
            } else {
                block_value(block, 't', i % 2 == 0 ? text : "t", i == 4 ? 3000000 : 1);
            }
        }
        assert_int_equal(nw_builder_decode(builder, block, &size, &err), NW_OK);
        item = malloc(size);
        assert_non_null(item);
        nw_builder_pack(builder, item);
        if (round % 2 == 0) {
            assert_text(item, NW_AFTER, 0, "5");
        } else {
            assert_int_equal(get(item, NW_AFTER, 0, 4).size, 3000000);
            assert_true(get(item, NW_AFTER, 0, 5).as.boolean);
            assert_int_equal(get(item, NW_AFTER, 0, 6).size, 1);
        }
        free(item);
        block_free(block);
    }
    nw_builder_destroy(builder);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(insert_has_only_an_after_image),
        cmocka_unit_test(null_is_null_and_counted),
        cmocka_unit_test(unchanged_value_without_old_image_is_missing),
        cmocka_unit_test(unchanged_value_comes_from_a_full_old_image),
        cmocka_unit_test(key_image_has_all_but_the_key_missing),
        cmocka_unit_test(unchanged_key_column_comes_from_the_key_image),
        cmocka_unit_test(null_in_a_full_old_image_is_null),
        cmocka_unit_test(rows_of_all_operations_keep_their_slots_apart),
        cmocka_unit_test(exceptions_come_in_order_of_row_side_column),
        cmocka_unit_test(copied_rows_carry_the_fence),
        cmocka_unit_test(origin_is_that_of_the_transaction),
        cmocka_unit_test(malformed_rows_name_lsn_table_and_column),
        cmocka_unit_test(a_row_cut_anywhere_is_corrupt),
        cmocka_unit_test(binary_value_of_an_unknown_type_is_refused),
        cmocka_unit_test(table_without_columns_has_rows),
        cmocka_unit_test(moved_item_reads_the_same),
        cmocka_unit_test(event_is_copied_whole),
        cmocka_unit_test(positions_and_marks_of_copies_are_copied),
        cmocka_unit_test(builder_is_used_again_for_another_table),
    };

    return cmocka_run_group_tests(tests, set_up, NULL);
}
