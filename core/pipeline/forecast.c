/* SPDX-License-Identifier: Apache-2.0 */
/* See forecast.h. This file leads through it and reckons; samples are in forecast_sample.c, what
 * follows from the figures in forecast_risks.c. */
#include "pipeline/forecast.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "pipeline/forecast_private.h"

#define CATALOG_BYTES_MAX (256u << 20)
#define SAMPLED_MAX       200u /* tables; the rest is reckoned from these */
#define WATCH_NS          2000000000LL
#define SUGGEST_SLACK     1.05 /* a worker more must be worth 5 % */

/* Where nothing could be read: what a server of today sends of its heap. */
#define ASSUMED_BYTES_PER_SECOND 100e6
#define ASSUMED_COPY_RATIO       0.9
#define ASSUMED_ROW_BYTES        100.0

nw_status nw_forecast_goes_on(const struct nw_forecast_options *options, struct nw_error *err)
{
    return options->stopped != NULL && options->stopped()
               ? nw_fail(err, NW_FATAL, "NW2005 interrupted")
               : NW_OK;
}

/* ---- tables ---- */

static int by_size(const void *left, const void *right)
{
    const struct nw_catalog_candidate *a = *(const struct nw_catalog_candidate *const *)left;
    const struct nw_catalog_candidate *b = *(const struct nw_catalog_candidate *const *)right;

    uint64_t left_bytes = a->bytes + a->toast_bytes;
    uint64_t right_bytes = b->bytes + b->toast_bytes;

    return left_bytes < right_bytes ? 1 : left_bytes > right_bytes ? -1 : 0;
}

/* The tables that a run would copy: as it would choose them for its publication. */
static size_t wanted_sort(const struct nw_forecast_options *options,
                          const struct nw_catalog_candidates *all,
                          const struct nw_catalog_candidate **wanted)
{
    const struct nw_publication_options *publication = &options->preflight.server.publication;
    size_t count = 0;

    for (size_t i = 0; i < all->count; i++) {
        const struct nw_catalog_candidate *table = &all->tables[i];

        if (table->root_oid == 0 && !table->of_extension &&
            (table->identity_usable || publication->no_key != NW_NO_KEY_SKIP) &&
            nw_table_filter_match(&publication->filter, table->schema_name, table->name)) {
            wanted[count++] = table;
        }
    }
    qsort((void *)wanted, count, sizeof *wanted, by_size);
    return count;
}

static nw_status block_size_read(struct nw_session *session, uint64_t *size, struct nw_error *err)
{
    struct nw_rows *rows = NULL;
    nw_status status = nw_session_query(session, "SHOW block_size", NULL, 0, NULL, &rows, err);

    *size = status == NW_OK && nw_rows_count(rows) == 1 ? nw_rows_u64(rows, 0, 0) : 0;
    *size = *size == 0 ? 8192 : *size;
    nw_rows_free(rows);
    return status;
}

static nw_status tables_read(const struct nw_forecast_options *options, struct nw_session *session,
                             struct nw_sampler *sampler, struct nw_forecast *forecast,
                             struct nw_error *err)
{
    struct nw_arena arena;
    struct nw_catalog_candidates all = {0};
    const struct nw_catalog_candidate **wanted = NULL;
    uint64_t block_size = 0;
    nw_status status = NW_OK;

    nw_arena_init(&arena, CATALOG_BYTES_MAX);
    status = nw_catalog_candidates(session, &arena, &all, err);
    status = status == NW_OK ? block_size_read(session, &block_size, err) : status;
    if (status == NW_OK) {
        wanted = nw_arena_array(&arena, all.count + 1, sizeof *wanted);
        forecast->tables =
            nw_arena_array(forecast->checks.arena, all.count + 1, sizeof *forecast->tables);
        if (wanted == NULL || forecast->tables == NULL) {
            status = nw_fail(err, NW_FATAL, "out of memory for %zu tables", all.count);
        }
    }
    forecast->tables_count = status == NW_OK ? wanted_sort(options, &all, wanted) : 0;
    for (size_t i = 0; i < forecast->tables_count && status == NW_OK; i++) {
        struct nw_forecast_table *table = &forecast->tables[i];

        *table = (struct nw_forecast_table){
            .schema_name = nw_arena_text(forecast->checks.arena, wanted[i]->schema_name),
            .name = nw_arena_text(forecast->checks.arena, wanted[i]->name),
            .bytes = wanted[i]->bytes + wanted[i]->toast_bytes,
            .blocks = wanted[i]->bytes / block_size,
            .rows = wanted[i]->rows};
        if (table->schema_name == NULL || table->name == NULL) {
            status = nw_fail(err, NW_FATAL, "out of memory for %zu tables", all.count);
        } else if (i < SAMPLED_MAX && table->blocks > 0) {
            status = nw_sampler_read(sampler, wanted[i], table, err);
        } else if (table->blocks > 0) {
            table->sample.trouble = "it is small beside the others";
        }
    }
    nw_arena_fini(&arena);
    return status;
}

