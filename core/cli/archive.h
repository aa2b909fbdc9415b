/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Texts in a compressed archive, readable by its owner alone: POSIX ustar in one zstd frame.
 * Formats: IEEE Std 1003.1, pax, "ustar Interchange Format"; RFC 8878.
 */
#ifndef NW_CLI_ARCHIVE_H
#define NW_CLI_ARCHIVE_H

#include <stdint.h>
#include <stdio.h>

#include <narwal/status.h>

struct nw_archive {
    const char *folder; /* borrow: in which all of them lie */
    int64_t time_s;     /* of all */
    FILE *stream;
    char *bytes;
    size_t size;
};

NW_MUST_CHECK nw_status nw_archive_begin(struct nw_archive *archive, const char *folder,
                                         struct nw_error *err);
void nw_archive_add(struct nw_archive *archive, const char *name, const char *text, size_t size);
/** Write it to a file that is not there yet, and end. @param size  filled: of the file */
NW_MUST_CHECK nw_status nw_archive_write(struct nw_archive *archive, const char *path, size_t *size,
                                         struct nw_error *err);

#endif
