/* SPDX-License-Identifier: Apache-2.0 */
/* The envelope around a source's position; its format is in position.h. */
#include "sink/position.h"

#include <string.h>

#include "base/cursor.h"

#define ENVELOPE_VERSION 1u

_Static_assert(NW_POSITION_COMMIT_SIZE == 1 + 8 + 8, "version, opening and commit are before");

nw_status nw_envelope_write(const struct nw_envelope_content *content, struct nw_envelope *envelope,
                            struct nw_error *err)
{
    const struct nw_position *position = &content->position;

    if (position->size > NW_POSITION_SIZE_MAX - NW_ENVELOPE_SIZE) {
        return nw_fail(err, NW_FATAL, "NW2903 the source's position has %u bytes, at most %u fit",
                       position->size, NW_POSITION_SIZE_MAX - NW_ENVELOPE_SIZE);
    }
    envelope->bytes[0] = ENVELOPE_VERSION;
    memcpy(envelope->bytes + 1, &content->opening, 8);
    memcpy(envelope->bytes + 9, &content->commit, 8);
    memcpy(envelope->bytes + NW_POSITION_COMMIT_SIZE, &position->lsn, 8);
    if (position->size > 0) {
        memcpy(envelope->bytes + NW_ENVELOPE_SIZE, position->bytes, position->size);
    }
    envelope->size = NW_ENVELOPE_SIZE + position->size;
    return NW_OK;
}

nw_status nw_envelope_read(const struct nw_position *stored, struct nw_envelope_content *content,
                           struct nw_error *err)
{
    struct nw_cursor cursor = nw_cursor_of(stored->bytes, stored->size);
    uint8_t version = nw_cursor_u8(&cursor);

    memset(content, 0, sizeof *content);
    content->opening = nw_cursor_u64le(&cursor);
    content->commit = nw_cursor_u64le(&cursor);
    content->position.lsn = nw_cursor_u64le(&cursor);
    content->position.size = (uint32_t)cursor.left;
    content->position.bytes = cursor.at;
    if (cursor.failed || version != ENVELOPE_VERSION || stored->size > NW_POSITION_SIZE_MAX) {
        return nw_fail(
            err, NW_FATAL,
            "NW2408 the sink gave back a position that this narwal did not write (%u bytes, "
            "version %u): it holds the data of something else, or of a newer narwal",
            stored->size, version);
    }
    return NW_OK;
}
