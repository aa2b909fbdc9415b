/* SPDX-License-Identifier: Apache-2.0 */
/* Items of arrays and maps, what was not sent, and nw_connect_convert(): see connect.h. */
#include <stdlib.h>
#include <string.h>

#include "lib/format/connect_form.h"
#include "lib/format/connect_text.h"
#include "lib/json.h"
#include "lib/print.h"
#include "lib/utf8.h"

struct nw_connect_scratch *nw_connect_scratch_create(const struct nw_connect_table *table)
{
    struct nw_connect_scratch *scratch = calloc(1, sizeof *scratch);

    if (scratch != NULL) {
        scratch->table = table;
    }
    return scratch;
}

void nw_connect_scratch_destroy(struct nw_connect_scratch *scratch)
{
    for (size_t i = 0; scratch != NULL && i < NW_LEVELS_COUNT; i++) {
        struct nw_level *level = &scratch->levels[i];

        nw_out_fini(&level->text);
        nw_out_fini(&level->out);
        nw_out_fini(&level->second);
        nw_out_fini(&level->value);
        nw_out_fini(&level->pile);
    }
    free(scratch);
}

/* Memory that ran out once may be there the next time. */
static void latches_clear(struct nw_connect_scratch *scratch)
{
    for (size_t i = 0; i < NW_LEVELS_COUNT; i++) {
        struct nw_level *level = &scratch->levels[i];

        level->text.failed = level->out.failed = level->second.failed = false;
        level->value.failed = level->pile.failed = false;
    }
}

/* ---- refusals ---- */

static nw_status refuse(const struct nw_connect_scratch *scratch, nw_status status, bool item,
                        struct nw_error *err)
{
    const struct nw_table *table = scratch->table->table;
    const struct nw_column_schema *column = &table->columns[scratch->column];

    if (status == NW_RETRY) {
        return nw_fail(err, NW_RETRY, "out of memory for a value of column %s", column->name);
    }
    return nw_fail(err, NW_REJECT,
                   "NW2720 %s.%s: column %s (%s) has a value%s that its schema %s: see `unfit` in "
                   "docs/debezium.md",
                   table->schema_name, table->name, column->name, column->type_name,
                   item ? ", in an array," : "",
                   status == NW_CORRUPT ? "does not know the text of" : "has no room for");
}

/* Whether NULL stands for a value that was refused. */
static bool null_instead(const struct nw_connect_options *options, nw_status status, bool optional)
{
    return status != NW_OK && status != NW_RETRY && options->unfit_null && optional;
}

/* ---- items ---- */

static nw_status item_convert(struct nw_connect_items *items, const struct nw_out *text,
                              struct nw_connect_value *value)
{
    const struct nw_convert convert = {.options = items->options,
                                       .form = items->element,
                                       .scratch = items->scratch,
                                       .level = items->level};
    const struct nw_value source = {.kind = NW_VALUE_PRESENT,
                                    .type = NW_TYPE_TEXT,
                                    .bytes = text->bytes,
                                    .size = (uint32_t)text->used};

    return nw_convert_present(&convert, &source, value);
}

static bool array_next(struct nw_connect_items *items, struct nw_connect_value *value,
                       nw_status *status)
{
    struct nw_level *level = &items->scratch->levels[items->level];
    struct nw_text text = nw_text_of(items->bytes + items->at, items->size - items->at);
    bool first = items->at == 0;
    enum nw_text_item item;

    if (first) {
        nw_text_array_enter(&text);
    }
    item = nw_text_item(&text, first, items->delimiter, &level->text);
    items->at = items->size - text.left;
    if (item == NW_ITEM_NONE || level->text.failed) {
        *status = level->text.failed ? NW_RETRY : text.failed ? NW_CORRUPT : NW_OK;
        return false;
    }
    if (item == NW_ITEM_TEXT) {
        *status = item_convert(items, &level->text, value);
    } else if (item == NW_ITEM_ARRAY) {
        *status = NW_REJECT;
    }
    return true;
}

