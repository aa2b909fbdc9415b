/* SPDX-License-Identifier: Apache-2.0 */
/* See import.h: the converters of source, tables, columns and topics. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "cli/debezium/import.h"

#define MS_US 1000

/* ---- single values ---- */

void nw_dbz_taken(struct nw_debezium *to, const struct nw_debezium_row *row,
                  struct nw_debezium_property *p)
{
    (void)to; /* another property's converter looks at it */
    (void)row;
    (void)p;
}

void nw_dbz_nothing(struct nw_debezium *to, const struct nw_debezium_row *row,
                    struct nw_debezium_property *p)
{
    (void)to;
    p->verdict = NW_DEBEZIUM_NOTHING;
    p->why = row->note;
}

void nw_dbz_refused(struct nw_debezium *to, const struct nw_debezium_row *row,
                    struct nw_debezium_property *p)
{
    nw_debezium_refuse(to, p, "%s", row->note);
}

/* Its word for narwal; NULL: none of the row's */
static const char *word_find(struct nw_debezium *to, const struct nw_debezium_row *row,
                             const char *value)
{
    const char *words[NW_DEBEZIUM_ITEMS_MAX];
    size_t count = nw_debezium_split(to, row->words, ' ', words);

    for (size_t i = 0; i < count; i++) {
        size_t size = strcspn(words[i], "=");

        if (strlen(value) == size && strncasecmp(words[i], value, size) == 0) {
            return words[i][size] == '=' ? words[i] + size + 1 : words[i];
        }
    }
    return NULL;
}

static void word_refuse(struct nw_debezium *to, const struct nw_debezium_row *row,
                        struct nw_debezium_property *p)
{
    if (row->note != NULL) {
        nw_debezium_refuse(to, p, "%s is not taken: %s", p->value, row->note);
    } else {
        nw_debezium_refuse(to, p, "%s is not one of: %s", p->value, row->words);
    }
}

void nw_dbz_words(struct nw_debezium *to, const struct nw_debezium_row *row,
                  struct nw_debezium_property *p)
{
    const char *word = word_find(to, row, p->value);

    if (word == NULL) {
        word_refuse(to, row, p);
    } else {
        nw_debezium_put(to, row->to, word, p->name);
    }
}

void nw_dbz_slot(struct nw_debezium *to, const struct nw_debezium_row *row,
                 struct nw_debezium_property *p)
{
    nw_debezium_put(to, row->to, nw_debezium_quoted(to, p->value),
                    nw_debezium_get(to, "plugin.name") != NULL
                        ? "has to be of pgoutput, and not in use"
                        : "has to be of pgoutput, and not in use; without plugin.name the "
                          "connector's is of decoderbufs: give another name then");
}

/* configuration_based says by flags what other modes are called. */
static const char *mode_of(struct nw_debezium *to, const char *value)
{
    static const char based[] = "snapshot.mode.configuration.based.";
    bool copies = nw_debezium_said(nw_debezium_under(to, based, "snapshot.data"), false);
    bool streams = nw_debezium_said(nw_debezium_under(to, based, "start.stream"), false);

    return strcasecmp(value, "configuration_based") == 0 && !copies && streams ? "no_data" : value;
}

void nw_dbz_snapshot(struct nw_debezium *to, const struct nw_debezium_row *row,
                     struct nw_debezium_property *p)
{
    const char *word = word_find(to, row, mode_of(to, p->value));

    if (word == NULL) {
        word_refuse(to, row, p);
        return;
    }
    nw_debezium_put(to, row->to, word,
                    strcasecmp(p->value, "when_needed") == 0
                        ? "when_needed; where the slot is gone narwal says so, and makes "
                          "no copy by itself"
                        : p->name);
}

void nw_dbz_based(struct nw_debezium *to, const struct nw_debezium_row *row,
                  struct nw_debezium_property *p)
{
    const char *mode = nw_debezium_get(to, "snapshot.mode");

    (void)row;
    if (mode == NULL || strcasecmp(mode, "configuration_based") != 0) {
        p->verdict = NW_DEBEZIUM_NOTHING;
        p->why = "only for snapshot.mode configuration_based";
    }
}

void nw_dbz_publication(struct nw_debezium *to, const struct nw_debezium_row *row,
                        struct nw_debezium_property *p)
{
    const char *word = word_find(to, row, p->value);

