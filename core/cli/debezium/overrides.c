/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See import.h: which rows of which tables the first copy has. Debezium has whole statements for
 * that; those of the form SELECT * FROM TABLE WHERE CONDITION are conditions of copy.where.
 */
#include <ctype.h>
#include <string.h>

#include "base/text.h"
#include "cli/debezium/import.h"
#include "config/copy_where.h"

#define STATEMENTS "snapshot.select.statement.overrides"
#define TABLES     "snapshot.include.collection.list"
#define WHERE      "copy.where"
#define FORM       "only SELECT * FROM TABLE WHERE CONDITION is there: "

/* ---- one statement ---- */

struct statement {
    const char *at; /* what is left of it */
    const char *why;
};

static bool is_word(char c)
{
    return isalnum((unsigned char)c) != 0 || c == '_' || (unsigned char)c >= 0x80;
}

static void blanks_skip(struct statement *s)
{
    s->at += strspn(s->at, " \t\r\n");
}

/* A keyword in whichever case; it is passed over. */
static bool keyword_take(struct statement *s, const char *keyword)
{
    size_t size = strlen(keyword);

    blanks_skip(s);
    if (strncasecmp(s->at, keyword, size) != 0 || is_word(s->at[size])) {
        return false;
    }
    s->at += size;
    return true;
}

/* What is behind a text in quotes, or behind one character outside of them. */
static const char *one_skip(const char *at)
{
    const char *end = *at == '\'' || *at == '"' ? strchr(at + 1, *at) : at;

    return end == NULL ? at + strlen(at) : end + 1;
}

/* A name as the server reads it. @return NULL: there is none */
static const char *name_take(struct nw_debezium *to, struct statement *s)
{
    const char *begin = s->at;
    char *name = NULL;

    if (*begin == '"') {
        s->at = one_skip(begin);
        return s->at - begin > 2 && *s->at != '"' && s->at[-1] == '"'
                   ? nw_debezium_text(to, "%.*s", (int)(s->at - begin - 2), begin + 1)
                   : NULL;
    }
    while (is_word(*s->at)) {
        s->at++;
    }
    name = nw_arena_text_of(&to->arena, begin, (size_t)(s->at - begin));
    to->failed = to->failed || name == NULL;
    for (char *c = name; c != NULL && *c != '\0'; c++) {
        *c = (char)tolower((unsigned char)*c);
    }
    return name == NULL || *name == '\0' ? NULL : name;
}

/* Whether the statement goes on with this table's name, "schema.table". */
static bool table_take(struct nw_debezium *to, struct statement *s, const char *table)
{
    const char *found = NULL;
    bool qualified = false;

    blanks_skip(s);
    found = name_take(to, s);
    if (found != NULL && *s->at == '.') {
        const char *name = NULL;

        s->at++;
        qualified = true;
        name = name_take(to, s);
        found = name == NULL ? NULL : nw_debezium_text(to, "%s.%s", found, name);
    }
    return found != NULL &&
           strcmp(table, qualified ? found : nw_debezium_text(to, "public.%s", found)) == 0;
}

/* Where one of the clauses that end a condition begins, outside of brackets and quotes. */
static const char *clause_find(const char *text)
{
    static const char *const clauses[] = {"GROUP",  "HAVING", "UNION", "INTERSECT",
                                          "EXCEPT", "WINDOW", "ORDER", "LIMIT",
                                          "OFFSET", "FETCH",  "FOR",   NULL};
    int depth = 0;

    for (const char *at = text; *at != '\0'; at = one_skip(at)) {
        bool begins = at == text || (!is_word(at[-1]) && at[-1] != '.');

        depth += (*at == '(' || *at == '[') - (*at == ')' || *at == ']');
        for (size_t i = 0; begins && depth == 0 && clauses[i] != NULL; i++) {
            if (keyword_take(&(struct statement){.at = at}, clauses[i]) && *at != ' ') {
                return at;
            }
        }
    }
    return text + strlen(text);
}

/* What stands behind the condition: an order, which rows of a copy do not have, or no rows at all.
 * @return false: something else */
