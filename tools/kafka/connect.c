/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration of a connector, asked of Connect by libcurl. One thread. */
#include "kafka/connect.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>

#include "cli/command.h"

#define ANSWER_MAX      (1u << 20)
#define TIMEOUT_SECONDS 30L

struct answer {
    char *text;
    size_t size;
};

static size_t take(char *bytes, size_t one, size_t count, void *context)
{
    struct answer *answer = context;
    size_t size = one * count;

    if (size > ANSWER_MAX - answer->size) {
        return 0;
    }
    memcpy(answer->text + answer->size, bytes, size);
    answer->size += size;
    return size;
}

static CURLcode ask(CURL *curl, const char *url, struct answer *answer)
{
    (void)curl_easy_setopt(curl, CURLOPT_URL, url);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEDATA, answer);
    (void)curl_easy_setopt(curl, CURLOPT_FAILONERROR, 1L);
    (void)curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(curl, CURLOPT_TIMEOUT, TIMEOUT_SECONDS);
    return curl_easy_perform(curl);
}

int nw_connect_import(const struct nw_import_debezium *request)
{
    struct answer answer = {.text = malloc(ANSWER_MAX)};
    CURL *curl = NULL;
    CURLcode result = CURLE_OUT_OF_MEMORY;
    int code = NW_EXIT_FAILED;

    (void)curl_global_init(CURL_GLOBAL_DEFAULT);
    curl = curl_easy_init();
    if (curl != NULL && answer.text != NULL) {
        result = ask(curl, request->from, &answer);
    }
    if (result == CURLE_OK) {
        code = nw_import_debezium(request, answer.text, answer.size);
    } else {
        nw_complain("NW1552 Connect does not answer: %s", curl_easy_strerror(result));
    }
    curl_easy_cleanup(curl);
    curl_global_cleanup();
    free(answer.text);
    return code;
}
