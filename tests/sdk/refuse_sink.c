/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A sink that takes everything and keeps nothing, but refuses rows of tables whose name begins with
 * "refused", and reads no exceptions: what becomes of such tables is the host's to say.
 */
#include <string.h>

#include <narwal/sink.h>

#include "quiet_sink.h"

static nw_status refuse_open(const struct nw_host *host, const struct nw_config *config,
                             uint32_t workers, void **self, struct nw_error *err)
{
    (void)host;
    (void)config;
    (void)workers;
    (void)err;
    *self = NULL;
    return NW_OK;
}

static nw_status refuse_write(void *self, uint32_t worker, const struct nw_batch *batch,
                              struct nw_error *err)
{
    (void)self;
    (void)worker;
    return strncmp(batch->table->name, "refused", 7) == 0
               ? nw_fail(err, NW_REJECT, "no row of such a table is taken here")
               : NW_OK;
}

static void refuse_close(void *self)
{
    (void)self;
}

static const struct nw_sink_ops ops = {
    .abi = NW_SINK_ABI,
    .size = sizeof(struct nw_sink_ops),
    .name = "refuse",
    .version = "1",
    .flags = NW_SINK_APPEND_ONLY | NW_SINK_STORES_NOTHING,
    .workers_max = 1,
    .open = refuse_open,
    .recover = quiet_recover,
    .table = quiet_table,
    .write = refuse_write,
    .seal = quiet_seal,
    .commit = quiet_commit,
    .close = refuse_close,
};

NW_EXPORT const struct nw_sink_ops *nw_sink_entry(void)
{
    return &ops;
}
