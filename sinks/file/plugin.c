/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file sink: every table as JSON lines in a folder of its own, and a journal that says what of
 * it is data. The format is specified in docs/files.md. This file is the plugin's table: options,
 * open and close, and hand-over to the files beside it.
 */
#include <stdlib.h>

#include "file.h"

enum {
    OPTION_PATH,
    OPTION_COMPRESS,
    OPTION_LEVEL,
    OPTION_ROTATE_SIZE,
    OPTION_ROTATE_EVERY,
    OPTION_BUFFER,
    OPTION_JOURNAL_SIZE,
    OPTION_OPEN_FILES,
    OPTION_FORMS, /* those of enum nw_file_form_option */
    OPTIONS_COUNT = OPTION_FORMS + NW_FILE_FORM_OPTIONS_COUNT
};

static const char *const compress_choices[] = {"none", "gzip", "zstd", NULL};

#define MIB       (INT64_C(1) << 20)
#define GIB       (INT64_C(1) << 30)
#define SECOND_US INT64_C(1000000)

static const struct nw_option options[OPTIONS_COUNT] = {
    [OPTION_PATH] = {.name = "path",
                     .type = NW_OPTION_PATH,
                     .flags = NW_OPTION_REQUIRED,
                     .help = "Folder that the files are written to; made if it is not there, and "
                             "used by nothing else."},
    [OPTION_COMPRESS] = {.name = "compress",
                         .type = NW_OPTION_CHOICE,
                         .fallback = "none",
                         .choices = compress_choices,
                         .help = "Compression of the data files."},
    [OPTION_LEVEL] = {.name = "level",
                      .type = NW_OPTION_INTEGER,
                      .minimum = 1,
                      .maximum = 22,
                      .help = "Compression level: gzip 1 to 12 (6 if unset), zstd 1 to 22 (1 if "
                              "unset)."},
    [OPTION_ROTATE_SIZE] = {.name = "rotate_size",
                            .type = NW_OPTION_SIZE,
                            .fallback = "256MiB",
                            .minimum = 4096,
                            .maximum = 1024 * GIB,
                            .help = "A data file of at least this size is followed by a new one, "
                                    "at the next commit."},
    [OPTION_ROTATE_EVERY] = {.name = "rotate_every",
                             .type = NW_OPTION_DURATION,
                             .fallback = "1h",
                             .minimum = SECOND_US,
                             .maximum = INT64_C(365) * 86400 * SECOND_US,
                             .help = "A data file open for this long is followed by a new one, at "
                                     "the next commit."},
    [OPTION_BUFFER] = {.name = "buffer",
                       .type = NW_OPTION_SIZE,
                       .fallback = "4MiB",
                       .minimum = 65536,
                       .maximum = GIB,
                       .help = "Rows of all tables are gathered in memory up to this size before "
                               "they are written."},
    [OPTION_JOURNAL_SIZE] = {.name = "journal_size",
                             .type = NW_OPTION_SIZE,
                             .fallback = "16MiB",
                             .minimum = 4096,
                             .maximum = 512 * MIB,
                             .help = "The commit journal starts anew, with the current state, "
                                     "when it has this size."},
    [OPTION_OPEN_FILES] = {.name = "open_files",
                           .type = NW_OPTION_INTEGER,
                           .fallback = "512",
                           .minimum = 16,
                           .maximum = 1000000,
                           .help = "Above this number of open data files, those that an epoch did "
                                   "not touch are closed."},
#define FORM(option) [OPTION_FORMS + (option)]
    FORM(NW_FILE_OPTION_PREFIX) = {"prefix", NW_OPTION_TEXT, 0, NULL, 0, 0, NULL,
                                   "With another format than narwal: source.name, and what the "
                                   "names of schemas begin with."},
    FORM(NW_FILE_OPTION_FLATTEN) = {"flatten", NW_OPTION_CHOICE, 0, NULL, 0, 0, nw_file_flattens,
                                    "Write the row alone, without an envelope. What becomes of "
                                    "deletes: nothing, or the row that was with __deleted."},
    FORM(NW_FILE_OPTION_ADD_FIELDS) = {"add_fields", NW_OPTION_LIST, 0, NULL, 0, 0, NULL,
                                       "With flatten: what of the envelope becomes a field, with "
                                       "__ before its name: op, lsn, source.ts_ms, or ts_ms:NAME; "
                                       "or NAME=TEXT, the same in each row."},
    FORM(NW_FILE_OPTION_TRANSACTIONS) = {"transactions", NW_OPTION_BOOL, 0, "false", 0, 0, NULL,
                                         "Say of each change which of its transaction's it is, as "
                                         "with provide.transaction.metadata."},
    FORM(NW_FILE_OPTION_FORMAT) = NW_FORMAT_CHOICE(
        "format", "narwal", nw_file_formats,
        "What a line is: narwal, a small JSON object with the row (json is the "
        "same); debezium_json, Debezium's envelope; cloudevents. debezium_avro: files "
        "are Avro's, each with its schema. What follows is for these three."),
    NW_FORMAT_MODE_ROWS(OPTION_FORMS + NW_FILE_OPTION_FORMAT),
#undef FORM
};

