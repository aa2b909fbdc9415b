/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Export through the Arrow C Data Interface: the arrays and their lifetime, and what a sequencer
 * does with items that a plugin holds. tests/sdk/arrow_check.py reads the same export with pyarrow.
 */
#include "sink_model.h"

#include "sink/arrow.h"

static struct kit kit;
static struct nw_error err;

/* Every type, and its format. */
static const struct {
    enum nw_type type;
    const char *format;
} types[] = {
    {NW_TYPE_TEXT, "u"},         {NW_TYPE_BINARY, "z"},
    {NW_TYPE_BOOL, "b"},         {NW_TYPE_INT16, "s"},
    {NW_TYPE_INT32, "i"},        {NW_TYPE_INT64, "l"},
    {NW_TYPE_UINT32, "I"},       {NW_TYPE_FLOAT32, "f"},
    {NW_TYPE_FLOAT64, "g"},      {NW_TYPE_DECIMAL, "d:12,2"},
    {NW_TYPE_DATE, "tdD"},       {NW_TYPE_TIME, "ttu"},
    {NW_TYPE_TIMESTAMP, "tsu:"}, {NW_TYPE_TIMESTAMPTZ, "tsu:UTC"},
    {NW_TYPE_UUID, "w:16"},      {NW_TYPE_JSON, "u"},
    {NW_TYPE_NUMERIC, "u"},
};
#define TYPES (sizeof types / sizeof types[0])

static struct nw_item *three_rows(void)
{
    return kit_rows(&kit, &kit_tables[0], 1,
                    (const struct kit_row[]){{1000, 0, 11}, {1000, 1, 12}, {1001, 0, 13}}, 3, 0);
}

static const char *metadata_of(const char *metadata, const char *key, char *value)
{
    int32_t count = 0;

    memcpy(&count, metadata, 4);
    metadata += 4;
    for (int32_t i = 0; i < count; i++) {
        int32_t sizes[2];
        bool found;

        memcpy(&sizes[0], metadata, 4);
        found = strlen(key) == (size_t)sizes[0] && memcmp(metadata + 4, key, strlen(key)) == 0;
        metadata += 4 + sizes[0];
        memcpy(&sizes[1], metadata, 4);
        if (found) {
            memcpy(value, metadata + 4, (size_t)sizes[1]);
            value[sizes[1]] = '\0';
            return value;
        }
        metadata += 4 + sizes[1];
    }
    return NULL;
}

static void schema_says_all_that_narwal_knows_of_a_column(void **state)
{
    struct nw_column_schema columns[TYPES];
    struct nw_table table = kit_tables[0];
    struct nw_batch batch = {.table = &table, .missing_stride = 3};
    struct ArrowSchema schema;
    struct ArrowSchema moved;
    char value[64];
    _Atomic uint32_t holds = 0;

    (void)state;
    for (size_t i = 0; i < TYPES; i++) {
        columns[i] = kit_columns[0];
        columns[i].type = (uint8_t)types[i].type;
        columns[i].precision = 12;
        columns[i].scale = 2;
    }
    table.columns = columns;
    table.columns_count = TYPES;
    assert_int_equal(nw_arrow_export(&batch, &holds, &schema, NULL, &err), NW_OK);
    assert_int_equal(holds, 0);
    assert_string_equal(schema.format, "+s");
    assert_int_equal(schema.n_children, 13);
    assert_string_equal(metadata_of(schema.metadata, "narwal.relation_oid", value), "100");
    assert_string_equal(schema.children[9]->name, "after");
    assert_string_equal(schema.children[11]->format, "w:3");
    for (size_t i = 0; i < TYPES; i++) {
        const struct ArrowSchema *child = schema.children[9]->children[i];

        assert_string_equal(child->format, types[i].format);
        assert_string_equal(metadata_of(child->metadata, "narwal.type_oid", value), "20");
        assert_string_equal(metadata_of(child->metadata, "narwal.attnum", value), "1");
        assert_string_equal(metadata_of(child->metadata, "narwal.typmod", value), "-1");
        assert_string_equal(metadata_of(child->metadata, "narwal.type_name", value), "bigint");
        if (types[i].type == NW_TYPE_UUID || types[i].type == NW_TYPE_JSON) {
            assert_string_equal(metadata_of(child->metadata, "ARROW:extension:name", value),
                                types[i].type == NW_TYPE_UUID ? "arrow.uuid" : "arrow.json");
        }
    }
    assert_string_equal(metadata_of(schema.children[9]->children[0]->metadata, "narwal.key", value),
                        "0");
    /* A consumer may move a child out and drop the rest. */
    moved = *schema.children[9];
    schema.children[9]->release = NULL;
    schema.release(&schema);
    assert_null(schema.release);
    assert_string_equal(moved.children[16]->format, "u");
    moved.release(&moved);
}

