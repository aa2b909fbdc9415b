/* SPDX-License-Identifier: Apache-2.0 */
/* Rows as messages in Debezium's forms: see forms.h. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kafka/kafka.h"
#include "lib/format/avro_row.h"
#include "lib/format/changed.h"
#include "lib/format/cloud_avro.h"
#include "lib/format/json_forms.h"

/* A table's version. */
struct nw_kafka_form {
    const struct nw_kafka_form_options *options; /* borrow */
    struct nw_format_table *format;
    struct nw_envelope envelope;
    struct nw_flat flat;
    struct nw_outbox *outbox;  /* NULL: it is none */
    struct nw_cloud_data data; /* of a CloudEvent */
    struct nw_cloud_json cloud;
    struct nw_cloud_avro cloud_avro;
    enum nw_format_kind kind;
    bool keyed;
    bool warned; /* of updates in an outbox */
    uint32_t key_id;
    uint32_t value_id; /* of a CloudEvent: of its data */
    uint32_t cloud_id;
    struct nw_key_shape *shape; /* of other keys than the table's own; NULL: it has those */
};

/* ---- tables ---- */

bool nw_kafka_is_outbox(const struct nw_kafka_form_options *options, const struct nw_table *table)
{
    for (size_t i = 0; options->outboxes != NULL && options->outboxes[i] != NULL; i++) {
        if (nw_kafka_is_named(options->outboxes[i], table)) {
            return true;
        }
    }
    return false;
}

bool nw_kafka_form_wanted(const struct nw_kafka_options *options, const struct nw_table *table)
{
    enum nw_format_kind kind = options->format.kind;

    return kind != NW_FORMAT_NARWAL || nw_kafka_is_outbox(&options->form, table);
}

nw_status nw_kafka_schema_id(struct nw_kafka_worker *worker, const struct nw_connect_schema *schema,
                             const char *topic, bool key, uint32_t *id, struct nw_error *err)
{
    const struct nw_kafka_form_options *options = &worker->sink->options.form;
    struct nw_kafka_forms *forms = &worker->forms;
    char subject[NW_REGISTRY_SUBJECT_SIZE];
    nw_status status = NW_OK;

    if (forms->registry == NULL) {
        status = nw_registry_create(&options->registry, &forms->registry, err);
    }
    if (status == NW_OK) {
        status = nw_registry_subject(options->subjects, topic, schema->name, key, subject, err);
    }
    if (status != NW_OK) {
        return status;
    }
    worker->value.used = 0;
    nw_avro_schema(&worker->value, schema);
    nw_out_bytes(&worker->value, "", 1);
    if (worker->value.failed) {
        worker->value.failed = false;
        return nw_fail(err, NW_RETRY, "out of memory for a schema");
    }
    return nw_registry_id(forms->registry, subject, (const char *)worker->value.bytes, id, err);
}

/* Of data in Avro. Within CloudEvents that are Avro they are as if in a topic of their own. */
static nw_status cloud_register(struct nw_kafka_worker *worker, struct nw_kafka_form *form,
                                const char *topic, struct nw_error *err)
{
    char data[NW_KAFKA_TOPIC_SIZE + sizeof "-data"];
    nw_status status = NW_OK;

    if (!form->options->cloud_is_avro) {
        return nw_kafka_schema_id(worker, &form->data.schema, topic, false, &form->value_id, err);
    }
    (void)snprintf(data, sizeof data, "%s-data", topic);
    status = nw_kafka_schema_id(worker, &form->data.schema, data, false, &form->value_id, err);
    return status == NW_OK ? nw_kafka_schema_id(worker, &form->cloud_avro.schema, topic, false,
                                                &form->cloud_id, err)
                           : status;
}

