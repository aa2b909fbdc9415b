/* SPDX-License-Identifier: Apache-2.0 */
/* Looking schemas up and registering them: see registry.h. */
#include "lib/registry/registry.h"

#include <jansson.h>
#include <stdlib.h>

#include "lib/registry/http.h"
#include "lib/utf8.h"

#define PATH_SIZE       3200u /* of a subject, each byte of which may be escaped as %xx */
#define NO_SUBJECT      40401
#define NO_SUCH_VERSION 40402 /* said by some for a subject without versions */
#define NO_SCHEMA       40403

nw_status nw_registry_subject(enum nw_registry_strategy strategy, const char *topic,
                              const char *record, bool key,
                              char subject[static NW_REGISTRY_SUBJECT_SIZE], struct nw_error *err)
{
    int size = 0;

    switch (strategy) {
    case NW_SUBJECT_TOPIC:
        size = snprintf(subject, NW_REGISTRY_SUBJECT_SIZE, "%s-%s", topic, key ? "key" : "value");
        break;
    case NW_SUBJECT_RECORD:
        size = snprintf(subject, NW_REGISTRY_SUBJECT_SIZE, "%s", record);
        break;
    case NW_SUBJECT_TOPIC_RECORD:
        size = snprintf(subject, NW_REGISTRY_SUBJECT_SIZE, "%s-%s", topic, record);
        break;
    }
    return size > 0 && (size_t)size < NW_REGISTRY_SUBJECT_SIZE
               ? NW_OK
               : nw_fail(err, NW_REJECT,
                         "NW2722 the subject of %s would have more than %u bytes in the registry",
                         topic, NW_REGISTRY_SUBJECT_SIZE - 1);
}

/* The registry's words: of its JSON, or what else it said. NUL-terminated. */
static const char *words(const struct nw_registry *registry, const json_t *answer)
{
    const char *said = json_string_value(json_object_get(answer, "message"));

    if (said == NULL) {
        said = (const char *)registry->answer.bytes;
    }
    return said[0] == '\0' ? "nothing more" : said;
}

/* What an answer means that has no id. */
static nw_status refused(const struct nw_registry *registry, const char *subject,
                         const json_t *answer, struct nw_error *err)
{
    const char *sink = registry->options->sink;
    const char *url = registry->options->urls[registry->url];

    if (registry->code == 409) {
        return nw_fail(
            err, NW_REJECT,
            "NW2722 %s: the schema registry refuses the new schema of %s, which does not "
            "go with those that it has: %.600s",
            sink, subject, words(registry, answer));
    }
    if (registry->code == 422) {
        return nw_fail(err, NW_REJECT,
                       "NW2722 %s: the schema registry refuses the schema of %s: %.600s", sink,
                       subject, words(registry, answer));
    }
    return nw_fail(err, NW_RETRY,
                   "NW2721 %s: the schema registry %s answers HTTP %ld for %s: %.600s", sink, url,
                   registry->code, subject, words(registry, answer));
}

/* What is asked for. */
struct request {
    const char *subject;
    const char *escaped; /* the subject, in an address */
    const char *body;    /* the schema */
};

/*
 * One request.
 * @param below  what stands behind the subject in the address.
 * @param found  filled: whether the answer has an id; false where it says that there is none.
 */
static nw_status post(struct nw_registry *registry, const struct request *request,
                      const char *below, bool *found, uint32_t *id, struct nw_error *err)
{
    char path[PATH_SIZE];
    json_t *answer = NULL;
    const json_t *number = NULL;
    nw_status status = NW_OK;

    *found = false;
    (void)snprintf(path, sizeof path, "/subjects/%s%s", request->escaped, below);
    status = nw_registry_ask(registry, path, request->body, err);
    if (status != NW_OK) {
        return status;
    }
    answer = json_loads((const char *)registry->answer.bytes, 0, NULL);
    number = json_object_get(answer, "id");
    if (registry->code == 200 && json_is_integer(number) && json_integer_value(number) >= 0 &&
        json_integer_value(number) <= INT32_MAX) {
        *id = (uint32_t)json_integer_value(number);
        *found = true;
    } else {
        json_int_t code = json_integer_value(json_object_get(answer, "error_code"));

        if (registry->code != 404 ||
            (code != NO_SUBJECT && code != NO_SUCH_VERSION && code != NO_SCHEMA)) {
            status = refused(registry, request->subject, answer, err);
        }
    }
    json_decref(answer);
    return status;
}

