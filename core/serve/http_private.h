/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the HTTP server share; see http.h. */
#ifndef NW_SERVE_HTTP_PRIVATE_H
#define NW_SERVE_HTTP_PRIVATE_H

#include <microhttpd.h>
#include <openssl/sha.h>
#include <pthread.h>

#include "serve/http.h"

#define NW_HTTP_CONNECTIONS_MAX 32u
#define NW_HTTP_REQUEST_BYTES   16384u /* what one connection may hold of a request */
#define NW_HTTP_REQUEST_NS      15000000000LL
#define NW_HTTP_TABLES_WAIT_NS  5000000000LL /* how long the list of tables is waited for */
#define NW_HTTP_POLICY_SIZE     512u
#define NW_HTTP_WAIT_TEXT       256u

/** A connection, while it is open. The server's thread. */
struct nw_http_connection {
    bool open;
    int descriptor;
    int64_t since_ns; /* it was opened, or its last answer was sent */
    /* Of one that waits for the list of tables, or for an LSN; NULL: it does not. */
    struct MHD_Connection *waiting;
    int64_t waits_ns;      /* since when, for the list; 0: it has not begun to */
    int wait_place;        /* see nw_wait_begin(); -1: none */
    uint64_t wait_lsn;     /* what is waited for there */
    int64_t wait_until_ns; /* and how long */
};

/** What listens with one certificate; exchanged whole by a reload. */
struct nw_http_credentials {
    char *certificate, *key; /* PEM; NULL: no TLS */
    bool has_token;
    unsigned char token[SHA256_DIGEST_LENGTH]; /* its hash */
};

struct nw_http {
    /* Set at the start. */
    struct nw_http_address address;
    char shown[160];                  /* the address, for people */
    char policy[NW_HTTP_POLICY_SIZE]; /* Content-Security-Policy of the page */
    int listener;                     /* daemons have copies of it */
    int bell;                         /* eventfd: look at what is below the mutex */
    pthread_t thread;

    struct nw_waits *waits;

    /* The server's thread's. */
    struct MHD_Daemon *daemon;
    bool starting;
    bool one_ended; /* a connection, since the daemon ran */
    char said[256]; /* by the library, while it starts */
    struct nw_http_credentials credentials;
    struct nw_http_connection connections[NW_HTTP_CONNECTIONS_MAX];
    struct nw_report seen; /* the copy of which an answer is made */
    struct MHD_Response *tables;
    int64_t tables_ns;

    pthread_mutex_t mutex; /* guards all below */
    pthread_cond_t taken;  /* what was offered */
    struct nw_report report;
    bool has_report;
    int64_t published_ns;
    bool tables_wanted, stopping;
    char *tables_given;                  /* NULL: nothing new */
    struct nw_http_credentials *offered; /* a reload's; NULL: none */
    nw_status offer_status;
    struct nw_error offer_error;
};

int64_t nw_http_now_ns(void);

/* http_listen.c */
NW_MUST_CHECK nw_status nw_http_listen(struct nw_http *http, int *listener, struct nw_error *err);
/** @param credentials  zeroed; filled, to be freed also after a failure */
NW_MUST_CHECK nw_status nw_http_credentials_read(const struct nw_http_config *config,
                                                 struct nw_http_credentials *credentials,
                                                 struct nw_error *err);
void nw_http_credentials_free(struct nw_http_credentials *credentials);
/** The policy that lets the page run its own script and style, by their hashes, and nothing else.
 */
void nw_http_policy_make(char policy[static NW_HTTP_POLICY_SIZE]);

/* http_wait.c: on the server's thread */

/** @return the answer's code; 0: it is to wait, and to ask again once nw_http_wait_is_over() */
unsigned nw_http_wait(struct nw_http *http, struct MHD_Connection *connection,
                      struct nw_http_connection *own, char text[static NW_HTTP_WAIT_TEXT]);
bool nw_http_wait_is_over(struct nw_http *http, const struct nw_http_connection *own,
                          int64_t now_ns);
/** It waits no more; fine if it did not. */
void nw_http_wait_end(struct nw_http *http, struct nw_http_connection *own);

/* http_answer.c: called by libmicrohttpd, on the server's thread. */
enum MHD_Result nw_http_request(void *context, struct MHD_Connection *connection, const char *url,
                                const char *method, const char *version, const char *upload,
                                size_t *upload_size, void **request);
/** The connection's own; NULL: there was no place for it. */
struct nw_http_connection *nw_http_connection_of(struct MHD_Connection *connection);

#endif