static bool hstore_next(struct nw_connect_items *items, struct nw_connect_value *key,
                        struct nw_connect_value *value, nw_status *status)
{
    struct nw_level *level = &items->scratch->levels[items->level];
    struct nw_text text = nw_text_of(items->bytes + items->at, items->size - items->at);
    bool value_null = false;
    bool there = nw_text_pair(&text, items->at == 0, &level->out, &level->value, &value_null);

    items->at = items->size - text.left;
    *status = level->out.failed || level->value.failed ? NW_RETRY
              : text.failed                            ? NW_CORRUPT
                                                       : NW_OK;
    if (!there || *status != NW_OK) {
        return false;
    }
    *key = (struct nw_connect_value){
        .kind = NW_CONNECT_TEXT, .bytes = level->out.bytes, .size = (uint32_t)level->out.used};
    if (!value_null) {
        *value = (struct nw_connect_value){.kind = NW_CONNECT_TEXT,
                                           .bytes = level->value.bytes,
                                           .size = (uint32_t)level->value.used};
    }
    return true;
}

/* 1,2.5 or 1:2.5,3:1 */
static bool vector_next(struct nw_connect_items *items, struct nw_connect_value *key,
                        struct nw_connect_value *value, nw_status *status)
{
    struct nw_text text = nw_text_of(items->bytes + items->at, items->size - items->at);

    if (text.left == 0) {
        return false;
    }
    if (items->at > 0) {
        nw_text_expect(&text, ',');
    }
    if (items->source == NW_SOURCE_SPARSE) {
        *key =
            (struct nw_connect_value){.kind = NW_CONNECT_INTEGER, .as.integer = nw_text_i64(&text)};
        nw_text_expect(&text, ':');
        *status = key->as.integer > INT16_MAX ? NW_REJECT : NW_OK;
    }
    *value = (struct nw_connect_value){.kind = NW_CONNECT_REAL, .as.real = nw_text_real(&text)};
    items->at = items->size - text.left;
    if (text.failed) {
        *status = NW_CORRUPT;
        return false;
    }
    return *status == NW_OK;
}

static bool ready_next(struct nw_connect_items *items, struct nw_connect_value *key,
                       struct nw_connect_value *value)
{
    if (items->source == NW_SOURCE_CODES && items->index < items->size) {
        *value = (struct nw_connect_value){.kind = NW_CONNECT_INTEGER,
                                           .as.integer = (int8_t)items->bytes[items->index++]};
        return true;
    }
    if (items->index >= items->count) {
        return false;
    }
    if (items->source == NW_SOURCE_PAIRS) {
        *key = items->values[items->index++];
    }
    *value = items->values[items->index++];
    return true;
}

bool nw_connect_next(struct nw_connect_items *items, struct nw_connect_value *key,
                     struct nw_connect_value *value, nw_status *status, struct nw_error *err)
{
    bool there = false;

    *status = NW_OK;
    *value = (struct nw_connect_value){.kind = NW_CONNECT_NULL};
    switch (items->source) {
    case NW_SOURCE_ARRAY:
        there = array_next(items, value, status);
        break;
    case NW_SOURCE_HSTORE:
        there = hstore_next(items, key, value, status);
        break;
    case NW_SOURCE_VECTOR:
    case NW_SOURCE_SPARSE:
        there = vector_next(items, key, value, status);
        break;
    case NW_SOURCE_NOTHING:
    case NW_SOURCE_PAIRS:
    case NW_SOURCE_CODES:
    case NW_SOURCE_ONE:
        there = ready_next(items, key, value);
        break;
    }
    if (there && null_instead(items->options, *status, true)) {
        *value = (struct nw_connect_value){.kind = NW_CONNECT_NULL};
        *status = NW_OK;
    }
    if (there && value->kind == NW_CONNECT_NULL && items->element != NULL &&
        items->source == NW_SOURCE_ARRAY && !items->element->schema->optional &&
        !items->options->unfit_null) {
        *status = NW_REJECT; /* its schema says that there is none */
    }
    if (*status != NW_OK) {
        *status = refuse(items->scratch, *status, true, err);
        return false;
    }
    return there;
}

