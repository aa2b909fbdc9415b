/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `http`: where narwal answers reads over HTTP, and who may ask. Off unless `listen` is set. On any
 * address but loopback and unix sockets it takes TLS and a token. Pure; texts live in the arena.
 */
#ifndef NW_CONFIG_HTTP_H
#define NW_CONFIG_HTTP_H

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "config/options.h"

struct nw_http_config {
    const char *listen; /* NULL: off */
    const char *tls_cert, *tls_key;
    const char *token;
    int64_t ready_us; /* how long nothing may move before narwal is not ready */
};

/** An address as it is bound. */
struct nw_http_address {
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
        struct sockaddr_un path;
    } socket;
    socklen_t size;
    bool local; /* loopback, or a unix socket */
};

/** Its keys, for the reference page and for printing. */
extern const struct nw_option_table NW_HTTP_TABLE;

struct nw_run_config;

/** Read the section into config->http, of the tree at root. */
NW_MUST_CHECK nw_status nw_http_config_take(struct nw_run_config *config,
                                            const struct nw_node *root, struct nw_error *err);

/**
 * "127.0.0.1:9465", "[::1]:9465", "localhost:9465", "unix:/run/narwal/orders.http".
 * @return NULL, or what is wrong with it
 */
const char *nw_http_address_parse(const char *text, struct nw_http_address *address);

#endif
