/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The envelope around a source's position. A sink stores it as its position; it makes every commit
 * unique, so that after a commit of unknown outcome the host recognises its own, even while the
 * source's position is still empty or does not move.
 *
 *   offset  size  little-endian
 *        0     1  version, 1
 *        1     8  opening: random, drawn each time the sink is opened
 *        9     8  commit: counts the commits of that opening
 *       17     8  LSN: everything committed before it is included; 0 while the position is empty
 *       25     n  the source's own bytes, may be none
 *
 * Constant functions; no state.
 */
#ifndef NW_SINK_POSITION_H
#define NW_SINK_POSITION_H

#include <stdint.h>

#include <narwal/sink.h>

#define NW_ENVELOPE_SIZE 25u

/** A sink's position, kept by the host. */
struct nw_envelope {
    uint32_t size; /* 0: the sink has stored none */
    uint8_t bytes[NW_POSITION_SIZE_MAX];
};

/** What is inside an envelope. */
struct nw_envelope_content {
    uint64_t opening;
    uint64_t commit;
    struct nw_position position; /* the source's; bytes borrow from the envelope */
};

/** Seal a position. NW_FATAL when the source's bytes are too many. */
NW_MUST_CHECK nw_status nw_envelope_write(const struct nw_envelope_content *content,
                                          struct nw_envelope *envelope, struct nw_error *err);
/** Open one that a sink gave back. NW_FATAL when it is none of ours. */
NW_MUST_CHECK nw_status nw_envelope_read(const struct nw_position *stored,
                                         struct nw_envelope_content *content, struct nw_error *err);

#endif
