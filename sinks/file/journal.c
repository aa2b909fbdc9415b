/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The commit journal: see journal.h, and docs/files.md for the format.
 *
 * Taking over without a gap: the new owner first makes its claim durable (owner file), then reads
 * the journal. A former owner that is still alive makes a record durable first, then looks at the
 * claim. Whichever came first, either the new owner sees the record, or the former sees the claim
 * and does not report the commit. Between processes of one host the lock already sees to this;
 * file systems whose locks do not work across hosts, and owners that are frozen, are why it is
 * here.
 *
 * A process may be frozen between any two operations, and go on when others have been the owner. So
 * a number is taken by making a file that bears it, which only one can; the owner is whoever made
 * the highest, and the owner file, which is replaced, only says it where one look is enough: a late
 * writer of it finds the higher number, and the owner puts it right. Files that are removed or cut
 * bear lower numbers than one's own, and that happens behind a look at the claims that comes behind
 * a journal of one's own: from there on no later owner knows more of those files than that journal.
 */
#include "journal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/chunk.h"
#include "lib/scan.h"

#define CHECK_SIZE  9u /* eight digits and a space */
#define WRITE_MAX   (UINT32_C(64) << 20)
#define CLAIM_TRIES 8u

nw_status nw_path_join(char path[NW_PATH_MAX], const char *folder, const char *a, const char *b,
                       struct nw_error *err)
{
    int size = b == NULL ? snprintf(path, NW_PATH_MAX, "%s/%s", folder, a)
                         : snprintf(path, NW_PATH_MAX, "%s/%s/%s", folder, a, b);

    if (size < 0 || (size_t)size >= NW_PATH_MAX) {
        return nw_fail(err, NW_FATAL, "NW1013 the path %.100s... is too long", folder);
    }
    return NW_OK;
}

nw_status nw_file_load(const struct nw_host *host, const char *path, uint64_t size_max,
                       struct nw_out *out, struct nw_error *err)
{
    struct nw_file_op op = {.verb = NW_FILE_READ};
    uint64_t size = 0;
    int file;
    nw_status status = host->file_open(host, path, NW_FILE_READ_ONLY, &file, err);

    if (status != NW_OK) {
        return status;
    }
    status = host->file_size(host, file, &size, err);
    if (status == NW_OK && size > size_max) {
        status =
            nw_fail(err, NW_CORRUPT, "%s has %" PRIu64 " bytes, more than it can have", path, size);
    }
    if (status == NW_OK && !nw_out_reserve(out, (size_t)size + 1)) {
        status = nw_fail(err, NW_RETRY, "out of memory for %s", path);
    }
    while (status == NW_OK && out->used < size) {
        op = (struct nw_file_op){.verb = NW_FILE_READ,
                                 .file = file,
                                 .bytes = out->bytes + out->used,
                                 .offset = out->used};
        op.size = size - out->used > WRITE_MAX ? WRITE_MAX : (uint32_t)(size - out->used);
        status = host->files_run(host, &op, 1, err);
        if (status == NW_OK && op.result <= 0) {
            break; /* it became shorter: its owner is at work */
        }
        out->used += status == NW_OK ? (size_t)op.result : 0;
    }
    host->file_close(host, file);
    return status;
}

nw_status nw_file_store(const struct nw_host *host, int file, uint64_t offset,
                        const struct nw_out *bytes, struct nw_error *err)
{
    for (size_t done = 0; done < bytes->used;) {
        size_t left = bytes->used - done;
        struct nw_file_op op = {.verb = NW_FILE_WRITE,
                                .file = file,
                                .bytes = bytes->bytes + done,
                                .offset = offset + done,
                                .size = left > WRITE_MAX ? WRITE_MAX : (uint32_t)left};
        nw_status status = host->files_run(host, &op, 1, err);

        if (status != NW_OK) {
            return status;
        }
        done += op.size;
    }
    return NW_OK;
}

nw_status nw_file_failed(nw_status status, const char *path, struct nw_error *err)
{
    struct nw_error cause = *err;

    int lead = strncmp(cause.text, "NW", 2) == 0 ? 7 : 0; /* the code, a blank */

    return nw_fail(err, status, "%.*s%.400s: %.500s", lead, cause.text, path, cause.text + lead);
}

