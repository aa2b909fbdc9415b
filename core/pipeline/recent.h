/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The latest transactions that sinks were given: what they hold that a server lacks which was
 * promoted or restored to an earlier point, by name.
 *
 * Two files in the state folder, recent.0 and recent.1, written in turn and never synced: after a
 * kill nothing is missing but the last moment, and what is missing is seen, since each batch says
 * from which LSN to which it has everything. It is advice: without it narwal runs as well, and
 * after a failure to write it begins anew. A transaction is in it more than once, for different
 * tables, when changes of some were kept: their entries come when those are played.
 *
 * Format of a batch, le: u8 version (1), u8 kind 'R', u64 bytes of the entries, u64 system
 * identifier, u32 timeline, u64 number, u64 from LSN, u64 to LSN, entries, u64 XXH3 of all before.
 * An entry: u64 commit LSN, u64 end LSN, i64 commit time (us since 1970), u32 xid, u32 tables that
 * it changed, of which at most NW_COMMITTED_TABLES_MAX follow: u32 oid, u64 rows, u8 size and bytes
 * of the schema's name, the same of the table's. What has another version is not looked at.
 *
 * add() and reach() on the source's thread, all else on the main thread.
 */
#ifndef NW_PIPELINE_RECENT_H
#define NW_PIPELINE_RECENT_H

#include <stdbool.h>
#include <stdint.h>

#include "pg/session.h"
#include "pipeline/tables.h"
#include "source/dealer.h"
#include "source/position.h"

struct nw_recent;

NW_MUST_CHECK nw_status nw_recent_open(const char *folder, struct nw_recent **recent,
                                       struct nw_error *err);
void nw_recent_close(struct nw_recent *recent); /* NULL is fine */

/** What is dealt from here on is of this server, and begins at this LSN. No engine runs. */
void nw_recent_begin(struct nw_recent *recent, const struct nw_identity *identity, uint64_t lsn);
void nw_recent_add(struct nw_recent *recent, const struct nw_dealer_committed *what);
/** Everything that committed before this LSN was added; sinks may get a position of it. */
void nw_recent_reach(struct nw_recent *recent, uint64_t lsn);
/** Write what there is. */
void nw_recent_write(struct nw_recent *recent);

/* ---- reading ---- */

struct nw_recent_table {
    uint32_t relation_oid;
    uint64_t rows;
    char schema_name[NW_TABLE_NAME_SIZE];
    char name[NW_TABLE_NAME_SIZE];
};

struct nw_recent_commit {
    uint64_t commit_lsn, end_lsn;
    int64_t commit_ts;
    uint32_t xid;
    uint32_t tables_count; /* that it changed; of them as many as fit are in tables */
    uint32_t tables_first; /* index in the list's tables */
};

/** What is known without a gap up to the last batch, of one server and timeline. */
struct nw_recent_list {
    uint64_t system_identifier;
    uint32_t timeline;
    uint64_t from_lsn, to_lsn;        /* both 0: nothing is known */
    struct nw_recent_commit *commits; /* by commit LSN, once each */
    uint32_t commits_count, commits_capacity;
    struct nw_recent_table *tables;
    uint32_t tables_count, tables_capacity;
};

/** @param list  filled; to be freed by fini(). What is damaged is left out. */
NW_MUST_CHECK nw_status nw_recent_read(const char *folder, struct nw_recent_list *list,
                                       struct nw_error *err);
void nw_recent_fini(struct nw_recent_list *list);
/** Take the record away: the sinks go on at another server. Nobody writes it. */
void nw_recent_void(const char *folder);

/** How many of a commit's tables are in the list. */
uint32_t nw_recent_tables(const struct nw_recent_commit *commit);
/** Whether the list has all that committed from one LSN to the other, with all tables. */
bool nw_recent_covers(const struct nw_recent_list *list, uint64_t from_lsn, uint64_t to_lsn);
/** The next commit from an index on that a server lacks which went on without what came after
 * fork_lsn. @return commits_count: there is none */
uint32_t nw_recent_extra(const struct nw_recent_list *list, uint32_t index, uint64_t fork_lsn);
/**
 * Whether the server has the last transaction that ended at or before this LSN as it was followed:
 * with the same id, committed, and where the server keeps that, at the same time. One that was set
 * back without recovery and has gone on since has the LSN, and another transaction.
 * @param missing  filled: the index of that one; commits_count: nothing speaks against it.
 */
NW_MUST_CHECK nw_status nw_recent_verify(struct nw_session *session,
                                         const struct nw_recent_list *list, uint64_t lsn,
                                         uint32_t *missing, struct nw_error *err);
/** Say in the log what is known of those, at most ten. */
void nw_recent_extras_log(const char *folder, const struct nw_identity *followed,
                          uint64_t fork_lsn);
/** "transaction 1067 at 0/15937E0, 2026-11-29 18:31:14 UTC: lab.plain (34 rows)". @return text */
char *nw_recent_text(const struct nw_recent_list *list, uint32_t index, char *text, size_t size);

#endif
