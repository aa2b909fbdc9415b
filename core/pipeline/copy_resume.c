/* SPDX-License-Identifier: Apache-2.0 */
/* See copy_resume.h. */
#include "pipeline/copy_resume.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "decode/buffer.h"

/* Half of what age() can tell, since transactions go on while rows are read. */
#define AGE_MAX      (UINT64_C(1) << 30)
#define MASKED_BYTES 4096u /* more than a mask is likely to show */

static void hash_text(XXH3_state_t *hash, const char *text)
{
    const char *some = text == NULL ? "" : text;

    (void)XXH3_64bits_update(hash, some, strlen(some) + 1);
}

static void hash_number(XXH3_state_t *hash, uint64_t number)
{
    (void)XXH3_64bits_update(hash, &number, sizeof number);
}

/* By what it makes of a text: salts and lengths are the mask's own. */
static void hash_mask(XXH3_state_t *hash, const struct nw_mask *mask)
{
    uint8_t text[MASKED_BYTES];
    struct nw_buffer out = {0};

    memset(text, 'x', sizeof text);
    if (mask != NULL && mask->append(mask, &out, text, sizeof text)) {
        (void)XXH3_64bits_update(hash, out.at, out.size);
    }
    nw_buffer_fini(&out);
}

static void hash_projection(XXH3_state_t *hash, const struct nw_projection *projection)
{
    for (uint16_t i = 0; i < projection->fields_count[NW_WIRE_COPY]; i++) {
        const struct nw_projected_field *field = &projection->fields[NW_WIRE_COPY][i];

        hash_number(hash, (uint64_t)field->column << 16 | field->seen);
        hash_mask(hash, field->mask);
    }
    hash_text(hash, projection->filter == NULL ? NULL : projection->filter->text);
    /* Sinks have what was copied under these names. */
    hash_text(hash, projection->table.schema_name);
    hash_text(hash, projection->table.name);
    for (uint16_t i = 0; i < projection->table.columns_count; i++) {
        hash_text(hash, projection->table.columns[i].name);
    }
}

static void hash_columns(XXH3_state_t *hash, const struct nw_copy_plan *plan)
{
    const struct nw_table *table = plan->table;

    for (uint16_t i = 0; i < table->columns_count; i++) {
        const struct nw_column_schema *column = &table->columns[i];

        hash_text(hash, column->name);
        hash_number(hash, (uint64_t)(uint16_t)column->attnum << 32 | column->type_oid);
        hash_number(hash, (uint32_t)column->typmod);
    }
    for (uint16_t i = 0; i < table->key_columns_count; i++) {
        hash_number(hash, table->key_columns[i]);
    }
    hash_text(hash, plan->from->row_filter);
    if (plan->filter != NULL) {
        hash_text(hash, plan->filter);
    }
}

void nw_copy_origin_of(const struct nw_copy_plan *plan, struct nw_copy_origin *origin)
{
    XXH3_state_t hash;

    (void)XXH3_64bits_reset(&hash);
    hash_columns(&hash, plan);
    if (plan->projection != NULL) {
        hash_projection(&hash, plan->projection);
    }
    for (uint32_t i = 0; i < plan->relations_count; i++) {
        hash_number(&hash, (uint64_t)plan->relations[i].oid << 32 | plan->relations[i].file_node);
    }
    *origin = (struct nw_copy_origin){.fence_lsn = plan->fence->lsn,
                                      .xmin = plan->fence->xmin,
                                      .hash = XXH3_64bits_digest(&hash)};
}

/* Without its own file a relation is the root of partitions that are read as one. */
static bool files_known(const struct nw_copy_plan *plan)
{
    bool known = true;

    for (uint32_t i = 0; i < plan->relations_count; i++) {
        known = known && plan->relations[i].file_node != 0;
    }
    return known;
}

bool nw_copy_resumable(const struct nw_copy_plan *plan, const struct nw_copy_former *former)
{
    const struct nw_catalog_table *from = plan->from;
    const struct nw_copy_origin *origin = &former->progress.origin;

    /* The stream must tell of every row that goes, and sinks must know which one it is. */
    return nw_table_seen(plan->table, plan->projection)->key_columns_count > 0 &&
           from->publishes_insert && from->publishes_update && from->publishes_delete &&
           files_known(plan) && origin->hash == plan->origin.hash &&
           origin->xmin <= plan->fence->xmin && plan->fence->next_xid - origin->xmin < AGE_MAX;
}
