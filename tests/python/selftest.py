"""selftest.py FOLDER PACKET...: the readers themselves. Writes a small archive of the packets by pyarrow as the program would,
with which compare_archive has to be content, then spoils it in every way and asks that each be found."""

import copy
import datetime
import json
import math
import os
import subprocess
import sys

import pyarrow
import pyarrow.parquet

from matches import Catalog
from packets import read_container
from readers_common import HOUR, SURVEYS, answer, compare

HERE = os.path.dirname(os.path.abspath(__file__))
RECEIVED = datetime.datetime(2026, 11, 9, 3, 30, tzinfo=datetime.timezone.utc)


def run(script, *arguments):
    done = subprocess.run([sys.executable, os.path.join(HERE, script), *arguments], capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


def matches(folder):
    """What is wrong with the judge of annotations."""
    with open(f"{folder}/catalog.csv", "w") as file:
        file.write("id,ra,dec\nnear,10.0,20.0\nfar,10.0,20.001\n")
    catalog = Catalog(f"{folder}/catalog.csv", "c", 1.5)
    match = {
        "candid": "7", "candra": 10.0, "canddec": 20.0002, "catalogid": "c", "sourceid": "near", "sourcera": 10.0,
        "sourcedec": 20.0, "distance": 0.72,
    }
    judge = lambda **spoilt: catalog.check(7, 10.0, 20.0002, {"matches": 1, "crossmatches": [{**match, **spoilt}]})[0]
    problems = [f"not content with a right match: {judge()}"] if judge() else []
    for spoilt in ({"distance": 0.7201}, {"sourceid": "far"}, {"candra": 10.1}, {"sourcedec": 20.001}, {"candid": "8"}, {"catalogid": "d"}):
        if not judge(**spoilt):
            problems.append(f"{spoilt} is not found")
    for record in ({"matches": 0, "crossmatches": []}, {"matches": None, "crossmatches": None}, {"matches": 2, "crossmatches": [match] * 2}):
        if not catalog.check(7, 10.0, 20.0002, record)[0]:
            problems.append(f"{record} is not found")
    return problems


def tables(path):
    """What is wrong with the judge of readers that open an archive as a table."""
    with open(path, "rb") as file:
        (record,) = read_container(file.read())[1]
    row = {name: answer(record, question) for name, question in SURVEYS["ztf"].items()}
    row |= {"offset": 0, "packet": path, **dict.fromkeys(HOUR, 1)}
    judge = lambda *rows: compare("a reader", "ztf", [row], rows)[0]
    problems = [f"not content with a right row: {judge(row)}"] if judge(row) else []
    spoilt = [{"history": row["history"] + 1}, {"magnitudes": row["magnitudes"] * (1 + 1e-8)}, {"id": str(row["id"])}]
    spoilt += [{"score": math.nextafter(row["score"], 9)}, {"stamp_sha256": None}, {"snr": 0.0}, {"hour": "1"}, {"offset": 1}]
    for rows in [(), (row, row), *(({**row, **wrong},) for wrong in spoilt)]:
        if not judge(*rows):
            problems.append(f"{rows} is not found".replace(repr(row), "the row"))
    return problems


def main():
    folder, *paths = sys.argv[1:]
    manifest, rows = [], []
    for offset, path in enumerate(paths):
        manifest.append({"topic": "t", "partition": 0, "offset": offset, "packet": path})
        with open(path, "rb") as file:
            (record,) = read_container(file.read())[1]
        own = {"topic": "t", "partition": 0, "offset": offset, "record": 0, "received": RECEIVED, "flags": None}
        rows.append({**record, "skysluice": own})
    with open(f"{folder}/manifest.json", "w") as file:
        json.dump(manifest, file)
    expected = {"ranges": {"t": [[0, len(paths)]]}, "dead": []}
    with open(f"{folder}/expected.json", "w") as file:
        json.dump(expected, file)

    def judge(name, spoil, hour=3):
        """Whether compare_archive and count_archive are content with the rows as spoilt."""
        archive = f"{folder}/{name}"
        spoilt = copy.deepcopy(rows)
        spoil(spoilt)
        for i, row in enumerate(spoilt):
            where = f"{archive}/year=2026/month=11/day=9/hour={hour}"
            os.makedirs(where, exist_ok=True)
            pyarrow.parquet.write_table(pyarrow.Table.from_pylist([row]), f"{where}/{i}.parquet")
        compared = run("compare_archive.py", archive, f"{folder}/manifest.json", "--hour", "received")
        counted = run("count_archive.py", archive, f"{folder}/expected.json")
        return compared, counted

    def leaf(rows):
        rows[0]["candidate"]["rb"] = math.nextafter(rows[0]["candidate"]["rb"], math.inf) + 1e-6

    def history(rows):
        next(r for r in rows if r.get("prv_candidates"))["prv_candidates"][-1]["jd"] += 1e-9

    def null(rows):
        rows[0]["candidate"]["magpsf"] = None

    def stamp(rows):
        data = rows[0]["cutoutScience"]["stampData"]
        rows[0]["cutoutScience"]["stampData"] = data[:-1] + bytes([data[-1] ^ 1])

    problems = matches(folder) + tables(paths[0])
    compared, counted = judge("whole", lambda rows: None)
    if compared[0] or counted[0]:
        problems.append(f"not content with a good archive: {compared} {counted}")
    spoilers = {
        "leaf": (leaf, 0), "history": (history, 0), "null": (null, 0), "stamp": (stamp, 0),
        "field": (lambda rows: rows[0]["candidate"].pop("ra"), 0),
        "column": (lambda rows: rows[0].update(more=1), 0),
        "missing": (lambda rows: rows.pop(), 1),
        "twice": (lambda rows: rows.append(rows[0]), 1),
        "stranger": (lambda rows: rows[0]["skysluice"].update(offset=99), 1),
    }
    for name, (spoil, counts) in spoilers.items():
        compared, counted = judge(name, spoil)
        if compared[0] != 1 or counted[0] != counts:
            problems.append(f"{name} is not found: {compared} {counted}")
    compared, _ = judge("hour", lambda rows: None, hour=4)
    if compared[0] != 1:
        problems.append(f"a wrong hour is not found: {compared}")
    print(json.dumps({"spoilt": len(spoilers) + 1, "rows": len(rows)}))
    for problem in problems:
        print(problem, file=sys.stderr)
    sys.exit(bool(problems))


main()
