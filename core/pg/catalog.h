/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the server's catalogs say of the system, a slot, and tables. Blocking reads on a session
 * that was not taken over; results live in the caller's arena. What is read is the catalog of now,
 * not that of an LSN.
 *
 * PostgreSQL 14 to 18, documentation chapter "System Catalogs".
 */
#ifndef NW_PG_CATALOG_H
#define NW_PG_CATALOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "pg/session.h"
#include <narwal/schema.h>

struct nw_catalog_identity {
    char system_id[24]; /* decimal */
    uint32_t timeline;
    uint32_t database_oid;
    char database[64];
    int server_version;
    uint64_t flush_lsn; /* in recovery: replayed */
    uint64_t wal_segment_bytes;
    char wal_level[16];
    bool in_recovery;
};

/**
 * Which system this is. On a replication session by IDENTIFY_SYSTEM, which every role that may
 * replicate may ask; on a plain one by pg_control_system(), which some clouds forbid.
 */
NW_MUST_CHECK nw_status nw_catalog_identity(struct nw_session *session,
                                            struct nw_catalog_identity *identity,
                                            struct nw_error *err);

struct nw_catalog_slot {
    bool exists; /* all else is 0 or "" when not */
    bool logical;
    bool temporary;
    bool active;
    bool two_phase;
    bool conflicting; /* 16+ */
    bool failover;    /* 17+ */
    bool synced;      /* 17+: kept by a standby, not to be used there */
    int active_pid;
    uint32_t database_oid;
    char plugin[64];
    char database[64];
    uint64_t restart_lsn; /* 0: lost */
    uint64_t confirmed_flush_lsn;
    char wal_status[16];          /* reserved, extended, unreserved, lost */
    int64_t safe_wal_bytes;       /* until it may be lost; INT64_MAX: no limit */
    char invalidation_reason[32]; /* 17+, "" : valid */
};

/** Either kind of session. */
NW_MUST_CHECK nw_status nw_catalog_slot(struct nw_session *session, const char *name,
                                        struct nw_catalog_slot *slot, struct nw_error *err);

/** A column that is published, as it is now. */
struct nw_catalog_column {
    const char *name;
    const char *type_name;          /* format_type(): "numeric(12,2)", "public.mood" */
    const char *default_expr;       /* NULL: none */
    const char *const *enum_labels; /* in sort order, NULL-terminated; NULL: not an enum */
    const char *const *item_labels; /* the same of its items; NULL: not an array of an enum */
    const char *base_type_name;     /* format_type() without a typmod; NULL: not a domain */
    uint32_t type_oid;
    uint32_t base_type_oid; /* below all domains */
    int32_t typmod;         /* of the attribute; -1 when its type is a domain */
    int32_t base_typmod;    /* what applies to the base type: the domain's, else typmod */
    int16_t attnum;
    char typtype;     /* of the base type: b c e m p r */
    char typcategory; /* of the base type */
    char generated;   /* 0, 's' stored, 'v' virtual */
    bool not_null;
    bool domain_not_null; /* some domain on the way down refuses NULL */
    bool identity;        /* part of the replica identity */
};

/** Whether its values can be asked for in binary, see nw_type_is_binary(). */
bool nw_catalog_column_is_binary(const struct nw_catalog_column *column);

struct nw_catalog_table {
    uint32_t oid;
    uint32_t root_oid; /* of a partition; 0: it is none */
    const char *schema_name;
    const char *name;
    const char *root_schema_name; /* NULL: not a partition */
    const char *root_name;
    char kind;             /* pg_class.relkind: r p */
    char persistence;      /* p u t */
    char replica_identity; /* d n f i */
    bool row_security;     /* COPY by a role that policies bind would be refused */
    bool publishes_insert, publishes_update, publishes_delete, publishes_truncate;
    const char *row_filter; /* SQL, of all publications together; NULL: all rows */
    double rows;            /* estimate, of all leaves; -1: never analyzed */
    uint64_t bytes; /* heap, of all leaves; 0 from nw_catalog_table(), which must not lock */
    uint32_t
        file_node; /* pg_relation_filenode(), which is current whatever the snapshot; 0: none */
    const struct nw_catalog_column *columns; /* by attnum */
    uint16_t columns_count;
    uint16_t attributes_count;   /* pg_class.relnatts: dropped ones and those left out too */
    uint16_t primary_key_count;  /* 0: none, or not all of it is published */
    uint16_t replica_key_count;  /* of the REPLICA IDENTITY USING INDEX */
    const uint16_t *primary_key; /* indexes into columns, in index order */
    const uint16_t *replica_key;
    uint16_t unique_count; /* of the first unique index; 0: none, or not all of it is published */
    const uint16_t *unique;
};

