/* SPDX-License-Identifier: Apache-2.0 */
/* A table of one column, and its values and default as JSON, for tests of Connect's model. */
#ifndef NW_TESTS_CONNECT_KIT_H
#define NW_TESTS_CONNECT_KIT_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/format/connect.h"
#include "lib/format/connect_json.h"

struct value_case {
    uint32_t oid;
    int32_t typmod;
    const char *type_name;
    const char *text; /* as PostgreSQL prints it */
    const char *json;
};

/* What nw_table has of the column beside it, in tests of that. */
static const char *const *const *item_labels;
static const char *const *base_type_names;

static inline struct nw_connect_table *table_of(struct nw_table *table,
                                                struct nw_column_schema *column,
                                                const struct nw_connect_options *options)
{
    struct nw_connect_table *made;

    column->name = "v";
    *table = (struct nw_table){.size = sizeof *table,
                               .schema_name = "public",
                               .name = "t",
                               .columns_count = 1,
                               .columns = column,
                               .item_labels = item_labels,
                               .base_type_names = base_type_names};
    made = nw_connect_table_create(table, "p.public.t", options);
    assert_non_null(made);
    return made;
}

/* The value as JSON, or why it is refused. */
static inline const char *convert(const struct nw_connect_options *options,
                                  struct nw_column_schema column, const struct nw_value *source,
                                  int side)
{
    static struct nw_out out;
    struct nw_table table;
    struct nw_connect_table *made = table_of(&table, &column, options);
    struct nw_connect_scratch *scratch = nw_connect_scratch_create(made);
    struct nw_connect_value value;
    struct nw_error err = {0};
    nw_status status = NW_OK;

    out.used = 0;
    assert_non_null(scratch);
    if (!nw_connect_table_has(made, 0)) {
        nw_out_text(&out, "left out");
    } else {
        status = nw_connect_convert(scratch, 0, source, side, &value, &err);
        if (status == NW_OK) {
            status =
                nw_connect_json_value(&out, made->value->fields[0].schema, &value, false, &err);
        }
        if (status != NW_OK) {
            assert_int_equal(status, NW_REJECT);
            assert_memory_equal(err.text, "NW2720 ", 7);
            out.used = 0;
            nw_out_text(&out, "refused");
        }
    }
    nw_out_bytes(&out, "", 1);
    nw_connect_scratch_destroy(scratch);
    nw_connect_table_destroy(made);
    return (const char *)out.bytes;
}

static inline const char *convert_text(const struct nw_connect_options *options,
                                       const struct value_case *vector)
{
    /* An allocation of its own, so that a sanitizer sees every byte read too many. */
    size_t size = strlen(vector->text);
    uint8_t *text = malloc(size + (size == 0));
    const struct nw_value source = {.kind = NW_VALUE_PRESENT,
                                    .type = NW_TYPE_TEXT,
                                    .bytes = memcpy(text, vector->text, size),
                                    .size = (uint32_t)size};
    const char *json = convert(options,
                               (struct nw_column_schema){.type_name = vector->type_name,
                                                         .type_oid = vector->oid,
                                                         .base_type_oid = vector->oid,
                                                         .typmod = vector->typmod},
                               &source, NW_AFTER);

    free(text);
    return json;
}

/* Each of them is that JSON. */
static inline void convert_all(const struct nw_connect_options *options,
                               const struct value_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const char *json = convert_text(options, &cases[i]);

        if (strcmp(json, cases[i].json) != 0) {
            fail_msg("%s %s is %s, not %s", cases[i].type_name, cases[i].text, json, cases[i].json);
        }
    }
}

struct default_case {
    uint32_t oid;
    int32_t typmod;
    const char *expression; /* as pg_get_expr() prints it */
    const char *json;       /* with all defaults; NULL: the schema has none */
    const char *json_text;  /* with decimals: string; NULL: the same */
};

/* The schema's default as JSON; "none". */
static inline const char *default_of(const struct default_case *vector,
                                     const struct nw_connect_options *options)
{
    static struct nw_out out;
    struct nw_column_schema column = {.type_name = "?",
                                      .type_oid = vector->oid,
                                      .base_type_oid = vector->oid,
                                      .typmod = vector->typmod,
                                      .default_expr = vector->expression};
    struct nw_table table;
    struct nw_connect_table *made = table_of(&table, &column, options);
    const struct nw_connect_schema *schema = made->value->fields[0].schema;

    out.used = 0;
    if (schema->fallback == NULL) {
        nw_out_text(&out, "none");
    } else {
        assert_int_equal(nw_connect_json_value(&out, schema, schema->fallback, false, NULL), NW_OK);
    }
    nw_out_bytes(&out, "", 1);
    nw_connect_table_destroy(made);
    return (const char *)out.bytes;
}

#endif
