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
    bool may_create;     /* in this database */
    bool rights_unknown; /* what the role may is not known, or nothing: all of it is to be given */
    bool slot_exists;
    char user[64]; /* whose rights are looked at */
    char user_quoted[160];
    char database[64];
    char database_quoted[160];
    bool other_role; /* it is not the session's own */
    bool replicates;
};

/** Text in the arena; "" when memory is short. */
NW_PRINTF(2, 3)
const char *nw_preflight_text(struct nw_preflight *preflight, const char *format, ...);
/** The statement such that running it again does no harm: what is there already is said. */
const char *nw_preflight_once(struct nw_preflight *preflight, const char *statement);
/** Who narwal is to this server, and how it is connected. */
NW_MUST_CHECK nw_status nw_preflight_role(struct nw_examination *examination, struct nw_error *err);
/** A replication connection for this role, as the stream will need it. */
void nw_preflight_walsender(struct nw_examination *examination);
/** Slots and publications of narwal's that nobody uses. */
NW_MUST_CHECK nw_status nw_preflight_left(struct nw_examination *examination, struct nw_error *err);
/** What would come of the heartbeat's statement, which is not run. */
NW_MUST_CHECK nw_status nw_preflight_heartbeat(struct nw_examination *examination,
                                               struct nw_error *err);
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
