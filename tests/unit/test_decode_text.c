/* SPDX-License-Identifier: Apache-2.0 */
/* Text that is not UTF-8, and "char" as it came before PostgreSQL 16. */
#include "base/utf8.h"
#include "decode_blocks.h"

#define OID_UNKNOWN 99999

static struct nw_column_schema columns[5];
static struct nw_table table;

static int set_up(void **state)
{
    (void)state;
    columns[0] = column_make("t", NW_OID_TEXT, -1);
    columns[1] = column_make("j", NW_OID_JSON, -1);
    columns[2] = column_make("a", 1009, -1); /* text[] */
    columns[3] = column_make("custom", OID_UNKNOWN, -1);
    columns[4] = column_make("b", NW_OID_BYTEA, -1);
    table = table_make(columns, 5);
    return 0;
}

static struct nw_item *decode(struct nw_block *block)
{
    struct nw_error err = {.text = ""};
    nw_status status = NW_OK;
    struct nw_item *item = block_decode(block, &status, &err);

    assert_string_equal(err.text, "");
    block_free(block);
    return item;
}

static void assert_value(const struct nw_item *item, int side, uint32_t row, uint16_t column,
                         enum nw_value_kind kind, const char *bytes)
{
    struct nw_value value = nw_batch_value(&item->as.batch, side, row, column);

    assert_int_equal(value.kind, kind);
    assert_int_equal(value.size, strlen(bytes));
    assert_memory_equal(value.bytes, bytes, value.size);
}

static void add_row(struct nw_block *block, char op, const char *text)
{
    block_row(block, op);
    block_tuple(block, op == 'D' ? 'O' : 'N', 5);
    block_text(block, text);
    block_text(block, text);
    block_text(block, text);
    block_text(block, text);
    block_text(block, "\\x6e");
}

static void text_that_is_not_utf8_is_an_exception_where_nobody_checks(void **state)
{
    struct nw_block *block = block_make(NW_BLOCK_CHANGES, &table);
    struct nw_item *item = NULL;

    (void)state;
    table.text_unchecked = true;
    add_row(block, 'I', "caf\xc3\xa9");
    add_row(block, 'I', "caf\xe9");
    add_row(block, 'D', "\xff");
    add_row(block, 'I', "plain");
    item = decode(block);
    assert_int_equal(item->as.batch.exceptions_count, 8);
    for (uint16_t c = 0; c < 4; c++) {
        assert_value(item, NW_AFTER, 0, c, NW_VALUE_PRESENT, "caf\xc3\xa9");
        assert_value(item, NW_AFTER, 1, c, NW_VALUE_EXCEPTION, "caf\xe9");
        assert_value(item, NW_BEFORE, 2, c, NW_VALUE_EXCEPTION, "\xff");
        assert_value(item, NW_AFTER, 3, c, NW_VALUE_PRESENT, "plain");
    }
    assert_value(item, NW_AFTER, 1, 4, NW_VALUE_PRESENT, "n");
    free(item);
}

static void text_of_an_unknown_type_is_checked_everywhere(void **state)
{
    struct nw_block *block = block_make(NW_BLOCK_CHANGES, &table);
    struct nw_item *item = NULL;

    (void)state;
    add_row(block, 'I', "caf\xe9");
    item = decode(block);
    assert_int_equal(item->as.batch.exceptions_count, 1);
    assert_value(item, NW_AFTER, 0, 0, NW_VALUE_PRESENT, "caf\xe9"); /* the server checked it */
    assert_value(item, NW_AFTER, 0, 3, NW_VALUE_EXCEPTION, "caf\xe9");
    free(item);
}

/* One value of a copy: a size, or -1, and bytes. */
static void copied(struct nw_block *block, const char *bytes, size_t size)
{
    block_u32(block, (uint32_t)size);
    block_bytes(block, bytes, size);
}

static void copied_text_is_checked_too(void **state)
{
    static const char array[] = "\0\0\0\1\0\0\0\0\0\0\0\x19\0\0\0\1\0\0\0\1\0\0\0\2\xc3x";
    struct nw_block *block = block_make(NW_BLOCK_COPY, &table);
    struct nw_item *item = NULL;

    (void)state;
    table.text_unchecked = true;
    block_row(block, 'I');
    block_tuple(block, 0, 5);
    copied(block, "\xe9", 1);
    copied(block, "{\"\xe9\":1}", 7);
    copied(block, array, sizeof array - 1);
    copied(block, "", 0);
    copied(block, "\xe9", 1);
    item = decode(block);
    assert_value(item, NW_AFTER, 0, 0, NW_VALUE_EXCEPTION, "\xe9");
    assert_value(item, NW_AFTER, 0, 1, NW_VALUE_EXCEPTION, "{\"\xe9\":1}");
    assert_value(item, NW_AFTER, 0, 2, NW_VALUE_EXCEPTION, "{\xc3x}");
    assert_value(item, NW_AFTER, 0, 3, NW_VALUE_PRESENT, "");
    assert_value(item, NW_AFTER, 0, 4, NW_VALUE_PRESENT, "\xe9");
    free(item);
}

