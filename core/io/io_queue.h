/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel's I/O queues behind nw_env_ops: io_uring, or pread and pwrite. See io_queue.c. */
#ifndef NW_IO_IO_QUEUE_H
#define NW_IO_IO_QUEUE_H

#include "io/env.h"

struct nw_env_system {
    struct nw_env env; /* first: the two are converted into each other */
    enum nw_io_choice choice;
};

nw_status nw_io_queue_create(struct nw_env *env, uint32_t depth, struct nw_io **io,
                             struct nw_error *err);
void nw_io_queue_destroy(struct nw_env *env, struct nw_io *io);
nw_status nw_io_queue_submit(struct nw_env *env, struct nw_io *io, struct nw_file_op *op,
                             struct nw_error *err);
nw_status nw_io_queue_reap(struct nw_env *env, struct nw_io *io, bool wait,
                           struct nw_file_op **done, size_t done_max, size_t *done_count,
                           struct nw_error *err);
const char *nw_io_queue_engine(struct nw_env *env, struct nw_io *io);

#endif
