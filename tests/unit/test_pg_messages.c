/* SPDX-License-Identifier: Apache-2.0 */
/* LSN texts, replication commands and messages, server errors, the arena. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"
#include "pg/lsn.h"
#include "pg/replication.h"

static struct nw_error err;

static void lsns_are_printed_and_read_as_postgresql_does(void **state)
{
    static const struct {
        const char *text;
        uint64_t lsn;
    } good[] = {
        {"0/0", 0},
        {"3A/8F0012C8", 0x3A8F0012C8},
        {"FFFFFFFF/FFFFFFFF", UINT64_MAX},
        {"1/A", 0x10000000A},
    };
    static const char *const bad[] = {"",     "/",   "0/",          "/0",  "0/0 ", " 0/0",
                                      "0/0x", "0-0", "123456789/0", "G/0", "0/0/0"};
    uint64_t lsn = 1;
    char text[NW_LSN_TEXT_SIZE];

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_string_equal(nw_lsn_text(text, good[i].lsn), good[i].text);
        assert_true(nw_lsn_parse(good[i].text, &lsn));
        assert_true(lsn == good[i].lsn);
    }
    assert_true(nw_lsn_parse("3a/8f0012c8", &lsn));
    assert_true(lsn == 0x3A8F0012C8);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        lsn = 1;
        assert_false(nw_lsn_parse(bad[i], &lsn));
        assert_true(lsn == 0);
    }
    assert_false(nw_lsn_parse(NULL, &lsn));
}

static void a_start_asks_for_what_the_server_knows(void **state)
{
    static const char *const publications[] = {"plain", "o\"dd, 'one'"};
    static const struct {
        int version;
        bool streaming, binary, messages, origin;
        const char *command;
    } vectors[] = {
        {140011, true, true, true, false,
         "START_REPLICATION SLOT \"s_1\" LOGICAL 3A/8F0012C8 (proto_version '2', publication_names "
         "'\"plain\",\"o\"\"dd, ''one''\"', streaming 'on', binary 'true', messages 'true')"},
        {150018, false, false, false, false,
         "START_REPLICATION SLOT \"s_1\" LOGICAL 3A/8F0012C8 (proto_version '3', publication_names "
         "'\"plain\",\"o\"\"dd, ''one''\"')"},
        {160003, true, false, true, true,
         "START_REPLICATION SLOT \"s_1\" LOGICAL 3A/8F0012C8 (proto_version '4', publication_names "
         "'\"plain\",\"o\"\"dd, ''one''\"', streaming 'on', messages 'true', origin 'none')"},
    };
    char text[512];

    (void)state;
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        const struct nw_start start = {.slot = "s_1",
                                       .lsn = 0x3A8F0012C8,
                                       .publications = publications,
                                       .publications_count = 2,
                                       .server_version = vectors[i].version,
                                       .streaming = vectors[i].streaming,
                                       .binary = vectors[i].binary,
                                       .messages = vectors[i].messages,
                                       .origin_none = vectors[i].origin};

        assert_int_equal(nw_start_command(&start, text, sizeof text, &err), NW_OK);
        assert_string_equal(text, vectors[i].command);
        /* Whatever room is missing is told, and never written past. */
        for (size_t size = 1; size <= strlen(vectors[i].command); size++) {
            char *tight = malloc(size);

            assert_non_null(tight);
            assert_int_equal(nw_start_command(&start, tight, size, &err), NW_FATAL);
            free(tight);
        }
    }
}

static void an_impossible_start_says_why(void **state)
{
    static const char *const publications[] = {"p"};
    struct nw_start start = {.slot = "s",
                             .publications = publications,
                             .publications_count = 1,
                             .server_version = 150000,
                             .origin_none = true};
    char text[256];

    (void)state;
    assert_int_equal(nw_start_command(&start, text, sizeof text, &err), NW_FATAL);
    assert_non_null(strstr(err.text, "PostgreSQL 16 or newer, the server is 15"));
    assert_memory_equal(err.text, "NW2328", 6);
    start.origin_none = false;
    start.publications_count = 0;
    assert_int_equal(nw_start_command(&start, text, sizeof text, &err), NW_FATAL);
    assert_non_null(strstr(err.text, "no publication"));
    start.publications_count = 1;
    start.slot = "a; DROP";
    assert_int_equal(nw_start_command(&start, text, sizeof text, &err), NW_FATAL);
    assert_non_null(strstr(err.text, "name of a slot"));
    assert_memory_equal(err.text, "NW1013", 6);
}

static void a_status_update_has_its_34_bytes(void **state)
{
    static const uint8_t expected[NW_STATUS_UPDATE_SIZE] = {'r', 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0,
                                                            3,   0, 0, 0, 4, 0, 0, 0, 5, 0, 0, 0,
                                                            6,   0, 0, 0, 0, 0, 0, 0, 7, 1};
    const struct nw_status_update update = {.written_lsn = 0x100000002,
                                            .flushed_lsn = 0x300000004,
                                            .applied_lsn = 0x500000006,
                                            .now_us = 946684800000007,
                                            .reply = true};
    uint8_t bytes[NW_STATUS_UPDATE_SIZE];

    (void)state;
    nw_status_update_build(&update, bytes);
    assert_memory_equal(bytes, expected, sizeof bytes);
}

