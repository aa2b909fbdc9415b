/* SPDX-License-Identifier: Apache-2.0 */
/* See run_config.h: what depends on the pipeline's name. */
#include "config/run_config.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SLOT_NAME_MAX 63  /* as in PostgreSQL */
#define NAME_SIZE_MAX 48u /* leaves room for narwal_ in a slot's 63 bytes */

static nw_status name_clean(struct nw_run_config *config, const char *name, struct nw_error *err)
{
    char clean[NAME_SIZE_MAX + 1];
    size_t size = 0;

    for (; *name != '\0' && size < NAME_SIZE_MAX; name++) { /* what a slot's name may have */
        char c = *name;

        c = c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
        clean[size++] = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ? c : '_';
    }
    clean[size] = '\0';
    config->name = nw_arena_text(&config->arena, size == 0 ? "narwal" : clean);
    return config->name != NULL ? NW_OK : nw_fail(err, NW_FATAL, "out of memory");
}

static nw_status print(struct nw_run_config *config, const char **out, struct nw_error *err,
                       const char *first, const char *second)
{
    char text[4096];

    if (*out != NULL) {
        return NW_OK;
    }
    if (snprintf(text, sizeof text, "%s%s", first, second) >= (int)sizeof text) {
        return nw_fail(err, NW_FATAL, "NW1013 a path is too long: %.100s...", first);
    }
    *out = nw_arena_text(&config->arena, text);
    return *out != NULL ? NW_OK : nw_fail(err, NW_FATAL, "out of memory");
}

void nw_config_state_base(char *base, size_t size)
{
    /* At start: no threads yet. */
    const char *state_home = getenv("XDG_STATE_HOME"); /* NOLINT(concurrency-mt-unsafe) */
    const char *home = getenv("HOME");                 /* NOLINT(concurrency-mt-unsafe) */

    if (geteuid() == 0) {
        (void)snprintf(base, size, "%s", NW_STATE_BASE);
    } else if (state_home != NULL && state_home[0] == '/') {
        (void)snprintf(base, size, "%s/narwal/", state_home);
    } else {
        (void)snprintf(base, size, "%s/.local/state/narwal/", home == NULL ? "." : home);
    }
}

/* PostgreSQL's rule, said before a server is asked. */
static nw_status slot_name_check(const char *name, struct nw_error *err)
{
    size_t size = strlen(name);

    return size > 0 && size <= SLOT_NAME_MAX &&
                   strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_") == size
               ? NW_OK
               : nw_fail(err, NW_FATAL,
                         "NW1013 \"%.80s\" cannot be the name of a slot: it takes 1 to %d of a-z, "
                         "0-9 and _. Give source.slot.name, or another name",
                         name, SLOT_NAME_MAX);
}

nw_status nw_config_finish(struct nw_run_config *config, const char *name, struct nw_error *err)
{
    char base[2048];
    nw_status status = name_clean(config, config->name != NULL ? config->name : name, err);

    nw_config_state_base(base, sizeof base);
    status = status == NW_OK ? print(config, &config->state_dir, err, base, config->name) : status;
    status =
        status == NW_OK ? print(config, &config->slot_name, err, "narwal_", config->name) : status;
    status = status == NW_OK ? slot_name_check(config->slot_name, err) : status;
    status = status == NW_OK
                 ? print(config, &config->publication_name, err, "narwal_", config->name)
                 : status;
    status = status == NW_OK ? print(config, &config->spool_dir, err, config->state_dir, "/spool")
                             : status;
    return status == NW_OK ? print(config, &config->spill_dir, err, config->state_dir, "/spill")
                           : status;
}
