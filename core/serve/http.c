/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See http.h. The thread drives libmicrohttpd: it sleeps on a bell and on the library's epoll
 * descriptor, and sees to the time that each request may take, which the library counts anew with
 * every byte.
 */
#include "serve/http.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/errno.h"
#include "base/log.h"
#include "serve/http_private.h"

#define LOOK_MS        1000 /* how often deadlines are looked at */
#define WAIT_LOOK_MS   50   /* and whether an LSN is durable that somebody waits for */
#define TLS_PRIORITIES "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"

int64_t nw_http_now_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* ---- what libmicrohttpd tells ---- */

struct nw_http_connection *nw_http_connection_of(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

    return info == NULL ? NULL : info->socket_context;
}

static void connection_open(struct nw_http *http, struct MHD_Connection *connection, void **own)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);

    for (uint32_t i = 0; i < NW_HTTP_CONNECTIONS_MAX; i++) {
        struct nw_http_connection *place = &http->connections[i];

        if (!place->open) {
            *place = (struct nw_http_connection){.open = true,
                                                 .descriptor = info == NULL ? -1 : info->connect_fd,
                                                 .wait_place = -1,
                                                 .since_ns = nw_http_now_ns()};
            *own = place;
            return;
        }
    }
}

static void connection_changed(void *context, struct MHD_Connection *connection, void **own,
                               enum MHD_ConnectionNotificationCode code)
{
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        connection_open(context, connection, own);
    } else if (*own != NULL) {
        nw_http_wait_end(context, *own);
        *(struct nw_http_connection *)*own = (struct nw_http_connection){.open = false};
        *own = NULL;
        ((struct nw_http *)context)->one_ended = true;
    }
}

static void request_done(void *context, struct MHD_Connection *connection, void **request,
                         enum MHD_RequestTerminationCode code)
{
    struct nw_http_connection *own = nw_http_connection_of(connection);

    (void)request;
    (void)code;
    if (own != NULL) {
        nw_http_wait_end(context, own);
        own->since_ns = nw_http_now_ns();
        own->waits_ns = 0;
        own->waiting = NULL;
    }
}

/* What the library has to say: while it starts why it does not, later about clients. */
NW_PRINTF(2, 0)
static void library_says(void *context, const char *format, va_list args)
{
    struct nw_http *http = context;
    char text[sizeof http->said];

    (void)vsnprintf(text, sizeof text, format, args);
    text[strcspn(text, "\n")] = '\0';
    if (!http->starting) {
        nw_log(NW_LOG_DEBUG, "http: %s", text);
    } else if (http->said[0] == '\0') {
        memcpy(http->said, text, sizeof http->said);
    }
}

/* ---- the daemon ---- */

static bool is_waited_for(struct nw_http *http, const struct nw_http_connection *place,
                          int64_t now_ns)
{
    return place->wait_place >= 0 ? nw_http_wait_is_over(http, place, now_ns)
                                  : now_ns - place->waits_ns >= NW_HTTP_TABLES_WAIT_NS;
}

/* All who wait ask once more: what they want is there, or they give up. */
static void waiting_wake(struct nw_http *http, bool all, int64_t now_ns)
{
    for (uint32_t i = 0; i < NW_HTTP_CONNECTIONS_MAX; i++) {
        struct nw_http_connection *place = &http->connections[i];

        if (place->waiting != NULL && (all || is_waited_for(http, place, now_ns))) {
            struct MHD_Connection *connection = place->waiting;

            place->waiting = NULL;
            MHD_resume_connection(connection);
        }
    }
}