/* ---- what follows from the samples ---- */

/* Sums over all samples, for tables without one. */
struct average {
    double blocks, rows, bytes, seconds; /* of ranges read to their end */
    double copy_rows, copy_bytes;
};

static bool was_read(const struct nw_forecast_table *table)
{
    return table->sample.rows > 0 || table->sample.blocks_done > 0;
}

static void average_add(struct average *average, const struct nw_forecast_table *table)
{
    const struct nw_forecast_sample *sample = &table->sample;

    if (sample->blocks_done > 0 && table->blocks > 0) {
        average->blocks += (double)sample->blocks_done;
        average->bytes +=
            (double)table->bytes * (double)sample->blocks_done / (double)table->blocks;
        average->rows += (double)sample->rows_done;
        average->seconds += (double)sample->ns_done / 1e9;
    }
    average->copy_rows += (double)sample->rows;
    average->copy_bytes += (double)sample->bytes;
}

/* A table of which nothing was read. */
static void table_guess(struct nw_forecast_table *table, const struct average *average)
{
    double bytes = (double)table->bytes;
    double row_bytes = average->rows > 0 ? average->bytes / average->rows : ASSUMED_ROW_BYTES;
    double ratio = average->bytes > 0 && average->rows > 0
                       ? average->copy_bytes / average->copy_rows / row_bytes
                       : ASSUMED_COPY_RATIO;
    double rate =
        average->seconds > 0 ? average->bytes / average->seconds : ASSUMED_BYTES_PER_SECOND;

    if (table->rows < 0) {
        table->rows = row_bytes > 0 ? bytes / row_bytes : 0;
    }
    table->copy_bytes = bytes * ratio;
    table->read_seconds = bytes / rate;
}

/* A table that was read in part: all of it is like that part. */
static void table_scale(struct nw_forecast_table *table)
{
    const struct nw_forecast_sample *sample = &table->sample;
    double row_bytes = sample->rows > 0 ? (double)sample->bytes / (double)sample->rows : 0;

    if (sample->blocks_done > 0) {
        double share = (double)table->blocks / (double)sample->blocks_done;

        table->rows = (double)sample->rows_done * share;
        table->read_seconds = (double)sample->ns_done / 1e9 * share;
    } else {
        table->rows = table->rows > 0 ? table->rows
                      : row_bytes > 0 ? (double)table->bytes / row_bytes
                                      : 0;
        table->read_seconds = table->rows * (double)sample->ns / 1e9 / (double)sample->rows;
    }
    table->copy_bytes = table->rows * row_bytes;
}

static void totals_add(struct nw_forecast *forecast, struct nw_forecast_table *table,
                       uint32_t sinks_count)
{
    const struct nw_forecast_sample *sample = &table->sample;

    forecast->bytes += (double)table->bytes;
    forecast->rows += table->rows;
    forecast->copy_bytes += table->copy_bytes;
    forecast->read_seconds += table->read_seconds;
    forecast->sampled_count += was_read(table);
    for (uint32_t i = 0; i < sinks_count; i++) {
        forecast->fed_rows[i] += sample->fed_rows;
    }
}

/* What the decoder and the sinks made of sample rows. */
struct costs {
    double fed_bytes, decode_ns;
    double sink_bytes[NW_CONFIG_SINKS_MAX], sink_ns[NW_CONFIG_SINKS_MAX];
};

static void costs_add(struct costs *costs, const struct nw_forecast_sample *sample)
{
    costs->fed_bytes += (double)sample->fed_bytes;
    costs->decode_ns += (double)sample->decode_ns;
    for (uint32_t i = 0; i < NW_CONFIG_SINKS_MAX; i++) {
        costs->sink_bytes[i] += (double)sample->sink_bytes[i];
        costs->sink_ns[i] += (double)sample->sink_ns[i];
    }
}

