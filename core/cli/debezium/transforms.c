/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See import.h: Connect's transforms. Those that narwal has an option for are mapped, where they
 * stand in the chain permitting; others are refused by name.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "cli/debezium/import.h"

#define NW_DEBEZIUM_UNWRAP "io.debezium.transforms.ExtractNewRecordState"

/* ---- regular expressions over topics ---- */

/* Where one has this, outside of brackets where it is a quantifier. */
static bool has_other(const char *regex, const char *other)
{
    bool quantifies = strchr("*+?", other[0]) != NULL;
    bool inside = false;

    for (; *regex != '\0'; regex++) {
        if (strncmp(regex, other, strlen(other)) == 0 && !(quantifies && inside)) {
            return true;
        }
        if (*regex == '\\' && regex[1] != '\0') {
            regex++;
        } else if (*regex == '[' || *regex == ']') {
            inside = *regex == '[';
        }
    }
    return false;
}

/* The rest the sink refuses itself, by narwal check. */
const char *nw_debezium_regex_other(const char *regex)
{
    static const char *const others[] = {"(?=", "(?!", "(?<=", "(?<!", "(?i", "(?s",  "(?m",
                                         "(?x", "(?>", "*?",   "+?",   "??",  "*+",   "++",
                                         "&&",  "\\b", "\\Q",  "\\p",  "\\1", " => ", NULL};

    for (size_t i = 0; others[i] != NULL; i++) {
        if (has_other(regex, others[i])) {
            return others[i];
        }
    }
    return NULL;
}

bool nw_debezium_regex_check(struct nw_debezium *to, const char *prefix, const char *name)
{
    const char *other = nw_debezium_regex_other(nw_debezium_under(to, prefix, name));

    if (other != NULL) {
        nw_debezium_refuse_name(to, nw_debezium_text(to, "%s%s", prefix, name),
                                nw_debezium_text(to, "%s is not there: say it without", other));
    }
    return other == NULL;
}

static void regex_put(struct nw_debezium *to, const char *prefix, const char *name,
                      const char *path)
{
    if (nw_debezium_regex_check(to, prefix, name)) {
        nw_debezium_put(to, path, nw_debezium_quoted(to, nw_debezium_under(to, prefix, name)),
                        name);
    }
}

/* Which group of an expression has this name; 0: none has */
static unsigned group_find(const char *regex, const char *name, size_t size)
{
    unsigned group = 0;

    for (; *regex != '\0'; regex++) {
        if (*regex == '\\' && regex[1] != '\0') {
            regex++;
        } else if (*regex == '[') {
            regex += strcspn(regex, "]") - 1;
        } else if (*regex == '(' && (regex[1] != '?' || regex[2] == '<')) {
            group++;
            if (strncmp(regex, "(?<", 3) == 0 && strncmp(regex + 3, name, size) == 0 &&
                regex[3 + size] == '>') {
                return group;
            }
        }
    }
    return 0;
}

/* A replacement with $1 where it has ${name}: narwal's configuration would take that for its own.
 */
const char *nw_debezium_numbered(struct nw_debezium *to, const char *regex, const char *replacement)
{
    const char *at = strstr(replacement, "${");
    size_t size = at == NULL ? 0 : strcspn(at + 2, "}");
    bool closed = at != NULL && at[2 + size] == '}';
    unsigned group = closed ? group_find(regex, at + 2, size) : 0;

    if (group == 0) {
        return replacement;
    }
    return nw_debezium_numbered(to, regex,
                                nw_debezium_text(to, "%.*s$%u%s", (int)(at - replacement),
                                                 replacement, group, at + size + 3));
}

/* ---- those of Debezium ---- */

static const char *deletes_mode(struct nw_debezium *to, const char *prefix)
{
    const char *mode = nw_debezium_under(to, prefix, "delete.tombstone.handling.mode");
    const char *old = nw_debezium_under(to, prefix, "delete.handling.mode");
    bool dropped = nw_debezium_said(nw_debezium_under(to, prefix, "drop.tombstones"), true);

    if (mode != NULL || (old == NULL && nw_debezium_under(to, prefix, "drop.tombstones") == NULL)) {
        return mode == NULL ? "tombstone" : mode;
    }
    if (old != NULL && strcmp(old, "rewrite") == 0) {
        return dropped ? "rewrite" : "rewrite-with-tombstone";
    }
    return dropped ? "drop" : "tombstone";
}

