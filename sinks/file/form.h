/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Data files in Debezium's forms: what a topic of the Kafka sink has as values, a line each,
 * without tombstones, since a file has no keys. docs/formats.md says what each form is,
 * docs/files.md what is different in files.
 *
 * Options are immutable; a form belongs to a table's version and to its worker's thread.
 */
#ifndef NW_SINKS_FILE_FORM_H
#define NW_SINKS_FILE_FORM_H

#include "lib/format/flat.h"
#include "lib/format/format.h"
#include "state.h"

struct nw_file_sink;
struct nw_file_worker;
struct nw_file_table;
struct nw_stream;
struct nw_file_form;

struct nw_file_form_options {
    enum nw_data_form form; /* NW_DATA_LINES: the rest means nothing */
    const char *prefix;     /* source.name; borrow */
    bool flattens;
    bool transactions; /* say which of its transaction's changes each is */
    struct nw_format_options format;
    struct nw_flat_options flat;
};

/* The rows of the option table that are of forms, in this order. */
enum nw_file_form_option {
    NW_FILE_OPTION_PREFIX,
    NW_FILE_OPTION_FLATTEN,
    NW_FILE_OPTION_ADD_FIELDS,
    NW_FILE_OPTION_TRANSACTIONS,
    NW_FILE_OPTION_FORMAT, /* and those that sinks share */
    NW_FILE_FORM_OPTIONS_COUNT = NW_FILE_OPTION_FORMAT + NW_FORMAT_OPTIONS_COUNT
};

extern const char *const nw_file_formats[];
extern const char *const nw_file_flattens[];

/* ---- form_options.c ---- */

/**
 * @param options   the table's rows from the first of those above on, for their names
 * @param settings  as well; borrow, for as long as the result
 * @return NW_FATAL (NW1003, NW1008): one means nothing beside the others.
 */
NW_MUST_CHECK nw_status nw_file_form_options_read(const char *sink, const struct nw_option *options,
                                                  const struct nw_setting *settings,
                                                  struct nw_file_form_options *to,
                                                  struct nw_error *err);

/* ---- form.c ---- */

/** @param form  give. NW_REJECT: the table cannot be written in this form. */
NW_MUST_CHECK nw_status nw_file_form_create(const struct nw_file_sink *sink,
                                            const struct nw_table *version,
                                            struct nw_file_form **form, struct nw_error *err);
void nw_file_form_destroy(struct nw_file_form *form);
/** Append the schema of its rows in Avro. */
void nw_file_form_schema(const struct nw_file_form *form, struct nw_out *out);

/** What the next rows have in common. Called before the first rows of a batch. */
void nw_file_form_batch(struct nw_file_worker *worker, const struct nw_batch *batch);
/**
 * Append rows from..until - 1 of a batch. The last row of a batch of the first copy is kept until
 * it is known whether it is the table's last: see nw_file_held_put().
 */
NW_MUST_CHECK nw_status nw_file_form_rows(struct nw_file_worker *worker,
                                          struct nw_file_table *table, const struct nw_batch *batch,
                                          uint32_t from, uint32_t until, struct nw_error *err);
/** Append a TRUNCATE or a logical message; other events have no form. */
NW_MUST_CHECK nw_status nw_file_form_event(struct nw_file_worker *worker,
                                           struct nw_file_table *table,
                                           const struct nw_event *event, struct nw_error *err);
/** Append the copied row that was kept, if there is one. */
NW_MUST_CHECK nw_status nw_file_held_put(struct nw_file_worker *worker, struct nw_stream *stream,
                                         bool last, struct nw_error *err);

#endif
