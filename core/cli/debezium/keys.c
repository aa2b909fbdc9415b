/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See import.h: what Connect's transforms and converters make of keys, and to which messages a
 * transform's predicate leaves it.
 */
#include <string.h>

#include "cli/debezium/import.h"

#define CONVERTERS "org.apache.kafka.connect.converters."

static const char AVRO[] = NW_DEBEZIUM_AVRO;

/* ---- predicates ---- */

static const char *predicate_get(struct nw_debezium *to, const char *prefix, const char *name)
{
    const char *alias = nw_debezium_under(to, prefix, "predicate");

    return alias == NULL
               ? NULL
               : nw_debezium_get(to, nw_debezium_text(to, "predicates.%s.%s", alias, name));
}

/* Whether an expression can match no topic of a table: it begins with another text. */
static bool matches_none(const char *regex, const char *prefix)
{
    for (; *regex != '\0' && *prefix != '\0'; regex++, prefix++) {
        regex += *regex == '\\' && regex[1] != '\0' && strchr(".-_", regex[1]) != NULL;
        if (strchr("\\[](){}*+?|^$", *regex) != NULL || strchr("*+?{|", regex[1]) != NULL) {
            return false;
        }
        if (*regex != *prefix && *regex != '.') {
            return strchr(regex, '|') == NULL;
        }
    }
    return false;
}

/* Whether it matches each of them. */
static bool matches_all(const char *regex, const char *prefix)
{
    const char *rest = nw_debezium_behind(regex, prefix);

    return strcmp(regex, ".*") == 0 ||
           (rest != NULL &&
            (strcmp(rest, ".*") == 0 || strcmp(rest, "\\..*") == 0 || strcmp(rest, "..*") == 0));
}

/* Whether an expression is the topic of logical messages, PREFIX\.message, which no table has. */
static bool is_messages(struct nw_debezium *to, const char *regex, const char *prefix)
{
    const char *plain = "";

    for (; *regex != '\0'; regex++) {
        regex += *regex == '\\' && regex[1] == '.';
        plain = nw_debezium_text(to, "%s%c", plain, *regex);
    }
    return strcmp(plain, nw_debezium_text(to, "%s.message", prefix)) == 0;
}

bool nw_debezium_predicate_is_void(struct nw_debezium *to, const char *prefix, bool values,
                                   bool routed)
{
    const char *class = predicate_get(to, prefix, "type");
    const char *pattern = predicate_get(to, prefix, "pattern");
    const char *topics = nw_debezium_get(to, "topic.prefix");
    bool negates = nw_debezium_said(nw_debezium_under(to, prefix, "negate"), false);

    if (nw_debezium_under(to, prefix, "predicate") == NULL) {
        return true;
    }
    if (class != NULL && strcmp(class, NW_DEBEZIUM_TOMBSTONES) == 0) {
        return negates && values;
    }
    if (class == NULL || strcmp(class, NW_DEBEZIUM_TOPICS) != 0 || pattern == NULL ||
        topics == NULL || routed) {
        return false;
    }
    return negates ? matches_none(pattern, topics) || is_messages(to, pattern, topics)
                   : matches_all(pattern, topics);
}

/* ---- keys ---- */

/* Whether values are sent with schemas, and with those their names. */
static bool values_have_schemas(struct nw_debezium *to)
{
    const char *converter = nw_debezium_get(to, "value.converter");

    return (converter != NULL && strcmp(converter, AVRO) == 0) ||
           nw_debezium_said(nw_debezium_get(to, "value.converter.schemas.enable"), true);
}

/* Whether keys are. */
static bool keys_have_schemas(struct nw_debezium *to)
{
    const char *converter = nw_debezium_get(to, "key.converter");
    bool json = converter == NULL || strcmp(converter, NW_DEBEZIUM_JSON) == 0;

    return (converter != NULL && strcmp(converter, AVRO) == 0) ||
           (json && nw_debezium_said(nw_debezium_get(to, "key.converter.schemas.enable"), true));
}

/* A transform of the chain that has this class; NULL: none has */
static const char *transform_find(struct nw_debezium *to, const char *class)
{
    const char *aliases[NW_DEBEZIUM_ITEMS_MAX];
    size_t count = nw_debezium_split(to, nw_debezium_get(to, "transforms"), ',', aliases);

    for (size_t i = 0; i < count; i++) {
        const char *prefix = nw_debezium_text(to, "transforms.%s.", aliases[i]);

        if (nw_debezium_same(nw_debezium_under(to, prefix, "type"), class)) {
            return prefix;
        }
    }
    return NULL;
}