struct nw_catalog_tables {
    const struct nw_catalog_table *tables; /* by schema and name */
    size_t count;
};

/** Whether this table is among them, itself or as the root of one. */
bool nw_catalog_is_published(const struct nw_catalog_tables *published, uint32_t oid);

/** Which tables and columns: what these publications publish. */
struct nw_catalog_scope {
    const char *const *publications;
    size_t publications_count;
};

/**
 * Every published table. A plain session.
 * @return NW_RETRY also when some table that has a row filter stays locked (by DDL) for ten
 * seconds.
 */
NW_MUST_CHECK nw_status nw_catalog_tables(struct nw_session *session,
                                          const struct nw_catalog_scope *scope,
                                          struct nw_arena *arena, struct nw_catalog_tables *tables,
                                          struct nw_error *err);
/**
 * One table by oid, with the columns that are published (all that could be, when the table is in no
 * publication of the scope any more). A plain session.
 * @param table  NULL when there is none.
 */
NW_MUST_CHECK nw_status nw_catalog_table(struct nw_session *session,
                                         const struct nw_catalog_scope *scope, uint32_t oid,
                                         struct nw_arena *arena,
                                         const struct nw_catalog_table **table,
                                         struct nw_error *err);

/**
 * The schema that sinks see; all but id, version and exact are filled. Texts are shared with the
 * catalog table, so both must live in one arena or lifetime.
 */
NW_MUST_CHECK nw_status nw_catalog_to_table(const struct nw_catalog_table *from,
                                            struct nw_arena *arena, struct nw_table **table,
                                            struct nw_error *err);

/** A table that could be published. */
/* Of a row of pg_class: whether its replica identity has a generated column, which from 18 on a
 * publication without such columns must not have (pub_contains_invalid_column()). */
#define NW_CATALOG_IDENTITY_GENERATED(row)                                                         \
    "(pg_catalog.current_setting('server_version_num')::pg_catalog.int4 >= 180000"                 \
    " AND EXISTS (SELECT FROM pg_catalog.pg_attribute a WHERE a.attrelid = " row ".oid"            \
    " AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated <> '' AND (" row                  \
    ".relreplident = 'f' OR EXISTS (SELECT FROM pg_catalog.pg_index g WHERE g.indrelid = " row     \
    ".oid AND a.attnum = ANY (g.indkey) AND CASE " row ".relreplident"                             \
    " WHEN 'i' THEN g.indisreplident WHEN 'd' THEN g.indisprimary ELSE false END))))"
/* Of a row of pg_class: whether its own replica identity lets published UPDATE and DELETE work, as
 * RelationGetIndexList() of relcache.c sees it: a deferrable primary key does not. */
#define NW_CATALOG_IDENTITY(row)                                                                   \
    "((" row ".relreplident = 'f' OR EXISTS (SELECT FROM pg_catalog.pg_index i"                    \
    " WHERE i.indisvalid AND i.indimmediate AND i.indrelid = " row ".oid"                          \
    " AND CASE " row ".relreplident WHEN 'i' THEN i.indisreplident"                                \
    " WHEN 'd' THEN i.indisprimary ELSE false END))"                                               \
    " AND NOT " NW_CATALOG_IDENTITY_GENERATED(row) ")"
/*
 * A root and all below it, as a query of column `relid`: pg_partition_tree() locks every partition,
 * and so waits for whoever has one locked.
 */
#define NW_CATALOG_TREE(oid)                                                                       \
    "(WITH RECURSIVE tree AS (SELECT " oid " AS relid UNION ALL SELECT i.inhrelid"                 \
    " FROM pg_catalog.pg_inherits i JOIN tree ON i.inhparent = tree.relid"                         \
    " WHERE NOT i.inhdetachpending) SELECT relid FROM tree)"
