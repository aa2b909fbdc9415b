/* SPDX-License-Identifier: Apache-2.0 */
/* A table's schemas, and names as Avro takes them: see connect.h. */
#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "lib/format/connect_form.h"
#include "lib/format/source_types.h"
#include "lib/print.h"
#include "lib/utf8.h"

#define BLOCK_SIZE  8192u
#define PLACEHOLDER "__debezium_unavailable_value"

struct nw_pool_block {
    struct nw_pool_block *next;
    size_t used;
    size_t capacity;
    alignas(max_align_t) uint8_t bytes[];
};

/* What nw_connect_table_create() gives; the public part comes first. */
struct table {
    struct nw_connect_table public;
    struct nw_pool pool;
};

struct nw_connect_options nw_connect_options_default(void)
{
    return (struct nw_connect_options){
        .money_digits = 2, .placeholder = PLACEHOLDER, .placeholder_size = sizeof PLACEHOLDER - 1};
}

/* ---- memory ---- */

void *nw_pool_get(struct nw_pool *pool, size_t size)
{
    struct nw_pool_block *block = pool->blocks;
    void *at;

    size = (size + alignof(max_align_t) - 1) / alignof(max_align_t) * alignof(max_align_t);
    if (block == NULL || block->capacity - block->used < size) {
        size_t capacity = size > BLOCK_SIZE ? size : BLOCK_SIZE;

        block = calloc(1, sizeof *block + capacity);
        if (block == NULL) {
            pool->failed = true;
            return NULL;
        }
        block->capacity = capacity;
        block->next = pool->blocks;
        pool->blocks = block;
    }
    at = block->bytes + block->used;
    block->used += size;
    return at;
}

const char *nw_pool_text(struct nw_pool *pool, const void *bytes, size_t size)
{
    char *text = nw_pool_get(pool, size + 1);

    if (text != NULL && size > 0) {
        memcpy(text, bytes, size);
    }
    return text;
}

void nw_pool_fini(struct nw_pool *pool)
{
    while (pool->blocks != NULL) {
        struct nw_pool_block *next = pool->blocks->next;

        free(pool->blocks);
        pool->blocks = next;
    }
}

/* ---- names ---- */

