/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Attribute numbers of the columns of a Relation message, as vectors. A table is written as
 * "a1 b2 C4 /5": columns of one letter with their numbers, capitals of another type, and the
 * highest number ever used when it is not that of the last column. "-": nothing is known.
 * A message is "abC"; the answer is "1! 2! 4": numbers, exact ones marked.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "source/attnums.h"

#define COLUMNS_MAX 16u

struct text_table {
    struct nw_table table;
    struct nw_column_schema columns[COLUMNS_MAX];
    char names[COLUMNS_MAX][2];
};

static const struct vector {
    const char *former, *later, *message;
    const char *stop, *drop_add, *rename; /* what each policy gives; NULL: as `stop` */
} vectors[] = {
    /* Nothing changed, or is known from one side only. */
    {"a1 b2 c3", "a1 b2 c3", "abc", "1! 2! 3!", NULL, NULL},
    {"-", "-", "abc", "0 0 0", NULL, NULL},
    {"-", "a1 b2 c3", "abc", "1! 2! 3!", NULL, NULL},
    {"a1 b2 c3", "-", "abc", "1 2 3", NULL, NULL},
    /* Added, also more than once, and dropped again before the catalog was read. */
    {"a1 b2", "a1 b2 c3", "abc", "1! 2! 3!", NULL, NULL},
    {"a1 b2", "a1 b2 c3 d4", "abc", "1! 2! 3!", NULL, NULL},
    {"a1 b2", "a1 b2 /3", "abc", "1! 2! 3!", NULL, NULL},
    /* Dropped: the gap stays. */
    {"a1 b2 c3", "a1 c3", "ac", "1! 3!", NULL, NULL},
    {"a1 b2 c3", "a1 c3 d4", "acd", "1! 3! 4", NULL, NULL},
    /* Renamed between two others: no new column can be there. */
    {"a1 b2 c3", "-", "axc", "1 2 3", NULL, NULL},
    {"a1 b2 c3", "a1 y2 c3", "axc", "1! 2! 3!", NULL, NULL},
    {"a1 b2 c3 d4", "-", "axyd", "1 2 3 4", NULL, NULL},
    /* The last one renamed: exact when the catalog has it, under whatever name. */
    {"a1 b2", "a1 x2", "ax", "1! 2!", NULL, NULL},
    {"a1 b2", "a1 y2", "ax", "1! 2!", NULL, NULL},
    {"a1 b2", "a1 /2", "ax", "1! 2!", NULL, NULL},
    {"a1 b2", "a1 x3", "ax", "1! 3", NULL, NULL},
    /* The same when the catalog has moved on: renamed, or dropped and another one added. */
    {"a1 b2", "a1 /3", "ax", "stop", "1! 3", "1! 2"},
    {"a1 b2", "-", "ax", "stop", "1 3", "1 2"},
    {"a1 b2", "a1 z4", "ax", "stop", "1! 3", "1! 2"},
    /* Another type is not a rename. */
    {"a1 b2", "a1 /3", "aX", "1! 3", NULL, NULL},
    {"a1 b2", "a1 Z3", "ax", "1! 2", NULL, NULL},
    /* A type that changed keeps its number. */
    {"a1 b2 c3", "a1 B2 c3", "aBc", "1! 2! 3!", NULL, NULL},
    {"a1 b2 c3", "-", "aBc", "1 2 3", NULL, NULL},
    /* Dropped and added again under the same name: the order says so. */
    {"a1 b2 c3", "a1 c3 b4", "acb", "1! 3! 4", NULL, NULL},
    {"a1 b2 c3", "a1 c3 b4", "abc", "1! 2 3!", NULL, NULL},
    {"a1 b2 c3", "a1 c3 b4", "ac", "1! 3!", NULL, NULL},
    /* Two names changed places. */
    {"a1 b2", "b1 a2", "ba", "1! 2!", NULL, NULL},
    /* Numbers are given in order: the fifth was not there without the fourth. */
    {"a1 b2 C3", "a1 C3 Y4 /5", "abCX", "1! 2 3! 4", NULL, NULL},
    {"a1", "a1 B2 c3", "ax", "1! 2!", NULL, NULL},
    /* Everything is another table's: still in order. */
    {"a1 b2", "a1 b2", "wxyz", "1! 2! 3! 4!", NULL, NULL},
    /* While narwal was down: the catalog is all there is. */
    {"-", "a1 y2 c3", "axc", "1! 2! 3!", NULL, NULL},
    {"-", "a1 c3", "abc", "1! 2! 3!", NULL, NULL},
    {"-", "a1 c3 d4", "abc", "1! 2 3", NULL, NULL},
};