    if (word == NULL) {
        word_refuse(to, row, p);
        return;
    }
    nw_debezium_put(to, row->to, word,
                    strcmp(word, "true") == 0
                        ? nw_debezium_text(to, "%s; a new one has the tables below", p->name)
                        : p->name);
}

void nw_dbz_only(struct nw_debezium *to, const struct nw_debezium_row *row,
                 struct nw_debezium_property *p)
{
    if (word_find(to, row, p->value) == NULL) {
        word_refuse(to, row, p);
        return;
    }
    p->verdict = NW_DEBEZIUM_NOTHING;
    p->why = "narwal does so anyway";
}

void nw_dbz_text(struct nw_debezium *to, const struct nw_debezium_row *row,
                 struct nw_debezium_property *p)
{
    nw_debezium_put(to, row->to, nw_debezium_quoted(to, p->value),
                    row->note != NULL ? row->note : p->name);
}

void nw_dbz_number(struct nw_debezium *to, const struct nw_debezium_row *row,
                   struct nw_debezium_property *p)
{
    int64_t number = 0;

    if (!nw_integer_parse(p->value, &number)) {
        nw_debezium_refuse(to, p, "not a number");
        return;
    }
    nw_debezium_put(to, row->to, p->value, p->name);
}

/* Milliseconds of Debezium. @return NULL: they are not */
static const char *time_text(struct nw_debezium *to, const char *value)
{
    char text[NW_NUMBER_TEXT_SIZE];
    int64_t ms = 0;

    if (!nw_integer_parse(value, &ms) || ms < 0 || ms > INT64_MAX / MS_US) {
        return NULL;
    }
    return nw_debezium_text(to, "%s", nw_duration_exact(text, ms * MS_US));
}

void nw_dbz_time(struct nw_debezium *to, const struct nw_debezium_row *row,
                 struct nw_debezium_property *p)
{
    const char *time = time_text(to, p->value);

    if (time == NULL) {
        nw_debezium_refuse(to, p, "not a number of milliseconds");
        return;
    }
    nw_debezium_put(to, row->to, time, p->name);
}

/* ---- the connection ---- */

/* A value as libpq takes it, which wants quotes around what has blanks. */
static const char *dsn_value(struct nw_debezium *to, const char *value)
{
    char quoted[1024];
    size_t size = 0;

    if (*value != '\0' && strpbrk(value, " '\\") == NULL) {
        return value;
    }
    for (; *value != '\0' && size < sizeof quoted - 2; value++) {
        if (*value == '\'' || *value == '\\') {
            quoted[size++] = '\\';
        }
        quoted[size++] = *value;
    }
    to->failed = to->failed || *value != '\0';
    quoted[size] = '\0';
    return nw_debezium_text(to, "'%s'", quoted);
}

static void dsn_add(struct nw_debezium *to, const char *keyword, const char *value)
{
    value = dsn_value(to, value);
    to->dsn = to->dsn == NULL ? nw_debezium_text(to, "%s=%s", keyword, value)
                              : nw_debezium_text(to, "%s %s=%s", to->dsn, keyword, value);
}

static void dsn_put(struct nw_debezium *to)
{
    for (size_t i = 0; i < to->lines_count; i++) {
        if (strcmp(to->lines[i].section, "source") == 0 && strcmp(to->lines[i].key, "dsn") == 0) {
            to->lines[i].value = nw_debezium_quoted(to, to->dsn);
            to->lines[i].why = strstr(to->dsn, "${env:NARWAL_") == NULL
                                   ? NULL
                                   : "${env:...} stands for what a provider gave Connect";
            return;
        }
    }
    nw_debezium_put(to, "source.dsn", nw_debezium_quoted(to, to->dsn), NULL);
}

/* What one reference to a provider of Connect is for narwal: a variable. NULL: it is none, or not
 * all of the value */
static const char *variable_of(struct nw_debezium *to, const char *keyword, const char *value)
{
    char upper[16] = "";
    size_t size = strlen(value);

    if (strncmp(value, "${", 2) != 0 || strncmp(value, "${env:", 6) == 0 ||
        strchr(value, '}') != value + size - 1) {
        return NULL;
    }
    for (size_t i = 0; keyword[i] != '\0' && i < sizeof upper - 1; i++) {
        upper[i] = (char)toupper((unsigned char)keyword[i]);
    }
    return nw_debezium_text(to, "${env:NARWAL_%s}", upper);
}

