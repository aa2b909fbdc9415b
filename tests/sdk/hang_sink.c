/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A sink whose write() never returns, and which goes on reading what it was lent: its configuration
 * and its host. It ends the process with status 99 when any of that is taken away under it. At
 * exit() it waits a moment, so that this is certain to be seen.
 */
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <narwal/sink.h>

#include "quiet_sink.h"

#define TAKEN_AWAY 99

struct hang {
    const struct nw_host *host;
    const struct nw_config *config;
};

static void pause_short(void)
{
    (void)nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

static void exit_slowly(void)
{
    for (int i = 0; i < 500; i++) {
        pause_short();
    }
}

static nw_status hang_open(const struct nw_host *host, const struct nw_config *config,
                           uint32_t workers, void **self, struct nw_error *err)
{
    struct hang *hang = calloc(1, sizeof *hang);

    (void)workers;
    if (hang == NULL || atexit(exit_slowly) != 0) {
        free(hang);
        return nw_fail(err, NW_FATAL, "cannot begin");
    }
    hang->host = host;
    hang->config = config;
    *self = hang;
    return NW_OK;
}

static nw_status hang_write(void *self, uint32_t worker, const struct nw_batch *batch,
                            struct nw_error *err)
{
    const struct hang *hang = self;
    uint32_t rows_count = batch->rows_count;
    int64_t last_ns = 0;

    (void)worker;
    (void)err;
    hang->host->log(hang->host, NW_LOG_WARN, "hangs");
    for (;;) {
        int64_t now_ns = hang->host->now_ns(hang->host);

        if (now_ns < last_ns || batch->rows_count != rows_count ||
            strcmp(hang->config->name, "hangs") != 0 ||
            strcmp(hang->config->settings[0].text, "a text that is still there") != 0) {
            _exit(TAKEN_AWAY);
        }
        last_ns = now_ns;
        pause_short();
    }
}

static void hang_close(void *self)
{
    free(self);
}

static const struct nw_option options[] = {
    {.name = "text", .type = NW_OPTION_TEXT, .flags = NW_OPTION_REQUIRED, .help = "Any text."}};
static const struct nw_sink_ops ops = {
    .abi = NW_SINK_ABI,
    .size = sizeof(struct nw_sink_ops),
    .name = "hang",
    .version = "1",
    .flags = NW_SINK_APPEND_ONLY | NW_SINK_STORES_NOTHING,
    .options_count = 1,
    .options = options,
    .workers_max = 1,
    .open = hang_open,
    .recover = quiet_recover,
    .table = quiet_table,
    .write = hang_write,
    .seal = quiet_seal,
    .commit = quiet_commit,
    .close = hang_close,
};

NW_EXPORT const struct nw_sink_ops *nw_sink_entry(void)
{
    return &ops;
}
