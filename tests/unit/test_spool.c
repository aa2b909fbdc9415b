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

/* Larger than a segment, than what is read at once, and than all that may wait in memory. */
static void large_records_have_segments_of_their_own(void **state)
{
    static const size_t sizes[] = {10,      9000,    8024,    8025,     1048544, 1048545, 5,
                                   1048546, 1048576, 3 << 20, 12000000, 0,       2000000, 20};

    (void)state;
    for (int late = 0; late < 4; late++) { /* read at once, from memory; synced; after a restart */
        struct kit kit;

        kit_make(&kit, 1);
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            struct nw_spool_status status;

            assert_int_equal(kit_append_size(&kit, sizes[i]), NW_OK);
            nw_spool_status(kit.spool, &status);
            assert_true(status.memory_bytes <= NW_SPOOL_MEMORY_BYTES_MAX ||
                        status.memory_bytes < sizes[i] + 4096);
            if (late == 0 || (late == 1 && i % 3 == 2)) {
                for (uint64_t n = late == 0 ? i : i - 2; n <= i; n++) {
                    struct nw_spool_record record;
                    bool end = false;

                    assert_int_equal(kit_next(&kit, &record, &end), NW_OK);
                    kit_assert_record(&record, n + 1, sizes[n]);
                }
            }
        }
        if (late >= 2) {
            assert_int_equal(kit_settle(&kit), NW_OK);
            assert_int_equal(nw_spool_synced_lsn(kit.spool), kit_reached(kit.appended));
            if (late == 3) {
                kit_drop(&kit);
                assert_int_equal(kit_open(&kit, kit_reached(kit.appended)), NW_OK);
            }
            for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
                struct nw_spool_record record;
                bool end = false;

                assert_int_equal(kit_next(&kit, &record, &end), NW_OK);
                kit_assert_record(&record, i + 1, sizes[i]);
            }
            kit_expect_end(&kit);
        }
        kit_free(&kit);
    }
}

/* Segments of many reads: records lie across the ends of what is read at once. */
static void records_lie_across_reads(void **state)
{
    static const uint64_t counts[] = {2100, 9000};

    (void)state;
    for (int i = 0; i < 2; i++) { /* just over one read; many */
        for (uint64_t seed = 0; seed < 3; seed++) {
            struct kit kit;
            struct nw_spool_status status;
            uint64_t count = counts[i];

            kit_make_of(&kit, seed, 0);
            kit.size_seed = seed;
            assert_int_equal(kit_append(&kit, count), NW_OK);
            kit_expect(&kit, 1, count / 3); /* a part of it from memory */
            assert_int_equal(kit_settle(&kit), NW_OK);
            kit_expect(&kit, count / 3 + 1, count);
            kit_expect_end(&kit);
            nw_spool_status(kit.spool, &status);
            assert_int_equal(status.segments, 1);
            assert_true(status.bytes > 1 << 20);
            kit_drop(&kit);
            assert_int_equal(kit_open(&kit, kit_reached(count)), NW_OK);
            kit_expect(&kit, 1, count);
            kit_expect_end(&kit);
            kit_free(&kit);
        }
    }
}

static void a_record_stays_while_others_are_appended_and_written(void **state)
{
    struct kit kit;
    struct nw_spool_record record;
    bool end = false;

    (void)state;
    kit_make_of(&kit, 1, 0);
    assert_int_equal(kit_append_size(&kit, 4000), NW_OK);
    assert_int_equal(kit_next(&kit, &record, &end), NW_OK);
    for (int i = 0; i < 30; i++) {
        assert_int_equal(kit_append_size(&kit, 900000), NW_OK);
    }
    assert_int_equal(kit_settle(&kit), NW_OK);
    kit_assert_record(&record, 1, 4000);
    assert_int_equal(kit_next(&kit, &record, &end), NW_OK);
    assert_int_equal(kit_append_size(&kit, 2000000), NW_OK);
    assert_int_equal(kit_settle(&kit), NW_OK);
    kit_assert_record(&record, 2, 900000);
    kit_free(&kit);
}

