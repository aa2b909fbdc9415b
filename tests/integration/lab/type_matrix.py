# SPDX-License-Identifier: Apache-2.0
"""Every type that a column can have, with the values of it that break programs.

A value is SQL text that PostgreSQL casts to the type. What is true of a type (how it arrives, its
canonical bytes) is not here: the test reads it from docs/values.md.
"""
import typing

# Types of ours; lab.mood and its kin come from workload.TYPES_SQL.
TYPES_SQL = r"""
CREATE EXTENSION IF NOT EXISTS hstore SCHEMA public;
CREATE EXTENSION IF NOT EXISTS ltree SCHEMA public;
CREATE EXTENSION IF NOT EXISTS citext SCHEMA public;
CREATE EXTENSION IF NOT EXISTS cube SCHEMA public;
CREATE EXTENSION IF NOT EXISTS isn SCHEMA public;
CREATE EXTENSION IF NOT EXISTS seg SCHEMA public;
CREATE SCHEMA other;
CREATE TYPE other.mood AS ENUM ('sad', 'elsewhere');
CREATE TYPE other.nothing AS ENUM ();
CREATE DOMAIN other.label AS public.citext CHECK (value <> 'never');
CREATE DOMAIN other.labels AS other.label[];
CREATE DOMAIN other.cents AS numeric(12,2);
CREATE DOMAIN other.fee AS other.cents CHECK (value >= 0);
CREATE DOMAIN other.day AS date;
CREATE DOMAIN other.feeling AS lab.mood;
CREATE DOMAIN other.moods AS lab.mood[];
CREATE DOMAIN other.tags AS public.citext[];
CREATE DOMAIN other.caption AS other.label;
CREATE DOMAIN other.branch AS public.ltree;
CREATE DOMAIN other.store AS public.hstore;
CREATE TYPE other.inner AS (t text, n numeric, f double precision, b bytea, moods lab.mood[]);
CREATE TYPE other.outer AS (i integer, one other.inner, many other.inner[], r int4range);
CREATE TYPE other.textrange AS RANGE (subtype = text, collation = "C");
CREATE TYPE other.floatrange AS RANGE (subtype = double precision);
-- A base type that nobody can know: text going in and coming out, and no send function.
CREATE TYPE other.custom;
CREATE FUNCTION other.custom_in(cstring) RETURNS other.custom AS 'textin'
    LANGUAGE internal IMMUTABLE STRICT;
CREATE FUNCTION other.custom_out(other.custom) RETURNS cstring AS 'textout'
    LANGUAGE internal IMMUTABLE STRICT;
CREATE TYPE other.custom (INPUT = other.custom_in, OUTPUT = other.custom_out, LIKE = text);
-- What a cast to text makes of it is not what its output function prints.
CREATE FUNCTION other.custom_text(other.custom) RETURNS text
    LANGUAGE sql IMMUTABLE AS $$ SELECT 'the cast' $$;
CREATE CAST (other.custom AS text) WITH FUNCTION other.custom_text(other.custom);
CREATE TYPE other.mean AS ENUM ('a', 'b');
CREATE FUNCTION other.mean_text(other.mean) RETURNS text
    LANGUAGE sql IMMUTABLE AS $$ SELECT 'the cast' $$;
CREATE CAST (other.mean AS text) WITH FUNCTION other.mean_text(other.mean);
"""


class Type(typing.NamedTuple):
    sql: str
    values: tuple
    since: int = 14      # major version
    typed: bool = False  # narwal decodes its binary form


def typed(sql, *values, since=14):
    return Type(sql, values, since, True)


def text(sql, *values, since=14):
    return Type(sql, values, since)


DATES = ("4713-01-01 BC", "4714-11-24 BC", "0001-12-31 BC", "0001-01-01", "1582-10-04", "1582-10-15",
         "1900-02-28", "1969-12-31", "1970-01-01", "2000-02-29", "9999-12-31", "10000-01-01",
         "294276-12-31", "5874897-12-31", "infinity", "-infinity")
