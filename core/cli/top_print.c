/* SPDX-License-Identifier: Apache-2.0 */
/* See top_print.h. */
#include "cli/top_print.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "pipeline/table_list.h"

#define TEXT_SIZE 1024u

/* Where the next character goes. */
struct screen {
    FILE *out;
    unsigned width, lines_left;
    unsigned column;
    bool redraws;
};

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text == NULL ? "" : text;
}

static double number_of(const json_t *object, const char *key)
{
    return json_number_value(json_object_get(object, key));
}

/* ---- the screen ---- */

/* How many bytes the next character has. */
static size_t character_size(const char *at)
{
    size_t size = 1;

    while (((unsigned char)at[size] & 0xc0u) == 0x80) {
        size++;
    }
    return size;
}

/* Control characters, those of 8 bits too, would steer the terminal. */
static bool is_control(const char *at, size_t size)
{
    unsigned char first = (unsigned char)at[0];

    return first < 0x20 || first == 0x7f ||
           (size == 2 && first == 0xc2 && (unsigned char)at[1] < 0xa0);
}

/* As much as fits into so many columns. @return the columns that it took */
static unsigned put(struct screen *screen, const char *text, unsigned width)
{
    unsigned used = 0;

    if (screen->lines_left == 0) {
        return 0;
    }
    for (; *text != '\0' && used < width && screen->column < screen->width; used++) {
        size_t size = character_size(text);

        if (is_control(text, size)) {
            (void)fputc('?', screen->out);
        } else {
            (void)fwrite(text, 1, size, screen->out);
        }
        text += size;
        screen->column++;
    }
    return used;
}

static void cell(struct screen *screen, const char *text, unsigned width)
{
    for (unsigned used = put(screen, text, width); used < width + 1; used++) {
        (void)put(screen, " ", 1);
    }
}

NW_PRINTF(2, 3)
static void say(struct screen *screen, const char *format, ...)
{
    char text[TEXT_SIZE];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    (void)put(screen, text, screen->width);
}

static void line_end(struct screen *screen)
{
    if (screen->lines_left > 0) {
        (void)fputs(screen->redraws ? "\033[K\r\n" : "\n", screen->out);
        screen->lines_left--;
    }
    screen->column = 0;
}

static void bold(const struct screen *screen, bool on)
{
    if (screen->redraws && screen->lines_left > 0) {
        (void)fputs(on ? "\033[1m" : "\033[0m", screen->out);
    }
}

/* ---- numbers ---- */

/* How fast a counter grew; below 0: not known. */
static double rate_of(double before, double now, double seconds)
{
    return seconds > 0 && now >= before ? (now - before) / seconds : -1;
}

static const char *rate_text(char text[static NW_NUMBER_TEXT_SIZE], double rate)
{
    return rate < 0 ? "-" : nw_count_text(text, round(rate));
}

static const char *lag_text(char text[static NW_NUMBER_TEXT_SIZE], double seconds)
{
    return seconds > 0 ? nw_duration_text(text, seconds) : "-";
}

/* "1.2 GB of 50 GB" */
static void used_say(struct screen *screen, const char *what, double used, double limit)
{
    char a[NW_NUMBER_TEXT_SIZE];
    char b[NW_NUMBER_TEXT_SIZE];

    say(screen, "%s%s%s%s", what, nw_size_text(a, used), limit > 0 ? " of " : "",
        limit > 0 ? nw_size_text(b, limit) : "");
}

static double seconds_between(const struct nw_top *top)
{
    return top->status_before == NULL
               ? 0
               : number_of(top->status, "time") - number_of(top->status_before, "time");
}

/* ---- parts ---- */

static void head_print(struct screen *screen, const struct nw_top *top)
{
    const json_t *root = top->status;
    char up[NW_NUMBER_TEXT_SIZE];
    bool ready = json_is_true(json_object_get(root, "ready"));

    bold(screen, true);
    say(screen, "%s", text_of(root, "name")[0] == '\0' ? "narwal" : text_of(root, "name"));
    bold(screen, false);
    say(screen, "   %s   up %s", text_of(root, "phase"),
        nw_duration_text(up, number_of(root, "uptime_seconds")));
    if (!ready && json_object_get(root, "ready") != NULL) {
        line_end(screen);
        say(screen, "NOT READY: %s", text_of(root, "not_ready_because"));
    }
    line_end(screen);
    if (top->lost_s > 0) {
        bold(screen, true);
        say(screen, "NO ANSWER for %s: it was stopped, or hangs. What is below is old.",
            nw_duration_text(up, top->lost_s));
        bold(screen, false);
        line_end(screen);
    }
}

