"""What tests/crossmatch.rs archives and publishes, against brute force (crossmatch_sky.py).

prepare FOLDER SIMULATED DATA|-        packets of ZTF (FOLDER/ztf) and of LSST (FOLDER/lsst, where there is DATA), and the catalogues
check FOLDER ROOT OUTPUT REPORT NAME   the rows of component NAME, what it published, its report
editions FOLDER ROOT                   which edition each row of a run was matched against, while they were replaced
same ROOT ROOT                         whether two archives say the same of the same alerts"""

import glob
import io
import json
import os
import re
import shutil
import sys
import warnings

import fastavro
import pyarrow.parquet

import crossmatch_sky as sky
from packets import finish, read_container

PLACES = {
    "pole-n": (123.0, 90.0), "pole-s": (0.0, -90.0), "near-pole": (200.0, 89.9999), "wrap": (359.99999, 0.5), "zero": (0.0, 5.0),
    "full": (360.0, 7.0), "moc": (10.0, 10.0), "nan-ra": (float("nan"), 10.0), "nan-dec": (10.0, float("nan")), "off-dec": (10.0, 90.5),
    "off-ra": (400.0, 10.0), "negative": (-0.1, 10.0),
}
# Julian dates, 2018 to 2035; two are no time.
DATES = [2458200.5, 2459000.7, 2460500.25, 2461000.5, 2462000.0, 2464500.75, 0.0, float("nan")]
ANNOTATIONS = ["matches", "crossmatches", "catalogs", "class", "watched", "watchlists", "alarm"]
EIGHT = ["candid", "candra", "canddec", "catalogid", "sourceid", "sourcera", "sourcedec", "distance"]
HIT = ["listid", "sourceid", "sourcera", "sourcedec", "distance", "radius"]


def container(schema, record):
    out = io.BytesIO()
    fastavro.writer(out, fastavro.parse_schema(schema), [record])
    return out.getvalue()


def write(path, content):
    with open(path, "wb") as file:
        file.write(content)


def read(path):
    with open(path, "rb") as file:
        return read_container(file.read())


def prepare(folder, simulated, data):
    os.makedirs(f"{folder}/ztf")
    numbers = {"simulated": 0, "edited": 0, "real ztf": 0, "real lsst": 0, "edited lsst": 0}
    packets = sorted(glob.glob(f"{simulated}/*.avro"))
    for path in packets:
        shutil.copyfile(path, f"{folder}/ztf/simulated-{os.path.basename(path)}")
        numbers["simulated"] += 1
    edits = [(name, place, None) for name, place in PLACES.items()]
    edits += [(f"date-{i}", None, DATES[i % len(DATES)]) for i in range(40)]
    for i, ((name, place, date), path) in enumerate(zip(edits, packets)):
        schema, (record,) = read(path)
        record["candid"] = record["candidate"]["candid"] = 10**17 + i
        record["candidate"]["rb"] = 0.9
        if place:
            record["candidate"]["ra"], record["candidate"]["dec"] = place
            # One that has a class all the same.
            record["candidate"]["magpsf"] = 15.0 if name == "off-dec" else 19.0
        else:
            record["candidate"]["jd"] = date
            record["candidate"]["ra"], record["candidate"]["dec"] = 50 + 3.1 * i, 20.0 + i / 10
        write(f"{folder}/ztf/edited-{name}.avro", container(schema, record))
        numbers["edited"] += 1
    if data != "-":
        for path in sorted(glob.glob(f"{data}/alerts/ztf/*.avro")):
            shutil.copyfile(path, f"{folder}/ztf/real-{os.path.basename(path)}")
            numbers["real ztf"] += 1
        os.makedirs(f"{folder}/lsst")
        for n, path in enumerate(sorted(glob.glob(f"{data}/alerts/lsst/*.avro"))):
            shutil.copyfile(path, f"{folder}/lsst/real-{os.path.basename(path)}")
            numbers["real lsst"] += 1
            schema, (record,) = read(path)
            key = "diaSourceId" if record.get("diaSourceId") is not None else "alertId"
            for turn in range(5):
                place = {"ra": 33.3 * n + turn, "dec": 17.0 * turn - 25 if turn < 4 else float("nan")}
                place["midpointMjdTai"] = 60000.0 + 400.5 * n
                own = {**record, key: 10**17 + 10 * n + turn, "diaSource": {**record["diaSource"], **place}}
                write(f"{folder}/lsst/edited-{n}-{turn}.avro", container(schema, own))
                numbers["edited lsst"] += 1
    around = [a for name in ("ztf", "lsst") for a in sky.alerts(f"{folder}/{name}") if a.tried]
    finish([], **numbers, **sky.make(folder, around))


