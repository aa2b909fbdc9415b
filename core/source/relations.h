/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a connection's stream has said of tables up to a place, which who begins to read there must
 * be told first: a server sends each Relation message once, and again when the table changed.
 *
 * It follows the messages that are recorded. Those of a streamed transaction come in force with its
 * commit. What narwal's event trigger noted of a table goes with the Relation message that it was
 * for. Owned by the stream source's thread.
 */
#ifndef NW_SOURCE_RELATIONS_H
#define NW_SOURCE_RELATIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/cursor.h"
#include <narwal/status.h>

/* Past it nothing is kept, and nobody can begin in the middle of this connection's stream. */
#define NW_RELATIONS_BYTES_MAX (32u << 20)

struct nw_relations;
NW_MUST_CHECK nw_status nw_relations_create(struct nw_relations **relations, struct nw_error *err);
void nw_relations_destroy(struct nw_relations *relations); /* NULL is fine */

/** A new connection: its server says everything again. */
void nw_relations_reset(struct nw_relations *relations);
/** A message of pgoutput, from its type byte on, in the order of the stream. */
NW_MUST_CHECK nw_status nw_relations_take(struct nw_relations *relations, struct nw_bytes message,
                                          struct nw_error *err);
/** Whether a transaction, or a part of a streamed one, has begun and not ended. */
bool nw_relations_inside(const struct nw_relations *relations);
/** Whether no transaction has begun that is not over, so that one can begin to read here. */
bool nw_relations_rest(const struct nw_relations *relations);

/** How large nw_relations_pack() is. */
uint64_t nw_relations_bytes(const struct nw_relations *relations);
/**
 * What is in force: u32 le size and bytes of each message, as the server sent it outside a stream;
 * a table's note before its Relation message. Borrowed until the next call of any function.
 */
NW_MUST_CHECK nw_status nw_relations_pack(struct nw_relations *relations, struct nw_bytes *packed,
                                          struct nw_error *err);

#endif
