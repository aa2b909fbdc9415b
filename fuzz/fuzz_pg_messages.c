/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes from a server that means ill: through the receiver, in pieces as the first byte says, and
 * through what reads walsender messages and errors. One thread.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "pg/replication.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct model {
    struct nw_stream base;
    const uint8_t *at;
    size_t left;
    size_t piece;
};

static nw_status read_piece(struct nw_stream *stream, void *bytes, size_t size, size_t *got,
                            struct nw_error *err)
{
    struct model *self = (struct model *)stream;
    size_t count = self->left < self->piece ? self->left : self->piece;

    count = count < size ? count : size;
    *got = count;
    if (count == 0) {
        return nw_fail(err, NW_RETRY, "the end");
    }
    memcpy(bytes, self->at, count);
    self->at += count;
    self->left -= count;
    return NW_OK;
}

static void ignore_low_water(struct nw_stream *stream, size_t bytes)
{
    (void)stream;
    (void)bytes;
}

static const struct nw_stream_ops ops = {.read = read_piece, .low_water = ignore_low_water};

/* Touch every byte, so that a sanitizer sees a wrong slice. */
static uint32_t sum(struct nw_bytes bytes)
{
    uint32_t total = 0;

    for (size_t i = 0; i < bytes.size; i++) {
        total += bytes.at[i];
    }
    return total;
}

static void look_at(const struct nw_message *message)
{
    struct nw_replication_message inner;
    struct nw_server_error said;
    struct nw_error err;
    volatile uint32_t total = sum(message->body);

    if (nw_replication_message_parse(message->body, &inner, &err) == NW_OK) {
        total += sum(inner.data);
    }
    nw_server_error_parse(message->body, &said);
    (void)total;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }

    struct model model = {.base = {.ops = &ops, .transport = NW_TRANSPORT_UNIX},
                          .at = data + 1,
                          .left = size - 1,
                          .piece = (size_t)data[0] + 1};
    struct nw_receiver *receiver = NULL;
    struct nw_error err;
    nw_status status = nw_receiver_create(&model.base, &receiver, &err);
    int64_t now_ns = 0;

    while (status == NW_OK) {
        struct nw_message message;
        size_t got = 0;

        while ((status = nw_receiver_next(receiver, &message, &err)) == NW_OK) {
            look_at(&message);
        }
        now_ns += 1000000000;
        if (status == NW_AGAIN) {
            status = nw_receiver_fill(receiver, now_ns, &got, &err);
        }
    }
    nw_receiver_destroy(receiver);
    return 0;
}
