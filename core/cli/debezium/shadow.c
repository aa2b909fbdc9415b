/* SPDX-License-Identifier: Apache-2.0 */
/* See import.h: the same pipeline beside the connector, to be compared with it: another slot,
 * other topics, and nothing that is said or asked twice. */
#include "cli/debezium/import.h"

#include <string.h>

#define WORD        "shadow"
#define WORD_SIZE   (sizeof WORD) /* with an underscore */
#define SLOT_MAX    (63u - WORD_SIZE)
#define NAME_LENGTH (40u - WORD_SIZE)

/* What acts, or is heard, beside the rows. */
static const char *const silent[] = {
    "signals_table",       "signals_topic", "signals_data_collection",
    "notifications_topic", "heartbeat",     "heartbeat_topic"};
/* Topics; most have the prefix in them. */
static const char *const topics[] = {"topic", "outbox_topic", "transactions_topic",
                                     "messages_topic", "schema_topic"};

static struct nw_debezium_line *line_find(struct nw_debezium *to, const char *section,
                                          const char *key)
{
    for (size_t i = 0; i < to->lines_count; i++) {
        if (strcmp(to->lines[i].section, section) == 0 && strcmp(to->lines[i].key, key) == 0) {
            return &to->lines[i];
        }
    }
    return NULL;
}

static void line_set(struct nw_debezium *to, const char *path, const char *section, const char *key,
                     const char *value, const char *why)
{
    struct nw_debezium_line *line = NULL;

    nw_debezium_put(to, path, value, why);
    line = line_find(to, section, key);
    if (line != NULL) {
        line->value = value;
        line->why = why;
    }
}

/* A prefix as an expression: of what topics' names have only a dot means something else. */
static const char *escaped(struct nw_debezium *to, const char *prefix)
{
    const char *made = "";

    for (; *prefix != '\0'; prefix++) {
        made = nw_debezium_text(to, *prefix == '.' ? "%s\\%c" : "%s%c", made, *prefix);
    }
    return made;
}

/* Whether one of them renames schemas as it names topics. */
static bool renames(const char *routes)
{
    const char *arrow = routes;
    unsigned arrows = 0;

    for (; (arrow = strstr(arrow, " => ")) != NULL; arrow += 4) {
        const char *next = strstr(arrow + 4, " => ");

        arrows = next != NULL && memchr(arrow, '"', (size_t)(next - arrow)) == NULL ? arrows + 1
                                                                                    : arrows;
    }
    return arrows > 0;
}

/* Routes have the connector's names before them, as their expressions and what they put into keys
 * want. What has the connector's prefix behind them gets the shadow's, other names WORD. */
static void routes_set(struct nw_debezium *to, const char *prefix)
{
    struct nw_debezium_line *line = line_find(to, "sink", "routes");
    const char *own = escaped(to, prefix);
    const char *suffix = "";

    if (line == NULL || line->value == NULL) {
        return;
    }
    suffix = renames(line->value) ? " => -" : "";
    line->value = nw_debezium_text(
        to, "%s, %s",
        nw_debezium_quoted(to, nw_debezium_text(to, "%s_" WORD "(.*) => %s$1", own, prefix)),
        line->value);
    nw_debezium_item(to, "sink.routes", "(.*) => " WORD ".$1");
    nw_debezium_item(
        to, "sink.routes",
        nw_debezium_text(to, WORD "\\.%s(.*) => %s_" WORD "$1%s", own, prefix, suffix));
}

/* What it is not to do, or has no use for. */
static void silence(struct nw_debezium *to)
{
    for (size_t i = 0; i < sizeof silent / sizeof silent[0]; i++) {
        struct nw_debezium_line *line = line_find(to, "sink", silent[i]);

        if (line != NULL) {
            line->value = NULL;
        }
    }
    for (size_t i = 0; i < to->lines_count; i++) {
        struct nw_debezium_line *line = &to->lines[i];

        if (strcmp(line->section, "source.heartbeat") == 0 ||
            (strcmp(line->section, "copy") == 0 && strcmp(line->key, "where") == 0)) {
            line->value = NULL;
        }
    }
}

void nw_debezium_shadow(struct nw_debezium *to)
{
    const char *slot = nw_debezium_get(to, "slot.name");
    const char *prefix = nw_debezium_get(to, "topic.prefix");
    struct nw_debezium_line *outbox = line_find(to, "sink", "outbox");

    slot = slot == NULL ? "debezium" : slot;
    prefix = prefix == NULL ? to->name : prefix;
    to->name = nw_debezium_text(to, "%.*s_" WORD, (int)NAME_LENGTH, to->name);
    line_set(to, "source.slot.name", "source.slot", "name",
             nw_debezium_quoted(to, nw_debezium_text(to, "%.*s_" WORD, (int)SLOT_MAX, slot)),
             "--shadow: beside that of the connector");
    line_set(to, "source.publication.create", "source.publication", "create", "false",
             "--shadow: the connector's");
    line_set(to, "source.snapshot", "source", "snapshot", "never",
             "--shadow: what changes from now on is compared");
    line_set(to, "sink.prefix", "sink", "prefix",
             nw_debezium_quoted(to, nw_debezium_text(to, "%s_" WORD, prefix)),
             "--shadow: narwal diff-topics compares both");
    if (outbox != NULL && outbox->value != NULL) {
        nw_debezium_put(to, "sink.outbox_topic", "\"outbox.event.{value}\"", NULL);
    }
    routes_set(to, prefix);
    silence(to);
    for (size_t i = 0; i < sizeof topics / sizeof topics[0]; i++) {
        struct nw_debezium_line *line = line_find(to, "sink", topics[i]);

        if (line != NULL && line->value != NULL && line->value[0] == '"' &&
            strstr(line->value, "{prefix}") == NULL) {
            line->value = nw_debezium_text(to, "\"" WORD ".%s", line->value + 1);
            line->why = "--shadow: the connector's is another";
        }
    }
}
