/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A damaged spool: whatever was lost or changed is found when it is opened, named with its file and
 * its place, and refused, unless it is an end that was never synced and never acknowledged.
 */
#include "spool_kit.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/log.h"

/* A spool of this many records, synced and left. */
static void kit_left(struct kit *kit, uint64_t count)
{
    kit_make(kit, 1);
    assert_int_equal(kit_append(kit, count), NW_OK);
    assert_int_equal(kit_settle(kit), NW_OK);
    kit_drop(kit);
}

static void assert_says(const struct kit *kit, const char *text)
{
    if (strstr(kit->err.text, text) == NULL) {
        fail_msg("\"%s\" does not say \"%s\"", kit->err.text, text);
    }
}

/* Opening is refused, and nothing was changed, so that a second try says the same. */
static void assert_refused(struct kit *kit, uint64_t acknowledged_lsn, const char *text)
{
    for (int i = 0; i < 2; i++) {
        memset(&kit->err, 0, sizeof kit->err);
        assert_int_equal(kit_open(kit, acknowledged_lsn), NW_FATAL);
        assert_null(kit->spool);
        assert_says(kit, text);
        assert_says(kit, "NW2505 ");
        assert_says(kit, "To begin again");
    }
}

static uint64_t segments_of(const struct kit *kit)
{
    struct nw_spool_status status;

    nw_spool_status(kit->spool, &status);
    return status.segments;
}

static void a_torn_record_at_the_end_is_cut_off_at_every_byte(void **state)
{
    static const uint64_t count = 5; /* the last has 137 bytes of its own */

    (void)state;
    for (uint64_t cut = 0; cut < KIT_RECORD + 137; cut++) {
        struct kit kit;
        uint64_t size = 0;

        kit_make(&kit, cut);
        assert_int_equal(kit_append(&kit, count - 1), NW_OK);
        assert_int_equal(kit_append_size(&kit, 137), NW_OK);
        assert_int_equal(kit_settle(&kit), NW_OK);
        kit_drop(&kit);
        size = kit_file_size(&kit, 1);
        kit_file_truncate(&kit, 1, size - KIT_RECORD - 137 + cut);
        assert_int_equal(kit_open(&kit, kit_reached(count - 1)), NW_OK);
        assert_int_equal(kit_file_size(&kit, 1), size - KIT_RECORD - 137);
        kit_expect(&kit, 1, count - 1);
        kit_expect_end(&kit);
        kit.appended = count - 1; /* it goes on from there */
        assert_int_equal(kit_append(&kit, 60), NW_OK);
        kit_expect(&kit, count, count + 59);
        assert_int_equal(kit_settle(&kit), NW_OK);
        kit_drop(&kit);
        assert_int_equal(kit_open(&kit, kit_reached(count + 59)), NW_OK);
        kit_expect(&kit, 1, count + 59);
        kit_free(&kit);
    }
}

static void an_end_that_was_acknowledged_is_missed(void **state)
{
    struct kit kit;

    (void)state;
    kit_left(&kit, 8); /* the last is a position */
    kit_file_truncate(&kit, 1, kit_file_size(&kit, 1) - 1);
    assert_refused(&kit, kit_reached(8), "0000000001.spool at offset");
    assert_says(&kit, "a record ends early");
    assert_says(&kit, "between 0/418 and 0/468"); /* records 3 and 8 */
    assert_int_equal(kit_open(&kit, kit_reached(7)), NW_OK);
    kit_expect(&kit, 1, 7);
    kit_expect_end(&kit);
    kit_free(&kit);
}

static void zeros_at_the_end_are_an_end(void **state)
{
    struct kit kit;
    uint64_t size = 0;

    (void)state;
    kit_left(&kit, 8);
    size = kit_file_size(&kit, 1);
    kit_file_truncate(&kit, 1, size + 5000);
    assert_int_equal(kit_open(&kit, kit_reached(8)), NW_OK);
    assert_int_equal(kit_file_size(&kit, 1), size);
    kit_expect(&kit, 1, 8);
    kit_expect_end(&kit);
    kit_free(&kit);
}

/* Where the records of the segment begin, from the file itself; ends with the file's size. */
static size_t record_starts(const uint8_t *bytes, size_t size, size_t *starts, size_t starts_max)
{
    size_t count = 0;
    size_t at = KIT_HEADER;

    while (at < size) {
        uint32_t body = 0;

        assert_true(count + 1 < starts_max);
        starts[count++] = at;
        memcpy(&body, bytes + at + 24, 4);
        at += KIT_RECORD + body;
    }
    assert_int_equal(at, size);
    starts[count] = size;
    return count;
}