/* ---- when is what synced ---- */

static nw_status step_at(struct kit *kit, int64_t now_ns)
{
    uint32_t work = 0;

    kit->now_ns = now_ns;
    return nw_spool_step(kit->spool, now_ns, &work, &kit->err);
}

/* Lets what is under way finish, without time going by. */
static void finish(struct kit *kit)
{
    for (int i = 0; i < 200; i++) {
        assert_int_equal(step_at(kit, kit->now_ns), NW_OK);
    }
}

static void it_is_synced_after_20_ms_or_4_mib_and_not_before(void **state)
{
    struct kit kit;
    int64_t began_ns = 0;

    (void)state;
    kit_make_of(&kit, 1, 0);
    assert_int_equal(nw_spool_deadline(kit.spool, kit.now_ns), INT64_MAX);
    assert_int_equal(kit_append(&kit, 3), NW_OK); /* the third is a position */
    began_ns = kit.now_ns;
    finish(&kit);
    assert_int_equal(nw_spool_synced_lsn(kit.spool), KIT_BEGIN_LSN);
    assert_int_equal(nw_spool_deadline(kit.spool, kit.now_ns), began_ns + 20000000);
    assert_int_equal(step_at(&kit, began_ns + 19999999), NW_OK);
    finish(&kit);
    assert_int_equal(nw_spool_synced_lsn(kit.spool), KIT_BEGIN_LSN);
    assert_int_equal(step_at(&kit, began_ns + 20000000), NW_OK);
    finish(&kit);
    assert_int_equal(nw_spool_synced_lsn(kit.spool), kit_reached(3));
    assert_int_equal(nw_spool_deadline(kit.spool, kit.now_ns), INT64_MAX);
    for (int i = 0; i < 5; i++) { /* records 4 to 8 */
        assert_int_equal(kit_append_size(&kit, 900000), NW_OK);
    }
    finish(&kit);
    assert_int_equal(nw_spool_synced_lsn(kit.spool), kit_reached(8));
    assert_int_equal(kit_append(&kit, 5), NW_OK);
    nw_spool_flush(kit.spool);
    finish(&kit);
    assert_int_equal(nw_spool_synced_lsn(kit.spool), kit_reached(13));
    kit_free(&kit);
}

static void an_agent_that_sleeps_until_the_deadline_gets_everything_synced(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 30; seed++) {
        struct kit kit;
        int steps = 0;

        kit_make(&kit, seed);
        assert_int_equal(kit_append(&kit, 20 + seed * 7), NW_OK);
        for (;; steps++) {
            int64_t deadline_ns = nw_spool_deadline(kit.spool, kit.now_ns);

            if (deadline_ns == INT64_MAX) {
                break;
            }
            assert_true(steps < 2000);
            assert_int_equal(step_at(&kit, deadline_ns), NW_OK);
        }
        assert_int_equal(nw_spool_synced_lsn(kit.spool), kit_reached(kit.appended));
        kit_free(&kit);
    }
}

/* ---- bounds ---- */

static void a_slow_disk_is_waited_for(void **state)
{
    struct kit kit;
    struct nw_spool_status status;
    uint8_t *bytes = malloc(1 << 19);
    struct nw_spool_record record;
    int count = 0;

    (void)state;
    assert_non_null(bytes);
    kit_make(&kit, 1);
    record = kit_record(1, bytes, 1 << 19);
    while (nw_spool_append(kit.spool, &record, &kit.err) == NW_OK) {
        count++;
        assert_true(count < 100);
    }
    assert_int_equal(nw_spool_pressure(kit.spool), NW_SPOOL_BEHIND);
    nw_spool_status(kit.spool, &status);
    assert_int_equal(status.pressure, NW_SPOOL_BEHIND);
    assert_true(status.memory_bytes <= NW_SPOOL_MEMORY_BYTES_MAX);
    assert_true(status.memory_bytes > NW_SPOOL_MEMORY_BYTES_MAX / 2 - (1 << 20));
    finish(&kit); /* no time goes by: it is written because somebody waits */
    assert_int_equal(nw_spool_pressure(kit.spool), NW_SPOOL_FREE);
    assert_int_equal(nw_spool_append(kit.spool, &record, &kit.err), NW_OK);
    assert_int_equal(nw_spool_pressure(kit.spool), NW_SPOOL_FREE);
    free(bytes);
    kit_free(&kit);
}

