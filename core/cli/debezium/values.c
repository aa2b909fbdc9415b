/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See import.h: Connect's transforms of values, and Debezium's HeaderToValue, as the steps of
 * `reshape`. They stand behind ExtractNewRecordState, where fields are columns.
 */
#include <stdint.h>
#include <string.h>
#include <strings.h>

#include "cli/debezium/import.h"

#define RESHAPE          "sink.reshape"
#define HEADERS_TO_VALUE "io.debezium.transforms.HeaderToValue"

/* ---- what they share ---- */

static void refuse(struct nw_debezium *to, const char *prefix, const char *name, const char *why)
{
    nw_debezium_refuse_name(to, nw_debezium_text(to, "%s%s", prefix, name), why);
}

/* Without the blanks around it, as Connect reads a text. NULL: it is not there */
static const char *text_of(struct nw_debezium *to, const char *prefix, const char *name)
{
    const char *text = nw_debezium_under(to, prefix, name);
    size_t size = 0;

    if (text == NULL) {
        return NULL;
    }
    while (*text != '\0' && (unsigned char)*text <= ' ') {
        text++;
    }
    for (size = strlen(text); size > 0 && (unsigned char)text[size - 1] <= ' ';) {
        size--;
    }
    return nw_debezium_text(to, "%.*s", (int)size, text);
}

static void step_put(struct nw_debezium *to, const char *step)
{
    nw_debezium_item(to, RESHAPE, step);
}

/* The steps so far; NULL: there are none. */
static const char *steps_of(const struct nw_debezium *to)
{
    for (size_t i = 0; i < to->lines_count; i++) {
        if (strcmp(to->lines[i].section, "sink") == 0 && strcmp(to->lines[i].key, "reshape") == 0) {
            return to->lines[i].value;
        }
    }
    return NULL;
}

/* Whether the converter of values writes the default where NULL is. */
static bool converter_replaces(const struct nw_debezium *to)
{
    const char *class = nw_debezium_get(to, "value.converter");

    if (nw_debezium_same(class, NW_DEBEZIUM_AVRO)) {
        return !nw_debezium_said(
            nw_debezium_get(to, "value.converter.ignore.default.for.nullables"), false);
    }
    return (class == NULL || strcmp(class, NW_DEBEZIUM_JSON) == 0) &&
           nw_debezium_said(nw_debezium_get(to, "value.converter.replace.null.with.default"), true);
}

/* Whether a transform of values would leave NULL as it is. */
static bool one_keeps_null(struct nw_debezium *to)
{
    const char *aliases[NW_DEBEZIUM_ITEMS_MAX];
    size_t count = nw_debezium_split(to, nw_debezium_get(to, "transforms"), ',', aliases);

    for (size_t i = 0; i < count; i++) {
        const char *prefix = nw_debezium_text(to, "transforms.%s.", aliases[i]);
        const char *class = nw_debezium_under(to, prefix, "type");

        if (class != NULL && strstr(class, "$Value") != NULL &&
            !nw_debezium_said(nw_debezium_under(to, prefix, "replace.null.with.default"), true)) {
            return true;
        }
    }
    return false;
}

static void defaults_step(struct nw_debezium *to)
{
    const char *steps = steps_of(to);

    if (steps == NULL || strstr(steps, "\"defaults\"") == NULL) {
        step_put(to, "defaults");
    }
}

/* NULL becomes the default by each transform of Connect, so also for those behind it. Where all of
 * them do that, one that does not look at it can leave it to the converter.
 * @param used  what the step does depends on it */
static void defaults_put(struct nw_debezium *to, const char *prefix, bool used)
{
    if (nw_debezium_said(nw_debezium_under(to, prefix, "replace.null.with.default"), true) &&
        (used || !converter_replaces(to) || one_keeps_null(to))) {
        defaults_step(to);
    }
}

