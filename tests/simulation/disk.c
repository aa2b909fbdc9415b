/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The simulator's environment: a clock that the seed moves, randomness from the seed, and scratch
 * files in memory whose operations finish late and out of order, and fail.
 */
#include <errno.h>

#include "sim.h"

#define OPS_MAX 256u

struct sim_file {
    struct sim_file *next;
    char path[128];
    uint8_t *bytes;
    size_t size, capacity;
    uint32_t handles;
    bool removed;
};

struct nw_io {
    struct nw_file_op *ops[OPS_MAX];
    uint32_t depth, count;
};

static struct sim_disk *disk_of(struct nw_env *env)
{
    return (struct sim_disk *)(void *)env;
}

static int64_t disk_now_ns(struct nw_env *env)
{
    return disk_of(env)->now_ns;
}

static int64_t disk_wall_us(struct nw_env *env)
{
    return disk_of(env)->now_ns / 1000 + 1700000000000000;
}

static void disk_random(struct nw_env *env, void *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        ((uint8_t *)bytes)[i] = (uint8_t)sim_next(&disk_of(env)->random);
    }
}

static struct sim_file *file_find(struct sim_disk *disk, const char *path)
{
    struct sim_file *file = disk->files;

    while (file != NULL && (file->removed || strcmp(file->path, path) != 0)) {
        file = file->next;
    }
    return file;
}

static nw_status disk_file_open(struct nw_env *env, const char *path, uint32_t flags, int *file,
                                struct nw_error *err)
{
    struct sim_disk *disk = disk_of(env);
    struct sim_file *found = file_find(disk, path);
    int handle = 0;

    if (found == NULL) {
        if ((flags & NW_FILE_CREATE) == 0) {
            return nw_fail(err, NW_FATAL, "%s: not there", path);
        }
        found = calloc(1, sizeof *found);
        if (found == NULL) {
            abort();
        }
        (void)snprintf(found->path, sizeof found->path, "%s", path);
        found->next = disk->files;
        disk->files = found;
    }
    while (disk->handles[handle] != NULL) {
        handle++;
    }
    disk->handles[handle] = found;
    found->handles++;
    *file = handle;
    return NW_OK;
}

static void files_sweep(struct sim_disk *disk)
{
    for (struct sim_file **link = &disk->files; *link != NULL;) {
        struct sim_file *file = *link;

        if (file->removed && file->handles == 0) {
            *link = file->next;
            free(file->bytes);
            free(file);
        } else {
            link = &file->next;
        }
    }
}

static void disk_file_close(struct nw_env *env, int file)
{
    disk_of(env)->handles[file]->handles--;
    disk_of(env)->handles[file] = NULL;
    files_sweep(disk_of(env));
}

static nw_status disk_file_truncate(struct nw_env *env, int file, uint64_t size,
                                    struct nw_error *err)
{
    (void)err;
    disk_of(env)->handles[file]->size = (size_t)size;
    return NW_OK;
}

static nw_status disk_file_remove(struct nw_env *env, const char *path, struct nw_error *err)
{
    struct sim_file *file = file_find(disk_of(env), path);

    if (file == NULL) {
        return nw_fail(err, NW_FATAL, "%s: not there", path);
    }
    file->removed = true;
    files_sweep(disk_of(env));
    return NW_OK;
}

static nw_status disk_folder_create(struct nw_env *env, const char *path, struct nw_error *err)
{
    (void)env;
    (void)path;
    (void)err;
    return NW_OK;
}

static nw_status disk_folder_list(struct nw_env *env, const char *path,
                                  nw_status (*each)(void *context, const char *name, bool is_folder,
                                                    struct nw_error *err),
                                  void *context, struct nw_error *err)
{
    size_t size = strlen(path);
    struct sim_file *file = disk_of(env)->files;

    while (file != NULL) {
        struct sim_file *following = file->next;

        if (!file->removed && strncmp(file->path, path, size) == 0 && file->path[size] == '/') {
            nw_status status = each(context, file->path + size + 1, false, err);

            if (status != NW_OK) {
                return status;
            }
        }
        file = following;
    }
    return NW_OK;
}

