/* SPDX-License-Identifier: Apache-2.0 */
/* What follows from the figures of a forecast, beside what preflight finds. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "pipeline/forecast_private.h"
#include "pipeline/preflight_private.h"

#define SLOW_BYTES_PER_SECOND 10e6
#define SLOW_BYTES_LEAST      100e6 /* smaller tables do not matter */
#define LARGE_ROW_BYTES       (UINT64_C(1) << 20)
#define UPDATES_PER_SECOND    500.0
#define DEAD_ROWS_LEAST       100000.0
#define LONG_COPY_SECONDS     (4.0 * 3600)
#define OLD_XID_AGE           1000000000u
#define MB                    (1024.0 * 1024.0)

/* The tables for which the answer is yes, as names of a finding. */
static void names_add(struct nw_forecast *forecast, struct nw_finding *finding,
                      bool (*question)(const struct nw_forecast_table *table))
{
    const char **names =
        nw_arena_array(forecast->checks.arena, forecast->tables_count + 1, sizeof *names);
    size_t count = 0;

    for (size_t i = 0; names != NULL && i < forecast->tables_count; i++) {
        const struct nw_forecast_table *table = &forecast->tables[i];

        if (question(table)) {
            names[count++] =
                nw_preflight_text(&forecast->checks, "%s.%s", table->schema_name, table->name);
        }
    }
    finding->names = names;
    finding->names_count = count;
}

static size_t tables_that(const struct nw_forecast *forecast,
                          bool (*question)(const struct nw_forecast_table *table))
{
    size_t count = 0;

    for (size_t i = 0; i < forecast->tables_count; i++) {
        count += question(&forecast->tables[i]);
    }
    return count;
}

/* ---- of tables ---- */

static bool is_locked(const struct nw_forecast_table *table)
{
    return table->sample.locked;
}

static bool is_slow(const struct nw_forecast_table *table)
{
    return table->sample.slow ||
           ((double)table->bytes > SLOW_BYTES_LEAST && table->sample.blocks_done > 0 &&
            table->read_seconds > 0 &&
            (double)table->bytes / table->read_seconds < SLOW_BYTES_PER_SECOND);
}

static bool is_wide(const struct nw_forecast_table *table)
{
    return table->sample.row_bytes_max >= LARGE_ROW_BYTES;
}

static void tables_risks(const struct nw_forecast_options *options, struct nw_forecast *forecast)
{
    struct nw_preflight *p = &forecast->checks;
    char size[NW_NUMBER_TEXT_SIZE];
    char budget[NW_NUMBER_TEXT_SIZE];
    size_t locked = tables_that(forecast, is_locked);
    size_t slow = tables_that(forecast, is_slow);
    size_t wide = tables_that(forecast, is_wide);
    uint64_t row_bytes = 0;

    if (locked > 0) {
        names_add(forecast,
                  nw_preflight_add(p, NW_FINDING_WARN, "NW1402",
                                   "%zu %s locked by somebody, and nothing was read there: the "
                                   "copy would wait, and go on with other tables",
                                   locked, locked == 1 ? "table is" : "tables are"),
                  is_locked);
    }
    if (slow > 0) {
        names_add(forecast,
                  nw_preflight_add(p, NW_FINDING_WARN, "NW1403",
                                   "reading %zu %s is slow (less than 10 MB/s): cold or busy "
                                   "disks, or large values that are stored apart. Copy when the "
                                   "server has least to do",
                                   slow, slow == 1 ? "table" : "tables"),
                  is_slow);
    }
    for (size_t i = 0; i < forecast->tables_count; i++) {
        row_bytes = forecast->tables[i].sample.row_bytes_max > row_bytes
                        ? forecast->tables[i].sample.row_bytes_max
                        : row_bytes;
    }
    if (wide > 0) {
        names_add(forecast,
                  nw_preflight_add(p, NW_FINDING_WARN, "NW1404",
                                   "large rows: a few looked at have up to %s, all may have "
                                   "more, and each has to fit into limits.memory (%s) several "
                                   "times",
                                   nw_size_text(size, (double)row_bytes),
                                   nw_size_text(budget, (double)options->memory_bytes)),
                  is_wide);
    }
}

