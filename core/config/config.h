/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration of a run: one database, one slot, some sinks. From a YAML file or from
 * arguments; every key is a row of an option table (core/config/tables.c), from which it is
 * validated, printed and documented. Constant once loaded; any thread may read.
 */
#ifndef NW_CONFIG_CONFIG_H
#define NW_CONFIG_CONFIG_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/arena.h"
#include "config/node.h"
#include "config/resolve.h"
#include <narwal/option.h>
#include <narwal/sink.h>
#include <narwal/status.h>

#define NW_CONFIG_SINKS_MAX 16u

/* In the order of the choices in tables.c. */
enum nw_config_snapshot { NW_CONFIG_INITIAL, NW_CONFIG_NEVER, NW_CONFIG_ONLY };
enum nw_config_no_key { NW_CONFIG_INSERT_ONLY, NW_CONFIG_SKIP };

struct nw_config_sink {
    const char *name;
    const char *type;
    uint32_t workers;             /* 0: as many as the plugin is best with */
    const struct nw_node *node;   /* the plugin's keys are in it, see nw_config_sink_resolve() */
};

/** All texts live as long as the configuration; NULL where nothing is configured. */
struct nw_run_config {
    const char *file;           /* NULL: from arguments */
    const char *name;
    const char *state_folder;
    const char *plugin_folder;  /* NULL: beside the program */
    int64_t drain_us;
    struct {
        const char *dsn;
        const char *password;
        const char *publication;
        bool publication_create;
        const char *slot;
        bool slot_create;
        enum nw_config_snapshot snapshot;
        bool origin_none;
        bool messages;
        bool streaming;
        bool text;              /* never binary values */
    } source;
    struct {
        uint32_t workers;
        int64_t lock_wait_us;
    } copy;
    struct {
        const char *const *include; /* NULL: all */
        const char *const *exclude; /* NULL: none */
        enum nw_config_no_key no_key;
    } tables;
    struct {
        uint64_t memory_bytes;
        uint64_t spill_bytes;
        const char *spill_folder;
        uint32_t cpus;          /* 0: all that there are */
    } limits;
    struct {
        int64_t us_max;
        uint64_t bytes_max;
    } epoch;
    struct {
        enum nw_log_level level;
        int format;             /* 0 auto, 1 text, 2 json */
    } log;
    struct nw_config_sink sinks[NW_CONFIG_SINKS_MAX];
    uint32_t sinks_count;
    struct nw_node *root;
    struct nw_arena arena;
};

/**
 * Load a file.
 * @param sinks_needed  false for commands that only look at the source.
 * @return NW_FATAL with "FILE:LINE:COLUMN: NWxxxx ..."; then there is nothing to free.
 */
NW_MUST_CHECK nw_status nw_config_load(const char *path, bool sinks_needed,
                                       struct nw_run_config **config, struct nw_error *err);

/** What arguments say in place of a file. */
struct nw_config_arguments {
    const char *dsn;
    const char *name;              /* NULL: from the database's name */
    const char *state_folder;      /* NULL: the default */
    const char *const *sinks;      /* "file:./copy,compress=zstd" */
    uint32_t sinks_count;
};
/** The sinks' type-specific keys wait for their plugins, as with a file. */
NW_MUST_CHECK nw_status nw_config_from_arguments(const struct nw_config_arguments *arguments,
                                                 struct nw_run_config **config,
                                                 struct nw_error *err);
void nw_config_free(struct nw_run_config *config); /* NULL is fine */

/**
 * Resolve a sink's own keys, once its plugin is loaded.
 * @param resolved  filled; its settings live as long as the configuration.
 */
NW_MUST_CHECK nw_status nw_config_sink_resolve(struct nw_run_config *config, uint32_t sink,
                                               const struct nw_option *options,
                                               uint32_t options_count, struct nw_config *resolved,
                                               struct nw_error *err);

/** The state folder of a name, as it is by default. @return false: too long */
bool nw_config_state_folder(const char *name, char *path, size_t size);
/** The effective configuration of the host's keys as YAML, secrets as ***. */
void nw_config_print(const struct nw_run_config *config, FILE *out);

/** A plugin's options, for the reference page. */
struct nw_config_plugin {
    const char *name;
    const struct nw_option *options;
    uint32_t options_count;
};
/** The reference page: docs/configuration.md. */
void nw_config_reference(const struct nw_config_plugin *plugins, uint32_t count, FILE *out);

#endif