static nw_status daemon_start(struct nw_http *http, const struct nw_http_credentials *credentials,
                              struct MHD_Daemon **started, struct nw_error *err)
{
    unsigned flags = MHD_USE_EPOLL | MHD_USE_ERROR_LOG | MHD_ALLOW_SUSPEND_RESUME;
    bool tls = credentials->certificate != NULL;
    int listener = dup(http->listener); /* the daemon closes its own */
    struct MHD_OptionItem secure[] = {
        {MHD_OPTION_HTTPS_MEM_CERT, 0, credentials->certificate},
        {MHD_OPTION_HTTPS_MEM_KEY, 0, credentials->key},
        {MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)(uintptr_t)TLS_PRIORITIES},
        {MHD_OPTION_END, 0, NULL}};

    http->starting = true;
    http->said[0] = '\0';
    *started = MHD_start_daemon(
        tls ? flags | MHD_USE_TLS : flags, 0, NULL, NULL, nw_http_request, http,
        MHD_OPTION_EXTERNAL_LOGGER, library_says, http, MHD_OPTION_LISTEN_SOCKET, listener,
        MHD_OPTION_CONNECTION_LIMIT, NW_HTTP_CONNECTIONS_MAX, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)NW_HTTP_REQUEST_BYTES, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)(NW_HTTP_REQUEST_NS / 1000000000), MHD_OPTION_NOTIFY_CONNECTION,
        connection_changed, http, MHD_OPTION_NOTIFY_COMPLETED, request_done, http, MHD_OPTION_ARRAY,
        tls ? secure : &secure[3], MHD_OPTION_END);
    http->starting = false;
    if (*started == NULL) {
        (void)close(listener);
        return nw_fail(err, NW_FATAL, "NW2012 cannot answer on %s%s: %s", http->shown,
                       tls ? " with http.tls_cert and http.tls_key" : "",
                       http->said[0] == '\0' ? "no reason given" : http->said);
    }
    return NW_OK;
}

/* Ends it and its connections, and leaves the socket, which it would shut down, to us. */
static void daemon_stop(struct nw_http *http)
{
    int listener = -1;

    waiting_wake(http, true, 0);
    listener = MHD_quiesce_daemon(http->daemon);
    MHD_stop_daemon(http->daemon);
    (void)close(listener);
    http->daemon = NULL;
}

/* ---- the thread ---- */

/* The list of tables that came, as an answer for all who want it. */
static void tables_take(struct nw_http *http, char *given)
{
    struct MHD_Response *response =
        MHD_create_response_from_buffer(strlen(given), given, MHD_RESPMEM_MUST_FREE);

    if (response == NULL) {
        free(given);
        return;
    }
    (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, "application/json");
    (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    (void)MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    if (http->tables != NULL) {
        MHD_destroy_response(http->tables);
    }
    http->tables = response;
    http->tables_ns = nw_http_now_ns();
}

/* A request that is not whole, or an answer that is not taken, in time ends its connection. */
static bool deadlines_look(struct nw_http *http, int64_t now_ns)
{
    bool any = false;

    for (uint32_t i = 0; i < NW_HTTP_CONNECTIONS_MAX; i++) {
        struct nw_http_connection *place = &http->connections[i];

        any = any || place->open;
        if (place->open && place->waiting == NULL &&
            now_ns - place->since_ns >= NW_HTTP_REQUEST_NS) {
            (void)shutdown(place->descriptor, SHUT_RDWR);
        }
    }
    return any;
}

/* New credentials begin with a new daemon on the same socket; the old one ends after that. */
static void offer_take(struct nw_http *http, struct nw_http_credentials *offered)
{
    struct MHD_Daemon *started = NULL;
    struct nw_error err = {0};
    struct nw_http_credentials former = http->credentials;
    nw_status status = daemon_start(http, offered, &started, &err);

    if (status == NW_OK) {
        daemon_stop(http);
        http->daemon = started;
        http->credentials = *offered;
        *offered = former; /* for who offered them to free */
    }
    (void)pthread_mutex_lock(&http->mutex);
    http->offered = NULL;
    http->offer_status = status;
    http->offer_error = err;
    (void)pthread_cond_signal(&http->taken);
    (void)pthread_mutex_unlock(&http->mutex);
}

/* @return whether to go on */
static bool bell_answer(struct nw_http *http)
{
    uint64_t rang = 0;
    char *given = NULL;
    struct nw_http_credentials *offered = NULL;
    bool stopping = false;

    (void)!read(http->bell, &rang, sizeof rang);
    (void)pthread_mutex_lock(&http->mutex);
    stopping = http->stopping;
    given = http->tables_given;
    http->tables_given = NULL;
    offered = http->offered;
    (void)pthread_mutex_unlock(&http->mutex);
    if (given != NULL) {
        tables_take(http, given);
        waiting_wake(http, true, 0);
    }
    if (offered != NULL) {
        offer_take(http, offered);
    }
    return !stopping;
}

static int timeout_ms(const struct nw_http *http, bool any_open)
{
    MHD_UNSIGNED_LONG_LONG wish_ms = 0;
    bool wishes = MHD_get_timeout(http->daemon, &wish_ms) == MHD_YES;
    int look_ms = LOOK_MS;

    for (uint32_t i = 0; i < NW_HTTP_CONNECTIONS_MAX; i++) {
        look_ms = http->connections[i].wait_place >= 0 && http->connections[i].open ? WAIT_LOOK_MS
                                                                                    : look_ms;
    }
    return wishes && wish_ms < (unsigned)look_ms ? (int)wish_ms : any_open ? look_ms : -1;
}

/* While it has as many connections as it may have, or descriptors, the library does not listen; it
 * begins again when it runs next, which after the last connection nothing else would bring about.
 */
static void run(struct nw_http *http)
{
    (void)MHD_run(http->daemon);
    if (http->one_ended) {
        http->one_ended = false;
        (void)MHD_run(http->daemon);
    }
}

static void *serve(void *context)
{
    struct nw_http *http = context;
    bool any_open = false;

    (void)pthread_setname_np(pthread_self(), "http");
    for (;;) {
        const union MHD_DaemonInfo *info =
            MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_EPOLL_FD);
        struct pollfd polls[2] = {{.fd = http->bell, .events = POLLIN},
                                  {.fd = info->epoll_fd, .events = POLLIN}};

        if (poll(polls, 2, timeout_ms(http, any_open)) < 0 && errno != EINTR) {
            return NULL;
        }
        if ((polls[0].revents & POLLIN) != 0 && !bell_answer(http)) {
            return NULL;
        }
        waiting_wake(http, false, nw_http_now_ns());
        run(http);
        any_open = deadlines_look(http, nw_http_now_ns());
    }
}