nw_status nw_forecast_stats(struct nw_session *session, struct nw_rows **rows, struct nw_error *err)
{
    return nw_session_query(session,
                            "SELECT relid, schemaname, relname, n_tup_upd + n_tup_del, n_live_tup, "
                            "n_dead_tup FROM pg_stat_user_tables ORDER BY relid",
                            NULL, 0, NULL, rows, err);
}

/* What is known of one table at both moments. */
static void updates_look(struct nw_forecast *forecast, const struct nw_rows *after, int row,
                         double rate)
{
    struct nw_preflight *p = &forecast->checks;
    const char *schema = nw_rows_text(after, row, 1);
    const char *name = nw_rows_text(after, row, 2);
    double live = (double)nw_rows_u64(after, row, 4);
    double dead = (double)nw_rows_u64(after, row, 5);
    char count[NW_NUMBER_TEXT_SIZE];

    if (p->findings_count + 8 > NW_FINDINGS_MAX) {
        return; /* the heaviest are not known beforehand, but these are enough to think about */
    }
    if (rate > UPDATES_PER_SECOND) {
        (void)nw_preflight_add(p, NW_FINDING_WARN, "NW1405",
                               "%s.%s is under heavy update (%s rows/s): its changes pile up "
                               "while the copy runs, and its dead rows stay until it ends",
                               schema, name, nw_count_text(count, rate));
    } else if (dead > DEAD_ROWS_LEAST && dead > live / 2) {
        nw_preflight_add(p, NW_FINDING_WARN, "NW1406",
                         "%s.%s has %s dead rows, which the copy reads over: VACUUM it before",
                         schema, name, nw_count_text(count, dead))
            ->otherwise = "VACUUM before the copy";
    }
}

void nw_forecast_updates(struct nw_forecast *forecast, const struct nw_rows *before,
                         const struct nw_rows *after, double seconds)
{
    int b = 0;

    for (int a = 0; a < nw_rows_count(after); a++) {
        uint64_t oid = nw_rows_u64(after, a, 0);
        uint64_t then = 0;
        uint64_t now = nw_rows_u64(after, a, 3);

        while (b < nw_rows_count(before) && nw_rows_u64(before, b, 0) < oid) {
            b++;
        }
        then = b < nw_rows_count(before) && nw_rows_u64(before, b, 0) == oid
                   ? nw_rows_u64(before, b, 3)
                   : now;
        updates_look(forecast, after, a, now > then ? (double)(now - then) / seconds : 0);
    }
}

/* ---- of disks ---- */

/* What of the waiting changes lies in the spool. */
static double spooled(const struct nw_forecast_options *options, const struct nw_forecast *forecast)
{
    double most = options->spools ? (double)options->spool_max_bytes : 0;

    return forecast->waiting_bytes < most ? forecast->waiting_bytes : most;
}

static void space_risks(const struct nw_forecast_options *options, struct nw_forecast *forecast)
{
    struct nw_preflight *p = &forecast->checks;
    char wanted[NW_NUMBER_TEXT_SIZE];
    char there[NW_NUMBER_TEXT_SIZE];

    if (options->spools && options->spool_free_bytes != UINT64_MAX &&
        spooled(options, forecast) > (double)options->spool_free_bytes) {
        (void)nw_preflight_add(p, NW_FINDING_FAIL, "NW1408",
                               "about %s of changes gather while the copy runs, and %s has %s free",
                               nw_size_text(wanted, spooled(options, forecast)),
                               options->spool_folder,
                               nw_size_text(there, (double)options->spool_free_bytes));
    }
    for (uint32_t i = 0; i < options->sinks_count; i++) {
        const struct nw_forecast_sink *sink = &options->sinks[i];

        if (sink->free_bytes != UINT64_MAX && forecast->sink_bytes[i] > (double)sink->free_bytes) {
            (void)nw_preflight_add(p, NW_FINDING_FAIL, "NW1409",
                                   "sink %s will have about %s, and %s has %s free", sink->name,
                                   nw_size_text(wanted, forecast->sink_bytes[i]), sink->folder,
                                   nw_size_text(there, (double)sink->free_bytes));
        }
    }
}