void nw_connect_rewind(struct nw_connect_items *items)
{
    items->at = 0;
    items->index = 0;
}

/* ---- what was not sent ---- */

static nw_status placeholder_give(const struct nw_convert *convert,
                                  const struct nw_connect_column *column,
                                  struct nw_connect_value *to)
{
    const struct nw_connect_options *options = convert->options;
    struct nw_level *level = &convert->scratch->levels[convert->level];
    const bool bytes = column->form.how == NW_HOW_ARRAY && column->element.schema != NULL &&
                       column->element.schema->kind == NW_CONNECT_BYTES;
    const struct nw_connect_value whole = {.kind = bytes ? NW_CONNECT_BINARY : NW_CONNECT_TEXT,
                                           .bytes = (const uint8_t *)options->placeholder,
                                           .size = options->placeholder_size};

    level->items = (struct nw_connect_items){.scratch = convert->scratch,
                                             .options = options,
                                             .values = level->pairs,
                                             .bytes = whole.bytes,
                                             .size = whole.size};
    level->pairs[0] = level->pairs[1] = whole;
    to->kind = NW_CONNECT_ITEMS;
    to->items = &level->items;
    switch (column->placeholder) {
    case NW_PLACEHOLDER_TEXT:
        *to = whole;
        to->kind = NW_CONNECT_TEXT;
        return NW_OK;
    case NW_PLACEHOLDER_BYTES:
        *to = whole;
        to->kind = NW_CONNECT_BINARY;
        return NW_OK;
    case NW_PLACEHOLDER_ITEM:
        level->items.source = NW_SOURCE_ONE;
        level->items.count = 1;
        return NW_OK;
    case NW_PLACEHOLDER_CODES:
        level->items.source = NW_SOURCE_CODES;
        return NW_OK;
    case NW_PLACEHOLDER_UUID:
        if (convert->scratch->table->placeholder_uuid[0] == '\0') {
            return NW_REJECT;
        }
        level->items.source = NW_SOURCE_ONE;
        level->items.count = 1;
        level->pairs[0] =
            (struct nw_connect_value){.kind = NW_CONNECT_TEXT,
                                      .bytes = convert->scratch->table->placeholder_uuid,
                                      .size = NW_PRINT_UUID_SIZE};
        return NW_OK;
    case NW_PLACEHOLDER_PAIR:
        level->items.source = NW_SOURCE_PAIRS;
        level->items.count = 2;
        return NW_OK;
    case NW_PLACEHOLDER_NONE:
        break;
    }
    return NW_REJECT;
}

/* ---- one value of a column ---- */

static nw_status hstore_placeholder(struct nw_level *level,
                                    const struct nw_connect_options *options,
                                    struct nw_connect_value *to)
{
    level->out.used = 0;
    nw_out_text(&level->out, "{");
    (void)nw_json_string(&level->out, options->placeholder, options->placeholder_size, 0);
    nw_out_text(&level->out, ":");
    (void)nw_json_string(&level->out, options->placeholder, options->placeholder_size, 0);
    nw_out_text(&level->out, "}");
    to->kind = NW_CONNECT_TEXT;
    to->bytes = level->out.bytes;
    to->size = (uint32_t)level->out.used;
    return level->out.failed ? NW_RETRY : NW_OK;
}

/* What an old image of the key alone does not say of a column that has to have a value. */
static nw_status zero_give(const struct nw_convert *convert, const struct nw_connect_column *column,
                           struct nw_connect_value *to)
{
    const struct nw_value source = {.kind = NW_VALUE_PRESENT,
                                    .type = NW_TYPE_TEXT,
                                    .bytes = (const uint8_t *)column->zero,
                                    .size = (uint32_t)strlen(column->zero)};

