/* SPDX-License-Identifier: Apache-2.0 */
/* See pgoutput.h. Pure functions over borrowed bytes. */
#include "source/pgoutput.h"

#include <narwal/sink.h>

/* Between PostgreSQL's epoch (2000-01-01) and ours, microseconds. */
#define EPOCH_SHIFT_US 946684800000000LL

static struct nw_cursor body_of(struct nw_bytes message)
{
    struct nw_cursor cursor = nw_cursor_of(message.at, message.size);

    (void)nw_cursor_u8(&cursor); /* the type; the caller dispatched on it */
    return cursor;
}

static int64_t timestamp_read(struct nw_cursor *cursor)
{
    int64_t value = (int64_t)nw_cursor_u64be(cursor);

    /* A server that lies must not make us overflow; a real commit time is nowhere near. */
    return value > INT64_MAX - EPOCH_SHIFT_US ? INT64_MAX : value + EPOCH_SHIFT_US;
}

static nw_status finish(const struct nw_cursor *cursor, const char *what, struct nw_error *err)
{
    if (cursor->failed) {
        return nw_fail(err, NW_CORRUPT, "pgoutput: a %s message ends early", what);
    }
    if (cursor->left > 0) {
        return nw_fail(err, NW_CORRUPT, "pgoutput: a %s message has %zu bytes too many", what,
                       cursor->left);
    }
    return NW_OK;
}

nw_status nw_pgoutput_begin_parse(struct nw_bytes message, struct nw_pgoutput_begin *begin,
                                  struct nw_error *err)
{
    struct nw_cursor cursor = body_of(message);

    begin->commit_lsn = nw_cursor_u64be(&cursor);
    begin->commit_ts = timestamp_read(&cursor);
    begin->xid = nw_cursor_u32be(&cursor);
    return finish(&cursor, "Begin", err);
}

nw_status nw_pgoutput_commit_parse(struct nw_bytes message, struct nw_pgoutput_commit *commit,
                                   struct nw_error *err)
{
    struct nw_cursor cursor = body_of(message);

    (void)nw_cursor_u8(&cursor); /* flags, unused by every version */
    commit->commit_lsn = nw_cursor_u64be(&cursor);
    commit->end_lsn = nw_cursor_u64be(&cursor);
    commit->commit_ts = timestamp_read(&cursor);
    commit->xid = 0;
    return finish(&cursor, "Commit", err);
}

nw_status nw_pgoutput_relation_parse(struct nw_bytes message, struct nw_relation *relation,
                                     struct nw_error *err)
{
    struct nw_cursor cursor = body_of(message);
    uint16_t count = 0;

    relation->oid = nw_cursor_u32be(&cursor);
    relation->schema_name = nw_cursor_text(&cursor);
    if (relation->schema_name[0] == '\0') {
        relation->schema_name = "pg_catalog"; /* the protocol's abbreviation */
    }
    relation->name = nw_cursor_text(&cursor);
    relation->replica_identity = (char)nw_cursor_u8(&cursor);
    count = nw_cursor_u16be(&cursor);
    if (count > NW_COLUMNS_MAX) {
        return nw_fail(err, NW_CORRUPT, "pgoutput: relation %u has %u columns, at most %u exist",
                       relation->oid, count, NW_COLUMNS_MAX);
    }
    for (uint16_t i = 0; i < count && !cursor.failed; i++) {
        struct nw_relation_column *column = &relation->columns[i];

        column->identity = (nw_cursor_u8(&cursor) & 1u) != 0;
        column->name = nw_cursor_text(&cursor);
        column->type_oid = nw_cursor_u32be(&cursor);
        column->typmod = (int32_t)nw_cursor_u32be(&cursor);
    }
    relation->columns_count = count;
    return finish(&cursor, "Relation", err);
}

nw_status nw_pgoutput_truncate_parse(struct nw_bytes message, struct nw_pgoutput_truncate *truncate,
                                     struct nw_error *err)
{
    struct nw_cursor cursor = body_of(message);

    truncate->relations_count = nw_cursor_u32be(&cursor);
    truncate->flags = nw_cursor_u8(&cursor) & 3u; /* 1 cascade, 2 restart identity: as in ours */
    if (truncate->relations_count > cursor.left / 4) {
        return nw_fail(err, NW_CORRUPT, "pgoutput: a Truncate message ends early");
    }
    truncate->relations = nw_cursor_bytes(&cursor, (size_t)truncate->relations_count * 4);
    return finish(&cursor, "Truncate", err);
}

nw_status nw_pgoutput_message_parse(struct nw_bytes message, struct nw_pgoutput_message *parsed,
                                    struct nw_error *err)
{
    struct nw_cursor cursor = body_of(message);

    parsed->transactional = (nw_cursor_u8(&cursor) & 1u) != 0;
    parsed->lsn = nw_cursor_u64be(&cursor);
    parsed->prefix = nw_cursor_text(&cursor);
    parsed->content = nw_cursor_bytes(&cursor, nw_cursor_u32be(&cursor));
    return finish(&cursor, "Message", err);
}

nw_status nw_pgoutput_origin_parse(struct nw_bytes message, const char **name, struct nw_error *err)
{
    struct nw_cursor cursor = body_of(message);

    (void)nw_cursor_u64be(&cursor); /* the commit's position at its origin */
    *name = nw_cursor_text(&cursor);
    return finish(&cursor, "Origin", err);
}

nw_status nw_pgoutput_stream_start_parse(struct nw_bytes message, uint32_t *xid,
                                         struct nw_error *err)
{
    struct nw_cursor cursor = body_of(message);

    *xid = nw_cursor_u32be(&cursor);
    (void)nw_cursor_u8(&cursor); /* 1: first segment */
    return finish(&cursor, "Stream Start", err);
}

nw_status nw_pgoutput_stream_commit_parse(struct nw_bytes message,
                                          struct nw_pgoutput_commit *commit, struct nw_error *err)
{
    struct nw_cursor cursor = body_of(message);
    uint32_t xid = nw_cursor_u32be(&cursor);

    (void)nw_cursor_u8(&cursor); /* flags */
    commit->commit_lsn = nw_cursor_u64be(&cursor);
    commit->end_lsn = nw_cursor_u64be(&cursor);
    commit->commit_ts = timestamp_read(&cursor);
    commit->xid = xid;
    return finish(&cursor, "Stream Commit", err);
}

nw_status nw_pgoutput_stream_abort_parse(struct nw_bytes message, struct nw_pgoutput_abort *undone,
                                         struct nw_error *err)
{
    struct nw_cursor cursor = body_of(message);

    undone->xid = nw_cursor_u32be(&cursor);
    undone->subxid = nw_cursor_u32be(&cursor);
    if (cursor.left == 16) { /* protocol 4 with parallel streaming: abort LSN and time */
        (void)nw_cursor_bytes(&cursor, 16);
    }
    return finish(&cursor, "Stream Abort", err);
}
