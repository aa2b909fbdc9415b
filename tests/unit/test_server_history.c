/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a server is one whose WAL goes on from where the sinks are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pipeline/server.h"

static void a_server_that_lacks_what_the_sinks_have_is_not_followed(void **state)
{
    static const struct {
        bool in_recovery;
        uint32_t timeline, former;
        uint64_t end_lsn, lsn;
        nw_status status;
        const char *code;
    } vectors[] = {
        {false, 1, 1, 200, 200, NW_OK, ""},
        {false, 1, 1, 200, 100, NW_OK, ""},
        {false, 1, 1, 200, 201, NW_FATAL, "NW2308"}, /* it was set back */
        {true, 1, 1, 200, 200, NW_OK, ""},
        {true, 1, 1, 200, 201, NW_RETRY, "NW2312"},  /* it will come to that */
        {false, 1, 2, 200, 100, NW_FATAL, "NW2308"}, /* a former primary */
    };

    (void)state;
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        struct nw_server server = {.in_recovery = vectors[i].in_recovery,
                                   .end_lsn = vectors[i].end_lsn,
                                   .identity = {.timeline = vectors[i].timeline}};
        struct nw_error err = {0};

        assert_int_equal(nw_server_history_check(&server, vectors[i].former, vectors[i].lsn, &err),
                         vectors[i].status);
        if (vectors[i].status != NW_OK) {
            assert_memory_equal(err.text, vectors[i].code, 6);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_server_that_lacks_what_the_sinks_have_is_not_followed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
