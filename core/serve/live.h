/* SPDX-License-Identifier: Apache-2.0 */
/* The live line: one line on a terminal, redrawn; elsewhere a log line at times. Main thread. */
#ifndef NW_SERVE_LIVE_H
#define NW_SERVE_LIVE_H

#include <stdbool.h>
#include <stddef.h>

#include "serve/report.h"

#define NW_LIVE_SIZE 400u

struct nw_live {
    bool terminal;
    bool shown; /* a line stands on the terminal */
    double logged_s;
    struct nw_report former; /* for rates */
    bool has_former;
    char text[NW_LIVE_SIZE]; /* the last one */
};

void nw_live_init(struct nw_live *live, bool terminal);
void nw_live_show(struct nw_live *live, const struct nw_report *report);
void nw_live_end(struct nw_live *live);

/** The line of a report, its rates from the one before. Pure. */
void nw_live_text(const struct nw_report *former, const struct nw_report *report,
                  char text[static NW_LIVE_SIZE]);

#endif
