/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `narwal files verify`: reads the journal and everything that it names, and changes nothing.
 *
 * For every file: size and CRC-32 at each length that a record of the journal names (so damage is
 * placed between two commits), decompression, every line JSON in UTF-8 and of the file's form, the
 * number of lines; for a table's changes, that (commit_lsn, seq) rises from line to line, which
 * excludes duplicates. In Debezium's forms it must not fall, since they have no seq; flattened rows
 * have no place. Of Avro the blocks are looked at, and the number of rows in them.
 *
 * One thread.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "file.h"
#include "lines.h"

#define READ_SIZE (UINT32_C(1) << 20)
#define TRIES_MAX 3

/* What a record says of a file's beginning. */
struct checkpoint {
    uint64_t number;
    uint64_t size;
    uint32_t crc;
};

struct verify {
    const struct nw_host *host;
    const char *path;
    void (*report)(void *context, const char *line);
    void *context;
    struct nw_state state;
    struct checkpoint *checkpoints; /* by number, then size */
    size_t checkpoints_count, checkpoints_capacity;
    const struct nw_data_file **files; /* by oid, then number */
    uint64_t damaged;                  /* findings */
    uint64_t lines;
};

/* One table's tally. */
struct tally {
    uint64_t files, copied, copying, changes;
    struct nw_line last; /* change; without op: there was none */
};

/* One file being read. */
struct reader {
    struct verify *verify;
    const struct nw_data_file *data;
    struct tally *tally;
    struct nw_chunk *chunk;
    struct nw_out stored; /* read and not yet decoded */
    struct nw_out text;   /* decoded and not yet looked at */
    uint64_t stored_at;   /* offset in the file of stored's first byte */
    uint64_t text_at;     /* offset of the chunk, or plain byte, that text begins in */
    uint64_t read;        /* bytes read so far */
    uint32_t crc;
    size_t checkpoint; /* the next one */
    uint64_t sound;    /* the last length at which the checksum was right */
    uint64_t lines;
    struct nw_blocks blocks; /* of a file in Avro */
    bool damaged;
};

NW_PRINTF(2, 3) static void report(struct verify *verify, const char *format, ...)
{
    char line[NW_ERROR_TEXT_SIZE + 512];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(line, sizeof line, format, args);
    va_end(args);
    verify->report(verify->context, line);
}

static nw_status checkpoint_add(void *context, const struct nw_state *record, struct nw_error *err)
{
    struct verify *verify = context;

    for (size_t i = 0; i < record->files_count; i++) {
        const struct nw_data_file *file = &record->files[i];

        if (verify->checkpoints_count == verify->checkpoints_capacity) {
            size_t larger =
                verify->checkpoints_capacity == 0 ? 256 : verify->checkpoints_capacity * 2;
            struct checkpoint *moved = realloc(verify->checkpoints, larger * sizeof *moved);

            if (moved == NULL) {
                return nw_fail(err, NW_RETRY, "out of memory for the journal");
            }
            verify->checkpoints = moved;
            verify->checkpoints_capacity = larger;
        }
        verify->checkpoints[verify->checkpoints_count++] =
            (struct checkpoint){.number = file->number, .size = file->size, .crc = file->crc};
    }
    return NW_OK;
}

static int checkpoints_compare(const void *left, const void *right)
{
    const struct checkpoint *a = left;
    const struct checkpoint *b = right;

    if (a->number != b->number) {
        return a->number < b->number ? -1 : 1;
    }
    return (a->size > b->size) - (a->size < b->size);
}

static int files_compare(const void *left, const void *right)
{
    const struct nw_data_file *a = *(const struct nw_data_file *const *)left;
    const struct nw_data_file *b = *(const struct nw_data_file *const *)right;

    if (a->oid != b->oid) {
        return a->oid < b->oid ? -1 : 1;
    }
    return (a->number > b->number) - (a->number < b->number);
}

NW_PRINTF(3, 4) static void damage(struct reader *reader, uint64_t at, const char *format, ...)
{
    char text[512];
    va_list args;

    if (reader->damaged) {
        return;
    }
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    report(reader->verify, "damage: %s/%s at byte %" PRIu64 ": %s", reader->verify->path,
           reader->data->path, at, text);
    reader->damaged = true;
    reader->verify->damaged++;
}

