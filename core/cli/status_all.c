/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `narwal status --all`: every pipeline that has a state folder where they usually are, one line
 * each. Of one that does not run its state says what it left on the server.
 */
#include <dirent.h>
#include <errno.h>
#include <jansson.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/text.h"
#include "cli/command.h"
#include "serve/control.h"

#define NAMES_MAX 4096u

struct all {
    bool as_json, well;
    uint32_t count;
    json_t *list;
};

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text == NULL ? "" : text;
}

/* ---- one that runs ---- */

/* @return a new reference, or NULL: none answers */
static json_t *running_ask(const char *folder)
{
    char *text = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);
    struct nw_error ignored = {0};
    nw_status status = NW_FATAL;
    json_t *root = NULL;

    if (stream != NULL) {
        status = nw_control_ask(folder, "status", stream, &ignored);
        (void)fclose(stream);
    }
    root = status == NW_OK ? json_loadb(text, size, 0, NULL) : NULL;
    free(text);
    return root;
}

/* " lag archive 0.1 s, topics 2 s retrying". @return whether all of them work */
static bool sinks_print(const json_t *sinks)
{
    char text[NW_NUMBER_TEXT_SIZE];
    bool well = true;
    size_t index = 0;
    const json_t *sink = NULL;

    json_array_foreach(sinks, index, sink)
    {
        const char *state = text_of(sink, "state");
        bool runs = strcmp(state, "running") == 0 || strcmp(state, "starting") == 0;

        (void)printf(
            "%s %s %s%s%s", index == 0 ? " lag" : ",", text_of(sink, "name"),
            nw_duration_text(text, json_number_value(json_object_get(sink, "lag_seconds"))),
            runs ? "" : " ", runs ? "" : state);
        well = well && runs;
    }
    return well;
}

/* @return whether all is well */
static bool running_print(const char *name, const json_t *root)
{
    const json_t *source = json_object_get(root, "source");
    double stopped = json_number_value(json_object_get(root, "stopped_tables_count"));
    const char *phase = text_of(root, "phase");
    const char *error = text_of(root, "last_error");
    bool well = strcmp(phase, "starting") != 0 && stopped <= 0;

    (void)printf("%-16s %-11s", name, phase);
    well = sinks_print(json_object_get(root, "sinks")) && well;
    if (source != NULL) {
        (void)printf("   durable %s   slot %s", text_of(source, "flush_lsn"),
                     text_of(source, "slot"));
    }
    if (stopped > 0) {
        (void)printf("   %.0f table%s not as the others", stopped, stopped > 1 ? "s" : "");
    }
    (void)printf("%s%s\n", well || error[0] == '\0' ? "" : "   ", well ? "" : error);
    return well;
}

/* ---- one that does not ---- */

struct left {
    int64_t since_s; /* when it last wrote its state; 0: not known */
    char slot[64];   /* "": it had none yet */
    char lsn[24];
    bool readable;
};

static int64_t changed_s(const char *folder, const char *name)
{
    char path[NW_FOLDER_SIZE + 32];
    struct stat status;

    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    return stat(path, &status) == 0 ? (int64_t)status.st_mtim.tv_sec : 0;
}

static struct left left_read(const char *folder)
{
    struct left left = {.since_s = changed_s(folder, "state.db")};
    int64_t log_s = changed_s(folder, "state.db-wal");
    char path[NW_FOLDER_SIZE + 32];
    sqlite3 *db = NULL;
    sqlite3_stmt *statement = NULL;

    left.since_s = log_s > left.since_s ? log_s : left.since_s;
    (void)snprintf(path, sizeof path, "%s/state.db", folder);
    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK &&
        sqlite3_prepare_v2(db, "SELECT slot_name, acknowledged_lsn FROM source", -1, &statement,
                           NULL) == SQLITE_OK) {
        left.readable = true;
        if (sqlite3_step(statement) == SQLITE_ROW) {
            (void)snprintf(left.slot, sizeof left.slot, "%s", sqlite3_column_text(statement, 0));
            (void)snprintf(left.lsn, sizeof left.lsn, "%s", sqlite3_column_text(statement, 1));
        }
    }
    (void)sqlite3_finalize(statement);
    (void)sqlite3_close(db);
    return left;
}

