/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The flattened form: a message's value is the row itself, as Debezium's ExtractNewRecordState
 * makes it, with what is wanted of the change added as fields.
 *
 *   {"id":1,"v":"a","__deleted":"false","__op":"u","__lsn":22138592}
 *
 * Immutable once made, but for what a reshape keeps of its last value.
 */
#ifndef NW_SINKS_LIB_FORMAT_FLAT_H
#define NW_SINKS_LIB_FORMAT_FLAT_H

#include "lib/format/envelope.h"
#include "lib/format/reshape.h"

#define NW_ADDED_MAX 32u

/** What becomes of a delete; the words are those of delete.tombstone.handling.mode. */
enum nw_flat_deletes {
    NW_FLAT_DROP,                   /* nothing */
    NW_FLAT_TOMBSTONE,              /* a tombstone */
    NW_FLAT_REWRITE,                /* the row that was, with __deleted; no tombstone */
    NW_FLAT_REWRITE_WITH_TOMBSTONE, /* both */
    NW_FLAT_DELETE_TO_TOMBSTONE,    /* as TOMBSTONE */
};

/** A field or header that is added. */
struct nw_added_item {
    enum nw_meta meta;
    const char *constant; /* what it always is; borrow. NULL: meta says it */
    struct nw_connect_schema schema;
    char name[NW_META_NAME_SIZE];
};

/** Fields or headers that are added. */
struct nw_added {
    uint32_t count;
    struct nw_added_item items[NW_ADDED_MAX];
};

struct nw_flat_options {
    enum nw_flat_deletes deletes;
    struct nw_added fields;
    struct nw_added headers;
    bool schemas;                       /* JSON: put the schema around each value */
    bool null_as_default;               /* JSON: print a column's default where its value is NULL */
    struct nw_reshape_options *reshape; /* NULL: fields are sent as they are. Borrow */
};

struct nw_flat {
    const struct nw_flat_options *options; /* borrow */
    struct nw_connect_schema schema;       /* as the row's, with what is added; never optional */
    struct nw_connect_field *fields;       /* own */
    struct nw_out head;                    /* {"schema":{...},"payload": ; empty without schemas */
    struct nw_reshape *reshape;            /* own; NULL: fields are sent as they are */
};

/** What it is for a change; borrows from all three. */
struct nw_connect_value nw_added_value(const struct nw_added_item *item,
                                       const struct nw_origin *origin,
                                       const struct nw_change *change);

/**
 * Read settings as of add.fields: op, source.lsn, ts_ms:when; or NAME=TEXT, as of InsertField,
 * where NAME! is a field that is required.
 * @param items   NULL-terminated; NULL: none. Texts are borrowed
 * @param option  its name, for messages
 */
NW_MUST_CHECK nw_status nw_added_read(struct nw_added *added, const char *const *items,
                                      const char *prefix, const char *option, struct nw_error *err);

/** Whether rows have __deleted. */
static inline bool nw_flat_marks(const struct nw_flat_options *options)
{
    return options->deletes == NW_FLAT_REWRITE ||
           options->deletes == NW_FLAT_REWRITE_WITH_TOMBSTONE;
}

/** @return false when memory ran out */
bool nw_flat_init(struct nw_flat *flat, const struct nw_connect_table *table,
                  const struct nw_flat_options *options);
/**
 * Behind nw_flat_init(): fields as options->reshape makes them; nothing without it.
 * @param topic  the table's; borrow for the call
 * @return NW_REJECT (NW2727): a field's type is none that a step takes, or two would have one
 *         name; NW_RETRY: memory ran out
 */
NW_MUST_CHECK nw_status nw_flat_reshape(struct nw_flat *flat, const struct nw_connect_table *table,
                                        const char *topic, struct nw_error *err);
void nw_flat_fini(struct nw_flat *flat);

#endif
