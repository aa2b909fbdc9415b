/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See env_model.h. A name (entry) points to a node; both have a state that is seen and one that is
 * durable. Nodes live until the model ends: there are few, and a crash may bring any back.
 */
#include "io/env_model.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/errno.h"

#define HANDLES_MAX  1024u
#define PATH_SIZE    1024u
#define SECTOR_BYTES 512u
#define WALL_US      INT64_C(1700000000000000) /* where its wall clock begins */

struct image {
    uint8_t *bytes;
    uint64_t size, capacity;
};

struct node {
    struct node *next;
    bool folder;
    struct image seen, durable;
    uint64_t dirty_begin, dirty_end; /* where the two may differ */
    int locked_by;                   /* handle; -1: nobody */
};

struct entry {
    struct entry *next;
    char path[PATH_SIZE];
    struct node *seen, *durable; /* NULL: not there */
};

struct handle {
    struct node *node; /* NULL: free */
    bool read_only;
};

struct nw_io {
    uint32_t depth, count;
    struct nw_file_op *ops[]; /* depth of them */
};

struct model {
    struct nw_env env; /* first: the two are converted into each other */
    uint64_t random;
    uint64_t trace;
    int64_t now_ns;
    bool off;             /* no power */
    uint64_t limit_bytes; /* of all files; 0: none */
    struct node *nodes;
    struct entry *entries; /* in the order of their making */
    struct entry **entries_end;
    struct handle handles[HANDLES_MAX];
};

static struct model *model_of(struct nw_env *env)
{
    return (struct model *)(void *)env;
}

/* splitmix64 */
static uint64_t draw(struct model *model)
{
    uint64_t z = (model->random += UINT64_C(0x9e3779b97f4a7c15));

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static uint64_t draw_below(struct model *model, uint64_t limit)
{
    return draw(model) % limit;
}

static void trace_add(struct model *model, const void *bytes, size_t size)
{
    const uint8_t *at = bytes;

    for (size_t i = 0; i < size; i++) {
        model->trace = (model->trace ^ at[i]) * UINT64_C(0x100000001b3); /* FNV-1a */
    }
}

static void trace_call(struct model *model, const char *verb, const char *path)
{
    trace_add(model, verb, strlen(verb) + 1);
    trace_add(model, path, strlen(path) + 1);
}

static nw_status model_fail(nw_status status, const char *path, int error, struct nw_error *err)
{
    return nw_fail(err, status, "%s: %s (model)", path, nw_errno_text(error));
}

/* ---- clock and randomness ---- */

static int64_t model_now_ns(struct nw_env *env)
{
    return model_of(env)->now_ns;
}

static int64_t model_wall_us(struct nw_env *env)
{
    return WALL_US + model_of(env)->now_ns / 1000;
}

static void model_random(struct nw_env *env, void *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        ((uint8_t *)bytes)[i] = (uint8_t)draw(model_of(env));
    }
}

/* ---- names ---- */

static struct entry *entry_find(struct model *model, const char *path)
{
    struct entry *entry = model->entries;

    while (entry != NULL && strcmp(entry->path, path) != 0) {
        entry = entry->next;
    }
    return entry;
}

static struct node *node_find(struct model *model, const char *path)
{
    struct entry *entry = entry_find(model, path);

    return entry == NULL ? NULL : entry->seen;
}

static size_t parent_size(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash == NULL ? 0 : (size_t)(slash - path);
}

/* Whether a path is right below a folder. */
static bool is_child(const char *path, const char *folder)
{
    size_t size = strlen(folder);

    if (strcmp(folder, ".") == 0 || strcmp(folder, "/") == 0) {
        return parent_size(path) == 0;
    }
    return parent_size(path) == size && strncmp(path, folder, size) == 0;
}

/* The root and the current folder are always there. */
static bool parent_there(struct model *model, const char *path)
{
    char parent[PATH_SIZE];
    size_t size = parent_size(path);
    const struct node *node = NULL;

    if (size == 0) {
        return true;
    }
    memcpy(parent, path, size);
    parent[size] = '\0';
    node = node_find(model, parent);
    return node != NULL && node->folder;
}

