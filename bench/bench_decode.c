/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How fast blocks become items, from memory: one block of 10-column rows, decoded and packed again
 * and again, from pgoutput text, pgoutput binary and COPY BINARY. Beside it a bare bounds-checked
 * walk over the same text messages.
 *
 *   bench_decode [SECONDS [text|binary|copy]]
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/assert.h"
#include "base/cursor.h"
#include "decode/builder.h"
#include "pg/types.h"

#define COLUMNS_COUNT 10
#define DAYS_2020     7305 /* since 2000-01-01 */
#define VALUE_SIZE    64
#define ROUNDS_COUNT  21

enum form { FORM_TEXT, FORM_BINARY, FORM_COPY };

static struct nw_column_schema columns[COLUMNS_COUNT] = {
    {.name = "id", .base_type_oid = NW_OID_INT8},
    {.name = "a", .base_type_oid = NW_OID_INT4},
    {.name = "b", .base_type_oid = NW_OID_INT4},
    {.name = "ts", .base_type_oid = NW_OID_TIMESTAMPTZ},
    {.name = "price", .base_type_oid = NW_OID_NUMERIC, .typmod = (12 << 16 | 2) + 4},
    {.name = "name", .base_type_oid = NW_OID_TEXT},
    {.name = "note", .base_type_oid = NW_OID_TEXT},
    {.name = "flag", .base_type_oid = NW_OID_BOOL},
    {.name = "score", .base_type_oid = NW_OID_FLOAT8},
    {.name = "day", .base_type_oid = NW_OID_DATE},
};
static struct nw_table table = {
    .schema_name = "public", .name = "bulk", .columns_count = COLUMNS_COUNT, .columns = columns};

static void put(struct nw_block *block, const void *bytes, size_t size)
{
    NW_ASSERT(size <= block->bytes_capacity - block->bytes_size);
    memcpy(block->bytes + block->bytes_size, bytes, size);
    block->bytes_size += (uint32_t)size;
}

static size_t big_endian(char *to, uint64_t value, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        to[i] = (char)(value >> 8 * (size - 1 - i));
    }
    return size;
}

/* The value of a column in row i, as its send function writes it. */
static size_t binary_value(char *to, uint64_t i, int column)
{
    uint64_t bits = 0;
    double real = (double)i * 1.25;

    switch (column) {
    case 0:
        return big_endian(to, i, 8);
    case 1:
    case 2:
        return big_endian(to, i % 1000, 4);
    case 3:
        return big_endian(to, (uint64_t)DAYS_2020 * 86400000000 + i * 1000007, 8);
    case 4: /* 12 digits.34: two digits of base 10000 and one after the point */
        return big_endian(to, 3, 2) + big_endian(to + 2, 1, 2) + big_endian(to + 4, 0, 2) +
               big_endian(to + 6, 2, 2) + big_endian(to + 8, i % 9999 + 1, 2) +
               big_endian(to + 10, i % 10000, 2) + big_endian(to + 12, 3400, 2);
    case 7:
        return big_endian(to, i % 2, 1);
    case 8:
        memcpy(&bits, &real, sizeof bits);
        return big_endian(to, bits, 8);
    case 9:
        return big_endian(to, DAYS_2020 + i % 3000, 4);
    default:
        break;
    }
    return column == 5 ? (size_t)snprintf(to, VALUE_SIZE, "name %llu", (unsigned long long)i)
                       : (size_t)snprintf(to, VALUE_SIZE, "%032llx", (unsigned long long)i * i);
}

static size_t text_value(char *to, uint64_t i, int column)
{
    unsigned long long n = i;

    switch (column) {
    case 0:
        return (size_t)snprintf(to, VALUE_SIZE, "%llu", n);
    case 1:
    case 2:
        return (size_t)snprintf(to, VALUE_SIZE, "%llu", n % 1000);
    case 3:
        return (size_t)snprintf(to, VALUE_SIZE, "2020-01-%02llu 12:%02llu:%02llu.%06llu+00",
                                n % 28 + 1, n % 60, n % 59, n % 1000000 * 10 / 10 + 1);
    case 4:
        return (size_t)snprintf(to, VALUE_SIZE, "%llu%04llu.34", n % 9999 + 1, n % 10000);
    case 7:
        to[0] = i % 2 == 0 ? 'f' : 't';
        return 1;
    case 8:
        return (size_t)snprintf(to, VALUE_SIZE, "%.15g", (double)i * 1.25);
    case 9:
        return (size_t)snprintf(to, VALUE_SIZE, "20%02llu-%02llu-%02llu", n % 30 + 10, n % 12 + 1,
                                n % 28 + 1);
    default:
        return binary_value(to, i, column);
    }
}

static void add_row(struct nw_block *block, enum form form)
{
    struct nw_frame *frame = &block->frames[block->frames_count];
    char value[VALUE_SIZE];
    char head[8];

    *frame = (struct nw_frame){.offset = block->bytes_size,
                               .row_lsn = block->frames_count,
                               .seq = block->frames_count,
                               .op = NW_OP_INSERT};
    if (form != FORM_COPY) {
        put(block, "N", 1);
    }
    put(block, head, big_endian(head, COLUMNS_COUNT, 2));
    for (int c = 0; c < COLUMNS_COUNT; c++) {
        size_t size = form == FORM_TEXT ? text_value(value, block->frames_count + 100000, c)
                                        : binary_value(value, block->frames_count + 100000, c);

        if (form != FORM_COPY) {
            put(block, form == FORM_TEXT ? "t" : "b", 1);
        }
        put(block, head, big_endian(head, size, 4));
        put(block, value, size);
    }
    frame->size = block->bytes_size - frame->offset;
    block->frames_count++;
}

