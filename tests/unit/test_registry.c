/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The registry's client against a server that gives the answers of the test: what no real registry
 * says on demand. it.registry asks a real one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>
#include <microhttpd.h>

#include "lib/registry/registry.h"

#define ASKED_MAX 8

struct said {
    unsigned code;
    const char *text;
};

/* A server: answers in turn, the last again and again; what it was asked. */
struct server {
    struct MHD_Daemon *daemon;
    char url[64];
    const struct said *answers;
    unsigned answers_count;
    unsigned asked_count;
    struct {
        char path[128];
        char body[1024];
        char authorization[128];
        char media[64];
    } asked[ASKED_MAX];
};

static enum MHD_Result on_request(void *context, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *bytes,
                                  size_t *size, void **seen)
{
    struct server *server = context;
    unsigned number = server->asked_count;
    const struct said *said = NULL;
    struct MHD_Response *response = NULL;
    const char *value = NULL;
    enum MHD_Result result = MHD_NO;

    (void)version;
    assert_string_equal(method, "POST");
    assert_true(number < ASKED_MAX);
    if (*seen == NULL) {
        *seen = server;
        (void)snprintf(server->asked[number].path, sizeof server->asked[number].path, "%s", url);
        value = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Authorization");
        (void)snprintf(server->asked[number].authorization,
                       sizeof server->asked[number].authorization, "%s", value ? value : "");
        value = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Content-Type");
        (void)snprintf(server->asked[number].media, sizeof server->asked[number].media, "%s",
                       value ? value : "");
        return MHD_YES;
    }
    if (*size > 0) {
        char *body = server->asked[number].body;
        size_t used = strlen(body);

        assert_true(used + *size < sizeof server->asked[number].body);
        memcpy(body + used, bytes, *size);
        *size = 0;
        return MHD_YES;
    }
    said = &server->answers[number < server->answers_count ? number : server->answers_count - 1];
    server->asked_count++;
    response = MHD_create_response_from_buffer(strlen(said->text), (void *)(uintptr_t)said->text,
                                               MHD_RESPMEM_PERSISTENT);
    result = MHD_queue_response(connection, said->code, response);
    MHD_destroy_response(response);
    return result;
}

/* Paths as they were sent: %2F is part of a subject. */
static size_t keep_escaped(void *context, struct MHD_Connection *connection, char *text)
{
    (void)context;
    (void)connection;
    return strlen(text);
}

static void server_start(struct server *server, const struct said *answers, unsigned count)
{
    const union MHD_DaemonInfo *info = NULL;

    *server = (struct server){.answers = answers, .answers_count = count};
    server->daemon =
        MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD, 0, NULL, NULL, on_request, server,
                         MHD_OPTION_UNESCAPE_CALLBACK, keep_escaped, NULL, MHD_OPTION_END);
    assert_non_null(server->daemon);
    info = MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_BIND_PORT);
    (void)snprintf(server->url, sizeof server->url, "http://127.0.0.1:%u/api/", info->port);
}

#define ANSWERS(server, ...)                                                                       \
    server_start((server), (const struct said[]){__VA_ARGS__},                                     \
                 sizeof((const struct said[]){__VA_ARGS__}) / sizeof(struct said))

static struct nw_registry_options options_for(const char *const *urls)
{
    return (struct nw_registry_options){
        .sink = "kafka", .urls = urls, .registers = true, .timeout_ms = 5000};
}

/* The id of a schema, or the error of asking for it. */
static nw_status ask(const struct nw_registry_options *options, const char *subject, uint32_t *id,
                     struct nw_error *err)
{
    struct nw_registry *registry = NULL;
    nw_status status = nw_registry_create(options, &registry, err);

    if (status == NW_OK) {
        status = nw_registry_id(registry, subject, "{\"type\":\"string\"}", id, err);
    }
    nw_registry_destroy(registry);
    return status;
}

