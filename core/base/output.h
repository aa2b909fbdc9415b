/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where log lines go, without ever waiting for whoever reads them: a pipe that nobody empties, a
 * stopped terminal or a full socket refuses the line, and the caller counts it as lost. Only a
 * regular file is written as it comes.
 *
 * Pipes and terminals are opened a second time (/proc/self/fd), so that O_NONBLOCK is ours alone
 * and not that of every process which has the same descriptor. Where that is not allowed, poll(2)
 * says whether there is room for a line.
 *
 * No lock of its own: the owner of the struct has one.
 */
#ifndef NW_BASE_OUTPUT_H
#define NW_BASE_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>

/** The longest line; a pipe takes as much at once, or nothing (PIPE_BUF). */
#define NW_OUTPUT_LINE_MAX 4096u

struct nw_output {
    int given;   /* descriptor that we were given; not closed by us */
    int own;     /* the same opened once more, never waits; -1: none */
    bool socket; /* asked with MSG_DONTWAIT */
    bool file;   /* written as it comes */
    size_t rest_size;
    char rest[NW_OUTPUT_LINE_MAX]; /* end of a line that went out in part; it goes first */
};

/** Begin to write to a descriptor. @param output  zeroed, or used before with another one. */
void nw_output_set(struct nw_output *output, int descriptor);
/**
 * Write one line, never waiting.
 * @param size  at most NW_OUTPUT_LINE_MAX
 * @return false: there was no room, and nothing of it is written.
 */
bool nw_output_write(struct nw_output *output, const char *line, size_t size);

#endif