def rows_of(root):
    """Rows of an archive by topic, offset and record, with the editions that the footer of their file names."""
    rows = {}
    for path in sorted(glob.glob(f"{root}/**/*.parquet", recursive=True)):
        file = pyarrow.parquet.ParquetFile(path)
        editions = file.metadata.metadata[b"skysluice.catalogs"].decode().split("\n")
        for row in file.read().to_pylist():
            own = row["skysluice"]
            key = (own["offset"], own["partition"], own["record"])
            assert key not in rows, f"{key} is archived twice"
            rows[key] = (row, editions)
    return rows


class Judge:
    """Compares, and gathers what is wrong."""

    def __init__(self):
        self.wrong, self.counts, self.furthest = [], {}, 0.0

    def count(self, what, number=1):
        self.counts[what] = self.counts.get(what, 0) + number

    def is_same(self, where, got, expected):
        self.count("values")
        if got != expected or type(got) is not type(expected):
            self.wrong.append(f"{where}: {got!r:.300}, and it should be {expected!r:.300}")

    def is_near(self, where, got, expected, off):
        self.count("values")
        if not isinstance(got, float) or not abs(got - expected) <= off:
            self.wrong.append(f"{where}: {got!r}, and it should be {expected!r} to {off:.1e}")
        elif off == sky.TOLERANCE:
            self.furthest = max(self.furthest, abs(got - expected))

    def items(self, where, got, expected, names):
        """A list of records: `expected` has values, and pairs (value, what it may differ) for distances."""
        if got is None or expected is None or len(got) != len(expected):
            short = lambda items: items and [(item[names[0]], item["sourceid"]) for item in items]
            self.is_same(where, short(got), short(expected))
            return
        for i, (g, e) in enumerate(zip(got, expected)):
            self.is_same(f"{where}[{i}]", sorted(g), sorted(names))
            for name in names:
                compare = self.is_near if isinstance(e[name], tuple) else self.is_same
                compare(f"{where}[{i}].{name}", g.get(name), *(e[name] if isinstance(e[name], tuple) else [e[name]]))


def classify(alert, own, number, ztf):
    """The table of classes in tests/crossmatch.rs."""
    if own["stars"]["distance"] is not None and own["stars"]["distance"][0] < 0.5:
        return "star"
    if own["list"]["kind"] == "blazar" and number < 4:
        return "blazar"
    if own["crowd"]["capped"] is True and own["wide"]["type"] != "SNR":
        return "crowded"
    if ztf and alert.magnitude < 16:
        return "bright"
    if own["stars"]["covered"] is False:
        return "elsewhere"
    return "unknown" if alert.tried else None


