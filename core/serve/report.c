/* SPDX-License-Identifier: Apache-2.0 */
/* See report.h. Pure functions. */
#include "serve/report.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/code.h"
#include "base/log.h"
#include "pg/lsn.h"

const char *nw_report_phase(const struct nw_run_status *status)
{
    switch (status->phase) {
    case NW_RUN_STARTING:
        return "starting";
    case NW_RUN_COPYING:
        return "copying";
    case NW_RUN_DRAINING:
        return "draining";
    case NW_RUN_PAUSED:
        return "paused";
    case NW_RUN_STANDBY:
        return "standby";
    case NW_RUN_STREAMING:
        break;
    }
    switch (status->source.phase) {
    case NW_SOURCE_COPYING:
    case NW_SOURCE_CONNECTING:
        return "connecting";
    case NW_SOURCE_WAITING:
        return "waiting";
    case NW_SOURCE_STREAMING:
        break;
    }
    return "streaming";
}

static const char *sink_state_name(enum nw_sink_state state)
{
    static const char *const names[] = {"starting", "running", "retrying", "stopped", "detached"};

    return names[state];
}

double nw_report_age_s(const struct nw_run_status *status, int64_t commit_ts)
{
    int64_t age_us = commit_ts == 0 ? 0 : status->server_now_us - commit_ts;

    return age_us > 0 ? (double)age_us / 1e6 : 0;
}

static int oldest_first(const void *left, const void *right)
{
    const struct nw_sink_lag *a = left;
    const struct nw_sink_lag *b = right;

    return a->oldest_ns < b->oldest_ns ? -1 : a->oldest_ns > b->oldest_ns;
}

static void tables_make(const struct nw_run_status *status, uint32_t index,
                        struct nw_report_sink *sink)
{
    struct nw_sink_lag *lags = calloc(NW_SINK_LAGS_MAX, sizeof *lags);
    uint32_t count = 0;

    if (lags == NULL || status->members[index] == NULL) {
        free(lags); /* a report without them is better than none */
        return;
    }
    count = nw_sink_lags(status->members[index], lags, NW_SINK_LAGS_MAX);
    qsort(lags, count, sizeof *lags, oldest_first);
    for (uint32_t i = 0; i < count && i < NW_REPORT_TABLES_MAX; i++) {
        struct nw_report_table *table = &sink->tables[sink->tables_count++];

        (void)snprintf(table->name, sizeof table->name, "%.63s.%.63s", lags[i].table->schema_name,
                       lags[i].table->name);
        table->lag_s = nw_report_age_s(status, lags[i].oldest_commit_ts);
        table->lag_bytes = lags[i].bytes;
    }
    free(lags);
}

static void sink_make(const struct nw_run_status *status, uint32_t index,
                      struct nw_report_sink *sink)
{
    const struct nw_sink_status *from = &status->sinks[index];
    const struct nw_run_sink *option = &status->options->sinks[index];

    (void)snprintf(sink->name, sizeof sink->name, "%s", option->name);
    (void)snprintf(sink->type, sizeof sink->type, "%s", option->plugin->ops.name);
    sink->state = sink_state_name(from->state);
    (void)snprintf(sink->reason, sizeof sink->reason, "%s", from->reason);
    nw_redact(sink->reason);
    sink->lag_s = nw_report_age_s(status, from->oldest_commit_ts);
    sink->lag_bytes = from->held_bytes + from->spilled_bytes;
    sink->rows = from->rows;
    sink->batches = from->batches;
    sink->commits = from->commits;
    sink->retries = from->retries;
    sink->spilled_bytes = from->spilled_bytes;
    sink->spill_limit = status->options->spill_bytes;
    sink->waiting_rows = from->waiting_rows;
    sink->waiting_bytes = from->waiting_bytes;
    sink->dead_letters_kept = option->dead_letters;
    sink->dead_letter_limit = option->dead_letters ? option->dead_letters_bytes : 0;
    sink->dead_letters_written = from->letters;
    for (uint32_t i = 0; i < status->letters.sinks_count; i++) {
        if (strcmp(status->letters.sinks[i].sink, option->name) == 0) {
            sink->dead_letters = status->letters.sinks[i].letters;
            sink->dead_letter_bytes = status->letters.sinks[i].bytes;
        }
    }
    sink->figures_count =
        status->members[index] == NULL ? 0 : nw_sink_figures(status->members[index], sink->figures);
    tables_make(status, index, sink);
}

