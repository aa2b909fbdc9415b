/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a sink has that the server lacks, and which tables that concerns: those that a transaction
 * beyond the fork changed, and those whose copy saw beyond it.
 */
#include "pipeline/adopt.h"
#include "source/copy_state.h"

bool nw_adopt_record_is_of(const struct nw_adopt *adopt, const struct nw_adopt_sink *sink)
{
    return adopt->recent.system_identifier == sink->stored.system_identifier &&
           adopt->recent.timeline == sink->stored.timeline;
}

bool nw_adopt_extras_known(const struct nw_adopt *adopt, const struct nw_adopt_sink *sink)
{
    return nw_adopt_record_is_of(adopt, sink) && sink->fork_lsn != 0 &&
           nw_recent_covers(&adopt->recent, sink->fork_lsn, sink->reach_lsn);
}

static bool changed(const struct nw_recent_list *list, uint64_t fork_lsn, uint32_t oid)
{
    uint32_t at = nw_recent_extra(list, 0, fork_lsn);

    for (; at < list->commits_count; at = nw_recent_extra(list, at + 1, fork_lsn)) {
        const struct nw_recent_commit *commit = &list->commits[at];

        for (uint32_t i = 0; i < nw_recent_tables(commit); i++) {
            if (list->tables[commit->tables_first + i].relation_oid == oid) {
                return true;
            }
        }
    }
    return false;
}

/* Whether the sink's copy of the table is of a moment beyond the fork, or of no known one. */
static bool copied_beyond(const struct nw_adopt_sink *sink, uint32_t oid)
{
    for (uint32_t c = 0; c < sink->recovered.copies_count; c++) {
        const struct nw_copy_state *copy = &sink->recovered.copies[c];
        struct nw_copy_progress progress;
        struct nw_error ignored = {0};

        if (copy->relation_oid == oid) {
            return nw_copy_unpack((struct nw_bytes){copy->bytes, copy->size}, &progress,
                                  &ignored) != NW_OK ||
                   progress.origin.fence_lsn > sink->fork_lsn;
        }
    }
    return false;
}

bool nw_adopt_touched(const struct nw_adopt *adopt, const struct nw_adopt_sink *sink, uint32_t oid)
{
    return changed(&adopt->recent, sink->fork_lsn, oid) || copied_beyond(sink, oid) ||
           nw_tables_dropped(adopt->table_states, oid);
}