static void a_schema_that_is_there_is_not_registered(void **state)
{
    struct server server;
    const char *urls[] = {server.url, NULL};
    struct nw_registry_options options = options_for(urls);
    struct nw_error err = {0};
    uint32_t id = 0;
    json_t *body = NULL;

    (void)state;
    ANSWERS(&server,
            {200, "{\"subject\":\"a.b-value\",\"version\":3,\"id\":70000,\"schema\":\"x\"}"});
    assert_int_equal(ask(&options, "a.b-value", &id, &err), NW_OK);
    MHD_stop_daemon(server.daemon);
    assert_int_equal(id, 70000);
    assert_int_equal(server.asked_count, 1);
    assert_string_equal(server.asked[0].path, "/api/subjects/a.b-value");
    assert_string_equal(server.asked[0].media, "application/vnd.schemaregistry.v1+json");
    assert_string_equal(server.asked[0].authorization, "");
    body = json_loads(server.asked[0].body, 0, NULL);
    assert_string_equal(json_string_value(json_object_get(body, "schema")),
                        "{\"type\":\"string\"}");
    assert_int_equal(json_object_size(body), 1);
    json_decref(body);
}

static void one_that_is_not_there_is_registered(void **state)
{
    static const char *const none[] = {"{\"error_code\":40401,\"message\":\"Subject not found\"}",
                                       "{\"error_code\":40403,\"message\":\"Schema not found\"}"};
    struct server server;
    const char *urls[] = {server.url, NULL};
    struct nw_registry_options options = options_for(urls);
    struct nw_error err = {0};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        uint32_t id = 0;

        ANSWERS(&server, {404, none[i]}, {200, "{\"id\":1}"});
        assert_int_equal(ask(&options, "a/b ü-key", &id, &err), NW_OK);
        MHD_stop_daemon(server.daemon);
        assert_int_equal(id, 1);
        assert_int_equal(server.asked_count, 2);
        assert_string_equal(server.asked[1].path, "/api/subjects/a%2Fb%20%C3%BC-key/versions");
        assert_string_equal(server.asked[1].body, server.asked[0].body);
    }
    options.registers = false;
    for (size_t i = 0; i < 2; i++) {
        uint32_t id = 0;

        ANSWERS(&server, {404, none[i]});
        assert_int_equal(ask(&options, "t-value", &id, &err), NW_REJECT);
        MHD_stop_daemon(server.daemon);
        assert_int_equal(server.asked_count, 1);
        assert_string_equal(err.text,
                            "NW2723 kafka: the schema registry does not have the schema of "
                            "t-value, and registry_register is false");
    }
}

static void what_it_answers_says_what_to_do(void **state)
{
    static const struct {
        struct said first, second;
        nw_status status;
        const char *text;
    } cases[] = {
        {{404, "{\"error_code\":40401}"},
         {409, "{\"error_code\":409,\"message\":\"field v: int is not string\"}"},
         NW_REJECT,
         "NW2722 kafka: the schema registry refuses the new schema of t-value, which does not go "
         "with those that it has: field v: int is not string"},
        {{422, "{\"error_code\":42201,\"message\":\"Invalid Avro schema\"}"},
         {500, ""},
         NW_REJECT,
         "NW2722 kafka: the schema registry refuses the schema of t-value: Invalid Avro schema"},
        {{401, "<html>"}, {500, ""}, NW_RETRY, "answers HTTP 401 for t-value: <html>"},
        {{403, ""}, {500, ""}, NW_RETRY, "answers HTTP 403 for t-value: nothing more"},
        {{404, "{\"error\":\"no such page\"}"},
         {500, ""},
         NW_RETRY,
         "answers HTTP 404 for t-value"},
        {{302, ""}, {500, ""}, NW_RETRY, "answers HTTP 302"},
        {{200, "{\"id\":-1}"}, {500, ""}, NW_RETRY, "answers HTTP 200"},
        {{200, "{\"id\":4294967296}"}, {500, ""}, NW_RETRY, "answers HTTP 200"},
        {{200, "{\"id\":\"1\"}"}, {500, ""}, NW_RETRY, "answers HTTP 200"},
        {{200, "[1"}, {500, ""}, NW_RETRY, "answers HTTP 200"},
        {{404, "{\"error_code\":40403}"}, {404, "{\"error_code\":40403}"}, NW_RETRY, "HTTP 404"},
        {{404, "{\"error_code\":40403}"}, {503, ""}, NW_RETRY, "does not answer: HTTP 503"},
        {{429, ""}, {429, ""}, NW_RETRY, "does not answer: HTTP 429"},
    };
    struct server server;
    const char *urls[] = {server.url, NULL};
    struct nw_registry_options options = options_for(urls);

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct nw_error err = {0};
        uint32_t id = 0;

        ANSWERS(&server, cases[i].first, cases[i].second);
        assert_int_equal(ask(&options, "t-value", &id, &err), cases[i].status);
        MHD_stop_daemon(server.daemon);
        if (strstr(err.text, cases[i].text) == NULL) {
            fail_msg("case %zu: %s", i, err.text);
        }
        assert_memory_equal(err.text, cases[i].status == NW_RETRY ? "NW2721" : "NW2722", 6);
    }
}

