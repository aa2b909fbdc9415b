/* SPDX-License-Identifier: Apache-2.0 */
/* `narwal status`: asks the running process through its control socket. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "cli/command.h"

static const char HELP[] =
    "usage: narwal status FILE.yaml | --name NAME | --state-dir DIR   [--json]\n"
    "       narwal status --all [--json]\n\n"
    "Asks the narwal that runs with this configuration, name or state folder how it is.\n\n"
    "  --all    every pipeline with a state folder in /var/lib/narwal or this user's own place "
    "for\n"
    "           them, one line each, also those that do not run\n"
    "  --json   print everything, as docs/status.md says\n\n"
    "exit codes: 0 it answered and all is well, 1 none runs, or a sink or a table does not go on;\n"
    "with --all: one of them\n";

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text == NULL ? "" : text;
}

static double number_of(const json_t *object, const char *key)
{
    return json_number_value(json_object_get(object, key));
}

/* @return whether every sink works */
static bool sinks_print(const json_t *sinks)
{
    char lag[NW_NUMBER_TEXT_SIZE];
    char bytes[NW_NUMBER_TEXT_SIZE];
    char rows[NW_NUMBER_TEXT_SIZE];
    bool well = true;
    size_t index = 0;
    const json_t *sink = NULL;

    json_array_foreach(sinks, index, sink)
    {
        const char *state = text_of(sink, "state");

        (void)printf("sink %-10s %-9s lag %s (%s)   %s rows   %.0f commits\n",
                     text_of(sink, "name"), state,
                     nw_duration_text(lag, number_of(sink, "lag_seconds")),
                     nw_size_text(bytes, number_of(sink, "lag_bytes")),
                     nw_count_text(rows, number_of(sink, "rows")), number_of(sink, "commits"));
        if (strcmp(state, "running") != 0 && text_of(sink, "reason")[0] != '\0') {
            (void)printf("     %s\n", text_of(sink, "reason"));
            well = false;
        }
    }
    return well;
}

/* @return whether every table goes on */
static bool stopped_print(const json_t *root)
{
    const json_t *tables = json_object_get(root, "stopped_tables");
    char age[NW_NUMBER_TEXT_SIZE];
    size_t index = 0;
    const json_t *table = NULL;
    bool well = true;

    json_array_foreach(tables, index, table)
    {
        const char *sink = text_of(table, "sink");

        (void)printf("table  %s %s%s%s at %s, for %s\n     %s%s%s\n", text_of(table, "table"),
                     text_of(table, "state"), sink[0] == '\0' ? "" : " at sink ", sink,
                     text_of(table, "lsn"), nw_duration_text(age, number_of(table, "seconds")),
                     text_of(table, "reason"),
                     text_of(table, "waits_for")[0] == '\0' ? "" : "; it waits for ",
                     text_of(table, "waits_for"));
        well = well && strcmp(text_of(table, "state"), "stopped") != 0;
    }
    return well;
}

/* Rows that sinks refused, and that are at none of these. */
static void letters_print(const json_t *root)
{
    const json_t *tables = json_object_get(root, "dead_letters");
    char text[NW_NUMBER_TEXT_SIZE];
    size_t index = 0;
    const json_t *table = NULL;

    if (number_of(root, "dead_letters_count") > 0) {
        (void)printf("dead letters  %.0f (%s): narwal dead-letter list\n",
                     number_of(root, "dead_letters_count"),
                     nw_size_text(text, number_of(root, "dead_letter_bytes")));
    }
    json_array_foreach((json_t *)(uintptr_t)tables, index, table)
    {
        (void)printf("       %s   %.0f at sink %s\n", text_of(table, "table"),
                     number_of(table, "count"), text_of(table, "sink"));
    }
}