static void items_put(struct nw_debezium *to, const char *prefix, const char *name,
                      const char *path)
{
    const char *fields[NW_DEBEZIUM_ITEMS_MAX];
    size_t count = nw_debezium_split(to, nw_debezium_under(to, prefix, name), ',', fields);

    for (size_t i = 0; i < count; i++) {
        nw_debezium_item(to, path, fields[i]);
    }
}

/* Those that HeaderToValue moves away are none. */
static void headers_put(struct nw_debezium *to, const char *prefix)
{
    const char *fields[NW_DEBEZIUM_ITEMS_MAX];
    size_t count = nw_debezium_split(to, nw_debezium_under(to, prefix, "add.headers"), ',', fields);

    for (size_t i = 0; i < count; i++) {
        if (!nw_debezium_header_moves(to, fields[i])) {
            nw_debezium_item(to, "sink.add_headers", fields[i]);
        }
    }
}

static void unwrap_convert(struct nw_debezium *to, const char *prefix)
{
    const char *mode = deletes_mode(to, prefix);
    const char *name = nw_debezium_text(to, "%sdelete.tombstone.handling.mode", prefix);
    static const char *const known[] = {
        "drop", "tombstone", "rewrite", "rewrite-with-tombstone", "delete-to-tombstone", NULL};

    if (!nw_patterns_match(known, mode)) {
        nw_debezium_refuse_name(to, name, "no such mode");
        return;
    }
    nw_debezium_put(to, "sink.flatten", mode, "ExtractNewRecordState");
    if (nw_debezium_behind(mode, "rewrite") != NULL) {
        nw_debezium_rewrites(to);
    }
    items_put(to, prefix, "add.fields", "sink.add_fields");
    headers_put(to, prefix);
    if (!nw_debezium_same(nw_debezium_under(to, prefix, "add.fields.prefix"), NULL) &&
        !nw_debezium_same(nw_debezium_under(to, prefix, "add.fields.prefix"), "__")) {
        nw_debezium_refuse_name(to, nw_debezium_text(to, "%sadd.fields.prefix", prefix),
                                "only __ is there");
    }
    if (!nw_debezium_same(nw_debezium_under(to, prefix, "add.headers.prefix"), NULL) &&
        !nw_debezium_same(nw_debezium_under(to, prefix, "add.headers.prefix"), "__")) {
        nw_debezium_refuse_name(to, nw_debezium_text(to, "%sadd.headers.prefix", prefix),
                                "only __ is there");
    }
    nw_debezium_others_refuse(
        to, prefix,
        "type delete.tombstone.handling.mode delete.handling.mode drop.tombstones "
        "add.fields add.headers add.fields.prefix add.headers.prefix");
}

/* The form of an outbox's key and payload, by the converters. */
static const char *outbox_form(struct nw_debezium *to, const char *prefix)
{
    const char *converter = nw_debezium_get(to, "value.converter");

    if (nw_debezium_said(nw_debezium_under(to, prefix, "table.expand.json.payload"), false)) {
        return "expanded";
    }
    return converter != NULL && strcmp(converter, NW_DEBEZIUM_JSON) == 0 ? "json" : "raw";
}

/* route.topic.regex and route.topic.replacement */
static void outbox_topic(struct nw_debezium *to, const char *prefix)
{
    static const char by[] = "${routedByValue}";
    const char *regex = nw_debezium_under(to, prefix, "route.topic.regex");
    const char *topic = nw_debezium_under(to, prefix, "route.topic.replacement");
    const char *value = topic == NULL ? NULL : strstr(topic, by);

    if (regex != NULL && strcmp(regex, "(?<routedByValue>.*)") != 0) {
        regex_put(to, prefix, "route.topic.regex", "sink.outbox_regex");
        topic = topic == NULL ? "outbox.event.${routedByValue}" : topic;
        nw_debezium_put(to, "sink.outbox_topic",
                        nw_debezium_quoted(to, nw_debezium_numbered(to, regex, topic)),
                        "route.topic.replacement");
    } else if (value != NULL) {
        nw_debezium_put(
            to, "sink.outbox_topic",
            nw_debezium_quoted(to, nw_debezium_text(to, "%.*s{value}%s", (int)(value - topic),
                                                    topic, value + sizeof by - 1)),
            "route.topic.replacement");
    } else if (topic != NULL) {
        nw_debezium_refuse_name(to, nw_debezium_text(to, "%sroute.topic.replacement", prefix),
                                "wants ${routedByValue}");
    }
}

