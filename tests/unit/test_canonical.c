/* SPDX-License-Identifier: Apache-2.0 */
/* Canonical bytes of values and of rows: fixed vectors, the values of real servers, and floats
 * against the other printer that narwal has (sinks/lib). */
#include <math.h>
#include <sys/mman.h>

#include "decode_blocks.h"
#include "vectors_kit.h"

#include "lib/print.h"
#include "verify/canonical.h"

#define FLOATS_COUNT 20000
#define TYPMOD(p, s) (((p) << 16 | (s)) + 4)

#define BYTES(text)                                                                                \
    {                                                                                              \
        (text), sizeof(text) - 1                                                                   \
    }

struct bytes {
    const char *at;
    size_t size;
};

struct fixed {
    uint32_t oid;
    int32_t typmod;
    const char *text; /* as the server prints it */
    struct bytes canonical;
};

/* What psql says to the expressions of docs/values.md. */
static const struct fixed fixed[] = {
    {NW_OID_BOOL, -1, "t", BYTES("t")},
    {NW_OID_BOOL, -1, "f", BYTES("f")},
    {NW_OID_INT2, -1, "-32768", BYTES("-32768")},
    {NW_OID_INT4, -1, "0", BYTES("0")},
    {NW_OID_INT8, -1, "-9223372036854775808", BYTES("-9223372036854775808")},
    {NW_OID_OID, -1, "4294967295", BYTES("4294967295")},
    {NW_OID_FLOAT4, -1, "1e-45", BYTES("1e-45")},
    {NW_OID_FLOAT4, -1, "-0", BYTES("-0")},
    {NW_OID_FLOAT4, -1, "1.6777216e+07", BYTES("1.6777216e+07")},
    {NW_OID_FLOAT8, -1, "5e-324", BYTES("5e-324")},
    {NW_OID_FLOAT8, -1, "1e+15", BYTES("1e+15")},
    {NW_OID_FLOAT8, -1, "123456789012345", BYTES("123456789012345")},
    {NW_OID_FLOAT8, -1, "1.7976931348623157e+308", BYTES("1.7976931348623157e+308")},
    {NW_OID_FLOAT8, -1, "-Infinity", BYTES("-Infinity")},
    {NW_OID_FLOAT8, -1, "NaN", BYTES("NaN")},
    {NW_OID_NUMERIC, TYPMOD(5, 2), "0.00", BYTES("0.00")},
    {NW_OID_NUMERIC, TYPMOD(5, 2), "-0.07", BYTES("-0.07")},
    {NW_OID_NUMERIC, TYPMOD(5, 2), "NaN", BYTES("NaN")},
    {NW_OID_NUMERIC, TYPMOD(5, 0), "-12345", BYTES("-12345")},
    {NW_OID_NUMERIC, TYPMOD(38, 38), "-0.99999999999999999999999999999999999999",
     BYTES("-0.99999999999999999999999999999999999999")},
    {NW_OID_NUMERIC, TYPMOD(38, 0), "99999999999999999999999999999999999999",
     BYTES("99999999999999999999999999999999999999")},
    {NW_OID_NUMERIC, -1, "1.10", BYTES("1.10")},
    {NW_OID_TEXT, -1, "", BYTES("")},
    {NW_OID_TEXT, -1, "\303\274 \\", BYTES("\303\274 \\")},
    {NW_OID_BPCHAR, 8 + 4, "a       ", BYTES("a       ")},
    {NW_OID_CHAR, -1, "", BYTES("\0")},
    {NW_OID_CHAR, -1, "\\", BYTES("\\")},
    {NW_OID_CHAR, -1, "7", BYTES("7")},
    {NW_OID_CHAR, -1, "\\200", BYTES("\200")},
    {NW_OID_CHAR, -1, "\\377", BYTES("\377")},
    {NW_OID_CHAR, -1, "\303", BYTES("\303")},   /* before PostgreSQL 16 */
    {NW_OID_CHAR, -1, "\\400", BYTES("\\400")}, /* no server prints this and what follows */
    {NW_OID_CHAR, -1, "\\3a0", BYTES("\\3a0")},
    {NW_OID_CHAR, -1, "abc", BYTES("abc")},
    {NW_OID_VARCHAR, -1, "\\200", BYTES("\\200")},
    {NW_OID_BYTEA, -1, "\\x", BYTES("")},
    {NW_OID_BYTEA, -1, "\\x005cff", BYTES("\0\\\377")},
    {NW_OID_JSON, -1, " {\"a\" : \"\\u0000\"}", BYTES(" {\"a\" : \"\\u0000\"}")},
    {NW_OID_UUID, -1, "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
     BYTES("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11")},
    {NW_OID_DATE, -1, "4714-11-24 BC", BYTES("4714-11-24 BC")},
    {NW_OID_DATE, -1, "infinity", BYTES("infinity")},
    {NW_OID_TIME, -1, "24:00:00", BYTES("24:00:00")},
    {NW_OID_TIME, -1, "12:34:56.7", BYTES("12:34:56.7")},
    {NW_OID_TIMESTAMP, -1, "0044-03-15 12:00:00.000001 BC", BYTES("0044-03-15 12:00:00.000001 BC")},
    {NW_OID_TIMESTAMP, -1, "294276-12-31 23:59:59.999999", BYTES("294276-12-31 23:59:59.999999")},
    {NW_OID_TIMESTAMPTZ, -1, "1969-12-31 23:59:59.999999+00",
     BYTES("1969-12-31 23:59:59.999999+00")},
    {NW_OID_TIMESTAMPTZ, -1, "-infinity", BYTES("-infinity")},
    {NW_OID_INTERVAL, -1, "1 year -3 days +04:05:06", BYTES("1 year -3 days +04:05:06")},
    {1007, -1, "[0:1]={7,NULL}", BYTES("[0:1]={7,NULL}")},   /* integer[] */
    {1001, -1, "{\"\\\\x00ff\"}", BYTES("{\"\\\\x00ff\"}")}, /* bytea[] */
    {1002, -1, "{a,\"\\\\351\"}", BYTES("{a,\"\\\\351\"}")}, /* "char"[] */
    {99999, -1, "(1,\"a b\")", BYTES("(1,\"a b\")")},        /* a composite type */
    {3904, -1, "[1,5)", BYTES("[1,5)")},                     /* int4range */
};