/* A name for a node, new or used before. @return NULL when memory is out or the path too long */
static struct entry *entry_make(struct model *model, const char *path)
{
    struct entry *entry = entry_find(model, path);
    size_t size = strlen(path) + 1;

    if (entry == NULL && size <= PATH_SIZE && (entry = calloc(1, sizeof *entry)) != NULL) {
        memcpy(entry->path, path, size);
        *model->entries_end = entry;
        model->entries_end = &entry->next;
    }
    return entry;
}

static struct node *node_make(struct model *model, bool folder)
{
    struct node *node = calloc(1, sizeof *node);

    if (node != NULL) {
        node->folder = folder;
        node->locked_by = -1;
        node->dirty_begin = UINT64_MAX;
        node->next = model->nodes;
        model->nodes = node;
    }
    return node;
}

static nw_status node_add(struct model *model, const char *path, bool folder, struct nw_error *err)
{
    struct entry *entry = NULL;

    if (!parent_there(model, path)) {
        return model_fail(NW_RETRY, path, ENOENT, err);
    }
    entry = entry_make(model, path);
    if (entry == NULL || (entry->seen = node_make(model, folder)) == NULL) {
        return model_fail(NW_RETRY, path, ENOMEM, err);
    }
    return NW_OK;
}

/* ---- bytes ---- */

static bool image_reserve(struct image *image, uint64_t size)
{
    uint64_t capacity = image->capacity < 4096 ? 4096 : image->capacity;
    uint8_t *bytes = NULL;

    while (capacity < size) {
        capacity *= 2;
    }
    if (capacity != image->capacity) {
        bytes = realloc(image->bytes, (size_t)capacity);
        if (bytes == NULL) {
            return false;
        }
        memset(bytes + image->capacity, 0, (size_t)(capacity - image->capacity));
        image->bytes = bytes;
        image->capacity = capacity;
    }
    return true;
}

/* Bytes past the end are zero, so that a longer file begins with a hole. */
static bool image_resize(struct image *image, uint64_t size)
{
    if (!image_reserve(image, size)) {
        return false;
    }
    if (size < image->size) {
        memset(image->bytes + size, 0, (size_t)(image->size - size));
    }
    image->size = size;
    return true;
}

static void dirty_add(struct node *node, uint64_t begin, uint64_t end)
{
    node->dirty_begin = begin < node->dirty_begin ? begin : node->dirty_begin;
    node->dirty_end = end > node->dirty_end ? end : node->dirty_end;
}

static void dirty_none(struct node *node)
{
    node->dirty_begin = UINT64_MAX;
    node->dirty_end = 0;
}

static bool node_resize(struct node *node, uint64_t size)
{
    uint64_t before = node->seen.size;

    if (!image_resize(&node->seen, size)) {
        return false;
    }
    dirty_add(node, before < size ? before : size, before < size ? size : before);
    return true;
}

/* Makes one image like the other where they may differ. */
static bool image_copy(struct node *node, struct image *to, const struct image *from)
{
    uint64_t end = node->dirty_end < from->size ? node->dirty_end : from->size;

    if (!image_resize(to, from->size)) {
        return false;
    }
    if (node->dirty_begin < end) {
        memcpy(to->bytes + node->dirty_begin, from->bytes + node->dirty_begin,
               (size_t)(end - node->dirty_begin));
    }
    return true;
}

/* ---- files ---- */

static bool has_room(const struct model *model, uint64_t bytes)
{
    return model->limit_bytes == 0 || bytes + nw_env_model_used(&model->env) <= model->limit_bytes;
}

static nw_status file_make(struct model *model, const char *path, uint32_t flags,
                           struct nw_error *err)
{
    int error = (flags & NW_FILE_CREATE) == 0 ? ENOENT : has_room(model, 1) ? 0 : ENOSPC;

    return error == 0 ? node_add(model, path, false, err) : model_fail(NW_RETRY, path, error, err);
}

static nw_status model_file_open(struct nw_env *env, const char *path, uint32_t flags, int *file,
                                 struct nw_error *err)
{
    struct model *model = model_of(env);
    struct node *node = node_find(model, path);
    nw_status status = NW_OK;
    unsigned handle = 0;

