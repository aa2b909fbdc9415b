/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages of a topic as `narwal diff-topics` takes them apart: a schema of the registry, cut at
 * the first NUL, a key, cut at the next one, a value, and the same value as a header. A value that
 * begins with 0 is Avro of that schema; others are JSON or bytes. Without a key where that is
 * empty.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "kafka/avro.h"
#include "kafka/leaves.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* ---- in the place of librdkafka: the message has one header, its value ---- */

static const rd_kafka_message_t *current;

rd_kafka_resp_err_t rd_kafka_message_headers(const rd_kafka_message_t *message,
                                             rd_kafka_headers_t **headers)
{
    *headers = NULL;
    return message->payload == NULL ? RD_KAFKA_RESP_ERR__NOENT : RD_KAFKA_RESP_ERR_NO_ERROR;
}

size_t rd_kafka_header_cnt(const rd_kafka_headers_t *headers)
{
    (void)headers;
    return 1;
}

rd_kafka_resp_err_t rd_kafka_header_get_all(const rd_kafka_headers_t *headers, size_t index,
                                            const char **name, const void **value, size_t *size)
{
    (void)headers;
    *name = "name";
    *value = current->payload;
    *size = current->len;
    return index == 0 ? RD_KAFKA_RESP_ERR_NO_ERROR : RD_KAFKA_RESP_ERR__NOENT;
}

/* ---- what is said of it ---- */

struct seen {
    struct nw_leaves_avro avro; /* schema NULL: there is none */
    uint64_t leaves;
    unsigned sum;
};

static void leaf_take(void *context, const struct nw_leaf *leaf)
{
    struct seen *seen = context;

    NW_ASSERT(strlen(leaf->path) < NW_PATH_SIZE);
    seen->leaves++;
    for (size_t i = 0; i < leaf->size; i++) {
        seen->sum += (unsigned char)leaf->text[i];
    }
    for (size_t i = 0; i < leaf->shown_size; i++) {
        seen->sum += (unsigned char)leaf->shown[i];
    }
}

static const struct nw_leaves_avro *schema_give(void *context, uint32_t id)
{
    struct seen *seen = context;

    (void)id;
    return seen->avro.schema == NULL ? NULL : &seen->avro;
}

/* Up to the next NUL, which is passed over. */
static size_t cut(const uint8_t **data, size_t *size, const uint8_t **part)
{
    const uint8_t *end = *size == 0 ? NULL : memchr(*data, '\0', *size);
    size_t got = end == NULL ? *size : (size_t)(end - *data);

    *part = *data;
    *data += end == NULL ? got : got + 1;
    *size -= end == NULL ? got : got + 1;
    return got;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct nw_leaves leaves;
    struct seen seen = {0};
    struct nw_avro_schema *schema = NULL;
    struct nw_error err = {0};
    const uint8_t *text = NULL;
    const uint8_t *key = NULL;
    size_t text_size = cut(&data, &size, &text);
    size_t key_size = cut(&data, &size, &key);
    uint8_t *value = size == 0 ? NULL : malloc(size); /* of its own, so that its end is seen */
    rd_kafka_message_t message = {.key = key_size == 0 ? NULL : (void *)(uintptr_t)key,
                                  .key_len = key_size,
                                  .payload = value,
                                  .len = value == NULL ? 0 : size};

    if (value != NULL) {
        memcpy(value, data, size);
    }
    if (nw_avro_schema_read((const char *)text, text_size, &schema, &err) == NW_OK) {
        seen.avro = (struct nw_leaves_avro){schema, (const char *)text, text_size};
    } else {
        NW_ASSERT(err.text[0] != '\0');
    }
    current = &message;
    leaves = (struct nw_leaves){.leaf = leaf_take, .avro = schema_give, .context = &seen};
    (void)!nw_leaves_of(&leaves, &message);
    NW_ASSERT(seen.leaves > 0);
    nw_leaves_fini(&leaves);
    nw_avro_schema_free(schema);
    free(value);
    return 0;
}