/* The same of a table: a root is as good as its worst leaf, where statements fail. */
#define NW_CATALOG_IDENTITY_USABLE(row)                                                            \
    "CASE WHEN " row                                                                               \
    ".relkind = 'p' THEN coalesce((SELECT pg_catalog.bool_and(" NW_CATALOG_IDENTITY(               \
        "l") ") FROM " NW_CATALOG_TREE(row                                                         \
                                       ".oid") " t"                                                \
                                               " JOIN pg_catalog.pg_class l ON l.oid = t.relid "   \
                                               "WHERE l.relkind = 'r'), " NW_CATALOG_IDENTITY(     \
                                                   row) ") ELSE " NW_CATALOG_IDENTITY(row) " END"
/*
 * Of a row of pg_class: whether publication p publishes it, as the view pg_publication_tables says,
 * which locks every table since 16. Through its root a partition is published as that, or as
 * itself. @param by_schema  NW_CATALOG_BY_SCHEMA; "" before 15
 */
#define NW_CATALOG_IN_PUBLICATION(row, by_schema)                                                  \
    row ".relpersistence = 'p' AND (" row ".relkind = 'r' OR " row ".relkind = 'p' AND "           \
        "p.pubviaroot) AND (SELECT CASE WHEN pg_catalog.bool_or(m.above) THEN NOT p.pubviaroot "   \
        "ELSE "                                                                                    \
        "pg_catalog.count(*) > 0 END FROM (SELECT " row ".oid, " row                               \
        ".relnamespace, false AS above "                                                           \
        "UNION ALL SELECT a.oid, a.relnamespace, true FROM pg_catalog.pg_partition_ancestors(" row \
        ".oid) t JOIN pg_catalog.pg_class a ON a.oid = t.relid AND a.oid <> " row                  \
        ".oid WHERE " row                                                                          \
        ".relispartition) m WHERE p.puballtables AND m.oid >= 16384 OR EXISTS (SELECT FROM "       \
        "pg_catalog.pg_publication_rel q WHERE q.prpubid = p.oid AND q.prrelid = m.oid)" by_schema \
        ")"
/* Whether one of two publications has it, by name. */
#define NW_CATALOG_PUBLISHED(row, first, second, by_schema)                                        \
    "EXISTS (SELECT FROM pg_catalog.pg_publication p WHERE p.pubname IN (" first ", " second ")"   \
    " AND " NW_CATALOG_IN_PUBLICATION(row, by_schema) ")"
#define NW_CATALOG_BY_SCHEMA                                                                       \
    " OR EXISTS (SELECT FROM pg_catalog.pg_publication_namespace s WHERE s.pnpubid = p.oid AND"    \
    " s.pnnspid = m.relnamespace)"

struct nw_catalog_candidate {
    uint32_t oid;
    uint32_t root_oid; /* of a partition */
    const char *schema_name;
    const char *name;
    char kind; /* r p */
    char replica_identity;
    bool identity_usable;    /* published UPDATE and DELETE would go on working; of a root: on all
                                leaves */
    bool identity_generated; /* not, for a generated column in it; that is known from 18 on */
    bool owned;              /* this role may add it to a publication of its own */
    bool readable;           /* this role may SELECT from it */
    bool row_security;
    bool of_extension;
    double rows;
    uint64_t bytes;       /* heap, of all leaves */
    uint64_t toast_bytes; /* large values that are stored apart; 0 while somebody holds the table */
};

struct nw_catalog_candidates {
    const struct nw_catalog_candidate *tables; /* by schema and name */
    size_t count;
};

/** How a relation is called by now. @param rows  give: schema and name; none: it is not there */
NW_MUST_CHECK nw_status nw_catalog_name(struct nw_session *session, uint32_t relation_oid,
                                        struct nw_rows **rows, struct nw_error *err);
/** All permanent ordinary and partitioned tables outside of system schemas. A plain session. */
NW_MUST_CHECK nw_status nw_catalog_candidates(struct nw_session *session, struct nw_arena *arena,
                                              struct nw_catalog_candidates *candidates,
                                              struct nw_error *err);

#endif
