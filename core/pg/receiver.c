/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The receiver: one buffer, messages cut in place. Owned by the thread that owns the stream.
 *
 * Two ways of waiting. In the immediate way every arrival is read at once: few messages, low
 * latency. In the gathering way bytes are left in the kernel until there are LOW_WATER_BYTES (TCP,
 * by SO_RCVLOWAT, which poll honours) or until a short time has passed: a reader that wakes
 * for each row makes the walsender pay for the wake-up. Reads that follow each other quickly, or
 * one large read, lead to gathering; reads that bring little lead back, but when the sender only
 * pauses in the middle of much, the first read after the pause is enough to gather again.
 */
#include "pg/stream.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

#define BUFFER_BYTES 1048576u /* at rest */
/* A message holds one row, and PostgreSQL builds it in one allocation, of less than 1 GiB. */
#define MESSAGE_BYTES_MAX (1073741824u + 65536u)
#define READ_BYTES_MIN                                                                             \
    262144u                    /* less room than this at the end: move what is left to the front   \
                                */
#define SHRINK_AFTER_FILLS 64u /* reads in a row that needed no more than BUFFER_BYTES */

#define LOW_WATER_BYTES 262144u
#define TCP_GATHER_NS   1000000
#define SHORT_GATHER_NS 200000 /* unix sockets hold little, and then the sender blocks */
#define NOT_DUE         INT64_MAX
#define PROBE_NS        20000 /* between looks at whether LOW_WATER_BYTES are there */
#define DRAINED_NS      20000 /* what was found empty is not read again so soon, but after a poll */

#define BURST_READS      8u      /* this many immediate reads ... */
#define BURST_NS         2000000 /* ... within this time lead to gathering, */
#define LARGE_READ_BYTES 65536u  /* and so does one of this size */
#define CALM_READS       4u      /* this many gathered reads ... */
#define CALM_BYTES       4096u   /* ... with less than this in all lead back; less in less time */
#define BULK_BYTES       4096u   /* one gathered read of this size: much is under way */
#define LULL_NS          5000000 /* so long after it silence is a pause, not the end */

#define HEADER_SIZE 5u

struct nw_receiver {
    struct nw_stream *stream;
    uint8_t *bytes;
    size_t capacity;
    size_t start;  /* of the next message */
    size_t end;    /* of what was read */
    size_t needed; /* size of the message at start, once its header is there and it is not whole */
    size_t limit;  /* messages above it are cut; 0: none is */
    size_t left_out; /* bytes still to come of a message that was cut */
    uint32_t fills_small;

    bool gathering;
    bool more;        /* the last read ended for want of room, not of bytes */
    bool drained;     /* the last read took all that was there, and nobody polled since */
    int64_t read_ns;  /* time of the last read */
    int64_t due_ns;   /* gathering: read no later than this; NOT_DUE: not settled yet */
    int64_t probe_ns; /* gathering over TCP: no look before this */
    int64_t burst_ns; /* immediate: when the run of reads began */
    int64_t bulk_ns;  /* the last gathered read of BULK_BYTES */
    uint32_t reads;   /* in the run (immediate), or since the last verdict (gathering) */
    size_t reads_bytes;
};

nw_status nw_receiver_create(struct nw_stream *stream, struct nw_receiver **receiver,
                             struct nw_error *err)
{
    struct nw_receiver *self = calloc(1, sizeof *self);

    if (self != NULL) {
        self->bytes = malloc(BUFFER_BYTES);
    }
    if (self == NULL || self->bytes == NULL) {
        free(self);
        return nw_fail(err, NW_RETRY, "no memory for a receive buffer");
    }
    self->stream = stream;
    self->capacity = BUFFER_BYTES;
    self->bulk_ns = INT64_MIN / 2;
    stream->ops->low_water(stream, 1);
    *receiver = self;
    return NW_OK;
}

void nw_receiver_destroy(struct nw_receiver *receiver)
{
    if (receiver != NULL) {
        free(receiver->bytes);
        free(receiver);
    }
}

void nw_receiver_limit(struct nw_receiver *receiver, size_t message_bytes_max)
{
    receiver->limit = message_bytes_max;
}

/* Passes over what came of a message that was cut. @return whether that was all of it */
static bool rest_skip(struct nw_receiver *self)
{
    size_t there = self->end - self->start;
    size_t count = there < self->left_out ? there : self->left_out;

    self->start += count;
    self->left_out -= count;
    return self->left_out == 0;
}

/* The head of a message that is too large, once it is there. */
static nw_status head_take(struct nw_receiver *self, struct nw_cursor *header, uint32_t length,
                           struct nw_message *message)
{
    if (header->left < NW_MESSAGE_HEAD_SIZE) {
        self->needed = HEADER_SIZE + NW_MESSAGE_HEAD_SIZE;
        return NW_AGAIN;
    }
    message->body = (struct nw_bytes){header->at, NW_MESSAGE_HEAD_SIZE};
    message->cut = self->left_out = length - 4 - NW_MESSAGE_HEAD_SIZE;
    self->start += HEADER_SIZE + NW_MESSAGE_HEAD_SIZE;
    self->needed = 0;
    return NW_OK;
}

