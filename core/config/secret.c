/* SPDX-License-Identifier: Apache-2.0 */
/* See secret.h. */
#include "config/secret.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/errno.h"
#include "base/log.h"

#define SECRET_SIZE (65536u + 1u) /* with its NUL */

static nw_status checked(const char *secret, size_t size, const char *path, struct nw_error *err)
{
    if (size == 0) {
        return nw_fail(err, NW_FATAL, "NW1005 the secret in %s is empty", path);
    }
    if (strlen(secret) != size) {
        return nw_fail(err, NW_FATAL, "NW1005 the secret in %s has a NUL inside", path);
    }
    return NW_OK;
}

static nw_status file_read(const char *path, char *out, struct nw_error *err)
{
    FILE *file = fopen(path, "re");
    size_t size = 0;
    bool failed = false;
    int why = errno;

    if (file != NULL) {
        size = fread(out, 1, SECRET_SIZE, file);
        failed = ferror(file) != 0;
        why = errno;
        (void)fclose(file);
    }
    if (file == NULL || failed) {
        return nw_fail(err, NW_FATAL, "NW1005 cannot read the secret in %s: %s", path,
                       nw_errno_text(why));
    }
    if (size == SECRET_SIZE) {
        return nw_fail(err, NW_FATAL, "NW1005 the secret in %s is longer than %u bytes", path,
                       SECRET_SIZE - 1);
    }
    while (size > 0 && (out[size - 1] == '\n' || out[size - 1] == '\r')) {
        size--;
    }
    out[size] = '\0';
    return checked(out, size, path, err);
}

static nw_status environment_read(const char *name, char *out, struct nw_error *err)
{
    const char *value = getenv(name); /* NOLINT(concurrency-mt-unsafe): nobody sets it later */

    if (value == NULL) {
        return nw_fail(err, NW_FATAL, "NW1005 the environment has no variable %s", name);
    }
    if (strlen(value) >= SECRET_SIZE) {
        return nw_fail(err, NW_FATAL, "NW1005 the variable %s is longer than %u bytes", name,
                       SECRET_SIZE - 1);
    }
    (void)memcpy(out, value, strlen(value) + 1);
    return NW_OK;
}

/* The file that a reference names. @return false: it names none */
static bool path_find(const char *reference, char path[PATH_MAX])
{
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): nobody sets it later */
    const char *folder = getenv("CREDENTIALS_DIRECTORY");

    if (strncmp(reference, "file:", 5) == 0) {
        return snprintf(path, PATH_MAX, "%s", reference + 5) < PATH_MAX;
    }
    return strncmp(reference, "credential:", 11) == 0 && folder != NULL &&
           snprintf(path, PATH_MAX, "%s/%s", folder, reference + 11) < PATH_MAX;
}

static nw_status reference_read(const char *reference, char *out, struct nw_error *err)
{
    char path[PATH_MAX];

    if (strncmp(reference, "env:", 4) == 0) {
        return environment_read(reference + 4, out, err);
    }
    if (strncmp(reference, "credential:", 11) == 0 &&
        (reference[11] == '\0' || strchr(reference, '/') != NULL)) {
        return nw_fail(err, NW_FATAL, "NW1005 ${%.100s}: a credential is a name, not a path",
                       reference);
    }
    if (path_find(reference, path)) {
        return file_read(path, out, err);
    }
    return strncmp(reference, "credential:", 11) == 0
               ? nw_fail(err, NW_FATAL,
                         "NW1005 ${%.100s}: there is no CREDENTIALS_DIRECTORY; systemd sets it for "
                         "services with LoadCredential=",
                         reference)
               : nw_fail(
                     err, NW_FATAL,
                     "NW1005 ${%.200s} is not known: write ${file:/path}, ${credential:NAME} or "
                     "${env:NAME}",
                     reference);
}

/* The next reference. @return its begin, or NULL; *size: without its brackets; SIZE_MAX: no end */
static const char *reference_find(const char *text, char reference[PATH_MAX], size_t *size)
{
    const char *open = strstr(text, "${");
    const char *close = open == NULL ? NULL : strchr(open, '}');

    *size = close == NULL || close - open >= PATH_MAX ? SIZE_MAX : (size_t)(close - open - 2);
    if (open != NULL && *size != SIZE_MAX) {
        (void)snprintf(reference, PATH_MAX, "%.*s", (int)*size, open + 2);
    }
    return open;
}

nw_status nw_secret_expand(const char *text, char **expanded, struct nw_error *err)
{
    char reference[PATH_MAX];
    char *secret = malloc(SECRET_SIZE);
    const char *open = NULL;
    size_t size = 0;
    size_t expanded_size = 0;
    FILE *stream = open_memstream(expanded, &expanded_size);
    nw_status status = NW_OK;

    if (stream == NULL || secret == NULL) {
        status = nw_fail(err, NW_RETRY, "out of memory for a secret");
    }
    while (status == NW_OK && (open = reference_find(text, reference, &size)) != NULL) {
        if (size == SIZE_MAX) {
            status = nw_fail(err, NW_FATAL, "NW1005 \"${\" without its \"}\"");
            break;
        }
        status = reference_read(reference, secret, err);
        if (status == NW_OK) {
            nw_log_secret(secret);
            (void)fprintf(stream, "%.*s%s", (int)(open - text), text, secret);
            explicit_bzero(secret, strlen(secret));
            text = open + size + 3;
        }
    }
    if (stream != NULL) {
        (void)fputs(text, stream);
        (void)fclose(stream);
    }
    if (status != NW_OK && stream != NULL) {
        explicit_bzero(*expanded, expanded_size);
        free(*expanded);
        *expanded = NULL;
    }
    free(secret);
    return status;
}

/* A group may read what root owns, as the package's folder is root's and narwal's group may. */
static bool others_read(const struct stat *status)
{
    return (status->st_mode & 037) != 0 || ((status->st_mode & 040) != 0 && status->st_uid != 0);
}

void nw_secret_look(const char *text, const char *file, unsigned line, unsigned column)
{
    char reference[PATH_MAX];
    char path[PATH_MAX];
    struct stat status;
    size_t size = 0;
    const char *open = NULL;

    while ((open = reference_find(text, reference, &size)) != NULL && size != SIZE_MAX) {
        if (strncmp(reference, "file:", 5) == 0 && path_find(reference, path) &&
            stat(path, &status) == 0 && others_read(&status)) {
            nw_log(NW_LOG_WARN,
                   "%s:%u:%u: NW1006 others may read the secret in %s: chmod 600 it, and let it "
                   "belong to the user that narwal runs as",
                   file, line, column, path);
        }
        text = open + size + 3;
    }
}