void nw_debezium_rewrites(struct nw_debezium *to)
{
    if (!converter_replaces(to) || one_keeps_null(to)) {
        defaults_step(to);
    }
}

/* Whether steps can say a name. */
static bool name_is_plain(const char *name)
{
    return name[0] != '\0' && strpbrk(name, ",:=!?") == NULL && strstr(name, "${") == NULL;
}

/* Why a field of a list cannot be said; NULL: it can. @param pair  "a:b" */
static const char *field_reason(struct nw_debezium *to, const char *prefix, const char *field,
                                bool pair)
{
    const char *colon = pair ? strchr(field, ':') : NULL;
    const char *name =
        colon == NULL ? field : nw_debezium_text(to, "%.*s", (int)(colon - field), field);

    if (pair && (colon == NULL || !name_is_plain(name) || !name_is_plain(colon + 1))) {
        return "wants FIELD:WORD each, of names without , : = ! ?";
    }
    if (!name_is_plain(name)) {
        return "fields with , : = ! ? in their names cannot be said";
    }
    return nw_debezium_beside_reason(to, prefix, name);
}

/* A list of fields, or of pairs by a colon. @return how many; 0: there are none, or it is refused
 */
static size_t fields_split(struct nw_debezium *to, const char *prefix, const char *property,
                           bool pairs, const char *fields[NW_DEBEZIUM_ITEMS_MAX])
{
    size_t count = nw_debezium_split(to, nw_debezium_under(to, prefix, property), ',', fields);

    for (size_t i = 0; i < count; i++) {
        const char *why = field_reason(to, prefix, fields[i], pairs);

        if (why != NULL) {
            refuse(to, prefix, property, why);
            return 0;
        }
    }
    return count;
}

static const char *joined(struct nw_debezium *to, const char *const *fields, size_t count)
{
    const char *list = count == 0 ? "" : fields[0];

    for (size_t i = 1; i < count; i++) {
        list = nw_debezium_text(to, "%s, %s", list, fields[i]);
    }
    return list;
}

/* ---- MaskField, Cast, TimestampConverter ---- */

static void mask_convert(struct nw_debezium *to, const char *prefix)
{
    const char *fields[NW_DEBEZIUM_ITEMS_MAX];
    const char *text = text_of(to, prefix, "replacement");
    size_t count = fields_split(to, prefix, "fields", false, fields);

    if (nw_debezium_under(to, prefix, "fields") == NULL) {
        refuse(to, prefix, "type", "wants fields");
    } else if (text != NULL && strstr(text, "${") != NULL) {
        refuse(to, prefix, "replacement", "give the text that it stands for");
    } else if (count > 0) {
        defaults_put(to, prefix, true);
        step_put(to, nw_debezium_text(to, text == NULL ? "mask %s" : "mask %s = %s",
                                      joined(to, fields, count), text));
    }
    nw_debezium_others_refuse(to, prefix,
                              "type fields replacement replace.null.with.default predicate negate");
}

/* "a: int32" of "a:INT32"; NULL: there is no such type */
static const char *cast_of(struct nw_debezium *to, const char *pair)
{
    static const char *const types[] = {"int8",    "int16",   "int32",   "int64",
                                        "float32", "float64", "boolean", "string"};
    const char *colon = strchr(pair, ':');
    const char *type = colon + 1 + strspn(colon + 1, " ");

    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (strcasecmp(type, types[i]) == 0) {
            return nw_debezium_text(to, "%.*s: %s", (int)(colon - pair), pair, types[i]);
        }
    }
    return NULL;
}

