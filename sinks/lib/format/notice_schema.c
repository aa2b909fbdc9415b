/* SPDX-License-Identifier: Apache-2.0 */
/* See notice_schema.h. */
#include "lib/format/notice_schema.h"

#define COUNT(fields) (sizeof(fields) / sizeof(fields)[0])
#define STRUCT(of_name, of_fields)                                                                 \
    {                                                                                              \
        .kind = NW_CONNECT_STRUCT, .version = 1, .name = "io.debezium.connector.common." of_name,  \
        .fields = (of_fields), .fields_count = COUNT(of_fields)                                    \
    }

static const struct nw_connect_schema text = {.kind = NW_CONNECT_STRING};
static const struct nw_connect_schema number = {.kind = NW_CONNECT_INT64};
static const struct nw_connect_schema number_or_null = {.kind = NW_CONNECT_INT64, .optional = true};

static const struct nw_connect_field id[] = {{"id", &text}};

/* ---- transactions ---- */

static const struct nw_connect_field count_fields[] = {{"data_collection", &text},
                                                       {"event_count", &number}};
static const struct nw_connect_schema count = {.kind = NW_CONNECT_STRUCT,
                                               .optional = true,
                                               .version = 1,
                                               .name = "event.collection",
                                               .fields = count_fields,
                                               .fields_count = COUNT(count_fields)};
static const struct nw_connect_schema counts = {
    .kind = NW_CONNECT_ARRAY, .optional = true, .element = &count};
static const struct nw_connect_field transaction[] = {{"status", &text},
                                                      {"id", &text},
                                                      {"event_count", &number_or_null},
                                                      {"data_collections", &counts},
                                                      {"ts_ms", &number}};

const struct nw_connect_schema nw_transaction_key_schema = STRUCT("TransactionMetadataKey", id);
const struct nw_connect_schema nw_transaction_value_schema =
    STRUCT("TransactionMetadataValue", transaction);

/* ---- heartbeats ---- */

static const struct nw_connect_field server_name[] = {{"serverName", &text}};
static const struct nw_connect_field beat[] = {{"ts_ms", &number}};

const struct nw_connect_schema nw_heartbeat_key_schema = STRUCT("ServerNameKey", server_name);
const struct nw_connect_schema nw_heartbeat_value_schema = STRUCT("Heartbeat", beat);

/* ---- notifications ---- */

static const struct nw_connect_schema more = {
    .kind = NW_CONNECT_MAP, .optional = true, .key = &text, .element = &text};
static const struct nw_connect_field notification[] = {{"id", &text},
                                                       {"type", &text},
                                                       {"aggregate_type", &text},
                                                       {"additional_data", &more},
                                                       {"timestamp", &number}};

const struct nw_connect_schema nw_notification_key_schema = STRUCT("NotificationKey", id);
const struct nw_connect_schema nw_notification_value_schema = STRUCT("Notification", notification);