static void arrays_point_into_the_batch_and_are_counted(void **state)
{
    struct nw_item *item;
    struct ArrowArray array;
    const struct ArrowArray *after;
    _Atomic uint32_t holds = 0;

    (void)state;
    item = three_rows();
    assert_int_equal(nw_arrow_export(&item->as.batch, &holds, NULL, &array, &err), NW_OK);
    assert_int_equal(holds, 1);
    assert_int_equal(array.length, 3);
    assert_ptr_equal(array.children[1]->buffers[1], item->as.batch.commit_lsn);
    after = array.children[9];
    assert_int_equal(after->n_children, 2);
    assert_ptr_equal(after->children[0]->buffers[1],
                     item->as.batch.image[NW_AFTER].columns[0].values);
    assert_ptr_equal(after->children[1]->buffers[2],
                     item->as.batch.image[NW_AFTER].columns[1].bytes);
    assert_int_equal(array.children[8]->n_children, 2); /* no before image: all null, same shape */
    assert_int_equal(((const uint8_t *)array.children[8]->buffers[0])[0], 0);
    array.release(&array);
    assert_int_equal(holds, 0);
    assert_null(array.release);
    nw_budget_release(&kit.budget, item->size);
    free(item);
}

static void slice_of_a_batch_is_an_offset(void **state)
{
    struct nw_exception exceptions[3] = {
        {.row = 0, .column = 1, .side = 1, .offset = 0, .size = 3},
        {.row = 2, .column = 0, .side = 1, .offset = 3, .size = 8},
        {.row = 2, .column = 1, .side = 0, .offset = 0, .size = 3}};
    struct nw_item *item = three_rows();
    struct nw_batch slice = item->as.batch;
    struct ArrowArray array;
    const struct ArrowArray *list;
    _Atomic uint32_t holds = 0;

    (void)state;
    slice.first_row = 1;
    slice.rows_count = 2;
    slice.exceptions = exceptions;
    slice.exceptions_count = 3;
    slice.exception_bytes = (const uint8_t *)"N\xffNInfinity"; /* text, or not even that */
    slice.flags = NW_BATCH_COPY;
    assert_int_equal(nw_arrow_export(&slice, &holds, NULL, &array, &err), NW_OK);
    assert_int_equal(array.length, 2);
    assert_int_equal(array.offset, 0);
    assert_int_equal(array.children[0]->offset, 1);
    assert_int_equal(array.children[9]->offset, 1);
    assert_int_equal(array.children[9]->length, 2);
    assert_int_equal(array.children[9]->children[0]->offset, 0); /* the parent's counts */
    assert_int_equal(array.children[9]->children[0]->length, 3);
    assert_int_equal(((const uint8_t *)array.children[7]->buffers[1])[0] & 3, 3);
    list = array.children[12];
    assert_int_equal(((const int32_t *)list->buffers[1])[0], 0);
    assert_int_equal(((const int32_t *)list->buffers[1])[1], 0);
    assert_int_equal(((const int32_t *)list->buffers[1])[2], 2);
    list = list->children[0]->children[2];
    assert_memory_equal(list->buffers[2], "Infinity", 8);
    assert_memory_equal(list->buffers[1], ((const int32_t[]){0, 8, 8}), 12);
    assert_int_equal(((const uint8_t *)list->buffers[0])[0], 1);
    list = array.children[12]->children[0]->children[3];
    assert_memory_equal(list->buffers[2], "N\xffN", 3);
    assert_memory_equal(list->buffers[1], ((const int32_t[]){0, 0, 3}), 12);
    assert_int_equal(((const uint8_t *)list->buffers[0])[0], 2);
    array.release(&array);
    nw_budget_release(&kit.budget, item->size);
    free(item);
}