/* Beyond the samples, byte for byte of the table's own rows, or of all. */
static void costs_reckon(const struct nw_forecast_options *options, struct nw_forecast *forecast)
{
    struct costs all = {0};

    for (size_t t = 0; t < forecast->tables_count; t++) {
        costs_add(&all, &forecast->tables[t].sample);
    }
    for (size_t t = 0; t < forecast->tables_count && all.fed_bytes > 0; t++) {
        struct nw_forecast_table *table = &forecast->tables[t];
        struct costs own = {0};
        const struct costs *costs = table->sample.fed_bytes > 0 ? &own : &all;
        double share = 0;

        costs_add(&own, &table->sample);
        share = table->copy_bytes / costs->fed_bytes;
        forecast->decode_seconds += share * costs->decode_ns / 1e9;
        for (uint32_t i = 0; i < options->sinks_count; i++) {
            table->sink_bytes[i] = share * costs->sink_bytes[i];
            forecast->sink_bytes[i] += table->sink_bytes[i];
            forecast->sink_seconds[i] += share * costs->sink_ns[i] / 1e9;
        }
    }
}

static double least(double seconds, double at_least, const char *what, const char **limit)
{
    if (at_least > seconds) {
        if (limit != NULL) {
            *limit = what;
        }
        return at_least;
    }
    return seconds;
}

double nw_forecast_seconds(const struct nw_forecast_options *options,
                           const struct nw_forecast *forecast, uint32_t workers, const char **limit)
{
    double cpu = forecast->decode_seconds;
    double seconds = 0;
    /* From four cores on lanes have threads of their own: core/io/plan.c. */
    double lanes = options->cores_count < 4 ? 1 : options->cores_count / 4.0;

    seconds = least(seconds, forecast->read_seconds / workers, "reading from the server", limit);
    seconds = least(seconds, forecast->decode_seconds / lanes, "decoding", limit);
    for (uint32_t i = 0; i < options->sinks_count; i++) {
        cpu += forecast->sink_seconds[i];
        seconds = least(seconds, forecast->sink_seconds[i] / options->sinks[i].workers_count,
                        options->sinks[i].name, limit);
    }
    cpu += forecast->server_here ? forecast->read_seconds : 0;
    return least(seconds, cpu / options->cores_count, "the cores of this machine", limit);
}

static void workers_suggest(const struct nw_forecast_options *options, struct nw_forecast *forecast)
{
    double best = nw_forecast_seconds(options, forecast, NW_FORECAST_WORKERS_MAX, NULL);
    uint32_t workers = 1;

    while (workers < NW_FORECAST_WORKERS_MAX &&
           nw_forecast_seconds(options, forecast, workers, NULL) > best * SUGGEST_SLACK) {
        workers++;
    }
    forecast->workers_suggested = workers;
    forecast->seconds_suggested = nw_forecast_seconds(options, forecast, workers, NULL);
}

static void reckon(const struct nw_forecast_options *options, struct nw_forecast *forecast)
{
    struct average average = {0};
    double rate = 0;

    for (size_t i = 0; i < forecast->tables_count; i++) {
        average_add(&average, &forecast->tables[i]);
    }
    for (size_t i = 0; i < forecast->tables_count; i++) {
        struct nw_forecast_table *table = &forecast->tables[i];

        if (was_read(table)) {
            table_scale(table);
        } else if (table->blocks > 0) {
            table_guess(table, &average);
        } else {
            table->rows = 0;
        }
        totals_add(forecast, table, options->sinks_count);
    }
    costs_reckon(options, forecast);
    forecast->limit = "reading from the server";
    forecast->seconds =
        nw_forecast_seconds(options, forecast, options->preflight.copy_workers, &forecast->limit);
    workers_suggest(options, forecast);
    rate = forecast->wal_rate_now > forecast->checks.wal_rate ? forecast->wal_rate_now
                                                              : forecast->checks.wal_rate;
    forecast->waiting_bytes = options->preflight.streams ? rate * forecast->seconds : 0;
}

/* ---- all of it ---- */

static nw_status session_open(const struct nw_forecast_options *options,
                              struct nw_session **session, struct nw_error *err)
{
    nw_status status = nw_session_open(&options->preflight.server.connection, false, session, err);

    if (status == NW_OK) {
        status = nw_session_query(*session,
                                  "SET default_transaction_read_only = on; SET lock_timeout = "
                                  "'1s'; SET statement_timeout = '10s'",
                                  NULL, 0, NULL, NULL, err);
    }
    return status;
}

static nw_status wal_read(struct nw_session *session, uint64_t *lsn, struct nw_error *err)
{
    struct nw_rows *rows = NULL;
    nw_status status =
        nw_session_query(session,
                         "SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE "
                         "pg_current_wal_insert_lsn() END",
                         NULL, 0, NULL, &rows, err);

    *lsn = status == NW_OK && nw_rows_count(rows) == 1 ? nw_rows_lsn(rows, 0, 0) : 0;
    nw_rows_free(rows);
    return status;
}

