/* SPDX-License-Identifier: Apache-2.0 */
/* What the HTTP server answers. On its thread, called by libmicrohttpd. See http.h. */
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "serve/http_private.h"
#include "serve/metrics.h"
#include "serve/page.h"

#define TABLES_OLD_NS 2000000000LL /* a list of tables is good for so long */
#define MAIN_OLD_S    120          /* since the main thread's last report */
#define ENGINE_OLD_S  30           /* since the engine's last turn */
#define TEXT          "text/plain; charset=utf-8"
#define JSON          "application/json"

/* One request being answered. */
struct request {
    struct nw_http *http;
    struct MHD_Connection *connection;
    bool has_report; /* http->seen is one */
    int64_t published_ns;
};

static void headers_add(const struct nw_http *http, struct MHD_Response *response, const char *type)
{
    const char *policy = strncmp(type, "text/html", 9) == 0
                             ? http->policy
                             : "default-src 'none'; frame-ancestors 'none'";

    (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    (void)MHD_add_response_header(response, "Content-Security-Policy", policy);
    (void)MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    (void)MHD_add_response_header(response, "Referrer-Policy", "no-referrer");
    (void)MHD_add_response_header(response, "Cross-Origin-Resource-Policy", "same-origin");
}

/* @param body  take: of malloc(); NULL: out of memory */
static enum MHD_Result respond(struct request *request, unsigned code, const char *type, char *body,
                               size_t size)
{
    struct MHD_Response *response =
        body == NULL ? NULL : MHD_create_response_from_buffer(size, body, MHD_RESPMEM_MUST_FREE);
    enum MHD_Result result = MHD_NO;

    if (response == NULL) {
        free(body);
        return MHD_NO; /* closes the connection */
    }
    headers_add(request->http, response, type);
    if (code == MHD_HTTP_UNAUTHORIZED) {
        (void)MHD_add_response_header(response, MHD_HTTP_HEADER_WWW_AUTHENTICATE,
                                      "Bearer realm=\"narwal\"");
    } else if (code == MHD_HTTP_METHOD_NOT_ALLOWED) {
        (void)MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
    } else if (code == MHD_HTTP_SERVICE_UNAVAILABLE) {
        (void)MHD_add_response_header(response, MHD_HTTP_HEADER_RETRY_AFTER, "1");
    }
    result = MHD_queue_response(request->connection, code, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result say(struct request *request, unsigned code, const char *text)
{
    char *body = NULL;
    int size = asprintf(&body, "%s\n", text);

    return respond(request, code, TEXT, size < 0 ? NULL : body, size < 0 ? 0 : (size_t)size);
}

/* ---- the routes ---- */

static enum MHD_Result page_answer(struct request *request)
{
    struct MHD_Response *response = MHD_create_response_from_buffer(
        nw_page_size, (void *)(uintptr_t)nw_page, MHD_RESPMEM_PERSISTENT);
    enum MHD_Result result = MHD_NO;

    if (response != NULL) {
        headers_add(request->http, response, "text/html; charset=utf-8");
        result = MHD_queue_response(request->connection, MHD_HTTP_OK, response);
        MHD_destroy_response(response);
    }
    return result;
}

static enum MHD_Result metrics_print(struct request *request,
                                     void (*print)(const struct nw_report *report,
                                                   enum nw_metrics_format format, FILE *out))
{
    const char *accept =
        MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_ACCEPT);
    enum nw_metrics_format format =
        accept != NULL && strstr(accept, "application/openmetrics-text") != NULL
            ? NW_METRICS_OPENMETRICS
            : NW_METRICS_PROMETHEUS;
    char *body = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&body, &size);

    if (out != NULL) {
        print(request->has_report ? &request->http->seen : NULL, format, out);
        (void)fclose(out);
    }
    return respond(request, MHD_HTTP_OK, nw_metrics_type(format), body, size);
}

static enum MHD_Result metrics_answer(struct request *request)
{
    return metrics_print(request, nw_metrics_print);
}

static enum MHD_Result debezium_answer(struct request *request)
{
    return metrics_print(request, nw_metrics_debezium_print);
}

static enum MHD_Result status_answer(struct request *request)
{
    char *body = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&body, &size);

    if (out != NULL) {
        if (request->has_report) {
            nw_report_json(&request->http->seen, out);
        } else {
            (void)fputs(NW_REPORT_NONE, out);
        }
        (void)fclose(out);
    }
    return respond(request, MHD_HTTP_OK, JSON, body, size);
}