/* "tables 1 stopped, 338 streaming" */
static void states_print(json_t *states)
{
    const char *state = NULL;
    const char *before = "tables ";
    json_t *count = NULL;

    json_object_foreach(states, state, count)
    {
        (void)printf("%s%.0f %s", before, json_number_value(count), state);
        before = ", ";
    }
    if (json_object_size(states) > 0) {
        (void)puts("   (narwal table list shows each)");
    }
}

/* Nothing while nothing is copied. */
static void copy_print(const json_t *copy)
{
    char a[NW_NUMBER_TEXT_SIZE];
    char b[NW_NUMBER_TEXT_SIZE];
    char c[NW_NUMBER_TEXT_SIZE];
    const json_t *left = json_object_get(copy, "eta_seconds");

    if (strcmp(text_of(copy, "state"), "copying") == 0) {
        (void)printf("copy   %.0f/%.0f tables   %.0f/%.0f chunks   %s rows   %s   %s/s",
                     number_of(copy, "tables_done"), number_of(copy, "tables"),
                     number_of(copy, "chunks_done"), number_of(copy, "chunks"),
                     nw_count_text(a, number_of(copy, "rows")),
                     nw_size_text(b, number_of(copy, "bytes")),
                     nw_size_text(c, number_of(copy, "bytes_per_second")));
        if (json_is_number(left) && json_number_value(left) > 0) {
            (void)printf("   ETA %s", nw_duration_text(a, json_number_value(left)));
        }
        (void)putchar('\n');
    }
    if (text_of(copy, "waits_for")[0] != '\0') {
        (void)printf("copy   waits for %s\n", text_of(copy, "waits_for"));
    }
}

/* Nothing while there is none. What is in it and acknowledged exists nowhere else. */
static void spool_print(const json_t *spool)
{
    char a[NW_NUMBER_TEXT_SIZE];
    char b[NW_NUMBER_TEXT_SIZE];
    const char *blocked = NULL;

    if (spool == NULL || strcmp(text_of(spool, "state"), "none") == 0) {
        return;
    }
    (void)printf("spool  %s of %s   from %s   synced %s   %s%s\n",
                 nw_size_text(a, number_of(spool, "bytes")),
                 nw_size_text(b, number_of(spool, "quota_bytes")), text_of(spool, "first_lsn"),
                 text_of(spool, "synced_lsn"), text_of(spool, "state"),
                 json_is_true(json_object_get(spool, "full")) ? " (full: WAL stays on the server)"
                                                              : "");
    blocked = text_of(spool, "blocked");
    if (blocked[0] != '\0') {
        (void)printf("       nothing is received, and WAL stays on the server: %s\n", blocked);
    }
}

/* What is held back on the server, as far as it was looked at. */
static void primary_print(const json_t *source, const json_t *primary)
{
    const json_t *snapshot = json_object_get(primary, "snapshot");
    const json_t *alarm = NULL;
    size_t i = 0;
    char a[NW_NUMBER_TEXT_SIZE];
    char b[NW_NUMBER_TEXT_SIZE];
    char c[NW_NUMBER_TEXT_SIZE];

    if (!json_is_number(json_object_get(primary, "seen_seconds_ago"))) {
        return;
    }
    (void)printf("holds  %s of WAL on the server",
                 nw_size_text(a, number_of(source, "retained_wal_bytes")));
    if (number_of(primary, "wal_limit_bytes") > 0) {
        (void)printf(", which gives the slot up after %s more",
                     nw_size_text(a, number_of(primary, "wal_safe_bytes")));
    }
    if (json_is_object(snapshot)) {
        (void)printf("   a snapshot of %s, %s transactions, %s, %s dead rows since",
                     nw_duration_text(a, number_of(snapshot, "seconds")),
                     nw_count_text(b, number_of(snapshot, "transactions")),
                     json_is_true(json_object_get(snapshot, "is_oldest"))
                         ? "the oldest that is seen there"
                         : text_of(primary, "oldest_other"),
                     nw_count_text(c, number_of(snapshot, "dead_rows_since")));
    }
    (void)printf("\n");
    json_array_foreach(json_object_get(primary, "alarms"), i, alarm)
    {
        (void)printf("ALARM  %s\n", text_of(alarm, "text"));
    }
}

