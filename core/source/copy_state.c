/* SPDX-License-Identifier: Apache-2.0 */
/* See copy_state.h. Pure functions. */
#include "source/copy_state.h"

#include <string.h>

#include "base/assert.h"
#include "base/writer.h"

#define VERSION 3u

/* ---- ranges ---- */

static bool is_before(const struct nw_copy_range *a, const struct nw_copy_range *b)
{
    return a->relation_oid != b->relation_oid ? a->relation_oid < b->relation_oid
                                              : a->first_page < b->first_page;
}

/* Where a range belongs: behind all that begin before it. */
static uint16_t place_of(const struct nw_copy_progress *progress, const struct nw_copy_range *range)
{
    uint16_t at = 0;

    while (at < progress->ranges_count && is_before(&progress->ranges[at], range)) {
        at++;
    }
    return at;
}

static bool adjoin(const struct nw_copy_range *left, const struct nw_copy_range *right)
{
    return left->relation_oid == right->relation_oid && left->end_page >= right->first_page;
}

static void range_remove(struct nw_copy_progress *progress, uint16_t at)
{
    progress->ranges_count--;
    memmove(&progress->ranges[at], &progress->ranges[at + 1],
            (size_t)(progress->ranges_count - at) * sizeof progress->ranges[0]);
}

/* Takes the range at this place and those that it reaches into one. */
static void ranges_merge(struct nw_copy_progress *progress, uint16_t at)
{
    struct nw_copy_range *range = &progress->ranges[at];

    while (at + 1 < progress->ranges_count && adjoin(range, range + 1)) {
        range->end_page = range[1].end_page > range->end_page ? range[1].end_page : range->end_page;
        range_remove(progress, (uint16_t)(at + 1));
    }
}

void nw_copy_progress_add(struct nw_copy_progress *progress, const struct nw_copy_range *range)
{
    uint16_t at = place_of(progress, range);

    progress->chunks_done++;
    if (at > 0 && adjoin(&progress->ranges[at - 1], range)) {
        struct nw_copy_range *left = &progress->ranges[at - 1];

        left->end_page = range->end_page > left->end_page ? range->end_page : left->end_page;
        ranges_merge(progress, (uint16_t)(at - 1));
        return;
    }
    if (at < progress->ranges_count && adjoin(range, &progress->ranges[at])) {
        struct nw_copy_range *right = &progress->ranges[at];

        right->first_page = range->first_page;
        right->end_page = range->end_page > right->end_page ? range->end_page : right->end_page;
        ranges_merge(progress, at);
        return;
    }
    if (progress->ranges_count == NW_COPY_RANGES_MAX) {
        return;
    }
    memmove(&progress->ranges[at + 1], &progress->ranges[at],
            (size_t)(progress->ranges_count - at) * sizeof *range);
    progress->ranges[at] = *range;
    progress->ranges_count++;
}

bool nw_copy_progress_at(const struct nw_copy_progress *progress, uint32_t relation_oid,
                         uint32_t page, uint32_t *end_page)
{
    for (uint16_t i = 0; i < progress->ranges_count; i++) {
        const struct nw_copy_range *range = &progress->ranges[i];

        if (range->relation_oid == relation_oid && range->end_page > page) {
            bool done = range->first_page <= page;

            *end_page = done ? range->end_page : range->first_page;
            return done;
        }
    }
    *end_page = NW_COPY_PAGE_END;
    return false;
}

/* What both ranges have, if anything. */
static bool range_meet(const struct nw_copy_range *a, const struct nw_copy_range *b,
                       struct nw_copy_range *both)
{
    *both = *a;
    both->first_page = a->first_page > b->first_page ? a->first_page : b->first_page;
    both->end_page = a->end_page < b->end_page ? a->end_page : b->end_page;
    return a->relation_oid == b->relation_oid && both->first_page < both->end_page;
}

void nw_copy_progress_meet(struct nw_copy_progress *progress, const struct nw_copy_progress *other)
{
    struct nw_copy_progress met = {.origin = progress->origin};
    struct nw_copy_range both;

    for (uint16_t i = 0; i < progress->ranges_count; i++) {
        for (uint16_t k = 0; k < other->ranges_count; k++) {
            if (range_meet(&progress->ranges[i], &other->ranges[k], &both)) {
                nw_copy_progress_add(&met, &both);
            }
        }
    }
    *progress = met;
}

/* ---- bytes ---- */

uint32_t nw_copy_pack(const struct nw_copy_progress *progress, uint8_t *bytes)
{
    struct nw_writer writer = {.bytes = bytes};

    nw_writer_put(&writer, (const uint8_t[]){VERSION, 'C'}, 2);
    nw_writer_put(&writer, &progress->origin.fence_lsn, 8);
    nw_writer_put(&writer, (const uint8_t[]){progress->complete ? 1 : 0}, 1);
    nw_writer_put(&writer, &progress->origin.xmin, 8);
    nw_writer_put(&writer, &progress->origin.hash, 8);
    nw_writer_put(&writer, &progress->chunks_count, 4);
    nw_writer_put(&writer, &progress->chunks_done, 4);
    nw_writer_put(&writer, &progress->ranges_count, 2);
    NW_ASSERT(writer.size == NW_COPY_HEAD_BYTES);
    for (uint16_t i = 0; i < progress->ranges_count; i++) {
        nw_writer_put(&writer, &progress->ranges[i].relation_oid, 4);
        nw_writer_put(&writer, &progress->ranges[i].first_page, 4);
        nw_writer_put(&writer, &progress->ranges[i].end_page, 4);
    }
    return writer.size;
}

static void ranges_take(struct nw_cursor *cursor, struct nw_copy_progress *progress)
{
    progress->chunks_count = nw_cursor_u32le(cursor);
    progress->chunks_done = nw_cursor_u32le(cursor);
    progress->ranges_count = nw_cursor_u16le(cursor);
    if (progress->ranges_count > NW_COPY_RANGES_MAX) {
        cursor->failed = true;
        return;
    }
    for (uint16_t i = 0; i < progress->ranges_count && !cursor->failed; i++) {
        progress->ranges[i].relation_oid = nw_cursor_u32le(cursor);
        progress->ranges[i].first_page = nw_cursor_u32le(cursor);
        progress->ranges[i].end_page = nw_cursor_u32le(cursor);
    }
}

nw_status nw_copy_unpack(struct nw_bytes bytes, struct nw_copy_progress *progress,
                         struct nw_error *err)
{
    struct nw_cursor cursor = nw_cursor_of(bytes.at, bytes.size);
    uint8_t version = nw_cursor_u8(&cursor);
    uint8_t kind = nw_cursor_u8(&cursor);

    memset(progress, 0, sizeof *progress);
    if (!cursor.failed && version > VERSION) {
        return nw_fail(
            err, NW_FATAL,
            "NW2408 the sink gave back a copy state of format %u, written by a newer narwal: "
            "upgrade narwal",
            version);
    }
    progress->origin.fence_lsn = nw_cursor_u64le(&cursor);
    progress->complete = nw_cursor_u8(&cursor) != 0;
    if (version >= 3) {
        progress->origin.xmin = nw_cursor_u64le(&cursor);
        progress->origin.hash = nw_cursor_u64le(&cursor);
    }
    if (version >= 2) {
        ranges_take(&cursor, progress);
    }
    if (!nw_cursor_done(&cursor) || version == 0 || kind != 'C') {
        return nw_fail(err, NW_CORRUPT, "the sink gave back a damaged copy state (%zu bytes)",
                       bytes.size);
    }
    return NW_OK;
}
