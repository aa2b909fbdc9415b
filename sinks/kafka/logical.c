/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Routes that do what Debezium's ByLogicalTableRouter does: beside the topic's name a table's
 * schemas get another one, and its keys a field that says which table they are of.
 *
 *   REGEX => REPLACEMENT => FIELD                        the field has the topic's former name
 *   REGEX => REPLACEMENT => FIELD => REGEX => REPLACEMENT  or what these make of it
 *   REGEX => REPLACEMENT => -                            no field
 *
 * Immutable once made: any thread.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kafka/kafka.h"

#define PARTS_MAX 5u

static const char between[] = " => ";

/* @return how many; the last one has the rest. All own */
static size_t parts_split(const char *item, char *parts[static PARTS_MAX])
{
    size_t count = 0;

    while (count < PARTS_MAX) {
        const char *end = strstr(item, between);

        if (end == NULL || count + 1 == PARTS_MAX) {
            parts[count++] = strdup(item);
            break;
        }
        parts[count++] = strndup(item, (size_t)(end - item));
        item = end + sizeof between - 1;
    }
    return count;
}

static bool logical_fill(struct nw_kafka_logical *logical, char *const *parts, size_t count,
                         char *why, size_t why_size)
{
    if (count < 3) {
        return true;
    }
    logical->renames = true;
    if (strcmp(parts[2], "-") != 0) {
        logical->field = strdup(parts[2]);
    }
    if (count == 5) {
        logical->regex = nw_regex_create(parts[3], parts[4], why, why_size);
    }
    return (logical->field != NULL || strcmp(parts[2], "-") == 0) &&
           (count < 5 || logical->regex != NULL);
}

struct nw_regex *nw_kafka_route_make(const char *item, struct nw_kafka_logical *logical, char *why,
                                     size_t why_size)
{
    char *parts[PARTS_MAX] = {NULL};
    size_t count = parts_split(item, parts);
    struct nw_regex *made = NULL;
    bool whole = count >= 2;

    for (size_t i = 0; i < count; i++) {
        whole = whole && parts[i] != NULL;
    }
    if (count < 2 || count == 4 || (count > 2 && whole && parts[2][0] == '\0')) {
        (void)snprintf(why, why_size,
                       "it is neither REGEX => REPLACEMENT nor REGEX => REPLACEMENT => FIELD, "
                       "and => REGEX => REPLACEMENT for that");
    } else {
        (void)snprintf(why, why_size, "out of memory");
        made = whole ? nw_regex_create(parts[0], parts[1], why, why_size) : NULL;
        if (made != NULL && !logical_fill(logical, parts, count, why, why_size)) {
            nw_regex_destroy(made);
            made = NULL;
        }
    }
    for (size_t i = 0; i < count; i++) {
        free(parts[i]);
    }
    return made;
}

void nw_kafka_logical_fini(struct nw_kafka_logical *logical)
{
    free(logical->field);
    nw_regex_destroy(logical->regex);
    *logical = (struct nw_kafka_logical){0};
}

/* What a route that matched says of a topic's former name. @return false: there is no room */
static bool logical_note(const struct nw_kafka_logical *logical, const char *former,
                         struct nw_kafka_names *names)
{
    char *text = NULL;
    enum nw_regex_result result = NW_REGEX_OTHER;

    if (logical->field == NULL) {
        return true;
    }
    if (names->count == NW_KAFKA_FIELDS_MAX) {
        return false;
    }
    text = names->texts[names->count];
    if (logical->regex != NULL) {
        result = nw_regex_replace(logical->regex, former, text, NW_NAME_SIZE);
    }
    if (result == NW_REGEX_OTHER) {
        (void)snprintf(text, NW_NAME_SIZE, "%s", former);
    }
    names->fields[names->count] = (struct nw_key_constant){logical->field, text};
    names->count++;
    return result != NW_REGEX_TOO_LONG;
}

bool nw_kafka_names_find(const struct nw_kafka_options *options, const struct nw_table *table,
                         struct nw_kafka_names *names)
{
    char topic[NW_NAME_SIZE];
    char routed[NW_NAME_SIZE];

    names->count = 0;
    if (!nw_name_fill(NW_NAME_OF_SCHEMAS, options->prefix, table, names->schemas) ||
        !nw_name_fill(options->template_, options->prefix, table, topic)) {
        return false;
    }
    for (uint32_t i = 0; i < options->routes_count; i++) {
        const struct nw_table named = {.schema_name = "", .name = routed};

        if (nw_regex_replace(options->routes[i], topic, routed, sizeof routed) !=
            NW_REGEX_REPLACED) {
            continue;
        }
        if (options->logical[i].renames && (!logical_note(&options->logical[i], topic, names) ||
                                            !nw_name_fill("{table}", "", &named, names->schemas))) {
            return false;
        }
        if (!nw_name_fill("{table}", "", &named, topic)) {
            return false;
        }
    }
    return true;
}
