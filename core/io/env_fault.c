/* SPDX-License-Identifier: Apache-2.0 */
/* See env_fault.h. An op that fails without happening never reaches the environment below. */
#include "io/env_fault.h"

#include <stdlib.h>
#include <string.h>

#include "base/errno.h"

struct fault {
    struct nw_env env; /* first: the two are converted into each other */
    struct nw_env *inner;
    uint64_t count, nth;
    enum nw_fault_kind kind;
    int error;
    bool fired;
    struct nw_file_op *held; /* the op that fails, until it is reaped */
    struct nw_io *held_io;
    uint32_t held_size; /* its own size, when half of it was passed on; 0: it was not */
};

static struct fault *fault_of(struct nw_env *env)
{
    return (struct fault *)(void *)env;
}

static struct nw_env *inner_of(struct nw_env *env)
{
    return fault_of(env)->inner;
}

/* Counts an operation. @return whether it is the one */
static bool fires(struct nw_env *env)
{
    struct fault *fault = fault_of(env);

    fault->count++;
    fault->fired = fault->fired || fault->count == fault->nth;
    return fault->count == fault->nth;
}

static nw_status injected(struct nw_env *env, nw_status status, const char *what,
                          struct nw_error *err)
{
    return nw_fail(err, status, "%s: %s (injected)", what, nw_errno_text(fault_of(env)->error));
}

static int64_t fault_now_ns(struct nw_env *env)
{
    return inner_of(env)->ops->now_ns(inner_of(env));
}

static int64_t fault_wall_us(struct nw_env *env)
{
    return inner_of(env)->ops->wall_us(inner_of(env));
}

static void fault_random(struct nw_env *env, void *bytes, size_t size)
{
    inner_of(env)->ops->random(inner_of(env), bytes, size);
}

static nw_status fault_file_open(struct nw_env *env, const char *path, uint32_t flags, int *file,
                                 struct nw_error *err)
{
    return fires(env) ? injected(env, NW_RETRY, path, err)
                      : inner_of(env)->ops->file_open(inner_of(env), path, flags, file, err);
}

static void fault_file_close(struct nw_env *env, int file)
{
    inner_of(env)->ops->file_close(inner_of(env), file);
}

static nw_status fault_file_truncate(struct nw_env *env, int file, uint64_t size,
                                     struct nw_error *err)
{
    return fires(env) ? injected(env, NW_RETRY, "truncate", err)
                      : inner_of(env)->ops->file_truncate(inner_of(env), file, size, err);
}

static nw_status fault_file_size(struct nw_env *env, int file, uint64_t *size, struct nw_error *err)
{
    return fires(env) ? injected(env, NW_RETRY, "size", err)
                      : inner_of(env)->ops->file_size(inner_of(env), file, size, err);
}

static nw_status fault_file_rename(struct nw_env *env, const char *from, const char *to,
                                   struct nw_error *err)
{
    return fires(env) ? injected(env, NW_RETRY, to, err)
                      : inner_of(env)->ops->file_rename(inner_of(env), from, to, err);
}

static nw_status fault_file_remove(struct nw_env *env, const char *path, struct nw_error *err)
{
    return fires(env) ? injected(env, NW_RETRY, path, err)
                      : inner_of(env)->ops->file_remove(inner_of(env), path, err);
}

static nw_status fault_file_lock(struct nw_env *env, int file, struct nw_error *err)
{
    return fires(env) ? injected(env, NW_FATAL, "lock", err)
                      : inner_of(env)->ops->file_lock(inner_of(env), file, err);
}

static nw_status fault_folder_create(struct nw_env *env, const char *path, struct nw_error *err)
{
    return fires(env) ? injected(env, NW_RETRY, path, err)
                      : inner_of(env)->ops->folder_create(inner_of(env), path, err);
}

static nw_status fault_folder_sync(struct nw_env *env, const char *path, struct nw_error *err)
{
    return fires(env) ? injected(env, NW_FATAL, path, err)
                      : inner_of(env)->ops->folder_sync(inner_of(env), path, err);
}

static nw_status fault_folder_remove(struct nw_env *env, const char *path, struct nw_error *err)
{
    return fires(env) ? injected(env, NW_RETRY, path, err)
                      : inner_of(env)->ops->folder_remove(inner_of(env), path, err);
}

static nw_status fault_folder_list(struct nw_env *env, const char *path,
                                   nw_status (*each)(void *context, const char *name,
                                                     bool is_folder, struct nw_error *err),
                                   void *context, struct nw_error *err)
{
    return fires(env) ? injected(env, NW_RETRY, path, err)
                      : inner_of(env)->ops->folder_list(inner_of(env), path, each, context, err);
}

/* ---- queues: those of the environment below ---- */

