/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Untrusted texts on a terminal and in JSON. Names and values may hold anything; a terminal must
 * not obey it. Pure.
 */
#ifndef NW_CLI_TAIL_FORMAT_H
#define NW_CLI_TAIL_FORMAT_H

#include <stdio.h>

#include "base/cursor.h"

/**
 * As it is, but for control characters, what reverses the direction of text, what is no UTF-8, and
 * the backslash: those are escaped (\n, \x1b, \u009b).
 */
void nw_tail_format_text(FILE *out, struct nw_bytes text);
/** The same, in double quotes where it could be taken for something else: empty, NULL, a blank. */
void nw_tail_format_value(FILE *out, struct nw_bytes text);
/** A JSON string, as names need it: what is no UTF-8 becomes U+FFFD. */
void nw_tail_format_json_name(FILE *out, struct nw_bytes text);
/** A JSON string; {"hex":"..."} when it is no UTF-8. */
void nw_tail_format_json(FILE *out, struct nw_bytes text);

#endif