nw_status nw_file_sync(const struct nw_host *host, int file, const char *name, struct nw_error *err)
{
    struct nw_file_op op = {.verb = NW_FILE_SYNC, .file = file};
    struct nw_error cause = {0};

    if (host->files_run(host, &op, 1, &cause) != NW_OK) {
        return nw_fail(
            err, NW_FATAL,
            "NW2602 %s could not be made durable, and a second try cannot tell: %.600s. Look "
            "after the disk, then start narwal again",
            name, cause.text);
    }
    return NW_OK;
}

/* Reads journal-<fencing>-<number>.log. */
static bool journal_name_parse(const char *name, uint64_t *fencing, uint64_t *number)
{
    int end = 0;

    return sscanf(name, "journal-%" SCNu64 "-%" SCNu64 ".log%n", fencing, number, &end) == 2 &&
           end > 0 && name[end] == '\0';
}

/* Reads owner-<fencing>. */
static bool claim_name_parse(const char *name, uint64_t *fencing)
{
    int end = 0;

    return sscanf(name, "owner-%" SCNu64 "%n", fencing, &end) == 1 && end > 0 && name[end] == '\0';
}

static nw_status found_add(void *context, const char *name, bool is_folder, struct nw_error *err)
{
    struct nw_journal_found *found = context;
    uint64_t fencing;
    uint64_t number;

    (void)err;
    if (!is_folder && strcmp(name, "owner") == 0) {
        found->owner = true;
    }
    if (!is_folder && claim_name_parse(name, &fencing) && fencing > found->claimed) {
        found->claimed = fencing;
    }
    if (is_folder || !journal_name_parse(name, &fencing, &number)) {
        return NW_OK;
    }
    if (!found->any || fencing > found->fencing ||
        (fencing == found->fencing && number > found->number)) {
        found->any = true;
        found->fencing = fencing;
        found->number = number;
    }
    return NW_OK;
}

nw_status nw_journal_find(const struct nw_host *host, const char *path,
                          struct nw_journal_found *found, struct nw_error *err)
{
    char folder[NW_PATH_MAX];
    nw_status status = nw_path_join(folder, path, "_journal", NULL, err);

    *found = (struct nw_journal_found){0};
    return status != NW_OK ? status : host->folder_list(host, folder, found_add, found, err);
}

static nw_status journal_path(char path[NW_PATH_MAX], const char *folder, uint64_t fencing,
                              uint64_t number, struct nw_error *err)
{
    char name[80];

    (void)snprintf(name, sizeof name, "journal-%08" PRIu64 "-%08" PRIu64 ".log", fencing, number);
    return nw_path_join(path, folder, "_journal", name, err);
}

/* Whether the line, without its end, starts with the checksum of its rest. */
static bool line_is_whole(const uint8_t *line, size_t size)
{
    char text[CHECK_SIZE + 1];

    if (size <= CHECK_SIZE) {
        return false;
    }
    (void)snprintf(text, sizeof text, "%08x ",
                   nw_chunk_crc(0, line + CHECK_SIZE, size - CHECK_SIZE));
    return memcmp(line, text, CHECK_SIZE) == 0;
}

/* Whether any whole line comes at or after `at`: then what is before it is damage, not a torn end.
 */
static bool lines_follow(const uint8_t *at, size_t left)
{
    while (left > 0) {
        const uint8_t *end = memchr(at, '\n', left);

        if (end == NULL) {
            return false;
        }
        if (line_is_whole(at, (size_t)(end - at))) {
            return true;
        }
        left -= (size_t)(end - at) + 1;
        at = end + 1;
    }
    return false;
}

static nw_status record_take(struct nw_journal_reading *reading, const uint8_t *line, size_t size,
                             bool first, struct nw_error *err)
{
    struct nw_state record = {0};
    nw_status status = nw_state_parse(line + CHECK_SIZE, size - CHECK_SIZE, &record, err);

    if (status != NW_OK) {
        return status;
    }
    if (record.full != first || (!first && record.record != reading->state->record + 1)) {
        status = nw_fail(err, NW_CORRUPT, "the journal in %s: record %" PRIu64 " is out of place",
                         reading->path, record.record);
    }
    if (status == NW_OK) {
        status = nw_state_apply(reading->state, &record, err);
    }
    if (status == NW_OK && reading->each != NULL) {
        status = reading->each(reading->context, &record, err);
    }
    nw_state_fini(&record);
    return status;
}

