/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration of Debezium's PostgreSQL connector as one of narwal: properties as Connect has
 * them, what each becomes (table.c is the whole mapping), and the result in YAML. Forms
 * are those of Debezium 3.7. One thread.
 */
#ifndef NW_CLI_DEBEZIUM_IMPORT_H
#define NW_CLI_DEBEZIUM_IMPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "base/arena.h"
#include <narwal/status.h>

#define NW_DEBEZIUM_LINES_MAX 256u
#define NW_DEBEZIUM_RULES_MAX 128u
#define NW_DEBEZIUM_ITEMS_MAX 256u

enum nw_debezium_verdict {
    NW_DEBEZIUM_UNSEEN,
    NW_DEBEZIUM_MAPPED,
    NW_DEBEZIUM_NOTHING,
    NW_DEBEZIUM_REFUSED
};

struct nw_debezium_property {
    const char *name, *value;
    enum nw_debezium_verdict verdict;
    const char *why; /* NOTHING: why there is none; REFUSED: the reason, and what to do */
};

/** "key: value  # why" of a section. */
struct nw_debezium_line {
    const char *section, *key;
    const char *value; /* as YAML */
    const char *why;   /* NULL: nothing is said */
    bool list;         /* value is what stands between the brackets */
};

/** A rule of transforms. */
struct nw_debezium_rule {
    const char *table, *what;
    const char *columns; /* between the brackets */
    const char *more;    /* "mask: first\n    ..."; NULL */
};

struct nw_debezium {
    struct nw_arena arena;
    bool failed; /* memory, or a named maximum */
    struct nw_debezium_property *properties;
    size_t count;
    const char *name;    /* of the pipeline */
    const char *dsn;     /* of libpq, so far */
    const char *brokers; /* --brokers; NULL */
    struct nw_debezium_line lines[NW_DEBEZIUM_LINES_MAX];
    size_t lines_count;
    struct nw_debezium_rule rules[NW_DEBEZIUM_RULES_MAX];
    size_t rules_count;
};

struct nw_debezium_row;
/** What a property becomes. @param p  verdict is MAPPED, and changed by who cannot map it. */
typedef void nw_debezium_convert(struct nw_debezium *to, const struct nw_debezium_row *row,
                                 struct nw_debezium_property *p);

/** A property, and what becomes of it. */
struct nw_debezium_row {
    const char *name; /* ending in *: all that begin so */
    nw_debezium_convert *convert;
    const char *to;    /* the key of narwal: "source.slot.name", "sink.times" */
    const char *words; /* its values, each as DEBEZIUM'S or DEBEZIUM'S=NARWAL'S */
    const char *note;  /* the comment beside it; or why it is nothing, or why not and what to do */
    const char *otherwise; /* Debezium's default where narwal has another one; NULL */
    bool any_text;         /* ${...} in it is looked at by convert */
};
/** All of them; ends with one without a name. */
extern const struct nw_debezium_row NW_DEBEZIUM_ROWS[];

/**
 * Read a connector's JSON: its properties, or {"name": ..., "config": {...}}.
 * @param to  zeroed; nw_debezium_fini() frees it, also after a failure.
 */
NW_MUST_CHECK nw_status nw_debezium_read(struct nw_debezium *to, const char *text, size_t size,
                                         struct nw_error *err);
/** Give every property its verdict, and make the lines. @param refused  filled: how many are */
NW_MUST_CHECK nw_status nw_debezium_map(struct nw_debezium *to, size_t *refused,
                                        struct nw_error *err);
void nw_debezium_print(const struct nw_debezium *to, FILE *out);
size_t nw_debezium_count(const struct nw_debezium *to, enum nw_debezium_verdict verdict);
/** A property's name for people: a salt that stands in it is left out. In the arena. */
const char *nw_debezium_shown(struct nw_debezium *to, const char *name);
void nw_debezium_fini(struct nw_debezium *to);

/* ---- for those that convert ---- */

