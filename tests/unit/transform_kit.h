/* SPDX-License-Identifier: Apache-2.0 */
/* Rules from YAML and tables by hand, for the tests of transforms. */
#ifndef NW_TESTS_TRANSFORM_KIT_H
#define NW_TESTS_TRANSFORM_KIT_H

#include "decode_blocks.h"

#include <stdio.h>

#include "transform/transform.h"

struct kit {
    struct nw_arena arena;
    struct nw_transform_rules rules;
    struct nw_transforms *transforms;
    struct nw_error err;
};

static inline void kit_open(struct kit *kit, const char *yaml)
{
    struct nw_node *root = NULL;

    memset(kit, 0, sizeof *kit);
    nw_arena_init(&kit->arena, 64u << 20);
    assert_int_equal(
        nw_tree_parse(yaml, strlen(yaml), "narwal.yaml", &kit->arena, &root, &kit->err), NW_OK);
    if (nw_transform_rules_take(root, &kit->arena, &kit->rules, NULL, &kit->err) != NW_OK) {
        fail_msg("%s", kit->err.text);
    }
    assert_int_equal(nw_transforms_create(&kit->rules, &kit->transforms, &kit->err), NW_OK);
}

static inline void kit_close(struct kit *kit)
{
    nw_transforms_destroy(kit->transforms);
    nw_arena_fini(&kit->arena);
}

static inline const struct nw_projection *kit_project(struct kit *kit, const struct nw_table *table)
{
    const struct nw_projection *projection = NULL;

    if (nw_transforms_project(kit->transforms, table, &projection, &kit->err) != NW_OK) {
        fail_msg("%s", kit->err.text);
    }
    return projection;
}

/* A refusal that says this. */
static inline void kit_refused(const char *yaml, const struct nw_table *table, const char *said)
{
    struct kit kit;
    const struct nw_projection *projection = NULL;

    kit_open(&kit, yaml);
    assert_int_equal(nw_transforms_project(kit.transforms, table, &projection, &kit.err),
                     NW_REJECT);
    if (strstr(kit.err.text, said) == NULL) {
        fail_msg("\"%s\" does not say \"%s\"", kit.err.text, said);
    }
    assert_null(projection);
    kit_close(&kit);
}

/* people(id integer key, mail text, born date, n numeric(10,2), flag boolean) */
#define PEOPLE_COLUMNS 5

static inline const struct nw_table *people(char identity)
{
    static struct nw_column_schema columns[PEOPLE_COLUMNS];
    static const uint16_t keys[] = {0};
    static struct nw_table tables[8];
    static uint32_t count;
    struct nw_table *table = &tables[count++ % 8]; /* each a version of its own */

    columns[0] = column_make("id", NW_OID_INT4, -1);
    columns[1] = column_make("mail", NW_OID_TEXT, -1);
    columns[2] = column_make("born", NW_OID_DATE, -1);
    columns[3] = column_make("n", NW_OID_NUMERIC, (10 << 16) + 2 + 4);
    columns[4] = column_make("flag", NW_OID_BOOL, -1);
    for (int i = 0; i < PEOPLE_COLUMNS; i++) {
        columns[i].attnum = (int16_t)(i + 1);
        columns[i].identity = identity == 'f' || i == 0;
        columns[i].default_expr = "a default";
    }
    *table = table_make(columns, PEOPLE_COLUMNS);
    table->name = "people";
    table->replica_identity = identity;
    table->key_columns = keys;
    table->key_columns_count = 1;
    table->key_is_primary = true;
    return table;
}

/* "3|***|(null)": one row's image, values of seen columns; "-" when the row has no such image. */
static inline const char *row_print(const struct nw_batch *batch, int side, uint32_t row)
{
    static char text[1024];
    size_t used = 0;

    text[0] = '\0';
    if (!nw_batch_has(batch, side, row)) {
        return "-";
    }
    for (uint16_t i = 0; i < batch->table->columns_count; i++) {
        struct nw_value value = nw_batch_value(batch, side, row, i);
        char shown[512] = "(null)";

        if (value.kind == NW_VALUE_MISSING) {
            (void)snprintf(shown, sizeof shown, "(missing)");
        } else if (value.kind == NW_VALUE_EXCEPTION) {
            (void)snprintf(shown, sizeof shown, "(%.*s)", (int)value.size, value.bytes);
        } else if (value.kind == NW_VALUE_PRESENT && value.type == NW_TYPE_TEXT) {
            (void)snprintf(shown, sizeof shown, "%.*s", (int)value.size, value.bytes);
        } else if (value.kind == NW_VALUE_PRESENT && value.type == NW_TYPE_BOOL) {
            (void)snprintf(shown, sizeof shown, "%d", value.as.boolean);
        } else if (value.kind == NW_VALUE_PRESENT && value.type == NW_TYPE_DECIMAL) {
            int64_t low = 0;

            memcpy(&low, value.bytes, sizeof low);
            (void)snprintf(shown, sizeof shown, "%lld/100", (long long)low);
        } else if (value.kind == NW_VALUE_PRESENT) {
            (void)snprintf(shown, sizeof shown, "%lld", (long long)value.as.integer);
        }
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%s", i == 0 ? "" : "|", shown);
    }
    return text;
}

#endif
