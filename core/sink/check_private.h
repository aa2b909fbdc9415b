/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside the conformance runner: the driver (check_drive.c) makes one call into the plugin at a
 * time, through the same worker code as in production; the cases (check_cases.c) say what is
 * called and what is expected. All of it runs on the child's one thread.
 */
#ifndef NW_SINK_CHECK_PRIVATE_H
#define NW_SINK_CHECK_PRIVATE_H

#include "sink/check.h"
#include "sink/check_rows.h"
#include "sink/sequencer.h"

#define NW_CHECK_COPIES_MAX  4u
#define NW_CHECK_EXPORTS_MAX 256u

struct nw_check {
    const struct nw_check_options *options;
    struct nw_sink *sink; /* NULL: closed */
    struct nw_task task;
    const struct nw_recovery *recovery; /* of the last recover */
    uint64_t epoch;                     /* last one that was sealed */
    uint64_t lsn;
    uint64_t next_id;
    uint64_t fencing;
    bool takes_over; /* NW_HOST_TAKES_OVER */
    bool announced[NW_SINK_WORKERS_MAX][NW_CHECK_TABLES];

    uint8_t durable[NW_POSITION_SIZE_MAX]; /* what recover() must give back */
    uint32_t durable_size;
    uint8_t next[NW_POSITION_SIZE_MAX]; /* what the commit under way gives it */
    uint32_t next_size;

    struct nw_entry *entries[NW_CHECK_EXPORTS_MAX]; /* of batches whose arrays the plugin holds */
    uint32_t entries_count;
    uint64_t exports_seen;
    char why[NW_ERROR_TEXT_SIZE]; /* of a failed check */
};

/* check_drive.c. Each returns whether the plugin did as expected, and fills check->why if not. */

NW_PRINTF(2, 3) bool nw_check_fails(struct nw_check *check, const char *format, ...);
bool nw_check_open(struct nw_check *check, uint32_t workers);
bool nw_check_recover(struct nw_check *check);
void nw_check_close(struct nw_check *check);
/** Whether the plugin declares that recover() gives nothing back. */
bool nw_check_stores_nothing(const struct nw_check *check);
/** recover() gave what the last commit had, and nothing else. */
bool nw_check_position(struct nw_check *check);
bool nw_check_table_announce(struct nw_check *check, uint32_t worker, uint32_t table);
/** Rows of the stream, in the epoch after the last sealed one. */
bool nw_check_write(struct nw_check *check, uint32_t worker, uint32_t table, uint32_t rows_count);
/** Any rows, from first_row on. */
bool nw_check_write_rows(struct nw_check *check, uint32_t worker, const struct nw_check_rows *rows,
                         uint32_t first_row, uint32_t generation);
bool nw_check_event(struct nw_check *check, uint32_t worker, const struct nw_event *event);
bool nw_check_copy_mark(struct nw_check *check, uint32_t worker, uint32_t table,
                        uint32_t generation, bool ends);
bool nw_check_resolve(struct nw_check *check, uint32_t table, uint32_t generation,
                      enum nw_copy_verdict verdict);
/** seal() on every worker. @param epoch  later than any before. */
bool nw_check_seal(struct nw_check *check, uint64_t epoch);
/** A new position of so many bytes for the next commit. */
void nw_check_position_next(struct nw_check *check, uint32_t size);
/**
 * commit() of the last sealed epoch.
 * @param wait     for the answer of a pending commit.
 * @param outcome  filled.
 */
bool nw_check_commit_call(struct nw_check *check, const struct nw_copy_state *copies,
                          uint32_t copies_count, bool wait, enum nw_outcome *outcome);
/** The same, with a new position, and it must be NW_COMMITTED. */
bool nw_check_commit(struct nw_check *check, const struct nw_copy_state *copies,
                     uint32_t copies_count);
/** seal() and nw_check_commit() of the next epoch. */
bool nw_check_epoch(struct nw_check *check);

/* check_cases.c */

struct nw_check_case {
    const char *name;
    /** @param skip  filled with a reason when the case does not apply. */
    bool (*run)(struct nw_check *check, const char **skip);
    bool stored; /* it is about what recover() gives back: not for a sink that stores nothing */
};
extern const struct nw_check_case nw_check_cases[];
extern const uint32_t nw_check_cases_count;

#endif
