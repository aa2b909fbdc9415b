/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Arrow schema of a table's batches. Fields of columns carry what narwal knows of them as
 * metadata: narwal.type_oid, narwal.typmod, narwal.attnum, narwal.type_name, narwal.key (position
 * in the key, from 0), and ARROW:extension:name for uuid and json.
 */
#ifndef NW_SINK_ARROW_SCHEMA_H
#define NW_SINK_ARROW_SCHEMA_H

#include <narwal/sink.h>

/** Children of the top struct. */
#define NW_ARROW_FIELDS 13u

/** @param schema  give; owns all its memory. */
NW_MUST_CHECK nw_status nw_arrow_schema(const struct nw_table *table, uint32_t missing_stride,
                                        struct ArrowSchema *schema, struct nw_error *err);

#endif
