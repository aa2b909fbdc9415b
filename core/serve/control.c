/* SPDX-License-Identifier: Apache-2.0 */
/* See control.h. The thread owns the sockets; the report is exchanged under the mutex. */
#include "serve/control.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/errno.h"
#include "base/folder.h"
#include "pg/lsn.h"

#define REQUEST_SIZE 256
#define ANSWER_SIZE  1024
#define TIMEOUT_S    5
#define ANSWER_S     10
#define HANGUP_MS    1000 /* who waits is looked after this often: it may have gone away */

/* Who asked to wait. */
struct nw_control_waiter {
    FILE *out; /* NULL: nobody */
    uint64_t lsn;
    int64_t until_ms;
    int place; /* see nw_wait_begin() */
};

struct nw_control {
    struct sockaddr_un address;
    struct nw_waits *waits;
    struct nw_control_waiter waiters[NW_WAITS_MAX]; /* the thread's */
    int listener;
    int stop; /* eventfd */
    pthread_t thread;
    char taken[REQUEST_SIZE]; /* the main thread's */
    pthread_mutex_t mutex;    /* guards all below */
    pthread_cond_t changed;
    struct nw_report report;
    bool has_report;
    char asked[REQUEST_SIZE]; /* "": nothing */
    char answer[ANSWER_SIZE]; /* "": not yet */
    char *document;           /* the answer instead, whole; NULL: none */
    bool well, stopping;
};

static nw_status address_make(const char *folder, struct sockaddr_un *address, struct nw_error *err)
{
    memset(address, 0, sizeof *address);
    address->sun_family = AF_UNIX;
    if (snprintf(address->sun_path, sizeof address->sun_path, "%s/control.sock", folder) >=
        (int)sizeof address->sun_path) {
        return nw_fail(
            err, NW_FATAL,
            "NW2008 the state folder's path %s is too long for a unix socket: choose a shorter "
            "state_dir",
            folder);
    }
    return NW_OK;
}

static void status_print(struct nw_control *control, FILE *out)
{
    struct nw_report *report = malloc(sizeof *report);
    bool has_report = false;

    (void)pthread_mutex_lock(&control->mutex);
    has_report = control->has_report && report != NULL;
    if (has_report) {
        *report = control->report;
    }
    (void)pthread_mutex_unlock(&control->mutex);
    if (has_report) {
        nw_report_json(report, out);
    } else {
        (void)fputs(NW_REPORT_NONE, out);
    }
    free(report);
}

static void answer_print(FILE *out, bool well, const char *text)
{
    json_t *root = json_pack("{s:s}", well ? "done" : "error", text);

    if (root != NULL) {
        (void)json_dumpf(root, out, JSON_COMPACT);
        (void)fputc('\n', out);
    }
    json_decref(root);
}

/* Hands a command over to whoever runs the pipeline, and waits. @return whether it is well
 * @param document  give: the answer, if not NULL; else it is in text */
static bool command_ask(struct nw_control *control, const char *request, char **document,
                        char text[ANSWER_SIZE])
{
    struct timespec until;
    bool well = false;
    int result = 0;

    (void)snprintf(text, ANSWER_SIZE,
                   "narwal does not answer just now, for it is starting, paused, waiting for the "
                   "server, or stopping: ask again");
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += ANSWER_S;
    (void)pthread_mutex_lock(&control->mutex);
    (void)snprintf(control->asked, sizeof control->asked, "%s", request);
    control->answer[0] = '\0';
    while (control->answer[0] == '\0' && control->document == NULL && !control->stopping &&
           result == 0) {
        result = pthread_cond_timedwait(&control->changed, &control->mutex, &until);
    }
    *document = control->document;
    control->document = NULL;
    if (control->answer[0] != '\0') {
        (void)snprintf(text, ANSWER_SIZE, "%s", control->answer);
        well = control->well;
    }
    control->asked[0] = '\0';
    (void)pthread_mutex_unlock(&control->mutex);
    return well;
}