/* A part of the dsn, of which Connect may have had a provider give the value. */
void nw_dbz_dsn_text(struct nw_debezium *to, const struct nw_debezium_row *row,
                     struct nw_debezium_property *p)
{
    const char *variable = variable_of(to, row->to, p->value);

    if (variable == NULL && strstr(p->value, "${") != NULL && strstr(p->value, "${env:") == NULL) {
        nw_debezium_refuse(to, p,
                           "a reference to a provider of Connect: put the value, or ${env:NAME}");
        return;
    }
    dsn_add(to, row->to, variable == NULL ? p->value : variable);
    dsn_put(to);
}

void nw_dbz_dsn(struct nw_debezium *to, const struct nw_debezium_row *row,
                struct nw_debezium_property *p)
{
    const char *word = row->words == NULL ? p->value : word_find(to, row, p->value);

    if (word == NULL) {
        word_refuse(to, row, p);
        return;
    }
    dsn_add(to, row->to, word);
    dsn_put(to);
}

void nw_dbz_keepalive(struct nw_debezium *to, const struct nw_debezium_row *row,
                      struct nw_debezium_property *p)
{
    if (word_find(to, row, p->value) == NULL) {
        word_refuse(to, row, p);
        return;
    }
    dsn_add(to, row->to, strcasecmp(p->value, "true") == 0 ? "1" : "0");
    dsn_put(to);
}

void nw_dbz_password(struct nw_debezium *to, const struct nw_debezium_row *row,
                     struct nw_debezium_property *p)
{
    nw_debezium_secret(to, row->to, p->value, row->words);
}

void nw_dbz_params(struct nw_debezium *to, const struct nw_debezium_row *row,
                   struct nw_debezium_property *p)
{
    if (strcmp(p->value, "origin=none") == 0 || strcmp(p->value, "origin=any") == 0) {
        nw_debezium_put(to, row->to, p->value + strlen("origin="), p->name);
    } else {
        nw_debezium_refuse(to, p, "only origin=none and origin=any are there");
    }
}

void nw_dbz_class(struct nw_debezium *to, const struct nw_debezium_row *row,
                  struct nw_debezium_property *p)
{
    (void)to;
    (void)row;
    (void)p; /* nw_debezium_read() has looked at it */
}

/* ---- tables and columns ---- */

/* Whether a schema of the other list has this table. */
static bool in_schemas(struct nw_debezium *to, const char *schemas, const char *table)
{
    const char *regexes[NW_DEBEZIUM_ITEMS_MAX];
    size_t count = nw_debezium_split(to, schemas, ',', regexes);

    for (size_t i = 0; i < count; i++) {
        const char *patterns[NW_DEBEZIUM_ITEMS_MAX];
        size_t made = nw_debezium_patterns(to, regexes[i], patterns);

        for (size_t k = 0; k < made; k++) {
            const char *pair[] = {nw_debezium_text(to, "%s.*", patterns[k]), NULL};

            if (nw_patterns_match(pair, table)) {
                return true;
            }
        }
    }
    return false;
}

/* A name of so many parts; more dots would be ones of a regular expression. */
static bool parts_are(const char *pattern, size_t parts)
{
    size_t dots = 0;

    for (; *pattern != '\0'; pattern++) {
        dots += *pattern == '.';
    }
    return parts == 3 ? dots == 2 : dots < parts;
}

/* A name's patterns; none if they have other parts. */
static size_t names_translate(struct nw_debezium *to, const char *regex, size_t parts,
                              const char *patterns[NW_DEBEZIUM_ITEMS_MAX])
{
    size_t made = nw_debezium_patterns(to, regex, patterns);

    for (size_t k = 0; k < made; k++) {
        if (!parts_are(patterns[k], parts)) {
            return 0;
        }
    }
    return made;
}

/* @param schemas  that the tables have to be in; NULL: any */
static void list_convert(struct nw_debezium *to, const struct nw_debezium_row *row,
                         struct nw_debezium_property *p, const char *suffix, const char *schemas)
{
    const char *regexes[NW_DEBEZIUM_ITEMS_MAX];
    size_t count = nw_debezium_split(to, p->value, ',', regexes);

