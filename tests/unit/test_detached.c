/* SPDX-License-Identifier: Apache-2.0 */
/* What is recorded of detached sinks, over restarts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "pipeline/detached.h"

static struct nw_detached detached;
static struct nw_error err;

static int begin(void **state)
{
    static char folder[] = "/tmp/narwal-detached-XXXXXX";

    struct nw_state_source source = {.known = true};
    struct nw_state *made = NULL;

    *state = mkdtemp(folder);
    if (*state == NULL || nw_state_open(*state, &made, &err) != NW_OK ||
        nw_state_source_write(made, &source, &err) != NW_OK) {
        return -1;
    }
    nw_state_close(made); /* one that knows no source would go with it */
    return 0;
}

static int end(void **state)
{
    char command[128];

    (void)snprintf(command, sizeof command, "rm -r %s", (char *)*state);
    return system(command); /* NOLINT(cert-env33-c): a path of our own */
}

static struct nw_state *open_again(void **folder, struct nw_state *former)
{
    struct nw_state *state = NULL;

    nw_state_close(former);
    assert_int_equal(nw_state_open(*folder, &state, &err), NW_OK);
    assert_int_equal(nw_detached_read(state, &detached, &err), NW_OK);
    return state;
}

static void it_stays_recorded_until_it_is_removed(void **folder)
{
    struct nw_detached_sink sink = {.name = "a 'b'", .since_us = 7, .lsn = UINT64_C(1) << 63};
    struct nw_state *state = open_again(folder, NULL);

    assert_int_equal(detached.count, 0);
    assert_null(nw_detached_find(&detached, "a 'b'"));
    (void)strcpy(sink.reason, "NW2372 why");
    assert_int_equal(nw_detached_set(state, &detached, &sink, &err), NW_OK);
    state = open_again(folder, state);
    assert_int_equal(detached.count, 1);
    assert_non_null(nw_detached_find(&detached, "a 'b'"));
    assert_false(detached.sinks[0].attaches);
    assert_int_equal(detached.sinks[0].since_us, 7);
    assert_true(detached.sinks[0].lsn == UINT64_C(1) << 63);
    assert_string_equal(detached.sinks[0].reason, "NW2372 why");

    sink.attaches = true;
    assert_int_equal(nw_detached_set(state, &detached, &sink, &err), NW_OK);
    state = open_again(folder, state);
    assert_int_equal(detached.count, 1);
    assert_true(detached.sinks[0].attaches);
    assert_int_equal(nw_detached_remove(state, &detached, "another", &err), NW_OK);
    assert_int_equal(detached.count, 1);
    assert_int_equal(nw_detached_remove(state, &detached, "a 'b'", &err), NW_OK);
    state = open_again(folder, state);
    assert_int_equal(detached.count, 0);
    nw_state_close(state);
}

static void more_than_there_is_room_for_are_left_unread(void **folder)
{
    struct nw_state *state = open_again(folder, NULL);

    for (uint32_t i = 0; i < NW_DETACHED_MAX + 3; i++) {
        struct nw_detached_sink sink = {.since_us = i};

        (void)snprintf(sink.name, sizeof sink.name, "sink%u", i);
        assert_int_equal(nw_detached_set(state, &detached, &sink, &err), NW_OK);
    }
    assert_int_equal(detached.count, NW_DETACHED_MAX);
    nw_state_close(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_stays_recorded_until_it_is_removed),
        cmocka_unit_test(more_than_there_is_room_for_are_left_unread),
    };

    return cmocka_run_group_tests_name("detached", tests, begin, end);
}
