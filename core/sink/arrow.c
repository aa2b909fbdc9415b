/* SPDX-License-Identifier: Apache-2.0 */
/* Arrow arrays over a batch's memory. See arrow.h; schemas are made in arrow_schema.c. */
#include "sink/arrow.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/utf8.h"
#include "sink/arrow_schema.h"
#include "source/block.h"

#define BUFFERS_MAX 3u

/* One exported array: the struct that a consumer sees lives in its parent's list of children. */
struct node {
    struct tree *tree;
    const void *buffers[BUFFERS_MAX];
};

/*
 * All memory of one export. Freed, and the item's counter brought down, when the last of its arrays
 * is released.
 */
struct tree {
    _Atomic uint32_t references;
    _Atomic uint32_t *holds;
    uint8_t *scratch; /* bitmaps, zeros and exceptions that the batch does not have in this form */
    uint32_t nodes_used, nodes_count;
    struct node *nodes;
    struct ArrowArray *arrays; /* one for each node but the root */
    struct ArrowArray **lists; /* children lists, one slot for each array */
    uint32_t lists_used;
};

static void tree_unref(struct tree *tree)
{
    _Atomic uint32_t *holds = tree->holds;

    /* Release and acquire: whoever frees comes after all others' reads. */
    if (atomic_fetch_sub_explicit(&tree->references, 1, memory_order_acq_rel) != 1) {
        return;
    }
    free(tree->scratch);
    free(tree->nodes);
    free(tree->arrays);
    free((void *)tree->lists);
    free(tree);
    /* Release pairs with the acquire in the sequencer's entry_idle(): reads of the item are over.
     */
    atomic_fetch_sub_explicit(holds, 1, memory_order_release);
}

static void array_release(struct ArrowArray *array)
{
    struct node *node = array->private_data;

    for (int64_t i = 0; i < array->n_children; i++) {
        if (array->children[i]->release != NULL) {
            array->children[i]->release(array->children[i]);
        }
    }
    array->release = NULL;
    tree_unref(node->tree);
}

/* The next array of a tree, with children_count slots for children. */
static void array_init(struct tree *tree, struct ArrowArray *array, int64_t length, int64_t offset,
                       uint32_t buffers_count, uint32_t children_count)
{
    struct node *node = &tree->nodes[tree->nodes_used++];

    NW_ASSERT(tree->nodes_used <= tree->nodes_count);
    node->tree = tree;
    *array = (struct ArrowArray){
        .length = length,
        .null_count = 0,
        .offset = offset,
        .n_buffers = buffers_count,
        .buffers = node->buffers,
        .n_children = children_count,
        .children = children_count == 0 ? NULL : &tree->lists[tree->lists_used],
        .release = array_release,
        .private_data = node,
    };
    for (uint32_t i = 0; i < children_count; i++) {
        tree->lists[tree->lists_used] = &tree->arrays[tree->lists_used];
        tree->lists_used++;
    }
    /* Relaxed: the tree is not shared yet. */
    atomic_fetch_add_explicit(&tree->references, 1, memory_order_relaxed);
}

/* Texts of exceptions, or the bytes of those that are not UTF-8: null in the one or the other. */
struct texts {
    uint8_t *validity;
    int32_t *offsets;
    uint8_t *bytes;
    int32_t size;
};

/* What one export is made from. */
struct job {
    const struct nw_batch *batch;
    struct tree *tree;
    int64_t rows;
    int64_t first;
    int64_t end;          /* first + rows: how far the batch's buffers are looked at */
    const uint8_t *zeros; /* stands for the buffers of an image that no row has */
    uint8_t *copy_bits;
    int32_t *exception_offsets; /* rows + 1 */
    uint8_t *exception_sides;
    uint16_t *exception_columns;
    struct texts exception_texts, exception_bytes;
    uint32_t exceptions_first, exceptions_count; /* of batch->exceptions: those of our rows */
    uint64_t exception_bytes_size;
};

static void flat(struct job *job, struct ArrowArray *array, const void *values)
{
    array_init(job->tree, array, job->rows, job->first, 2, 0);
    array->buffers[1] = values;
}

static void column_export(struct job *job, struct ArrowArray *array, const struct nw_image *image,
                          uint16_t index)
{
    uint8_t type = job->batch->table->columns[index].type;
    bool variable = type == NW_TYPE_TEXT || type == NW_TYPE_BINARY || type == NW_TYPE_JSON ||
                    type == NW_TYPE_NUMERIC;

    array_init(job->tree, array, job->end, 0, variable ? 3 : 2, 0);
    array->null_count = -1;
    if (image->columns == NULL) {
        array->buffers[0] = job->zeros;
        array->buffers[1] = job->zeros;
        if (variable) {
            array->buffers[2] = job->zeros;
        }
        return;
    }
    array->buffers[0] = image->columns[index].validity;
    if (variable) {
        array->buffers[1] = image->columns[index].offsets;
        array->buffers[2] =
            image->columns[index].bytes == NULL ? job->zeros : image->columns[index].bytes;
    } else {
        array->buffers[1] = image->columns[index].values;
    }
}