def check_row(judge, where, row, alert, catalogs, lists, carried, ztf):
    """Everything that the steps said of an alert; the verdict last."""
    verdict = "real" if ztf and not (alert.rb is not None and alert.rb >= 0.4) else None
    tried = alert.tried and verdict is None
    judge.count("tried" if tried else "skipped before" if verdict else "without a position")
    listed, own, number = [], {}, 0
    for catalog in catalogs:
        found, capped, covered = catalog.around(alert) if tried else (None, None, None)
        first = found[0] if found else None
        own[catalog.name] = {
            "matches": None if found is None else len(found), "covered": covered, "capped": capped,
            "distance": first and (first[0], first[2]),
        } | {name: catalog.columns[name][first[1]] if first else None for name in catalog.columns}
        for distance, i, off in found or []:
            place = {"candid": str(alert.candid), "candra": alert.ra % 360, "canddec": alert.dec, "catalogid": catalog.name}
            place |= {"sourceid": catalog.ids[i], "sourcera": float(catalog.ra[i]), "sourcedec": float(catalog.dec[i])}
            listed.append(place | {"distance": (distance, off)} | {name: catalog.columns.get(name, {i: None})[i] for name in carried})
            judge.count("matches")
            judge.count("matches with stars that have moved", int(off > sky.TOLERANCE))
        number += len(found or [])
        judge.count(f"{catalog.name}: alerts with a match", int(bool(found)))
        judge.count(f"{catalog.name}: capped", int(bool(capped)))
        judge.count(f"{catalog.name}: not covered", int(covered is False))
        judge.count(f"{catalog.name}: matches", len(found or []))
    judge.is_same(f"{where}.matches", row["matches"], number if tried else None)
    judge.items(f"{where}.crossmatches", row["crossmatches"], listed if tried else None, EIGHT + carried)
    judge.is_same(f"{where}.catalogs", list(row["catalogs"]), [c.name for c in catalogs])
    for name, expected in own.items():
        judge.items(f"{where}.catalogs.{name}", [row["catalogs"][name]], [expected], list(expected))
    kind = None if verdict else classify(alert, own, number, ztf)
    judge.is_same(f"{where}.class", row["class"], kind)
    if not verdict:
        judge.count(f"class {kind}")
    hits = []
    for watched in lists:
        found = watched.around(alert)[0] if tried else None
        for distance, i, off in found or []:
            place = {"listid": watched.name, "sourceid": watched.ids[i], "sourcera": float(watched.ra[i]), "sourcedec": float(watched.dec[i])}
            hits.append(place | {"distance": (distance, off), "radius": float(watched.radii[i])})
        judge.count(f"{watched.name}: hits", len(found or []))
    judge.is_same(f"{where}.watched", row["watched"], len(hits) if tried else None)
    judge.items(f"{where}.watchlists", row["watchlists"], hits if tried else None, HIT)
    judge.is_same(f"{where}.alarm", row["alarm"], None if not tried else "call" if hits else "wait")
    if verdict is None:
        outside = not alert.tried or not sky.in_cap(alert)
        verdict = None if outside else "cap"
        if outside and alert.tried and bool(AVOID.contains_lonlat(alert.ra % 360 * sky.u.deg, alert.dec * sky.u.deg)[0]):
            verdict = "avoid"
    judge.is_same(f"{where}.skipped_by", row["skysluice"]["skipped_by"], verdict)
    judge.is_same(f"{where}.passed", row["skysluice"]["passed"], verdict is None)
    judge.count(f"skipped by {verdict}" if verdict else "passed")


def published(judge, output, rows):
    """Every alert that passed, with the annotations of its row."""
    expected, found = {}, {}
    for _, (row, _) in sorted(rows.items()):
        if row["skysluice"]["passed"]:
            candid = next(row[k] for k in ("candid", "diaSourceId", "alertId") if row.get(k) is not None)
            expected.setdefault(candid, []).append({name: row[name] for name in ANNOTATIONS})
    for path in sorted(glob.glob(f"{output}/*.avro")):
        for record in read(path)[1]:
            candid = next(record[k] for k in ("candid", "diaSourceId", "alertId") if record.get(k) is not None)
            found.setdefault(candid, []).append({name: record[name] for name in ANNOTATIONS})
    judge.is_same("ids of what is published", sorted(found), sorted(expected))
    text = lambda said: sorted(json.dumps(s, sort_keys=True) for s in said)
    for candid, said in expected.items():
        judge.count("published", len(said))
        judge.is_same(f"published {candid}", text(found.get(candid, [])), text(said))


