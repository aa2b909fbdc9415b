# SPDX-License-Identifier: Apache-2.0
"""docs/values.md as a program: what its table says of a type, and canonical bytes from a file's value."""
import dataclasses
import pathlib
import re

DOCUMENT = pathlib.Path(__file__).resolve().parents[3] / "docs" / "values.md"

# What the table's Arrow column says -> the kinds that a schema file names (docs/files.md).
KINDS = {"utf8": {"text", "numeric"}, "utf8, arrow.json": {"json"}, "binary": {"binary"},
         "bool": {"bool"}, "int16": {"int16"}, "int32": {"int32"}, "int64": {"int64"},
         "uint32": {"uint32"}, "float32": {"float32"}, "float64": {"float64"},
         "decimal128(p, s)": {"decimal"}, "date32": {"date"}, "time64[us]": {"time"},
         "timestamp[us]": {"timestamp"}, "timestamp[us, UTC]": {"timestamptz"},
         "fixed-size binary(16), arrow.uuid": {"uuid"}}
ALIASES = {"character varying": "varchar", "character": "char(n)", "bit varying": "varbit",
           "time without time zone": "time", "timestamp without time zone": "timestamp",
           "timestamp with time zone": "timestamptz"}


@dataclasses.dataclass
class Row:
    """One line of the table."""

    names: list
    kinds: set
    json: str    # bool, number, number or string, string
    sql: str     # canonical bytes of column c


def table():
    """The lines of the table, in order; the last is that of all other types."""
    rows = []
    for line in DOCUMENT.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")] if line.startswith("|") else []
        if len(cells) == 6 and "`" in cells[5] and cells[1] in KINDS:
            rows.append(Row(re.findall("`([^`]+)`", cells[0]), KINDS[cells[1]], cells[2],
                            cells[5].strip("`")))
    return rows


def sql_of_row(columns):
    """A row's canonical bytes; columns: its columns' SQL names, each with its canonical bytes."""
    field = re.search("```sql\n(.*)\n```", DOCUMENT.read_text())[1]
    terms = {"c": 0, "b": 1}
    return " || ".join(re.sub(r"\b[cb]\b", lambda term, pair=pair: pair[terms[term[0]]], field)
                       for pair in columns)


def row_of(rows, base, typmod_text, enum):
    """The line for a type: `base` without its typmod, `typmod_text` as in numeric(12,2)."""
    element = base.removesuffix("[]")
    name = ALIASES.get(element, element)
    if element != base:
        known = any(name in row.names for row in rows) and name not in ("real", "double precision")
        return rows[-2 if known else -1]
    if name == "numeric":
        digits = re.fullmatch(r"\((\d+),(-?\d+)\)", typmod_text or "")
        fits = digits and int(digits[1]) <= 38 and 0 <= int(digits[2]) <= int(digits[1])
        name = "numeric(p,s)" if fits else "numeric"
    if enum:
        name = "enums"
    return next((row for row in rows[:-2] if name in row.names), rows[-1])


def canonical(row, value):
    """Canonical bytes of a value as it stands in a file; None is NULL."""
    if value is None:
        return None
    if isinstance(value, dict):
        value = bytes.fromhex(value["$bytes"])
    elif isinstance(value, bool):
        value = b"t" if value else b"f"
    else:
        value = value.encode()
    if "bytea" in row.names:
        return bytes.fromhex(value[2:].decode())
    if '"char"' in row.names:
        return bytes([int(value[1:], 8)]) if len(value) == 4 else value or b"\0"
    return value
