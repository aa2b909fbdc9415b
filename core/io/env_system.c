/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel's environment: clocks, randomness, files. The I/O queues are in io_queue.c. Stateless
 * but for the choice of the I/O engine, so any thread may call.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/errno.h"
#include "io/io_queue.h"

#define PATH_SIZE 4096

static int64_t now_ns(struct nw_env *env)
{
    struct timespec now;

    (void)env;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static int64_t wall_us(struct nw_env *env)
{
    struct timespec now;

    (void)env;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void random_fill(struct nw_env *env, void *bytes, size_t size)
{
    uint8_t *at = bytes;

    (void)env;
    while (size > 0) {
        ssize_t got = getrandom(at, size, 0);

        NW_ASSERT(got > 0 || errno == EINTR); /* without flags it cannot fail otherwise */
        if (got > 0) {
            at += got;
            size -= (size_t)got;
        }
    }
}

/* What to do about an error, as the end of a sentence. */
static const char *advice(int error)
{
    switch (error) {
    case ENOSPC:
    case EDQUOT:
        return ": free space there, or point narwal to another file system";
    case EMFILE:
    case ENFILE:
        return ": raise the limit of open files (ulimit -n, LimitNOFILE=)";
    case EACCES:
    case EPERM:
    case EROFS:
        return ": let narwal's user write there";
    default:
        return "";
    }
}

static nw_status path_fail(const char *verb, const char *path, int error, struct nw_error *err)
{
    return nw_fail(err, NW_RETRY, "NW2501 cannot %s %s: %s%s", verb, path, nw_errno_text(error),
                   advice(error));
}

/* The name that the kernel knows an open file by, for messages. @return path */
static const char *file_name(int file, char path[static PATH_SIZE])
{
    char link[64];
    ssize_t size = 0;

    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    size = readlink(link, path, PATH_SIZE - 1);
    if (size <= 0) {
        return "a file";
    }
    path[size] = '\0';
    return path;
}

static nw_status file_open(struct nw_env *env, const char *path, uint32_t flags, int *file,
                           struct nw_error *err)
{
    int how = O_CLOEXEC | ((flags & NW_FILE_READ_ONLY) != 0 ? O_RDONLY : O_RDWR) |
              ((flags & NW_FILE_CREATE) != 0 ? O_CREAT : 0) |
              ((flags & NW_FILE_EXCLUSIVE) != 0 ? O_EXCL : 0);

    (void)env;
    *file = open(path, how, 0640);
    return *file >= 0 ? NW_OK : path_fail("open", path, errno, err);
}

static void file_close(struct nw_env *env, int file)
{
    (void)env;
    (void)close(file);
}

static nw_status file_truncate(struct nw_env *env, int file, uint64_t size, struct nw_error *err)
{
    char path[PATH_SIZE];

    (void)env;
    if (ftruncate(file, (off_t)size) != 0) {
        int error = errno;

        return path_fail("truncate", file_name(file, path), error, err);
    }
    return NW_OK;
}

static nw_status file_size(struct nw_env *env, int file, uint64_t *size, struct nw_error *err)
{
    struct stat status;
    char path[PATH_SIZE];

    (void)env;
    if (fstat(file, &status) != 0) {
        int error = errno;

        return path_fail("look at", file_name(file, path), error, err);
    }
    *size = (uint64_t)status.st_size;
    return NW_OK;
}

static nw_status folder_sync(struct nw_env *env, const char *path, struct nw_error *err)
{
    int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int error = 0;

    (void)env;
    if (folder < 0) {
        return path_fail("open folder", path, errno, err);
    }
    error = fsync(folder) != 0 ? errno : 0;
    (void)close(folder);
    if (error != 0) { /* what was lost is not known: never try again */
        return nw_fail(err, NW_FATAL, "NW2502 cannot sync folder %s: %s", path,
                       nw_errno_text(error));
    }
    return NW_OK;
}

static nw_status file_rename(struct nw_env *env, const char *from, const char *to,
                             struct nw_error *err)
{
    char folder[PATH_SIZE];
    char *slash = NULL;

    if (rename(from, to) != 0) {
        return path_fail("rename to", to, errno, err);
    }
    (void)snprintf(folder, sizeof folder, "%s", to);
    slash = strrchr(folder, '/');
    if (slash == NULL) {
        return folder_sync(env, ".", err);
    }
    slash[slash == folder ? 1 : 0] = '\0';
    return folder_sync(env, folder, err);
}

static nw_status file_remove(struct nw_env *env, const char *path, struct nw_error *err)
{
    (void)env;
    return unlink(path) == 0 || errno == ENOENT ? NW_OK : path_fail("remove", path, errno, err);
}

static nw_status file_lock(struct nw_env *env, int file, struct nw_error *err)
{
    char path[PATH_SIZE];

    (void)env;
    if (flock(file, LOCK_EX | LOCK_NB) != 0) {
        const char *why = errno == EWOULDBLOCK ? "another process holds it; stop that first"
                                               : nw_errno_text(errno);

        return nw_fail(err, NW_FATAL, "NW2503 cannot lock %s: %s", file_name(file, path), why);
    }
    return NW_OK;
}

static nw_status folder_create(struct nw_env *env, const char *path, struct nw_error *err)
{
    char part[PATH_SIZE];

    (void)env;
    if (path[0] == '\0' || strlen(path) >= sizeof part) {
        return nw_fail(err, NW_FATAL, "NW1013 a folder's name is empty or too long");
    }
    (void)snprintf(part, sizeof part, "%s", path);
    for (char *at = part + 1;; at++) {
        if (*at == '/' || *at == '\0') {
            char kept = *at;

            *at = '\0';
            if (mkdir(part, 0750) != 0 && errno != EEXIST) {
                return path_fail("make folder", part, errno, err);
            }
            *at = kept;
            if (kept == '\0') {
                return NW_OK;
            }
        }
    }
}

static nw_status folder_remove(struct nw_env *env, const char *path, struct nw_error *err)
{
    (void)env;
    return rmdir(path) == 0 || errno == ENOENT ? NW_OK
                                               : path_fail("remove folder", path, errno, err);
}

static bool entry_is_folder(int folder, const struct dirent *entry)
{
    struct stat status;

    if (entry->d_type != DT_UNKNOWN) {
        return entry->d_type == DT_DIR;
    }
    return fstatat(folder, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
           S_ISDIR(status.st_mode);
}

static nw_status folder_list(struct nw_env *env, const char *path,
                             nw_status (*each)(void *context, const char *name, bool is_folder,
                                               struct nw_error *err),
                             void *context, struct nw_error *err)
{
    DIR *folder = opendir(path);
    nw_status status = NW_OK;

    (void)env;
    if (folder == NULL) {
        return path_fail("list folder", path, errno, err);
    }
    while (status == NW_OK) {
        const struct dirent *entry = NULL;

        errno = 0;
        entry = readdir(folder); /* NOLINT(concurrency-mt-unsafe): the stream is ours */
        if (entry == NULL) {
            status = errno == 0 ? NW_OK : path_fail("list folder", path, errno, err);
            break;
        }
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            status = each(context, entry->d_name, entry_is_folder(dirfd(folder), entry), err);
        }
    }
    (void)closedir(folder);
    return status;
}

static const struct nw_env_ops SYSTEM_OPS = {
    .now_ns = now_ns,
    .wall_us = wall_us,
    .random = random_fill,
    .file_open = file_open,
    .file_close = file_close,
    .file_truncate = file_truncate,
    .file_size = file_size,
    .file_rename = file_rename,
    .file_remove = file_remove,
    .file_lock = file_lock,
    .folder_create = folder_create,
    .folder_sync = folder_sync,
    .folder_remove = folder_remove,
    .folder_list = folder_list,
    .io_create = nw_io_queue_create,
    .io_destroy = nw_io_queue_destroy,
    .io_submit = nw_io_queue_submit,
    .io_reap = nw_io_queue_reap,
    .io_engine = nw_io_queue_engine,
};

nw_status nw_env_system_create(enum nw_io_choice choice, struct nw_env **env, struct nw_error *err)
{
    struct nw_env_system *made = calloc(1, sizeof *made);

    if (made == NULL) {
        return nw_fail(err, NW_FATAL, "out of memory for the environment");
    }
    made->env.ops = &SYSTEM_OPS;
    made->choice = choice;
    *env = &made->env;
    return NW_OK;
}

void nw_env_system_destroy(struct nw_env *env)
{
    free(env);
}
