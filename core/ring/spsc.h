/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bounded ring of pointers between exactly one producer thread and one consumer thread.
 *
 * `head` is written by the consumer, `tail` by the producer; both run freely and are compared only
 * by their unsigned difference. Each side keeps its last sight of the other's counter, so that the
 * shared line is read only when the ring looks full or empty.
 */
#ifndef NW_RING_SPSC_H
#define NW_RING_SPSC_H

#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ring/yield.h"
#include <narwal/status.h>

#define NW_CACHE_LINE 64

struct nw_spsc {
    alignas(NW_CACHE_LINE) _Atomic uint64_t tail; /* producer writes */
    uint64_t head_seen;                           /* producer's own */
    alignas(NW_CACHE_LINE) _Atomic uint64_t head; /* consumer writes */
    uint64_t tail_seen;                           /* consumer's own */
    alignas(NW_CACHE_LINE) void **slots;
    uint64_t mask;
};

/** @param capacity  a power of two. @param ring  give. */
NW_MUST_CHECK nw_status nw_spsc_create(size_t capacity, struct nw_spsc **ring,
                                       struct nw_error *err);
/** Neither side may use it any more. NULL is fine. */
void nw_spsc_destroy(struct nw_spsc *ring);

/** Producer only. @return false when full; nothing was taken. */
static inline bool nw_spsc_push(struct nw_spsc *ring, void *item)
{
    uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);

    if (tail - ring->head_seen > ring->mask) {
        /* A1 pairs with R2 in nw_spsc_pop(): the slot was read before head moved. */
        ring->head_seen = atomic_load_explicit(&ring->head, memory_order_acquire);
        if (tail - ring->head_seen > ring->mask) {
            return false;
        }
    }
    ring->slots[tail & ring->mask] = item;
    NW_RING_YIELD();
    /* R1: the slot is written before tail moves. */
    atomic_store_explicit(&ring->tail, tail + 1, memory_order_release);
    return true;
}

/** Producer only: how many pushes are sure to succeed. */
static inline size_t nw_spsc_room(struct nw_spsc *ring)
{
    uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);

    /* A1 as in nw_spsc_push(). */
    ring->head_seen = atomic_load_explicit(&ring->head, memory_order_acquire);
    return (size_t)(ring->mask + 1 - (tail - ring->head_seen));
}

/** Consumer only. @return the oldest item without taking it, NULL when empty. */
static inline void *nw_spsc_peek(struct nw_spsc *ring)
{
    uint64_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);

    if (head == ring->tail_seen) {
        /* A2 pairs with R1 in nw_spsc_push(): the slot is written before tail moves. */
        ring->tail_seen = atomic_load_explicit(&ring->tail, memory_order_acquire);
        if (head == ring->tail_seen) {
            return NULL;
        }
    }
    return ring->slots[head & ring->mask];
}

/** Consumer only. @return NULL when empty. */
static inline void *nw_spsc_pop(struct nw_spsc *ring)
{
    void *item = nw_spsc_peek(ring);

    NW_RING_YIELD();
    if (item != NULL) {
        uint64_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);

        /* R2: the slot was read before head moves. */
        atomic_store_explicit(&ring->head, head + 1, memory_order_release);
    }
    return item;
}

#endif
