/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A reader of JSON (RFC 8259) from untrusted bytes, without building a tree: the caller asks for
 * what it expects. The first thing that is not as asked latches `failed`; from then on nothing is
 * consumed and everything reads as zero, so that a caller may look once at the end.
 *
 *   bool first = true;
 *   nw_scan_enter(&scan, '{');
 *   while (nw_scan_key(&scan, &first, key, sizeof key)) {
 *       if (strcmp(key, "size") == 0) size = nw_scan_u64(&scan); else nw_scan_skip(&scan);
 *   }
 *
 * Owned by whoever reads; borrows the bytes.
 */
#ifndef NW_SINKS_LIB_SCAN_H
#define NW_SINKS_LIB_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct nw_scan {
    const uint8_t *at;
    size_t left;
    bool failed;
};

static inline struct nw_scan nw_scan_of(const void *bytes, size_t size)
{
    return (struct nw_scan){.at = (const uint8_t *)bytes, .left = size};
}

/** Consume a { or [. */
void nw_scan_enter(struct nw_scan *scan, char opening);
/** The next key of an object into `key` (cut off at its size), or false behind the }. */
bool nw_scan_key(struct nw_scan *scan, bool *first, char *key, size_t key_size);
/** Whether an array has another item; false behind the ]. */
bool nw_scan_item(struct nw_scan *scan, bool *first);
uint64_t nw_scan_u64(struct nw_scan *scan);
bool nw_scan_bool(struct nw_scan *scan);
/**
 * A string, unescaped, into `text`, which gets a NUL. \udc80..\udcff give the bytes 80..ff, see
 * nw_json_name(). @return its size; latches when it does not fit.
 */
size_t nw_scan_text(struct nw_scan *scan, char *text, size_t text_size);
/** A string that holds an LSN: "16/B374D848". */
uint64_t nw_scan_lsn(struct nw_scan *scan);
/** A string of hexadecimal digits into bytes. @return their count; latches when too many. */
size_t nw_scan_hex(struct nw_scan *scan, uint8_t *bytes, size_t bytes_max);
/** Any value, checked to be well-formed JSON and UTF-8, at most 64 levels deep. */
void nw_scan_skip(struct nw_scan *scan);
/** Whether everything was consumed (but for white space) and nothing failed. */
bool nw_scan_done(struct nw_scan *scan);

#endif