    trace_call(model, "open", path);
    if (model->off) {
        return model_fail(NW_RETRY, path, EIO, err);
    }
    if (node != NULL && (node->folder || (flags & NW_FILE_EXCLUSIVE) != 0)) {
        return model_fail(NW_RETRY, path, node->folder ? EISDIR : EEXIST, err);
    }
    status = node == NULL ? file_make(model, path, flags, err) : NW_OK;
    if (status != NW_OK) {
        return status;
    }
    node = node_find(model, path);
    while (handle < HANDLES_MAX && model->handles[handle].node != NULL) {
        handle++;
    }
    if (handle == HANDLES_MAX) {
        return model_fail(NW_RETRY, path, EMFILE, err);
    }
    model->handles[handle] = (struct handle){node, (flags & NW_FILE_READ_ONLY) != 0};
    *file = (int)handle;
    return NW_OK;
}

/* @return NULL when the file is not open */
static struct handle *handle_of(struct nw_env *env, int file)
{
    struct handle *handle = &model_of(env)->handles[(unsigned)file % HANDLES_MAX];

    return file < 0 || file >= (int)HANDLES_MAX || handle->node == NULL ? NULL : handle;
}

static void model_file_close(struct nw_env *env, int file)
{
    struct handle *handle = handle_of(env, file);

    NW_ASSERT(handle != NULL);
    if (handle->node->locked_by == file) {
        handle->node->locked_by = -1;
    }
    handle->node = NULL;
}

static nw_status model_file_truncate(struct nw_env *env, int file, uint64_t size,
                                     struct nw_error *err)
{
    const struct handle *handle = handle_of(env, file);
    uint64_t numbers[2] = {(uint64_t)file, size};

    trace_call(model_of(env), "truncate", "");
    trace_add(model_of(env), numbers, sizeof numbers);
    if (model_of(env)->off || handle == NULL || handle->read_only) {
        return model_fail(NW_RETRY, "truncate", model_of(env)->off ? EIO : EBADF, err);
    }
    return node_resize(handle->node, size) ? NW_OK : model_fail(NW_RETRY, "truncate", ENOSPC, err);
}

static nw_status model_file_size(struct nw_env *env, int file, uint64_t *size, struct nw_error *err)
{
    const struct handle *handle = handle_of(env, file);

    if (handle == NULL) {
        return model_fail(NW_RETRY, "size", EBADF, err);
    }
    *size = handle->node->seen.size;
    return NW_OK;
}

static nw_status model_file_lock(struct nw_env *env, int file, struct nw_error *err)
{
    const struct handle *handle = handle_of(env, file);

    if (handle == NULL || (handle->node->locked_by >= 0 && handle->node->locked_by != file)) {
        return model_fail(NW_FATAL, "lock", handle == NULL ? EBADF : EWOULDBLOCK, err);
    }
    handle->node->locked_by = file;
    return NW_OK;
}

static void folder_settle(struct model *model, const char *path)
{
    for (struct entry *entry = model->entries; entry != NULL; entry = entry->next) {
        if (is_child(entry->path, path)) {
            entry->durable = entry->seen;
        }
    }
}

static nw_status model_file_rename(struct nw_env *env, const char *from, const char *to,
                                   struct nw_error *err)
{
    struct model *model = model_of(env);
    struct entry *source = entry_find(model, from);
    struct entry *target = NULL;
    char folder[PATH_SIZE];
    size_t size = parent_size(to);

    trace_call(model, "rename", from);
    trace_call(model, "to", to);
    if (model->off || source == NULL || source->seen == NULL || !parent_there(model, to)) {
        return model_fail(NW_RETRY, to, model->off ? EIO : ENOENT, err);
    }
    NW_ASSERT(!source->seen->folder); /* nobody renames folders: what is in them would not follow */
    target = entry_make(model, to);
    if (target == NULL) {
        return model_fail(NW_RETRY, to, ENOMEM, err);
    }
    if (target != source) {
        target->seen = source->seen;
        source->seen = NULL;
    }
    memcpy(folder, to, size);
    folder[size] = '\0';
    folder_settle(model, size == 0 ? "." : folder);
    return NW_OK;
}

