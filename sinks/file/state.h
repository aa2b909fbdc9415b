/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a folder of files holds, as the journal says: its tables, data files, positions and copies.
 * A journal record is a change to it, and has the same form: whatever is in it replaces what was
 * known before. The first record of a journal file is the whole state.
 *
 * The JSON of a record is specified in docs/files.md.
 */
#ifndef NW_SINKS_FILE_STATE_H
#define NW_SINKS_FILE_STATE_H

#include <narwal/sink.h>

#include "lib/out.h"

#define NW_DATA_FORMAT_LINES 1u   /* of a folder: all data files have narwal's lines */
#define NW_DATA_FORMAT_FORMS 2u   /* some may have another form, which the journal tells */
#define NW_DATA_PATH_MAX     512u /* of a path inside the folder, with its NUL */
#define NW_DATA_NAME_MAX     512u /* of a schema or table name, with its NUL */
#define NW_DATA_WORKERS_MAX  8u

enum nw_data_kind { NW_DATA_CHANGES = 1, NW_DATA_COPY = 2, NW_DATA_SCHEMA = 3 };

/* What a data file has in it; docs/files.md has their names. */
enum nw_data_form {
    NW_DATA_LINES,
    NW_DATA_ENVELOPES,
    NW_DATA_FLAT,
    NW_DATA_CLOUDEVENTS,
    NW_DATA_AVRO
};

struct nw_data_file {
    uint64_t number; /* rises over the life of the folder */
    uint32_t oid;    /* of the table; 0: messages */
    uint32_t generation;
    enum nw_data_kind kind;
    enum nw_data_form form; /* of CHANGES and COPY */
    uint32_t schema;        /* SCHEMA: its number */
    uint64_t hash;          /* SCHEMA: XXH3 of its content */
    uint64_t size;          /* bytes that are data */
    uint64_t lines;
    uint32_t crc; /* CRC-32 of these bytes */
    char *path;   /* owned; NULL in a record that changes a known file */
};

struct nw_data_table {
    uint32_t oid;
    uint32_t generation;    /* of the copy that is in force; 0: none, the changes stand alone */
    uint32_t copying;       /* of a copy under way; 0: none */
    uint64_t fence;         /* of `generation`: changes that committed before it do not count */
    uint64_t copying_fence; /* of `copying` */
    char *folder;           /* owned */
    char *schema_name;      /* owned */
    char *name;             /* owned */
};

struct nw_data_copy {
    uint32_t oid;
    uint32_t generation;
    bool complete;
    uint32_t size;
    uint8_t *bytes; /* owned */
};

struct nw_data_position {
    uint64_t lsn;
    uint32_t size;
    uint8_t *bytes; /* owned */
};

struct nw_state {
    uint64_t record; /* number of the journal record that led to it */
    uint64_t fencing;
    uint64_t epoch;
    uint32_t format;      /* NW_DATA_FORMAT_...; 0: the first */
    uint64_t number_last; /* highest file number ever given */
    bool full;            /* a record that is the whole state */
    bool positions_set;   /* a record: has positions */
    uint32_t positions_count;
    struct nw_data_position positions[NW_DATA_WORKERS_MAX];
    struct nw_data_file *files; /* by number */
    size_t files_count, files_capacity;
    struct nw_data_table *tables; /* by oid */
    size_t tables_count, tables_capacity;
    struct nw_data_copy *copies; /* by oid */
    size_t copies_count, copies_capacity;
    uint64_t *gone; /* a record: numbers of files that are no longer data */
    size_t gone_count, gone_capacity;
};

void nw_state_fini(struct nw_state *state);

/* Put an item in its place, replacing one of the same number or oid. Strings and bytes are copied;
 * strings that are NULL leave what is there. NW_RETRY when memory ran out. */
NW_MUST_CHECK nw_status nw_state_put_file(struct nw_state *state, const struct nw_data_file *file,
                                          struct nw_error *err);
NW_MUST_CHECK nw_status nw_state_put_table(struct nw_state *state,
                                           const struct nw_data_table *table, struct nw_error *err);
NW_MUST_CHECK nw_status nw_state_put_copy(struct nw_state *state, const struct nw_data_copy *copy,
                                          struct nw_error *err);
NW_MUST_CHECK nw_status nw_state_put_gone(struct nw_state *state, uint64_t number,
                                          struct nw_error *err);
NW_MUST_CHECK nw_status nw_state_put_positions(struct nw_state *state,
                                               const struct nw_position *positions, uint32_t count,
                                               struct nw_error *err);

/* NULL when there is none. */
struct nw_data_file *nw_state_file(const struct nw_state *state, uint64_t number);
struct nw_data_table *nw_state_table(const struct nw_state *state, uint32_t oid);
struct nw_data_copy *nw_state_copy(const struct nw_state *state, uint32_t oid);

/** Merge a record into a larger record that is being built: nothing is taken away. */
NW_MUST_CHECK nw_status nw_state_merge(struct nw_state *into, const struct nw_state *record,
                                       struct nw_error *err);
/** Bring a state forward by a record. */
NW_MUST_CHECK nw_status nw_state_apply(struct nw_state *state, const struct nw_state *record,
                                       struct nw_error *err);

/** Append a record's JSON, without a line end. */
void nw_state_print(const struct nw_state *record, struct nw_out *out);
/** @param record  zeroed; filled on NW_OK, else empty. NW_CORRUPT when it is not a record. */
NW_MUST_CHECK nw_status nw_state_parse(const void *json, size_t size, struct nw_state *record,
                                       struct nw_error *err);

#endif
