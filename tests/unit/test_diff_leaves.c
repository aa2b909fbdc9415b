/* SPDX-License-Identifier: Apache-2.0 */
/* Messages in Avro as leaves: what schemas and values of the specification become, and what no
 * value and no schema is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kafka/avro.h"
#include "kafka/leaves.h"

#define SAID_SIZE 4096u

struct said {
    char text[SAID_SIZE];
    size_t used;
};

static void on_leaf(void *context, const struct nw_leaf *leaf)
{
    struct said *said = context;
    int size = snprintf(said->text + said->used, SAID_SIZE - said->used, "%s=%.*s%s;", leaf->path,
                        (int)leaf->size, leaf->text, leaf->kind == NW_LEAF_BYTES ? "(bytes)" : "");

    assert_true(size > 0 && (size_t)size < SAID_SIZE - said->used);
    said->used += (size_t)size;
}

static struct nw_avro_schema *schema_of(const char *text)
{
    struct nw_avro_schema *schema = NULL;
    struct nw_error err = {0};

    assert_int_equal(nw_avro_schema_read(text, strlen(text), &schema, &err), NW_OK);
    return schema;
}

/* @return whether it is a value; what was said of it is in `said` */
static bool walk(const char *schema_text, const void *bytes, size_t size, struct said *said)
{
    struct nw_leaves *leaves = calloc(1, sizeof *leaves);
    struct nw_avro_schema *schema = schema_of(schema_text);
    /* on the heap, so that a read behind it is seen */
    void *copy = malloc(size == 0 ? 1 : size);
    bool is = false;

    *said = (struct said){.used = 0};
    assert_non_null(leaves);
    assert_non_null(copy);
    if (size > 0) {
        memcpy(copy, bytes, size);
    }
    leaves->leaf = on_leaf;
    leaves->context = said;
    leaves->path_used = (size_t)snprintf(leaves->path, sizeof leaves->path, "value");
    is = nw_avro_walk(leaves, schema, copy, size);
    assert_int_equal(leaves->path_used, 5);
    nw_leaves_fini(leaves);
    nw_avro_schema_free(schema);
    free(leaves);
    free(copy);
    return is;
}

#define RECORD(fields)                                                                             \
    "{\"type\":\"record\",\"name\":\"R\",\"namespace\":\"a.b\",\"fields\":[" fields "]}"

static const struct {
    const char *schema;
    const char *bytes;
    size_t size;
    const char *said; /* NULL: no value */
} values[] = {
    {"\"int\"", "\x01", 1, "value=-1e0;"},
    {"\"long\"", "\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10, "value=9223372036854775807e0;"},
    {"\"long\"", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10, "value=-9223372036854775808e0;"},
    {"\"long\"", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 10, NULL},
    {"\"long\"", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11, NULL},
    {"\"long\"", "\x80", 1, NULL},
    {"\"long\"", "\x02\x02", 2, NULL}, /* and something behind it */
    {"\"null\"", "", 0, "value=null;"},
    {"\"boolean\"", "\x01", 1, "value=true;"},
    {"\"boolean\"", "\x02", 1, NULL},
    {"\"float\"", "\x00\x00\xc0\x3f", 4, "value=15e-1;"},
    {"\"double\"", "\x00\x00\x00\x00\x00\x00\xf8\x7f", 8, "value=nan;"},
    {"\"double\"", "\x00\x00\x00\x00\x00\x00\xf0", 7, NULL},
    {"\"string\"",
     "\x06"
     "abc",
     4, "value=abc;"},
    {"\"string\"",
     "\x08"
     "abc",
     4, NULL},
    {"\"bytes\"", "\x01", 1, NULL},
    /* as AvroData has 1.50 */
    {RECORD("{\"name\":\"d\",\"type\":\"bytes\",\"default\":\"\\u0000\\u0096\"}"), "\x02!", 2,
     "value.d=!(bytes);"},
    {"{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":4,\"scale\":1}", "\x02!", 2,
     "value=!(bytes);"},
    {"{\"type\":\"fixed\",\"name\":\"F\",\"size\":2}", "ab", 2, "value=ab(bytes);"},
    {"{\"type\":\"fixed\",\"name\":\"F\",\"size\":9223372036854775807}", "ab", 2, NULL},
    {"{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"x\",\"y\"]}", "\x02", 1, "value=y;"},
    {"{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"x\",\"y\"]}", "\x04", 1, NULL},
    {"[\"null\",\"string\"]", "\x00", 1, "value=null;"},
    {"[\"null\",\"string\"]", "\x02\x02z", 3, "value=z;"},
    {"[\"null\",\"string\"]", "\x01", 1, NULL},
    {"{\"type\":\"array\",\"items\":\"int\"}", "\x04\x02\x04\x00", 4, "value[0]=1e0;value[1]=2e0;"},
    {"{\"type\":\"array\",\"items\":\"int\"}", "\x03\x04\x02\x04\x02\x06\x00", 7,
     "value[0]=1e0;value[1]=2e0;value[2]=3e0;"},
    {"{\"type\":\"array\",\"items\":\"int\"}", "\x00", 1, "value=[];"},
    {"{\"type\":\"array\",\"items\":\"int\"}", "\x04\x02", 2, NULL},
    /* items without bytes, as many as there are numbers */
    {"{\"type\":\"array\",\"items\":\"null\"}", "\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01\x00", 11,
     NULL},
    {"{\"type\":\"array\",\"items\":\"null\"}", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x00\x00",
     12, NULL},
    {"{\"type\":\"map\",\"values\":\"int\"}", "\x02\x02k\x02\x00", 5, "value.k=1e0;"},
    {RECORD("{\"name\":\"i\",\"type\":\"int\"},{\"name\":\"n\",\"type\":[\"null\",\"R\"]}"),
     "\x02\x02\x04\x00", 4, "value.i=1e0;value.n.i=2e0;value.n.n=null;"},
    /* a name is of the namespace that it stands in */
    {RECORD("{\"name\":\"one\",\"type\":{\"type\":\"enum\",\"name\":\"c.E\",\"symbols\":[\"x\"]}},"
            "{\"name\":\"two\",\"type\":\"c.E\"},{\"name\":\"me\",\"type\":[\"null\",\"a.b.R\"]}"),
     "\x00\x00\x00", 3, "value.one=x;value.two=x;value.me=null;"},
    {RECORD(""), "", 0, "value={};"},
};

static void values_are_read_by_their_schema(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        struct said said;
        bool is = walk(values[i].schema, values[i].bytes, values[i].size, &said);

        if (is != (values[i].said != NULL) ||
            strcmp(said.text, values[i].said == NULL ? "" : values[i].said) != 0) {
            fail_msg("%s: %d %s, not %s", values[i].schema, is, said.text, values[i].said);
        }
    }
}

