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

/* A connector with some properties more: one is refused for a reason with these words, or NULL:
 * none is. */
static inline void refused_or_taken(const char *more, const char *why)
{
    char json[4096];
    size_t refused = 0;
    char *text = NULL;

    assert_in_range(snprintf(json, sizeof json, "{" CLASS ",%s}", more), 1, sizeof json - 1);
    text = made(json, &refused);
    if (refused != (why != NULL) || (why != NULL && strstr(text, why) == NULL)) {
        fail_msg("%s: %zu refused: %s", more, refused, text);
    }
    free(text);
}

#endif