static void left_print(const char *name, const struct left *left)
{
    char age[NW_NUMBER_TEXT_SIZE];
    char when[32] = "?";
    time_t since = (time_t)left->since_s;
    struct tm local;

    if (localtime_r(&since, &local) != NULL) {
        (void)strftime(when, sizeof when, "%Y-%m-%d %H:%M:%S", &local);
    }
    (void)printf("%-16s not running", name);
    if (left->since_s > 0) {
        (void)printf(" since about %s (%s)", when,
                     nw_duration_text(age, (double)(time(NULL) - since)));
    }
    if (!left->readable) {
        (void)puts("   its state cannot be read");
    } else if (left->slot[0] == '\0') {
        (void)puts("   it left nothing on a server");
    } else {
        (void)printf("   slot %s holds WAL from %s on, unless it was dropped\n", left->slot,
                     left->lsn);
    }
}

/* ---- all of them ---- */

static void one_add(struct all *all, const char *name, const char *folder, json_t *root,
                    const struct left *left)
{
    json_t *object = json_object();

    (void)json_object_set_new(object, "name", json_string(name));
    (void)json_object_set_new(object, "folder", json_string(folder));
    (void)json_object_set_new(object, "running", json_boolean(root != NULL));
    if (root != NULL) {
        (void)json_object_set(object, "status", root);
    } else {
        (void)json_object_set_new(object, "since", json_integer(left->since_s));
        (void)json_object_set_new(object, "slot", json_string(left->slot));
        (void)json_object_set_new(object, "acknowledged_lsn", json_string(left->lsn));
    }
    (void)json_array_append_new(all->list, object);
}

static void one_show(struct all *all, const char *name, const char *folder)
{
    json_t *root = running_ask(folder);
    struct left left = {.since_s = 0};

    if (root == NULL) {
        left = left_read(folder);
    }
    all->count++;
    if (all->as_json) {
        one_add(all, name, folder, root, &left);
    } else if (root != NULL) {
        all->well = running_print(name, root) && all->well;
    } else {
        left_print(name, &left);
        all->well = false;
    }
    json_decref(root);
}

static bool is_state(const char *folder)
{
    char path[NW_FOLDER_SIZE + 32];
    struct stat status;

    (void)snprintf(path, sizeof path, "%s/state.db", folder);
    if (stat(path, &status) == 0) {
        return true;
    }
    (void)snprintf(path, sizeof path, "%s/control.sock", folder);
    return stat(path, &status) == 0;
}

/* @return whether it may be looked into; one that is not there may */
static bool base_show(struct all *all, const char *base)
{
    struct dirent **entries = NULL;
    int count = scandir(base, &entries, NULL, alphasort);
    bool seen = count >= 0 || errno != EACCES;

    for (int i = 0; i < count; i++) {
        char folder[NW_FOLDER_SIZE];

        if (entries[i]->d_name[0] != '.' && all->count < NAMES_MAX &&
            snprintf(folder, sizeof folder, "%s%s", base, entries[i]->d_name) <
                (int)sizeof folder &&
            is_state(folder)) {
            one_show(all, entries[i]->d_name, folder);
        }
        free(entries[i]);
    }
    free((void *)entries);
    return seen;
}

int nw_status_all(bool as_json)
{
    struct all all = {.as_json = as_json, .well = true, .list = json_array()};
    char base[NW_FOLDER_SIZE];
    bool two = false, seen = true; /* of the system's folder, where it is another one */

    nw_config_state_base(base, sizeof base);
    two = strcmp(base, NW_STATE_BASE) != 0;
    (void)base_show(&all, base);
    if (two) {
        seen = base_show(&all, NW_STATE_BASE);
    }
    if (as_json) {
        (void)json_dumpf(all.list, stdout, JSON_COMPACT);
        (void)putchar('\n');
    } else if (all.count == 0) {
        (void)printf("no pipeline has its state in %s%s%s\n", base, two && seen ? " or " : "",
                     two && seen ? NW_STATE_BASE : "");
    }
    if (!seen && !as_json) {
        (void)puts("not looked at: " NW_STATE_BASE ", which this user may not read; sudo narwal "
                   "status --all");
    }
    json_decref(all.list);
    return all.well ? 0 : NW_EXIT_FAILED;
}