static void waits_take(const struct nw_run_status *status, uint32_t relation_oid,
                       struct nw_report_stopped *to)
{
    const struct nw_table_line *line =
        status->list == NULL ? NULL : nw_table_list_find(status->list, relation_oid);

    if (line != NULL) {
        (void)snprintf(to->waits_for, sizeof to->waits_for, "%s", line->waits_for);
        nw_redact(to->waits_for);
    }
}

static void stopped_make(const struct nw_run_status *status, struct nw_report *report)
{
    struct nw_table_trouble trouble;

    for (uint32_t i = 0; status->tables != NULL && nw_tables_at(status->tables, i, &trouble); i++) {
        struct nw_report_stopped *to = &report->stopped[i];

        report->stopped_count++;
        if (i >= NW_REPORT_STOPPED_MAX) {
            continue;
        }
        (void)snprintf(to->name, sizeof to->name, "%s.%s", trouble.schema_name, trouble.table_name);
        (void)snprintf(to->sink, sizeof to->sink, "%s", trouble.sink);
        (void)snprintf(to->reason, sizeof to->reason, "%s", trouble.reason);
        nw_redact(to->reason);
        to->state = nw_table_condition_name(trouble.condition);
        to->lsn = trouble.lsn;
        to->for_s = (double)(status->wall_us - trouble.since_us) / 1e6;
        waits_take(status, trouble.relation_oid, to);
    }
}

static void spool_make(const struct nw_source_status *source, struct nw_report *report)
{
    static const char *const names[] = {"none", "recording", "reading", "read"};

    report->spool = names[source->spooling];
    report->spool_bytes = source->spool.bytes;
    report->spool_quota_bytes = source->spool.quota_bytes;
    report->spool_first_lsn = source->spool.first_lsn;
    report->spool_end_lsn = source->spool.end_lsn;
    report->spool_synced_lsn = source->spool.synced_lsn;
    report->spool_full = source->spool.pressure == NW_SPOOL_FULL;
    (void)snprintf(report->spool_blocked, sizeof report->spool_blocked, "%s",
                   source->spool_blocked);
}

/* Pages of whole chunks; while there is none of them yet, bytes that came against bytes on disk. */
double nw_report_copy_done(const struct nw_report *report)
{
    double total = (double)report->copy_total_bytes;
    double done =
        report->copy_done_bytes > 0 ? (double)report->copy_done_bytes : (double)report->copy_bytes;

    return total <= 0 ? 0 : done > total ? 1 : done / total;
}

static void copy_make(const struct nw_run_status *status, struct nw_report *report)
{
    double done = 0;

    report->copy_rows = status->copy_rows;
    report->copy_bytes = status->copy_bytes;
    report->copy_tables = status->copy_tables;
    report->copy_tables_done = status->copy_tables_done;
    report->copy_total_bytes = status->copy_total_bytes;
    report->copy_done_bytes = status->copy_done_bytes;
    report->copy_chunks = status->copy_chunks;
    report->copy_chunks_done = status->copy_chunks_done;
    report->copy_rows_again = status->copy_rows_again;
    report->copy_chunks_kept = status->copy_chunks_kept;
    report->copy_rows_reread = status->copy_rows_reread;
    report->copy_rows_a_second = status->copy_rows_a_second;
    report->copy_bytes_a_second = status->copy_bytes_a_second;
    report->copy_paused = status->copy_paused;
    report->copy_left_s = -1;
    done = nw_report_copy_done(report);
    if (status->copies && done > 0 && report->copy_bytes_a_second > 0) {
        report->copy_left_s =
            (double)report->copy_bytes / done * (1 - done) / report->copy_bytes_a_second;
    }
    report->copy_state = !status->copies            ? report->copy_tables > 0 ? "done" : "none"
                         : report->copy_chunks == 0 ? "preparing"
                                                    : "copying";
    (void)snprintf(report->copy_waits_for, sizeof report->copy_waits_for, "%s",
                   status->copy_waits_for);
    nw_redact(report->copy_waits_for);
}

