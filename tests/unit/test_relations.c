/* SPDX-License-Identifier: Apache-2.0 */
/* What must be known to begin in the middle of a stream: the last of each table that is in force.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/log.h"
#include "source/relations.h"

#define NOTE(oid)                                                                                  \
    "{\"v\": 1, \"oid\": " oid ", \"schema\": \"s\", \"name\": \"t\", \"identity\": \"d\", "       \
    "\"attributes\": 1, \"columns\": [{\"attnum\": 1, \"name\": \"a\", \"type\": 23, "             \
    "\"typmod\": -1, \"not_null\": true, \"default\": null, \"generated\": \"\", "                 \
    "\"labels\": null}]}"

struct world {
    struct nw_relations *relations;
    bool streams; /* messages carry an xid */
    struct nw_error err;
};

static size_t u32_put(uint8_t *at, uint32_t value)
{
    for (int i = 0; i < 4; i++) {
        at[i] = (uint8_t)(value >> (24 - 8 * i));
    }
    return 4;
}

static void take(struct world *world, const uint8_t *bytes, size_t size)
{
    if (nw_relations_take(world->relations, (struct nw_bytes){bytes, size}, &world->err) != NW_OK) {
        fail_msg("%s", world->err.text);
    }
}

static void control(struct world *world, char type, uint32_t xid, uint32_t subxid)
{
    uint8_t bytes[64] = {(uint8_t)type};
    size_t size = 1;

    if (type == 'S' || type == 'c' || type == 'A') {
        size += u32_put(bytes + size, xid);
    }
    if (type == 'S') {
        bytes[size++] = 1;
    } else if (type == 'A') {
        size += u32_put(bytes + size, subxid);
    } else if (type == 'c') {
        size += 1 + 8 + 8 + 8;
    }
    world->streams = type == 'S' || (world->streams && type != 'E');
    take(world, bytes, size);
}

/* A Relation message, as far as it is looked at; `said` tells it from others of its table. */
static void relation(struct world *world, uint32_t oid, char said)
{
    uint8_t bytes[16] = {'R'};
    size_t size = 1;

    size += world->streams ? u32_put(bytes + size, 77) : 0; /* the subtransaction */
    size += u32_put(bytes + size, oid);
    bytes[size++] = (uint8_t)said;
    take(world, bytes, size);
}

static void note(struct world *world, const char *prefix, const char *content)
{
    uint8_t bytes[1024] = {'M'};
    size_t size = 1;

    size += world->streams ? u32_put(bytes + size, 77) : 0;
    bytes[size++] = 1;
    size += 8;
    memcpy(bytes + size, prefix, strlen(prefix) + 1);
    size += strlen(prefix) + 1;
    size += u32_put(bytes + size, (uint32_t)strlen(content));
    memcpy(bytes + size, content, strlen(content));
    take(world, bytes, size + strlen(content));
}

/* In force, in words: "7a" is what relation 7 said last, "M" a note. */
static void assert_force(struct world *world, const char *expected)
{
    struct nw_bytes packed = {NULL, 0};
    struct nw_cursor cursor;
    char text[256] = "";

    assert_int_equal(nw_relations_pack(world->relations, &packed, &world->err), NW_OK);
    assert_true(packed.size <= nw_relations_bytes(world->relations));
    cursor = nw_cursor_of(packed.at, packed.size);
    while (cursor.left > 0) {
        struct nw_bytes message = nw_cursor_bytes(&cursor, nw_cursor_u32le(&cursor));
        size_t used = strlen(text);

        assert_false(cursor.failed);
        if (message.at[0] == 'M') {
            (void)snprintf(text + used, sizeof text - used, "M ");
        } else {
            assert_int_equal(message.size, 6);
            (void)snprintf(text + used, sizeof text - used, "%u%c ", message.at[4], message.at[5]);
        }
    }
    assert_string_equal(text, expected);
}

static int setup(void **state)
{
    struct world *world = calloc(1, sizeof *world);

    assert_non_null(world);
    assert_int_equal(nw_relations_create(&world->relations, &world->err), NW_OK);
    *state = world;
    return 0;
}

static int teardown(void **state)
{
    struct world *world = *state;

    nw_relations_destroy(world->relations);
    free(world);
    return 0;
}

static void the_last_of_each_table_is_in_force(void **state)
{
    struct world *world = *state;

    assert_true(nw_relations_rest(world->relations));
    control(world, 'B', 0, 0);
    assert_false(nw_relations_rest(world->relations));
    assert_true(nw_relations_inside(world->relations));
    relation(world, 7, 'a');
    relation(world, 8, 'a');
    relation(world, 7, 'b');
    control(world, 'C', 0, 0);
    assert_true(nw_relations_rest(world->relations));
    assert_force(world, "7b 8a ");
    nw_relations_reset(world->relations);
    assert_force(world, "");
    assert_int_equal(nw_relations_bytes(world->relations), 0);
}

