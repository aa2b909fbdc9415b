/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is kept of a server's messages, so that one can begin in the middle of its stream: whatever
 * the bytes are, what is packed is what was said outside of streams that are not over, and who is
 * told it packs the same.
 *
 * The input: messages, each u16 le size and bytes.
 */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "source/relations.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool fine)
{
    if (!fine) {
        abort();
    }
}

/* Everything is told again. */
static void tell_again(struct nw_bytes packed)
{
    struct nw_cursor cursor = nw_cursor_of(packed.at, packed.size);
    struct nw_relations *relations = NULL;
    struct nw_bytes again = {NULL, 0};
    struct nw_error err = {0};

    check(nw_relations_create(&relations, &err) == NW_OK);
    while (cursor.left > 0) {
        struct nw_bytes message = nw_cursor_bytes(&cursor, nw_cursor_u32le(&cursor));

        check(!cursor.failed && message.size > 0 && message.at != NULL);
        check(message.at[0] == 'R' || message.at[0] == 'M');
        check(nw_relations_take(relations, message, &err) == NW_OK);
    }
    check(nw_relations_rest(relations));
    check(nw_relations_pack(relations, &again, &err) == NW_OK);
    check(again.size == packed.size);
    check(again.size == 0 || memcmp(again.at, packed.at, again.size) == 0);
    nw_relations_destroy(relations);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct nw_cursor cursor = nw_cursor_of(data, size);
    struct nw_relations *relations = NULL;
    struct nw_bytes packed = {NULL, 0};
    struct nw_error err = {0};

    nw_log_setup(2, (enum nw_log_level)0, false);
    check(nw_relations_create(&relations, &err) == NW_OK);
    while (cursor.left >= 2) {
        size_t wanted = nw_cursor_u16le(&cursor);
        struct nw_bytes message =
            nw_cursor_bytes(&cursor, wanted < cursor.left ? wanted : cursor.left);
        nw_status status = nw_relations_take(relations, message, &err);

        check(status == NW_OK || (status == NW_CORRUPT && err.text[0] != '\0'));
        if (status == NW_OK && message.size > 0 && message.at[0] == 'Z') {
            nw_relations_reset(relations);
        }
    }
    check(nw_relations_pack(relations, &packed, &err) == NW_OK);
    check(packed.size <= nw_relations_bytes(relations));
    tell_again(packed);
    nw_relations_destroy(relations);
    return 0;
}
