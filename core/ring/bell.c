/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See agent.h and bell.h. `parked` is written by the sleeper, and cleared by the first who rings.
 *
 * The race to exclude: a producer pushes and sees "awake" while the sleeper, having seen an empty
 * ring, parks. Sleeper: store parked, then read the rings. Producer: write the ring, then load
 * parked. With a sequentially consistent store and load on `parked`, and the ring's own
 * acquire/release, one of the two must see the other's write only if both pairs are ordered across
 * the two locations; the read-modify-write on `parked` on both sides gives that order (B1, B2).
 */
#include "ring/bell.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct nw_bell {
    _Atomic uint32_t parked;
    int descriptor;
};

nw_status nw_bell_create(struct nw_bell **bell, struct nw_error *err)
{
    struct nw_bell *made = calloc(1, sizeof *made);

    if (made == NULL) {
        return nw_fail(err, NW_FATAL, "out of memory for a doorbell");
    }
    made->descriptor = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (made->descriptor < 0) {
        int error = errno;

        free(made);
        return nw_fail(err, NW_FATAL, "cannot make an eventfd: %s", strerror(error));
    }
    *bell = made;
    return NW_OK;
}

void nw_bell_destroy(struct nw_bell *bell)
{
    if (bell != NULL) {
        (void)close(bell->descriptor);
        free(bell);
    }
}

void nw_bell_ring(struct nw_bell *bell)
{
    uint64_t one = 1;

    /*
     * B1 pairs with B2 in nw_bell_park(): both are read-modify-writes of the same word, so one comes first. If
     * park came first we see 1 and wake; if we came first, park reads our write and synchronises
     * with it, so the sleeper's second look sees what we pushed.
     */
    if (bell != NULL && atomic_fetch_and_explicit(&bell->parked, 0, memory_order_acq_rel) != 0) {
        /* Fails only when the counter is full, and then it is awake. */
        (void)!write(bell->descriptor, &one, sizeof one);
    }
}

void nw_bell_park(struct nw_bell *bell)
{
    /* B2: see nw_bell_ring(). */
    (void)atomic_fetch_or_explicit(&bell->parked, 1, memory_order_acq_rel);
}

void nw_bell_unpark(struct nw_bell *bell)
{
    uint64_t count = 0;

    if (atomic_fetch_and_explicit(&bell->parked, 0, memory_order_acq_rel) == 0) {
        (void)!read(bell->descriptor, &count, sizeof count);
    }
}

int nw_bell_descriptor(const struct nw_bell *bell)
{
    return bell->descriptor;
}
