/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTP server's socket, certificate, token and policy. At the start, on the main thread. */
#include <arpa/inet.h>
#include <errno.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/errno.h"
#include "serve/http_private.h"
#include "serve/page.h"

#define PEM_BYTES_MAX 65536
#define BACKLOG       16

/* ---- where it listens ---- */

static bool is_unix(const struct nw_http *http)
{
    return http->address.socket.any.sa_family == AF_UNIX;
}

static void address_show(struct nw_http *http)
{
    const struct nw_http_address *address = &http->address;
    const char *scheme = http->credentials.certificate != NULL ? "https" : "http";
    char host[INET6_ADDRSTRLEN] = "";

    if (is_unix(http)) {
        (void)snprintf(http->shown, sizeof http->shown, "unix:%s", address->socket.path.sun_path);
    } else if (address->socket.any.sa_family == AF_INET) {
        (void)inet_ntop(AF_INET, &address->socket.v4.sin_addr, host, sizeof host);
        (void)snprintf(http->shown, sizeof http->shown, "%s://%s:%u/", scheme, host,
                       ntohs(address->socket.v4.sin_port));
    } else {
        (void)inet_ntop(AF_INET6, &address->socket.v6.sin6_addr, host, sizeof host);
        (void)snprintf(http->shown, sizeof http->shown, "%s://[%s]:%u/", scheme, host,
                       ntohs(address->socket.v6.sin6_port));
    }
}

/* Whether the socket that is there is one where nobody listens any more. */
static bool left_over(const struct nw_http_address *address)
{
    const char *path = address->socket.path.sun_path;
    struct stat there;
    int probe = -1;
    bool nobody = false;

    if (lstat(path, &there) != 0 || !S_ISSOCK(there.st_mode)) {
        return false;
    }
    probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    nobody = probe >= 0 && connect(probe, &address->socket.any, address->size) != 0 &&
             errno == ECONNREFUSED;
    if (probe >= 0) {
        (void)close(probe);
    }
    return nobody;
}

static nw_status cannot_listen(const struct nw_http *http, int error, struct nw_error *err)
{
    return nw_fail(err, NW_FATAL, "NW2012 cannot listen on %s, as http.listen says: %s%s",
                   http->shown, nw_errno_text(error),
                   error == EADDRINUSE ? ". Another process does, perhaps another narwal: choose "
                                         "another port"
                                       : "");
}

/* The address with the port that the kernel chose for 0. */
static void address_learn(struct nw_http *http, int listener)
{
    if (!is_unix(http)) {
        socklen_t size = sizeof http->address.socket;

        (void)getsockname(listener, &http->address.socket.any, &size);
    }
    address_show(http);
}

nw_status nw_http_listen(struct nw_http *http, int *listener, struct nw_error *err)
{
    const struct nw_http_address *address = &http->address;
    int made = socket(address->socket.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    mode_t former = 0;
    int on = 1;
    int result = 0;

    address_show(http);
    if (made < 0) {
        return cannot_listen(http, errno, err);
    }
    if (is_unix(http) && left_over(address)) {
        (void)unlink(address->socket.path.sun_path);
    } else if (!is_unix(http)) { /* a port of which connections linger is free */
        (void)setsockopt(made, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    }
    former = umask(0117); /* a unix socket is for its owner and group */
    result = bind(made, &address->socket.any, address->size);
    (void)umask(former);
    if (result != 0 || listen(made, BACKLOG) != 0) {
        nw_status status = cannot_listen(http, errno, err);

        (void)close(made);
        return status;
    }
    address_learn(http, made);
    *listener = made;
    return NW_OK;
}

/* ---- who may ask ---- */

/* A PEM file, whole. @param text  give */
static nw_status pem_read(const char *key, const char *path, char **text, struct nw_error *err)
{
    FILE *file = fopen(path, "re");
    char *made = file == NULL ? NULL : malloc(PEM_BYTES_MAX + 1);
    size_t size = 0;
    nw_status status = NW_OK;

    if (file == NULL) {
        return nw_fail(err, NW_FATAL, "NW2012 http.%s: cannot open %s: %s", key, path,
                       nw_errno_text(errno));
    }
    size = made == NULL ? 0 : fread(made, 1, PEM_BYTES_MAX + 1, file);
    if (made == NULL) {
        status = nw_fail(err, NW_FATAL, "out of memory");
    } else if (ferror(file) != 0 || size > PEM_BYTES_MAX || size == 0) {
        status = nw_fail(err, NW_FATAL, "NW2012 http.%s: %s %s", key, path,
                         size > PEM_BYTES_MAX ? "is too large for PEM" : "cannot be read");
        free(made);
    } else {
        made[size] = '\0';
        *text = made;
    }
    (void)fclose(file);
    return status;
}

nw_status nw_http_credentials_read(const struct nw_http_config *config,
                                   struct nw_http_credentials *credentials, struct nw_error *err)
{
    nw_status status = NW_OK;

    if (config->token != NULL) {
        credentials->has_token = true;
        (void)SHA256((const unsigned char *)config->token, strlen(config->token),
                     credentials->token);
    }
    if (config->tls_cert != NULL) {
        status = pem_read("tls_cert", config->tls_cert, &credentials->certificate, err);
    }
    if (config->tls_cert != NULL && status == NW_OK) {
        status = pem_read("tls_key", config->tls_key, &credentials->key, err);
    }
    return status;
}

void nw_http_credentials_free(struct nw_http_credentials *credentials)
{
    if (credentials->key != NULL) {
        OPENSSL_cleanse(credentials->key, strlen(credentials->key));
    }
    free(credentials->key);
    free(credentials->certificate);
    *credentials = (struct nw_http_credentials){0};
}

/* ---- what the page may do ---- */

/* 'sha256-...' of what stands between two tags of the page. */
static void source_hash(const char *begin, const char *end, char *text, size_t size)
{
    const char *page = (const char *)nw_page;
    const char *from = memmem(page, nw_page_size, begin, strlen(begin));
    const char *to =
        from == NULL ? NULL : memmem(from, nw_page_size - (size_t)(from - page), end, strlen(end));
    unsigned char digest[SHA256_DIGEST_LENGTH];
    unsigned char base64[4 * (SHA256_DIGEST_LENGTH / 3 + 1) + 1];

    text[0] = '\0';
    if (to != NULL) {
        from += strlen(begin);
        (void)SHA256((const unsigned char *)from, (size_t)(to - from), digest);
        (void)EVP_EncodeBlock(base64, digest, sizeof digest);
        (void)snprintf(text, size, "'sha256-%s'", (const char *)base64);
    }
}

void nw_http_policy_make(char policy[static NW_HTTP_POLICY_SIZE])
{
    char script[64];
    char style[64];

    source_hash("<script>", "</script>", script, sizeof script);
    source_hash("<style>", "</style>", style, sizeof style);
    (void)snprintf(policy, NW_HTTP_POLICY_SIZE,
                   "default-src 'none'; script-src %s; style-src %s; connect-src 'self'; "
                   "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
                   script, style);
}
