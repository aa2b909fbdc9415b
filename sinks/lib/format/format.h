/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which form messages have: the option rows that sinks share, and what a table needs to be written
 * in it. docs/debezium.md has a table of Debezium's names for them.
 *
 * A sink's option table ends in NW_FORMAT_OPTION_ROWS(first), where `first` is the number of its
 * other rows. A table's writer is owned by one thread.
 */
#ifndef NW_SINKS_LIB_FORMAT_FORMAT_H
#define NW_SINKS_LIB_FORMAT_FORMAT_H

#include <narwal/sink.h>

#include "lib/format/change.h"
#include "lib/format/debezium.h"

enum nw_format_kind {
    NW_FORMAT_NARWAL,
    NW_FORMAT_DEBEZIUM_JSON,
    NW_FORMAT_DEBEZIUM_AVRO,
    NW_FORMAT_CLOUDEVENTS,
};

enum {
    NW_FORMAT_OPTION_FORMAT,
    NW_FORMAT_OPTION_SCHEMAS,
    NW_FORMAT_OPTION_DECIMALS,
    NW_FORMAT_OPTION_DECIMAL_FORMAT,
    NW_FORMAT_OPTION_MONEY_DIGITS,
    NW_FORMAT_OPTION_TIMES,
    NW_FORMAT_OPTION_INTERVALS,
    NW_FORMAT_OPTION_BINARIES,
    NW_FORMAT_OPTION_HSTORES,
    NW_FORMAT_OPTION_UNKNOWN_TYPES,
    NW_FORMAT_OPTION_UNAVAILABLE,
    NW_FORMAT_OPTION_UNFIT,
    NW_FORMAT_OPTION_NULL_AS_DEFAULT,
    NW_FORMAT_OPTION_SCHEMA_NAMES,
    NW_FORMAT_OPTION_FIELD_NAMES,
    NW_FORMAT_OPTION_COMPAT,
};

#define NW_FORMAT_OPTIONS_COUNT 16u

extern const char *const nw_format_kinds[];
extern const char *const nw_format_decimals[];
extern const char *const nw_format_decimal_formats[];
extern const char *const nw_format_times[];
extern const char *const nw_format_intervals[];
extern const char *const nw_format_binaries[];
extern const char *const nw_format_hstores[];
extern const char *const nw_format_unknowns[];
extern const char *const nw_format_unfits[];
extern const char *const nw_format_names[];
extern const char *const nw_format_compats[];

#define NW_FORMAT_CHOICE(name, fallback, choices, help)                                            \
    {                                                                                              \
        name, NW_OPTION_CHOICE, 0, fallback, 0, 0, choices, help                                   \
    }

#define NW_FORMAT_OPTION_ROWS(first)                                                               \
    [(first) + NW_FORMAT_OPTION_FORMAT] =                                                          \
        NW_FORMAT_CHOICE("format", "narwal", nw_format_kinds,                                      \
                         "What a message is: narwal, the line of docs/files.md, a small JSON "     \
                         "object with the row; debezium_json, Debezium's envelope. What follows "  \
                         "is for that one."),                                                      \
               NW_FORMAT_MODE_ROWS(first)

