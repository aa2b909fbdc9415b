/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Regular expressions over names, as Kafka Connect's routers have them: one of Java's that has to
 * match a whole name, and what the name becomes, with $1 or ${name} for what groups have matched.
 *
 * Java's are translated into POSIX's extended ones, which libc compiles. Taken are characters, `.`,
 * [classes], \d \w \s and their opposites, groups, also (?:...) and (?<name>...), | ^ $ and the
 * quantifiers * + ? {n,m}. Refused is what POSIX cannot say: lazy and possessive quantifiers, looks
 * ahead and behind, flags, \1, \b, classes inside of classes. Immutable once made: any thread.
 */
#ifndef NW_SINKS_LIB_REGEX_H
#define NW_SINKS_LIB_REGEX_H

#include <stddef.h>

#include <narwal/status.h>

struct nw_regex;

enum nw_regex_result {
    NW_REGEX_OTHER, /**< it does not match */
    NW_REGEX_REPLACED,
    NW_REGEX_TOO_LONG, /**< the new name has no room */
};

/**
 * @param replacement  NULL: none is wanted
 * @param why          filled on failure: what is not taken; one line
 * @return NULL: it is not taken, or memory ran out
 */
struct nw_regex *nw_regex_create(const char *regex, const char *replacement, char *why,
                                 size_t why_size);
/** The same without a replacement, and capitals are as small letters (of ASCII). */
struct nw_regex *nw_regex_create_folded(const char *regex, char *why, size_t why_size);
void nw_regex_destroy(struct nw_regex *regex); /* NULL is fine */

/** @param to  filled where it matches; NUL-terminated */
enum nw_regex_result nw_regex_replace(const struct nw_regex *regex, const char *name, char *to,
                                      size_t to_size);

#endif
