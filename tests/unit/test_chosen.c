/* SPDX-License-Identifier: Apache-2.0 */
/* When some rows of a table are all that is to be copied of it, and how a sink says which. */
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

#define TABLE 100u

static const struct nw_plugin keeps = {.ops = {.flags = NW_SINK_APPEND_ONLY}};
static const struct nw_plugin replaces;
static struct nw_run *run;
static struct nw_error err;

static int begin(void **state)
{
    static char folder[] = "/tmp/narwal-chosen-XXXXXX";
    struct nw_state_source source = {.known = true};

    *state = mkdtemp(folder);
    run = calloc(1, sizeof *run);
    if (*state == NULL || run == NULL || nw_state_open(*state, &run->state, &err) != NW_OK ||
        nw_state_source_write(run->state, &source, &err) != NW_OK ||
        nw_tables_open(run->state, &run->table_states, &err) != NW_OK) {
        return -1;
    }
    run->options = &run->own;
    run->own.sinks_count = 2;
    for (uint32_t s = 0; s < 2; s++) {
        run->own.sinks[s].name = s == 0 ? "a" : "b";
        run->own.sinks[s].plugin = &keeps;
        run->members[s] = (struct nw_run_member){.run = run, .lsn = 1000};
    }
    return 0;
}

static int end(void **state)
{
    char command[128];

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

static bool chosen_at(uint32_t sinks)
{
    bool chosen = false;

    assert_int_equal(nw_run_chosen_of(run, TABLE, sinks, &chosen, &err), NW_OK);
    return chosen;
}

/* Each sink of the copy has all other rows, and will have what comes meanwhile. */
static void some_rows_are_enough_where_every_sink_has_the_others(void **state)
{
    (void)state;
    assert_int_equal(nw_chosen_set(run->state, TABLE, "a = 1", &err), NW_OK);
    assert_false(chosen_at(3)); /* nobody asked for them */
    condition_set(NW_TABLE_WAITING, "");
    assert_false(chosen_at(3)); /* its rows are passed over until its mark */
    condition_set(NW_TABLE_ASKED, "");
    assert_true(chosen_at(3));
    run->own.sinks[1].plugin = &replaces;
    assert_false(chosen_at(3));
    assert_true(chosen_at(1)); /* the other gets no copy */
    run->own.sinks[1].plugin = &keeps;
    run->members[1].lsn = 0;
    assert_false(chosen_at(3)); /* it is new */
    run->members[1].lsn = 1000;
    run->members[1].copies_void = true;
    assert_false(chosen_at(3));
    run->members[1].copies_void = false;
    run->detached.sinks[0].attaches = true;
    (void)snprintf(run->detached.sinks[0].name, sizeof run->detached.sinks[0].name, "b");
    run->detached.count = 1;
    assert_false(chosen_at(3)); /* it comes back, and lacks something */
    run->detached.count = 0;
    condition_set(NW_TABLE_WAITING, "b");
    assert_false(chosen_at(3)); /* it lacks this table */
    assert_int_equal(nw_tables_remove(run->table_states, TABLE, "b", &err), NW_OK);
    assert_true(chosen_at(3));
    assert_int_equal(nw_chosen_set(run->state, TABLE, NW_CHOSEN_ALL, &err), NW_OK);
    assert_false(chosen_at(3));
    assert_int_equal(nw_chosen_set(run->state, TABLE, NULL, &err), NW_OK);
    assert_false(chosen_at(3));
}

static void a_condition_stands_behind_the_name_that_a_sink_asks_for(void **state)
{
    static const struct {
        const char *text, *name, *filter;
        bool quoted;
    } vectors[] = {
        {"s.t", "s.t", "", true},
        {"s.t WHERE a = ' WHERE '", "s.t", "a = ' WHERE '", true},
        {"\"a WHERE b\".t WHERE c", "\"a WHERE b\".t", "c", true},
        {"\"a WHERE b\".t", "\"a WHERE b\".t", "", true},
        {"s\"t WHERE c", "s\"t", "c", false}, /* a regular expression */
    };

    (void)state;
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        char filter[NW_CHOSEN_SIZE];
        char text[64];

        (void)snprintf(text, sizeof text, "%s", vectors[i].text);
        nw_run_wish_split(text, vectors[i].quoted, filter);
        assert_string_equal(text, vectors[i].name);
        assert_string_equal(filter, vectors[i].filter);
    }
    assert_true(nw_run_wish_is_of("table refresh s.t", "table refresh s.t"));
    assert_true(nw_run_wish_is_of("table refresh s.t WHERE a", "table refresh s.t"));
    assert_false(nw_run_wish_is_of("table refresh s.tt", "table refresh s.t"));
    assert_false(nw_run_wish_is_of("table refresh s.", "table refresh s.t"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(some_rows_are_enough_where_every_sink_has_the_others, begin,
                                        end),
        cmocka_unit_test(a_condition_stands_behind_the_name_that_a_sink_asks_for),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
