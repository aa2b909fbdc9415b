/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hand-over: at one moment every sink had all that had committed, and the next transaction id was
 * known. Where a server that goes on in another's place still has the same next transaction id,
 * nothing has committed since: that is what makes a slot without the history between no gap.
 *
 * `narwal run --until now` makes one when no transaction ended while it ran, prints it and keeps it
 * in narwal's own state; `narwal adopt` takes it. As text, for another host:
 * SYSTEM.TIMELINE.LSN.XID.
 */
#ifndef NW_PIPELINE_HANDOVER_H
#define NW_PIPELINE_HANDOVER_H

#include <stdbool.h>
#include <stdint.h>

#include "pg/session.h"
#include "pipeline/state.h"

#define NW_HANDOVER_TEXT_SIZE 96u

struct nw_handover {
    bool known;
    uint64_t system_identifier;
    uint32_t timeline;
    uint64_t lsn; /* what committed before is at every sink */
    uint64_t xid; /* every transaction before it had ended by then, and none since */
};

char *nw_handover_text(char text[static NW_HANDOVER_TEXT_SIZE], const struct nw_handover *handover);
/** @return false: that is none */
bool nw_handover_parse(const char *text, struct nw_handover *handover);

/** What is recorded; known is false when nothing is. */
NW_MUST_CHECK nw_status nw_handover_read(struct nw_state *state, struct nw_handover *handover,
                                         struct nw_error *err);
/** Record it in the place of a former one; synced on return. */
NW_MUST_CHECK nw_status nw_handover_write(struct nw_state *state,
                                          const struct nw_handover *handover, struct nw_error *err);

/**
 * Behind the last transaction that ended, with epoch.
 * @param quiet  filled: no transaction with an id before it is under way, prepared ones too
 */
NW_MUST_CHECK nw_status nw_handover_xid(struct nw_session *session, uint64_t *xid, bool *quiet,
                                        struct nw_error *err);

#endif