/* Where in the file a byte of the text is, as exactly as the compression lets one say. */
static uint64_t place(const struct reader *reader, size_t text_offset)
{
    return reader->chunk == NULL ? reader->text_at + text_offset : reader->text_at;
}

static void line_check(struct reader *reader, const uint8_t *bytes, size_t size, uint64_t at)
{
    struct tally *tally = reader->tally;
    struct nw_line line;

    if (!nw_line_parse(reader->data->form, bytes, size, &line)) {
        damage(reader, at, "line %" PRIu64 " is not a line of this format", reader->lines + 1);
        return;
    }
    if (!nw_line_image_right(&line)) {
        damage(reader, at, "line %" PRIu64 " has op %c and %s row", reader->lines + 1, line.op,
               line.has_after ? "a" : "no");
        return;
    }
    reader->lines++;
    if (reader->data->kind != NW_DATA_CHANGES || reader->data->oid == 0) {
        return;
    }
    if (!nw_line_follows(&tally->last, &line)) {
        damage(reader, at,
               "line %" PRIu64 " is out of order or there twice: commit_lsn %" PRIX32 "/%" PRIX32
               " seq %" PRIu64,
               reader->lines, (uint32_t)(line.commit_lsn >> 32), (uint32_t)line.commit_lsn,
               line.within);
        return;
    }
    tally->last = line;
}

/* Looks at the whole lines of the text and keeps the rest. */
static void text_check(struct reader *reader, bool last)
{
    size_t at = 0;

    while (!reader->damaged && at < reader->text.used) {
        const uint8_t *line = reader->text.bytes + at;
        const uint8_t *end = memchr(line, '\n', reader->text.used - at);

        if (end == NULL) {
            break;
        }
        line_check(reader, line, (size_t)(end - line), place(reader, at));
        at += (size_t)(end - line) + 1;
    }
    if (last && !reader->damaged && at < reader->text.used) {
        damage(reader, place(reader, at), "the last line has no end");
    }
    if (at > 0) {
        memmove(reader->text.bytes, reader->text.bytes + at, reader->text.used - at);
        reader->text.used -= at;
        reader->text_at += reader->chunk == NULL ? at : 0;
    }
}

/* Decodes the chunks that are completely read. */
static void stored_decode(struct reader *reader, bool last)
{
    size_t at = 0;
    size_t taken = 0;

    while (!reader->damaged && at < reader->stored.used) {
        size_t left = reader->stored.used - at;

        if (reader->chunk == NULL) {
            nw_out_bytes(&reader->text, reader->stored.bytes + at, left);
            taken = left;
        } else if (!nw_chunk_read(reader->chunk, reader->stored.bytes + at, left, &reader->text,
                                  &taken)) {
            if (last || left >= NW_CHUNK_STORED_MAX) {
                damage(reader, reader->stored_at + at, "compressed data is damaged");
            }
            break;
        } else {
            reader->text_at = reader->stored_at + at;
        }
        at += taken;
        text_check(reader, last && at == reader->stored.used);
    }
    if (at > 0) {
        memmove(reader->stored.bytes, reader->stored.bytes + at, reader->stored.used - at);
        reader->stored.used -= at;
        reader->stored_at += at;
    }
}

/* Looks at the blocks of Avro that are completely read. */
static void blocks_check(struct reader *reader, bool last)
{
    size_t at = 0;

    while (!reader->damaged && at < reader->stored.used) {
        size_t taken = 0;
        uint64_t rows = 0;
        enum nw_piece piece = nw_piece_take(&reader->blocks, reader->stored.bytes + at,
                                            reader->stored.used - at, &taken, &rows);

        if (piece == NW_PIECE_WRONG || (piece == NW_PIECE_CUT && last)) {
            damage(reader, reader->stored_at + at,
                   piece == NW_PIECE_CUT ? "the last block has no end"
                                         : "no block of Avro is here");
            return;
        }
        if (piece == NW_PIECE_CUT) {
            break;
        }
        reader->lines += rows;
        at += taken;
    }
    if (at > 0) {
        memmove(reader->stored.bytes, reader->stored.bytes + at, reader->stored.used - at);
        reader->stored.used -= at;
        reader->stored_at += at;
    }
}

