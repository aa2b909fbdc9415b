/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A sink whose write() waits as long as there is a file `while_there`, as one whose store is gone
 * for a time; for it.detach.
 */
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <narwal/sink.h>

#include "quiet_sink.h"

struct held {
    const char *while_there;
};

static nw_status held_open(const struct nw_host *host, const struct nw_config *config,
                           uint32_t workers, void **self, struct nw_error *err)
{
    struct held *held = calloc(1, sizeof *held);

    (void)host;
    (void)workers;
    if (held == NULL) {
        return nw_fail(err, NW_FATAL, "out of memory");
    }
    held->while_there = config->settings[0].text;
    *self = held;
    return NW_OK;
}

static nw_status held_write(void *self, uint32_t worker, const struct nw_batch *batch,
                            struct nw_error *err)
{
    const struct held *held = self;

    (void)worker;
    (void)batch;
    (void)err;
    while (access(held->while_there, F_OK) == 0) {
        (void)nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    return NW_OK;
}

static void held_close(void *self)
{
    free(self);
}

static const struct nw_option options[] = {{.name = "while_there",
                                            .type = NW_OPTION_TEXT,
                                            .flags = NW_OPTION_REQUIRED,
                                            .help = "The path of a file."}};
static const struct nw_sink_ops ops = {
    .abi = NW_SINK_ABI,
    .size = sizeof(struct nw_sink_ops),
    .name = "held",
    .version = "1",
    .flags = NW_SINK_APPEND_ONLY | NW_SINK_STORES_NOTHING,
    .options_count = 1,
    .options = options,
    .workers_max = 1,
    .open = held_open,
    .recover = quiet_recover,
    .table = quiet_table,
    .write = held_write,
    .seal = quiet_seal,
    .commit = quiet_commit,
    .close = held_close,
};

NW_EXPORT const struct nw_sink_ops *nw_sink_entry(void)
{
    return &ops;
}