static const struct nw_table *table_read(const char *text, struct text_table *room)
{
    char copy[64];
    char *rest = copy;

    memset(room, 0, sizeof *room);
    if (strcmp(text, "-") == 0) {
        return NULL;
    }
    (void)snprintf(copy, sizeof copy, "%s", text);
    for (char *word = strsep(&rest, " "); word != NULL; word = strsep(&rest, " ")) {
        int16_t number = (int16_t)strtol(word + 1, NULL, 10);
        struct nw_column_schema *column = &room->columns[room->table.columns_count];

        room->table.attributes_count = (uint16_t)number;
        if (word[0] == '/') {
            continue;
        }
        room->names[room->table.columns_count][0] = (char)tolower(word[0]);
        column->name = room->names[room->table.columns_count++];
        column->type_oid = isupper(word[0]) != 0 ? 23 : 25;
        column->attnum = number;
    }
    room->table.columns = room->columns;
    return &room->table;
}

static void message_read(const char *text, struct nw_relation *relation, char names[COLUMNS_MAX][2])
{
    memset(relation, 0, sizeof *relation);
    relation->schema_name = "public";
    relation->name = "t";
    for (; *text != '\0'; text++) {
        struct nw_relation_column *column = &relation->columns[relation->columns_count];

        names[relation->columns_count][0] = (char)tolower(*text);
        names[relation->columns_count][1] = '\0';
        column->name = names[relation->columns_count++];
        column->type_oid = isupper(*text) != 0 ? 23 : 25;
    }
}

static void answer_write(const struct vector *vector, enum nw_ambiguous policy, char *answer,
                         size_t size)
{
    static struct nw_relation relation;
    static char names[COLUMNS_MAX][2];
    struct text_table former_room;
    struct text_table later_room;
    const struct nw_attnums_known known = {.former = table_read(vector->former, &former_room),
                                           .later = table_read(vector->later, &later_room)};
    struct nw_attnum attnums[COLUMNS_MAX];
    struct nw_error err = {0};
    nw_status status = NW_OK;
    size_t used = 0;

    message_read(vector->message, &relation, names);
    status = nw_attnums_find(&relation, &known, policy, attnums, &err);
    if (status == NW_REJECT) {
        assert_non_null(strstr(err.text, "public.t: column x"));
        assert_memory_equal(err.text, "NW2105", 6);
        (void)snprintf(answer, size, "stop");
        return;
    }
    assert_int_equal(status, NW_OK);
    for (uint16_t i = 0; i < relation.columns_count; i++) {
        used += (size_t)snprintf(answer + used, size - used, "%s%d%s", i == 0 ? "" : " ",
                                 attnums[i].number, attnums[i].exact ? "!" : "");
    }
}

static void columns_get_the_numbers_that_are_possible(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        const struct vector *v = &vectors[i];
        const char *expected[] = {v->stop, v->drop_add != NULL ? v->drop_add : v->stop,
                                  v->rename != NULL ? v->rename : v->stop};

        for (int policy = NW_AMBIGUOUS_STOP; policy <= NW_AMBIGUOUS_RENAME; policy++) {
            char answer[128] = "";

            answer_write(v, (enum nw_ambiguous)policy, answer, sizeof answer);
            if (strcmp(answer, expected[policy]) != 0) {
                print_error("%s | %s | %s, policy %d:\n", v->former, v->later, v->message, policy);
            }
            assert_string_equal(answer, expected[policy]);
        }
    }
}

/* However little sense it makes: numbers rise, and there is one for each column. */
static void numbers_always_rise(void **state)
{
    unsigned random = 1;

    (void)state;
    for (int round = 0; round < 20000; round++) {
        static struct nw_relation relation;
        char texts[3][64];
        static char names[COLUMNS_MAX][2];
        struct text_table rooms[2];
        struct nw_attnum attnums[COLUMNS_MAX];
        struct nw_error err = {0};

        for (int t = 0; t < 3; t++) {
            size_t used = 0;
            int number = 0;

            texts[t][0] = '\0';
            for (int i = 0; i < 6; i++) {
                char letter = (char)((random >> 8) % 2 == 0 ? 'a' + (random >> 16) % 8
                                                            : 'A' + (random >> 16) % 8);

                random = random * 1103515245u + 12345u;
                number += 1 + (int)(random >> 20) % 2;
                if (random >> 24 < 40) {
                    break;
                }
                used += (size_t)(t < 2 ? snprintf(texts[t] + used, sizeof texts[t] - used, "%s%c%d",
                                                  used == 0 ? "" : " ", letter, number)
                                       : snprintf(texts[t] + used, sizeof texts[t] - used, "%c",
                                                  letter));
            }
        }
        message_read(texts[2], &relation, names);
        const struct nw_attnums_known known = {
            .former = texts[0][0] == '\0' ? NULL : table_read(texts[0], &rooms[0]),
            .later = texts[1][0] == '\0' ? NULL : table_read(texts[1], &rooms[1])};
        assert_int_equal(nw_attnums_find(&relation, &known, NW_AMBIGUOUS_DROP_ADD, attnums, &err),
                         NW_OK);
        for (uint16_t i = 0; i < relation.columns_count; i++) {
            if (known.former != NULL || known.later != NULL) {
                assert_true(attnums[i].number > (i == 0 ? 0 : attnums[i - 1].number));
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(columns_get_the_numbers_that_are_possible),
        cmocka_unit_test(numbers_always_rise),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
