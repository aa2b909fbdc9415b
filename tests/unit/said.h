/* SPDX-License-Identifier: Apache-2.0 */
/* What was logged, kept so that a test can look at it. One test at a time. */
#ifndef NW_TESTS_SAID_H
#define NW_TESTS_SAID_H

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/log.h"

static int said_file = -1;

static inline void said_begin(void)
{
    said_file = memfd_create("log", MFD_CLOEXEC);
    assert_true(said_file >= 0);
    nw_log_setup(said_file, NW_LOG_DEBUG, false);
}

/* How often it was said since said_begin(). */
static inline int said_count(const char *text)
{
    off_t size = lseek(said_file, 0, SEEK_END);
    char *whole = calloc(1, (size_t)size + 1);
    int count = 0;

    assert_non_null(whole);
    assert_int_equal(pread(said_file, whole, (size_t)size, 0), size);
    for (const char *at = whole; (at = strstr(at, text)) != NULL; at += strlen(text)) {
        count++;
    }
    free(whole);
    return count;
}

static inline bool said(const char *text)
{
    return said_count(text) > 0;
}

static inline void said_end(void)
{
    nw_log_setup(STDERR_FILENO, NW_LOG_INFO, false);
    (void)close(said_file);
    said_file = -1;
}

#endif
