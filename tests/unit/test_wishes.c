/* SPDX-License-Identifier: Apache-2.0 */
/* What sinks asked for before narwal ended, as they are told of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "pipeline/run_private.h"

static struct nw_run *run;
static struct nw_error err;
static char told[256];

static int begin(void **state)
{
    static char folder[] = "/tmp/narwal-wishes-XXXXXX";
    struct nw_state_source source = {.known = true};

    *state = mkdtemp(folder);
    run = calloc(1, sizeof *run);
    if (*state == NULL || run == NULL || nw_state_open(*state, &run->state, &err) != NW_OK ||
        nw_state_source_write(run->state, &source, &err) != NW_OK ||
        pthread_mutex_init(&run->wishes.mutex, NULL) != 0 ||
        nw_run_wishes_read(run, &err) != NW_OK) {
        return -1;
    }
    return 0;
}

static int end(void **state)
{
    char command[128];

    nw_state_close(run->state);
    (void)pthread_mutex_destroy(&run->wishes.mutex);
    free(run);
    (void)snprintf(command, sizeof command, "rm -r %s", (char *)*state);
    return system(command); /* NOLINT(cert-env33-c): a path of our own */
}

static void ask(const char *sink, const char *key, const char *const *commands, uint32_t count)
{
    struct nw_request request = {.size = sizeof request,
                                 .commands_count = count,
                                 .commands = commands,
                                 .key = key,
                                 .note = "note"};

    assert_int_equal(nw_run_wish(run, sink, &request, &err), NW_OK);
    assert_false(request.again);
}

/* Meanwhile the main thread is done with the first one in the list. */
static void tell(void *context, const char *key, const char *note, const char *command)
{
    struct nw_run_wishes *wishes = &run->wishes;
    size_t used = strlen(told);

    (void)context;
    assert_string_equal(note, "note");
    (void)snprintf(told + used, sizeof told - used, "%s %s;", key, command);
    (void)pthread_mutex_lock(&wishes->mutex);
    wishes->count--;
    memmove(&wishes->list[0], &wishes->list[1], wishes->count * sizeof wishes->list[0]);
    (void)pthread_mutex_unlock(&wishes->mutex);
}

static void none_is_passed_over_while_others_are_done(void **state)
{
    (void)state;
    ask("a", "k1", (const char *const[]){"table refresh x", "table refresh y"}, 2);
    ask("b", "k2", (const char *const[]){"table refresh z"}, 1);
    ask("a", "k3", (const char *const[]){"table refresh v", "table refresh w"}, 2);
    assert_int_equal(nw_run_requests_tell(run, "a", tell, NULL, &err), NW_OK);
    assert_string_equal(told, "k1 table refresh x;k1 table refresh y;k3 table refresh v;"
                              "k3 table refresh w;");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(none_is_passed_over_while_others_are_done, begin, end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
