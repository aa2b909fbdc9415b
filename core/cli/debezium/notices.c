/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See import.h: what is sent beside rows, and what a router of the connector does with it. There
 * all messages pass by the transforms; narwal's routes give their topics names, and no more.
 */
#include <ctype.h>
#include <regex.h>
#include <string.h>

#include "cli/debezium/import.h"

#define TOPICS_MAX 3u
#define REGEX_MAX  1024u

/* An expression of Java's as one of POSIX's; what narwal's routes cannot say is refused before.
 * @return false: no room */
static bool translate(const char *java, char posix[static REGEX_MAX])
{
    size_t used = (size_t)snprintf(posix, REGEX_MAX, "^(");

    while (*java != '\0' && used < REGEX_MAX - 16) {
        const char *set = java[0] != '\\'  ? NULL
                          : java[1] == 'd' ? "[0-9]"
                          : java[1] == 'w' ? "[A-Za-z0-9_]"
                                           : NULL;

        if (set != NULL) {
            used += (size_t)snprintf(posix + used, REGEX_MAX - used, "%s", set);
            java += 2;
        } else if (strncmp(java, "(?", 2) == 0) { /* (?: and (?<name> */
            posix[used++] = '(';
            java += strcspn(java, ":>");
            java += *java != '\0';
        } else if (java[0] == '\\' && ispunct((unsigned char)java[1]) != 0) {
            posix[used++] = *java++;
            posix[used++] = *java++;
        } else {
            posix[used++] = *java++;
        }
    }
    (void)snprintf(posix + used, REGEX_MAX - used, ")$");
    return *java == '\0';
}

/* Whether it matches the whole text, or might: it is not understood here. */
static bool matches(const char *java, const char *text)
{
    char posix[REGEX_MAX];
    regex_t compiled;
    int code = 0;

    if (!translate(java, posix) || regcomp(&compiled, posix, REG_EXTENDED | REG_NOSUB) != 0) {
        return true;
    }
    code = regexec(&compiled, text, 0, NULL, 0);
    regfree(&compiled);
    return code == 0;
}

static const char *or_else(const char *text, const char *otherwise)
{
    return text == NULL ? otherwise : text;
}

/* The topics of what the connector sends beside rows. @return how many */
static size_t topics_find(struct nw_debezium *to, const char *topics[static TOPICS_MAX])
{
    const char *prefix = or_else(nw_debezium_get(to, "topic.prefix"), "");
    const char *between = or_else(nw_debezium_get(to, "topic.delimiter"), ".");
    const char *name = nw_debezium_get(to, "topic.heartbeat.name");
    const char *notes = nw_debezium_get(to, "notification.sink.topic.name");
    const char *channels = nw_debezium_get(to, "notification.enabled.channels");
    size_t count = 0;

    if (nw_debezium_said(nw_debezium_get(to, "provide.transaction.metadata"), false)) {
        topics[count++] =
            nw_debezium_text(to, "%s%s%s", prefix, between,
                             or_else(nw_debezium_get(to, "topic.transaction"), "transaction"));
    }
    if (strcmp(or_else(nw_debezium_get(to, "heartbeat.interval.ms"), "0"), "0") != 0) {
        topics[count++] =
            name != NULL ? name
                         : nw_debezium_text(to, "%s%s%s",
                                            or_else(nw_debezium_get(to, "topic.heartbeat.prefix"),
                                                    "__debezium-heartbeat"),
                                            between, prefix);
    }
    if (notes != NULL && channels != NULL && strstr(channels, "sink") != NULL) {
        topics[count++] = notes;
    }
    return count;
}

/* Whether the transform's predicate leaves it the messages of a topic, none of them tombstones. */
static bool has_topic(struct nw_debezium *to, const char *prefix, const char *topic)
{
    const char *alias = nw_debezium_under(to, prefix, "predicate");
    bool negates = nw_debezium_said(nw_debezium_under(to, prefix, "negate"), false);
    const char *pattern =
        alias == NULL ? NULL
                      : nw_debezium_get(to, nw_debezium_text(to, "predicates.%s.pattern", alias));

    return alias == NULL || (pattern != NULL && matches(pattern, topic)) != negates;
}

void nw_debezium_beside_check(struct nw_debezium *to, const char *prefix, const char *name,
                              bool keys)
{
    const char *regex = nw_debezium_under(to, prefix, name);
    const char *topics[TOPICS_MAX];
    size_t count = topics_find(to, topics);

    for (size_t i = 0; i < count && regex != NULL; i++) {
        bool applied = has_topic(to, prefix, topics[i]);

        if (matches(regex, topics[i]) && (keys || !applied)) {
            nw_debezium_refuse_name(
                to, nw_debezium_text(to, "%s%s", prefix, name),
                nw_debezium_text(to,
                                 applied ? "it matches %s too, whose keys narwal leaves as they "
                                           "are: take an expression that matches tables only"
                                         : "it matches %s, too, which the predicate leaves out and "
                                           "narwal does not: take an expression that matches "
                                           "tables only",
                                 topics[i]));
            return;
        }
    }
}
