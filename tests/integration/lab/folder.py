# SPDX-License-Identifier: Apache-2.0
"""The file sink's folder as the oracle's logs, through the reader that follows docs/files.md."""
import json
import pathlib
import sys

from . import oracle

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import files_reader  # noqa: E402


class State:
    """What is committed in a folder, at one moment; narwal may be at work."""

    def __init__(self, path):
        self.path = path
        self.folder = None
        if any((pathlib.Path(path) / "_journal").glob("journal-*.log")):
            self.folder = files_reader.read_folder(str(path))

    @property
    def records(self):
        return self.folder.record if self.folder else 0

    @property
    def lsn(self):
        """Everything that committed before it is here; 0: nothing yet, as during the copy."""
        if not self.folder or not self.folder.positions or \
                any(not position["bytes"] for position in self.folder.positions):
            return 0
        return self.folder.position_lsn

    @property
    def generations(self):
        """The copy in force of each table."""
        return {(table.schema, table.name): table.generation
                for table in (self.folder.tables if self.folder else ())}

    @property
    def lines(self):
        return sum(file.lines for table in (self.folder.tables if self.folder else ())
                   for file in table.files if file.kind != "schema")

    def logs(self):
        return [log(table) for table in (self.folder.tables if self.folder else ())]

    def messages(self):
        """Logical messages, in order."""
        return list(events(self.folder.messages, "changes")) if self.folder.messages else []


def events(table, kind):
    """Lines of one kind with their numbers as text: what PostgreSQL printed, not what Python made."""
    for file in table.files:
        if file.kind == kind and (kind == "changes" or file.generation == table.generation):
            lines = file.text().split(b"\n")
            if lines.pop() != b"" or len(lines) != file.lines:
                raise files_reader.Damaged(f"{file.path}: {len(lines)} lines, {file.lines} committed")
            for line in lines:
                yield json.loads(line, parse_int=str, parse_float=str)


def log(table):
    schemas = {str(number): schema for number, schema in table.schemas().items()}
    return oracle.TableLog(table.schema, table.name, table.fence, schemas,
                           lambda: events(table, "copy"), lambda: events(table, "changes"),
                           copied=table.complete)
