/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pgoutput's messages, parsed as far as the source needs: transaction boundaries, relations,
 * events. Rows stay raw; the lanes decode them.
 *
 * Format: PostgreSQL documentation, "Logical Replication Message Formats", protocol versions 1 to
 * 4; src/backend/replication/logical/proto.c. Messages are untrusted bytes. Inside a streamed
 * transaction a message has the subtransaction's xid after its type; the stream source takes it
 * out before it stores the message, so that all parsers see the same form.
 */
#ifndef NW_SOURCE_PGOUTPUT_H
#define NW_SOURCE_PGOUTPUT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/cursor.h"
#include <narwal/status.h>

#define NW_COLUMNS_MAX 1664u /* MaxTupleAttributeNumber */

struct nw_pgoutput_begin {
    uint64_t commit_lsn;
    int64_t commit_ts; /* microseconds since 1970 UTC */
    uint32_t xid;
};

struct nw_pgoutput_commit {
    uint64_t commit_lsn, end_lsn;
    int64_t commit_ts;
    uint32_t xid; /* stream commit */
};

struct nw_relation_column {
    const char *name;
    uint32_t type_oid;
    int32_t typmod;
    bool identity;
};

/** A Relation message; texts are borrowed from it. */
struct nw_relation {
    uint32_t oid;
    const char *schema_name, *name;
    char replica_identity;
    uint16_t columns_count;
    struct nw_relation_column columns[NW_COLUMNS_MAX];
};

struct nw_pgoutput_truncate {
    uint32_t flags; /* NW_TRUNCATE_... */
    uint32_t relations_count;
    struct nw_bytes relations; /* u32be each */
};

struct nw_pgoutput_message {
    bool transactional;
    uint64_t lsn;
    const char *prefix;
    struct nw_bytes content;
};

struct nw_pgoutput_abort {
    uint32_t xid, subxid;
};

/* Every parser takes a message from its type byte on. */
NW_MUST_CHECK nw_status nw_pgoutput_begin_parse(struct nw_bytes message,
                                                struct nw_pgoutput_begin *begin,
                                                struct nw_error *err);
NW_MUST_CHECK nw_status nw_pgoutput_commit_parse(struct nw_bytes message,
                                                 struct nw_pgoutput_commit *commit,
                                                 struct nw_error *err);
NW_MUST_CHECK nw_status nw_pgoutput_relation_parse(struct nw_bytes message,
                                                   struct nw_relation *relation,
                                                   struct nw_error *err);
NW_MUST_CHECK nw_status nw_pgoutput_truncate_parse(struct nw_bytes message,
                                                   struct nw_pgoutput_truncate *truncate,
                                                   struct nw_error *err);
NW_MUST_CHECK nw_status nw_pgoutput_message_parse(struct nw_bytes message,
                                                  struct nw_pgoutput_message *parsed,
                                                  struct nw_error *err);
NW_MUST_CHECK nw_status nw_pgoutput_origin_parse(struct nw_bytes message, const char **name,
                                                 struct nw_error *err);
NW_MUST_CHECK nw_status nw_pgoutput_stream_start_parse(struct nw_bytes message, uint32_t *xid,
                                                       struct nw_error *err);
NW_MUST_CHECK nw_status nw_pgoutput_stream_commit_parse(struct nw_bytes message,
                                                        struct nw_pgoutput_commit *commit,
                                                        struct nw_error *err);
NW_MUST_CHECK nw_status nw_pgoutput_stream_abort_parse(struct nw_bytes message,
                                                       struct nw_pgoutput_abort *undone,
                                                       struct nw_error *err);

#endif