static void check_bytes(const struct nw_buffer *out, const void *bytes, size_t size)
{
    assert_int_equal(out->size, size);
    if (size > 0) {
        assert_memory_equal(out->at, bytes, size);
    }
}

static void check_value(const struct nw_batch *batch, uint16_t column, const void *bytes,
                        size_t size)
{
    struct nw_value value = nw_batch_value(batch, NW_AFTER, 0, column);
    struct nw_buffer out = {0};
    struct nw_error err;

    assert_true(value.kind == NW_VALUE_PRESENT || value.kind == NW_VALUE_EXCEPTION);
    assert_int_equal(nw_canonical_value(&batch->table->columns[column], &value, &out, &err), NW_OK);
    check_bytes(&out, bytes, size);
    nw_buffer_fini(&out);
}

static struct nw_item *decode(struct nw_block *block)
{
    struct nw_error err = {.text = ""};
    nw_status status = NW_OK;
    struct nw_item *item = block_decode(block, &status, &err);

    assert_string_equal(err.text, "");
    assert_non_null(item);
    block_free(block);
    return item;
}

static void fixed_values_have_the_bytes_that_sql_makes_of_them(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof fixed / sizeof fixed[0]; i++) {
        struct nw_column_schema column = column_make("v", fixed[i].oid, fixed[i].typmod);
        struct nw_table table = table_make(&column, 1);
        struct nw_block *block = block_make(NW_BLOCK_CHANGES, &table);
        struct nw_item *item = NULL;

        block_row(block, 'I');
        block_tuple(block, 'N', 1);
        block_text(block, fixed[i].text);
        item = decode(block);
        check_value(&item->as.batch, 0, fixed[i].canonical.at, fixed[i].canonical.size);
        free(item);
    }
}

static void text_that_is_not_utf8_is_its_bytes(void **state)
{
    struct nw_column_schema columns[] = {column_make("t", NW_OID_TEXT, -1),
                                         column_make("j", NW_OID_JSON, -1)};
    struct nw_table table = table_make(columns, 2);
    struct nw_block *block = block_make(NW_BLOCK_CHANGES, &table);
    struct nw_item *item = NULL;

    (void)state;
    table.text_unchecked = true;
    block_row(block, 'I');
    block_tuple(block, 'N', 2);
    block_text(block, "caf\351");
    block_text(block, "[\"\377\"]");
    item = decode(block);
    assert_int_equal(item->as.batch.exceptions_count, 2);
    check_value(&item->as.batch, 0, "caf\351", 4);
    check_value(&item->as.batch, 1, "[\"\377\"]", 5);
    free(item);
}