static void a_large_record_does_not_wait_for_the_next_sync(void **state)
{
    struct kit kit;
    uint8_t *bytes = malloc(9 << 20);
    struct nw_spool_record record;

    (void)state;
    assert_non_null(bytes);
    kit_make(&kit, 1);
    assert_int_equal(kit_append_size(&kit, 100), NW_OK);
    record = kit_record(2, bytes, 9 << 20);
    assert_int_equal(nw_spool_append(kit.spool, &record, &kit.err), NW_AGAIN);
    finish(&kit);
    assert_int_equal(nw_spool_append(kit.spool, &record, &kit.err), NW_OK);
    free(bytes);
    kit_free(&kit);
}

static uint64_t bytes_on_disk(struct kit *kit)
{
    struct nw_spool_status status;

    nw_spool_status(kit->spool, &status);
    return status.bytes;
}

/* Appends until it is full. @return records appended */
static uint64_t fill_up(struct kit *kit)
{
    uint64_t before = kit->appended;
    uint8_t bytes[4096];

    for (;;) {
        uint64_t number = kit->appended + 1;
        struct nw_spool_record record = kit_record(number, bytes, kit_size(kit, number));
        nw_status status = kit_state(kit);

        assert_int_equal(status, NW_OK);
        status = nw_spool_append(kit->spool, &record, &kit->err);
        assert_true(kit->appended < 100000);
        if (status == NW_AGAIN && nw_spool_pressure(kit->spool) == NW_SPOOL_FULL) {
            return kit->appended - before;
        }
        kit->appended += status == NW_OK;
        assert_true(status == NW_OK || status == NW_AGAIN);
        assert_int_equal(kit_step(kit), NW_OK);
    }
}

static void a_full_spool_takes_no_more_until_it_is_trimmed(void **state)
{
    struct kit kit;
    struct nw_spool_record record;
    uint64_t read = 0;

    (void)state;
    kit_make(&kit, 1);
    kit_drop(&kit);
    kit.states = true;
    kit.options.quota_bytes = 10 * KIT_SEGMENT;
    assert_int_equal(kit_open(&kit, KIT_BEGIN_LSN), NW_OK);
    assert_true(fill_up(&kit) > 100);
    assert_int_equal(kit_settle(&kit), NW_OK); /* what it has is safe */
    assert_int_equal(nw_spool_synced_lsn(kit.spool), kit_reached(kit.appended));
    for (int round = 0; round < 20; round++) {
        bool end = false;

        for (int i = 0; i < 50; i++) {
            assert_int_equal(kit_next(&kit, &record, &end), NW_OK);
            assert_false(end);
            read++;
            kit_assert_record(&record, read, kit_size(&kit, read));
        }
        nw_spool_trim(kit.spool, record.number);
        assert_int_equal(nw_spool_pressure(kit.spool), NW_SPOOL_FULL);
        assert_int_equal(kit_settle(&kit), NW_OK);
        assert_int_equal(nw_spool_pressure(kit.spool), NW_SPOOL_FREE);
        (void)fill_up(&kit);
        assert_true(bytes_on_disk(&kit) <= kit.options.quota_bytes + 200 /* trim records */);
    }
    assert_true(kit.appended > 1000);
    kit_free(&kit);
}

static void a_record_that_no_quota_holds_is_refused_for_good(void **state)
{
    struct kit kit;

    (void)state;
    kit_make(&kit, 1);
    kit_drop(&kit);
    kit.options.quota_bytes = 10 * KIT_SEGMENT;
    assert_int_equal(kit_open(&kit, KIT_BEGIN_LSN), NW_OK);
    assert_int_equal(kit_append_size(&kit, 11 * KIT_SEGMENT), NW_FATAL);
    assert_non_null(strstr(kit.err.text, "raise its quota"));
    assert_memory_equal(kit.err.text, "NW2508", 6);
    kit_free(&kit);
}

