/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP by libcurl: see http.h. */
#include <stdlib.h>

#include "lib/registry/http.h"

#define ANSWER_MAX (1u << 20)
#define URL_SIZE   4096u
#define MEDIA_TYPE "application/vnd.schemaregistry.v1+json"

/* Of libcurl: anything but `size` breaks the transfer off. */
static size_t on_bytes(char *bytes, size_t one, size_t size, void *context)
{
    struct nw_registry *registry = context;

    (void)one; /* always 1 */
    if (size > ANSWER_MAX - registry->answer.used) {
        return 0;
    }
    nw_out_bytes(&registry->answer, bytes, size);
    return registry->answer.failed ? 0 : size;
}

static bool url_is_fine(const char *url)
{
    const char *rest = NULL;

    if (strncmp(url, "http://", 7) == 0) {
        rest = url + 7;
    } else if (strncmp(url, "https://", 8) == 0) {
        rest = url + 8;
    }
    /* Whoever is named in a URL would be in every message. */
    return rest != NULL && *rest != '\0' && memchr(rest, '@', strcspn(rest, "/")) == NULL &&
           strpbrk(rest, "?#") == NULL;
}

static nw_status urls_check(const struct nw_registry_options *options, struct nw_error *err)
{
    if (options->urls == NULL || options->urls[0] == NULL) {
        return nw_fail(err, NW_FATAL, "NW1003 %s: registry: there is no URL", options->sink);
    }
    for (size_t i = 0; options->urls[i] != NULL; i++) {
        const char *url = options->urls[i];
        size_t shown = strchr(url, '@') != NULL ? 0 : strcspn(url, "?#"); /* the rest is secret */

        if (!url_is_fine(url)) {
            return nw_fail(err, NW_FATAL,
                           "NW1003 %s: registry: \"%.*s%s\" is not http://HOST[:PORT][/PATH] or "
                           "https:// (a user is given by registry_username)",
                           options->sink, (int)shown, url, url[shown] == '\0' ? "" : "...");
        }
    }
    if (options->username != NULL && options->token != NULL) {
        return nw_fail(err, NW_FATAL, "NW1003 %s: registry: give a username or a token, not both",
                       options->sink);
    }
    return NW_OK;
}

static CURLcode credentials_set(CURL *curl, const struct nw_registry_options *options)
{
    const struct {
        CURLoption option;
        const char *text;
    } texts[] = {{CURLOPT_USERNAME, options->username},    {CURLOPT_PASSWORD, options->password},
                 {CURLOPT_XOAUTH2_BEARER, options->token}, {CURLOPT_CAINFO, options->ca},
                 {CURLOPT_SSLCERT, options->cert},         {CURLOPT_SSLKEY, options->key}};
    unsigned long scheme = options->token != NULL ? CURLAUTH_BEARER : CURLAUTH_BASIC;
    CURLcode code = curl_easy_setopt(curl, CURLOPT_HTTPAUTH, scheme);

    for (size_t i = 0; i < sizeof texts / sizeof texts[0] && code == CURLE_OK; i++) {
        if (texts[i].text != NULL) {
            code = curl_easy_setopt(curl, texts[i].option, texts[i].text);
        }
    }
    return code;
}

static CURLcode curl_set(struct nw_registry *registry)
{
    const struct nw_registry_options *options = registry->options;
    CURL *curl = registry->curl;
    CURLcode code = credentials_set(curl, options);

    code = code ? code : curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    code = code ? code : curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    code = code ? code : curl_easy_setopt(curl, CURLOPT_HTTPHEADER, registry->headers);
    code = code ? code : curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, registry->why);
    code = code ? code : curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_bytes);
    code = code ? code : curl_easy_setopt(curl, CURLOPT_WRITEDATA, registry);
    return code ? code : curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)options->timeout_ms);
}

nw_status nw_registry_create(const struct nw_registry_options *options,
                             struct nw_registry **registry, struct nw_error *err)
{
    struct nw_registry *made = NULL;
    struct curl_slist *more = NULL;
    nw_status status = urls_check(options, err);

