/* SPDX-License-Identifier: Apache-2.0 */
/* Options of the forms of messages: see forms.h. Their rows are in options.c. */
#include <stdlib.h>

#include "kafka/kafka.h"
#include "lib/format/source_types.h"

static const char *text_of(const struct nw_setting *setting)
{
    return setting->set && setting->text[0] != '\0' ? setting->text : NULL;
}

static void registry_read(const char *sink, const struct nw_setting *settings,
                          struct nw_kafka_form_options *to)
{
    to->registry =
        (struct nw_registry_options){.sink = sink,
                                     .urls = settings[NW_FORM_REGISTRY].items,
                                     .username = text_of(&settings[NW_FORM_REGISTRY_USERNAME]),
                                     .password = text_of(&settings[NW_FORM_REGISTRY_PASSWORD]),
                                     .token = text_of(&settings[NW_FORM_REGISTRY_TOKEN]),
                                     .ca = text_of(&settings[NW_FORM_REGISTRY_CA]),
                                     .cert = text_of(&settings[NW_FORM_REGISTRY_CERT]),
                                     .key = text_of(&settings[NW_FORM_REGISTRY_KEY]),
                                     .registers = settings[NW_FORM_REGISTRY_REGISTER].flag,
                                     .timeout_ms = 10000};
    to->subjects = (enum nw_registry_strategy)settings[NW_FORM_REGISTRY_SUBJECTS].number;
}

static void outbox_read(const struct nw_setting *settings, struct nw_kafka_form_options *to)
{
    to->outboxes = settings[NW_FORM_OUTBOX].items;
    to->outbox = (struct nw_outbox_options){
        .id = settings[NW_FORM_OUTBOX_ID].text,
        .route = settings[NW_FORM_OUTBOX_ROUTE].text,
        .key = settings[NW_FORM_OUTBOX_KEY].text,
        .payload = settings[NW_FORM_OUTBOX_PAYLOAD].text,
        .timestamp = text_of(&settings[NW_FORM_OUTBOX_TIMESTAMP]),
        .topic = settings[NW_FORM_OUTBOX_TOPIC].text,
        .form = (enum nw_outbox_form)settings[NW_FORM_OUTBOX_FORM].number,
        .tombstones = settings[NW_FORM_OUTBOX_TOMBSTONES].flag,
        .placements = settings[NW_FORM_OUTBOX_PLACEMENT].items};
}

static void keys_read(const struct nw_setting *settings, struct nw_kafka_form_options *to)
{
    to->key_columns = settings[NW_FORM_KEY_COLUMNS].items;
    to->key_field = text_of(&settings[NW_FORM_KEY_FIELD]);
    to->key_form = (enum nw_key_form)settings[NW_FORM_KEY_FORM].number;
}

static nw_status outbox_check(const char *sink, const struct nw_kafka_form_options *options,
                              struct nw_error *err)
{
    const char *const *items = options->outbox.placements;

    for (size_t i = 0; items != NULL && items[i] != NULL; i++) {
        char column[NW_OUTBOX_ALIAS_SIZE];
        char alias[NW_OUTBOX_ALIAS_SIZE];
        bool header = false;

        if (i == NW_OUTBOX_PLACED_MAX || !nw_outbox_placement(items[i], column, &header, alias)) {
            return nw_fail(err, NW_FATAL,
                           "NW1003 %s: outbox_placement: \"%s\" is not COLUMN:header[:NAME] or "
                           "COLUMN:envelope[:NAME], or there are more than %u",
                           sink, items[i], NW_OUTBOX_PLACED_MAX);
        }
    }
    return NW_OK;
}

/* With a regular expression the topic is its replacement, and is made from what the column has. */
static nw_status outbox_regex_make(const char *sink, const struct nw_setting *settings,
                                   struct nw_kafka_form_options *to, struct nw_error *err)
{
    const char *regex = text_of(&settings[NW_FORM_OUTBOX_REGEX]);
    char why[256] = "";

    if (regex == NULL) {
        return NW_OK;
    }
    to->outbox_regex = nw_regex_create(regex, to->outbox.topic, why, sizeof why);
    to->outbox.topic = "{value}";
    return to->outbox_regex != NULL
               ? NW_OK
               : nw_fail(err, NW_FATAL, "NW1003 %s: outbox_regex: \"%s\" and its outbox_topic: %s",
                         sink, regex, why);
}

/* Whether any message has a schema. */
static bool has_schemas(const struct nw_format_options *format,
                        const struct nw_kafka_form_options *options)
{
    return format->kind == NW_FORMAT_DEBEZIUM_AVRO || options->data_is_avro ||
           (format->kind != NW_FORMAT_NARWAL &&
            (format->debezium.schemas || options->key_form == NW_KEY_JSON_SCHEMAS));
}

