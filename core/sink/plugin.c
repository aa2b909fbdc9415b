/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loading sink plugins. Whoever can write to the folder or the file of a plugin is narwal, so both
 * are checked before dlopen, and the file is opened once: what was checked is what is loaded.
 */
#include "sink/plugin.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/code.h"
#include "base/errno.h"

/* Members up to here are required to be in a plugin's table; what follows may be cut off. */
#define OPS_SIZE_MIN (offsetof(struct nw_sink_ops, verify))
/* A table larger than this is not a table. */
#define OPS_SIZE_MAX 65536u
#define OPTIONS_MAX  256u
#define NAME_MAX_    63u

/* Nobody but root and us may change the thing behind the descriptor. */
static nw_status owner_check(int descriptor, const char *path, bool folder, struct nw_error *err)
{
    struct stat st;

    if (fstat(descriptor, &st) != 0) {
        return nw_fail(err, NW_FATAL, "NW1225 cannot look at %s: %s", path, nw_errno_text(errno));
    }
    if (folder ? !S_ISDIR(st.st_mode) : !S_ISREG(st.st_mode)) {
        return nw_fail(err, NW_FATAL, "NW1225 %s is not a %s", path,
                       folder ? "folder" : "regular file");
    }
    if (st.st_uid != 0 && st.st_uid != geteuid()) {
        return nw_fail(
            err, NW_FATAL,
            "NW1225 %s belongs to user %u: a plugin and its folder must belong to root or to "
            "the user that runs narwal (chown it)",
            path, (unsigned)st.st_uid);
    }
    if ((st.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
        return nw_fail(err, NW_FATAL, "NW1225 %s can be written by others: chmod go-w '%s'", path,
                       path);
    }
    return NW_OK;
}

static nw_status option_check(const struct nw_sink_ops *ops, const struct nw_option *option,
                              struct nw_error *err)
{
    if (option->name == NULL || option->name[0] == '\0' || option->help == NULL) {
        return nw_fail(err, NW_FATAL, "NW1225 plugin %s has an option without a name or help",
                       ops->name);
    }
    if (option->type < NW_OPTION_TEXT || option->type > NW_OPTION_LIST) {
        return nw_fail(err, NW_FATAL, "NW1225 plugin %s: option %s has unknown type %u", ops->name,
                       option->name, (unsigned)option->type);
    }
    if (option->type == NW_OPTION_CHOICE &&
        (option->choices == NULL || option->choices[0] == NULL)) {
        return nw_fail(err, NW_FATAL, "NW1225 plugin %s: option %s has no choices", ops->name,
                       option->name);
    }
    if (option->minimum > option->maximum) {
        return nw_fail(err, NW_FATAL,
                       "NW1225 plugin %s: option %s has its minimum above its maximum", ops->name,
                       option->name);
    }
    if ((option->flags & NW_OPTION_REQUIRED) != 0 && option->fallback != NULL) {
        return nw_fail(err, NW_FATAL, "NW1225 plugin %s: option %s is required and has a default",
                       ops->name, option->name);
    }
    return NW_OK;
}

static nw_status options_check(const struct nw_sink_ops *ops, struct nw_error *err)
{
    if (ops->options_count > OPTIONS_MAX || (ops->options_count > 0 && ops->options == NULL)) {
        return nw_fail(err, NW_FATAL,
                       "NW1225 plugin %s says that it has %u options, and has no table", ops->name,
                       ops->options_count);
    }
    for (uint32_t i = 0; i < ops->options_count; i++) {
        nw_status status = option_check(ops, &ops->options[i], err);

        if (status != NW_OK) {
            return status;
        }
        for (uint32_t j = 0; j < i; j++) {
            if (strcmp(ops->options[i].name, ops->options[j].name) == 0) {
                return nw_fail(err, NW_FATAL, "NW1225 plugin %s has option %s twice", ops->name,
                               ops->options[i].name);
            }
        }
    }
    return NW_OK;
}

static const char *member_missing(const struct nw_sink_ops *ops)
{
    bool copies = (ops->flags & NW_SINK_APPEND_ONLY) != 0;
    const struct {
        bool there;
        const char *name;
    } members[] = {
        {ops->open != NULL, "open"},
        {ops->recover != NULL, "recover"},
        {ops->table != NULL, "table"},
        {ops->write != NULL, "write"},
        {ops->seal != NULL, "seal"},
        {ops->commit != NULL, "commit"},
        {ops->close != NULL, "close"},
        {copies || ops->copy_resolve != NULL, "copy_resolve (or the flag NW_SINK_APPEND_ONLY)"},
        {copies || ops->copy_begin != NULL, "copy_begin (or the flag NW_SINK_APPEND_ONLY)"},
        {copies || ops->copy_end != NULL, "copy_end (or the flag NW_SINK_APPEND_ONLY)"},
    };

    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++) {
        if (!members[i].there) {
            return members[i].name;
        }
    }
    return NULL;
}