    if (status != NW_OK) {
        return status;
    }
    made = calloc(1, sizeof *made);
    if (made == NULL || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        free(made);
        return nw_fail(err, NW_FATAL, "NW2901 out of memory for the registry of %s", options->sink);
    }
    made->options = options;
    made->curl = curl_easy_init();
    made->headers = curl_slist_append(NULL, "Content-Type: " MEDIA_TYPE);
    more = made->headers == NULL
               ? NULL
               : curl_slist_append(made->headers, "Accept: " MEDIA_TYPE ", application/json");
    if (made->curl == NULL || more == NULL || curl_set(made) != CURLE_OK) {
        nw_registry_destroy(made);
        return nw_fail(err, NW_FATAL, "NW2901 out of memory for the registry of %s", options->sink);
    }
    *registry = made;
    return NW_OK;
}

void nw_registry_destroy(struct nw_registry *registry)
{
    if (registry != NULL) {
        curl_easy_cleanup(registry->curl);
        curl_slist_free_all(registry->headers);
        nw_out_fini(&registry->answer);
        nw_out_fini(&registry->schema);
        curl_global_cleanup();
        free(registry);
    }
}

/* The first URL's slash at the end is not doubled. */
static bool url_join(char url[static URL_SIZE], const char *base, const char *path)
{
    size_t size = strlen(base);
    int printed = 0;

    while (size > 0 && base[size - 1] == '/') {
        size--;
    }
    printed = snprintf(url, URL_SIZE, "%.*s%s", (int)size, base, path);
    return printed > 0 && (size_t)printed < URL_SIZE;
}

/* One try. @return whether it answered; registry->why says why not. */
static bool ask(struct nw_registry *registry, const char *base, const char *path, const char *body)
{
    char url[URL_SIZE];
    CURLcode code = CURLE_OK;

    registry->answer.used = 0;
    registry->answer.failed = false;
    registry->code = 0;
    registry->why[0] = '\0';
    if (!url_join(url, base, path)) {
        (void)snprintf(registry->why, sizeof registry->why, "the address is too long");
        return false;
    }
    code = curl_easy_setopt(registry->curl, CURLOPT_URL, url);
    code = code           ? code
           : body == NULL ? curl_easy_setopt(registry->curl, CURLOPT_HTTPGET, 1L)
                          : curl_easy_setopt(registry->curl, CURLOPT_POSTFIELDS, body);
    code = code ? code : curl_easy_perform(registry->curl);
    code = code ? code : curl_easy_getinfo(registry->curl, CURLINFO_RESPONSE_CODE, &registry->code);
    if (code != CURLE_OK) {
        if (registry->why[0] == '\0') {
            (void)snprintf(registry->why, sizeof registry->why, "%s", curl_easy_strerror(code));
        }
        return false;
    }
    nw_out_bytes(&registry->answer, "", 1);
    if (registry->answer.failed) {
        (void)snprintf(registry->why, sizeof registry->why, "out of memory for its answer");
        return false;
    }
    if (registry->code >= 500 || registry->code == 429 || registry->code == 408) {
        (void)snprintf(registry->why, sizeof registry->why, "HTTP %ld", registry->code);
        return false;
    }
    return true;
}

nw_status nw_registry_ask(struct nw_registry *registry, const char *path, const char *body,
                          struct nw_error *err)
{
    const char *const *urls = registry->options->urls;
    size_t count = 0;

    while (urls[count] != NULL) {
        count++;
    }
    for (size_t i = 0; i < count; i++) {
        size_t at = (registry->url + i) % count;

        if (ask(registry, urls[at], path, body)) {
            registry->url = at;
            return NW_OK;
        }
        (void)nw_fail(err, NW_RETRY, "NW2721 %s: the schema registry %s does not answer: %s%s",
                      registry->options->sink, urls[at], registry->why,
                      count > 1 ? " (the last of several that were tried)" : "");
    }
    return NW_RETRY;
}
