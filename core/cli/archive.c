/* SPDX-License-Identifier: Apache-2.0 */
/* See archive.h. */
#include "cli/archive.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <zstd.h>

#include "base/errno.h"

#define BLOCK_SIZE 512u
#define LEVEL      9

/* Numbers are octal texts. */
struct header {
    char name[100];
    char mode[8], uid[8], gid[8];
    char size[12], time[12];
    char checksum[8];
    char type;
    char link[100];
    char magic[6], version[2];
    char user[32], group[32];
    char device[16];
    char prefix[155];
    char unused[12];
};
static_assert(sizeof(struct header) == BLOCK_SIZE, "as the format says");

nw_status nw_archive_begin(struct nw_archive *archive, const char *folder, struct nw_error *err)
{
    *archive = (struct nw_archive){.folder = folder, .time_s = (int64_t)time(NULL)};
    archive->stream = open_memstream(&archive->bytes, &archive->size);
    return archive->stream != NULL ? NW_OK : nw_fail(err, NW_FATAL, "NW2901 out of memory");
}

/* The sum of the header's bytes, its own taken for spaces. */
static void checksum_put(struct header *header)
{
    const unsigned char *bytes = (const unsigned char *)header;
    unsigned sum = 0;

    memset(header->checksum, ' ', sizeof header->checksum);
    for (size_t i = 0; i < sizeof *header; i++) {
        sum += bytes[i];
    }
    (void)snprintf(header->checksum, sizeof header->checksum, "%06o", sum & 0777777u);
}

void nw_archive_add(struct nw_archive *archive, const char *name, const char *text, size_t size)
{
    static const char zeros[BLOCK_SIZE];
    struct header header = {.type = '0'};
    size_t rest = size % BLOCK_SIZE;

    (void)snprintf(header.name, sizeof header.name, "%.60s/%.30s", archive->folder, name);
    (void)snprintf(header.mode, sizeof header.mode, "0000600");
    (void)snprintf(header.uid, sizeof header.uid, "0000000");
    (void)snprintf(header.gid, sizeof header.gid, "0000000");
    (void)snprintf(header.size, sizeof header.size, "%011llo",
                   (unsigned long long)size & 077777777777ull);
    (void)snprintf(header.time, sizeof header.time, "%011llo",
                   (unsigned long long)archive->time_s & 077777777777ull);
    memcpy(header.magic, "ustar", 6);
    memcpy(header.version, "00", 2);
    checksum_put(&header);
    (void)fwrite(&header, sizeof header, 1, archive->stream);
    (void)fwrite(text, 1, size, archive->stream);
    (void)fwrite(zeros, 1, rest == 0 ? 0 : BLOCK_SIZE - rest, archive->stream);
}

static nw_status file_write(const char *path, const char *bytes, size_t size, struct nw_error *err)
{
    int file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    size_t written = 0;
    nw_status status = NW_OK;

    if (file < 0) {
        return nw_fail(err, NW_FATAL, "NW1507 cannot make %s: %s", path, nw_errno_text(errno));
    }
    while (written < size && status == NW_OK) {
        ssize_t more = write(file, bytes + written, size - written);

        if (more < 0 && errno != EINTR) {
            status =
                nw_fail(err, NW_FATAL, "NW1507 cannot write %s: %s", path, nw_errno_text(errno));
        }
        written += more > 0 ? (size_t)more : 0;
    }
    if (close(file) != 0 && status == NW_OK) {
        status = nw_fail(err, NW_FATAL, "NW1507 cannot write %s: %s", path, nw_errno_text(errno));
    }
    if (status != NW_OK) {
        (void)unlink(path);
    }
    return status;
}

nw_status nw_archive_write(struct nw_archive *archive, const char *path, size_t *size,
                           struct nw_error *err)
{
    static const char end[2 * BLOCK_SIZE];
    char *packed = NULL;
    size_t bound = 0;
    nw_status status = NW_OK;

    (void)fwrite(end, sizeof end, 1, archive->stream);
    if (fclose(archive->stream) != 0) {
        status = nw_fail(err, NW_FATAL, "NW2901 out of memory");
    }
    bound = ZSTD_compressBound(archive->size);
    packed = status == NW_OK ? malloc(bound) : NULL;
    if (status == NW_OK && packed == NULL) {
        status = nw_fail(err, NW_FATAL, "NW2901 out of memory");
    }
    if (status == NW_OK) {
        *size = ZSTD_compress(packed, bound, archive->bytes, archive->size, LEVEL);
        status = ZSTD_isError(*size) != 0
                     ? nw_fail(err, NW_FATAL, "NW2901 %s", ZSTD_getErrorName(*size))
                     : file_write(path, packed, *size, err);
    }
    free(packed);
    free(archive->bytes);
    archive->bytes = NULL;
    return status;
}
