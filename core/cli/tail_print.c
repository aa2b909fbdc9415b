/* SPDX-License-Identifier: Apache-2.0 */
/* See tail_print.h. */
#include "cli/tail_print.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "pg/lsn.h"
#include "source/pgoutput.h"

#define RELATIONS_MAX 100000u

struct nw_tail_relation {
    uint32_t oid;
    bool shown;
    uint16_t columns_count;
    char *name; /* schema.table, as printed */
    char *columns[];
};

void nw_tail_printer_init(struct nw_tail_printer *printer, FILE *out,
                          const struct nw_table_filter *filter)
{
    *printer = (struct nw_tail_printer){.out = out, .filter = filter};
}

static void relation_free(struct nw_tail_relation *relation)
{
    for (uint16_t i = 0; relation != NULL && i < relation->columns_count; i++) {
        free(relation->columns[i]);
    }
    if (relation != NULL) {
        free(relation->name);
    }
    free(relation);
}

void nw_tail_printer_fini(struct nw_tail_printer *printer)
{
    for (size_t i = 0; i < printer->relations_count; i++) {
        relation_free(printer->relations[i]);
    }
    free(printer->relations);
    printer->relations = NULL;
    printer->relations_count = 0;
}

static struct nw_tail_relation **relation_find(struct nw_tail_printer *printer, uint32_t oid)
{
    for (size_t i = 0; i < printer->relations_count; i++) {
        if (printer->relations[i]->oid == oid) {
            return &printer->relations[i];
        }
    }
    return NULL;
}

/* Names and values may hold anything; a terminal must not obey it. */
static void text_print(FILE *out, const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        uint8_t c = bytes[i];

        if (c == '\n') {
            (void)fputs("\\n", out);
        } else if (c == '\t') {
            (void)fputs("\\t", out);
        } else if (c == '\\') {
            (void)fputs("\\\\", out);
        } else if (c < 0x20 || c == 0x7f) {
            (void)fprintf(out, "\\x%02x", c);
        } else {
            (void)fputc(c, out);
        }
    }
}

static void word_print(FILE *out, const char *text)
{
    text_print(out, (const uint8_t *)text, strlen(text));
}

/* ---- relations ---- */

static struct nw_tail_relation *relation_copy(const struct nw_relation *from)
{
    struct nw_tail_relation *relation =
        calloc(1, sizeof *relation + from->columns_count * sizeof relation->columns[0]);
    bool whole = relation != NULL;

    if (!whole || asprintf(&relation->name, "%s.%s", from->schema_name, from->name) < 0) {
        free(relation);
        return NULL;
    }
    relation->oid = from->oid;
    relation->columns_count = from->columns_count;
    for (uint16_t i = 0; i < from->columns_count && whole; i++) {
        relation->columns[i] = strdup(from->columns[i].name);
        whole = relation->columns[i] != NULL;
    }
    if (!whole) {
        relation_free(relation);
        relation = NULL;
    }
    return relation;
}

static nw_status relation_keep(struct nw_tail_printer *printer, struct nw_tail_relation *relation,
                               struct nw_error *err)
{
    struct nw_tail_relation **former = relation_find(printer, relation->oid);

    if (former != NULL) {
        relation_free(*former);
        *former = relation;
        return NW_OK;
    }
    if (printer->relations_count == printer->relations_capacity) {
        size_t capacity = printer->relations_capacity == 0 ? 64 : printer->relations_capacity * 2;
        struct nw_tail_relation **grown =
            capacity > RELATIONS_MAX ? NULL
                                     : realloc(printer->relations, capacity * sizeof(void *));

        if (grown == NULL) {
            relation_free(relation);
            return nw_fail(err, NW_FATAL, "no memory for %zu tables", capacity);
        }
        printer->relations = grown;
        printer->relations_capacity = capacity;
    }
    printer->relations[printer->relations_count++] = relation;
    return NW_OK;
}

static nw_status take_relation(struct nw_tail_printer *printer, struct nw_bytes message,
                               struct nw_error *err)
{
    struct nw_relation *parsed = calloc(1, sizeof *parsed);
    struct nw_tail_relation *relation = NULL;
    nw_status status = parsed == NULL ? nw_fail(err, NW_FATAL, "out of memory")
                                      : nw_pgoutput_relation_parse(message, parsed, err);

