/* SPDX-License-Identifier: Apache-2.0 */
/*
 * I/O queues. A queue belongs to the thread that uses it.
 *
 * io_uring is probed when the first queue is made; where the kernel or a seccomp filter forbids it
 * the same interface runs on pread, pwrite and fdatasync, at submission. Short transfers are
 * continued until the operation is whole, the file ends, or an error comes.
 */
#include "io/io_queue.h"

#include <errno.h>
#include <liburing.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/errno.h"

#define DEPTH_MAX 4096u

/* An operation under way. */
struct slot {
    struct nw_file_op *op;
    uint32_t moved; /* bytes transferred so far */
    struct slot *next_free;
};

struct nw_io {
    bool uring;
    struct io_uring ring;
    uint32_t depth;
    struct slot *slots;
    struct slot *free_slots;
    uint32_t under_way;
    /* finished operations of the other engine, in order; as many as there are slots */
    struct nw_file_op **finished;
    uint32_t finished_count;
};

/* A kernel may have the ring and not yet all that we ask of it (before 5.6). */
static bool uring_suffices(struct io_uring *ring)
{
    struct io_uring_probe *probe = io_uring_get_probe_ring(ring);
    bool suffices = probe != NULL && io_uring_opcode_supported(probe, IORING_OP_READ) &&
                    io_uring_opcode_supported(probe, IORING_OP_WRITE) &&
                    io_uring_opcode_supported(probe, IORING_OP_FSYNC);

    io_uring_free_probe(probe);
    return suffices;
}

static nw_status uring_setup(struct nw_io *io, enum nw_io_choice choice, struct nw_error *err)
{
    int result = 0;

    if (choice == NW_IO_PREAD) {
        return NW_OK;
    }
    result = io_uring_queue_init(io->depth, &io->ring, 0);
    if (result == 0 && !uring_suffices(&io->ring)) {
        io_uring_queue_exit(&io->ring);
        result = -ENOSYS;
    }
    io->uring = result == 0;
    if (result < 0 && choice == NW_IO_URING) {
        return nw_fail(err, NW_FATAL, "NW2901 this kernel does not let us use io_uring: %s",
                       nw_errno_text(-result));
    }
    return NW_OK;
}

nw_status nw_io_queue_create(struct nw_env *env, uint32_t depth, struct nw_io **io,
                             struct nw_error *err)
{
    const struct nw_env_system *system = (const struct nw_env_system *)env;
    struct nw_io *made = calloc(1, sizeof *made);
    nw_status status = NW_OK;

    NW_ASSERT(depth > 0 && depth <= DEPTH_MAX);
    if (made != NULL) {
        made->depth = depth;
        made->slots = calloc(depth, sizeof *made->slots);
        made->finished = calloc(depth, sizeof *made->finished);
    }
    if (made == NULL || made->slots == NULL || made->finished == NULL) {
        status = nw_fail(err, NW_FATAL, "out of memory for an I/O queue");
    } else {
        status = uring_setup(made, system->choice, err);
    }
    if (status != NW_OK) {
        nw_io_queue_destroy(env, made);
        return status;
    }
    for (uint32_t i = 0; i < depth; i++) {
        made->slots[i].next_free = made->free_slots;
        made->free_slots = &made->slots[i];
    }
    *io = made;
    return NW_OK;
}

/*
 * The kernel may still write into buffers of operations that it has, which their owner frees next.
 * Those that it was not given yet are forgotten: their files may be closed by now.
 */
static void uring_settle(struct nw_io *io)
{
    uint32_t running = io->under_way - io_uring_sq_ready(&io->ring);
    struct io_uring_cqe *cqe = NULL;

    while (running > 0) {
        int result = io_uring_wait_cqe(&io->ring, &cqe);

        if (result == 0) {
            io_uring_cqe_seen(&io->ring, cqe);
            running--;
        } else if (result != -EINTR && result != -EAGAIN) {
            return;
        }
    }
}

void nw_io_queue_destroy(struct nw_env *env, struct nw_io *io)
{
    (void)env;
    if (io != NULL) {
        if (io->uring) {
            uring_settle(io);
            io_uring_queue_exit(&io->ring);
        }
        free(io->slots);
        free(io->finished);
        free(io);
    }
}

const char *nw_io_queue_engine(struct nw_env *env, struct nw_io *io)
{
    (void)env;
    return io->uring ? "io_uring" : "pread";
}

static ssize_t op_step(const struct nw_file_op *op, uint32_t moved)
{
    uint8_t *at = (uint8_t *)op->bytes + moved;
    off_t offset = (off_t)(op->offset + moved);

    return op->verb == NW_FILE_READ ? pread(op->file, at, op->size - moved, offset)
                                    : pwrite(op->file, at, op->size - moved, offset);
}

/* Runs an operation now. @return its result */
static int32_t op_run(const struct nw_file_op *op)
{
    uint32_t moved = 0;

    if (op->verb == NW_FILE_SYNC) {
        return fdatasync(op->file) == 0 ? 0 : -errno;
    }
    while (moved < op->size) {
        ssize_t got = op_step(op, moved);

        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return -errno;
        }
        if (got == 0) {
            return op->verb == NW_FILE_READ ? (int32_t)moved : -EIO;
        }
        moved += (uint32_t)got;
    }
    return (int32_t)moved;
}

