/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kafka Connect's data model for our tables, as Debezium 3.7's PostgreSQL connector maps them:
 * which schema a column has, and what a value becomes. Serialisers (Debezium's JSON, Avro) walk it.
 *
 * A table's schemas are made once for its version, and are immutable. A value is converted into a
 * small tagged struct; what has to be printed or computed lies in a scratch of the caller's, whose
 * memory grows until it is large enough: nothing is allocated per row.
 *
 *   struct nw_connect_value value;
 *   status = nw_connect_convert(scratch, column, &source, side, &value, err);
 *   ... value.kind says what it is; arrays and maps are read by nw_connect_next().
 *
 * The mapping by type and option: docs/debezium.md. Each struct belongs to one thread.
 */
#ifndef NW_SINKS_LIB_FORMAT_CONNECT_H
#define NW_SINKS_LIB_FORMAT_CONNECT_H

#include <narwal/batch.h>
#include <narwal/status.h>

#include "lib/out.h"

/* ---- options: the first of each is the default ---- */

enum nw_connect_decimals { NW_DECIMALS_PRECISE, NW_DECIMALS_DOUBLE, NW_DECIMALS_STRING };
enum nw_connect_times {
    NW_TIMES_ADAPTIVE,
    NW_TIMES_ADAPTIVE_MICROSECONDS, /* times always, timestamps by their precision */
    NW_TIMES_CONNECT,
    NW_TIMES_ISOSTRING,
    NW_TIMES_MICROSECONDS,
    NW_TIMES_NANOSECONDS,
    NW_TIMES_STRUCTURED, /* structs of their parts; intervals too */
};
enum nw_connect_intervals { NW_INTERVALS_NUMERIC, NW_INTERVALS_STRING };
enum nw_connect_hstores { NW_HSTORES_JSON, NW_HSTORES_MAP };
enum nw_connect_binaries {
    NW_BINARIES_BYTES,
    NW_BINARIES_BASE64,
    NW_BINARIES_BASE64_URL_SAFE,
    NW_BINARIES_HEX,
};
enum nw_connect_names { NW_NAMES_AS_THEY_ARE, NW_NAMES_AVRO, NW_NAMES_AVRO_UNICODE };
/** Columns of a type that has no schema of its own: left out, their text as bytes, or as it is. */
enum nw_connect_unknown { NW_UNKNOWN_OMIT, NW_UNKNOWN_BYTES, NW_UNKNOWN_TEXT };

struct nw_connect_options {
    enum nw_connect_decimals decimals;
    enum nw_connect_times times;
    enum nw_connect_intervals intervals;
    enum nw_connect_hstores hstores;
    enum nw_connect_binaries binaries;
    enum nw_connect_names schema_names;
    enum nw_connect_names field_names;
    enum nw_connect_unknown unknown;
    uint8_t money_digits;    /* behind the point */
    bool numbers_as_text;    /* decimals as NW_CONNECT_NUMBER, their digits, not as bytes */
    bool exact;              /* as Debezium has it, also where that is not right */
    bool unfit_null;         /* NULL where the schema has no room for a value: NaN in a Decimal;
                                else the row is refused */
    bool null_as_default;    /* Avro: a column's default where its value is NULL */
    const char *placeholder; /* of a value that was not sent; borrow */
    uint32_t placeholder_size;
    /** Expressions of Java's, of columns whose schemas say the type on the server: see
     * source_types.h. NULL-terminated; NULL: none. Borrow, for the table's making. */
    const char *const *source_columns;
    const char *const *source_types;
};

/** Debezium's defaults. */
struct nw_connect_options nw_connect_options_default(void);

/* ---- schemas ---- */

enum nw_connect_kind {
    NW_CONNECT_INT8,
    NW_CONNECT_INT16,
    NW_CONNECT_INT32,
    NW_CONNECT_INT64,
    NW_CONNECT_FLOAT32,
    NW_CONNECT_FLOAT64,
    NW_CONNECT_BOOLEAN,
    NW_CONNECT_STRING,
    NW_CONNECT_BYTES,
    NW_CONNECT_ARRAY,
    NW_CONNECT_MAP,
    NW_CONNECT_STRUCT,
};

struct nw_connect_parameter {
    const char *name;
    const char *value;
};

struct nw_connect_field;
struct nw_connect_value;

/** A node of a schema, as Connect's org.apache.kafka.connect.data.Schema. */
struct nw_connect_schema {
    enum nw_connect_kind kind;
    bool optional;
    uint32_t version; /* 0: none */
    const char *name; /* the semantic or logical name; NULL: none */
    const char *doc;  /* NULL: none */
    const struct nw_connect_parameter *parameters;
    uint32_t parameters_count;
    uint32_t fields_count;                   /* STRUCT */
    const struct nw_connect_field *fields;   /* STRUCT */
    const struct nw_connect_schema *key;     /* MAP */
    const struct nw_connect_schema *element; /* ARRAY; MAP: of its values */
    const struct nw_connect_value *fallback; /* the default; NULL: none. Never ARRAY, MAP, STRUCT */
};

struct nw_connect_field {
    const char *name;
    const struct nw_connect_schema *schema;
};

/* ---- values ---- */

enum nw_connect_value_kind {
    NW_CONNECT_NULL,
    NW_CONNECT_TRUTH,   /* as.boolean */
    NW_CONNECT_INTEGER, /* as.integer: INT8 to INT64 */
    NW_CONNECT_REAL,    /* as.real: FLOAT32, FLOAT64; NaN and infinities too */
    NW_CONNECT_TEXT,    /* bytes: UTF-8 */
    NW_CONNECT_BINARY,  /* bytes; of a Decimal its unscaled value, big-endian two's complement */
    NW_CONNECT_NUMBER,  /* bytes: a Decimal's digits, with options.numbers_as_text */
    NW_CONNECT_PIECES,  /* pieces: one for each field of the STRUCT */
    NW_CONNECT_ITEMS,   /* items: an ARRAY or MAP, by nw_connect_next() */
};

struct nw_connect_items;

struct nw_connect_value {
    enum nw_connect_value_kind kind;
    uint32_t size;
    union {
        bool boolean;
        int64_t integer;
        double real;
    } as;
    const uint8_t *bytes;                  /* not NUL-terminated */
    const struct nw_connect_value *pieces; /* NW_CONNECT_PIECES */
    struct nw_connect_items *items;        /* NW_CONNECT_ITEMS */
};

struct nw_connect_scratch;

struct nw_connect_table;

/** For values of this table. @return NULL when memory ran out. */
struct nw_connect_scratch *nw_connect_scratch_create(const struct nw_connect_table *table);
void nw_connect_scratch_destroy(struct nw_connect_scratch *scratch);

/**
 * The next item of an array or a map.
 *
 * @param key    filled for a map; else untouched, may be NULL.
 * @param value  filled; valid until the next call.
 * @return false behind the last one. *status is NW_OK then, or what went wrong, as of
 *         nw_connect_convert().
 */
bool nw_connect_next(struct nw_connect_items *items, struct nw_connect_value *key,
                     struct nw_connect_value *value, nw_status *status, struct nw_error *err);

/** Begin again at the first item. */
void nw_connect_rewind(struct nw_connect_items *items);

/* ---- tables ---- */

struct nw_connect_column; /* how values are converted; see connect_type.h */

/** What a table's version is in Connect's model. Immutable. */
struct nw_connect_table {
    const struct nw_table *table;            /* borrow */
    struct nw_connect_schema *value;         /* struct NAME.Value, optional: its fields, in order */
    struct nw_connect_schema *key;           /* struct NAME.Key; NULL: the table has none */
    const struct nw_connect_column *columns; /* table->columns_count */
    const uint16_t *fields;                  /* value->fields[i] is column fields[i] */
    const uint16_t *key_fields;              /* the same of key */
    struct nw_connect_options options;
    uint8_t placeholder_uuid[36]; /* a UUID made of the placeholder, for arrays of them */
};

/**
 * @param name     what the schemas' names begin with: `prefix.schema.table`.
 * @param options  borrow, but for placeholder, which outlives the table.
 * @return NULL when memory ran out.
 */
struct nw_connect_table *nw_connect_table_create(const struct nw_table *table, const char *name,
                                                 const struct nw_connect_options *options);
void nw_connect_table_destroy(struct nw_connect_table *table);

/** Whether a column has a schema; false: it is left out, since its type has none. */
bool nw_connect_table_has(const struct nw_connect_table *table, uint16_t column);

/**
 * Convert one value.
 *
 *   missing in after   the placeholder, in the form of the column's schema
 *   missing in before  NULL; in a column that is NOT NULL (where the old image has only the key)
 *                      the column's default, else its type's zero, as Debezium does it
 *   NULL               NULL, also in a column that has become NOT NULL since
 *
 * @param column  index into the table's columns; it has a schema.
 * @param side    NW_BEFORE or NW_AFTER
 * @param value   filled; valid until the scratch is used again, and as long as the batch.
 * @return NW_RETRY: out of memory. NW_REJECT: the schema has no room for this value.
 */
NW_MUST_CHECK nw_status nw_connect_convert(struct nw_connect_scratch *scratch, uint16_t column,
                                           const struct nw_value *source, int side,
                                           struct nw_connect_value *value, struct nw_error *err);

/** A name as Avro takes it, by the mode. `field`: of a field, not of a schema. Appends a NUL. */
void nw_connect_name(struct nw_out *out, const char *name, enum nw_connect_names mode, bool field);

#endif
