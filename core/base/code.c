/* SPDX-License-Identifier: Apache-2.0 */
/* See code.h. */
#include "base/code.h"

#include <ctype.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

static bool is_code(const char *at)
{
    if (strncmp(at, "NW", 2) != 0) {
        return false;
    }
    for (int i = 2; i < NW_CODE_LENGTH; i++) {
        if (!isdigit((unsigned char)at[i])) {
            return false;
        }
    }
    return at[NW_CODE_LENGTH] == ' ' || at[NW_CODE_LENGTH] == '\0';
}

/* @return what is behind ":123", or NULL */
static const char *number_skip(const char *at)
{
    if (*at != ':' || !isdigit((unsigned char)at[1])) {
        return NULL;
    }
    for (at++; isdigit((unsigned char)*at); at++) {
    }
    return at;
}

/* @return what is behind "FILE:LINE:COLUMN: ", or NULL */
static const char *place_skip(const char *text)
{
    for (const char *at = strchr(text, ':'); at != NULL; at = strchr(at + 1, ':')) {
        const char *behind = number_skip(at);

        behind = behind == NULL ? NULL : number_skip(behind);
        if (behind != NULL && strncmp(behind, ": ", 2) == 0) {
            return behind + 2;
        }
    }
    return NULL;
}

const char *nw_code_find(const char *text)
{
    const char *behind = NULL;

    if (is_code(text)) {
        return text;
    }
    behind = place_skip(text);
    return behind != NULL && is_code(behind) ? behind : NULL;
}

const char *nw_code_or(const char *text, const char *fallback)
{
    const char *code = nw_code_find(text);

    return code != NULL ? code : fallback;
}

const char *nw_code_rest(const char *text)
{
    if (!is_code(text)) {
        return text;
    }
    text += NW_CODE_LENGTH;
    return *text == ' ' ? text + 1 : text;
}

const char *nw_error_code(const struct nw_error *err)
{
    return nw_code_or(err->text, err->status == NW_CORRUPT ? "NW2902" : "NW2901");
}
