/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A forecast of the first copy, made by reading a little: how long, how much, where it hurts. For
 * `narwal plan`; see docs/plan.md for how each figure is come by.
 *
 * Nothing is changed on the server: read-only transactions with timeouts, each sample bounded in
 * bytes and time. Blocking; on the thread of the caller.
 */
#ifndef NW_PIPELINE_FORECAST_H
#define NW_PIPELINE_FORECAST_H

#include <stdbool.h>
#include <stdint.h>

#include "config/run_config.h"
#include "pipeline/preflight.h"
#include "sink/trial.h"

#define NW_FORECAST_WORKERS_MAX 16u /* most that are suggested */

struct nw_forecast_sink {
    const char *name, *type;
    const struct nw_trial_options *trial; /* NULL: it cannot be tried without effect */
    const char *folder;                   /* it will write to; NULL: not known */
    uint64_t free_bytes;                  /* there; UINT64_MAX: not known */
    uint32_t workers_count;
};

struct nw_forecast_options {
    struct nw_preflight_options preflight; /* copy_workers and transforms too */
    struct nw_env *env;
    struct nw_forecast_sink sinks[NW_CONFIG_SINKS_MAX];
    uint32_t sinks_count;
    uint32_t cores_count;      /* for narwal; and for the server when that is on this host */
    int64_t time_ns;           /* for all samples */
    bool spools;               /* changes that wait for the copy are kept here, not on the server */
    const char *spool_folder;  /* or the one that it will lie in */
    uint64_t spool_free_bytes; /* UINT64_MAX: not known */
    uint64_t spool_max_bytes;  /* past it WAL stays on the server */
    uint64_t memory_bytes;
    bool glance; /* no longer than the samples take: rates are those since statistics began */
    bool (*stopped)(void); /* whether to give up; NULL: never */
};

/** What was read of a table. Rows of COPY BINARY. */
struct nw_forecast_sample {
    uint64_t rows, bytes;
    int64_t ns;                      /* from question to answer */
    uint64_t blocks_done, rows_done; /* of ranges that were read to their end */
    int64_t ns_done;
    uint64_t row_bytes_max;
    uint64_t fed_rows, fed_bytes; /* decoded and given to the sinks' trials */
    int64_t decode_ns;
    uint64_t sink_bytes[NW_CONFIG_SINKS_MAX];
    int64_t sink_ns[NW_CONFIG_SINKS_MAX];
    const char *trouble; /* why not more was read; NULL: none */
    bool locked;
    bool slow; /* a statement had to be given up */
};

struct nw_forecast_table {
    const char *schema_name, *name;
    uint64_t bytes;  /* of the heap, and of large values that are stored apart */
    uint64_t blocks; /* of the heap */
    double rows, copy_bytes, read_seconds; /* read_seconds: by one connection */
    double sink_bytes[NW_CONFIG_SINKS_MAX];
    struct nw_forecast_sample sample;
};

struct nw_forecast {
    struct nw_preflight checks; /* what `narwal check` finds, and what follows from the figures */
    struct nw_forecast_table *tables; /* largest first */
    size_t tables_count;
    size_t sampled_count;
    double bytes, rows, copy_bytes;
    double read_seconds;   /* by one connection */
    double decode_seconds; /* by one lane */
    double sink_bytes[NW_CONFIG_SINKS_MAX];
    double sink_seconds[NW_CONFIG_SINKS_MAX]; /* by one worker */
    const char *trouble[NW_CONFIG_SINKS_MAX]; /* why a trial failed; NULL: it did not */
    uint64_t fed_rows[NW_CONFIG_SINKS_MAX];   /* that the trial measured */
    double seconds;                           /* with the configured workers */
    const char *limit;                        /* what it waits for */
    uint32_t workers_suggested;
    double seconds_suggested;
    double wal_rate_now, wal_seconds; /* bytes per second, over so many seconds */
    double waiting_bytes;             /* that gather while the copy runs */
    bool server_here;                 /* on this host, as far as the DSN says */
};

/**
 * Look, read, and reckon. A failed connection is a finding, with no tables.
 * @param arena  borrow; everything of the forecast lives in it.
 */
NW_MUST_CHECK nw_status nw_forecast_make(const struct nw_forecast_options *options,
                                         struct nw_arena *arena, struct nw_forecast *forecast,
                                         struct nw_error *err);

/**
 * The same of a server that was looked at already.
 * @param forecast  its checks are filled, and connected; the rest is 0.
 */
NW_MUST_CHECK nw_status nw_forecast_add(const struct nw_forecast_options *options,
                                        struct nw_forecast *forecast, struct nw_error *err);

/** How long the copy takes with so many workers. @param limit  filled: what it waits for; NULL */
double nw_forecast_seconds(const struct nw_forecast_options *options,
                           const struct nw_forecast *forecast, uint32_t workers,
                           const char **limit);

#endif
