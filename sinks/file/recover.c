/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Recovery: see file.h. Takes the folder over from whoever had it, reads the journal, begins a new
 * one, cuts the data files to what is committed, and removes what is not. Called by the
 * coordinator's thread while nothing else runs.
 */
#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>

#include <narwal/sink.h>

#include "file.h"

#define READ_TRIES 8u

void nw_file_reset(struct nw_file_sink *sink)
{
    for (uint32_t i = 0; i < NW_DATA_WORKERS_MAX; i++) {
        if (sink->workers[i].sink != NULL) {
            nw_file_worker_reset(&sink->workers[i]);
        }
    }
    while (sink->sealed != NULL) {
        struct nw_sealed *next = sink->sealed->next;

        nw_sealed_destroy(sink->sealed, sink->host);
        sink->sealed = next;
    }
    nw_journal_close(&sink->journal);
    nw_state_fini(&sink->state);
    nw_state_fini(&sink->pending);
    free(sink->positions);
    free(sink->copies);
    sink->positions = NULL;
    sink->copies = NULL;
}

/* What the folder has beside a journal. */
struct contents {
    bool journal;
    char foreign[128]; /* the name of something else; "": nothing */
};

static nw_status contents_add(void *context, const char *name, bool is_folder, struct nw_error *err)
{
    struct contents *contents = context;

    (void)is_folder;
    (void)err;
    if (strcmp(name, "_journal") == 0) {
        contents->journal = true;
    } else if (strcmp(name, "lost+found") != 0) {
        (void)snprintf(contents->foreign, sizeof contents->foreign, "%s", name);
    }
    return NW_OK;
}

/* Refuse to make a home among somebody's files. */
static nw_status foreign_refuse(struct nw_file_sink *sink, bool journal_expected,
                                struct nw_error *err)
{
    struct contents contents = {0};
    nw_status status =
        sink->host->folder_list(sink->host, sink->options.path, contents_add, &contents, err);

    if (status != NW_OK || contents.foreign[0] == '\0' || (contents.journal && !journal_expected)) {
        return status;
    }
    return nw_fail(
        err, NW_FATAL,
        "NW2601 %s has no journal of narwal's but is not empty (it has %s): give narwal a "
        "folder of its own, or restore %s/_journal",
        sink->options.path, contents.foreign, sink->options.path);
}

/* Makes the folders, durable. */
static nw_status folders_make(struct nw_file_sink *sink, struct nw_error *err)
{
    const struct nw_host *host = sink->host;
    char folder[NW_PATH_MAX];
    char parent[NW_PATH_MAX];
    char *slash;
    struct nw_error cause = {0};
    nw_status status = nw_path_join(folder, sink->options.path, "_journal", NULL, err);

    if (status == NW_OK) {
        status = nw_path_join(parent, sink->options.path, "..", NULL, err);
    }
    if (status == NW_OK) {
        status = host->folder_create(host, sink->options.path, err);
    }
    if (status == NW_OK) {
        status = foreign_refuse(sink, false, err);
    }
    if (status == NW_OK) {
        status = host->folder_create(host, folder, err);
    }
    if (status != NW_OK) {
        return status;
    }
    slash = strrchr(sink->options.path, '/');
    if (slash != NULL && slash[1] != '\0' && slash != sink->options.path) {
        (void)snprintf(parent, sizeof parent, "%.*s", (int)(slash - sink->options.path),
                       sink->options.path);
    }
    /* We may not be allowed to open the folder above. */
    if (host->folder_sync(host, parent, &cause) != NW_OK) {
        host->log(host, NW_LOG_DEBUG, "%s was not synced: %s", parent, cause.text);
    }
    return host->folder_sync(host, sink->options.path, err);
}

static bool takes_over(const struct nw_host *host)
{
    return host->size >= offsetof(struct nw_host, flags) + sizeof host->flags &&
           (host->flags & NW_HOST_TAKES_OVER) != 0;
}