static void a_changed_bit_is_found_with_file_and_offset(void **state)
{
    struct kit kit;

    (void)state;
    kit_left(&kit, 43);
    for (uint64_t segment = 1; segment <= 3; segment++) {
        size_t starts[64];
        size_t size = 0;
        uint8_t *bytes = kit_file_read(&kit, segment, &size);
        size_t count = record_starts(bytes, size, starts, 64);

        assert_true(count > 2);
        for (size_t at = 0; at < size; at += at < 400 ? 1 : 37) {
            char place[64];
            size_t record = 0;

            while (record < count && at >= starts[record + 1]) {
                record++;
            }
            (void)snprintf(place, sizeof place,
                           "%010llu.spool at offset %zu:", (unsigned long long)segment,
                           at < KIT_HEADER ? 0 : starts[record]);
            bytes[at] ^= (uint8_t)(1u << (at % 8));
            kit_file_write(&kit, segment, at, bytes + at, 1);
            assert_int_equal(kit_open(&kit, kit_reached(43)), NW_FATAL);
            assert_says(&kit, place);
            bytes[at] ^= (uint8_t)(1u << (at % 8));
            kit_file_write(&kit, segment, at, bytes + at, 1);
        }
        free(bytes);
    }
    assert_int_equal(kit_open(&kit, kit_reached(43)), NW_OK); /* all is well again */
    kit_expect(&kit, 1, 43);
    kit_free(&kit);
}

static void a_change_after_opening_is_found_while_reading(void **state)
{
    struct kit kit;
    struct nw_spool_record record;
    bool end = false;
    uint8_t byte = 0xff;

    (void)state;
    kit_left(&kit, 43);
    assert_int_equal(kit_open(&kit, kit_reached(43)), NW_OK);
    kit_file_write(&kit, 2, KIT_HEADER + 9, &byte, 1);
    while (kit_next(&kit, &record, &end) == NW_OK && !end) {
    }
    assert_false(end);
    assert_int_equal(kit.err.status, NW_CORRUPT);
    assert_says(&kit, "0000000002.spool at offset 136: a record's checksum does not match");
    kit_free(&kit);
}

static void a_file_cut_off_after_opening_is_found_while_reading(void **state)
{
    struct kit kit;
    struct nw_spool_record record;
    bool end = false;

    (void)state;
    kit_left(&kit, 43);
    assert_int_equal(kit_open(&kit, kit_reached(43)), NW_OK);
    kit_file_truncate(&kit, 2, 4000);
    while (kit_next(&kit, &record, &end) == NW_OK && !end) {
    }
    assert_false(end);
    assert_int_equal(kit.err.status, NW_CORRUPT);
    assert_says(&kit, "0000000002.spool at offset 136: the file ends early");
    kit_free(&kit);
}

static void a_missing_segment_is_missed(void **state)
{
    (void)state;
    for (uint64_t missing = 1; missing <= 4; missing++) {
        struct kit kit;
        char name[64];

        kit_make(&kit, 1);
        assert_int_equal(kit_append(&kit, 60), NW_OK);
        assert_int_equal(kit_settle(&kit), NW_OK);
        assert_true(segments_of(&kit) >= 4);
        kit_drop(&kit);
        if (missing == 4) { /* the last: and what may have been prepared */
            for (uint64_t segment = 4; segment < 12; segment++) {
                assert_int_equal(kit.env->ops->file_remove(kit.env, kit_path(segment), &kit.err),
                                 NW_OK);
            }
            assert_refused(&kit, kit_reached(60), "what followed /spool/0000000003.spool");
        } else {
            assert_int_equal(kit.env->ops->file_remove(kit.env, kit_path(missing), &kit.err),
                             NW_OK);
            (void)snprintf(name, sizeof name, "%s is missing", kit_path(missing));
            assert_refused(&kit, KIT_BEGIN_LSN, name);
        }
        kit_free(&kit);
    }
}

static void exchanged_segments_are_not_taken(void **state)
{
    struct kit kit;

    (void)state;
    kit_left(&kit, 60);
    assert_int_equal(kit.env->ops->file_rename(kit.env, kit_path(1), "/spool/x", NULL), NW_OK);
    assert_int_equal(
        kit.env->ops->file_rename(kit.env, kit_path(2), "/spool/0000000001.spool", NULL), NW_OK);
    assert_int_equal(kit.env->ops->file_rename(kit.env, "/spool/x", kit_path(2), NULL), NW_OK);
    assert_refused(&kit, KIT_BEGIN_LSN, "0000000001.spool at offset 0: its header is of segment 2");
    kit_free(&kit);
}

