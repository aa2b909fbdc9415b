/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Debezium's envelope as a schema of Connect's: before, after, source, transaction, op, ts_ms,
 * ts_us, ts_ns; as its PostgreSQL connector 3.7 has it. Immutable once made.
 */
#ifndef NW_SINKS_LIB_FORMAT_ENVELOPE_H
#define NW_SINKS_LIB_FORMAT_ENVELOPE_H

#include <narwal/status.h>

#include "lib/format/connect.h"

#define NW_ENVELOPE_FIELDS_COUNT 8u
#define NW_SOURCE_FIELDS_COUNT   16u

/** The places of fields whose schemas an encoder needs. */
enum nw_envelope_field {
    NW_ENVELOPE_BEFORE,
    NW_ENVELOPE_AFTER,
    NW_ENVELOPE_SOURCE,
    NW_ENVELOPE_TRANSACTION,
    NW_ENVELOPE_OP,
    NW_ENVELOPE_TS_MS,
    NW_ENVELOPE_TS_US,
    NW_ENVELOPE_TS_NS,
};

struct nw_envelope {
    struct nw_connect_schema schema; /* name: NAME.Envelope */
    struct nw_connect_field fields[NW_ENVELOPE_FIELDS_COUNT];
    char *name; /* own */
};

/** Where all changes of a table come from. All borrowed. */
struct nw_origin {
    const char *version; /* of the connector */
    const char *name;    /* the prefix of topics */
    const char *database;
    const char *schema;
    const char *table;
};

/** What an event says beside the table and its row. Pointers are borrowed. */
struct nw_change {
    char op;                 /* c u d r t m */
    bool before, after;      /* whether it has these images */
    const char *snapshot;    /* true, first, ...; false */
    int64_t commit_us;       /* since 1970: source.ts_* */
    int64_t now_ns;          /* since 1970: ts_* */
    uint64_t lsn;            /* 0: none */
    const char *sequence;    /* NULL: none */
    uint32_t xid;            /* 0: none */
    const char *origin;      /* of replication; NULL or "": none */
    uint64_t origin_lsn;     /* 0: none */
    const char *transaction; /* its id; NULL: none */
    int64_t total_order;
    int64_t table_order; /* transaction.data_collection_order */
};

/** A row of a batch, and what is said of its change. All borrowed. */
struct nw_row {
    const struct nw_connect_table *table;
    const struct nw_batch *batch; /* NULL: an event without a row */
    uint32_t row;
    const struct nw_origin *origin;
    const struct nw_change *change;
    struct nw_connect_scratch *scratch;
};

/** What can be said of a change; the first are the fields of source, in their order. */
enum nw_meta {
    NW_META_VERSION,
    NW_META_CONNECTOR,
    NW_META_NAME,
    NW_META_SOURCE_MS,
    NW_META_SNAPSHOT,
    NW_META_DB,
    NW_META_SEQUENCE,
    NW_META_SOURCE_US,
    NW_META_SOURCE_NS,
    NW_META_SCHEMA,
    NW_META_TABLE,
    NW_META_XID,
    NW_META_LSN,
    NW_META_XMIN,
    NW_META_ORIGIN,
    NW_META_ORIGIN_LSN,
    NW_META_OP,
    NW_META_MS,
    NW_META_US,
    NW_META_NS,
    NW_META_TRANSACTION, /* its id */
    NW_META_TOTAL_ORDER,
    NW_META_TABLE_ORDER,
    NW_META_COUNT,
};

#define NW_META_NAME_SIZE 128u

/** Its schema; those of transaction may be NULL here, since not every change has one. */
const struct nw_connect_schema *nw_meta_schema(enum nw_meta meta);
/** What it is for a change; borrows from both. */
struct nw_connect_value nw_meta_value(enum nw_meta meta, const struct nw_origin *origin,
                                      const struct nw_change *change);
/**
 * What a setting of Debezium's add.fields means: op, source.lsn, ts_ms:when. A bare name that is
 * neither op nor a time of the envelope, nor of transaction, is of source.
 *
 * @param prefix  put before the name
 * @param name    filled: what it is called where it is added: __op, __source_lsn, __when
 * @return false: there is no such field, or its name is too long
 */
bool nw_meta_find(const char *text, const char *prefix, enum nw_meta *meta,
                  char name[static NW_META_NAME_SIZE]);

/** The schemas of its fields source and transaction, which logical messages have too. */
extern const struct nw_connect_schema nw_source_schema;
extern const struct nw_connect_schema nw_block_schema;

/** @param value  the schema NAME.Value, borrow. @return false when memory ran out */
bool nw_envelope_init(struct nw_envelope *envelope, const struct nw_connect_schema *value);
void nw_envelope_fini(struct nw_envelope *envelope);

#endif