/* The lock's holder may be frozen: another file takes the lock's place. */
static nw_status lock_replace(struct nw_file_sink *sink, const char *path, struct nw_error *err)
{
    const struct nw_host *host = sink->host;
    char made[NW_PATH_MAX + 24];
    uint32_t number = 0;
    nw_status status;

    host->random(host, &number, sizeof number);
    (void)snprintf(made, sizeof made, "%s-%08" PRIx32, path, number);
    status = host->file_open(host, made, NW_FILE_CREATE | NW_FILE_EXCLUSIVE, &sink->lock_file, err);
    if (status != NW_OK) {
        return status;
    }
    status = host->file_lock(host, sink->lock_file, err);
    if (status == NW_OK) {
        status = host->file_rename(host, made, path, err);
    }
    if (status != NW_OK) {
        host->file_close(host, sink->lock_file);
        return status;
    }
    host->log(host, NW_LOG_INFO,
              "%s is locked by the narwal whose place is taken: its lock was "
              "replaced",
              sink->options.path);
    return NW_OK;
}

static nw_status lock_take(struct nw_file_sink *sink, struct nw_error *err)
{
    const struct nw_host *host = sink->host;
    struct nw_error cause = {0};
    char path[NW_PATH_MAX];
    nw_status status;

    if (sink->locked) {
        return NW_OK;
    }
    status = nw_path_join(path, sink->options.path, "_journal", "lock", err);
    if (status == NW_OK) {
        status = host->file_open(host, path, NW_FILE_CREATE, &sink->lock_file, err);
    }
    if (status != NW_OK) {
        return status;
    }
    status = host->file_lock(host, sink->lock_file, &cause);
    if (status != NW_OK) {
        host->file_close(host, sink->lock_file);
    }
    if (status == NW_FATAL && takes_over(host)) {
        status = lock_replace(sink, path, err);
    } else if (status == NW_FATAL) {
        status = nw_fail(err, NW_FATAL,
                         "NW2409 another narwal is writing to %s: stop it first, or use another "
                         "folder",
                         sink->options.path);
    } else if (status != NW_OK) {
        status = nw_fail(err, status, "%.900s", cause.text);
    }
    sink->locked = status == NW_OK;
    return status;
}

/* Raises the fencing number: from here on no former process can commit. */
static nw_status takeover(struct nw_file_sink *sink, struct nw_error *err)
{
    nw_status status;

    sink->journal = (struct nw_journal){.host = sink->host, .path = sink->options.path};
    status = nw_owner_take(&sink->journal, sink->fencing, err);
    if (sink->journal.fencing != 0) {
        sink->fencing = sink->journal.fencing;
    }
    return status;
}

/* Finds the journal in force and reads it. A former owner that is still alive may begin another
 * one meanwhile, of the same state, and remove it. */
static nw_status journal_read(struct nw_file_sink *sink, struct nw_journal_reading *reading,
                              struct nw_journal_found *found, struct nw_error *err)
{
    nw_status status = nw_journal_find(sink->host, sink->options.path, found, err);

    for (uint32_t tries = 0; status == NW_OK && found->any; tries++) {
        struct nw_journal_found before = *found;
        struct nw_error why = {0};
        nw_status read = nw_journal_read(reading, found, &why);

        if (read == NW_OK) {
            return NW_OK;
        }
        status = nw_journal_find(sink->host, sink->options.path, found, err);
        if (status == NW_OK && (tries == READ_TRIES || (found->fencing == before.fencing &&
                                                        found->number == before.number))) {
            *err = why;
            return read;
        }
        nw_state_fini(reading->state);
    }
    return status;
}