static bool report_print(const json_t *root)
{
    const json_t *source = json_object_get(root, "source");
    bool stuck = false; /* it cannot even begin */
    bool whole = true;
    char a[NW_NUMBER_TEXT_SIZE];
    char b[NW_NUMBER_TEXT_SIZE];

    if (source == NULL) {
        (void)printf("%s, and has nothing to report yet\n", text_of(root, "phase"));
        return true;
    }
    (void)printf("%s   %s   up %s\n", text_of(root, "name"), text_of(root, "phase"),
                 nw_duration_text(a, number_of(root, "uptime_seconds")));
    if (text_of(root, "standby")[0] != '\0') {
        (void)printf("standing by: %s\n", text_of(root, "standby"));
    }
    if (text_of(root, "not_ready_because")[0] != '\0') {
        (void)printf("not ready: %s\n", text_of(root, "not_ready_because"));
    }
    (void)printf("source slot %s   received %s   durable %s   server %s   behind %s\n",
                 text_of(source, "slot"), text_of(source, "received_lsn"),
                 text_of(source, "flush_lsn"), text_of(source, "server_lsn"),
                 nw_size_text(a, number_of(source, "lag_bytes")));
    primary_print(source, json_object_get(root, "primary"));
    states_print(json_object_get(root, "tables_by_state"));
    copy_print(json_object_get(root, "copy"));
    spool_print(json_object_get(root, "spool"));
    (void)printf("live   %s rows in %s transactions\n", nw_count_text(a, number_of(source, "rows")),
                 nw_count_text(b, number_of(source, "transactions")));
    if (text_of(root, "last_error")[0] != '\0') {
        (void)printf("last fault: %s\n", text_of(root, "last_error"));
        stuck = strcmp(text_of(root, "phase"), "starting") == 0;
    }
    letters_print(root);
    whole = stopped_print(root);
    return sinks_print(json_object_get(root, "sinks")) && whole && !stuck;
}

static int ask_and_print(const char *folder, bool as_json)
{
    char *text = NULL;
    size_t size = 0;
    json_t *root = NULL;
    int code = NW_EXIT_FAILED;

    if (!nw_ask(folder, "status", &text, &size)) {
        return code;
    }
    if (as_json) {
        (void)fwrite(text, 1, size, stdout);
        code = 0;
    } else if ((root = json_loadb(text, size, 0, NULL)) == NULL) {
        nw_complain("NW1503 the answer of the running narwal is not JSON");
    } else {
        code = report_print(root) ? 0 : NW_EXIT_FAILED;
    }
    json_decref(root);
    free(text);
    return code;
}

int nw_cmd_status(int argc, char **argv)
{
    struct nw_config_arguments arguments = {0};
    char folder[NW_FOLDER_SIZE];
    const char *rest[1] = {NULL};
    bool as_json = false;
    bool all = false;
    int code = 0;
    const struct nw_argument known[] = {{.name = "name", .value = &arguments.name},
                                        {.name = "state-dir", .value = &arguments.state_dir},
                                        {.name = "all", .flag = &all},
                                        {.name = "json", .flag = &as_json},
                                        {.name = NULL}};

    code = nw_arguments_read(argc, argv, known, HELP, rest, 1);
    if (code != NW_GO_ON) {
        return code;
    }
    if (all && rest[0] == NULL && arguments.name == NULL && arguments.state_dir == NULL) {
        return nw_status_all(as_json);
    }
    if (all) {
        nw_complain("NW1501 --all is of every pipeline: name none");
        return NW_EXIT_USAGE;
    }
    arguments.file = rest[0];
    code = nw_state_folder_find(&arguments, folder);
    return code == NW_GO_ON ? ask_and_print(folder, as_json) : code;
}
