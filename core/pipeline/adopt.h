/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Going on at another server: one that was promoted, upgraded or restored in the place of the one
 * that the sinks' positions are of. What is missing is found by comparing sinks, server and slot;
 * then the slot is made where there is none, and every sink is given a position of this server in a
 * commit of its own, so that an ordinary run goes on from there, also from an empty state folder.
 *
 * There is never a silent gap: a position is moved only where it is proved that nothing was
 * committed between, or where the user says so in as many words, or with copies of the tables that
 * may lack something. Those are said to have begun in the same commit, so no crash comes between.
 *
 *   nw_adopt_begin (looks, decides) ─► nw_adopt_finish (does it) ─► nw_adopt_end
 *
 * It can be run again after a crash: sinks that were moved already are as any of this server's.
 * Blocking; on one thread. The pipeline must not run.
 */
#ifndef NW_PIPELINE_ADOPT_H
#define NW_PIPELINE_ADOPT_H

#include "pipeline/claim.h"
#include "pipeline/handover.h"
#include "pipeline/recent.h"
#include "pipeline/run.h"

#define NW_ADOPT_LINES_MAX 64u

/** What the user allows or says. */
struct nw_adopt_wishes {
    struct nw_handover handover; /* of --token, or the state's */
    bool copies;                 /* tables may be copied anew */
    bool nothing_written;        /* the user says so: since what the sinks have, or the fork */
    bool upgraded;               /* the user says that pg_upgrade made this server */
};

/* ---- the decision; pure ---- */

/** How the server is related to a sink's position. */
enum nw_adopt_relation {
    NW_ADOPT_SAME,     /* it has all that the sink has, maybe on a later timeline */
    NW_ADOPT_AHEAD,    /* the sink has more; the server left its history at fork_lsn */
    NW_ADOPT_APART,    /* the sink has more, and where they parted is not known */
    NW_ADOPT_UPGRADED, /* another system, made of the former by pg_upgrade: proved, or said */
    NW_ADOPT_OTHER,    /* another system */
};

struct nw_adopt_facts {
    enum nw_adopt_relation relation;
    uint64_t lsn;          /* what the sink has of all tables */
    uint64_t fork_lsn;     /* with NW_ADOPT_AHEAD */
    bool slot_found;       /* and it can be followed */
    uint64_t slot_lsn;     /* its confirmed position */
    bool proved;           /* nothing was committed between the hand-over and now */
    uint64_t handover_lsn; /* with proved */
    bool extras_known; /* with NW_ADOPT_AHEAD: all transactions that the server lacks are known */
    bool copies, nothing_written, upgraded; /* the user's wishes */
};

enum nw_adopt_verdict {
    NW_ADOPT_STAYS,      /* as it is */
    NW_ADOPT_MOVES,      /* to the slot */
    NW_ADOPT_GOES_BACK,  /* to what both have, from which the slot has everything */
    NW_ADOPT_GAP,        /* refused: something may be missing */
    NW_ADOPT_EXTRA,      /* refused: the server lacks what the sink has */
    NW_ADOPT_STRANGER,   /* refused: another system */
    NW_ADOPT_SLOT_OLDER, /* refused: another system, whose slot is older than the sink */
};
enum nw_adopt_copies { NW_ADOPT_NONE, NW_ADOPT_TOUCHED, NW_ADOPT_ALL };

struct nw_adopt_decision {
    enum nw_adopt_verdict verdict;
    enum nw_adopt_copies copies;
    bool said; /* it rests on the user's word */
};
struct nw_adopt_decision nw_adopt_decide(const struct nw_adopt_facts *facts);
/** Up to where sink and server have everything, with NW_ADOPT_AHEAD. */
uint64_t nw_adopt_common_lsn(const struct nw_adopt_facts *facts);

/* ---- doing it ---- */

enum nw_adopt_level { NW_ADOPT_OK, NW_ADOPT_WARN, NW_ADOPT_FAIL };

/** A line of what was found. */
struct nw_adopt_line {
    enum nw_adopt_level level;
    char text[NW_ERROR_TEXT_SIZE]; /* with its code, unless NW_ADOPT_OK */
};

