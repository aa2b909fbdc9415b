/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Preflight: everything that would stand in the way of a run, found by reading only. Each finding
 * has a code, says what it is, and where it can be mended by SQL carries that SQL. Blocking; on the
 * thread of the caller. docs/runbook.md has the codes.
 */
#ifndef NW_PIPELINE_PREFLIGHT_H
#define NW_PIPELINE_PREFLIGHT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/arena.h"
#include "pipeline/server.h"
#include "pipeline/where.h"
#include "transform/transform.h"

#define NW_FINDINGS_MAX 96u

enum nw_finding_level { NW_FINDING_OK, NW_FINDING_WARN, NW_FINDING_FAIL };

/** Texts live in the preflight's arena. */
struct nw_finding {
    enum nw_finding_level level;
    const char *code; /* "NW1203"; "" with NW_FINDING_OK */
    const char *text;
    const char *const *names; /* of tables, NULL-terminated; NULL: none */
    size_t names_count;
    const char *mend;      /* SQL, one or more statements; NULL: none */
    const char *script;    /* the same, such that it can be run again; NULL: as it stands */
    const char *otherwise; /* what a human may choose instead; not in --sql; NULL: none */
};

struct nw_preflight;
struct nw_preflight_options {
    struct nw_server_options server;
    bool copies;  /* tables will be copied (snapshot is not never) */
    bool streams; /* changes will be followed (snapshot is not only) */
    uint32_t copy_workers;
    const struct nw_transform_rules *transforms; /* NULL: none */
    struct nw_copy_wheres copy_where;
    const char *running; /* a narwal answers in this state folder and uses the slot; NULL: none */
    /** Whose rights are looked at; NULL: the session's. It need not be there yet. */
    const char *role;
    bool setup_all;              /* as if nothing had been set up for it */
    const char *heartbeat;       /* a statement that a run repeats; NULL: none */
    const char *heartbeat_place; /* FILE:LINE:COLUMN, or "" */
    /** Gets the tables that a run would see, as sinks would see them; NULL: nobody asks. */
    void (*on_tables)(void *context, struct nw_preflight *preflight,
                      const struct nw_table *const *tables, uint32_t count);
    void *context;
};

struct nw_preflight {
    char host[256];
    char version[64]; /* "16.15" */
    int version_number;
    char database[64];
    char role[64], role_quoted[160]; /* that narwal runs as */
    char client[64];                 /* our address as the server sees it; "": a unix socket */
    bool encrypted;
    bool slot_exists;    /* this configuration's */
    bool sees_sessions;  /* others' transactions: pg_read_all_stats */
    size_t tables_count; /* that match */
    uint64_t bytes;
    const char *plan; /* of the copy, in a line; NULL: none */
    double wal_rate;  /* bytes per second since the server's statistics began; 0: unknown */
    struct nw_finding findings[NW_FINDINGS_MAX];
    size_t findings_count;
    struct nw_arena *arena;
};

/**
 * Look at everything. What is wrong becomes a finding, a failed connection too.
 * @param arena  borrow; the findings live in it.
 * @return NW_OK, or why the looking itself failed: memory, or the connection broke under way.
 */
NW_MUST_CHECK nw_status nw_preflight_run(const struct nw_preflight_options *options,
                                         struct nw_arena *arena, struct nw_preflight *preflight,
                                         struct nw_error *err);

/** Add a finding. @return it, to add names, mend and otherwise; never NULL */
NW_PRINTF(4, 5)
struct nw_finding *nw_preflight_add(struct nw_preflight *preflight, enum nw_finding_level level,
                                    const char *code, const char *format, ...);
size_t nw_preflight_count(const struct nw_preflight *preflight, enum nw_finding_level level);

/** For people. @param verbose  all names, not the first five */
void nw_preflight_print(const struct nw_preflight *preflight, const char *name, bool verbose,
                        FILE *out);
/** For people, only what is wrong, and how much of it. */
void nw_preflight_risks(const struct nw_preflight *preflight, bool verbose, FILE *out);
/** What mends it as one script for a DBA's psql, which can be run again. */
void nw_preflight_sql(const struct nw_preflight *preflight,
                      const struct nw_preflight_options *options, const char *name, FILE *out);
/** The same as far as it can be known without a connection. @param why  there is none */
void nw_preflight_sql_blind(const char *role, const char *database, const char *why, FILE *out);

/** Whether synchronous_standby_names means a standby of this name. Pure. */
bool nw_standby_names_match(const char *names, const char *application_name);
/** Whether a server this old has a fault that loses logical changes. @return the first good minor
 */
bool nw_version_faulty(int server_version, int *good_version);

#endif
