/* SPDX-License-Identifier: Apache-2.0 */
/* See import.h: what is read, the verdicts, and what converters put. */
#include "cli/debezium/import.h"

#include <ctype.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define BYTES_MAX      (64u << 20)
#define PROPERTIES_MAX 4096u
#define NAME_MAX_      40u /* of a pipeline */

const char *nw_debezium_text(struct nw_debezium *to, const char *format, ...)
{
    char *text = NULL;
    const char *kept = NULL;
    va_list args;

    va_start(args, format);
    if (vasprintf(&text, format, args) >= 0) {
        kept = nw_arena_text(&to->arena, text);
        explicit_bzero(text, strlen(text));
        free(text);
    }
    va_end(args);
    to->failed = to->failed || kept == NULL;
    return kept == NULL ? "" : kept;
}

/* ---- reading ---- */

static const char *value_text(struct nw_debezium *to, const json_t *value)
{
    if (json_is_string(value)) {
        return nw_debezium_text(to, "%s", json_string_value(value));
    }
    if (json_is_integer(value)) {
        return nw_debezium_text(to, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    }
    if (json_is_real(value)) {
        return nw_debezium_text(to, "%g", json_real_value(value));
    }
    return json_is_boolean(value) ? (json_is_true(value) ? "true" : "false") : NULL;
}

static nw_status properties_read(struct nw_debezium *to, json_t *config, struct nw_error *err)
{
    const char *name = NULL;
    json_t *value = NULL;

    if (json_object_size(config) > PROPERTIES_MAX) {
        return nw_fail(err, NW_FATAL, "NW1551 more than %u properties", PROPERTIES_MAX);
    }
    to->properties =
        nw_arena_array(&to->arena, json_object_size(config) + 1, sizeof *to->properties);
    if (to->properties == NULL) {
        return nw_fail(err, NW_FATAL, "out of memory reading a connector");
    }
    json_object_foreach(config, name, value)
    {
        struct nw_debezium_property *p = &to->properties[to->count];

        if (json_is_null(value)) {
            continue;
        }
        p->name = nw_debezium_text(to, "%s", name);
        p->value = value_text(to, value);
        if (p->value == NULL) {
            return nw_fail(err, NW_FATAL,
                           "NW1551 the property %s is neither a text nor a number: one connector "
                           "is wanted, as /connectors/NAME has it",
                           nw_debezium_shown(to, name));
        }
        to->count++;
    }
    return NW_OK;
}

/* A name as a slot and a folder take it. */
static const char *plain_name(struct nw_debezium *to, const char *name)
{
    char plain[NAME_MAX_ + 1] = "";
    size_t size = 0;

    for (; *name != '\0' && size < NAME_MAX_; name++) {
        int c = tolower((unsigned char)*name);

        plain[size++] = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ? (char)c : '_';
    }
    plain[size] = '\0';
    return nw_debezium_text(to, "%s", size == 0 ? "debezium" : plain);
}

static nw_status class_check(struct nw_debezium *to, struct nw_error *err)
{
    static const char wanted[] = "io.debezium.connector.postgresql.PostgresConnector";
    const char *class = nw_debezium_get(to, "connector.class");

    if (class == NULL) {
        return nw_fail(err, NW_FATAL, "NW1551 no connector.class: this is not a connector");
    }
    if (nw_debezium_behind(class, "PostgresCdcSource") != NULL) {
        return nw_fail(err, NW_FATAL,
                       "NW1551 connector.class is %.100s, of Confluent Cloud, which has other "
                       "properties: write them by Debezium's names (docs/debezium.md)",
                       class);
    }
    if (strcmp(class, wanted) != 0 && strcmp(class, "PostgresConnector") != 0 &&
        strcmp(class, "PostgreSql") != 0) {
        return nw_fail(err, NW_FATAL, "NW1551 connector.class is %.100s, and not %s", class,
                       wanted);
    }
    return NW_OK;
}

/*
 * Where the properties are: all there is, or in "config"; so in "info" of one of those that
 * ?expand=info lists, and in "spec" of Strimzi's KafkaConnector, which has the class beside them.
 * @param name  filled: NULL where nothing says it
 * @return borrow; no object where there are none
 */
static json_t *config_find(json_t *root, const char **name)
{
    json_t *only =
        json_object_size(root) == 1 ? json_object_iter_value(json_object_iter(root)) : NULL;
    json_t *info = json_object_get(only, "info");
    json_t *spec = json_object_get(root, "spec");
    json_t *config = json_object_get(info != NULL ? info : spec != NULL ? spec : root, "config");
    json_t *named = info != NULL ? info : spec != NULL ? json_object_get(root, "metadata") : root;

    *name = json_string_value(json_object_get(named, "name"));
    if (spec != NULL && json_is_object(config) &&
        json_object_get(config, "connector.class") == NULL &&
        json_object_get(spec, "class") != NULL) {
        (void)json_object_set(config, "connector.class", json_object_get(spec, "class"));
    }
    return config == NULL ? root : config;
}

nw_status nw_debezium_read(struct nw_debezium *to, const char *text, size_t size,
                           struct nw_error *err)
{
    json_error_t why = {0};
    json_t *root = json_loadb(text, size, JSON_REJECT_DUPLICATES, &why);
    const char *name = NULL;
    json_t *config = config_find(root, &name);
    nw_status status = NW_OK;

    nw_arena_init(&to->arena, BYTES_MAX);
    if (root == NULL) {
        return nw_fail(err, NW_FATAL,
                       "NW1551 no JSON at line %d: %s. Connect prints a connector's at "
                       "/connectors/NAME, and kubectl get kafkaconnector NAME -o json Strimzi's",
                       why.line, why.text);
    }
    if (!json_is_object(root) || !json_is_object(config)) {
        status = nw_fail(err, NW_FATAL, "NW1551 no object with a connector's properties");
        goto out;
    }
    status = properties_read(to, config, err);
    if (status == NW_OK) {
        status = class_check(to, err);
    }
    if (status == NW_OK) {
        const char *own = nw_debezium_get(to, "name");

        to->name = plain_name(to, own != NULL ? own : name != NULL ? name : "debezium");
    }

out:
    json_decref(root);
    return status;
}

void nw_debezium_fini(struct nw_debezium *to)
{
    nw_arena_fini(&to->arena);
}

struct nw_debezium_property *nw_debezium_find(struct nw_debezium *to, const char *name)
{
    for (size_t i = 0; i < to->count; i++) {
        if (strcmp(to->properties[i].name, name) == 0) {
            return &to->properties[i];
        }
    }
    return NULL;
}

const char *nw_debezium_get(const struct nw_debezium *to, const char *name)
{
    for (size_t i = 0; i < to->count; i++) {
        if (strcmp(to->properties[i].name, name) == 0) {
            return to->properties[i].value;
        }
    }
    return NULL;
}

const char *nw_debezium_shown(struct nw_debezium *to, const char *name)
{
    static const char word[] = ".with.salt.";
    const char *salt = strstr(name, word);

    return salt == NULL ? name : nw_debezium_text(to, "%.*s%s...", (int)(salt - name), name, word);
}

/* ---- verdicts ---- */

static bool row_matches(const struct nw_debezium_row *row, const char *name)
{
    size_t size = strlen(row->name);

    return row->name[size - 1] == '*' ? strncmp(row->name, name, size - 1) == 0
                                      : strcmp(row->name, name) == 0;
}

static const struct nw_debezium_row *row_of(const char *name)
{
    for (const struct nw_debezium_row *row = NW_DEBEZIUM_ROWS; row->name != NULL; row++) {
        if (row_matches(row, name)) {
            return row;
        }
    }
    return NULL;
}

/* Whether every ${...} in it is one that narwal replaces in the same way. */
static bool references_known(const char *value)
{
    for (const char *at = strstr(value, "${"); at != NULL; at = strstr(at + 1, "${")) {
        if (strncmp(at, "${env:", 6) != 0) {
            return false;
        }
    }
    return true;
}

/* Which list has what a property begins with: its converters, or its post processors. NULL: none */
static const char *owner_of(struct nw_debezium *to, const char *name)
{
    static const char *const lists[] = {"converters", "post.processors"};
    const char *names[NW_DEBEZIUM_ITEMS_MAX];

    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        size_t count = nw_debezium_split(to, nw_debezium_get(to, lists[i]), ',', names);

        for (size_t k = 0; k < count; k++) {
            const char *rest = nw_debezium_behind(name, names[k]);

            if (rest != NULL && *rest == '.') {
                return lists[i];
            }
        }
    }
    return NULL;
}