/* ---- trimming and removing ---- */

static uint64_t peek(struct kit *kit)
{
    uint64_t first_lsn = 1;

    assert_int_equal(nw_spool_peek(&kit->options, &first_lsn, &kit->err), NW_OK);
    return first_lsn;
}

static void a_later_process_learns_where_it_begins_without_opening_it(void **state)
{
    struct nw_spool_status status;
    struct kit kit;

    (void)state;
    kit_make(&kit, 1);
    kit.states = true;
    assert_int_equal(peek(&kit), KIT_BEGIN_LSN);
    assert_int_equal(kit_append(&kit, 200), NW_OK);
    kit_expect(&kit, 1, 120);
    nw_spool_trim(kit.spool, 500);
    assert_int_equal(kit_settle(&kit), NW_OK);
    nw_spool_status(kit.spool, &status);
    kit_drop(&kit);
    assert_true(status.first_lsn > KIT_BEGIN_LSN);
    assert_int_equal(peek(&kit), status.first_lsn);
    kit.options.identity.database_oid++; /* another source's: open() refuses it */
    assert_int_equal(peek(&kit), 0);
    kit.options.identity.database_oid--;
    assert_int_equal(kit_open(&kit, KIT_BEGIN_LSN), NW_OK);
    assert_int_equal(kit_remove(&kit, NULL), NW_OK);
    kit_drop(&kit);
    assert_int_equal(peek(&kit), UINT64_MAX);
    kit_free(&kit);
}

static void one_that_is_being_removed_begins_nowhere_and_a_damaged_one_anywhere(void **state)
{
    uint8_t other = 0xff;
    struct kit kit;

    (void)state;
    kit_make(&kit, 1);
    assert_int_equal(kit_append(&kit, 200), NW_OK);
    assert_int_equal(kit_settle(&kit), NW_OK);
    kit_drop(&kit);
    kit_file_write(&kit, 1, 20, &other, 1);
    assert_int_equal(peek(&kit), 0);
    assert_int_equal(
        kit.env->ops->file_rename(kit.env, kit_path(1), KIT_FOLDER "/removed.tmp", NULL), NW_OK);
    assert_int_equal(peek(&kit), UINT64_MAX);
    kit_free(&kit);
}

static void what_was_trimmed_is_gone_also_for_a_later_process(void **state)
{
    struct kit kit;
    struct nw_spool_status before, after;
    struct nw_spool_record record;
    uint64_t first = 0;
    uint64_t beginning = 0;
    bool end = false;

    (void)state;
    kit_make(&kit, 1);
    kit.states = true;
    assert_int_equal(kit_append(&kit, 200), NW_OK);
    kit_expect(&kit, 1, 120);
    nw_spool_status(kit.spool, &before);
    nw_spool_trim(kit.spool, 500); /* no more than was read */
    assert_int_equal(kit_settle(&kit), NW_OK);
    nw_spool_status(kit.spool, &after);
    assert_true(after.segments <= before.segments - before.segments / 3);
    assert_true(after.bytes < before.bytes);
    assert_true(after.first_record > 60 && after.first_record <= before.read_record);
    assert_true(after.first_lsn > KIT_BEGIN_LSN);
    beginning = after.first_record;
    kit_expect(&kit, 121, 200);
    kit_expect_end(&kit);
    kit_drop(&kit);
    assert_int_equal(kit_open(&kit, kit_reached(200)), NW_OK);
    nw_spool_status(kit.spool, &after);
    assert_int_equal(after.first_record, beginning);
    while (nw_spool_next(kit.spool, &record, &end, &kit.err) == NW_AGAIN) {
    }
    kit_assert_state(&record); /* before all else */
    assert_int_equal(record.number, beginning);
    memcpy(&first, record.body.at, sizeof first);
    assert_int_equal(after.first_lsn, kit_reached(first));
    kit_expect(&kit, first + 1, 200);
    kit_expect_end(&kit);
    kit_drop(&kit);
    /* What is missing beyond that is missed. */
    assert_int_equal(kit.env->ops->file_remove(kit.env, kit_path(before.segments - 1), NULL),
                     NW_OK);
    assert_int_equal(kit_open(&kit, KIT_BEGIN_LSN), NW_FATAL);
    kit_free(&kit);
}