static struct nw_block *make_block(enum form form)
{
    struct nw_block *block = calloc(1, sizeof *block);

    NW_ASSERT(block != NULL);
    block->kind = form == FORM_COPY ? NW_BLOCK_COPY : NW_BLOCK_CHANGES;
    block->table = &table;
    block->bytes_capacity = NW_BLOCK_BYTES;
    block->bytes = malloc(block->bytes_capacity);
    block->frames = malloc(NW_BLOCK_ROWS_MAX * sizeof *block->frames);
    block->transactions = calloc(1, sizeof *block->transactions);
    NW_ASSERT(block->bytes != NULL && block->frames != NULL && block->transactions != NULL);
    block->transactions_count = 1;
    while (block->frames_count < NW_BLOCK_ROWS_MAX &&
           block->bytes_capacity - block->bytes_size > (size_t)COLUMNS_COUNT * VALUE_SIZE) {
        add_row(block, form);
    }
    return block;
}

static void free_block(struct nw_block *block)
{
    free(block->bytes);
    free(block->frames);
    free(block->transactions);
    free(block);
}

/* CPU time: others may run beside us. */
static double now(void)
{
    struct timespec time;

    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static int compare(const void *a, const void *b)
{
    double left = *(const double *)a;
    double right = *(const double *)b;

    return (left > right) - (left < right);
}

/* Decodes and packs the block once. */
static void decode_once(const struct nw_block *block, struct nw_builder *builder)
{
    struct nw_error err;
    struct nw_item *item = NULL;
    size_t size = 0;

    if (nw_builder_decode(builder, block, &size, &err) != NW_OK) {
        (void)fprintf(stderr, "%s\n", err.text);
        abort();
    }
    item = malloc(size);
    NW_ASSERT(item != NULL);
    nw_builder_pack(builder, item);
    free(item);
}

/* Steps over the values of a row and adds up their sizes. */
static uint64_t walk_row(const struct nw_block *block, const struct nw_frame *frame)
{
    struct nw_cursor message = nw_cursor_of(block->bytes + frame->offset, frame->size);
    uint64_t sum = nw_cursor_u8(&message);

    for (uint16_t count = nw_cursor_u16be(&message); count > 0; count--) {
        if (nw_cursor_u8(&message) == 't') {
            sum += nw_cursor_bytes(&message, nw_cursor_u32be(&message)).size;
        }
    }
    return sum;
}

static void walk_once(const struct nw_block *block)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < block->frames_count; i++) {
        sum += walk_row(block, &block->frames[i]);
    }
    NW_ASSERT(sum > 0);
}

/* Best and median of many short rounds: the machine is rarely ours alone. builder NULL: walk. */
static void measure(const char *name, const struct nw_block *block, struct nw_builder *builder,
                    double seconds)
{
    double rounds[ROUNDS_COUNT];
    double rows = (double)block->frames_count;

    for (int i = 0; i < ROUNDS_COUNT; i++) {
        double start = now();
        double spent = 0;
        int times = 0;

        do {
            if (builder == NULL) {
                walk_once(block);
            } else {
                decode_once(block, builder);
            }
            times++;
            spent = now() - start;
        } while (spent < seconds / ROUNDS_COUNT);
        rounds[i] = spent / times;
    }
    qsort(rounds, ROUNDS_COUNT, sizeof rounds[0], compare);
    (void)printf("%-8s %6.2f M rows/s %6.1f ns/row (median %6.1f) %6.0f MB/s\n", name,
                 rows / rounds[0] * 1e-6, rounds[0] / rows * 1e9,
                 rounds[ROUNDS_COUNT / 2] / rows * 1e9, block->bytes_size / rounds[0] * 1e-6);
}

int main(int argc, char **argv)
{
    static const char *const names[] = {"text", "binary", "copy"};
    double seconds = argc > 1 ? strtod(argv[1], NULL) : 1.0;
    struct nw_builder *builder = NULL;
    struct nw_error err;

    for (int c = 0; c < COLUMNS_COUNT; c++) {
        struct nw_type_form form = nw_type_of(columns[c].base_type_oid, columns[c].typmod);

        columns[c].type = (uint8_t)form.type;
        columns[c].precision = form.precision;
        columns[c].scale = form.scale;
        columns[c].type_name = "a type";
    }
    if (nw_builder_create(&builder, &err) != NW_OK) {
        (void)fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    for (int form = FORM_TEXT; form <= FORM_COPY; form++) {
        struct nw_block *block = NULL;

        if (argc > 2 && strcmp(argv[2], names[form]) != 0) {
            continue;
        }
        block = make_block((enum form)form);
        if (form == FORM_TEXT) {
            measure("walk", block, NULL, seconds);
        }
        measure(names[form], block, builder, seconds);
        free_block(block);
    }
    nw_builder_destroy(builder);
    return 0;
}