/* Carries the checksum on over bytes just read, comparing at every checkpoint. */
static void crc_check(struct reader *reader, const uint8_t *bytes, size_t size)
{
    const struct verify *verify = reader->verify;

    while (size > 0 && !reader->damaged) {
        const struct checkpoint *next = &verify->checkpoints[reader->checkpoint];
        uint64_t left = next->size - reader->read;
        size_t piece = left < size ? (size_t)left : size;

        reader->crc = nw_chunk_crc(reader->crc, bytes, piece);
        reader->read += piece;
        bytes += piece;
        size -= piece;
        if (reader->read < next->size) {
            continue;
        }
        if (reader->crc != next->crc) {
            damage(reader, reader->sound,
                   "bytes %" PRIu64 " to %" PRIu64 " are not those that were committed",
                   reader->sound, next->size);
            return;
        }
        reader->sound = next->size;
        while (reader->checkpoint + 1 < verify->checkpoints_count &&
               verify->checkpoints[reader->checkpoint].size <= reader->read &&
               verify->checkpoints[reader->checkpoint].number == reader->data->number) {
            reader->checkpoint++;
        }
    }
}

/* Looks at what was read into the room behind reader->stored. */
static void content_check(struct reader *reader, size_t size)
{
    bool last = reader->read == reader->data->size;

    if (reader->data->kind == NW_DATA_SCHEMA) {
        return; /* not lines */
    }
    reader->stored.used += size;
    if (reader->data->form == NW_DATA_AVRO) {
        blocks_check(reader, last);
    } else {
        stored_decode(reader, last);
    }
}

static nw_status file_read(struct reader *reader, int file, struct nw_error *err)
{
    struct verify *verify = reader->verify;

    while (reader->read < reader->data->size && !reader->damaged) {
        uint64_t left = reader->data->size - reader->read;
        struct nw_file_op op = {.verb = NW_FILE_READ, .file = file, .offset = reader->read};
        nw_status status;

        op.size = left < READ_SIZE ? (uint32_t)left : READ_SIZE;
        if (!nw_out_reserve(&reader->stored, op.size)) {
            return nw_fail(err, NW_RETRY, "out of memory for %s", reader->data->path);
        }
        op.bytes = reader->stored.bytes + reader->stored.used;
        status = verify->host->files_run(verify->host, &op, 1, err);
        if (status != NW_OK) {
            return status;
        }
        if (op.result <= 0) {
            damage(reader, reader->read, "the file ends here");
            break;
        }
        crc_check(reader, op.bytes, (size_t)op.result);
        content_check(reader, (size_t)op.result);
    }
    if (!reader->damaged && reader->lines != reader->data->lines) {
        damage(reader, reader->read, "%" PRIu64 " lines where %" PRIu64 " were committed",
               reader->lines, reader->data->lines);
    }
    return NW_OK;
}

static enum nw_chunk_kind kind_of(const char *path)
{
    size_t size = strlen(path);

    if (size > 3 && strcmp(path + size - 3, ".gz") == 0) {
        return NW_CHUNK_GZIP;
    }
    return size > 4 && strcmp(path + size - 4, ".zst") == 0 ? NW_CHUNK_ZSTD : NW_CHUNK_NONE;
}

