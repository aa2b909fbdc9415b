/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For LD_PRELOAD: system calls that fail below a folder, as on a disk that is about to die.
 *
 *   FAILING_FOLDER   where
 *   FAILING_CALLS    which: any of "fsync" (of folders) and "unlink"
 */
#include <dlfcn.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool fails(const char *call, const char *path)
{
    const char *folder = getenv("FAILING_FOLDER");
    const char *calls = getenv("FAILING_CALLS");

    return folder != NULL && calls != NULL && strstr(calls, call) != NULL &&
           strncmp(path, folder, strlen(folder)) == 0;
}

#define SHOWN __attribute__((visibility("default")))

SHOWN int fsync(int file)
{
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
    char link[64];
    char path[4096];
    struct stat about;
    ssize_t size = 0;

    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    size = readlink(link, path, sizeof path - 1);
    path[size > 0 ? size : 0] = '\0';
    if (fstat(file, &about) == 0 && S_ISDIR(about.st_mode) && fails("fsync", path)) {
        errno = EIO;
        return -1;
    }
    return real(file);
}

SHOWN int unlink(const char *path)
{
    int (*real)(const char *) = (int (*)(const char *))dlsym(RTLD_NEXT, "unlink");

    if (fails("unlink", path)) {
        errno = EIO;
        return -1;
    }
    return real(path);
}