static nw_status journal_load(struct nw_file_sink *sink, struct nw_error *err)
{
    struct nw_journal_found found;
    struct nw_journal_reading reading = {
        .host = sink->host, .path = sink->options.path, .state = &sink->state};
    nw_status status = journal_read(sink, &reading, &found, err);

    if (status != NW_OK) {
        return status;
    }
    if (!found.any && sink->begun) {
        return nw_fail(
            err, NW_FATAL,
            "NW2405 the journal of %s was removed while narwal ran, and with it all that was "
            "committed: restore the folder, or start narwal again for a new copy",
            sink->options.path);
    }
    if (!found.any) {
        return foreign_refuse(sink, true, err);
    }
    if (reading.torn > 0) {
        sink->host->log(
            sink->host, NW_LOG_INFO,
            "%s: the last journal record, of %" PRIu64
            " bytes, was not completely written and was never acknowledged; it is dropped",
            sink->options.path, reading.torn);
    }
    sink->number_last = sink->state.number_last;
    return status;
}

/* A reader that knows no forms has to refuse a folder where there is one. */
static void format_raise(struct nw_file_sink *sink)
{
    bool forms = sink->options.form.form != NW_DATA_LINES;

    for (size_t i = 0; i < sink->state.files_count && !forms; i++) {
        forms = sink->state.files[i].form != NW_DATA_LINES;
    }
    sink->state.format = forms ? NW_DATA_FORMAT_FORMS : NW_DATA_FORMAT_LINES;
}

/* @param cuts  false: only look whether all of it is there */
static nw_status file_cut(struct nw_file_sink *sink, const struct nw_data_file *data, bool cuts,
                          struct nw_error *err)
{
    const struct nw_host *host = sink->host;
    char path[NW_PATH_MAX];
    uint64_t size = 0;
    int file;
    nw_status status = nw_path_join(path, sink->options.path, data->path, NULL, err);

    if (status != NW_OK) {
        return status;
    }
    status = host->file_open(host, path, 0, &file, err);
    if (status != NW_OK) {
        return status;
    }
    status = host->file_size(host, file, &size, err);
    if (status == NW_OK && size < data->size) {
        status = nw_fail(err, NW_CORRUPT,
                         "NW2603 %s has %" PRIu64 " bytes, and %" PRIu64
                         " were committed: committed rows are missing. Restore the file, or begin "
                         "with an empty folder",
                         path, size, data->size);
    }
    if (status == NW_OK && cuts && size > data->size) {
        status = host->file_truncate(host, file, data->size, err);
    }
    host->file_close(host, file);
    return status;
}

/* Looking through the folder for what is ours and not committed. */
struct sweep {
    struct nw_file_sink *sink;
    const char *folder; /* inside the sink's folder; NULL: the sink's folder itself */
    const char **known; /* paths of files, or names of folders, sorted */
    size_t known_count;
    char (*found)[256]; /* names to be removed or looked into */
    size_t found_count, found_capacity;
};

static int texts_compare(const void *left, const void *right)
{
    return strcmp(*(const char *const *)left, *(const char *const *)right);
}

/* Whether a name is one that a former owner gave to a data or schema file: a later one's is not to
 * be touched. */
static bool name_is_former(const struct nw_file_sink *sink, const char *name)
{
    const char *mark = strstr(name, "-f");
    const char *end = NULL;
    uint64_t fencing = 0;
    int size = 0;

    if (mark == NULL || sscanf(mark, "-f%" SCNu64 "%n", &fencing, &size) != 1 ||
        fencing >= sink->fencing) {
        return false;
    }
    end = mark + size;
    if (strncmp(name, "schema-", 7) == 0) {
        return strncmp(end, ".json", 5) == 0;
    }
    return isdigit((unsigned char)name[0]) != 0 &&
           (strncmp(end, ".copy.jsonl", 11) == 0 || strncmp(end, ".changes.jsonl", 14) == 0 ||
            strcmp(end, ".copy.avro") == 0 || strcmp(end, ".changes.avro") == 0);
}