    for (size_t i = 0; i < count; i++) {
        const char *patterns[NW_DEBEZIUM_ITEMS_MAX];
        size_t made = names_translate(to, regexes[i], *suffix == '\0' ? 2 : 1, patterns);

        if (made == 0) {
            nw_debezium_refuse(to, p,
                               "%s cannot be said with narwal's patterns: list the names, or use "
                               "what *, ? and [ab] can say",
                               regexes[i]);
            return;
        }
        for (size_t k = 0; k < made; k++) {
            if (schemas != NULL && !in_schemas(to, schemas, patterns[k])) {
                nw_debezium_refuse(to, p, "%s is in no schema of schema.include.list: use one list",
                                   patterns[k]);
                return;
            }
            nw_debezium_item(to, row->to, nw_debezium_text(to, "%s%s", patterns[k], suffix));
        }
    }
}

void nw_dbz_tables(struct nw_debezium *to, const struct nw_debezium_row *row,
                   struct nw_debezium_property *p)
{
    list_convert(to, row, p, "",
                 strcmp(row->to, "tables.include") == 0 ? nw_debezium_get(to, "schema.include.list")
                                                        : NULL);
}

void nw_dbz_schemas(struct nw_debezium *to, const struct nw_debezium_row *row,
                    struct nw_debezium_property *p)
{
    if (strcmp(row->to, "tables.include") == 0 &&
        nw_debezium_get(to, "table.include.list") != NULL) {
        return; /* its tables are looked at there */
    }
    list_convert(to, row, p, ".*", NULL);
}

void nw_debezium_rule_add(struct nw_debezium *to, const char *table, const char *what,
                          const char *column, const char *more)
{
    table = nw_debezium_quoted(to, table);
    column = nw_debezium_quoted(to, column);
    for (size_t i = 0; i < to->rules_count; i++) {
        struct nw_debezium_rule *rule = &to->rules[i];

        if (strcmp(rule->table, table) == 0 && strcmp(rule->what, what) == 0 &&
            strcmp(rule->more == NULL ? "" : rule->more, more == NULL ? "" : more) == 0) {
            rule->columns = nw_debezium_text(to, "%s, %s", rule->columns, column);
            return;
        }
    }
    if (to->rules_count == NW_DEBEZIUM_RULES_MAX) {
        to->failed = true;
        return;
    }
    to->rules[to->rules_count++] =
        (struct nw_debezium_rule){.table = table, .what = what, .columns = column, .more = more};
}

/* A text at the one end of which anything may be: that is any columns of tables which begin so
 * ("schema.table.*"), or columns of any table which end so (".*\\.secret"). */
static const char *columns_of(struct nw_debezium *to, const char *pattern)
{
    size_t size = strlen(pattern);
    const char *star = strpbrk(pattern, "*?[");

    if (star == NULL || *star != '*' || strpbrk(star + 1, "*?[") != NULL) {
        return pattern;
    }
    if (parts_are(pattern, 2) && strchr(pattern, '.') != NULL && star == pattern + size - 1) {
        return nw_debezium_text(to, "%s.*", pattern);
    }
    if (parts_are(pattern, 2) && star == pattern) {
        return nw_debezium_text(to, strchr(pattern, '.') == NULL ? "*.*.%s" : "*.%s", pattern);
    }
    return pattern;
}

static void columns_add(struct nw_debezium *to, struct nw_debezium_property *p, const char *what,
                        const char *more)
{
    const char *regexes[NW_DEBEZIUM_ITEMS_MAX];
    size_t count = nw_debezium_split(to, p->value, ',', regexes);

    for (size_t i = 0; i < count; i++) {
        const char *patterns[NW_DEBEZIUM_ITEMS_MAX];
        size_t made = nw_debezium_patterns(to, regexes[i], patterns);

        for (size_t k = 0; k < made; k++) {
            const char *last = NULL;

            patterns[k] = columns_of(to, patterns[k]);
            last = strrchr(patterns[k], '.');
            if (!parts_are(patterns[k], 3)) {
                made = 0;
                break;
            }
            nw_debezium_rule_add(
                to, nw_debezium_text(to, "%.*s", (int)(last - patterns[k]), patterns[k]), what,
                last + 1, more);
        }
        if (made == 0) {
            nw_debezium_refuse(to, p,
                               "%s cannot be said with narwal's patterns: list the columns as "
                               "schema.table.column",
                               regexes[i]);
            return;
        }
    }
}