    if (status == NW_OK) {
        relation = relation_copy(parsed);
        status = relation == NULL ? nw_fail(err, NW_FATAL, "out of memory") : NW_OK;
    }
    if (status == NW_OK) {
        relation->shown = nw_table_filter_match(printer->filter, parsed->schema_name, parsed->name);
        status = relation_keep(printer, relation, err);
    }
    free(parsed);
    return status;
}

/* ---- transactions ---- */

/* The first shown change of a transaction is preceded by its line. */
static void begin_print(struct nw_tail_printer *printer)
{
    time_t seconds = (time_t)(printer->commit_ts / 1000000);
    struct tm parts;
    char stamp[40] = "";

    printer->changes++;
    if (printer->begun || printer->xid == 0) {
        return;
    }
    printer->begun = true;
    if (gmtime_r(&seconds, &parts) != NULL) {
        (void)strftime(stamp, sizeof stamp, "%Y-%m-%d %H:%M:%S", &parts);
    }
    (void)fprintf(printer->out, "BEGIN    xid %" PRIu32 "   %s.%06d UTC\n", printer->xid, stamp,
                  (int)(printer->commit_ts % 1000000));
}

static nw_status take_begin(struct nw_tail_printer *printer, struct nw_bytes message,
                            struct nw_error *err)
{
    struct nw_pgoutput_begin begin;
    nw_status status = nw_pgoutput_begin_parse(message, &begin, err);

    if (status == NW_OK) {
        printer->begun = false;
        printer->xid = begin.xid;
        printer->commit_ts = begin.commit_ts;
        printer->commit_lsn = begin.commit_lsn;
    }
    return status;
}

static nw_status take_commit(struct nw_tail_printer *printer, struct nw_bytes message,
                             struct nw_error *err)
{
    struct nw_pgoutput_commit commit;
    char lsn[NW_LSN_TEXT_SIZE];
    nw_status status = nw_pgoutput_commit_parse(message, &commit, err);

    if (status == NW_OK && printer->begun) {
        (void)fprintf(printer->out, "COMMIT   %s\n", nw_lsn_text(lsn, commit.end_lsn));
    }
    printer->begun = false;
    printer->xid = 0;
    return status;
}

/* ---- rows ---- */

static void column_print(FILE *out, const char *name, uint8_t kind, struct nw_bytes value)
{
    (void)fputc(' ', out);
    word_print(out, name);
    (void)fputc('=', out);
    if (kind == 't') {
        text_print(out, value.at, value.size);
    } else {
        (void)fputs(kind == 'n' ? "NULL" : "(unchanged)", out);
    }
}

/* Prints one tuple. Columns that were not sent are left out of keys. */
static nw_status tuple_print(struct nw_cursor *cursor, const struct nw_tail_relation *relation,
                             bool key_only, FILE *out, struct nw_error *err)
{
    uint16_t count = nw_cursor_u16be(cursor);

    if (count != relation->columns_count) {
        return nw_fail(err, NW_CORRUPT, "a row of %s has %u columns, the table has %u",
                       relation->name, count, relation->columns_count);
    }
    for (uint16_t i = 0; i < count && !cursor->failed; i++) {
        uint8_t kind = nw_cursor_u8(cursor);
        struct nw_bytes value = {0};

        if (kind == 't') {
            value = nw_cursor_bytes(cursor, nw_cursor_u32be(cursor));
        } else if (kind != 'n' && kind != 'u' && !cursor->failed) {
            return nw_fail(err, NW_CORRUPT, "a column of %s has the unknown kind 0x%02x",
                           relation->name, kind);
        }
        if (key_only && kind == 'n') {
            continue;
        }
        column_print(out, relation->columns[i], kind, value);
    }
    return cursor->failed ? nw_fail(err, NW_CORRUPT, "a row of %s ends early", relation->name)
                          : NW_OK;
}

/* The images that follow: K or O (before), N (after). A DELETE has none after, an INSERT none
 * before. */