STAMPS = ("4714-11-24 00:00:00 BC", "0044-03-15 12:00:00.000001 BC", "0001-12-31 23:59:59.999999 BC",
          "1582-10-10 00:00:00", "1883-11-18 12:03:57", "1969-12-31 23:59:59.999999",
          "1970-01-01 00:00:00", "2024-06-01 12:34:56.1", "2024-02-29 23:59:60",
          "9999-12-31 23:59:59.999999", "294246-12-31 23:59:59.999999",
          "294247-01-10 04:00:54.775807", "294247-01-10 04:00:54.775808",
          "294276-12-31 23:59:59.999999", "infinity", "-infinity")
TIMES = ("00:00:00", "24:00:00", "23:59:59.999999", "12:34:56.7", "23:59:60")
TEXTS = ("", " ", "a", "  both  ", "ünï", "😀", "line\nbreak\r", "tab\t", "back\\slash", "\\N", "\\.",
         'quo"te', "it's", "NULL", "null", "{}", "\x01\x1f\x7f", "\u2028\ufeff", "e\u0301",
         "x" * 3000)
FLOATS = ("0", "-0", "1", "-1.5", "0.1", "1e15", "1e14", "123456789012345", "1e-4", "1e-5", "1e22", "1e23",
          "9007199254740993", "1.7976931348623157e308", "2.2250738585072014e-308", "5e-324",
          "3.141592653589793", "NaN", "Infinity", "-Infinity")
REALS = ("0", "-0", "1", "-1.5", "0.1", "1e6", "1e5", "123456", "1234567", "1e-4", "1e-5", "3.4028235e38",
         "1.17549435e-38", "1e-45", "3.1415927", "16777217", "NaN", "Infinity", "-Infinity")
NUMERICS = ("0", "0.00", "-0.000", "1", "-1", "1.10", "10000", "0.0001", "0.00001", "1e-200",
            "12345678901234567890123456789012345678901234567890.5", "1e1000", "-1e500", "NaN",
            "Infinity", "-Infinity")
INTERVALS = ("0", "1 year", "-1 year", "1 mon -1 day 00:00:01", "-1 mon 1 day -00:00:00.000001",
             "178000000 years", "-178000000 years", "2147483647 days", "999999999 hours",
             "1 year 2 mons -3 days 04:05:06.789", "-00:00:00.1", "23:59:59.999999")
JSONS = ('{"a": 1, "a": 2}', "  [1 , 2]  ", "null", "true", '"text"', '"\\u0000"', '"\\ud800"', "1e1000",
         "-0.0", '{"é": "😀"}', '"\\\\ \\" \\n \\t"', '{"deep": [[[[{}]]]]}', '"\\u00e9"')
JSONBS = ('{"b": 1, "a": [1.50, null, true], "a": 2}', "[]", "{}", "null", '"text"', "-0.0",
          "123456789012345678901234567890.1230", '{"": {"é": "😀"}}', '"\\\\ \\" \\n"')
ADDRESSES = ("127.0.0.1", "10.0.0.0/8", "0.0.0.0/0", "192.168.1.5/24", "::1", "::", "fe80::1/64",
             "::ffff:10.1.2.3", "::10.1.2.3", "2001:db8::1:0:0:1", "1:2:3:4:5:6:7:8/127")
BITS = ("0", "1", "10110011100011110000", "1" * 70)
TEXT_ARRAYS = ("{}", "{NULL}", '{""}', '{"NULL",null,nul}', '{"a b","a,b","{","}","q\\"","b\\\\s"}',
               "{{a,b},{c,d}}", "[0:1]={a,b}", "[-2:-1][3:4]={{a,b},{NULL,d}}", '{"\t","\n"," "}', "{ü,😀}",
               "{{{{{{1}}}}}}", "[1:1][2:2]={{x}}")
INT_ARRAYS = ("{}", "{1,NULL,-3}", "{{1,2},{3,4}}", "[0:1]={7,8}", "[-2147483648:-2147483647]={1,2}",
              "[2:2][-1:0]={{1,2}}")