static void outbox_tables(struct nw_debezium *to, const char *prefix)
{
    const char *tables = nw_debezium_get(to, "table.include.list");
    const char *regexes[NW_DEBEZIUM_ITEMS_MAX];
    size_t count = nw_debezium_split(to, tables, ',', regexes);
    bool plain = count > 0;

    for (size_t i = 0; i < count && plain; i++) {
        const char *patterns[NW_DEBEZIUM_ITEMS_MAX];
        size_t made = nw_debezium_patterns(to, regexes[i], patterns);

        plain = made > 0;
        for (size_t k = 0; k < made && plain; k++) {
            plain = strpbrk(patterns[k], "*?[") == NULL;
            nw_debezium_item(to, "sink.outbox", patterns[k]);
        }
    }
    if (!plain) {
        nw_debezium_refuse_name(to, nw_debezium_text(to, "%stype", prefix),
                                "which tables are outboxes? table.include.list has to name them");
    }
}

static void outbox_convert(struct nw_debezium *to, const char *prefix)
{
    static const struct {
        const char *from, *to;
    } columns[] = {{"table.field.event.id", "sink.outbox_id"},
                   {"table.field.event.key", "sink.outbox_key"},
                   {"table.field.event.payload", "sink.outbox_payload"},
                   {"table.field.event.timestamp", "sink.outbox_timestamp"},
                   {"route.by.field", "sink.outbox_route"}};
    const char *tombstones = nw_debezium_under(to, prefix, "route.tombstone.on.empty.payload");

    outbox_tables(to, prefix);
    outbox_topic(to, prefix);
    for (size_t i = 0; i < sizeof columns / sizeof columns[0]; i++) {
        const char *value = nw_debezium_under(to, prefix, columns[i].from);

        if (value != NULL) {
            nw_debezium_put(to, columns[i].to, nw_debezium_quoted(to, value), columns[i].from);
        }
    }
    items_put(to, prefix, "table.fields.additional.placement", "sink.outbox_placement");
    nw_debezium_put(to, "sink.outbox_form", outbox_form(to, prefix),
                    "as the converters write an outbox's key and payload");
    if (tombstones != NULL) {
        nw_debezium_put(to, "sink.outbox_tombstones",
                        nw_debezium_said(tombstones, false) ? "true" : "false",
                        "route.tombstone.on.empty.payload");
    }
    nw_debezium_others_refuse(
        to, prefix,
        "type table.field.event.id table.field.event.key table.field.event.payload "
        "table.field.event.timestamp route.by.field table.fields.additional.placement "
        "route.topic.regex route.topic.replacement table.expand.json.payload "
        "route.tombstone.on.empty.payload");
}

/* ---- those of Connect, and of topics ---- */

static void router_convert(struct nw_debezium *to, const char *prefix)
{
    const char *regex = nw_debezium_under(to, prefix, "regex");
    const char *replacement = nw_debezium_under(to, prefix, "replacement");

    if (regex == NULL || replacement == NULL) {
        nw_debezium_refuse_name(to, nw_debezium_text(to, "%stype", prefix),
                                "wants regex and replacement");
    } else if (nw_debezium_regex_check(to, prefix, "regex")) {
        nw_debezium_item(
            to, "sink.routes",
            nw_debezium_text(to, "%s => %s", regex, nw_debezium_numbered(to, regex, replacement)));
        nw_debezium_beside_check(to, prefix, "regex", false);
    }
    nw_debezium_others_refuse(to, prefix, "type regex replacement");
}

