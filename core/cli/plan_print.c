/* SPDX-License-Identifier: Apache-2.0 */
/* See plan_print.h. */
#include "cli/plan_print.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

#define TABLES_SHOWN 20u

/* ---- text ---- */

static void table_line(FILE *out, const char *name, const struct nw_forecast_table *table)
{
    char size[NW_NUMBER_TEXT_SIZE];
    char rows[NW_NUMBER_TEXT_SIZE];
    char copy[NW_NUMBER_TEXT_SIZE];
    char time[NW_NUMBER_TEXT_SIZE];

    (void)fprintf(out, "  %-36s %10s %10s %10s   %s\n", name,
                  nw_size_text(size, (double)table->bytes), nw_count_text(rows, table->rows),
                  nw_size_text(copy, table->copy_bytes),
                  nw_duration_text(time, table->read_seconds));
}

/* Names of the server may hold anything; a terminal must not obey it. */
static void clean(char *text)
{
    for (char *c = text; *c != '\0'; c++) {
        if ((unsigned char)*c < 0x20 || *c == 0x7f) {
            *c = '?';
        }
    }
}

static void tables_text(const struct nw_forecast *forecast, bool verbose, FILE *out)
{
    size_t shown =
        verbose || forecast->tables_count <= TABLES_SHOWN ? forecast->tables_count : TABLES_SHOWN;
    struct nw_forecast_table rest = {0};
    char name[160];

    if (forecast->tables_count > 0) {
        (void)fprintf(out, "\n  %-36s %10s %10s %10s   %s\n", "largest tables", "size", "rows",
                      "to copy", "read by one worker");
    }
    for (size_t i = 0; i < forecast->tables_count; i++) {
        const struct nw_forecast_table *table = &forecast->tables[i];

        if (i >= shown) {
            rest.bytes += table->bytes;
            rest.rows += table->rows;
            rest.copy_bytes += table->copy_bytes;
            rest.read_seconds += table->read_seconds;
            continue;
        }
        (void)snprintf(name, sizeof name, "%s.%s", table->schema_name, table->name);
        clean(name);
        table_line(out, name, table);
        if (table->sample.trouble != NULL) {
            (void)fprintf(out, "      estimated: %s\n", table->sample.trouble);
        }
    }
    if (shown < forecast->tables_count) {
        (void)snprintf(name, sizeof name, "%zu others (--verbose)", forecast->tables_count - shown);
        table_line(out, name, &rest);
    }
}

static void space_text(FILE *out, uint64_t free_bytes, const char *folder)
{
    char size[NW_NUMBER_TEXT_SIZE];

    if (folder != NULL && free_bytes != UINT64_MAX) {
        (void)fprintf(out, "; %s has %s free", folder, nw_size_text(size, (double)free_bytes));
    }
    (void)fputc('\n', out);
}

static void sink_text(const struct nw_forecast_options *options, const struct nw_forecast *forecast,
                      uint32_t i, FILE *out)
{
    const struct nw_forecast_sink *sink = &options->sinks[i];
    char size[NW_NUMBER_TEXT_SIZE];
    char rows[NW_NUMBER_TEXT_SIZE];

    (void)fprintf(out, "sink    %s: ", sink->name);
    if (sink->trial == NULL || forecast->trouble[i] != NULL) {
        (void)fprintf(out, "what %s makes of %s of rows is not known%s%s", sink->type,
                      nw_size_text(size, forecast->copy_bytes),
                      forecast->trouble[i] == NULL ? "" : ": ",
                      forecast->trouble[i] == NULL ? "" : forecast->trouble[i]);
    } else if (sink->trial->folder == NULL) {
        (void)fputs("writes nothing", out);
    } else {
        (void)fprintf(out, "about %s, as it made of %s sample rows",
                      nw_size_text(size, forecast->sink_bytes[i]),
                      nw_count_text(rows, (double)forecast->fed_rows[i]));
    }
    space_text(out, sink->free_bytes, sink->folder);
}

static void totals_text(const struct nw_forecast_options *options,
                        const struct nw_forecast *forecast, FILE *out)
{
    uint32_t workers = options->preflight.copy_workers;
    char time[NW_NUMBER_TEXT_SIZE];
    char rows[NW_NUMBER_TEXT_SIZE];
    char size[NW_NUMBER_TEXT_SIZE];

    (void)fprintf(out, "\ncopy    about %s with %u worker%s: %s rows, %s; it waits for %s\n",
                  nw_duration_text(time, forecast->seconds), workers, workers == 1 ? "" : "s",
                  nw_count_text(rows, forecast->rows), nw_size_text(size, forecast->copy_bytes),
                  forecast->limit);
    if (forecast->workers_suggested != workers) {
        (void)fprintf(out, "        copy.workers: %u would take %s%s\n",
                      forecast->workers_suggested,
                      nw_duration_text(time, forecast->seconds_suggested),
                      forecast->workers_suggested < workers ? ": more are of no use" : "");
    }
    (void)fprintf(out, "wal     %s/s now", nw_size_text(size, forecast->wal_rate_now));
    (void)fprintf(out, ", %s/s since the server's statistics began\n",
                  nw_size_text(size, forecast->checks.wal_rate));
    if (options->spools) {
        (void)fprintf(out, "spool   about %s of changes while the copy runs",
                      nw_size_text(size, forecast->waiting_bytes));
        space_text(out, options->spool_free_bytes, options->spool_folder);
    } else if (options->preflight.streams) {
        (void)fprintf(out, "        about %s of WAL stay on the server while the copy runs\n",
                      nw_size_text(size, forecast->waiting_bytes));
    }
    for (uint32_t i = 0; i < options->sinks_count; i++) {
        sink_text(options, forecast, i, out);
    }
    (void)fputc('\n', out);
}

