# SPDX-License-Identifier: Apache-2.0
"""Random values for every type, with the ones that break programs well represented.

A value is SQL text that PostgreSQL casts to the column's type; None is NULL.
"""
import json
import uuid

TEXTS = ["", " ", "a", "ä", "😀 emoji", "tab\there", "line\nbreak", "back\\slash", "quo\"te", "it's",
         "\\N", "\\.", "\x01control\x1f", "\x7f", "null", "NULL", "{}", "ﬁ ligature", "\u2028",
         "\ufeffbom", "עברית", "a" * 200]
DATES = ["0001-01-01", "4713-01-01 BC", "0044-03-15 BC", "infinity", "-infinity", "1582-10-10",
         "1969-12-31", "1970-01-01", "2000-02-29", "9999-12-31", "5874897-12-31", "294277-01-01"]
TIMESTAMPS = ["0001-01-01 00:00:00", "4713-01-01 00:00:00 BC", "infinity", "-infinity",
              "1582-10-10 12:00:00.000001", "1969-12-31 23:59:59.999999", "1970-01-01 00:00:00",
              "2024-02-29 12:34:56.789012", "294246-12-31 23:59:59.999999",
              "294276-12-31 23:59:59.999999", "10000-01-01 00:00:00.5"]
NUMERICS = ["0", "0.0", "0.000", "-0.00001", "1", "10000", "123456789012345678901234567890.123456789",
            "NaN", "Infinity", "-Infinity", "1e400", "1e-200", "-99999999999999999999", "0.1", "100"]
FLOATS = ["0", "-0", "NaN", "Infinity", "-Infinity", "1e-307", "1.7976931348623157e308", "0.1",
          "3.141592653589793", "5e-324", "1e15", "1e16", "123456789.125"]
REALS = ["0", "-0", "NaN", "Infinity", "-Infinity", "1e-37", "3.4028235e38", "0.1", "3.1415927",
         "1e-45", "16777216"]
JSONS = ['{"a": 1, "a": 2}', "[]", "{}", "null", "true", '"text"', '"\\u0000"', '"\\ud800"',
         ' { "spaces" :   [1,2 , 3] } ', "1e1000", "-0.0", '{"é": "😀", "n": null}', '"\\\\ \\" \\n"']
JSONBS = ['{"a": 1, "b": [true, null, 1.50]}', "[]", "{}", "null", '"text"', "123456789012345678901.5",
          '{"": "", "ä": {"deep": [[[]]]}}', "-0.0", '"\\\\ \\" \\n"']
INTERVALS = ["0", "1 year 2 months -3 days 04:05:06.789", "-1 month 1 day -00:00:01", "178000000 years",
             "999999 hours", "-0.000001 seconds", "1 day", "-1 year -1 day -1 microsecond"]
INT_ARRAYS = ["{}", "{1,NULL,3}", "{{1,2},{3,4}}", "[0:1]={7,8}", "[2:2][-1:0]={{1,2}}", "{NULL}"]
TEXT_ARRAYS = ["{}", '{"",NULL,"NULL","a,b","q\\"uote","back\\\\slash","{}"}', "{{a,b},{c,d}}", '{" "}']
MOODS = ["sad", "ok", "it's \"complicated\", {really}", "ünï"]


def number(low, high):
    return lambda random: str(random.choice([low, high, 0, 1, -1, random.randint(low, high)]))


def one_of(values):
    return lambda random: random.choice(values)


def text(random):
    return random.choice(TEXTS) if random.random() < 0.5 else f"text {random.getrandbits(40)}"


def some_numeric(random):
    if random.random() < 0.5:
        return random.choice(NUMERICS)
    return f"{random.randint(-10**30, 10**30)}.{random.randint(0, 10**12)}"


def decimal(digits, scale):
    def value(random):
        if random.random() < 0.1:
            return random.choice(["0", "NaN", "-1", "1"])
        whole = random.randint(-10 ** (digits - scale) + 1, 10 ** (digits - scale) - 1)
        return f"{whole}.{random.randint(0, 10**scale - 1):0{scale}d}"
    return value


def date(random):
    if random.random() < 0.6:
        return random.choice(DATES)
    return f"{random.randint(1, 9999):04d}-{random.randint(1, 12):02d}-{random.randint(1, 28):02d}"


def stamp(random):
    if random.random() < 0.6:
        return random.choice(TIMESTAMPS)
    return f"{random.randint(1, 9999):04d}-01-{random.randint(1, 31):02d} " \
           f"{random.randint(0, 23):02d}:59:{random.randint(0, 59):02d}.{random.randint(0, 999999):06d}"


def time_of_day(random):
    return random.choice(["00:00:00", "24:00:00", "23:59:59.999999", "12:34:56.000001",
                          f"{random.randint(0, 23):02d}:00:00.{random.randint(0, 999999):06d}"])


def identifier(random):
    return str(uuid.UUID(int=random.getrandbits(128)))


def binary(random):
    return "\\x" + random.randbytes(random.choice([0, 1, 3, 40])).hex()


