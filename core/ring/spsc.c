/* SPDX-License-Identifier: Apache-2.0 */
/* See spsc.h: making and freeing a ring; all else is inline there. */
#include "ring/spsc.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

nw_status nw_spsc_create(size_t capacity, struct nw_spsc **ring, struct nw_error *err)
{
    struct nw_spsc *made = NULL;

    NW_ASSERT(capacity > 0 && (capacity & (capacity - 1)) == 0);
    made = aligned_alloc(NW_CACHE_LINE, sizeof *made);
    if (made == NULL) {
        return nw_fail(err, NW_FATAL, "out of memory for a ring");
    }
    memset(made, 0, sizeof *made);
    atomic_init(&made->tail, 0);
    atomic_init(&made->head, 0);
    made->mask = capacity - 1;
    made->slots = calloc(capacity, sizeof *made->slots);
    if (made->slots == NULL) {
        free(made);
        return nw_fail(err, NW_FATAL, "out of memory for a ring of %zu", capacity);
    }
    *ring = made;
    return NW_OK;
}

void nw_spsc_destroy(struct nw_spsc *ring)
{
    if (ring != NULL) {
        free((void *)ring->slots);
        free(ring);
    }
}
