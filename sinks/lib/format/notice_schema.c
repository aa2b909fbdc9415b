/* SPDX-License-Identifier: Apache-2.0 */
/* See notice_schema.h. */
#include "lib/format/notice_schema.h"

#include "lib/format/envelope.h"

#define COUNT(fields) (sizeof(fields) / sizeof(fields)[0])
#define STRUCT(of_name, of_fields)                                                                 \
    {                                                                                              \
        .kind = NW_CONNECT_STRUCT, .version = 1, .name = "io.debezium.connector." of_name,         \
        .fields = (of_fields), .fields_count = COUNT(of_fields)                                    \
    }

static const struct nw_connect_schema text = {.kind = NW_CONNECT_STRING};
static const struct nw_connect_schema text_or_null = {.kind = NW_CONNECT_STRING, .optional = true};
static const struct nw_connect_schema bytes_or_null = {.kind = NW_CONNECT_BYTES, .optional = true};
static const struct nw_connect_schema number = {.kind = NW_CONNECT_INT64};
static const struct nw_connect_schema number_or_null = {.kind = NW_CONNECT_INT64, .optional = true};

static const struct nw_connect_field id[] = {{"id", &text}};

/* ---- logical messages ---- */

/* Two of them, by what the content is. */
enum { AS_BYTES, AS_TEXT };

static const struct nw_connect_field prefix[] = {{"prefix", &text_or_null}};
static const struct nw_connect_field parts[][2] = {
    [AS_BYTES] = {{"prefix", &text_or_null}, {"content", &bytes_or_null}},
    [AS_TEXT] = {{"prefix", &text_or_null}, {"content", &text_or_null}}};
static const struct nw_connect_schema bodies[] = {
    [AS_BYTES] = STRUCT("postgresql.Message", parts[AS_BYTES]),
    [AS_TEXT] = STRUCT("postgresql.Message", parts[AS_TEXT])};
static const struct nw_connect_field message[][5] = {
    [AS_BYTES] = {{"op", &text},
                  {"ts_ms", &number_or_null},
                  {"source", &nw_source_schema},
                  {"transaction", &nw_block_schema},
                  {"message", &bodies[AS_BYTES]}},
    [AS_TEXT] = {{"op", &text},
                 {"ts_ms", &number_or_null},
                 {"source", &nw_source_schema},
                 {"transaction", &nw_block_schema},
                 {"message", &bodies[AS_TEXT]}}};
static const struct nw_connect_schema messages[] = {
    [AS_BYTES] = STRUCT("postgresql.MessageValue", message[AS_BYTES]),
    [AS_TEXT] = STRUCT("postgresql.MessageValue", message[AS_TEXT])};

const struct nw_connect_schema nw_message_key_schema = STRUCT("postgresql.MessageKey", prefix);

const struct nw_connect_schema *nw_message_value_schema(enum nw_connect_binaries binaries)
{
    return &messages[binaries == NW_BINARIES_BYTES ? AS_BYTES : AS_TEXT];
}

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

const struct nw_connect_schema nw_transaction_key_schema =
    STRUCT("common.TransactionMetadataKey", id);
const struct nw_connect_schema nw_transaction_value_schema =
    STRUCT("common.TransactionMetadataValue", transaction);

/* ---- heartbeats ---- */

static const struct nw_connect_field server_name[] = {{"serverName", &text}};
static const struct nw_connect_field beat[] = {{"ts_ms", &number}};

const struct nw_connect_schema nw_heartbeat_key_schema =
    STRUCT("common.ServerNameKey", server_name);
const struct nw_connect_schema nw_heartbeat_value_schema = STRUCT("common.Heartbeat", beat);

/* ---- notifications ---- */

static const struct nw_connect_schema more = {
    .kind = NW_CONNECT_MAP, .optional = true, .key = &text, .element = &text};
static const struct nw_connect_field notification[] = {{"id", &text},
                                                       {"type", &text},
                                                       {"aggregate_type", &text},
                                                       {"additional_data", &more},
                                                       {"timestamp", &number}};

const struct nw_connect_schema nw_notification_key_schema = STRUCT("common.NotificationKey", id);
const struct nw_connect_schema nw_notification_value_schema =
    STRUCT("common.Notification", notification);
