/* SPDX-License-Identifier: Apache-2.0 */
/* One row for tests of forms: from its texts to a batch, and its table in Connect's model. */
#ifndef NW_TESTS_ROW_KIT_H
#define NW_TESTS_ROW_KIT_H

#include <stdint.h>
#include <string.h>

#include "lib/format/connect.h"

#define COUNT(array)  (uint32_t)(sizeof(array) / sizeof((array)[0]))
#define OID_INT4      23
#define OID_TEXT      25
#define OID_VARCHAR   1043
#define OID_TIMESTAMP 1114
#define OID_UUID      2950
#define OID_JSONB     3802
#define COLUMNS_MAX   8
#define OPTIONAL(oid) .type_oid = (oid), .base_type_oid = (oid), .typmod = -1, .type = NW_TYPE_TEXT
#define REQUIRED(oid) OPTIONAL(oid), .not_null = true

/* A batch of one row: values as PostgreSQL prints them; NULL is NULL, "?" was not sent. */
struct one {
    struct nw_batch batch;
    struct nw_array arrays[2][COLUMNS_MAX];
    int32_t offsets[2][COLUMNS_MAX][2];
    uint8_t validity[2][COLUMNS_MAX];
    uint8_t missing[2];
    uint8_t present[2];
};

static inline void one_set(struct one *one, const struct nw_table *table, const char *const *before,
                           const char *const *after)
{
    const char *const *sides[] = {before, after};

    *one = (struct one){
        .batch = {.size = sizeof one->batch, .table = table, .rows_count = 1, .missing_stride = 1}};
    for (int side = 0; side < 2; side++) {
        one->present[side] = sides[side] != NULL;
        one->batch.image[side] = (struct nw_image){.present = &one->present[side],
                                                   .missing = &one->missing[side],
                                                   .columns = one->arrays[side]};
        for (uint16_t c = 0; sides[side] != NULL && c < table->columns_count; c++) {
            const char *text = sides[side][c];

            one->missing[side] |= (uint8_t)((text != NULL && strcmp(text, "?") == 0) << c);
            one->validity[side][c] = text != NULL;
            one->offsets[side][c][1] = text == NULL ? 0 : (int32_t)strlen(text);
            one->arrays[side][c] = (struct nw_array){.validity = &one->validity[side][c],
                                                     .offsets = one->offsets[side][c],
                                                     .bytes = (const uint8_t *)text};
        }
    }
}

static inline struct nw_connect_table *connect_table(const struct nw_table *table, const char *name)
{
    struct nw_connect_options options = nw_connect_options_default();
    struct nw_connect_table *made = NULL;

    options.schema_names = options.field_names = NW_NAMES_AVRO;
    made = nw_connect_table_create(table, name, &options);
    assert_non_null(made);
    return made;
}

static inline void is_text(struct nw_out *out, const char *text)
{
    nw_out_bytes(out, "", 1);
    assert_string_equal((char *)out->bytes, text);
    out->used = 0;
}

#endif
