/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file sink under failure: killed, cut off from power, or out of disk at every single file
 * operation of the story in file_story.h. Whatever happens, recovery finds exactly the epochs that
 * a commit ended, and going on from there ends in the same content as if nothing had happened.
 */
#include "file_story.h"

static char folder[128];

/* Content after each epoch of a run without faults. */
static char *expected[STORY_EPOCHS + 1];
static int64_t expected_kind = -1;

static void expect(int64_t kind)
{
    if (expected_kind == kind) {
        return;
    }
    for (int epoch = 1; epoch <= STORY_EPOCHS; epoch++) {
        free(expected[epoch]);
        expected[epoch] = story_expected(folder, epoch, kind);
    }
    expected_kind = kind;
}

static void start(struct story *s, int64_t kind)
{
    story_fresh(folder);
    story_init(s, folder);
    story_kind(s, kind);
}

/* After a crash or fault: recover, compare, tell the rest of the story, compare. */
static void go_on(struct story *s, int at)
{
    char *content;

    if (s->recovered != s->acknowledged && s->recovered != s->acknowledged + 1) {
        fail_msg("operation %d: %d was acknowledged and %d was recovered", at, s->acknowledged,
                 s->recovered);
    }
    content = story_content(s, expected_kind);
    if (s->recovered > 0 && strcmp(content, expected[s->recovered]) != 0) {
        fail_msg("operation %d: content is not that of epoch %d:\n%s\nbut\n%s", at, s->recovered,
                 expected[s->recovered], content);
    }
    if (s->recovered == 0 && content[0] != '\0') {
        fail_msg("operation %d: nothing was committed, but there is:\n%s", at, content);
    }
    free(content);
    assert_int_equal(story_run(s, s->recovered + 1, STORY_EPOCHS), NW_OK);
    assert_int_equal(story_recover(s), NW_OK);
    content = story_content(s, expected_kind);
    if (strcmp(content, expected[STORY_EPOCHS]) != 0) {
        fail_msg("operation %d, from epoch %d: the end is\n%s\ninstead of\n%s", at, s->recovered,
                 content, expected[STORY_EPOCHS]);
    }
    free(content);
    if (story_verify(s) != NW_OK) {
        fail_msg("operation %d: %s\n%s", at, s->err.text, s->host->verify_lines);
    }
}

/* @return whether the story is longer than `at` operations. */
static bool crash_at(int at, int64_t kind, bool power_cut)
{
    struct story s;
    bool fired;

    start(&s, kind);
    s.host->random += (uint64_t)at * 7919;
    s.host->die_at = at;
    assert_int_equal(story_open(&s), NW_OK);
    if (story_recover(&s) == NW_OK) {
        (void)story_run(&s, 1, STORY_EPOCHS);
    }
    story_close(&s);
    fired = s.host->fired;
    if (power_cut) {
        test_power_cut(s.host);
    }
    s.host->die_at = 0;
    s.host->paths_count = 0;
    assert_int_equal(story_open(&s), NW_OK);
    if (story_recover(&s) != NW_OK) {
        fail_msg("operation %d: %s", at, s.err.text);
    }
    go_on(&s, at);
    story_fini(&s);
    return fired;
}

static void crash_everywhere(int64_t kind, bool power_cut, int step)
{
    int at = 1;

    expect(kind);
    while (crash_at(at, kind, power_cut)) {
        at += step;
    }
    assert_true(at > 150); /* the story is as long as it should be */
}

static void a_kill_at_any_operation_leaves_exactly_committed_epochs(void **state)
{
    (void)state;
    crash_everywhere(0, false, 1);
}

static void a_power_cut_at_any_operation_leaves_exactly_committed_epochs(void **state)
{
    (void)state;
    crash_everywhere(0, true, 1);
}

static void compressed_files_survive_a_power_cut_too(void **state)
{
    (void)state;
    crash_everywhere(1, true, 3);
    crash_everywhere(2, true, 3);
}

