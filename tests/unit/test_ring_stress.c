/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rings and bells between two threads that give up their core at random in the middle of a
 * hand-over. Meant for TSan too. A lost wake-up ends the program by its watchdog.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <unistd.h>

static _Thread_local uint32_t yield_random = 1;

static _Thread_local void (*yield_hook)(
    void); /* instead, when set: what another thread does then */

static void yield_sometimes(void)
{
    if (yield_hook != NULL) {
        yield_hook();
        return;
    }
    yield_random = yield_random * 1664525u + 1013904223u;
    if (yield_random >> 27 == 0) { /* one in 32 */
        (void)sched_yield();
    }
}
#define NW_RING_YIELD() yield_sometimes()

/* The ring's own sources, with the yields. */
#include "ring/bell.c" /* NOLINT(bugprone-suspicious-include) */
#include "ring/spsc.c" /* NOLINT(bugprone-suspicious-include) */

#define ITEMS            300000u
#define HANDOVERS        200000u
#define WATCHDOG_SECONDS 100u

static struct nw_error failure;

static void *item(uintptr_t number)
{
    return (void *)(number + 1);
}

static int watched(void **state)
{
    (void)state;
    (void)alarm(WATCHDOG_SECONDS); /* SIGALRM ends a program that hangs */
    return 0;
}

static int unwatched(void **state)
{
    (void)state;
    (void)alarm(0);
    return 0;
}

/* ---- order and contents ---- */

struct payload {
    uint64_t a, b; /* written before the push, read after the pop: TSan sees a missing order */
};

struct pair {
    struct nw_spsc *there;
    struct nw_spsc *back;
};

static void *payloads_push(void *context)
{
    static struct payload payloads[64];
    struct pair *pair = context;
    uint32_t fresh = 0;

    yield_random = 7;
    for (uint64_t i = 0; i < ITEMS; i++) {
        struct payload *payload = NULL;

        while (fresh < 64 ? (payload = &payloads[fresh++]) == NULL
                          : (payload = nw_spsc_pop(pair->back)) == NULL) {
            (void)sched_yield();
        }
        payload->a = i;
        payload->b = ~i;
        while (!nw_spsc_push(pair->there, payload)) {
            (void)sched_yield();
        }
    }
    return NULL;
}

static void two_threads_keep_order_and_contents(void **state)
{
    struct pair pair = {NULL, NULL};
    pthread_t producer;

    (void)state;
    assert_int_equal(nw_spsc_create(16, &pair.there, &failure), NW_OK);
    assert_int_equal(nw_spsc_create(64, &pair.back, &failure), NW_OK);
    assert_int_equal(pthread_create(&producer, NULL, payloads_push, &pair), 0);
    for (uint64_t i = 0; i < ITEMS; i++) {
        struct payload *payload = NULL;

        while ((payload = nw_spsc_pop(pair.there)) == NULL) {
            (void)sched_yield();
        }
        if (payload->a != i || payload->b != ~i) {
            fail_msg("item %lu came as %lu", (unsigned long)i, (unsigned long)payload->a);
        }
        assert_true(nw_spsc_push(pair.back, payload));
    }
    assert_int_equal(pthread_join(producer, NULL), 0);
    assert_null(nw_spsc_pop(pair.there));
    nw_spsc_destroy(pair.there);
    nw_spsc_destroy(pair.back);
}

/* ---- the bell ---- */

struct side {
    struct nw_spsc *in;
    struct nw_spsc *out;
    struct nw_bell *own;
    struct nw_bell *other;
    uint64_t sleeps;
};

/* Waits as a thread of agents does. */
static void *take(struct side *side)
{
    void *taken = nw_spsc_pop(side->in);

    while (taken == NULL) {
        nw_bell_park(side->own);
        taken = nw_spsc_pop(side->in);
        if (taken == NULL) {
            struct pollfd descriptor = {.fd = nw_bell_descriptor(side->own), .events = POLLIN};

            (void)poll(&descriptor, 1, -1);
            side->sleeps++;
        }
        nw_bell_unpark(side->own);
        taken = taken == NULL ? nw_spsc_pop(side->in) : taken;
    }
    return taken;
}

static void give(struct side *side, void *given)
{
    while (!nw_spsc_push(side->out, given)) {
        (void)sched_yield();
    }
    nw_bell_ring(side->other);
}

static void *echo(void *context)
{
    struct side *side = context;

    yield_random = 3;
    for (uint32_t i = 0; i < HANDOVERS / 2; i++) {
        give(side, take(side));
    }
    return NULL;
}

/* Nothing may be left that would keep waking a sleeper. */
static void assert_silent(struct nw_bell *bell)
{
    struct pollfd descriptor = {.fd = nw_bell_descriptor(bell), .events = POLLIN};

    nw_bell_park(bell);
    nw_bell_unpark(bell);
    nw_bell_park(bell);
    assert_int_equal(poll(&descriptor, 1, 0), 0);
    nw_bell_unpark(bell);
}

