/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the parts of connect_*.c share: which conversion a column has, and the memory of a table.
 * See connect.h.
 */
#ifndef NW_SINKS_LIB_FORMAT_CONNECT_FORM_H
#define NW_SINKS_LIB_FORMAT_CONNECT_FORM_H

#include "lib/format/connect.h"
#include "lib/format/connect_text.h"

#define NW_LEVELS_COUNT 3u /* a column, an item of its array, an entry of that item */
#define NW_PIECES_MAX   11u
#define NW_SCALE_MAX    1000u /* of numeric: NUMERIC_MAX_SCALE */

/* What is done with a value. */
enum nw_how {
    NW_HOW_OMIT,
    NW_HOW_BOOLEAN,
    NW_HOW_INTEGER,
    NW_HOW_REAL,
    NW_HOW_TEXT,
    NW_HOW_UUID,
    NW_HOW_DECIMAL,      /* unscaled, of a fixed scale */
    NW_HOW_VARIABLE,     /* struct of scale and unscaled */
    NW_HOW_DECIMAL_REAL, /* as a float64 */
    NW_HOW_DECIMAL_TEXT,
    NW_HOW_MONEY, /* PostgreSQL's text of it to one of the four above, see nw_form.money */
    NW_HOW_DATE,
    NW_HOW_DATE_ISO,
    NW_HOW_TIME, /* divided or multiplied, see nw_form.unit */
    NW_HOW_TIME_ISO,
    NW_HOW_STAMP, /* as NW_HOW_TIME */
    NW_HOW_STAMP_ISO,
    NW_HOW_STAMP_ZONED,
    NW_HOW_TIME_ZONED,
    NW_HOW_INTERVAL,
    NW_HOW_INTERVAL_ISO,
    NW_HOW_BINARY, /* bytes, see nw_form.binaries; of a type that is not known its text */
    NW_HOW_BIT,
    NW_HOW_BITS,
    NW_HOW_HSTORE_JSON,
    NW_HOW_HSTORE_MAP,
    NW_HOW_POINT,
    NW_HOW_LSEG,
    NW_HOW_BOX,
    NW_HOW_PATH,
    NW_HOW_POLYGON,
    NW_HOW_CIRCLE,
    NW_HOW_LINE,
    NW_HOW_EWKB,
    NW_HOW_VECTOR,
    NW_HOW_SPARSE_VECTOR,
    NW_HOW_DATE_PARTS, /* these are structs, see connect_parts.h */
    NW_HOW_TIME_PARTS,
    NW_HOW_TIME_ZONED_PARTS,
    NW_HOW_STAMP_PARTS,
    NW_HOW_STAMP_ZONED_PARTS,
    NW_HOW_INTERVAL_PARTS,
    NW_HOW_ARRAY,
};

enum nw_unit { NW_UNIT_MILLI, NW_UNIT_MICRO, NW_UNIT_NANO };

/* What is unchanged TOAST of an array: Debezium has its placeholder in the array's own type. */
enum nw_placeholder {
    NW_PLACEHOLDER_NONE,  /* none: a type of fixed width, or NULL in Debezium */
    NW_PLACEHOLDER_TEXT,  /* the text itself */
    NW_PLACEHOLDER_BYTES, /* its bytes */
    NW_PLACEHOLDER_ITEM,  /* an array with it as its only item */
    NW_PLACEHOLDER_CODES, /* an array of the numbers of its bytes */
    NW_PLACEHOLDER_UUID,  /* an array of the UUID that is made of it */
    NW_PLACEHOLDER_PAIR,  /* a map, or JSON of one, from it to it */
};

struct nw_form {
    const struct nw_connect_schema *schema;
    enum nw_how how;
    enum nw_how money; /* NW_HOW_MONEY */
    enum nw_unit unit;
    enum nw_connect_binaries binaries;
    uint16_t scale;   /* NW_HOW_DECIMAL, NW_HOW_MONEY: at most NW_SCALE_MAX; NW_HOW_..._PARTS: what
                         they have as their precision */
    uint8_t fraction; /* NW_HOW_STAMP_ZONED: digits that are always there; 0: as many as needed */
    bool bytea;       /* NW_HOW_BINARY in an array: its text is hexadecimal */
};