void nw_plan_text(const struct nw_forecast_options *options, const struct nw_forecast *forecast,
                  const char *name, bool verbose, FILE *out)
{
    const struct nw_preflight *checks = &forecast->checks;
    char size[NW_NUMBER_TEXT_SIZE];

    if (checks->version[0] != '\0') {
        (void)fprintf(out, "%s @ %s   PostgreSQL %s, %zu table%s, %s; %zu looked into\n", name,
                      checks->host, checks->version, forecast->tables_count,
                      forecast->tables_count == 1 ? "" : "s", nw_size_text(size, forecast->bytes),
                      forecast->sampled_count);
        tables_text(forecast, verbose, out);
        totals_text(options, forecast, out);
    } else {
        (void)fprintf(out, "%s\n", name);
    }
    nw_preflight_risks(checks, verbose, out);
}

/* ---- JSON ---- */

static json_t *space_json(uint64_t free_bytes)
{
    return free_bytes == UINT64_MAX ? json_null() : json_integer((json_int_t)free_bytes);
}

/* Text from the server that is not UTF-8 is left out. */
static json_t *text_json(const char *text)
{
    json_t *string = text == NULL ? NULL : json_string(text);

    return string == NULL ? json_null() : string;
}

static json_t *table_json(const struct nw_forecast_options *options,
                          const struct nw_forecast_table *table)
{
    const struct nw_forecast_sample *sample = &table->sample;
    json_t *sinks = json_object();

    for (uint32_t i = 0; i < options->sinks_count; i++) {
        (void)json_object_set_new(sinks, options->sinks[i].name, json_real(table->sink_bytes[i]));
    }
    return json_pack("{so so sI sf sf sf so s{sI sI sf so}}", "schema",
                     text_json(table->schema_name), "name", text_json(table->name), "bytes",
                     (json_int_t)table->bytes, "rows", table->rows, "copy_bytes", table->copy_bytes,
                     "read_seconds", table->read_seconds, "sink_bytes", sinks, "sample", "rows",
                     (json_int_t)sample->rows, "bytes", (json_int_t)sample->bytes, "seconds",
                     (double)sample->ns / 1e9, "trouble", text_json(sample->trouble));
}

static json_t *sinks_json(const struct nw_forecast_options *options,
                          const struct nw_forecast *forecast)
{
    json_t *sinks = json_array();

    for (uint32_t i = 0; i < options->sinks_count; i++) {
        const struct nw_forecast_sink *sink = &options->sinks[i];
        bool measured = sink->trial != NULL && forecast->trouble[i] == NULL;

        (void)json_array_append_new(
            sinks,
            json_pack("{so so so sf so sI so so}", "name", text_json(sink->name), "type",
                      text_json(sink->type), "bytes",
                      measured ? json_real(forecast->sink_bytes[i]) : json_null(), "cpu_seconds",
                      forecast->sink_seconds[i], "trouble", text_json(forecast->trouble[i]),
                      "sample_rows", (json_int_t)(measured ? forecast->fed_rows[i] : 0), "folder",
                      text_json(sink->folder), "free_bytes", space_json(sink->free_bytes)));
    }
    return sinks;
}

static json_t *risks_json(const struct nw_preflight *checks)
{
    static const char *const levels[] = {"ok", "warn", "fail"};
    json_t *risks = json_array();

    for (size_t i = 0; i < checks->findings_count; i++) {
        const struct nw_finding *finding = &checks->findings[i];
        json_t *names = json_array();

        for (size_t n = 0; n < finding->names_count; n++) {
            (void)json_array_append_new(names, text_json(finding->names[n]));
        }
        (void)json_array_append_new(risks, json_pack("{ss ss so so so so}", "level",
                                                     levels[finding->level], "code", finding->code,
                                                     "text", text_json(finding->text), "tables",
                                                     names, "mend", text_json(finding->mend),
                                                     "otherwise", text_json(finding->otherwise)));
    }
    return risks;
}

bool nw_plan_json(const struct nw_forecast_options *options, const struct nw_forecast *forecast,
                  const char *name, FILE *out)
{
    const struct nw_preflight *checks = &forecast->checks;
    json_t *tables = json_array();
    json_t *all = NULL;
    bool good = false;

    for (size_t i = 0; i < forecast->tables_count; i++) {
        (void)json_array_append_new(tables, table_json(options, &forecast->tables[i]));
    }
    all = json_pack(
        "{so so ss so s{sf sf sf sI sf ss sI sf sf} s{sf sf sf} s{sb sf so so sI} so so}", "name",
        text_json(name), "host", text_json(checks->host), "version", checks->version, "tables",
        tables, "copy", "rows", forecast->rows, "bytes", forecast->copy_bytes, "table_bytes",
        forecast->bytes, "workers", (json_int_t)options->preflight.copy_workers, "seconds",
        forecast->seconds, "limit", forecast->limit == NULL ? "" : forecast->limit,
        "workers_suggested", (json_int_t)forecast->workers_suggested, "seconds_suggested",
        forecast->seconds_suggested, "decode_cpu_seconds", forecast->decode_seconds, "wal",
        "bytes_per_second_now", forecast->wal_rate_now, "over_seconds", forecast->wal_seconds,
        "bytes_per_second_average", checks->wal_rate, "spool", "used", (int)options->spools,
        "bytes", forecast->waiting_bytes, "folder", text_json(options->spool_folder), "free_bytes",
        space_json(options->spool_free_bytes), "max_bytes", (json_int_t)options->spool_max_bytes,
        "sinks", sinks_json(options, forecast), "risks", risks_json(checks));
    good = all != NULL && json_dumpf(all, out, JSON_INDENT(1)) == 0 && fputc('\n', out) != EOF;
    json_decref(all);
    return good;
}
