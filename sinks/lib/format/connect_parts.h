/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Dates, times and intervals as structs of their parts (`times: structured`), as Debezium's
 * io.debezium.time.Structured*: see connect.h and connect_form.h. Stateless.
 */
#ifndef NW_SINKS_LIB_FORMAT_CONNECT_PARTS_H
#define NW_SINKS_LIB_FORMAT_CONNECT_PARTS_H

#include "lib/format/connect_form.h"

/** @param how  NW_HOW_DATE_PARTS to NW_HOW_INTERVAL_PARTS */
struct nw_form nw_parts_form(struct nw_pool *pool, enum nw_how how,
                             const struct nw_column_schema *column, bool optional);

nw_status nw_date_parts(const struct nw_convert *convert, const struct nw_value *source,
                        struct nw_connect_value *to);
nw_status nw_time_parts(const struct nw_convert *convert, const struct nw_value *source,
                        struct nw_connect_value *to);
nw_status nw_time_zoned_parts(const struct nw_convert *convert, const struct nw_value *source,
                              struct nw_connect_value *to);
nw_status nw_stamp_parts(const struct nw_convert *convert, const struct nw_value *source,
                         struct nw_connect_value *to);
/** Text without an offset has no zone's name either. */
nw_status nw_stamp_zoned_parts(const struct nw_convert *convert, const struct nw_value *source,
                               struct nw_connect_value *to);
nw_status nw_interval_parts(const struct nw_convert *convert, const struct nw_value *source,
                            struct nw_connect_value *to);

#endif
