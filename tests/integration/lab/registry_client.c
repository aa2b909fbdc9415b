/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The registry's client by itself, for test_avro.py:
 *
 *     registry_client URL[,URL...] CA|- SUBJECT SCHEMA [no]
 *
 * prints the schema's id; with "no" nothing is registered. Else the error's text, and exits with
 * its status.
 */
#include <stdio.h>
#include <string.h>

#include "lib/registry/registry.h"

#define URLS_MAX 4

int main(int count, char **words)
{
    const char *urls[URLS_MAX + 1] = {NULL};
    struct nw_registry_options options = {.sink = "test", .urls = urls, .timeout_ms = 20000};
    struct nw_registry *registry = NULL;
    struct nw_error err = {0};
    nw_status status = NW_OK;
    char *rest = NULL;
    uint32_t id = 0;

    if (count < 5) {
        return 64;
    }
    urls[0] = strtok_r(words[1], ",", &rest);
    for (size_t i = 1; i < URLS_MAX && urls[i - 1] != NULL; i++) {
        urls[i] = strtok_r(NULL, ",", &rest);
    }
    options.ca = strcmp(words[2], "-") == 0 ? NULL : words[2];
    options.registers = count == 5;
    status = nw_registry_create(&options, &registry, &err);
    if (status == NW_OK) {
        status = nw_registry_id(registry, words[3], words[4], &id, &err);
    }
    nw_registry_destroy(registry);
    if (status == NW_OK) {
        (void)printf("%u\n", id);
    } else {
        (void)printf("%s\n", err.text);
    }
    return (int)status;
}
