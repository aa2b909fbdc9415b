/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frontend messages on their way out, and the server's errors on their way in. A transmitter
 * belongs to the thread that owns its stream.
 *
 * Format: PostgreSQL documentation, "Message Formats" and "Error and Notice Message Fields".
 */
#include "pg/stream.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "pg/explain.h"

#define TRANSMITTER_BYTES_MAX 4194304u /* unsent; a server that lets this gather is not reading */
#define HEADER_SIZE           5u

void nw_transmitter_init(struct nw_transmitter *transmitter, struct nw_stream *stream)
{
    *transmitter = (struct nw_transmitter){.stream = stream};
}

void nw_transmitter_fini(struct nw_transmitter *transmitter)
{
    free(transmitter->bytes);
    *transmitter = (struct nw_transmitter){0};
}

static nw_status reserve(struct nw_transmitter *transmitter, size_t size, struct nw_error *err)
{
    if (transmitter->sent > 0) {
        transmitter->size -= transmitter->sent;
        memmove(transmitter->bytes, transmitter->bytes + transmitter->sent, transmitter->size);
        transmitter->sent = 0;
    }
    if (size <= transmitter->capacity - transmitter->size) {
        return NW_OK;
    }
    if (size > TRANSMITTER_BYTES_MAX - transmitter->size) {
        return nw_fail(err, NW_RETRY,
                       "NW1117 the server does not read what we send: %zu bytes wait",
                       transmitter->size);
    }

    size_t capacity = transmitter->capacity == 0 ? 4096 : transmitter->capacity;

    while (size > capacity - transmitter->size) {
        capacity *= 2;
    }

    uint8_t *bytes = realloc(transmitter->bytes, capacity);

    if (bytes == NULL) {
        return nw_fail(err, NW_RETRY, "no memory for %zu bytes to send", capacity);
    }
    transmitter->bytes = bytes;
    transmitter->capacity = capacity;
    return NW_OK;
}

nw_status nw_transmitter_queue(struct nw_transmitter *transmitter, char type, const void *body,
                               size_t size, struct nw_error *err)
{
    NW_ASSERT(size == 0 || body != NULL);
    if (size > TRANSMITTER_BYTES_MAX - HEADER_SIZE) {
        return nw_fail(err, NW_FATAL, "NW2903 a message of %zu bytes is more than we send", size);
    }

    nw_status status = reserve(transmitter, size + HEADER_SIZE, err);

    if (status != NW_OK) {
        return status;
    }

    uint8_t *at = transmitter->bytes + transmitter->size;
    uint32_t length = __builtin_bswap32((uint32_t)size + 4);

    at[0] = (uint8_t)type;
    memcpy(at + 1, &length, sizeof length);
    if (size > 0) {
        memcpy(at + HEADER_SIZE, body, size);
    }
    transmitter->size += size + HEADER_SIZE;
    return NW_OK;
}

nw_status nw_transmitter_flush(struct nw_transmitter *transmitter, struct nw_error *err)
{
    struct nw_stream *stream = transmitter->stream;

    while (transmitter->sent < transmitter->size) {
        size_t put = 0;
        nw_status status = stream->ops->write(stream, transmitter->bytes + transmitter->sent,
                                              transmitter->size - transmitter->sent, &put, err);

        if (status != NW_OK) {
            return status;
        }
        transmitter->sent += put;
    }
    transmitter->sent = 0;
    transmitter->size = 0;
    return NW_OK;
}

void nw_server_error_parse(struct nw_bytes body, struct nw_server_error *error)
{
    struct nw_cursor cursor = nw_cursor_of(body.at, body.size);

    *error = (struct nw_server_error){0};
    for (;;) {
        uint8_t field = nw_cursor_u8(&cursor);
        const char *text = field == 0 ? "" : nw_cursor_text(&cursor);

        if (field == 0 || cursor.failed) {
            break;
        }
        if (field == 'V' || (field == 'S' && error->severity[0] == '\0')) {
            /* V is S untranslated. */
            (void)snprintf(error->severity, sizeof error->severity, "%s", text);
        } else if (field == 'C') {
            (void)snprintf(error->sqlstate, sizeof error->sqlstate, "%s", text);
        } else if (field == 'M') {
            (void)snprintf(error->message, sizeof error->message, "%s", text);
        } else if (field == 'D') {
            (void)snprintf(error->detail, sizeof error->detail, "%s", text);
        }
    }
    if (nw_server_words_hide(error->sqlstate, error->message, sizeof error->message)) {
        error->detail[0] = '\0';
    }
}