static nw_status records_read(struct nw_journal_reading *reading, const char *name,
                              const struct nw_out *bytes, struct nw_error *err)
{
    size_t at = 0;
    bool first = true;

    while (at < bytes->used) {
        const uint8_t *line = bytes->bytes + at;
        const uint8_t *end = memchr(line, '\n', bytes->used - at);
        size_t size = end == NULL ? bytes->used - at : (size_t)(end - line);
        nw_status status;

        if (end == NULL || !line_is_whole(line, size)) {
            if (first || (end != NULL && lines_follow(end + 1, bytes->used - at - size - 1))) {
                return nw_fail(err, NW_CORRUPT, "%s is damaged at byte %zu", name, at);
            }
            break;
        }
        status = record_take(reading, line, size, first, err);
        if (status != NW_OK) {
            return status;
        }
        first = false;
        at += size + 1;
    }
    reading->torn = bytes->used - at;
    return first ? nw_fail(err, NW_CORRUPT, "%s is empty", name) : NW_OK;
}

/* Every file has to have been introduced, in a table that is known. */
static nw_status state_check(const struct nw_state *state, const char *path, struct nw_error *err)
{
    for (size_t i = 0; i < state->files_count; i++) {
        if (state->files[i].path == NULL || nw_state_table(state, state->files[i].oid) == NULL) {
            return nw_fail(err, NW_CORRUPT, "%s: file number %" PRIu64 " was never introduced",
                           path, state->files[i].number);
        }
    }
    return NW_OK;
}

nw_status nw_journal_read(struct nw_journal_reading *reading, const struct nw_journal_found *found,
                          struct nw_error *err)
{
    char name[NW_PATH_MAX];
    struct nw_out bytes = {0};
    nw_status status = journal_path(name, reading->path, found->fencing, found->number, err);

    if (status == NW_OK) {
        status = nw_file_load(reading->host, name, NW_JOURNAL_SIZE_MAX, &bytes, err);
    }
    if (status == NW_OK) {
        status = records_read(reading, name, &bytes, err);
    }
    if (status == NW_OK) {
        status = state_check(reading->state, name, err);
    }
    nw_out_fini(&bytes);
    return status;
}

/* Appends "<crc> <json>\n" for a record. */
static nw_status line_print(const struct nw_state *record, struct nw_out *out, struct nw_error *err)
{
    char check[CHECK_SIZE + 1];
    size_t start = out->used;

    nw_out_text(out, "00000000 ");
    nw_state_print(record, out);
    if (out->failed) {
        return nw_fail(err, NW_RETRY, "out of memory for the journal");
    }
    (void)snprintf(
        check, sizeof check, "%08x",
        nw_chunk_crc(0, out->bytes + start + CHECK_SIZE, out->used - start - CHECK_SIZE));
    memcpy(out->bytes + start, check, CHECK_SIZE - 1);
    nw_out_text(out, "\n");
    return out->failed ? nw_fail(err, NW_RETRY, "out of memory for the journal") : NW_OK;
}

nw_status nw_owner_read(const struct nw_host *host, const char *path, uint64_t *fencing,
                        struct nw_error *err)
{
    char name[NW_PATH_MAX];
    struct nw_out bytes = {0};
    struct nw_scan scan;
    char key[16];
    bool first = true;
    nw_status status = nw_path_join(name, path, "_journal", "owner", err);

    *fencing = 0;
    if (status == NW_OK) {
        status = nw_file_load(host, name, 4096, &bytes, err);
    }
    if (status == NW_OK) {
        scan = nw_scan_of(bytes.bytes, bytes.used);
        nw_scan_enter(&scan, '{');
        while (nw_scan_key(&scan, &first, key, sizeof key)) {
            if (strcmp(key, "fencing") == 0) {
                *fencing = nw_scan_u64(&scan);
            } else {
                nw_scan_skip(&scan);
            }
        }
        if (!nw_scan_done(&scan) || *fencing == 0) {
            status = nw_fail(err, NW_CORRUPT, "%s does not say who owns the folder", name);
        }
    }
    nw_out_fini(&bytes);
    return status;
}