/* Each of them is right by itself, at another's place. */
static void exchanged_records_are_not_taken(void **state)
{
    struct kit kit;
    uint8_t *bytes = NULL;
    size_t size = 0;
    const size_t record = KIT_RECORD + 40;

    (void)state;
    kit_make(&kit, 1);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(kit_append_size(&kit, 40), NW_OK);
    }
    assert_int_equal(kit_append(&kit, 14), NW_OK); /* the last is a position */
    assert_int_equal(kit_settle(&kit), NW_OK);
    kit_drop(&kit);
    bytes = kit_file_read(&kit, 1, &size);
    kit_file_write(&kit, 1, KIT_HEADER + record, bytes + KIT_HEADER + 2 * record, record);
    kit_file_write(&kit, 1, KIT_HEADER + 2 * record, bytes + KIT_HEADER + record, record);
    assert_refused(&kit, kit_reached(18), "0000000001.spool at offset 208: a record's checksum");
    free(bytes);
    kit_free(&kit);
}

/* A segment with the same number, of another spool of the same source: records fit by number. */
static void a_segment_of_another_spool_is_not_taken(void **state)
{
    struct kit kit;
    uint8_t *other = NULL;
    size_t size = 0;

    (void)state;
    kit_left(&kit, 60);
    other = kit_file_read(&kit, 2, &size);
    assert_int_equal(nw_spool_discard(&kit.options, &kit.err), NW_OK);
    assert_int_equal(nw_spool_begin(&kit.options, KIT_BEGIN_LSN, &kit.spool, &kit.err), NW_OK);
    kit.appended = 0;
    assert_int_equal(kit_append(&kit, 60), NW_OK);
    assert_int_equal(kit_settle(&kit), NW_OK);
    kit_drop(&kit);
    assert_int_equal(kit_file_size(&kit, 2), size);
    kit_file_write(&kit, 2, 0, other, size);
    assert_refused(&kit, KIT_BEGIN_LSN, "its header is of segment 2 of another spool");
    /* Only its records, under the right header. */
    assert_int_equal(nw_spool_discard(&kit.options, &kit.err), NW_OK);
    assert_int_equal(nw_spool_begin(&kit.options, KIT_BEGIN_LSN, &kit.spool, &kit.err), NW_OK);
    kit.appended = 0;
    assert_int_equal(kit_append(&kit, 60), NW_OK);
    assert_int_equal(kit_settle(&kit), NW_OK);
    kit_drop(&kit);
    kit_file_write(&kit, 2, KIT_HEADER, other + KIT_HEADER, size - KIT_HEADER);
    assert_refused(&kit, KIT_BEGIN_LSN, "0000000002.spool at offset 136: a record's checksum");
    free(other);
    kit_free(&kit);
}

static void another_source_is_refused(void **state)
{
    struct nw_identity others[3];
    struct kit kit;

    (void)state;
    kit_left(&kit, 8);
    for (int i = 0; i < 3; i++) {
        others[i] = kit.options.identity;
    }
    others[0].system_identifier++;
    others[1].database_oid++;
    (void)snprintf(others[2].slot_name, sizeof others[2].slot_name, "other");
    for (int i = 0; i < 3; i++) {
        struct nw_identity mine = kit.options.identity;

        kit.options.identity = others[i];
        assert_int_equal(kit_open(&kit, KIT_BEGIN_LSN), NW_FATAL);
        assert_says(&kit, "NW2507 the spool in ");
        assert_says(&kit, "is of another source");
        kit.options.identity = mine;
    }
    kit.options.identity.timeline = 4; /* the caller knows what to think of that */
    assert_int_equal(kit_open(&kit, KIT_BEGIN_LSN), NW_OK);
    kit_free(&kit);
}

static void a_newer_version_is_refused(void **state)
{
    struct kit kit;
    size_t size = 0;
    uint8_t *bytes = NULL;
    uint64_t checksum = 0;

    (void)state;
    kit_left(&kit, 8);
    bytes = kit_file_read(&kit, 1, &size);
    bytes[8] = 3;
    checksum = XXH3_64bits(bytes, KIT_HEADER - 8);
    memcpy(bytes + KIT_HEADER - 8, &checksum, 8);
    kit_file_write(&kit, 1, 0, bytes, KIT_HEADER);
    assert_int_equal(kit_open(&kit, KIT_BEGIN_LSN), NW_FATAL);
    assert_says(&kit, "NW2506 ");
    assert_says(&kit, "has format 3, written by a newer narwal");
    free(bytes);
    kit_free(&kit);
}

static void a_hole_in_an_older_segment_is_damage_whatever_was_acknowledged(void **state)
{
    struct kit kit;

    (void)state;
    kit_left(&kit, 60);
    kit_file_truncate(&kit, 2, kit_file_size(&kit, 2) - 1);
    assert_refused(&kit, KIT_BEGIN_LSN, "0000000002.spool at offset");
    kit_free(&kit);
}