static nw_status find_or_register(struct nw_registry *registry, const struct request *request,
                                  uint32_t *id, struct nw_error *err)
{
    bool found = false;
    nw_status status = post(registry, request, "", &found, id, err);

    if (status != NW_OK || found) {
        return status;
    }
    if (!registry->options->registers) {
        return nw_fail(err, NW_REJECT,
                       "NW2723 %s: the schema registry does not have the schema of %s, and "
                       "registry_register is false",
                       registry->options->sink, request->subject);
    }
    status = post(registry, request, "/versions", &found, id, err);
    if (status == NW_OK && !found) { /* it was asked to make it */
        status = refused(registry, request->subject, NULL, err);
    }
    return status;
}

static bool is_utf8(const char *text)
{
    const uint8_t *at = (const uint8_t *)text;
    const uint8_t *end = at + strlen(text);

    while (at < end) {
        size_t size = *at < 0x80 ? 1 : nw_utf8_size(at, (size_t)(end - at));

        if (size == 0) {
            return false;
        }
        at += size;
    }
    return true;
}

nw_status nw_registry_id(struct nw_registry *registry, const char *subject, const char *schema,
                         uint32_t *id, struct nw_error *err)
{
    json_t *object = json_pack("{s:s}", "schema", schema);
    char *body = object == NULL ? NULL : json_dumps(object, JSON_COMPACT);
    char *escaped = curl_easy_escape(registry->curl, subject, 0);
    nw_status status = NW_OK;

    if (!is_utf8(schema)) {
        status = nw_fail(err, NW_REJECT, "NW2722 %s: the schema of %s is not UTF-8",
                         registry->options->sink, subject);
    } else if (body == NULL || escaped == NULL) {
        status = nw_fail(err, NW_RETRY, "out of memory for the schema of %s", subject);
    } else {
        const struct request request = {.subject = subject, .escaped = escaped, .body = body};

        status = find_or_register(registry, &request, id, err);
    }
    curl_free(escaped);
    free(body);
    json_decref(object);
    return status;
}

/* What an answer has. @return NULL: no schema of Avro */
static const char *schema_of(const json_t *answer)
{
    const char *type = json_string_value(json_object_get(answer, "schemaType"));

    return type == NULL || strcmp(type, "AVRO") == 0
               ? json_string_value(json_object_get(answer, "schema"))
               : NULL;
}

nw_status nw_registry_schema(struct nw_registry *registry, uint32_t id, const char **schema,
                             struct nw_error *err)
{
    char path[64];
    char what[64];
    json_t *answer = NULL;
    const char *text = NULL;
    nw_status status = NW_OK;

    (void)snprintf(path, sizeof path, "/schemas/ids/%u", id);
    (void)snprintf(what, sizeof what, "the schema %u", id);
    status = nw_registry_ask(registry, path, NULL, err);
    if (status != NW_OK) {
        return status;
    }
    answer = json_loads((const char *)registry->answer.bytes, 0, NULL);
    text = schema_of(answer);
    if (registry->code == 404 || (registry->code == 200 && text == NULL)) {
        status = nw_fail(err, NW_REJECT,
                         "NW1542 %s: the schema registry has no Avro schema with the number %u",
                         registry->options->sink, id);
    } else if (registry->code != 200) {
        status = refused(registry, what, answer, err);
    } else {
        registry->schema.used = 0;
        nw_out_bytes(&registry->schema, text, strlen(text) + 1);
        *schema = (const char *)registry->schema.bytes;
        status = registry->schema.failed
                     ? nw_fail(err, NW_RETRY, "out of memory for the schema %u", id)
                     : NW_OK;
    }
    json_decref(answer);
    return status;
}