/* The ids of what is sent in Avro. */
static nw_status schemas_register(struct nw_kafka_worker *worker, struct nw_kafka_form *form,
                                  const char *topic, struct nw_error *err)
{
    const struct nw_connect_schema *value =
        form->options->flattens ? &form->flat.schema : &form->envelope.schema;
    nw_status status = NW_OK;

    if (form->options->data_is_avro) {
        return cloud_register(worker, form, topic, err);
    }
    if (form->shape != NULL) {
        if (nw_key_shape_form(form->shape) == NW_KEY_AVRO) {
            status = nw_kafka_schema_id(worker, nw_key_shape_schema(form->shape), topic, true,
                                        &form->key_id, err);
        }
    } else if (form->keyed) {
        status =
            nw_kafka_schema_id(worker, form->format->connect->key, topic, true, &form->key_id, err);
    }
    return status == NW_OK ? nw_kafka_schema_id(worker, value, topic, false, &form->value_id, err)
                           : status;
}

static nw_status form_fill(struct nw_kafka_worker *worker, struct nw_kafka_form *form,
                           const struct nw_table *table, struct nw_error *err)
{
    const struct nw_kafka_options *options = &worker->sink->options;
    const struct nw_connect_schema *value = NULL;
    nw_status status = nw_kafka_envelope_make(worker->sink, table, &form->format, err);

    if (status != NW_OK) {
        return status;
    }
    form->options = &options->form;
    form->kind = options->format.kind;
    value = form->format->connect->value;
    if (!nw_envelope_init(&form->envelope, value) ||
        !nw_flat_init(&form->flat, form->format->connect, &options->form.flat)) {
        return nw_kafka_no_memory(err);
    }
    if (options->form.cloud_is_avro &&
        !nw_cloud_avro_init(&form->cloud_avro, options->prefix,
                            nw_format_database(worker->sink->host))) {
        return nw_kafka_no_memory(err);
    }
    nw_cloud_data_init(&form->data, value);
    return nw_cloud_json_init(&form->cloud,
                              form->kind == NW_FORMAT_CLOUDEVENTS &&
                                      options->format.debezium.schemas
                                  ? &form->data.schema
                                  : NULL,
                              options->format.debezium.null_as_default)
               ? NW_OK
               : nw_kafka_no_memory(err);
}

nw_status nw_kafka_form_create(struct nw_kafka_worker *worker, struct nw_kafka_table *table,
                               const char *topic, struct nw_error *err)
{
    const struct nw_kafka_form_options *options = &worker->sink->options.form;
    struct nw_kafka_form *form = calloc(1, sizeof *form);
    nw_status status = NW_OK;

    if (form == NULL) {
        return nw_kafka_no_memory(err);
    }
    table->form = form;
    status = form_fill(worker, form, table->keyed, err);
    if (status == NW_OK && nw_kafka_is_outbox(options, table->keyed)) {
        return nw_outbox_create(form->format->connect, &options->outbox, &form->outbox, err);
    }
    if (status == NW_OK) {
        status = nw_kafka_shape_make(&worker->sink->options, table->keyed, form->format,
                                     &form->shape, err);
        form->keyed = form->format->connect->key != NULL || form->shape != NULL;
    }
    if (status == NW_OK) {
        status = nw_flat_reshape(&form->flat, form->format->connect, topic, err);
    }
    if (status == NW_OK) {
        status = nw_format_fields_check(&form->flat.schema, table->keyed, err);
    }
    if (status == NW_OK && (form->kind == NW_FORMAT_DEBEZIUM_AVRO || options->data_is_avro)) {
        status = schemas_register(worker, form, topic, err);
    }
    return status;
}

void nw_kafka_form_destroy(struct nw_kafka_form *form)
{
    if (form != NULL) {
        nw_outbox_destroy(form->outbox);
        nw_key_shape_destroy(form->shape);
        nw_flat_fini(&form->flat);
        nw_envelope_fini(&form->envelope);
        nw_cloud_json_fini(&form->cloud);
        nw_cloud_avro_fini(&form->cloud_avro);
        nw_format_table_destroy(form->format);
        free(form);
    }
}

