/* SPDX-License-Identifier: Apache-2.0 */
/* The table that a sink gets from narwal. See host.h. */
#include "sink/host.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/code.h"
#include "base/crash.h"
#include "base/errno.h"
#include "base/log.h"
#include "config/secret.h"
#include "sink/arrow.h"
#include "sink/sequencer.h"
#include "sink/worker.h"

#define LOG_LINE_SIZE 2048

static struct nw_sink *sink_of(const struct nw_host *host)
{
    return host->context;
}

static struct nw_env *env_of(const struct nw_host *host)
{
    return sink_of(host)->env;
}

NW_PRINTF(3, 4)
static void host_log(const struct nw_host *host, enum nw_log_level level, const char *format, ...)
{
    char line[LOG_LINE_SIZE];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(line, sizeof line, format, args);
    va_end(args);
    if (level <= NW_LOG_WARN) {
        nw_log(level, "%.6s sink %s: %s", nw_code_or(line, "NW2413"), sink_of(host)->config->name,
               nw_code_rest(line));
    } else {
        nw_log(level, "sink %s: %s", sink_of(host)->config->name, line);
    }
}

static int64_t host_now_ns(const struct nw_host *host)
{
    return env_of(host)->ops->now_ns(env_of(host));
}

static int64_t host_wall_us(const struct nw_host *host)
{
    return env_of(host)->ops->wall_us(env_of(host));
}

static void host_random(const struct nw_host *host, void *bytes, size_t size)
{
    env_of(host)->ops->random(env_of(host), bytes, size);
}

static void host_commit_done(const struct nw_host *host, uint64_t epoch, enum nw_outcome outcome,
                             const struct nw_error *err)
{
    struct nw_sink *sink = sink_of(host);

    (void)pthread_mutex_lock(&sink->lock);
    /* An answer for a later epoch holds for those before it too. */
    if (!sink->answer.set || epoch >= sink->answer.epoch) {
        memset(&sink->answer, 0, sizeof sink->answer);
        sink->answer.set = true;
        sink->answer.epoch = epoch;
        sink->answer.outcome = outcome;
        if (err != NULL) {
            sink->answer.error = *err;
            sink->answer.error.text[NW_ERROR_TEXT_SIZE - 1] = '\0';
        }
    }
    (void)pthread_mutex_unlock(&sink->lock);
    /* Acquire pairs with the release in nw_sequencer_create(). */
    nw_bell_ring(atomic_load_explicit(&sink->sequencer_bell, memory_order_acquire));
}

static nw_status host_batch_export(const struct nw_host *host, const struct nw_batch *batch,
                                   struct ArrowSchema *schema, struct ArrowArray *array,
                                   struct nw_error *err)
{
    struct nw_sink *sink = sink_of(host);

    for (uint32_t i = 0; i < sink->workers_count; i++) {
        struct nw_worker *worker = &sink->workers[i];

        /* Only the write() that runs on this worker can know this address. */
        if (batch == &worker->batch && worker->writing != NULL) {
            return nw_arrow_export(batch, &worker->writing->exports, schema, array, err);
        }
    }
    return nw_fail(
        err, NW_FATAL,
        "NW2411 batch_export() takes the batch that write() was given, while write() runs");
}

static bool may_be_asked(const char *command)
{
    static const char *const may[] = {"table refresh ", "table repair ", "tables refresh ",
                                      "tables stop "};

    for (size_t i = 0; i < sizeof may / sizeof may[0]; i++) {
        size_t size = strlen(may[i]);

        if (strncmp(command, may[i], size) == 0 && command[size] != '\0') {
            return strlen(command) < NW_HOST_COMMAND_SIZE;
        }
    }
    return strcmp(command, "copy pause") == 0 || strcmp(command, "copy resume") == 0;
}

static nw_status host_ask_all(const struct nw_host *host, struct nw_request *request,
                              struct nw_error *err)
{
    struct nw_sink *sink = sink_of(host);

