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
 * the new one it is the counters of written rows, which begin at 0 with a new cluster. They count
 * for something only while they go back to that beginning: a crash of the server discards them, and
 * with them that pg_class was given a row for every relation of the restored schema. What is not
 * counted, TRUNCATE and all that rewrites a table, gives it an age of the new cluster.
 */
#include <inttypes.h>

#include "pg/lsn.h"
#include "pipeline/adopt.h"

#define CATALOGS_LEAST 40u /* of about a hundred; a vacuum in between freezes some anew */

static const char frozen_sql[] =
    "SELECT pg_catalog.count(*) FROM pg_catalog.pg_class WHERE oid < 16384 AND relkind IN ('r', "
    "'t') AND relfrozenxid::text::bigint = $1::bigint & 4294967295";

/* What speaks against the counters, or is in them; NULL: nothing. */
static const char written_sql[] =
    "WITH written AS (SELECT pg_catalog.count(*) AS tables, "
    "pg_catalog.min(schemaname || '.' || relname) AS one FROM pg_catalog.pg_stat_user_tables "
    "WHERE n_tup_ins + n_tup_upd + n_tup_del > 0), "
    "renewed AS (SELECT pg_catalog.count(*) AS tables, pg_catalog.min(oid::regclass::text) AS one "
    "FROM pg_catalog.pg_class WHERE oid >= 16384 AND relkind IN ('r', 'm') AND "
    "(relfrozenxid::text::bigint - $1::bigint) & 4294967295 BETWEEN 1 AND 2147483647) "
    "SELECT CASE WHEN pg_catalog.current_setting('track_counts') <> 'on' "
    "THEN 'track_counts is off here: whether rows were written is not known' "
    "WHEN d.stats_reset IS NOT NULL OR (SELECT n_tup_ins FROM pg_catalog.pg_stat_sys_tables WHERE "
    "relid = 'pg_catalog.pg_class'::regclass) < (SELECT pg_catalog.count(*) FROM "
    "pg_catalog.pg_class WHERE oid >= 16384) THEN 'the counters of written rows were reset "
    "since, by a crash of the server or by hand: whether rows were written is not known' "
    "WHEN w.tables > 0 THEN 'rows of ' || w.tables || ' tables were written here since, ' || w.one "
    "|| ' among them' "
    "WHEN r.tables > 0 THEN r.tables || ' tables were truncated, rewritten, made or vacuumed here "
    "since, ' || r.one || ' among them' END "
    "FROM written w, renewed r, pg_catalog.pg_stat_database d WHERE d.datname = "
    "pg_catalog.current_database()";

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

/* A question about the transaction of the hand-over. */
static nw_status xid_query(struct nw_adopt *adopt, const char *sql, struct nw_rows **rows,
                           struct nw_error *err)
{
    char xid[24];
    const char *parameter = xid;

    (void)snprintf(xid, sizeof xid, "%" PRIu64, adopt->wishes.handover.xid);
    return nw_session_query(adopt->server.control, sql, &parameter, 1, NULL, rows, err);
}

static nw_status frozen_look(struct nw_adopt *adopt, struct nw_error *err)
{
    struct nw_rows *rows = NULL;
    nw_status status = xid_query(adopt, frozen_sql, &rows, err);

    adopt->frozen = status == NW_OK && nw_rows_u64(rows, 0, 0) >= CATALOGS_LEAST;
    nw_rows_free(rows);
    return status;
}

/* After pg_upgrade. */
static nw_status upgrade_prove(struct nw_adopt *adopt, struct nw_error *err)
{
    struct nw_rows *rows = NULL;
    const char *against = NULL;
    nw_status status = frozen_look(adopt, err);

    if (status != NW_OK || !adopt->frozen) {
        nw_adopt_say(adopt, NW_ADOPT_WARN,
                     "NW2342 the catalogs of this server were not frozen at transaction %" PRIu64
                     " of the hand-over: something was written after it, or it was not made of "
                     "that server by pg_upgrade, or they were vacuumed since",
                     adopt->wishes.handover.xid);
        return status;
    }
    status = xid_query(adopt, written_sql, &rows, err);
    against = status == NW_OK ? nw_rows_text(rows, 0, 0) : NULL;
    adopt->proved = status == NW_OK && against == NULL;
    if (adopt->proved) {
        nw_adopt_say(adopt, NW_ADOPT_OK,
                     "made by pg_upgrade of the server of the hand-over, as it was then "
                     "(transaction %" PRIu64 "), and no row was written here since",
                     adopt->wishes.handover.xid);
    } else if (status == NW_OK) {
        nw_adopt_say(adopt, NW_ADOPT_WARN,
                     "NW2342 made by pg_upgrade of the server of the hand-over, as it was then, "
                     "and %s",
                     against);
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
