/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A table's schema version: what a sink needs to know of a table and cannot ask for.
 *
 * A schema version is immutable. Every batch points to the version in force for its rows, and a
 * sink hears of a version (nw_sink_ops.table) before the first batch that has it. All pointers
 * stay valid until nw_sink_ops.close returns.
 */
#ifndef NARWAL_SCHEMA_H
#define NARWAL_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** The typed form of a column in a batch; the Arrow format string is in parentheses. */
enum nw_type {
    NW_TYPE_TEXT = 1,    /**< ("u") text types, and PostgreSQL's own text of all types not listed */
    NW_TYPE_BINARY = 2,  /**< ("z") bytea */
    NW_TYPE_BOOL = 3,    /**< ("b") bit-packed */
    NW_TYPE_INT16 = 4,   /**< ("s") */
    NW_TYPE_INT32 = 5,   /**< ("i") */
    NW_TYPE_INT64 = 6,   /**< ("l") */
    NW_TYPE_UINT32 = 7,  /**< ("I") oid and its kin */
    NW_TYPE_FLOAT32 = 8, /**< ("f") NaN and infinities are values */
    NW_TYPE_FLOAT64 = 9, /**< ("g") */
    NW_TYPE_DECIMAL =
        10,            /**< ("d:P,S") numeric(P,S), P <= 38, 0 <= S <= P: 16 bytes, little-endian */
    NW_TYPE_DATE = 11, /**< ("tdD") int32, days since 1970-01-01 */
    NW_TYPE_TIME = 12, /**< ("ttu") int64, microseconds since midnight */
    NW_TYPE_TIMESTAMP = 13,   /**< ("tsu:") int64, microseconds since 1970-01-01, no zone */
    NW_TYPE_TIMESTAMPTZ = 14, /**< ("tsu:UTC") int64, microseconds since 1970-01-01 UTC */
    NW_TYPE_UUID = 15,        /**< ("w:16", extension arrow.uuid) */
    NW_TYPE_JSON = 16, /**< ("u", extension arrow.json) json and jsonb, as PostgreSQL prints them */
    NW_TYPE_NUMERIC =
        17, /**< ("u") numeric without a fixed decimal form, as PostgreSQL prints it */
};

/**
 * Bytes of a value of this type in nw_array.values: 0 for a variable width, and for bool, which is
 * one bit.
 */
static inline uint32_t nw_type_width(enum nw_type type)
{
    switch (type) {
    case NW_TYPE_INT16:
        return 2;
    case NW_TYPE_INT32:
    case NW_TYPE_UINT32:
    case NW_TYPE_FLOAT32:
    case NW_TYPE_DATE:
        return 4;
    case NW_TYPE_INT64:
    case NW_TYPE_FLOAT64:
    case NW_TYPE_TIME:
    case NW_TYPE_TIMESTAMP:
    case NW_TYPE_TIMESTAMPTZ:
        return 8;
    case NW_TYPE_DECIMAL:
    case NW_TYPE_UUID:
        return 16;
    case NW_TYPE_BOOL:
    case NW_TYPE_TEXT:
    case NW_TYPE_BINARY:
    case NW_TYPE_JSON:
    case NW_TYPE_NUMERIC:
        break;
    }
    return 0;
}

/* What in a column is exact for the rows of this version; all else is as of the catalog read. */
#define NW_EXACT_NAME     1u
#define NW_EXACT_TYPE     2u /* type_oid and typmod */
#define NW_EXACT_KEY      4u
#define NW_EXACT_ATTNUM   8u
#define NW_EXACT_NOT_NULL 16u
#define NW_EXACT_DEFAULT  32u
#define NW_EXACT_ENUM     64u

/** A column of a schema version. */
struct nw_column_schema {
    const char *name;
    const char *type_name;          /**< as format_type() says it: "numeric(12,2)", "public.mood" */
    const char *default_expr;       /**< SQL of the default; NULL: none */
    const char *const *enum_labels; /**< in sort order, NULL-terminated; NULL: not an enum */
    uint32_t type_oid;
    uint32_t base_type_oid; /**< of a domain, the type below all domains; else type_oid */
    int32_t typmod;         /**< -1: none; of a domain over a base type, the domain's */
    int16_t attnum;         /**< 0: unknown */
    uint8_t type;           /**< enum nw_type */
    uint8_t precision;      /**< NW_TYPE_DECIMAL */
    uint8_t scale;          /**< NW_TYPE_DECIMAL */
    bool not_null;
    bool identity;  /**< part of the replica identity, as the stream said */
    bool composite; /**< base_type_oid is a row type; false: also where that is not known */
    uint32_t exact; /**< NW_EXACT_... */
};

