/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What narwal left on a server, and how it goes: for `narwal teardown`. Only what is ours by name
 * and by owner or comment is removed, and what the configuration says a DBA made only when asked.
 * Blocking; on the thread of the caller.
 */
#ifndef NW_PIPELINE_TEARDOWN_H
#define NW_PIPELINE_TEARDOWN_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "pg/session.h"
#include "pipeline/server.h"

#define NW_LEFTOVERS_MAX 64u

enum nw_leftover_kind { NW_LEFTOVER_SLOT, NW_LEFTOVER_PUBLICATION, NW_LEFTOVER_TRIGGER };

/** Texts live in the arena. */
struct nw_leftover {
    enum nw_leftover_kind kind;
    const char *text;  /* "slot narwal_orders" */
    const char *note;  /* ", which holds 212 MB of WAL"; "" */
    const char *sql;   /* what removes it, for a DBA */
    const char *stays; /* why it is not removed; NULL: it is */
    bool amiss;        /* that it stays is not as it should be */
};

struct nw_leftovers {
    struct nw_leftover items[NW_LEFTOVERS_MAX];
    size_t count;
};

/**
 * @param all  also what the configuration says a DBA made, and what is of another owner
 * @return NW_FATAL also when somebody reads the slot: nothing may be removed then.
 */
NW_MUST_CHECK nw_status nw_teardown_look(struct nw_session *session,
                                         const struct nw_server_options *options, bool all,
                                         struct nw_arena *arena, struct nw_leftovers *leftovers,
                                         struct nw_error *err);

/** Remove one that does not stay. Gone already is fine. */
NW_MUST_CHECK nw_status nw_teardown_remove(struct nw_session *session,
                                           const struct nw_leftover *leftover,
                                           struct nw_error *err);

#endif
