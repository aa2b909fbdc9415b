/* SPDX-License-Identifier: Apache-2.0 */
/* What waited at a sink for a copy when narwal ended, as a start finds it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "pipeline/run_private.h"
#include "sink/plugin.h"
#include "sink/position.h"

#define TABLE 100u
#define OTHER 200u

static const struct nw_plugin keeps = {.ops = {.flags = NW_SINK_APPEND_ONLY}};
static const struct nw_plugin replaces;
static struct nw_run *run;
static struct nw_error err;

static void know(uint32_t relation_oid)
{
    const struct nw_table described = {.size = sizeof described,
                                       .relation_oid = relation_oid,
                                       .schema_name = "public",
                                       .name = "t"};
    const struct nw_followed_table followed = {.relation_oid = relation_oid};
    const struct nw_table *table = NULL;

    assert_int_equal(nw_schemas_add(run->schemas, &described, 0, &table, &err), NW_OK);
    assert_int_equal(nw_followed_add(run->followed_tables, &followed, 1, &err), NW_OK);
}

/* The server has the stream from 1000 on, and there is no spool. */
static int begin(void **state)
{
    static char folder[32];
    struct nw_state_source source = {.known = true};

    (void)snprintf(folder, sizeof folder, "/tmp/narwal-held-XXXXXX");
    *state = mkdtemp(folder);
    run = calloc(1, sizeof *run);
    if (*state == NULL || run == NULL || nw_state_open(*state, &run->state, &err) != NW_OK ||
        nw_state_source_write(run->state, &source, &err) != NW_OK ||
        nw_tables_open(run->state, &run->table_states, &err) != NW_OK ||
        nw_followed_open(run->state, &run->followed_tables, &err) != NW_OK ||
        nw_schemas_create(&run->schemas, &err) != NW_OK) {
        return -1;
    }
    run->options = &run->own;
    run->own.sinks_count = 2;
    run->confirmed_lsn = 1000;
    run->left_lsn = UINT64_MAX;
    run->slot_found = true;
    for (uint32_t s = 0; s < 2; s++) {
        run->own.sinks[s].name = s == 0 ? "a" : "b";
        run->own.sinks[s].plugin = &keeps;
        run->members[s].run = run;
    }
    know(TABLE);
    know(OTHER);
    return 0;
}

static int end(void **state)
{
    char command[128];

    nw_schemas_destroy(run->schemas);
    nw_followed_close(run->followed_tables);
    nw_tables_close(run->table_states);
    nw_state_close(run->state);
    free(run);
    (void)snprintf(command, sizeof command, "rm -r %s", (char *)*state);
    return system(command); /* NOLINT(cert-env33-c): a path of our own */
}

static void condition_set(enum nw_table_condition condition, const char *sink)
{
    struct nw_table_trouble trouble = {.relation_oid = TABLE, .condition = condition};

    (void)snprintf(trouble.sink, sizeof trouble.sink, "%s", sink);
    assert_int_equal(nw_tables_set(run->table_states, &trouble, &err), NW_OK);
}

static void condition_clear(const char *sink)
{
    assert_int_equal(nw_tables_remove(run->table_states, TABLE, sink, &err), NW_OK);
}

static bool held_from(uint32_t relation_oid, uint64_t lsn)
{
    return nw_run_is_held(run, 0, &(struct nw_behind){relation_oid, {lsn, 1}, true});
}

static void what_is_held_is_what_the_stream_still_has(void **state)
{
    (void)state;
    assert_true(held_from(TABLE, 1000));
    assert_false(nw_run_is_held(run, 0, &(struct nw_behind){TABLE, {1000, 1}, false}));
    assert_false(held_from(TABLE, 999)); /* the server has removed it */
    run->left_lsn = 900;
    assert_true(held_from(TABLE, 999)); /* a spool has it */
    assert_false(held_from(TABLE, 899));
    assert_true(held_from(NW_BEHIND_UNFINISHED, 1000));
    run->own.sinks[0].plugin = &replaces;
    assert_false(held_from(TABLE, 1000)); /* its copy has what was between */
}

