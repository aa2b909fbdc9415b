/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages in other forms than narwal's own line: Debezium's envelope in JSON and Avro,
 * CloudEvents, flattened rows, and the messages of an outbox. What each is: docs/formats.md.
 *
 * A row becomes up to three messages, as Debezium has them:
 *
 *   insert, update            one
 *   delete                    one with the row that was, and a tombstone
 *   update that changes the   both for the former key, with the header __debezium.newkey, and the
 *   key                       row as an insert, with the header __debezium.oldkey
 *
 * Everything belongs to the worker's thread; options are immutable.
 */
#ifndef NW_SINKS_KAFKA_FORMS_H
#define NW_SINKS_KAFKA_FORMS_H

#include <librdkafka/rdkafka.h>
#include <narwal/sink.h>

#include "lib/format/flat.h"
#include "lib/format/format.h"
#include "lib/format/key_shape.h"
#include "lib/format/outbox.h"
#include "lib/regex.h"
#include "lib/registry/registry.h"

struct nw_kafka_options;
struct nw_kafka_worker;
struct nw_kafka_table;
struct nw_kafka_message;
struct nw_kafka_form; /* of a table */

struct nw_kafka_form_options {
    bool flattens;
    struct nw_flat_options flat;
    bool data_is_avro;           /* of CloudEvents */
    bool cloud_is_avro;          /* they themselves; then their data are, too */
    const char *const *outboxes; /* schema.table; NULL: none */
    struct nw_outbox_options outbox;
    struct nw_regex *outbox_regex;  /* NULL: none; own */
    const char *const *key_columns; /* NULL: the tables' keys */
    const char *key_field;          /* NULL: all of the key */
    enum nw_key_form key_form;
    enum nw_registry_strategy subjects;
    struct nw_registry_options registry;
};

/* What a worker keeps for all its tables. */
struct nw_kafka_forms {
    struct nw_registry *registry; /* NULL: not needed yet */
    struct nw_outbox_message outbox;
    struct nw_kafka_route *routes; /* topics of outboxes */
    uint32_t routes_count;
    struct nw_out texts;          /* of headers that are added */
    struct nw_out data;           /* of a CloudEvent, in Avro */
    struct nw_out uri;            /* of its schema */
    bool keyless, former_keyless; /* the row's key, and its former one, are none */
};

/* ---- form_options.c ---- */

/* The rows of the option table that are of forms, in this order. */
enum nw_kafka_form_option {
    NW_FORM_FLATTEN,
    NW_FORM_ADD_FIELDS,
    NW_FORM_ADD_HEADERS,
    NW_FORM_DATA,
    NW_FORM_CLOUD,
    NW_FORM_OUTBOX,
    NW_FORM_OUTBOX_TOPIC,
    NW_FORM_OUTBOX_REGEX,
    NW_FORM_OUTBOX_ID,
    NW_FORM_OUTBOX_ROUTE,
    NW_FORM_OUTBOX_KEY,
    NW_FORM_OUTBOX_PAYLOAD,
    NW_FORM_OUTBOX_TIMESTAMP,
    NW_FORM_OUTBOX_FORM,
    NW_FORM_OUTBOX_PLACEMENT,
    NW_FORM_OUTBOX_TOMBSTONES,
    NW_FORM_REGISTRY,
    NW_FORM_REGISTRY_REGISTER,
    NW_FORM_REGISTRY_SUBJECTS,
    NW_FORM_REGISTRY_USERNAME,
    NW_FORM_REGISTRY_PASSWORD,
    NW_FORM_REGISTRY_TOKEN,
    NW_FORM_REGISTRY_CA,
    NW_FORM_REGISTRY_CERT,
    NW_FORM_REGISTRY_KEY,
    NW_FORM_KEY_COLUMNS,
    NW_FORM_KEY_FIELD,
    NW_FORM_KEY_FORM,
    NW_FORM_SOURCE_TYPES,
    NW_FORM_SOURCE_TYPES_OF,
    NW_FORM_RESHAPE,
    NW_FORM_OPTIONS_COUNT,
};

/**
 * @param settings  from the first of those above on
 * @param format    read already; Avro's needs are put into it
 */
NW_MUST_CHECK nw_status nw_kafka_form_options_read(const char *sink,
                                                   const struct nw_setting *settings,
                                                   struct nw_format_options *format,
                                                   struct nw_kafka_form_options *options,
                                                   struct nw_error *err);

/* ---- forms.c ---- */

/** Whether the table's rows are messages of an outbox: it has no topic of its own. */
bool nw_kafka_is_outbox(const struct nw_kafka_form_options *options, const struct nw_table *table);

/** Whether the table's rows are sent in one of these forms: else as lines. */
bool nw_kafka_form_wanted(const struct nw_kafka_options *options, const struct nw_table *table);

/**
 * The registry's number of a schema, which is registered if need be. Uses worker->value.
 * @param topic  that the subject is named after
 * @param key    it is of the topic's keys
 * @return as nw_registry_subject() and nw_registry_id()
 */
NW_MUST_CHECK nw_status nw_kafka_schema_id(struct nw_kafka_worker *worker,
                                           const struct nw_connect_schema *schema,
                                           const char *topic, bool key, uint32_t *id,
                                           struct nw_error *err);
/** What a table's messages need, into table->form; registers its schemas. */
NW_MUST_CHECK nw_status nw_kafka_form_create(struct nw_kafka_worker *worker,
                                             struct nw_kafka_table *table, const char *topic,
                                             struct nw_error *err);
void nw_kafka_form_destroy(struct nw_kafka_form *form);
/** All messages of the worker's row, from worker->step on. */
NW_MUST_CHECK nw_status nw_kafka_form_row(struct nw_kafka_worker *worker,
                                          struct nw_kafka_table *table,
                                          const struct nw_batch *batch, struct nw_error *err);
/** Whether the worker's row, an update, is as it was in all that its messages say. */
bool nw_kafka_form_is_same(struct nw_kafka_worker *worker, const struct nw_kafka_table *table,
                           const struct nw_batch *batch);
NW_MUST_CHECK nw_status nw_kafka_form_truncate(struct nw_kafka_worker *worker,
                                               struct nw_kafka_table *table,
                                               const struct nw_event *event, struct nw_error *err);
/** The topics of outboxes: with the producer, in recover(). */
void nw_kafka_routes_forget(struct nw_kafka_worker *worker);
void nw_kafka_forms_fini(struct nw_kafka_worker *worker);

/* ---- shapes.c ---- */

/**
 * The keys that the options want instead of the table's own.
 * @param shape  give; NULL: they are the table's own, or there is none
 */
NW_MUST_CHECK nw_status nw_kafka_shape_make(const struct nw_kafka_options *options,
                                            const struct nw_table *table,
                                            const struct nw_format_table *format,
                                            struct nw_key_shape **shape, struct nw_error *err);
/**
 * The row's key into worker->key, and its former one into worker->former_key.
 * @param key_id  of its schema, in Avro
 * @param former  whether there is a former one
 */
NW_MUST_CHECK nw_status nw_kafka_shape_keys(struct nw_kafka_worker *worker,
                                            const struct nw_key_shape *shape, uint32_t key_id,
                                            const struct nw_row *row, bool former,
                                            struct nw_error *err);

/* ---- route.c ---- */

/** An inserted row of an outbox. */
NW_MUST_CHECK nw_status nw_kafka_route_row(struct nw_kafka_worker *worker,
                                           const struct nw_outbox *outbox,
                                           const struct nw_batch *batch,
                                           struct nw_connect_scratch *scratch,
                                           struct nw_error *err);

#endif
