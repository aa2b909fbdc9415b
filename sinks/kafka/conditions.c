/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which rows of a table a signal asks for: additional-conditions, each for the tables whose name
 * its expression matches. Here only data-collections are known, and narwal finds the tables: so a
 * condition has to be for one of those.
 */
#include "kafka/conditions.h"

#include <regex.h>
#include <string.h>
#include <strings.h>

#define FILTER_MAX 700 /* bytes: as much has room in a command behind two long names */

/*
 * {"data-collection": "REGEX", "filter": "CONDITION"}, each of which is needed: the rows of tables
 * with such names, in whichever case. @return false: it is something else
 */
static bool condition_read(const json_t *condition, char *pattern, size_t size, const char **filter)
{
    const char *name = json_string_value(json_object_get(condition, "data-collection"));

    *filter = json_string_value(json_object_get(condition, "filter"));
    return name != NULL && *filter != NULL && nw_kafka_pattern_read(name, pattern, size);
}

/* The name that such an expression stands for, if it is for one by itself. @return false: it is not
 */
static bool plain_read(const char *posix, char *plain, size_t size)
{
    size_t used = 0;

    for (; *posix != '\0' && used + 1 < size; posix++) {
        if (strchr("^[$()|*+?{", *posix) != NULL) {
            return false;
        }
        posix += *posix == '\\' && posix[1] != '\0';
        plain[used++] = *posix;
    }
    plain[used] = '\0';
    return *posix == '\0';
}

/* Whether a condition is for this one of data-collections: both are the same, or it is for the
 * table that the other names. */
static bool condition_is_for(const char *condition, const char *name)
{
    char plain[NW_KAFKA_PATTERN_SIZE];
    regex_t compiled;
    regmatch_t match;
    bool is = strcasecmp(condition, name) == 0;

    if (is || !plain_read(name, plain, sizeof plain) ||
        regcomp(&compiled, condition, REG_EXTENDED | REG_ICASE) != 0) {
        return is;
    }
    is = regexec(&compiled, plain, 1, &match, 0) == 0 && match.rm_so == 0 &&
         plain[match.rm_eo] == '\0';
    regfree(&compiled);
    return is;
}

/* Java's isBlank() of a filter is none. */
static bool is_blank(const char *filter)
{
    return filter[strspn(filter, " \t\r\n\f")] == '\0';
}

const char *nw_kafka_filter_of(const json_t *data, const char *name)
{
    const json_t *conditions = json_object_get(data, "additional-conditions");
    const char *former = json_string_value(json_object_get(data, "additional-condition"));
    char pattern[NW_KAFKA_PATTERN_SIZE];
    const char *filter = NULL;

    for (size_t i = 0; i < json_array_size(conditions); i++) {
        if (condition_read(json_array_get(conditions, i), pattern, sizeof pattern, &filter) &&
            condition_is_for(pattern, name)) {
            return is_blank(filter) ? "" : filter;
        }
    }
    return former == NULL || is_blank(former) ? "" : former;
}

static bool is_for_any(const char *condition, const json_t *names)
{
    char name[NW_KAFKA_PATTERN_SIZE];

    for (size_t i = 0; i < json_array_size(names); i++) {
        const char *text = json_string_value(json_array_get(names, i));

        if (text != NULL && nw_kafka_pattern_read(text, name, sizeof name) &&
            condition_is_for(condition, name)) {
            return true;
        }
    }
    return false;
}

static const char *filter_fault(const char *filter)
{
    if (strlen(filter) > FILTER_MAX) {
        return "a filter is longer than 700 bytes";
    }
    for (; *filter != '\0'; filter++) {
        if ((unsigned char)*filter < ' ' && *filter != '\n' && *filter != '\t') {
            return "a filter has a control character";
        }
    }
    return NULL;
}

static const char *condition_fault(const json_t *condition, const json_t *names)
{
    char pattern[NW_KAFKA_PATTERN_SIZE];
    const char *filter = NULL;

    if (!condition_read(condition, pattern, sizeof pattern, &filter)) {
        return "one of additional-conditions is no {\"data-collection\": \"SCHEMA.TABLE\", "
               "\"filter\": \"CONDITION\"}";
    }
    return is_for_any(pattern, names)
               ? filter_fault(filter)
               : "one of additional-conditions is for none of data-collections: name each table "
                 "in both, or the same regular expression";
}

const char *nw_kafka_conditions_fault(const json_t *data, bool blocking)
{
    const json_t *conditions = json_object_get(data, "additional-conditions");
    const json_t *former = json_object_get(data, "additional-condition");
    const char *fault = json_is_string(former) ? filter_fault(json_string_value(former)) : NULL;

    for (size_t i = 0; i < json_array_size(conditions) && fault == NULL; i++) {
        fault = condition_fault(json_array_get(conditions, i),
                                json_object_get(data, "data-collections"));
    }
    return fault == NULL && blocking && (json_array_size(conditions) > 0 || json_is_string(former))
               ? "rows cannot be chosen by additional-conditions where its type is blocking: there "
                 "they are whole statements"
               : fault;
}
