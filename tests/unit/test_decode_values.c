/* SPDX-License-Identifier: Apache-2.0 */
/* Every value of vectors/values-pg*.txt (see vectors/make_values.py), from text and from binary. */
#include "decode_blocks.h"
#include "vectors_kit.h"

#include "decode/datetime.h"
#include "decode/numeric.h"

/* What the value is, as text: PostgreSQL's, for the types whose text is determined by it. */
static size_t print_value(const struct vector *vector, const struct nw_value *value, char *to)
{
    static const char digits[] = "0123456789abcdef";
    int64_t days = 0;
    size_t size = 0;

    switch (value->type) {
    case NW_TYPE_BOOL:
        to[0] = value->as.boolean ? 't' : 'f';
        return 1;
    case NW_TYPE_INT16:
    case NW_TYPE_INT32:
    case NW_TYPE_INT64:
    case NW_TYPE_UINT32:
        return (size_t)sprintf(to, "%lld", (long long)value->as.integer);
    case NW_TYPE_DATE:
        return nw_date_print(to, value->as.integer);
    case NW_TYPE_TIME:
        return nw_time_print(to, value->as.integer);
    case NW_TYPE_TIMESTAMP:
    case NW_TYPE_TIMESTAMPTZ:
        days = value->as.integer / NW_US_PER_DAY - (value->as.integer % NW_US_PER_DAY < 0);
        return nw_timestamp_print(to, days, value->as.integer - days * NW_US_PER_DAY,
                                  value->type == NW_TYPE_TIMESTAMP ? "" : "+00");
    case NW_TYPE_UUID:
    case NW_TYPE_BINARY:
        if (value->type == NW_TYPE_BINARY) {
            to[size++] = '\\';
            to[size++] = 'x';
        }
        for (uint32_t i = 0; i < value->size; i++) {
            if (value->type == NW_TYPE_UUID && (i == 4 || i == 6 || i == 8 || i == 10)) {
                to[size++] = '-';
            }
            to[size++] = digits[value->bytes[i] >> 4];
            to[size++] = digits[value->bytes[i] & 15];
        }
        return size;
    case NW_TYPE_FLOAT32: /* the shortest text that reads back to it is not ours to print */
    case NW_TYPE_FLOAT64:
    case NW_TYPE_DECIMAL:
        memcpy(to, vector->text, vector->text_size);
        return vector->text_size;
    case NW_TYPE_TEXT:
    case NW_TYPE_JSON:
    case NW_TYPE_NUMERIC:
        break;
    }
    if (value->bytes == NULL) {
        return 0; /* the caller expects more */
    }
    memcpy(to, value->bytes, value->size);
    return value->size;
}

/* The integer and the scale of a decimal against the digits of its text. */
static void check_decimal(const struct vector *vector, const struct nw_value *value)
{
    nw_int128 got = 0;
    nw_int128 want = 0;
    uint8_t scale = 0;

    if (value->bytes == NULL) {
        fail();
        return;
    }
    memcpy(&got, value->bytes, sizeof got);
    for (size_t i = 0; i < vector->text_size; i++) {
        if (vector->text[i] == '.') {
            scale = (uint8_t)(vector->text_size - i - 1);
        } else if (vector->text[i] != '-') {
            want = want * 10 + (vector->text[i] - '0');
        }
    }
    want = vector->text[0] == '-' ? -want : want;
    assert_int_equal(scale, vector->columns[0].scale);
    assert_true(got == want);
}

static void check_same(const struct vector *vector, const struct nw_value *text,
                       const struct nw_value *binary)
{
    static char printed[VECTOR_SIZE];
    size_t size = 0;

    assert_int_equal(text->kind, binary->kind);
    assert_int_not_equal(text->kind, NW_VALUE_NULL);
    assert_int_not_equal(text->kind, NW_VALUE_MISSING);
    assert_int_equal(text->size, binary->size);
    if (text->size > 0) {
        assert_memory_equal(text->bytes, binary->bytes, text->size);
    }
    if (text->kind == NW_VALUE_EXCEPTION) {
        assert_int_equal(text->size, vector->text_size);
        assert_memory_equal(text->bytes, vector->text, vector->text_size);
        return;
    }
    assert_memory_equal(&text->as, &binary->as, sizeof text->as);
    size = print_value(vector, binary, printed);
    assert_int_equal(size, vector->text_size);
    assert_memory_equal(printed, vector->text, size);
    if (text->type == NW_TYPE_DECIMAL) {
        check_decimal(vector, text);
    }
}

static void check_copied(const struct vector *vector, struct nw_value *want)
{
    struct nw_table table = table_make(&vector->columns[1], 1);
    struct nw_block *block = block_make(NW_BLOCK_COPY, &table);
    struct nw_error err;
    nw_status status = NW_OK;
    struct nw_item *item = NULL;
    struct nw_value value;

    table.item_labels = vector->table.item_labels;
    block_row(block, 'I');
    block_tuple(block, 0, 1);
    block_u32(block, (uint32_t)vector->binary_size);
    block_bytes(block, vector->binary, vector->binary_size);
    item = block_decode(block, &status, &err);
    assert_non_null(item);
    value = nw_batch_value(&item->as.batch, NW_AFTER, 0, 0);
    check_same(vector, want, &value);
    free(item);
    block_free(block);
}

static void check_vector(const struct vector *vector)
{
    struct nw_block *block = block_make(NW_BLOCK_CHANGES, &vector->table);
    struct nw_error err = {.text = ""};
    nw_status status = NW_OK;
    struct nw_item *item = NULL;
    struct nw_value text;
    struct nw_value binary;

    assert_true(nw_table_is_binary(&vector->table));
    block_row(block, 'I');
    block_tuple(block, 'N', 2);
    block_value(block, 't', vector->text, vector->text_size);
    block_value(block, 'b', vector->binary, vector->binary_size);
    item = block_decode(block, &status, &err);
    assert_string_equal(err.text, "");
    assert_non_null(item);
    text = nw_batch_value(&item->as.batch, NW_AFTER, 0, 0);
    binary = nw_batch_value(&item->as.batch, NW_AFTER, 0, 1);
    check_same(vector, &text, &binary);
    check_copied(vector, &text);
    free(item);
    block_free(block);
}

static void every_value_of_a_real_server_is_the_same_from_text_and_binary(void **state)
{
    (void)state;
    assert_true(vectors_read("values-pg15.txt", check_vector) > 1500);
    assert_true(vectors_read("values-pg18.txt", check_vector) > 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_value_of_a_real_server_is_the_same_from_text_and_binary),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
