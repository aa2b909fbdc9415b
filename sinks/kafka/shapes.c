/* SPDX-License-Identifier: Apache-2.0 */
/* Keys of messages that are other than the tables' own: see forms.h and lib/format/key_shape.h. */
#include "kafka/kafka.h"
#include "lib/format/avro.h"

/* How keys are written. */
static enum nw_key_form form_of(const struct nw_kafka_options *options)
{
    if (options->form.key_form != NW_KEY_SAME) {
        return options->form.key_form;
    }
    if (options->format.kind == NW_FORMAT_DEBEZIUM_AVRO) {
        return NW_KEY_AVRO;
    }
    return options->format.debezium.schemas ? NW_KEY_JSON_SCHEMAS : NW_KEY_JSON;
}

nw_status nw_kafka_shape_make(const struct nw_kafka_options *options, const struct nw_table *table,
                              const struct nw_format_table *format, struct nw_key_shape **shape,
                              struct nw_error *err)
{
    const struct nw_kafka_form_options *form = &options->form;
    struct nw_kafka_names names = {.count = 0};
    struct nw_key_options keys = {.columns = form->key_columns,
                                  .field = form->key_field,
                                  .form = form_of(options),
                                  .constants = names.fields,
                                  .null_as_default = options->format.debezium.null_as_default};

    *shape = NULL;
    if (!nw_kafka_names_find(options, table, &names)) {
        return nw_fail(err, NW_REJECT,
                       "NW2703 %s.%s: what routes make of its topic's name is too "
                       "long: use shorter names, or fewer routes",
                       table->schema_name, table->name);
    }
    keys.constants_count = names.count;
    if (keys.columns == NULL && keys.field == NULL && form->key_form == NW_KEY_SAME &&
        names.count == 0) {
        return NW_OK;
    }
    return nw_key_shape_create(format->connect, &keys, shape, err);
}

/* @return out, with what stands in front of a key */
static struct nw_out *begun(const struct nw_key_shape *shape, uint32_t key_id, struct nw_out *out)
{
    out->used = 0;
    if (nw_key_shape_form(shape) == NW_KEY_AVRO) {
        nw_avro_header(out, key_id);
    }
    return out;
}

nw_status nw_kafka_shape_keys(struct nw_kafka_worker *worker, const struct nw_key_shape *shape,
                              uint32_t key_id, const struct nw_row *row, bool former,
                              struct nw_error *err)
{
    struct nw_kafka_forms *forms = &worker->forms;
    int side = row->change->op == 'd' ? NW_BEFORE : NW_AFTER;
    nw_status status = nw_key_shape_append(shape, row, side, begun(shape, key_id, &worker->key),
                                           &forms->keyless, err);

    if (status != NW_OK || !former) {
        return status;
    }
    return nw_key_shape_append(shape, row, NW_BEFORE, begun(shape, key_id, &worker->former_key),
                               &forms->former_keyless, err);
}
