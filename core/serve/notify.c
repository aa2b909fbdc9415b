/* SPDX-License-Identifier: Apache-2.0 */
/* See notify.h. */
#include "serve/notify.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/errno.h"
#include "base/log.h"

#define STATUS_NS    2000000000LL
#define PATIENCE_NS  30000000000LL
#define MESSAGE_SIZE 640

static int64_t now_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* A path, or with @ a name that is in no folder. @return a connected socket; -1: it cannot be */
static int socket_open(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t size = strlen(path);
    int made = -1;

    if ((path[0] != '/' && path[0] != '@') || size < 2 || size >= sizeof address.sun_path) {
        nw_log(NW_LOG_WARN, "NW2011 NOTIFY_SOCKET is no path of a socket: %s", path);
        return -1;
    }
    memcpy(address.sun_path, path, size);
    address.sun_path[0] = path[0] == '@' ? '\0' : path[0];
    made = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (made < 0 || connect(made, (struct sockaddr *)&address,
                            (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size)) != 0) {
        nw_log(NW_LOG_WARN, "NW2011 the service manager cannot be told anything: %s: %s", path,
               nw_errno_text(errno));
        if (made >= 0) {
            (void)close(made);
        }
        return -1;
    }
    return made;
}

/* Whether the watchdog is meant for this process. */
static int64_t watchdog_read(void)
{
    const char *us = getenv("WATCHDOG_USEC"); /* NOLINT(concurrency-mt-unsafe): no threads yet */
    const char *pid = getenv("WATCHDOG_PID"); /* NOLINT(concurrency-mt-unsafe) */
    int64_t interval_us = us == NULL ? 0 : strtoll(us, NULL, 10);

    if (pid != NULL && strtoll(pid, NULL, 10) != (long long)getpid()) {
        return 0;
    }
    return interval_us > 0 && interval_us < INT64_MAX / 1000 ? interval_us * 1000 : 0;
}

void nw_notify_init(struct nw_notify *notify)
{
    const char *path = getenv("NOTIFY_SOCKET"); /* NOLINT(concurrency-mt-unsafe): no threads yet */

    *notify = (struct nw_notify){.socket = -1};
    if (path != NULL) {
        notify->socket = socket_open(path);
        notify->watchdog_ns = watchdog_read();
    }
    (void)unsetenv("NOTIFY_SOCKET"); /* NOLINT(concurrency-mt-unsafe) */
    (void)unsetenv("WATCHDOG_USEC"); /* NOLINT(concurrency-mt-unsafe) */
    (void)unsetenv("WATCHDOG_PID");  /* NOLINT(concurrency-mt-unsafe) */
}

void nw_notify_fini(struct nw_notify *notify)
{
    if (notify->socket >= 0) {
        (void)close(notify->socket);
        notify->socket = -1;
    }
}

/* Whoever does not listen is not waited for. */
NW_PRINTF(2, 3)
static void tell(const struct nw_notify *notify, const char *format, ...)
{
    char text[MESSAGE_SIZE];
    va_list args;
    int size = 0;

    if (notify->socket < 0) {
        return;
    }
    va_start(args, format);
    size = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    size = size >= (int)sizeof text ? (int)sizeof text - 1 : size;
    (void)!send(notify->socket, text, (size_t)size, MSG_NOSIGNAL);
}

/* A line, whatever a server's message in it has: what follows a line's end would be a key. */
static void status_tell(struct nw_notify *notify, bool ready, const char *text)
{
    char line[MESSAGE_SIZE];

    (void)snprintf(line, sizeof line, "%s", text);
    for (char *at = line; *at != '\0'; at++) {
        *at = (unsigned char)*at < 0x20 ? ' ' : *at;
    }
    tell(notify, "%sSTATUS=%s", ready ? "READY=1\n" : "", line);
    notify->status_ns = now_ns();
}

void nw_notify_report(struct nw_notify *notify, const struct nw_report *report, const char *line)
{
    bool works = strcmp(report->phase, "copying") == 0 || strcmp(report->phase, "streaming") == 0 ||
                 (strcmp(report->phase, "standby") == 0 && report->standby_seen_s > 0);

    if (!notify->ready && works) {
        notify->ready = true;
        status_tell(notify, true, line);
    } else if (now_ns() - notify->status_ns >= STATUS_NS) {
        status_tell(notify, false, line);
    }
}

int64_t nw_notify_patience_ns(const struct nw_notify *notify)
{
    return notify->watchdog_ns > 0 ? notify->watchdog_ns / 4 : PATIENCE_NS;
}

void nw_notify_alive(struct nw_notify *notify)
{
    int64_t now = now_ns();

    if (notify->watchdog_ns > 0 && now - notify->alive_ns >= notify->watchdog_ns / 4) {
        notify->alive_ns = now;
        tell(notify, "WATCHDOG=1");
    }
}

void nw_notify_stops(struct nw_notify *notify)
{
    if (!notify->stopping) {
        notify->stopping = true;
        tell(notify, "STOPPING=1");
    }
}

void nw_notify_reloads(struct nw_notify *notify, bool begins)
{
    if (begins) {
        tell(notify, "RELOADING=1\nMONOTONIC_USEC=%" PRId64, now_ns() / 1000);
    } else if (notify->ready) {
        tell(notify, "READY=1");
    }
}