static bool is_letter(uint32_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* In the Unicode mode _ is what an escape begins with, and so is escaped itself. */
static bool name_keeps(uint32_t c, enum nw_connect_names mode, bool field, bool first)
{
    return is_letter(c) || (c == '_' && mode == NW_NAMES_AVRO) ||
           (!first && ((c >= '0' && c <= '9') || (c == '.' && !field)));
}

static void name_unit(struct nw_out *out, uint32_t unit, enum nw_connect_names mode)
{
    char text[8] = "_";

    if (mode == NW_NAMES_AVRO_UNICODE) {
        (void)snprintf(text, sizeof text, unit < 0x100 ? "_u00%02x" : "_u%x", unit & 0xffffu);
    }
    nw_out_text(out, text);
}

/* One character, UTF-8 or any byte; *at moves behind it. */
static uint32_t character(const uint8_t **at, const uint8_t *end)
{
    uint32_t c = **at;
    size_t size = c < 0x80 ? 1 : nw_utf8_size(*at, (size_t)(end - *at));

    if (size > 1) {
        c &= 0xffu >> (size + 1);
        for (size_t i = 1; i < size; i++) {
            c = c << 6 | ((*at)[i] & 0x3fu);
        }
    }
    *at += size == 0 ? 1 : size;
    return c;
}

void nw_connect_name(struct nw_out *out, const char *name, enum nw_connect_names mode, bool field)
{
    const uint8_t *at = (const uint8_t *)name;
    const uint8_t *end = at + strlen(name);

    if (mode == NW_NAMES_AS_THEY_ARE) {
        nw_out_bytes(out, name, strlen(name) + 1);
        return;
    }
    for (bool first = true; at < end; first = false) {
        const uint8_t *start = at;
        uint32_t c = character(&at, end);
        bool digit = c >= '0' && c <= '9';

        if (name_keeps(c, mode, field, first)) {
            nw_out_bytes(out, start, 1);
        } else if (c >= 0x10000) { /* two units in Java, each replaced */
            name_unit(out, 0xd800 + ((c - 0x10000) >> 10), mode);
            name_unit(out, 0xdc00 + ((c - 0x10000) & 0x3ff), mode);
        } else {
            name_unit(out, c, mode);
            if (first && digit && mode == NW_NAMES_AVRO) {
                nw_out_bytes(out, start, 1);
            }
        }
    }
    nw_out_bytes(out, "", 1);
}

static const char *pooled_name(struct nw_pool *pool, const char *name, const char *ending,
                               enum nw_connect_names mode, bool field)
{
    struct nw_out said = {0};
    struct nw_out adjusted = {0};
    const char *kept = NULL;

    nw_out_text(&said, name);
    nw_out_bytes(&said, ending, strlen(ending) + 1);
    if (!said.failed) {
        nw_connect_name(&adjusted, (const char *)said.bytes, mode, field);
    }
    if (!said.failed && !adjusted.failed) {
        kept = nw_pool_text(pool, adjusted.bytes, adjusted.used - 1);
    }
    pool->failed |= kept == NULL;
    nw_out_fini(&said);
    nw_out_fini(&adjusted);
    return kept;
}

/* ---- tables ---- */

/* What a NOT NULL column has where its value is not known and it has no default: Debezium takes
 * what its type begins with. As PostgreSQL prints it, or as it stands in the message. */
static const char *zero_text(const struct nw_form *form, bool *ready)
{
    static const struct {
        enum nw_how how;
        bool ready;
        const char *text;
    } zeros[] = {
        {NW_HOW_BOOLEAN, false, "f"},
        {NW_HOW_INTEGER, false, "0"},
        {NW_HOW_REAL, false, "0"},
        {NW_HOW_DATE, false, "1970-01-01"},
        {NW_HOW_DATE_ISO, false, "1970-01-01"},
        {NW_HOW_TIME, false, "00:00:00"},
        {NW_HOW_TIME_ISO, false, "00:00:00"},
        {NW_HOW_STAMP, false, "1970-01-01 00:00:00"},
        {NW_HOW_STAMP_ISO, false, "1970-01-01 00:00:00"},
        {NW_HOW_STAMP_ZONED, true, "1970-01-01T00:00:00Z"},
        {NW_HOW_TIME_ZONED, false, "00:00:00+00"},
        {NW_HOW_INTERVAL, false, "00:00:00"},
        {NW_HOW_INTERVAL_ISO, false, "00:00:00"},
        {NW_HOW_BIT, false, "0"},
        {NW_HOW_POINT, false, "(0,0)"},
        {NW_HOW_LSEG, false, "[(0,0),(1,0)]"},
        {NW_HOW_BOX, false, "(0,0),(1,1)"},
        {NW_HOW_PATH, false, "{(0,0),(1,0)}"},
        {NW_HOW_POLYGON, false, "((0,0),(1,0),(0,1))"},
        {NW_HOW_CIRCLE, false, "<(0,0),0>"},
        {NW_HOW_LINE, false, "{0,1,0}"},
        {NW_HOW_EWKB, false, "010700000000000000"},
        {NW_HOW_VECTOR, false, "[]"},
        {NW_HOW_SPARSE_VECTOR, false, "{}/0"},
        {NW_HOW_ARRAY, false, "{}"},
        {NW_HOW_DATE_PARTS, false, "1970-01-01"},
        {NW_HOW_TIME_PARTS, false, "00:00:00"},
        {NW_HOW_TIME_ZONED_PARTS, false, "00:00:00+00"},
        {NW_HOW_STAMP_PARTS, false, "1970-01-01 00:00:00"},
        {NW_HOW_STAMP_ZONED_PARTS, false, "1970-01-01 00:00:00"}, /* of no zone */
        {NW_HOW_INTERVAL_PARTS, false, "00:00:00"},
        {NW_HOW_UUID, true, ""},
    };

    for (size_t i = 0; i < sizeof zeros / sizeof zeros[0]; i++) {
        if (zeros[i].how == form->how) {
            *ready = zeros[i].ready;
            return zeros[i].text;
        }
    }
    *ready = false;
    return form->scale > 0 || form->how == NW_HOW_DECIMAL || form->how == NW_HOW_VARIABLE ||
                   form->how == NW_HOW_DECIMAL_REAL || form->how == NW_HOW_DECIMAL_TEXT ||
                   form->how == NW_HOW_MONEY
               ? NULL /* a number with as many digits behind the point as its scale */
               : "";
}

static void zero_set(struct nw_pool *pool, struct nw_connect_column *column)
{
    char number[NW_SCALE_MAX + 2] = "0.";

    column->zero = zero_text(&column->form, &column->zero_ready);
    if (column->zero == NULL) {
        size_t size = column->form.scale == 0 ? 1 : 2 + (size_t)column->form.scale;

        if (column->form.scale > 0) {
            memset(number + 2, '0', column->form.scale);
        }
        column->zero = nw_pool_text(pool, number, size);
    }
}

static void columns_fill(struct table *t, struct nw_connect_column *columns,
                         const struct nw_connect_schema **schemas)
{
    const struct nw_table *table = t->public.table;
    const struct nw_connect_options *options = &t->public.options;

    for (uint16_t i = 0; i < table->columns_count && !t->pool.failed; i++) {
        const struct nw_connect_value *fallback = NULL;

        nw_form_of(&t->pool, table, i, options, &columns[i]);
        zero_set(&t->pool, &columns[i]);
        if (columns[i].form.how == NW_HOW_OMIT || columns[i].form.schema == NULL) {
            continue;
        }
        fallback = nw_connect_default(&t->pool, &table->columns[i], &columns[i].form, options);
        if (fallback != NULL) {
            struct nw_connect_schema *own = nw_pool_get(&t->pool, sizeof *own);

            if (own != NULL) {
                *own = *columns[i].form.schema;
                own->fallback = fallback;
                columns[i].form.schema = own;
            }
        }
        schemas[i] = columns[i].form.schema;
    }
}

/* The struct of some columns; those without a schema are left out. @param kept  filled: which. */
static struct nw_connect_schema *struct_of(struct table *t, const char *name,
                                           const uint16_t *columns, uint16_t count,
                                           const struct nw_connect_schema *const *schemas,
                                           const uint16_t **kept)
{
    struct nw_connect_schema *schema = nw_pool_get(&t->pool, sizeof *schema);
    struct nw_connect_field *fields = nw_pool_get(&t->pool, (count + 1u) * sizeof *fields);
    uint16_t *which = nw_pool_get(&t->pool, (count + 1u) * sizeof *which);

    if (schema == NULL || fields == NULL || which == NULL) {
        return NULL;
    }
    *kept = which;
    *schema = (struct nw_connect_schema){.kind = NW_CONNECT_STRUCT, .name = name, .fields = fields};
    for (uint16_t i = 0; i < count; i++) {
        if (schemas[columns[i]] != NULL) {
            which[schema->fields_count] = columns[i];
            fields[schema->fields_count++] = (struct nw_connect_field){
                .name = pooled_name(&t->pool, t->public.table->columns[columns[i]].name, "",
                                    t->public.options.field_names, true),
                .schema = schemas[columns[i]]};
        }
    }
    return schema;
}

/* The schemas of values say besides what the columns' types are on the server; keys' do not. */
static const struct nw_connect_schema **valued(struct table *t,
                                               const struct nw_connect_schema **schemas)
{
    const struct nw_connect_options *options = &t->public.options;
    const struct nw_table *table = t->public.table;
    struct nw_source_types wanted;
    const struct nw_connect_schema **made = NULL;
    char why[128];

    if (options->source_columns == NULL && options->source_types == NULL) {
        return schemas;
    }
    made = nw_pool_get(&t->pool, (table->columns_count + 1u) * sizeof *made);
    if (nw_source_types_init(&wanted, options->source_columns, options->source_types, why,
                             sizeof why) != NULL) {
        t->pool.failed = true;
    }
    for (uint16_t i = 0; made != NULL && i < table->columns_count && !t->pool.failed; i++) {
        made[i] = nw_source_types_add(&t->pool, &wanted, table, i, schemas[i]);
    }
    nw_source_types_fini(&wanted);
    return made == NULL ? schemas : made;
}

static void table_fill(struct table *t, const char *name)
{
    const struct nw_table *table = t->public.table;
    size_t count = table->columns_count + 1u;
    enum nw_connect_names mode = t->public.options.schema_names;
    struct nw_connect_column *columns = nw_pool_get(&t->pool, count * sizeof *columns);
    const struct nw_connect_schema **schemas = nw_pool_get(&t->pool, count * sizeof *schemas);
    uint16_t *all = nw_pool_get(&t->pool, count * sizeof *all);

    if (columns == NULL || schemas == NULL || all == NULL) {
        return;
    }
    columns_fill(t, columns, schemas);
    for (uint16_t i = 0; i < table->columns_count; i++) {
        all[i] = i;
    }
    t->public.columns = columns;
    t->public.value = struct_of(t, pooled_name(&t->pool, name, ".Value", mode, false), all,
                                table->columns_count, valued(t, schemas), &t->public.fields);
    if (t->public.value != NULL) {
        t->public.value->optional = true;
    }
    if (table->key_columns_count > 0) {
        t->public.key =
            struct_of(t, pooled_name(&t->pool, name, ".Key", mode, false), table->key_columns,
                      table->key_columns_count, schemas, &t->public.key_fields);
    }
}

/* As java.util.UUID.nameUUIDFromBytes() makes it. Where MD5 is not to be had there is none. */
static void uuid_of(const struct nw_connect_options *options, uint8_t text[36])
{
    uint8_t digest[EVP_MAX_MD_SIZE];

    if (EVP_Digest(options->placeholder, options->placeholder_size, digest, NULL, EVP_md5(),
                   NULL) == 1) {
        digest[6] = (uint8_t)((digest[6] & 0x0f) | 0x30);
        digest[8] = (uint8_t)((digest[8] & 0x3f) | 0x80);
        (void)nw_print_uuid(text, digest);
    }
}

struct nw_connect_table *nw_connect_table_create(const struct nw_table *table, const char *name,
                                                 const struct nw_connect_options *options)
{
    struct table *t = calloc(1, sizeof *t);

    if (t == NULL) {
        return NULL;
    }
    t->public.table = table;
    t->public.options = *options;
    uuid_of(options, t->public.placeholder_uuid);
    table_fill(t, name);
    if (t->pool.failed) {
        nw_connect_table_destroy(&t->public);
        return NULL;
    }
    return &t->public;
}

void nw_connect_table_destroy(struct nw_connect_table *table)
{
    struct table *t = (struct table *)table;

    if (t != NULL) {
        nw_pool_fini(&t->pool);
        free(t);
    }
}

bool nw_connect_table_has(const struct nw_connect_table *table, uint16_t column)
{
    return table->columns[column].form.how != NW_HOW_OMIT;
}