static void another_form_survives_a_kill_and_a_power_cut(void **state)
{
    (void)state;
    crash_everywhere(STORY_FORM, false, 1);
    crash_everywhere(STORY_FORM | 2, true, 2);
    crash_everywhere(STORY_AVRO, false, 2);
    crash_everywhere(STORY_AVRO | 2, true, 3);
}

/* One operation fails, everything else works: a full disk, an error of the device. */
static bool fault_at(int at)
{
    struct story s;
    nw_status status;
    bool fired;

    start(&s, 0);
    s.host->fail_at = at;
    assert_int_equal(story_open(&s), NW_OK);
    status = story_recover(&s);
    if (status == NW_OK) {
        status = story_run(&s, 1, STORY_EPOCHS);
    }
    fired = s.host->fired;
    s.host->fail_at = 0;
    if (status != NW_OK) {
        assert_true(strlen(s.err.text) > 10);
        if (status == NW_FATAL) { /* a sync: only a new start may go on */
            assert_non_null(strstr(s.err.text, "could not be made durable"));
            assert_memory_equal(s.err.text, "NW2602", 6);
            story_close(&s);
            assert_int_equal(story_open(&s), NW_OK);
        } else {
            assert_int_equal(status, NW_RETRY);
        }
        if (story_recover(&s) != NW_OK) {
            fail_msg("operation %d: %s", at, s.err.text);
        }
        go_on(&s, at);
    } else {
        /* It was about something that does no harm, or the story was over. */
        assert_int_equal(s.acknowledged, STORY_EPOCHS);
        assert_int_equal(story_recover(&s), NW_OK);
        go_on(&s, at);
    }
    story_fini(&s);
    return fired;
}

static void an_operation_that_fails_loses_and_doubles_nothing(void **state)
{
    int at = 1;

    (void)state;
    expect(0);
    while (fault_at(at)) {
        at++;
    }
    assert_true(at > 150);
}

static void a_crash_while_recovering_from_a_crash_does_no_harm(void **state)
{
    (void)state;
    expect(0);
    for (int at = 1;; at++) {
        struct story s;
        bool fired;

        start(&s, 0);
        assert_int_equal(story_open(&s), NW_OK);
        assert_int_equal(story_recover(&s), NW_OK);
        assert_int_equal(story_run(&s, 1, 7), NW_OK);
        assert_int_equal(story_epoch(&s, 8), NW_OK);
        story_close(&s);
        s.host->operations = 0;
        s.host->die_at = at;
        assert_int_equal(story_open(&s), NW_OK);
        (void)story_recover(&s);
        story_close(&s);
        fired = s.host->fired;
        test_power_cut(s.host);
        s.host->die_at = 0;
        s.host->paths_count = 0;
        assert_int_equal(story_open(&s), NW_OK);
        assert_int_equal(story_recover(&s), NW_OK);
        assert_int_equal(s.recovered, 7);
        go_on(&s, at);
        story_fini(&s);
        if (!fired) {
            assert_true(at > 20);
            break;
        }
    }
}

static int clean(void **state)
{
    (void)state;
    story_fresh(folder);
    for (int i = 0; i <= STORY_EPOCHS; i++) {
        free(expected[i]);
    }
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_kill_at_any_operation_leaves_exactly_committed_epochs),
        cmocka_unit_test(a_power_cut_at_any_operation_leaves_exactly_committed_epochs),
        cmocka_unit_test(an_operation_that_fails_loses_and_doubles_nothing),
        cmocka_unit_test(a_crash_while_recovering_from_a_crash_does_no_harm),
        cmocka_unit_test(compressed_files_survive_a_power_cut_too),
        cmocka_unit_test(another_form_survives_a_kill_and_a_power_cut),
    };

    test_folder_name(folder, sizeof folder, "file-crash");
    return cmocka_run_group_tests(tests, NULL, clean);
}