static enum MHD_Result ready_answer(struct request *request)
{
    const struct nw_report *report = &request->http->seen;

    if (!request->has_report) {
        return say(request, MHD_HTTP_SERVICE_UNAVAILABLE, "starting");
    }
    if (!report->ready) {
        return say(request, MHD_HTTP_SERVICE_UNAVAILABLE, report->ready_reason);
    }
    if (strcmp(report->phase, "standby") == 0) {
        return say(request, MHD_HTTP_OK, "ready to take over: standing by");
    }
    return say(request, MHD_HTTP_OK, report->copy_paused ? "ready; the copy is paused" : "ready");
}

/* That we answer says that the process lives; the report says it of the others. What may block
 * while it starts is not judged: a restart would not help. */
static enum MHD_Result health_answer(struct request *request)
{
    const struct nw_report *report = &request->http->seen;
    double age_s = (double)(nw_http_now_ns() - request->published_ns) / 1e9;
    char age[NW_NUMBER_TEXT_SIZE];
    char text[128];

    if (!request->has_report || strcmp(report->phase, "starting") == 0) {
        return say(request, MHD_HTTP_OK, "ok, starting");
    }
    if (age_s > MAIN_OLD_S) {
        (void)snprintf(text, sizeof text, "the main thread has made no turn for %s",
                       nw_duration_text(age, age_s));
        return say(request, MHD_HTTP_SERVICE_UNAVAILABLE, text);
    }
    if (report->engine_age_s > ENGINE_OLD_S) {
        (void)snprintf(text, sizeof text, "the engine's thread has made no turn for %s",
                       nw_duration_text(age, report->engine_age_s));
        return say(request, MHD_HTTP_SERVICE_UNAVAILABLE, text);
    }
    return say(request, MHD_HTTP_OK, "ok");
}

/* The list is made by the main thread, when somebody wants it: who asks waits for that. */
static enum MHD_Result tables_answer(struct request *request)
{
    struct nw_http *http = request->http;
    struct nw_http_connection *own = nw_http_connection_of(request->connection);
    int64_t now_ns = nw_http_now_ns();

    if (http->tables != NULL && now_ns - http->tables_ns <= TABLES_OLD_NS) {
        return MHD_queue_response(request->connection, MHD_HTTP_OK, http->tables);
    }
    if (own == NULL || (own->waits_ns != 0 && now_ns - own->waits_ns >= NW_HTTP_TABLES_WAIT_NS)) {
        return say(request, MHD_HTTP_SERVICE_UNAVAILABLE,
                   "narwal is starting, waiting for the server, or stopping: ask again");
    }
    own->waits_ns = own->waits_ns == 0 ? now_ns : own->waits_ns;
    own->waiting = request->connection;
    (void)pthread_mutex_lock(&http->mutex);
    http->tables_wanted = true;
    (void)pthread_mutex_unlock(&http->mutex);
    MHD_suspend_connection(request->connection);
    return MHD_YES;
}

static enum MHD_Result wait_answer(struct request *request)
{
    struct nw_http_connection *own = nw_http_connection_of(request->connection);
    char text[NW_HTTP_WAIT_TEXT];
    unsigned code = MHD_HTTP_SERVICE_UNAVAILABLE;

    (void)snprintf(text, sizeof text, "too many connections: ask again");
    if (own != NULL) {
        code = nw_http_wait(request->http, request->connection, own, text);
    }
    if (code != 0) {
        return say(request, code, text);
    }
    own->waiting = request->connection;
    MHD_suspend_connection(request->connection);
    return MHD_YES;
}

