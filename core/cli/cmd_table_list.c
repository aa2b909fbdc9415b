/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `narwal table list`: every table and its state, from the running process through its control
 * socket, or as state.db has it when none runs.
 */
#include <errno.h>
#include <jansson.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/text.h"
#include "cli/command.h"
#include "pipeline/table_list.h"
#include "serve/control.h"
#include "serve/report.h"

#define NAME_WIDTH_MAX 40
#define LINE_SIZE      1600

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text == NULL ? "" : text;
}

static double number_of(const json_t *object, const char *key)
{
    return json_number_value(json_object_get(object, key));
}

/* ---- which of them, and in which order ---- */

static int state_find(const char *name)
{
    for (int i = 0; i < NW_STATES_COUNT; i++) {
        if (strcmp(nw_table_state_name((enum nw_table_state)i), name) == 0) {
            return i;
        }
    }
    return NW_STATES_COUNT;
}

/* A table that is in the state at one sink at least is in it. */
static bool is_in(const json_t *table, const char *state)
{
    json_t *sinks = json_object_get(table, "sinks");
    const char *sink = NULL;
    json_t *at = NULL;

    if (strcmp(text_of(table, "state"), state) == 0) {
        return true;
    }
    json_object_foreach(sinks, sink, at)
    {
        if (strcmp(json_string_value(at), state) == 0) {
            return true;
        }
    }
    return false;
}

/* The most troubled first, then by name. */
static int by_trouble(const void *left, const void *right)
{
    const json_t *a = *(json_t *const *)left;
    const json_t *b = *(json_t *const *)right;
    int order = state_find(text_of(a, "state")) - state_find(text_of(b, "state"));

    return order != 0 ? order : strcmp(text_of(a, "table"), text_of(b, "table"));
}

/* Leaves those that were asked for, in order. */
static json_t *tables_choose(const json_t *all, const struct nw_table_list_request *request)
{
    const char *const patterns[2] = {request->pattern, NULL};
    size_t count = 0;
    size_t index = 0;
    json_t *table = NULL;
    json_t **chosen = (json_t **)calloc(json_array_size(all) + 1, sizeof *chosen);
    json_t *tables = json_array();

    json_array_foreach((json_t *)(uintptr_t)all, index, table)
    {
        if (chosen != NULL && (request->state == NULL || is_in(table, request->state)) &&
            (request->pattern == NULL || nw_patterns_match(patterns, text_of(table, "table")))) {
            chosen[count++] = table;
        }
    }
    if (count > 0) {
        qsort((void *)chosen, count, sizeof(json_t *), by_trouble);
    }
    for (size_t i = 0; i < count; i++) {
        (void)json_array_append(tables, chosen[i]);
    }
    free((void *)chosen);
    return tables;
}

/* ---- as text ---- */

NW_PRINTF(3, 4)
static void append(char *line, size_t *used, const char *format, ...)
{
    va_list args;
    int size = 0;

    va_start(args, format);
    size = vsnprintf(line + *used, LINE_SIZE - *used, format, args);
    va_end(args);
    *used += size < 0 ? 0 : (size_t)size;
    *used = *used >= LINE_SIZE ? LINE_SIZE - 1 : *used;
}

static void copy_append(const json_t *copy, char *line, size_t *used)
{
    char a[NW_NUMBER_TEXT_SIZE];
    char b[NW_NUMBER_TEXT_SIZE];
    char c[NW_NUMBER_TEXT_SIZE];
    const json_t *left = json_object_get(copy, "eta_seconds");

    append(line, used, "  %3.0f %%   %s rows   %s   %s/s", number_of(copy, "done") * 100,
           nw_count_text(a, number_of(copy, "rows")), nw_size_text(b, number_of(copy, "bytes")),
           nw_size_text(c, number_of(copy, "bytes_per_second")));
    if (json_is_number(left) && json_number_value(left) > 0) {
        append(line, used, "   ETA %s", nw_duration_text(a, json_number_value(left)));
    }
}

static void sinks_append(const json_t *table, char *line, size_t *used)
{
    json_t *sinks = json_object_get(table, "sinks");
    const char *name = NULL;
    const char *before = "  (";
    json_t *state = NULL;

    json_object_foreach(sinks, name, state)
    {
        append(line, used, "%s%s at sink %s", before, json_string_value(state), name);
        before = ", ";
    }
    append(line, used, "%s", sinks == NULL ? "" : ")");
}

