/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The byte streams behind struct nw_stream: a plain socket (TCP or unix), and the SSL object of a
 * libpq connection. Both belong to the thread that owns the session; neither owns the descriptor.
 */
#include "pg/stream_open.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "base/assert.h"
#include "base/errno.h"

/* Asked for where we may (CAP_NET_ADMIN); otherwise the kernel sizes the buffer: a smaller fixed
 * size would only forbid it to grow. */
#define RECEIVE_BUFFER_BYTES 8388608

struct socket_stream {
    struct nw_stream base;
    int descriptor;
    size_t low_water; /* as last set; 0: never */
    SSL *ssl;         /* NULL: plain */
};

static struct socket_stream *self_of(struct nw_stream *stream)
{
    return (struct socket_stream *)stream;
}

static nw_status broken(int code, struct nw_error *err)
{
    return nw_fail(err, NW_RETRY, "NW1117 the connection to the server broke: %s",
                   nw_errno_text(code));
}

static nw_status closed(struct nw_error *err)
{
    return nw_fail(err, NW_RETRY, "NW1117 the server closed the connection");
}

static nw_status plain_read(struct nw_stream *stream, void *bytes, size_t size, size_t *got,
                            struct nw_error *err)
{
    ssize_t count;

    *got = 0;
    do {
        count = recv(self_of(stream)->descriptor, bytes, size, MSG_DONTWAIT);
    } while (count < 0 && errno == EINTR);
    if (count > 0) {
        *got = (size_t)count;
        return NW_OK;
    }
    if (count == 0) {
        return closed(err);
    }
    return errno == EAGAIN ? NW_AGAIN : broken(errno, err);
}

static nw_status plain_write(struct nw_stream *stream, const void *bytes, size_t size, size_t *put,
                             struct nw_error *err)
{
    ssize_t count;

    *put = 0;
    do {
        count = send(self_of(stream)->descriptor, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL);
    } while (count < 0 && errno == EINTR);
    if (count >= 0) {
        *put = (size_t)count;
        return NW_OK;
    }
    return errno == EAGAIN ? NW_AGAIN : broken(errno, err);
}

/* SSL_get_error() wants an empty queue; to clear an empty one costs more than to look. */
static void forget_errors(void)
{
    if (ERR_peek_error() != 0) {
        ERR_clear_error();
    }
}

/* What a failed SSL_read or SSL_write means. Called right after it, errno untouched. */
static nw_status tls_failed(SSL *ssl, int result, struct nw_error *err)
{
    int code = errno;
    char text[256];

    switch (SSL_get_error(ssl, result)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        return NW_AGAIN;
    case SSL_ERROR_ZERO_RETURN:
        return closed(err);
    case SSL_ERROR_SYSCALL:
        return code == 0 ? closed(err) : broken(code, err);
    default:
        ERR_error_string_n(ERR_get_error(), text, sizeof text);
        return nw_fail(err, NW_RETRY, "NW1117 the TLS connection to the server broke: %s", text);
    }
}

static nw_status tls_read(struct nw_stream *stream, void *bytes, size_t size, size_t *got,
                          struct nw_error *err)
{
    struct socket_stream *self = self_of(stream);
    int result;

    *got = 0;
    forget_errors();
    errno = 0;
    result = SSL_read(self->ssl, bytes, size > INT_MAX ? INT_MAX : (int)size);
    if (result <= 0) {
        return tls_failed(self->ssl, result, err);
    }
    *got = (size_t)result;
    return NW_OK;
}

static nw_status tls_write(struct nw_stream *stream, const void *bytes, size_t size, size_t *put,
                           struct nw_error *err)
{
    struct socket_stream *self = self_of(stream);
    int result;

    *put = 0;
    ERR_clear_error();
    errno = 0;
    result = SSL_write(self->ssl, bytes, size > INT_MAX ? INT_MAX : (int)size);
    if (result <= 0) {
        return tls_failed(self->ssl, result, err);
    }
    *put = (size_t)result;
    return NW_OK;
}

static int descriptor_of(struct nw_stream *stream)
{
    return self_of(stream)->descriptor;
}

static void set_low_water(struct nw_stream *stream, size_t bytes)
{
    struct socket_stream *self = self_of(stream);
    int value = (int)bytes;

    NW_ASSERT(bytes > 0 && bytes <= INT_MAX);
    if (stream->transport != NW_TRANSPORT_UNIX && self->low_water != bytes) {
        self->low_water = bytes;
        /* A hint: where it fails, poll wakes earlier. */
        (void)setsockopt(self->descriptor, SOL_SOCKET, SO_RCVLOWAT, &value, sizeof value);
    }
}

static bool plain_pending(struct nw_stream *stream)
{
    (void)stream;
    return false;
}

static bool tls_pending(struct nw_stream *stream)
{
    return SSL_has_pending(self_of(stream)->ssl) == 1;
}

static void destroy(struct nw_stream *stream)
{
    free(self_of(stream));
}

static const struct nw_stream_ops plain_ops = {
    .read = plain_read,
    .write = plain_write,
    .descriptor = descriptor_of,
    .low_water = set_low_water,
    .pending = plain_pending,
    .destroy = destroy,
};

static const struct nw_stream_ops tls_ops = {
    .read = tls_read,
    .write = tls_write,
    .descriptor = descriptor_of,
    .low_water = set_low_water,
    .pending = tls_pending,
    .destroy = destroy,
};

static bool is_unix(int descriptor)
{
    struct sockaddr_storage address = {0};
    socklen_t size = sizeof address;

    return getsockname(descriptor, (struct sockaddr *)&address, &size) == 0 &&
           address.ss_family == AF_UNIX;
}

nw_status nw_stream_open_socket(int descriptor, struct nw_stream **stream, struct nw_error *err)
{
    struct socket_stream *self = NULL;
    int flags = fcntl(descriptor, F_GETFL);
    int size = RECEIVE_BUFFER_BYTES;

    if (flags < 0 || fcntl(descriptor, F_SETFL, flags | O_NONBLOCK) < 0) {
        return broken(errno, err);
    }
    self = calloc(1, sizeof *self);
    if (self == NULL) {
        return nw_fail(err, NW_RETRY, "no memory for a stream");
    }
    self->base.ops = &plain_ops;
    self->base.transport = is_unix(descriptor) ? NW_TRANSPORT_UNIX : NW_TRANSPORT_TCP;
    self->descriptor = descriptor;
    if (self->base.transport == NW_TRANSPORT_TCP) {
        (void)setsockopt(descriptor, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size);
    }
    *stream = &self->base;
    return NW_OK;
}

nw_status nw_stream_open_tls(int descriptor, SSL *ssl, struct nw_stream **stream,
                             struct nw_error *err)
{
    nw_status status = nw_stream_open_socket(descriptor, stream, err);

    if (status != NW_OK) {
        return status;
    }

    struct socket_stream *self = self_of(*stream);

    self->base.ops = &tls_ops;
    self->base.transport = NW_TRANSPORT_TLS;
    self->ssl = ssl;
    (void)SSL_set_mode(ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    /* One recv for a buffer of 16 KiB, not two for each row, which is a record of its own. A larger
     * buffer costs more: OpenSSL moves what is left of it to the front for each record. One of ours
     * below, of 64 to 256 KiB, costs as much: OpenSSL then reads twice for each record. */
    SSL_set_read_ahead(ssl, 1);
    return NW_OK;
}
