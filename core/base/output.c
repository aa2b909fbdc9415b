/* SPDX-License-Identifier: Apache-2.0 */
/* See output.h. */
#include "base/output.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assert.h"

/* The same pipe or terminal, with flags of its own; -1 when it cannot be opened again. */
static int open_again(int descriptor)
{
    char path[32];

    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", descriptor);
    return open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

void nw_output_set(struct nw_output *output, int descriptor)
{
    bool used = output->own > 0;
    struct stat what;

    if (used) {
        (void)close(output->own);
    }
    *output = (struct nw_output){.given = descriptor, .own = -1};
    if (fstat(descriptor, &what) != 0) {
        return; /* every write will fail */
    }
    output->socket = S_ISSOCK(what.st_mode);
    output->file = S_ISREG(what.st_mode);
    if (S_ISFIFO(what.st_mode) || S_ISCHR(what.st_mode)) {
        output->own = open_again(descriptor);
    }
}

/* As much as goes without waiting; -1 when nothing does. */
static ssize_t write_some(const struct nw_output *output, const char *bytes, size_t size)
{
    if (output->socket) {
        return send(output->given, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL);
    }
    if (output->own < 0 && !output->file) {
        struct pollfd room = {.fd = output->given, .events = POLLOUT};

        if (poll(&room, 1, 0) != 1 || (room.revents & POLLOUT) == 0) {
            errno = EAGAIN;
            return -1;
        }
    }
    return write(output->own < 0 ? output->given : output->own, bytes, size);
}

bool nw_output_write(struct nw_output *output, const char *line, size_t size)
{
    ssize_t written = 0;

    NW_ASSERT(size <= NW_OUTPUT_LINE_MAX);
    if (output->rest_size > 0) {
        written = write_some(output, output->rest, output->rest_size);
        if (written < 0 && errno != EAGAIN && errno != EINTR) {
            output->rest_size = 0; /* nobody will ever read it */
            return false;
        }
        written = written < 0 ? 0 : written;
        output->rest_size -= (size_t)written;
        memmove(output->rest, output->rest + written, output->rest_size);
        if (output->rest_size > 0) {
            return false;
        }
    }
    written = write_some(output, line, size);
    if (written < 0) {
        return false;
    }
    output->rest_size = size - (size_t)written;
    memcpy(output->rest, line + written, output->rest_size);
    return true;
}