static void segments_that_were_only_made_are_removed(void **state)
{
    struct kit kit;
    int file = -1;

    (void)state;
    kit_left(&kit, 8);
    for (uint64_t segment = 2; segment < 4; segment++) {
        assert_int_equal(
            kit.env->ops->file_open(kit.env, kit_path(segment), NW_FILE_CREATE, &file, &kit.err),
            NW_OK);
        kit.env->ops->file_close(kit.env, file);
        kit_file_truncate(&kit, segment, segment == 2 ? 0 : 300);
    }
    assert_int_equal(kit_open(&kit, kit_reached(8)), NW_OK);
    assert_int_equal(segments_of(&kit), 1);
    kit.appended = 8;
    assert_int_equal(kit_append(&kit, 60), NW_OK);
    assert_int_equal(kit_settle(&kit), NW_OK);
    kit_drop(&kit);
    assert_int_equal(kit_open(&kit, kit_reached(68)), NW_OK);
    kit_expect(&kit, 1, 68);
    kit_expect_end(&kit);
    kit_free(&kit);
}

/* As version 1 wrote them: segments without states, and with another number in the header. */
static void a_spool_of_version_1_is_read_and_goes_on(void **state)
{
    struct kit kit;
    struct nw_spool_status status;
    uint64_t segments = 0;
    uint32_t one = 1;

    (void)state;
    kit_make(&kit, 1);
    assert_int_equal(kit_append(&kit, 40), NW_OK);
    assert_int_equal(kit_settle(&kit), NW_OK);
    segments = segments_of(&kit);
    assert_true(segments > 1);
    kit_drop(&kit);
    for (uint64_t i = 1; i <= segments; i++) {
        size_t size = 0;
        uint8_t *bytes = kit_file_read(&kit, i, &size);
        uint64_t checksum = 0;

        memcpy(bytes + 8, &one, sizeof one);
        checksum = XXH3_64bits(bytes, KIT_HEADER - 8);
        memcpy(bytes + KIT_HEADER - 8, &checksum, sizeof checksum);
        kit_file_write(&kit, i, 0, bytes, KIT_HEADER);
        free(bytes);
    }
    assert_int_equal(kit_open(&kit, kit_reached(40)), NW_OK);
    kit_expect(&kit, 1, 40);
    kit.states = true;
    assert_int_equal(kit_append(&kit, 60), NW_OK);
    kit_expect(&kit, 41, 100);
    nw_spool_status(kit.spool, &status);
    nw_spool_trim(kit.spool, status.read_record); /* what is new has its states */
    assert_int_equal(kit_settle(&kit), NW_OK);
    nw_spool_status(kit.spool, &status);
    assert_true(status.first_record > 40);
    kit_free(&kit);
}

/* A beginning that is missing is damage, whatever a trim record says. */
static void a_first_segment_without_a_state_is_refused(void **state)
{
    struct kit kit;

    (void)state;
    kit_left(&kit, 60);
    kit.states = true;
    assert_int_equal(kit_open(&kit, kit_reached(60)), NW_OK);
    kit_expect(&kit, 1, 60);
    assert_int_equal(kit_append(&kit, 60), NW_OK);
    kit_expect(&kit, 61, 120);
    nw_spool_trim(kit.spool, 120);
    assert_int_equal(kit_settle(&kit), NW_OK);
    assert_int_equal(kit.env->ops->file_remove(kit.env, kit_path(1), NULL), NW_OK);
    kit_drop(&kit);
    assert_int_equal(kit_open(&kit, kit_reached(120)), NW_OK); /* up to a state: it may be gone */
    kit_free(&kit);
    kit_left(&kit, 60);
    assert_int_equal(kit.env->ops->file_remove(kit.env, kit_path(1), NULL), NW_OK);
    assert_refused(&kit, kit_reached(60), "0000000001.spool is missing");
    kit_free(&kit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_torn_record_at_the_end_is_cut_off_at_every_byte),
        cmocka_unit_test(an_end_that_was_acknowledged_is_missed),
        cmocka_unit_test(zeros_at_the_end_are_an_end),
        cmocka_unit_test(a_changed_bit_is_found_with_file_and_offset),
        cmocka_unit_test(a_change_after_opening_is_found_while_reading),
        cmocka_unit_test(a_file_cut_off_after_opening_is_found_while_reading),
        cmocka_unit_test(a_missing_segment_is_missed),
        cmocka_unit_test(exchanged_segments_are_not_taken),
        cmocka_unit_test(exchanged_records_are_not_taken),
        cmocka_unit_test(a_segment_of_another_spool_is_not_taken),
        cmocka_unit_test(another_source_is_refused),
        cmocka_unit_test(a_newer_version_is_refused),
        cmocka_unit_test(a_spool_of_version_1_is_read_and_goes_on),
        cmocka_unit_test(a_first_segment_without_a_state_is_refused),
        cmocka_unit_test(a_hole_in_an_older_segment_is_damage_whatever_was_acknowledged),
        cmocka_unit_test(segments_that_were_only_made_are_removed),
    };

    nw_log_setup(2, NW_LOG_WARN, false);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
