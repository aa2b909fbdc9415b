/* SPDX-License-Identifier: Apache-2.0 */
/* Pairing the events of two sides by their hashes: see compare.h. */
#include <stdlib.h>
#include <string.h>

#include "kafka/compare.h"

#define AHEAD_MAX 64u /* events of a key within which two sides meet again */

struct slice {
    const struct nw_record *at;
    size_t count;
    const struct nw_record *begin; /* of the key */
};

struct pairing {
    struct nw_finding *finding;
    struct nw_pairs *pairs;
    bool failed;
};

static int two_compare(const uint64_t a[2], const uint64_t b[2])
{
    return a[0] != b[0] ? (a[0] < b[0] ? -1 : 1) : a[1] != b[1] ? (a[1] < b[1] ? -1 : 1) : 0;
}

static int place_compare(const struct nw_record *a, const struct nw_record *b)
{
    return a->partition != b->partition ? (a->partition < b->partition ? -1 : 1)
           : a->offset != b->offset     ? (a->offset < b->offset ? -1 : 1)
                                        : 0;
}

/* Those without a key first, by what they say; else by key. */
static int record_compare(const void *a, const void *b)
{
    const struct nw_record *one = a;
    const struct nw_record *other = b;
    int order = one->keyed != other->keyed ? (one->keyed ? 1 : -1) : 0;

    if (order == 0) {
        order =
            one->keyed ? two_compare(one->key, other->key) : two_compare(one->hash, other->hash);
    }
    return order != 0 ? order : place_compare(one, other);
}

static int by_place(const void *a, const void *b)
{
    return place_compare(*(const struct nw_record *const *)a, *(const struct nw_record *const *)b);
}

static int pair_compare(const void *a, const void *b)
{
    const struct nw_pair *one = a;
    const struct nw_pair *other = b;

    return place_compare(&one->of[one->there[0] ? 0 : 1], &other->of[other->there[0] ? 0 : 1]);
}

static bool same(const struct nw_record *a, const struct nw_record *b)
{
    return two_compare(a->hash, b->hash) == 0;
}

/* Whether an event that has no partner says what one just before it said: it came twice. */
static bool came_before(const struct slice *slice)
{
    for (size_t i = 1; i <= AHEAD_MAX && i <= (size_t)(slice->at - slice->begin); i++) {
        if (same(slice->at, slice->at - i)) {
            return true;
        }
    }
    return false;
}

/* @param a, b  NULL: the other has no partner */
static void pair_note(struct pairing *pairing, const struct nw_record *a, const struct nw_record *b)
{
    struct nw_pairs *pairs = pairing->pairs;
    struct nw_finding *finding = pairing->finding;
    struct nw_pair pair = {.there = {a != NULL, b != NULL}};

    const struct nw_record *alone = a == NULL ? b : b == NULL ? a : NULL;

    if (alone != NULL && alone->late) {
        finding->pending++;
        return;
    }
    finding->different += a != NULL && b != NULL;
    finding->only[0] += b == NULL;
    finding->only[1] += a == NULL;
    if (pairs->count == pairs->capacity) {
        size_t capacity = pairs->capacity == 0 ? 256 : 2 * pairs->capacity;
        struct nw_pair *more = realloc(pairs->items, capacity * sizeof *more);

        if (more == NULL) {
            pairing->failed = true;
            return;
        }
        pairs->items = more;
        pairs->capacity = capacity;
    }
    if (a != NULL) {
        pair.of[0] = *a;
    }
    if (b != NULL) {
        pair.of[1] = *b;
    }
    pairs->items[pairs->count++] = pair;
}

/* How many events of one side have to be passed over until the other's next is met; 0: none helps
 */
static size_t ahead_find(const struct nw_record *wanted, const struct slice *in)
{
    for (size_t i = 1; i < in->count && i <= AHEAD_MAX; i++) {
        if (same(wanted, &in->at[i])) {
            return i;
        }
    }
    return 0;
}

static void pass_over(struct pairing *pairing, struct slice *slice, bool of_a, size_t count)
{
    for (size_t i = 0; i < count; i++, slice->at++, slice->count--) {
        pairing->finding->again[!of_a] += !slice->at->late && came_before(slice);
        pair_note(pairing, of_a ? slice->at : NULL, of_a ? NULL : slice->at);
    }
}

/* The next events differ: are they partners, or has one side something that the other lacks? */
static void differ(struct pairing *pairing, struct slice *a, struct slice *b)
{
    size_t more_of_b = 0;
    size_t more_of_a = 0;
    bool then_same = a->count > 1 && b->count > 1 && same(&a->at[1], &b->at[1]);

    if (!then_same) {
        more_of_b = ahead_find(a->at, b);
        more_of_a = ahead_find(b->at, a);
    }
    if (more_of_b > 0 && (more_of_a == 0 || more_of_b <= more_of_a)) {
        pass_over(pairing, b, false, more_of_b);
    } else if (more_of_a > 0) {
        pass_over(pairing, a, true, more_of_a);
    } else {
        pair_note(pairing, a->at, b->at);
        a->at++;
        a->count--;
        b->at++;
        b->count--;
    }
}

