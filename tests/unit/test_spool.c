/* SPDX-License-Identifier: Apache-2.0 */
/* The spool: what was appended comes back in order, from memory, from files and after a restart. */
#include "spool_kit.h"

#include <string.h>
#include <unistd.h>

static void what_was_appended_comes_back(void **state)
{
    (void)state;
    for (uint64_t count = 0; count < 400; count += count < 12 ? 1 : 129) {
        struct kit kit;

        kit_make(&kit, count);
        assert_int_equal(kit_append(&kit, count), NW_OK);
        kit_expect(&kit, 1, count);
        kit_expect_end(&kit);
        kit_free(&kit);
    }
}

static void a_later_process_reads_it_from_the_beginning(void **state)
{
    (void)state;
    for (uint64_t count = 0; count < 400; count += count < 12 ? 1 : 129) {
        struct kit kit;
        struct nw_spool_status status;

        kit_make(&kit, count);
        assert_int_equal(kit_append(&kit, count), NW_OK);
        assert_int_equal(kit_settle(&kit), NW_OK);
        assert_int_equal(nw_spool_synced_lsn(kit.spool), kit_reached(count));
        kit_expect(&kit, 1, count / 2);
        kit_drop(&kit);
        assert_int_equal(kit_open(&kit, kit_reached(count)), NW_OK);
        nw_spool_status(kit.spool, &status);
        assert_int_equal(status.first_lsn, KIT_BEGIN_LSN);
        assert_int_equal(status.end_lsn, kit_reached(count));
        assert_int_equal(status.synced_lsn, kit_reached(count));
        assert_int_equal(status.next_record, count + 1);
        assert_int_equal(status.timeline, 3);
        kit_expect(&kit, 1, count);
        kit_expect_end(&kit);
        kit_free(&kit);
    }
}

static void the_reader_follows_the_writer(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 40; seed++) {
        struct kit kit;
        uint64_t read = 0;
        uint64_t random = seed * 77777 + 1;

        kit_make(&kit, seed);
        kit.size_seed = seed;
        while (read < 600) {
            uint64_t wanted = 0;

            random = random * UINT64_C(6364136223846793005) + 1442695040888963407u;
            assert_int_equal(kit_append(&kit, random >> 60), NW_OK);
            for (uint64_t steps = random >> 50 & 3; steps > 0; steps--) {
                assert_int_equal(kit_step(&kit), NW_OK);
            }
            wanted = random >> 40 & 31;
            wanted = wanted < kit.appended - read ? wanted : kit.appended - read;
            kit_expect(&kit, read + 1, read + wanted);
            read += wanted;
            if (read == kit.appended) {
                kit_expect_end(&kit);
            }
        }
        kit_free(&kit);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_appended_comes_back),
        cmocka_unit_test(a_later_process_reads_it_from_the_beginning),
        cmocka_unit_test(the_reader_follows_the_writer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
