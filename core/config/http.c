/* SPDX-License-Identifier: Apache-2.0 */
/* See http.h. */
#include "config/http.h"

#include <arpa/inet.h>
#include <string.h>

#include "base/text.h"
#include "config/run_config.h"

#define HOST_SIZE      64u
#define TOKEN_SIZE_MIN 16u
#define UNIX_PREFIX    "unix:"

static const struct nw_option HTTP[] = {
    {"listen", NW_OPTION_TEXT, 0, NULL, 0, 0, NULL,
     "Where to answer reads: 127.0.0.1:9465, [::1]:9465, or unix:/path of a socket. Any other "
     "address needs tls_cert, tls_key and token. Default: nowhere."},
    {"tls_cert", NW_OPTION_PATH, NW_OPTION_RELOADABLE, NULL, 0, 0, NULL,
     "File with the certificate and those that signed it, in PEM. With it only TLS is spoken."},
    {"tls_key", NW_OPTION_PATH, NW_OPTION_RELOADABLE, NULL, 0, 0, NULL,
     "File with its private key, in PEM."},
    {"token", NW_OPTION_TEXT, NW_OPTION_SECRET | NW_OPTION_RELOADABLE, NULL, 0, 0, NULL,
     "Who asks must send Authorization: Bearer TOKEN, for everything but the page's own text. Of "
     "16 characters or more; better ${file:/path}."},
    {"ready_after", NW_OPTION_DURATION, NW_OPTION_RELOADABLE, "1min", 1000000, 86400000000, NULL,
     "How long nothing may move where there is something to do, before /ready fails."},
};
enum { LISTEN, TLS_CERT, TLS_KEY, TOKEN, READY_AFTER, HTTP_COUNT };

const struct nw_option_table NW_HTTP_TABLE = {"http", "http", HTTP, HTTP_COUNT, NULL};

static const char *unix_parse(const char *path, struct nw_http_address *address)
{
    struct sockaddr_un *to = &address->socket.path;

    if (path[0] != '/') {
        return "the path of a unix socket begins with /";
    }
    if (strlen(path) >= sizeof to->sun_path) {
        return "this path is too long for a unix socket";
    }
    to->sun_family = AF_UNIX;
    memcpy(to->sun_path, path, strlen(path) + 1);
    address->size = sizeof *to;
    address->local = true;
    return NULL;
}

/* "HOST:PORT" or "[HOST]:PORT" in two. @return false: it has no such form */
static bool host_split(const char *text, char host[static HOST_SIZE], int64_t *port)
{
    const char *colon = strrchr(text, ':');
    size_t size = colon == NULL ? 0 : (size_t)(colon - text);
    bool bracketed = size > 2 && text[0] == '[' && text[size - 1] == ']';

    if (size == 0 || size >= HOST_SIZE || !nw_integer_parse(colon + 1, port) || *port < 0 ||
        *port > UINT16_MAX) {
        return false;
    }
    if (memchr(text, ':', size) != NULL && !bracketed) { /* whose last part is the port? */
        return false;
    }
    (void)snprintf(host, HOST_SIZE, "%.*s", (int)size - (bracketed ? 2 : 0),
                   text + (bracketed ? 1 : 0));
    return true;
}

const char *nw_http_address_parse(const char *text, struct nw_http_address *address)
{
    char host[HOST_SIZE];
    int64_t port = 0;
    struct sockaddr_in *v4 = &address->socket.v4;
    struct sockaddr_in6 *v6 = &address->socket.v6;

    memset(address, 0, sizeof *address);
    if (strncmp(text, UNIX_PREFIX, strlen(UNIX_PREFIX)) == 0) {
        return unix_parse(text + strlen(UNIX_PREFIX), address);
    }
    if (!host_split(text, host, &port)) {
        return "write ADDRESS:PORT, [ADDRESS]:PORT or unix:/PATH";
    }
    if (inet_pton(AF_INET, strcmp(host, "localhost") == 0 ? "127.0.0.1" : host, &v4->sin_addr) ==
        1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons((uint16_t)port);
        address->size = sizeof *v4;
        address->local = (ntohl(v4->sin_addr.s_addr) >> 24) == 127;
        return NULL;
    }
    if (inet_pton(AF_INET6, host, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons((uint16_t)port);
        address->size = sizeof *v6;
        address->local = IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
        return NULL;
    }
    return "write a numeric address of this host, as 127.0.0.1 or 0.0.0.0 for all";
}

/* What no single key shows. @return NULL, or what is wrong */
static const char *whole_check(const struct nw_http_config *http,
                               const struct nw_http_address *address)
{
    if ((http->tls_cert == NULL) != (http->tls_key == NULL)) {
        return "tls_cert and tls_key belong together: one of them is missing";
    }
    if (http->token != NULL && strlen(http->token) < TOKEN_SIZE_MIN) {
        return "token is shorter than 16 characters: `openssl rand -hex 32` makes a good one";
    }
    if (http->listen != NULL && !address->local &&
        (http->tls_cert == NULL || http->token == NULL)) {
        return "listen is an address that others reach: that takes tls_cert, tls_key and token; or "
               "listen on 127.0.0.1 or a unix socket";
    }
    return NULL;
}

nw_status nw_http_config_take(struct nw_run_config *config, const struct nw_node *root,
                              struct nw_error *err)
{
    const struct nw_node *map = nw_tree_member(root, "http");
    const struct nw_node *at = nw_tree_member(map, "listen");
    struct nw_http_config *http = &config->http;
    struct nw_setting s[HTTP_COUNT];
    struct nw_http_address address = {0};
    const char *wrong = NULL;
    nw_status status =
        nw_options_resolve(&NW_HTTP_TABLE, map, &config->arena, s, config->problems, err);

    if (status != NW_OK) {
        return status;
    }
    *http = (struct nw_http_config){.listen = s[LISTEN].text,
                                    .tls_cert = s[TLS_CERT].text,
                                    .tls_key = s[TLS_KEY].text,
                                    .token = s[TOKEN].text,
                                    .ready_us = s[READY_AFTER].number};
    if (http->listen != NULL) {
        wrong = nw_http_address_parse(http->listen, &address);
    }
    wrong = wrong == NULL ? whole_check(http, &address) : wrong;
    if (wrong != NULL) {
        at = at == NULL ? map : at;
        status = nw_tree_fail(at, "NW1003", err, "http: %s", wrong);
        nw_problems_add(config->problems, at->line, at->column, err->text);
    }
    return status;
}