static nw_status model_file_remove(struct nw_env *env, const char *path, struct nw_error *err)
{
    struct entry *entry = entry_find(model_of(env), path);

    trace_call(model_of(env), "remove", path);
    if (model_of(env)->off || (entry != NULL && entry->seen != NULL && entry->seen->folder)) {
        return model_fail(NW_RETRY, path, model_of(env)->off ? EIO : EISDIR, err);
    }
    if (entry != NULL) {
        entry->seen = NULL;
    }
    return NW_OK;
}

/* ---- folders ---- */

static nw_status model_folder_create(struct nw_env *env, const char *path, struct nw_error *err)
{
    struct model *model = model_of(env);
    char part[PATH_SIZE];
    size_t size = strlen(path);

    trace_call(model, "folder", path);
    if (size == 0 || size >= sizeof part) {
        return model_fail(NW_FATAL, path, ENAMETOOLONG, err);
    }
    for (size_t i = 1; i <= size; i++) {
        const struct node *node = NULL;
        nw_status status = NW_OK;

        if (path[i] != '/' && path[i] != '\0') {
            continue;
        }
        memcpy(part, path, i);
        part[i] = '\0';
        node = node_find(model, part);
        if (node == NULL) {
            status = node_add(model, part, true, err);
        } else if (!node->folder) {
            status = model_fail(NW_RETRY, part, ENOTDIR, err);
        }
        if (status != NW_OK) {
            return status;
        }
    }
    return NW_OK;
}

static bool folder_there(struct model *model, const char *path)
{
    const struct node *node = node_find(model, path);

    return strcmp(path, ".") == 0 || strcmp(path, "/") == 0 || (node != NULL && node->folder);
}

static nw_status model_folder_sync(struct nw_env *env, const char *path, struct nw_error *err)
{
    trace_call(model_of(env), "folder sync", path);
    if (model_of(env)->off || !folder_there(model_of(env), path)) {
        return model_fail(NW_RETRY, path, model_of(env)->off ? EIO : ENOENT, err);
    }
    folder_settle(model_of(env), path);
    return NW_OK;
}

static nw_status model_folder_remove(struct nw_env *env, const char *path, struct nw_error *err)
{
    struct model *model = model_of(env);
    struct entry *entry = entry_find(model, path);

    if (model_of(env)->off) {
        return model_fail(NW_RETRY, path, EIO, err);
    }
    trace_call(model, "folder remove", path);
    if (entry == NULL || entry->seen == NULL) {
        return NW_OK;
    }
    for (const struct entry *e = model->entries; e != NULL; e = e->next) {
        if (e->seen != NULL && is_child(e->path, path)) {
            return model_fail(NW_RETRY, path, ENOTEMPTY, err);
        }
    }
    if (!entry->seen->folder) {
        return model_fail(NW_RETRY, path, ENOTDIR, err);
    }
    entry->seen = NULL;
    return NW_OK;
}

static nw_status model_folder_list(struct nw_env *env, const char *path,
                                   nw_status (*each)(void *context, const char *name,
                                                     bool is_folder, struct nw_error *err),
                                   void *context, struct nw_error *err)
{
    struct model *model = model_of(env);
    nw_status status = NW_OK;

    if (!folder_there(model, path)) {
        return model_fail(NW_RETRY, path, ENOENT, err);
    }
    for (const struct entry *e = model->entries; e != NULL && status == NW_OK; e = e->next) {
        if (e->seen != NULL && is_child(e->path, path)) {
            const char *slash = strrchr(e->path, '/');

            status = each(context, slash == NULL ? e->path : slash + 1, e->seen->folder, err);
        }
    }
    return status;
}

/* ---- queues ---- */

static nw_status model_io_create(struct nw_env *env, uint32_t depth, struct nw_io **io,
                                 struct nw_error *err)
{
    (void)env;
    *io = calloc(1, sizeof **io + depth * sizeof(struct nw_file_op *));
    if (*io == NULL) {
        return nw_fail(err, NW_FATAL, "out of memory for an I/O queue");
    }
    (*io)->depth = depth;
    return NW_OK;
}