void nw_kafka_forms_fini(struct nw_kafka_worker *worker)
{
    struct nw_kafka_forms *forms = &worker->forms;

    nw_registry_destroy(forms->registry);
    nw_outbox_message_fini(&forms->outbox);
    free(forms->routes);
    nw_out_fini(&forms->texts);
    nw_out_fini(&forms->data);
    nw_out_fini(&forms->uri);
    *forms = (struct nw_kafka_forms){0};
}

/* ---- which messages a row has ---- */

static nw_status key_make(const struct nw_kafka_form *form, const struct nw_row *row, int side,
                          struct nw_out *out, struct nw_error *err)
{
    out->used = 0;
    if (form->kind != NW_FORMAT_DEBEZIUM_AVRO) {
        return nw_debezium_key(form->format->debezium, row, side, out, err);
    }
    nw_avro_header(out, form->key_id);
    return nw_avro_key(out, row, side, err);
}

/* The row's key, and the former one where it had another, as the table has them.
 * @param changed  filled: it had */
static nw_status keys_compare(struct nw_kafka_worker *worker, const struct nw_kafka_form *form,
                              const struct nw_row *row, bool *changed, struct nw_error *err)
{
    bool keyed = form->format->connect->key != NULL;
    const struct nw_change *change = row->change;
    nw_status status = NW_OK;

    *changed = false;
    if (keyed) {
        status = key_make(form, row, change->op == 'd' ? NW_BEFORE : NW_AFTER, &worker->key, err);
    }
    if (keyed && status == NW_OK && change->op == 'u' && change->before) {
        status = key_make(form, row, NW_BEFORE, &worker->former_key, err);
        *changed = status == NW_OK && !nw_out_same(&worker->key, &worker->former_key);
    }
    return status;
}

/* The keys as messages have them. Whether one has changed is said by the table's. */
static nw_status keys_make(struct nw_kafka_worker *worker, const struct nw_kafka_form *form,
                           const struct nw_row *row, bool *changed, struct nw_error *err)
{
    nw_status status = keys_compare(worker, form, row, changed, err);

    worker->forms.keyless = worker->forms.former_keyless = !form->keyed;
    return status == NW_OK && form->shape != NULL
               ? nw_kafka_shape_keys(worker, form->shape, form->key_id, row, *changed, err)
               : status;
}

/* The key of a step's message; NULL: it has none. */
static const struct nw_out *key_of(const struct nw_kafka_worker *worker,
                                   const struct nw_change_step *step)
{
    if (step->other_key != NULL && step->key_side == NW_BEFORE) {
        return worker->forms.former_keyless ? NULL : &worker->former_key;
    }
    return worker->forms.keyless ? NULL : &worker->key;
}

/* Whether a step sends anything at all. */
static bool is_sent(const struct nw_kafka_worker *worker, const struct nw_kafka_form *form,
                    const struct nw_change_step *step)
{
    enum nw_flat_deletes deletes = form->options->flat.deletes;

    /* Of an update of a key: a delete and an insert. */
    if ((step->change.op == 'd' && worker->sink->options.skips_deletes) ||
        (step->change.op == 'c' && worker->sink->options.skips_inserts)) {
        return false;
    }
    if (step->tombstone && !form->keyed && !worker->sink->options.format.connect.exact) {
        return false;
    }
    if (!form->options->flattens || step->change.op != 'd' ||
        (step->tombstone && deletes == NW_FLAT_REWRITE_WITH_TOMBSTONE)) {
        return !step->tombstone || worker->sink->options.tombstones;
    }
    return step->tombstone ? deletes != NW_FLAT_DROP && deletes != NW_FLAT_REWRITE
                           : nw_flat_marks(&form->options->flat);
}

/* ---- a message ---- */

