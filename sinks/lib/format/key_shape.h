/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys of messages that are other than the table's own, as Connect's transforms and converters make
 * them:
 *
 *   some columns of the row, whatever the key is   ValueToKey
 *   the key and a field that is always the same    Debezium's ByLogicalTableRouter
 *   one of its values alone                        ExtractField$Key
 *   in another form than values have               JsonConverter, StringConverter, LongConverter
 *
 * Immutable once made; what is appended to belongs to the caller.
 */
#ifndef NW_SINKS_LIB_FORMAT_KEY_SHAPE_H
#define NW_SINKS_LIB_FORMAT_KEY_SHAPE_H

#include <narwal/status.h>

#include "lib/format/envelope.h"

/** How a key is written. */
enum nw_key_form {
    NW_KEY_SAME, /* as values are */
    NW_KEY_JSON,
    NW_KEY_JSON_SCHEMAS,
    NW_KEY_STRING,  /* as Java's toString(): 7, or Struct{id=7} */
    NW_KEY_INTEGER, /* four bytes, big-endian, of a value that is an int32 */
    NW_KEY_LONG,    /* eight bytes, of an int64 */
    NW_KEY_AVRO,
};

/** A field that is the same in each key of a table. */
struct nw_key_constant {
    const char *name;
    const char *text;
};

/** All borrowed, for the call that takes them. */
struct nw_key_options {
    const char *const *columns; /* NULL-terminated; NULL: the table's key */
    const char *field;          /* the one that is the key; NULL: all */
    const struct nw_key_constant *constants;
    uint32_t constants_count;
    enum nw_key_form form; /* not SAME */
    bool null_as_default;  /* JSON of the table's key: print a default where a value is NULL */
};

struct nw_key_shape;

/**
 * @param table  borrow, outlives the shape
 * @param shape  give; NULL: neither has the table a key nor do the options name columns
 * @return NW_REJECT (NW2708): it has no such column, or a value has no such form.
 */
NW_MUST_CHECK nw_status nw_key_shape_create(const struct nw_connect_table *table,
                                            const struct nw_key_options *options,
                                            struct nw_key_shape **shape, struct nw_error *err);
void nw_key_shape_destroy(struct nw_key_shape *shape); /* NULL is fine */

/** The schema of such a key: a struct, or of its one value. */
const struct nw_connect_schema *nw_key_shape_schema(const struct nw_key_shape *shape);
enum nw_key_form nw_key_shape_form(const struct nw_key_shape *shape);

/**
 * Append a row's key.
 * @param side  the image that it is read from
 * @param none  filled: the message has no key, since the one value is NULL
 * @return NW_RETRY: memory ran out; NW_REJECT: a value does not fit. The output then has a part.
 */
NW_MUST_CHECK nw_status nw_key_shape_append(const struct nw_key_shape *shape,
                                            const struct nw_row *row, int side, struct nw_out *out,
                                            bool *none, struct nw_error *err);

#endif