static void cast_convert(struct nw_debezium *to, const char *prefix)
{
    const char *casts[NW_DEBEZIUM_ITEMS_MAX];
    size_t count = fields_split(to, prefix, "spec", true, casts);
    bool known = count > 0;

    if (nw_debezium_under(to, prefix, "spec") == NULL) {
        refuse(to, prefix, "type", "wants spec");
    }
    for (size_t i = 0; i < count && known; i++) {
        casts[i] = cast_of(to, casts[i]);
        known = casts[i] != NULL;
    }
    if (known) {
        defaults_put(to, prefix, true);
        step_put(to, nw_debezium_text(to, "cast %s", joined(to, casts, count)));
    } else if (count > 0) {
        refuse(to, prefix, "spec",
               "int8, int16, int32, int64, float32, float64, boolean and "
               "string are there");
    }
    nw_debezium_others_refuse(to, prefix, "type spec replace.null.with.default predicate negate");
}

/* The word of a precision behind one blank; NULL: there is no such */
static const char *unit_of(const char *precision)
{
    static const struct {
        const char *word, *unit;
    } units[] = {
        {"seconds", " s"}, {"milliseconds", ""}, {"microseconds", " us"}, {"nanoseconds", " ns"}};

    for (size_t i = 0; precision != NULL && i < sizeof units / sizeof units[0]; i++) {
        if (strcmp(units[i].word, precision) == 0) {
            return units[i].unit;
        }
    }
    return precision == NULL ? "" : NULL;
}

static bool is_target(const char *target)
{
    static const char *const targets[] = {"string", "unix", "Date", "Time", "Timestamp"};

    for (size_t i = 0; target != NULL && i < sizeof targets / sizeof targets[0]; i++) {
        if (strcmp(targets[i], target) == 0) {
            return true;
        }
    }
    return false;
}

static void time_convert(struct nw_debezium *to, const char *prefix)
{
    const char *fields[NW_DEBEZIUM_ITEMS_MAX];
    size_t count = fields_split(to, prefix, "field", false, fields);
    const char *target = text_of(to, prefix, "target.type");
    const char *format = text_of(to, prefix, "format");
    const char *unit = unit_of(text_of(to, prefix, "unix.precision"));

    if (nw_debezium_under(to, prefix, "field") == NULL) {
        refuse(to, prefix, "type", "wants field: a row is no time");
    } else if (!is_target(target)) {
        refuse(to, prefix, "target.type", "no such word");
    } else if (unit == NULL) {
        refuse(to, prefix, "unix.precision", "no such word");
    } else if (strcmp(target, "string") == 0 && (format == NULL || *format == '\0')) {
        refuse(to, prefix, "target.type", "a string wants format");
    } else if (count == 1) {
        defaults_put(to, prefix, true);
        step_put(to, nw_debezium_text(to, "time %s: %s%s%s%s", fields[0], target, unit,
                                      format == NULL || *format == '\0' ? "" : " = ",
                                      format == NULL ? "" : format));
    } else if (count > 1) {
        refuse(to, prefix, "field", "one field is taken");
    }
    nw_debezium_others_refuse(to, prefix,
                              "type field target.type format unix.precision "
                              "replace.null.with.default predicate negate");
}

/* ---- ReplaceField, InsertField ---- */

static void choice_put(struct nw_debezium *to, const char *prefix, const char *property,
                       const char *word)
{
    const char *fields[NW_DEBEZIUM_ITEMS_MAX];
    size_t count = fields_split(to, prefix, property, false, fields);
    const char *why =
        strcmp(word, "keep") == 0 ? nw_debezium_beside_reason(to, prefix, NULL) : NULL;

    if (count > 0 && why != NULL) {
        refuse(to, prefix, property, why); /* it drops what they have */
    } else if (count > 0) {
        defaults_put(to, prefix, false);
        step_put(to, nw_debezium_text(to, "%s %s", word, joined(to, fields, count)));
    }
}

