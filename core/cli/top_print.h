/* SPDX-License-Identifier: Apache-2.0 */
/* What `narwal top` shows: status and tables as lines that fit a terminal. Pure. */
#ifndef NW_CLI_TOP_PRINT_H
#define NW_CLI_TOP_PRINT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

struct nw_top {
    json_t *status, *status_before; /* as `narwal status --json`; NULL: none yet */
    json_t *tables, *tables_before; /* as `narwal table list --json`; NULL: none yet */
    double tables_s;                /* between these two */
    const char *pattern;            /* over schema.table; NULL: all */
    double lost_s;                  /* since it last answered; 0: it does */
    unsigned width, height;         /* columns, and lines at most */
    bool redraws;                   /* a terminal: lines end what stood there, heads are bold */
};

/** The whole screen. Nothing of what is named steers the terminal. */
void nw_top_print(const struct nw_top *top, FILE *out);

#endif
