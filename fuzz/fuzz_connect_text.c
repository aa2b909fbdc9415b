/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PostgreSQL's text of values into Connect's model, and that into JSON. The first byte says which
 * type, the second in which modes.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/format/connect.h"
#include "lib/format/connect_json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct {
    uint32_t oid;
    const char *name;
} types[] = {
    {1007, "integer[]"},
    {1009, "text[]"},
    {1001, "bytea[]"},
    {1231, "numeric[]"},
    {1182, "date[]"},
    {1115, "timestamp[]"},
    {1185, "timestamptz[]"},
    {1270, "timetz[]"},
    {1022, "float8[]"},
    {2951, "uuid[]"},
    {1020, "box[]"},
    {90000, "public.hstore"},
    {90001, "public.hstore[]"},
    {1700, "numeric"},
    {790, "money"},
    {1082, "date"},
    {1083, "time"},
    {1114, "timestamp"},
    {1184, "timestamptz"},
    {1266, "timetz"},
    {1186, "interval"},
    {1560, "bit"},
    {1562, "varbit"},
    {600, "point"},
    {601, "lseg"},
    {602, "path"},
    {603, "box"},
    {604, "polygon"},
    {718, "circle"},
    {628, "line"},
    {90002, "public.geometry"},
    {90003, "public.vector"},
    {90004, "public.sparsevec"},
    {90005, "public.halfvec[]"},
    {16, "boolean"},
    {20, "bigint"},
    {701, "float8"},
    {28, "xid"},
};

static struct nw_connect_options options_of(uint8_t modes)
{
    struct nw_connect_options options = nw_connect_options_default();

    options.decimals = (enum nw_connect_decimals)(modes % 3);
    options.times = (enum nw_connect_times)(modes % 7);
    options.intervals = (enum nw_connect_intervals)(modes & 1);
    options.hstores = (enum nw_connect_hstores)(modes >> 1 & 1);
    options.binaries = (enum nw_connect_binaries)(modes >> 2 & 3);
    options.unknown = (enum nw_connect_unknown)(modes % 3);
    options.numbers_as_text = (modes & 16) != 0;
    options.unfit_null = (modes & 32) != 0;
    return options;
}

static void convert(const struct nw_connect_table *table, const struct nw_value *source)
{
    struct nw_connect_scratch *scratch = nw_connect_scratch_create(table);
    struct nw_connect_value value;
    struct nw_out out = {0};
    struct nw_error err = {0};
    nw_status status = NW_RETRY;

    if (scratch != NULL) {
        status = nw_connect_convert(scratch, 0, source, NW_AFTER, &value, &err);
    }
    if (status == NW_OK) {
        status = nw_connect_json_value(&out, table->value->fields[0].schema, &value, true, &err);
    }
    if (status != NW_OK && status != NW_REJECT && status != NW_RETRY) {
        abort();
    }
    nw_out_fini(&out);
    nw_connect_scratch_destroy(scratch);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t type = size < 2 ? 0 : data[0] % (sizeof types / sizeof types[0]);
    struct nw_connect_options options = options_of(size < 2 ? 0 : data[1]);
    struct nw_column_schema column = {.name = "v",
                                      .type_name = types[type].name,
                                      .type_oid = types[type].oid,
                                      .base_type_oid = types[type].oid,
                                      .typmod = size < 2 || (data[1] & 64) == 0 ? -1 : 786438};
    const struct nw_table described = {.size = sizeof described,
                                       .schema_name = "public",
                                       .name = "t",
                                       .columns_count = 1,
                                       .columns = &column};
    struct nw_connect_table *table = NULL;

    if (size < 2) {
        return 0;
    }
    if (types[type].oid != 1700 && types[type].oid != 1231) {
        column.typmod = -1;
    }
    table = nw_connect_table_create(&described, "p.public.t", &options);
    if (table != NULL && nw_connect_table_has(table, 0)) {
        const struct nw_value source = {.kind = NW_VALUE_PRESENT,
                                        .type = NW_TYPE_TEXT,
                                        .bytes = data + 2,
                                        .size = (uint32_t)(size - 2)};

        convert(table, &source);
    }
    if (table != NULL) {
        nw_connect_table_destroy(table);
    }
    return 0;
}