static void image_export(struct job *job, struct ArrowArray *array, int side)
{
    const struct nw_image *image = &job->batch->image[side];
    uint16_t columns_count = job->batch->table->columns_count;

    /* The offset of a struct array holds for its children too: these start at row 0. */
    array_init(job->tree, array, job->rows, job->first, 1, columns_count);
    array->null_count = -1;
    array->buffers[0] = image->columns == NULL ? job->zeros : image->present;
    for (uint16_t i = 0; i < columns_count; i++) {
        column_export(job, array->children[i], image, i);
    }
}

static void missing_export(struct job *job, struct ArrowArray *array, int side)
{
    const struct nw_image *image = &job->batch->image[side];

    flat(job, array, image->columns == NULL ? job->zeros : image->missing);
}

static void texts_export(struct job *job, struct ArrowArray *array, const struct texts *texts)
{
    array_init(job->tree, array, job->exceptions_count, 0, 3, 0);
    array->null_count = -1;
    array->buffers[0] = texts->validity;
    array->buffers[1] = texts->offsets;
    array->buffers[2] = texts->bytes;
}

static void exceptions_export(struct job *job, struct ArrowArray *array)
{
    struct ArrowArray *entry;

    array_init(job->tree, array, job->rows, 0, 2, 1);
    array->buffers[1] = job->exception_offsets;
    entry = array->children[0];
    array_init(job->tree, entry, job->exceptions_count, 0, 1, 4);
    array_init(job->tree, entry->children[0], job->exceptions_count, 0, 2, 0);
    entry->children[0]->buffers[1] = job->exception_sides;
    array_init(job->tree, entry->children[1], job->exceptions_count, 0, 2, 0);
    entry->children[1]->buffers[1] = job->exception_columns;
    texts_export(job, entry->children[2], &job->exception_texts);
    texts_export(job, entry->children[3], &job->exception_bytes);
}

/* Exceptions are ordered by row: those of our rows are one run. */
static void exceptions_find(struct job *job)
{
    const struct nw_batch *batch = job->batch;
    uint32_t last = nw_batch_exception_from(batch, batch->rows_count, 0, 0);

    job->exceptions_first = nw_batch_exception_from(batch, 0, 0, 0);
    job->exceptions_count = last - job->exceptions_first;
    for (uint32_t i = job->exceptions_first; i < last; i++) {
        job->exception_bytes_size += batch->exceptions[i].size;
    }
}

/* A value's place in one of the two: its content, or a null. */
static void texts_add(struct texts *texts, uint32_t at, const uint8_t *bytes, uint32_t size)
{
    texts->offsets[at] = texts->size;
    if (bytes != NULL) {
        texts->validity[at >> 3] |= (uint8_t)(1u << (at & 7u));
        memcpy(texts->bytes + texts->size, bytes, size);
        texts->size += (int32_t)size;
    }
    texts->offsets[at + 1] = texts->size;
}

static void exceptions_fill(struct job *job)
{
    const struct nw_batch *batch = job->batch;
    uint32_t at = 0;

    for (uint32_t row = 0; row < batch->rows_count; row++) {
        job->exception_offsets[row] = (int32_t)at;
        for (; at < job->exceptions_count; at++) {
            const struct nw_exception *e = &batch->exceptions[job->exceptions_first + at];
            const uint8_t *text = batch->exception_bytes + e->offset;
            bool valid = nw_utf8_is_valid(text, e->size);

            if (e->row - batch->first_row != row) {
                break;
            }
            job->exception_sides[at] = e->side;
            job->exception_columns[at] = e->column;
            texts_add(&job->exception_texts, at, valid ? text : NULL, e->size);
            texts_add(&job->exception_bytes, at, valid ? NULL : text, e->size);
        }
    }
    job->exception_offsets[batch->rows_count] = (int32_t)at;
}

static size_t aligned(size_t size)
{
    return (size + 63) & ~(size_t)63;
}

static uint8_t *texts_lay_out(struct texts *texts, uint8_t *at, const struct job *job)
{
    texts->validity = at;
    at += aligned(job->exceptions_count / 8 + 1u);
    texts->offsets = (int32_t *)(void *)at;
    at += aligned((job->exceptions_count + 1u) * sizeof(int32_t));
    texts->bytes = at;
    return at + aligned(job->exception_bytes_size + 1);
}

