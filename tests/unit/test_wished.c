/* SPDX-License-Identifier: Apache-2.0 */
/* What is recorded of what sinks asked for, over restarts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "pipeline/wished.h"

static struct nw_error err;
static struct nw_state *open_now;
static char found[512];
static int64_t last;

static int begin(void **state)
{
    static char folder[32];
    struct nw_state_source source = {.known = true};

    (void)strcpy(folder, "/tmp/narwal-wished-XXXXXX");
    *state = mkdtemp(folder);
    if (*state == NULL || nw_state_open(*state, &open_now, &err) != NW_OK ||
        nw_state_source_write(open_now, &source, &err) != NW_OK) {
        return -1; /* one that knows no source would go with it */
    }
    return 0;
}

static int end(void **state)
{
    char command[128];

    nw_state_close(open_now);
    (void)snprintf(command, sizeof command, "rm -r %s", (char *)*state);
    return system(command); /* NOLINT(cert-env33-c): a path of our own */
}

static void wish_print(void *context, int64_t number, const char *sink, const char *command,
                       bool later)
{
    size_t used = strlen(found);

    (void)context;
    (void)snprintf(found + used, sizeof found - used, "%lld %s %s%s;", (long long)number, sink,
                   command, later ? " later" : "");
}

/* What is recorded, after another start. */
static const char *read_again(void **folder)
{
    nw_state_close(open_now);
    assert_int_equal(nw_state_open(*folder, &open_now, &err), NW_OK);
    found[0] = '\0';
    assert_int_equal(nw_wished_read(open_now, wish_print, NULL, &last, &err), NW_OK);
    return found;
}

static bool ask(int64_t first, const char *sink, const char *key, uint32_t count)
{
    static const char *const commands[] = {"x", "y", "z"};
    struct nw_request request = {.size = sizeof request,
                                 .commands_count = count,
                                 .commands = commands,
                                 .key = key,
                                 .note = "a note"};

    assert_int_equal(nw_wished_ask(open_now, first, sink, &request, &err), NW_OK);
    return !request.again;
}

static void a_key_is_known_also_when_all_is_done(void **state)
{
    struct nw_wished_name name;

    assert_string_equal(read_again(state), "");
    assert_int_equal(last, 0);
    assert_true(ask(1, "a", "k", 3));
    assert_true(ask(4, "b", "k", 1));
    assert_false(ask(5, "a", "k", 3));
    assert_string_equal(read_again(state), "1 a x;2 a y;3 a z;4 b x;");
    assert_int_equal(last, 4);
    for (int64_t i = 1; i <= 4; i++) {
        assert_int_equal(nw_wished_name(open_now, i, i < 4 ? "a" : "b", &name, &err), NW_OK);
        assert_string_equal(name.key, "k");
        assert_string_equal(name.note, "a note");
        assert_int_equal(nw_wished_remove(open_now, i, &err), NW_OK);
    }
    assert_string_equal(read_again(state), "");
    assert_int_equal(last, 4); /* no number comes twice */
    assert_false(ask(5, "a", "k", 1));
    assert_true(ask(5, "a", NULL, 1));
    assert_int_equal(nw_wished_name(open_now, 5, "a", &name, &err), NW_OK);
    assert_string_equal(name.key, "");
    assert_int_equal(nw_wished_add(open_now, 6, "a", "w", true, &err), NW_OK);
    assert_string_equal(read_again(state), "5 a x;6 a w later;");
    assert_int_equal(nw_wished_clear(open_now, &err), NW_OK);
    assert_string_equal(read_again(state), "");
    assert_false(ask(7, "a", "k", 1));
}

static void only_the_latest_keys_are_kept(void **state)
{
    char key[16];

    (void)read_again(state);
    assert_int_equal(
        sqlite3_exec(nw_state_database(open_now), "PRAGMA synchronous = OFF", NULL, NULL, NULL),
        SQLITE_OK); /* it is quick */
    for (int i = 0; i < 1026; i++) {
        (void)snprintf(key, sizeof key, "k%d", i);
        assert_true(ask(2 * i + 1, "a", key, 2));
    }
    assert_false(ask(9001, "a", "k2", 1));
    assert_true(ask(9001, "a", "k1", 1));
}

static void all_of_it_is_written_or_nothing(void **state)
{
    static const char *const commands[] = {"x", "y"};
    struct nw_request request = {
        .size = sizeof request, .commands_count = 2, .commands = commands, .key = "k"};

    (void)read_again(state);
    assert_int_equal(nw_wished_add(open_now, 2, "a", "w", false, &err), NW_OK);
    assert_int_equal(nw_wished_ask(open_now, 1, "a", &request, &err), NW_FATAL); /* 2 is there */
    assert_memory_equal(err.text, "NW2002", 6);
    assert_string_equal(read_again(state), "2 a w;");
    assert_true(ask(3, "a", "k", 1));
    assert_int_equal(
        sqlite3_exec(nw_state_database(open_now), "PRAGMA query_only = 1", NULL, NULL, NULL),
        SQLITE_OK);
    request.key = "other";
    assert_int_equal(nw_wished_ask(open_now, 4, "a", &request, &err), NW_FATAL);
    assert_int_equal(sqlite3_get_autocommit(nw_state_database(open_now)), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_key_is_known_also_when_all_is_done, begin, end),
        cmocka_unit_test_setup_teardown(only_the_latest_keys_are_kept, begin, end),
        cmocka_unit_test_setup_teardown(all_of_it_is_written_or_nothing, begin, end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
