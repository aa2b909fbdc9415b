/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asks a server for its certificate: SSLRequest, handshake without verification, and close, so that
 * neither user nor password is sent. libpq drops the certificate that it did not trust. No state.
 *
 * SSLRequest: PostgreSQL documentation, "Message Formats".
 */
#include "pg/tls_probe.h"

#include <netdb.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <openssl/ssl.h>
#include <openssl/x509.h>

#define PROBE_SECONDS 3

static int connect_to(const char *host, const char *port)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *list = NULL;
    struct timeval limit = {.tv_sec = PROBE_SECONDS};
    int descriptor = -1;

    if (getaddrinfo(host, port, &hints, &list) != 0) {
        return -1;
    }
    for (struct addrinfo *entry = list; entry != NULL && descriptor < 0; entry = entry->ai_next) {
        descriptor = socket(entry->ai_family, SOCK_STREAM | SOCK_CLOEXEC, entry->ai_protocol);
        if (descriptor < 0) {
            continue;
        }
        if (setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) != 0 ||
            setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) != 0 ||
            connect(descriptor, entry->ai_addr, entry->ai_addrlen) != 0) {
            (void)close(descriptor);
            descriptor = -1;
        }
    }
    freeaddrinfo(list);
    return descriptor;
}

static bool ask_for_tls(int descriptor)
{
    static const uint8_t request[8] = {0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f};
    char answer = 'N';

    return send(descriptor, request, sizeof request, MSG_NOSIGNAL) == (ssize_t)sizeof request &&
           recv(descriptor, &answer, 1, 0) == 1 && answer == 'S';
}

/* The issuer of the topmost certificate that was sent: the CA that would have to be trusted. */
static bool read_issuer(SSL *ssl, char *issuer, size_t issuer_size)
{
    STACK_OF(X509) *chain = SSL_get_peer_cert_chain(ssl);
    int count = chain == NULL ? 0 : sk_X509_num(chain);

    if (count <= 0) {
        return false;
    }

    X509_NAME *name = X509_get_issuer_name(sk_X509_value(chain, count - 1));

    if (X509_NAME_get_text_by_NID(name, NID_commonName, issuer, (int)issuer_size) > 0 ||
        X509_NAME_get_text_by_NID(name, NID_organizationName, issuer, (int)issuer_size) > 0) {
        for (char *at = issuer; *at != '\0'; at++) {
            *at = (unsigned char)*at < ' ' || *at == 0x7f ? '?' : *at;
        }
        return true;
    }
    return false;
}

bool nw_tls_probe_issuer(const char *host, const char *port, char *issuer, size_t issuer_size)
{
    int descriptor = connect_to(host, port);
    SSL_CTX *context = descriptor < 0 ? NULL : SSL_CTX_new(TLS_client_method());
    SSL *ssl = context == NULL ? NULL : SSL_new(context);
    bool found = false;

    if (ssl != NULL && ask_for_tls(descriptor) && SSL_set_fd(ssl, descriptor) == 1) {
        SSL_set_verify(ssl, SSL_VERIFY_NONE, NULL);
        found = SSL_connect(ssl) == 1 && read_issuer(ssl, issuer, issuer_size);
    }
    SSL_free(ssl);
    SSL_CTX_free(context);
    if (descriptor >= 0) {
        (void)close(descriptor);
    }
    return found;
}
