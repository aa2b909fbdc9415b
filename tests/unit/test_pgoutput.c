/* SPDX-License-Identifier: Apache-2.0 */
/* pgoutput's messages: every one parses whole, and no shorter or longer form of it does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "source/pgoutput.h"
#include "wire.h"
#include <narwal/sink.h>

/* One parser behind one face. */
typedef nw_status (*parse_fn)(struct nw_bytes message, struct nw_error *err);

static struct nw_pgoutput_begin begin;
static struct nw_pgoutput_commit commit;
static struct nw_relation relation;
static struct nw_pgoutput_truncate truncation;
static struct nw_pgoutput_message message;
static struct nw_pgoutput_abort undone;
static const char *origin;
static uint32_t stream_xid;

static nw_status parse_begin(struct nw_bytes bytes, struct nw_error *err)
{
    return nw_pgoutput_begin_parse(bytes, &begin, err);
}

static nw_status parse_commit(struct nw_bytes bytes, struct nw_error *err)
{
    return nw_pgoutput_commit_parse(bytes, &commit, err);
}

static nw_status parse_relation(struct nw_bytes bytes, struct nw_error *err)
{
    return nw_pgoutput_relation_parse(bytes, &relation, err);
}

static nw_status parse_truncate(struct nw_bytes bytes, struct nw_error *err)
{
    return nw_pgoutput_truncate_parse(bytes, &truncation, err);
}

static nw_status parse_message(struct nw_bytes bytes, struct nw_error *err)
{
    return nw_pgoutput_message_parse(bytes, &message, err);
}

static nw_status parse_origin(struct nw_bytes bytes, struct nw_error *err)
{
    return nw_pgoutput_origin_parse(bytes, &origin, err);
}

static nw_status parse_stream_start(struct nw_bytes bytes, struct nw_error *err)
{
    return nw_pgoutput_stream_start_parse(bytes, &stream_xid, err);
}

static nw_status parse_stream_commit(struct nw_bytes bytes, struct nw_error *err)
{
    return nw_pgoutput_stream_commit_parse(bytes, &commit, err);
}

static nw_status parse_stream_abort(struct nw_bytes bytes, struct nw_error *err)
{
    return nw_pgoutput_stream_abort_parse(bytes, &undone, err);
}

/* Parses a copy of exactly this size, so that a sanitizer sees any read past its end. */
static nw_status parse_exactly(parse_fn parse, const uint8_t *bytes, size_t size)
{
    uint8_t *copy = malloc(size == 0 ? 1 : size);
    struct nw_error err = {0};
    nw_status status = NW_OK;

    assert_non_null(copy);
    if (size > 0) {
        memcpy(copy, bytes, size);
    }
    status = parse((struct nw_bytes){copy, size}, &err);
    assert_int_equal(err.status, status); /* filled exactly when it fails */
    free(copy);
    return status;
}

/* The whole is fine; every shorter one, and one byte more, is corrupt. */
static void check(parse_fn parse, struct wire *wire)
{
    struct nw_error err = {0};

    for (size_t size = 0; size < wire->size; size++) {
        assert_int_equal(parse_exactly(parse, wire->bytes, size), NW_CORRUPT);
    }
    wire_u8(wire, 0);
    assert_int_equal(parse_exactly(parse, wire->bytes, wire->size), NW_CORRUPT);
    wire->size--;
    assert_int_equal(parse(wire_slice(wire), &err), NW_OK);
}

static void transactions_are_bounded_by_what_was_sent(void **state)
{
    struct wire wire = {0};

    (void)state;
    wire_begin(&wire, 0x1122334455667788, 5, 77);
    check(parse_begin, &wire);
    assert_int_equal(begin.commit_lsn, 0x1122334455667788);
    assert_int_equal(begin.commit_ts, 946684800000005); /* counted from 1970 */
    assert_int_equal(begin.xid, 77);
    wire_clear(&wire);
    wire_commit(&wire, 1000, 1008, -5);
    check(parse_commit, &wire);
    assert_int_equal(commit.commit_lsn, 1000);
    assert_int_equal(commit.end_lsn, 1008);
    assert_int_equal(commit.commit_ts, 946684799999995);
    wire_clear(&wire);
    wire_stream_commit(&wire, 9, 2000, 2008, 1);
    check(parse_stream_commit, &wire);
    assert_int_equal(commit.xid, 9);
    assert_int_equal(commit.end_lsn, 2008);
    wire_clear(&wire);
    wire_stream_start(&wire, 9, true);
    check(parse_stream_start, &wire);
    assert_int_equal(stream_xid, 9);
    wire_free(&wire);
}

static void a_time_past_all_times_does_not_overflow(void **state)
{
    struct wire wire = {0};

    (void)state;
    wire_begin(&wire, 1, INT64_MAX, 1);
    check(parse_begin, &wire);
    assert_int_equal(begin.commit_ts, INT64_MAX);
    wire_clear(&wire);
    wire_begin(&wire, 1, INT64_MIN, 1);
    check(parse_begin, &wire);
    assert_true(begin.commit_ts < 0);
    wire_free(&wire);
}

static void an_abort_may_have_its_lsn_and_time(void **state)
{
    struct wire wire = {0};
    struct nw_error err = {0};

    (void)state;
    wire_stream_abort(&wire, 9, 10);
    assert_int_equal(parse_stream_abort(wire_slice(&wire), &err), NW_OK);
    assert_int_equal(undone.xid, 9);
    assert_int_equal(undone.subxid, 10);
    wire_u64(&wire, 5);
    wire_u64(&wire, 6);
    assert_int_equal(parse_stream_abort(wire_slice(&wire), &err), NW_OK);
    for (size_t size = 0; size < wire.size; size++) {
        assert_int_equal(parse_exactly(parse_stream_abort, wire.bytes, size),
                         size == 9 ? NW_OK : NW_CORRUPT);
    }
    wire_free(&wire);
}

