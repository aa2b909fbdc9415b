/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A builder turns one block into one item, in two steps: decode into memory of its own, which it
 * keeps from block to block, then pack into one piece of known size. Between the two the caller
 * charges the budget. Owned by its lane's thread.
 *
 * Row format: PostgreSQL documentation, "Logical Replication Message Formats" (TupleData), and
 * COPY's "Binary Format" (tuples).
 */
#ifndef NW_DECODE_BUILDER_H
#define NW_DECODE_BUILDER_H

#include "decode/item.h"

struct nw_builder;

NW_MUST_CHECK nw_status nw_builder_create(struct nw_builder **builder, struct nw_error *err);
void nw_builder_destroy(struct nw_builder *builder); /* NULL is fine */

/**
 * Decode a block of any kind.
 *
 * @param block  borrow until nw_builder_pack() is done.
 * @param size   filled: bytes of the item.
 * @return NW_CORRUPT for malformed rows, naming LSN and table, never data; NW_FATAL when memory is
 *         short or the item would pass 4 GiB.
 */
NW_MUST_CHECK nw_status nw_builder_decode(struct nw_builder *builder, const struct nw_block *block,
                                          size_t *size, struct nw_error *err);
/** Pack what was decoded last into `size` bytes, aligned to 16. lane and references stay 0. */
void nw_builder_pack(struct nw_builder *builder, struct nw_item *item);
/** Values without an exact form in what was decoded last. */
uint32_t nw_builder_exceptions(const struct nw_builder *builder);

#endif