/* Events of one key, in order. */
static void key_pair(struct pairing *pairing, struct slice a, struct slice b)
{
    a.begin = a.at;
    b.begin = b.at;
    while (a.count > 0 && b.count > 0) {
        if (same(a.at, b.at)) {
            pairing->finding->equal++;
            a.at++;
            a.count--;
            b.at++;
            b.count--;
        } else {
            differ(pairing, &a, &b);
        }
    }
    pass_over(pairing, &a, true, a.count);
    pass_over(pairing, &b, false, b.count);
}

/* How many of the next records have the same key. */
static size_t key_size(const struct nw_record *at, size_t left)
{
    size_t count = 1;

    while (count < left && two_compare(at->key, at[count].key) == 0) {
        count++;
    }
    return count;
}

static void keyed_pair(struct pairing *pairing, struct slice a, struct slice b)
{
    while (a.count > 0 || b.count > 0) {
        int order = a.count == 0 ? 1 : b.count == 0 ? -1 : two_compare(a.at->key, b.at->key);
        struct slice of_a = {a.at, order <= 0 ? key_size(a.at, a.count) : 0, NULL};
        struct slice of_b = {b.at, order >= 0 ? key_size(b.at, b.count) : 0, NULL};

        key_pair(pairing, of_a, of_b);
        a.at += of_a.count;
        a.count -= of_a.count;
        b.at += of_b.count;
        b.count -= of_b.count;
    }
}

/* What is left of events without a key once those that say the same are paired. */
struct rest {
    const struct nw_record **items; /* own */
    size_t count;
};

static void rest_take(struct pairing *pairing, struct rest rests[2], int side, struct slice *slice)
{
    pairing->finding->again[side] += !slice->at->late && came_before(slice);
    rests[side].items[rests[side].count++] = slice->at++;
    slice->count--;
}

/* Which of two that are sorted comes next: -1 a, 1 b, 0 both alike. One of them is left. */
static int next_of(const struct slice *a, const struct slice *b)
{
    return a->count == 0 ? 1 : b->count == 0 ? -1 : two_compare(a->at->hash, b->at->hash);
}

/* Pairs what says the same, whatever its order. */
static void alike_pair(struct pairing *pairing, struct slice a, struct slice b,
                       struct rest rests[2])
{
    a.begin = a.at;
    b.begin = b.at;
    while (a.count > 0 || b.count > 0) {
        int order = next_of(&a, &b);

        if (order == 0) {
            pairing->finding->equal++;
            a.at++;
            a.count--;
            b.at++;
            b.count--;
        } else {
            rest_take(pairing, rests, order < 0 ? 0 : 1, order < 0 ? &a : &b);
        }
    }
}

static void keyless_pair(struct pairing *pairing, struct slice a, struct slice b)
{
    struct rest rests[2] = {{.items = calloc(a.count + 1, sizeof(struct nw_record *))},
                            {.items = calloc(b.count + 1, sizeof(struct nw_record *))}};

    if (rests[0].items == NULL || rests[1].items == NULL) {
        pairing->failed = true;
    } else {
        alike_pair(pairing, a, b, rests);
        qsort(rests[0].items, rests[0].count, sizeof *rests[0].items, by_place);
        qsort(rests[1].items, rests[1].count, sizeof *rests[1].items, by_place);
    }
    for (size_t i = 0; i < rests[0].count || i < rests[1].count; i++) {
        pair_note(pairing, i < rests[0].count ? rests[0].items[i] : NULL,
                  i < rests[1].count ? rests[1].items[i] : NULL);
    }
    free(rests[0].items);
    free(rests[1].items);
}

/* Splits sorted records: those without a key, and the others. */
static void split(const struct nw_records *records, struct slice *keyless, struct slice *keyed)
{
    size_t count = 0;

    while (count < records->count && !records->items[count].keyed) {
        count++;
    }
    *keyless = (struct slice){records->items, count, NULL};
    *keyed = (struct slice){records->items == NULL ? NULL : records->items + count,
                            records->count - count, NULL};
}

nw_status nw_records_pair(struct nw_records records[2], struct nw_finding *finding,
                          struct nw_pairs *pairs, struct nw_error *err)
{
    struct pairing pairing = {.finding = finding, .pairs = pairs};
    struct slice keyless[2];
    struct slice keyed[2];

    for (int i = 0; i < 2; i++) {
        if (records[i].count > 0) {
            qsort(records[i].items, records[i].count, sizeof *records[i].items, record_compare);
        }
        split(&records[i], &keyless[i], &keyed[i]);
    }
    keyless_pair(&pairing, keyless[0], keyless[1]);
    keyed_pair(&pairing, keyed[0], keyed[1]);
    if (pairing.failed) {
        return nw_fail(err, NW_FATAL, "out of memory for what differs in %s", finding->name);
    }
    if (pairs->count > 0) {
        qsort(pairs->items, pairs->count, sizeof *pairs->items, pair_compare);
    }
    return NW_OK;
}