def reported(judge, report, name):
    """The counts of the steps in the report, against those of the rows."""
    with open(report) as file:
        steps = {s["name"]: s for s in next(c for c in json.load(file)["components"] if c["name"] == name)["steps"]}
    c = lambda what: judge.counts.get(what, 0)
    went = c("tried") + c("without a position")
    expected = {
        "real": (went, c("skipped by real")), "known": (went, 0), "kind": (went, 0), "watch": (went, 0), "urgency": (went, 0),
        "cap": (went - c("skipped by cap"), c("skipped by cap")), "avoid": (c("passed"), c("skipped by avoid")),
    }
    for step, said in steps.items():
        judge.is_same(f"report {step}", (said["passed"], said["skipped"], said["errors"]), (*expected[step], 0))
    bare = c("without a position")
    # What has no position lies in no region, and passes both.
    without = {"known": bare, "kind": c("class None"), "watch": bare, "urgency": bare, "cap": bare, "avoid": bare}
    for step, number in without.items():
        judge.is_same(f"report {step}, not tried", steps[step]["not_tried"], number)
    for said in steps["known"]["catalogs"]:
        found = [said[k] for k in ("matched_alerts", "matches", "not_covered", "capped")]
        names = ("alerts with a match", "matches", "not covered", "capped")
        judge.is_same(f"report of {said['id']}", found, [c(f"{said['id']}: {what}") for what in names])
    judge.is_same("report, matches", steps["known"]["matches"], c("matches"))
    for said in steps["watch"]["catalogs"]:
        judge.is_same(f"report of {said['id']}", said["matches"], c(f"{said['id']}: hits"))
    for kind, number in steps["kind"]["classes"].items():
        judge.is_same(f"report, class {kind}", number, c(f"class {kind}"))
        judge.count("classes with alerts", int(number > 0))


def check(folder, root, output, report, name):
    global AVOID
    AVOID = sky.MOC.from_fits(f"{folder}/avoid.fits")
    judge, rows = Judge(), rows_of(root)
    alerts, catalogs, lists = sky.alerts(f"{folder}/{name}"), sky.catalogs(folder), sky.lists(folder)
    carried = [column for catalog in catalogs for column in catalog.columns]
    judge.is_same("offsets", [key[0] for key in sorted(rows)], list(range(len(alerts))))
    for (offset, _, _), (row, editions) in sorted(rows.items()):
        check_row(judge, f"offset {offset}", row, alerts[offset], catalogs, lists, carried, name == "ztf")
        said = sorted(re.sub(r" [0-9a-f]{16}$", "", edition) for edition in editions)
        engines = {"list": "kdtree", "stars": "zones", "wide": "kdtree", "crowd": "zones", "watch": "kdtree", "near": "kdtree"}
        versions = {"stars": " DR1", "wide": " 3"}
        expected = sorted(f"{c.name}{versions.get(c.name, '')}, {len(c.ids)} sources, {engines[c.name]}" for c in catalogs + lists)
        judge.is_same(f"offset {offset}, editions", said, expected)
    published(judge, output, rows)
    reported(judge, report, name)
    finish(judge.wrong, rows=len(rows), furthest=judge.furthest, footprint=[len(c.cells) for c in catalogs if c.cells], counts=judge.counts)


