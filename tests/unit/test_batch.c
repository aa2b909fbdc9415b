/* SPDX-License-Identifier: Apache-2.0 */
/* The inline accessors that plugins read batches with: values without an exact form are found. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include <narwal/batch.h>

#define COLUMNS 3u

/* A table of timestamps in which every value of every row is null in its array. */
static const struct nw_column_schema columns[COLUMNS] = {
    {.name = "a", .type = NW_TYPE_TIMESTAMP},
    {.name = "b", .type = NW_TYPE_TIMESTAMP},
    {.name = "c", .type = NW_TYPE_TIMESTAMP},
};
static const struct nw_table table = {
    .size = (uint32_t)sizeof table, .columns = columns, .columns_count = COLUMNS};

struct nulls {
    struct nw_batch batch;
    uint8_t *none, *all;
    int64_t *values;
    struct nw_array arrays[COLUMNS];
};

static void nulls_make(struct nulls *nulls, uint32_t rows_count)
{
    nulls->none = calloc(rows_count, 1);
    nulls->all = malloc(rows_count);
    nulls->values = calloc(rows_count, sizeof(int64_t));
    if (nulls->none == NULL || nulls->all == NULL || nulls->values == NULL) {
        abort(); /* the analyzer does not know that cmocka's asserts do not return */
    }
    memset(nulls->all, 0xff, rows_count);
    for (uint32_t c = 0; c < COLUMNS; c++) {
        nulls->arrays[c] = (struct nw_array){
            .validity = nulls->none, .values = nulls->values, .nulls_count = rows_count};
    }
    nulls->batch = (struct nw_batch){.size = (uint32_t)sizeof(struct nw_batch),
                                     .table = &table,
                                     .rows_count = rows_count,
                                     .missing_stride = 1};
    for (int side = NW_BEFORE; side <= NW_AFTER; side++) {
        nulls->batch.image[side] = (struct nw_image){
            .present = nulls->all, .missing = nulls->none, .columns = nulls->arrays};
    }
}

static void nulls_free(struct nulls *nulls)
{
    free(nulls->none);
    free(nulls->all);
    free(nulls->values);
}

static void an_exception_is_found_at_its_row_side_and_column_only(void **state)
{
    static const struct nw_exception list[] = {
        {.row = 0, .side = NW_AFTER, .column = 1, .offset = 0, .size = 1},
        {.row = 3, .side = NW_BEFORE, .column = 0, .offset = 1, .size = 1},
        {.row = 3, .side = NW_BEFORE, .column = 2, .offset = 2, .size = 1},
        {.row = 3, .side = NW_AFTER, .column = 0, .offset = 3, .size = 1},
        {.row = 9, .side = NW_AFTER, .column = 2, .offset = 4, .size = 1},
    };
    struct nulls nulls;
    uint32_t found = 0;

    (void)state;
    nulls_make(&nulls, 10);
    nulls.batch.exceptions = list;
    nulls.batch.exceptions_count = sizeof list / sizeof list[0];
    nulls.batch.exception_bytes = (const uint8_t *)"abcde";
    for (uint32_t row = 0; row < 10; row++) {
        for (int side = NW_BEFORE; side <= NW_AFTER; side++) {
            for (uint16_t c = 0; c < COLUMNS; c++) {
                struct nw_value value = nw_batch_value(&nulls.batch, side, row, c);
                const struct nw_exception *e = &list[found];

                if (found < 5 && e->row == row && e->side == side && e->column == c) {
                    assert_int_equal(value.kind, NW_VALUE_EXCEPTION);
                    assert_int_equal(value.bytes[0], 'a' + (int)found);
                    found++;
                } else {
                    assert_int_equal(value.kind, NW_VALUE_NULL);
                }
            }
        }
    }
    assert_int_equal(found, 5);
    nulls_free(&nulls);
}

static void a_part_of_a_batch_finds_its_own_exceptions(void **state)
{
    static const struct nw_exception list[] = {
        {.row = 0, .side = NW_AFTER, .column = 1},
        {.row = 3, .side = NW_BEFORE, .column = 0},
        {.row = 5, .side = NW_AFTER, .column = 2},
    };
    struct nulls nulls;

    (void)state;
    nulls_make(&nulls, 10);
    nulls.batch.exceptions = list;
    nulls.batch.exceptions_count = 3;
    nulls.batch.first_row = 3;
    nulls.batch.rows_count = 2;
    assert_ptr_equal(nw_batch_exception(&nulls.batch, NW_BEFORE, 0, 0), &list[1]);
    assert_null(nw_batch_exception(&nulls.batch, NW_AFTER, 0, 1));
    assert_null(nw_batch_exception(&nulls.batch, NW_AFTER, 1, 2));
    assert_int_equal(nw_batch_exception_from(&nulls.batch, 0, 0, 0), 1);
    assert_int_equal(nw_batch_exception_from(&nulls.batch, 2, 0, 0), 2);
    nulls_free(&nulls);
}

static void no_exception_is_found_in_an_empty_list(void **state)
{
    struct nulls nulls;

    (void)state;
    nulls_make(&nulls, 1);
    assert_null(nw_batch_exception(&nulls.batch, NW_AFTER, 0, 0));
    assert_int_equal(nw_batch_value(&nulls.batch, NW_AFTER, 0, 0).kind, NW_VALUE_NULL);
    nulls_free(&nulls);
}

/* Looking through the list for every value took 30 s of CPU time for these; it takes 0.02 s. */
static void a_batch_full_of_infinities_is_read_in_no_time(void **state)
{
    const uint32_t rows_count = 100000;
    struct nw_exception *list = calloc((size_t)rows_count * COLUMNS, sizeof *list);
    struct nulls nulls;
    struct timespec spent;
    uint32_t count = 0;

    (void)state;
    assert_non_null(list);
    nulls_make(&nulls, rows_count);
    for (uint32_t i = 0; i < rows_count * COLUMNS; i++) {
        list[i] = (struct nw_exception){
            .row = i / COLUMNS, .side = NW_AFTER, .column = (uint16_t)(i % COLUMNS), .size = 8};
    }
    nulls.batch.exceptions = list;
    nulls.batch.exceptions_count = rows_count * COLUMNS;
    nulls.batch.exception_bytes = (const uint8_t *)"infinity";
    for (uint32_t row = 0; row < rows_count; row++) {
        for (uint16_t c = 0; c < COLUMNS; c++) {
            count += nw_batch_value(&nulls.batch, NW_AFTER, row, c).kind == NW_VALUE_EXCEPTION;
        }
    }
    assert_int_equal(count, rows_count * COLUMNS);
    assert_int_equal(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &spent), 0);
    print_message("%u infinities read; CPU time of this test program so far %ld ms\n", count,
                  (long)spent.tv_sec * 1000 + spent.tv_nsec / 1000000);
    assert_true(spent.tv_sec < 5);
    nulls_free(&nulls);
    free(list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_exception_is_found_at_its_row_side_and_column_only),
        cmocka_unit_test(a_part_of_a_batch_finds_its_own_exceptions),
        cmocka_unit_test(no_exception_is_found_in_an_empty_list),
        cmocka_unit_test(a_batch_full_of_infinities_is_read_in_no_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