/* Only segments with a state can be the first: what is before another one stays with it. */
static void nothing_is_trimmed_up_to_a_segment_without_a_state(void **state)
{
    struct kit kit;
    struct nw_spool_status status;
    uint64_t second = 0;

    (void)state;
    kit_make(&kit, 1);
    assert_int_equal(kit_append(&kit, 100), NW_OK);
    kit_expect(&kit, 1, 100);
    nw_spool_trim(kit.spool, 101);
    assert_int_equal(kit_settle(&kit), NW_OK);
    nw_spool_status(kit.spool, &status);
    assert_int_equal(status.first_record, 1);
    kit.states = true; /* at once, for the last segment could not begin with one */
    second = status.next_record;
    assert_int_equal(kit_append(&kit, 1), NW_OK);
    kit.states = false;
    assert_int_equal(kit_append(&kit, 99), NW_OK);
    kit_expect(&kit, 101, 200);
    nw_spool_trim(kit.spool, 202);
    assert_int_equal(kit_settle(&kit), NW_OK);
    nw_spool_status(kit.spool, &status);
    assert_int_equal(status.first_record, second);
    assert_true(status.segments > 3);
    kit_drop(&kit);
    assert_int_equal(kit_open(&kit, kit_reached(200)), NW_OK);
    kit_expect(&kit, 101, 200);
    kit_free(&kit);
}

/* Also where the reader stands at the end of the segment that goes. */
static void trimming_does_not_disturb_the_reader(void **state)
{
    (void)state;
    for (uint64_t read = 1; read < 60; read++) {
        struct kit kit;
        struct nw_spool_status status;

        kit_make(&kit, read);
        kit.states = true;
        assert_int_equal(kit_append(&kit, 60), NW_OK);
        kit_expect(&kit, 1, read);
        nw_spool_status(kit.spool, &status);
        nw_spool_trim(kit.spool, status.read_record);
        assert_int_equal(kit_settle(&kit), NW_OK);
        kit_expect(&kit, read + 1, 60);
        kit_expect_end(&kit);
        kit_free(&kit);
    }
}

static nw_status count_names(void *context, const char *name, bool is_folder, struct nw_error *err)
{
    (void)name;
    (void)is_folder;
    (void)err;
    ++*(int *)context;
    return NW_OK;
}

static void a_removed_spool_leaves_nothing(void **state)
{
    struct kit kit;
    struct nw_spool_status status;
    uint64_t turns = 0;
    int names = 0;

    (void)state;
    kit_make(&kit, 1);
    assert_int_equal(kit_append(&kit, 200), NW_OK);
    assert_int_equal(kit_settle(&kit), NW_OK);
    nw_spool_status(kit.spool, &status);
    assert_true(status.segments > 3 * NW_SPOOL_REMOVE_MAX);
    assert_int_equal(kit_append(&kit, 20), NW_OK); /* still in memory */
    assert_int_equal(kit_remove(&kit, &turns), NW_OK);
    assert_true(turns >= status.segments / NW_SPOOL_REMOVE_MAX);
    kit_drop(&kit);
    assert_int_equal(kit.env->ops->folder_list(kit.env, "/", count_names, &names, NULL), NW_OK);
    assert_int_equal(names, 0);
    nw_env_model_crash(kit.env, 0);
    assert_int_equal(kit_open(&kit, 5), NW_OK);
    assert_null(kit.spool);
    kit.appended = 0;
    assert_int_equal(nw_spool_begin(&kit.options, KIT_BEGIN_LSN, &kit.spool, &kit.err), NW_OK);
    assert_int_equal(kit_append(&kit, 10), NW_OK);
    kit_expect(&kit, 1, 10);
    kit_free(&kit);
}