static void source_print(struct screen *screen, const struct nw_top *top)
{
    const json_t *root = top->status;
    const json_t *source = json_object_get(root, "source");
    const json_t *before = json_object_get(top->status_before, "source");
    char a[NW_NUMBER_TEXT_SIZE];
    int version = (int)number_of(source, "server_version");

    say(screen, "server  PostgreSQL %d.%d   WAL %s   slot %s holds ", version / 10000,
        version % 10000, text_of(source, "server_lsn"), text_of(source, "slot"));
    used_say(screen, "", number_of(source, "retained_wal_bytes"),
             number_of(source, "retained_wal_limit_bytes"));
    line_end(screen);
    say(screen, "narwal  received %s   durable %s   behind %s", text_of(source, "received_lsn"),
        text_of(source, "flush_lsn"), nw_size_text(a, number_of(source, "lag_bytes")));
    line_end(screen);
    say(screen, "        %s rows/s   ",
        rate_text(a, rate_of(number_of(before, "rows"), number_of(source, "rows"),
                             seconds_between(top))));
    used_say(screen, "memory ", number_of(root, "memory_used_bytes"),
             number_of(root, "memory_limit_bytes"));
    if (number_of(root, "kept_bytes") > 0) {
        say(screen, "   backlogs %s", nw_size_text(a, number_of(root, "kept_bytes")));
    }
    line_end(screen);
}

/* What of the server nears a limit, and the snapshot that holds its vacuum back. */
static void primary_print(struct screen *screen, const json_t *primary)
{
    const json_t *snapshot = json_object_get(primary, "snapshot");
    const json_t *alarm = NULL;
    size_t i = 0;
    char a[NW_NUMBER_TEXT_SIZE];
    char b[NW_NUMBER_TEXT_SIZE];

    if (json_is_object(snapshot)) {
        say(screen, "vacuum  held back by our snapshot for %s   %s dead rows since",
            nw_duration_text(a, number_of(snapshot, "seconds")),
            nw_count_text(b, number_of(snapshot, "dead_rows_since")));
        line_end(screen);
    }
    json_array_foreach(json_object_get(primary, "alarms"), i, alarm)
    {
        bold(screen, true);
        say(screen, "%s", text_of(alarm, "text"));
        bold(screen, false);
        line_end(screen);
    }
}

static void spool_print(struct screen *screen, const json_t *spool)
{
    if (strcmp(text_of(spool, "state"), "none") == 0) {
        return;
    }
    used_say(screen, "spool   ", number_of(spool, "bytes"), number_of(spool, "quota_bytes"));
    say(screen, "   %s%s%s", text_of(spool, "state"),
        json_is_true(json_object_get(spool, "full")) ? "   FULL: WAL stays on the server" : "",
        text_of(spool, "blocked"));
    line_end(screen);
}

/* Rows that sinks refused. */
static void letters_print(struct screen *screen, const json_t *status)
{
    char a[NW_NUMBER_TEXT_SIZE];

    if (number_of(status, "dead_letters_count") > 0) {
        say(screen, "dead letters  %.0f (%s): narwal dead-letter list",
            number_of(status, "dead_letters_count"),
            nw_size_text(a, number_of(status, "dead_letter_bytes")));
        line_end(screen);
    }
}