static void bell_ring(struct nw_http *http)
{
    const uint64_t one = 1;

    (void)!write(http->bell, &one, sizeof one);
}

/* ---- for others ---- */

static void http_free(struct nw_http *http)
{
    if (http->daemon != NULL) {
        daemon_stop(http);
    }
    if (http->listener >= 0) {
        (void)close(http->listener);
        if (http->address.socket.any.sa_family == AF_UNIX) {
            (void)unlink(http->address.socket.path.sun_path);
        }
    }
    if (http->tables != NULL) {
        MHD_destroy_response(http->tables);
    }
    if (http->bell >= 0) {
        (void)close(http->bell);
    }
    free(http->tables_given);
    nw_http_credentials_free(&http->credentials);
    (void)pthread_cond_destroy(&http->taken);
    (void)pthread_mutex_destroy(&http->mutex);
    free(http);
}

static nw_status thread_start(struct nw_http *http, struct nw_error *err)
{
    int error = 0;

    http->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    error = http->bell < 0 ? errno : pthread_create(&http->thread, NULL, serve, http);
    return error == 0 ? NW_OK
                      : nw_fail(err, NW_FATAL, "NW2901 cannot start the HTTP server's thread: %s",
                                nw_errno_text(error));
}

nw_status nw_http_start(const struct nw_http_config *config, struct nw_waits *waits,
                        struct nw_http **http, struct nw_error *err)
{
    struct nw_http *made = NULL;
    nw_status status = NW_OK;

