/* SPDX-License-Identifier: Apache-2.0 */
/* What of the configuration names nothing that is there: `keys`, `outbox`, `signals_table`,
 * `routes`; and which tables have no such key as is wanted. Asks no broker. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kafka/kafka.h"

#define TEXT_SIZE       NW_ERROR_TEXT_SIZE
#define SHAPES_SAID_MAX 10u

struct look {
    const struct nw_kafka_options *options;
    const struct nw_table *const *tables;
    uint32_t count;
    void (*report)(void *context, const char *text);
    void *context;
};

NW_PRINTF(2, 3)
static void say(const struct look *look, const char *format, ...)
{
    char text[TEXT_SIZE];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    look->report(look->context, text);
}

static void name_look(const struct look *look, const char *option, const char *name)
{
    bool found = name == NULL;

    for (uint32_t i = 0; i < look->count && !found; i++) {
        found = nw_kafka_is_named(name, look->tables[i]);
    }
    if (!found) {
        say(look, "%s: no table is %.200s", option, name);
    }
}

static const char *without_code(const struct nw_error *why)
{
    return why->text + (strncmp(why->text, "NW", 2) == 0 ? sizeof "NWxxxx" : 0);
}

static void key_look(const struct look *look, const char *item)
{
    const struct nw_kafka_options one = {.keys = (const char *const[]){item, NULL}};
    bool found = false;

    for (uint32_t i = 0; i < look->count; i++) {
        struct nw_table *keyed = NULL;
        struct nw_error why = {0};
        nw_status status = nw_kafka_key_find(&one, look->tables[i], &keyed, &why);

        found = found || status == NW_REJECT || keyed != NULL;
        if (status == NW_REJECT) {
            say(look, "%s", without_code(&why));
        }
        free(keyed);
    }
    if (!found) {
        say(look, "keys: \"%.200s\" names no %s", item,
            strstr(item, " => ") == NULL ? "table" : "column of a table");
    }
}

/* Why a table's messages cannot have the key that is wanted. */
static nw_status shape_try(const struct nw_kafka_options *options, const struct nw_table *table,
                           struct nw_error *why)
{
    struct nw_table *own = NULL;
    const struct nw_table *keyed = table;
    struct nw_kafka_names names = {.count = 0};
    struct nw_format_table *format = NULL;
    struct nw_key_shape *shape = NULL;
    nw_status status = nw_kafka_key_find(options, table, &own, why);

    keyed = own != NULL ? own : table;
    if (status == NW_OK && options->format.kind != NW_FORMAT_NARWAL &&
        !nw_kafka_is_outbox(&options->form, table) && nw_kafka_names_find(options, keyed, &names)) {
        format =
            nw_format_table_create(keyed, names.schemas, options->prefix, "", &options->format);
    }
    if (format != NULL) {
        status = nw_kafka_shape_make(options, keyed, format, &shape, why);
    }
    nw_key_shape_destroy(shape);
    nw_format_table_destroy(format);
    free(own);
    return status;
}

/* A name that is wrong is so in many tables. What `keys` has is said by itself. */
static void shapes_look(const struct look *look)
{
    uint32_t said = 0;

    for (uint32_t i = 0; i < look->count; i++) {
        struct nw_error why = {0};

        if (shape_try(look->options, look->tables[i], &why) != NW_REJECT ||
            strncmp(without_code(&why), "keys:", 5) == 0) {
            continue;
        }
        if (said++ < SHAPES_SAID_MAX) {
            say(look, "%s", without_code(&why));
        }
    }
    if (said > SHAPES_SAID_MAX) {
        say(look, "so have %u tables more no such key as is wanted", said - SHAPES_SAID_MAX);
    }
}

/* Topics of an outbox are known by its rows only. */
static void routes_look(const struct look *look)
{
    const struct nw_kafka_options *options = look->options;
    bool *met = options->form.outboxes != NULL || options->routes_count == 0
                    ? NULL
                    : calloc(options->routes_count, sizeof *met);

    if (met == NULL) {
        return;
    }
    for (uint32_t i = 0; i < look->count; i++) {
        nw_kafka_routes_met(options, options->template_, look->tables[i], met);
    }
    for (uint32_t i = 0; i < NW_KAFKA_NOTICES_COUNT; i++) {
        static const struct nw_table none = {.schema_name = "", .name = ""};

        if (options->notices_[i] != NULL) {
            nw_kafka_routes_met(options, options->notices_[i], &none, met);
        }
    }
    for (uint32_t i = 0; i < options->routes_count; i++) {
        if (!met[i]) {
            say(look, "routes: number %u matches no topic", i + 1);
        }
    }
    free(met);
}

void nw_kafka_unmet(const struct nw_config *config, const struct nw_table *const *tables,
                    uint32_t count, void (*report)(void *context, const char *text), void *context)
{
    struct nw_kafka_options options = {0};
    struct nw_error ignored = {0};
    const struct look look = {&options, tables, count, report, context};

    if (nw_kafka_options_read(config, 1, &options, &ignored) == NW_OK) {
        for (size_t i = 0; options.keys != NULL && options.keys[i] != NULL; i++) {
            key_look(&look, options.keys[i]);
        }
        for (size_t i = 0; options.form.outboxes != NULL && options.form.outboxes[i] != NULL; i++) {
            name_look(&look, "outbox", options.form.outboxes[i]);
        }
        name_look(&look, "signals_table", options.signals_table);
        routes_look(&look);
        shapes_look(&look);
    }
    nw_kafka_options_forget(&options);
}