static nw_status found_add(struct sweep *sweep, const char *name, struct nw_error *err)
{
    if (sweep->found_count == sweep->found_capacity) {
        size_t larger = sweep->found_capacity == 0 ? 16 : sweep->found_capacity * 2;
        char(*moved)[256] = realloc(sweep->found, larger * sizeof *moved);

        if (moved == NULL) {
            return nw_fail(err, NW_RETRY, "out of memory for the list of files");
        }
        sweep->found = moved;
        sweep->found_capacity = larger;
    }
    (void)snprintf(sweep->found[sweep->found_count++], sizeof *sweep->found, "%s", name);
    return NW_OK;
}

static nw_status file_look(void *context, const char *name, bool is_folder, struct nw_error *err)
{
    struct sweep *sweep = context;
    char path[NW_DATA_PATH_MAX];
    const char *key = path;

    if (is_folder || !name_is_former(sweep->sink, name) || strlen(name) > 255) {
        return NW_OK;
    }
    (void)snprintf(path, sizeof path, "%s/%s", sweep->folder, name);
    if (sweep->known_count > 0 && bsearch(&key, sweep->known, sweep->known_count,
                                          sizeof *sweep->known, texts_compare) != NULL) {
        return NW_OK;
    }
    return found_add(sweep, name, err);
}

static nw_status folder_look(void *context, const char *name, bool is_folder, struct nw_error *err)
{
    if (!is_folder || strcmp(name, "_journal") == 0 || strlen(name) > 255) {
        return NW_OK;
    }
    return found_add(context, name, err);
}

/* Removes files of one table's folder that are not in the journal. */
static nw_status folder_sweep(struct nw_file_sink *sink, const char *folder, const char **known,
                              size_t known_count, struct nw_error *err)
{
    const struct nw_host *host = sink->host;
    struct sweep sweep = {
        .sink = sink, .folder = folder, .known = known, .known_count = known_count};
    struct nw_error ignored;
    char path[NW_PATH_MAX];
    nw_status status = nw_path_join(path, sink->options.path, folder, NULL, err);

    if (status == NW_OK) {
        status = host->folder_list(host, path, file_look, &sweep, err);
    }
    for (size_t i = 0; i < sweep.found_count && status == NW_OK; i++) {
        status = nw_path_join(path, sink->options.path, folder, sweep.found[i], err);
        if (status == NW_OK) {
            status = host->file_remove(host, path, err);
        }
    }
    free(sweep.found);
    /* A folder whose table was never committed; it stays when somebody put something there. */
    if (status == NW_OK && strchr(folder, '.') != NULL) {
        bool used = false;

        for (size_t i = 0; i < sink->state.tables_count && !used; i++) {
            used = strcmp(sink->state.tables[i].folder, folder) == 0;
        }
        if (!used && nw_path_join(path, sink->options.path, folder, NULL, &ignored) == NW_OK) {
            (void)host->folder_remove(host, path, &ignored);
        }
    }
    return status;
}

static nw_status files_sweep(struct nw_file_sink *sink, struct nw_error *err)
{
    struct sweep sweep = {.sink = sink};
    const char **known = calloc(sink->state.files_count + 1, sizeof *known);
    nw_status status = NW_OK;

    if (known == NULL) {
        return nw_fail(err, NW_RETRY, "out of memory for the list of files");
    }
    for (size_t i = 0; i < sink->state.files_count; i++) {
        known[i] = sink->state.files[i].path;
    }
    qsort(known, sink->state.files_count, sizeof *known, texts_compare);
    status = sink->host->folder_list(sink->host, sink->options.path, folder_look, &sweep, err);
    for (size_t i = 0; i < sweep.found_count && status == NW_OK; i++) {
        status = folder_sweep(sink, sweep.found[i], known, sink->state.files_count, err);
    }
    free(sweep.found);
    free(known);
    return status;
}

static nw_status recovery_fill(struct nw_file_sink *sink, struct nw_recovery *recovery,
                               struct nw_error *err)
{
    const struct nw_state *state = &sink->state;

