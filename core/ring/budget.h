/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one memory budget. Whoever holds row data charges it here; when it is used up lanes wait,
 * and sequencers spill what their sinks do not need next.
 */
#ifndef NW_RING_BUDGET_H
#define NW_RING_BUDGET_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct nw_budget {
    _Atomic int64_t used_bytes;
    int64_t limit_bytes;
};

static inline bool nw_budget_above(const struct nw_budget *budget, int64_t used)
{
    return used > budget->limit_bytes / 4 * 3;
}

/**
 * @return false when it does not fit; nothing was charged. While the budget is not pressed
 *         everything fits, however large: nobody would spill to make room for it, and what is held
 *         may wait for it (rows of the same transaction; a lane's later ordinals).
 */
static inline bool nw_budget_charge(struct nw_budget *budget, size_t bytes)
{
    int64_t size = (int64_t)bytes;
    /* Relaxed: a counter; the memory itself is handed over by rings. */
    int64_t before = atomic_fetch_add_explicit(&budget->used_bytes, size, memory_order_relaxed);

    if (nw_budget_above(budget, before) && before + size > budget->limit_bytes) {
        atomic_fetch_sub_explicit(&budget->used_bytes, size, memory_order_relaxed);
        return false;
    }
    return true;
}

/** Charge it whether it fits or not: for what lets memory go before long. */
static inline void nw_budget_overdraw(struct nw_budget *budget, size_t bytes)
{
    atomic_fetch_add_explicit(&budget->used_bytes, (int64_t)bytes, memory_order_relaxed);
}

static inline void nw_budget_release(struct nw_budget *budget, size_t bytes)
{
    atomic_fetch_sub_explicit(&budget->used_bytes, (int64_t)bytes, memory_order_relaxed);
}

/** Whether so much is used that whoever can spill should (past three quarters). */
static inline bool nw_budget_pressed(struct nw_budget *budget)
{
    return nw_budget_above(budget, atomic_load_explicit(&budget->used_bytes, memory_order_relaxed));
}

#endif
