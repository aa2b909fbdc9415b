/* SPDX-License-Identifier: Apache-2.0 */
/* Rings and doorbells on one thread: what fits, in which order, and when a bell makes a noise. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <poll.h>
#include <unistd.h>

#include "ring/bell.h"
#include "ring/spsc.h"

static struct nw_spsc *ring_make(size_t capacity)
{
    struct nw_error err = {0};
    struct nw_spsc *ring = NULL;

    assert_int_equal(nw_spsc_create(capacity, &ring, &err), NW_OK);
    return ring;
}

static void a_full_ring_takes_nothing(void **state)
{
    struct nw_spsc *ring = ring_make(4);
    int items[5];

    (void)state;
    for (int i = 0; i < 4; i++) {
        assert_int_equal(nw_spsc_room(ring), 4 - i);
        assert_true(nw_spsc_push(ring, &items[i]));
    }
    assert_int_equal(nw_spsc_room(ring), 0);
    assert_false(nw_spsc_push(ring, &items[4]));
    for (int i = 0; i < 4; i++) {
        assert_ptr_equal(nw_spsc_pop(ring), &items[i]);
    }
    assert_null(nw_spsc_pop(ring));
    assert_int_equal(nw_spsc_room(ring), 4);
    nw_spsc_destroy(ring);
}

static void order_is_kept_around_the_end(void **state)
{
    static const size_t capacities[] = {1, 2, 8};
    char items[100];

    (void)state;
    for (size_t c = 0; c < 3; c++) {
        struct nw_spsc *ring = ring_make(capacities[c]);
        size_t pushed = 0;
        size_t popped = 0;

        while (popped < sizeof items) {
            void *item = NULL;

            while (pushed < sizeof items && nw_spsc_push(ring, &items[pushed])) {
                pushed++;
            }
            assert_true(pushed - popped <= capacities[c]);
            item = nw_spsc_peek(ring);
            assert_ptr_equal(item, &items[popped]);
            assert_ptr_equal(nw_spsc_peek(ring), item); /* looking takes nothing */
            assert_ptr_equal(nw_spsc_pop(ring), item);
            popped++;
        }
        assert_null(nw_spsc_peek(ring));
        nw_spsc_destroy(ring);
    }
}

static void counters_may_overflow(void **state)
{
    struct nw_spsc *ring = ring_make(2);
    int items[6];

    (void)state;
    /* As after 2^64 - 2 items. */
    atomic_store_explicit(&ring->tail, UINT64_MAX - 1, memory_order_relaxed);
    atomic_store_explicit(&ring->head, UINT64_MAX - 1, memory_order_relaxed);
    ring->tail_seen = UINT64_MAX - 1;
    ring->head_seen = UINT64_MAX - 1;
    for (int i = 0; i < 6; i += 2) {
        assert_true(nw_spsc_push(ring, &items[i]));
        assert_true(nw_spsc_push(ring, &items[i + 1]));
        assert_false(nw_spsc_push(ring, &items[0]));
        assert_ptr_equal(nw_spsc_pop(ring), &items[i]);
        assert_ptr_equal(nw_spsc_pop(ring), &items[i + 1]);
        assert_null(nw_spsc_pop(ring));
    }
    nw_spsc_destroy(ring);
}

static void the_two_sides_share_no_cache_line(void **state)
{
    struct nw_spsc *ring = ring_make(2);

    (void)state;
    assert_int_equal((uintptr_t)ring % NW_CACHE_LINE, 0);
    assert_true(offsetof(struct nw_spsc, head) - offsetof(struct nw_spsc, tail) >= NW_CACHE_LINE);
    assert_true(offsetof(struct nw_spsc, slots) - offsetof(struct nw_spsc, head) >= NW_CACHE_LINE);
    nw_spsc_destroy(ring);
    nw_spsc_destroy(NULL);
}

/* ---- doorbells ---- */

static struct nw_bell *bell_make(void)
{
    struct nw_error err = {0};
    struct nw_bell *bell = NULL;

    assert_int_equal(nw_bell_create(&bell, &err), NW_OK);
    return bell;
}

static bool sounds(const struct nw_bell *bell)
{
    struct pollfd poll_one = {.fd = nw_bell_descriptor(bell), .events = POLLIN};

    return poll(&poll_one, 1, 0) == 1;
}

static void a_bell_is_silent_while_its_thread_is_awake(void **state)
{
    struct nw_bell *bell = bell_make();

    (void)state;
    nw_bell_ring(bell);
    assert_false(sounds(bell));
    nw_bell_park(bell);
    assert_false(sounds(bell));
    nw_bell_unpark(bell);
    nw_bell_ring(bell);
    assert_false(sounds(bell));
    nw_bell_destroy(bell);
}

static void a_parked_bell_sounds_once_for_many_rings(void **state)
{
    struct nw_bell *bell = bell_make();
    uint64_t count = 0;

    (void)state;
    nw_bell_park(bell);
    for (int i = 0; i < 5; i++) {
        nw_bell_ring(bell);
    }
    assert_true(sounds(bell));
    assert_int_equal(read(nw_bell_descriptor(bell), &count, sizeof count), sizeof count);
    assert_int_equal(count, 1);
    nw_bell_unpark(bell);
    assert_false(sounds(bell));
    nw_bell_destroy(bell);
}

static void waking_takes_in_what_rang(void **state)
{
    struct nw_bell *bell = bell_make();

    (void)state;
    for (int i = 0; i < 3; i++) {
        nw_bell_park(bell);
        nw_bell_ring(bell);
        assert_true(sounds(bell));
        nw_bell_unpark(bell);
        assert_false(sounds(bell));
    }
    nw_bell_destroy(bell);
}

/*
 * Whoever rings clears the flag first and writes afterwards; in between, the sleeper may find work
 * and be awake again. Its next sleep ends at once; the one after that must not, or it never sleeps.
 */
static void a_late_sound_wakes_once(void **state)
{
    struct nw_bell *bell = bell_make();
    uint64_t one = 1;

    (void)state;
    assert_int_equal(write(nw_bell_descriptor(bell), &one, sizeof one), sizeof one);
    nw_bell_park(bell);
    assert_true(sounds(bell));
    nw_bell_unpark(bell);
    nw_bell_park(bell);
    assert_false(sounds(bell));
    nw_bell_unpark(bell);
    nw_bell_destroy(bell);
}

static void no_bell_may_be_rung(void **state)
{
    (void)state;
    nw_bell_ring(NULL);
    nw_bell_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_full_ring_takes_nothing),
        cmocka_unit_test(order_is_kept_around_the_end),
        cmocka_unit_test(counters_may_overflow),
        cmocka_unit_test(the_two_sides_share_no_cache_line),
        cmocka_unit_test(a_bell_is_silent_while_its_thread_is_awake),
        cmocka_unit_test(a_parked_bell_sounds_once_for_many_rings),
        cmocka_unit_test(waking_takes_in_what_rang),
        cmocka_unit_test(a_late_sound_wakes_once),
        cmocka_unit_test(no_bell_may_be_rung),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