static void kept_make(const struct nw_source_status *source, struct nw_report *report)
{
    report->rows_kept = source->dealer.rows_kept;
    report->kept_bytes = 0;
    for (uint32_t i = 0; i < source->backlogs_count; i++) {
        report->kept_bytes += source->backlogs[i].bytes;
    }
}

static void primary_make(const struct nw_run_status *status, struct nw_report *report)
{
    const struct nw_primary *from = &status->primary;
    bool limited = from->slot_known && from->keep_bytes > 0;

    report->primary = *from;
    nw_redact(report->primary.other);
    report->primary_s = from->seen_ns == 0 ? 0 : (double)(status->now_ns - from->seen_ns) / 1e9;
    report->wal_limit = limited ? (uint64_t)from->keep_bytes : 0;
    report->wal_safe = limited && from->safe_bytes > 0 ? (uint64_t)from->safe_bytes : 0;
    report->retained_wal_bytes = from->retained_bytes;
    report->retained_wal_limit = status->options->retained_wal_bytes;
    report->snapshot_limit_s = (double)status->options->snapshot_age_us / 1e6;
    memcpy(report->alarms, status->alarms, sizeof report->alarms);
    for (uint32_t i = 0; i < NW_ALARMS_COUNT; i++) {
        nw_redact(report->alarms[i].text);
    }
}

static void last_error_make(const struct nw_error *err, struct nw_report *report)
{
    if (err->text[0] != '\0') {
        (void)snprintf(report->last_error, sizeof report->last_error, "%.6s %.1000s",
                       nw_error_code(err), nw_code_rest(err->text));
        nw_redact(report->last_error);
    }
}

void nw_report_make(const struct nw_run_status *status, struct nw_report *report)
{
    const struct nw_source_status *source = &status->source;

    memset(report, 0, sizeof *report);
    (void)snprintf(report->name, sizeof report->name, "%s", status->options->name);
    (void)snprintf(report->slot, sizeof report->slot, "%s", status->options->server.slot_name);
    report->phase = nw_report_phase(status);
    report->uptime_s = (double)(status->now_ns - status->started_ns) / 1e9;
    report->wall_us = status->wall_us;
    (void)snprintf(report->standby_for, sizeof report->standby_for, "%s", status->standby_for);
    report->standby_seen_s = status->standby_seen_ns <= status->started_ns
                                 ? 0
                                 : (double)(status->standby_seen_ns - status->started_ns) / 1e9;
    report->engine_age_s = status->phase == NW_RUN_STARTING || status->phase == NW_RUN_PAUSED ||
                                   status->phase == NW_RUN_STANDBY || source->taken_ns == 0
                               ? 0
                               : (double)(status->now_ns - source->taken_ns) / 1e9;
    report->system_identifier = status->identity.system_identifier;
    report->server_version = status->server_version;
    report->received_lsn = source->received_lsn;
    /* A stream that stands still does not say how far the server is. */
    report->server_lsn =
        source->server_lsn > status->primary.lsn ? source->server_lsn : status->primary.lsn;
    report->flush_lsn = source->flush_lsn;
    report->position_lsn = source->dealer.position_lsn;
    report->source_lag_bytes = source->received_lsn > 0 && report->server_lsn > source->received_lsn
                                   ? report->server_lsn - source->received_lsn
                                   : 0;
    report->reconnects = source->reconnects;
    report->rows = source->dealer.rows;
    report->bytes = source->dealer.bytes;
    report->transactions = source->dealer.transactions;
    report->streamed_transactions = source->streamed;
    report->streamed_bytes = source->spilled_bytes;
    report->tables = source->dealer.tables;
    report->rows_left_out = source->dealer.rows_left_out;
    primary_make(status, report);
    report->backlog_limit = status->options->backlog_bytes;
    report->spool_limit = status->options->spool_bytes;
    if (status->list != NULL) {
        memcpy(report->states, status->list->counts, sizeof report->states);
    }
    report->letters = status->letters;
    kept_make(source, report);
    stopped_make(status, report);
    copy_make(status, report);
    spool_make(source, report);
    report->memory_used = status->memory_used;
    report->memory_limit = (int64_t)status->options->memory_bytes;
    report->attempts = status->attempts;
    last_error_make(source->last_error.text[0] != '\0' ? &source->last_error : &status->last_error,
                    report);
    nw_trouble_count(&report->log);
    report->troubles_count = nw_troubles(report->troubles);
    report->sinks_count = status->options->sinks_count;
    for (uint32_t i = 0; i < report->sinks_count; i++) {
        sink_make(status, i, &report->sinks[i]);
    }
}