/* The others, for a sink that has a choice of formats of its own. */
#define NW_FORMAT_MODE_ROWS(first)                                                                 \
    [(first) +                                                                                     \
        NW_FORMAT_OPTION_SCHEMAS] = {"schemas",                                                    \
                                     NW_OPTION_BOOL,                                               \
                                     0,                                                            \
                                     "false",                                                      \
                                     0,                                                            \
                                     0,                                                            \
                                     NULL,                                                         \
                                     "Put Kafka Connect's schema around each key and "             \
                                     "value."},                                                    \
        [(first) + NW_FORMAT_OPTION_DECIMALS] = NW_FORMAT_CHOICE(                                  \
            "decimals", "precise", nw_format_decimals,                                             \
            "numeric and money: precise, their unscaled value in base64; double, "                 \
            "not exact; string."),                                                                 \
        [(first) + NW_FORMAT_OPTION_DECIMAL_FORMAT] =                                              \
            NW_FORMAT_CHOICE("decimal_format", "base64", nw_format_decimal_formats,                \
                             "With decimals: precise, how numbers of a fixed scale are written: "  \
                             "base64, or numeric, as a JSON number."),                             \
        [(first) + NW_FORMAT_OPTION_MONEY_DIGITS] = {"money_digits",                               \
                                                     NW_OPTION_INTEGER,                            \
                                                     0,                                            \
                                                     "2",                                          \
                                                     0,                                            \
                                                     20,                                           \
                                                     NULL,                                         \
                                                     "Digits of money behind the point."},         \
        [(first) + NW_FORMAT_OPTION_TIMES] = NW_FORMAT_CHOICE(                                     \
            "times", "adaptive", nw_format_times,                                                  \
            "date, time and timestamp: numbers in a unit that follows from the "                   \
            "column's precision, or one unit for all; connect, Kafka Connect's own "               \
            "types in milliseconds; isostring, ISO 8601; structured, structs of year, "            \
            "month and so on, intervals and those with a time zone too."),                         \
        [(first) + NW_FORMAT_OPTION_INTERVALS] =                                                   \
            NW_FORMAT_CHOICE("intervals", "numeric", nw_format_intervals,                          \
                             "interval: microseconds, a month being 30.4375 days; or ISO 8601."),  \
        [(first) + NW_FORMAT_OPTION_BINARIES] =                                                    \
            NW_FORMAT_CHOICE("binaries", "bytes", nw_format_binaries,                              \
                             "bytea: bytes, which are base64 in JSON, or a string."),              \
        [(first) + NW_FORMAT_OPTION_HSTORES] = NW_FORMAT_CHOICE(                                   \
            "hstores", "json", nw_format_hstores, "hstore: a string of JSON, or a map."),          \
        [(first) + NW_FORMAT_OPTION_UNKNOWN_TYPES] = NW_FORMAT_CHOICE(                             \
            "unknown_types", "omit", nw_format_unknowns,                                           \
            "Columns of types that Debezium does not know: left out, PostgreSQL's "                \
            "text as bytes, or as a string."),                                                     \
        [(first) +                                                                                 \
            NW_FORMAT_OPTION_UNAVAILABLE] = {"unavailable",                                        \
                                             NW_OPTION_TEXT,                                       \
                                             0,                                                    \
                                             "__debezium_unavailable_value",                       \
                                             0,                                                    \
                                             0,                                                    \
                                             NULL,                                                 \
                                             "What stands for an unchanged TOAST value, which "    \
                                             "PostgreSQL does not send."},                         \
        [(first) + NW_FORMAT_OPTION_UNFIT] = NW_FORMAT_CHOICE(                                     \
            "unfit", "reject", nw_format_unfits,                                                   \
            "A value that its schema has no room for, as NaN in a precise decimal: "               \
            "the row is refused (NW2720), or it is NULL as Debezium has it."),                     \
        [(first) +                                                                                 \
            NW_FORMAT_OPTION_NULL_AS_DEFAULT] = {"null_as_default",                                \
                                                 NW_OPTION_BOOL,                                   \
                                                 0,                                                \
                                                 "false",                                          \
                                                 0,                                                \
                                                 0,                                                \
                                                 NULL,                                             \
                                                 "Write a column's default where its value is "    \
                                                 "NULL, as Connect's converters do."},             \
        [(first) + NW_FORMAT_OPTION_COMPAT] = NW_FORMAT_CHOICE(                                    \
            "compat", "right", nw_format_compats,                                                  \
            "Where Debezium is as good or wrong, and readers may have come to need it: exact has " \
            "it as Debezium does. docs/debezium.md says what that is."),                           \
        [(first) + NW_FORMAT_OPTION_SCHEMA_NAMES] = NW_FORMAT_CHOICE(                              \
            "schema_names", "none", nw_format_names,                                               \
            "How characters of schemas' names that Avro does not take are replaced."),             \
        [(first) + NW_FORMAT_OPTION_FIELD_NAMES] = NW_FORMAT_CHOICE(                               \
            "field_names", "none", nw_format_names, "The same of columns' names.")

struct nw_format_options {
    enum nw_format_kind kind;
    struct nw_connect_options connect;
    struct nw_debezium_options debezium;
};

/**
 * @param settings  of the rows of NW_FORMAT_OPTION_ROWS(); borrow, for as long as the options.
 */
void nw_format_options_read(const struct nw_setting *settings, struct nw_format_options *options);

/** Avro takes no other names, and has decimals of its own. */
void nw_format_options_for_avro(struct nw_format_options *options);

/** A table's version in Debezium's form. */
struct nw_format_table {
    struct nw_origin origin;
    struct nw_connect_table *connect;
    struct nw_connect_scratch *scratch;
    struct nw_debezium *debezium;
    struct nw_change_texts texts;
};

/**
 * @param table     borrow, outlives the result
 * @param name      what schemas' names begin with, borrow for the call
 * @param prefix    source.name, borrow; outlives the result, as does database
 * @param options   borrow for the call
 * @return NULL when memory ran out.
 */
struct nw_format_table *nw_format_table_create(const struct nw_table *table, const char *name,
                                               const char *prefix, const char *database,
                                               const struct nw_format_options *options);
void nw_format_table_destroy(struct nw_format_table *table);

/**
 * Warn of columns that have no schema and are left out (NW2719): none is silently.
 * @param host  borrow for the call
 * @return NW_REJECT (NW2719): one of them is part of the key, which would be that of other rows
 * too.
 */
NW_MUST_CHECK nw_status nw_format_table_check(const struct nw_format_table *table,
                                              const struct nw_host *host, struct nw_error *err);

/**
 * Whether the fields of a table's rows have names that differ: two columns, or a column and a field
 * that is added, may have one.
 * @param schema  a struct, of the rows or of the flattened rows of `table`
 * @return NW_REJECT (NW2719): readers would find one of them only, or nothing that they can read.
 */
NW_MUST_CHECK nw_status nw_format_fields_check(const struct nw_connect_schema *schema,
                                               const struct nw_table *table, struct nw_error *err);

/** source.db: "" of a host that does not say. Borrowed from it. */
const char *nw_format_database(const struct nw_host *host);

/** source.version: whose connector's form it is. */
#define NW_FORMAT_VERSION "3.7.0.Final"

#endif
