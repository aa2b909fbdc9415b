/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client of a schema registry that has Confluent's API (Confluent's own, Apicurio, Karapace,
 * Redpanda): gives the number by which messages name their schema.
 *
 * The API: https://docs.confluent.io/platform/current/schema-registry/develop/api.html, of which
 * this uses
 *
 *   POST /subjects/SUBJECT            the id that a schema has there; 404 with 40401 or 40403: none
 *   POST /subjects/SUBJECT/versions   registers; 409: incompatible with what is there
 *   GET  /schemas/ids/ID              the schema that has a number
 *
 * A schema is looked up before it is registered, so one that has not changed keeps its id, and
 * nothing is written when all is there. The registry checks compatibility when it registers.
 *
 * Owned by one thread, which waits for the answers.
 */
#ifndef NW_SINKS_LIB_REGISTRY_REGISTRY_H
#define NW_SINKS_LIB_REGISTRY_REGISTRY_H

#include <stdbool.h>
#include <stdint.h>

#include <narwal/status.h>

#define NW_REGISTRY_SUBJECT_SIZE 1024u

/** All borrowed, for as long as the client lives. NULL: not given. */
struct nw_registry_options {
    const char *sink;        /* its name, for messages */
    const char *const *urls; /* NULL-terminated, at least one; the next where one does not answer */
    const char *username;    /* basic authentication */
    const char *password;
    const char *token; /* a bearer token, instead */
    const char *ca;    /* PEM files: who may have signed the registry's certificate, */
    const char *cert;  /* and our own certificate with its key */
    const char *key;
    bool registers; /* false: somebody else does; what is not there is refused */
    int64_t timeout_ms;
};

/** What a schema is registered under; the names are those of Confluent's serialisers. */
enum nw_registry_strategy {
    NW_SUBJECT_TOPIC = 0,        /* TOPIC-key, TOPIC-value */
    NW_SUBJECT_RECORD = 1,       /* the record's full name */
    NW_SUBJECT_TOPIC_RECORD = 2, /* TOPIC-RECORD */
};

struct nw_registry;

/** @param registry  give. NW_FATAL: the options are wrong. */
NW_MUST_CHECK nw_status nw_registry_create(const struct nw_registry_options *options,
                                           struct nw_registry **registry, struct nw_error *err);
void nw_registry_destroy(struct nw_registry *registry);

/** @param record  the full name of the schema's record. NW_REJECT: it would be too long. */
NW_MUST_CHECK nw_status nw_registry_subject(enum nw_registry_strategy strategy, const char *topic,
                                            const char *record, bool key,
                                            char subject[static NW_REGISTRY_SUBJECT_SIZE],
                                            struct nw_error *err);

/**
 * The id of a schema under a subject; registered when it is not there and may be.
 *
 * @param schema  Avro's JSON, UTF-8.
 * @return NW_RETRY (NW2721): none of the URLs answers, or they refuse us; NW_REJECT: the schema
 *         goes not with those that the subject has, or is no schema (NW2722), or is not there and
 *         may not be registered (NW2723).
 */
NW_MUST_CHECK nw_status nw_registry_id(struct nw_registry *registry, const char *subject,
                                       const char *schema, uint32_t *id, struct nw_error *err);

/**
 * The schema that has an id.
 *
 * @param schema  filled: Avro's JSON, NUL-terminated; valid until the next call.
 * @return NW_RETRY (NW2721): none of the URLs answers, or they refuse us; NW_REJECT (NW1542): it
 *         has none with this id, or one that is no Avro.
 */
NW_MUST_CHECK nw_status nw_registry_schema(struct nw_registry *registry, uint32_t id,
                                           const char **schema, struct nw_error *err);

#endif
