/* SPDX-License-Identifier: Apache-2.0 */
/* What other users see of narwal's arguments. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli/command.h"

static void users_and_passwords_of_urls_are_overwritten(void **state)
{
    static const char *const vectors[][2] = {
        {"https://me:secret@connect:8083/connectors/a",
         "https://*********@connect:8083/connectors/a"},
        {"http://token@connect/", "http://*****@connect/"},
        {"http://me:a@b:c@connect?x=@", "http://********@connect?x=@"},
        {"--source=postgresql://me:secret@h/db", "--source=postgresql://*********@h/db"},
        {"http://connect:8083/connectors/a@b", "http://connect:8083/connectors/a@b"},
        {"http://@connect", "http://@connect"},
        {"me:secret@connect", "me:secret@connect"},
        {"http://", "http://"},
        {"", ""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        char seen[128];
        char name[] = "http://a:b@narwal";
        char *argv[] = {name, seen, NULL};

        (void)snprintf(seen, sizeof seen, "%s", vectors[i][0]);
        nw_arguments_hide(2, argv);
        assert_string_equal(seen, vectors[i][1]);
        assert_string_equal(argv[1], vectors[i][0]);
        assert_string_equal(name, "http://a:b@narwal"); /* the program's name is none */
        if (argv[1] != seen) {
            free(argv[1]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(users_and_passwords_of_urls_are_overwritten),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