    *http = NULL;
    if (config->listen == NULL) {
        return NW_OK;
    }
    made = calloc(1, sizeof *made);
    if (made == NULL) {
        return nw_fail(err, NW_FATAL, "out of memory");
    }
    made->waits = waits;
    made->listener = made->bell = -1;
    (void)pthread_mutex_init(&made->mutex, NULL);
    (void)pthread_cond_init(&made->taken, NULL);
    nw_http_policy_make(made->policy);
    if (nw_http_address_parse(config->listen, &made->address) != NULL) {
        status = nw_fail(err, NW_FATAL, "NW1003 http.listen: %s is no address", config->listen);
    }
    status = status == NW_OK ? nw_http_credentials_read(config, &made->credentials, err) : status;
    status = status == NW_OK ? nw_http_listen(made, &made->listener, err) : status;
    if (status == NW_OK) {
        status = daemon_start(made, &made->credentials, &made->daemon, err);
    }
    status = status == NW_OK ? thread_start(made, err) : status;
    if (status != NW_OK) {
        http_free(made);
        return status;
    }
    nw_log(NW_LOG_INFO, "http answers on %s", made->shown);
    *http = made;
    return NW_OK;
}

void nw_http_stop(struct nw_http *http)
{
    if (http != NULL) {
        (void)pthread_mutex_lock(&http->mutex);
        http->stopping = true;
        (void)pthread_mutex_unlock(&http->mutex);
        bell_ring(http);
        (void)pthread_join(http->thread, NULL);
        http_free(http);
    }
}

void nw_http_publish(struct nw_http *http, const struct nw_report *report)
{
    if (http != NULL) {
        (void)pthread_mutex_lock(&http->mutex);
        http->report = *report;
        http->has_report = true;
        http->published_ns = nw_http_now_ns();
        (void)pthread_mutex_unlock(&http->mutex);
    }
}

bool nw_http_wants_tables(struct nw_http *http)
{
    bool wanted = false;

    if (http != NULL) {
        (void)pthread_mutex_lock(&http->mutex);
        wanted = http->tables_wanted;
        (void)pthread_mutex_unlock(&http->mutex);
    }
    return wanted;
}

void nw_http_give_tables(struct nw_http *http, char *document)
{
    (void)pthread_mutex_lock(&http->mutex);
    free(http->tables_given);
    http->tables_given = document;
    http->tables_wanted = false;
    (void)pthread_mutex_unlock(&http->mutex);
    bell_ring(http);
}

static bool same_text(const char *one, const char *other)
{
    return one == other || (one != NULL && other != NULL && strcmp(one, other) == 0);
}

static bool same_credentials(const struct nw_http_credentials *one,
                             const struct nw_http_credentials *other)
{
    return same_text(one->certificate, other->certificate) && same_text(one->key, other->key) &&
           one->has_token == other->has_token &&
           memcmp(one->token, other->token, sizeof one->token) == 0;
}

/* Waits for the server's thread to take them, or not. They are the caller's to free. */
static nw_status offer(struct nw_http *http, struct nw_http_credentials *credentials,
                       struct nw_error *err)
{
    nw_status status = NW_OK;

    (void)pthread_mutex_lock(&http->mutex);
    http->offered = credentials;
    bell_ring(http);
    while (http->offered != NULL) {
        (void)pthread_cond_wait(&http->taken, &http->mutex);
    }
    status = http->offer_status;
    if (status != NW_OK) {
        *err = http->offer_error;
    }
    (void)pthread_mutex_unlock(&http->mutex);
    return status;
}

nw_status nw_http_reload(struct nw_http *http, const struct nw_http_config *config,
                         struct nw_error *err)
{
    struct nw_http_credentials credentials = {0};
    nw_status status = NW_OK;

    if (http == NULL) {
        return NW_OK;
    }
    status = nw_http_credentials_read(config, &credentials, err);
    if (status == NW_OK && !http->address.local &&
        (credentials.certificate == NULL || !credentials.has_token)) {
        status =
            nw_fail(err, NW_FATAL,
                    "NW2012 %s stays open to others until a restart, which takes http.tls_cert, "
                    "http.tls_key and http.token",
                    http->shown);
    }
    /* The server's thread changes its own only when they are offered new ones. */
    if (status == NW_OK && !same_credentials(&credentials, &http->credentials)) {
        status = offer(http, &credentials, err);
    }
    nw_http_credentials_free(&credentials);
    return status;
}