/* ---- of the server ---- */

/* @param keep  max_slot_wal_keep_size in MB; -1: no limit */
static void retention_risk(const struct nw_forecast_options *options, struct nw_forecast *forecast,
                           double keep)
{
    struct nw_preflight *p = &forecast->checks;
    double held = forecast->waiting_bytes - spooled(options, forecast);
    char wanted[NW_NUMBER_TEXT_SIZE];
    char there[NW_NUMBER_TEXT_SIZE];

    if (options->spools && held > 0) {
        nw_preflight_add(p, NW_FINDING_WARN, "NW1412",
                         "about %s of changes gather while the copy runs, and the spool may have "
                         "%s: the rest stays on the server",
                         nw_size_text(wanted, forecast->waiting_bytes),
                         nw_size_text(there, (double)options->spool_max_bytes))
            ->otherwise = "in the configuration, a larger  protect: {spool: ...}";
    }
    if (keep >= 0 && held > keep * MB) {
        nw_preflight_add(p, NW_FINDING_WARN, "NW1407",
                         "about %s of WAL stay on the server while the copy runs, and "
                         "max_slot_wal_keep_size is %s: the slot would be lost",
                         nw_size_text(wanted, held), nw_size_text(there, keep * MB))
            ->mend = nw_preflight_text(p,
                                       "ALTER SYSTEM SET max_slot_wal_keep_size = '%.0fGB'; SELECT "
                                       "pg_reload_conf();",
                                       held * 2 / 1e9 + 1);
    }
}

static void age_risks(struct nw_forecast *forecast, uint64_t age)
{
    struct nw_preflight *p = &forecast->checks;
    char time[NW_NUMBER_TEXT_SIZE];
    char count[NW_NUMBER_TEXT_SIZE];

    if (age > OLD_XID_AGE) {
        (void)nw_preflight_add(p, NW_FINDING_WARN, "NW1410",
                               "this database's oldest transaction id is %s old, and the snapshot "
                               "of the copy holds vacuum back: let VACUUM FREEZE end before",
                               nw_count_text(count, (double)age));
    }
    if (forecast->seconds > LONG_COPY_SECONDS) {
        (void)nw_preflight_add(p, NW_FINDING_WARN, "NW1411",
                               "the copy takes about %s, and its snapshot holds vacuum back for "
                               "that long: tables under update grow meanwhile",
                               nw_duration_text(time, forecast->seconds));
    }
}

nw_status nw_forecast_risks(const struct nw_forecast_options *options, struct nw_session *session,
                            struct nw_forecast *forecast, struct nw_error *err)
{
    struct nw_rows *rows = NULL;
    nw_status status = nw_session_query(
        session,
        "SELECT age(datfrozenxid), (SELECT setting FROM pg_settings WHERE name = "
        "'max_slot_wal_keep_size') FROM pg_database WHERE datname = current_database()",
        NULL, 0, NULL, &rows, err);

    if (status == NW_OK && nw_rows_count(rows) == 1) {
        const char *keep = nw_rows_text(rows, 0, 1);

        retention_risk(options, forecast, keep == NULL ? -1 : strtod(keep, NULL));
        age_risks(forecast, nw_rows_u64(rows, 0, 0));
    }
    nw_rows_free(rows);
    tables_risks(options, forecast);
    space_risks(options, forecast);
    return status;
}