/* textsend(concat(c)) is the text; charsend(c), and c of a bytea, are what is sent in binary. */
static void check_vector(const struct vector *vector)
{
    uint32_t oid = vector->columns[0].base_type_oid;
    bool sent = oid == NW_OID_CHAR || oid == NW_OID_BYTEA;
    struct nw_block *block = block_make(NW_BLOCK_CHANGES, &vector->table);
    struct nw_item *item = NULL;

    block_row(block, 'I');
    block_tuple(block, 'N', 2);
    block_value(block, 't', vector->text, vector->text_size);
    block_value(block, 'b', vector->binary, vector->binary_size);
    item = decode(block);
    for (uint16_t i = 0; i < 2; i++) {
        check_value(&item->as.batch, i, sent ? vector->binary : vector->text,
                    sent ? vector->binary_size : vector->text_size);
    }
    free(item);
}

static void every_value_of_a_real_server_has_the_bytes_that_it_prints(void **state)
{
    (void)state;
    assert_true(vectors_read("values-pg15.txt", check_vector) > 1500);
    assert_true(vectors_read("values-pg18.txt", check_vector) > 3);
}

static void check_float(bool wide, const struct nw_value *value)
{
    struct nw_column_schema column = {.name = "v"};
    uint8_t text[NW_PRINT_FLOAT_MAX];
    uint8_t *end = wide ? nw_print_float64(text, value->as.real)
                        : nw_print_float32(text, (float)value->as.real);
    struct nw_buffer out = {0};
    struct nw_error err;

    assert_int_equal(nw_canonical_value(&column, value, &out, &err), NW_OK);
    check_bytes(&out, text, (size_t)(end - text));
    nw_buffer_fini(&out);
}

static void floats_are_as_short_as_another_algorithm_makes_them(void **state)
{
    uint64_t random = 1;

    (void)state;
    for (int i = 0; i < FLOATS_COUNT; i++) {
        struct nw_value value = {.kind = NW_VALUE_PRESENT, .type = NW_TYPE_FLOAT64};
        uint64_t bits;
        uint32_t half;
        float narrow;

        random = random * 6364136223846793005u + 1442695040888963407u;
        /* Every fourth is a power of two, every fourth a number of few digits. */
        bits = i % 4 == 0 ? random & 0xfff0000000000000u : random;
        half = (uint32_t)(i % 4 == 0 ? random >> 32 & 0xff800000u : random >> 32);
        memcpy(&value.as.real, &bits, sizeof bits);
        memcpy(&narrow, &half, sizeof half);
        if (i % 4 == 1) {
            value.as.real = (double)(int64_t)(random >> 40) / 1000;
            narrow = (float)(int64_t)(random >> 50) / 100;
        }
        if (isfinite(value.as.real)) {
            check_float(true, &value);
        }
        if (isfinite(narrow)) {
            value.type = NW_TYPE_FLOAT32;
            value.as.real = (double)narrow;
            check_float(false, &value);
        }
    }
}

/* (n integer, price numeric(10,2), kind "char", raw bytea, note text) */
static struct nw_table row_table(struct nw_column_schema columns[static 5])
{
    columns[0] = column_make("n", NW_OID_INT4, -1);
    columns[1] = column_make("price", NW_OID_NUMERIC, TYPMOD(10, 2));
    columns[2] = column_make("kind", NW_OID_CHAR, -1);
    columns[3] = column_make("raw", NW_OID_BYTEA, -1);
    columns[4] = column_make("note", NW_OID_TEXT, -1);
    return table_make(columns, 5);
}

static void put_row(struct nw_block *block, const char *const texts[static 5])
{
    block_row(block, 'U');
    block_tuple(block, 'N', 5);
    for (int i = 0; i < 5; i++) {
        if (texts[i] == NULL) {
            block_kind(block, 'n');
        } else if (strcmp(texts[i], "missing") == 0) {
            block_kind(block, 'u');
        } else {
            block_text(block, texts[i]);
        }
    }
}