static void every_beginning_of_a_value_is_none(void **state)
{
    static const char schema[] =
        RECORD("{\"name\":\"s\",\"type\":\"string\"},{\"name\":\"a\",\"type\":{\"type\":\"array\","
               "\"items\":[\"null\",\"double\"]}},{\"name\":\"m\",\"type\":{\"type\":\"map\","
               "\"values\":\"bytes\"}}");
    static const char bytes[] = "\x04"
                                "hi\x04\x00\x02\x00\x00\x00\x00\x00\x00\xf0\x3f\x00\x02\x02k\x02v";
    struct said said;

    (void)state;
    assert_true(walk(schema, bytes, sizeof bytes, &said)); /* its NUL is the map's end */
    assert_string_equal(said.text, "value.s=hi;value.a[0]=null;value.a[1]=1e0;value.m.k=v(bytes);");
    for (size_t size = 0; size < sizeof bytes - 1; size++) {
        assert_false(walk(schema, bytes, size, &said));
        assert_string_equal(said.text, "");
    }
}

/* It contains itself without an end. */
static void a_value_that_is_too_deep_is_none(void **state)
{
    static const char schema[] = RECORD("{\"name\":\"n\",\"type\":[\"null\",\"R\"]}");
    char bytes[100];
    struct said said;

    (void)state;
    memset(bytes, 2, sizeof bytes);
    assert_false(walk(schema, bytes, sizeof bytes, &said));
    assert_false(walk(RECORD("{\"name\":\"n\",\"type\":\"R\"}"), bytes, sizeof bytes, &said));
}

static void schemas_that_are_none_are_refused(void **state)
{
    static const char *const wrong[] = {
        "", "{", "1", "{}", "\"lang\"", "{\"type\":\"record\",\"name\":\"R\"}",
        /* NOLINTBEGIN(bugprone-suspicious-missing-comma) */
        RECORD("{\"name\":\"x\"}"), RECORD("{\"type\":\"int\"}"),
        /* NOLINTEND(bugprone-suspicious-missing-comma) */
        "{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[1]}", "{\"type\":\"array\"}",
        "{\"type\":\"fixed\",\"size\":1}", "[\"null\",\"a.b.R\"]"};
    char deep[4096] = "";

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct nw_avro_schema *schema = NULL;
        struct nw_error err = {0};

        if (nw_avro_schema_read(wrong[i], strlen(wrong[i]), &schema, &err) != NW_CORRUPT) {
            fail_msg("%s", wrong[i]);
        }
        assert_true(err.text[0] != '\0');
    }
    for (size_t i = 0; i < 100; i++) {
        (void)snprintf(deep + strlen(deep), sizeof deep - strlen(deep), "{\"type\":");
    }
    (void)snprintf(deep + strlen(deep), sizeof deep - strlen(deep), "\"int\"");
    memset(deep + strlen(deep), '}', 100);
    {
        struct nw_avro_schema *schema = NULL;
        struct nw_error err = {0};

        assert_int_equal(nw_avro_schema_read(deep, strlen(deep), &schema, &err), NW_CORRUPT);
        assert_string_equal(err.text, "it is too deep");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_read_by_their_schema),
        cmocka_unit_test(every_beginning_of_a_value_is_none),
        cmocka_unit_test(a_value_that_is_too_deep_is_none),
        cmocka_unit_test(schemas_that_are_none_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