MATRIX = (
    typed("boolean", "true", "false"),
    typed("smallint", "0", "-32768", "32767"),
    typed("integer", "0", "-1", "-2147483648", "2147483647"),
    typed("bigint", "0", "-9223372036854775808", "9223372036854775807", "9007199254740993"),
    typed("oid", "0", "1", "2147483648", "4294967295"),
    typed("xid", "0", "3", "4294967295"),
    typed("cid", "0", "4294967295"),
    typed("xid8", "0", "18446744073709551615"),
    typed("real", *REALS),
    typed("double precision", *FLOATS),
    typed("numeric", *NUMERICS),
    typed("numeric(12,2)", "0", "0.01", "-9999999999.99", "1.1", "NaN"),
    typed("numeric(38,0)", "0", "9" * 38, "-" + "9" * 38, "NaN"),
    typed("numeric(38,38)", "0", "0." + "9" * 38, "-0." + "0" * 37 + "1"),
    typed("numeric(50,20)", "0", "9" * 30 + "." + "9" * 20, "NaN"),
    typed("numeric(5,-2)", "0", "12345", "-9999949", "NaN", since=15),
    typed("numeric(3,5)", "0", "0.00999", "-0.00001", since=15),
    typed("text", *TEXTS),
    typed("character varying", *TEXTS),
    typed("character varying(300)", *TEXTS[:-1]),
    typed("character(8)", "", "a", "12345678", " lead", "ünï"),
    typed("character", "", "ß"),
    typed("name", "", "a", "n" * 63),
    # Of more than one byte it takes the first, here one of 0x80 or more; octal since PostgreSQL 16.
    typed('"char"', "a", "", " ", "~", "\\", "ü", "€"),
    typed('"char"', "\\200", "\\377", since=16),
    typed("bytea", "\\x", "\\x00", "\\x0102ff", "\\x5c", "\\x" + "ab" * 3000),
    typed("json", *JSONS),
    typed("jsonb", *JSONBS),
    typed("uuid", "00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff",
          "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
    typed("date", *DATES),
    typed("time", *TIMES),
    typed("time(0)", "12:34:56.5", "23:59:59.9", "24:00:00"),
    typed("timetz", "00:00:00+00", "24:00:00-15:59:59", "12:00:00.5+05:45", "23:59:59.999999+15:59"),
    typed("timestamp", *STAMPS),
    typed("timestamp(3)", "2024-06-01 12:34:56.7891", "infinity"),
    typed("timestamptz", *STAMPS, "2024-06-01 12:00:00+05:45"),
    typed("interval", *INTERVALS),
    typed("interval", "infinity", "-infinity", since=17),
    typed("interval year to month", "3 years 4 mons"),
    typed("inet", *ADDRESSES),
    typed("cidr", "10.0.0.0/8", "10.1.2.3/32", "::/0", "2001:db8::/32"),
    typed("macaddr", "08:00:2b:01:02:03", "ff:ff:ff:ff:ff:ff"),
    typed("macaddr8", "08:00:2b:01:02:03:04:05"),
    typed("bit(9)", "101010101", "000000000"),
    typed("bit varying", "", *BITS),
    typed("pg_lsn", "0/0", "16/B374D848", "FFFFFFFF/FFFFFFFF"),
    # Domains and enums are decoded as what they are made of.
    typed("lab.mood", "sad", 'it\'s "complicated", {really}', "ünï"),
    typed("other.mood", "sad", "elsewhere"),
    typed("other.mean", "a", "b"),
    typed("other.nothing"),
    typed("lab.very_positive", "11", "2147483647"),
    typed("other.fee", "0", "9999999999.99", "NaN"),
    typed("other.day", *DATES),
    typed("other.feeling", "ok"),
    # Arrays that narwal prints itself.
    typed("boolean[]", "{t,f,NULL}", "{}"),
    typed("smallint[]", *INT_ARRAYS[1:4]),
    typed("integer[]", *INT_ARRAYS),
    typed("bigint[]", "{-9223372036854775808,9223372036854775807}"),
    typed("oid[]", "{0,4294967295}"),
    typed("text[]", *TEXT_ARRAYS),
    typed("character varying(20)[]", *TEXT_ARRAYS),
    typed("character(4)[]", '{a,"bc  ",NULL}', "{}"),
    typed("name[]", "{a,NULL}"),
    typed('"char"[]', '{a,"",NULL," "}', "{ü,b,€}", '{"\\"","\\\\","{"}'),
    typed('"char"[]', '{"\\\\351","\\\\200",b}', since=16),
    typed("bytea[]", '{"\\\\x00ff",NULL,"\\\\x"}', "{}"),
    typed("numeric[]", "{1.10,NaN,Infinity,NULL,-0.00}"),
    typed("numeric(12,2)[]", "{1.1,NaN}"),
    typed("date[]", "{infinity,-infinity,NULL,0044-03-15 BC}"),
    typed("time[]", "{24:00:00,00:00:00.5}"),
    typed("timetz[]", "{24:00:00-15:59}"),
    typed("timestamp[]", '{"2024-06-01 12:34:56.1",infinity,"0044-03-15 12:00:00 BC"}'),
    typed("timestamptz[]", '{"2024-06-01 12:34:56.1+05:45",-infinity,NULL}'),
    typed("interval[]", '{"1 mon -1 day",00:00:01}'),
    typed("uuid[]", "{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11,NULL}"),
    typed("json[]", '{"{\\"a\\": \\"\\\\u0000\\"}",NULL,"[1, 2]"}'),
    typed("jsonb[]", '{"{\\"a\\": [1,\\"x\\"]}",NULL,"null"}'),
    typed("inet[]", "{127.0.0.1,::1/64}"),
    typed("cidr[]", "{10.0.0.0/8}"),
    typed("macaddr[]", "{08:00:2b:01:02:03}"),
    typed("macaddr8[]", "{08:00:2b:01:02:03:04:05}"),
    typed("bit(3)[]", "{101,NULL}"),
    typed("varbit[]", '{"",1,10110}'),
    typed("pg_lsn[]", "{16/B374D848}"),
    typed("xid[]", "{4294967295}"),
    typed("cid[]", "{4294967295}"),
    typed("xid8[]", "{18446744073709551615}"),
    # Everything else is PostgreSQL's text.
    text("real[]", "{0.1,NaN,Infinity,-0,NULL,1e-45}"),
    text("double precision[]", "{0.1,NaN,-Infinity,-0,5e-324,1e15}", "[0:0]={1}"),
    text("money", "0", "-92233720368547758.08", "1234.56"),
    text("xml", "<a/>", '<?xml version="1.0" encoding="UTF-8"?><a b="é">x</a>', "text &amp; <b/>",
         '<?xml version="1.1" standalone="yes"?><r/>', ""),
    text("point", "(0,-0)", "(1e300,Infinity)", "(0.1,NaN)"),
    text("line", "{1,-1,0}"),
    text("lseg", "[(0,0),(1,1)]"),
    text("box", "(1,1),(0,0)"),
    text("path", "[(0,0),(1,1)]", "((0,0),(1,2))"),
    text("polygon", "((0,0),(1,1),(1,0))"),
    text("circle", "<(0,0),1.5>"),
    text("tsvector", "", "'a':1A 'b':2", "'it''s':3", "'ü' 'x\\\\y'"),
    text("tsquery", "'a' & 'b'", "!'x' <-> 'y':*A"),
    text("jsonpath", "$.a[*] ? (@ > 1)", 'strict $."ü"'),
    text("pg_snapshot", "10:20:10,14"),
    text("txid_snapshot", "10:20:10,14"),
    text("tid", "(0,1)", "(4294967295,65535)"),
    text("int2vector", "", "1 -2"),
    text("oidvector", "", "1 4294967295"),
    text("aclitem", "postgres=arwdDxt/postgres", "=r/postgres"),
    text("refcursor", "a cursor"),
    text("regproc", "pg_catalog.now", "-"),
    text("regprocedure", "pg_catalog.abs(integer)", "public.hstore(text,text)"),
    text("regoper", "|/", "0"),
    text("regoperator", "+(integer,integer)"),
    text("regclass", "pg_catalog.pg_class", "typed.t0", "-"),
    text("regtype", "integer", "lab.mood", "other.outer[]"),
    text("regrole", "postgres"),
    text("regnamespace", "pg_catalog", "other"),
    text("regconfig", "pg_catalog.simple"),
    text("regdictionary", "pg_catalog.simple"),
    text("regcollation", 'pg_catalog."C"'),
    text("int4range", "empty", "[1,5)", "(,)", "[7,)"),
    text("int8range", "[-9223372036854775808,9223372036854775807)"),
    text("numrange", "[1.10,NaN]", "(,Infinity)"),
    text("tsrange", "empty", "[2000-01-01,infinity)", '("0044-03-15 BC",]'),
    text("tstzrange", '["2024-06-01 12:00:00+05:45","2024-06-02 00:00:00.5+00")'),
    text("daterange", "[2000-01-01,2000-02-29]", "[-infinity,infinity]"),
    text("int4multirange", "{}", "{[1,3),[5,7)}", "{(,)}"),
    text("int8multirange", "{[1,2)}"),
    text("nummultirange", "{[1.50,2),[3,NaN]}"),
    text("tsmultirange", "{[2000-01-01,infinity)}"),
    text("tstzmultirange", "{[2000-01-01 00:00:00+00,)}"),
    text("datemultirange", "{[2000-01-01,2000-01-03)}"),
    text("int4range[]", '{"[1,5)",empty,NULL}'),
    text("other.textrange", '["a b","q""z")', "(,\\\\)"),
    text("other.floatrange", "[0.1,Infinity]"),
    typed("lab.mood[]", '{sad,NULL,"it\'s \\"complicated\\", {really}"}', "{}", "{{sad,ok},{ok,ünï}}", "[0:1]={ok,sad}"),
    text("lab.pair", '(1,"a b")', "(,)", '(7,"q""u\\\\o,te(")', '(-1,"")'),
    text("lab.pair[]", '{"(1,\\"a b\\")","(,)",NULL}'),
    text("lab.positive[]", "{1,2147483647}"),
    text("other.labels", '{a,"B c"}'),
    text("other.outer", "(,,,)",
         '(1,"(""q""""q,\\\\\\\\ x"",1.10,0.1,""\\\\\\\\x00ff"",""{sad}"")",'
         '"{""(a,NaN,NaN,,)"",NULL}","[1,5)")'),
    text("other.custom", "", "any thing", "'quoted'"),
    text("other.custom[]", '{a,"b c",NULL}'),
    text("public.hstore", "", '"a"=>"1", "b"=>NULL, "q\\"k"=>"v,=>"'),
    text("public.hstore[]", '{"\\"a\\"=>\\"1\\"",NULL}'),
    text("public.ltree", "", "Top.Science.Astronomy"),
    text("public.lquery", "Top.*{0,2}.a|b"),
    text("public.ltxtquery", "Europe & Russia*@"),
    text("public.citext", *TEXTS),
    text("public.citext[]", '{Ab,NULL,"c D"}'),
    text("other.label", "Mixed Case"),
    text("public.cube", "(0.1),(1e300)", "(1,2,3)"),
    text("public.isbn", "978-0-393-04002-9"),
    text("public.seg", "1.0(+-)0.1", "<10"),
)

# Types of pg_catalog that no value can be given to.
WITHOUT_VALUES = {"gtsvector", "pg_node_tree", "pg_ndistinct", "pg_dependencies", "pg_mcv_list",
                  "pg_brin_bloom_summary", "pg_brin_minmax_multi_summary"}


def of_version(major):
    return [kind for kind in MATRIX if kind.since <= major]