static void table_print(const json_t *table, int width)
{
    char line[LINE_SIZE] = "";
    char text[NW_NUMBER_TEXT_SIZE];
    size_t used = 0;
    const json_t *copy = json_object_get(table, "copy");

    append(line, &used, "%-*s  %-9s", width, text_of(table, "table"), text_of(table, "state"));
    sinks_append(table, line, &used);
    if (copy != NULL && number_of(copy, "rows") > 0) {
        copy_append(copy, line, &used);
    }
    if (text_of(table, "waits_for")[0] != '\0') {
        append(line, &used, "  waits for %s", text_of(table, "waits_for"));
    } else if (text_of(table, "reason")[0] != '\0' && copy == NULL) {
        if (json_object_get(table, "seconds") != NULL) {
            append(line, &used, "  for %s", nw_duration_text(text, number_of(table, "seconds")));
        }
        append(line, &used, "  %s", text_of(table, "reason"));
    }
    if (number_of(table, "lag_seconds") > 0) {
        append(line, &used, "  lag %s", nw_duration_text(text, number_of(table, "lag_seconds")));
        append(line, &used, " (%s)", nw_size_text(text, number_of(table, "lag_bytes")));
    }
    if (number_of(table, "dead_letters") > 0) {
        append(line, &used, "  %.0f dead letter%s", number_of(table, "dead_letters"),
               number_of(table, "dead_letters") > 1 ? "s" : "");
    }
    while (used > 0 && line[used - 1] == ' ') {
        line[--used] = '\0';
    }
    (void)puts(line);
}

/* "3 of 340 tables: 1 stopped, 2 streaming". */
static void summary_print(const json_t *tables, size_t all)
{
    uint32_t counts[NW_STATES_COUNT + 1] = {0};
    const char *before = ": ";
    size_t index = 0;
    const json_t *table = NULL;

    json_array_foreach((json_t *)(uintptr_t)tables, index, table)
    {
        counts[state_find(text_of(table, "state"))]++;
    }
    if (json_array_size(tables) < all) {
        (void)printf("%zu of ", json_array_size(tables));
    }
    (void)printf("%zu table%s", all, all == 1 ? "" : "s");
    for (int i = 0; i < NW_STATES_COUNT; i++) {
        if (counts[i] > 0) {
            (void)printf("%s%u %s", before, counts[i], nw_table_state_name((enum nw_table_state)i));
            before = ", ";
        }
    }
    (void)putchar('\n');
}

static void tables_print(const json_t *tables, size_t all)
{
    int width = 0;
    size_t index = 0;
    const json_t *table = NULL;

    json_array_foreach((json_t *)(uintptr_t)tables, index, table)
    {
        int size = (int)strlen(text_of(table, "table"));

        width = size > width ? size : width;
    }
    width = width > NAME_WIDTH_MAX ? NAME_WIDTH_MAX : width;
    json_array_foreach((json_t *)(uintptr_t)tables, index, table)
    {
        table_print(table, width);
    }
    summary_print(tables, all);
}

/* ---- of a narwal that does not run ---- */

/* What is recorded of each: trouble, or nothing but that it is followed. */
static const char RECORDED[] =
    "SELECT schema_name, table_name, CASE state WHEN 'kept' THEN 'stopped' ELSE state END, sink, "
    "reason, since, relation_oid FROM tables UNION ALL "
    "SELECT schema_name, table_name, 'streaming', '', '', 0, relation_oid FROM followed WHERE "
    "relation_oid <> 0 AND relation_oid NOT IN (SELECT relation_oid FROM tables) ORDER BY "
    "relation_oid";

static const char *column_of(sqlite3_stmt *statement, int column)
{
    const char *text = (const char *)sqlite3_column_text(statement, column);

    return text == NULL ? "" : text;
}

