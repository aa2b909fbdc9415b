/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Publications: which tables are streamed.
 *
 * narwal never makes a publication that makes an application's statement fail: PostgreSQL refuses
 * UPDATE and DELETE on a published table without a usable replica identity, so such tables go into
 * a second publication that publishes inserts and truncates only, or are left out. Never FOR ALL
 * TABLES. Blocking; on the main thread.
 */
#ifndef NW_PIPELINE_PUBLICATION_H
#define NW_PIPELINE_PUBLICATION_H

#include <stdbool.h>
#include <stddef.h>

#include "pg/session.h"

#define NW_PUBLICATION_NAME_SIZE 64u
/** How the comment begins that narwal puts on those that it makes. */
#define NW_PUBLICATION_COMMENT "made by narwal"

enum nw_no_key { NW_NO_KEY_INSERT_ONLY, NW_NO_KEY_SKIP };

/** Which tables are wanted; NULL-terminated lists of patterns over schema.name, borrowed. */
struct nw_table_filter {
    const char *const *include; /* NULL or empty: all */
    const char *const *exclude;
};

/**
 * Patterns match the whole of schema.name: * is any text, ? one byte, [ab] one of these bytes, so
 * that [*], [?] and [[] are the characters themselves. A backslash is a backslash.
 */
bool nw_table_filter_match(const struct nw_table_filter *filter, const char *schema,
                           const char *name);

struct nw_publication_options {
    const char *name; /* of the publication; the second is NAME_insert_only */
    bool create;      /* make it when it is not there, and add tables on a first start */
    bool first;       /* nothing was copied yet: new tables may be added */
    bool extend;      /* they may be later too, as far as that is allowed */
    /** Whether a table that matches and is not published is to be; NULL: each is. */
    nw_status (*adds)(void *context, uint32_t relation_oid, bool *adds, struct nw_error *err);
    void *context;
    enum nw_no_key no_key;
    struct nw_table_filter filter;
};

/** What is there to subscribe to. */
struct nw_publications {
    char main[NW_PUBLICATION_NAME_SIZE];
    char insert_only[NW_PUBLICATION_NAME_SIZE]; /* "" when there is none */
    unsigned count;                             /* 1 or 2 */
};

/** The database's publications, at most five: "a, b"; "" when there are none. */
NW_MUST_CHECK nw_status nw_publications_known(struct nw_session *session, char *text, size_t size,
                                              struct nw_error *err);

/** Make or find the publications; says in the log what goes where. */
NW_MUST_CHECK nw_status nw_publications_ensure(struct nw_session *session,
                                               const struct nw_publication_options *options,
                                               struct nw_publications *publications,
                                               struct nw_error *err);

#endif