/* One allocation for what the batch does not hold in Arrow's form. */
static bool scratch_make(struct job *job)
{
    const struct nw_batch *batch = job->batch;
    bool images = batch->image[NW_BEFORE].columns != NULL && batch->image[NW_AFTER].columns != NULL;
    size_t stride = batch->missing_stride > 16 ? batch->missing_stride : 16;
    size_t zeros = images ? 64 : aligned(((size_t)job->end + 1) * stride);
    size_t bits = aligned((size_t)job->rows / 8 + 1);
    size_t offsets = aligned(((size_t)job->rows + 1) * sizeof(int32_t));
    size_t sides = aligned(job->exceptions_count + 1u);
    size_t columns = aligned((job->exceptions_count + 1u) * sizeof(uint16_t));
    size_t texts = aligned(job->exceptions_count / 8 + 1u) +
                   aligned((job->exceptions_count + 1u) * sizeof(int32_t)) +
                   aligned(job->exception_bytes_size + 1);
    uint8_t *at = calloc(1, zeros + bits + offsets + sides + columns + 2 * texts);

    if (at == NULL) {
        return false;
    }
    job->tree->scratch = at;
    job->zeros = at;
    at += zeros;
    job->copy_bits = at;
    memset(at, (batch->flags & NW_BATCH_COPY) != 0 ? 0xff : 0, bits);
    at += bits;
    job->exception_offsets = (int32_t *)(void *)at;
    at += offsets;
    job->exception_sides = at;
    at += sides;
    job->exception_columns = (uint16_t *)(void *)at;
    at += columns;
    at = texts_lay_out(&job->exception_texts, at, job);
    (void)texts_lay_out(&job->exception_bytes, at, job);
    exceptions_fill(job);
    return true;
}

static void tree_discard(struct tree *tree)
{
    if (tree != NULL) {
        free(tree->scratch);
        free(tree->nodes);
        free(tree->arrays);
        free((void *)tree->lists);
        free(tree);
    }
}

static struct tree *tree_make(const struct nw_batch *batch, _Atomic uint32_t *holds)
{
    struct tree *tree = calloc(1, sizeof *tree);

    if (tree == NULL) {
        return NULL;
    }
    /* Root, its children, the columns of two images, and five below exceptions. */
    tree->nodes_count = 1 + NW_ARROW_FIELDS + 2u * batch->table->columns_count + 5;
    tree->nodes = calloc(tree->nodes_count, sizeof *tree->nodes);
    tree->arrays = calloc(tree->nodes_count, sizeof *tree->arrays);
    tree->lists = calloc(tree->nodes_count, sizeof *tree->lists);
    tree->holds = holds;
    if (tree->nodes == NULL || tree->arrays == NULL || tree->lists == NULL) {
        tree_discard(tree);
        return NULL;
    }
    return tree;
}

static void fields_export(struct job *job, struct ArrowArray *array)
{
    const struct nw_batch *batch = job->batch;

    array_init(job->tree, array, job->rows, 0, 1, NW_ARROW_FIELDS);
    flat(job, array->children[0], batch->op);
    flat(job, array->children[1], batch->commit_lsn);
    flat(job, array->children[2], batch->row_lsn);
    flat(job, array->children[3], batch->seq);
    flat(job, array->children[4], batch->xid);
    flat(job, array->children[5], batch->commit_ts);
    array_init(job->tree, array->children[6], job->rows, job->first, 3, 0);
    array->children[6]->buffers[1] = batch->origin_offsets;
    array->children[6]->buffers[2] = batch->origin_bytes == NULL ? job->zeros : batch->origin_bytes;
    array_init(job->tree, array->children[7], job->rows, 0, 2, 0);
    array->children[7]->buffers[1] = job->copy_bits;
    image_export(job, array->children[8], NW_BEFORE);
    image_export(job, array->children[9], NW_AFTER);
    missing_export(job, array->children[10], NW_BEFORE);
    missing_export(job, array->children[11], NW_AFTER);
    exceptions_export(job, array->children[12]);
}

nw_status nw_arrow_export(const struct nw_batch *batch, _Atomic uint32_t *holds,
                          struct ArrowSchema *schema, struct ArrowArray *array,
                          struct nw_error *err)
{
    struct job job = {.batch = batch,
                      .rows = batch->rows_count,
                      .first = batch->first_row,
                      .end = (int64_t)batch->first_row + batch->rows_count};
    nw_status status = NW_OK;

    if (array != NULL) {
        exceptions_find(&job);
        if (job.exception_bytes_size > INT32_MAX) {
            return nw_fail(err, NW_REJECT, "NW2417 texts of exceptions exceed 2 GiB in one batch");
        }
        job.tree = tree_make(batch, holds);
        if (job.tree == NULL || !scratch_make(&job)) {
            tree_discard(job.tree);
            return nw_fail(err, NW_RETRY, "out of memory for an Arrow export");
        }
    }
    if (schema != NULL) {
        status = nw_arrow_schema(batch->table, batch->missing_stride, schema, err);
    }
    if (status != NW_OK) {
        tree_discard(job.tree);
        return status;
    }
    if (array != NULL) {
        /* Relaxed: the sequencer cannot give the item back while write() runs. */
        atomic_fetch_add_explicit(holds, 1, memory_order_relaxed);
        fields_export(&job, array);
    }
    return NW_OK;
}
