/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Defaults of columns, as Debezium reads them from what pg_get_expr() prints: a literal, with casts
 * or without, becomes the schema's default; a call, whose value nobody knows, its type's zero. All
 * else is none. Types that Debezium gives no default have none here. See connect_form.h.
 */
#include <string.h>
#include <strings.h>

#include "lib/format/connect_form.h"

#define LITERAL_MAX 65536u

enum shape { SHAPE_NONE, SHAPE_LITERAL, SHAPE_CALL };

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '.';
}

/* nextval('s'::regclass), CURRENT_DATE */
static bool is_call(const char *text)
{
    static const char *const words[] = {"current_timestamp", "current_time", "current_date",
                                        "localtime", "localtimestamp"};
    size_t size = 0;

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcasecmp(text, words[i]) == 0) {
            return true;
        }
    }
    text += text[0] == '(' ? 1 : 0;
    while (is_word(text[size])) {
        size++;
    }
    return size > 0 && text[size] == '(' && strchr(text, ')') != NULL;
}

/* Behind a literal only casts may stand: ::character varying(10)[] */
static bool only_casts(const char *text)
{
    bool quoted = false;

    while (*text == ')') {
        text++;
    }
    if (*text == '\0') {
        return true;
    }
    if (strncmp(text, "::", 2) != 0) {
        return false;
    }
    for (; *text != '\0'; text++) {
        quoted ^= *text == '"';
        if (!quoted && *text != '"' && strchr("'|+*/<>=", *text) != NULL) {
            return false;
        }
    }
    return true;
}

/* Behind a quote: up to the one that ends it. */
static enum shape quoted_literal(const char *text, struct nw_out *out)
{
    for (; *text != '\0'; text++) {
        if (*text == '\'' && *++text != '\'') {
            return only_casts(text) ? SHAPE_LITERAL : SHAPE_NONE;
        }
        nw_out_bytes(out, text, 1);
    }
    return SHAPE_NONE;
}

/* The text between quotes, or what stands before casts. */
static enum shape literal_of(const char *text, struct nw_out *out)
{
    size_t size;

    while (*text == '(' || ((*text == 'B' || *text == 'E') && text[1] == '\'')) {
        text++;
    }
    if (*text == '\'') {
        return quoted_literal(text + 1, out);
    }
    if (*text != '-' && (*text < '0' || *text > '9') && strcmp(text, "true") != 0 &&
        strcmp(text, "false") != 0) {
        return SHAPE_NONE; /* CURRENT_USER */
    }
    size = strcspn(text, ":()'");
    nw_out_bytes(out, text, size);
    return only_casts(text + size) ? SHAPE_LITERAL : SHAPE_NONE;
}

/* What a call's value is taken for; NULL: the type has no defaults. */
static const char *call_text(const struct nw_form *form)
{
    static const char *const texts[] = {
        [NW_HOW_BOOLEAN] = "f",
        [NW_HOW_INTEGER] = "0",
        [NW_HOW_REAL] = "0",
        [NW_HOW_DECIMAL] = "0",
        [NW_HOW_DECIMAL_REAL] = "0",
        [NW_HOW_DECIMAL_TEXT] = "0.0",
        [NW_HOW_TEXT] = "",
        [NW_HOW_UUID] = "00000000-0000-0000-0000-000000000000",
        [NW_HOW_DATE] = "1970-01-01",
        [NW_HOW_DATE_ISO] = "1970-01-01",
        [NW_HOW_TIME] = "00:00:00",
        [NW_HOW_TIME_ISO] = "00:00:00",
        [NW_HOW_STAMP] = "1970-01-01 00:00:00",
        [NW_HOW_STAMP_ISO] = "1970-01-01 00:00:00",
        [NW_HOW_STAMP_ZONED] = "1970-01-01 00:00:00+00",
        [NW_HOW_INTERVAL] = "00:00:00",
        [NW_HOW_INTERVAL_ISO] = "00:00:00",
        [NW_HOW_BIT] = "0",
        [NW_HOW_BITS] = "00",
        [NW_HOW_ARRAY] = NULL,
    };
    const char *name = form->schema->name;

    return form->how == NW_HOW_TEXT && name != NULL && strcmp(name, "io.debezium.data.Json") == 0
               ? "{}"
               : texts[form->how];
}