void nw_dbz_columns(struct nw_debezium *to, const struct nw_debezium_row *row,
                    struct nw_debezium_property *p)
{
    columns_add(to, p, row->to, NULL);
}

/* column.mask.with.N.chars and column.truncate.to.N.chars */
void nw_dbz_mask(struct nw_debezium *to, const struct nw_debezium_row *row,
                 struct nw_debezium_property *p)
{
    char *end = NULL;
    long count = strtol(p->name + strlen(row->name) - 1, &end, 10);
    char stars[256] = "";

    if (count < 0 || count >= (long)sizeof stars || strcmp(end, ".chars") != 0) {
        nw_debezium_refuse(to, p, "a number from 0 to %zu is wanted in its name", sizeof stars - 1);
        return;
    }
    memset(stars, '*', (size_t)count);
    columns_add(to, p, "mask_columns",
                strcmp(row->to, "first") == 0 || count == 0
                    ? nw_debezium_text(to, "mask: first\n    mask_characters: %ld", count)
                    : nw_debezium_text(to, "mask: fixed\n    mask_text: \"%s\"", stars));
}

static const char HASH[] = "SHA-256.with.salt.";

/* The salt that stands in a property's name. NULL: it is none of a hash. */
static const char *salt_of(const char *name)
{
    const char *rest = nw_debezium_behind(name, "column.mask.hash.");
    const char *newer = rest == NULL ? NULL : nw_debezium_behind(rest, "v2.");

    rest = newer == NULL ? rest : newer;
    return rest == NULL ? NULL : nw_debezium_behind(rest, HASH);
}

/* Which of the hashes' salts it is, from 1 on: as properties have them. */
static unsigned salt_number(const struct nw_debezium *to, const char *salt)
{
    unsigned number = 0;

    for (size_t i = 0; i < to->count; i++) {
        const char *one = salt_of(to->properties[i].name);
        bool former = false;

        for (size_t k = 0; k < i && one != NULL && !former; k++) {
            former = nw_debezium_same(salt_of(to->properties[k].name), one);
        }
        number += one != NULL && !former;
        if (nw_debezium_same(one, salt)) {
            break;
        }
    }
    return number;
}

void nw_dbz_hash(struct nw_debezium *to, const struct nw_debezium_row *row,
                 struct nw_debezium_property *p)
{
    const char *salt = salt_of(p->name);
    unsigned number = salt == NULL ? 0 : salt_number(to, salt);
    char suffix[16] = "";

    if (salt == NULL) {
        nw_debezium_refuse(to, p, "only SHA-256 is there");
        return;
    }
    if (number > 1) {
        (void)snprintf(suffix, sizeof suffix, "_%u", number);
    }
    columns_add(to, p, "mask_columns",
                nw_debezium_text(to,
                                 "mask: %s\n    mask_salt: \"${env:NARWAL_SALT%s}\"   # the salt "
                                 "of Debezium's%s",
                                 row->to, suffix, number > 1 ? " for these columns" : ""));
}

/* A list of expressions, as the sink takes them. */
void nw_dbz_expressions(struct nw_debezium *to, const struct nw_debezium_row *row,
                        struct nw_debezium_property *p)
{
    const char *regexes[NW_DEBEZIUM_ITEMS_MAX];
    size_t count = nw_debezium_split(to, p->value, ',', regexes);

    for (size_t i = 0; i < count; i++) {
        const char *other = nw_debezium_regex_other(regexes[i]);

        if (other != NULL) {
            nw_debezium_refuse(to, p, "%s: %s is not there: say it without", regexes[i], other);
            return;
        }
        nw_debezium_item(to, row->to, regexes[i]);
    }
}

/* ---- topics ---- */

void nw_dbz_prefixes(struct nw_debezium *to, const struct nw_debezium_row *row,
                     struct nw_debezium_property *p)
{
    const char *regexes[NW_DEBEZIUM_ITEMS_MAX];
    size_t count = nw_debezium_split(to, p->value, ',', regexes);
    bool includes = strcmp(row->to, "true") == 0;

