/* SPDX-License-Identifier: Apache-2.0 */
/* What Connect is asked, by libcurl. One thread. */
#include "kafka/connect.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/command.h"
#include "cli/debezium/connect.h"

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

#define REFUSED       3
#define FAILED        4
#define STATUS_GOOD   200L
#define STATUS_GOOD_N 300L
#define STATUS_NOT    400L /* it is not done */
#define STATUS_NOT_N  500L

/* @return the exit code */
static int request_perform(CURL *curl, const char *method, const char *url, const char *body,
                           struct answer *answer)
{
    struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
    CURLcode result = CURLE_OK;
    long status = 0;

    (void)curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
    (void)curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    if (body != NULL) {
        (void)curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
    }
    (void)curl_easy_setopt(curl, CURLOPT_URL, url);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEDATA, answer);
    (void)curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(curl, CURLOPT_TIMEOUT, TIMEOUT_SECONDS);
    result = curl_easy_perform(curl);
    (void)curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    curl_slist_free_all(headers);
    if (result != CURLE_OK) {
        (void)fprintf(stderr, "Connect: %s\n", curl_easy_strerror(result));
        return NW_EXIT_FAILED;
    }
    (void)fwrite(answer->text, 1, answer->size, stdout);
    if (status >= STATUS_GOOD && status < STATUS_GOOD_N) {
        return 0;
    }
    return status >= STATUS_NOT && status < STATUS_NOT_N ? REFUSED : FAILED;
}

int nw_connect_request(int count, char **words)
{
    struct answer answer = {.text = malloc(ANSWER_MAX)};
    const char *url = getenv(NW_CONNECT_VARIABLE);
    CURL *curl = NULL;
    int code = NW_EXIT_FAILED;

    (void)curl_global_init(CURL_GLOBAL_DEFAULT);
    curl = curl_easy_init();
    if (curl != NULL && answer.text != NULL && url != NULL) {
        code = request_perform(curl, words[0], url, count > 1 ? words[1] : NULL, &answer);
    }
    curl_easy_cleanup(curl);
    curl_global_cleanup();
    free(answer.text);
    return code;
}