/* Whether Connect, which makes numbers of what looks like them, prints this one as it was. */
static bool number_keeps(const char *text)
{
    static const char digits[] = "0123456789";
    size_t whole = 0;
    size_t fraction = 0;

    if (strcmp(text, "-0") == 0) {
        return false;
    }
    text += *text == '-';
    whole = strspn(text, digits);
    if (whole == 0 || (text[0] == '0' && whole > 1)) {
        return false;
    }
    if (text[whole] != '.') {
        return text[whole] == '\0';
    }
    fraction = strspn(text + whole + 1, digits);
    return fraction > 0 && text[whole + 1 + fraction] == '\0' && text[whole + fraction] != '0' &&
           whole + fraction <= 6 && strncmp(text, "0.00", 4) != 0; /* as a float has them */
}

/* Whether Connect, which parses it, sends a literal as it is written. */
static bool literal_keeps(const char *text)
{
    size_t size = strlen(text);
    char *end = NULL;

    if (size == 0) {
        return true;
    }
    if (isspace((unsigned char)text[0]) != 0 || isspace((unsigned char)text[size - 1]) != 0 ||
        strcmp(text, "null") == 0 || strchr("[{", text[0]) != NULL) {
        return false;
    }
    if (strchr("+-0123456789", text[0]) == NULL || number_keeps(text)) {
        return true;
    }
    if (strpbrk(text, ":,[]{}\"\\") != NULL || (size == 10 && strchr(text + 1, '-') != NULL)) {
        return false; /* a date, or it is cut behind the number */
    }
    (void)strtod(text, &end);
    return *end != '\0';
}

static void header_convert(struct nw_debezium *to, const char *prefix)
{
    const char *name = nw_debezium_under(to, prefix, "header");
    const char *value = nw_debezium_under(to, prefix, "value.literal");

    if (name == NULL || value == NULL) {
        nw_debezium_refuse_name(to, nw_debezium_text(to, "%stype", prefix),
                                "wants header and value.literal");
    } else if (!literal_keeps(value)) {
        nw_debezium_refuse_name(to, nw_debezium_text(to, "%svalue.literal", prefix),
                                "Connect parses it and may send it as another text: give headers "
                                "the one that it sends");
    } else {
        nw_debezium_item(to, "sink.headers", nw_debezium_text(to, "%s=%s", name, value));
    }
    nw_debezium_others_refuse(to, prefix, "type header value.literal");
}

/* Only those that Debezium gives to each message, and all of them. */
static void headers_drop(struct nw_debezium *to, const char *prefix)
{
    static const char context[] = "__debezium.context.";
    const char *names[NW_DEBEZIUM_ITEMS_MAX];
    size_t count = nw_debezium_split(to, nw_debezium_under(to, prefix, "headers"), ',', names);
    size_t found = 0;

    for (size_t i = 0; i < count; i++) {
        const char *rest = nw_debezium_behind(names[i], context);

        found += rest != NULL &&
                 (strcmp(rest, "connectorLogicalName") == 0 || strcmp(rest, "taskId") == 0 ||
                  strcmp(rest, "connectorName") == 0 || strcmp(rest, "runId") == 0);
    }
    if (found != count || found < 3) {
        nw_debezium_refuse_name(to, nw_debezium_text(to, "%sheaders", prefix),
                                "only all headers __debezium.context.* can be left out together");
    } else {
        nw_debezium_put(to, "sink.context_headers", "false", "DropHeaders");
    }
    nw_debezium_others_refuse(to, prefix, "type headers");
}

/* What a predicate is; NULL: there is none of that name */
static const char *predicate_of(struct nw_debezium *to, const char *alias)
{
    return alias == NULL ? NULL
                         : nw_debezium_get(to, nw_debezium_text(to, "predicates.%s.type", alias));
}

/* Connect's own Filter drops what its predicate is true of. */
static void filter_convert(struct nw_debezium *to, const char *prefix, bool flat)
{
    const char *class = predicate_of(to, nw_debezium_under(to, prefix, "predicate"));

    if (class == NULL || strcmp(class, NW_DEBEZIUM_TOMBSTONES) != 0 ||
        nw_debezium_said(nw_debezium_under(to, prefix, "negate"), false)) {
        nw_debezium_refuse_name(to, nw_debezium_text(to, "%stype", prefix),
                                "only the predicate RecordIsTombstone is there; where in "
                                "transforms keeps rows");
    } else if (flat) {
        nw_debezium_refuse_name(to, nw_debezium_text(to, "%stype", prefix),
                                "set delete.tombstone.handling.mode of ExtractNewRecordState to "
                                "drop or rewrite, which leave tombstones out");
    } else {
        nw_debezium_put(to, "sink.tombstones", "false", "Filter with RecordIsTombstone");
    }
    nw_debezium_others_refuse(to, prefix, "type predicate negate");
}