static const struct route {
    const char *path;
    enum MHD_Result (*answer)(struct request *request);
    bool open; /* without a token */
} ROUTES[] = {
    {"/", page_answer, true},          {"/metrics", metrics_answer, false},
    {"/status", status_answer, false}, {"/tables", tables_answer, false},
    {"/ready", ready_answer, false},   {"/healthz", health_answer, false},
    {"/wait", wait_answer, false},     {"/metrics/debezium", debezium_answer, false},
};

/* ---- who may ask ---- */

static const char *header_of(const struct request *request, const char *name)
{
    return MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, name);
}

/* Both are hashed first, so that neither length nor content shows in the time that it takes. */
static bool token_fits(const struct request *request)
{
    const struct nw_http_credentials *credentials = &request->http->credentials;
    const char *given = header_of(request, MHD_HTTP_HEADER_AUTHORIZATION);
    unsigned char digest[SHA256_DIGEST_LENGTH];

    if (!credentials->has_token) {
        return true;
    }
    if (given == NULL || strncasecmp(given, "Bearer ", 7) != 0) {
        return false;
    }
    given += 7;
    (void)SHA256((const unsigned char *)given, strlen(given), digest);
    return CRYPTO_memcmp(digest, credentials->token, sizeof digest) == 0;
}

/*
 * Without a token a page of a foreign site could read from here, once its name was made to lead to
 * 127.0.0.1 (DNS rebinding). Its requests still carry the foreign name.
 */
static bool host_fits(const struct request *request)
{
    const char *host = header_of(request, MHD_HTTP_HEADER_HOST);
    bool by_path = request->http->address.socket.any.sa_family == AF_UNIX;
    size_t size = 0;

    if (request->http->credentials.has_token || by_path || host == NULL || host[0] == '\0' ||
        host[0] == '[') {
        return true;
    }
    size = strcspn(host, ":");
    return strspn(host, "0123456789.") == size ||
           (size == strlen("localhost") && strncasecmp(host, "localhost", size) == 0);
}

/* ---- all of it ---- */

static void report_take(struct request *request)
{
    struct nw_http *http = request->http;

    (void)pthread_mutex_lock(&http->mutex);
    request->has_report = http->has_report;
    request->published_ns = http->published_ns;
    if (http->has_report) {
        http->seen = http->report;
    }
    (void)pthread_mutex_unlock(&http->mutex);
}

static enum MHD_Result route_answer(struct request *request, const char *url)
{
    for (size_t i = 0; i < sizeof ROUTES / sizeof ROUTES[0]; i++) {
        if (strcmp(ROUTES[i].path, url) == 0) {
            if (!ROUTES[i].open && !token_fits(request)) {
                return say(request, MHD_HTTP_UNAUTHORIZED,
                           "this narwal answers who sends Authorization: Bearer TOKEN, with the "
                           "token of http.token");
            }
            report_take(request);
            return ROUTES[i].answer(request);
        }
    }
    return say(
        request, MHD_HTTP_NOT_FOUND,
        "not found; there are / /metrics /metrics/debezium /status /tables /ready /healthz /wait");
}

/* NOLINTNEXTLINE(readability-function-size): libmicrohttpd's parameters */
enum MHD_Result nw_http_request(void *context, struct MHD_Connection *connection, const char *url,
                                const char *method, const char *version, const char *upload,
                                size_t *upload_size, void **request)
{
    static int begun; /* only its address counts */
    struct request made = {.http = context, .connection = connection};

    (void)version;
    (void)upload;
    if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0) {
        return say(&made, MHD_HTTP_METHOD_NOT_ALLOWED,
                   "narwal is only read over HTTP: GET or HEAD");
    }
    if (*request == NULL) { /* its headers are there; its body, if it has one, comes next */
        *request = &begun;
        return MHD_YES;
    }
    if (*upload_size > 0) {
        *upload_size = 0;
        return MHD_YES;
    }
    if (!host_fits(&made)) {
        return say(&made, MHD_HTTP_MISDIRECTED_REQUEST,
                   "without a token narwal answers to an address or localhost only, not to a name");
    }
    return route_answer(&made, url);
}
