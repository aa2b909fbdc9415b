/* SPDX-License-Identifier: Apache-2.0 */
/* Dead letters in a run: which sinks have a store, what is known at a start, and how many there
 * are. Main thread. */
#include "base/code.h"
#include "base/log.h"
#include "pipeline/run_private.h"

static nw_status store_open(struct nw_run *run, uint32_t sink, struct nw_error *err)
{
    const struct nw_run_sink *from = &run->options->sinks[sink];
    const struct nw_letters_options options = {.state_folder = run->options->state_folder,
                                               .sink = from->name,
                                               .system_identifier =
                                                   run->server.identity.system_identifier,
                                               .quota_bytes = from->dead_letters_bytes,
                                               .refusals_max = from->dead_letter_rows};

    return from->dead_letters ? nw_letters_open(&options, &run->members[sink].letters, err) : NW_OK;
}

nw_status nw_run_letters_open(struct nw_run *run, struct nw_error *err)
{
    nw_status status = NW_OK;

    for (uint32_t i = 0; i < run->options->sinks_count && status == NW_OK; i++) {
        status = store_open(run, i, err);
    }
    return status;
}

const struct nw_letter_store *nw_run_letters_store(const struct nw_run *run, uint32_t sink)
{
    struct nw_letters_file *letters = run->members[sink].letters;

    return letters == NULL ? NULL : nw_letters_store(letters);
}

/* What copies that are whole made useless, should the process have ended before that was done. */
static nw_status copied_apply(struct nw_run_member *member, struct nw_error *err)
{
    nw_status status = NW_OK;

    for (uint32_t i = 0; i < member->recovered.copies_count && status == NW_OK; i++) {
        const struct nw_copy_state *copy = &member->recovered.copies[i];
        struct nw_copy_progress progress;

        if (copy->complete && !member->copies_void) {
            status = nw_copy_unpack((struct nw_bytes){copy->bytes, copy->size}, &progress, err);
            if (status == NW_OK) {
                const struct nw_letter_copy done = {copy->relation_oid, copy->generation,
                                                    progress.origin.fence_lsn, false};

                status = nw_letters_copied(member->letters, &done, 1, err);
            }
        }
    }
    return status;
}

static nw_status key_give(void *context, const struct nw_letter_key *key, struct nw_error *err)
{
    return nw_sequencer_letter(context, key, err);
}

nw_status nw_run_letters_give(struct nw_run *run, struct nw_error *err)
{
    nw_status status = NW_OK;

    for (uint32_t i = 0; i < run->options->sinks_count && status == NW_OK; i++) {
        struct nw_run_member *member = &run->members[i];

        if (member->letters != NULL) {
            status = copied_apply(member, err);
            status = status == NW_OK ? nw_letters_keys(member->letters, key_give,
                                                       nw_engine_sequencer(run->engine, i), err)
                                     : status;
        }
    }
    return status;
}

void nw_run_letters_count(struct nw_run *run, struct nw_letters_tally *tally)
{
    struct nw_error why = {0};
    nw_status status = run->letters == NULL
                           ? nw_letters_look(run->options->state_folder, &run->letters, &why)
                           : NW_OK;

    if (status == NW_OK && run->letters != NULL) {
        status = nw_letters_tally(run->letters, tally, &why);
    }
    if (status != NW_OK && !run->letters_unread) { /* the last count stands */
        nw_log(NW_LOG_WARN, "%.6s %s", nw_error_code(&why), nw_code_rest(why.text));
    }
    run->letters_unread = status != NW_OK;
}
