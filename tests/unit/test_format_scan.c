/* SPDX-License-Identifier: Apache-2.0 */
/* The reader of JSON, and compression in chunks. */
#include "file_support.h"

#include "lib/json.h"
#include "lib/scan.h"

static const char *const good[] = {
    "{}",
    "[]",
    " [ 1 , 2 ] ",
    "0",
    "-0",
    "-1.5e+10",
    "1E5",
    "\"\"",
    "\"\\u00e9\\\"\\\\\\/\"",
    "true",
    "false",
    "null",
    "{\"a\":{\"b\":[{},[],\"x\"]}}",
    "\"\xc3\xa9\"",
    "\"\\ud83d\\udc33\"",
    "\"\\udc80\"",
};
static const char *const bad[] = {
    "",        "{",         "}",          "[1,]",     "[,1]",
    "{\"a\"}", "{\"a\":}",  "{\"a\":1,}", "{a:1}",    "01",
    "1.",      "-",         ".5",         "1e",       "\"",
    "\"\\x\"", "\"\\u12\"", "\"\n\"",     "\"\xff\"", "\"\xed\xa0\x80\"",
    "tru",     "nul",       "1 2",        "[1 2]",    "{\"a\":1 \"b\":2}",
    "'a'",     "\"\\",      "[\"a\"",     "+1",
};

static bool skips(const char *text)
{
    size_t size = strlen(text);
    char *copy = malloc(size + (size == 0)); /* so that a sanitizer sees what is read too many */
    struct nw_scan scan;
    bool done;

    memcpy(copy, text, size);
    scan = nw_scan_of(copy, size);
    nw_scan_skip(&scan);
    done = nw_scan_done(&scan);
    free(copy);
    return done;
}

static void json_is_told_from_what_is_not(void **state)
{
    char deep[200];

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        if (!skips(good[i])) {
            fail_msg("refused: %s", good[i]);
        }
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (skips(bad[i])) {
            fail_msg("taken: %s", bad[i]);
        }
    }
    memset(deep, '[', 100);
    memset(deep + 100, ']', 99);
    deep[199] = '\0';
    assert_false(skips(deep));
    assert_true(skips(deep + 60) == false);
    memset(deep, '[', 60);
    memset(deep + 60, ']', 60);
    deep[120] = '\0';
    assert_true(skips(deep));
}

static void every_cut_of_a_text_is_refused(void **state)
{
    static const char text[] = "{\"a\":[1,-2.5e3,\"x\\u00e9\\n\",true,null],\"b\":{\"c\":false}}";

    (void)state;
    assert_true(skips(text));
    for (size_t size = 0; size < sizeof text - 1; size++) {
        char cut[sizeof text];

        memcpy(cut, text, size);
        cut[size] = '\0';
        assert_false(skips(cut));
    }
}

static void values_are_read_and_bounded(void **state)
{
    static const char text[] = "{\"u\":18446744073709551615,\"l\":\"16/B374D848\",\"h\":\"00fF\","
                               "\"s\":\"a\\ud83d\\udc33\\udcff\\u0000b\",\"b\":true}";
    struct nw_scan scan = nw_scan_of(text, sizeof text - 1);
    uint8_t bytes[4];
    char key[4];
    char value[16];
    bool first = true;

    (void)state;
    nw_scan_enter(&scan, '{');
    assert_true(nw_scan_key(&scan, &first, key, sizeof key));
    assert_true(nw_scan_u64(&scan) == UINT64_MAX);
    assert_true(nw_scan_key(&scan, &first, key, sizeof key));
    assert_true(nw_scan_lsn(&scan) == UINT64_C(0x16B374D848));
    assert_true(nw_scan_key(&scan, &first, key, sizeof key));
    assert_int_equal(nw_scan_hex(&scan, bytes, sizeof bytes), 2);
    assert_memory_equal(bytes, "\x00\xff", 2);
    assert_true(nw_scan_key(&scan, &first, key, sizeof key));
    assert_int_equal(nw_scan_text(&scan, value, sizeof value), 8);
    assert_memory_equal(value, "a\xf0\x9f\x90\xb3\xff\0b", 8);
    assert_true(nw_scan_key(&scan, &first, key, sizeof key));
    assert_true(nw_scan_bool(&scan));
    assert_false(nw_scan_key(&scan, &first, key, sizeof key));
    assert_true(nw_scan_done(&scan));

    scan = nw_scan_of("18446744073709551616", 20);
    (void)nw_scan_u64(&scan);
    assert_true(scan.failed);
    scan = nw_scan_of("\"123456789/0\"", 13);
    (void)nw_scan_lsn(&scan);
    assert_true(scan.failed);
    scan = nw_scan_of("\"0011223344\"", 12);
    (void)nw_scan_hex(&scan, bytes, sizeof bytes);
    assert_true(scan.failed);
    scan = nw_scan_of("\"abcd\"", 6);
    (void)nw_scan_text(&scan, value, 4);
    assert_true(scan.failed);
}

static void names_come_back_from_json_as_they_were(void **state)
{
    static const char name[] = "caf\xe9 \xc3\xa9 \"\\\x01";
    struct nw_out out = {0};
    struct nw_scan scan;
    char back[32];

    (void)state;
    nw_json_name(&out, name);
    scan = nw_scan_of(out.bytes, out.used);
    assert_int_equal(nw_scan_text(&scan, back, sizeof back), sizeof name - 1);
    assert_string_equal(back, name);
    nw_out_fini(&out);
}

static void chunks_come_back_and_damage_is_found(void **state)
{
    (void)state;
    for (int kind = NW_CHUNK_GZIP; kind <= NW_CHUNK_ZSTD; kind++) {
        struct nw_chunk *chunk = nw_chunk_create((enum nw_chunk_kind)kind, 3);
        size_t size = (size_t)NW_CHUNK_RAW_MAX + 1000;
        uint8_t *raw = malloc(size);
        struct nw_out out = {0};
        struct nw_out back = {0};
        size_t taken = 0;
        size_t first;

        for (size_t i = 0; i < size; i++) {
            raw[i] = (uint8_t)(i * i >> 7);
        }
        assert_true(nw_chunk_write(chunk, raw, size, &out)); /* two chunks */
        assert_true(nw_chunk_read(chunk, out.bytes, out.used, &back, &first));
        assert_int_equal(back.used, NW_CHUNK_RAW_MAX);
        assert_true(nw_chunk_read(chunk, out.bytes + first, out.used - first, &back, &taken));
        assert_int_equal(first + taken, out.used);
        assert_int_equal(back.used, size);
        assert_memory_equal(back.bytes, raw, size);
        for (size_t at = 0; at < taken; at++) { /* every byte of the small one */
            back.used = 0;
            out.bytes[first + at] ^= 0x10;
            if (nw_chunk_read(chunk, out.bytes + first, taken, &back, &size) &&
                (back.used != 1000 || memcmp(back.bytes, raw + NW_CHUNK_RAW_MAX, 1000) != 0)) {
                fail_msg("kind %d: byte %zu changed, and it was read otherwise", kind, at);
            }
            out.bytes[first + at] ^= 0x10;
            assert_false(nw_chunk_read(chunk, out.bytes + first, at, &back, &size));
        }
        nw_out_fini(&out);
        nw_out_fini(&back);
        nw_chunk_destroy(chunk);
        free(raw);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_is_told_from_what_is_not),
        cmocka_unit_test(every_cut_of_a_text_is_refused),
        cmocka_unit_test(values_are_read_and_bounded),
        cmocka_unit_test(names_come_back_from_json_as_they_were),
        cmocka_unit_test(chunks_come_back_and_damage_is_found),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