/* ---- JSON ---- */

static void put_count(json_t *object, const char *key, uint64_t value)
{
    (void)json_object_set_new(object, key, json_integer((json_int_t)value));
}

static void put_text(json_t *object, const char *key, const char *text)
{
    json_t *value = json_string(text); /* NULL when it is not UTF-8 */

    (void)json_object_set_new(object, key, value != NULL ? value : json_string("(not UTF-8)"));
}

void nw_report_code(json_t *object, const char *key, const char *text)
{
    const char *code = nw_code_find(text);

    (void)json_object_set_new(object, key,
                              code == NULL ? json_string("") : json_stringn(code, NW_CODE_LENGTH));
}

static void put_lsn(json_t *object, const char *key, uint64_t lsn)
{
    char text[NW_LSN_TEXT_SIZE];

    put_text(object, key, nw_lsn_text(text, lsn));
}

static json_t *tables_json(const struct nw_report_sink *sink)
{
    json_t *tables = json_array();

    for (uint32_t i = 0; i < sink->tables_count; i++) {
        json_t *table = json_object();

        put_text(table, "table", sink->tables[i].name);
        (void)json_object_set_new(table, "lag_seconds", json_real(sink->tables[i].lag_s));
        put_count(table, "lag_bytes", sink->tables[i].lag_bytes);
        (void)json_array_append_new(tables, table);
    }
    return tables;
}

static json_t *stopped_json(const struct nw_report *report)
{
    json_t *tables = json_array();

    for (uint32_t i = 0; i < report->stopped_count && i < NW_REPORT_STOPPED_MAX; i++) {
        const struct nw_report_stopped *from = &report->stopped[i];
        json_t *table = json_object();

        put_text(table, "table", from->name);
        put_text(table, "sink", from->sink);
        put_text(table, "state", from->state);
        nw_report_code(table, "code", from->reason);
        put_text(table, "reason", from->reason);
        put_text(table, "waits_for", from->waits_for);
        put_lsn(table, "lsn", from->lsn);
        (void)json_object_set_new(table, "seconds", json_real(from->for_s));
        (void)json_array_append_new(tables, table);
    }
    return tables;
}

static json_t *letters_json(const struct nw_letters_tally *letters)
{
    json_t *tables = json_array();

    for (uint32_t i = 0; i < letters->tables_count && i < NW_LETTERS_TABLES_MAX; i++) {
        const struct nw_letters_count *from = &letters->tables[i];
        json_t *table = json_object();
        char name[2 * NW_LETTERS_NAME_SIZE];

        (void)snprintf(name, sizeof name, "%s.%s", from->schema_name, from->table_name);
        put_text(table, "table", name);
        put_text(table, "sink", from->sink);
        put_count(table, "count", from->letters);
        put_count(table, "bytes", from->bytes);
        (void)json_array_append_new(tables, table);
    }
    return tables;
}

static json_t *figures_json(const struct nw_report_sink *sink)
{
    json_t *object = json_object();

    for (uint32_t i = 0; i < sink->figures_count; i++) { /* json_real() has no infinity */
        (void)json_object_set_new(object, sink->figures[i].name, json_real(sink->figures[i].value));
    }
    return object;
}