def document(random):
    if random.random() < 0.5:
        return random.choice(JSONBS)
    return json.dumps({"k": random.getrandbits(60), "list": [random.random(), None, "x"]})


def wide(random, size):
    """Text that does not compress, so that it is stored out of line."""
    return random.randbytes(size // 2).hex()


# Column of table types -> (type, generator). Types of their own are in TYPES_SQL.
COLUMNS = {
    "c_bool": ("boolean", one_of(["true", "false"])),
    "c_int2": ("smallint", number(-2**15, 2**15 - 1)),
    "c_int4": ("integer", number(-2**31, 2**31 - 1)),
    "c_int8": ("bigint", number(-2**63, 2**63 - 1)),
    "c_float4": ("real", one_of(REALS)),
    "c_float8": ("double precision", one_of(FLOATS)),
    "c_numeric": ("numeric", some_numeric),
    "c_numeric_12_2": ("numeric(12,2)", decimal(12, 2)),
    "c_numeric_38_10": ("numeric(38,10)", decimal(38, 10)),
    "c_numeric_38_0": ("numeric(38,0)", number(-10**38 + 1, 10**38 - 1)),
    "c_numeric_50_20": ("numeric(50,20)", decimal(50, 20)),
    "c_money": ("money", number(-10**10, 10**10)),
    "c_text": ("text", text),
    "c_varchar": ("character varying(300)", text),
    "c_char": ("character(8)", one_of(["", "a", "12345678", " lead", "ü"])),
    "c_char1": ('"char"', one_of(["a", "", "z"])),
    "c_name": ("name", one_of(["a", "Name", "n" * 63])),
    "c_bytea": ("bytea", binary),
    "c_date": ("date", date),
    "c_time": ("time", time_of_day),
    "c_time0": ("time(0)", time_of_day),
    "c_timetz": ("timetz", one_of(["00:00:00+00", "24:00:00-15:59:59", "12:00:00.5+05:45"])),
    "c_timestamp": ("timestamp", stamp),
    "c_timestamptz": ("timestamptz", stamp),
    "c_interval": ("interval", one_of(INTERVALS)),
    "c_uuid": ("uuid", identifier),
    "c_json": ("json", one_of(JSONS)),
    "c_jsonb": ("jsonb", document),
    "c_int4s": ("integer[]", one_of(INT_ARRAYS)),
    "c_texts": ("text[]", one_of(TEXT_ARRAYS)),
    "c_uuids": ("uuid[]", lambda random: "{" + identifier(random) + ",NULL}"),
    "c_byteas": ("bytea[]", one_of(['{"\\\\x00ff",NULL}', "{}"])),
    "c_dates": ("date[]", one_of(["{infinity,-infinity,NULL}", "{2000-01-01}"])),
    "c_mood": ("lab.mood", one_of(MOODS)),
    "c_moods": ("lab.mood[]", one_of(['{sad,NULL}', '{"it\'s \\"complicated\\", {really}"}'])),
    "c_domain": ("lab.positive", one_of(["1", "2147483647"])),
    "c_domain2": ("lab.very_positive", one_of(["11", "2147483647"])),
    "c_amount": ("lab.amount", decimal(10, 3)),
    "c_pair": ("lab.pair", one_of(['(1,"a b")', '(,)', '(7,"q""uote,(")', '(-1,"")'])),
    "c_range": ("int4range", one_of(["empty", "[1,5)", "(,)", "[7,)"])),
    "c_tsrange": ("tsrange", one_of(["empty", "[2000-01-01,infinity)", "(,2020-01-01]"])),
    "c_ranges": ("nummultirange", one_of(["{}", "{[1,2),[3.5,7]}", "{(,)}"])),
    "c_inet": ("inet", one_of(["127.0.0.1", "10.0.0.0/8", "::1", "fe80::/10"])),
    "c_cidr": ("cidr", one_of(["10.0.0.0/8", "::/0"])),
    "c_macaddr": ("macaddr", one_of(["08:00:2b:01:02:03"])),
    "c_bit": ("bit(9)", one_of(["101010101", "000000000"])),
    "c_varbit": ("varbit", one_of(["", "1", "10110011100011110000"])),
    "c_point": ("point", one_of(["(0,-0)", "(1e300,Infinity)", "(0.1,NaN)"])),
    "c_box": ("box", one_of(["(1,1),(0,0)"])),
    "c_path": ("path", one_of(["[(0,0),(1,1)]", "((0,0),(1,2))"])),
    "c_tsvector": ("tsvector", one_of(["", "'a':1A 'b':2", "'it''s':3"])),
    "c_tsquery": ("tsquery", one_of(["'a' & 'b'", "!'x' <-> 'y'"])),
    "c_oid": ("oid", one_of(["0", "1", "4294967295"])),
    "c_xid": ("xid", one_of(["0", "4294967295"])),
    "c_lsn": ("pg_lsn", one_of(["0/0", "FFFFFFFF/FFFFFFFF", "16/B374D848"])),
    "c_regclass": ("regclass", one_of(["pg_catalog.pg_class", "-"])),
    "c_jsonpath": ("jsonpath", one_of(["$.a[*] ? (@ > 1)"])),
}
