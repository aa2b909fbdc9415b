/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See import.h: what is sent beside rows, and what a transform of the connector does with it. There
 * all messages pass by the transforms; narwal's routes give their topics names, and no more.
 */
#include <ctype.h>
#include <regex.h>
#include <string.h>

#include "cli/debezium/import.h"

#define TOPICS_MAX 4u /* with logical messages */
#define REGEX_MAX  1024u

/* An expression of Java's on its way to one of POSIX's. */
struct translation {
    const char *at;
    char *posix; /* of REGEX_MAX bytes */
    size_t used;
    bool inside; /* of [brackets] */
};

static void add(struct translation *t, const char *before, const char *text, const char *after)
{
    t->used +=
        (size_t)snprintf(t->posix + t->used, REGEX_MAX - t->used, "%s%s%s", before, text, after);
}

/* What \d, \w and \s have, as in [brackets]; NULL: it is none of these. */
static const char *set_of(char c)
{
    return c == 'd' ? "0-9" : c == 'w' ? "A-Za-z0-9_" : c == 's' ? " \t\n\r\f\v" : NULL;
}

/* A character for itself. @return false: not in this place */
static bool literal_add(struct translation *t, char c)
{
    if (ispunct((unsigned char)c) == 0 || (t->inside && strchr("]^-\\", c) != NULL)) {
        return false;
    }
    add(t, t->inside ? "" : "\\", (char[]){c, '\0'}, "");
    return true;
}

/* One with a backslash. @return false: it is not understood */
static bool escape_take(struct translation *t)
{
    const char c = t->at[1];
    const char *set = set_of(c);
    const char *others = t->inside ? NULL : set_of((char)tolower((unsigned char)c));

    if (set != NULL) {
        add(t, t->inside ? "" : "[", set, t->inside ? "" : "]");
    } else if (others != NULL) {
        add(t, "[^", others, "]");
    } else if (!literal_add(t, c)) {
        return false;
    }
    t->at += 2;
    return true;
}

/* What narwal's routes cannot say is refused before. @return false: no room, or not understood */
static bool translate(const char *java, char posix[static REGEX_MAX])
{
    struct translation t = {.at = java, .posix = posix};
    bool known = true;

    add(&t, "", "^(", "");
    while (*t.at != '\0' && known && t.used < REGEX_MAX - 16) {
        if (*t.at == '\\') {
            known = escape_take(&t);
        } else if (!t.inside && strncmp(t.at, "(?", 2) == 0) { /* (?: and (?<name> */
            add(&t, "", "(", "");
            t.at += strcspn(t.at, ":>");
            t.at += *t.at != '\0';
        } else {
            t.inside = t.inside ? *t.at != ']' : *t.at == '[';
            add(&t, "", (char[]){*t.at++, '\0'}, "");
        }
    }
    add(&t, "", ")$", "");
    return known && *t.at == '\0';
}

enum answer { NO, PERHAPS, YES };

/* Whether it matches the whole text. PERHAPS: it is not understood here */
static enum answer matches(const char *java, const char *text)
{
    char posix[REGEX_MAX];
    regex_t compiled;
    int code = 0;

    if (nw_debezium_regex_other(java) != NULL || !translate(java, posix) ||
        regcomp(&compiled, posix, REG_EXTENDED | REG_NOSUB) != 0) {
        return PERHAPS;
    }
    code = regexec(&compiled, text, 0, NULL, 0);
    regfree(&compiled);
    return code == 0 ? YES : NO;
}

static const char *or_else(const char *text, const char *otherwise)
{
    return text == NULL ? otherwise : text;
}

/* Messages that the connector sends beside rows. */
struct beside {
    const char *topic;
    const char *const *fields; /* ends with NULL */
    const char *otherwise;     /* what one may do, beside a predicate; NULL */
};

