/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Debezium's regular expressions over names as patterns of narwal. What is known: literal
 * characters, "." between two names (as people write it for "\."; callers count the parts), ".*",
 * ".+", "[abc]", and alternatives, one level deep. All else is refused, rather than guessed.
 */
#include "cli/debezium/import.h"

#include <ctype.h>
#include <string.h>

#define PATTERN_SIZE 512u
#define DEPTH_MAX    8 /* groups one behind the other */

struct pattern {
    char text[PATTERN_SIZE];
    size_t size;
    bool failed;
};

static void add(struct pattern *pattern, const char *text)
{
    size_t size = strlen(text);

    if (size >= PATTERN_SIZE - pattern->size) {
        pattern->failed = true;
        return;
    }
    memcpy(pattern->text + pattern->size, text, size + 1);
    pattern->size += size;
}

static void add_literal(struct pattern *pattern, char c)
{
    const char plain[] = {c, '\0'};
    const char bracketed[] = {'[', c, ']', '\0'};

    add(pattern, strchr("*?[", c) != NULL ? bracketed : plain);
}

/* "[abc]", of letters alone. @return what is behind it; NULL: it is something else */
static const char *class_translate(const char *at, struct pattern *pattern)
{
    const char *end = strchr(at, ']');

    if (end == NULL || end == at + 1) {
        return NULL;
    }
    add(pattern, "[");
    for (const char *c = at + 1; c < end; c++) {
        if (isalnum((unsigned char)*c) == 0 && *c != '_') {
            return NULL;
        }
        add(pattern, (const char[]){*c, '\0'});
    }
    add(pattern, "]");
    return end + 1;
}

/* Between two names a dot can only mean itself. */
static bool is_separator(const char *regex, const char *at)
{
    return at > regex && strchr(".*?+]", at[-1]) == NULL && at[1] != '\0';
}

/* A dot, and what is repeated of it. @return what is behind it */
static const char *dot_translate(const char *regex, const char *at, struct pattern *pattern)
{
    if (at[1] == '*' || at[1] == '+') {
        add(pattern, at[1] == '*' ? "*" : "?*");
        return at + 2;
    }
    add(pattern, is_separator(regex, at) ? "." : "?");
    return at + 1;
}

/* One character of a name, or what stands for some. @return what is behind; NULL: not known */
static const char *one_translate(const char *regex, const char *at, struct pattern *pattern)
{
    if (at[0] == '.') {
        return dot_translate(regex, at, pattern);
    }
    if (at[0] == '[') {
        return class_translate(at, pattern);
    }
    if (at[0] == '\\' && at[1] != '\0' && isalnum((unsigned char)at[1]) == 0) {
        add_literal(pattern, at[1]);
        return at + 2;
    }
    if (strchr("\\^$|?*+(){}]", at[0]) != NULL) {
        return NULL;
    }
    add_literal(pattern, at[0]);
    return at + 1;
}

/* One alternative, without groups. */
static bool translate(const char *regex, struct pattern *pattern)
{
    const char *at = regex;

    while (at != NULL && *at != '\0') {
        at = one_translate(regex, at, pattern);
        if (at != NULL && *at != '\0' && strchr("?*+{", *at) != NULL) {
            return false; /* so many of what was before */
        }
    }
    return at != NULL && !pattern->failed && pattern->size > 0;
}

/* The first place of a character outside of a class, an escape and a group. */
static const char *outside(const char *text, char wanted)
{
    int depth = 0;

    for (; *text != '\0'; text++) {
        if (*text == '\\' && text[1] != '\0') {
            text++;
            continue;
        }
        if (depth == 0 && *text == wanted) {
            return text;
        }
        depth += (*text == '(' || *text == '[') - (*text == ')' || *text == ']');
    }
    return NULL;
}

static bool expand(struct nw_debezium *to, const char *regex, int depth,
                   const char *patterns[NW_DEBEZIUM_ITEMS_MAX], size_t *count);

/* before(a|b)after as beforeaafter and beforebafter */
static bool group_expand(struct nw_debezium *to, const char *regex, const char *open, int depth,
                         const char *patterns[NW_DEBEZIUM_ITEMS_MAX], size_t *count)
{
    const char *close = outside(open + 1, ')');
    const char *at = open + 1;

    at = strncmp(at, "?:", 2) == 0 ? at + 2 : at;
    if (close == NULL || depth == 0 || (close[1] != '\0' && strchr("?*+{", close[1]) != NULL)) {
        return false;
    }
    while (at <= close) {
        const char *bar = outside(at, '|');
        const char *end = bar == NULL || bar > close ? close : bar;

        if (!expand(to,
                    nw_debezium_text(to, "%.*s%.*s%s", (int)(open - regex), regex, (int)(end - at),
                                     at, close + 1),
                    depth - 1, patterns, count)) {
            return false;
        }
        at = end + 1;
    }
    return true;
}

static bool expand(struct nw_debezium *to, const char *regex, int depth,
                   const char *patterns[NW_DEBEZIUM_ITEMS_MAX], size_t *count)
{
    struct pattern pattern = {.size = 0};
    const char *bar = outside(regex, '|');
    const char *open = outside(regex, '(');

    if (bar != NULL) {
        return depth > 0 &&
               expand(to, nw_debezium_text(to, "%.*s", (int)(bar - regex), regex), depth, patterns,
                      count) &&
               expand(to, bar + 1, depth - 1, patterns, count);
    }
    if (open != NULL) {
        return group_expand(to, regex, open, depth, patterns, count);
    }
    if (*count == NW_DEBEZIUM_ITEMS_MAX || !translate(regex, &pattern)) {
        return false;
    }
    patterns[(*count)++] = nw_debezium_text(to, "%s", pattern.text);
    return true;
}

size_t nw_debezium_patterns(struct nw_debezium *to, const char *regex,
                            const char *patterns[NW_DEBEZIUM_ITEMS_MAX])
{
    size_t size = strlen(regex);
    size_t count = 0;
    bool dollar = size > 1 && regex[size - 1] == '$' && regex[size - 2] != '\\';
    const char *inner = NULL;

    if (regex[0] == '^' && outside(regex, '|') != NULL) {
        return 0; /* the anchors would be of the first and the last alternative alone */
    }
    inner = regex[0] == '^' ? regex + 1 : regex;
    inner = nw_debezium_text(to, "%.*s", (int)(strlen(inner) - dollar), inner);
    return expand(to, inner, DEPTH_MAX, patterns, &count) ? count : 0;
}