static size_t checkpoint_first(const struct verify *verify, uint64_t number)
{
    size_t low = 0;
    size_t high = verify->checkpoints_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (verify->checkpoints[middle].number < number) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static nw_status file_check(struct verify *verify, const struct nw_data_file *data,
                            struct tally *tally, struct nw_error *err)
{
    struct reader reader = {.verify = verify, .data = data, .tally = tally};
    enum nw_chunk_kind kind = kind_of(data->path);
    struct nw_error cause = {0};
    char path[NW_PATH_MAX];
    int file;
    nw_status status = nw_path_join(path, verify->path, data->path, NULL, err);

    if (status != NW_OK) {
        return status;
    }
    reader.checkpoint = checkpoint_first(verify, data->number);
    if (kind != NW_CHUNK_NONE) {
        reader.chunk = nw_chunk_create(kind, 1);
        if (reader.chunk == NULL) {
            return nw_fail(err, NW_RETRY, "out of memory for %s", data->path);
        }
    }
    if (verify->host->file_open(verify->host, path, NW_FILE_READ_ONLY, &file, &cause) != NW_OK) {
        damage(&reader, 0, "the file cannot be opened: %.300s", cause.text);
    } else {
        status = file_read(&reader, file, err);
        verify->host->file_close(verify->host, file);
    }
    tally->files++;
    verify->lines += reader.lines;
    if (data->kind == NW_DATA_CHANGES) {
        tally->changes += reader.lines;
    } else {
        const struct nw_data_table *table = nw_state_table(&verify->state, data->oid);

        *(data->generation == table->generation ? &tally->copied : &tally->copying) += reader.lines;
    }
    nw_chunk_destroy(reader.chunk);
    nw_out_fini(&reader.stored);
    nw_out_fini(&reader.text);
    return status;
}

static const char *plural(uint64_t count)
{
    return count == 1 ? "" : "s";
}

static void table_report(struct verify *verify, const struct nw_data_table *table,
                         const struct tally *tally, bool damaged)
{
    char copying[96] = "";

    if (table->copying != 0) {
        (void)snprintf(copying, sizeof copying,
                       ", copy %" PRIu32 " under way with %" PRIu64 " row%s", table->copying,
                       tally->copying, plural(tally->copying));
    }
    report(verify,
           "%s%s%s: %s, %" PRIu64 " file%s, copy %" PRIu32 " with %" PRIu64 " row%s, %" PRIu64
           " change%s%s",
           table->schema_name, table->schema_name[0] == '\0' ? "" : ".", table->name,
           damaged ? "DAMAGED" : "ok", tally->files, plural(tally->files), table->generation,
           tally->copied, plural(tally->copied), tally->changes, plural(tally->changes), copying);
}

static nw_status tables_check(struct verify *verify, struct nw_error *err)
{
    size_t at = 0;
    nw_status status = NW_OK;

    for (size_t i = 0; i < verify->state.tables_count && status == NW_OK; i++) {
        const struct nw_data_table *table = &verify->state.tables[i];
        uint64_t damaged = verify->damaged;
        struct tally tally = {0};

        while (at < verify->state.files_count && verify->files[at]->oid == table->oid &&
               status == NW_OK) {
            status = file_check(verify, verify->files[at++], &tally, err);
        }
        if (status == NW_OK) {
            table_report(verify, table, &tally, verify->damaged > damaged);
        }
    }
    return status;
}

#define NAMES_SHOWN 5

/* What a folder has, to say it when it is the wrong one. */
struct content {
    bool journal;
    uint32_t count;
    char names[512];
};

static nw_status content_add(void *context, const char *name, bool is_folder, struct nw_error *err)
{
    struct content *content = context;
    size_t used = strlen(content->names);

    (void)err;
    content->journal = content->journal || (is_folder && strcmp(name, "_journal") == 0);
    if (content->count++ < NAMES_SHOWN) {
        (void)snprintf(content->names + used, sizeof content->names - used, "%s%.80s",
                       used == 0 ? "" : ", ", name);
    }
    return NW_OK;
}

/* Refuses what is no folder of a file sink, and says what it is instead. */
static nw_status folder_check(const struct verify *verify, struct nw_error *err)
{
    struct content here = {0};
    struct content above = {0};
    struct nw_error why = {0};
    char parent[NW_PATH_MAX];

    if (verify->host->folder_list(verify->host, verify->path, content_add, &here, &why) != NW_OK) {
        return nw_fail(
            err, NW_FATAL,
            "NW2606 %.300s; wanted is the folder that a file sink writes, its path in the "
            "configuration",
            why.text);
    }
    if (here.journal) {
        return NW_OK;
    }
    if (nw_path_join(parent, verify->path, "..", NULL, &why) == NW_OK &&
        verify->host->folder_list(verify->host, parent, content_add, &above, &why) == NW_OK &&
        above.journal) {
        return nw_fail(
            err, NW_FATAL,
            "NW2606 %s is inside a file sink's folder: verify that whole, narwal files verify %s",
            verify->path, parent);
    }
    return nw_fail(
        err, NW_FATAL,
        "NW2606 no file sink has written into %s: its folder would have _journal in it, and "
        "this one %s%s%s",
        verify->path, here.count == 0 ? "is empty" : "has ", here.names,
        here.count > NAMES_SHOWN ? ", ..." : "");
}

/* Reads the journal; a narwal at work may replace it meanwhile, so it is tried again. */
static nw_status journal_load(struct verify *verify, struct nw_error *err)
{
    struct nw_journal_found found;
    struct nw_journal_reading reading = {.host = verify->host,
                                         .path = verify->path,
                                         .state = &verify->state,
                                         .each = checkpoint_add,
                                         .context = verify};
    nw_status status = NW_OK;

    for (int i = 0; i < TRIES_MAX; i++) {
        nw_state_fini(&verify->state);
        verify->checkpoints_count = 0;
        status = nw_journal_find(verify->host, verify->path, &found, err);
        if (status == NW_OK && !found.any) {
            return nw_fail(err, NW_FATAL,
                           "NW2606 %s has no journal: it is no folder of narwal's files",
                           verify->path);
        }
        if (status == NW_OK) {
            status = nw_journal_read(&reading, &found, err);
        }
        if (status == NW_OK || status == NW_CORRUPT) {
            break;
        }
    }
    if (status == NW_OK && reading.torn > 0) {
        report(verify, "the journal ends in %" PRIu64 " bytes that were never acknowledged",
               reading.torn);
    }
    return status;
}

static nw_status verify_run(struct verify *verify, struct nw_error *err)
{
    const struct nw_state *state = &verify->state;
    uint64_t lsn;
    nw_status status = folder_check(verify, err);

    if (status == NW_OK) {
        status = journal_load(verify, err);
    }
    if (status != NW_OK) {
        return status;
    }
    if (verify->checkpoints_count > 0) {
        qsort(verify->checkpoints, verify->checkpoints_count, sizeof *verify->checkpoints,
              checkpoints_compare);
    }
    verify->files = calloc(state->files_count + 1, sizeof(*verify->files));
    if (verify->files == NULL) {
        return nw_fail(err, NW_RETRY, "out of memory for the list of files");
    }
    for (size_t i = 0; i < state->files_count; i++) {
        verify->files[i] = &state->files[i];
    }
    qsort(verify->files, state->files_count, sizeof(*verify->files), files_compare);
    status = tables_check(verify, err);
    if (status != NW_OK) {
        return status;
    }
    lsn = state->positions_count > 0 ? state->positions[0].lsn : 0;
    report(verify,
           "%zu table%s, %zu file%s, %" PRIu64 " line%s, up to %" PRIX32 "/%" PRIX32
           " (record %" PRIu64 "): %s",
           state->tables_count, plural(state->tables_count), state->files_count,
           plural(state->files_count), verify->lines, plural(verify->lines), (uint32_t)(lsn >> 32),
           (uint32_t)lsn, state->record, verify->damaged == 0 ? "ok" : "DAMAGED");
    return verify->damaged == 0
               ? NW_OK
               : nw_fail(err, NW_CORRUPT, "NW2607 %s: %" PRIu64 " file%s damaged", verify->path,
                         verify->damaged, verify->damaged == 1 ? " is" : "s are");
}

nw_status nw_file_verify(const struct nw_host *host, const char *path,
                         void (*report_line)(void *context, const char *line), void *context,
                         struct nw_error *err)
{
    struct verify verify = {.host = host, .path = path, .report = report_line, .context = context};
    nw_status status = verify_run(&verify, err);

    nw_state_fini(&verify.state);
    free(verify.checkpoints);
    free(verify.files);
    return status;
}