struct nw_adopt_sink {
    struct nw_sink *sink;
    struct nw_sink_recovered recovered;
    struct nw_identity stored;
    uint64_t lsn;       /* 0: it has no position */
    uint64_t reach_lsn; /* what it has of some tables, beyond that, ends there; at least lsn */
    struct nw_behind_list behind;
    uint64_t fork_lsn; /* where the server left its history; 0: it did not, or is not known */
    uint64_t to_lsn;   /* where it goes; 0: to the slot */
    struct nw_adopt_decision decision;
};

struct nw_adopt {
    const struct nw_run_options *options;
    struct nw_adopt_wishes wishes;
    struct nw_state *state;
    struct nw_state_source source;
    struct nw_tables *table_states;
    struct nw_claim *claim; /* from before the sinks are opened to the end */
    struct nw_detached
        detached; /* sinks that are left out; what can be opened of them moves, too */
    struct nw_server server;
    bool server_open;
    struct nw_adopt_sink sinks[NW_SEQUENCERS_MAX];
    bool slot_found;
    uint64_t slot_lsn;
    bool frozen; /* the catalogs were frozen by pg_upgrade right behind the hand-over */
    bool proved;
    bool makes_slot; /* there is none, and somebody moves */
    bool slot_made;  /* by us: dropped again when it turns out that it may not be used */
    uint32_t moves, refusals;
    enum nw_adopt_copies copies; /* the most that any sink needs */
    struct nw_recent_list recent;
    bool lacks;         /* some sink has more than the server: */
    uint64_t lacks_lsn; /* what committed after this, as far as is known */
    bool lacks_known;   /* and that is all of it */
    bool named;         /* the record is of some of those sinks: */
    uint64_t named_lsn; /* and names what committed after this */
    struct nw_schemas *schemas;
    struct nw_transforms *transforms;
    struct nw_arena arena;
    struct nw_catalog_tables tables;
    struct nw_adopt_line lines[NW_ADOPT_LINES_MAX];
    uint32_t lines_count;
};

/**
 * Look, and decide. Takes the claim on the slot first: sinks are opened, which takes them over from
 * whoever had them.
 * @param options  as of a run
 * @return NW_OK also when it is refused: `refusals` and the lines say so.
 */
NW_MUST_CHECK nw_status nw_adopt_begin(struct nw_adopt *adopt, const struct nw_run_options *options,
                                       const struct nw_adopt_wishes *wishes, struct nw_error *err);
/** Do what was decided. Nothing was refused. */
NW_MUST_CHECK nw_status nw_adopt_finish(struct nw_adopt *adopt, struct nw_error *err);
/** Close everything; also after a failure. @return NW_RETRY when a plugin did not return. */
nw_status nw_adopt_end(struct nw_adopt *adopt, struct nw_error *err);

/** Whether narwal's own state knows of another server, or of this before its promotion: also when
 * it was killed behind the last sink. */
bool nw_adopt_state_lags(const struct nw_adopt *adopt);

/* adopt_extra.c */

/** Whether the record of the latest transactions is of the history that the sink followed. */
bool nw_adopt_record_is_of(const struct nw_adopt *adopt, const struct nw_adopt_sink *sink);
/** Whether all that the sink has beyond its fork is known. */
bool nw_adopt_extras_known(const struct nw_adopt *adopt, const struct nw_adopt_sink *sink);
/** Whether what the sink has of a table may differ from the server, which went on at the fork. */
bool nw_adopt_touched(const struct nw_adopt *adopt, const struct nw_adopt_sink *sink, uint32_t oid);

/* adopt_proof.c */

/** Whether nothing was committed since the hand-over, as far as the server can tell. Says why. */
NW_MUST_CHECK nw_status nw_adopt_prove(struct nw_adopt *adopt, struct nw_error *err);
/** Add a line; one with NW_ADOPT_FAIL counts as a refusal. */
NW_PRINTF(3, 4)
void nw_adopt_say(struct nw_adopt *adopt, enum nw_adopt_level level, const char *format, ...);

#endif