    request->again = false;
    if (sink->ask == NULL || request->commands_count == 0) {
        return nw_fail(err, NW_REJECT, "NW2411 nothing can be asked for");
    }
    if ((request->key != NULL && strlen(request->key) >= NW_REQUEST_TEXT_SIZE) ||
        (request->note != NULL && strlen(request->note) >= NW_REQUEST_TEXT_SIZE)) {
        return nw_fail(err, NW_REJECT, "NW2411 the key or the note of a request is too long");
    }
    for (uint32_t i = 0; i < request->commands_count; i++) {
        if (!may_be_asked(request->commands[i])) {
            return nw_fail(err, NW_REJECT, "NW2411 this cannot be asked for: %.100s",
                           request->commands[i]);
        }
    }
    return sink->ask(sink->ask_context, sink->config->name, request, err);
}

static nw_status host_ask(const struct nw_host *host, const char *command, struct nw_error *err)
{
    struct nw_request request = {.size = sizeof request, .commands_count = 1, .commands = &command};
    nw_status status = host_ask_all(host, &request, err);

    return status == NW_RETRY ? NW_AGAIN : status;
}

static nw_status host_requests(const struct nw_host *host, nw_request_fn each, void *context,
                               struct nw_error *err)
{
    struct nw_sink *sink = sink_of(host);

    return sink->requests == NULL
               ? NW_OK
               : sink->requests(sink->ask_context, sink->config->name, each, context, err);
}

static nw_status host_copies(const struct nw_host *host, const char *command, char *names,
                             size_t size, size_t *used)
{
    struct nw_sink *sink = sink_of(host);

    *used = 0;
    return sink->copies_of == NULL
               ? NW_AGAIN
               : sink->copies_of(sink->ask_context, sink->config->name, command, names, size, used);
}

/* A number for the calling thread; never used twice. */
static uint64_t thread_number(void)
{
    static _Atomic uint64_t last;
    static _Thread_local uint64_t mine;

    if (mine == 0) {
        mine = atomic_fetch_add_explicit(&last, 1, memory_order_relaxed) + 1;
    }
    return mine;
}

/* This thread's queue. @param kept  filled: false when the caller must destroy it. */
static nw_status queue_find(struct nw_sink *sink, struct nw_io **io, bool *kept,
                            struct nw_error *err)
{
    struct nw_host_files *files = &sink->files;
    uint64_t thread = thread_number();
    nw_status status;

    *io = NULL;
    *kept = true;
    (void)pthread_mutex_lock(&files->lock);
    for (uint32_t i = 0; i < files->queues_count && *io == NULL; i++) {
        if (files->queues[i].thread == thread) {
            *io = files->queues[i].io;
        }
    }
    (void)pthread_mutex_unlock(&files->lock);
    if (*io != NULL) {
        return NW_OK;
    }
    status = sink->env->ops->io_create(sink->env, NW_HOST_QUEUE_DEPTH, io, err);
    if (status != NW_OK) {
        return status;
    }
    (void)pthread_mutex_lock(&files->lock);
    if (files->queues_count < NW_HOST_QUEUES_MAX) {
        files->queues[files->queues_count++] = (struct nw_host_queue){thread, *io};
    } else {
        *kept = false;
    }
    (void)pthread_mutex_unlock(&files->lock);
    return NW_OK;
}

/* Submits as many as the queue takes. */
static nw_status queue_fill(struct nw_env *env, struct nw_io *io, struct nw_file_op *ops,
                            size_t ops_count, size_t *submitted, struct nw_error *err)
{
    nw_status status = NW_OK;

    while (status == NW_OK && *submitted < ops_count) {
        status = env->ops->io_submit(env, io, &ops[*submitted], err);
        *submitted += status == NW_OK;
    }
    return status == NW_AGAIN ? NW_OK : status;
}

