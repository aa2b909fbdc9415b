/* SPDX-License-Identifier: Apache-2.0 */
/* Streams over a descriptor that somebody else owns: for the session, and for tests. */
#ifndef NW_PG_STREAM_OPEN_H
#define NW_PG_STREAM_OPEN_H

#include <openssl/ssl.h>

#include "pg/stream.h"

/** @param descriptor  a connected stream socket, borrow until the stream is destroyed. */
NW_MUST_CHECK nw_status nw_stream_open_socket(int descriptor, struct nw_stream **stream,
                                              struct nw_error *err);
/** @param ssl  after its handshake, over descriptor; borrow until the stream is destroyed. */
NW_MUST_CHECK nw_status nw_stream_open_tls(int descriptor, SSL *ssl, struct nw_stream **stream,
                                           struct nw_error *err);

#endif