static void a_streamed_transaction_says_it_when_it_commits(void **state)
{
    struct world *world = *state;

    relation(world, 7, 'a');
    control(world, 'S', 5, 0);
    relation(world, 7, 'b');
    relation(world, 9, 'b');
    control(world, 'E', 0, 0);
    assert_false(nw_relations_inside(world->relations));
    assert_false(nw_relations_rest(world->relations)); /* more of it will come */
    assert_force(world, "7a ");
    control(world, 'S', 6, 0);
    relation(world, 7, 'c');
    control(world, 'E', 0, 0);
    control(world, 'A', 6, 6);
    assert_false(nw_relations_rest(world->relations));
    control(world, 'c', 5, 0);
    assert_true(nw_relations_rest(world->relations));
    assert_force(world, "7b 9b ");
}

/* A schema was renamed while the transaction was open, and the server said so outside of it. */
static void what_was_said_meanwhile_outlives_the_commit_of_what_is_older(void **state)
{
    struct world *world = *state;

    control(world, 'S', 5, 0);
    relation(world, 7, 'a');
    relation(world, 9, 'a');
    control(world, 'E', 0, 0);
    relation(world, 7, 'b');
    assert_force(world, "7b ");
    control(world, 'c', 5, 0);
    assert_force(world, "9a 7b ");
}

/* The server says it again where it is needed. */
static void what_an_undone_subtransaction_said_stays(void **state)
{
    struct world *world = *state;

    control(world, 'S', 5, 0);
    relation(world, 7, 'b');
    control(world, 'E', 0, 0);
    control(world, 'A', 5, 77);
    assert_false(nw_relations_rest(world->relations));
    control(world, 'c', 5, 0);
    assert_force(world, "7b ");
}

static void a_new_connection_ends_what_was_streamed(void **state)
{
    struct world *world = *state;

    control(world, 'S', 5, 0);
    relation(world, 7, 'b');
    nw_relations_reset(world->relations);
    world->streams = false;
    assert_true(nw_relations_rest(world->relations));
    relation(world, 8, 'a');
    assert_force(world, "8a ");
}

static void a_note_goes_with_the_message_that_it_was_for(void **state)
{
    struct world *world = *state;

    note(world, "application", NOTE("7")); /* not of our trigger */
    note(world, "narwal.ddl", "nonsense");
    relation(world, 7, 'a');
    assert_force(world, "7a ");
    note(world, "narwal.ddl", NOTE("7"));
    assert_force(world, "7a M ");
    relation(world, 7, 'b');
    assert_force(world, "M 7b ");
    relation(world, 7, 'b'); /* the same again: it is still what the note was for */
    assert_force(world, "M 7b ");
    note(world, "narwal.ddl", NOTE("7"));
    assert_force(world, "M 7b M ");
    relation(world, 7, 'c');
    relation(world, 7, 'd'); /* by a command that the trigger did not see */
    assert_force(world, "7d ");
    control(world, 'S', 5, 0);
    note(world, "narwal.ddl", NOTE("7"));
    relation(world, 7, 'e');
    control(world, 'E', 0, 0);
    assert_force(world, "7d ");
    control(world, 'c', 5, 0);
    assert_force(world, "M 7e ");
}

static void too_much_is_given_up_until_the_next_connection(void **state)
{
    struct world *world = *state;
    size_t size = NW_RELATIONS_BYTES_MAX / 3;
    uint8_t *bytes = calloc(1, size);

    assert_non_null(bytes);
    bytes[0] = 'R';
    for (uint8_t oid = 1; oid <= 4; oid++) {
        bytes[4] = oid;
        take(world, bytes, size);
        assert_true(nw_relations_rest(world->relations) == (oid < 3));
        assert_true(nw_relations_bytes(world->relations) <= NW_RELATIONS_BYTES_MAX);
    }
    nw_relations_reset(world->relations);
    assert_true(nw_relations_rest(world->relations));
    free(bytes);
}

static void what_ends_early_is_said(void **state)
{
    static const uint8_t streamed[] = {'R', 0, 0, 0, 5, 0, 0, 0};
    static const uint8_t message[] = {'M', 0, 0, 0};
    struct world *world = *state;
    struct nw_bytes bytes = {streamed, sizeof streamed};

    control(world, 'S', 5, 0);
    assert_int_equal(nw_relations_take(world->relations, bytes, &world->err), NW_CORRUPT);
    bytes = (struct nw_bytes){message, sizeof message};
    assert_int_equal(nw_relations_take(world->relations, bytes, &world->err), NW_CORRUPT);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(the_last_of_each_table_is_in_force),
        TEST(a_streamed_transaction_says_it_when_it_commits),
        TEST(what_was_said_meanwhile_outlives_the_commit_of_what_is_older),
        TEST(what_an_undone_subtransaction_said_stays),
        TEST(a_new_connection_ends_what_was_streamed),
        TEST(a_note_goes_with_the_message_that_it_was_for),
        TEST(too_much_is_given_up_until_the_next_connection),
        TEST(what_ends_early_is_said),
    };

    nw_log_setup(2, (enum nw_log_level)0, false);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