static nw_status images_print(struct nw_cursor *cursor, const struct nw_tail_relation *relation,
                              char verb, FILE *out, struct nw_error *err)
{
    uint8_t image = nw_cursor_u8(cursor);
    nw_status status = NW_OK;

    if (image == 'K' || image == 'O') {
        status = verb == 'I' ? NW_CORRUPT : tuple_print(cursor, relation, image == 'K', out, err);
        if (status == NW_OK && verb == 'U') {
            (void)fputs("  ->", out);
            image = nw_cursor_u8(cursor);
        }
    }
    if (status == NW_OK && image == 'N' && verb != 'D') {
        status = tuple_print(cursor, relation, false, out, err);
    } else if (status == NW_OK && verb != 'D') {
        status = NW_CORRUPT;
    }
    if (cursor->failed || cursor->left > 0 || status == NW_CORRUPT || image == 0) {
        return nw_fail(err, NW_CORRUPT, "a change of %s is malformed", relation->name);
    }
    return status;
}

static nw_status take_row(struct nw_tail_printer *printer, const char *verb,
                          struct nw_bytes message, struct nw_error *err)
{
    struct nw_cursor cursor = nw_cursor_of(message.at, message.size);
    struct nw_tail_relation **found = NULL;
    FILE *out = printer->out;
    nw_status status = NW_OK;

    (void)nw_cursor_u8(&cursor);
    found = relation_find(printer, nw_cursor_u32be(&cursor));
    if (cursor.failed || found == NULL) {
        return nw_fail(err, NW_CORRUPT, "a change of a table that was not announced");
    }
    if (!(*found)->shown) {
        return NW_OK;
    }
    begin_print(printer);
    (void)fprintf(out, "%s   ", verb);
    word_print(out, (*found)->name);
    (void)fputc(' ', out);
    status = images_print(&cursor, *found, verb[0], out, err);
    (void)fputc('\n', out);
    return status;
}

static nw_status take_truncate(struct nw_tail_printer *printer, struct nw_bytes message,
                               struct nw_error *err)
{
    struct nw_pgoutput_truncate truncate;
    struct nw_cursor cursor;
    nw_status status = nw_pgoutput_truncate_parse(message, &truncate, err);
    bool any = false;

    if (status != NW_OK) {
        return status;
    }
    cursor = nw_cursor_of(truncate.relations.at, truncate.relations.size);
    for (uint32_t i = 0; i < truncate.relations_count; i++) {
        struct nw_tail_relation **found = relation_find(printer, nw_cursor_u32be(&cursor));

        if (found == NULL || !(*found)->shown) {
            continue;
        }
        if (!any) {
            begin_print(printer);
            (void)fputs("TRUNCATE", printer->out);
        }
        (void)fputs(any ? ", " : " ", printer->out);
        word_print(printer->out, (*found)->name);
        any = true;
    }
    if (any) {
        (void)fputc('\n', printer->out);
    }
    return NW_OK;
}

static nw_status take_message(struct nw_tail_printer *printer, struct nw_bytes message,
                              struct nw_error *err)
{
    struct nw_pgoutput_message parsed;
    nw_status status = nw_pgoutput_message_parse(message, &parsed, err);

    if (status == NW_OK) {
        if (parsed.transactional) {
            begin_print(printer);
        } else {
            printer->changes++;
        }
        (void)fputs("MESSAGE  ", printer->out);
        word_print(printer->out, parsed.prefix);
        (void)fputs(": ", printer->out);
        text_print(printer->out, parsed.content.at, parsed.content.size);
        (void)fputc('\n', printer->out);
    }
    return status;
}

nw_status nw_tail_print(struct nw_tail_printer *printer, struct nw_bytes message,
                        struct nw_error *err)
{
    switch (message.size == 0 ? 0 : message.at[0]) {
    case 'B':
        return take_begin(printer, message, err);
    case 'C':
        return take_commit(printer, message, err);
    case 'R':
        return take_relation(printer, message, err);
    case 'I':
        return take_row(printer, "INSERT", message, err);
    case 'U':
        return take_row(printer, "UPDATE", message, err);
    case 'D':
        return take_row(printer, "DELETE", message, err);
    case 'T':
        return take_truncate(printer, message, err);
    case 'M':
        return take_message(printer, message, err);
    case 'Y': /* types and origins are of no interest here */
    case 'O':
        return NW_OK;
    default:
        return nw_fail(err, NW_CORRUPT, "a message of the unknown type 0x%02x",
                       message.size == 0 ? 0u : message.at[0]);
    }
}