static nw_status disk_io_create(struct nw_env *env, uint32_t depth, struct nw_io **io,
                                struct nw_error *err)
{
    (void)env;
    (void)err;
    *io = calloc(1, sizeof **io);
    if (*io == NULL) {
        abort();
    }
    (*io)->depth = depth < OPS_MAX ? depth : OPS_MAX;
    return NW_OK;
}

static void disk_io_destroy(struct nw_env *env, struct nw_io *io)
{
    (void)env;
    free(io);
}

static nw_status disk_io_submit(struct nw_env *env, struct nw_io *io, struct nw_file_op *op,
                                struct nw_error *err)
{
    (void)err;
    if (io->count == io->depth || sim_chance(&disk_of(env)->random, 20)) {
        return NW_AGAIN;
    }
    io->ops[io->count++] = op;
    return NW_OK;
}

static void op_run(struct sim_disk *disk, struct nw_file_op *op)
{
    struct sim_file *file = disk->handles[op->file];

    if (op->verb == NW_FILE_WRITE) {
        bool scratch = strstr(file->path, "transactions/") != NULL;

        if (scratch && sim_chance(&disk->random, disk->write_fault)) {
            SIM_COUNT(disk_faults);
            op->result = -EIO;
            return;
        }
        sim_counters.stored_changes += scratch;
        sim_counters.spilled_items += !scratch;
        if (op->offset + op->size > file->capacity) {
            file->capacity = (size_t)(op->offset + op->size) * 2;
            file->bytes = realloc(file->bytes, file->capacity);
            if (file->bytes == NULL) {
                abort();
            }
        }
        memcpy(file->bytes + op->offset, op->bytes, op->size);
        file->size =
            file->size < op->offset + op->size ? (size_t)op->offset + op->size : file->size;
        op->result = (int32_t)op->size;
    } else if (op->verb == NW_FILE_READ) {
        size_t left = op->offset < file->size ? file->size - (size_t)op->offset : 0;
        size_t size = op->size < left ? op->size : left;

        if (size > 0) {
            memcpy(op->bytes, file->bytes + op->offset, size);
        }
        op->result = (int32_t)size;
    } else {
        op->result = 0;
    }
}

static nw_status disk_io_reap(struct nw_env *env, struct nw_io *io, bool wait,
                              struct nw_file_op **done, size_t done_max, size_t *done_count,
                              struct nw_error *err)
{
    struct sim_disk *disk = disk_of(env);

    (void)err;
    *done_count = 0;
    while (io->count > 0 && *done_count < done_max &&
           ((wait && *done_count == 0) || sim_chance(&disk->random, 500))) {
        uint32_t at = sim_below(&disk->random, io->count);

        op_run(disk, io->ops[at]);
        done[(*done_count)++] = io->ops[at];
        io->ops[at] = io->ops[--io->count];
    }
    return *done_count > 0 ? NW_OK : NW_AGAIN;
}

static const char *disk_io_engine(struct nw_env *env, struct nw_io *io)
{
    (void)env;
    (void)io;
    return "model";
}

static const struct nw_env_ops disk_ops = {
    .now_ns = disk_now_ns,
    .wall_us = disk_wall_us,
    .random = disk_random,
    .file_open = disk_file_open,
    .file_close = disk_file_close,
    .file_truncate = disk_file_truncate,
    .file_remove = disk_file_remove,
    .folder_create = disk_folder_create,
    .folder_list = disk_folder_list,
    .io_create = disk_io_create,
    .io_destroy = disk_io_destroy,
    .io_submit = disk_io_submit,
    .io_reap = disk_io_reap,
    .io_engine = disk_io_engine,
};

void sim_disk_init(struct sim_disk *disk, struct sim *sim, uint64_t seed)
{
    disk->env.ops = &disk_ops;
    disk->sim = sim;
    disk->now_ns = 1000000000;
    disk->random.state = seed ^ 0x6469736bu;
}

void sim_disk_wipe(struct sim_disk *disk)
{
    memset((void *)disk->handles, 0, sizeof disk->handles);
    for (struct sim_file *file = disk->files; file != NULL; file = file->next) {
        file->handles = 0;
        file->removed = true;
    }
    files_sweep(disk);
}
