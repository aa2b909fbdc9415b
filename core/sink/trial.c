/* SPDX-License-Identifier: Apache-2.0 */
/* See trial.h. All state belongs to the caller's thread. */
#include "sink/trial.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/assert.h"
#include "sink/sink.h"
#include "sink/worker.h"

#define GENERATION   1u
#define PATH_SIZE    4096u
#define PAUSE_NS     1000000
#define PAUSES_MAX   1000u
#define DEPTH_MAX    4
#define POSITION     "plan"
#define POSITION_LSN 1u

struct nw_trial {
    struct nw_trial_options options;
    struct nw_sink *sink; /* for its host; its threads are never started */
    void *self;           /* the plugin's; NULL: not open */
    const struct nw_table *table;
    uint64_t epoch;
    uint64_t bytes; /* in the folder, at the last end */
    int64_t cpu_ns;
};

static int64_t cpu_now_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

nw_status nw_trial_create(const struct nw_trial_options *options, struct nw_trial **trial,
                          struct nw_error *err)
{
    struct nw_trial *made = calloc(1, sizeof *made);
    struct nw_recovery recovery = {.size = (uint32_t)sizeof recovery};
    const struct nw_sink_options sink = {.env = options->env,
                                         .plugin = options->plugin,
                                         .config = options->config,
                                         .workers_count = 1};
    nw_status status = NW_OK;

    if (made == NULL) {
        return nw_fail(err, NW_FATAL, "out of memory for a trial of a sink");
    }
    made->options = *options;
    status = nw_sink_create(&sink, &made->sink, err);
    if (status == NW_OK) {
        status = options->plugin->ops.open(&made->sink->host, options->config, 1, &made->self, err);
    }
    if (status == NW_OK) {
        status = options->plugin->ops.recover(made->self, &recovery, err);
    }
    if (status != NW_OK) {
        nw_trial_destroy(made);
        return status;
    }
    *trial = made;
    return NW_OK;
}

void nw_trial_destroy(struct nw_trial *trial)
{
    if (trial == NULL) {
        return;
    }
    if (trial->self != NULL) {
        trial->options.plugin->ops.close(trial->self);
    }
    nw_sink_destroy(trial->sink);
    free(trial);
}

nw_status nw_trial_begin(struct nw_trial *trial, const struct nw_table *table, struct nw_error *err)
{
    const struct nw_sink_ops *ops = &trial->options.plugin->ops;
    nw_status status = ops->table(trial->self, 0, table, err);

    NW_ASSERT(trial->table == NULL);
    trial->cpu_ns = 0;
    if (status == NW_OK && ops->copy_begin != NULL) {
        status = ops->copy_begin(trial->self, 0, table, GENERATION, err);
    }
    trial->table = status == NW_OK ? table : NULL;
    return status;
}

nw_status nw_trial_write(struct nw_trial *trial, const struct nw_batch *batch, struct nw_error *err)
{
    int64_t started_ns = cpu_now_ns();
    nw_status status = trial->options.plugin->ops.write(trial->self, 0, batch, err);

    for (uint32_t i = 0; status == NW_AGAIN && i < PAUSES_MAX; i++) {
        (void)nanosleep(&(struct timespec){.tv_nsec = PAUSE_NS}, NULL);
        status = trial->options.plugin->ops.write(trial->self, 0, batch, err);
    }
    trial->cpu_ns += cpu_now_ns() - started_ns;
    return status == NW_AGAIN
               ? nw_fail(err, NW_RETRY, "NW1508 sink %s takes no rows", trial->options.config->name)
               : status;
}

/* ---- the size of what was written ---- */

struct visit {
    struct nw_env *env;
    const char *path;
    uint64_t bytes;
    int depth;
};

static nw_status folder_size(struct nw_env *env, const char *path, int depth, uint64_t *bytes,
                             struct nw_error *err);

/* Journals and locks are not data: their names begin with an underscore. */
static nw_status entry_size(void *context, const char *name, bool is_folder, struct nw_error *err)
{
    struct visit *visit = context;
    char path[PATH_SIZE];
    uint64_t size = 0;
    int file = -1;
    nw_status status = NW_OK;

    if (name[0] == '_') {
        return NW_OK;
    }
    if (snprintf(path, sizeof path, "%s/%s", visit->path, name) >= (int)sizeof path) {
        return nw_fail(err, NW_FATAL, "NW1508 a path below %s is too long", visit->path);
    }
    if (is_folder) {
        return folder_size(visit->env, path, visit->depth + 1, &visit->bytes, err);
    }
    status = visit->env->ops->file_open(visit->env, path, NW_FILE_READ_ONLY, &file, err);
    if (status == NW_OK) {
        status = visit->env->ops->file_size(visit->env, file, &size, err);
        visit->env->ops->file_close(visit->env, file);
    }
    visit->bytes += size;
    return status;
}

/* Adds what lies below. */
/* NOLINTNEXTLINE(misc-no-recursion): DEPTH_MAX folders deep */
static nw_status folder_size(struct nw_env *env, const char *path, int depth, uint64_t *bytes,
                             struct nw_error *err)
{
    struct visit visit = {.env = env, .path = path, .depth = depth};
    nw_status status = NW_OK;

    if (depth < DEPTH_MAX) {
        status = env->ops->folder_list(env, path, entry_size, &visit, err);
    }
    *bytes += visit.bytes;
    return status;
}

/* Everything so far becomes durable, and so has its size. */
static nw_status commit(struct nw_trial *trial, struct nw_error *err)
{
    static const uint8_t position_bytes[] = POSITION;
    const struct nw_position position = {position_bytes, sizeof position_bytes, POSITION_LSN};
    const struct nw_copy_state copy = {.relation_oid = trial->table->relation_oid,
                                       .generation = GENERATION,
                                       .complete = true,
                                       .bytes = position_bytes,
                                       .size = sizeof position_bytes};
    const struct nw_commit commit = {.size = (uint32_t)sizeof commit,
                                     .positions_count = 1,
                                     .epoch = trial->epoch,
                                     .positions = &position,
                                     .copies_count = 1,
                                     .copies = &copy};
    enum nw_outcome outcome = NW_UNKNOWN;
    nw_status status = trial->options.plugin->ops.commit(trial->self, &commit, &outcome, err);

    if (status == NW_OK && outcome != NW_COMMITTED) {
        status = nw_fail(err, NW_RETRY, "NW1508 sink %s did not commit at once",
                         trial->options.config->name);
    }
    return status;
}

nw_status nw_trial_end(struct nw_trial *trial, uint64_t *bytes, int64_t *cpu_ns,
                       struct nw_error *err)
{
    const struct nw_sink_ops *ops = &trial->options.plugin->ops;
    int64_t started_ns = cpu_now_ns();
    uint64_t total = 0;
    nw_status status = NW_OK;

    NW_ASSERT(trial->table != NULL);
    if (ops->copy_end != NULL) {
        status = ops->copy_end(trial->self, 0, trial->table, GENERATION, err);
    }
    if (status == NW_OK) {
        status = ops->seal(trial->self, 0, ++trial->epoch, err);
    }
    trial->cpu_ns += cpu_now_ns() - started_ns;
    if (status == NW_OK) {
        status = commit(trial, err);
    }
    trial->table = NULL;
    if (status == NW_OK && trial->options.folder != NULL) {
        status = folder_size(trial->options.env, trial->options.folder, 0, &total, err);
    }
    *bytes = total > trial->bytes ? total - trial->bytes : 0;
    *cpu_ns = trial->cpu_ns;
    trial->bytes = total;
    return status;
}
