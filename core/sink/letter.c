/* SPDX-License-Identifier: Apache-2.0 */
/* What a dead letter says of its row: see letter.h, and docs/operations.md for the format. */
#include "sink/letter.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/utf8.h"
#include "decode/value_text.h"

void nw_letter_fini(struct nw_letter *letter)
{
    free(letter->reason);
    free(letter->row);
    letter->reason = NULL;
    letter->row = NULL;
}

/* "\x6869", with or without what it begins with. */
static json_t *hex_json(const uint8_t *bytes, size_t size, const char *prefix)
{
    static const char digits[] = "0123456789abcdef";
    size_t used = strlen(prefix);
    char *text = malloc(used + 2 * size + 1);
    json_t *made = NULL;

    if (text == NULL) {
        return NULL;
    }
    memcpy(text, prefix, used);
    for (size_t i = 0; i < size; i++) {
        text[used++] = digits[bytes[i] >> 4];
        text[used++] = digits[bytes[i] & 15];
    }
    made = json_stringn_nocheck(text, used);
    free(text);
    return made;
}

/* What is no UTF-8 becomes {"$bytes": "6869"}, as in the files of the file sink. */
static json_t *text_json(const uint8_t *bytes, size_t size)
{
    return nw_utf8_is_valid(bytes, size) ? json_stringn_nocheck((const char *)bytes, size)
                                         : json_pack("{s:o}", "$bytes", hex_json(bytes, size, ""));
}

/* A database without an encoding may have names of any bytes: those above 127 become \xNN. */
static const char *name_text(const char *name, char *to, size_t size)
{
    size_t used = 0;

    if (nw_utf8_is_valid((const uint8_t *)name, strlen(name))) {
        return name;
    }
    for (; *name != '\0' && used + 5 < size; name++) {
        used +=
            (size_t)snprintf(to + used, size - used, (unsigned char)*name > 0x7f ? "\\x%02x" : "%c",
                             (unsigned char)*name);
    }
    return to;
}

static json_t *value_json(const struct nw_column_schema *column, const struct nw_value *value)
{
    char text[NW_VALUE_TEXT_SIZE];
    size_t size = 0;

    if (value->kind == NW_VALUE_NULL) {
        return json_null();
    }
    if (value->kind == NW_VALUE_EXCEPTION) {
        return text_json(value->bytes, value->size);
    }
    if (value->type == NW_TYPE_BOOL) {
        return json_boolean(value->as.boolean);
    }
    if (value->type == NW_TYPE_BINARY) {
        return hex_json(value->bytes, value->size, "\\x");
    }
    size = nw_value_text(text, column, value);
    if (size == 0) {
        return text_json(value->bytes, value->size);
    }
    return value->type == NW_TYPE_INT16 || value->type == NW_TYPE_INT32 ||
                   value->type == NW_TYPE_INT64 || value->type == NW_TYPE_UINT32
               ? json_integer(value->as.integer)
               : json_stringn_nocheck(text, size);
}

static const char *const SIDES[] = {"before", "after"};
static const char *const MISSING[] = {"before_missing", "after_missing"};

/* @return false: out of memory */
static bool side_put(json_t *root, const struct nw_batch *batch, uint32_t row, int side)
{
    json_t *image = NULL;
    json_t *missing = NULL;
    int failed = 0;

    if (!nw_batch_has(batch, side, row)) {
        return true;
    }
    image = json_object();
    missing = json_array();
    for (uint16_t i = 0; i < batch->table->columns_count; i++) {
        const struct nw_column_schema *column = &batch->table->columns[i];
        struct nw_value value = nw_batch_value(batch, side, row, i);
        char buffer[512];
        const char *name = name_text(column->name, buffer, sizeof buffer);

        failed |= value.kind == NW_VALUE_MISSING
                      ? json_array_append_new(missing, json_string(name))
                      : json_object_set_new(image, name, value_json(column, &value));
    }
    failed |= json_object_set_new(root, SIDES[side], image);
    if (json_array_size(missing) > 0) {
        failed |= json_object_set_new(root, MISSING[side], missing);
    } else {
        json_decref(missing);
    }
    return failed == 0;
}

static json_t *columns_json(const struct nw_table *table)
{
    json_t *columns = json_array();
    int failed = 0;

    for (uint16_t i = 0; i < table->columns_count; i++) {
        const struct nw_column_schema *column = &table->columns[i];
        char name[512];
        char type[512];
        bool key = false;

        for (uint16_t k = 0; k < table->key_columns_count; k++) {
            key = key || table->key_columns[k] == i;
        }
        failed |= json_array_append_new(
            columns,
            json_pack("{s:s,s:s,s:b}", "name", name_text(column->name, name, sizeof name), "type",
                      name_text(column->type_name, type, sizeof type), "key", key));
    }
    if (failed != 0) {
        json_decref(columns);
        return NULL;
    }
    return columns;
}

/* Give; NULL: out of memory. */
static char *row_json(const struct nw_batch *batch, uint32_t row)
{
    json_t *root = json_object();
    bool whole = json_object_set_new(root, "columns", columns_json(batch->table)) == 0 &&
                 side_put(root, batch, row, NW_BEFORE) && side_put(root, batch, row, NW_AFTER);
    char *text = whole ? json_dumps(root, JSON_COMPACT) : NULL;

    json_decref(root);
    return text;
}

/* At least what the values alone take. */
static uint64_t size_of(const struct nw_batch *batch, uint32_t row)
{
    uint64_t size = 0;

    for (int side = NW_BEFORE; side <= NW_AFTER; side++) {
        for (uint16_t i = 0; i < batch->table->columns_count; i++) {
            struct nw_value value = nw_batch_value(batch, side, row, i);

            size += value.kind == NW_VALUE_MISSING || value.kind == NW_VALUE_NULL ? 0 : value.size;
        }
    }
    return size;
}

nw_status nw_letter_take(struct nw_letter *letter, const struct nw_batch *batch, uint32_t row,
                         uint64_t size_max, struct nw_error *err)
{
    bool copied = (batch->flags & NW_BATCH_COPY) != 0;
    size_t size = 0;

    letter->row = size_of(batch, row) > size_max ? NULL : row_json(batch, row);
    size = letter->row == NULL ? 0 : strlen(letter->row);
    if (size > size_max || size_of(batch, row) > size_max) {
        free(letter->row);
        letter->row = NULL;
        return nw_fail(err, NW_REJECT,
                       "NW2419 the row is larger than dead_letters, which is %" PRIu64, size_max);
    }
    if (letter->row == NULL) {
        return nw_fail(err, NW_FATAL, "out of memory for a row that a sink refused");
    }
    letter->row_size = (uint32_t)size;
    letter->table = batch->table;
    letter->op = batch->op[row];
    letter->commit_lsn = batch->commit_lsn[row];
    letter->row_lsn = batch->row_lsn[row];
    letter->xid = batch->xid[row];
    letter->commit_ts = batch->commit_ts[row];
    letter->key = (struct nw_letter_key){
        .relation_oid = batch->table->relation_oid,
        .generation = copied ? batch->generation : 0,
        .commit_lsn = copied ? 0 : batch->commit_lsn[row],
        .seq = copied ? XXH3_64bits(letter->row, size) : batch->seq[row],
    };
    return NW_OK;
}
