#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Ask a real PostgreSQL for the text and the send format of many values of every decoded type.

    make_values.py 'host=/tmp port=5433 user=postgres dbname=postgres' > values-pg15.txt

values-pg18.txt has only what is not in values-pg15.txt (grep -vxFf). Each line: type, type oid, typmod, text in hex, send format in hex. The first line names the server.
"""
import random
import subprocess
import sys

RANDOM = random.Random(7)


def numbers(digits_max, scale, count):
    for _ in range(count):
        digits = RANDOM.randint(1, digits_max)
        number = str(RANDOM.randrange(10 ** digits)).rjust(scale + 1, "0")
        sign = RANDOM.choice(["", "-"])
        yield sign + (number[:-scale] + "." + number[-scale:] if scale else number)


def floats(count):
    for _ in range(count):
        yield "%se%d" % (RANDOM.random() * 10, RANDOM.randint(-30, 30))
    for _ in range(count):
        yield "%.*f" % (RANDOM.randint(0, 6), RANDOM.random() * 10 ** RANDOM.randint(0, 9))


def dates(first, last, count):
    """Days around 2000-01-01, as SQL expressions."""
    for _ in range(count):
        yield "date '2000-01-01' + %d" % RANDOM.randint(first, last)


def seconds(us):
    """PostgreSQL 14 does not read large numbers of microseconds."""
    return "%s%d.%06d sec" % ("-" if us < 0 else "", abs(us) // 1000000, abs(us) % 1000000)


def times(count):
    for _ in range(count):
        yield "time '00:00' + interval '%s'" % seconds(RANDOM.randrange(86400000000))


def timestamps(count, base):
    for _ in range(count):
        days = RANDOM.choice([3000, 300000, 106751900])
        yield "%s + interval '%d days %s'" % (
            base, RANDOM.randint(max(-2451000, -days), days), seconds(RANDOM.randrange(86400000000)))


def intervals(count):
    for _ in range(count):
        parts = [(RANDOM.randint(-2000, 2000), "mon"), (RANDOM.randint(-50, 50), "day"),
                 (RANDOM.randint(-10 ** 12, 10 ** 12), None)]
        yield "'" + " ".join("%d %s" % p if p[1] else seconds(p[0]) for p in parts
                             if RANDOM.random() < 0.6) + " 0 min'"


def quoted(values):
    return ["'" + v.replace("'", "''") + "'" for v in values]


NUMERIC = ["0", "1", "-1", "NaN", "0.5", "-0.05", "9999", "10000", "10001", "99999999", "123456789.1"]
HUGE = ["1e38", "-1e37", "9" * 38, "1e-20", "0." + "0" * 30 + "17", "1e400", "1e-400", "Infinity",
        "-Infinity", "1e9999", "12345.67890", "0.00", "0.0000", "-0.000100", "1.10", "100000000",
        "10000.0001", "-9999.9999", "0.1e-2000"]
DATE = ["infinity", "-infinity", "4714-11-24 BC", "0001-01-01", "0001-12-31 BC", "0044-03-15 BC",
        "1582-10-04", "1582-10-15", "1600-02-29", "1700-03-01", "1900-02-28", "1900-03-01",
        "1969-12-31", "1970-01-01", "1999-12-31", "2000-01-01", "2000-02-29", "2024-02-29",
        "9999-12-31", "10000-01-01", "99999-06-15", "100000-01-01"]
TIMESTAMP = [d + t for d in DATE[2:-1] if "BC" not in d for t in (" 00:00:00", " 23:59:59.999999")] + [
    "infinity", "-infinity", "4714-11-24 00:00:00 BC", "0001-12-31 23:59:59.9 BC",
    "0044-03-15 12:00:00.000001 BC", "294246-12-31 23:59:59.999999", "294247-01-10 04:00:54.775806",
    "294247-01-10 04:00:54.775807", "294247-01-10 04:00:54.775808", "294247-01-11 00:00:00",
    "294276-12-31 23:59:59.999999", "2024-06-01 12:34:56.1", "2024-06-01 12:34:56.12",
    "2024-06-01 12:34:56.123", "2024-06-01 12:34:56.1234", "2024-06-01 12:34:56.12345",
    "2024-06-01 12:34:56.123456", "2024-06-01 12:34:56.000001"]
TIME = ["00:00:00", "24:00:00", "23:59:59.999999", "12:34:56", "12:34:56.1", "00:00:00.000001",
        "01:02:03.040500"]
TEXT = ["", "a", "narwal", "x" * 200, "line\nbreak\ttab \\ quote\" '", "h\u00e9llo w\u00f6rld",
        "\u65e5\u672c\u8a9e", "\U0001f40b", " padded ", "NULL", "\\N"]
FLOAT = ["0", "-0", "1", "-1", "0.1", "1.5", "NaN", "Infinity", "-Infinity", "1e10", "1e15", "1e16",
         "1e22", "1e23", "3.14159274", "16777216", "16777217", "123456789"]

def addresses(count):
    for _ in range(count):
        words = ["%x" % RANDOM.choice([0, 0, 0, 1, 0xffff, RANDOM.randrange(65536)]) for _ in range(8)]
        yield ":".join(words) + RANDOM.choice(["", "", "/%d" % RANDOM.randint(0, 128)])


INET = ["127.0.0.1", "10.0.0.0/8", "0.0.0.0/0", "255.255.255.255", "192.168.1.7/24", "::", "::1", "::2",
        "::ffff:1.2.3.4", "::1.2.3.4", "::1:2:3", "1::", "fe80::1/64", "1:0:0:2:0:0:0:3", "1:2:3:4:5:6:7:8",
        "0:0:1::", "::ffff:0:0", "::ffff:0:1.2.3.4", "1:0:2:0:3:0:4:0", "2001:db8::/32"]
CIDR = ["10.0.0.0/8", "10.1.2.3/32", "0.0.0.0/0", "::/0", "::1/128", "2001:db8::/32", "192.168.0.0/16"]
WORDS = ["{}", "{a}", "{\"\"}", "{NULL,\"NULL\",\"null\",nul}", "{\"a b\",\"a,b\",\"{\",\"}\"}",
         '{"a\\"b","a\\\\b",h\u00e9}', "{{a,b},{c,d}}", "[0:1]={a,b}", "[-2:-1][3:4]={{a,b},{NULL,d}}",
         "{\"tab\there\",\"line\nbreak\",\"\x0b\",\"\x0c\",\"\r\"}", "{{{{{{1}}}}}}"]

TYPES = [
    ("bool", "boolsend", quoted(["t", "f"])),
    ("bytea", "byteasend", quoted(["", "\\x00", "\\x0102ff", "\\x" + "ab" * 100]) +
     ["decode(md5('%d'), 'hex')" % i for i in range(10)]),
    ('"char"', "charsend", quoted(["a", "Z", "~", " ", ""])),
    ("name", "namesend", quoted(["", "pg_class", "n" * 63])),
    ("int2", "int2send", quoted(["0", "1", "-1", "32767", "-32768"])),
    ("int4", "int4send", quoted(["0", "7", "-10", "2147483647", "-2147483648", "99999"])),
    ("int8", "int8send", quoted(["0", "9", "-1", "9223372036854775807", "-9223372036854775808",
                                 "1234567890123"])),
    ("oid", "oidsend", quoted(["0", "16384", "4294967295"])),
    ("xid", "xidsend", quoted(["0", "4294967295"])),
    ("cid", "cidsend", quoted(["0", "4294967295"])),
    ("text", "textsend", quoted(TEXT)),
    ("varchar", "varcharsend", quoted(TEXT)),
    ("varchar(300)", "varcharsend", quoted(TEXT)),
    ("char(12)", "bpcharsend", quoted(["", "a", "twelve bytes", "h\u00e9"])),
    ("json", "json_send", quoted(['{"a": [1, 2.50, null]}', "[]", '"\\u0000"', " 1 ", '{"a":1,"a":2}'])),
    ("jsonb", "jsonb_send", quoted(['{"b": 1, "a": [1, 2.50, null]}', "[]", '"x"', " 1 ", "true"])),
    ("uuid", "uuid_send", quoted(["00000000-0000-0000-0000-000000000000",
                                  "ffffffff-ffff-ffff-ffff-ffffffffffff",
                                  "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"]) +
     ["md5('%d')::uuid" % i for i in range(10)]),
    ("float4", "float4send", quoted(FLOAT + ["3.4028235e38", "1.17549435e-38", "1e-45", "8388609.5"] +
                                    list(floats(60))) + ["'inf'::float4 - 'inf'::float4"]),
    ("float8", "float8send", quoted(FLOAT + ["1.7976931348623157e308", "2.2250738585072014e-308",
                                             "5e-324", "9007199254740993", "0.30000000000000004",
                                             "123456789012345678", "8.41e21"] + list(floats(60))) +
     ["'inf'::float8 - 'inf'::float8"]),
    ("numeric", "numeric_send", quoted(NUMERIC + HUGE + list(numbers(60, 0, 20)) +
                                       list(numbers(60, 17, 40)))),
    ("numeric(10,2)", "numeric_send", quoted(NUMERIC[:8] + ["99999999.99", "-99999999.99", "0.01", "12.30"] +
                                             list(numbers(10, 2, 30)))),
    ("numeric(18,6)", "numeric_send", quoted(NUMERIC[:8] + list(numbers(18, 6, 30)))),
    ("numeric(5,0)", "numeric_send", quoted(NUMERIC[:8] + list(numbers(5, 0, 20)))),
    ("numeric(38,0)", "numeric_send", quoted(NUMERIC + ["9" * 38, "-" + "9" * 38, "1e37"] +
                                             list(numbers(38, 0, 30)))),
    ("numeric(38,37)", "numeric_send", quoted(["0", "NaN", "9." + "9" * 37, "-1." + "0" * 36 + "1"] +
                                              list(numbers(38, 37, 30)))),
    ("numeric(38,38)", "numeric_send", quoted(["0", "NaN", "0." + "9" * 38, "-0." + "0" * 37 + "1"])),
    ("numeric(4,4)", "numeric_send", quoted(["0", "0.9999", "-0.0001", "0.5"])),
    ("numeric(50,10)", "numeric_send", quoted(NUMERIC + list(numbers(50, 10, 20)))),
    ("numeric(5,-2)", "numeric_send", quoted(["0", "12345", "-9999900", "99", "49"])),
    ("numeric(3,5)", "numeric_send", quoted(["0", "0.00999", "-0.00001"])),
    ("date", "date_send", quoted(DATE + ["5874897-12-31"]) + list(dates(-2400000, 2140000000, 60)) +
     list(dates(-60000, 60000, 60))),
    ("time", "time_send", quoted(TIME) + list(times(30))),
    ("time(0)", "time_send", quoted(["12:34:56.5"])),
    ("timetz", "timetz_send", quoted([t + z for t in TIME for z in
                                      ("+00", "-03:30", "+15:59:59", "+05:45", "-15:59:59")])),
    ("timestamp", "timestamp_send", quoted(TIMESTAMP) + list(timestamps(100, "timestamp '2000-01-01'"))),
    ("timestamp(3)", "timestamp_send", quoted(["2024-06-01 12:34:56.123456"])),
    ("timestamptz", "timestamptz_send", quoted(TIMESTAMP + ["2024-06-01 12:34:56+05:30"]) +
     list(timestamps(100, "timestamptz '2000-01-01'"))),
    ("interval", "interval_send", quoted([
        "0", "1 year", "2 years", "-1 year", "1 mon", "-13 mon", "1 day", "-1 day", "1 day -1 sec",
        "-1 day 1 sec", "1 year -1 mon", "-1 year 1 day", "1 mon -1 day 00:00:01", "00:00:00.000001",
        "-00:00:00.5", "100:00:00", "-100:00:00.25", "-1 mon 1 day -00:00:01", "1 year 2 mons 3 days 04:05:06.7",
        "-178000000 years", "178000000 years", "2147483647 days", "-2147483648 days",
        "2147483647 mons", "-2147483648 mons", "9223372036854775807 microseconds",
        "-9223372036854775808 microseconds", "1 year -1 day 25:00:00", "-1 mon"]) + list(intervals(80))),
    ("pg_lsn", "pg_lsn_send", quoted(["0/0", "16/B374D848", "FFFFFFFF/FFFFFFFF"])),
    ("xid8", "xid8send", quoted(["0", "18446744073709551615"])),
    ("macaddr", "macaddr_send", quoted(["08:00:2b:01:02:03", "ff:ff:ff:ff:ff:ff"])),
    ("macaddr8", "macaddr8_send", quoted(["08:00:2b:01:02:03:04:05"])),
    ("bit(1)", "bit_send", quoted(["0", "1"])),
    ("bit(13)", "bit_send", quoted(["1010101010101", "0000000000001"])),
    ("varbit", "varbit_send", quoted(["", "1", "10000000", "100000001"])),
    ("inet", "inet_send", quoted(INET + list(addresses(150)))),
    ("cidr", "cidr_send", quoted(CIDR)),
    ("text[]", "array_send", quoted(WORDS)),
    ("varchar(9)[]", "array_send", quoted(WORDS[:4])),
    ("char(3)[]", "array_send", quoted(["{a,abc}"])),
    ("name[]", "array_send", quoted(["{a,\"b c\"}"])),
    ('"char"[]', "array_send", quoted(["{a,\" \",\"\"}"])),
    ("bool[]", "array_send", quoted(["{t,f,NULL}"])),
    ("bytea[]", "array_send", ["array['\\x00ff'::bytea, '\\x']"]),
    ("int2[]", "array_send", quoted(["{1,-32768,32767}"])),
    ("int4[]", "array_send", quoted(["{}", "{NULL}", "{1,-2147483648,2147483647}", "{{1,2,3},{4,5,6}}",
                                     "{{{1},{2}},{{3},{4}}}", "[5:5]={7}"])),
    ("int8[]", "array_send", quoted(["{-9223372036854775808,9223372036854775807}"])),
    ("oid[]", "array_send", quoted(["{4294967295}"])),
    ("numeric[]", "array_send", quoted(["{1.10,NaN,-Infinity,-0.001,1e30}"])),
    ("numeric(9,2)[]", "array_send", quoted(["{1.1,NaN}"])),
    ("uuid[]", "array_send", quoted(["{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11,NULL}"])),
    ("date[]", "array_send", quoted(["{2024-02-29,infinity,-infinity,\"0044-03-15 BC\"}"])),
    ("time[]", "array_send", quoted(["{24:00:00,01:02:03.5}"])),
    ("timetz[]", "array_send", quoted(["{24:00:00-05,01:02:03.5+05:30}"])),
    ("timestamp[]", "array_send", quoted(["{2024-02-29 01:02:03,infinity,\"0044-03-15 12:00:00 BC\"}"])),
    ("timestamptz[]", "array_send", quoted(["{1969-12-31 23:59:59.999999+00,-infinity,294276-12-31 00:00:00+00}"])),
    ("interval[]", "array_send", quoted(["{1 day,01:02:03,\"-1 mons +2 days\"}"])),
    ("json[]", "array_send", ["array['{\"a\": \"b\\\\\"}'::json, '1', '[1,2]']"]),
    ("jsonb[]", "array_send", ["array['{\"a\": \"b\\\\\"}'::jsonb, '1', '[1,2]']"]),
    ("inet[]", "array_send", quoted(["{10.0.0.1,::1/64}"])),
    ("cidr[]", "array_send", quoted(["{10.0.0.0/8}"])),
    ("macaddr[]", "array_send", quoted(["{08:00:2b:01:02:03}"])),
    ("bit(3)[]", "array_send", quoted(["{101,000}"])),
    ("varbit[]", "array_send", quoted(["{101,\"\"}"])),
    ("pg_lsn[]", "array_send", quoted(["{0/0,1/A}"])),
    ("xid8[]", "array_send", quoted(["{7}"])),
    ("mood", "enum_send", quoted(["sad", "it's \u00e9"])),
    ("mood[]", "array_send", quoted(["{}", "{sad,NULL,\"it's \u00e9\"}", "{{sad},{sad}}", "[0:1]={sad,sad}"])),
]


def main():
    sql = ["\\set ON_ERROR_STOP 1", "SET TimeZone='UTC'; SET IntervalStyle=postgres; SET DateStyle=ISO;",
           "SET extra_float_digits=3; SET bytea_output=hex;",
           "CREATE TYPE pg_temp.mood AS ENUM ('sad', 'it''s \u00e9');",
           "SELECT '# PostgreSQL ' || current_setting('server_version');"]
    version = int(subprocess.run(["psql", "-XqAt", "-d", sys.argv[1], "-c", "SHOW server_version_num"],
                                 text=True, stdout=subprocess.PIPE, check=True).stdout) // 10000
    for index, (name, send, values) in enumerate(TYPES):
        if version < 15 and name in ("numeric(5,-2)", "numeric(3,5)"):
            continue
        if version < 15 and name == "interval":
            values = [v for v in values if "microseconds" not in v]
        if version >= 16 and name == '"char"':
            values = values + ["(-1)::\"char\"", "(-128)::\"char\""]
        if version >= 17 and name == "interval":
            values = values + quoted(["infinity", "-infinity"])
        sql.append("CREATE TEMP TABLE t%d (i int, v %s);" % (index, name))
        rows = ",".join("(%d,(%s)::%s)" % (i, v, name) for i, v in enumerate(values))
        sql.append("INSERT INTO t%d VALUES %s;" % (index, rows))
        label = name.replace(" ", "")
        sql.append(
            "SELECT '%s', CASE WHEN atttypid < 16384 THEN atttypid::int8 WHEN attndims = 0 THEN 16384 ELSE 16385 END, atttypmod,"
            " encode(convert_to(format('%%s', v), 'UTF8'), 'hex'), encode(%s(v), 'hex')"
            " FROM t%d, pg_attribute WHERE attrelid = 't%d'::regclass AND attname = 'v' ORDER BY i;"
            % (label, send, index, index))
    done = subprocess.run(["psql", "-XqAt", "-F", " ", "-d", sys.argv[1]], input="\n".join(sql),
                          text=True, stdout=subprocess.PIPE, check=True)
    sys.stdout.write(done.stdout)


main()