/* Files in Avro are compressed by block. */
static nw_status avro_options_read(const char *sink, struct nw_file_options *to,
                                   struct nw_error *err)
{
    to->packs = false;
    to->suffix = ".jsonl"; /* of messages, which stay as they are */
    return to->compress == NW_CHUNK_GZIP
               ? nw_fail(err, NW_FATAL,
                         "NW1003 %s: compress: gzip is not for format: debezium_avro: use zstd",
                         sink)
               : NW_OK;
}

static nw_status options_read(const struct nw_config *config, struct nw_file_options *to,
                              struct nw_error *err)
{
    static const char *const suffixes[] = {".jsonl", ".jsonl.gz", ".jsonl.zst"};
    const struct nw_setting *settings = config->settings;
    int64_t compress;
    nw_status status = NW_OK;

    if (config->settings_count != OPTIONS_COUNT || !settings[OPTION_PATH].set) {
        return nw_fail(err, NW_FATAL, "NW1008 %s: path is missing: say where the files go",
                       config->name);
    }
    compress = settings[OPTION_COMPRESS].number;
    to->path = settings[OPTION_PATH].text;
    to->compress = compress == 1 ? NW_CHUNK_GZIP : compress == 2 ? NW_CHUNK_ZSTD : NW_CHUNK_NONE;
    to->suffix = suffixes[to->compress];
    to->packs = to->compress != NW_CHUNK_NONE;
    to->level = to->compress == NW_CHUNK_GZIP ? 6 : 1;
    if (settings[OPTION_LEVEL].set) {
        to->level = (int)settings[OPTION_LEVEL].number;
    }
    if (to->compress == NW_CHUNK_GZIP && to->level > 12) {
        return nw_fail(err, NW_FATAL, "NW1003 %s: level %d is too high: gzip has 1 to 12",
                       config->name, to->level);
    }
    if (to->compress == NW_CHUNK_NONE && settings[OPTION_LEVEL].set) {
        return nw_fail(err, NW_FATAL, "NW1003 %s: level is for compress: gzip or zstd",
                       config->name);
    }
    to->rotate_size = (uint64_t)settings[OPTION_ROTATE_SIZE].number;
    to->rotate_ns = settings[OPTION_ROTATE_EVERY].number * 1000;
    to->buffer_size = (uint64_t)settings[OPTION_BUFFER].number;
    to->journal_size = (uint64_t)settings[OPTION_JOURNAL_SIZE].number;
    to->open_files_max = (uint32_t)settings[OPTION_OPEN_FILES].number;
    status = nw_file_form_options_read(config->name, options + OPTION_FORMS,
                                       settings + OPTION_FORMS, &to->form, err);
    return status == NW_OK && to->form.form == NW_DATA_AVRO
               ? avro_options_read(config->name, to, err)
               : status;
}

static void file_close(void *self)
{
    struct nw_file_sink *sink = self;

    if (sink == NULL) {
        return;
    }
    nw_file_reset(sink);
    if (sink->locked) {
        sink->host->file_close(sink->host, sink->lock_file);
    }
    for (uint32_t i = 0; i < sink->workers_count; i++) {
        nw_chunk_destroy(sink->workers[i].chunk);
        nw_out_fini(&sink->workers[i].packed);
        nw_out_fini(&sink->workers[i].frame);
        nw_out_fini(&sink->workers[i].keys[NW_BEFORE]);
        nw_out_fini(&sink->workers[i].keys[NW_AFTER]);
        free(sink->workers[i].ops);
    }
    (void)pthread_mutex_destroy(&sink->lock);
    free(sink);
}

