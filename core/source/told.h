/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Relation message in force for each table, and the order in which they came.
 *
 * A server tells of a table once and takes it for known then (pgoutput.c). What it told inside a
 * streamed transaction is dealt when that commits, and may be older by then than what it told
 * meanwhile outside: a schema can be renamed and a publication changed while the transaction's rows
 * hold their table. The newer message is to be dealt again behind it, for it does not come again.
 * Owned by the stream source's thread.
 */
#ifndef NW_SOURCE_TOLD_H
#define NW_SOURCE_TOLD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/cursor.h"
#include <narwal/status.h>

struct nw_told;
NW_MUST_CHECK nw_status nw_told_create(struct nw_told **told, struct nw_error *err);
void nw_told_destroy(struct nw_told *told); /* NULL is fine */
/** A new connection: its server says everything again. */
void nw_told_reset(struct nw_told *told);

/** The place of a message that comes now. */
uint64_t nw_told_next(struct nw_told *told);
/** A Relation message, without an xid, was dealt that came at this place. */
NW_MUST_CHECK nw_status nw_told_dealt(struct nw_told *told, uint64_t place, struct nw_bytes message,
                                      struct nw_error *err);
/** What nw_told_again() gave was dealt. */
void nw_told_counts(struct nw_told *told);
/**
 * A newer message of a table of which an older one was dealt after it.
 * @param message  borrowed until the next call.
 * @return false: there is none.
 */
bool nw_told_again(struct nw_told *told, struct nw_bytes *message);

#endif