static void fields_convert(struct nw_debezium *to, const char *prefix)
{
    const char *renames[NW_DEBEZIUM_ITEMS_MAX];
    size_t count = fields_split(to, prefix, "renames", true, renames);

    choice_put(to, prefix, "exclude", "drop");
    choice_put(to, prefix, "blacklist", "drop");
    choice_put(to, prefix, "include", "keep");
    choice_put(to, prefix, "whitelist", "keep");
    for (size_t i = 0; i < count; i++) {
        const char *colon = strchr(renames[i], ':');

        if ((unsigned char)colon[-1] <= ' ' || (unsigned char)colon[1] <= ' ') {
            refuse(to, prefix, "renames",
                   "Connect takes blanks beside : for a part of the names: take them away");
            count = 0;
            break;
        }
        renames[i] =
            nw_debezium_text(to, "%.*s: %s", (int)(colon - renames[i]), renames[i], colon + 1);
    }
    if (count > 0) {
        defaults_put(to, prefix, false);
        step_put(to, nw_debezium_text(to, "rename %s", joined(to, renames, count)));
    }
    nw_debezium_others_refuse(to, prefix,
                              "type exclude include blacklist whitelist renames "
                              "replace.null.with.default predicate negate");
}

/* Whether topics get other names behind a transform. */
static bool is_routed_behind(struct nw_debezium *to, const char *prefix)
{
    const char *aliases[NW_DEBEZIUM_ITEMS_MAX];
    size_t count = nw_debezium_split(to, nw_debezium_get(to, "transforms"), ',', aliases);
    bool behind = false;

    for (size_t i = 0; i < count; i++) {
        const char *other = nw_debezium_text(to, "transforms.%s.", aliases[i]);
        const char *class = nw_debezium_under(to, other, "type");

        if (behind && class != NULL && strstr(class, "Router") != NULL) {
            return true;
        }
        behind = behind || strcmp(other, prefix) == 0;
    }
    return false;
}

/* NAME, NAME! or NAME? */
static bool inserted_is_plain(struct nw_debezium *to, const char *name)
{
    size_t size = strlen(name);

    size -= size > 0 && strchr("!?", name[size - 1]) != NULL;
    return name_is_plain(nw_debezium_text(to, "%.*s", (int)size, name));
}

static void text_insert(struct nw_debezium *to, const char *prefix, const char *field)
{
    const char *value = text_of(to, prefix, "static.value");
    const char *why = nw_debezium_beside_reason(to, prefix, NULL);

    if (why != NULL) {
        refuse(to, prefix, "static.field", why);
        return;
    }
    if (value == NULL || !inserted_is_plain(to, field) || strstr(value, "${") != NULL) {
        refuse(to, prefix, "static.field",
               "wants static.value, without ${, and a name without , : = ! ?");
        return;
    }
    defaults_put(to, prefix, false);
    if (steps_of(to) == NULL) {
        nw_debezium_item(to, "sink.add_fields", nw_debezium_text(to, "%s=%s", field, value));
    } else {
        step_put(to, nw_debezium_text(to, "insert %s = %s", field, value));
    }
}

static void topic_insert(struct nw_debezium *to, const char *prefix, const char *field)
{
    const char *why = nw_debezium_beside_reason(to, prefix, NULL);

    if (!inserted_is_plain(to, field) || is_routed_behind(to, prefix)) {
        why = "only the name that a topic has in the end is there, so behind routers, and in a "
              "field without , : = ! ? in its name";
    }
    if (why != NULL) {
        refuse(to, prefix, "topic.field", why);
        return;
    }
    defaults_put(to, prefix, false);
    step_put(to, nw_debezium_text(to, "topic %s", field));
}