static json_t *sink_json(const struct nw_report_sink *sink)
{
    json_t *object = json_object();

    put_text(object, "name", sink->name);
    put_text(object, "type", sink->type);
    put_text(object, "state", sink->state);
    nw_report_code(object, "code", sink->reason);
    put_text(object, "reason", sink->reason);
    put_lsn(object, "durable_lsn", sink->durable_lsn);
    (void)json_object_set_new(object, "lag_seconds", json_real(sink->lag_s));
    put_count(object, "lag_bytes", sink->lag_bytes);
    put_count(object, "rows", sink->rows);
    put_count(object, "batches", sink->batches);
    put_count(object, "commits", sink->commits);
    put_count(object, "retries", sink->retries);
    (void)json_object_set_new(object, "last_commit_time",
                              sink->committed_s > 0 ? json_real(sink->committed_s) : json_null());
    put_count(object, "spilled_bytes", sink->spilled_bytes);
    put_count(object, "spill_limit_bytes", sink->spill_limit);
    put_count(object, "waiting_rows", sink->waiting_rows);
    put_count(object, "waiting_bytes", sink->waiting_bytes);
    put_text(object, "refused", sink->dead_letters_kept ? "dead_letter" : "stop");
    put_count(object, "dead_letters", sink->dead_letters);
    put_count(object, "dead_letter_bytes", sink->dead_letter_bytes);
    put_count(object, "dead_letter_limit_bytes", sink->dead_letter_limit);
    put_count(object, "dead_letters_written", sink->dead_letters_written);
    (void)json_object_set_new(object, "figures", figures_json(sink));
    (void)json_object_set_new(object, "lagging_tables", tables_json(sink));
    return object;
}

static json_t *source_json(const struct nw_report *report)
{
    json_t *object = json_object();
    char identifier[24];

    (void)snprintf(identifier, sizeof identifier, "%" PRIu64, report->system_identifier);
    put_text(object, "system_identifier", identifier);
    put_count(object, "server_version", (uint64_t)report->server_version);
    put_text(object, "slot", report->slot);
    put_lsn(object, "received_lsn", report->received_lsn);
    put_lsn(object, "server_lsn", report->server_lsn);
    put_lsn(object, "position_lsn", report->position_lsn);
    put_lsn(object, "flush_lsn", report->flush_lsn);
    put_count(object, "retained_wal_bytes", report->retained_wal_bytes);
    put_count(object, "retained_wal_limit_bytes", report->retained_wal_limit);
    put_count(object, "lag_bytes", report->source_lag_bytes);
    put_count(object, "connections", report->reconnects);
    put_count(object, "rows", report->rows);
    put_count(object, "bytes", report->bytes);
    put_count(object, "transactions", report->transactions);
    put_count(object, "transactions_in_progress", report->streamed_transactions);
    put_count(object, "transactions_in_progress_bytes", report->streamed_bytes);
    return object;
}

static json_t *copy_json(const struct nw_report *report)
{
    json_t *object = json_object();

    put_count(object, "rows", report->copy_rows);
    put_count(object, "bytes", report->copy_bytes);
    put_count(object, "tables", report->copy_tables);
    put_count(object, "tables_done", report->copy_tables_done);
    put_count(object, "chunks", report->copy_chunks);
    put_count(object, "chunks_done", report->copy_chunks_done);
    put_count(object, "source_bytes", report->copy_total_bytes);
    put_count(object, "source_bytes_done", report->copy_done_bytes);
    put_count(object, "rows_read_again", report->copy_rows_again);
    put_count(object, "chunks_kept", report->copy_chunks_kept);
    put_count(object, "rows_selected_again", report->copy_rows_reread);
    put_text(object, "state", report->copy_state);
    (void)json_object_set_new(object, "paused", json_boolean(report->copy_paused));
    (void)json_object_set_new(object, "rows_per_second", json_real(report->copy_rows_a_second));
    (void)json_object_set_new(object, "bytes_per_second", json_real(report->copy_bytes_a_second));
    (void)json_object_set_new(object, "eta_seconds",
                              report->copy_left_s < 0 ? json_null()
                                                      : json_real(report->copy_left_s));
    put_text(object, "waits_for", report->copy_waits_for);
    return object;
}

