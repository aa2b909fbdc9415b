/* SPDX-License-Identifier: Apache-2.0 */
/* See pattern.h. */
#include <ctype.h>
#include <regex.h>
#include <stdint.h>
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

/* ---- the price ---- */

#define DEPTH_MAX 32u
#define COUNT_MAX 255u
#define FEWER_MAX 8u /* of what repeats inside: to libc that is much dearer */
#define PARTS_MAX 2048u

/* A group, or what stands alone: how many parts it has when it is written out. */
struct part {
    uint32_t parts;
    bool counted; /* it has a {n,m} */
    bool repeats; /* or another */
};

/* A number. @return behind it; NULL: there is none, or it is too large */
static const char *number_read(const char *at, uint32_t *number)
{
    size_t digits = strspn(at, "0123456789");

    *number = 0;
    for (size_t i = 0; i < digits && *number <= COUNT_MAX; i++) {
        *number = *number * 10 + (uint32_t)(at[i] - '0');
    }
    return digits > 0 && *number <= COUNT_MAX ? at + digits : NULL;
}

/* {n}, {n,} or {n,m}, behind the {. @return behind it; NULL: it is none, or too often */
static const char *count_read(const char *at, uint32_t *times)
{
    at = number_read(at, times);
    if (at != NULL && at[0] == ',' && at[1] == '}') {
        (*times)++;
        at++;
    } else if (at != NULL && *at == ',') {
        at = number_read(at + 1, times);
    }
    *times = *times > 1 ? *times : 1;
    return at != NULL && *at == '}' ? at + 1 : NULL;
}

/* What may follow a part. @return behind it; NULL: too much */
static const char *times_take(const char *at, struct part *last, struct part *group)
{
    uint32_t times = *at == '+' ? 2 : 1;
    bool counts = *at == '{';

    at = counts ? count_read(at + 1, &times) : at + 1;
    if (at == NULL || (counts && (last->counted || (last->repeats && times > FEWER_MAX)))) {
        return NULL;
    }
    group->parts += last->parts * (times - 1);
    last->parts *= times;
    last->counted = last->counted || counts;
    group->counted = group->counted || counts;
    last->repeats = group->repeats = true;
    return at;
}

/* One part that is no group. @return behind it */
static const char *part_skip(const char *at)
{
    if (*at == '\\') {
        return at + (at[1] == '\0' ? 1 : 2);
    }
    if (*at == '[') {
        at += at[1] == '^' ? 2 : 1;
        at += *at == ']';
        at += strcspn(at, "]");
        return at + (*at == ']');
    }
    return at + 1;
}

/* @return the group as a part of the one around it */
static struct part group_close(const struct part *group, struct part *around)
{
    struct part whole = *group;

    whole.parts++;
    around->parts += whole.parts;
    around->counted = around->counted || whole.counted;
    around->repeats = around->repeats || whole.repeats;
    return whole;
}

bool nw_pattern_is_small(const char *posix)
{
    struct part groups[DEPTH_MAX] = {{0}}; /* what those that are open have so far */
    struct part last = {0};
    uint32_t depth = 0;

    for (const char *at = posix; *at != '\0';) {
        if (strchr("*+?{", *at) != NULL) {
            at = times_take(at, &last, &groups[depth]);
            if (at == NULL) {
                return false;
            }
        } else if (*at == '(') {
            if (++depth == DEPTH_MAX) {
                return false;
            }
            groups[depth] = last = (struct part){0};
            at++;
        } else if (*at == ')' && depth > 0) {
            last = group_close(&groups[depth], &groups[depth - 1]);
            depth--;
            at++;
        } else {
            last = (struct part){.parts = 1};
            groups[depth].parts++;
            at = part_skip(at);
        }
        if (groups[depth].parts > PARTS_MAX) {
            return false;
        }
    }
    return true;
}

/* ---- Java's ---- */

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
    if (t.failed || t.used == 0 || !nw_pattern_is_small(posix) ||
        regcomp(&compiled, posix, REG_EXTENDED | REG_NOSUB) != 0) {
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

    if (!nw_pattern_is_small(posix) || regcomp(&compiled, posix, REG_EXTENDED) != 0) {
        return false;
    }
    matches = regexec(&compiled, name, 1, &whole, 0) == 0 && whole.rm_so == 0 &&
              name[whole.rm_eo] == '\0';
    regfree(&compiled);
    return matches;
}
