/* SPDX-License-Identifier: Apache-2.0 */
/* What tests of Avro compare: schemas with their text, and bytes in hex. */
#ifndef NW_TESTS_AVRO_KIT_H
#define NW_TESTS_AVRO_KIT_H

#include "lib/format/avro.h"

#define COUNT(array) (uint32_t)(sizeof(array) / sizeof((array)[0]))

static inline void schema_is(const struct nw_connect_schema *schema, const char *json)
{
    struct nw_out out = {0};

    nw_avro_schema(&out, schema);
    nw_out_bytes(&out, "", 1);
    assert_false(out.failed);
    assert_string_equal((char *)out.bytes, json);
    nw_out_fini(&out);
}

#endif
