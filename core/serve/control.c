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

#define REQUEST_SIZE 256
#define ANSWER_SIZE  1024
#define TIMEOUT_S    5
#define ANSWER_S     10

struct nw_control {
    struct sockaddr_un address;
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

/* Hands a command over to whoever runs the pipeline, and waits. */
static void command_pass(struct nw_control *control, const char *request, FILE *out)
{
    struct timespec until;
    char text[ANSWER_SIZE] = "narwal does not answer just now, for it is starting, waiting for the "
                             "server, or stopping: ask again";
    char *document = NULL;
    bool well = false;
    json_t *root = NULL;
    int result = 0;

    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += ANSWER_S;
    (void)pthread_mutex_lock(&control->mutex);
    (void)snprintf(control->asked, sizeof control->asked, "%s", request);
    control->answer[0] = '\0';
    while (control->answer[0] == '\0' && control->document == NULL && !control->stopping &&
           result == 0) {
        result = pthread_cond_timedwait(&control->changed, &control->mutex, &until);
    }
    document = control->document;
    control->document = NULL;
    if (control->answer[0] != '\0') {
        (void)snprintf(text, sizeof text, "%s", control->answer);
        well = control->well;
    }
    control->asked[0] = '\0';
    (void)pthread_mutex_unlock(&control->mutex);
    if (document != NULL) {
        (void)fputs(document, out);
        free(document);
        return;
    }
    root = json_pack("{s:s}", well ? "done" : "error", text);
    if (root != NULL) {
        (void)json_dumpf(root, out, JSON_COMPACT);
        (void)fputc('\n', out);
    }
    json_decref(root);
}

static void answer(struct nw_control *control, int client)
{
    char request[REQUEST_SIZE] = "";
    FILE *out = NULL;
    ssize_t size = read(client, request, sizeof request - 1);
    int copy = dup(client);

    request[size > 0 ? size : 0] = '\0';
    request[strcspn(request, "\r\n")] = '\0';
    out = copy < 0 ? NULL : fdopen(copy, "w");
    if (out == NULL) {
        if (copy >= 0) {
            (void)close(copy);
        }
        return;
    }
    if (strcmp(request, "status") == 0) {
        status_print(control, out);
    } else {
        command_pass(control, request, out);
    }
    (void)fclose(out);
}

static void *serve(void *context)
{
    struct nw_control *control = context;
    struct timeval timeout = {.tv_sec = TIMEOUT_S};

    for (;;) {
        struct pollfd polls[2] = {{.fd = control->stop, .events = POLLIN},
                                  {.fd = control->listener, .events = POLLIN}};
        int client = -1;

        if (poll(polls, 2, -1) < 0 && errno != EINTR) {
            return NULL;
        }
        if ((polls[0].revents & POLLIN) != 0) {
            return NULL;
        }
        client = (polls[1].revents & POLLIN) != 0
                     ? accept4(control->listener, NULL, NULL, SOCK_CLOEXEC)
                     : -1;
        if (client >= 0) { /* a client that is slow must not keep us */
            (void)setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
            (void)setsockopt(client, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
            answer(control, client);
            (void)close(client);
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

nw_status nw_control_start(const char *folder, struct nw_control **control, struct nw_error *err)
{
    struct nw_control *made = calloc(1, sizeof *made);
    pthread_condattr_t monotonic;
    nw_status status = NW_OK;

    if (made == NULL) {
        return nw_fail(err, NW_FATAL, "out of memory");
    }
    made->listener = made->stop = -1;
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