static void there_is_one_spool_only(void **state)
{
    struct kit kit;
    struct nw_spool *second = NULL;

    (void)state;
    kit_make(&kit, 1);
    assert_int_equal(nw_spool_begin(&kit.options, 5, &second, &kit.err), NW_FATAL);
    assert_null(second);
    assert_non_null(strstr(kit.err.text, "there is a spool in /spool already"));
    kit_free(&kit);
}

/* ---- jobs ---- */

static nw_status jobs_run(const struct nw_agent *agent)
{
    nw_status status = NW_OK;
    uint32_t work = 1;

    while (status == NW_OK && work > 0) {
        work = 0;
        status = agent->do_work(agent->self, 0, &work, NULL);
    }
    return status;
}

static bool file_there(struct kit *kit, uint64_t segment)
{
    int file = -1;

    if (kit->env->ops->file_open(kit->env, kit_path(segment), 0, &file, NULL) != NW_OK) {
        return false;
    }
    kit->env->ops->file_close(kit->env, file);
    return true;
}

static void files_are_made_and_removed_by_jobs_alone(void **state)
{
    struct kit kit;
    struct nw_jobs *jobs = NULL;
    struct nw_agent agent;
    struct nw_spool_record record;

    (void)state;
    assert_int_equal(nw_jobs_create(NULL, NULL, &jobs, NULL), NW_OK);
    agent = nw_jobs_agent(jobs);
    kit_make(&kit, 1);
    kit_drop(&kit);
    kit.options.jobs = jobs;
    kit.states = true;
    assert_int_equal(kit_open(&kit, KIT_BEGIN_LSN), NW_OK);
    assert_int_equal(kit_append(&kit, 60), NW_OK);
    nw_spool_flush(kit.spool);
    finish(&kit);
    assert_int_equal(nw_spool_synced_lsn(kit.spool), KIT_BEGIN_LSN);
    assert_false(file_there(&kit, 2)); /* one begins after the one that was left */
    assert_true(nw_spool_deadline(kit.spool, kit.now_ns) > kit.now_ns);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(jobs_run(&agent), NW_OK);
        (void)nw_jobs_collect(jobs);
        nw_spool_flush(kit.spool);
        finish(&kit);
    }
    assert_int_equal(nw_spool_synced_lsn(kit.spool), kit_reached(60));
    kit_expect(&kit, 1, 59);
    assert_int_equal(kit_next(&kit, &record, &(bool){false}), NW_OK);
    nw_spool_trim(kit.spool, record.number);
    nw_spool_flush(kit.spool);
    finish(&kit);
    nw_spool_flush(kit.spool);
    finish(&kit);
    assert_true(file_there(&kit, 1));
    assert_int_equal(jobs_run(&agent), NW_OK);
    assert_false(file_there(&kit, 1));
    assert_true(file_there(&kit, 2));
    /* It is given up with what jobs did and nobody saw. */
    assert_int_equal(kit_append(&kit, 14), NW_OK);
    nw_spool_flush(kit.spool);
    finish(&kit);
    assert_int_equal(jobs_run(&agent), NW_OK);
    kit_free(&kit);
    nw_jobs_destroy(jobs);
}

/* ---- verification ---- */

struct watch {
    uint64_t done, all;
    int calls, stop_after;
};

static void progress(void *context, uint64_t done_bytes, uint64_t all_bytes)
{
    struct watch *watch = context;

    assert_true(done_bytes >= watch->done && done_bytes <= all_bytes);
    watch->done = done_bytes;
    watch->all = all_bytes;
    watch->calls++;
}

static bool stopping(void *context)
{
    struct watch *watch = context;

    return watch->stop_after > 0 && watch->calls >= watch->stop_after;
}