    if (column->form.schema->fallback != NULL) {
        *to = *column->form.schema->fallback;
        return NW_OK;
    }
    if (column->zero_ready) {
        *to = (struct nw_connect_value){
            .kind = NW_CONNECT_TEXT, .bytes = source.bytes, .size = source.size};
        return NW_OK;
    }
    return nw_convert_present(convert, &source, to);
}

static nw_status missing_give(const struct nw_convert *convert,
                              const struct nw_connect_column *column, struct nw_connect_value *to)
{
    if (column->form.how == NW_HOW_HSTORE_JSON) {
        return hstore_placeholder(&convert->scratch->levels[0], convert->options, to);
    }
    return placeholder_give(convert, column, to);
}

/* Whether each item of an array has room in a schema without NULL: where NULL stands for what has
 * none, it stands for the whole array, as in Debezium. */
static nw_status items_look(const struct nw_connect_options *options,
                            const struct nw_connect_column *column, struct nw_connect_value *value)
{
    struct nw_connect_value key, item;
    struct nw_error ignored;
    nw_status status = NW_OK;
    bool whole = true;

    if (!options->unfit_null || value->kind != NW_CONNECT_ITEMS ||
        value->items->source != NW_SOURCE_ARRAY || column->element.schema->optional) {
        return NW_OK;
    }
    while (whole && nw_connect_next(value->items, &key, &item, &status, &ignored)) {
        whole = item.kind != NW_CONNECT_NULL;
    }
    nw_connect_rewind(value->items);
    return status == NW_RETRY ? NW_RETRY : status != NW_OK || !whole ? NW_REJECT : NW_OK;
}

/* Of a database without an encoding (SQL_ASCII) text may be any bytes. The other forms know which
 * characters their text has, give bytes, or refuse exceptions themselves. */
static bool exception_fits(const struct nw_form *form, const struct nw_value *source)
{
    return (form->how != NW_HOW_ARRAY && form->how != NW_HOW_HSTORE_JSON &&
            form->how != NW_HOW_HSTORE_MAP) ||
           nw_utf8_valid(source->bytes, source->size);
}

nw_status nw_connect_convert(struct nw_connect_scratch *scratch, uint16_t index,
                             const struct nw_value *source, int side,
                             struct nw_connect_value *value, struct nw_error *err)
{
    const struct nw_connect_table *table = scratch->table;
    const struct nw_connect_column *column = &table->columns[index];
    const struct nw_convert convert = {.options = &table->options,
                                       .form = &column->form,
                                       .element = &column->element,
                                       .delimiter = column->delimiter,
                                       .scratch = scratch};
    nw_status status = NW_OK;

    *value = (struct nw_connect_value){.kind = NW_CONNECT_NULL};
    scratch->column = index;
    if (source->kind == NW_VALUE_EXCEPTION && !exception_fits(&column->form, source)) {
        status = NW_REJECT;
    } else if (source->kind == NW_VALUE_PRESENT || source->kind == NW_VALUE_EXCEPTION) {
        status = nw_convert_present(&convert, source, value);
        status = status == NW_OK ? items_look(&table->options, column, value) : status;
    } else if (source->kind == NW_VALUE_MISSING && side == NW_AFTER) {
        status = missing_give(&convert, column, value);
    } else if (source->kind == NW_VALUE_MISSING && column->not_null) {
        status = zero_give(&convert, column, value);
    }
    if (status == NW_OK) {
        return NW_OK;
    }
    latches_clear(scratch);
    if (null_instead(&table->options, status, column->form.schema->optional)) {
        *value = (struct nw_connect_value){.kind = NW_CONNECT_NULL};
        return NW_OK;
    }
    return refuse(scratch, status, false, err);
}