    sink->positions = calloc(state->positions_count + 1, sizeof *sink->positions);
    sink->copies = calloc(state->copies_count + 1, sizeof *sink->copies);
    if (sink->positions == NULL || sink->copies == NULL) {
        return nw_fail(err, NW_RETRY, "out of memory for positions");
    }
    for (uint32_t i = 0; i < state->positions_count; i++) {
        sink->positions[i] = (struct nw_position){.bytes = state->positions[i].bytes,
                                                  .size = state->positions[i].size,
                                                  .lsn = state->positions[i].lsn};
    }
    for (size_t i = 0; i < state->copies_count; i++) {
        sink->copies[i] = (struct nw_copy_state){.relation_oid = state->copies[i].oid,
                                                 .generation = state->copies[i].generation,
                                                 .complete = state->copies[i].complete,
                                                 .bytes = state->copies[i].bytes,
                                                 .size = state->copies[i].size};
    }
    recovery->positions_count = state->positions_count;
    recovery->positions = sink->positions;
    recovery->copies_count = (uint32_t)state->copies_count;
    recovery->copies = sink->copies;
    recovery->fencing = sink->journal.fencing;
    return NW_OK;
}

static nw_status files_cut(struct nw_file_sink *sink, bool cuts, struct nw_error *err)
{
    nw_status status = NW_OK;

    for (size_t i = 0; i < sink->state.files_count && status == NW_OK; i++) {
        status = file_cut(sink, &sink->state.files[i], cuts, err);
    }
    return status;
}

/* What is not committed goes, once it is sure that nobody else decides on it: see journal.c. */
static nw_status rest_remove(struct nw_file_sink *sink, struct nw_error *err)
{
    nw_status status = nw_owner_check(&sink->journal, err);

    if (status == NW_OK) {
        status = files_cut(sink, true, err);
    }
    return status == NW_OK ? files_sweep(sink, err) : status;
}

/* What fails beside somebody who has taken over is his doing. */
static nw_status failure_explain(struct nw_file_sink *sink, nw_status status, struct nw_error *err)
{
    struct nw_error why = {0};

    if (sink->journal.fencing == 0 || nw_owner_check(&sink->journal, &why) != NW_FATAL ||
        strncmp(why.text, "NW2406", 6) != 0) {
        return status;
    }
    *err = why;
    return NW_FATAL;
}

nw_status nw_file_recover(struct nw_file_sink *sink, struct nw_recovery *recovery,
                          struct nw_error *err)
{
    nw_status status;

    sink->recovered = false;
    nw_file_reset(sink);
    status = folders_make(sink, err);
    if (status == NW_OK) {
        status = lock_take(sink, err);
    }
    if (status == NW_OK) {
        status = takeover(sink, err);
    }
    if (status == NW_OK) {
        status = journal_load(sink, err);
    }
    if (status == NW_OK) {
        status = files_cut(sink, false, err);
    }
    if (status == NW_OK) {
        format_raise(sink);
        sink->first_oid = sink->state.copies_count > 0 ? sink->state.copies[0].oid : 0;
        sink->positioned = sink->state.positions_count > 0 && sink->state.positions[0].lsn > 0;
        status = nw_journal_begin(&sink->journal, &sink->state, err);
    }
    if (status == NW_OK) {
        sink->begun = true;
        status = rest_remove(sink, err);
    }
    if (status == NW_OK) {
        status = recovery_fill(sink, recovery, err);
    }
    sink->recovered = status == NW_OK;
    return status == NW_OK ? NW_OK : failure_explain(sink, status, err);
}

nw_status nw_file_copy_resolve(struct nw_file_sink *sink, uint32_t oid, uint32_t generation,
                               enum nw_copy_verdict verdict, struct nw_error *err)
{
    struct nw_data_table *table = nw_state_table(&sink->state, oid);
    nw_status status = NW_OK;

    if (verdict == NW_COPY_RESUME) {
        return NW_OK;
    }
    /* Its state stays until that of a newer copy comes, so that generations go on rising. */
    if (table != NULL && table->copying == generation) {
        table->copying = 0;
        table->copying_fence = 0;
        status = nw_state_put_table(&sink->pending, table, err);
    }
    return status;
}
