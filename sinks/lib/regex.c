/* SPDX-License-Identifier: Apache-2.0 */
/* See regex.h. */
#include "lib/regex.h"

#include <ctype.h>
#include <regex.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/pattern.h"

#define GROUPS_MAX     16u
#define NAME_SIZE      32u
#define SIZE_OF_REGEX  2048u
#define LETTERS        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
#define POSIX_SPECIALS ".[]()*+?{}|^$\\"

struct nw_regex {
    regex_t compiled;
    bool has_compiled;
    char *replacement;          /* own */
    uint32_t groups;            /* of Java's, [0] is the whole match */
    uint32_t posix[GROUPS_MAX]; /* which of POSIX's each is */
    char names[GROUPS_MAX][NAME_SIZE];
};

struct translation {
    struct nw_regex *regex;
    const char *at;
    const char *why; /* NULL: all is well */
    char text[SIZE_OF_REGEX];
    size_t used;
    uint32_t posix_groups;
};

static void add(struct translation *t, const char *text, size_t size)
{
    if (size >= sizeof t->text - t->used) {
        t->why = "it is too long";
        return;
    }
    memcpy(t->text + t->used, text, size);
    t->used += size;
    t->text[t->used] = '\0';
}

static void add_text(struct translation *t, const char *text)
{
    add(t, text, strlen(text));
}

static void add_literal(struct translation *t, char c)
{
    if (strchr(POSIX_SPECIALS, c) != NULL) {
        add(t, "\\", 1);
    }
    add(t, &c, 1);
}

/* What \d, \w and \s are inside of brackets; NULL: it is another. */
static const char *class_of(char c)
{
    return c == 'd' ? "0-9" : c == 'w' ? "a-zA-Z_0-9" : c == 's' ? " \t\n\v\f\r" : NULL;
}

/* Behind a backslash outside of brackets. */
static void escape_take(struct translation *t)
{
    char c = *t->at;
    const char *class = class_of((char)tolower((unsigned char)c));

    if (class != NULL) {
        add_text(t, isupper((unsigned char)c) != 0 ? "[^" : "[");
        add_text(t, class);
        add(t, "]", 1);
    } else if (c == '\0' || isalnum((unsigned char)c) != 0) {
        t->why = "of what a backslash makes only \\d, \\w and \\s are there";
        return;
    } else {
        add_literal(t, c);
    }
    t->at++;
}

/* The members of a bracket. POSIX wants ] first and [ ^ - last, and has no escapes there. */
struct bracket {
    char members[256];
    size_t used;
    bool closes, opens, dash, hat;
    bool apart; /* the last one is not in members, so nothing ranges from it */
};

static bool member_is_other(const struct translation *t, char c, bool escaped)
{
    return c == '\0' ||
           (escaped ? isalnum((unsigned char)c) != 0 : c == '[' || (c == '&' && t->at[1] == '&'));
}

/* One of those with a place of their own. @return false: it is none */
static bool special_take(struct bracket *b, char c, bool is_dash)
{
    bool special = is_dash || c == ']' || c == '[' || c == '^';

    b->dash = b->dash || is_dash;
    b->closes = b->closes || c == ']';
    b->opens = b->opens || c == '[';
    b->hat = b->hat || c == '^';
    return special;
}

/* The next one. */
static void member_take(struct translation *t, struct bracket *b)
{
    bool escaped = *t->at == '\\';
    const char *class = escaped ? class_of(t->at[1]) : NULL;
    char c = t->at[escaped];
    bool empty = b->used == 0 && !b->apart;
    bool is_dash = class == NULL && c == '-' && (escaped || empty || t->at[1] == ']');
    bool ranges = b->used > 0 && b->members[b->used - 1] == '-'; /* to this one */
    bool apart = class != NULL || special_take(b, c, is_dash);

    if ((class == NULL && member_is_other(t, c, escaped)) || (ranges && apart) ||
        (c == '-' && !is_dash && b->apart) || b->used + sizeof "a-zA-Z_0-9" > sizeof b->members) {
        t->why = "of this nothing goes into [brackets]: classes, && and other escapes";
        return;
    }
    if (class != NULL) {
        b->used += (size_t)snprintf(b->members + b->used, sizeof b->members - b->used, "%s", class);
    } else if (!apart) {
        b->members[b->used++] = c;
        b->members[b->used] = '\0';
    }
    b->apart = apart;
    t->at += escaped ? 2 : 1;
}