    if (!includes && nw_debezium_get(to, "message.prefix.include.list") != NULL) {
        p->verdict = NW_DEBEZIUM_NOTHING;
        p->why = "Debezium does not look at it beside message.prefix.include.list";
        return;
    }
    if (strcmp(p->value, ".*") == 0) {
        nw_debezium_put(to, "source.messages", row->to, p->name);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        nw_debezium_item(to, includes ? "sink.messages_include" : "sink.messages_exclude",
                         regexes[i]);
    }
}

void nw_dbz_strategy(struct nw_debezium *to, const struct nw_debezium_row *row,
                     struct nw_debezium_property *p)
{
    (void)row;
    if (strcmp(p->value, "io.debezium.schema.SchemaTopicNamingStrategy") != 0) {
        nw_debezium_refuse(to, p,
                           "only SchemaTopicNamingStrategy is there: sinks.topic names a "
                           "table's topic");
        return;
    }
    nw_debezium_put(to, "sink.topic", "\"{prefix}.{schema}.{table}\"", p->name);
}

/* "c,u,d,t", or "none" */
void nw_dbz_skipped(struct nw_debezium *to, const struct nw_debezium_row *row,
                    struct nw_debezium_property *p)
{
    static const struct {
        const char *letter, *word;
    } operations[] = {
        {"none", NULL}, {"t", NULL}, {"c", "inserts"}, {"u", "updates"}, {"d", "deletes"}};
    const size_t count = sizeof operations / sizeof operations[0];
    const char *letters[NW_DEBEZIUM_ITEMS_MAX];
    size_t letters_count = nw_debezium_split(to, p->value, ',', letters);
    bool truncates = false;

    for (size_t i = 0; i < letters_count; i++) {
        size_t at = 0;

        while (at < count && strcasecmp(letters[i], operations[at].letter) != 0) {
            at++;
        }
        if (at == count) {
            nw_debezium_refuse(to, p, "%s is not one of: c u d t none", letters[i]);
            return;
        }
        truncates = truncates || strcmp(operations[at].letter, "t") == 0;
        if (operations[at].word != NULL) {
            nw_debezium_item(to, row->to, operations[at].word);
        }
    }
    nw_debezium_put(to, "sink.truncates", truncates ? "skip" : "send", p->name);
}

/* skip.messages.without.change: one of what is skipped */
void nw_dbz_unchanged(struct nw_debezium *to, const struct nw_debezium_row *row,
                      struct nw_debezium_property *p)
{
    if (word_find(to, row, p->value) == NULL) {
        word_refuse(to, row, p);
    } else if (strcasecmp(p->value, "true") == 0) {
        nw_debezium_item(to, row->to, "unchanged");
    } else {
        p->verdict = NW_DEBEZIUM_NOTHING;
        p->why = "narwal does so anyway";
    }
}

static const char *delimiter(const struct nw_debezium *to)
{
    const char *given = nw_debezium_get(to, "topic.delimiter");

    return given == NULL ? "." : given;
}

void nw_dbz_topic(struct nw_debezium *to, const struct nw_debezium_row *row,
                  struct nw_debezium_property *p)
{
    if (strcmp(p->value, ".") != 0 && nw_debezium_get(to, "topic.naming.strategy") != NULL) {
        nw_debezium_refuse(to, p, "leave topic.naming.strategy out");
        return;
    }
    nw_debezium_put(to, row->to,
                    nw_debezium_quoted(to, nw_debezium_text(to, "{prefix}%s{schema}%s{table}",
                                                            p->value, p->value)),
                    p->name);
}

void nw_dbz_heartbeat(struct nw_debezium *to, const struct nw_debezium_row *row,
                      struct nw_debezium_property *p)
{
    const char *prefix = nw_debezium_get(to, "topic.heartbeat.prefix");
    const char *name = nw_debezium_get(to, "topic.heartbeat.name");

