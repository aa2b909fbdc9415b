/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The code of a message, NW and four digits: it begins the text, or stands right behind
 * FILE:LINE:COLUMN:. One code is one situation with one cause, danger and repair, which
 * docs/runbook.md has and `narwal explain` prints. Errors carry their code in their text, so
 * whoever puts something before the text of an error puts its code before that again:
 *
 *     nw_log(NW_LOG_WARN, "%.6s sink %s: %s", nw_error_code(&err), name, nw_code_rest(err.text));
 *
 * Pure functions.
 */
#ifndef NW_BASE_CODE_H
#define NW_BASE_CODE_H

#include <narwal/status.h>

#define NW_CODE_LENGTH 6

/** Where the text's code is, NW_CODE_LENGTH bytes without a NUL behind; NULL: it has none. */
const char *nw_code_find(const char *text);
/** The text's code, or else the fallback: to be printed with %.6s. */
const char *nw_code_or(const char *text, const char *fallback);
/** The text without the code that it begins with. */
const char *nw_code_rest(const char *text);
/**
 * The error's code, to be printed with %.6s. One without a code is of memory that was refused
 * (NW2901), or of malformed bytes (NW2902): what has no other cause needs no code of its own.
 */
const char *nw_error_code(const struct nw_error *err);

#endif
