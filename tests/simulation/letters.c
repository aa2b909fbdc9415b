/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows that a sink refuses and that become dead letters: which ones is theirs to say by, and always
 * the same. What is kept outlives crashes, as on a disk; at each commit what the sink does not have
 * has to be kept, once.
 */
#include "sim.h"
#include "sink/letter.h"

bool sim_letters_refuses(const struct sim_sink *sink, const struct sim_item *item)
{
    return sink->letters.multiples > 0 && item->table != 0 &&
           (item->kind == 'I' || item->kind == 'U' || item->kind == 'D') &&
           (item->commit_lsn * 31 + item->order + item->table) % sink->letters.multiples == 0;
}

static uint32_t kept_count(const struct sim_sink *sink, const struct nw_letter_key *key)
{
    uint32_t count = 0;

    for (size_t i = 0; i < sink->letters.count; i++) {
        count += memcmp(&sink->letters.keys[i], key, sizeof *key) == 0;
    }
    return count;
}

void sim_letters_check(const struct sim_sink *sink, const struct sim_item *item)
{
    const struct nw_letter_key key = {
        .relation_oid = item->table, .commit_lsn = item->commit_lsn, .seq = item->order / 2};

    if (kept_count(sink, &key) != 1) {
        sim_fail(sink->sim,
                 "sink %u: %c of %u at (%" PRIu64 ", %" PRIu64
                 ") was refused, and is kept %u times",
                 sink->index, item->kind, item->table, item->commit_lsn, item->order,
                 kept_count(sink, &key));
    }
}

/* The table is whole without what was refused before its fence. */
static void copied(struct sim_sink *sink, const struct nw_letter_copy *copy)
{
    size_t kept = 0;

    for (size_t i = 0; i < sink->letters.count; i++) {
        const struct nw_letter_key *key = &sink->letters.keys[i];

        if (key->relation_oid != copy->relation_oid || key->commit_lsn >= copy->fence_lsn) {
            sink->letters.keys[kept++] = *key;
        } else {
            SIM_COUNT(letters_useless);
        }
    }
    sink->letters.count = kept;
}

static nw_status letters_write(void *context, const struct nw_letter_write *what,
                               struct nw_error *err)
{
    struct sim_sink *sink = context;
    struct sim_letters *letters = &sink->letters;

    if (sink->sim->crashing && sim_chance(&sink->random, 500)) {
        return nw_fail(err, NW_FATAL, "the process is gone");
    }
    for (uint32_t i = 0; i < what->letters_count; i++) {
        const struct nw_letter_key *key = &what->letters[i].key;
        const struct sim_item item = {.commit_lsn = key->commit_lsn,
                                      .order = 2 * key->seq + 1,
                                      .table = key->relation_oid,
                                      .kind = (char)what->letters[i].op};

        if (key->generation != 0 || !sim_letters_refuses(sink, &item)) {
            sim_fail(sink->sim, "sink %u: a letter of %u at %" PRIu64 " that was not refused",
                     sink->index, key->relation_oid, key->commit_lsn);
        }
        letters->keys =
            sim_grow(letters->keys, letters->count, &letters->capacity, sizeof *letters->keys);
        letters->keys[letters->count++] = *key;
        SIM_COUNT(letters_written);
    }
    for (uint32_t i = 0; i < what->copies_count; i++) {
        copied(sink, &what->copies[i]);
    }
    return NW_OK;
}

void sim_letters_init(struct sim_sink *sink)
{
    static struct nw_letter_store stores[SIM_SINKS_MAX];

    if (sink->sim->backlogs.wanted || sink->refusals > 0 || !sim_chance(&sink->random, 400)) {
        return; /* those refuse rows by chance, which stops their tables */
    }
    sink->letters.multiples = 2 + sim_below(&sink->random, 60);
    stores[sink->index] = (struct nw_letter_store){.write = letters_write,
                                                   .context = sink,
                                                   .quota_bytes = UINT64_MAX,
                                                   .refusals_max = UINT32_MAX};
    sink->letters.store = &stores[sink->index];
}

void sim_letters_tell(struct sim_sink *sink, struct nw_sequencer *sequencer)
{
    struct nw_error err = {0};

    for (size_t i = 0; i < sink->letters.count; i++) {
        if (nw_sequencer_letter(sequencer, &sink->letters.keys[i], &err) != NW_OK) {
            sim_fail(sink->sim, "%s", err.text);
        }
        sim_counters.letters_again += sink->letters.keys[i].commit_lsn >= sink->durable_lsn;
    }
}