/* What the key gets for the table: behind the replacement. NULL: refused */
static const char *logical_field(struct nw_debezium *to, const char *prefix, const char *fallback)
{
    const char *name = nw_debezium_under(to, prefix, "key.field.name");
    const char *regex = nw_debezium_under(to, prefix, "key.field.regex");
    const char *made = nw_debezium_under(to, prefix, "key.field.replacement");
    bool unique = nw_debezium_said(nw_debezium_under(to, prefix, "key.enforce.uniqueness"), true);

    if (!unique) {
        return values_have_schemas(to) || keys_have_schemas(to) ? " => -" : "";
    }
    name = name == NULL ? fallback : name;
    if (regex == NULL || *regex == '\0') {
        return nw_debezium_text(to, " => %s", name);
    }
    if (made == NULL || !nw_debezium_regex_check(to, prefix, "key.field.regex")) {
        nw_debezium_refuse_name(to, nw_debezium_text(to, "%skey.field.regex", prefix),
                                "wants key.field.replacement, and an expression without what only "
                                "Java has");
        return NULL;
    }
    return nw_debezium_text(to, " => %s => %s => %s", name, regex,
                            nw_debezium_numbered(to, regex, made));
}

/* Why the names of schemas would not be those; NULL: they are */
static const char *logical_reason(struct nw_debezium *to, const char *prefix, bool flat)
{
    const char *own = nw_debezium_under(to, prefix, "schema.name.adjustment.mode");
    const char *all = nw_debezium_get(to, "schema.name.adjustment.mode");

    if (transform_find(to, NW_DEBEZIUM_VALUE_TO_KEY) != NULL &&
        nw_debezium_said(nw_debezium_under(to, prefix, "key.enforce.uniqueness"), true)) {
        return "ValueToKey makes another key: set key.enforce.uniqueness to false";
    }
    if (!values_have_schemas(to) && !keys_have_schemas(to)) {
        return NULL;
    }
    if (flat && values_have_schemas(to)) {
        return "behind ExtractNewRecordState it renames no schema but the key's: put it in front "
               "of that";
    }
    return nw_debezium_same(own == NULL ? "none" : own, all == NULL ? "none" : all)
               ? NULL
               : "its schema.name.adjustment.mode is not the connector's: set both to the same";
}

void nw_debezium_logical(struct nw_debezium *to, const char *prefix, bool flat)
{
    const char *regex = nw_debezium_under(to, prefix, "topic.regex");
    const char *replacement = nw_debezium_under(to, prefix, "topic.replacement");
    const char *type = nw_debezium_text(to, "%stype", prefix);
    const char *class = nw_debezium_get(to, type);
    const char *why = logical_reason(to, prefix, flat);
    bool old = class != NULL && strstr(class, "ByLogicalTableRouter") != NULL;

    if (regex == NULL || replacement == NULL) {
        nw_debezium_refuse_name(to, type, "wants topic.regex and topic.replacement");
    } else if (why != NULL) {
        nw_debezium_refuse_name(to, type, why);
    } else if (nw_debezium_regex_check(to, prefix, "topic.regex")) {
        const char *field = logical_field(
            to, prefix, old ? "__dbz__physicalTableIdentifier" : "__dbz__sourceIdentifier");

        if (field != NULL) {
            nw_debezium_item(to, "sink.routes",
                             nw_debezium_text(to, "%s => %s%s", regex,
                                              nw_debezium_numbered(to, regex, replacement), field));
            nw_debezium_beside_check(to, prefix, "topic.regex", *field != '\0');
        }
    }
    nw_debezium_others_refuse(to, prefix,
                              "type topic.regex topic.replacement key.enforce.uniqueness "
                              "key.field.name key.field.regex key.field.replacement "
                              "schema.name.adjustment.mode logical.table.cache.size "
                              "logical.destination.cache.size");
}

/* Connect's own default of replace.null.with.default is all there is. */
static void defaults_check(struct nw_debezium *to, const char *prefix)
{
    if (!nw_debezium_said(nw_debezium_under(to, prefix, "replace.null.with.default"), true)) {
        nw_debezium_refuse_name(to, nw_debezium_text(to, "%sreplace.null.with.default", prefix),
                                "a key has a column's default where it is NULL: remove it");
    }
}

/* Why a field is not what its column is; NULL: it is. */
static const char *changed_reason(struct nw_debezium *to, const char *prefix, const char *field)
{
    const char *aliases[NW_DEBEZIUM_ITEMS_MAX];
    size_t count = nw_debezium_split(to, nw_debezium_get(to, "transforms"), ',', aliases);

    for (size_t i = 0; i < count; i++) {
        const char *other = nw_debezium_text(to, "transforms.%s.", aliases[i]);

        if (strcmp(other, prefix) == 0) {
            return NULL;
        }
        if (nw_debezium_value_changes(to, other, field)) {
            return nw_debezium_text(to,
                                    "%s is no column as it is behind %s, and narwal makes keys of "
                                    "columns: put ValueToKey in front of %s, or name others",
                                    field, aliases[i], aliases[i]);
        }
    }
    return NULL;
}