/* Whether a predicate's class is one that is looked at where it is used. */
static bool predicate_known(const char *class)
{
    return class != NULL &&
           (strcmp(class, NW_DEBEZIUM_TOMBSTONES) == 0 || strcmp(class, NW_DEBEZIUM_TOPICS) == 0);
}

void nw_dbz_predicates(struct nw_debezium *to, const struct nw_debezium_row *row,
                       struct nw_debezium_property *p)
{
    const char *aliases[NW_DEBEZIUM_ITEMS_MAX];
    size_t count = nw_debezium_split(to, nw_debezium_get(to, "predicates"), ',', aliases);
    bool list = strcmp(p->name, "predicates") == 0;
    bool known = list;

    for (size_t i = 0; i < count; i++) {
        const char *rest =
            nw_debezium_behind(p->name, nw_debezium_text(to, "predicates.%s.", aliases[i]));
        const char *class = predicate_of(to, aliases[i]);

        if (list) {
            known = known && predicate_known(class);
        } else if (rest != NULL) {
            known = predicate_known(class) &&
                    (strcmp(rest, "type") == 0 ||
                     (strcmp(rest, "pattern") == 0 && strcmp(class, NW_DEBEZIUM_TOPICS) == 0));
        }
    }
    if (!known) {
        nw_debezium_refuse(to, p, "%s", row->note);
    }
}

/* ---- which it is ---- */

enum kind {
    KIND_NONE,
    KIND_UNWRAP,
    KIND_OUTBOX,
    KIND_ROUTER,
    KIND_LOGICAL,
    KIND_HEADER,
    KIND_HEADERS,
    KIND_FIELDS,
    KIND_INSERT,
    KIND_MASK,
    KIND_CAST,
    KIND_TIME,
    KIND_HEADER_TO_VALUE,
    KIND_FILTER,
    KIND_VALUE_TO_KEY,
    KIND_EXTRACT_KEY,
};

static enum kind kind_of(const char *class)
{
    static const struct {
        const char *class;
        enum kind kind;
    } kinds[] = {
        {NW_DEBEZIUM_UNWRAP, KIND_UNWRAP},
        {NW_DEBEZIUM_ROUTER, KIND_OUTBOX},
        {"org.apache.kafka.connect.transforms.RegexRouter", KIND_ROUTER},
        {"io.debezium.transforms.ByLogicalTableRouter", KIND_LOGICAL},
        {"io.debezium.transforms.ToLogicalTopicRouter", KIND_LOGICAL},
        {"org.apache.kafka.connect.transforms.InsertHeader", KIND_HEADER},
        {"org.apache.kafka.connect.transforms.DropHeaders", KIND_HEADERS},
        {"org.apache.kafka.connect.transforms.ReplaceField$Value", KIND_FIELDS},
        {"org.apache.kafka.connect.transforms.InsertField$Value", KIND_INSERT},
        {"org.apache.kafka.connect.transforms.MaskField$Value", KIND_MASK},
        {"org.apache.kafka.connect.transforms.Cast$Value", KIND_CAST},
        {"org.apache.kafka.connect.transforms.TimestampConverter$Value", KIND_TIME},
        {"io.debezium.transforms.HeaderToValue", KIND_HEADER_TO_VALUE},
        {"org.apache.kafka.connect.transforms.Filter", KIND_FILTER},
        {NW_DEBEZIUM_VALUE_TO_KEY, KIND_VALUE_TO_KEY},
        {"org.apache.kafka.connect.transforms.ExtractField$Key", KIND_EXTRACT_KEY},
    };

    for (size_t i = 0; class != NULL && i < sizeof kinds / sizeof kinds[0]; i++) {
        if (strcmp(kinds[i].class, class) == 0) {
            return kinds[i].kind;
        }
    }
    return KIND_NONE;
}

