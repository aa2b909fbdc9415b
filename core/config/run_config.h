/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration of a run: the host's options in plain fields, and for each sink the mapping
 * that its plugin's table will resolve. All memory is the configuration's own.
 */
#ifndef NW_CONFIG_RUN_CONFIG_H
#define NW_CONFIG_RUN_CONFIG_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "config/copy_where.h"
#include "config/heartbeat.h"
#include "config/http.h"
#include "config/options.h"
#include "config/policies.h"
#include "config/transforms.h"

#define NW_CONFIG_SINKS_MAX 16u

enum nw_config_snapshot { NW_CONFIG_INITIAL, NW_CONFIG_NEVER, NW_CONFIG_ONLY };

struct nw_sink_config {
    const char *name;
    const char *type;
    uint32_t workers;
    bool dead_letters;          /* what it refuses is kept; false: its table stops */
    int64_t dead_letters_bytes; /* most of it */
    uint32_t dead_letter_rows;  /* most within one commit */
    bool detaches;              /* when it is stalled */
    int64_t stalled_after_us;
    const struct nw_node *options; /* the sink's mapping; NULL with spec */
    const char *spec;              /* "file:./copy,compress=zstd" as given on the command line */
    const struct nw_node *map;     /* of either, once nw_config_resolve_sink() has looked */
};

struct nw_run_config {
    const char *file; /* NULL: from arguments */
    const char *name;
    const char *state_dir; /* filled by nw_config_finish() when not configured */
    const char *plugin_dir;

    const char *dsn;
    const char *dsn_shown; /* without passwords, for people; NULL: not known */
    const char *dsn_plain; /* the same as a DSN that can be used: they are left out; NULL */
    const char *password;
    const char *dsn_source, *password_source; /* with their references to secrets; NULL: none */
    const char *slot_name;
    bool slot_create;
    bool slot_failover;
    const char *publication_name;
    bool publication_create;
    int64_t snapshot; /* enum nw_config_snapshot */
    bool origin_none, messages, streaming, binary;
    int64_t connect_timeout_us;
    const char *heartbeat; /* a statement; NULL: none */
    const struct nw_node *heartbeat_at;
    int64_t heartbeat_us;

    int64_t copy_workers, lock_wait_us;
    int64_t copy_chunk_bytes, copy_rate_bytes; /* 0: chosen, and no limit */
    const struct nw_config_copy_where *copy_where;
    uint32_t copy_where_count;
    const char *const *include;
    const char *const *exclude;
    bool keyless_skip;
    int64_t new_tables;            /* enum nw_new_tables */
    struct nw_config_policy usual; /* what changes of tables mean */
    struct nw_config_policy *policies;
    uint32_t policies_count;
    struct nw_transform_rules transforms;

    struct nw_sink_config sinks[NW_CONFIG_SINKS_MAX];
    uint32_t sinks_count;

    int64_t memory_bytes, spill_bytes, cpus;
    bool pin; /* where the machine allows it */
    const char *spill_dir;
    bool ack_spool;
    int64_t spool_bytes;
    int64_t backlog_bytes;
    int64_t retained_wal_bytes; /* 0: no limit */
    bool drop_slot;             /* when it is exceeded */
    int64_t snapshot_age_us;
    bool renew_snapshot; /* when it is older */
    const char *spool_dir;
    const char *io; /* auto | io_uring | pread */
    int64_t epoch_us, epoch_bytes;
    int64_t drain_us;
    int64_t standby_us; /* how long the slot's owner has to be gone */
    int64_t log_level;  /* enum nw_log_level */
    int64_t log_format; /* 0 auto, 1 text, 2 json */

    struct nw_http_config http;

    const struct nw_node *root;   /* what was read; NULL: nothing */
    struct nw_problems *problems; /* borrow: where mistakes go; NULL: the first one ends it */
    struct nw_arena arena;
};

/**
 * Read a file.
 * @param config    on failure it holds what could be read, and is freed all the same.
 * @param problems  borrow, as long as the configuration: every mistake; NULL: only the first, in
 * err
 */
NW_MUST_CHECK nw_status nw_config_load(const char *path, struct nw_run_config *config,
                                       struct nw_problems *problems, struct nw_error *err);
/** From --source and --sink TYPE:PATH[,key=value...]. Texts are copied. Freed on failure too. */
NW_MUST_CHECK nw_status nw_config_from_arguments(const char *dsn, const char *const *sinks,
                                                 uint32_t sinks_count, struct nw_run_config *config,
                                                 struct nw_error *err);
#define NW_STATE_BASE "/var/lib/narwal/"
/** Where this user's state folders are, with a slash at its end. */
void nw_config_state_base(char *base, size_t size);
/** Fill names and folders that depend on each other. @param name  used when none was configured */
NW_MUST_CHECK nw_status nw_config_finish(struct nw_run_config *config, const char *name,
                                         struct nw_error *err);
void nw_config_free(struct nw_run_config *config);

/**
 * Resolve a sink's options against its plugin's table.
 * @param resolved  filled; valid as long as the configuration.
 */
NW_MUST_CHECK nw_status nw_config_resolve_sink(struct nw_run_config *config, uint32_t sink,
                                               const struct nw_option *options, uint32_t count,
                                               struct nw_config *resolved, struct nw_error *err);

/** Whether a key of a sink's mapping is the host's, not its plugin's. */
bool nw_config_sink_key(const char *key);
/** The host's tables one after the other; NULL after the last. */
const struct nw_option_table *nw_config_table(size_t index);

/** What a sink's plugin adds to its keys. */
struct nw_config_plugin {
    const struct nw_option *options;
    uint32_t count;
    const char *trouble; /* why they are not known; NULL: they are */
};

/**
 * The configuration in force as YAML, defaults marked, without secrets. After nw_config_finish().
 * @param plugins  one for each sink.
 */
void nw_config_print(const struct nw_run_config *config, const struct nw_config_plugin *plugins,
                     FILE *out);

/** "source.slot" from the root; NULL: it is not there. */
const struct nw_node *nw_config_section(const struct nw_node *root, const char *section);
/** One value, hidden if it is a secret. @return how many columns it took */
int nw_config_value_print(FILE *out, const struct nw_option *option, const struct nw_node *node);
/** A text as YAML takes it, quoted where it has to be. @return how many columns it took */
int nw_config_print_text(FILE *out, const char *text);

/** The reference page of the host's own options, in Markdown. */
void nw_config_document(FILE *out);

#endif
