/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What becomes of a flattened row's fields, step by step, as Connect's transforms of values make
 * it: MaskField, TimestampConverter, Cast, ReplaceField, InsertField, and Debezium's HeaderToValue.
 *
 *   mask a, b              zero, "", false, []; mask a = TEXT: this instead
 *   cast a: int32          int8 to int64, float32, float64, boolean, string
 *   time a: unix us        string, unix, Date, Time, Timestamp; = PATTERN behind it
 *   rename a: b, drop c, keep a, b
 *   insert NAME = TEXT     NAME! is required
 *   topic NAME             the topic's name
 *   envelope op: NAME      what the envelope had
 *   defaults               a field's default where it is NULL, as Connect's transforms do
 *
 * A step sees the fields as those in front of it left them; a field that is not there is passed
 * over. Options are immutable once read; what a table has belongs to one thread.
 */
#ifndef NW_SINKS_LIB_FORMAT_RESHAPE_H
#define NW_SINKS_LIB_FORMAT_RESHAPE_H

#include <narwal/status.h>

#include "lib/format/envelope.h"
#include "lib/format/java_time.h"

#define NW_RESHAPE_STEPS_MAX 64u
#define NW_RESHAPE_NAMES_MAX 64u /* of one step */

struct nw_added_item;
struct nw_flat;
struct nw_reshape_options;
struct nw_reshape; /* of a table */

/**
 * Read steps.
 * @param items   NULL-terminated; NULL: none. Borrowed
 * @param option  its name, for messages
 * @param made    give; NULL: there are none
 * @return NW_FATAL (NW1003): one is no step; NW_RETRY: memory ran out
 */
NW_MUST_CHECK nw_status nw_reshape_options_read(const char *const *items, const char *option,
                                                struct nw_reshape_options **made,
                                                struct nw_error *err);
void nw_reshape_options_destroy(struct nw_reshape_options *options); /* NULL is fine */

/**
 * What the steps make of a table's flattened rows.
 * @param options  borrow, outlives it, as does flat's options
 * @param flat     as nw_flat_init() made it: what there is before the first step
 * @param topic    borrow for the call
 * @param made     give
 * @return NW_REJECT (NW2727): a field's type is none that a step takes, or two would have one
 *         name; NW_RETRY: memory ran out
 */
NW_MUST_CHECK nw_status nw_reshape_create(const struct nw_reshape_options *options,
                                          const struct nw_connect_table *table,
                                          const struct nw_flat *flat, const char *topic,
                                          struct nw_reshape **made, struct nw_error *err);
void nw_reshape_destroy(struct nw_reshape *reshape); /* NULL is fine */

/** The fields there are behind the last step. */
const struct nw_connect_field *nw_reshape_fields(const struct nw_reshape *reshape, uint32_t *count);

/**
 * What a field is in a row.
 * @param index  below the count of nw_reshape_fields()
 * @param value  filled; valid until the next call, and as long as the batch
 * @return NW_RETRY: memory ran out; NW_REJECT: it cannot be converted
 */
NW_MUST_CHECK nw_status nw_reshape_value(struct nw_reshape *reshape, uint32_t index,
                                         const struct nw_row *row, struct nw_connect_value *value,
                                         struct nw_error *err);

#endif