static void moved_children_outlive_their_parent(void **state)
{
    struct nw_item *item = three_rows();
    struct ArrowArray array;
    struct ArrowArray moved;
    _Atomic uint32_t holds = 0;

    (void)state;
    assert_int_equal(nw_arrow_export(&item->as.batch, &holds, NULL, &array, &err), NW_OK);
    moved = *array.children[9];
    array.children[9]->release = NULL;
    array.release(&array);
    assert_int_equal(holds, 1);
    assert_int_equal(((const int64_t *)moved.children[0]->buffers[1])[2], 13);
    moved.release(&moved);
    assert_int_equal(holds, 0);
    nw_budget_release(&kit.budget, item->size);
    free(item);
}

/* A sink that keeps what it exports. */
static struct ArrowArray kept[64];
static uint32_t kept_count;
static nw_status misuse_status;

static nw_status keeping_write(void *self, uint32_t worker, const struct nw_batch *batch,
                               struct nw_error *error)
{
    struct nw_batch copy = *batch;

    misuse_status = model.host->batch_export(model.host, &copy, NULL, &kept[kept_count], error);
    if (model.host->batch_export(model.host, batch, NULL, &kept[kept_count], error) != NW_OK) {
        return error->status;
    }
    kept_count++;
    return model_write(self, worker, batch, error);
}

static void item_that_a_plugin_holds_stays_until_it_is_released(void **state)
{
    struct nw_sink_ops ops = model_ops;

    (void)state;
    kit_fini(&kit);
    ops.write = keeping_write;
    kept_count = 0;
    model_reset();
    kit_init(&kit, &ops, 1);
    assert_int_equal(kit_open(&kit, 2), NW_OK);
    kit_sequence(&kit);
    kit_row_one(&kit, 0, 1, 1000, 41);
    kit_row_one(&kit, 1, 1, 1001, 42);
    kit_epoch_end(&kit, 1, 1100);
    assert_int_equal(kit_run(&kit), NW_OK);
    assert_int_equal(misuse_status, NW_FATAL); /* a copy of the struct is not the batch */
    assert_int_equal(kit.durable_epoch, 1);
    assert_int_equal(kit.returned, 1); /* the end of the epoch */
    kept[0].release(&kept[0]);
    assert_int_equal(kit_run(&kit), NW_OK);
    assert_int_equal(kit.returned, 2);
    assert_int_equal(((const int64_t *)kept[1].children[9]->children[0]->buffers[1])[0], 42);
    kept[1].release(&kept[1]);
    assert_int_equal(kit_run(&kit), NW_OK);
    assert_int_equal(kit.returned, 3);
    assert_contract_kept();
}

static void array_is_good_after_close_and_after_the_sequencer_is_gone(void **state)
{
    struct nw_sink_ops ops = model_ops;
    struct nw_item *item;

    (void)state;
    kit_fini(&kit);
    ops.write = keeping_write;
    kept_count = 0;
    model_reset();
    kit_init(&kit, &ops, 1);
    assert_int_equal(kit_open(&kit, 1), NW_OK);
    kit_sequence(&kit);
    kit_row_one(&kit, 0, 1, 1000, 43);
    item = nw_spsc_peek(kit.in[0]);
    assert_int_equal(kit_run(&kit), NW_OK);
    kit_close(&kit);
    assert_int_equal(kit.returned, 0);
    assert_int_equal(((const int64_t *)kept[0].children[9]->children[0]->buffers[1])[0], 43);
    kept[0].release(&kept[0]);
    free(item); /* what a lane would never do */
    kit.returned++;
}

static int setup(void **state)
{
    (void)state;
    model_reset();
    kit_init(&kit, &model_ops, 1);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    kit_fini(&kit);
    return 0;
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(schema_says_all_that_narwal_knows_of_a_column),
        CASE(arrays_point_into_the_batch_and_are_counted),
        CASE(slice_of_a_batch_is_an_offset),
        CASE(moved_children_outlive_their_parent),
        CASE(item_that_a_plugin_holds_stays_until_it_is_released),
        CASE(array_is_good_after_close_and_after_the_sequencer_is_gone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