bool nw_debezium_is_plugin_version(const char *name)
{
    static const char end[] = ".plugin.version";
    size_t size = strlen(name);

    return size >= sizeof end && strcmp(name + size - sizeof end + 1, end) == 0;
}

static void property_map(struct nw_debezium *to, struct nw_debezium_property *p)
{
    const struct nw_debezium_row *row = row_of(p->name);

    if (nw_debezium_is_plugin_version(p->name)) {
        p->verdict = NW_DEBEZIUM_NOTHING;
        p->why = "a version of Java's plugins";
    } else if (row == NULL && owner_of(to, p->name) != NULL) {
        nw_debezium_refuse(to, p, "of one of %s, which are not there: remove it",
                           owner_of(to, p->name));
    } else if (row == NULL) {
        nw_debezium_refuse(to, p,
                           "Debezium's connector for PostgreSQL has no such property that "
                           "narwal knows: remove it, or mend its name");
    } else if (!row->any_text && row->convert != nw_dbz_nothing && !references_known(p->value)) {
        nw_debezium_refuse(to, p,
                           "a reference to a provider of Connect: put the value, or "
                           "${env:NAME}");
    } else if (strpbrk(p->value, "\r\n") != NULL && row->convert != nw_dbz_nothing &&
               row->convert != nw_dbz_refused && row->convert != nw_dbz_copies) {
        nw_debezium_refuse(to, p, "a value of several lines: put it in one");
    } else {
        row->convert(to, row, p);
    }
}