static void walsender_messages_are_taken_apart(void **state)
{
    static const uint8_t data[] = {'w', 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0,   3,  0,
                                   0,   0, 4, 0, 0, 0, 0, 0, 0, 0, 5, 'B', 'x'};
    static const uint8_t alive[] = {'k', 0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 1};
    struct nw_replication_message message;

    (void)state;
    assert_int_equal(
        nw_replication_message_parse((struct nw_bytes){data, sizeof data}, &message, &err), NW_OK);
    assert_int_equal(message.kind, 'w');
    assert_true(message.start_lsn == 0x100000002 && message.end_lsn == 0x300000004);
    assert_true(message.sent_us == 946684800000005);
    assert_int_equal(message.data.size, 2);
    assert_int_equal(message.data.at[0], 'B');
    assert_int_equal(
        nw_replication_message_parse((struct nw_bytes){alive, sizeof alive}, &message, &err),
        NW_OK);
    assert_int_equal(message.kind, 'k');
    assert_true(message.end_lsn == 0x300000004 && message.sent_us == 0 && message.reply);
}

static void a_malformed_walsender_message_is_corrupt(void **state)
{
    uint8_t bytes[40] = {0};
    struct nw_replication_message message;

    (void)state;
    for (size_t size = 0; size < 25; size++) {
        uint8_t *exact = malloc(size + 1);

        assert_non_null(exact);
        memset(exact, 0, size + 1);
        exact[0] = 'w';
        assert_int_equal(
            nw_replication_message_parse((struct nw_bytes){exact, size}, &message, &err),
            NW_CORRUPT);
        exact[0] = 'k';
        if (size != 18) {
            assert_int_equal(
                nw_replication_message_parse((struct nw_bytes){exact, size}, &message, &err),
                NW_CORRUPT);
        }
        free(exact);
    }
    bytes[0] = 'k';
    assert_int_equal(nw_replication_message_parse((struct nw_bytes){bytes, 19}, &message, &err),
                     NW_CORRUPT);
    bytes[0] = 'z';
    assert_int_equal(nw_replication_message_parse((struct nw_bytes){bytes, 30}, &message, &err),
                     NW_CORRUPT);
    assert_non_null(strstr(err.text, "0x7a"));
}

static void a_server_error_is_taken_apart_and_bounded(void **state)
{
    static const char body[] = "SFEHLER\0VERROR\0C55006\0Mslot is active\0Dfor PID 7\0Hwait\0\0";
    struct nw_server_error error;
    char large[3000];

    (void)state;
    nw_server_error_parse((struct nw_bytes){(const uint8_t *)body, sizeof body - 1}, &error);
    assert_string_equal(error.severity, "ERROR");
    assert_string_equal(error.sqlstate, "55006");
    assert_string_equal(error.message, "slot is active");
    assert_string_equal(error.detail, "for PID 7");
    /* Cut anywhere, it neither reads past the end nor loses what is whole. */
    for (size_t size = 0; size < sizeof body - 1; size++) {
        uint8_t *exact = malloc(size + 1);

        assert_non_null(exact);
        memcpy(exact, body, size);
        nw_server_error_parse((struct nw_bytes){exact, size}, &error);
        assert_string_equal(error.sqlstate, size >= 22 ? "55006" : "");
        free(exact);
    }
    memset(large, 'x', sizeof large);
    large[0] = 'M';
    large[sizeof large - 2] = '\0';
    large[sizeof large - 1] = '\0';
    nw_server_error_parse((struct nw_bytes){(const uint8_t *)large, sizeof large}, &error);
    assert_int_equal(strlen(error.message), sizeof error.message - 1);
}

static void an_arena_gives_zeroed_aligned_pieces_up_to_its_maximum(void **state)
{
    struct nw_arena arena;
    size_t total = 0;

    (void)state;
    nw_arena_init(&arena, 1u << 20);
    for (size_t size = 0; size < 3000; size += 7) {
        uint8_t *piece = nw_arena_alloc(&arena, size);

        if (piece == NULL) {
            break;
        }
        assert_int_equal((uintptr_t)piece % _Alignof(max_align_t), 0);
        for (size_t i = 0; i < size; i++) {
            assert_int_equal(piece[i], 0);
        }
        memset(piece, 0xff, size);
        total += size;
    }
    assert_true(total > 500000);
    assert_true(arena.bytes <= 1u << 20);
    assert_null(nw_arena_alloc(&arena, 1u << 20));
    assert_null(nw_arena_alloc(&arena, SIZE_MAX));
    assert_null(nw_arena_array(&arena, SIZE_MAX / 2, 3));
    nw_arena_reset(&arena);
    assert_true(arena.bytes < 100000);
    assert_string_equal(nw_arena_text(&arena, "again"), "again");
    assert_null(nw_arena_text(&arena, NULL));
    assert_string_equal(nw_arena_text_of(&arena, "abcdef", 3), "abc");
    assert_non_null(nw_arena_alloc(&arena, 800000));
    nw_arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lsns_are_printed_and_read_as_postgresql_does),
        cmocka_unit_test(a_start_asks_for_what_the_server_knows),
        cmocka_unit_test(an_impossible_start_says_why),
        cmocka_unit_test(a_status_update_has_its_34_bytes),
        cmocka_unit_test(walsender_messages_are_taken_apart),
        cmocka_unit_test(a_malformed_walsender_message_is_corrupt),
        cmocka_unit_test(a_server_error_is_taken_apart_and_bounded),
        cmocka_unit_test(an_arena_gives_zeroed_aligned_pieces_up_to_its_maximum),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