static nw_status file_open(const struct nw_host *host, const struct nw_config *config,
                           uint32_t workers, void **self, struct nw_error *err)
{
    struct nw_file_sink *sink = calloc(1, sizeof *sink);
    nw_status status;

    if (sink == NULL) {
        return nw_fail(err, NW_RETRY, "out of memory for the file sink");
    }
    sink->host = host;
    if (pthread_mutex_init(&sink->lock, NULL) != 0) {
        free(sink);
        return nw_fail(err, NW_RETRY, "out of memory for the file sink");
    }
    status = options_read(config, &sink->options, err);
    if (status == NW_OK && (workers == 0 || workers > NW_DATA_WORKERS_MAX)) {
        status = nw_fail(err, NW_FATAL, "NW1014 the file sink has 1 to %u workers, not %u",
                         NW_DATA_WORKERS_MAX, workers);
    }
    for (uint32_t i = 0; i < workers && status == NW_OK; i++) {
        sink->workers[i].sink = sink;
        sink->workers[i].chunk = nw_chunk_create(sink->options.compress, sink->options.level);
        sink->workers_count = i + 1;
        if (sink->workers[i].chunk == NULL) {
            status = nw_fail(err, NW_RETRY, "out of memory for the file sink");
        }
    }
    if (status != NW_OK) {
        file_close(sink);
        return status;
    }
    *self = sink;
    return NW_OK;
}

static nw_status file_recover(void *self, struct nw_recovery *recovery, struct nw_error *err)
{
    return nw_file_recover(self, recovery, err);
}

static nw_status file_copy_resolve(void *self, uint32_t relation_oid, uint32_t generation,
                                   enum nw_copy_verdict verdict, struct nw_error *err)
{
    return nw_file_copy_resolve(self, relation_oid, generation, verdict, err);
}

/* The worker of a call, or NULL when the host made a mistake. */
static struct nw_file_worker *worker_of(void *self, uint32_t worker, struct nw_error *err)
{
    struct nw_file_sink *sink = self;

    if (worker >= sink->workers_count || !sink->recovered) {
        (void)nw_fail(err, NW_FATAL, "NW2903 worker %u was called before recover, or is none of %u",
                      worker, sink->workers_count);
        return NULL;
    }
    return &sink->workers[worker];
}

static nw_status file_table(void *self, uint32_t worker, const struct nw_table *table,
                            struct nw_error *err)
{
    struct nw_file_worker *w = worker_of(self, worker, err);
    struct nw_file_table *entered;

    return w == NULL ? NW_FATAL : nw_file_table_enter(w, table, &entered, err);
}

static nw_status file_copy_begin(void *self, uint32_t worker, const struct nw_table *table,
                                 uint32_t generation, struct nw_error *err)
{
    struct nw_file_worker *w = worker_of(self, worker, err);

    return w == NULL ? NW_FATAL : nw_file_copy_begin(w, table, generation, err);
}

static nw_status file_copy_end(void *self, uint32_t worker, const struct nw_table *table,
                               uint32_t generation, struct nw_error *err)
{
    struct nw_file_worker *w = worker_of(self, worker, err);

    return w == NULL ? NW_FATAL : nw_file_copy_end(w, table, generation, err);
}

static nw_status file_write(void *self, uint32_t worker, const struct nw_batch *batch,
                            struct nw_error *err)
{
    struct nw_file_worker *w = worker_of(self, worker, err);

    return w == NULL ? NW_FATAL : nw_file_rows(w, batch, err);
}

static nw_status file_event(void *self, uint32_t worker, const struct nw_event *event,
                            struct nw_error *err)
{
    struct nw_file_worker *w = worker_of(self, worker, err);

    return w == NULL ? NW_FATAL : nw_file_event(w, event, err);
}

static nw_status file_seal(void *self, uint32_t worker, uint64_t epoch, struct nw_error *err)
{
    struct nw_file_worker *w = worker_of(self, worker, err);

    return w == NULL ? NW_FATAL : nw_file_seal(w, epoch, err);
}

static nw_status file_commit(void *self, const struct nw_commit *commit, enum nw_outcome *outcome,
                             struct nw_error *err)
{
    return nw_file_commit(self, commit, outcome, err);
}

static const struct nw_sink_ops ops = {
    .abi = NW_SINK_ABI,
    .size = sizeof(struct nw_sink_ops),
    .name = "file",
    .version = NARWAL_VERSION,
    .flags = NW_SINK_EXCEPTIONS,
    .options_count = OPTIONS_COUNT,
    .options = options,
    .workers_max = NW_DATA_WORKERS_MAX,
    .epochs_ahead_max = 2,
    .open = file_open,
    .recover = file_recover,
    .copy_resolve = file_copy_resolve,
    .table = file_table,
    .copy_begin = file_copy_begin,
    .copy_end = file_copy_end,
    .write = file_write,
    .event = file_event,
    .seal = file_seal,
    .commit = file_commit,
    .close = file_close,
    .verify = nw_file_verify,
};

NW_EXPORT const struct nw_sink_ops *nw_sink_entry(void)
{
    return &ops;
}
