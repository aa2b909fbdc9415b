/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of import-debezium share. */
#ifndef NW_TESTS_IMPORT_KIT_H
#define NW_TESTS_IMPORT_KIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli/debezium/import.h"

#define CLASS "\"connector.class\":\"io.debezium.connector.postgresql.PostgresConnector\""

/* The YAML of a connector. To be freed. */
static inline char *made(const char *json, size_t *refused)
{
    struct nw_debezium *to = calloc(1, sizeof *to);
    struct nw_error err = {0};
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    assert_non_null(to);
    assert_non_null(out);
    to->brokers = "kafka:9092";
    assert_int_equal(nw_debezium_read(to, json, strlen(json), &err), NW_OK);
    assert_int_equal(nw_debezium_map(to, refused, &err), NW_OK);
    nw_debezium_print(to, out);
    assert_int_equal(fclose(out), 0);
    nw_debezium_fini(to);
    free(to);
    return text;
}

/* A connector with more properties, as printf() has them: so many are refused, and what is printed
 * has these words. @param words  NULL: any */
__attribute__((format(printf, 3, 4))) static inline void
imported(size_t refused_wanted, const char *words, const char *format, ...)
{
    char more[4096];
    char json[sizeof more + 128];
    size_t refused = 0;
    char *text = NULL;
    va_list arguments;

    va_start(arguments, format);
    assert_in_range(vsnprintf(more, sizeof more, format, arguments), 1, sizeof more - 1);
    va_end(arguments);
    (void)snprintf(json, sizeof json, "{" CLASS ",%s}", more);
    text = made(json, &refused);
    if (refused != refused_wanted || (words != NULL && strstr(text, words) == NULL)) {
        fail_msg("%s: %zu refused, wanted: %s: %s", more, refused, words, text);
    }
    free(text);
}

/* One is refused for a reason with these words, or NULL: none is. */
static inline void refused_or_taken(const char *more, const char *why)
{
    imported(why != NULL, why, "%s", more);
}

#endif
