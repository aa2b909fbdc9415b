/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control socket: `narwal status` and `narwal table` reach the running process through a unix
 * socket (mode 0600) in the state folder. A request is one line; the answer is one JSON document.
 */
#ifndef NW_SERVE_CONTROL_H
#define NW_SERVE_CONTROL_H

#include "serve/report.h"
#include "serve/waits.h"

struct nw_control;

/**
 * Listen on FOLDER/control.sock with a thread of its own. The folder is made when missing.
 * @param waits  borrow: for `wait LSN SINK SECONDS`, which is answered when it is so.
 */
NW_MUST_CHECK nw_status nw_control_start(const char *folder, struct nw_waits *waits,
                                         struct nw_control **control, struct nw_error *err);
/** What `status` answers from now on. NULL control is fine. */
void nw_control_publish(struct nw_control *control, const struct nw_report *report);
/**
 * A command that waits for its answer, or NULL: any line that is not `status`. Whoever asked waits
 * for some seconds. The line stays until it is answered. NULL control is fine.
 */
const char *nw_control_asked(struct nw_control *control);
/** Answer it: {"done": text}, or {"error": text}. */
void nw_control_answer(struct nw_control *control, bool well, const char *text);
/** Answer it with a JSON document. @param document  take: of malloc() */
void nw_control_give(struct nw_control *control, char *document);
void nw_control_stop(struct nw_control *control); /* NULL is fine */

/** The client's side: send a line, print the answer to out. */
NW_MUST_CHECK nw_status nw_control_ask(const char *folder, const char *request, FILE *out,
                                       struct nw_error *err);

#endif