static void bracket_put(struct translation *t, const struct bracket *b, bool negated)
{
    if (b->hat && !negated && b->used == 0 && !b->closes && !b->opens) { /* POSIX would negate */
        add_text(t, b->dash ? "[-^]" : "\\^");
        return;
    }
    add_text(t, negated ? "[^" : "[");
    add_text(t, b->closes ? "]" : "");
    add(t, b->members, b->used);
    add_text(t, b->opens ? "[" : "");
    add_text(t, b->hat ? "^" : "");
    add_text(t, b->dash ? "-]" : "]");
}

/* Behind a [ */
static void bracket_take(struct translation *t)
{
    struct bracket b = {0};
    bool negated = *t->at == '^';
    bool first = true;

    t->at += negated;
    while (*t->at != '\0' && (*t->at != ']' || first) && t->why == NULL) {
        member_take(t, &b);
        first = false;
    }
    if (t->why == NULL && *t->at != ']') {
        t->why = "a [ has no ]";
    }
    if (t->why == NULL) {
        t->at++;
        bracket_put(t, &b, negated);
    }
}

/* The name of (?<name>...), behind the <. */
static void group_name(struct translation *t)
{
    const char *end = strchr(t->at, '>');
    size_t size = end == NULL ? 0 : (size_t)(end - t->at);

    if (size == 0 || size >= NAME_SIZE || strspn(t->at, LETTERS) < size) {
        t->why = "looks behind are not there";
        return;
    }
    memcpy(t->regex->names[t->regex->groups], t->at, size);
    t->at = end + 1;
}

/* Behind a ( */
static void group_take(struct translation *t)
{
    bool captures = true;

    t->posix_groups++;
    if (t->regex->groups == GROUPS_MAX) {
        t->why = "it has too many groups";
        return;
    }
    if (strncmp(t->at, "?:", 2) == 0) {
        t->at += 2;
        captures = false;
    } else if (strncmp(t->at, "?<", 2) == 0 && t->at[2] != '=' && t->at[2] != '!') {
        t->at += 2;
        group_name(t);
    } else if (*t->at == '?') {
        t->why = "of what begins with (? only (?: and (?<name> are there";
    }
    if (captures) {
        t->regex->posix[t->regex->groups++] = t->posix_groups;
    }
    add(t, "(", 1);
}

/* * + ? {n} {n,} {n,m}, and what may follow */
static void quantifier_take(struct translation *t)
{
    size_t size = *t->at == '{' ? strcspn(t->at, "}") + 1 : 1;

    add(t, t->at, strnlen(t->at, size));
    t->at += strnlen(t->at, size);
    if (*t->at == '?' || *t->at == '+' || *t->at == '*') {
        t->why = "lazy and possessive quantifiers are not there";
    }
}

static void translate(struct translation *t)
{
    while (*t->at != '\0' && t->why == NULL) {
        char c = *t->at;

        if (strchr("*+?{", c) != NULL) {
            quantifier_take(t);
            continue;
        }
        t->at++;
        switch (c) {
        case '\\':
            escape_take(t);
            break;
        case '[':
            bracket_take(t);
            break;
        case '(':
            group_take(t);
            break;
        case ']':
        case '}':
            add_literal(t, c);
            break;
        default:
            add(t, &c, 1);
        }
    }
}

/* ---- the replacement ---- */

/* A group that a replacement names behind its $. @return its number; GROUPS_MAX: there is none */
static uint32_t reference(const struct nw_regex *regex, const char **at)
{
    uint32_t group = 0;

    if (**at == '{') {
        size_t size = strcspn(*at + 1, "}");
        bool ends = (*at)[1 + size] == '}';

        for (group = 1; ends && group < regex->groups; group++) {
            if (strlen(regex->names[group]) == size && size > 0 &&
                strncmp(regex->names[group], *at + 1, size) == 0) {
                *at += size + 2;
                return group;
            }
        }
        return GROUPS_MAX;
    }
    if (isdigit((unsigned char)**at) == 0) {
        return GROUPS_MAX;
    }
    group = (uint32_t)(*(*at)++ - '0');
    while (isdigit((unsigned char)**at) != 0 &&
           group * 10 + (uint32_t)(**at - '0') < regex->groups) { /* as long as there is one */
        group = group * 10 + (uint32_t)(*(*at)++ - '0');
    }
    return group < regex->groups ? group : GROUPS_MAX;
}

