/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who waits for what to be durable: the main thread tells how far each sink is, any thread waits
 * for a sink, or for all, to have everything that committed before an LSN. Nobody asks again and
 * again: whoever waits sleeps until there is news, and the pipeline is told to hurry.
 */
#ifndef NW_SERVE_WAITS_H
#define NW_SERVE_WAITS_H

#include <stdbool.h>
#include <stdint.h>

#include <narwal/status.h>

#define NW_WAITS_MAX      64u /* who wait at a time */
#define NW_WAIT_ALL_SINKS UINT32_MAX

struct nw_waits;
/** @param names  of the sinks, copied. */
NW_MUST_CHECK nw_status nw_waits_create(const char *const *names, uint32_t count,
                                        struct nw_waits **waits, struct nw_error *err);
/** Nobody waits any more. NULL is fine. */
void nw_waits_destroy(struct nw_waits *waits);

/** On the main thread: how far they are. */
void nw_waits_tell(struct nw_waits *waits, const uint64_t *lsns);
/** The highest LSN that somebody waits for; 0: nobody. */
uint64_t nw_waits_wanted(struct nw_waits *waits);
/** Nothing more will come: whoever waits is told so. */
void nw_waits_end(struct nw_waits *waits);

/** The sink of that name; NULL and "*": all. @return false: there is none */
bool nw_waits_sink(const struct nw_waits *waits, const char *name, uint32_t *sink);

enum nw_wait_result {
    NW_WAIT_DURABLE,
    NW_WAIT_NOT_YET, /* its time is over */
    NW_WAIT_ENDS,    /* narwal stops */
    NW_WAIT_MANY,    /* too many wait already */
};
/** Wait for it, for so long. Any thread. */
enum nw_wait_result nw_wait(struct nw_waits *waits, uint64_t lsn, uint32_t sink,
                            int64_t timeout_us);

/* The same for a thread that polls. */

/** @return a place, or -1: too many wait already */
int nw_wait_begin(struct nw_waits *waits, uint64_t lsn, uint32_t sink);
/** NW_WAIT_NOT_YET: go on waiting. */
enum nw_wait_result nw_wait_look(struct nw_waits *waits, int place);
void nw_wait_end(struct nw_waits *waits, int place);
/** Readable when there is news since it was read; an eventfd. One thread. */
int nw_waits_descriptor(const struct nw_waits *waits);

#endif
