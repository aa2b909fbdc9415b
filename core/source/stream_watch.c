/* SPDX-License-Identifier: Apache-2.0 */
/* What the stream does not say: from time to time the catalog is asked. See stream_private.h. */
#include <stdlib.h>

#include "base/log.h"
#include "source/stream_private.h"

#define WATCH_NS 10000000000LL

nw_status nw_source_watch_run(void *context, struct nw_error *err)
{
    struct nw_source *source = context;

    return source->options.watch(source->options.context, source->watch.tables, source->watch.count,
                                 err);
}

/* The tables that are known now. Versions live as long as the registry, so any thread may look. */
static bool tables_list(struct nw_source *source)
{
    struct nw_source_watch *watch = &source->watch;
    uint32_t count = nw_schemas_count(source->options.schemas);

    if (count > watch->capacity) {
        const struct nw_table **tables =
            reallocarray((void *)watch->tables, (size_t)count * 2, sizeof *tables);

        if (tables == NULL) {
            return false; /* the next time */
        }
        watch->tables = tables;
        watch->capacity = count * 2;
    }
    for (uint32_t i = 0; i < count; i++) {
        watch->tables[i] = nw_schemas_at(source->options.schemas, i);
    }
    watch->count = count;
    return count > 0;
}

void nw_source_watch(struct nw_source *source, int64_t now_ns)
{
    struct nw_source_watch *watch = &source->watch;

    if (watch->looking && !watch->job.pending) {
        watch->looking = false;
        nw_dealer_refresh(source->options.dealer);
    }
    if (source->options.watch == NULL || watch->job.pending ||
        (watch->looked_ns != 0 && now_ns - watch->looked_ns < WATCH_NS)) {
        return;
    }
    if (watch->looked_ns != 0 && watch->job.status != NW_OK) {
        nw_log(NW_LOG_DEBUG, "what became of tables is not known: %s", watch->job.error.text);
    }
    watch->looked_ns = now_ns;
    if (tables_list(source)) {
        watch->looking = true;
        nw_jobs_submit(source->options.jobs, &watch->job);
    }
}