static void a_malformed_value_is_malformed_where_nobody_checks(void **state)
{
    struct nw_block *block = block_make(NW_BLOCK_CHANGES, &table);
    struct nw_error err = {.text = ""};
    nw_status status = NW_OK;

    (void)state;
    table.text_unchecked = true;
    block_row(block, 'I');
    block_tuple(block, 'N', 5);
    block_kind(block, 'n');
    block_kind(block, 'n');
    block_value(block, 'b', "no array", 8); /* and nothing was appended to the column before */
    block_kind(block, 'n');
    block_kind(block, 'n');
    assert_null(block_decode(block, &status, &err));
    assert_int_equal(status, NW_CORRUPT);
    block_free(block);
}

static void high_bytes_of_char_become_octal(void **state)
{
    static const char *const vectors[][3] = {
        {"", "{}", "{}"},
        {"a", "{a,\"\",NULL}", "{a,\"\",NULL}"},
        {"\xe9", "{\xe9,b,\x80}", "{\"\\\\351\",b,\"\\\\200\"}"},
        {"\\351", "{\"\\\\351\"}", "{\"\\\\351\"}"},
    };
    struct nw_column_schema chars[2] = {column_make("c", NW_OID_CHAR, -1),
                                        column_make("cs", 1002, -1)};
    struct nw_table of_chars = table_make(chars, 2);
    struct nw_block *block = block_make(NW_BLOCK_CHANGES, &of_chars);
    struct nw_item *item = NULL;

    (void)state;
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
        block_row(block, 'I');
        block_tuple(block, 'N', 2);
        block_text(block, vectors[i][0]);
        block_text(block, vectors[i][1]);
    }
    item = decode(block);
    for (uint32_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
        bool high = (uint8_t)vectors[i][0][0] >= 0x80;

        assert_value(item, NW_AFTER, i, 0, NW_VALUE_PRESENT, high ? "\\351" : vectors[i][0]);
        assert_value(item, NW_AFTER, i, 1, NW_VALUE_PRESENT, vectors[i][2]);
    }
    free(item);
}

static void utf8_is_neither_overlong_nor_cut_nor_surrogates(void **state)
{
    static const struct {
        const char *text;
        bool valid;
    } vectors[] = {
        {"", true},
        {"seven b", true},
        {"more than eight bytes", true},
        {"\xc2\x80\xdf\xbf\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xf0\x90\x80\x80\xf4\x8f\xbf\xbf",
         true},
        {"\x80", false},
        {"\xc0\x80", false},
        {"\xc1\xbf", false},
        {"\xc3", false},
        {"\xc3(", false},
        {"\xe0\x9f\xbf", false},
        {"\xe2\x82", false},
        {"\xe2\x82(", false},
        {"\xed\xa0\x80", false},
        {"\xf0\x8f\xbf\xbf", false},
        {"\xf0\x90\x80", false},
        {"\xf4\x90\x80\x80", false},
        {"\xf5\x80\x80\x80", false},
        {"eight by\xff", false},
        {"the last of sixteen bytes:\xe9", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
        size_t size = strlen(vectors[i].text);
        uint8_t *copy = malloc(size + 1); /* so that ASan sees a look too far */

        assert_non_null(copy);
        memcpy(copy, vectors[i].text, size);
        copy = realloc(copy, size == 0 ? 1 : size);
        assert_non_null(copy);
        assert_int_equal(nw_utf8_is_valid(copy, size), vectors[i].valid);
        free(copy);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(text_that_is_not_utf8_is_an_exception_where_nobody_checks, set_up),
        cmocka_unit_test_setup(text_of_an_unknown_type_is_checked_everywhere, set_up),
        cmocka_unit_test_setup(copied_text_is_checked_too, set_up),
        cmocka_unit_test_setup(a_malformed_value_is_malformed_where_nobody_checks, set_up),
        cmocka_unit_test(high_bytes_of_char_become_octal),
        cmocka_unit_test(utf8_is_neither_overlong_nor_cut_nor_surrogates),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