    if (strcmp(p->value, "0") == 0) {
        p->verdict = NW_DEBEZIUM_NOTHING;
        p->why = "no heartbeats, as with narwal by default";
        return;
    }
    nw_dbz_time(to, row, p);
    if (name != NULL) {
        nw_debezium_put(to, "sink.heartbeat_topic", nw_debezium_quoted(to, name),
                        "topic.heartbeat.name");
    } else if (prefix != NULL || strcmp(delimiter(to), ".") != 0) {
        nw_debezium_put(to, "sink.heartbeat_topic",
                        nw_debezium_quoted(
                            to, nw_debezium_text(to, "%s%s{prefix}",
                                                 prefix == NULL ? "__debezium-heartbeat" : prefix,
                                                 delimiter(to))),
                        "topic.heartbeat.prefix");
    }
}

/* heartbeat.action.query */
void nw_dbz_action(struct nw_debezium *to, const struct nw_debezium_row *row,
                   struct nw_debezium_property *p)
{
    const char *interval = nw_debezium_get(to, "heartbeat.interval.ms");
    const char *time = interval == NULL ? NULL : time_text(to, interval);

    if (interval == NULL || strcmp(interval, "0") == 0) {
        p->verdict = NW_DEBEZIUM_NOTHING;
        p->why = "Debezium runs it with heartbeats alone: heartbeat.interval.ms is 0";
    } else if (time != NULL) { /* else that property is refused */
        nw_debezium_put(to, nw_debezium_text(to, "%s.statement", row->to),
                        nw_debezium_quoted(to, p->value), p->name);
        nw_debezium_put(to, nw_debezium_text(to, "%s.every", row->to), time,
                        "heartbeat.interval.ms");
    }
}

void nw_dbz_transactions(struct nw_debezium *to, const struct nw_debezium_row *row,
                         struct nw_debezium_property *p)
{
    const char *name = nw_debezium_get(to, "topic.transaction");

    if (word_find(to, row, p->value) == NULL) {
        word_refuse(to, row, p);
    } else if (strcasecmp(p->value, "true") == 0) {
        nw_debezium_put(
            to, row->to,
            nw_debezium_quoted(to, nw_debezium_text(to, "{prefix}%s%s", delimiter(to),
                                                    name == NULL ? "transaction" : name)),
            p->name);
    }
}

void nw_dbz_signals(struct nw_debezium *to, const struct nw_debezium_row *row,
                    struct nw_debezium_property *p)
{
    const char *table = nw_debezium_get(to, "signal.data.collection");
    const char *topic = nw_debezium_get(to, "signal.kafka.topic");
    const char *prefix = nw_debezium_get(to, "topic.prefix");
    const char *pieces[NW_DEBEZIUM_ITEMS_MAX];
    size_t count = nw_debezium_split(to, p->value, ',', pieces);

    (void)row;
    for (size_t i = 0; i < count; i++) {
        if (strcmp(pieces[i], "source") == 0) {
            if (table != NULL) {
                nw_debezium_put(to, "sink.signals_table", nw_debezium_quoted(to, table),
                                "has to be among the tables");
            }
        } else if (strcmp(pieces[i], "kafka") == 0) {
            nw_debezium_put(to, "sink.signals_topic",
                            nw_debezium_quoted(
                                to, topic != NULL ? topic
                                                  : nw_debezium_text(to, "%s-signal",
                                                                     prefix == NULL ? "" : prefix)),
                            "signal.kafka.topic");
        } else {
            nw_debezium_refuse(to, p,
                               "%s: only source and kafka are there; by hand: narwal table "
                               "refresh",
                               pieces[i]);
        }
    }
}

void nw_dbz_notifications(struct nw_debezium *to, const struct nw_debezium_row *row,
                          struct nw_debezium_property *p)
{
    const char *topic = nw_debezium_get(to, "notification.sink.topic.name");
    const char *pieces[NW_DEBEZIUM_ITEMS_MAX];
    size_t count = nw_debezium_split(to, p->value, ',', pieces);

    for (size_t i = 0; i < count; i++) {
        if (strcmp(pieces[i], "sink") == 0 && topic != NULL) {
            nw_debezium_put(to, row->to, nw_debezium_quoted(to, topic), p->name);
        } else if (strcmp(pieces[i], "sink") == 0) {
            nw_debezium_refuse(to, p, "sink wants notification.sink.topic.name");
        } else if (strcmp(pieces[i], "log") != 0 && strcmp(pieces[i], "jmx") != 0) {
            nw_debezium_refuse(to, p, "%s: only sink is there; log and status say the rest",
                               pieces[i]);
        }
    }
}
