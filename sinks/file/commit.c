/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The commit: see file.h. Called by the coordinator's thread, beside workers that write the next
 * epochs into the same files; only what a record names is data, so that does no harm.
 *
 * Order: sync data files, sync folders of new files, append the record, sync it. What leaves the
 * journal is removed only then.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "file.h"

/* Takes what was sealed up to an epoch off the list, oldest first. */
static struct nw_sealed *sealed_take(struct nw_file_sink *sink, uint64_t epoch)
{
    struct nw_sealed *taken = NULL;
    struct nw_sealed **end = &taken;
    struct nw_sealed **at = &sink->sealed;

    (void)pthread_mutex_lock(&sink->lock);
    while (*at != NULL) {
        if ((*at)->epoch <= epoch) {
            *end = *at;
            *at = (*at)->next;
            end = &(*end)->next;
            *end = NULL;
        } else {
            at = &(*at)->next;
        }
    }
    (void)pthread_mutex_unlock(&sink->lock);
    return taken;
}

static int files_compare(const void *left, const void *right)
{
    const int *a = left;
    const int *b = right;

    return (*a > *b) - (*a < *b);
}

/* The files to be synced, each once. @return their count. */
static size_t files_collect(const struct nw_sealed *sealed, int *files)
{
    size_t count = 0;
    size_t kept = 0;

    for (; sealed != NULL; sealed = sealed->next) {
        for (size_t i = 0; i < sealed->files_count; i++) {
            files[count] = sealed->files[i].file;
            count += sealed->files[i].sync ? 1 : 0;
        }
    }
    qsort(files, count, sizeof *files, files_compare);
    for (size_t i = 0; i < count; i++) {
        if (i == 0 || files[i] != files[kept - 1]) {
            files[kept++] = files[i];
        }
    }
    return kept;
}

/* Sync every file once, all side by side. */
static nw_status files_sync(struct nw_file_sink *sink, const struct nw_sealed *sealed,
                            struct nw_error *err)
{
    struct nw_error cause = {0};
    struct nw_file_op *ops = NULL;
    size_t count = 1;
    int *files = NULL;
    nw_status status = NW_OK;

    for (const struct nw_sealed *s = sealed; s != NULL; s = s->next) {
        count += s->files_count;
    }
    files = calloc(count, sizeof *files);
    ops = calloc(count, sizeof *ops);
    if (files == NULL || ops == NULL) {
        free(files);
        free(ops);
        return nw_fail(err, NW_RETRY, "out of memory for a commit");
    }
    count = files_collect(sealed, files);
    for (size_t i = 0; i < count; i++) {
        ops[i] = (struct nw_file_op){.verb = NW_FILE_SYNC, .file = files[i]};
    }
    if (count > 0 && sink->host->files_run(sink->host, ops, count, &cause) != NW_OK) {
        status =
            nw_fail(err, NW_FATAL,
                    "NW2602 files in %s could not be made durable, and a second try cannot tell: "
                    "%.600s. Look after the disk, then start narwal again",
                    sink->options.path, cause.text);
    }
    free(files);
    free(ops);
    return status;
}

static nw_status folders_sync(struct nw_file_sink *sink, const struct nw_sealed *sealed,
                              struct nw_error *err)
{
    char path[NW_PATH_MAX];
    bool root = false;
    nw_status status = NW_OK;

    for (const struct nw_sealed *s = sealed; s != NULL; s = s->next) {
        for (size_t i = 0; i < s->folders_count && status == NW_OK; i++) {
            if (s->folders[i][0] == '\0') {
                root = true;
                continue;
            }
            status = nw_path_join(path, sink->options.path, s->folders[i], NULL, err);
            if (status == NW_OK) {
                status = sink->host->folder_sync(sink->host, path, err);
            }
        }
    }
    if (status == NW_OK && root) {
        status = sink->host->folder_sync(sink->host, sink->options.path, err);
    }
    return status;
}

/* Whether a file is no longer data once the table is as given. */
static bool file_leaves(const struct nw_data_file *file, const struct nw_data_table *table)
{
    if (file->kind == NW_DATA_COPY) {
        return file->generation != table->generation && file->generation != table->copying;
    }
    return file->kind == NW_DATA_CHANGES && file->generation < table->generation;
}

/* Lists the files that leave with a record; `files_of` is the record itself or the state. */
static nw_status gone_list(struct nw_state *record, const struct nw_state *files_of,
                           struct nw_error *err)
{
    nw_status status = NW_OK;

    if (record->tables_count == 0) {
        return NW_OK;
    }
    for (size_t i = 0; i < files_of->files_count && status == NW_OK; i++) {
        const struct nw_data_file *file = &files_of->files[i];
        const struct nw_data_table *table = nw_state_table(record, file->oid);

        if (table != NULL && file_leaves(file, table)) {
            /* One in both is listed once, with the state. */
            if (files_of != record || file->path != NULL) {
                status = nw_state_put_gone(record, file->number, err);
            }
        }
    }
    return status;
}

static nw_status copies_add(struct nw_state *record, const struct nw_commit *commit,
                            struct nw_error *err)
{
    nw_status status = NW_OK;