/* Submits all and waits for all; only the queue itself can fail here. */
static nw_status queue_run(struct nw_env *env, struct nw_io *io, struct nw_file_op *ops,
                           size_t ops_count, struct nw_error *err)
{
    struct nw_file_op *done[NW_HOST_QUEUE_DEPTH];
    size_t submitted = 0;
    size_t finished = 0;
    nw_status failure = queue_fill(env, io, ops, ops_count, &submitted, err);

    /* After a failure, what was submitted is still the queue's: wait for it. */
    while (finished < submitted) {
        size_t done_count = 0;
        nw_status status = env->ops->io_reap(env, io, true, done, NW_HOST_QUEUE_DEPTH, &done_count,
                                             failure == NW_OK ? err : NULL);

        if (status != NW_OK && status != NW_AGAIN) {
            return status;
        }
        finished += done_count;
        if (failure == NW_OK) {
            failure = queue_fill(env, io, ops, ops_count, &submitted, err);
        }
    }
    return failure;
}

static const char *verb_name(enum nw_file_verb verb)
{
    return verb == NW_FILE_READ ? "read" : verb == NW_FILE_WRITE ? "write" : "sync";
}

static nw_status host_files_run(const struct nw_host *host, struct nw_file_op *ops,
                                size_t ops_count, struct nw_error *err)
{
    struct nw_sink *sink = sink_of(host);
    struct nw_io *io = NULL;
    bool kept = true;
    nw_status status = queue_find(sink, &io, &kept, err);

    nw_crash_point("sink-file");
    if (status != NW_OK) {
        return status;
    }
    status = queue_run(sink->env, io, ops, ops_count, err);
    if (!kept) {
        sink->env->ops->io_destroy(sink->env, io);
    }
    for (size_t i = 0; i < ops_count && status == NW_OK; i++) {
        if (ops[i].result < 0) {
            return nw_fail(err, NW_RETRY, "NW2501 file %s of %u bytes at %llu failed: %s",
                           verb_name(ops[i].verb), ops[i].size, (unsigned long long)ops[i].offset,
                           nw_errno_text(-ops[i].result));
        }
    }
    return status;
}

static nw_status host_file_open(const struct nw_host *host, const char *path, uint32_t flags,
                                int *file, struct nw_error *err)
{
    nw_crash_point("sink-file");
    return env_of(host)->ops->file_open(env_of(host), path, flags, file, err);
}

static void host_file_close(const struct nw_host *host, int file)
{
    env_of(host)->ops->file_close(env_of(host), file);
}

static nw_status host_file_truncate(const struct nw_host *host, int file, uint64_t size,
                                    struct nw_error *err)
{
    nw_crash_point("sink-file");
    return env_of(host)->ops->file_truncate(env_of(host), file, size, err);
}

static nw_status host_file_size(const struct nw_host *host, int file, uint64_t *size,
                                struct nw_error *err)
{
    return env_of(host)->ops->file_size(env_of(host), file, size, err);
}

static nw_status host_file_rename(const struct nw_host *host, const char *from, const char *to,
                                  struct nw_error *err)
{
    nw_crash_point("sink-file");
    return env_of(host)->ops->file_rename(env_of(host), from, to, err);
}

static nw_status host_file_remove(const struct nw_host *host, const char *path,
                                  struct nw_error *err)
{
    nw_crash_point("sink-file");
    return env_of(host)->ops->file_remove(env_of(host), path, err);
}

static nw_status host_file_lock(const struct nw_host *host, int file, struct nw_error *err)
{
    return env_of(host)->ops->file_lock(env_of(host), file, err);
}

static nw_status host_folder_create(const struct nw_host *host, const char *path,
                                    struct nw_error *err)
{
    return env_of(host)->ops->folder_create(env_of(host), path, err);
}

static nw_status host_folder_sync(const struct nw_host *host, const char *path,
                                  struct nw_error *err)
{
    return env_of(host)->ops->folder_sync(env_of(host), path, err);
}