nw_status nw_debezium_map(struct nw_debezium *to, size_t *refused, struct nw_error *err)
{
    for (size_t i = 0; i < to->count; i++) {
        to->properties[i].verdict = NW_DEBEZIUM_MAPPED;
    }
    for (size_t i = 0; i < to->count; i++) {
        property_map(to, &to->properties[i]);
    }
    for (const struct nw_debezium_row *row = NW_DEBEZIUM_ROWS; row->name != NULL; row++) {
        if (row->otherwise != NULL && nw_debezium_find(to, row->name) == NULL) {
            struct nw_debezium_property p = {.name = row->name, .value = row->otherwise};

            row->convert(to, row, &p);
        }
    }
    nw_debezium_copies_settle(to);
    nw_debezium_masked_keys(to);
    nw_debezium_types_settle(to);
    *refused = nw_debezium_count(to, NW_DEBEZIUM_REFUSED);
    return to->failed
               ? nw_fail(err, NW_FATAL, "NW1551 a list in it is too long, or memory is short")
               : NW_OK;
}

size_t nw_debezium_count(const struct nw_debezium *to, enum nw_debezium_verdict verdict)
{
    size_t count = 0;

    for (size_t i = 0; i < to->count; i++) {
        count += to->properties[i].verdict == verdict;
    }
    return count;
}

void nw_debezium_refuse(struct nw_debezium *to, struct nw_debezium_property *p, const char *format,
                        ...)
{
    char text[512];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (p->verdict != NW_DEBEZIUM_REFUSED || p->why == NULL) {
        p->why = nw_debezium_text(to, "%s", text);
    } else if (strstr(p->why, text) == NULL) { /* as of several transforms */
        p->why = nw_debezium_text(to, "%s; %s", p->why, text);
    }
    p->verdict = NW_DEBEZIUM_REFUSED;
}