static void command_pass(struct nw_control *control, const char *request, FILE *out)
{
    char text[ANSWER_SIZE];
    char *document = NULL;
    bool well = command_ask(control, request, &document, text);

    if (document != NULL) {
        (void)fputs(document, out);
        free(document);
        return;
    }
    answer_print(out, well, text);
}

/* ---- who waits ---- */

static int64_t now_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* @return false, and why */
static bool wait_parse(struct nw_control *control, const char *request,
                       struct nw_control_waiter *to, uint32_t *sink, char text[ANSWER_SIZE])
{
    char lsn[24];
    char name[REQUEST_SIZE];
    char *document = NULL;
    int seconds = 0;

    if (sscanf(request, "wait %23s %d %255s", lsn, &seconds, name) != 3 || seconds < 0) {
        (void)snprintf(text, ANSWER_SIZE, "NW1501 an unknown command");
        return false;
    }
    if (!nw_waits_sink(control->waits, name, sink)) {
        (void)snprintf(text, ANSWER_SIZE, "NW1501 there is no sink %.200s", name);
        return false;
    }
    if (strcmp(lsn, "now") == 0) {
        bool well = command_ask(control, "lsn", &document, text);

        free(document);
        if (!well) {
            return false;
        }
        (void)snprintf(lsn, sizeof lsn, "%.23s", text);
    }
    if (!nw_lsn_parse(lsn, &to->lsn)) {
        (void)snprintf(text, ANSWER_SIZE, "NW1501 %.23s is no LSN", lsn);
        return false;
    }
    to->until_ms = seconds == 0 ? INT64_MAX : now_ms() + (int64_t)seconds * 1000;
    return true;
}

/* @return whether the client is kept, to be answered later */
static bool wait_take(struct nw_control *control, const char *request, FILE *out)
{
    struct nw_control_waiter *to = NULL;
    char text[ANSWER_SIZE];
    uint32_t sink = 0;

    for (uint32_t i = 0; i < NW_WAITS_MAX && to == NULL; i++) {
        to = control->waiters[i].out == NULL ? &control->waiters[i] : NULL;
    }
    if (to == NULL) {
        answer_print(out, false, "NW1503 too many wait already: ask again");
        return false;
    }
    if (!wait_parse(control, request, to, &sink, text)) {
        answer_print(out, false, text);
        return false;
    }
    to->place = nw_wait_begin(control->waits, to->lsn, sink);
    if (to->place < 0) {
        answer_print(out, false, "NW1503 too many wait already: ask again");
        return false;
    }
    to->out = out;
    return true;
}

/* Answers it, when there is an answer, or its end is closed. */
static void waiter_look(struct nw_control *control, struct nw_control_waiter *waiter)
{
    struct pollfd closed = {.fd = fileno(waiter->out), .events = POLLRDHUP};
    enum nw_wait_result result = nw_wait_look(control->waits, waiter->place);
    char lsn[NW_LSN_TEXT_SIZE];
    char text[64];

    if (result == NW_WAIT_NOT_YET && now_ms() < waiter->until_ms && poll(&closed, 1, 0) == 0) {
        return;
    }
    (void)snprintf(text, sizeof text, "%s", nw_lsn_text(lsn, waiter->lsn));
    if (result == NW_WAIT_DURABLE) {
        answer_print(waiter->out, true, text);
    } else if (result == NW_WAIT_ENDS) {
        answer_print(waiter->out, false, "NW1503 narwal stops");
    } else {
        (void)fprintf(waiter->out, "{\"late\":\"%s\"}\n", text);
    }
    nw_wait_end(control->waits, waiter->place);
    (void)fclose(waiter->out);
    waiter->out = NULL;
}

/* @return for how long there is nothing to look at, for poll() */
static int waiters_look(struct nw_control *control)
{
    int64_t now = now_ms();
    int64_t next_ms = INT64_MAX;
    uint64_t news = 0;

    (void)!read(nw_waits_descriptor(control->waits), &news, sizeof news);
    for (uint32_t i = 0; i < NW_WAITS_MAX; i++) {
        if (control->waiters[i].out != NULL) {
            waiter_look(control, &control->waiters[i]);
        }
        if (control->waiters[i].out != NULL) {
            int64_t left = control->waiters[i].until_ms - now;

            left = left > HANGUP_MS ? HANGUP_MS : left;
            next_ms = left < next_ms ? left : next_ms;
        }
    }
    return next_ms == INT64_MAX ? -1 : next_ms < 0 ? 0 : (int)next_ms;
}

