/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A sink for tests of refused rows: the file sink (NARWAL_FILE_PLUGIN names it), but it takes no
 * rows of a table as long as there is a file PATH.refuse.TABLE; with a number K in it, no batch
 * that has a row whose first column, an integer, is a multiple of K.
 */
#include <dlfcn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <narwal/sink.h>

static const struct nw_sink_ops *file; /* set before anything is opened, never changed */
static char path[4096];                /* of the one sink of this type */

/* 0: it takes all; 1: it refuses all; else the multiples of this. */
static long refuses(const char *table)
{
    char name[5000];
    char text[24] = "";
    FILE *marker = NULL;
    long multiples = 1;

    (void)snprintf(name, sizeof name, "%s.refuse.%s", path, table);
    marker = fopen(name, "re");
    if (marker == NULL) {
        return 0;
    }
    if (fgets(text, sizeof text, marker) != NULL) {
        multiples = strtol(text, NULL, 10);
    }
    (void)fclose(marker);
    return multiples;
}

static bool row_refused(const struct nw_batch *batch, uint32_t row, long multiples)
{
    struct nw_value value = {.kind = NW_VALUE_MISSING};

    for (int side = NW_AFTER; side >= NW_BEFORE && value.kind != NW_VALUE_PRESENT; side--) {
        value = nw_batch_value(batch, side, row, 0);
    }
    return value.kind == NW_VALUE_PRESENT && value.as.integer % multiples == 0;
}

static nw_status picky_open(const struct nw_host *host, const struct nw_config *config,
                            uint32_t workers, void **self, struct nw_error *err)
{
    for (uint32_t i = 0; i < file->options_count; i++) {
        if (strcmp(file->options[i].name, "path") == 0 && config->settings[i].set) {
            (void)snprintf(path, sizeof path, "%s", config->settings[i].text);
        }
    }
    return file->open(host, config, workers, self, err);
}

static nw_status picky_write(void *self, uint32_t worker, const struct nw_batch *batch,
                             struct nw_error *err)
{
    long multiples = refuses(batch->table->name);
    bool refused = multiples == 1;

    for (uint32_t i = 0; i < batch->rows_count && multiples > 1 && !refused; i++) {
        refused = row_refused(batch, i, multiples);
    }
    return refused ? nw_fail(err, NW_REJECT, "no row of %s just now", batch->table->name)
                   : file->write(self, worker, batch, err);
}

NW_EXPORT const struct nw_sink_ops *nw_sink_entry(void)
{
    static struct nw_sink_ops ops;
    const char *name = getenv("NARWAL_FILE_PLUGIN");
    void *library = name == NULL ? NULL : dlopen(name, RTLD_NOW | RTLD_LOCAL);
    nw_sink_entry_fn entry = NULL;

    *(void **)&entry = library == NULL ? NULL : dlsym(library, NW_SINK_ENTRY_NAME);
    if (entry == NULL) {
        return NULL;
    }
    file = entry();
    ops = *file;
    ops.name = "picky";
    ops.open = picky_open;
    ops.write = picky_write;
    return &ops;
}