/** Columns that a former version had stay in what the sink holds; new rows are without them. */
#define NW_TABLE_KEEP_COLUMNS 1u

/** A schema version of a table. */
struct nw_table {
    uint32_t size;    /**< sizeof(struct nw_table) in the host */
    uint32_t id;      /**< small, dense, stable while the process lives; not stored */
    uint32_t version; /**< counts from 1 for each relation oid */
    uint32_t relation_oid;
    const char *schema_name;
    const char *name;
    uint32_t root_oid;            /**< partition root, 0: not a partition */
    const char *root_schema_name; /**< NULL: not a partition */
    const char *root_name;
    char replica_identity; /**< pg_class.relreplident: d n f i */
    bool key_is_primary;   /**< key_columns are the primary key, else the replica identity index */
    uint16_t columns_count;
    uint16_t key_columns_count; /**< 0: the table has no key */
    const struct nw_column_schema *columns;
    const uint16_t *key_columns; /**< indexes into columns, in key order */
    /* Members above exist since the first version of ABI 1. */
    /** The database has no encoding (SQL_ASCII), so its text may be any bytes: values that are not
     * UTF-8 arrive as exceptions. Names of this table and its columns may be any bytes too. */
    bool text_unchecked;
    uint16_t attributes_count; /**< attnums ever given out, those of dropped columns too; at least
                                  so many, 0: not known */
    uint32_t flags;            /**< NW_TABLE_... */
    /* Members below are there when `size` says so: see nw_table_item_labels(). */
    /** Of each column whose type is an array of an enum, or a domain over one, the labels of its
     * items, as enum_labels has them; NULL for other columns. NULL: there is no such column. */
    const char *const *const *item_labels;
    /** Of each column whose type is a domain, the name of base_type_oid as format_type() says it,
     * without a typmod: "public.citext", "hstore[]"; NULL for other columns, and where it is not
     * known. NULL: of no column. */
    const char *const *base_type_names;
    /** Of a table without a key: how many columns its first unique index has, by the index's name
     * (a clustered one before the others), those of INCLUDE too. It may be a partial index, its
     * columns may be NULL. 0: there is none without expressions, or the table has a key. */
    uint16_t unique_columns_count;
    const uint16_t *unique_columns; /**< indexes into columns, in the index's order */
    /** Of each column, whether a transform masks it so that several values become one: no key may
     * be made of it. Such a column may be one of unique_columns; of key_columns it never is. NULL:
     * no column is. See nw_table_is_blurred(). */
    const bool *blurred;
};

/**
 * The labels of the items of a column, as enum_labels has them; NULL: it is no array of an enum,
 * or the host is too old to say.
 *
 * @param column  index into columns.
 */
static inline const char *const *nw_table_item_labels(const struct nw_table *table, uint16_t column)
{
    return table->size < offsetof(struct nw_table, base_type_names) || table->item_labels == NULL
               ? NULL
               : table->item_labels[column];
}

/**
 * The name of a column's type below its domains, as format_type() says it without a typmod; NULL:
 * its type is no domain, or the name is not known.
 *
 * @param column  index into columns.
 */
static inline const char *nw_table_base_type_name(const struct nw_table *table, uint16_t column)
{
    return table->size < offsetof(struct nw_table, unique_columns_count) ||
                   table->base_type_names == NULL
               ? NULL
               : table->base_type_names[column];
}

/**
 * Whether a column is masked so that several values become one. Rows are not told apart by it.
 *
 * @param column  index into columns.
 */
static inline bool nw_table_is_blurred(const struct nw_table *table, uint16_t column)
{
    return table->size >= offsetof(struct nw_table, blurred) + sizeof table->blurred &&
           table->blurred != NULL && table->blurred[column];
}

#ifdef __cplusplus
}
#endif
#endif