static void a_row_is_its_values_with_their_sizes(void **state)
{
    static const struct bytes rows[] = {
        BYTES("\0\0\0\002-7\0\0\0\0041.50\0\0\0\001\377\0\0\0\002\0\001\0\0\0\002ok"),
        BYTES("\377\377\377\377\0\0\0\003NaN\0\0\0\001\0\0\0\0\0\377\377\377\377"),
        BYTES("\377\377\377\377\377\377\377\377\377\377\377\377\377\377\377\377\0\0\0\0"),
    };
    struct nw_column_schema columns[5];
    struct nw_table table = row_table(columns);
    struct nw_block *block = block_make(NW_BLOCK_CHANGES, &table);
    struct nw_item *item = NULL;
    struct nw_batch run;
    struct nw_error err;
    bool whole = false;

    (void)state;
    put_row(block, (const char *const[]){"-7", "1.50", "\\377", "\\x0001", "ok"});
    put_row(block, (const char *const[]){NULL, "NaN", "", "\\x", NULL});
    put_row(block, (const char *const[]){NULL, NULL, NULL, NULL, ""});
    item = decode(block);
    run = item->as.batch;
    for (uint32_t i = 0; i < 3; i++) {
        struct nw_buffer out = {0};

        run.first_row = i; /* a run of one row: numbers are relative */
        run.rows_count = 1;
        assert_int_equal(nw_canonical_row(&run, NW_AFTER, 0, &whole, &out, &err), NW_OK);
        assert_true(whole);
        check_bytes(&out, rows[i].at, rows[i].size);
        nw_buffer_fini(&out);
    }
    free(item);
}

static void a_row_that_is_not_whole_has_no_bytes(void **state)
{
    struct nw_column_schema columns[5];
    struct nw_table table = row_table(columns);
    struct nw_block *block = block_make(NW_BLOCK_CHANGES, &table);
    struct nw_item *item = NULL;
    struct nw_buffer out = {0};
    struct nw_error err;
    bool whole = true;

    (void)state;
    assert_true(nw_buffer_append(&out, "before", 6));
    put_row(block, (const char *const[]){"1", "1.00", "a", NULL, "missing"});
    item = decode(block);
    assert_int_equal(nw_canonical_row(&item->as.batch, NW_AFTER, 0, &whole, &out, &err), NW_OK);
    assert_false(whole);
    check_bytes(&out, "before", 6);
    whole = true;
    assert_int_equal(nw_canonical_row(&item->as.batch, NW_BEFORE, 0, &whole, &out, &err), NW_OK);
    assert_false(whole);
    check_bytes(&out, "before", 6);
    nw_buffer_fini(&out);
    free(item);
}

static void what_does_not_fit_leaves_the_buffer_as_it_was(void **state)
{
    struct nw_column_schema columns[5];
    struct nw_table table = row_table(columns);
    struct nw_block *block = block_make(NW_BLOCK_CHANGES, &table);
    struct nw_item *item = NULL;
    struct nw_value value;
    struct nw_error err = {.text = ""};
    struct nw_buffer full = {.capacity = NW_BUFFER_SIZE_MAX};
    nw_status status = NW_OK;
    bool whole = true;

    (void)state;
    put_row(block, (const char *const[]){"-7", "1.50", "a", "\\x0001", "ok"});
    item = decode(block);
    /* Address space of the largest size; pages that nobody touches cost nothing. */
    full.at = mmap(NULL, NW_BUFFER_SIZE_MAX, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    assert_ptr_not_equal(full.at, MAP_FAILED);
    /* A row has 5 sizes and 11 bytes: with less room it breaks at every place. */
    for (uint32_t room = 0; room <= 5 * 4 + 11; room++) {
        full.size = NW_BUFFER_SIZE_MAX - room;
        status = nw_canonical_row(&item->as.batch, NW_AFTER, 0, &whole, &full, &err);
        assert_int_equal(status, room < 5 * 4 + 11 ? NW_FATAL : NW_OK);
        assert_int_equal(full.size, NW_BUFFER_SIZE_MAX - (status == NW_OK ? 0 : room));
    }
    assert_string_equal(err.text, "column note: no memory for a row to compare");
    value = nw_batch_value(&item->as.batch, NW_AFTER, 0, 4);
    full.size = NW_BUFFER_SIZE_MAX - 1;
    assert_int_equal(nw_canonical_value(&columns[4], &value, &full, &err), NW_FATAL);
    assert_int_equal(full.size, NW_BUFFER_SIZE_MAX - 1);
    assert_int_equal(munmap(full.at, NW_BUFFER_SIZE_MAX), 0);
    free(item);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fixed_values_have_the_bytes_that_sql_makes_of_them),
        cmocka_unit_test(text_that_is_not_utf8_is_its_bytes),
        cmocka_unit_test(every_value_of_a_real_server_has_the_bytes_that_it_prints),
        cmocka_unit_test(floats_are_as_short_as_another_algorithm_makes_them),
        cmocka_unit_test(a_row_is_its_values_with_their_sizes),
        cmocka_unit_test(a_row_that_is_not_whole_has_no_bytes),
        cmocka_unit_test(what_does_not_fit_leaves_the_buffer_as_it_was),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
