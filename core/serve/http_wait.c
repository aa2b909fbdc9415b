/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /wait?lsn=LSN[&sink=NAME][&timeout=SECONDS]: answers when what committed before the LSN is
 * durable there. A request that waits is suspended, and looked at by the server's thread (waits.h).
 */
#include <stdlib.h>
#include <string.h>

#include "pg/lsn.h"
#include "serve/http_private.h"

#define SECONDS_DEFAULT 30
#define SECONDS_MAX     600

static const char *argument(struct MHD_Connection *connection, const char *name)
{
    return MHD_lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND, name);
}

/* @return false: it is none */
static bool seconds_parse(const char *text, long *seconds)
{
    char *end = NULL;

    *seconds = text == NULL ? SECONDS_DEFAULT : strtol(text, &end, 10);
    return text == NULL ||
           (end != text && *end == '\0' && *seconds >= 1 && *seconds <= SECONDS_MAX);
}

static unsigned begin(struct nw_http *http, struct MHD_Connection *connection,
                      struct nw_http_connection *own, char text[static NW_HTTP_WAIT_TEXT])
{
    const char *lsn = argument(connection, "lsn");
    const char *sink = argument(connection, "sink");
    uint32_t index = 0;
    long seconds = 0;

    if (lsn == NULL || !nw_lsn_parse(lsn, &own->wait_lsn)) {
        (void)snprintf(
            text, NW_HTTP_WAIT_TEXT,
            "which LSN? /wait?lsn=3B/11A51C08, and if you like &sink=NAME&timeout=SECONDS");
        return MHD_HTTP_BAD_REQUEST;
    }
    if (!seconds_parse(argument(connection, "timeout"), &seconds)) {
        (void)snprintf(text, NW_HTTP_WAIT_TEXT, "timeout is a number of seconds from 1 to %d",
                       SECONDS_MAX);
        return MHD_HTTP_BAD_REQUEST;
    }
    if (!nw_waits_sink(http->waits, sink, &index)) {
        (void)snprintf(text, NW_HTTP_WAIT_TEXT, "there is no sink %.200s", sink);
        return MHD_HTTP_NOT_FOUND;
    }
    own->wait_place = nw_wait_begin(http->waits, own->wait_lsn, index);
    own->wait_until_ns = nw_http_now_ns() + seconds * 1000000000LL;
    if (own->wait_place < 0) {
        (void)snprintf(text, NW_HTTP_WAIT_TEXT, "too many wait already: ask again");
        return MHD_HTTP_SERVICE_UNAVAILABLE;
    }
    return 0;
}

unsigned nw_http_wait(struct nw_http *http, struct MHD_Connection *connection,
                      struct nw_http_connection *own, char text[static NW_HTTP_WAIT_TEXT])
{
    enum nw_wait_result result = NW_WAIT_NOT_YET;
    char lsn[NW_LSN_TEXT_SIZE];
    unsigned code = own->wait_place < 0 ? begin(http, connection, own, text) : 0;

    if (code != 0) {
        return code;
    }
    result = nw_wait_look(http->waits, own->wait_place);
    if (result == NW_WAIT_NOT_YET && nw_http_now_ns() < own->wait_until_ns) {
        return 0;
    }
    nw_http_wait_end(http, own);
    (void)snprintf(text, NW_HTTP_WAIT_TEXT, "%s%s",
                   result == NW_WAIT_ENDS ? "narwal stops" : nw_lsn_text(lsn, own->wait_lsn),
                   result == NW_WAIT_DURABLE ? " is durable"
                   : result == NW_WAIT_ENDS  ? ""
                                             : " is not durable yet");
    return result == NW_WAIT_DURABLE ? MHD_HTTP_OK
           : result == NW_WAIT_ENDS  ? MHD_HTTP_SERVICE_UNAVAILABLE
                                     : MHD_HTTP_GATEWAY_TIMEOUT;
}

bool nw_http_wait_is_over(struct nw_http *http, const struct nw_http_connection *own,
                          int64_t now_ns)
{
    return now_ns >= own->wait_until_ns ||
           nw_wait_look(http->waits, own->wait_place) != NW_WAIT_NOT_YET;
}

void nw_http_wait_end(struct nw_http *http, struct nw_http_connection *own)
{
    if (own->wait_place >= 0) {
        nw_wait_end(http->waits, own->wait_place);
        own->wait_place = -1;
    }
}
