/* SPDX-License-Identifier: Apache-2.0 */
/* The half of a sink that does nothing and answers that all went well, for tests that are about
 * the other half. */
#ifndef TEST_QUIET_SINK_H
#define TEST_QUIET_SINK_H

#include <narwal/sink.h>

static inline nw_status quiet_recover(void *self, struct nw_recovery *recovery,
                                      struct nw_error *err)
{
    (void)self;
    (void)err;
    recovery->positions_count = 0;
    return NW_OK;
}

static inline nw_status quiet_table(void *self, uint32_t worker, const struct nw_table *table,
                                    struct nw_error *err)
{
    (void)self;
    (void)worker;
    (void)table;
    (void)err;
    return NW_OK;
}

static inline nw_status quiet_seal(void *self, uint32_t worker, uint64_t epoch,
                                   struct nw_error *err)
{
    (void)self;
    (void)worker;
    (void)epoch;
    (void)err;
    return NW_OK;
}

static inline nw_status quiet_commit(void *self, const struct nw_commit *commit,
                                     enum nw_outcome *outcome, struct nw_error *err)
{
    (void)self;
    (void)commit;
    (void)err;
    *outcome = NW_COMMITTED;
    return NW_OK;
}

#endif
