/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How fast rows become Debezium's messages in JSON, from memory: keys and envelopes of one batch of
 * 10-column rows, again and again, on one core.
 *
 *   bench_format [SECONDS [schemas]]
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "lib/format/format.h"

#define COLUMNS_COUNT 10
#define ROWS_COUNT    1024
#define TEXT_SIZE     24u

static struct nw_column_schema columns[COLUMNS_COUNT] = {
    {.name = "id", .base_type_oid = 20, .type = NW_TYPE_INT64, .not_null = true},
    {.name = "a", .base_type_oid = 23, .type = NW_TYPE_INT32},
    {.name = "b", .base_type_oid = 23, .type = NW_TYPE_INT32},
    {.name = "ts", .base_type_oid = 1184, .typmod = -1, .type = NW_TYPE_TIMESTAMPTZ},
    {.name = "price",
     .base_type_oid = 1700,
     .typmod = (12 << 16 | 2) + 4,
     .type = NW_TYPE_DECIMAL,
     .precision = 12,
     .scale = 2},
    {.name = "name", .base_type_oid = 25, .type = NW_TYPE_TEXT},
    {.name = "note", .base_type_oid = 25, .type = NW_TYPE_TEXT},
    {.name = "flag", .base_type_oid = 16, .type = NW_TYPE_BOOL},
    {.name = "score", .base_type_oid = 701, .type = NW_TYPE_FLOAT64},
    {.name = "day", .base_type_oid = 1082, .type = NW_TYPE_DATE},
};
static const uint16_t key[] = {0};
static const struct nw_table table = {.size = sizeof table,
                                      .schema_name = "public",
                                      .name = "bulk",
                                      .columns_count = COLUMNS_COUNT,
                                      .columns = columns,
                                      .key_columns = key,
                                      .key_columns_count = 1};

static uint8_t values[COLUMNS_COUNT][ROWS_COUNT * 16];
static uint8_t texts[ROWS_COUNT * TEXT_SIZE];
static int32_t offsets[ROWS_COUNT + 1];
static uint8_t all_set[ROWS_COUNT / 8];
static uint8_t none_set[ROWS_COUNT * 2];
static uint64_t lsns[ROWS_COUNT];
static uint64_t commits[ROWS_COUNT];
static uint64_t seqs[ROWS_COUNT];
static uint32_t xids[ROWS_COUNT];
static int64_t times[ROWS_COUNT];
static uint8_t ops[ROWS_COUNT];
static struct nw_array arrays[COLUMNS_COUNT];

static void fill_row(int64_t i)
{
    const int32_t small = (int32_t)(i % 1000);
    const int32_t day = (int32_t)(18262 + i % 3000);
    const int64_t stamp = INT64_C(1700000000000000) + i * 1000007;
    const int64_t price = i * 9973 + 34;
    const double score = (double)i * 1.25;

    memcpy(values[0] + i * 8, &i, 8);
    memcpy(values[1] + i * 4, &small, 4);
    memcpy(values[2] + i * 4, &small, 4);
    memcpy(values[3] + i * 8, &stamp, 8);
    memcpy(values[4] + i * 16, &price, 8);
    memcpy(values[8] + i * 8, &score, 8);
    memcpy(values[9] + i * 4, &day, 4);
    (void)snprintf((char *)texts + i * TEXT_SIZE, TEXT_SIZE + 1 - (i == ROWS_COUNT - 1),
                   "a text of row %010lld", (long long)i);
    offsets[i + 1] = (int32_t)((i + 1) * TEXT_SIZE);
    lsns[i] = UINT64_C(26752088) + (uint64_t)i * 80;
    commits[i] = UINT64_C(26752088) + (uint64_t)(i / 100 + 1) * 8000;
    times[i] = stamp - i % 100;
    xids[i] = (uint32_t)(741 + i / 100);
    seqs[i] = (uint64_t)i % 100;
    ops[i] = NW_OP_INSERT;
}

static void fill(struct nw_batch *batch)
{
    memset(all_set, 0xff, sizeof all_set);
    for (int c = 0; c < COLUMNS_COUNT; c++) {
        bool text = columns[c].type == NW_TYPE_TEXT;

        columns[c].type_oid = columns[c].base_type_oid;
        arrays[c] = (struct nw_array){.validity = all_set,
                                      .values = text ? NULL : values[c],
                                      .offsets = text ? offsets : NULL,
                                      .bytes = text ? texts : NULL};
    }
    for (int64_t i = 0; i < ROWS_COUNT; i++) {
        fill_row(i);
    }
    *batch = (struct nw_batch){
        .size = sizeof *batch,
        .table = &table,
        .rows_count = ROWS_COUNT,
        .missing_stride = 2,
        .op = ops,
        .commit_lsn = commits,
        .row_lsn = lsns,
        .seq = seqs,
        .xid = xids,
        .commit_ts = times,
        .image[NW_AFTER] = {.present = all_set, .missing = none_set, .columns = arrays}};
}

static double seconds_now(clockid_t clock)
{
    struct timespec now;

    (void)clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Keys and values of all rows. @return their bytes; 0 when one failed. */
static size_t encode(struct nw_format_table *format, const struct nw_batch *batch,
                     struct nw_out *out)
{
    struct nw_error err;
    size_t bytes = 0;

    for (uint32_t r = 0; r < ROWS_COUNT; r++) {
        const struct nw_change change =
            nw_change_of_row(&format->texts, batch, r, INT64_C(1700000001000000000));
        const struct nw_row row = {.table = format->connect,
                                   .batch = batch,
                                   .row = r,
                                   .origin = &format->origin,
                                   .change = &change,
                                   .scratch = format->scratch};

        out->used = 0;
        if (nw_debezium_key(format->debezium, &row, NW_AFTER, out, &err) != NW_OK ||
            nw_debezium_value(format->debezium, &row, out, &err) != NW_OK) {
            return 0;
        }
        bytes += out->used;
    }
    return bytes;
}

int main(int argc, char **argv)
{
    double limit = argc > 1 ? strtod(argv[1], NULL) : 3;
    const struct nw_format_options options = {.kind = NW_FORMAT_DEBEZIUM_JSON,
                                              .connect = nw_connect_options_default(),
                                              .debezium = {.schemas = argc > 2}};
    struct nw_format_table *format;
    struct nw_batch batch;
    struct nw_out out = {0};
    uint64_t rows = 0;
    uint64_t bytes = 0;
    double start;
    double used;

    fill(&batch);
    format = nw_format_table_create(&table, "p.public.bulk", "p", "postgres", &options);
    if (format == NULL || encode(format, &batch, &out) == 0) {
        (void)fprintf(stderr, "the rows could not be written\n");
        return 1;
    }
    start = seconds_now(CLOCK_PROCESS_CPUTIME_ID);
    do {
        bytes += encode(format, &batch, &out);
        rows += ROWS_COUNT;
        used = seconds_now(CLOCK_PROCESS_CPUTIME_ID) - start;
    } while (used < limit);
    (void)printf("%.0f rows/s, %.0f ns each, %.0f bytes each, %.0f MB/s\n", (double)rows / used,
                 used / (double)rows * 1e9, (double)bytes / (double)rows,
                 (double)bytes / used / 1e6);
    nw_out_fini(&out);
    nw_format_table_destroy(format);
    return 0;
}
