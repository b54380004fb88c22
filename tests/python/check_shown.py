"""Compares alerts as `skysluice alert show --format json` prints them with what fastavro reads, every value, and opens the cut-outs
that it has written in astropy.

check_shown.py LIST: a JSON list of {"packet", "record", "shown", "stamps"}: a container, the number of the record, the printed
JSON, and the folder of the cut-outs."""

import gzip
import json
import math
import sys
from datetime import datetime
from pathlib import Path

from astropy.io import fits

from packets import Comparer, Mismatch, finish, read_container


class Shown(Comparer):
    """As `Comparer`, where JSON has no words for a value: NaN, bytes, times."""

    def __init__(self, schema):
        super().__init__(schema, arrow=True)
        self.stamps = []

    def compare(self, schema, expected, actual, path):
        kind = self.resolve(schema)
        if isinstance(kind, dict) and "type" in kind:
            kind = kind["type"]
        if kind in ("float", "double") and isinstance(actual, str):
            number = float(actual)
            if not (math.isnan(number) and math.isnan(expected)) and number != expected:
                self.differ(path, expected, actual)
            self.fields += 1
        elif isinstance(expected, bytes) and isinstance(actual, dict):
            if actual["bytes"] != len(expected) or actual.get("hex", expected.hex()) != expected.hex():
                self.differ(path, expected, actual)
            if "format" in actual:
                self.stamps.append((path, expected, actual))
            self.fields += 1
        elif isinstance(expected, datetime) and isinstance(actual, str):
            if datetime.fromisoformat(actual) != expected:
                self.differ(path, expected, actual)
            self.fields += 1
        else:
            super().compare(schema, expected, actual, path)


def check_stamps(shown, folder):
    """What is written are the bytes of the packet, and an image of the size that was said."""
    files = {path.read_bytes(): path for path in Path(folder).iterdir()} if Path(folder).exists() else {}
    if len(files) != len(shown.stamps):
        raise Mismatch(f"{len(files)} files for {len(shown.stamps)} cut-outs")
    for path, data, said in shown.stamps:
        file = files.get(data)
        if file is None:
            raise Mismatch(f"{path}: no file has its bytes")
        if not file.name.endswith(f".{said['format']}"):
            raise Mismatch(f"{path}: {file.name} is {said['format']}")
        known = [kind for kind in ("science", "template", "difference") if kind in path.lower()]
        if not all(kind in file.name for kind in known):
            raise Mismatch(f"{path}: is written as {file.name}")
        with fits.open(file) as image:
            height, width = next(hdu.data.shape for hdu in image if hdu.data is not None)
        if (width, height) != (said["width"], said["height"]):
            raise Mismatch(f"{path}: {width} x {height} in astropy, {said}")
        if said["format"] == "fits.gz":
            gzip.decompress(data)
    return len(files)


def main():
    entries = json.loads(Path(sys.argv[1]).read_text())
    problems, fields, stamps = [], 0, 0
    for entry in entries:
        schema, records = read_container(Path(entry["packet"]).read_bytes())
        shown = Shown(schema)
        try:
            value = json.loads(Path(entry["shown"]).read_text(), parse_constant=lambda c: sys.exit(f"{c} is not JSON"))
            record = records[entry["record"]]
            if list(value)[:len(record)] != list(record):
                raise Mismatch(f"fields {list(value)}, in the packet {list(record)}")
            shown.record(record, value)
            stamps += check_stamps(shown, entry["stamps"])
        except Mismatch as mismatch:
            problems.append(f"{entry['packet']}: {mismatch}")
        fields += shown.fields
    finish(problems, packets=len(entries), fields=fields, stamps=stamps)


main()
