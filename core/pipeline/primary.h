/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What narwal holds back on the server: WAL by its slot, vacuum by its snapshots. Read by one
 * query over the catalog, and another one, of the tables' statistics, while there is a snapshot.
 * Main thread. What a role without pg_read_all_stats cannot see is other sessions' transactions.
 */
#ifndef NW_PIPELINE_PRIMARY_H
#define NW_PIPELINE_PRIMARY_H

#include <stdbool.h>
#include <stdint.h>

#include "pg/session.h"
#include "pipeline/copy_watch.h"

#define NW_PRIMARY_PIDS_MAX  128u
#define NW_PRIMARY_NAME_SIZE 160u

/** As it was last looked at; all 0 before. */
struct nw_primary {
    int64_t seen_ns;          /* 0: not yet */
    bool slot_known;          /* it is there; else nothing of it is known */
    uint64_t lsn;             /* the end of the server's WAL */
    uint64_t confirmed_lsn;   /* what it was told to be durable */
    uint64_t retained_bytes;  /* of WAL, that the slot holds */
    uint64_t retained_growth; /* of it a second, over the last minutes; 0: not known, or none */
    uint64_t unacknowledged_bytes;
    double unacknowledged_s; /* since the server's WAL ended at confirmed_lsn, about */
    char wal_status[16];     /* of the slot, as pg_replication_slots has it */
    int64_t keep_bytes;      /* max_slot_wal_keep_size; below 0: there is no limit */
    int64_t safe_bytes;      /* WAL that may still be written until the slot is lost */
    uint64_t xmin_age;       /* transactions since the oldest that the slot keeps, of catalogs */
    uint64_t freeze_age_max; /* autovacuum_freeze_max_age */
    bool snapshot;           /* a snapshot of ours is there */
    double snapshot_s;       /* age of the oldest */
    uint64_t snapshot_age;   /* the same in transactions */
    bool others_seen;        /* others' transactions can be seen: pg_read_all_stats */
    uint64_t other_age;      /* of the oldest of theirs that is seen; 0: none is */
    char other[NW_COPY_HOLDER_SIZE];
    bool holds_vacuum;        /* nothing is seen that is older than our snapshot */
    uint64_t dead_rows;       /* of the whole database, while there is a snapshot */
    uint64_t dead_rows_since; /* of those, more than when that was first seen */
    uint64_t live_rows;
    char dead_table[NW_PRIMARY_NAME_SIZE]; /* that has the most dead rows */
};

#define NW_WAL_MARKS_MAX 64u

/** When the server's WAL ended where, so that an LSN has an age. */
struct nw_wal_marks {
    struct {
        uint64_t lsn;
        int64_t at_ns;
    } marks[NW_WAL_MARKS_MAX];
    uint32_t count;
};

/** The WAL ended there now. An LSN that moves back begins anew. */
void nw_wal_marks_add(struct nw_wal_marks *marks, uint64_t lsn, int64_t now_ns);
/** How long ago the WAL ended at an LSN, in seconds; 0: it ends there now. */
double nw_wal_marks_age(const struct nw_wal_marks *marks, uint64_t lsn, int64_t now_ns);

/** What is remembered from one look to the next. */
struct nw_primary_watch {
    struct nw_wal_marks wal;
    struct nw_wal_marks held; /* its LSNs are bytes that the slot held */
    int64_t tables_seen_ns;
    bool has_base;
    uint64_t dead_rows_base;
};

/** What is ours on the server, and when it is looked at. Borrowed. */
struct nw_primary_ours {
    const char *slot;
    int pids[NW_PRIMARY_PIDS_MAX]; /* of backends that may have a snapshot; 0: none */
    uint32_t pids_count;
    int64_t now_ns;
};

/**
 * Look.
 * @param session  plain
 * @param primary  filled; on failure as it was
 */
NW_MUST_CHECK nw_status nw_primary_look(struct nw_primary_watch *watch, struct nw_session *session,
                                        const struct nw_primary_ours *ours,
                                        struct nw_primary *primary, struct nw_error *err);

#endif