/* @return NULL: it can be used */
static const char *replacement_check(const struct nw_regex *regex)
{
    for (const char *at = regex->replacement; at != NULL && *at != '\0';) {
        char c = *at++;

        if (c == '\\' && *at++ == '\0') {
            return "its replacement ends with a backslash";
        }
        if (c == '$' && reference(regex, &at) == GROUPS_MAX) {
            return "its replacement has a $ for a group that is not there";
        }
    }
    return NULL;
}

static bool put(char *to, size_t to_size, size_t *used, const char *text, size_t size)
{
    if (size >= to_size - *used) {
        return false;
    }
    memcpy(to + *used, text, size);
    *used += size;
    to[*used] = '\0';
    return true;
}

enum nw_regex_result nw_regex_replace(const struct nw_regex *regex, const char *name, char *to,
                                      size_t to_size)
{
    regmatch_t matches[2 * GROUPS_MAX];
    size_t used = 0;
    bool fits = to_size > 0;

    if (regexec(&regex->compiled, name, sizeof matches / sizeof matches[0], matches, 0) != 0) {
        return NW_REGEX_OTHER;
    }
    if (fits) {
        to[0] = '\0';
    }
    for (const char *at = regex->replacement; *at != '\0' && fits;) {
        const regmatch_t *match = NULL;

        if (*at == '$') {
            at++;
            match = &matches[regex->posix[reference(regex, &at)]];
            fits = match->rm_so < 0 || put(to, to_size, &used, name + match->rm_so,
                                           (size_t)(match->rm_eo - match->rm_so));
            continue;
        }
        at += *at == '\\';
        fits = put(to, to_size, &used, at++, 1);
    }
    return fits ? NW_REGEX_REPLACED : NW_REGEX_TOO_LONG;
}

/* ---- the whole ---- */

static struct nw_regex *regex_make(const char *regex, const char *replacement, int flags, char *why,
                                   size_t why_size)
{
    struct nw_regex *made = calloc(1, sizeof *made);
    struct translation t = {.regex = made, .at = regex};
    int code = 0;

    if (made == NULL ||
        (made->replacement = strdup(replacement == NULL ? "" : replacement)) == NULL) {
        (void)snprintf(why, why_size, "out of memory");
        nw_regex_destroy(made);
        return NULL;
    }
    add_text(&t, "^(");
    t.posix_groups = 1;
    made->groups = 1;
    translate(&t);
    add_text(&t, ")$");
    if (t.why == NULL && t.posix_groups >= 2 * GROUPS_MAX) {
        t.why = "it has too many groups";
    }
    if (t.why == NULL && !nw_pattern_is_small(t.text)) {
        t.why = "it repeats too much: at most {255}, and no count on what has one";
    }
    t.why = t.why == NULL ? replacement_check(made) : t.why;
    if (t.why == NULL) {
        code = regcomp(&made->compiled, t.text, REG_EXTENDED | flags);
        made->has_compiled = code == 0;
        if (code != 0) {
            (void)regerror(code, &made->compiled, why, why_size);
        }
    } else {
        (void)snprintf(why, why_size, "%s", t.why);
    }
    if (!made->has_compiled) {
        nw_regex_destroy(made);
        return NULL;
    }
    return made;
}

struct nw_regex *nw_regex_create(const char *regex, const char *replacement, char *why,
                                 size_t why_size)
{
    return regex_make(regex, replacement, 0, why, why_size);
}

struct nw_regex *nw_regex_create_folded(const char *regex, char *why, size_t why_size)
{
    return regex_make(regex, NULL, REG_ICASE, why, why_size);
}

void nw_regex_destroy(struct nw_regex *regex)
{
    if (regex == NULL) {
        return;
    }
    if (regex->has_compiled) {
        regfree(&regex->compiled);
    }
    free(regex->replacement);
    free(regex);
}