static void the_next_url_is_asked_where_one_does_not_answer(void **state)
{
    struct server busy, works;
    const char *urls[] = {"http://127.0.0.1:1", busy.url, works.url, NULL};
    struct nw_registry_options options = options_for(urls);
    struct nw_registry *registry = NULL;
    struct nw_error err = {0};
    uint32_t id = 0;

    (void)state;
    ANSWERS(&busy, {503, ""});
    ANSWERS(&works, {200, "{\"id\":5}"});
    assert_int_equal(nw_registry_create(&options, &registry, &err), NW_OK);
    for (unsigned i = 1; i <= 2; i++) {
        assert_int_equal(nw_registry_id(registry, "t-value", "\"int\"", &id, &err), NW_OK);
        assert_int_equal(id, 5);
        assert_int_equal(busy.asked_count,
                         1); /* the one that answered is asked first from then on */
        assert_int_equal(works.asked_count, i);
    }
    MHD_stop_daemon(works.daemon);
    assert_int_equal(nw_registry_id(registry, "t-value", "\"int\"", &id, &err), NW_RETRY);
    assert_memory_equal(err.text, "NW2721", 6);
    assert_non_null(strstr(err.text, "the last of several that were tried"));
    MHD_stop_daemon(busy.daemon);
    nw_registry_destroy(registry);
}

static void who_we_are_is_said_as_configured(void **state)
{
    struct server server;
    const char *urls[] = {server.url, NULL};
    struct nw_registry_options options = options_for(urls);
    struct nw_error err = {0};
    uint32_t id = 0;

    (void)state;
    options.username = "alice";
    options.password = "s3cret:x";
    ANSWERS(&server, {200, "{\"id\":1}"});
    assert_int_equal(ask(&options, "t-value", &id, &err), NW_OK);
    MHD_stop_daemon(server.daemon);
    assert_string_equal(server.asked[0].authorization, "Basic YWxpY2U6czNjcmV0Ong=");
    options.username = options.password = NULL;
    options.token = "abc.def";
    ANSWERS(&server, {200, "{\"id\":1}"});
    assert_int_equal(ask(&options, "t-value", &id, &err), NW_OK);
    MHD_stop_daemon(server.daemon);
    assert_string_equal(server.asked[0].authorization, "Bearer abc.def");
}

static void an_answer_without_end_is_cut_off(void **state)
{
    size_t size = 3u << 20;
    char *text = malloc(size + 1);
    struct server server;
    const char *urls[] = {server.url, NULL};
    struct nw_registry_options options = options_for(urls);
    struct nw_error err = {0};
    uint32_t id = 0;

    (void)state;
    assert_non_null(text);
    memset(text, ' ', size);
    text[size] = '\0';
    ANSWERS(&server, {200, text});
    assert_int_equal(ask(&options, "t-value", &id, &err), NW_RETRY);
    MHD_stop_daemon(server.daemon);
    assert_memory_equal(err.text, "NW2721", 6);
    free(text);
}