static nw_status fault_io_create(struct nw_env *env, uint32_t depth, struct nw_io **io,
                                 struct nw_error *err)
{
    return fires(env) ? injected(env, NW_FATAL, "I/O queue", err)
                      : inner_of(env)->ops->io_create(inner_of(env), depth, io, err);
}

static void fault_io_destroy(struct nw_env *env, struct nw_io *io)
{
    if (fault_of(env)->held_io == io) {
        fault_of(env)->held = NULL;
        fault_of(env)->held_io = NULL;
    }
    inner_of(env)->ops->io_destroy(inner_of(env), io);
}

static nw_status fault_io_submit(struct nw_env *env, struct nw_io *io, struct nw_file_op *op,
                                 struct nw_error *err)
{
    struct fault *fault = fault_of(env);
    bool halves = fault->kind != NW_FAULT_ERROR && op->verb == NW_FILE_WRITE && op->size > 1;
    nw_status status = NW_OK;

    if (fault->held != NULL || !fires(env)) {
        status = inner_of(env)->ops->io_submit(inner_of(env), io, op, err);
        fault->count -= status == NW_AGAIN && fault->held == NULL; /* it will come again */
        return status;
    }
    fault->held = op;
    fault->held_io = io;
    fault->held_size = halves ? op->size : 0;
    if (halves) {
        op->size /= 2;
        status = inner_of(env)->ops->io_submit(inner_of(env), io, op, err);
        if (status != NW_OK) { /* not now; it fails when it comes again */
            op->size = fault->held_size;
            fault->held = NULL;
            fault->held_io = NULL;
            fault->fired = false;
            fault->count--;
        }
    }
    return status;
}

/* The op that fails has come back from below with half of its size. */
static void held_finish(struct fault *fault)
{
    struct nw_file_op *op = fault->held;

    if (op->result >= 0 && fault->kind == NW_FAULT_TORN) {
        op->result = -fault->error;
    }
    op->size = fault->held_size;
    fault->held = NULL;
    fault->held_io = NULL;
}

/* NOLINTNEXTLINE(readability-function-size): the signature of nw_env_ops */
static nw_status fault_io_reap(struct nw_env *env, struct nw_io *io, bool wait,
                               struct nw_file_op **done, size_t done_max, size_t *done_count,
                               struct nw_error *err)
{
    struct fault *fault = fault_of(env);
    nw_status status = NW_OK;

    if (fault->held != NULL && fault->held_io == io && fault->held_size == 0 && done_max > 0) {
        fault->held->result = -fault->error;
        done[0] = fault->held;
        *done_count = 1;
        fault->held = NULL;
        fault->held_io = NULL;
        return NW_OK;
    }
    status = inner_of(env)->ops->io_reap(inner_of(env), io, wait, done, done_max, done_count, err);
    for (size_t i = 0; i < *done_count; i++) {
        if (fault->held != NULL && done[i] == fault->held) {
            held_finish(fault);
        }
    }
    return status;
}

static const char *fault_io_engine(struct nw_env *env, struct nw_io *io)
{
    return inner_of(env)->ops->io_engine(inner_of(env), io);
}

static const struct nw_env_ops FAULT_OPS = {
    .now_ns = fault_now_ns,
    .wall_us = fault_wall_us,
    .random = fault_random,
    .file_open = fault_file_open,
    .file_close = fault_file_close,
    .file_truncate = fault_file_truncate,
    .file_size = fault_file_size,
    .file_rename = fault_file_rename,
    .file_remove = fault_file_remove,
    .file_lock = fault_file_lock,
    .folder_create = fault_folder_create,
    .folder_sync = fault_folder_sync,
    .folder_remove = fault_folder_remove,
    .folder_list = fault_folder_list,
    .io_create = fault_io_create,
    .io_destroy = fault_io_destroy,
    .io_submit = fault_io_submit,
    .io_reap = fault_io_reap,
    .io_engine = fault_io_engine,
};

nw_status nw_env_fault_create(struct nw_env *inner, struct nw_env **env, struct nw_error *err)
{
    struct fault *made = calloc(1, sizeof *made);

    if (made == NULL) {
        return nw_fail(err, NW_FATAL, "out of memory for an environment with faults");
    }
    made->env.ops = &FAULT_OPS;
    made->inner = inner;
    *env = &made->env;
    return NW_OK;
}

void nw_env_fault_destroy(struct nw_env *env)
{
    free(env);
}

void nw_env_fault_arm(struct nw_env *env, uint64_t nth, enum nw_fault_kind kind, int error)
{
    struct fault *fault = fault_of(env);

    fault->count = 0;
    fault->nth = nth;
    fault->kind = kind;
    fault->error = error;
    fault->fired = false;
}

uint64_t nw_env_fault_count(const struct nw_env *env)
{
    return ((const struct fault *)(const void *)env)->count;
}

bool nw_env_fault_fired(const struct nw_env *env)
{
    return ((const struct fault *)(const void *)env)->fired;
}