nw_status nw_receiver_next(struct nw_receiver *receiver, struct nw_message *message,
                           struct nw_error *err)
{
    bool skipped = rest_skip(receiver);
    size_t left = receiver->end - receiver->start;
    struct nw_cursor header = nw_cursor_of(receiver->bytes + receiver->start, left);

    if (!skipped || left < HEADER_SIZE) {
        receiver->needed = 0;
        return NW_AGAIN;
    }

    uint8_t type = nw_cursor_u8(&header);
    uint32_t length = nw_cursor_u32be(&header);

    if (length < 4 || length > MESSAGE_BYTES_MAX) {
        return nw_fail(err, NW_CORRUPT,
                       "the server sent a message of type 0x%02x with the impossible length %u",
                       type, length);
    }
    message->type = (char)type;
    message->cut = 0;
    if (receiver->limit != 0 && length > receiver->limit && length - 4 > NW_MESSAGE_HEAD_SIZE) {
        return head_take(receiver, &header, length, message);
    }
    if (length - 4 > header.left) {
        receiver->needed = (size_t)length + 1;
        return NW_AGAIN;
    }
    message->body = (struct nw_bytes){header.at, length - 4};
    receiver->start += (size_t)length + 1;
    receiver->needed = 0;
    return NW_OK;
}

/* Whether whole messages, or at least one's header, wait to be taken and fill most of the buffer.
 */
static bool must_consume_first(const struct nw_receiver *self)
{
    return self->needed == 0 && self->capacity - self->end < READ_BYTES_MIN &&
           self->end - self->start > self->capacity / 2;
}

static nw_status resize(struct nw_receiver *self, size_t capacity, struct nw_error *err)
{
    size_t left = self->end - self->start;
    uint8_t *bytes = NULL;

    if (self->start == 0 && capacity > self->capacity) {
        bytes = realloc(self->bytes, capacity);
    } else {
        bytes = malloc(capacity);
        if (bytes != NULL) {
            memcpy(bytes, self->bytes + self->start, left);
            free(self->bytes);
        }
    }
    if (bytes == NULL) {
        return nw_fail(err, NW_RETRY, "no memory for a message of %zu bytes", self->needed);
    }
    self->bytes = bytes;
    self->capacity = capacity;
    self->start = 0;
    self->end = left;
    return NW_OK;
}

/*
 * Make room at the end: shrink, move what is left to the front, or grow. Growing is by doubling as
 * bytes arrive, so that a length alone cannot make us allocate.
 */
static nw_status make_room(struct nw_receiver *self, struct nw_error *err)
{
    size_t left = self->end - self->start;

    self->fills_small = self->needed > BUFFER_BYTES ? 0 : self->fills_small + 1;
    if (self->capacity > BUFFER_BYTES && self->fills_small >= SHRINK_AFTER_FILLS &&
        left < BUFFER_BYTES - READ_BYTES_MIN) {
        /* Without memory for the small one, the large one still serves. */
        if (resize(self, BUFFER_BYTES, NULL) == NW_OK) {
            return NW_OK;
        }
    }
    if (left == 0) {
        self->start = 0;
        self->end = 0;
    } else if (self->start > 0 && self->capacity - self->end < READ_BYTES_MIN) {
        memmove(self->bytes, self->bytes + self->start, left);
        self->start = 0;
        self->end = left;
    }
    if (self->needed > self->capacity && self->capacity - self->end < READ_BYTES_MIN) {
        size_t doubled = self->capacity * 2;
        size_t most = self->needed + READ_BYTES_MIN;

        return resize(self, doubled < most ? doubled : most, err);
    }
    return NW_OK;
}

/* Over TLS too, which runs over TCP: the socket's bytes are what poll counts. */
static bool has_low_water(const struct nw_receiver *self)
{
    return self->stream->transport == NW_TRANSPORT_TCP ||
           self->stream->transport == NW_TRANSPORT_TLS;
}

static void gather(struct nw_receiver *self, bool on)
{
    self->gathering = on;
    self->reads = 0;
    self->reads_bytes = 0;
    self->stream->ops->low_water(self->stream, on ? LOW_WATER_BYTES : 1);
}

/* After an immediate read: many in a short time, or a large one, lead to gathering; in a pause of
 * what was gathered, the first. */
static void adapt_immediate(struct nw_receiver *self, size_t got, int64_t now_ns)
{
    if (self->reads == 0 || now_ns - self->burst_ns > BURST_NS) {
        self->burst_ns = now_ns;
        self->reads = 0;
    }
    self->reads += got > 0;
    if (self->reads >= BURST_READS || got >= LARGE_READ_BYTES ||
        (got > 0 && now_ns - self->bulk_ns < LULL_NS)) {
        gather(self, true);
    }
}