/* Makes a file of the given content, durable, in place of whatever has that name. */
static nw_status file_replace(const struct nw_journal *journal, const char *name,
                              const struct nw_out *bytes, int *file, struct nw_error *err)
{
    const struct nw_host *host = journal->host;
    char temporary[NW_PATH_MAX + 32];
    nw_status status;

    /* One of our own: another owner may be at the same file. */
    (void)snprintf(temporary, sizeof temporary, "%s.f%" PRIu64 ".tmp", name, journal->fencing);
    status = host->file_open(host, temporary, NW_FILE_CREATE, file, err);
    if (status != NW_OK) {
        return status;
    }
    status = host->file_truncate(host, *file, 0, err);
    if (status == NW_OK) {
        status = nw_file_store(host, *file, 0, bytes, err);
        status = status == NW_OK ? NW_OK : nw_file_failed(status, temporary, err);
    }
    if (status == NW_OK) {
        status = nw_file_sync(host, *file, temporary, err);
    }
    if (status == NW_OK) {
        status = host->file_rename(host, temporary, name, err);
    }
    if (status != NW_OK) {
        host->file_close(host, *file);
    }
    return status;
}

static nw_status owner_write(const struct nw_journal *journal, struct nw_error *err)
{
    const struct nw_host *host = journal->host;
    char name[NW_PATH_MAX];
    struct nw_out bytes = {0};
    int file = -1;
    nw_status status = nw_path_join(name, journal->path, "_journal", "owner", err);

    nw_out_text(&bytes, "{\"fencing\":");
    nw_out_u64(&bytes, journal->fencing);
    nw_out_text(&bytes, "}\n");
    if (status == NW_OK && bytes.failed) {
        status = nw_fail(err, NW_RETRY, "out of memory for the owner file");
    }
    if (status == NW_OK) {
        status = file_replace(journal, name, &bytes, &file, err);
    }
    if (status == NW_OK) {
        host->file_close(host, file);
    }
    nw_out_fini(&bytes);
    return status;
}

static nw_status taken_over(const struct nw_journal *journal, uint64_t ours, uint64_t claimed,
                            struct nw_error *err)
{
    return nw_fail(err, NW_FATAL,
                   "NW2406 another narwal has taken over %s (it has fencing number %" PRIu64
                   ", ours is %" PRIu64 "): only one may write there. This one stops",
                   journal->path, claimed, ours);
}

/* The highest number that somebody has, or had. */
static nw_status highest_find(const struct nw_journal *journal, uint64_t *highest,
                              struct nw_error *err)
{
    struct nw_journal_found found;
    uint64_t owner = 0;
    nw_status status = nw_journal_find(journal->host, journal->path, &found, err);

    if (status == NW_OK && found.owner) {
        status = nw_owner_read(journal->host, journal->path, &owner, err);
    }
    *highest = owner > found.claimed ? owner : found.claimed;
    *highest = found.fencing > *highest ? found.fencing : *highest;
    return status;
}

/* Makes owner-<fencing>, which only one process can. */
static nw_status claim_make(const struct nw_journal *journal, uint64_t fencing,
                            struct nw_error *err)
{
    const struct nw_host *host = journal->host;
    char name[80];
    char path[NW_PATH_MAX];
    int file = -1;
    nw_status status;

    (void)snprintf(name, sizeof name, "owner-%08" PRIu64, fencing);
    status = nw_path_join(path, journal->path, "_journal", name, err);
    if (status == NW_OK) {
        status = host->file_open(host, path, NW_FILE_CREATE | NW_FILE_EXCLUSIVE, &file, err);
    }
    if (status == NW_OK) {
        host->file_close(host, file);
        status = nw_path_join(path, journal->path, "_journal", NULL, err);
    }
    return status == NW_OK ? host->folder_sync(host, path, err) : status;
}

nw_status nw_owner_check(const struct nw_journal *journal, struct nw_error *err)
{
    struct nw_journal_found found;
    uint64_t fencing = 0;
    nw_status status = nw_owner_read(journal->host, journal->path, &fencing, err);

    if (status != NW_OK || fencing == journal->fencing) {
        return status;
    }
    status = nw_journal_find(journal->host, journal->path, &found, err);
    if (status == NW_OK && found.claimed > journal->fencing) {
        return taken_over(journal, journal->fencing, found.claimed, err);
    }
    if (status == NW_OK && found.claimed < journal->fencing) { /* somebody else's doing */
        return taken_over(journal, journal->fencing, fencing, err);
    }
    /* A process that was frozen before we took over wrote it only now. */
    return status == NW_OK ? owner_write(journal, err) : status;
}