/* What values.c calls a kind. */
static enum nw_debezium_values values_of(enum kind kind)
{
    return kind == KIND_FIELDS   ? NW_DEBEZIUM_FIELDS
           : kind == KIND_INSERT ? NW_DEBEZIUM_INSERTS
           : kind == KIND_MASK   ? NW_DEBEZIUM_MASK
           : kind == KIND_CAST   ? NW_DEBEZIUM_CAST
           : kind == KIND_TIME   ? NW_DEBEZIUM_TIME
                                 : NW_DEBEZIUM_HEADERS;
}

static bool is_of_values(enum kind kind)
{
    return kind == KIND_FIELDS || kind == KIND_INSERT || kind == KIND_MASK || kind == KIND_CAST ||
           kind == KIND_TIME || kind == KIND_HEADER_TO_VALUE;
}

/* @param deletes  what becomes of them; NULL: rows do not come here flattened */
static void transform_convert(struct nw_debezium *to, enum kind kind, const char *prefix,
                              const char *deletes)
{
    bool flat = deletes != NULL;

    switch (kind) {
    case KIND_UNWRAP:
        unwrap_convert(to, prefix);
        break;
    case KIND_OUTBOX:
        outbox_convert(to, prefix);
        break;
    case KIND_ROUTER:
        router_convert(to, prefix);
        break;
    case KIND_LOGICAL:
        nw_debezium_logical(to, prefix, flat);
        break;
    case KIND_HEADER:
        header_convert(to, prefix);
        break;
    case KIND_HEADERS:
        headers_drop(to, prefix);
        break;
    case KIND_FIELDS:
    case KIND_INSERT:
    case KIND_MASK:
    case KIND_CAST:
    case KIND_TIME:
    case KIND_HEADER_TO_VALUE:
        nw_debezium_values(to, prefix, values_of(kind), flat);
        break;
    case KIND_FILTER:
        filter_convert(to, prefix, flat);
        break;
    case KIND_VALUE_TO_KEY:
        nw_debezium_value_to_key(to, prefix, flat, flat ? deletes : "");
        break;
    case KIND_EXTRACT_KEY:
        nw_debezium_extract_key(to, prefix);
        break;
    case KIND_NONE:
        break;
    }
}

/* What narwal has instead of a transform; NULL: it is not known. */
static const char *instead_of(const char *class)
{
    static const struct {
        const char *class, *why;
    } others[] = {
        {"io.debezium.transforms.Filter",
         "its condition is a script: where in transforms keeps rows"},
        {"io.debezium.transforms.ContentBasedRouter",
         "its condition is a script: routes choose topics by their names"},
        {"io.debezium.transforms.partitions.PartitionRouting",
         "partitions are chosen by the key: key_columns makes it of other columns"},
        {"io.debezium.transforms.TimezoneConverter",
         "timestamptz is sent in UTC: convert it where it is read"},
        {"io.debezium.transforms.SchemaChangeEventFilter",
         "the connector for PostgreSQL has no such events: remove it"},
        {"io.debezium.transforms.ExtractChangedRecordState",
         "which columns have changed is not sent: REPLICA IDENTITY FULL sends both rows"},
        {"io.debezium.connector.postgresql.transforms.timescaledb.TimescaleDb",
         "narwal does not know which chunk is of which hypertable: remove it, and route by name"},
        {"io.debezium.connector.postgresql.transforms.DecodeLogicalDecodingMessageContent",
         "the content of messages is sent as it is: decode it where it is read"},
        {"TimestampConverter$Key",
         "time.precision.mode says how times are sent: isostring and connect too"},
        {"Cast$Key", "keys are sent as their columns are: cast where it is read"},
        {"MaskField$Key", "a masked key tells no rows apart"},
        {"ReplaceField$Key", "message.key.columns says which columns are the key"},
        {"InsertField$Key", "keys get no fields: ByLogicalTableRouter tells tables apart"},
        {"io.debezium.transforms.UnwrapFromEnvelope",
         "the name of ExtractNewRecordState in Debezium 0: call it that"},
        {"ExtractField$Value",
         "ExtractNewRecordState sends the row alone: take it for ExtractField of after"},
        {"Flatten$Value",
         "structs are sent as they are: flatten them where they are read, or remove "
         "it where no column is one (points, times: structured, and numeric without "
         "a scale where decimals are precise)"},
        {"HoistField$Value", "no field around values: wrap them where they are read"},
        {"HoistField$Key", "no field around keys"},
        {"SetSchemaMetadata$Value", "schemas have Debezium's names"},
        {"SetSchemaMetadata$Key", "schemas have Debezium's names"},
        {"TimestampRouter", "Debezium's messages have no time yet, at which it ends the connector: "
                            "remove it"},
        {"HeaderFrom$Value", "add.headers of ExtractNewRecordState makes headers of the envelope"},
    };
    const char *own =
        class == NULL ? NULL : nw_debezium_behind(class, "org.apache.kafka.connect.transforms.");

    for (size_t i = 0; class != NULL && i < sizeof others / sizeof others[0]; i++) {
        if (strcmp(others[i].class, own == NULL ? class : own) == 0) {
            return others[i].why;
        }
    }
    return NULL;
}

