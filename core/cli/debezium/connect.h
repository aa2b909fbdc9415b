/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kafka Connect, asked through narwal-kafka (tools/kafka), and what it and files say of Debezium's
 * connector: its state, its offset.
 */
#ifndef NW_CLI_DEBEZIUM_CONNECT_H
#define NW_CLI_DEBEZIUM_CONNECT_H

#include <jansson.h>
#include <stdbool.h>

#include "pipeline/takeover.h"

#define NW_CONNECT_URL_MAX 2048u
/** narwal-kafka is given the URL in this variable: an argument is seen by all users. */
#define NW_CONNECT_VARIABLE "NARWAL_CONNECT_URL"

/**
 * One request. Blocking.
 * @param body    NULL: none
 * @param answer  filled, give: its JSON, NULL when there is none
 * @return NW_REJECT when Connect answers that it does not do it; NW_FATAL when it does not answer,
 * or with an error of its own: what was asked may be done all the same (NW1552)
 */
NW_MUST_CHECK nw_status nw_connect_ask(const char *method, const char *url, const char *body,
                                       json_t **answer, struct nw_error *err);
bool nw_connect_is_url(const char *text);

/** A connector. */
struct nw_connector {
    const char *url;  /* borrow: .../connectors/NAME; NULL: only a file is known. Once it was looked
                         at, `shown`: with this it is asked no more */
    const char *full; /* borrow: that with which it is asked; NULL: it was not looked at */
    char shown[NW_CONNECT_URL_MAX]; /* without user, password and slashes at the end */
    json_t *config;                 /* its properties; NULL without url */
    char state[32];                 /* RUNNING, PAUSED, STOPPED, FAILED; "" without url */
};

/** What it is and how it is. */
NW_MUST_CHECK nw_status nw_connector_look(struct nw_connector *connector, struct nw_error *err);
void nw_connector_fini(struct nw_connector *connector);
/** Stop it, and wait until Connect says that it is. */
NW_MUST_CHECK nw_status nw_connector_stop(struct nw_connector *connector, struct nw_error *err);
/** A property; "" when it has none. */
const char *nw_connector_property(const struct nw_connector *connector, const char *name,
                                  const char *otherwise);
/** Its stored offsets, as Connect has them. Give. */
NW_MUST_CHECK nw_status nw_connector_offsets(const struct nw_connector *connector, json_t **offsets,
                                             struct nw_error *err);
/** Give it these. @return as nw_connect_ask() */
NW_MUST_CHECK nw_status nw_connector_offsets_write(const struct nw_connector *connector,
                                                   const char *body, struct nw_error *err);
NW_MUST_CHECK nw_status nw_offsets_read(const char *path, json_t **offsets, struct nw_error *err);

/**
 * The same from the topic in which Connect keeps them (offset.storage.topic), which needs no
 * Connect.
 * @param file  a configuration with one Kafka sink, whose brokers have the topic
 */
NW_MUST_CHECK nw_status nw_offsets_of_topic(const char *file, const char *topic,
                                            const char *connector, json_t **offsets,
                                            struct nw_error *err);

/**
 * The offset of the topics with a prefix.
 * @param offsets  {"offsets": [{"partition": {"server": "..."}, "offset": {...}}]}, or one of
 *                 those, or what is in its offset
 * @param found    filled, borrowed from offsets
 */
NW_MUST_CHECK nw_status nw_offset_find(json_t *offsets, const char *prefix, json_t **found,
                                       struct nw_error *err);
/** What it says. NW_FATAL: it cannot be gone on from, and why. */
NW_MUST_CHECK nw_status nw_offset_parse(const json_t *offset, struct nw_takeover_offset *to,
                                        struct nw_error *err);

#endif
