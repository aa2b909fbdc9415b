/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The half of a stream that a model does nothing in: it has no socket to poll, nothing decrypted,
 * and its owner frees it. For tests, the simulator and the fuzz target, which write the other half.
 */
#ifndef TEST_MODEL_STREAM_H
#define TEST_MODEL_STREAM_H

#include "pg/stream.h"

/** The initialiser of a model's table; what has to be written is its read and write. */
#define MODEL_STREAM_OPS(read_bytes, write_bytes)                                                  \
    {                                                                                              \
        .read = (read_bytes), .write = (write_bytes), .descriptor = model_stream_descriptor,       \
        .low_water = model_stream_low_water, .pending = model_stream_pending,                      \
        .destroy = model_stream_destroy                                                            \
    }

static inline int model_stream_descriptor(struct nw_stream *stream)
{
    (void)stream;
    return -1;
}

static inline void model_stream_low_water(struct nw_stream *stream, size_t bytes)
{
    (void)stream;
    (void)bytes;
}

static inline bool model_stream_pending(struct nw_stream *stream)
{
    (void)stream;
    return false;
}

static inline void model_stream_destroy(struct nw_stream *stream)
{
    (void)stream;
}

#endif
