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

#include "base/log.h"
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
        {"HTTPS://me:secret@connect/c", "HTTPS://*********@connect/c"},
        {"http://a,http://u:p@b", "http://a,http://***@b"},
        {"http://u:p@a,http://v:q@b", "http://***@a,http://***@b"},
        {"postgresql://me:a?b#c@h/db", "postgresql://********@h/db"},
        {"--source=postgres://me:a?b@h/db", "--source=postgres://******@h/db"},
        {"postgresql://h/d?user=me&password=secret", "postgresql://h/d?user=me&password=******"},
        {"postgresql://me:p@h/d?sslpassword=secret", "postgresql://****@h/d?sslpassword=******"},
        {"host=h password=secret", "host=h password=******"},
        {"password = 'a b' dbname=d", "password = **************"},
        {"host=h sslpassword=it\\ s", "host=h sslpassword=*****"},
        {"kafka:b,password=x", "kafka:b,password=*"},
        {"sasl.oauthbearer.client.secret=x y", "sasl.oauthbearer.client.secret=***"},
        {"ssl.key.password=x", "ssl.key.password=*"},
        {"password=", "password="},
        {"passwords secret", "passwords secret"},
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

static void passwords_of_arguments_are_in_no_message(void **state)
{
    char name[] = "narwal";
    char url[] = "HTTPS://me:squirrel@connect/c";
    char dsn[] = "host=h password='nuthatch' dbname=d";
    char user[] = "postgresql://postgres@h/d";
    char *argv[] = {name, url, dsn, user, NULL};
    char text[] = "HTTPS://me:squirrel@connect/c: no URL; nuthatch; postgres";

    (void)state;
    nw_arguments_hide(4, argv);
    nw_redact(text);
    assert_string_equal(text, "HTTPS://***@connect/c: no URL; ***; postgres");
    for (int i = 1; i < 4; i++) {
        free(argv[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(passwords_of_arguments_are_in_no_message),
        cmocka_unit_test(users_and_passwords_of_urls_are_overwritten),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
