/* SPDX-License-Identifier: Apache-2.0 */
/* What a worker hands over with a seal: see file.h. Belongs to the worker until then. */
#include <stdlib.h>

#include "file.h"

/* Makes room for one more item. @return the array, which may have moved; NULL: out of memory. */
static void *room_make(void *items, size_t count, size_t *capacity, size_t item_size)
{
    size_t larger = *capacity == 0 ? 8 : *capacity * 2;
    void *moved = items;

    if (count == *capacity) {
        moved = realloc(items, larger * item_size);
        if (moved != NULL) {
            *capacity = larger;
        }
    }
    return moved;
}

nw_status nw_sealing(struct nw_file_worker *worker, struct nw_sealed **sealed, struct nw_error *err)
{
    if (worker->sealing == NULL) {
        worker->sealing = calloc(1, sizeof *worker->sealing);
    }
    *sealed = worker->sealing;
    return *sealed == NULL ? nw_fail(err, NW_RETRY, "out of memory for an epoch") : NW_OK;
}

nw_status nw_sealed_file(struct nw_sealed *sealed, int file, bool sync, bool close,
                         struct nw_error *err)
{
    struct nw_sealed_file *moved =
        room_make(sealed->files, sealed->files_count, &sealed->files_capacity, sizeof *moved);

    if (moved == NULL) {
        return nw_fail(err, NW_RETRY, "out of memory for an epoch");
    }
    sealed->files = moved;
    sealed->files[sealed->files_count++] =
        (struct nw_sealed_file){.file = file, .sync = sync, .close = close};
    return NW_OK;
}

nw_status nw_sealed_folder(struct nw_sealed *sealed, const char *folder, struct nw_error *err)
{
    char **moved = room_make(sealed->folders, sealed->folders_count, &sealed->folders_capacity,
                             sizeof(*moved));
    char *copy = NULL;

    if (moved != NULL) {
        sealed->folders = moved;
        copy = strdup(folder);
    }
    if (copy == NULL) {
        return nw_fail(err, NW_RETRY, "out of memory for an epoch");
    }
    sealed->folders[sealed->folders_count++] = copy;
    return NW_OK;
}

void nw_sealed_destroy(struct nw_sealed *sealed, const struct nw_host *host)
{
    if (sealed == NULL) {
        return;
    }
    for (size_t i = 0; i < sealed->files_count; i++) {
        if (host != NULL && sealed->files[i].close) {
            host->file_close(host, sealed->files[i].file);
        }
    }
    for (size_t i = 0; i < sealed->folders_count; i++) {
        free(sealed->folders[i]);
    }
    free(sealed->files);
    free(sealed->folders);
    nw_state_fini(&sealed->changes);
    free(sealed);
}