static json_t *spool_json(const struct nw_report *report)
{
    json_t *object = json_object();

    put_text(object, "state", report->spool);
    put_count(object, "bytes", report->spool_bytes);
    put_count(object, "quota_bytes", report->spool_quota_bytes);
    (void)json_object_set_new(object, "full", json_boolean(report->spool_full));
    nw_report_code(object, "code", report->spool_blocked);
    put_text(object, "blocked", report->spool_blocked);
    put_lsn(object, "first_lsn", report->spool_first_lsn);
    put_lsn(object, "end_lsn", report->spool_end_lsn);
    put_lsn(object, "synced_lsn", report->spool_synced_lsn);
    return object;
}

static json_t *troubles_json(const struct nw_report *report)
{
    json_t *list = json_array();

    for (uint32_t i = 0; i < report->troubles_count; i++) {
        const struct nw_trouble *from = &report->troubles[i];
        json_t *trouble = json_object();

        (void)json_object_set_new(trouble, "time", json_real((double)from->wall_us / 1e6));
        put_text(trouble, "level", from->level == NW_LOG_ERROR ? "error" : "warn");
        put_count(trouble, "count", from->count);
        nw_report_code(trouble, "code", from->text);
        put_text(trouble, "text", from->text);
        (void)json_array_append_new(list, trouble);
    }
    return list;
}

static void process_put(json_t *root, const struct nw_report *report)
{
    put_text(root, "name", report->name);
    put_text(root, "version", NARWAL_VERSION);
    put_text(root, "phase", report->phase);
    put_text(root, "standby", report->standby_for);
    (void)json_object_set_new(root, "ready", json_boolean(report->ready));
    put_text(root, "not_ready_because", report->ready_reason);
    (void)json_object_set_new(root, "time", json_real((double)report->wall_us / 1e6));
    (void)json_object_set_new(root, "uptime_seconds", json_real(report->uptime_s));
    put_count(root, "attempts", report->attempts);
    nw_report_code(root, "last_error_code", report->last_error);
    put_text(root, "last_error", report->last_error);
    put_count(root, "log_errors", report->log.errors);
    put_count(root, "log_warnings", report->log.warnings);
    (void)json_object_set_new(root, "log_troubles", troubles_json(report));
    put_count(root, "memory_used_bytes",
              report->memory_used > 0 ? (uint64_t)report->memory_used : 0);
    put_count(root, "memory_limit_bytes", (uint64_t)report->memory_limit);
}

void nw_report_json(const struct nw_report *report, FILE *out)
{
    json_t *root = json_object();
    json_t *sinks = json_array();

    process_put(root, report);
    put_count(root, "tables", report->tables);
    (void)json_object_set_new(root, "tables_by_state", nw_report_states_json(report->states));
    put_count(root, "stopped_tables_count", report->stopped_count);
    (void)json_object_set_new(root, "stopped_tables", stopped_json(report));
    put_count(root, "dead_letters_count", report->letters.letters);
    put_count(root, "dead_letter_bytes", report->letters.bytes);
    (void)json_object_set_new(root, "dead_letters", letters_json(&report->letters));
    put_count(root, "rows_left_out", report->rows_left_out);
    put_count(root, "rows_kept", report->rows_kept);
    put_count(root, "kept_bytes", report->kept_bytes);
    put_count(root, "kept_limit_bytes", report->backlog_limit);
    (void)json_object_set_new(root, "source", source_json(report));
    (void)json_object_set_new(root, "primary", nw_report_primary_json(report));
    (void)json_object_set_new(root, "copy", copy_json(report));
    (void)json_object_set_new(root, "spool", spool_json(report));
    for (uint32_t i = 0; i < report->sinks_count; i++) {
        (void)json_array_append_new(sinks, sink_json(&report->sinks[i]));
    }
    (void)json_object_set_new(root, "sinks", sinks);
    (void)json_dumpf(root, out, JSON_COMPACT);
    (void)fputc('\n', out);
    json_decref(root);
}
