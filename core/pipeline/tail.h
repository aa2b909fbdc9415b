/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `narwal tail` has on the server, and how it goes away again.
 *
 * The slot is temporary: the server drops it with the replication session. A publication stays, so
 * whose it is must be visible: it is somebody's as long as the replication session that streams it
 * lives. That session holds an advisory lock on the publication's name, which the server lets go
 * of with the session, from whatever host it came. A publication that is named like a tail's and
 * whose lock is free is nobody's. Blocking; on the main thread.
 */
#ifndef NW_PIPELINE_TAIL_H
#define NW_PIPELINE_TAIL_H

#include "pg/replication.h"
#include "pg/session.h"
#include "pipeline/publication.h"

/** The name of this tail's publication and slot, locked for it. */
struct nw_tail_name {
    char text[NW_SLOT_NAME_SIZE]; /* narwal_tail_<process>_<microseconds since 1970> */
};

/**
 * Choose the name, and lock it for as long as the session lives.
 * @param walsender  borrow; a replication session that is not taken over yet.
 */
NW_MUST_CHECK nw_status nw_tail_claim(struct nw_session *walsender, struct nw_tail_name *name,
                                      struct nw_error *err);

/**
 * Publications of tails that are gone.
 * @param rows  give: the name, and whether this role may drop it.
 */
NW_MUST_CHECK nw_status nw_tail_orphans(struct nw_session *control, struct nw_rows **rows,
                                        struct nw_error *err);

/**
 * Drop the publications of tails that are gone, as far as this role may. What cannot be dropped is
 * said in the log.
 */
NW_MUST_CHECK nw_status nw_tail_reap(struct nw_session *control, struct nw_error *err);

/**
 * Make the publication of a claimed name; no application's statement fails by it. After a failure
 * nw_tail_clean() drops what was made.
 * @return NW_FATAL with a sentence when the role or the server does not allow one.
 */
NW_MUST_CHECK nw_status nw_tail_publish(struct nw_session *control, const struct nw_tail_name *name,
                                        const struct nw_table_filter *filter,
                                        struct nw_publications *publications, struct nw_error *err);

/** Find a publication that exists, and what else narwal would follow with it. */
NW_MUST_CHECK nw_status nw_tail_find(struct nw_session *control, const char *publication,
                                     struct nw_publications *publications, struct nw_error *err);

/**
 * Wait a little until the slot is gone with its session, which the caller has closed, and drop the
 * publication, if there is one. Connects again when the former session broke.
 * @param control  borrow; NULL: connect.
 */
NW_MUST_CHECK nw_status nw_tail_clean(struct nw_session *control,
                                      const struct nw_pg_options *connection,
                                      const struct nw_tail_name *name, struct nw_error *err);

#endif