static void wrong_options_are_named(void **state)
{
    static const char *const wrong[] = {"",
                                        "registry:8081",
                                        "ftp://a",
                                        "http://",
                                        "http://u:pw@host",
                                        "https://host?x",
                                        "https://host/?key=secret",
                                        "https://host#secret",
                                        "https://u:pw@host?secret",
                                        NULL};
    struct nw_error err = {0};
    uint32_t id = 0;

    (void)state;
    for (size_t i = 0; wrong[i] != NULL; i++) {
        const char *urls[] = {wrong[i], NULL};
        struct nw_registry_options options = options_for(urls);

        assert_int_equal(ask(&options, "t", &id, &err), NW_FATAL);
        assert_memory_equal(err.text, "NW1003", 6);
        assert_null(strstr(err.text, "pw"));
        assert_null(strstr(err.text, "secret"));
    }
    {
        const char *urls[] = {NULL};
        struct nw_registry_options options = options_for(urls);

        assert_int_equal(ask(&options, "t", &id, &err), NW_FATAL);
    }
    {
        const char *urls[] = {"http://a", NULL};
        struct nw_registry_options options = options_for(urls);

        options.username = options.token = "x";
        assert_int_equal(ask(&options, "t", &id, &err), NW_FATAL);
        assert_non_null(strstr(err.text, "not both"));
    }
}

static void *no_memory(size_t size)
{
    (void)size;
    return NULL;
}

/* Neither is what the other is: a schema is refused for good, memory comes back. */
static void no_memory_is_not_a_wrong_schema(void **state)
{
    const char *urls[] = {"http://127.0.0.1:1", NULL};
    struct nw_registry_options options = options_for(urls);
    struct nw_registry *registry = NULL;
    struct nw_error err = {0};
    uint32_t id = 0;

    (void)state;
    assert_int_equal(nw_registry_create(&options, &registry, &err), NW_OK);
    assert_int_equal(nw_registry_id(registry, "t", "\"\xc3\"", &id, &err), NW_REJECT);
    assert_memory_equal(err.text, "NW2722", 6);
    json_set_alloc_funcs(no_memory, free);
    assert_int_equal(nw_registry_id(registry, "t", "\"\xc3\xa9\"", &id, &err), NW_RETRY);
    json_set_alloc_funcs(malloc, free);
    assert_string_equal(err.text, "out of memory for the schema of t");
    nw_registry_destroy(registry);
}

/* The names are those of Confluent's SubjectNameStrategy classes. */
static void subjects_are_named_as_confluent_does(void **state)
{
    char subject[NW_REGISTRY_SUBJECT_SIZE];
    char large[NW_REGISTRY_SUBJECT_SIZE];
    struct nw_error err = {0};

    (void)state;
    assert_int_equal(nw_registry_subject(NW_SUBJECT_TOPIC, "a.b", "n.R", true, subject, &err),
                     NW_OK);
    assert_string_equal(subject, "a.b-key");
    assert_int_equal(nw_registry_subject(NW_SUBJECT_TOPIC, "a.b", "n.R", false, subject, &err),
                     NW_OK);
    assert_string_equal(subject, "a.b-value");
    assert_int_equal(nw_registry_subject(NW_SUBJECT_RECORD, "a.b", "n.R", false, subject, &err),
                     NW_OK);
    assert_string_equal(subject, "n.R");
    assert_int_equal(
        nw_registry_subject(NW_SUBJECT_TOPIC_RECORD, "a.b", "n.R", true, subject, &err), NW_OK);
    assert_string_equal(subject, "a.b-n.R");
    memset(large, 'x', sizeof large - 1);
    large[sizeof large - 1] = '\0';
    assert_int_equal(nw_registry_subject(NW_SUBJECT_TOPIC_RECORD, "a", large, true, subject, &err),
                     NW_REJECT);
    assert_memory_equal(err.text, "NW2722", 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_schema_that_is_there_is_not_registered),
        cmocka_unit_test(one_that_is_not_there_is_registered),
        cmocka_unit_test(what_it_answers_says_what_to_do),
        cmocka_unit_test(the_next_url_is_asked_where_one_does_not_answer),
        cmocka_unit_test(who_we_are_is_said_as_configured),
        cmocka_unit_test(an_answer_without_end_is_cut_off),
        cmocka_unit_test(wrong_options_are_named),
        cmocka_unit_test(no_memory_is_not_a_wrong_schema),
        cmocka_unit_test(subjects_are_named_as_confluent_does),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