/** The value of a property; NULL: it is not there. */
const char *nw_debezium_get(const struct nw_debezium *to, const char *name);
struct nw_debezium_property *nw_debezium_find(struct nw_debezium *to, const char *name);
NW_PRINTF(2, 3) const char *nw_debezium_text(struct nw_debezium *to, const char *format, ...);
/** A text in YAML's double quotes. */
const char *nw_debezium_quoted(struct nw_debezium *to, const char *text);
/** Put "section.key: value"; a key that is there already stays as it is. */
void nw_debezium_put(struct nw_debezium *to, const char *path, const char *value, const char *why);
/** One more item of a list. */
void nw_debezium_item(struct nw_debezium *to, const char *path, const char *text);
NW_PRINTF(3, 4)
void nw_debezium_refuse(struct nw_debezium *to, struct nw_debezium_property *p, const char *format,
                        ...);
/** Pieces of a list, without the blanks around them. @return how many */
size_t nw_debezium_split(struct nw_debezium *to, const char *list, char separator,
                         const char *pieces[NW_DEBEZIUM_ITEMS_MAX]);
/** A secret: ${env:NAME} where it is that already, else ${env:otherwise}. */
void nw_debezium_secret(struct nw_debezium *to, const char *path, const char *value,
                        const char *otherwise);

/** The rest of a name behind PREFIX; NULL: it does not begin so. */
const char *nw_debezium_behind(const char *name, const char *prefix);
/** The value of a property of an alias or a converter: PREFIX with NAME. NULL: it is not there. */
const char *nw_debezium_under(struct nw_debezium *to, const char *prefix, const char *name);
/** Whether a flag is true. @param otherwise  what it is when it is not there */
bool nw_debezium_said(const char *value, bool otherwise);
/** Whether a property names the version of a converter, transform or predicate of Connect's. */
bool nw_debezium_is_plugin_version(const char *name);
bool nw_debezium_same(const char *a, const char *b); /* either may be NULL */
void nw_debezium_refuse_name(struct nw_debezium *to, const char *name, const char *why);
/** Refuse what begins with the prefix and is none of these words. */
void nw_debezium_others_refuse(struct nw_debezium *to, const char *prefix, const char *words);
bool nw_debezium_has_outbox(const struct nw_debezium *to);
/** One more rule of transforms: a list of columns grows where one for the same is there. */
void nw_debezium_rule_add(struct nw_debezium *to, const char *table, const char *what,
                          const char *column, const char *more);

#define NW_DEBEZIUM_JSON         "org.apache.kafka.connect.json.JsonConverter"
#define NW_DEBEZIUM_AVRO         "io.confluent.connect.avro.AvroConverter"
#define NW_DEBEZIUM_VALUE_TO_KEY "org.apache.kafka.connect.transforms.ValueToKey"
#define NW_DEBEZIUM_TOMBSTONES   "org.apache.kafka.connect.transforms.predicates.RecordIsTombstone"
#define NW_DEBEZIUM_TOPICS       "org.apache.kafka.connect.transforms.predicates.TopicNameMatches"
#define NW_DEBEZIUM_ROUTER       "io.debezium.transforms.outbox.EventRouter"

/* transforms.c: */

/** What of an expression the sink's own form of them cannot say; NULL: nothing that we know of. */
const char *nw_debezium_regex_other(const char *regex);
/** Whether it can say one; refused if not. */
bool nw_debezium_regex_check(struct nw_debezium *to, const char *prefix, const char *name);
/** A replacement with $1 where it has ${name}. */
const char *nw_debezium_numbered(struct nw_debezium *to, const char *regex,
                                 const char *replacement);

/* values.c: */

enum nw_debezium_values {
    NW_DEBEZIUM_MASK,
    NW_DEBEZIUM_CAST,
    NW_DEBEZIUM_TIME,
    NW_DEBEZIUM_FIELDS,  /* ReplaceField */
    NW_DEBEZIUM_INSERTS, /* InsertField */
    NW_DEBEZIUM_HEADERS, /* HeaderToValue */
};
/** A transform of values as steps of `reshape`. @param flat  rows come here flattened */
void nw_debezium_values(struct nw_debezium *to, const char *prefix, enum nw_debezium_values kind,
                        bool flat);