static void copy_print(struct screen *screen, const json_t *copy)
{
    char a[NW_NUMBER_TEXT_SIZE];
    char b[NW_NUMBER_TEXT_SIZE];
    const json_t *left = json_object_get(copy, "eta_seconds");
    double total = number_of(copy, "source_bytes");

    if (strcmp(text_of(copy, "state"), "copying") == 0) {
        say(screen, "copy    %.0f %%   %.0f/%.0f tables   %s   %s/s",
            total > 0 ? 100 * number_of(copy, "source_bytes_done") / total : 0,
            number_of(copy, "tables_done"), number_of(copy, "tables"),
            nw_size_text(a, number_of(copy, "bytes")),
            nw_size_text(b, number_of(copy, "bytes_per_second")));
        if (json_is_number(left)) {
            say(screen, "   ETA %s", nw_duration_text(a, json_number_value(left)));
        }
        line_end(screen);
    }
    if (text_of(copy, "waits_for")[0] != '\0') {
        say(screen, "copy    waits for %s", text_of(copy, "waits_for"));
        line_end(screen);
    }
}

static void sinks_print(struct screen *screen, const struct nw_top *top)
{
    const json_t *sinks = json_object_get(top->status, "sinks");
    const json_t *before = json_object_get(top->status_before, "sinks");
    char a[NW_NUMBER_TEXT_SIZE];
    size_t index = 0;
    const json_t *sink = NULL;

    line_end(screen);
    bold(screen, true);
    say(screen, "%-20s %-9s %10s %10s %8s  last commit", "SINK", "STATE", "LAG", "WAITING",
        "ROWS/S");
    bold(screen, false);
    line_end(screen);
    json_array_foreach(sinks, index, sink)
    {
        double committed = number_of(sink, "last_commit_time");
        double rate = rate_of(number_of(json_array_get(before, index), "rows"),
                              number_of(sink, "rows"), seconds_between(top));

        cell(screen, text_of(sink, "name"), 20);
        say(screen, "%-9s %10s ", text_of(sink, "state"),
            lag_text(a, number_of(sink, "lag_seconds")));
        say(screen, "%10s ", nw_size_text(a, number_of(sink, "lag_bytes")));
        say(screen, "%8s  ", rate_text(a, rate));
        say(screen, "%s%s",
            committed > 0 ? nw_duration_text(a, fmax(0, number_of(top->status, "time") - committed))
                          : "none yet",
            committed > 0 ? " ago" : "");
        line_end(screen);
        if (strcmp(text_of(sink, "state"), "running") != 0 && text_of(sink, "reason")[0] != '\0') {
            say(screen, "  %s", text_of(sink, "reason"));
            line_end(screen);
        }
    }
}

/* ---- tables ---- */

struct row {
    const json_t *table;
    double rate; /* below 0: not known */
    int trouble; /* 0 is the worst */
};

static int trouble_of(const char *state)
{
    int at = 0;

    while (at < NW_STATES_COUNT &&
           strcmp(nw_table_state_name((enum nw_table_state)at), state) != 0) {
        at++;
    }
    return at;
}

/* The most troubled, then what lags, then the busiest. */
static int by_trouble(const void *left, const void *right)
{
    const struct row *a = left;
    const struct row *b = right;
    double lag_a = number_of(a->table, "lag_seconds");
    double lag_b = number_of(b->table, "lag_seconds");

    if (a->trouble != b->trouble) {
        return a->trouble - b->trouble;
    }
    if (lag_a < lag_b || lag_a > lag_b) {
        return lag_a < lag_b ? 1 : -1;
    }
    if (a->rate < b->rate || a->rate > b->rate) {
        return a->rate < b->rate ? 1 : -1;
    }
    return strcmp(text_of(a->table, "table"), text_of(b->table, "table"));
}

/* {"public.orders": 17, ...}: rows that were durable; a new reference. */
static json_t *rows_index(const json_t *tables)
{
    json_t *index = json_object();
    size_t at = 0;
    json_t *table = NULL;

    json_array_foreach((json_t *)(uintptr_t)tables, at, table)
    {
        (void)json_object_set(index, text_of(table, "table"),
                              json_object_get(table, "rows_durable"));
    }
    return index;
}