    for (uint32_t i = 0; i < commit->copies_count && status == NW_OK; i++) {
        struct nw_data_copy copy = {.oid = commit->copies[i].relation_oid,
                                    .generation = commit->copies[i].generation,
                                    .complete = commit->copies[i].complete,
                                    .size = commit->copies[i].size};

        if (copy.size > NW_POSITION_SIZE_MAX) {
            return nw_fail(err, NW_FATAL, "NW2903 a copy state of %" PRIu32 " bytes", copy.size);
        }
        copy.bytes = malloc((size_t)copy.size + 1);
        if (copy.bytes == NULL) {
            return nw_fail(err, NW_RETRY, "out of memory for a commit");
        }
        if (copy.size > 0) {
            memcpy(copy.bytes, commit->copies[i].bytes, copy.size);
        }
        status = nw_state_put_copy(record, &copy, err);
        free(copy.bytes);
    }
    return status;
}

/* Everything that the commit changes, as one record. */
static nw_status record_build(struct nw_file_sink *sink, const struct nw_commit *commit,
                              const struct nw_sealed *sealed, struct nw_state *record,
                              struct nw_error *err)
{
    nw_status status = nw_state_merge(record, &sink->pending, err);

    for (; sealed != NULL && status == NW_OK; sealed = sealed->next) {
        status = nw_state_merge(record, &sealed->changes, err);
    }
    if (status == NW_OK) {
        status = copies_add(record, commit, err);
    }
    if (status == NW_OK) {
        status = nw_state_put_positions(record, commit->positions, commit->positions_count, err);
    }
    if (status == NW_OK) {
        status = gone_list(record, record, err);
    }
    if (status == NW_OK) {
        status = gone_list(record, &sink->state, err);
    }
    record->record = sink->state.record + 1;
    record->fencing = sink->journal.fencing;
    record->epoch = commit->epoch;
    return status;
}

/* Removes what the commit took out of the journal. What cannot be removed now goes with the next
 * recover. Called while the state still knows the paths. */
static void gone_remove(struct nw_file_sink *sink, const struct nw_state *record)
{
    char path[NW_PATH_MAX];
    struct nw_error err = {0};

    for (size_t i = 0; i < record->gone_count; i++) {
        const struct nw_data_file *file = nw_state_file(&sink->state, record->gone[i]);

        if (file == NULL) {
            file = nw_state_file(record, record->gone[i]);
        }
        if (file == NULL || file->path == NULL) {
            continue;
        }
        if (nw_path_join(path, sink->options.path, file->path, NULL, &err) != NW_OK ||
            sink->host->file_remove(sink->host, path, &err) != NW_OK) {
            sink->host->log(sink->host, NW_LOG_WARN,
                            "NW2608 a file that is no longer needed stays until the next start: %s",
                            err.text);
        }
    }
}

static nw_status state_follow(struct nw_file_sink *sink, const struct nw_state *record,
                              struct nw_error *err)
{
    nw_status status;

    gone_remove(sink, record);
    (void)pthread_mutex_lock(&sink->lock);
    status = nw_state_apply(&sink->state, record, err);
    sink->positioned =
        sink->positioned || (record->positions_count > 0 && record->positions[0].lsn > 0);
    if (sink->state.number_last < sink->number_last) {
        sink->state.number_last = sink->number_last;
    }
    (void)pthread_mutex_unlock(&sink->lock);
    nw_state_fini(&sink->pending);
    return status;
}

/* Starts a new journal file when the one in force is large. Not doing it does no harm. */
static void journal_shorten(struct nw_file_sink *sink)
{
    struct nw_error err = {0};

    if (sink->journal.size < sink->options.journal_size) {
        return;
    }
    if (nw_journal_begin(&sink->journal, &sink->state, &err) != NW_OK) {
        sink->host->log(sink->host, NW_LOG_WARN, "NW2608 the journal could not be shortened: %s",
                        err.text);
    }
}

nw_status nw_file_commit(struct nw_file_sink *sink, const struct nw_commit *commit,
                         enum nw_outcome *outcome, struct nw_error *err)
{
    struct nw_sealed *sealed = sealed_take(sink, commit->epoch);
    struct nw_state record = {0};
    nw_status status = NW_OK;

    if (!sink->recovered) {
        status = nw_fail(err, NW_FATAL, "NW2903 commit before recover");
    }
    if (status == NW_OK) {
        status = record_build(sink, commit, sealed, &record, err);
    }
    if (status == NW_OK) {
        status = files_sync(sink, sealed, err);
    }
    if (status == NW_OK) {
        status = folders_sync(sink, sealed, err);
    }
    if (status == NW_OK) {
        status = nw_journal_append(&sink->journal, &record, err);
    }
    if (status == NW_OK) {
        status = state_follow(sink, &record, err);
    }
    if (status == NW_OK) {
        journal_shorten(sink);
        *outcome = NW_COMMITTED;
    }
    while (sealed != NULL) {
        struct nw_sealed *next = sealed->next;

        nw_sealed_destroy(sealed, sink->host);
        sealed = next;
    }
    nw_state_fini(&record);
    return status;
}
