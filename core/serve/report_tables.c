/* SPDX-License-Identifier: Apache-2.0 */
/* The list of all tables as JSON, for whoever asks for it. Main thread. See report.h. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "pg/lsn.h"
#include "serve/report.h"

json_t *nw_report_states_json(const uint32_t states[NW_STATES_COUNT])
{
    json_t *object = json_object();

    for (int i = 0; i < NW_STATES_COUNT; i++) {
        if (states[i] > 0) {
            (void)json_object_set_new(object, nw_table_state_name((enum nw_table_state)i),
                                      json_integer(states[i]));
        }
    }
    return object;
}

static void put_text(json_t *object, const char *key, const char *text)
{
    json_t *value = json_string(text); /* NULL when it is not UTF-8 */

    (void)json_object_set_new(object, key, value != NULL ? value : json_string("(not UTF-8)"));
}

/* Without what says something of a server's secrets. */
static void put_redacted(json_t *object, const char *key, const char *text)
{
    char copy[NW_ERROR_TEXT_SIZE];

    (void)snprintf(copy, sizeof copy, "%s", text);
    nw_redact(copy);
    put_text(object, key, copy);
}

static void put_real(json_t *object, const char *key, double value)
{
    (void)json_object_set_new(object, key, json_real(value));
}

static void put_count(json_t *object, const char *key, uint64_t value)
{
    (void)json_object_set_new(object, key, json_integer((json_int_t)value));
}

/* ---- lags ---- */

/* Of all sinks, by oid. */
struct lags {
    struct nw_sink_lag *items;
    uint32_t count;
};

static int by_oid(const void *left, const void *right)
{
    const struct nw_sink_lag *a = left;
    const struct nw_sink_lag *b = right;

    return a->relation_oid < b->relation_oid ? -1 : a->relation_oid > b->relation_oid;
}

static void lags_collect(const struct nw_run_status *status, struct lags *lags)
{
    uint32_t sinks = status->options->sinks_count;

    *lags = (struct lags){.items = calloc((size_t)sinks * NW_SINK_LAGS_MAX, sizeof *lags->items)};
    for (uint32_t s = 0; s < sinks && lags->items != NULL; s++) {
        if (status->members[s] != NULL) {
            lags->count +=
                nw_sink_lags(status->members[s], lags->items + lags->count, NW_SINK_LAGS_MAX);
        }
    }
    if (lags->count > 0) {
        qsort(lags->items, lags->count, sizeof *lags->items, by_oid);
    }
}

/* The oldest change and all bytes that wait at any of the sinks. */
static void lag_put(const struct nw_run_status *status, const struct lags *lags,
                    uint32_t relation_oid, json_t *object)
{
    const struct nw_sink_lag key = {.relation_oid = relation_oid};
    const struct nw_sink_lag *end = lags->items + lags->count;
    const struct nw_sink_lag *lag =
        lags->count == 0 ? NULL : bsearch(&key, lags->items, lags->count, sizeof key, by_oid);
    double seconds = 0;
    uint64_t bytes = 0;

    while (lag != NULL && lag > lags->items && lag[-1].relation_oid == relation_oid) {
        lag--;
    }
    for (; lag != NULL && lag < end && lag->relation_oid == relation_oid; lag++) {
        double age_s = nw_report_age_s(status, lag->oldest_commit_ts);

        seconds = age_s > seconds ? age_s : seconds;
        bytes += lag->bytes;
    }
    put_real(object, "lag_seconds", seconds);
    put_count(object, "lag_bytes", bytes);
}

/* ---- tables ---- */

/* Only where the sinks differ. */
static void sinks_put(const struct nw_run_status *status, const struct nw_table_line *line,
                      json_t *object)
{
    json_t *sinks = NULL;
    bool differ = false;

    for (uint32_t s = 1; s < status->options->sinks_count; s++) {
        differ = differ || line->at[s] != line->at[0];
    }
    if (!differ) {
        return;
    }
    sinks = json_object();
    for (uint32_t s = 0; s < status->options->sinks_count; s++) {
        put_text(sinks, status->options->sinks[s].name, nw_table_state_name(line->at[s]));
    }
    (void)json_object_set_new(object, "sinks", sinks);
}