/* ---- clients ---- */

static void answer(struct nw_control *control, int client)
{
    char request[REQUEST_SIZE] = "";
    FILE *out = NULL;
    ssize_t size = read(client, request, sizeof request - 1);
    bool kept = false;

    request[size > 0 ? size : 0] = '\0';
    request[strcspn(request, "\r\n")] = '\0';
    out = fdopen(client, "w");
    if (out == NULL) {
        (void)close(client);
        return;
    }
    if (strcmp(request, "status") == 0) {
        status_print(control, out);
    } else if (strncmp(request, "wait ", 5) == 0) {
        kept = wait_take(control, request, out);
    } else {
        command_pass(control, request, out);
    }
    if (!kept) {
        (void)fclose(out);
    }
}

static void clients_end(struct nw_control *control)
{
    nw_waits_end(control->waits);
    (void)waiters_look(control);
}

static void *serve(void *context)
{
    struct nw_control *control = context;
    struct timeval timeout = {.tv_sec = TIMEOUT_S};

    for (;;) {
        struct pollfd polls[3] = {{.fd = control->stop, .events = POLLIN},
                                  {.fd = control->listener, .events = POLLIN},
                                  {.fd = nw_waits_descriptor(control->waits), .events = POLLIN}};
        int client = -1;

        if (poll(polls, 3, waiters_look(control)) < 0 && errno != EINTR) {
            return NULL;
        }
        if ((polls[0].revents & POLLIN) != 0) {
            clients_end(control);
            return NULL;
        }
        client = (polls[1].revents & POLLIN) != 0
                     ? accept4(control->listener, NULL, NULL, SOCK_CLOEXEC)
                     : -1;
        if (client >= 0) { /* a client that is slow must not keep us */
            (void)setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
            (void)setsockopt(client, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
            answer(control, client);
        }
    }
}

static nw_status listen_on(struct nw_control *control, struct nw_error *err)
{
    mode_t former = 0;
    int result = 0;

    control->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (control->listener < 0) {
        return nw_fail(err, NW_FATAL, "NW2901 cannot make a socket: %s", nw_errno_text(errno));
    }
    former = umask(0177);
    result = bind(control->listener, (struct sockaddr *)&control->address, sizeof control->address);
    (void)umask(former);
    if (result != 0 || listen(control->listener, 8) != 0) {
        return nw_fail(err, NW_FATAL, "NW2008 cannot listen on %s: %s", control->address.sun_path,
                       nw_errno_text(errno));
    }
    return NW_OK;
}

/* Whether somebody answers there: then it is not ours to replace. */
static bool in_use(const struct sockaddr_un *address)
{
    int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool used =
        probe >= 0 && connect(probe, (const struct sockaddr *)address, sizeof *address) == 0;

    if (probe >= 0) {
        (void)close(probe);
    }
    return used;
}

nw_status nw_control_start(const char *folder, struct nw_waits *waits, struct nw_control **control,
                           struct nw_error *err)
{
    struct nw_control *made = calloc(1, sizeof *made);
    pthread_condattr_t monotonic;
    nw_status status = NW_OK;

    if (made == NULL) {
        return nw_fail(err, NW_FATAL, "out of memory");
    }
    made->listener = made->stop = -1;
    made->waits = waits;
    (void)pthread_mutex_init(&made->mutex, NULL);
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&made->changed, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    status = nw_state_folder_make(folder, err);
    status = status == NW_OK ? address_make(folder, &made->address, err) : status;
    if (status == NW_OK && in_use(&made->address)) {
        status = nw_fail(
            err, NW_FATAL,
            "NW2001 another narwal runs with the state folder %s: stop it first, or give this "
            "one another name",
            folder);
        made->address.sun_path[0] = '\0'; /* not ours to remove */
    }
    if (status == NW_OK) {
        (void)unlink(made->address.sun_path); /* what a killed one left */
        status = listen_on(made, err);
    }
    made->stop = eventfd(0, EFD_CLOEXEC);
    if (status == NW_OK && made->stop >= 0 &&
        pthread_create(&made->thread, NULL, serve, made) == 0) {
        *control = made;
        return NW_OK;
    }
    if (status == NW_OK) {
        status = nw_fail(err, NW_FATAL, "NW2901 cannot start the control thread: %s",
                         nw_errno_text(errno));
    }
    (void)close(made->listener);
    (void)close(made->stop);
    free(made);
    return status;
}

void nw_control_publish(struct nw_control *control, const struct nw_report *report)
{
    if (control != NULL) {
        (void)pthread_mutex_lock(&control->mutex);
        control->report = *report;
        control->has_report = true;
        (void)pthread_mutex_unlock(&control->mutex);
    }
}

const char *nw_control_asked(struct nw_control *control)
{
    bool asked = false;

    if (control != NULL) {
        (void)pthread_mutex_lock(&control->mutex);
        asked =
            control->asked[0] != '\0' && control->answer[0] == '\0' && control->document == NULL;
        if (asked) { /* its own copy: who asked may go away meanwhile */
            memcpy(control->taken, control->asked, sizeof control->taken);
        }
        (void)pthread_mutex_unlock(&control->mutex);
    }
    return asked ? control->taken : NULL;
}

void nw_control_answer(struct nw_control *control, bool well, const char *text)
{
    (void)pthread_mutex_lock(&control->mutex);
    (void)snprintf(control->answer, sizeof control->answer, "%s", text);
    control->well = well;
    (void)pthread_cond_signal(&control->changed);
    (void)pthread_mutex_unlock(&control->mutex);
}

void nw_control_give(struct nw_control *control, char *document)
{
    (void)pthread_mutex_lock(&control->mutex);
    free(control->document); /* whoever asked went away */
    control->document = document;
    (void)pthread_cond_signal(&control->changed);
    (void)pthread_mutex_unlock(&control->mutex);
}

void nw_control_stop(struct nw_control *control)
{
    uint64_t one = 1;

    if (control != NULL) {
        (void)pthread_mutex_lock(&control->mutex);
        control->stopping = true;
        (void)pthread_cond_signal(&control->changed);
        (void)pthread_mutex_unlock(&control->mutex);
        (void)!write(control->stop, &one, sizeof one);
        (void)pthread_join(control->thread, NULL);
        (void)unlink(control->address.sun_path);
        (void)close(control->listener);
        (void)close(control->stop);
        (void)pthread_cond_destroy(&control->changed);
        (void)pthread_mutex_destroy(&control->mutex);
        free(control->document);
        free(control);
    }
}

nw_status nw_control_ask(const char *folder, const char *request, FILE *out, struct nw_error *err)
{
    struct sockaddr_un address;
    char buffer[4096];
    ssize_t size = 0;
    int client = -1;
    nw_status status = address_make(folder, &address, err);

    if (status != NW_OK) {
        return status;
    }
    client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (client < 0 || connect(client, (struct sockaddr *)&address, sizeof address) != 0) {
        status = nw_fail(err, NW_FATAL, "NW1502 no narwal runs with the state folder %s (%s)",
                         folder, nw_errno_text(errno));
    } else {
        char line[REQUEST_SIZE];
        int length = snprintf(line, sizeof line, "%s\n", request);

        /* One send: the answer may come, and the socket close, as soon as the line is whole. */
        (void)!send(client, line, (size_t)length, MSG_NOSIGNAL);
        while ((size = read(client, buffer, sizeof buffer)) > 0) {
            (void)fwrite(buffer, 1, (size_t)size, out);
        }
        if (size < 0) {
            status =
                nw_fail(err, NW_FATAL, "NW1503 narwal did not answer: %s", nw_errno_text(errno));
        }
    }
    if (client >= 0) {
        (void)close(client);
    }
    return status;
}