static json_t *recorded_row(sqlite3_stmt *statement)
{
    struct timespec now;
    const char *sink = column_of(statement, 3);
    int64_t since_us = sqlite3_column_int64(statement, 5);
    json_t *table =
        json_pack("{s:o, s:s, s:s, s:s, s:s}", "table",
                  json_sprintf("%s.%s", column_of(statement, 0), column_of(statement, 1)), "schema",
                  column_of(statement, 0), "name", column_of(statement, 1), "state",
                  column_of(statement, 2), "reason", column_of(statement, 4));

    if (table != NULL && sink[0] != '\0') {
        (void)json_object_set_new(table, "sinks",
                                  json_pack("{s:s}", sink, column_of(statement, 2)));
    }
    if (table != NULL) {
        nw_report_code(table, "code", column_of(statement, 4));
    }
    (void)clock_gettime(CLOCK_REALTIME, &now);
    if (table != NULL && since_us != 0) {
        (void)json_object_set_new(
            table, "seconds",
            json_real((double)now.tv_sec + (double)now.tv_nsec / 1e9 - (double)since_us / 1e6));
    }
    return table;
}

/* NULL: nothing is recorded, or it cannot be read. */
static json_t *recorded_read(const char *folder)
{
    char path[NW_FOLDER_SIZE + 16];
    sqlite3 *db = NULL;
    sqlite3_stmt *statement = NULL;
    json_t *tables = NULL;
    struct stat there;

    (void)snprintf(path, sizeof path, "%s/state.db", folder);
    if (stat(path, &there) != 0) {
        return NULL;
    }
    /* The log of a killed one is read too, for which SQLite wants to write beside it. */
    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK &&
        sqlite3_prepare_v2(db, RECORDED, -1, &statement, NULL) == SQLITE_OK) {
        tables = json_array();
        while (sqlite3_step(statement) == SQLITE_ROW) {
            (void)json_array_append_new(tables, recorded_row(statement));
        }
    }
    (void)sqlite3_finalize(statement);
    (void)sqlite3_close(db);
    return tables == NULL
               ? NULL
               : json_pack("{s:b, s:s, s:o}", "running", 0, "phase", "", "tables", tables);
}

/* ---- all of it ---- */

static json_t *running_ask(const char *folder, struct nw_error *err)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    json_t *root = NULL;
    nw_status status = out == NULL ? nw_fail(err, NW_FATAL, "out of memory")
                                   : nw_control_ask(folder, "tables", out, err);

    if (out != NULL) {
        (void)fclose(out);
    }
    if (status == NW_OK && (root = json_loadb(text, size, 0, NULL)) == NULL) {
        err->status = nw_fail(err, NW_FATAL, "NW1503 the running narwal did not answer");
    }
    free(text);
    return root;
}

static bool any_stopped(const json_t *tables)
{
    size_t index = 0;
    const json_t *table = NULL;

    json_array_foreach((json_t *)(uintptr_t)tables, index, table)
    {
        if (is_in(table, nw_table_state_name(NW_STATE_STOPPED))) {
            return true;
        }
    }
    return false;
}

/* @return the exit code */
static int answer_print(json_t *root, const struct nw_table_list_request *request)
{
    bool running = json_is_true(json_object_get(root, "running"));
    json_t *all = json_object_get(root, "tables");
    json_t *tables = tables_choose(all, request);
    int code = running && (request->as_json || !any_stopped(tables)) ? 0 : NW_EXIT_FAILED;

    if (request->as_json) {
        (void)json_object_set(root, "tables", tables);
        (void)json_dumpf(root, stdout, JSON_COMPACT);
        (void)putchar('\n');
    } else {
        tables_print(tables, json_array_size(all));
    }
    json_decref(tables);
    return code;
}

int nw_table_list(const char *folder, const struct nw_table_list_request *request)
{
    struct nw_error err = {0};
    json_t *root = running_ask(folder, &err);
    int code = NW_EXIT_FAILED;

    if (root == NULL && (root = recorded_read(folder)) == NULL) {
        nw_complain_error(&err);
        return code;
    }
    if (json_object_get(root, "error") != NULL) {
        nw_complain("%s", text_of(root, "error"));
    } else {
        code = answer_print(root, request);
    }
    if (err.status != NW_OK) {
        nw_complain("%s: this is what its state records, and nothing streams", err.text);
    }
    json_decref(root);
    return code;
}

bool nw_table_state_known(const char *name)
{
    return state_find(name) < NW_STATES_COUNT;
}