static void a_relation_has_its_columns(void **state)
{
    static const struct wire_column columns[3] = {
        {"id", 20, -1, true}, {"", 1700, 655366, false}, {"name", 1043, 36, true}};
    struct wire wire = {0};

    (void)state;
    wire_relation(&wire, 0, 16384, "table", 'i', columns, 3);
    check(parse_relation, &wire);
    assert_int_equal(relation.oid, 16384);
    assert_string_equal(relation.schema_name, "public");
    assert_string_equal(relation.name, "table");
    assert_int_equal(relation.replica_identity, 'i');
    assert_int_equal(relation.columns_count, 3);
    assert_string_equal(relation.columns[2].name, "name");
    assert_int_equal(relation.columns[1].type_oid, 1700);
    assert_int_equal(relation.columns[1].typmod, 655366);
    assert_true(relation.columns[0].identity && relation.columns[2].identity);
    assert_false(relation.columns[1].identity);
    wire_clear(&wire);
    wire_relation(&wire, 0, 16384, "no columns", 'd', columns, 0);
    check(parse_relation, &wire);
    wire_free(&wire);
}

static void an_empty_schema_name_is_the_catalogs(void **state)
{
    struct wire wire = {0};

    (void)state;
    wire_u8(&wire, 'R');
    wire_u32(&wire, 5);
    wire_text(&wire, "");
    wire_text(&wire, "t");
    wire_u8(&wire, 'd');
    wire_u16(&wire, 0);
    check(parse_relation, &wire);
    assert_string_equal(relation.schema_name, "pg_catalog");
    wire_free(&wire);
}

static void more_columns_than_a_table_has_are_corrupt(void **state)
{
    struct wire wire = {0};
    size_t count_at = 0;

    (void)state;
    for (uint32_t count = NW_COLUMNS_MAX; count <= NW_COLUMNS_MAX + 1; count++) {
        wire_clear(&wire);
        wire_relation(&wire, 0, 5, "wide", 'd', NULL, 0);
        count_at = wire.size - 2;
        wire.size = count_at;
        wire_u16(&wire, count);
        for (uint32_t i = 0; i < count; i++) {
            wire_u8(&wire, 0);
            wire_text(&wire, "c");
            wire_u32(&wire, 23);
            wire_u32(&wire, UINT32_MAX);
        }
        assert_int_equal(parse_exactly(parse_relation, wire.bytes, wire.size),
                         count == NW_COLUMNS_MAX ? NW_OK : NW_CORRUPT);
    }
    wire_free(&wire);
}

static void a_truncate_has_as_many_relations_as_it_says(void **state)
{
    struct wire wire = {0};
    struct nw_cursor cursor;

    (void)state;
    wire_truncate(&wire, 0, 7, (const uint32_t[]){5, 6, 7}, 3);
    check(parse_truncate, &wire);
    assert_int_equal(truncation.relations_count, 3);
    assert_int_equal(truncation.flags, NW_TRUNCATE_CASCADE | NW_TRUNCATE_RESTART_IDENTITY);
    cursor = nw_cursor_of(truncation.relations.at, truncation.relations.size);
    assert_int_equal(nw_cursor_u32be(&cursor), 5);
    for (uint32_t count = 4; count != 0; count = count * 7 + 1) { /* counts that lie, up to 2^32 */
        uint32_t lie = __builtin_bswap32(count);

        memcpy(wire.bytes + 1, &lie, 4);
        assert_int_equal(parse_exactly(parse_truncate, wire.bytes, wire.size), NW_CORRUPT);
        if (count > UINT32_MAX / 8) {
            break;
        }
    }
    wire_clear(&wire);
    wire_truncate(&wire, 0, 0, NULL, 0);
    check(parse_truncate, &wire);
    wire_free(&wire);
}

static void a_logical_message_has_prefix_and_content(void **state)
{
    struct wire wire = {0};

    (void)state;
    wire_logical(&wire, 0, true, 700, "prefix", "a\0b", 3);
    check(parse_message, &wire);
    assert_true(message.transactional);
    assert_int_equal(message.lsn, 700);
    assert_string_equal(message.prefix, "prefix");
    assert_int_equal(message.content.size, 3);
    assert_memory_equal(message.content.at, "a\0b", 3);
    wire_clear(&wire);
    wire_logical(&wire, 0, false, 700, "", NULL, 0);
    check(parse_message, &wire);
    assert_false(message.transactional);
    wire_free(&wire);
}

static void an_origin_has_a_name(void **state)
{
    struct wire wire = {0};

    (void)state;
    wire_origin(&wire, 5, "upstream");
    check(parse_origin, &wire);
    assert_string_equal(origin, "upstream");
    wire_free(&wire);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(transactions_are_bounded_by_what_was_sent),
        cmocka_unit_test(a_time_past_all_times_does_not_overflow),
        cmocka_unit_test(an_abort_may_have_its_lsn_and_time),
        cmocka_unit_test(a_relation_has_its_columns),
        cmocka_unit_test(an_empty_schema_name_is_the_catalogs),
        cmocka_unit_test(more_columns_than_a_table_has_are_corrupt),
        cmocka_unit_test(a_truncate_has_as_many_relations_as_it_says),
        cmocka_unit_test(a_logical_message_has_prefix_and_content),
        cmocka_unit_test(an_origin_has_a_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
