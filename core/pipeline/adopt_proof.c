/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What proves that nothing was committed between a hand-over and now.
 *
 * On the same system, promoted or not: that the next transaction id is still the same. Recovery
 * takes it from the WAL, so it goes along with a standby.
 *
 * After pg_upgrade: that program says of the new cluster's catalogs that they were frozen at the
 * next transaction id of the old one's last checkpoint (set_frozenxids() of pg_upgrade.c, 14 to
 * 18), and gives tables of users their former values. So if most catalogs have that of the
 * hand-over, nothing was written in the old cluster since. The restored schema takes ids, so for
 * the new one it is the counters of written rows, which begin at 0 with a new cluster.
 */
#include <inttypes.h>

#include "pg/lsn.h"
#include "pipeline/adopt.h"

#define CATALOGS_LEAST 40u /* of about a hundred; a vacuum in between freezes some anew */

static const char frozen_sql[] =
    "SELECT pg_catalog.count(*) FROM pg_catalog.pg_class WHERE oid < 16384 AND relkind IN ('r', "
    "'t') AND relfrozenxid::text::bigint = $1::bigint & 4294967295";

static const char written_sql[] =
    "SELECT pg_catalog.count(*), pg_catalog.min(schemaname || '.' || relname) FROM "
    "pg_catalog.pg_stat_user_tables WHERE n_tup_ins + n_tup_upd + n_tup_del > 0";

/* Whether some sink has the data of this system. */
static bool is_of(const struct nw_adopt *adopt, uint64_t system_identifier)
{
    for (uint32_t i = 0; i < adopt->options->sinks_count; i++) {
        if (adopt->sinks[i].lsn != 0 &&
            adopt->sinks[i].stored.system_identifier == system_identifier) {
            return true;
        }
    }
    return false;
}

static nw_status frozen_look(struct nw_adopt *adopt, struct nw_error *err)
{
    char xid[24];
    const char *parameter = xid;
    struct nw_rows *rows = NULL;
    nw_status status = NW_OK;

    (void)snprintf(xid, sizeof xid, "%" PRIu64, adopt->wishes.handover.xid);
    status = nw_session_query(adopt->server.control, frozen_sql, &parameter, 1, NULL, &rows, err);
    adopt->frozen = status == NW_OK && nw_rows_u64(rows, 0, 0) >= CATALOGS_LEAST;
    nw_rows_free(rows);
    return status;
}

/* After pg_upgrade. */
static nw_status upgrade_prove(struct nw_adopt *adopt, struct nw_error *err)
{
    struct nw_rows *rows = NULL;
    nw_status status = frozen_look(adopt, err);

    if (status != NW_OK || !adopt->frozen) {
        nw_adopt_say(adopt, NW_ADOPT_WARN,
                     "NW2342 the catalogs of this server were not frozen at transaction %" PRIu64
                     " of the hand-over: something was written after it, or it was not made of "
                     "that server by pg_upgrade, or they were vacuumed since",
                     adopt->wishes.handover.xid);
        return status;
    }
    status = nw_session_query(adopt->server.control, written_sql, NULL, 0, NULL, &rows, err);
    adopt->proved = status == NW_OK && nw_rows_u64(rows, 0, 0) == 0;
    if (adopt->proved) {
        nw_adopt_say(adopt, NW_ADOPT_OK,
                     "made by pg_upgrade of the server of the hand-over, as it was then "
                     "(transaction %" PRIu64 "), and no row was written here since",
                     adopt->wishes.handover.xid);
    } else if (status == NW_OK) {
        nw_adopt_say(adopt, NW_ADOPT_WARN,
                     "NW2342 made by pg_upgrade of the server of the hand-over, as it was then, "
                     "and rows of %s tables were written here since, %s among them",
                     nw_rows_text(rows, 0, 0), nw_rows_text(rows, 0, 1));
    }
    nw_rows_free(rows);
    return status;
}

static nw_status xid_prove(struct nw_adopt *adopt, struct nw_error *err)
{
    const struct nw_handover *handover = &adopt->wishes.handover;
    struct nw_error why = {0};
    char lsn[NW_LSN_TEXT_SIZE];
    uint64_t xid = 0;
    bool quiet = false;
    nw_status status =
        nw_server_history_check(&adopt->server, handover->timeline, handover->lsn, &why);

    if (status != NW_OK) {
        nw_adopt_say(adopt, NW_ADOPT_WARN,
                     "NW2342 the hand-over at %s of timeline %" PRIu32
                     " is not in this server's history",
                     nw_lsn_text(lsn, handover->lsn), handover->timeline);
        return status == NW_RETRY ? nw_fail(err, NW_RETRY, "%s", why.text) : NW_OK;
    }
    status = nw_handover_xid(adopt->server.control, &xid, &quiet, err);
    adopt->proved = status == NW_OK && xid == handover->xid;
    if (adopt->proved) {
        nw_adopt_say(adopt, NW_ADOPT_OK,
                     "nothing was committed since the hand-over at %s: the next transaction is "
                     "still %" PRIu64,
                     nw_lsn_text(lsn, handover->lsn), xid);
    } else if (status == NW_OK) {
        nw_adopt_say(adopt, NW_ADOPT_WARN,
                     "NW2342 the next transaction was %" PRIu64 " at the hand-over, and is %" PRIu64
                     " here: %s",
                     handover->xid, xid,
                     xid > handover->xid ? "something was written since, by autovacuum at least"
                                         : "the server does not have all that the former one had");
    }
    return status;
}

nw_status nw_adopt_prove(struct nw_adopt *adopt, struct nw_error *err)
{
    const struct nw_handover *handover = &adopt->wishes.handover;

    adopt->proved = false;
    adopt->frozen = false;
    if (!handover->known) {
        return NW_OK;
    }
    if (handover->system_identifier == adopt->server.identity.system_identifier) {
        return xid_prove(adopt, err);
    }
    if (!is_of(adopt, handover->system_identifier)) {
        nw_adopt_say(adopt, NW_ADOPT_WARN,
                     "NW2342 the hand-over is of system %" PRIu64
                     ", which is neither this server nor the one that the sinks followed",
                     handover->system_identifier);
        return NW_OK;
    }
    return upgrade_prove(adopt, err);
}
