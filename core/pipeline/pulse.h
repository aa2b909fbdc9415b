/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The heartbeat's statement: run on the source database again and again while changes are streamed,
 * by a thread and a session of their own, so that what it waits for holds up nothing else. That it
 * fails is logged (NW2329) when it begins to, and holds up nothing either.
 */
#ifndef NW_PIPELINE_PULSE_H
#define NW_PIPELINE_PULSE_H

#include "pg/session.h"

struct nw_pulse;

/**
 * Begin; the statement is run at once, and then every so often.
 * @param connection  copied; its texts are borrowed until nw_pulse_stop(), as is the statement
 * @param pulse       give
 */
NW_MUST_CHECK nw_status nw_pulse_start(const struct nw_pg_options *connection,
                                       const char *statement, int64_t every_us,
                                       struct nw_pulse **pulse, struct nw_error *err);
/** End it, within about 100 ms. NULL is fine. */
void nw_pulse_stop(struct nw_pulse *pulse);

#endif
