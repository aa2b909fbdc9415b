/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The offsets of a connector from the topic in which Connect keeps them: compacted, the key is
 * ["CONNECTOR",{"server":"PREFIX"}], the value the offset, both JSON (Kafka's
 * OffsetStorageWriter.java). One thread.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/command.h"
#include "kafka/connect.h"
#include "kafka/side.h"

#define ASK_MS         30000
#define POLL_MS        200
#define SILENT_SECONDS 60
#define PARTITIONS_MAX 1000

/* Of each partition the last offset. @param offsets  by the partition's text */
static void message_take(const rd_kafka_message_t *message, const char *connector, json_t *offsets)
{
    json_t *key = message->key == NULL
                      ? NULL
                      : json_loadb(message->key, message->key_len, JSON_DECODE_ANY, NULL);
    const char *name = json_string_value(json_array_get(key, 0));
    json_t *partition = json_array_get(key, 1);

    if (name != NULL && strcmp(name, connector) == 0 && json_is_object(partition)) {
        char *text = json_dumps(partition, JSON_COMPACT | JSON_SORT_KEYS);
        json_t *offset = message->payload == NULL
                             ? NULL
                             : json_loadb(message->payload, message->len, JSON_DECODE_ANY, NULL);

        if (text != NULL && json_is_object(offset)) {
            (void)json_object_set_new(
                offsets, text, json_pack("{s:O, s:O}", "partition", partition, "offset", offset));
        } else if (text != NULL) {
            (void)json_object_del(offsets, text);
        }
        json_decref(offset);
        free(text);
    }
    json_decref(key);
}

/* All partitions, from their beginning. @return how many; -1 after complaining */
static int partitions_assign(const struct nw_side *side, const char *topic)
{
    rd_kafka_topic_t *handle = rd_kafka_topic_new(side->client, topic, NULL);
    const struct rd_kafka_metadata *all = NULL;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_resp_err_t code = handle == NULL
                                   ? rd_kafka_last_error()
                                   : rd_kafka_metadata(side->client, 0, handle, &all, ASK_MS);
    int count = -1;

    if (code == RD_KAFKA_RESP_ERR_NO_ERROR && all != NULL) {
        code = all->topics[0].err;
        count = all->topics[0].partition_cnt;
        rd_kafka_metadata_destroy(all);
    }
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR && count > 0 && count <= PARTITIONS_MAX) {
        for (int32_t i = 0; i < count; i++) {
            rd_kafka_topic_partition_list_add(list, topic, i)->offset = RD_KAFKA_OFFSET_BEGINNING;
        }
        code = rd_kafka_assign(side->client, list);
    }
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR || count <= 0 || count > PARTITIONS_MAX) {
        nw_complain("NW2701 topic %s: %s", topic, rd_kafka_err2str(code));
        count = -1;
    }
    rd_kafka_topic_partition_list_destroy(list);
    if (handle != NULL) {
        rd_kafka_topic_destroy(handle);
    }
    return count;
}

/* @return whether all of it was read */
static bool topic_read(const struct nw_side *side, const char *topic, const char *connector,
                       json_t *offsets)
{
    int open = partitions_assign(side, topic);
    bool began = open > 0;
    time_t heard = time(NULL);
    bool done[PARTITIONS_MAX] = {false}; /* an end is said again when more came */

    while (open > 0 && time(NULL) - heard < SILENT_SECONDS) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(side->client, POLL_MS);

        if (message == NULL) {
            continue;
        }
        if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
            open -= !done[message->partition];
            done[message->partition] = true;
        } else if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
            heard = time(NULL);
            message_take(message, connector, offsets);
        }
        rd_kafka_message_destroy(message);
    }
    (void)rd_kafka_assign(side->client, NULL);
    if (began && open > 0) {
        nw_complain("NW2701 topic %s cannot be read: no answer", topic);
    }
    return began && open == 0;
}

int nw_offsets_print(const char *file, const char *topic, const char *connector)
{
    const struct nw_diff_topics request = {.words = {file, file}};
    struct nw_side sides[2] = {{0}};
    struct nw_error err = {0};
    json_t *offsets = json_object();
    json_t *list = json_array();
    const char *key = NULL;
    json_t *entry = NULL;
    bool read = false;

    if (nw_sides_open(&request, sides, &err) != NW_OK) {
        nw_complain_error(&err);
    } else {
        read = topic_read(&sides[0], topic, connector, offsets);
        nw_sides_close(sides);
    }
    json_object_foreach(offsets, key, entry)
    {
        (void)json_array_append(list, entry);
    }
    if (read) {
        json_t *all = json_pack("{s:O}", "offsets", list);

        (void)json_dumpf(all, stdout, JSON_COMPACT);
        json_decref(all);
    }
    json_decref(list);
    json_decref(offsets);
    return read ? 0 : NW_EXIT_FAILED;
}