/* A CloudEvent; with data in Avro, those are made first. */
static nw_status cloudevent_make(struct nw_kafka_worker *worker, const struct nw_kafka_form *form,
                                 const struct nw_row *row, struct nw_error *err)
{
    struct nw_kafka_forms *forms = &worker->forms;
    const bool has[] = {row->change->before, row->change->after};
    nw_status status = NW_OK;

    if (!form->options->data_is_avro) {
        return nw_json_cloudevent(&worker->value, row, &form->cloud, NULL, NULL, err);
    }
    forms->data.used = 0;
    nw_avro_header(&forms->data, form->value_id);
    for (int side = NW_BEFORE; side <= NW_AFTER && status == NW_OK; side++) {
        nw_avro_branch(&forms->data, form->format->connect->value, !has[side]);
        if (has[side]) {
            status = nw_avro_fields(&forms->data, row, side, err);
        }
    }
    forms->uri.used = 0;
    nw_out_text(&forms->uri, form->options->registry.urls[0]);
    nw_out_text(&forms->uri, "/schemas/ids/");
    nw_out_u64(&forms->uri, form->value_id);
    nw_out_bytes(&forms->uri, "", 1);
    if (status == NW_OK && (forms->data.failed || forms->uri.failed)) {
        forms->data.failed = forms->uri.failed = false;
        status = nw_kafka_no_memory(err);
    }
    if (status == NW_OK && form->options->cloud_is_avro) {
        nw_avro_header(&worker->value, form->cloud_id);
        return nw_avro_cloudevent(&worker->value, row, (const char *)forms->uri.bytes, &forms->data,
                                  err);
    }
    return status == NW_OK ? nw_json_cloudevent(&worker->value, row, NULL,
                                                (const char *)forms->uri.bytes, &forms->data, err)
                           : status;
}

static nw_status value_make(struct nw_kafka_worker *worker, const struct nw_kafka_form *form,
                            const struct nw_row *row, struct nw_error *err)
{
    nw_status status = NW_OK;

    worker->value.used = 0;
    worker->value.failed = false;
    if (form->kind == NW_FORMAT_CLOUDEVENTS) {
        status = cloudevent_make(worker, form, row, err);
    } else if (form->kind == NW_FORMAT_DEBEZIUM_JSON) {
        status = form->options->flattens
                     ? nw_json_flat(&worker->value, &form->flat, row, err)
                     : nw_debezium_value(form->format->debezium, row, &worker->value, err);
    } else {
        nw_avro_header(&worker->value, form->value_id);
        status = form->options->flattens ? nw_avro_flat(&worker->value, &form->flat, row, err)
                                         : nw_avro_envelope(&worker->value, row, err);
    }
    return status;
}

/* What add_headers wants. @param texts  filled: one behind the other. @return how many */
static uint32_t headers_make(const struct nw_kafka_form *form, const struct nw_row *row,
                             struct nw_out *texts,
                             struct nw_kafka_header headers[static NW_ADDED_MAX])
{
    const struct nw_added *added = &form->options->flat.headers;
    size_t at[NW_ADDED_MAX + 1] = {0};

    texts->used = 0;
    for (uint32_t i = 0; i < added->count; i++) {
        struct nw_connect_value value = nw_added_value(&added->items[i], row->origin, row->change);

        headers[i] = (struct nw_kafka_header){.name = added->items[i].name};
        if (value.kind == NW_CONNECT_TEXT) {
            nw_out_bytes(texts, value.bytes, value.size);
        } else if (value.kind == NW_CONNECT_INTEGER) {
            nw_out_i64(texts, value.as.integer);
        } else {
            headers[i].size = SIZE_MAX; /* null */
        }
        at[i + 1] = texts->used;
    }
    for (uint32_t i = 0; i < added->count; i++) { /* now they stay where they are */
        bool null = headers[i].size == SIZE_MAX;

        headers[i].size = null ? 0 : at[i + 1] - at[i];
        headers[i].bytes = null ? NULL : texts->bytes + at[i];
    }
    return added->count;
}

static nw_status step_send(struct nw_kafka_worker *worker, struct nw_kafka_table *table,
                           const struct nw_change_step *step, const struct nw_row *of,
                           struct nw_error *err)
{
    const struct nw_kafka_form *form = table->form;
    struct nw_kafka_header headers[NW_ADDED_MAX];
    struct nw_kafka_message message = {.key = key_of(worker, step), .headers = headers};
    struct nw_row row = *of;
    nw_status status = NW_OK;

