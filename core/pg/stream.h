/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An authenticated PostgreSQL byte stream, and the receiver that cuts it into protocol messages.
 *
 * libpq connects and authenticates; then, while the connection is idle, its socket (or its SSL
 * object) is taken over, and from there on protocol messages are ours: nothing that belongs to
 * START_REPLICATION or COPY can be left in libpq's buffer. Owned by one thread at a time.
 *
 * Message format: PostgreSQL documentation, "Message Formats"; type byte, then int32 length that
 * counts itself.
 */
#ifndef NW_PG_STREAM_H
#define NW_PG_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cursor.h"
#include "ring/agent.h"
#include <narwal/status.h>

enum nw_transport { NW_TRANSPORT_TCP, NW_TRANSPORT_UNIX, NW_TRANSPORT_TLS, NW_TRANSPORT_MODEL };

struct nw_stream;

struct nw_stream_ops {
    /* Non-blocking. NW_AGAIN: nothing there now. NW_RETRY: broken or closed by the server. */
    nw_status (*read)(struct nw_stream *stream, void *bytes, size_t size, size_t *got,
                      struct nw_error *err);
    nw_status (*write)(struct nw_stream *stream, const void *bytes, size_t size, size_t *put,
                       struct nw_error *err);
    int (*descriptor)(struct nw_stream *stream); /* to poll; -1 for a model */
    /** Bytes that poll() should wait for; a hint, no-op where the transport has no such thing. */
    void (*low_water)(struct nw_stream *stream, size_t bytes);
    bool (*pending)(struct nw_stream *stream); /* bytes already decrypted, which poll cannot see */
    void (*destroy)(struct nw_stream *stream);
};

struct nw_stream {
    const struct nw_stream_ops *ops;
    enum nw_transport transport;
};

/** A whole backend message. `body` is borrowed until the next nw_receiver_fill(). */
struct nw_message {
    char type;
    struct nw_bytes body;
    size_t cut; /* bytes behind `body` that were left out, see nw_receiver_limit() */
};

/**
 * Reads a stream so that bytes gather: while data flows, waits for 256 KiB by SO_RCVLOWAT (TCP and
 * TLS, at most 1 ms) or for 200 us (unix) before each read; when idle, wakes for the first byte.
 */
struct nw_receiver;
NW_MUST_CHECK nw_status nw_receiver_create(struct nw_stream *stream, struct nw_receiver **receiver,
                                           struct nw_error *err);
void nw_receiver_destroy(struct nw_receiver *receiver); /* not the stream; NULL is fine */

/** What is kept of a message that is larger than the limit. */
#define NW_MESSAGE_HEAD_SIZE 128u
/**
 * From now on a message of more than so many bytes (0: none is) loses all but its first
 * NW_MESSAGE_HEAD_SIZE bytes, and the buffer does not grow for it.
 */
void nw_receiver_limit(struct nw_receiver *receiver, size_t message_bytes_max);
/**
 * Read what gathered, if it is time to.
 * @param got  bytes read; 0 with NW_AGAIN when nothing was there or it is too early.
 */
NW_MUST_CHECK nw_status nw_receiver_fill(struct nw_receiver *receiver, int64_t now_ns, size_t *got,
                                         struct nw_error *err);
/** The next whole message; NW_AGAIN: fill first. NW_CORRUPT: a length no message can have. */
NW_MUST_CHECK nw_status nw_receiver_next(struct nw_receiver *receiver, struct nw_message *message,
                                         struct nw_error *err);
/** Until when, and for what, the thread may sleep. */
void nw_receiver_wait(struct nw_receiver *receiver, int64_t now_ns, struct nw_wait *wait);

/** Queues frontend messages; flushed without blocking. */
struct nw_transmitter {
    struct nw_stream *stream;
    uint8_t *bytes;
    size_t size, sent, capacity;
};
void nw_transmitter_init(struct nw_transmitter *transmitter, struct nw_stream *stream);
void nw_transmitter_fini(struct nw_transmitter *transmitter);
/** Queue one message: type, length and body are written for you. */
NW_MUST_CHECK nw_status nw_transmitter_queue(struct nw_transmitter *transmitter, char type,
                                             const void *body, size_t size, struct nw_error *err);
/** NW_AGAIN: some is still queued. */
NW_MUST_CHECK nw_status nw_transmitter_flush(struct nw_transmitter *transmitter,
                                             struct nw_error *err);

/** Turn an ErrorResponse or NoticeResponse body into severity, SQLSTATE and message. */
struct nw_server_error {
    char severity[16];
    char sqlstate[6];
    char message[512];
    char detail[512];
};
void nw_server_error_parse(struct nw_bytes body, struct nw_server_error *error);

#endif