def editions(folder, root):
    """Sources and entries of edition n have ids n-..., those of `stars` the number n in a column too."""
    wrong, switched, seen = [], {}, {"stars": {}, "watch": {}}
    known = {f"{name}-{n}": sky.read_csv(f"{folder}/{name}-{n}.csv") for name in ("stars", "watch") for n in (1, 2)}
    on_sky = lambda rows: sky.SkyCoord([float(row["ra"]) for row in rows] * sky.u.deg, [float(row["dec"]) for row in rows] * sky.u.deg)
    places = {key: on_sky(rows) for key, rows in known.items()}
    rows = sorted(rows_of(root).items())
    where = on_sky([row["candidate"] for _, (row, _) in rows])
    expected = {}
    for key, sources in known.items():
        expected[key] = [[] for _ in rows]
        asked, found, distance, _ = places[key].search_around_sky(where, 30 * sky.u.arcsec)
        for i, j, d in zip(asked.tolist(), found.tolist(), distance.arcsec.tolist()):
            if d <= (2.0 if key.startswith("stars") else float(sources[j]["radius"])):
                expected[key][i].append((d, sources[j]["id"]))
    for i, (key, (row, named)) in enumerate(rows):
        for name, column in (("stars", "crossmatches"), ("watch", "watchlists")):
            said = [(m["distance"], m["sourceid"]) for m in row[column]]
            is_of = lambda n: len(said) == len(expected[f"{name}-{n}"][i]) and all(
                a[1] == b[1] and abs(a[0] - b[0]) < sky.TOLERANCE for a, b in zip(said, sorted(expected[f"{name}-{n}"][i]))
            )
            fits = [n for n in (1, 2) if is_of(n)]
            if not fits:
                wrong.append(f"{key}: {name} {said} is of no edition: {[sorted(expected[f'{name}-{n}'][i]) for n in (1, 2)]}")
            if len(fits) != 1:
                continue
            n = fits[0]
            if name == "stars" and {m["edition"] for m in row[column]} | {row["catalogs"]["stars"]["edition"]} != ({n} if said else {None}):
                wrong.append(f"{key}: columns of another edition than {n}: {row[column]}")
            # The edition with its number is named where its rows are.
            if not any(e.startswith(f"{name} v{n}," if name == "stars" else f"{name}, {len(known[f'{name}-{n}'])} sources") for e in named):
                wrong.append(f"{key}: matched against {name} of edition {n}, and the footer names {named}")
            seen[name].setdefault(n, []).append(key[0])
            if any(re.match(r"(stars v3|watch, [12] sources)", e) for e in named):
                wrong.append(f"{key}: the footer names what was refused: {named}")
    for name, by in seen.items():
        if sorted(by) != [1, 2]:
            wrong.append(f"{name}: rows of editions {sorted(by)} only")
            continue
        # Batches are matched side by side: at the change some overtake others.
        switched[name] = {"old": len(by[1]), "new": len(by[2]), "first new": by[2][0], "last old": by[1][-1], "last": by[2][-1]}
        if by[1][-1] - by[2][0] > 2048:
            wrong.append(f"{name}: old and new editions by turns: {switched[name]}")
    firsts = rows[0][1][1]
    if len(firsts) != 2:
        wrong.append(f"the first file names {firsts}")
    finish(wrong, rows=len(rows), switched=switched, first=firsts, last=rows[-1][1][1])


def same(one, other):
    """By id: offsets are others, because an exported container holds many alerts."""
    wrong, said = [], []
    for root in (one, other):
        by = {}
        for _, (row, _) in sorted(rows_of(root).items()):
            verdict = {name: row["skysluice"][name] for name in ("passed", "skipped_by", "flags")}
            said_of = {name: row[name] for name in ANNOTATIONS} | verdict
            by.setdefault(row["candid"], []).append(tuple(json.dumps(value, sort_keys=True) for value in said_of.values()))
        said.append(by)
    if {candid: len(rows) for candid, rows in said[0].items()} != {candid: len(rows) for candid, rows in said[1].items()}:
        wrong.append(f"{len(said[0])} ids there, {len(said[1])} here, or not as often")
    matches = stars = 0
    for candid, rows in said[0].items():
        for one, other in zip(sorted(rows), sorted(said[1].get(candid, []))):
            wrong += [f"{candid}: {a[:500]} there, {b[:500]} here" for a, b in zip(one, other) if a != b]
        for row in rows:
            matches += json.loads(row[0]) or 0
            stars += json.loads(row[2])["stars"]["matches"] or 0
    finish(wrong, alerts=sum(map(len, said[0].values())), matches=matches, stars=stars)


warnings.simplefilter("ignore")
step, *arguments = sys.argv[1:]
{"prepare": prepare, "check": check, "editions": editions, "same": same}[step](*arguments)
