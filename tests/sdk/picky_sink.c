/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A sink for tests of refused rows: the file sink (NARWAL_FILE_PLUGIN names it), but it takes no
 * rows of a table as long as there is a file PATH.refuse.TABLE.
 */
#include <dlfcn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <narwal/sink.h>

static const struct nw_sink_ops *file; /* set before anything is opened, never changed */
static char path[4096];                /* of the one sink of this type */

static bool refuses(const char *table)
{
    char name[5000];

    (void)snprintf(name, sizeof name, "%s.refuse.%s", path, table);
    return access(name, F_OK) == 0;
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
    return refuses(batch->table->name)
               ? nw_fail(err, NW_REJECT, "no row of %s just now", batch->table->name)
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
