/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a sink may go on at a server, from where, and what it needs a copy of. Pure. */
#include "pipeline/adopt.h"

static struct nw_adopt_decision of(enum nw_adopt_verdict verdict, enum nw_adopt_copies copies)
{
    return (struct nw_adopt_decision){.verdict = verdict, .copies = copies};
}

/* To the slot, though it is not known what was committed between. */
static struct nw_adopt_decision past_a_gap(const struct nw_adopt_facts *facts,
                                           enum nw_adopt_verdict refusal)
{
    if (facts->nothing_written) {
        return (struct nw_adopt_decision){NW_ADOPT_MOVES, NW_ADOPT_NONE, true};
    }
    return facts->copies ? of(NW_ADOPT_MOVES, NW_ADOPT_ALL) : of(refusal, NW_ADOPT_NONE);
}

static bool is_proved(const struct nw_adopt_facts *facts)
{
    return facts->proved && facts->lsn >= facts->handover_lsn;
}

static struct nw_adopt_decision same(const struct nw_adopt_facts *facts)
{
    if (facts->slot_found && facts->slot_lsn <= facts->lsn) {
        return of(NW_ADOPT_STAYS, NW_ADOPT_NONE);
    }
    return is_proved(facts) ? of(NW_ADOPT_MOVES, NW_ADOPT_NONE) : past_a_gap(facts, NW_ADOPT_GAP);
}

/* pg_upgrade brings a slot along only when nothing was left to be read from it; that it did so, and
 * nobody made the slot, only the user can say. */
static struct nw_adopt_decision upgraded(const struct nw_adopt_facts *facts)
{
    if (facts->slot_found && facts->slot_lsn <= facts->lsn) {
        return of(NW_ADOPT_SLOT_OLDER, NW_ADOPT_NONE);
    }
    if (is_proved(facts)) {
        return of(NW_ADOPT_MOVES, NW_ADOPT_NONE);
    }
    return facts->slot_found && facts->upgraded
               ? (struct nw_adopt_decision){NW_ADOPT_MOVES, NW_ADOPT_NONE, true}
               : past_a_gap(facts, NW_ADOPT_GAP);
}

uint64_t nw_adopt_common_lsn(const struct nw_adopt_facts *facts)
{
    return facts->lsn < facts->fork_lsn ? facts->lsn : facts->fork_lsn;
}

/* What the sink has beyond the fork has to go: its tables are copied anew. It may be of some tables
 * only, and lack of others what came before the fork. */
static struct nw_adopt_decision ahead(const struct nw_adopt_facts *facts)
{
    bool has_slot = facts->slot_found && facts->slot_lsn <= nw_adopt_common_lsn(facts);
    enum nw_adopt_copies copies = facts->extras_known ? NW_ADOPT_TOUCHED : NW_ADOPT_ALL;

    if (!facts->copies) {
        return of(NW_ADOPT_EXTRA, NW_ADOPT_NONE);
    }
    if (has_slot) {
        return of(NW_ADOPT_GOES_BACK, copies);
    }
    return facts->nothing_written && facts->lsn >= facts->fork_lsn
               ? (struct nw_adopt_decision){NW_ADOPT_MOVES, copies, true}
               : of(NW_ADOPT_MOVES, NW_ADOPT_ALL);
}

struct nw_adopt_decision nw_adopt_decide(const struct nw_adopt_facts *facts)
{
    switch (facts->relation) {
    case NW_ADOPT_SAME:
        return same(facts);
    case NW_ADOPT_UPGRADED:
        return upgraded(facts);
    case NW_ADOPT_AHEAD:
        return ahead(facts);
    case NW_ADOPT_APART:
        return facts->copies ? of(NW_ADOPT_MOVES, NW_ADOPT_ALL) : of(NW_ADOPT_EXTRA, NW_ADOPT_NONE);
    case NW_ADOPT_OTHER:
        break;
    }
    return of(NW_ADOPT_STRANGER, NW_ADOPT_NONE);
}
