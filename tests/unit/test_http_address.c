/* SPDX-License-Identifier: Apache-2.0 */
/* http.listen: what is an address, and which are of this host alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "config/http.h"

static void addresses_are_local_or_not(void **state)
{
    static const struct {
        const char *text;
        int family;
        bool local;
    } vectors[] = {
        {"127.0.0.1:9465", AF_INET, true},  {"127.8.9.1:1", AF_INET, true},
        {"localhost:9465", AF_INET, true},  {"0.0.0.0:9465", AF_INET, false},
        {"10.0.0.1:9465", AF_INET, false},  {"128.0.0.1:9465", AF_INET, false},
        {"[::1]:9465", AF_INET6, true},     {"[::]:9465", AF_INET6, false},
        {"[fe80::1]:1", AF_INET6, false},   {"[::ffff:127.0.0.1]:1", AF_INET6, false},
        {"unix:/run/n.s", AF_UNIX, true},   {"127.0.0.1:0", AF_INET, true},
        {"127.0.0.1:65535", AF_INET, true},
    };

    (void)state;
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        struct nw_http_address address;

        assert_null(nw_http_address_parse(vectors[i].text, &address));
        assert_int_equal(address.socket.any.sa_family, vectors[i].family);
        assert_int_equal(address.local, vectors[i].local);
    }
}

static void what_is_no_address_is_refused(void **state)
{
    static const char *const vectors[] = {"",
                                          ":",
                                          "9465",
                                          ":9465",
                                          "*:9465",
                                          "127.0.0.1",
                                          "127.0.0.1:",
                                          "127.0.0.1:x",
                                          "127.0.0.1:65536",
                                          "127.0.0.1:-1",
                                          "::1:9465",
                                          "[::1]",
                                          "[]:1",
                                          "[127.0.0.1:1",
                                          "db1:9465",
                                          "127.1:9465",
                                          "127.0.0.1:80 ",
                                          "unix:",
                                          "unix:run/x",
                                          "unix"};
    char path[400];
    struct nw_http_address address;

    (void)state;
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        assert_non_null(nw_http_address_parse(vectors[i], &address));
    }
    memset(path, 'a', sizeof path - 1);
    path[sizeof path - 1] = '\0';
    memcpy(path, "unix:/", 6);
    assert_non_null(nw_http_address_parse(path, &address));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_are_local_or_not),
        cmocka_unit_test(what_is_no_address_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