static void insert_convert(struct nw_debezium *to, const char *prefix)
{
    static const struct {
        const char *name, *why;
    } never[] = {
        {"timestamp.field", "Debezium's messages have no time before they are sent, and the field "
                            "is NULL: add.fields with source.ts_ms has the commit's"},
        {"partition.field", "it is not known before a message is sent, and the field is NULL"},
        {"offset.field", "only connectors that read topics have it"}};
    const char *topic = text_of(to, prefix, "topic.field");
    const char *field = text_of(to, prefix, "static.field");

    for (size_t i = 0; i < sizeof never / sizeof never[0]; i++) {
        if (nw_debezium_under(to, prefix, never[i].name) != NULL) {
            refuse(to, prefix, never[i].name, never[i].why);
        }
    }
    if (topic != NULL) {
        topic_insert(to, prefix, topic);
    }
    if (field != NULL) {
        text_insert(to, prefix, field);
    } else if (topic == NULL) {
        refuse(to, prefix, "type", "wants static.field and static.value, or topic.field");
    }
    nw_debezium_others_refuse(to, prefix,
                              "type static.field static.value topic.field timestamp.field "
                              "partition.field offset.field replace.null.with.default predicate "
                              "negate");
}

/* ---- HeaderToValue ---- */

/* What a setting of add.headers is called as a header. */
static const char *header_of(struct nw_debezium *to, const char *setting)
{
    const char *colon = strchr(setting, ':');
    const char *dot = strchr(setting, '.');

    if (colon != NULL) {
        return nw_debezium_text(to, "__%s", colon + 1);
    }
    return dot == NULL ? nw_debezium_text(to, "__%s", setting)
                       : nw_debezium_text(to, "__%.*s_%s", (int)(dot - setting), setting, dot + 1);
}

/* The place of a text in a list; SIZE_MAX: it is not there */
static size_t place_of(const char *text, const char *const *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(list[i], text) == 0) {
            return i;
        }
    }
    return SIZE_MAX;
}

bool nw_debezium_header_moves(struct nw_debezium *to, const char *setting)
{
    const char *aliases[NW_DEBEZIUM_ITEMS_MAX];
    size_t count = nw_debezium_split(to, nw_debezium_get(to, "transforms"), ',', aliases);

    for (size_t i = 0; i < count; i++) {
        const char *prefix = nw_debezium_text(to, "transforms.%s.", aliases[i]);
        const char *headers[NW_DEBEZIUM_ITEMS_MAX];
        const char *operation = text_of(to, prefix, "operation");

        if (nw_debezium_same(nw_debezium_under(to, prefix, "type"), HEADERS_TO_VALUE) &&
            operation != NULL && strcasecmp(operation, "move") == 0 &&
            place_of(header_of(to, setting), headers,
                     nw_debezium_split(to, nw_debezium_under(to, prefix, "headers"), ',',
                                       headers)) != SIZE_MAX) {
            return true;
        }
    }
    return false;
}

/* The headers that ExtractNewRecordState makes. */
static size_t headers_made(struct nw_debezium *to, const char *settings[NW_DEBEZIUM_ITEMS_MAX])
{
    const char *aliases[NW_DEBEZIUM_ITEMS_MAX];
    size_t count = nw_debezium_split(to, nw_debezium_get(to, "transforms"), ',', aliases);

    for (size_t i = 0; i < count; i++) {
        const char *added =
            nw_debezium_get(to, nw_debezium_text(to, "transforms.%s.add.headers", aliases[i]));

        if (added != NULL) {
            return nw_debezium_split(to, added, ',', settings);
        }
    }
    return 0;
}

/* Fields without a dot, which would be within others. */
static bool fields_are_plain(const char *const *fields, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!name_is_plain(fields[i]) || strchr(fields[i], '.') != NULL) {
            return false;
        }
    }
    return true;
}

/* In the order of the headers. @param fields  NULL: only count. @return how many of them are made
 */
static size_t headers_put(struct nw_debezium *to, const char *const *headers, size_t count,
                          const char *const *fields)
{
    const char *made[NW_DEBEZIUM_ITEMS_MAX];
    size_t made_count = headers_made(to, made);
    size_t found = 0;

    for (size_t i = 0; i < made_count; i++) {
        size_t place = place_of(header_of(to, made[i]), headers, count);

        found += place != SIZE_MAX;
        if (place != SIZE_MAX && fields != NULL) {
            step_put(to, nw_debezium_text(to, "envelope %.*s: %s", (int)strcspn(made[i], ":"),
                                          made[i], fields[place]));
        }
    }
    return found;
}

