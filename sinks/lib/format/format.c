/* SPDX-License-Identifier: Apache-2.0 */
/* See format.h. */
#include "lib/format/format.h"

#include <stddef.h>
#include <stdlib.h>

const char *const nw_format_kinds[] = {"narwal", "debezium_json", "debezium_avro", "cloudevents",
                                       NULL};
const char *const nw_format_decimals[] = {"precise", "double", "string", NULL};
const char *const nw_format_decimal_formats[] = {"base64", "numeric", NULL};
const char *const nw_format_times[] = {"adaptive",     "adaptive_time_microseconds",
                                       "connect",      "isostring",
                                       "microseconds", "nanoseconds",
                                       "structured",   NULL};
const char *const nw_format_intervals[] = {"numeric", "string", NULL};
const char *const nw_format_binaries[] = {"bytes", "base64", "base64_url_safe", "hex", NULL};
const char *const nw_format_hstores[] = {"json", "map", NULL};
const char *const nw_format_unknowns[] = {"omit", "bytes", "text", NULL};
const char *const nw_format_unfits[] = {"reject", "as_null", NULL};
const char *const nw_format_names[] = {"none", "avro", "avro_unicode", NULL};
const char *const nw_format_compats[] = {"right", "exact", NULL};

void nw_format_options_read(const struct nw_setting *settings, struct nw_format_options *to)
{
    const char *placeholder = settings[NW_FORMAT_OPTION_UNAVAILABLE].text;

    /* The choices are in the order of the enums. */
    to->kind = (enum nw_format_kind)settings[NW_FORMAT_OPTION_FORMAT].number;
    to->connect = (struct nw_connect_options){
        .decimals = (enum nw_connect_decimals)settings[NW_FORMAT_OPTION_DECIMALS].number,
        .times = (enum nw_connect_times)settings[NW_FORMAT_OPTION_TIMES].number,
        .intervals = (enum nw_connect_intervals)settings[NW_FORMAT_OPTION_INTERVALS].number,
        .hstores = (enum nw_connect_hstores)settings[NW_FORMAT_OPTION_HSTORES].number,
        .binaries = (enum nw_connect_binaries)settings[NW_FORMAT_OPTION_BINARIES].number,
        .schema_names = (enum nw_connect_names)settings[NW_FORMAT_OPTION_SCHEMA_NAMES].number,
        .field_names = (enum nw_connect_names)settings[NW_FORMAT_OPTION_FIELD_NAMES].number,
        .unknown = (enum nw_connect_unknown)settings[NW_FORMAT_OPTION_UNKNOWN_TYPES].number,
        .money_digits = (uint8_t)settings[NW_FORMAT_OPTION_MONEY_DIGITS].number,
        .numbers_as_text = settings[NW_FORMAT_OPTION_DECIMAL_FORMAT].number == 1,
        .exact = settings[NW_FORMAT_OPTION_COMPAT].number == 1,
        .unfit_null = settings[NW_FORMAT_OPTION_UNFIT].number == 1,
        .null_as_default = settings[NW_FORMAT_OPTION_NULL_AS_DEFAULT].flag,
        .placeholder = placeholder,
        .placeholder_size = (uint32_t)strlen(placeholder),
    };
    to->debezium = (struct nw_debezium_options){
        .schemas = settings[NW_FORMAT_OPTION_SCHEMAS].flag,
        .null_as_default = settings[NW_FORMAT_OPTION_NULL_AS_DEFAULT].flag,
        .snapshot_null = settings[NW_FORMAT_OPTION_COMPAT].number == 1 &&
                         !settings[NW_FORMAT_OPTION_NULL_AS_DEFAULT].flag,
    };
}

void nw_format_options_for_avro(struct nw_format_options *options)
{
    enum nw_connect_names *schemas = &options->connect.schema_names;
    enum nw_connect_names *fields = &options->connect.field_names;

    *schemas = *schemas == NW_NAMES_AS_THEY_ARE ? NW_NAMES_AVRO : *schemas;
    *fields = *fields == NW_NAMES_AS_THEY_ARE ? NW_NAMES_AVRO : *fields;
    options->connect.numbers_as_text = false;
}

struct nw_format_table *nw_format_table_create(const struct nw_table *table, const char *name,
                                               const char *prefix, const char *database,
                                               const struct nw_format_options *options)
{
    struct nw_format_table *made = calloc(1, sizeof *made);

    if (made == NULL) {
        return NULL;
    }
    made->origin = (struct nw_origin){.version = NW_FORMAT_VERSION,
                                      .name = prefix,
                                      .database = database,
                                      .schema = table->schema_name,
                                      .table = table->name};
    made->connect = nw_connect_table_create(table, name, &options->connect);
    if (made->connect != NULL) {
        made->scratch = nw_connect_scratch_create(made->connect);
        made->debezium = nw_debezium_create(made->connect, &made->origin, &options->debezium);
    }
    if (made->scratch == NULL || made->debezium == NULL) {
        nw_format_table_destroy(made);
        return NULL;
    }
    return made;
}

void nw_format_table_destroy(struct nw_format_table *table)
{
    if (table == NULL) {
        return;
    }
    nw_debezium_destroy(table->debezium);
    nw_connect_scratch_destroy(table->scratch);
    if (table->connect != NULL) {
        nw_connect_table_destroy(table->connect);
    }
    free(table);
}

nw_status nw_format_table_check(const struct nw_format_table *format, const struct nw_host *host,
                                struct nw_error *err)
{
    const struct nw_table *table = format->connect->table;

    for (uint16_t i = 0; i < table->columns_count; i++) {
        if (!nw_connect_table_has(format->connect, i)) {
            host->log(host, NW_LOG_WARN,
                      "NW2719 %s.%s: column %s is left out, as Debezium does: its type %s has no "
                      "schema; unknown_types: text sends it",
                      table->schema_name, table->name, table->columns[i].name,
                      table->columns[i].type_name);
        }
    }
    for (uint16_t i = 0; i < table->key_columns_count; i++) {
        const struct nw_column_schema *column = &table->columns[table->key_columns[i]];

        if (!nw_connect_table_has(format->connect, table->key_columns[i])) {
            return nw_fail(err, NW_REJECT,
                           "NW2719 %s.%s: column %s is part of the key, and its type %s has no "
                           "schema: set unknown_types: text",
                           table->schema_name, table->name, column->name, column->type_name);
        }
    }
    return NW_OK;
}

nw_status nw_format_fields_check(const struct nw_connect_schema *schema,
                                 const struct nw_table *table, struct nw_error *err)
{
    for (uint32_t i = 1; i < schema->fields_count; i++) {
        for (uint32_t k = 0; k < i; k++) {
            if (strcmp(schema->fields[i].name, schema->fields[k].name) == 0) {
                return nw_fail(err, NW_REJECT,
                               "NW2719 %s.%s: two fields would have the name %s: leave one out or "
                               "rename a column by a transform (see add_fields, flatten and "
                               "field_names)",
                               table->schema_name, table->name, schema->fields[i].name);
            }
        }
    }
    return NW_OK;
}

const char *nw_format_database(const struct nw_host *host)
{
    return host->size > offsetof(struct nw_host, database) && host->database != NULL
               ? host->database
               : "";
}