void nw_debezium_value_to_key(struct nw_debezium *to, const char *prefix, bool flat,
                              const char *deletes)
{
    const char *fields[NW_DEBEZIUM_ITEMS_MAX];
    const char *type = nw_debezium_text(to, "%stype", prefix);
    size_t count = nw_debezium_split(to, nw_debezium_under(to, prefix, "fields"), ',', fields);
    bool tombstones = nw_debezium_said(nw_debezium_get(to, "tombstones.on.delete"), true) ||
                      strcmp(deletes, "delete-to-tombstone") == 0;

    if (!flat || count == 0) {
        nw_debezium_refuse_name(to, type,
                                "only behind ExtractNewRecordState, with fields: "
                                "message.key.columns says the key of a table");
    } else if (tombstones && strcmp(deletes, "drop") != 0 && strcmp(deletes, "rewrite") != 0) {
        nw_debezium_refuse_name(to, type,
                                "it ends the connector at a tombstone: set "
                                "delete.tombstone.handling.mode to drop or rewrite");
    }
    for (size_t i = 0; i < count; i++) {
        const char *why = nw_debezium_behind(fields[i], "__") != NULL
                              ? "only columns can be in a key"
                              : changed_reason(to, prefix, fields[i]);

        if (why != NULL) {
            nw_debezium_refuse_name(to, nw_debezium_text(to, "%sfields", prefix), why);
        }
        nw_debezium_item(to, "sink.key_columns", fields[i]);
    }
    defaults_check(to, prefix);
    nw_debezium_others_refuse(to, prefix, "type fields replace.null.with.default");
}

void nw_debezium_extract_key(struct nw_debezium *to, const char *prefix)
{
    const char *field = nw_debezium_under(to, prefix, "field");

    if (field == NULL) {
        nw_debezium_refuse_name(to, nw_debezium_text(to, "%stype", prefix), "wants field");
    } else {
        nw_debezium_put(to, "sink.key_field", nw_debezium_quoted(to, field), "ExtractField$Key");
    }
    defaults_check(to, prefix);
    nw_debezium_others_refuse(to, prefix, "type field replace.null.with.default");
}

/* ---- their converter ---- */

/* What is sent beside rows has keys as values are. */
static const char *beside(struct nw_debezium *to, const char *what)
{
    const char *beats = nw_debezium_get(to, "heartbeat.interval.ms");
    bool more = (beats != NULL && strcmp(beats, "0") != 0) ||
                nw_debezium_said(nw_debezium_get(to, "provide.transaction.metadata"), false);

    return more ? nw_debezium_text(to, "%s; keys of heartbeats and transactions stay JSON", what)
                : what;
}

static void json_keys(struct nw_debezium *to, bool same, bool values)
{
    bool schemas = nw_debezium_said(nw_debezium_get(to, "key.converter.schemas.enable"), true);

    if (!same || schemas != values) {
        nw_debezium_put(to, "sink.key_form", schemas ? "json_schemas" : "json",
                        beside(to, "key.converter, JsonConverter"));
    }
    nw_debezium_others_refuse(
        to, "key.converter.",
        "schemas.enable decimal.format replace.null.with.default schemas.cache.size=* "
        "schema.registry.url=*");
}

/* @return NULL: it is another */
static const char *plain_form(const char *class)
{
    static const struct {
        const char *class, *form;
    } forms[] = {{"org.apache.kafka.connect.storage.StringConverter", "string"},
                 {CONVERTERS "LongConverter", "long"},
                 {CONVERTERS "IntegerConverter", "integer"}};

    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        if (strcmp(forms[i].class, class) == 0) {
            return forms[i].form;
        }
    }
    return NULL;
}

void nw_debezium_key_converter(struct nw_debezium *to, const char *values, bool schemas)
{
    const char *class = nw_debezium_get(to, "key.converter");
    const char *form = class == NULL ? NULL : plain_form(class);
    bool json = class == NULL || strcmp(class, NW_DEBEZIUM_JSON) == 0;

    if (nw_debezium_has_outbox(to) || (class == NULL && strcmp(values, AVRO) == 0)) {
        return; /* outbox_form says it; or it is the worker's */
    }
    if (json) {
        json_keys(to, strcmp(values, AVRO) != 0, schemas);
    } else if (form != NULL &&
               (strcmp(form, "string") == 0 ||
                transform_find(to, "org.apache.kafka.connect.transforms.ExtractField$Key") !=
                    NULL)) {
        nw_debezium_put(to, "sink.key_form", form, beside(to, "key.converter"));
        nw_debezium_others_refuse(to, "key.converter.", "schemas.enable");
    } else if (form != NULL) {
        nw_debezium_refuse_name(to, "key.converter",
                                "wants ExtractField$Key: a key of several fields is no number");
    } else if (strcmp(class, values) != 0) {
        nw_debezium_refuse_name(to, "key.converter",
                                "JsonConverter, StringConverter, LongConverter and "
                                "IntegerConverter are there, and what values have");
    }
}