    row.change = &step->change;
    if (step->other_key != NULL) {
        int other_side = step->key_side == NW_BEFORE ? NW_AFTER : NW_BEFORE;

        worker->header.used = 0;
        message.header = step->other_key;
        message.header_value = &worker->header;
        status =
            nw_debezium_bare_key(form->format->debezium, &row, other_side, &worker->header, err);
    }
    if (status == NW_OK && !step->tombstone) {
        status = value_make(worker, form, &row, err);
        message.value = &worker->value;
    }
    if (status != NW_OK) {
        return status;
    }
    message.headers_count = headers_make(form, &row, &worker->forms.texts, headers);
    if (worker->forms.texts.failed) {
        worker->forms.texts.failed = false;
        return nw_kafka_no_memory(err);
    }
    return nw_kafka_message_send(worker, table, &message, err);
}

/* ---- the last row of a batch of the first copy ---- */

static const char *snapshot_as(const char *snapshot, enum nw_kafka_mark mark)
{
    if (mark == NW_KAFKA_LAST_OF_ALL) {
        return "last";
    }
    return mark == NW_KAFKA_NOT_LAST || strcmp(snapshot, "first") == 0 ? snapshot
                                                                       : "last_in_data_collection";
}

/* Its message with one of the marks. */
static nw_status held_make(struct nw_kafka_worker *worker, const struct nw_kafka_form *form,
                           const struct nw_row *of, enum nw_kafka_mark mark,
                           struct nw_kafka_held *held, struct nw_error *err)
{
    struct nw_change change = *of->change;
    struct nw_row row = *of;
    nw_status status = NW_OK;

    change.snapshot = snapshot_as(change.snapshot, mark);
    row.change = &change;
    status = value_make(worker, form, &row, err);
    if (status == NW_OK) {
        held->value.used = 0;
        nw_out_bytes(&held->value, worker->value.bytes, worker->value.used);
        held->headers_count = headers_make(form, &row, &held->texts, held->headers);
    }
    if (status == NW_OK && (held->value.failed || held->texts.failed)) {
        held->value.failed = held->texts.failed = false;
        return nw_kafka_no_memory(err);
    }
    return status;
}

/* Keeps the row's message, which may turn out to be the table's last, or the last of all. */
static nw_status row_hold(struct nw_kafka_worker *worker, struct nw_kafka_table *table,
                          const struct nw_row *row, struct nw_kafka_copying *copying,
                          struct nw_error *err)
{
    const struct nw_host *host = worker->sink->host;
    nw_status status = NW_OK;

    copying->keyed = !worker->forms.keyless;
    copying->table_id = table->id;
    copying->table_version = table->version;
    copying->held_ns = host->now_ns(host);
    copying->key.used = 0;
    nw_out_bytes(&copying->key, worker->key.bytes, copying->keyed ? worker->key.used : 0);
    for (uint32_t mark = 0; mark < NW_KAFKA_MARKS_COUNT && status == NW_OK; mark++) {
        status = held_make(worker, table->form, row, (enum nw_kafka_mark)mark,
                           &copying->forms[mark], err);
    }
    if (status == NW_OK && copying->key.failed) {
        copying->key.failed = false;
        status = nw_kafka_no_memory(err);
    }
    /* One that brokers may refuse is sent now: its row is to be blamed, and no other. */
    copying->held = status == NW_OK && nw_kafka_held_fits(worker, table, copying);
    return status;
}

/* @param held  filled: its message waits */
static nw_status last_hold(struct nw_kafka_worker *worker, struct nw_kafka_table *table,
                           const struct nw_row *row, bool *held, struct nw_error *err)
{
    uint32_t relation_oid = row->batch->table->relation_oid;
    struct nw_kafka_copying *copying = NULL;
    nw_status status = NW_OK;

    *held = false;
    if (row->change->op != 'r' || !nw_kafka_is_marked(worker, relation_oid) ||
        worker->row + 1 != row->batch->rows_count) {
        return NW_OK;
    }
    if (nw_kafka_copying_find(worker, relation_oid) == NULL) {
        status = nw_kafka_copying_begin(worker, relation_oid, true, err);
    }
    if (status == NW_OK) {
        copying = nw_kafka_copying_find(worker, relation_oid);
        status = row_hold(worker, table, row, copying, err);
        *held = copying->held;
    }
    return status;
}