static void model_io_destroy(struct nw_env *env, struct nw_io *io)
{
    (void)env;
    free(io);
}

static nw_status model_io_submit(struct nw_env *env, struct nw_io *io, struct nw_file_op *op,
                                 struct nw_error *err)
{
    (void)env;
    (void)err;
    if (io->count == io->depth) {
        return NW_AGAIN;
    }
    io->ops[io->count++] = op;
    return NW_OK;
}

static int32_t node_write(const struct model *model, struct node *node, const struct nw_file_op *op)
{
    uint64_t end = op->offset + op->size;

    if (op->size == 0) {
        return 0;
    }
    if (end > node->seen.size &&
        (!has_room(model, end - node->seen.size) || !node_resize(node, end))) {
        return -ENOSPC;
    }
    memcpy(node->seen.bytes + op->offset, op->bytes, op->size);
    dirty_add(node, op->offset, end);
    return (int32_t)op->size;
}

static int32_t node_read(const struct node *node, const struct nw_file_op *op)
{
    uint64_t left = op->offset < node->seen.size ? node->seen.size - op->offset : 0;
    uint32_t size = op->size < left ? op->size : (uint32_t)left;

    if (size > 0) {
        memcpy(op->bytes, node->seen.bytes + op->offset, size);
    }
    return (int32_t)size;
}

static int32_t node_sync(struct node *node)
{
    if (!image_copy(node, &node->durable, &node->seen)) {
        return -EIO;
    }
    dirty_none(node);
    return 0;
}

static int32_t op_run(struct nw_env *env, const struct nw_file_op *op)
{
    const struct handle *handle = handle_of(env, op->file);
    uint64_t numbers[4] = {(uint64_t)op->verb, (uint64_t)op->file, op->offset, op->size};

    trace_add(model_of(env), numbers, sizeof numbers);
    if (model_of(env)->off || handle == NULL || (op->verb == NW_FILE_WRITE && handle->read_only)) {
        return model_of(env)->off ? -EIO : -EBADF;
    }
    switch (op->verb) {
    case NW_FILE_READ:
        return node_read(handle->node, op);
    case NW_FILE_WRITE:
        trace_add(model_of(env), op->bytes, op->size);
        return node_write(model_of(env), handle->node, op);
    case NW_FILE_SYNC:
        return node_sync(handle->node);
    }
    return -EINVAL;
}

/* Some of those that are there, at least one when asked to wait, in any order. */
/* NOLINTNEXTLINE(readability-function-size): the signature of nw_env_ops */
static nw_status model_io_reap(struct nw_env *env, struct nw_io *io, bool wait,
                               struct nw_file_op **done, size_t done_max, size_t *done_count,
                               struct nw_error *err)
{
    struct model *model = model_of(env);
    size_t goal = io->count == 0 ? 0 : (size_t)draw_below(model, io->count + 1);

    (void)err;
    goal = goal == 0 && wait && io->count > 0 ? 1 : goal;
    goal = goal > done_max ? done_max : goal;
    for (size_t i = 0; i < goal; i++) {
        uint64_t at = draw_below(model, io->count);

        done[i] = io->ops[at];
        done[i]->result = op_run(env, done[i]);
        io->ops[at] = io->ops[--io->count];
    }
    *done_count = goal;
    return NW_OK;
}

static const char *model_io_engine(struct nw_env *env, struct nw_io *io)
{
    (void)env;
    (void)io;
    return "model";
}

static const struct nw_env_ops MODEL_OPS = {
    .now_ns = model_now_ns,
    .wall_us = model_wall_us,
    .random = model_random,
    .file_open = model_file_open,
    .file_close = model_file_close,
    .file_truncate = model_file_truncate,
    .file_size = model_file_size,
    .file_rename = model_file_rename,
    .file_remove = model_file_remove,
    .file_lock = model_file_lock,
    .folder_create = model_folder_create,
    .folder_sync = model_folder_sync,
    .folder_remove = model_folder_remove,
    .folder_list = model_folder_list,
    .io_create = model_io_create,
    .io_destroy = model_io_destroy,
    .io_submit = model_io_submit,
    .io_reap = model_io_reap,
    .io_engine = model_io_engine,
};