nw_status nw_owner_take(struct nw_journal *journal, uint64_t former, struct nw_error *err)
{
    struct nw_journal_found found;
    uint64_t highest = 0;
    uint64_t wanted = 0;
    nw_status status = highest_find(journal, &highest, err);

    journal->fencing = 0;
    for (uint64_t tries = 0; status == NW_OK; tries++) {
        struct nw_error why = {0};

        if (former != 0 && highest > former) {
            return taken_over(journal, former, highest, err);
        }
        wanted = highest + 1;
        status = claim_make(journal, wanted, &why);
        if (status == NW_OK) {
            journal->fencing = wanted;
            break;
        }
        *err = why;
        if (tries == CLAIM_TRIES || highest_find(journal, &highest, &why) != NW_OK ||
            highest < wanted) {
            return status; /* nobody else has it: it cannot be made */
        }
        status = NW_OK;
    }
    if (status == NW_OK) {
        status = owner_write(journal, err);
    }
    if (status == NW_OK) {
        status = nw_journal_find(journal->host, journal->path, &found, err);
    }
    if (status == NW_OK && found.claimed > journal->fencing) {
        status = taken_over(journal, journal->fencing, found.claimed, err);
    }
    return status;
}

/* Whether a name is that of a replacement that a former owner did not come to. */
static bool temporary_is_former(const struct nw_journal *journal, const char *name)
{
    const char *mark = strstr(name, ".f");
    uint64_t fencing = 0;
    int end = 0;

    return mark != NULL && sscanf(mark, ".f%" SCNu64 ".tmp%n", &fencing, &end) == 1 && end > 0 &&
           mark[end] == '\0' && fencing < journal->fencing;
}

/* Removes journal files that are older than the one in force, and what else is of former owners. */
static nw_status former_remove(void *context, const char *name, bool is_folder,
                               struct nw_error *err)
{
    const struct nw_journal *journal = context;
    char path[NW_PATH_MAX];
    uint64_t fencing;
    uint64_t number;
    bool older =
        !is_folder && journal_name_parse(name, &fencing, &number) &&
        (fencing < journal->fencing || (fencing == journal->fencing && number < journal->number));

    older = older || (!is_folder && claim_name_parse(name, &fencing) && fencing < journal->fencing);
    older = older || (!is_folder && temporary_is_former(journal, name));
    if (!older) {
        return NW_OK;
    }
    if (nw_path_join(path, journal->path, "_journal", name, err) == NW_OK) {
        (void)journal->host->file_remove(journal->host, path, err);
    }
    return NW_OK; /* it does no harm there */
}

nw_status nw_journal_begin(struct nw_journal *journal, struct nw_state *state, struct nw_error *err)
{
    const struct nw_host *host = journal->host;
    struct nw_error ignored;
    char name[NW_PATH_MAX];
    char folder[NW_PATH_MAX];
    struct nw_out bytes = {0};
    int file = -1;
    nw_status status =
        journal_path(name, journal->path, journal->fencing, journal->number + 1, err);

    state->full = true;
    state->positions_set = true;
    state->fencing = journal->fencing;
    state->record++;
    if (status == NW_OK) {
        status = line_print(state, &bytes, err);
    }
    if (status == NW_OK) {
        status = file_replace(journal, name, &bytes, &file, err);
    }
    state->full = false;
    if (status != NW_OK) {
        state->record--; /* the former file goes on */
    } else {
        nw_journal_close(journal);
        journal->file = file;
        journal->open = true;
        journal->size = bytes.used;
        journal->number++;
        if (nw_path_join(folder, journal->path, "_journal", NULL, &ignored) == NW_OK) {
            (void)host->folder_list(host, folder, former_remove, journal, &ignored);
        }
    }
    nw_out_fini(&bytes);
    return status;
}

nw_status nw_journal_append(struct nw_journal *journal, const struct nw_state *record,
                            struct nw_error *err)
{
    struct nw_out bytes = {0};
    nw_status status = nw_owner_check(journal, err);

    if (status == NW_OK) {
        status = line_print(record, &bytes, err);
    }
    if (status == NW_OK) {
        status = nw_file_store(journal->host, journal->file, journal->size, &bytes, err);
        status = status == NW_OK ? NW_OK : nw_file_failed(status, journal->path, err);
    }
    if (status == NW_OK) {
        status = nw_file_sync(journal->host, journal->file, "the journal", err);
    }
    if (status == NW_OK) {
        journal->size += bytes.used;
        status = nw_owner_check(journal, err);
    }
    nw_out_fini(&bytes);
    return status;
}

void nw_journal_close(struct nw_journal *journal)
{
    if (journal->open) {
        journal->host->file_close(journal->host, journal->file);
        journal->open = false;
    }
}