/* Which columns' schemas say their types on the server. */
static nw_status source_types_read(const char *sink, const struct nw_setting *settings,
                                   const struct nw_kafka_form_options *options,
                                   struct nw_format_options *format, struct nw_error *err)
{
    const char *const *columns = settings[NW_FORM_SOURCE_TYPES].items;
    const char *const *types = settings[NW_FORM_SOURCE_TYPES_OF].items;
    struct nw_source_types *probe = calloc(1, sizeof *probe);
    const char *wrong = NULL;
    char why[256] = "";

    if (probe == NULL) {
        return nw_fail(err, NW_FATAL, "NW2901 out of memory for sink %s", sink);
    }
    wrong = nw_source_types_init(probe, columns, types, why, sizeof why);
    nw_source_types_fini(probe);
    free(probe);
    format->connect.source_columns = columns;
    format->connect.source_types = types;
    if (wrong != NULL) {
        return nw_fail(err, NW_FATAL, "NW1003 %s: source_types: \"%s\": %s", sink, wrong, why);
    }
    if (((columns != NULL && columns[0] != NULL) || (types != NULL && types[0] != NULL)) &&
        !has_schemas(format, options)) {
        return nw_fail(err, NW_FATAL,
                       "NW1003 %s: source_types and source_types_of are said in schemas: they go "
                       "with schemas: true, key_form: json_schemas or Avro",
                       sink);
    }
    return NW_OK;
}

/* What goes with what. */
static nw_status combination_check(const char *sink, enum nw_format_kind kind,
                                   const struct nw_kafka_form_options *options,
                                   struct nw_error *err)
{
    if (options->flattens && kind != NW_FORMAT_DEBEZIUM_AVRO && kind != NW_FORMAT_DEBEZIUM_JSON) {
        return nw_fail(err, NW_FATAL,
                       "NW1003 %s: flatten goes with format: debezium_json or debezium_avro", sink);
    }
    if (options->flat.reshape != NULL && !options->flattens) {
        return nw_fail(err, NW_FATAL, "NW1003 %s: reshape goes with flatten", sink);
    }
    if (kind == NW_FORMAT_NARWAL && (options->key_columns != NULL || options->key_field != NULL ||
                                     options->key_form != NW_KEY_SAME)) {
        return nw_fail(err, NW_FATAL,
                       "NW1003 %s: key_columns, key_field and key_form go with another format than "
                       "narwal",
                       sink);
    }
    if (options->flat.headers.count > 0 && kind != NW_FORMAT_DEBEZIUM_AVRO &&
        kind != NW_FORMAT_CLOUDEVENTS && !options->flattens) {
        return nw_fail(err, NW_FATAL,
                       "NW1003 %s: add_headers goes with flatten, debezium_avro or cloudevents",
                       sink);
    }
    return NW_OK;
}

nw_status nw_kafka_form_options_read(const char *sink, const struct nw_setting *settings,
                                     struct nw_format_options *format,
                                     struct nw_kafka_form_options *to, struct nw_error *err)
{
    bool avro = false;
    struct nw_registry *probe = NULL;
    nw_status status = NW_OK;

    to->cloud_is_avro =
        format->kind == NW_FORMAT_CLOUDEVENTS && settings[NW_FORM_CLOUD].number == 1;
    to->data_is_avro = format->kind == NW_FORMAT_CLOUDEVENTS &&
                       (to->cloud_is_avro || settings[NW_FORM_DATA].number == 1);
    to->flattens = settings[NW_FORM_FLATTEN].set;
    to->flat.deletes = (enum nw_flat_deletes)settings[NW_FORM_FLATTEN].number;
    to->flat.schemas = format->debezium.schemas;
    to->flat.null_as_default = format->debezium.null_as_default;
    avro = format->kind == NW_FORMAT_DEBEZIUM_AVRO || to->data_is_avro;
    if (avro) {
        nw_format_options_for_avro(format);
    }
    registry_read(sink, settings, to);
    outbox_read(settings, to);
    keys_read(settings, to);
    status = nw_added_read(&to->flat.fields, settings[NW_FORM_ADD_FIELDS].items, "__", "add_fields",
                           err);
    if (status == NW_OK) {
        status = nw_added_read(&to->flat.headers, settings[NW_FORM_ADD_HEADERS].items, "__",
                               "add_headers", err);
    }
    if (status == NW_OK) {
        status = nw_reshape_options_read(settings[NW_FORM_RESHAPE].items, "reshape",
                                         &to->flat.reshape, err);
    }
    if (status == NW_OK) {
        status = outbox_check(sink, to, err);
    }
    if (status == NW_OK) {
        status = outbox_regex_make(sink, settings, to, err);
    }
    if (status == NW_OK) {
        status = source_types_read(sink, settings, to, format, err);
    }
    if (status == NW_OK) {
        status = combination_check(sink, format->kind, to, err);
    }
    if (status == NW_OK && avro) { /* whether its options are right */
        status = nw_registry_create(&to->registry, &probe, err);
        nw_registry_destroy(probe);
    }
    return status;
}
