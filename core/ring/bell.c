/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See agent.h and bell.h. `parked` is set by the sleeper, and cleared by the first who rings or by
 * the sleeper when it wakes for another reason.
 *
 * The race to exclude: a producer pushes and finds the sleeper awake, while the sleeper, having
 * found the ring empty, parks. Each side writes one place and then looks at the other's, so
 * acquire and release on two places are not enough (either look may pass the own write), and
 * neither is a look at `parked` before the exchange. Here both sides do a read-modify-write of the
 * same word, so one is first in its modification order (B1, B2). That costs a locked instruction
 * for each ring of the bell; ring it once for what was pushed together.
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

#include "base/errno.h"
#include "ring/yield.h"

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
        return nw_fail(err, NW_FATAL, "NW2901 cannot make an eventfd: %s", nw_errno_text(error));
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
     * B1 pairs with B2 in nw_bell_park(). If park came first we, or whoever rang before us, see 1
     * and wake it. If we came first, park reads our write or one that continues its release
     * sequence, so the sleeper's look at the rings after it sees what we pushed before.
     */
    if (bell == NULL) {
        return;
    }
    NW_RING_YIELD();
    if (atomic_fetch_and_explicit(&bell->parked, 0, memory_order_acq_rel) != 0) {
        NW_RING_YIELD();
        /* Fails only when the counter is full, and then it is awake. */
        (void)!write(bell->descriptor, &one, sizeof one);
    }
}

void nw_bell_park(struct nw_bell *bell)
{
    /* B2: see nw_bell_ring(). */
    (void)atomic_fetch_or_explicit(&bell->parked, 1, memory_order_acq_rel);
    NW_RING_YIELD();
}

void nw_bell_unpark(struct nw_bell *bell)
{
    uint64_t count = 0;

    NW_RING_YIELD();
    (void)atomic_fetch_and_explicit(&bell->parked, 0, memory_order_acq_rel);
    /*
     * Always, not only when someone rang just now: who rang before our last unpark may have written
     * after it, and what is never read would wake us from every sleep.
     */
    (void)!read(bell->descriptor, &count, sizeof count);
}

int nw_bell_descriptor(const struct nw_bell *bell)
{
    return bell->descriptor;
}