static json_t *copy_json(const struct nw_table_copy *copy)
{
    json_t *object = json_object();

    put_count(object, "rows", copy->rows);
    put_count(object, "bytes", copy->bytes);
    put_count(object, "source_bytes", copy->source_bytes);
    put_real(object, "done", copy->done);
    put_real(object, "rows_per_second", copy->rows_a_second);
    put_real(object, "bytes_per_second", copy->bytes_a_second);
    (void)json_object_set_new(object, "eta_seconds",
                              copy->left_s < 0 ? json_null() : json_real(copy->left_s));
    return object;
}

/* At the sink that has the fewest. */
static uint64_t rows_durable(const struct nw_run_status *status, uint32_t relation_oid)
{
    uint64_t fewest = UINT64_MAX;

    for (uint32_t s = 0; s < status->options->sinks_count; s++) {
        uint64_t rows =
            status->members[s] == NULL ? 0 : nw_sink_rows_durable(status->members[s], relation_oid);

        fewest = rows < fewest ? rows : fewest;
    }
    return fewest == UINT64_MAX ? 0 : fewest;
}

/* At all sinks together. Of tables beyond the first ones only status says how many there are. */
static void letters_put(const struct nw_run_status *status, uint32_t relation_oid, json_t *object)
{
    const struct nw_letters_tally *letters = &status->letters;
    uint64_t count = 0;

    for (uint32_t i = 0; i < letters->tables_count && i < NW_LETTERS_TABLES_MAX; i++) {
        count += letters->tables[i].relation_oid == relation_oid ? letters->tables[i].letters : 0;
    }
    put_count(object, "dead_letters", count);
}

static json_t *line_json(const struct nw_run_status *status, const struct lags *lags,
                         const struct nw_table_line *line)
{
    char name[2 * NW_TABLE_NAME_SIZE + 1];
    char lsn[NW_LSN_TEXT_SIZE];
    json_t *object = json_object();

    (void)snprintf(name, sizeof name, "%s.%s", line->schema_name, line->name);
    put_text(object, "table", name);
    put_text(object, "schema", line->schema_name);
    put_text(object, "name", line->name);
    put_text(object, "state", nw_table_state_name(line->state));
    sinks_put(status, line, object);
    nw_report_code(object, "code", line->reason);
    put_redacted(object, "reason", line->reason);
    put_redacted(object, "waits_for", line->waits_for);
    if (line->lsn != 0) {
        put_text(object, "lsn", nw_lsn_text(lsn, line->lsn));
    }
    if (line->since_us != 0) {
        put_real(object, "seconds", (double)(status->wall_us - line->since_us) / 1e6);
    }
    if (line->copy.known) {
        (void)json_object_set_new(object, "copy", copy_json(&line->copy));
    }
    lag_put(status, lags, line->relation_oid, object);
    letters_put(status, line->relation_oid, object);
    put_count(object, "rows_durable", rows_durable(status, line->relation_oid));
    return object;
}

void nw_report_tables_json(const struct nw_run_status *status, FILE *out)
{
    const struct nw_table_list *list = status->list;
    json_t *states = nw_report_states_json(list->counts);
    struct lags lags;

    lags_collect(status, &lags);
    /* Line by line: of ten thousand tables there is only ever one in memory. */
    (void)fprintf(
        out, "{\"running\":true,\"phase\":\"%s\",\"tables_by_state\":", nw_report_phase(status));
    (void)json_dumpf(states, out, JSON_COMPACT);
    (void)fputs(",\"tables\":[", out);
    for (size_t i = 0; i < list->count; i++) {
        json_t *line = line_json(status, &lags, &list->lines[i]);

        (void)fputs(i == 0 ? "\n" : ",\n", out);
        (void)json_dumpf(line, out, JSON_COMPACT);
        json_decref(line);
    }
    (void)fputs("]}\n", out);
    json_decref(states);
    free(lags.items);
}
