/* SPDX-License-Identifier: Apache-2.0 */
/* See pattern.h. */
#include <ctype.h>
#include <regex.h>
#include <string.h>

#include "lib/pattern.h"

struct translation {
    char *to;
    size_t size, used;
    bool failed;
};

static void add(struct translation *t, const char *text)
{
    size_t size = strlen(text);

    if (size >= t->size - t->used) {
        t->failed = true;
        return;
    }
    memcpy(t->to + t->used, text, size + 1);
    t->used += size;
}

static void add_char(struct translation *t, char c)
{
    add(t, (const char[]){c, '\0'});
}

/* What is behind a backslash. @return what follows */
static const char *escape(const char *at, struct translation *t)
{
    if (*at == 'd') {
        add(t, "[0-9]");
    } else if (*at == 'w') {
        add(t, "[A-Za-z0-9_]");
    } else if (*at == '\0' || isalnum((unsigned char)*at) != 0) {
        t->failed = true; /* of Java's own */
        return at;
    } else if (strchr(".[]{}()*+?^$|\\", *at) != NULL) {
        add_char(t, '\\');
        add_char(t, *at);
    } else {
        add_char(t, *at);
    }
    return at + 1;
}

/* Behind a "[": to its end. Of escapes only those of what means nothing in POSIX's either. */
static const char *class(const char *at, struct translation *t)
{
    add_char(t, '[');
    if (*at == '^') {
        add_char(t, *at++);
    }
    for (bool first = true; *at != '\0' && *at != ']'; first = false, at++) {
        bool escaped = at[0] == '\\';
        char c = escaped ? at[1] : at[0];

        if (c == '\0' || (escaped && strchr("._$ ", c) == NULL) || strchr("[&\\", c) != NULL ||
            (c == '-' && (first || at[1] == ']'))) {
            t->failed = true;
            return at;
        }
        add_char(t, c);
        at += escaped;
    }
    if (*at != ']' || at[-1] == '[' || at[-1] == '^') {
        t->failed = true;
        return at;
    }
    add_char(t, ']');
    return at + 1;
}

/* How often: to whole names the lazy ones are the same. */
static const char *quantifier(const char *at, struct translation *t)
{
    size_t size = 1;

    if (*at == '{') {
        size = strspn(at + 1, "0123456789,") + 1;
        if (at[size] != '}' || isdigit((unsigned char)at[1]) == 0) {
            t->failed = true;
            return at;
        }
        size++;
    }
    for (size_t i = 0; i < size; i++) {
        add_char(t, at[i]);
    }
    at += size;
    at += *at == '?';
    t->failed = t->failed || (*at != '\0' && strchr("*+?{", *at) != NULL);
    return at;
}

static const char *one(const char *from, const char *at, struct translation *t)
{
    switch (*at) {
    case '\\':
        return escape(at + 1, t);
    case '[':
        return class(at + 1, t);
    case '(':
        add_char(t, '(');
        at++;
        if (at[0] == '?' && at[1] != ':') {
            t->failed = true;
        }
        return at + (at[0] == '?' ? 2 : 0);
    case '*':
    case '+':
    case '?':
    case '{':
        t->failed = t->failed || at == from || strchr("(|^", at[-1]) != NULL;
        return quantifier(at, t);
    case '^': /* all of the name has to match anyway */
    case '$':
        t->failed = t->failed || (*at == '^' ? at != from : at[1] != '\0');
        return at + 1;
    default:
        add_char(t, *at);
        return at + 1;
    }
}

bool nw_pattern_translate(const char *java, char *posix, size_t size)
{
    struct translation t = {.to = posix, .size = size};
    regex_t compiled;
    const char *at = java;

    posix[0] = '\0';
    while (*at != '\0' && !t.failed) {
        at = one(java, at, &t);
    }
    if (t.failed || t.used == 0 || regcomp(&compiled, posix, REG_EXTENDED | REG_NOSUB) != 0) {
        return false;
    }
    regfree(&compiled);
    return true;
}

bool nw_pattern_matches(const char *posix, const char *name)
{
    regex_t compiled;
    regmatch_t whole;
    bool matches = false;

    if (regcomp(&compiled, posix, REG_EXTENDED) != 0) {
        return false;
    }
    matches = regexec(&compiled, name, 1, &whole, 0) == 0 && whole.rm_so == 0 &&
              name[whole.rm_eo] == '\0';
    regfree(&compiled);
    return matches;
}