/* ---- rows ---- */

static nw_status outbox_row(struct nw_kafka_worker *worker, struct nw_kafka_table *table,
                            const struct nw_batch *batch, struct nw_error *err)
{
    struct nw_kafka_form *form = table->form;
    const struct nw_host *host = worker->sink->host;
    uint8_t op = batch->op[batch->first_row + worker->row];

    if (op == NW_OP_UPDATE && !form->warned) {
        host->log(host, NW_LOG_WARN,
                  "NW2726 %s.%s is an outbox, and rows of it are updated: that sends nothing",
                  batch->table->schema_name, batch->table->name);
        form->warned = true;
    }
    return op == NW_OP_INSERT
               ? nw_kafka_route_row(worker, form->outbox, batch, form->format->scratch, err)
               : NW_OK;
}

nw_status nw_kafka_form_row(struct nw_kafka_worker *worker, struct nw_kafka_table *table,
                            const struct nw_batch *batch, struct nw_error *err)
{
    struct nw_kafka_form *form = table->form;
    const struct nw_change change = nw_kafka_change_of(worker, table, form->format, batch);
    const struct nw_row row = {.table = form->format->connect,
                               .batch = batch,
                               .row = worker->row,
                               .origin = &form->format->origin,
                               .change = &change,
                               .scratch = form->format->scratch};
    struct nw_change_step steps[NW_CHANGE_STEPS_MAX];
    uint32_t count = 0;
    bool key_changed = false;
    bool held = false;
    nw_status status = NW_OK;

    if (form->outbox != NULL) {
        return outbox_row(worker, table, batch, err);
    }
    status = keys_make(worker, form, &row, &key_changed, err);
    if (status == NW_OK) {
        status = last_hold(worker, table, &row, &held, err);
    }
    if (status == NW_OK && !held) {
        count = nw_change_steps(&change, key_changed, steps);
    }
    while (status == NW_OK && worker->step < count) {
        if (is_sent(worker, form, &steps[worker->step])) {
            status = step_send(worker, table, &steps[worker->step], &row, err);
        }
        worker->step += status == NW_OK ? 1 : 0;
    }
    if (status == NW_OK) {
        worker->step = 0;
    }
    return status;
}

bool nw_kafka_form_is_same(struct nw_kafka_worker *worker, const struct nw_kafka_table *table,
                           const struct nw_batch *batch)
{
    const struct nw_kafka_form *form = table->form;
    const struct nw_row row = {.table = form->format->connect,
                               .batch = batch,
                               .row = worker->row,
                               .scratch = form->format->scratch};

    return nw_row_is_same(&row, &worker->former_key, &worker->key);
}

nw_status nw_kafka_form_truncate(struct nw_kafka_worker *worker, struct nw_kafka_table *table,
                                 const struct nw_event *event, struct nw_error *err)
{
    struct nw_kafka_form *form = table->form;
    const struct nw_host *host = worker->sink->host;
    struct nw_change change =
        nw_change_of_event(&form->format->texts, event, host->wall_us(host) * 1000);
    const struct nw_row row = {.table = form->format->connect,
                               .origin = &form->format->origin,
                               .change = &change,
                               .scratch = form->format->scratch};
    nw_status status = NW_OK;

    if (form->outbox != NULL || form->options->flattens) {
        return NW_OK; /* neither has a word for it */
    }
    nw_kafka_transaction_set(worker, table, event->commit_lsn, event->seq, &change);
    status = value_make(worker, form, &row, err);
    return status == NW_OK
               ? nw_kafka_message_send(worker, table,
                                       &(struct nw_kafka_message){.value = &worker->value}, err)
               : status;
}