static bool rest_take(struct statement *s, bool *none)
{
    if (keyword_take(s, "ORDER")) {
        s->at = clause_find(s->at);
    }
    if (keyword_take(s, "LIMIT")) {
        blanks_skip(s);
        *none = *s->at == '0';
        s->at += *none;
    }
    blanks_skip(s);
    s->at += *s->at == ';';
    blanks_skip(s);
    return *s->at == '\0';
}

/* Whether it has what is not looked at here. */
static bool is_strange(const char *statement)
{
    return strstr(statement, "--") != NULL || strstr(statement, "/*") != NULL ||
           strchr(statement, '$') != NULL || strchr(statement, '\\') != NULL ||
           (strchr(statement, ';') != NULL &&
            strspn(strchr(statement, ';'), "; \t\r\n") != strlen(strchr(statement, ';')));
}

/* @return the condition, "true" where there is none; NULL: s->why says why not */
static const char *condition_read(struct nw_debezium *to, struct statement *s, const char *table)
{
    const char *condition = "true";
    bool none = false;

    s->why = FORM "without comments, $ and \\";
    if (is_strange(s->at)) {
        return NULL;
    }
    s->why = FORM "with *; column.exclude.list leaves columns out";
    if (!keyword_take(s, "SELECT") || (blanks_skip(s), *s->at++ != '*')) {
        return NULL;
    }
    s->why = nw_debezium_text(to, FORM "of %s itself, without ONLY", table);
    if (!keyword_take(s, "FROM") || !table_take(to, s, table)) {
        return NULL;
    }
    s->why = FORM "of one table, without another name for it, GROUP BY and the like, and of LIMIT "
                  "only LIMIT 0";
    if (keyword_take(s, "WHERE")) {
        const char *end = clause_find(s->at);
        const char *last = end;

        blanks_skip(s);
        while (last > s->at && strchr(" \t\r\n;", last[-1]) != NULL) {
            last--;
        }
        condition = nw_debezium_text(to, "%.*s", (int)(last - s->at), s->at);
        s->at = end;
    }
    if (!rest_take(s, &none) || *condition == '\0') {
        return NULL;
    }
    s->why = "a condition of more than 1000 bytes";
    return strlen(condition) > NW_COPY_WHERE_MAX ? NULL : none ? "false" : condition;
}

/* In one line: breaks within quotes would be others then. @return NULL: there are such */
static const char *line_of(struct nw_debezium *to, const char *text)
{
    char *line = nw_arena_text(&to->arena, text);

    to->failed = to->failed || line == NULL;
    for (char *at = line; at != NULL && *at != '\0';) {
        const char *behind = one_skip(at);

        if (behind == at + 1 && strchr("\t\r\n", *at) != NULL) {
            *at = ' ';
        }
        if (behind > at + 1 && strcspn(at, "\r\n") < (size_t)(behind - at)) {
            return NULL;
        }
        at += behind - at;
    }
    return line;
}

/* ---- all of them ---- */

/* "schema.table" of what the list names: PostgreSQL's quotes are not part of a name. */
static const char *table_of(struct nw_debezium *to, const char *name)
{
    const char *plain = "";

    for (; *name != '\0'; name++) {
        plain = *name == '"' ? plain : nw_debezium_text(to, "%s%c", plain, *name);
    }
    return plain;
}

static void where_add(struct nw_debezium *to, const char *pattern, const char *condition)
{
    nw_debezium_item(to, WHERE, nw_debezium_text(to, "%s: %s", pattern, condition));
}

static const char *literal(struct nw_debezium *to, const char *table)
{
    const char *pattern = "";

    for (; *table != '\0'; table++) {
        pattern = nw_debezium_text(to, strchr("*?[", *table) != NULL ? "%s[%c]" : "%s%c", pattern,
                                   *table);
    }
    return pattern;
}

