/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kafka Connect's schemas of what Debezium 3.7 sends beside rows: logical messages,
 * transactions, heartbeats, notifications. Constant.
 */
#ifndef NW_SINKS_LIB_FORMAT_NOTICE_SCHEMA_H
#define NW_SINKS_LIB_FORMAT_NOTICE_SCHEMA_H

#include "lib/format/connect.h"

extern const struct nw_connect_schema nw_message_key_schema;
/** @return of a message's value, whose content is bytes or a text that stands for them */
const struct nw_connect_schema *nw_message_value_schema(enum nw_connect_binaries binaries);

extern const struct nw_connect_schema nw_transaction_key_schema;
extern const struct nw_connect_schema nw_transaction_value_schema;
extern const struct nw_connect_schema nw_heartbeat_key_schema;
extern const struct nw_connect_schema nw_heartbeat_value_schema;
extern const struct nw_connect_schema nw_notification_key_schema;
extern const struct nw_connect_schema nw_notification_value_schema;

#endif