/* Queues what is left of an operation. The ring has room: there are no more slots than entries. */
static void slot_queue(struct nw_io *io, struct slot *slot)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&io->ring);
    const struct nw_file_op *op = slot->op;
    uint8_t *at = op->bytes == NULL ? NULL : (uint8_t *)op->bytes + slot->moved;

    if (sqe == NULL) { /* the kernel has not taken the queued ones yet */
        (void)io_uring_submit(&io->ring);
        sqe = io_uring_get_sqe(&io->ring);
    }
    NW_ASSERT(sqe != NULL);
    switch (op->verb) {
    case NW_FILE_READ:
        io_uring_prep_read(sqe, op->file, at, op->size - slot->moved, op->offset + slot->moved);
        break;
    case NW_FILE_WRITE:
        io_uring_prep_write(sqe, op->file, at, op->size - slot->moved, op->offset + slot->moved);
        break;
    case NW_FILE_SYNC:
        io_uring_prep_fsync(sqe, op->file, IORING_FSYNC_DATASYNC);
        break;
    }
    io_uring_sqe_set_data(sqe, slot);
}

nw_status nw_io_queue_submit(struct nw_env *env, struct nw_io *io, struct nw_file_op *op,
                             struct nw_error *err)
{
    struct slot *slot = io->free_slots;

    (void)env;
    (void)err;
    NW_ASSERT(op->size <= INT32_MAX); /* the result must be able to say so */
    if (!io->uring) {
        if (io->finished_count == io->depth) {
            return NW_AGAIN;
        }
        op->result = op_run(op);
        io->finished[io->finished_count++] = op;
        return NW_OK;
    }
    if (slot == NULL) {
        return NW_AGAIN;
    }
    io->free_slots = slot->next_free;
    slot->op = op;
    slot->moved = 0;
    io->under_way++;
    slot_queue(io, slot);
    return NW_OK;
}

/* @return whether the operation is over; otherwise the rest of it was queued again. */
static bool completion_take(struct nw_io *io, struct slot *slot, int32_t result)
{
    struct nw_file_op *op = slot->op;

    if (result == -EINTR || result == -EAGAIN) {
        slot_queue(io, slot);
        return false;
    }
    if (result > 0 && op->verb != NW_FILE_SYNC) {
        slot->moved += (uint32_t)result;
        if (slot->moved < op->size) {
            slot_queue(io, slot);
            return false;
        }
    }
    if (result < 0) {
        op->result = result;
    } else if (result == 0 && op->verb == NW_FILE_WRITE && op->size > 0) {
        op->result = -EIO;
    } else {
        op->result = (int32_t)slot->moved;
    }
    slot->next_free = io->free_slots;
    io->free_slots = slot;
    io->under_way--;
    return true;
}

static size_t completions_take(struct nw_io *io, struct nw_file_op **done, size_t done_max)
{
    struct io_uring_cqe *cqe = NULL;
    size_t count = 0;

    while (count < done_max && io_uring_peek_cqe(&io->ring, &cqe) == 0) {
        struct slot *slot = io_uring_cqe_get_data(cqe);
        int32_t result = cqe->res;
        struct nw_file_op *op = slot->op;

        io_uring_cqe_seen(&io->ring, cqe);
        if (completion_take(io, slot, result)) {
            done[count++] = op;
        }
    }
    return count;
}

static nw_status uring_reap(struct nw_io *io, bool wait, struct nw_file_op **done, size_t done_max,
                            size_t *done_count, struct nw_error *err)
{
    *done_count = 0;
    for (;;) {
        bool block = wait && io->under_way > 0;
        int result = block ? io_uring_submit_and_wait(&io->ring, 1) : io_uring_submit(&io->ring);

        if (result < 0 && result != -EINTR && result != -EAGAIN && result != -EBUSY) {
            return nw_fail(err, NW_FATAL, "NW2901 io_uring failed: %s", nw_errno_text(-result));
        }
        *done_count = completions_take(io, done, done_max);
        if (*done_count > 0 || !block) {
            /* continued operations are handed over with the next reap or submit */
            (void)io_uring_submit(&io->ring);
            return NW_OK;
        }
    }
}

/* NOLINTNEXTLINE(readability-function-size): the signature of nw_env_ops */
nw_status nw_io_queue_reap(struct nw_env *env, struct nw_io *io, bool wait,
                           struct nw_file_op **done, size_t done_max, size_t *done_count,
                           struct nw_error *err)
{
    size_t count = io->finished_count < done_max ? io->finished_count : done_max;

    (void)env;
    if (io->uring) {
        return uring_reap(io, wait, done, done_max, done_count, err);
    }
    memcpy(done, io->finished, count * sizeof *done);
    memmove(io->finished, io->finished + count,
            (io->finished_count - count) * sizeof *io->finished);
    io->finished_count -= (uint32_t)count;
    *done_count = count;
    return NW_OK;
}