static void sides_make(struct side *here, struct side *there, size_t capacity)
{
    assert_int_equal(nw_spsc_create(capacity, &here->in, &failure), NW_OK);
    assert_int_equal(nw_spsc_create(capacity, &here->out, &failure), NW_OK);
    assert_int_equal(nw_bell_create(&here->own, &failure), NW_OK);
    assert_int_equal(nw_bell_create(&here->other, &failure), NW_OK);
    *there =
        (struct side){.in = here->out, .out = here->in, .own = here->other, .other = here->own};
}

static void sides_destroy(struct side *here)
{
    assert_silent(here->own);
    assert_silent(here->other);
    nw_spsc_destroy(here->in);
    nw_spsc_destroy(here->out);
    nw_bell_destroy(here->own);
    nw_bell_destroy(here->other);
}

static void no_wake_up_is_lost_in_200000_hand_overs(void **state)
{
    struct side here = {0};
    struct side there;
    pthread_t other;

    (void)state;
    sides_make(&here, &there, 4);
    assert_int_equal(pthread_create(&other, NULL, echo, &there), 0);
    for (uintptr_t i = 0; i < HANDOVERS / 2; i++) {
        give(&here, item(i));
        assert_ptr_equal(take(&here), item(i));
    }
    assert_int_equal(pthread_join(other, NULL), 0);
    assert_true(here.sleeps > 0 && there.sleeps > 0); /* the hand-shake was needed */
    sides_destroy(&here);
}

static void *burst(void *context)
{
    struct side *side = context;

    yield_random = 11;
    for (uintptr_t i = 0; i < HANDOVERS; i++) {
        give(side, item(i));
    }
    return NULL;
}

static void no_wake_up_is_lost_in_one_direction(void **state)
{
    struct side here = {0};
    struct side there;
    pthread_t other;

    (void)state;
    sides_make(&here, &there, 8);
    assert_int_equal(pthread_create(&other, NULL, burst, &there), 0);
    for (uintptr_t i = 0; i < HANDOVERS; i++) {
        assert_ptr_equal(take(&here), item(i));
    }
    assert_int_equal(pthread_join(other, NULL), 0);
    sides_destroy(&here);
}

/* A sleeper that wakes for its own reasons, in the middle of others' ringing. */
static void *ring_only(void *context)
{
    struct nw_bell *bell = context;

    yield_random = 5;
    for (uint32_t i = 0; i < HANDOVERS; i++) {
        nw_bell_ring(bell);
    }
    return NULL;
}

static void late_rings_do_not_keep_a_sleeper_awake(void **state)
{
    struct nw_bell *bell = NULL;
    pthread_t ringers[2];

    (void)state;
    assert_int_equal(nw_bell_create(&bell, &failure), NW_OK);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(pthread_create(&ringers[i], NULL, ring_only, bell), 0);
    }
    for (uint32_t i = 0; i < HANDOVERS / 4; i++) {
        nw_bell_park(bell);
        nw_bell_unpark(bell);
    }
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(pthread_join(ringers[i], NULL), 0);
    }
    assert_silent(bell);
    nw_bell_destroy(bell);
}

static struct nw_bell *hooked_bell;
static unsigned hook_calls;

/* The sleeper wakes for another reason between a ringer's two steps. */
static void unpark_at_second_step(void)
{
    if (++hook_calls == 2) {
        yield_hook = NULL;
        nw_bell_unpark(hooked_bell);
    }
}

static void a_ring_that_comes_late_wakes_once_and_is_taken_in(void **state)
{
    struct pollfd descriptor = {.events = POLLIN};

    (void)state;
    assert_int_equal(nw_bell_create(&hooked_bell, &failure), NW_OK);
    descriptor.fd = nw_bell_descriptor(hooked_bell);
    nw_bell_park(hooked_bell);
    hook_calls = 0;
    yield_hook = unpark_at_second_step;
    nw_bell_ring(hooked_bell);
    assert_null(yield_hook);
    nw_bell_park(hooked_bell);
    assert_int_equal(poll(&descriptor, 1, 0), 1);
    nw_bell_unpark(hooked_bell);
    assert_silent(hooked_bell);
    nw_bell_destroy(hooked_bell);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_ring_that_comes_late_wakes_once_and_is_taken_in),
        cmocka_unit_test_setup_teardown(two_threads_keep_order_and_contents, watched, unwatched),
        cmocka_unit_test_setup_teardown(no_wake_up_is_lost_in_200000_hand_overs, watched,
                                        unwatched),
        cmocka_unit_test_setup_teardown(no_wake_up_is_lost_in_one_direction, watched, unwatched),
        cmocka_unit_test_setup_teardown(late_rings_do_not_keep_a_sleeper_awake, watched, unwatched),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
