/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory runs out at the 1st, 2nd, ... nth allocation, until all succeed: no crash, no leak, and a
 * block that could not be decoded is decoded the next time. Linked with --wrap for the allocators.
 */
#include "decode_blocks.h"

#include "decode/lane.h"

#define ALLOCATIONS_MAX 200

static int fail_at; /* 0: never */
static int count;

/* The linker makes up these names. NOLINTBEGIN(bugprone-reserved-identifier) */
void *__real_malloc(size_t size);
void *__real_calloc(size_t items, size_t size);
void *__real_realloc(void *at, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t items, size_t size);
void *__wrap_realloc(void *at, size_t size);
/* NOLINTEND(bugprone-reserved-identifier) */

static int fails(void)
{
    return fail_at > 0 && ++count == fail_at;
}

void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t items, size_t size)
{
    return fails() ? NULL : __real_calloc(items, size);
}

void *__wrap_realloc(void *at, size_t size)
{
    return fails() ? NULL : __real_realloc(at, size);
}

static struct nw_column_schema columns[3];
static struct nw_table table;

static struct nw_block *make_block(void)
{
    struct nw_block *block = NULL;

    columns[0] = column_make("body", NW_OID_TEXT, -1);
    columns[1] = column_make("day", NW_OID_DATE, -1);
    columns[2] = column_make("amount", NW_OID_NUMERIC, -1);
    table = table_make(columns, 3);
    block = block_make(NW_BLOCK_CHANGES, &table);
    memcpy(block->names, "\0far\0", 5);
    block->names_size = 5;
    block->transactions[0].origin = 1;
    for (int i = 0; i < 100; i++) {
        block_row(block, 'U');
        for (int side = 0; side < 2; side++) {
            block_tuple(block, side == 0 ? 'O' : 'N', 3);
            block_text(block, "a text of some size, so that buffers grow");
            block_text(block, "infinity");
            block_value(block, 'b', "\0\1\0\0\0\0\0\0\0\7", 10);
        }
    }
    return block;
}

static void check_item(const struct nw_item *item)
{
    struct nw_value value = nw_batch_value(&item->as.batch, NW_AFTER, 99, 2);

    assert_int_equal(value.size, 1);
    assert_true(value.bytes != NULL && value.bytes[0] == '7');
    assert_int_equal(item->as.batch.exceptions_count, 200);
    assert_int_equal(item->as.batch.origin_offsets[100], 300);
}

static void builder_survives_any_failed_allocation(void **state)
{
    struct nw_block *block = make_block();
    int failures = 0;
    nw_status status = NW_FATAL;

    (void)state;
    for (int n = 1; status != NW_OK && n < ALLOCATIONS_MAX; n++) {
        struct nw_builder *builder = NULL;
        struct nw_error err = {.text = ""};
        size_t size = 0;

        count = 0;
        fail_at = n;
        status = nw_builder_create(&builder, &err);
        if (status == NW_OK) {
            status = nw_builder_decode(builder, block, &size, &err);
            fail_at = 0;
            failures += status != NW_OK;
            /* the same builder again, now with memory */
            assert_int_equal(nw_builder_decode(builder, block, &size, &err), NW_OK);
            struct nw_item *item = malloc(size);

            nw_builder_pack(builder, item);
            check_item(item);
            free(item);
        } else {
            assert_int_equal(status, NW_FATAL);
        }
        fail_at = 0;
        nw_builder_destroy(builder);
    }
    assert_int_equal(status, NW_OK);
    assert_true(failures > 5);
    block_free(block);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(builder_survives_any_failed_allocation),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
