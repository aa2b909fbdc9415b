/* SPDX-License-Identifier: Apache-2.0 */
/* Values of real servers, each in text and in binary: vectors/values-pg*.txt, which
 * vectors/make_values.py makes and describes. */
#ifndef NW_TESTS_VECTORS_KIT_H
#define NW_TESTS_VECTORS_KIT_H

#include <stdio.h>

#include "decode_blocks.h"

#define VECTOR_SIZE 131072

static const char *const vector_labels[] = {"sad", NULL};
static const char *const *const vector_items[] = {vector_labels, vector_labels};

struct vector {
    char name[64];
    struct nw_column_schema columns[2]; /* the same twice: text, binary */
    struct nw_table table;
    uint8_t text[VECTOR_SIZE], binary[VECTOR_SIZE];
    size_t text_size, binary_size;
};

static inline size_t vector_unhex(const char *hex, uint8_t *to)
{
    size_t size = strlen(hex) / 2;

    for (size_t i = 0; i < size; i++) {
        char digits[3] = {hex[2 * i], hex[2 * i + 1], '\0'};

        to[i] = (uint8_t)strtoul(digits, NULL, 16);
    }
    return size;
}

static inline void vector_parse(char *line, struct vector *vector)
{
    char *rest = line;
    const char *name = strsep(&rest, " ");
    uint32_t oid = (uint32_t)strtoul(strsep(&rest, " "), NULL, 10);
    int32_t typmod = (int32_t)strtol(strsep(&rest, " "), NULL, 10);

    (void)snprintf(vector->name, sizeof vector->name, "%s", name);
    vector->text_size = vector_unhex(strsep(&rest, " "), vector->text);
    vector->binary_size = vector_unhex(rest, vector->binary);
    for (int i = 0; i < 2; i++) {
        vector->columns[i] = column_make(i == 0 ? "text" : "binary", oid, typmod);
        vector->columns[i].type_name = vector->name;
        vector->columns[i].enum_labels = oid == 16384 ? vector_labels : NULL;
    }
    vector->table = table_make(vector->columns, 2);
    vector->table.item_labels = oid == 16385 ? vector_items : NULL;
}

/* Calls `check` for each value of a file. @return how many there were */
static inline int vectors_read(const char *name, void (*check)(const struct vector *vector))
{
    static struct vector vector;
    static char line[2 * VECTOR_SIZE];
    char path[256];
    FILE *file;
    int count = 0;

    (void)snprintf(path, sizeof path, "%s/%s", NARWAL_SOURCE_DIR "/tests/unit/vectors", name);
    file = fopen(path, "r");
    assert_non_null(file);
    while (fgets(line, sizeof line, file) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        if (line[0] != '#') {
            vector_parse(line, &vector);
            check(&vector);
            count++;
        }
    }
    (void)fclose(file);
    return count;
}

#endif