static void what_is_held_is_of_a_table_that_goes_on(void **state)
{
    static const enum nw_table_condition others[] = {
        NW_TABLE_STOPPED, NW_TABLE_KEPT, NW_TABLE_PAUSED, NW_TABLE_RESUMING, NW_TABLE_WAITING};

    (void)state;
    assert_false(held_from(300, 1000)); /* it is not there any more */
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        condition_set(others[i], "");
        assert_false(held_from(TABLE, 1000));
        assert_true(held_from(OTHER, 1000));
        assert_false(nw_run_goes_on(run, TABLE));
        condition_clear("");
    }
    condition_set(NW_TABLE_ASKED, "");
    assert_true(held_from(TABLE, 1000)); /* its copy began */
    assert_true(nw_run_goes_on(run, TABLE));
    condition_clear("");
    condition_set(NW_TABLE_STOPPED, "b");
    assert_true(held_from(TABLE, 1000));
    assert_false(nw_run_goes_on(run, TABLE)); /* not at every sink that keeps what it has */
    condition_clear("b");
    condition_set(NW_TABLE_STOPPED, "a");
    assert_false(held_from(TABLE, 1000));
    condition_clear("a");
    assert_true(nw_run_goes_on(run, TABLE));
    assert_false(nw_run_goes_on(run, 300));
}

/* A sink's position, which lacks these. */
static void position_say(uint8_t *bytes, uint32_t worker, const struct nw_behind_list *list)
{
    static const struct nw_identity identity = {.slot_name = "narwal"};

    run->members[0].recovered.positions[worker] = (struct nw_position){
        .bytes = bytes, .size = nw_position_pack(&identity, 2000, list, bytes), .lsn = 2000};
    run->members[0].recovered.positions_count = worker + 1;
}

static void the_stream_is_needed_from_the_first_place_on_that_is_held(void **state)
{
    const struct nw_behind_list first = {
        .count = 2, .tables = {{TABLE, {1500, 0}, true}, {OTHER, {1400, 0}, true}}};
    const struct nw_behind_list second = {
        .count = 2, .tables = {{TABLE, {1300, 0}, true}, {OTHER, {1100, 0}, false}}};
    const struct nw_behind_list all = {.count = 1,
                                       .tables = {{NW_BEHIND_UNFINISHED, {1200, 0}, true}}};
    static uint8_t bytes[3][NW_POSITION_BYTES_MAX];
    struct nw_copy_state copies[2] = {{.relation_oid = TABLE, .complete = true},
                                      {.relation_oid = 300}};

    (void)state;
    assert_int_equal(nw_run_held_need(&run->members[0], 2000), 2000);
    position_say(bytes[0], 0, &first);
    assert_int_equal(nw_run_held_need(&run->members[0], 2000), 1400);
    assert_int_equal(nw_run_held_need(&run->members[0], 1250), 1250);
    position_say(bytes[1], 1, &second); /* of another worker */
    assert_int_equal(nw_run_held_need(&run->members[0], 2000), 1300);
    position_say(bytes[2], 2, &all);
    run->members[0].recovered.copies = copies;
    run->members[0].recovered.copies_count = 2;
    assert_int_equal(nw_run_held_need(&run->members[0], 2000), 1300); /* none of them */
    copies[0].complete = false;
    assert_int_equal(nw_run_held_need(&run->members[0], 2000), 1200);
    run->own.sinks[0].plugin = &replaces;
    assert_int_equal(nw_run_held_need(&run->members[0], 2000), 2000);
}

static void a_first_copy_that_broke_off_needs_all_since_its_first_snapshot(void **state)
{
    struct nw_run_member *member = &run->members[0];

    (void)state;
    run->copying_lsn = 1200;
    assert_int_equal(nw_run_copied_from(member), 0); /* it has its copies */
    member->needs_copy = true;
    assert_int_equal(nw_run_copied_from(member), 1200);
    member->copies_void = true;
    assert_int_equal(nw_run_copied_from(member), 0);
    member->copies_void = false;
    run->slot_found = false;
    assert_int_equal(nw_run_copied_from(member), 0);
    run->slot_found = true;
    run->members[1].lsn = 1500; /* others stream: it was not there then */
    assert_int_equal(nw_run_copied_from(member), 0);
    run->members[1].lsn = 0;
    member->lsn = 1500;
    assert_int_equal(nw_run_copied_from(member), 0);
    member->lsn = 0;
    run->confirmed_lsn = 1300;
    assert_int_equal(nw_run_copied_from(member), 0); /* gone */
    run->confirmed_lsn = 1000;
    run->own.sinks[0].plugin = &replaces;
    assert_int_equal(nw_run_copied_from(member), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_held_is_what_the_stream_still_has, begin, end),
        cmocka_unit_test_setup_teardown(what_is_held_is_of_a_table_that_goes_on, begin, end),
        cmocka_unit_test_setup_teardown(the_stream_is_needed_from_the_first_place_on_that_is_held,
                                        begin, end),
        cmocka_unit_test_setup_teardown(
            a_first_copy_that_broke_off_needs_all_since_its_first_snapshot, begin, end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