struct nw_connect_column {
    struct nw_form form;
    struct nw_form element; /* NW_HOW_ARRAY */
    char delimiter;         /* NW_HOW_ARRAY */
    bool not_null;
    enum nw_placeholder placeholder;
    bool zero_ready;  /* it is what the message has, else PostgreSQL's text */
    const char *zero; /* of a NOT NULL column whose value is not known */
};

/* Memory that goes with a table: what it gives is zero, and not given back one by one. */
struct nw_pool {
    struct nw_pool_block *blocks;
    bool failed; /* latched */
};

/* What an array or map is read from. */
enum nw_source {
    NW_SOURCE_NOTHING,
    NW_SOURCE_ARRAY,  /* PostgreSQL's text of one */
    NW_SOURCE_HSTORE, /* the same of an hstore */
    NW_SOURCE_VECTOR, /* [1,2.5] */
    NW_SOURCE_SPARSE, /* 1:2.5,3:1 */
    NW_SOURCE_PAIRS,  /* keys and values, one after the other */
    NW_SOURCE_CODES,  /* bytes, each a number */
    NW_SOURCE_ONE,    /* values[0] */
};

struct nw_connect_items {
    enum nw_source source;
    char delimiter;
    struct nw_connect_scratch *scratch;
    uint32_t level; /* of its items */
    const struct nw_connect_options *options;
    const struct nw_form *element;
    const struct nw_connect_value *values; /* PAIRS, ONE */
    const uint8_t *bytes;                  /* the text */
    size_t size;
    size_t at;
    uint32_t index;
    uint32_t count; /* PAIRS: values */
};

/* What one value needs beside itself; each level has its own. */
struct nw_level {
    struct nw_out text;   /* the text that is converted, when it had to be made */
    struct nw_out out;    /* what is given */
    struct nw_out second; /* on the way there */
    struct nw_out value;  /* of an entry of a map */
    struct nw_out pile;
    struct nw_connect_value pieces[NW_PIECES_MAX];
    struct nw_connect_value pairs[4];
    struct nw_connect_items items;
};

struct nw_connect_scratch {
    const struct nw_connect_table *table;
    uint16_t column; /* of the last value */
    struct nw_level levels[NW_LEVELS_COUNT];
};

/* ---- connect_schema.c ---- */

void *nw_pool_get(struct nw_pool *pool, size_t size);
const char *nw_pool_text(struct nw_pool *pool, const void *bytes, size_t size);
void nw_pool_fini(struct nw_pool *pool);

/* ---- connect_types.c ---- */

/** The form of a column, and of its items when it is an array. */
void nw_form_of(struct nw_pool *pool, const struct nw_table *table, uint16_t index,
                const struct nw_connect_options *options, struct nw_connect_column *to);

/* ---- connect_default.c ---- */

/**
 * What a column's default is, when it is a literal or a call; NULL: Debezium has none for it.
 * Kept in the pool.
 */
const struct nw_connect_value *nw_connect_default(struct nw_pool *pool,
                                                  const struct nw_column_schema *column,
                                                  const struct nw_form *form,
                                                  const struct nw_connect_options *options);

/* ---- connect_value.c ---- */

struct nw_convert {
    const struct nw_connect_options *options;
    const struct nw_form *form;
    const struct nw_form *element; /* of an array */
    char delimiter;
    struct nw_connect_scratch *scratch;
    uint32_t level;
};

/**
 * A value that is there, as a column has it or as PostgreSQL's text.
 * @return NW_REJECT when the schema has no room for it, NW_CORRUPT: it is no text of its type.
 */
nw_status nw_convert_present(const struct nw_convert *convert, const struct nw_value *source,
                             struct nw_connect_value *to);

/**
 * A time stamp in ISO 8601 at UTC, as Debezium's ZonedTimestamp has it.
 * @param at        borrow: NW_PRINT_TIMESTAMP_MAX bytes
 * @param us        since 1970
 * @param fraction  digits behind the second that are always there, at most 6; 0: as many as needed
 * @return behind what was printed
 */
uint8_t *nw_stamp_iso_print(uint8_t *at, int64_t us, unsigned fraction);

/* What a value is, whether narwal decoded it or it is PostgreSQL's text.
 * @return NW_CORRUPT: it is no text of its type; NW_REJECT: an infinite interval */
nw_status nw_moment_of(const struct nw_value *source, enum nw_type type, struct nw_moment *moment);
nw_status nw_time_of(const struct nw_value *source, int64_t *us);
nw_status nw_interval_of(const struct nw_value *source, struct nw_interval *interval);

#endif
