/* SPDX-License-Identifier: Apache-2.0 */
/*
 * narwal's optional event trigger: at the end of each command that changes tables or types it
 * writes the attributes of the tables into the WAL, as a transactional logical message. The stream
 * then has them at their place. Works on PostgreSQL 14 to 18; needs a superuser.
 */
#ifndef NW_PG_DDL_TRIGGER_H
#define NW_PG_DDL_TRIGGER_H

/** The prefix of its messages; their content is JSON, see core/source/notes.h. */
#define NW_DDL_PREFIX "narwal.ddl"

/** Statements, each to be sent on its own; NULL after the last. Installing again replaces. */
extern const char *const NW_DDL_TRIGGER_INSTALL[];
extern const char *const NW_DDL_TRIGGER_REMOVE[];
/** A query with one row: how many of its two triggers are there and enabled. */
extern const char NW_DDL_TRIGGER_COUNT[];

#endif
