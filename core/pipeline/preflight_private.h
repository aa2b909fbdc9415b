/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the files of preflight. */
#ifndef NW_PIPELINE_PREFLIGHT_PRIVATE_H
#define NW_PIPELINE_PREFLIGHT_PRIVATE_H

#include "pipeline/preflight.h"

/* What is looked at. */
struct nw_examination {
    const struct nw_preflight_options *options;
    struct nw_preflight *report;
    struct nw_session *session;
    int version;
    bool in_recovery;
    bool superuser;
    bool bypasses_rls;
    bool may_create; /* in this database */
    bool slot_exists;
    char user[64];
    char user_quoted[160];
    char database[64];
};

/** Text in the arena; "" when memory is short. */
NW_PRINTF(2, 3)
const char *nw_preflight_text(struct nw_preflight *preflight, const char *format, ...);
/** Everything about tables and publications. */
NW_MUST_CHECK nw_status nw_preflight_tables(struct nw_examination *examination,
                                            struct nw_error *err);
/** What the transforms do to the tables that a run would see. */
NW_MUST_CHECK nw_status nw_preflight_transforms(struct nw_examination *examination,
                                                struct nw_arena *arena,
                                                const struct nw_catalog_candidates *candidates,
                                                const struct nw_catalog_tables *published,
                                                struct nw_error *err);

#endif