static bool has_defaults(const struct nw_column_schema *column, const struct nw_form *form)
{
    /* bool, integers, floats, bpchar, varchar, text, json, jsonb, xml, uuid, numeric, dates, bits
     */
    static const uint32_t texts[] = {25, 1042, 1043, 114, 3802, 142};

    if (form->how == NW_HOW_TEXT && column->enum_labels == NULL) {
        for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
            if (texts[i] == column->base_type_oid) {
                return column->type_oid == column->base_type_oid;
            }
        }
        return false;
    }
    return call_text(form) != NULL && form->how != NW_HOW_VARIABLE &&
           (column->type_oid == column->base_type_oid) && column->base_type_oid != 26;
}

/* Kept for as long as the table. */
static const struct nw_connect_value *keep(struct nw_pool *pool,
                                           const struct nw_connect_value *value)
{
    struct nw_connect_value *kept = nw_pool_get(pool, sizeof *kept);

    if (kept != NULL) {
        *kept = *value;
        kept->bytes = value->bytes == NULL
                          ? NULL
                          : (const uint8_t *)nw_pool_text(pool, value->bytes, value->size);
    }
    return kept;
}

static const struct nw_connect_value *convert_default(struct nw_pool *pool,
                                                      const struct nw_form *form,
                                                      const struct nw_connect_options *options,
                                                      const void *text, size_t size)
{
    struct nw_connect_scratch *scratch = nw_connect_scratch_create(NULL);
    const struct nw_convert convert = {.options = options, .form = form, .scratch = scratch};
    const struct nw_value source = {
        .kind = NW_VALUE_PRESENT, .type = NW_TYPE_TEXT, .bytes = text, .size = (uint32_t)size};
    const struct nw_connect_value *kept = NULL;
    struct nw_connect_value value = {.kind = NW_CONNECT_NULL};
    nw_status status = scratch == NULL ? NW_RETRY : nw_convert_present(&convert, &source, &value);

    if (status == NW_OK) {
        kept = keep(pool, &value);
    }
    pool->failed |= status == NW_RETRY;
    nw_connect_scratch_destroy(scratch);
    return kept;
}

/* As a string a number has its column's digits behind the point. */
static const struct nw_connect_value *scaled_default(struct nw_pool *pool,
                                                     const struct nw_form *form,
                                                     const struct nw_connect_options *options,
                                                     const void *text, size_t size)
{
    const struct nw_form number = {
        .how = NW_HOW_DECIMAL, .scale = form->scale, .schema = form->schema};
    struct nw_connect_options as_text = *options;
    const struct nw_connect_value *value;
    struct nw_connect_value *kept;

    as_text.numbers_as_text = true;
    value = convert_default(pool, &number, &as_text, text, size);
    kept = value == NULL ? NULL : nw_pool_get(pool, sizeof *kept);
    if (kept != NULL) {
        *kept = *value;
        kept->kind = NW_CONNECT_TEXT;
    }
    return kept;
}

const struct nw_connect_value *nw_connect_default(struct nw_pool *pool,
                                                  const struct nw_column_schema *column,
                                                  const struct nw_form *form,
                                                  const struct nw_connect_options *options)
{
    const struct nw_connect_value *value = NULL;
    const char *text = column->default_expr;
    struct nw_out literal = {0};

    if (text == NULL || !has_defaults(column, form) || strlen(text) > LITERAL_MAX) {
        return NULL;
    }
    if (is_call(text)) {
        const char *call = column->enum_labels != NULL ? NULL : call_text(form);

        if (call == NULL) {
            return NULL;
        }
        nw_out_text(&literal, call);
    } else if (literal_of(text, &literal) != SHAPE_LITERAL) {
        nw_out_fini(&literal);
        return NULL;
    }
    value = form->how == NW_HOW_DECIMAL_TEXT && form->scale > 0
                ? scaled_default(pool, form, options, literal.bytes, literal.used)
                : convert_default(pool, form, options, literal.bytes, literal.used);
    pool->failed |= literal.failed;
    nw_out_fini(&literal);
    return value;
}
