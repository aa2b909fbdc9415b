/* SPDX-License-Identifier: Apache-2.0 */
/* See name.h. */
#include "lib/format/name.h"

#include <string.h>

struct name {
    char *text; /* NW_NAME_SIZE */
    size_t used;
    bool cut;
};

/* How many _ a byte becomes that Kafka does not take: one for each character, as Debezium counts
 * them, by UTF-16's units: of what UTF-8 has in four bytes there are two. */
static size_t replaced(char byte)
{
    unsigned char c = (unsigned char)byte;

    return c >= 0xf0 ? 2 : (c & 0xc0) == 0x80 ? 0 : 1;
}

static void name_add(struct name *name, const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        char c = text[i];
        bool fine = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                    c == '.' || c == '_' || c == '-';
        size_t count = fine ? 1 : replaced(c);

        if (count > NW_NAME_BYTES_MAX - name->used) {
            name->cut = true;
            return;
        }
        memset(name->text + name->used, fine ? c : '_', count);
        name->used += count;
    }
}

bool nw_name_fill(const char *template_, const char *prefix, const struct nw_table *table,
                  char text[static NW_NAME_SIZE])
{
    const struct {
        const char *word;
        const char *value;
    } words[] = {{"{prefix}", prefix}, {"{schema}", table->schema_name}, {"{table}", table->name}};
    struct name name = {.text = text};
    const char *at = template_;

    while (*at != '\0') {
        size_t i = 0;

        while (i < 3 && strncmp(at, words[i].word, strlen(words[i].word)) != 0) {
            i++;
        }
        if (i < 3) {
            name_add(&name, words[i].value, strlen(words[i].value));
            at += strlen(words[i].word);
        } else {
            name_add(&name, at++, 1);
        }
    }
    text[name.used] = '\0';
    return !name.cut && name.used > 0;
}