static void unknown_refuse(struct nw_debezium *to, struct nw_debezium_property *p,
                           const char *alias, const char *class)
{
    const char *why = instead_of(class);

    if (why != NULL) {
        nw_debezium_refuse(to, p, "%s (%s): %s", alias, class, why);
    } else {
        nw_debezium_refuse(to, p,
                           "%s (%s): only those are there that docs/debezium.md lists; "
                           "docs/transforms.md has narwal's own",
                           alias, class == NULL ? "no type" : class);
    }
}

/* Why a transform of keys cannot stand where it does; NULL: it can.
 * @param seen  bits of the kinds in front of it */
static const char *order_reason(struct nw_debezium *to, enum kind kind, unsigned seen)
{
    bool value_to_key = kind == KIND_VALUE_TO_KEY;
    bool extract = kind == KIND_EXTRACT_KEY;

    if ((value_to_key || extract) && nw_debezium_has_outbox(to)) {
        return "EventRouter makes the key";
    }
    if ((value_to_key || extract || kind == KIND_LOGICAL) && (seen & 1u << KIND_EXTRACT_KEY) != 0) {
        return "behind ExtractField$Key the key has no fields: put it in front of that";
    }
    return value_to_key && (seen & 1u << KIND_VALUE_TO_KEY) != 0
               ? "the key is made twice: leave one of them out"
               : NULL;
}

void nw_dbz_transforms(struct nw_debezium *to, const struct nw_debezium_row *row,
                       struct nw_debezium_property *p)
{
    const char *aliases[NW_DEBEZIUM_ITEMS_MAX];
    size_t count = nw_debezium_split(to, p->value, ',', aliases);
    const char *deletes = NULL;
    unsigned seen = 0;

    (void)row;
    for (size_t i = 0; i < count; i++) {
        const char *prefix = nw_debezium_text(to, "transforms.%s.", aliases[i]);
        const char *class = nw_debezium_under(to, prefix, "type");
        enum kind kind = kind_of(class);
        bool routes = kind == KIND_ROUTER || kind == KIND_LOGICAL;
        bool values = is_of_values(kind);
        bool routed = (seen & (1u << KIND_ROUTER | 1u << KIND_LOGICAL)) != 0;

        deletes = kind == KIND_UNWRAP ? deletes_mode(to, prefix) : deletes;
        if (kind == KIND_NONE) {
            unknown_refuse(to, p, aliases[i], class);
        } else if (routes && nw_debezium_has_outbox(to) && (seen & 1u << KIND_OUTBOX) == 0) {
            nw_debezium_refuse(to, p, "%s: in front of EventRouter it does nothing: remove it",
                               aliases[i]);
        } else if (kind != KIND_FILTER &&
                   !nw_debezium_predicate_is_void(to, prefix, values, routed)) {
            nw_debezium_refuse(to, p,
                               "%s: only predicates that leave it all tables' messages are there, "
                               "as TopicNameMatches of heartbeats with negate",
                               aliases[i]);
        } else if (order_reason(to, kind, seen) != NULL) {
            nw_debezium_refuse(to, p, "%s: %s", aliases[i], order_reason(to, kind, seen));
        } else {
            transform_convert(to, kind, prefix, deletes);
        }
        seen |= 1u << kind;
    }
}