/* @param rows  give: of malloc() @return how many */
static size_t rows_choose(const struct nw_top *top, struct row **rows)
{
    const char *const patterns[2] = {top->pattern, NULL};
    json_t *tables = json_object_get(top->tables, "tables");
    json_t *before = rows_index(json_object_get(top->tables_before, "tables"));
    size_t count = 0;
    size_t index = 0;
    json_t *table = NULL;

    *rows = calloc(json_array_size(tables) + 1, sizeof **rows);
    json_array_foreach(tables, index, table)
    {
        const json_t *former = json_object_get(before, text_of(table, "table"));

        if (*rows != NULL &&
            (top->pattern == NULL || nw_patterns_match(patterns, text_of(table, "table")))) {
            (*rows)[count++] = (struct row){
                .table = table,
                .trouble = trouble_of(text_of(table, "state")),
                .rate = former == NULL ? -1
                                       : rate_of(json_number_value(former),
                                                 number_of(table, "rows_durable"), top->tables_s)};
        }
    }
    json_decref(before);
    if (count > 0) {
        qsort(*rows, count, sizeof **rows, by_trouble);
    }
    return count;
}

static void row_print(struct screen *screen, const struct row *row)
{
    char a[NW_NUMBER_TEXT_SIZE];
    const json_t *copy = json_object_get(row->table, "copy");
    const char *waits = text_of(row->table, "waits_for");
    unsigned name_width = screen->width > 100 ? 44 : 34;

    cell(screen, text_of(row->table, "table"), name_width);
    say(screen, "%-9s %8s ", text_of(row->table, "state"), rate_text(a, row->rate));
    say(screen, "%9s  ", lag_text(a, number_of(row->table, "lag_seconds")));
    if (copy != NULL) {
        say(screen, "%.0f %%, %s rows", 100 * number_of(copy, "done"),
            nw_count_text(a, number_of(copy, "rows")));
    } else {
        say(screen, "%s%s", waits[0] != '\0' ? "waits for " : "",
            waits[0] != '\0' ? waits : text_of(row->table, "reason"));
    }
    line_end(screen);
}

static void states_say(struct screen *screen, const struct nw_top *top)
{
    json_t *states = json_object_get(top->tables, "tables_by_state");
    const char *state = NULL;
    const char *before = "tables: ";
    json_t *number = NULL;

    json_object_foreach(states, state, number)
    {
        say(screen, "%s%.0f %s", before, json_number_value(number), state);
        before = ", ";
    }
}

/* As many as there is room for; the last line counts them all. */
static void tables_print(struct screen *screen, const struct nw_top *top)
{
    struct row *rows = NULL;
    size_t count = rows_choose(top, &rows);
    unsigned name_width = screen->width > 100 ? 44 : 34;

    line_end(screen);
    bold(screen, true);
    cell(screen, "TABLE", name_width);
    say(screen, "%-9s %8s %9s", "STATE", "ROWS/S", "LAG");
    bold(screen, false);
    line_end(screen);
    for (size_t i = 0; i < count && screen->lines_left > 1; i++) {
        row_print(screen, &rows[i]);
    }
    states_say(screen, top);
    free(rows);
}

/* The latest error or warning. */
static void trouble_print(struct screen *screen, const json_t *root)
{
    const json_t *trouble = json_array_get(json_object_get(root, "log_troubles"), 0);
    char a[NW_NUMBER_TEXT_SIZE];

    if (trouble != NULL) {
        say(screen, "last %s, %s ago: %s", text_of(trouble, "level"),
            nw_duration_text(a, fmax(0, number_of(root, "time") - number_of(trouble, "time"))),
            text_of(trouble, "text"));
        line_end(screen);
    }
}

void nw_top_print(const struct nw_top *top, FILE *out)
{
    struct screen screen = {
        .out = out, .width = top->width, .lines_left = top->height, .redraws = top->redraws};

    head_print(&screen, top);
    if (json_object_get(top->status, "source") != NULL) {
        trouble_print(&screen, top->status);
        source_print(&screen, top);
        primary_print(&screen, json_object_get(top->status, "primary"));
        spool_print(&screen, json_object_get(top->status, "spool"));
        copy_print(&screen, json_object_get(top->status, "copy"));
        letters_print(&screen, top->status);
        sinks_print(&screen, top);
        tables_print(&screen, top);
    }
    if (top->redraws) {
        (void)fputs("\033[K\033[J", out); /* what is left of a longer screen */
    } else {
        line_end(&screen);
    }
}
