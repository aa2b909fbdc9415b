/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of an outbox: each goes to the topic that it names. See forms.h. */
#include <stdlib.h>
#include <string.h>

#include "kafka/kafka.h"

#define ROUTES_MAX 1024u

struct nw_kafka_route {
    char name[NW_KAFKA_TOPIC_SIZE];
    rd_kafka_topic_t *topic;
};

void nw_kafka_routes_forget(struct nw_kafka_worker *worker)
{
    for (uint32_t i = 0; i < worker->forms.routes_count; i++) {
        rd_kafka_topic_destroy(worker->forms.routes[i].topic);
    }
    worker->forms.routes_count = 0;
}

static nw_status route_find(struct nw_kafka_worker *worker, const char *wanted,
                            rd_kafka_topic_t **topic, struct nw_error *err)
{
    struct nw_kafka_forms *forms = &worker->forms;
    const struct nw_kafka_options *options = &worker->sink->options;
    const struct nw_kafka_options as_it_is = {
        .template_ = "{table}", .routes = options->routes, .routes_count = options->routes_count};
    char replaced[NW_KAFKA_TOPIC_SIZE];
    enum nw_regex_result result =
        options->form.outbox_regex == NULL
            ? NW_REGEX_OTHER
            : nw_regex_replace(options->form.outbox_regex, wanted, replaced, sizeof replaced);
    const struct nw_table named = {.schema_name = "",
                                   .name = result == NW_REGEX_REPLACED ? replaced : wanted};
    struct nw_kafka_route *route = NULL;
    char name[NW_KAFKA_TOPIC_SIZE];
    nw_status status =
        result == NW_REGEX_TOO_LONG
            ? nw_fail(err, NW_REJECT, "NW2703 a row of an outbox has a topic of more than %u bytes",
                      NW_NAME_BYTES_MAX)
            : nw_kafka_topic_name(&as_it_is, &named, name, err);

    if (status != NW_OK) {
        return status;
    }
    for (uint32_t i = 0; i < forms->routes_count; i++) {
        if (strcmp(forms->routes[i].name, name) == 0) {
            *topic = forms->routes[i].topic;
            return NW_OK;
        }
    }
    if (nw_kafka_topic_use(&worker->sink->options, name, false) != NULL) {
        return nw_fail(err, NW_REJECT, "NW2703 a row of an outbox names topic %s, which is for %s",
                       name, nw_kafka_topic_use(&worker->sink->options, name, false));
    }
    if (forms->routes == NULL) {
        forms->routes = calloc(ROUTES_MAX, sizeof *forms->routes);
        if (forms->routes == NULL) {
            return nw_fail(err, NW_RETRY, "out of memory for topics of an outbox");
        }
    }
    if (forms->routes_count == ROUTES_MAX) { /* librdkafka keeps those that have messages */
        nw_kafka_routes_forget(worker);
    }
    route = &forms->routes[forms->routes_count];
    status = nw_kafka_topic_open(worker->producer, name, NW_KAFKA_KEYLESS, &route->topic, err);
    if (status == NW_OK) {
        (void)snprintf(route->name, sizeof route->name, "%s", name);
        forms->routes_count++;
        *topic = route->topic;
    }
    return status;
}

nw_status nw_kafka_route_row(struct nw_kafka_worker *worker, const struct nw_outbox *outbox,
                             const struct nw_batch *batch, struct nw_connect_scratch *scratch,
                             struct nw_error *err)
{
    struct nw_outbox_message *made = &worker->forms.outbox;
    struct nw_kafka_header headers[NW_OUTBOX_PLACED_MAX + 1];
    struct nw_kafka_message message = {.headers = headers, .row = true};
    rd_kafka_topic_t *topic = NULL;
    nw_status status = nw_outbox_read(outbox, batch, worker->row, scratch, made, err);

    if (status == NW_OK) {
        status = route_find(worker, (const char *)made->topic.bytes, &topic, err);
    }
    if (status != NW_OK) {
        return status;
    }
    for (uint32_t i = 0; i < made->headers_count; i++) {
        const struct nw_outbox_header *header = &made->headers[i];

        headers[i] = (struct nw_kafka_header){
            .name = header->name,
            .bytes = header->null ? NULL : made->headers_text.bytes + header->at,
            .size = header->size};
    }
    message.headers_count = made->headers_count;
    message.key = made->keyless ? NULL : &made->key;
    message.value = made->tombstone ? NULL : &made->value;
    message.timestamp_ms = made->timed ? made->timestamp_ms : 0;
    return nw_kafka_send_sized(worker->producer, topic, &message,
                               nw_kafka_alone_from(worker->sink, rd_kafka_topic_name(topic)), err);
}