/* ---- what is put ---- */

const char *nw_debezium_quoted(struct nw_debezium *to, const char *text)
{
    size_t size = strlen(text);
    char *quoted = nw_arena_alloc(&to->arena, size * 4 + 3);
    size_t at = 0;

    if (quoted == NULL) {
        to->failed = true;
        return "";
    }
    quoted[at++] = '"';
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;

        if (c < 0x20 || c == 0x7f) {
            at += (size_t)snprintf(quoted + at, 5, "\\x%02x", c);
            continue;
        }
        if (c == '"' || c == '\\') {
            quoted[at++] = '\\';
        }
        quoted[at++] = (char)c;
    }
    quoted[at++] = '"';
    quoted[at] = '\0';
    return quoted;
}

/* The line of a path, made when it is not there. @return NULL: no room */
static struct nw_debezium_line *line_of(struct nw_debezium *to, const char *path)
{
    const char *dot = strrchr(path, '.');
    const char *section = dot == NULL ? "" : nw_debezium_text(to, "%.*s", (int)(dot - path), path);
    const char *key = dot == NULL ? path : dot + 1;

    for (size_t i = 0; i < to->lines_count; i++) {
        if (strcmp(to->lines[i].section, section) == 0 && strcmp(to->lines[i].key, key) == 0) {
            return &to->lines[i];
        }
    }
    if (to->lines_count == NW_DEBEZIUM_LINES_MAX) {
        to->failed = true;
        return NULL;
    }
    to->lines[to->lines_count] = (struct nw_debezium_line){.section = section, .key = key};
    return &to->lines[to->lines_count++];
}

void nw_debezium_put(struct nw_debezium *to, const char *path, const char *value, const char *why)
{
    struct nw_debezium_line *line = line_of(to, path);

    if (line != NULL && line->value == NULL) {
        line->value = value;
        line->why = why;
    }
}

void nw_debezium_item(struct nw_debezium *to, const char *path, const char *text)
{
    struct nw_debezium_line *line = line_of(to, path);
    const char *quoted = nw_debezium_quoted(to, text);

    if (line != NULL) {
        line->list = true;
        line->value =
            line->value == NULL ? quoted : nw_debezium_text(to, "%s, %s", line->value, quoted);
    }
}

/* Without the blanks around it. */
static const char *trimmed(struct nw_debezium *to, const char *text, size_t size)
{
    while (size > 0 && isspace((unsigned char)*text) != 0) {
        text++;
        size--;
    }
    while (size > 0 && isspace((unsigned char)text[size - 1]) != 0) {
        size--;
    }
    return nw_debezium_text(to, "%.*s", (int)size, text);
}

size_t nw_debezium_split(struct nw_debezium *to, const char *list, char separator,
                         const char *pieces[NW_DEBEZIUM_ITEMS_MAX])
{
    size_t count = 0;

    while (list != NULL) {
        const char *end = strchr(list, separator);
        const char *piece = trimmed(to, list, end == NULL ? strlen(list) : (size_t)(end - list));

        if (*piece != '\0' && count == NW_DEBEZIUM_ITEMS_MAX) {
            to->failed = true;
            break;
        }
        if (*piece != '\0') {
            pieces[count++] = piece;
        }
        list = end == NULL ? NULL : end + 1;
    }
    return count;
}

void nw_debezium_secret(struct nw_debezium *to, const char *path, const char *value,
                        const char *otherwise)
{
    size_t size = strlen(value);
    bool kept = strncmp(value, "${env:", 6) == 0 && value[size - 1] == '}' &&
                strchr(value, '}') == value + size - 1;

    nw_debezium_put(to, path,
                    kept ? nw_debezium_quoted(to, value)
                         : nw_debezium_text(to, "\"${env:%s}\"", otherwise),
                    "no secret is written here; ${file:/path} reads one from a file");
}