static void headers_convert(struct nw_debezium *to, const char *prefix)
{
    const char *headers[NW_DEBEZIUM_ITEMS_MAX];
    const char *fields[NW_DEBEZIUM_ITEMS_MAX];
    size_t count = nw_debezium_split(to, nw_debezium_under(to, prefix, "headers"), ',', headers);
    size_t fields_count =
        nw_debezium_split(to, nw_debezium_under(to, prefix, "fields"), ',', fields);

    if (count == 0 || count != fields_count || !fields_are_plain(fields, fields_count) ||
        text_of(to, prefix, "operation") == NULL) {
        refuse(to, prefix, "type", "wants as many fields as headers, without a dot, and operation");
    } else if (headers_put(to, headers, count, NULL) != count) {
        refuse(to, prefix, "headers",
               "only those are there that add.headers of ExtractNewRecordState makes");
    } else {
        defaults_put(to, prefix, false);
        (void)headers_put(to, headers, count, fields);
    }
    nw_debezium_others_refuse(to, prefix, "type headers fields operation predicate negate");
}

/* ---- all of them ---- */

/* Whether a list has a name: items are names, or those in front of and behind a colon. */
static bool list_has(struct nw_debezium *to, const char *list, const char *name)
{
    const char *items[NW_DEBEZIUM_ITEMS_MAX];
    size_t count = nw_debezium_split(to, list, ',', items);

    for (size_t i = 0; i < count; i++) {
        const char *words[NW_DEBEZIUM_ITEMS_MAX];
        size_t words_count = nw_debezium_split(to, items[i], ':', words);

        if (place_of(name, words, words_count) != SIZE_MAX) {
            return true;
        }
    }
    return false;
}

/* "NAME!" and "NAME?" are NAME. */
static bool is_inserted(const char *inserted, const char *name)
{
    const char *rest = inserted == NULL ? NULL : nw_debezium_behind(inserted, name);

    return rest != NULL && (*rest == '\0' || strcmp(rest, "!") == 0 || strcmp(rest, "?") == 0);
}

bool nw_debezium_value_changes(struct nw_debezium *to, const char *prefix, const char *field)
{
    static const char *const lists[] = {"fields",  "spec",    "field",
                                        "renames", "exclude", "blacklist"};
    static const char *const chosen[] = {"include", "whitelist"};

    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        if (list_has(to, nw_debezium_under(to, prefix, lists[i]), field)) {
            return true;
        }
    }
    for (size_t i = 0; i < sizeof chosen / sizeof chosen[0]; i++) {
        const char *list = nw_debezium_under(to, prefix, chosen[i]);

        if (list != NULL && *list != '\0' && !list_has(to, list, field)) {
            return true;
        }
    }
    return is_inserted(text_of(to, prefix, "static.field"), field) ||
           is_inserted(text_of(to, prefix, "topic.field"), field);
}

void nw_debezium_values(struct nw_debezium *to, const char *prefix, enum nw_debezium_values kind,
                        bool flat)
{
    static void (*const converts[])(struct nw_debezium *, const char *) = {
        [NW_DEBEZIUM_MASK] = mask_convert,      [NW_DEBEZIUM_CAST] = cast_convert,
        [NW_DEBEZIUM_TIME] = time_convert,      [NW_DEBEZIUM_FIELDS] = fields_convert,
        [NW_DEBEZIUM_INSERTS] = insert_convert, [NW_DEBEZIUM_HEADERS] = headers_convert,
    };

    if (!flat || nw_debezium_has_outbox(to)) {
        refuse(to, prefix, "type",
               flat ? "EventRouter makes the value"
                    : "only behind ExtractNewRecordState, where fields are columns: in front of it "
                      "they are before, after and source");
        return;
    }
    converts[kind](to, prefix);
}
