/* SPDX-License-Identifier: Apache-2.0 */
/* See folder.h. */
#include "base/folder.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/errno.h"

#define PATH_SIZE 4096

nw_status nw_state_folder_make(const char *path, struct nw_error *err)
{
    char part[PATH_SIZE];

    if (path[0] == '\0' || strlen(path) >= sizeof part) {
        return nw_fail(err, NW_FATAL, "NW2002 the state folder's name is empty or too long");
    }
    (void)snprintf(part, sizeof part, "%s", path);
    for (char *at = part + 1;; at++) {
        if (*at == '/' || *at == '\0') {
            char kept = *at;

            *at = '\0';
            if (mkdir(part, 0700) != 0 && errno != EEXIST) {
                return nw_fail(
                    err, NW_FATAL,
                    "NW2002 cannot make the state folder %s: %s; set state_dir (or --state-dir) "
                    "to a folder that narwal may write to",
                    part, nw_errno_text(errno));
            }
            *at = kept;
            if (kept == '\0') {
                return NW_OK;
            }
        }
    }
}