/* ---- life, time and crashes ---- */

nw_status nw_env_model_create(uint64_t seed, struct nw_env **env, struct nw_error *err)
{
    struct model *made = calloc(1, sizeof *made);

    if (made == NULL) {
        return nw_fail(err, NW_FATAL, "out of memory for a model environment");
    }
    made->env.ops = &MODEL_OPS;
    made->random = seed;
    made->trace = UINT64_C(0xcbf29ce484222325);
    made->now_ns = 1000000000;
    made->entries_end = &made->entries;
    *env = &made->env;
    return NW_OK;
}

void nw_env_model_destroy(struct nw_env *env)
{
    struct model *model = env == NULL ? NULL : model_of(env);
    struct entry *entry = model == NULL ? NULL : model->entries;
    struct node *node = model == NULL ? NULL : model->nodes;

    while (entry != NULL) {
        struct entry *next = entry->next;

        free(entry);
        entry = next;
    }
    while (node != NULL) {
        struct node *next = node->next;

        free(node->seen.bytes);
        free(node->durable.bytes);
        free(node);
        node = next;
    }
    free(model);
}

void nw_env_model_advance(struct nw_env *env, int64_t ns)
{
    NW_ASSERT(ns >= 0);
    model_of(env)->now_ns += ns;
}

void nw_env_model_limit(struct nw_env *env, uint64_t bytes)
{
    model_of(env)->limit_bytes = bytes;
}

uint64_t nw_env_model_used(const struct nw_env *env)
{
    uint64_t bytes = 0;

    for (const struct entry *at = ((const struct model *)env)->entries; at != NULL; at = at->next) {
        bytes += at->seen == NULL ? 0 : at->seen->seen.size;
    }
    return bytes;
}

void nw_env_model_power_off(struct nw_env *env)
{
    model_of(env)->off = true;
}

/* What a crash leaves of a file becomes what is seen and what is durable. */
static void node_crash(struct model *model, struct node *node, uint32_t survive_percent)
{
    const struct image *seen = &node->seen;
    struct image *durable = &node->durable;
    bool longer = draw_below(model, 100) < survive_percent;
    uint64_t size = longer ? seen->size : durable->size;
    bool copied = false;

    if (node->dirty_begin >= node->dirty_end && seen->size == durable->size) {
        return;
    }
    copied = image_resize(durable, size);
    for (uint64_t at = node->dirty_begin / SECTOR_BYTES * SECTOR_BYTES;
         copied && at < size && at < node->dirty_end && at < seen->size; at += SECTOR_BYTES) {
        uint64_t end = at + SECTOR_BYTES < size ? at + SECTOR_BYTES : size;

        end = end < seen->size ? end : seen->size;
        if (draw_below(model, 100) < survive_percent) {
            memcpy(durable->bytes + at, seen->bytes + at, (size_t)(end - at));
        }
    }
    copied = copied && image_copy(node, &node->seen, durable);
    NW_ASSERT(copied); /* a test without memory cannot go on */
    dirty_none(node);
}

void nw_env_model_crash(struct nw_env *env, uint32_t survive_percent)
{
    struct model *model = model_of(env);

    trace_call(model, "crash", "");
    model->off = false;
    memset(model->handles, 0, sizeof model->handles);
    for (struct node *node = model->nodes; node != NULL; node = node->next) {
        node->locked_by = -1;
        node_crash(model, node, survive_percent);
    }
    for (struct entry *entry = model->entries; entry != NULL; entry = entry->next) {
        if (entry->seen != entry->durable && draw_below(model, 100) >= survive_percent) {
            entry->seen = entry->durable;
        }
    }
    /* A folder is made before what is in it, and so comes before it here. */
    for (struct entry *entry = model->entries; entry != NULL; entry = entry->next) {
        entry->seen = parent_there(model, entry->path) ? entry->seen : NULL;
        entry->durable = entry->seen;
    }
}

uint64_t nw_env_model_trace(const struct nw_env *env)
{
    return ((const struct model *)(const void *)env)->trace;
}
