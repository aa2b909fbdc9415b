/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nw_env: the seam through which every outside effect goes. In production it is the kernel; in the
 * simulator a model that fails on purpose. Nothing bypasses it.
 *
 * Two heights: bytes (clock, randomness, files, PostgreSQL byte streams, see core/pg/stream.h) and
 * services (SQL session, see core/pg/session.h).
 */
#ifndef NW_IO_ENV_H
#define NW_IO_ENV_H

#include <stddef.h>
#include <stdint.h>

#include <narwal/sink.h>
#include <narwal/status.h>

struct nw_env;
struct nw_io;

/** The file functions have the meaning of their namesakes in struct nw_host (narwal/sink.h). */
struct nw_env_ops {
    int64_t (*now_ns)(struct nw_env *env);
    int64_t (*wall_us)(struct nw_env *env);
    void (*random)(struct nw_env *env, void *bytes, size_t size);

    nw_status (*file_open)(struct nw_env *env, const char *path, uint32_t flags, int *file,
                           struct nw_error *err);
    void (*file_close)(struct nw_env *env, int file);
    nw_status (*file_truncate)(struct nw_env *env, int file, uint64_t size, struct nw_error *err);
    nw_status (*file_size)(struct nw_env *env, int file, uint64_t *size, struct nw_error *err);
    nw_status (*file_rename)(struct nw_env *env, const char *from, const char *to,
                             struct nw_error *err);
    nw_status (*file_remove)(struct nw_env *env, const char *path, struct nw_error *err);
    nw_status (*file_lock)(struct nw_env *env, int file, struct nw_error *err);
    nw_status (*folder_create)(struct nw_env *env, const char *path, struct nw_error *err);
    nw_status (*folder_sync)(struct nw_env *env, const char *path, struct nw_error *err);
    nw_status (*folder_remove)(struct nw_env *env, const char *path, struct nw_error *err);
    nw_status (*folder_list)(struct nw_env *env, const char *path,
                             nw_status (*each)(void *context, const char *name, bool is_folder,
                                               struct nw_error *err),
                             void *context, struct nw_error *err);

    /* An I/O queue belongs to the thread that uses it. io_uring, or pread/pwrite where the kernel
     * forbids it. */
    nw_status (*io_create)(struct nw_env *env, uint32_t depth, struct nw_io **io,
                           struct nw_error *err);
    void (*io_destroy)(struct nw_env *env, struct nw_io *io);
    /** NW_AGAIN when the queue is full. The op is borrowed until io_reap gives it back. */
    nw_status (*io_submit)(struct nw_env *env, struct nw_io *io, struct nw_file_op *op,
                           struct nw_error *err);
    /**
     * Give back finished operations. Short transfers were continued: result is the whole size,
     * or less only for a READ at the end of the file, or -errno.
     * @param wait  block until at least one is done (if any is under way).
     */
    nw_status (*io_reap)(struct nw_env *env, struct nw_io *io, bool wait, struct nw_file_op **done,
                         size_t done_max, size_t *done_count, struct nw_error *err);
    /** "io_uring" or "pread", for status and tests. */
    const char *(*io_engine)(struct nw_env *env, struct nw_io *io);
};

struct nw_env {
    const struct nw_env_ops *ops;
};

enum nw_io_choice { NW_IO_AUTO, NW_IO_URING, NW_IO_PREAD };

/** The kernel's environment. @param env  give. */
NW_MUST_CHECK nw_status nw_env_system_create(enum nw_io_choice choice, struct nw_env **env,
                                             struct nw_error *err);
void nw_env_system_destroy(struct nw_env *env);

#endif
