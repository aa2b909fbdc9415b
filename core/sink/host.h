/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table that a sink gets from narwal: log, clocks, files, answers to commits, Arrow export.
 *
 * Every function may be called from any thread of the plugin. Each thread that runs file operations
 * gets an I/O queue of its own, kept until the sink is destroyed.
 */
#ifndef NW_SINK_HOST_H
#define NW_SINK_HOST_H

#include <pthread.h>
#include <stdint.h>

#include "io/env.h"
#include <narwal/sink.h>

struct nw_sink;

/** A command that a plugin may ask for, with its NUL. */
#define NW_HOST_COMMAND_SIZE 1024u

/** Threads of one sink whose queue is kept; a thread beyond them gets one for each call. */
#define NW_HOST_QUEUES_MAX 64u
/** Operations under way in one queue. */
#define NW_HOST_QUEUE_DEPTH 32u

struct nw_host_queue {
    uint64_t thread; /* a number of the calling thread that is never used again */
    struct nw_io *io;
};

struct nw_host_files {
    pthread_mutex_t lock; /* guards the list; each queue is its thread's own */
    uint32_t queues_count;
    struct nw_host_queue queues[NW_HOST_QUEUES_MAX];
};

/** Fill sink->host and sink->files. */
void nw_host_init(struct nw_sink *sink);
/** No plugin thread runs file operations any more. */
void nw_host_fini(struct nw_sink *sink);

#endif
