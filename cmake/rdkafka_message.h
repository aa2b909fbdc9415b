/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compiled into librdkafka's rdkafka_msgset_writer.c by cmake/librdkafka: a message of the record
 * batch, format 2 (Kafka's DefaultRecord), written where there is room for all of it in one piece.
 *
 * librdkafka appends each length, name and value by itself: 25 calls for a message with four
 * headers. On the broker's thread, which owns the buffer.
 */
#ifndef NARWAL_RDKAFKA_MESSAGE_H
#define NARWAL_RDKAFKA_MESSAGE_H

/* Of a signed number, whose sign is its lowest bit; seven bits in each byte. */
static uint64_t narwal_zigzag(int64_t value)
{
    return (uint64_t)value << 1 ^ (uint64_t)(value >> 63);
}

static size_t narwal_number_size(int64_t value)
{
    uint64_t rest = narwal_zigzag(value);
    size_t size = 1;

    while (rest >= 0x80) {
        rest >>= 7;
        size++;
    }
    return size;
}

static char *narwal_number(char *at, int64_t value)
{
    uint64_t rest = narwal_zigzag(value);

    while (rest >= 0x80) {
        *at++ = (char)(rest | 0x80);
        rest >>= 7;
    }
    *at++ = (char)rest;
    return at;
}

/* A length, then so many bytes; NULL: the length -1. */
static char *narwal_bytes(char *at, const void *bytes, size_t size)
{
    at = narwal_number(at, bytes == NULL ? -1 : (int64_t)size);
    if (bytes == NULL) {
        return at;
    }
    memcpy(at, bytes, size);
    return at + size;
}

static char *narwal_headers(char *at, const rd_kafka_headers_t *headers)
{
    const rd_kafka_header_t *header;
    int i;

    at = narwal_number(at, headers == NULL ? 0 : headers->rkhdrs_list.rl_cnt);
    if (headers == NULL) {
        return at;
    }
    RD_LIST_FOREACH(header, &headers->rkhdrs_list, i)
    {
        at = narwal_bytes(at, header->rkhdr_name, header->rkhdr_name_size);
        at = narwal_bytes(at, header->rkhdr_value, header->rkhdr_value_size);
    }
    return at;
}

/*
 * @param time    since the batch's first message, in ms
 * @param offset  the same, in messages
 * @return the message's size with its length; 0: there is no room in one piece, nothing was
 * written.
 */
static size_t narwal_message_write(rd_kafka_buf_t *buffer, const rd_kafka_msg_t *message,
                                   int64_t time, int64_t offset)
{
    const int64_t key_size = message->rkm_key == NULL ? -1 : (int64_t)message->rkm_key_len;
    const int64_t value_size = message->rkm_payload == NULL ? -1 : (int64_t)message->rkm_len;
    const rd_kafka_headers_t *headers = message->rkm_headers;
    size_t size = 1 + narwal_number_size(time) + narwal_number_size(offset) +
                  narwal_number_size(key_size) + (key_size < 0 ? 0 : message->rkm_key_len) +
                  narwal_number_size(value_size) + (value_size < 0 ? 0 : message->rkm_len) +
                  narwal_number_size(headers == NULL ? 0 : headers->rkhdrs_list.rl_cnt) +
                  (headers == NULL ? 0 : headers->rkhdrs_ser_size);
    size_t whole = narwal_number_size((int64_t)size) + size;
    void *start = NULL;
    char *at;

    if (rd_buf_get_writable(&buffer->rkbuf_buf, &start) <= whole) {
        return 0;
    }
    at = narwal_number(start, (int64_t)size);
    *at++ = 0; /* attributes: there are none */
    at = narwal_number(at, time);
    at = narwal_number(at, offset);
    at = narwal_bytes(at, message->rkm_key, message->rkm_key_len);
    at = narwal_bytes(at, message->rkm_payload, message->rkm_len);
    at = narwal_headers(at, headers);
    rd_assert((size_t)(at - (char *)start) == whole);
    (void)rd_buf_write(&buffer->rkbuf_buf, NULL, whole); /* it is there already */
    return whole;
}

#endif