/* What the table says about itself. */
static nw_status ops_check(const struct nw_sink_ops *ops, struct nw_error *err)
{
    const char *missing = member_missing(ops);
    size_t length = ops->name == NULL ? 0 : strnlen(ops->name, NAME_MAX_ + 1);

    if (length == 0 || length > NAME_MAX_) {
        return nw_fail(err, NW_FATAL, "NW1225 a sink's name has 1 to %u bytes", NAME_MAX_);
    }
    if (missing != NULL) {
        return nw_fail(err, NW_FATAL, "NW1225 plugin %s lacks the function %s", ops->name, missing);
    }
    if (ops->workers_max == 0) {
        return nw_fail(err, NW_FATAL, "NW1225 plugin %s says workers_max 0: at least 1 is needed",
                       ops->name);
    }
    if ((ops->flags & NW_SINK_TOTAL_ORDER) != 0 && ops->workers_max != 1) {
        return nw_fail(err, NW_FATAL,
                       "NW1225 plugin %s wants the total order: workers_max must be 1", ops->name);
    }
    return options_check(ops, err);
}

uint32_t nw_plugin_flags(const struct nw_plugin *plugin, const struct nw_config *config)
{
    const struct nw_sink_ops *ops = &plugin->ops;
    uint32_t more = ops->flags_of == NULL ? 0 : ops->flags_of(config);

    return ops->flags | (more & (NW_SINK_TRANSACTIONS | NW_SINK_TOTAL_ORDER));
}

void nw_plugin_unmet(const struct nw_plugin *plugin, const struct nw_config *config,
                     const struct nw_table *const *tables, uint32_t count,
                     void (*report)(void *context, const char *text), void *context)
{
    if (plugin->ops.unmet != NULL) {
        plugin->ops.unmet(config, tables, count, report, context);
    }
}

nw_status nw_plugin_adopt(const struct nw_sink_ops *ops, struct nw_plugin *plugin,
                          struct nw_error *err)
{
    if (ops == NULL) {
        return nw_fail(err, NW_FATAL, "NW1225 %s() gave no table", NW_SINK_ENTRY_NAME);
    }
    /* abi and size are the first members of every version; nothing else is read before. */
    if (ops->abi != NW_SINK_ABI) {
        return nw_fail(
            err, NW_FATAL,
            "NW1225 the plugin was built for sink ABI %u, this narwal has ABI %u: build it "
            "again against this narwal's <narwal/sink.h>",
            ops->abi, NW_SINK_ABI);
    }
    if (ops->size < OPS_SIZE_MIN || ops->size > OPS_SIZE_MAX) {
        return nw_fail(err, NW_FATAL,
                       "NW1225 the plugin's table has %u bytes, at least %zu are needed: set "
                       "nw_sink_ops.size to sizeof(struct nw_sink_ops) and build it again",
                       ops->size, OPS_SIZE_MIN);
    }
    memset(plugin, 0, sizeof *plugin);
    memcpy(&plugin->ops, ops, ops->size < sizeof *ops ? ops->size : sizeof *ops);
    plugin->ops.size = (uint32_t)sizeof *ops;
    return ops_check(&plugin->ops, err);
}

