/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Row messages of pgoutput into batches, through a projection: of each table some columns are
 * masked, some not seen, and rows are kept by their first column. Inputs as those of
 * fuzz_pgoutput_rows.
 */
#include "decode/buffer.h"
#include "rows.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Keeps the size of a value. */
static bool mask_append(const struct nw_mask *mask, struct nw_buffer *out, const uint8_t *text,
                        uint32_t size)
{
    uint8_t *to = nw_buffer_reserve(out, size);

    (void)mask;
    (void)text;
    if (to != NULL) {
        memset(to, '*', size);
        out->size += size;
    }
    return to != NULL;
}

static enum nw_row_verdict judge(const struct nw_row_filter *filter, const struct nw_value *values)
{
    (void)filter;
    if (values[0].kind == NW_VALUE_NULL) {
        return NW_ROW_DROPPED;
    }
    return values[0].as.integer % 3 == 0 ? NW_ROW_DROPPED : NW_ROW_KEPT;
}

static const struct nw_projection *project(const struct nw_table *table)
{
    static const struct nw_mask mask = {.append = mask_append};
    static struct nw_projected_field fields[FUZZ_COLUMNS_MAX];
    static struct nw_column_schema seen[FUZZ_COLUMNS_MAX];
    static struct nw_operand operand;
    static struct nw_row_filter filter;
    static struct nw_projection projection;
    uint16_t count = 0;

    for (uint16_t i = 0; i < table->columns_count; i++) {
        fields[i] = (struct nw_projected_field){.column = i, .seen = NW_FIELD_UNSEEN};
        if (i % 4 != 2) {
            fields[i].seen = count;
            fields[i].mask = i % 4 == 1 || i > 12 ? &mask : NULL;
            seen[count] = table->columns[i];
            seen[count].type = fields[i].mask != NULL ? NW_TYPE_TEXT : seen[count].type;
            count++;
        }
    }
    operand = (struct nw_operand){.schema = table->columns[0],
                                  .element_oid = nw_column_element(table, 0)};
    filter = (struct nw_row_filter){.operands = &operand, .operands_count = 1, .judge = judge};
    projection =
        (struct nw_projection){.table = *table,
                               .fields = {fields, fields},
                               .fields_count = {table->columns_count, table->columns_count},
                               .filter = &filter};
    projection.table.columns = seen;
    projection.table.columns_count = count;
    return &projection;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_rows_projected(NW_BLOCK_CHANGES, project, data, size);
    fuzz_rows_projected(NW_BLOCK_COPY, project, data, size);
    return 0;
}