/* @param copied  patterns of what is copied at all; NULL: everything */
static void statement_convert(struct nw_debezium *to, const char *name, const char *const *copied)
{
    struct nw_debezium_property *p =
        nw_debezium_find(to, nw_debezium_text(to, STATEMENTS ".%s", name));
    const char *table = table_of(to, name);
    struct statement s = {.why = "a text in it has several lines: put it in one"};
    const char *condition = NULL;

    if (p == NULL) {
        return; /* Debezium says so, and copies all */
    }
    s.at = line_of(to, p->value);
    condition = s.at == NULL ? NULL : condition_read(to, &s, table);
    if (strchr(table, '.') == NULL || strchr(strchr(table, '.') + 1, '.') != NULL ||
        strchr(table, ':') != NULL) {
        nw_debezium_refuse(to, p, "name the table schema.table, without a colon");
    } else if (condition == NULL) {
        nw_debezium_refuse(to, p, "%s", s.why);
    } else if (copied == NULL || nw_patterns_match(copied, table)) {
        where_add(to, literal(to, table), condition);
    }
}

/* The patterns of the list. @return false: it cannot be said, or there is none */
static bool tables_read(struct nw_debezium *to, struct nw_debezium_property *p,
                        const char *patterns[NW_DEBEZIUM_ITEMS_MAX + 1])
{
    const char *regexes[NW_DEBEZIUM_ITEMS_MAX];
    size_t count = p == NULL ? 0 : nw_debezium_split(to, p->value, ',', regexes);
    size_t made = 0;

    for (size_t i = 0; i < count; i++) {
        const char *some[NW_DEBEZIUM_ITEMS_MAX];
        size_t more = nw_debezium_patterns(to, regexes[i], some);

        for (size_t k = 0; k < more; k++) {
            const char *dot = strchr(some[k], '.');

            if ((dot != NULL && strchr(dot + 1, '.') != NULL) || strchr(some[k], ':') != NULL ||
                made == NW_DEBEZIUM_ITEMS_MAX) {
                more = 0;
                break;
            }
            patterns[made++] = some[k];
        }
        if (more == 0) {
            nw_debezium_refuse(to, p,
                               "%s cannot be said with narwal's patterns: list the tables as "
                               "schema.table",
                               regexes[i]);
            return false;
        }
    }
    patterns[made] = NULL;
    return made > 0;
}

/* Nothing of it is looked at where nothing is copied. */
static bool copies(const struct nw_debezium *to)
{
    const char *mode = nw_debezium_get(to, "snapshot.mode");

    return mode == NULL ||
           (strcasecmp(mode, "configuration_based") != 0 && strcasecmp(mode, "no_data") != 0 &&
            strcasecmp(mode, "never") != 0 && strcasecmp(mode, "schema_only") != 0);
}

void nw_debezium_copies_settle(struct nw_debezium *to)
{
    struct nw_debezium_property *list = nw_debezium_find(to, TABLES);
    const char *names[NW_DEBEZIUM_ITEMS_MAX];
    const char *patterns[NW_DEBEZIUM_ITEMS_MAX + 1];
    size_t count = nw_debezium_split(to, nw_debezium_get(to, STATEMENTS), ',', names);
    bool some = false;

    if (!copies(to)) {
        return;
    }
    some = tables_read(to, list, patterns);
    for (size_t i = 0; i < count; i++) {
        statement_convert(to, names[i], some ? patterns : NULL);
    }
    for (size_t i = 0; some && patterns[i] != NULL; i++) {
        where_add(to, patterns[i], "true");
    }
    if (some) {
        where_add(to, "*", "false");
    }
}

void nw_dbz_copies(struct nw_debezium *to, const struct nw_debezium_row *row,
                   struct nw_debezium_property *p)
{
    const char *names[NW_DEBEZIUM_ITEMS_MAX];
    size_t count = nw_debezium_split(to, nw_debezium_get(to, STATEMENTS), ',', names);
    const char *table = nw_debezium_behind(p->name, STATEMENTS ".");
    bool listed = table == NULL;

    (void)row;
    for (size_t i = 0; i < count && !listed; i++) {
        listed = strcmp(names[i], table) == 0;
    }
    if (!copies(to)) {
        p->verdict = NW_DEBEZIUM_NOTHING;
        p->why = "nothing is copied, by snapshot.mode";
    } else if (!listed) {
        p->verdict = NW_DEBEZIUM_NOTHING;
        p->why = "Debezium does not look at it: " STATEMENTS " does not name the table";
    } else if (strstr(p->value, "${") != NULL) {
        nw_debezium_refuse(to, p, "put what ${...} stands for");
    }
}