/* @return how many there are */
static size_t beside_find(struct nw_debezium *to, struct beside found[static TOPICS_MAX])
{
    static const char *const transactions[] = {"status",           "id",    "event_count",
                                               "data_collections", "ts_ms", NULL};
    static const char *const beats[] = {"ts_ms", NULL};
    static const char *const notifications[] = {
        "id", "type", "aggregate_type", "additional_data", "timestamp", NULL};
    const char *prefix = or_else(nw_debezium_get(to, "topic.prefix"), "");
    const char *between = or_else(nw_debezium_get(to, "topic.delimiter"), ".");
    const char *name = nw_debezium_get(to, "topic.heartbeat.name");
    const char *notes = nw_debezium_get(to, "notification.sink.topic.name");
    const char *channels = nw_debezium_get(to, "notification.enabled.channels");
    size_t count = 0;

    if (nw_debezium_said(nw_debezium_get(to, "provide.transaction.metadata"), false)) {
        found[count++] = (struct beside){
            nw_debezium_text(to, "%s%s%s", prefix, between,
                             or_else(nw_debezium_get(to, "topic.transaction"), "transaction")),
            transactions, NULL};
    }
    if (strcmp(or_else(nw_debezium_get(to, "heartbeat.interval.ms"), "0"), "0") != 0) {
        found[count++] = (struct beside){
            name != NULL ? name
                         : nw_debezium_text(to, "%s%s%s",
                                            or_else(nw_debezium_get(to, "topic.heartbeat.prefix"),
                                                    "__debezium-heartbeat"),
                                            between, prefix),
            beats, NULL};
    }
    if (notes != NULL && channels != NULL && strstr(channels, "sink") != NULL) {
        found[count++] = (struct beside){notes, notifications, NULL};
    }
    return count;
}

/* Whether the transform's predicate leaves it the messages of a topic, none of them tombstones. */
static enum answer has_topic(struct nw_debezium *to, const char *prefix, const char *topic)
{
    const char *alias = nw_debezium_under(to, prefix, "predicate");
    bool negates = nw_debezium_said(nw_debezium_under(to, prefix, "negate"), false);
    const char *pattern =
        alias == NULL ? NULL
                      : nw_debezium_get(to, nw_debezium_text(to, "predicates.%s.pattern", alias));
    enum answer answer = pattern == NULL ? NO : matches(pattern, topic);

    if (alias == NULL) {
        return YES;
    }
    return !negates ? answer : answer == YES ? NO : answer == NO ? YES : PERHAPS;
}

void nw_debezium_beside_check(struct nw_debezium *to, const char *prefix, const char *name,
                              bool keys)
{
    const char *regex = nw_debezium_under(to, prefix, name);
    struct beside found[TOPICS_MAX];
    size_t count = beside_find(to, found);

    for (size_t i = 0; i < count && regex != NULL; i++) {
        bool applied = has_topic(to, prefix, found[i].topic) == YES;

        if (matches(regex, found[i].topic) != NO && (keys || !applied)) {
            nw_debezium_refuse_name(
                to, nw_debezium_text(to, "%s%s", prefix, name),
                nw_debezium_text(to,
                                 applied ? "it matches %s too, whose keys narwal leaves as they "
                                           "are: take an expression that matches tables only"
                                         : "it matches %s, too, which the predicate leaves out and "
                                           "narwal does not: take an expression that matches "
                                           "tables only",
                                 found[i].topic));
            return;
        }
    }
}

static bool has_field(const struct beside *beside, const char *field)
{
    for (size_t i = 0; beside->fields[i] != NULL; i++) {
        if (strcmp(beside->fields[i], field) == 0) {
            return true;
        }
    }
    return false;
}

/* Logical messages have fields of their own, behind ExtractNewRecordState too, which leaves them as
 * they are. @return false: none are sent */
static bool messages_find(struct nw_debezium *to, struct beside *found)
{
    static const char *const messages[] = {"op", "ts_ms", "source", "transaction", "message", NULL};
    const char *left_out = nw_debezium_get(to, "message.prefix.exclude.list");

    *found = (struct beside){
        nw_debezium_text(to, "%s%smessage", or_else(nw_debezium_get(to, "topic.prefix"), ""),
                         or_else(nw_debezium_get(to, "topic.delimiter"), ".")),
        messages, ", or where none are sent set message.prefix.exclude.list to .*"};
    return !nw_debezium_same(left_out, ".*");
}

const char *nw_debezium_beside_reason(struct nw_debezium *to, const char *prefix, const char *field)
{
    struct beside found[TOPICS_MAX];
    size_t count = beside_find(to, found);

    if (field != NULL && messages_find(to, &found[count])) { /* few send any */
        count++;
    }

    for (size_t i = 0; i < count; i++) {
        if ((field == NULL || has_field(&found[i], field)) &&
            has_topic(to, prefix, found[i].topic) != NO) {
            return nw_debezium_text(to,
                                    "it would change the messages of %s as well, which narwal "
                                    "leaves as they are: leave that topic out by a predicate%s",
                                    found[i].topic, or_else(found[i].otherwise, ""));
        }
    }
    return NULL;
}