/** Whether a setting of add.headers is moved into values, by HeaderToValue. */
bool nw_debezium_header_moves(struct nw_debezium *to, const char *setting);
/** ExtractNewRecordState in a mode of rewriting: NULL becomes the default of its column. */
void nw_debezium_rewrites(struct nw_debezium *to);
/** Whether a transform of values changes a field, gives it another name, makes or drops it. */
bool nw_debezium_value_changes(struct nw_debezium *to, const char *prefix, const char *field);

/* notices.c: */

/**
 * Refuse a router that does otherwise with transactions, heartbeats or notifications than narwal's
 * routes.
 * @param name  of its expression
 * @param keys  it changes keys, too
 */
void nw_debezium_beside_check(struct nw_debezium *to, const char *prefix, const char *name,
                              bool keys);
/**
 * Why a transform of values cannot be taken, which would change messages of transactions,
 * heartbeats or notifications, too: its predicate does not leave out their topic.
 * @param field  which it changes; NULL: all messages
 * @return in the arena; NULL: it changes none of them
 */
const char *nw_debezium_beside_reason(struct nw_debezium *to, const char *prefix,
                                      const char *field);

/* keys.c: */

/**
 * Whether a transform's predicate lets it have all messages of tables, or there is none.
 * @param values  it does nothing to a message without a value
 * @param routed  a transform in front of it has changed topics' names
 */
bool nw_debezium_predicate_is_void(struct nw_debezium *to, const char *prefix, bool values,
                                   bool routed);
/** Several tables in one topic. @param flat  rows come here flattened */
void nw_debezium_logical(struct nw_debezium *to, const char *prefix, bool flat);
/** @param deletes  what becomes of them: delete.tombstone.handling.mode */
void nw_debezium_value_to_key(struct nw_debezium *to, const char *prefix, bool flat,
                              const char *deletes);
void nw_debezium_extract_key(struct nw_debezium *to, const char *prefix);
/** @param values  their converter. @param schemas  JSON: whether they have schemas */
void nw_debezium_key_converter(struct nw_debezium *to, const char *values, bool schemas);

/** masked.c: after all properties: refuse keys of columns that are masked. */
void nw_debezium_masked_keys(struct nw_debezium *to);
/** sink.c: after all properties: types that schemas say are of use where there are schemas. */
void nw_debezium_types_settle(struct nw_debezium *to);

/** overrides.c: after all properties: which rows of which tables the first copy has. */
void nw_debezium_copies_settle(struct nw_debezium *to);

/**
 * An anchored regular expression of Debezium as patterns of narwal.
 * @param patterns  filled, in the arena
 * @return how many; 0: it cannot be said with patterns
 */
size_t nw_debezium_patterns(struct nw_debezium *to, const char *regex,
                            const char *patterns[NW_DEBEZIUM_ITEMS_MAX]);

/* Converters, by what they do; table.c says for what. */
nw_debezium_convert nw_dbz_text, nw_dbz_words, nw_dbz_skipped, nw_dbz_unchanged, nw_dbz_time,
    nw_dbz_number, nw_dbz_nothing, nw_dbz_only, nw_dbz_refused, nw_dbz_taken, nw_dbz_dsn,
    nw_dbz_keepalive, nw_dbz_password, nw_dbz_tables, nw_dbz_schemas, nw_dbz_columns, nw_dbz_mask,
    nw_dbz_hash, nw_dbz_expressions, nw_dbz_keys, nw_dbz_class, nw_dbz_params, nw_dbz_prefixes,
    nw_dbz_strategy, nw_dbz_topic, nw_dbz_heartbeat, nw_dbz_action, nw_dbz_transactions,
    nw_dbz_signals, nw_dbz_notifications, nw_dbz_placeholder, nw_dbz_copies, nw_dbz_dsn_text,
    nw_dbz_slot, nw_dbz_snapshot, nw_dbz_based;
nw_debezium_convert nw_dbz_converters, nw_dbz_transforms, nw_dbz_producer, nw_dbz_brokers,
    nw_dbz_creation, nw_dbz_partitions, nw_dbz_publication, nw_dbz_predicates;

/** shadow.c: after nw_debezium_map(): make it one that runs beside the connector. */
void nw_debezium_shadow(struct nw_debezium *to);

#endif