/* The descriptor stays open: the loader may come back to the path for debug information. */
static nw_status object_load(int descriptor, const char *path, struct nw_plugin *plugin,
                             struct nw_error *err)
{
    char name[64];
    void *object;
    void *symbol;
    nw_sink_entry_fn entry;
    nw_status status;

    (void)snprintf(name, sizeof name, "/proc/self/fd/%d", descriptor);
    object = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    if (object == NULL) {
        const char *why = dlerror(); /* NOLINT(concurrency-mt-unsafe): one thread loads */

        return nw_fail(err, NW_FATAL, "NW1225 cannot load %s: %s", path,
                       why == NULL ? "no reason" : why);
    }
    symbol = dlsym(object, NW_SINK_ENTRY_NAME);
    if (symbol == NULL) {
        return nw_fail(err, NW_FATAL,
                       "NW1225 %s is not a narwal sink: it does not export %s() (declare it with "
                       "NW_EXPORT)",
                       path, NW_SINK_ENTRY_NAME);
    }
    memcpy(&entry, &symbol, sizeof entry);
    status = nw_plugin_adopt(entry(), plugin, err);
    if (status == NW_OK) {
        (void)snprintf(plugin->path, sizeof plugin->path, "%s", path);
    } else if (err != NULL) {
        struct nw_error cause = *err;

        (void)nw_fail(err, status, "%.6s %s: %.*s", nw_code_or(cause.text, "NW1225"), path, 800,
                      nw_code_rest(cause.text));
    }
    return status;
}

nw_status nw_plugin_load(const char *folder, const char *type, struct nw_plugin *plugin,
                         struct nw_error *err)
{
    char path[sizeof plugin->path];
    size_t length = strlen(type);
    bool suffixed = length > 3 && strcmp(type + length - 3, ".so") == 0;
    int folder_fd = -1;
    int file_fd = -1;
    nw_status status;

    if (folder[0] != '/') {
        return nw_fail(err, NW_FATAL, "NW1225 the plugin folder %s is not an absolute path",
                       folder);
    }
    if (length == 0 || strchr(type, '/') != NULL || type[0] == '.') {
        return nw_fail(
            err, NW_FATAL,
            "NW1225 \"%s\" is not a sink type: write the name of a plugin in %s, without a "
            "path",
            type, folder);
    }
    if (snprintf(path, sizeof path, "%s/%s%s", folder, type, suffixed ? "" : ".so") >=
        (int)sizeof path) {
        return nw_fail(err, NW_FATAL, "NW1225 the path of plugin %s is too long", type);
    }
    folder_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder_fd < 0) {
        return nw_fail(err, NW_FATAL, "NW1225 cannot open the plugin folder %s: %s", folder,
                       nw_errno_text(errno));
    }
    status = owner_check(folder_fd, folder, true, err);
    if (status != NW_OK) {
        goto out;
    }
    file_fd = openat(folder_fd, path + strlen(folder) + 1, O_RDONLY | O_CLOEXEC);
    if (file_fd < 0) {
        status =
            nw_fail(err, NW_FATAL, "NW1225 there is no plugin for sink type %s: cannot open %s: %s",
                    type, path, nw_errno_text(errno));
        goto out;
    }
    status = owner_check(file_fd, path, false, err);
    if (status == NW_OK) {
        status = object_load(file_fd, path, plugin, err);
    }
out:
    (void)close(folder_fd);
    if (file_fd >= 0 && status != NW_OK) {
        (void)close(file_fd);
    }
    return status;
}

nw_status nw_plugin_load_path(const char *path, struct nw_plugin *plugin, struct nw_error *err)
{
    char folder[4096];
    const char *slash = NULL;
    char *whole = realpath(path, NULL);
    nw_status status;

    if (whole == NULL) {
        return nw_fail(err, NW_FATAL, "NW1225 cannot open %s: %s", path, nw_errno_text(errno));
    }
    slash = strrchr(whole, '/');
    (void)snprintf(folder, sizeof folder, "%.*s", slash == whole ? 1 : (int)(slash - whole), whole);
    status = nw_plugin_load(folder, slash + 1, plugin, err);
    free(whole);
    return status;
}
