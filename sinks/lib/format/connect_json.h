/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connect's values and schemas as JSON, as Kafka's JsonConverter writes them. Numbers have Java's
 * form (1.0E10), bytes are base64, a map whose keys are no strings is an array of pairs.
 *
 * Stateless; what is appended to belongs to the caller.
 */
#ifndef NW_SINKS_LIB_FORMAT_CONNECT_JSON_H
#define NW_SINKS_LIB_FORMAT_CONNECT_JSON_H

#include "lib/format/connect.h"

#define NW_JAVA_REAL_MAX 32u

/**
 * Append a value.
 *
 * @param null_as_default  print the schema's default where the value is NULL.
 * @return as nw_connect_convert(); the output then has a part of it.
 */
NW_MUST_CHECK nw_status nw_connect_json_value(struct nw_out *out,
                                              const struct nw_connect_schema *schema,
                                              const struct nw_connect_value *value,
                                              bool null_as_default, struct nw_error *err);

/** Append a schema. @param field  its name as a field of a struct; NULL: it is none. */
void nw_connect_json_schema(struct nw_out *out, const struct nw_connect_schema *schema,
                            const char *field);

/**
 * Give JSON the bytes that Jackson, which JsonConverter writes with, has for the same: characters
 * beyond 16 bits as two escapes, and escapes in capitals. Keys need that, since their bytes choose
 * the partition; for who reads a value it is all the same.
 * @param start  where in the output it begins
 */
void nw_connect_json_jackson(struct nw_out *out, size_t start);

/** As java.lang.Double.toString() or Float.toString(), with quotes where it is no number. */
uint8_t *nw_print_java_real(uint8_t *at, double value, bool narrow);

#endif