static void verification_tells_how_far_it_is_and_can_be_stopped(void **state)
{
    struct kit kit;
    struct watch watch = {0};

    (void)state;
    kit_make(&kit, 1);
    assert_int_equal(kit_append(&kit, 300), NW_OK);
    assert_int_equal(kit_settle(&kit), NW_OK);
    watch.all = bytes_on_disk(&kit);
    kit_drop(&kit);
    kit.options.progress = progress;
    kit.options.stopping = stopping;
    kit.options.context = &watch;
    assert_int_equal(kit_open(&kit, kit_reached(300)), NW_OK);
    assert_int_equal(watch.done, watch.all);
    assert_true(watch.calls > 10);
    kit_drop(&kit);
    watch = (struct watch){.stop_after = 5};
    assert_int_equal(kit_open(&kit, kit_reached(300)), NW_RETRY);
    assert_null(kit.spool);
    kit_free(&kit);
}

/* ---- the kernel's files ---- */

static void it_works_on_real_files(void **state)
{
    static const enum nw_io_choice choices[] = {NW_IO_AUTO, NW_IO_PREAD};

    (void)state;
    for (int i = 0; i < 2; i++) {
        char parent[] = "/tmp/nw-spool-XXXXXX";
        char folder[64];
        struct kit kit;
        struct nw_env *env = NULL;
        int names = 0;

        assert_non_null(mkdtemp(parent));
        (void)snprintf(folder, sizeof folder, "%s/spool", parent);
        assert_int_equal(nw_env_system_create(choices[i], &env, NULL), NW_OK);
        kit_options(&kit, env);
        kit.real = true;
        kit.options.folder = folder;
        kit.options.segment_bytes = 3 << 19;
        assert_int_equal(kit_open(&kit, 0), NW_OK);
        assert_null(kit.spool);
        assert_int_equal(nw_spool_begin(&kit.options, KIT_BEGIN_LSN, &kit.spool, &kit.err), NW_OK);
        assert_int_equal(kit_append(&kit, 4000), NW_OK);
        kit_expect(&kit, 1, 2000);
        assert_int_equal(kit_settle(&kit), NW_OK);
        kit_drop(&kit);
        assert_int_equal(kit_open(&kit, kit_reached(4000)), NW_OK);
        assert_int_equal(kit_append(&kit, 1000), NW_OK);
        kit_expect(&kit, 1, 5000);
        kit_expect_end(&kit);
        assert_int_equal(kit_remove(&kit, NULL), NW_OK);
        kit_drop(&kit);
        assert_int_equal(env->ops->folder_list(env, parent, count_names, &names, NULL), NW_OK);
        assert_int_equal(names, 0);
        assert_int_equal(rmdir(parent), 0);
        nw_env_system_destroy(env);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_appended_comes_back),
        cmocka_unit_test(a_later_process_reads_it_from_the_beginning),
        cmocka_unit_test(the_reader_follows_the_writer),
        cmocka_unit_test(large_records_have_segments_of_their_own),
        cmocka_unit_test(records_lie_across_reads),
        cmocka_unit_test(a_record_stays_while_others_are_appended_and_written),
        cmocka_unit_test(it_is_synced_after_20_ms_or_4_mib_and_not_before),
        cmocka_unit_test(an_agent_that_sleeps_until_the_deadline_gets_everything_synced),
        cmocka_unit_test(a_slow_disk_is_waited_for),
        cmocka_unit_test(a_large_record_does_not_wait_for_the_next_sync),
        cmocka_unit_test(a_full_spool_takes_no_more_until_it_is_trimmed),
        cmocka_unit_test(a_record_that_no_quota_holds_is_refused_for_good),
        cmocka_unit_test(a_later_process_learns_where_it_begins_without_opening_it),
        cmocka_unit_test(one_that_is_being_removed_begins_nowhere_and_a_damaged_one_anywhere),
        cmocka_unit_test(what_was_trimmed_is_gone_also_for_a_later_process),
        cmocka_unit_test(nothing_is_trimmed_up_to_a_segment_without_a_state),
        cmocka_unit_test(trimming_does_not_disturb_the_reader),
        cmocka_unit_test(a_removed_spool_leaves_nothing),
        cmocka_unit_test(there_is_one_spool_only),
        cmocka_unit_test(files_are_made_and_removed_by_jobs_alone),
        cmocka_unit_test(verification_tells_how_far_it_is_and_can_be_stopped),
        cmocka_unit_test(it_works_on_real_files),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
