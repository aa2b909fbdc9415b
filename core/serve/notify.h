/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the service manager is told: that narwal is ready, reloads or stops, how it is, and that it
 * is alive. The protocol is that of sd_notify(3): datagrams to the socket that NOTIFY_SOCKET names,
 * lines of the form KEY=value. Without that variable nothing is said. Main thread.
 */
#ifndef NW_SERVE_NOTIFY_H
#define NW_SERVE_NOTIFY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/text.h"
#include "serve/report.h"

struct nw_notify {
    int socket;           /* -1: nobody is told */
    int64_t watchdog_ns;  /* it has to be heard of this often; 0: it need not be */
    int64_t alive_ns;     /* when it was told so last */
    int64_t status_ns;    /* the same of how it is */
    bool ready, stopping; /* it was told so */
};

/** Before threads are started. The variables are taken away, so that no child speaks for us. */
void nw_notify_init(struct nw_notify *notify);
void nw_notify_fini(struct nw_notify *notify);
/** Ready, once it copies or streams; and how it is, in one line, as the live line has it. */
void nw_notify_report(struct nw_notify *notify, const struct nw_report *report, const char *line);
/** How long a thread may seem to hang before it is not told any more that it goes on. */
int64_t nw_notify_patience_ns(const struct nw_notify *notify);
/** It goes on; told as often as is wanted, and no more. */
void nw_notify_alive(struct nw_notify *notify);
/** It stops: told once. */
void nw_notify_stops(struct nw_notify *notify);
/** A reload begins, or is done. */
void nw_notify_reloads(struct nw_notify *notify, bool begins);

#endif
