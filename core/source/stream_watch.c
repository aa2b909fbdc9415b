/* SPDX-License-Identifier: Apache-2.0 */
/* What the stream does not say: from time to time the catalog is asked. See stream_private.h. */
#include <stdlib.h>

#include "base/log.h"
#include "source/stream_private.h"

#define WATCH_NS 10000000000LL

nw_status nw_source_watch_run(void *context, struct nw_error *err)
{
    struct nw_source *source = context;

    return source->options.watch(source->options.context, &source->watch.look, err);
}

/* The tables that are known now. Versions live as long as the registry, so any thread may look. */
static bool tables_list(struct nw_source *source)
{
    struct nw_source_watch *watch = &source->watch;
    uint32_t count = nw_schemas_count(source->options.schemas);

    if (count > watch->capacity) {
        const struct nw_table **tables =
            reallocarray((void *)watch->tables, (size_t)count * 2, sizeof *tables);
        const struct nw_table **dropped =
            reallocarray((void *)watch->look.dropped, (size_t)count * 2, sizeof *dropped);

        watch->tables = tables != NULL ? tables : watch->tables;
        watch->look.dropped = dropped != NULL ? dropped : watch->look.dropped;
        if (tables == NULL || dropped == NULL) {
            return false; /* the next time */
        }
        watch->capacity = count * 2;
    }
    for (uint32_t i = 0; i < count; i++) {
        watch->tables[i] = nw_schemas_at(source->options.schemas, i);
    }
    watch->look.tables = watch->tables;
    watch->look.count = count;
    watch->look.dropped_count = watch->told = 0;
    return count > 0;
}

/* One table after the other: each is recorded before the next. */
static void drops_tell(struct nw_source *source)
{
    struct nw_source_watch *watch = &source->watch;
    struct nw_look *look = &watch->look;

    while (
        watch->told < look->dropped_count &&
        nw_dealer_dropped(source->options.dealer, look->dropped[watch->told], look->dropped_lsn)) {
        watch->told++;
    }
}

void nw_source_watch(struct nw_source *source, int64_t now_ns)
{
    struct nw_source_watch *watch = &source->watch;

    if (watch->looking && !watch->job.pending) {
        watch->looking = false;
        nw_dealer_refresh(source->options.dealer);
    }
    if (source->options.watch == NULL || watch->job.pending) {
        return;
    }
    drops_tell(source);
    if (watch->told < watch->look.dropped_count ||
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