static bool is_here(const char *host)
{
    return host[0] == '/' || host[0] == '@' || host[0] == '\0' || strncmp(host, "127.", 4) == 0 ||
           strcmp(host, "::1") == 0 || strcmp(host, "localhost") == 0;
}

/* Rates need some time between two readings, also where samples were soon read. */
static void watch_out(const struct nw_forecast_options *options, int64_t started_ns)
{
    int64_t left_ns = started_ns + WATCH_NS - options->env->ops->now_ns(options->env);

    if (left_ns > 0) {
        (void)nanosleep(
            &(struct timespec){.tv_sec = left_ns / 1000000000, .tv_nsec = left_ns % 1000000000},
            NULL);
    }
}

/* Samples, and between them the server's own counters at two moments. */
static nw_status observe(const struct nw_forecast_options *options, struct nw_session *session,
                         struct nw_sampler *sampler, struct nw_forecast *forecast,
                         struct nw_error *err)
{
    struct nw_env *env = options->env;
    struct nw_rows *before = NULL;
    struct nw_rows *after = NULL;
    uint64_t first_lsn = 0;
    uint64_t last_lsn = 0;
    int64_t started_ns = env->ops->now_ns(env);
    nw_status status = wal_read(session, &first_lsn, err);

    status = status == NW_OK ? nw_forecast_stats(session, &before, err) : status;
    status = status == NW_OK ? tables_read(options, session, sampler, forecast, err) : status;
    if (status == NW_OK) {
        if (!options->glance) {
            watch_out(options, started_ns);
        }
        status = nw_forecast_goes_on(options, err);
    }
    if (status == NW_OK) {
        status = wal_read(session, &last_lsn, err);
    }
    forecast->wal_seconds = (double)(env->ops->now_ns(env) - started_ns) / 1e9;
    forecast->wal_rate_now = last_lsn > first_lsn && !options->glance
                                 ? (double)(last_lsn - first_lsn) / forecast->wal_seconds
                                 : 0;
    status = status == NW_OK ? nw_forecast_stats(session, &after, err) : status;
    if (status == NW_OK && !options->glance) {
        nw_forecast_updates(forecast, before, after, forecast->wal_seconds);
    }
    nw_rows_free(before);
    nw_rows_free(after);
    return status;
}

static nw_status forecast_fill(const struct nw_forecast_options *options,
                               struct nw_session *session, struct nw_forecast *forecast,
                               struct nw_error *err)
{
    struct nw_sampler sampler;
    nw_status status = nw_sampler_init(&sampler, options, session, forecast->checks.arena, err);

    status = status == NW_OK ? observe(options, session, &sampler, forecast, err) : status;
    for (uint32_t i = 0; i < options->sinks_count; i++) {
        forecast->trouble[i] = sampler.trouble[i];
    }
    nw_sampler_fini(&sampler);
    if (status == NW_OK) {
        reckon(options, forecast);
        status = nw_forecast_risks(options, session, forecast, err);
    }
    return status;
}

nw_status nw_forecast_add(const struct nw_forecast_options *options, struct nw_forecast *forecast,
                          struct nw_error *err)
{
    struct nw_session *session = NULL;
    nw_status status = NW_OK;

    forecast->server_here = is_here(forecast->checks.host);
    status = session_open(options, &session, err);
    if (status == NW_OK) {
        status = forecast_fill(options, session, forecast, err);
    }
    nw_session_close(session);
    return status;
}

nw_status nw_forecast_make(const struct nw_forecast_options *options, struct nw_arena *arena,
                           struct nw_forecast *forecast, struct nw_error *err)
{
    struct nw_error why = {0};
    nw_status status = NW_OK;

    *forecast = (struct nw_forecast){0};
    status = nw_preflight_run(&options->preflight, arena, &forecast->checks, &why);
    if (status == NW_FATAL) {
        *err = why;
        return status;
    }
    if (nw_forecast_goes_on(options, err) != NW_OK) {
        return NW_FATAL;
    }
    if (status != NW_OK) {
        (void)nw_preflight_add(&forecast->checks, NW_FINDING_WARN, "NW1401",
                               "what narwal check looks for was not all looked at: %.800s",
                               why.text);
    } else if (forecast->checks.version[0] == '\0') {
        return NW_OK; /* not connected: a finding says why */
    }
    return nw_forecast_add(options, forecast, err);
}