/* After a gathered read: nothing, or little in several, leads back. */
static void adapt_gathering(struct nw_receiver *self, size_t got, int64_t now_ns)
{
    size_t calm = has_low_water(self) ? CALM_BYTES : CALM_BYTES / (TCP_GATHER_NS / SHORT_GATHER_NS);

    self->reads++;
    self->reads_bytes += got;
    self->bulk_ns = got >= BULK_BYTES ? now_ns : self->bulk_ns;
    if (got == 0 || (self->reads >= CALM_READS && self->reads_bytes < calm)) {
        gather(self, false);
    } else if (self->reads >= CALM_READS) {
        self->reads = 0;
        self->reads_bytes = 0;
    }
}

/* Choose how to wait for what comes next, after a read that brought got bytes. */
static void adapt(struct nw_receiver *self, size_t got, int64_t now_ns)
{
    if (self->stream->transport == NW_TRANSPORT_MODEL) {
        return;
    }
    if (self->gathering) {
        adapt_gathering(self, got, now_ns);
    } else {
        adapt_immediate(self, got, now_ns);
    }
    self->due_ns = has_low_water(self) ? now_ns + TCP_GATHER_NS : NOT_DUE;
    self->probe_ns = now_ns + PROBE_NS;
}

/* A model has no descriptor to poll: it is asked each time. */
static void note_read(struct nw_receiver *self, int64_t now_ns)
{
    self->drained = !self->more && self->stream->transport != NW_TRANSPORT_MODEL;
    self->read_ns = now_ns;
}

/* On a unix socket time counts from when what was read is done with: reading while the sender
 * writes costs both, so the fewer reads the better. */
static int64_t settle_due(struct nw_receiver *self, int64_t now_ns)
{
    if (self->due_ns == NOT_DUE) {
        self->due_ns = now_ns + SHORT_GATHER_NS;
    }
    return self->due_ns;
}

/* Whether it is too early to read; over TCP a look at whether enough has gathered. */
static bool too_early(struct nw_receiver *self, int64_t now_ns)
{
    if (self->drained && now_ns - self->read_ns < DRAINED_NS) {
        return true;
    }
    if (!self->gathering || self->more || now_ns >= settle_due(self, now_ns)) {
        return false;
    }
    if (!has_low_water(self) || now_ns < self->probe_ns) {
        return true;
    }

    struct pollfd look = {.fd = self->stream->ops->descriptor(self->stream), .events = POLLIN};

    self->probe_ns = now_ns + PROBE_NS;
    return poll(&look, 1, 0) <= 0;
}

/* Read once, or over TLS, where each read takes one record, until there is no more. */
static nw_status read_all(struct nw_receiver *self, size_t *got, struct nw_error *err)
{
    struct nw_stream *stream = self->stream;
    bool once = stream->transport == NW_TRANSPORT_TCP || stream->transport == NW_TRANSPORT_UNIX;
    nw_status status = NW_OK;

    self->more = false;
    do {
        size_t room = self->capacity - self->end;
        size_t count = 0;

        if (room == 0) { /* nobody called nw_receiver_next() in between */
            return NW_AGAIN;
        }
        status = stream->ops->read(stream, self->bytes + self->end, room, &count, err);
        self->end += count;
        *got += count;
        self->more = status == NW_OK && count == room;
    } while (status == NW_OK && !self->more && !once);
    return status;
}

nw_status nw_receiver_fill(struct nw_receiver *receiver, int64_t now_ns, size_t *got,
                           struct nw_error *err)
{
    nw_status status;

    *got = 0;
    if (must_consume_first(receiver) || too_early(receiver, now_ns)) {
        return NW_AGAIN;
    }
    status = make_room(receiver, err);
    if (status == NW_OK) {
        status = read_all(receiver, got, err);
    }
    if (status != NW_OK && status != NW_AGAIN && *got == 0) {
        return status; /* one that came after bytes comes again */
    }
    note_read(receiver, now_ns);
    adapt(receiver, *got, now_ns);
    return *got > 0 ? NW_OK : NW_AGAIN;
}

void nw_receiver_wait(struct nw_receiver *receiver, int64_t now_ns, struct nw_wait *wait)
{
    struct nw_stream *stream = receiver->stream;

    *wait = (struct nw_wait){.descriptor = -1, .deadline_ns = INT64_MAX};
    receiver->drained = false; /* poll sees what comes from here on */
    if (must_consume_first(receiver)) {
        return; /* whoever takes the messages has to wake us */
    }
    if (receiver->more) {
        wait->deadline_ns = now_ns;
        return;
    }
    if (receiver->gathering) {
        wait->deadline_ns = settle_due(receiver, now_ns);
    }
    if (!receiver->gathering || has_low_water(receiver)) {
        wait->descriptor = stream->ops->descriptor(stream);
        wait->events = POLLIN;
    }
}
