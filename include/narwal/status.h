/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Status codes and error texts, shared by narwal and its plugins.
 *
 * The status tells the caller what to do next; the text tells a human what happened.
 */
#ifndef NARWAL_STATUS_H
#define NARWAL_STATUS_H

#include <stdarg.h>
#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

#define NW_EXPORT              __attribute__((visibility("default")))
#define NW_MUST_CHECK          __attribute__((warn_unused_result))
#define NW_PRINTF(text, first) __attribute__((format(printf, text, first)))

/** What the caller has to do next. Values are part of the ABI. */
typedef enum nw_status {
    NW_OK = 0,
    NW_AGAIN = 1,  /**< No progress was made and nothing was taken: call again later. */
    NW_RETRY = 2,  /**< A fault outside of us (network, disk full): back off, recover, try again. */
    NW_REJECT = 3, /**< The sink refuses these rows; trying again does not help. */
    NW_CORRUPT = 4, /**< Malformed bytes: stop here, never skip. */
    NW_FATAL = 5,   /**< Stop: a human has to act. */
} nw_status;

#define NW_ERROR_TEXT_SIZE 1024

/** Why a call failed. Owned by the caller; filled unless the result is NW_OK or NW_AGAIN. */
struct nw_error {
    nw_status status;
    char text[NW_ERROR_TEXT_SIZE]; /**< NUL-terminated; one sentence without a final newline. */
};

/**
 * Fill an error and return its status, so that failing is one statement.
 *
 * @param err     may be NULL.
 * @param status  not NW_OK.
 * @param format  printf format of a sentence that says what, where and what to do.
 * @return status
 */
NW_PRINTF(3, 4)
static inline nw_status nw_fail(struct nw_error *err, nw_status status, const char *format, ...)
{
    if (err != NULL) {
        va_list args;

        err->status = status;
        va_start(args, format);
        (void)vsnprintf(err->text, sizeof err->text, format, args);
        va_end(args);
    }
    return status;
}

#ifdef __clang_analyzer__
/* It does not look into variadic functions, and would follow paths where failing gives NW_OK. */
#define nw_fail(err, status, ...) ((void)nw_fail(err, status, __VA_ARGS__), (status))
#endif

#ifdef __cplusplus
}
#endif
#endif
