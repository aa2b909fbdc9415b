/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The main slot, made so that it can be decoded.
 *
 * While a slot is made PostgreSQL collects what it needs to read the catalog as it was at each
 * change. Transactions that begin before it has all are given a view of the catalog that lacks the
 * DDL committed meanwhile, and that view stays in use until the next DDL (14 to 18,
 * src/backend/replication/logical/snapbuild.c: the snapshot of SNAPBUILD_FULL_SNAPSHOT has the xmin
 * of the running transactions then, and xl_xact and NEW_CID records before it are not looked at).
 * After a TRUNCATE or a rewrite the walsender then fails for ever at the first row of the new file;
 * after another ALTER TABLE rows come in the table's former shape. So when DDL was committed
 * meanwhile, the slot is made again.
 */
#ifndef NW_PIPELINE_SLOT_MAKE_H
#define NW_PIPELINE_SLOT_MAKE_H

#include "pipeline/server.h"

/**
 * Wait for a consistent point and make the main slot, again as long as tables are changed by DDL
 * meanwhile. One thread at a time; a signal ends the wait.
 * @param walsender  borrow: a replication session; what was exported lives until its next command
 * @param exports    whether the slot's snapshot is exported
 */
NW_MUST_CHECK nw_status nw_slot_make(const struct nw_server *server,
                                     const struct nw_pg_options *connection,
                                     struct nw_session *walsender, bool exports,
                                     struct nw_slot_created *created, struct nw_error *err);

#endif
