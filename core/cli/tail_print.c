/* SPDX-License-Identifier: Apache-2.0 */
/* See tail_print.h. */
#include "cli/tail_print.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/tail_format.h"
#include "pg/lsn.h"
#include "source/pgoutput.h"

#define RELATIONS_MAX 100000u

#define STAMP_SIZE 40u

/* A column of one image; kind as on the wire: t text, n NULL, u not sent because unchanged. */
struct value {
    uint8_t kind;
    struct nw_bytes bytes;
};

struct column {
    char *name;
    uint32_t type_oid;
    int32_t typmod;
};

struct nw_tail_relation {
    uint32_t oid;
    bool shown;
    uint16_t columns_count;
    char *schema_name, *name;
    struct value *before, *after; /* of the change that is printed */
    struct column columns[];
};

void nw_tail_printer_init(struct nw_tail_printer *printer, FILE *out,
                          const struct nw_table_filter *filter)
{
    *printer = (struct nw_tail_printer){.out = out, .filter = filter};
}

static void relation_free(struct nw_tail_relation *relation)
{
    for (uint16_t i = 0; relation != NULL && i < relation->columns_count; i++) {
        free(relation->columns[i].name);
    }
    if (relation != NULL) {
        free(relation->schema_name);
        free(relation->name);
        free(relation->before); /* and after, in the same block */
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

static struct nw_bytes bytes_of(const char *text)
{
    return (struct nw_bytes){(const uint8_t *)text, strlen(text)};
}

static void word_print(FILE *out, const char *text)
{
    nw_tail_format_text(out, bytes_of(text));
}

/* ,"name":"text" */
static void json_member(FILE *out, const char *name, const char *text)
{
    (void)fprintf(out, ",\"%s\":", name);
    nw_tail_format_json_name(out, bytes_of(text));
}

/* The first word of a line, in a column of its own. */
static void verb_print(const struct nw_tail_printer *printer, const char *verb)
{
    static const struct {
        const char *verb, *colour;
    } colours[] = {{"INSERT", "32"},   {"UPDATE", "33"},  {"DELETE", "31"},
                   {"TRUNCATE", "35"}, {"MESSAGE", "36"}, {"SCHEMA", "34"}};
    const char *colour = "2"; /* BEGIN and COMMIT: faint */

    for (size_t i = 0; i < sizeof colours / sizeof colours[0]; i++) {
        if (strcmp(colours[i].verb, verb) == 0) {
            colour = colours[i].colour;
        }
    }
    if (printer->colour) {
        (void)fprintf(printer->out, "\x1b[%sm%-8s\x1b[0m ", colour, verb);
    } else {
        (void)fprintf(printer->out, "%-8s ", verb);
    }
}

/* ---- relations ---- */

static struct nw_tail_relation *relation_copy(const struct nw_relation *from)
{
    size_t count = from->columns_count;
    struct nw_tail_relation *relation =
        calloc(1, sizeof *relation + count * sizeof relation->columns[0]);

    if (relation == NULL) {
        return NULL;
    }
    relation->oid = from->oid;
    relation->columns_count = from->columns_count;
    relation->schema_name = strdup(from->schema_name);
    relation->name = strdup(from->name);
    relation->before = calloc(2 * count + 1, sizeof *relation->before);
    if (relation->schema_name == NULL || relation->name == NULL || relation->before == NULL) {
        relation_free(relation);
        return NULL;
    }
    for (size_t i = 0; i < count; i++) {
        char *name = strdup(from->columns[i].name);

        if (name == NULL) {
            relation_free(relation);
            return NULL;
        }
        relation->columns[i] = (struct column){
            .name = name, .type_oid = from->columns[i].type_oid, .typmod = from->columns[i].typmod};
    }
    relation->after = relation->before + count;
    return relation;
}

/* The server also announces a table again that is as it was. */
static bool relation_same(const struct nw_tail_relation *a, const struct nw_tail_relation *b)
{
    bool same = a->columns_count == b->columns_count && strcmp(a->name, b->name) == 0 &&
                strcmp(a->schema_name, b->schema_name) == 0;

    for (uint16_t i = 0; same && i < a->columns_count; i++) {
        same = strcmp(a->columns[i].name, b->columns[i].name) == 0 &&
               a->columns[i].type_oid == b->columns[i].type_oid &&
               a->columns[i].typmod == b->columns[i].typmod;
    }
    return same;
}

static void relation_print(FILE *out, const struct nw_tail_relation *relation)
{
    word_print(out, relation->schema_name);
    (void)fputc('.', out);
    word_print(out, relation->name);
}

static void relation_json(FILE *out, const struct nw_tail_relation *relation)
{
    json_member(out, "schema", relation->schema_name);
    json_member(out, "table", relation->name);
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

/* ---- transactions ---- */

static const char *stamp_of(int64_t commit_ts, char separator, char stamp[STAMP_SIZE])
{
    time_t seconds = (time_t)(commit_ts / 1000000);
    struct tm parts;
    size_t used = 0;

    stamp[0] = '\0';
    if (gmtime_r(&seconds, &parts) != NULL) {
        used = strftime(stamp, STAMP_SIZE, "%Y-%m-%d %H:%M:%S", &parts);
        (void)snprintf(stamp + used, STAMP_SIZE - used, ".%06d", (int)(commit_ts % 1000000));
        *(used > 10 ? stamp + used - 9 : stamp) = separator; /* before HH:MM:SS */
    }
    return stamp;
}

/* The first line of a transaction is preceded by its own. */
static void line_begin(struct nw_tail_printer *printer)
{
    char stamp[STAMP_SIZE];

    if (printer->begun || printer->xid == 0 || printer->json) {
        return;
    }
    printer->begun = true;
    verb_print(printer, "BEGIN");
    (void)fprintf(printer->out, "xid %" PRIu32 "   %s UTC\n", printer->xid,
                  stamp_of(printer->commit_ts, ' ', stamp));
}

/* A change's line begins: {"op":"insert", and its transaction; or the verb. */
static void change_begin(struct nw_tail_printer *printer, const char *verb, const char *op)
{
    char stamp[STAMP_SIZE];
    char lsn[NW_LSN_TEXT_SIZE];

    line_begin(printer);
    if (!printer->json) {
        verb_print(printer, verb);
        return;
    }
    (void)fprintf(printer->out, "{\"op\":\"%s\"", op);
    if (printer->xid != 0) {
        (void)fprintf(printer->out,
                      ",\"xid\":%" PRIu32 ",\"commit_lsn\":\"%s\",\"commit_time\":\"%sZ\"",
                      printer->xid, nw_lsn_text(lsn, printer->commit_lsn),
                      stamp_of(printer->commit_ts, 'T', stamp));
    }
}

static void change_end(struct nw_tail_printer *printer)
{
    (void)fputs(printer->json ? "}\n" : "\n", printer->out);
}

/* A table's columns are others than when it was announced before. */
static void schema_print(struct nw_tail_printer *printer, const struct nw_tail_relation *relation)
{
    FILE *out = printer->out;

    change_begin(printer, "SCHEMA", "schema");
    if (printer->json) {
        relation_json(out, relation);
        (void)fputs(",\"columns\":[", out);
    } else {
        relation_print(out, relation);
        (void)fputc(' ', out);
    }
    for (uint16_t i = 0; i < relation->columns_count; i++) {
        const struct column *column = &relation->columns[i];

        if (printer->json) {
            (void)fputs(i == 0 ? "{\"name\":" : ",{\"name\":", out);
            nw_tail_format_json_name(out, bytes_of(column->name));
            (void)fprintf(out, ",\"type_oid\":%" PRIu32 ",\"typmod\":%" PRId32 "}",
                          column->type_oid, column->typmod);
        } else {
            (void)fputc(' ', out);
            nw_tail_format_value(out, bytes_of(column->name));
        }
    }
    (void)fputs(printer->json ? "]" : "", out);
    change_end(printer);
}

static nw_status relation_take(struct nw_tail_printer *printer, const struct nw_relation *parsed,
                               struct nw_error *err)
{
    struct nw_tail_relation *relation = relation_copy(parsed);
    struct nw_tail_relation **former = relation_find(printer, parsed->oid);

    if (relation == NULL) {
        return nw_fail(err, NW_FATAL, "out of memory");
    }
    relation->shown = nw_table_filter_match(printer->filter, parsed->schema_name, parsed->name);
    if (relation->shown && former != NULL && !relation_same(*former, relation)) {
        schema_print(printer, relation);
    }
    return relation_keep(printer, relation, err);
}

static nw_status take_relation(struct nw_tail_printer *printer, struct nw_bytes message,
                               struct nw_error *err)
{
    struct nw_relation *parsed = calloc(1, sizeof *parsed);
    nw_status status = NW_OK;

    if (parsed == NULL) {
        return nw_fail(err, NW_FATAL, "out of memory");
    }
    status = nw_pgoutput_relation_parse(message, parsed, err);
    if (status == NW_OK) {
        status = relation_take(printer, parsed, err);
    }
    free(parsed);
    return status;
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
        verb_print(printer, "COMMIT");
        (void)fprintf(printer->out, "%s\n", nw_lsn_text(lsn, commit.end_lsn));
    }
    printer->begun = false;
    printer->xid = 0;
    return status;
}

/* ---- rows ---- */

static nw_status tuple_read(struct nw_cursor *cursor, const struct nw_tail_relation *relation,
                            struct value *values, struct nw_error *err)
{
    uint16_t count = nw_cursor_u16be(cursor);

    if (count != relation->columns_count) {
        return nw_fail(err, NW_CORRUPT, "a row of %s has %u columns, the table has %u",
                       relation->name, count, relation->columns_count);
    }
    for (uint16_t i = 0; i < count && !cursor->failed; i++) {
        uint8_t kind = nw_cursor_u8(cursor);

        values[i] = (struct value){.kind = kind};
        if (kind == 't') {
            values[i].bytes = nw_cursor_bytes(cursor, nw_cursor_u32be(cursor));
        } else if (kind != 'n' && kind != 'u' && !cursor->failed) {
            return nw_fail(err, NW_CORRUPT, "a column of %s has the unknown kind 0x%02x",
                           relation->name, kind);
        }
    }
    return cursor->failed ? nw_fail(err, NW_CORRUPT, "a row of %s ends early", relation->name)
                          : NW_OK;
}

/* Which images a change has: before K (key) or O (whole row), after N; 0: none. */
struct images {
    uint8_t before, after;
};

/* A DELETE has none after, an INSERT none before. */
static nw_status images_read(struct nw_cursor *cursor, const struct nw_tail_relation *relation,
                             char verb, struct images *images, struct nw_error *err)
{
    uint8_t image = nw_cursor_u8(cursor);
    nw_status status = NW_OK;

    if ((image == 'K' || image == 'O') && verb != 'I') {
        images->before = image;
        status = tuple_read(cursor, relation, relation->before, err);
        image = status == NW_OK && verb == 'U' ? nw_cursor_u8(cursor) : 0;
    }
    if (status == NW_OK && image == 'N' && verb != 'D') {
        images->after = image;
        status = tuple_read(cursor, relation, relation->after, err);
    }
    if (status == NW_OK && (cursor->failed || cursor->left > 0 ||
                            (verb == 'D' ? images->before : images->after) == 0)) {
        status = nw_fail(err, NW_CORRUPT, "a change of %s is malformed", relation->name);
    }
    return status;
}

static void value_print(FILE *out, const char *name, const struct value *value)
{
    (void)fputc(' ', out);
    nw_tail_format_value(out, bytes_of(name));
    (void)fputc('=', out);
    if (value->kind == 't') {
        nw_tail_format_value(out, value->bytes);
    } else {
        (void)fputs(value->kind == 'n' ? "NULL" : "(unchanged)", out);
    }
}

static bool value_same(const struct value *a, const struct value *b)
{
    return b->kind == 'u' ||
           (a->kind == b->kind && a->bytes.size == b->bytes.size &&
            (a->bytes.size == 0 || memcmp(a->bytes.at, b->bytes.at, a->bytes.size) == 0));
}

/* A key's other columns were not sent. After a whole row only what differs from it is of interest.
 */
static void row_print(FILE *out, const struct nw_tail_relation *relation, struct images images)
{
    relation_print(out, relation);
    (void)fputc(' ', out);
    for (uint16_t i = 0; images.before != 0 && i < relation->columns_count; i++) {
        if (images.before == 'O' || relation->before[i].kind != 'n') {
            value_print(out, relation->columns[i].name, &relation->before[i]);
        }
    }
    if (images.before != 0 && images.after != 0) {
        (void)fputs("  ->", out);
    }
    for (uint16_t i = 0; images.after != 0 && i < relation->columns_count; i++) {
        if (images.before != 'O' || !value_same(&relation->before[i], &relation->after[i])) {
            value_print(out, relation->columns[i].name, &relation->after[i]);
        }
    }
}

/* ,"row":{"id":"1","v":null}; what was not sent is left out. */
static void image_json(FILE *out, const char *member, const struct nw_tail_relation *relation,
                       const struct value *values, bool key_only)
{
    bool first = true;

    (void)fprintf(out, ",\"%s\":{", member);
    for (uint16_t i = 0; i < relation->columns_count; i++) {
        if (values[i].kind == 'u' || (key_only && values[i].kind == 'n')) {
            continue;
        }
        (void)fputs(first ? "" : ",", out);
        nw_tail_format_json_name(out, bytes_of(relation->columns[i].name));
        (void)fputc(':', out);
        if (values[i].kind == 't') {
            nw_tail_format_json(out, values[i].bytes);
        } else {
            (void)fputs("null", out);
        }
        first = false;
    }
    (void)fputc('}', out);
}

static void row_json(FILE *out, const struct nw_tail_relation *relation, struct images images)
{
    const char *separator = ",\"unchanged\":[";

    relation_json(out, relation);
    if (images.before != 0) {
        image_json(out, images.before == 'K' ? "key" : "old", relation, relation->before,
                   images.before == 'K');
    }
    if (images.after == 0) {
        return;
    }
    image_json(out, "row", relation, relation->after, false);
    for (uint16_t i = 0; i < relation->columns_count; i++) {
        if (relation->after[i].kind == 'u') {
            (void)fputs(separator, out);
            nw_tail_format_json_name(out, bytes_of(relation->columns[i].name));
            separator = ",";
        }
    }
    (void)fputs(separator[1] == '\0' ? "]" : "", out);
}

static nw_status take_row(struct nw_tail_printer *printer, const char *verb, const char *op,
                          struct nw_bytes message, struct nw_error *err)
{
    struct nw_cursor cursor = nw_cursor_of(message.at, message.size);
    struct nw_tail_relation **found = NULL;
    struct images images = {0};
    nw_status status = NW_OK;

    (void)nw_cursor_u8(&cursor);
    found = relation_find(printer, nw_cursor_u32be(&cursor));
    if (cursor.failed || found == NULL) {
        return nw_fail(err, NW_CORRUPT, "a change of a table that was not announced");
    }
    if (!(*found)->shown) {
        return NW_OK;
    }
    status = images_read(&cursor, *found, verb[0], &images, err);
    if (status != NW_OK) {
        return status;
    }
    printer->changes++;
    change_begin(printer, verb, op);
    if (printer->json) {
        row_json(printer->out, *found, images);
    } else {
        row_print(printer->out, *found, images);
    }
    change_end(printer);
    return NW_OK;
}

/* ---- others ---- */

static void truncated_print(struct nw_tail_printer *printer,
                            const struct nw_tail_relation *relation, bool first)
{
    FILE *out = printer->out;

    if (first) {
        printer->changes++;
        change_begin(printer, "TRUNCATE", "truncate");
    }
    if (!printer->json) {
        (void)fputs(first ? "" : ", ", out);
        relation_print(out, relation);
        return;
    }
    (void)fputs(first ? ",\"tables\":[{\"schema\":" : ",{\"schema\":", out);
    nw_tail_format_json_name(out, bytes_of(relation->schema_name));
    json_member(out, "table", relation->name);
    (void)fputc('}', out);
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

        if (found != NULL && (*found)->shown) {
            truncated_print(printer, *found, !any);
            any = true;
        }
    }
    if (any) {
        (void)fputs(printer->json ? "]" : "", printer->out);
        change_end(printer);
    }
    return NW_OK;
}

static nw_status take_message(struct nw_tail_printer *printer, struct nw_bytes message,
                              struct nw_error *err)
{
    struct nw_pgoutput_message parsed;
    FILE *out = printer->out;
    nw_status status = nw_pgoutput_message_parse(message, &parsed, err);

    if (status != NW_OK) {
        return status;
    }
    printer->changes++;
    change_begin(printer, "MESSAGE", "message");
    if (printer->json) {
        (void)fprintf(out, ",\"transactional\":%s", parsed.transactional ? "true" : "false");
        json_member(out, "prefix", parsed.prefix);
        (void)fputs(",\"content\":", out);
        nw_tail_format_json(out, parsed.content);
    } else {
        word_print(out, parsed.prefix);
        (void)fputs(": ", out);
        nw_tail_format_text(out, parsed.content);
    }
    change_end(printer);
    return NW_OK;
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
        return take_row(printer, "INSERT", "insert", message, err);
    case 'U':
        return take_row(printer, "UPDATE", "update", message, err);
    case 'D':
        return take_row(printer, "DELETE", "delete", message, err);
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
