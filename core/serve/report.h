/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What narwal says of itself: one report, as JSON, as text, as the live line. A report is a copy:
 * no secrets, no row data, nothing that could change under the reader.
 *
 * Lag, defined once. Of a sink, and of a table at a sink: age, on the server's clock since
 * its commit, of the oldest change that was received and is not durable there, 0 when there is
 * none, and the bytes that wait. Of the source: WAL bytes from the last position received to the
 * server's end.
 */
#ifndef NW_SERVE_REPORT_H
#define NW_SERVE_REPORT_H

#include <stdint.h>
#include <stdio.h>

#include "base/trouble.h"
#include "pipeline/run.h"
#include "sink/figures.h"

#define NW_REPORT_NAME_SIZE 64u

#define NW_REPORT_TABLES_MAX 64u /* the tables that lag most */

/** A table with changes that are not durable at a sink. */
struct nw_report_table {
    char name[2 * NW_REPORT_NAME_SIZE + 1]; /* schema.table */
    double lag_s;
    uint64_t lag_bytes;
};

#define NW_REPORT_STOPPED_MAX 64u

/** A table that does not go on as the others do. */
struct nw_report_stopped {
    char name[2 * NW_REPORT_NAME_SIZE + 1]; /* schema.table */
    char sink[NW_REPORT_NAME_SIZE];         /* "": at every sink */
    const char *state;                      /* stopped dropped */
    uint64_t lsn;
    double for_s; /* how long */
    char reason[NW_ERROR_TEXT_SIZE];
    char waits_for[NW_ERROR_TEXT_SIZE]; /* "": nothing */
};

struct nw_report_sink {
    char name[NW_REPORT_NAME_SIZE];
    char type[NW_REPORT_NAME_SIZE];
    const char *state; /* starting running retrying stopped */
    char reason[NW_ERROR_TEXT_SIZE];
    double lag_s;
    uint64_t lag_bytes;
    uint64_t rows, batches, commits, retries;
    uint64_t durable_lsn; /* everything committed before it is durable here; 0: not known */
    double committed_s;   /* wall clock of the last commit that was seen; 0: none yet */
    uint64_t spilled_bytes, spill_limit;
    uint64_t waiting_rows, waiting_bytes; /* for the copies of their tables */
    bool dead_letters_kept;               /* a row that it refuses does not stop its table */
    uint64_t dead_letters, dead_letter_bytes, dead_letter_limit;
    uint64_t dead_letters_written; /* in this attempt */
    uint32_t figures_count;        /* of the plugin's own, in this attempt */
    struct nw_figure_value figures[NW_FIGURES_MAX];
    uint32_t tables_count;
    struct nw_report_table tables[NW_REPORT_TABLES_MAX]; /* the oldest first */
};

struct nw_report {
    char name[NW_REPORT_NAME_SIZE];
    const char *phase; /* starting copying connecting streaming waiting draining paused standby */
    double uptime_s;
    int64_t wall_us;                      /* when it was made */
    char standby_for[NW_ERROR_TEXT_SIZE]; /* what a standby sees of the slot's owner */
    double standby_seen_s;                /* the uptime at which it did */
    bool ready;                           /* what has something to do moves: progress.h */
    char ready_reason[NW_ERROR_TEXT_SIZE];
    double engine_age_s; /* since the engine's thread made a turn; 0: it does not run */
    uint64_t system_identifier;
    int server_version;
    char slot[NW_REPORT_NAME_SIZE];
    uint64_t received_lsn, server_lsn, flush_lsn, position_lsn;
    uint64_t source_lag_bytes;
    uint64_t reconnects;
    uint64_t rows, transactions, bytes; /* streamed, in this run */
    uint32_t streamed_transactions;     /* in progress, kept here */
    uint64_t streamed_bytes;            /* of them on disk */
    uint32_t tables;
    uint64_t rows_left_out; /* of tables that stopped, in this attempt */
    uint64_t rows_kept;     /* the same, and of paused ones: in their backlogs */
    uint64_t kept_bytes;    /* of all backlogs, on disk */
    uint64_t backlog_limit; /* of each */
    struct nw_letters_tally letters;
    uint32_t stopped_count; /* of all, of which the first are listed */
    struct nw_report_stopped stopped[NW_REPORT_STOPPED_MAX];
    uint64_t copy_rows, copy_bytes, copy_tables, copy_tables_done, copy_total_bytes;
    uint64_t copy_done_bytes, copy_chunks, copy_chunks_done, copy_rows_again;
    uint64_t copy_chunks_kept, copy_rows_reread;
    const char *copy_state; /* none preparing copying done */
    bool copy_paused;       /* by a user */
    double copy_rows_a_second, copy_bytes_a_second;
    double copy_left_s; /* about; below 0: not known */
    char copy_waits_for[NW_ERROR_TEXT_SIZE];
    struct nw_primary primary;    /* held back on the server, when it was last looked at */
    double primary_s;             /* since then */
    uint64_t wal_limit, wal_safe; /* the server's own for the slot; 0: there is none */
    uint64_t retained_wal_bytes;  /* of primary, for those that know only it; 0: not yet */
    uint64_t retained_wal_limit;  /* 0: none */
    double snapshot_limit_s;      /* protect.snapshot_age */
    struct nw_alarm alarms[NW_ALARMS_COUNT];
    uint32_t states[NW_STATES_COUNT]; /* how many tables are in each */
    const char
        *spool; /* none, recording (the copy runs), reading, read (until the sinks have it) */
    uint64_t spool_bytes, spool_quota_bytes;
    uint64_t spool_limit; /* also when there is none */
    uint64_t spool_first_lsn, spool_end_lsn, spool_synced_lsn;
    bool spool_full;                        /* WAL stays on the server */
    char spool_blocked[NW_ERROR_TEXT_SIZE]; /* so too, and why; "": it is not */
    int64_t memory_used, memory_limit;
    uint32_t attempts;
    char last_error[NW_ERROR_TEXT_SIZE];
    struct nw_trouble_counts log; /* its errors and warnings */
    uint32_t troubles_count;      /* of them the latest, the last one first */
    struct nw_trouble troubles[NW_TROUBLES_MAX];
    uint32_t sinks_count;
    struct nw_report_sink sinks[NW_SEQUENCERS_MAX];
};

void nw_report_make(const struct nw_run_status *status, struct nw_report *report);
/** What is said while there is no report. */
#define NW_REPORT_NONE "{\"phase\":\"starting\"}\n"
/** One JSON object and a newline; docs/status.md says what each member means. */
void nw_report_json(const struct nw_report *report, FILE *out);
/** How much of the copy is done, 0 .. 1. */
double nw_report_copy_done(const struct nw_report *report);
/** Every table, its state and its copy: one JSON object and a newline. */
void nw_report_tables_json(const struct nw_run_status *status, FILE *out);
/** {"streaming": 338, ...}, without those that are 0; a new reference. */
struct json_t *nw_report_states_json(const uint32_t states[NW_STATES_COUNT]);
/** What is held back on the server; a new reference. */
struct json_t *nw_report_primary_json(const struct nw_report *report);
/** Put the code that a text begins with; "" without one. */
void nw_report_code(struct json_t *object, const char *key, const char *text);
const char *nw_report_phase(const struct nw_run_status *status);
/** Age on the server's clock of what committed then; 0 for none, and for what the clocks'
 * difference makes negative. */
double nw_report_age_s(const struct nw_run_status *status, int64_t commit_ts);

#endif
