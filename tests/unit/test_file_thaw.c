/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file sink beside a former owner that was frozen: at every single file operation of the story
 * in file_story.h the process stops, another takes the folder over, and the first goes on. It must
 * not commit any more, and whatever it does to files must leave alone what is the other's.
 */
#include "file_story.h"

static char folder[128];
static char *expected;
static int claimed; /* the operation by which a first start takes its number: who is frozen before
                     * it is the later one, when it thaws */

/* A process that takes over when another one freezes, and what it does then. */
struct taker {
    struct story story;
    int until;          /* it commits epochs up to this while the other is frozen */
    struct taker *next; /* takes over from it in turn, in its own recover; NULL: none does */
    int next_at;        /* at that operation */
    bool took;
    nw_status status; /* in what it ended */
};

static void take(void *context)
{
    struct taker *taker = context;
    struct story *s = &taker->story;

    taker->took = true;
    story_init(s, folder);
    s->host->host.flags = NW_HOST_TAKES_OVER;
    if (taker->next != NULL) {
        s->host->freeze_at = taker->next_at;
        s->host->frozen = take;
        s->host->frozen_context = taker->next;
    }
    assert_int_equal(story_open(s), NW_OK);
    taker->status = story_recover(s);
    if (taker->status == NW_OK) {
        taker->status = story_run(s, s->recovered + 1, taker->until);
    }
    if (taker->status != NW_OK && (taker->next == NULL || !taker->next->took)) {
        fail_msg("the one that took over: %s", s->err.text);
    }
}

/* The last owner goes on to the end, and all is as if nothing had happened. */
static void owner_ends(struct taker *owner, int at)
{
    struct story *s = &owner->story;
    char *content;

    s->host->freeze_at = 0;
    if (s->acknowledged < STORY_EPOCHS &&
        story_run(s, (s->acknowledged > s->recovered ? s->acknowledged : s->recovered) + 1,
                  STORY_EPOCHS) != NW_OK) {
        fail_msg("operation %d: the owner cannot go on: %s", at, s->err.text);
    }
    if (story_verify(s) != NW_OK) {
        fail_msg("operation %d: %s\n%s", at, s->err.text, s->host->verify_lines);
    }
    if (story_recover(s) != NW_OK || s->recovered != STORY_EPOCHS) {
        fail_msg("operation %d: recovered %d: %s", at, s->recovered, s->err.text);
    }
    content = test_content(folder);
    if (strcmp(content, expected) != 0) {
        fail_msg("operation %d: the end is\n%s\ninstead of\n%s", at, content, expected);
    }
    free(content);
    story_fini(s);
}

/* The one that was frozen went on until something failed; there is no way back for it. */
static void former_ends(struct story *former, nw_status status, int at)
{
    if (status == NW_FATAL && strncmp(former->err.text, "NW2406", 6) != 0) {
        fail_msg("operation %d: the former owner ended with: %s", at, former->err.text);
    }
    assert_int_not_equal(story_commit(former, STORY_EPOCHS + 1), NW_OK);
    if (story_recover(former) != NW_FATAL || strncmp(former->err.text, "NW2406", 6) != 0) {
        fail_msg("operation %d: the former owner recovered to %d: %s", at, former->recovered,
                 former->err.text);
    }
    story_fini(former);
}

/* @return whether the story is longer than `at` operations. */
static bool freeze_at(int at, struct taker *taker)
{
    struct story former;
    nw_status status;
    bool took;

    story_fresh(folder);
    story_init(&former, folder);
    former.host->freeze_at = at;
    former.host->frozen = take;
    former.host->frozen_context = taker;
    assert_int_equal(story_open(&former), NW_OK);
    status = story_recover(&former);
    if (status == NW_OK) {
        status = story_run(&former, 1, STORY_EPOCHS);
    }
    took = taker->took;
    if (took) {
        former_ends(&former, status, at); /* at its last operations it may not have noticed */
    } else {
        story_fini(&former);
    }
    return took;
}

static void thawed_at_any_operation(int until, int step)
{
    int at = claimed + 1;

    for (;; at += step) {
        struct taker taker = {.until = until};

        if (!freeze_at(at, &taker)) {
            break;
        }
        owner_ends(&taker, at);
    }
    assert_true(at > 150); /* the story is as long as it should be */
}

static void one_that_thaws_when_the_other_has_only_recovered(void **state)
{
    (void)state;
    thawed_at_any_operation(0, 1);
}

static void one_that_thaws_when_the_other_is_in_the_middle(void **state)
{
    (void)state;
    thawed_at_any_operation(5, 1);
}

static void one_that_thaws_when_the_other_has_committed_everything(void **state)
{
    (void)state;
    thawed_at_any_operation(STORY_EPOCHS, 1);
}

/* Two are frozen, the second while it takes over from the first: both thaw, the second first. */
static void two_that_thaw(void **state)
{
    bool longer = true;
    int pairs = 0;

    (void)state;
    for (int at = claimed + 1; longer; at += 29) {
        struct taker alone = {.until = STORY_EPOCHS};
        int next_at = 0;

        longer = freeze_at(at, &alone);
        if (longer) {
            next_at = alone.story.host->claimed_at;
            owner_ends(&alone, at);
        }
        for (bool inner = longer; inner;) {
            struct taker last = {.until = 4};
            struct taker middle = {.until = STORY_EPOCHS, .next = &last, .next_at = ++next_at};

            assert_true(freeze_at(at, &middle));
            inner = last.took && next_at < 90;
            if (last.took) {
                former_ends(&middle.story, middle.status, at * 1000 + next_at);
                owner_ends(&last, at * 1000 + next_at);
                pairs++;
            } else {
                owner_ends(&middle, at);
            }
        }
    }
    assert_true(pairs > 300);
}

static int setup(void **state)
{
    (void)state;
    struct story s;

    expected = story_expected(folder, STORY_EPOCHS, 0);
    story_fresh(folder);
    story_init(&s, folder);
    assert_int_equal(story_open(&s), NW_OK);
    assert_int_equal(story_recover(&s), NW_OK);
    claimed = s.host->claimed_at;
    assert_int_not_equal(claimed, 0);
    story_fini(&s);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    free(expected);
    story_fresh(folder);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_that_thaws_when_the_other_has_only_recovered),
        cmocka_unit_test(one_that_thaws_when_the_other_is_in_the_middle),
        cmocka_unit_test(one_that_thaws_when_the_other_has_committed_everything),
        cmocka_unit_test(two_that_thaw),
    };

    test_folder_name(folder, sizeof folder, "file-thaw");
    return cmocka_run_group_tests(tests, setup, teardown);
}