static nw_status host_folder_remove(const struct nw_host *host, const char *path,
                                    struct nw_error *err)
{
    nw_crash_point("sink-file");
    return env_of(host)->ops->folder_remove(env_of(host), path, err);
}

static nw_status host_folder_list(const struct nw_host *host, const char *path,
                                  nw_status (*each)(void *context, const char *name, bool is_folder,
                                                    struct nw_error *err),
                                  void *context, struct nw_error *err)
{
    return env_of(host)->ops->folder_list(env_of(host), path, each, context, err);
}

static nw_status host_text_now(const struct nw_host *host, uint32_t option, char *text, size_t size,
                               struct nw_error *err)
{
    const struct nw_config *config = sink_of(host)->config;
    const char *source = NULL;
    const char *found = NULL;
    char *expanded = NULL;
    nw_status status = NW_OK;

    NW_ASSERT(option < config->settings_count);
    source = config->sources == NULL ? NULL : config->sources[option];
    found = config->settings[option].text == NULL ? "" : config->settings[option].text;
    if (source != NULL) {
        struct nw_error why = {0};

        if (nw_secret_expand(source, &expanded, &why) != NW_OK) { /* as while it is replaced */
            return nw_fail(err, NW_RETRY, "%s", why.text);
        }
        found = expanded;
    }
    if (strlen(found) >= size) {
        status = nw_fail(err, NW_RETRY, "NW1005 sink %s: a secret of it is longer than %zu bytes",
                         config->name, size - 1);
    } else {
        memcpy(text, found, strlen(found) + 1);
    }
    if (expanded != NULL) {
        explicit_bzero(expanded, strlen(expanded));
        free(expanded);
    }
    return status;
}

static uint32_t host_figure_add(const struct nw_host *host, const char *name, const char *text,
                                enum nw_figure_kind kind)
{
    struct nw_sink *sink = sink_of(host);
    uint32_t figure = 0;

    (void)pthread_mutex_lock(&sink->lock);
    figure = nw_figures_add(&sink->figures, name, text, kind);
    (void)pthread_mutex_unlock(&sink->lock);
    return figure;
}

static void host_figure_set(const struct nw_host *host, uint32_t figure, double value)
{
    nw_figures_set(&sink_of(host)->figures, figure, value);
}

static bool host_leaving(const struct nw_host *host)
{
    return atomic_load_explicit(&sink_of(host)->leaves, memory_order_relaxed);
}

void nw_host_init(struct nw_sink *sink)
{
    sink->host = (struct nw_host){
        .abi = NW_SINK_ABI,
        .size = (uint32_t)sizeof(struct nw_host),
        .context = sink,
        .log = host_log,
        .now_ns = host_now_ns,
        .wall_us = host_wall_us,
        .random = host_random,
        .commit_done = host_commit_done,
        .batch_export = host_batch_export,
        .file_open = host_file_open,
        .file_close = host_file_close,
        .files_run = host_files_run,
        .file_truncate = host_file_truncate,
        .file_size = host_file_size,
        .file_rename = host_file_rename,
        .file_remove = host_file_remove,
        .folder_create = host_folder_create,
        .folder_sync = host_folder_sync,
        .folder_remove = host_folder_remove,
        .folder_list = host_folder_list,
        .file_lock = host_file_lock,
        .ask = host_ask,
        .text_now = host_text_now,
        .figure_add = host_figure_add,
        .figure_set = host_figure_set,
        .leaving = host_leaving,
        .copies = host_copies,
        .ask_all = host_ask_all,
        .requests = host_requests,
    };
    (void)pthread_mutex_init(&sink->files.lock, NULL);
    sink->files.queues_count = 0;
}

void nw_host_fini(struct nw_sink *sink)
{
    for (uint32_t i = 0; i < sink->files.queues_count; i++) {
        sink->env->ops->io_destroy(sink->env, sink->files.queues[i].io);
    }
    (void)pthread_mutex_destroy(&sink->files.lock);
}
