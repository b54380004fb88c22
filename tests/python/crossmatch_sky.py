"""The catalogues, lists and regions of tests/crossmatch.rs: how they are made, and what brute force says of an alert.

Tables are read here by csv, pyarrow and astropy, separations and proper motions are astropy's, footprints astropy-healpix's, MOCs
mocpy's: nothing is shared with the program but the files."""

import csv
import glob
import json
import math
import os

import astropy.units as u
import numpy
import pyarrow
import pyarrow.parquet
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import Table
from astropy.time import Time
from astropy_healpix import HEALPix
from mocpy import MOC

from packets import read_container

# Arcseconds: what is left between two ways of computing a separation in double precision.
TOLERANCE = 1e-6
# Stars are searched where they are at a time this near to that of the alert, years: half of the 1024th of a day.
TIME = 1 / 2048 / 365.25
# Arcseconds a year from which a star of `stars` moves by more than 0.3 arcseconds between 2016 and 2036.
SLOW = 0.3 / 20
EPOCH = 2016.0
# What is asked for in the configuration, arcseconds.
RADII = {"list": 2.0, "stars": 1.0, "crowd": 5.0, "near": 15.0}
LIMIT = 2
# A polygon around the north pole.
CAP = [[0, 62], [80, 50], [170, 58], [290, 45]]


class Alert:
    """What matters of a packet."""

    def __init__(self, record):
        place = record["candidate" if "candidate" in record else "diaSource"]
        self.candid = next(record[k] for k in ("candid", "diaSourceId", "alertId") if record.get(k) is not None)
        self.ra, self.dec = place["ra"], place["dec"]
        self.tried = 0 <= self.ra <= 360 and -90 <= self.dec <= 90
        mjd = place["jd"] - 2400000.5 if "jd" in place else place["midpointMjdTai"] - 37 / 86400
        # 1990 to 2100; other numbers are no time.
        self.year = 2000 + (mjd - 51544.5) / 365.25 if 47892 <= mjd < 88069 else None
        self.rb, self.magnitude = place.get("rb"), place.get("magpsf")
        self.sky = SkyCoord(self.ra * u.deg, self.dec * u.deg) if self.tried else None


def alerts(folder):
    """Of all packets of a folder, in the order of their offsets."""
    found = []
    for path in sorted(glob.glob(f"{folder}/*.avro")):
        with open(path, "rb") as file:
            _, records = read_container(file.read())
        found += [Alert(record) for record in records]
    return found


class Catalog:
    """A table, and how it is asked."""

    def __init__(self, name, ids, ra, dec, columns, radii=None, motion=None, keep=None, nearest=None, limit=100, order=None):
        self.name, self.ids, self.ra, self.dec, self.columns = name, ids, numpy.array(ra), numpy.array(dec), columns
        self.radii = numpy.full(len(ids), RADII.get(name)) if radii is None else numpy.array(radii)
        self.sky = SkyCoord(self.ra * u.deg, self.dec * u.deg)
        self.keep = numpy.full(len(ids), True) if keep is None else numpy.array(keep)
        self.nearest, self.limit = nearest, limit
        self.speed = numpy.zeros(len(ids)) if motion is None else numpy.nan_to_num(numpy.hypot(*motion)) / 1000
        self.movers = numpy.flatnonzero(self.speed > SLOW)
        self.motion, self.then = motion, {}
        self.grid = order is not None and HEALPix(nside=2**order, order="nested")
        self.cells = set(self.grid.lonlat_to_healpix(self.sky.ra, self.sky.dec).tolist()) if self.grid else None

    def at(self, year):
        """The movers at a time."""
        if year not in self.then:
            pm_ra, pm_dec = (numpy.array(m)[self.movers] * u.mas / u.yr for m in self.motion)
            # Near enough for its speed to be small, with no motion along the line of sight.
            stars = SkyCoord(
                self.sky.ra[self.movers], self.sky.dec[self.movers], distance=0.1 * u.pc, pm_ra_cosdec=pm_ra, pm_dec=pm_dec,
                radial_velocity=0 * u.km / u.s, obstime=Time(EPOCH, format="jyear"),
            )
            self.then[year] = stars.apply_space_motion(new_obstime=Time(year, format="jyear"))
        return self.then[year]

    def around(self, alert):
        """[(distance in arcseconds, row, what it may differ)] nearest first, whether there are more, whether it is covered."""
        if not alert.tried:
            return None, None, None
        distance = alert.sky.separation(self.sky).arcsec
        moved = len(self.movers) and alert.year is not None
        if moved:
            then = self.at(alert.year)
            distance[self.movers] = alert.sky.separation(SkyCoord(then.ra, then.dec)).arcsec
        off = TOLERANCE + (self.speed * TIME if moved else 0 * self.speed)
        clear = numpy.abs(distance - self.radii) > off
        assert clear.all(), f"{self.name}: {numpy.flatnonzero(~clear)} are at the edge of {alert.ra}, {alert.dec}"
        rows = numpy.flatnonzero((distance <= self.radii) & self.keep)
        rows = rows[numpy.argsort(distance[rows], kind="stable")]
        found = [(float(distance[row]), int(row), float(off[row])) for row in rows]
        found = found[: self.nearest] if self.nearest else found
        covered = None
        if self.cells is not None:
            # RA 360 is RA 0.
            cell = int(self.grid.lonlat_to_healpix(alert.ra % 360 * u.deg, alert.dec * u.deg))
            covered = bool(found) or cell in self.cells
        return found[: self.limit], len(found) > self.limit, covered


def number(text):
    return float(text) if text else math.nan


def read_csv(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def catalogs(folder):
    """The four of the step, in their order."""
    orders = {}
    for name in ("stars", "crowd"):
        with open(f"{folder}/{name}.json") as file:
            orders[name] = json.load(file)["footprint"]["order"]
    rows = read_csv(f"{folder}/list.csv")
    pick = lambda rows, name, kind: [kind(row[name]) for row in rows]
    nothing = lambda kind: lambda text: kind(text) if text else None
    columns = {name: pick(rows, name, nothing(kind)) for name, kind in (("kind", str), ("weight", float), ("count", int))}
    listed = Catalog("list", pick(rows, "id", str), pick(rows, "ra", float), pick(rows, "dec", float), columns)
    rows = read_csv(f"{folder}/stars.csv")
    magnitude, ruwe = pick(rows, "gmag", number), pick(rows, "ruwe", number)
    keep = [m < 18 and r < 1.4 for m, r in zip(magnitude, ruwe)]
    columns = {"gmag": pick(rows, "gmag", nothing(float))}
    motion = (pick(rows, "pmra", number), pick(rows, "pmdec", number))
    stars = Catalog(
        "stars", pick(rows, "source_id", str), pick(rows, "ra", float), pick(rows, "dec", float), columns, motion=motion, keep=keep,
        nearest=1, order=orders["stars"],
    )
    table = fits.getdata(f"{folder}/wide.fits", 1)
    columns = {"type": [str(t).strip() for t in table["TYPE"]], "z": [float(z) for z in table["Z"]]}
    ra, dec, size = (table[name].astype(float) for name in ("RAdeg", "DEdeg", "SIZE"))
    wide = Catalog("wide", [str(i).strip() for i in table["NAME"]], ra, dec, columns, radii=size * 60)
    table = pyarrow.parquet.read_table(f"{folder}/crowd.parquet").to_pydict()
    columns = {name: table[name] for name in ("mag", "flag", "number")}
    crowd = Catalog("crowd", table["id"], table["ra"], table["dec"], columns, limit=LIMIT, order=orders["crowd"])
    return [listed, stars, wide, crowd]


def lists(folder):
    """The two watch lists."""
    rows = read_csv(f"{folder}/watch.csv")
    column = lambda name, kind=float: [kind(row[name]) for row in rows]
    own = Catalog("watch", column("id", str), column("ra"), column("dec"), {}, radii=column("radius"), limit=10_000)
    table = pyarrow.parquet.read_table(f"{folder}/near.parquet").to_pydict()
    return [own, Catalog("near", table["id"], table["ra"], table["dec"], {}, limit=10_000)]


def in_cap(alert):
    """Whether it lies in the polygon around the pole: great circles are straight lines in the gnomonic projection from there."""
    if not alert.tried or alert.dec <= 0:
        return False

    def flat(ra, dec):
        away = 1 / math.tan(math.radians(dec))
        return away * math.cos(math.radians(ra)), away * math.sin(math.radians(ra))

    x, y = flat(alert.ra, alert.dec)
    inside = False
    corners = [flat(*corner) for corner in CAP]
    for (x1, y1), (x2, y2) in zip(corners, corners[1:] + corners[:1]):
        if (y1 > y) != (y2 > y) and x < x1 + (y - y1) * (x2 - x1) / (y2 - y1):
            inside = not inside
    return inside


def beside(alert, draw, arcsec):
    """A place so far away, in any direction."""
    there = alert.sky.directional_offset_by(draw.uniform(0, 360) * u.deg, arcsec * u.arcsec)
    return float(there.ra.deg) % 360, float(there.dec.deg)


def write_csv(path, head, rows):
    with open(path, "w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(head)
        writer.writerows(["" if value is None else repr(value) if isinstance(value, float) else value for value in row] for row in rows)


def anywhere(draw, count):
    return list(zip(draw.uniform(0, 360, count).tolist(), numpy.degrees(numpy.arcsin(draw.uniform(-1, 1, count))).tolist()))


def make_stars(folder, around, draw):
    """Sources over every second field of the sky; near alerts there: stars that are there at the alert's time, that were there in
    2016, and pairs of which one does not count."""
    fields = HEALPix(nside=4, order="nested")
    looked = lambda ra, dec: fields.lonlat_to_healpix(ra % 360 * u.deg, dec * u.deg) % 2 == 0
    rows = []
    everywhere = numpy.array(anywhere(draw, 60_000))
    for ra, dec in everywhere[looked(*everywhere.T)].tolist():
        slow = (float(draw.uniform(-5, 5)), float(draw.uniform(-5, 5))) if draw.random() < 0.8 else (None, None)
        rows.append([ra, dec, *slow, float(draw.uniform(10, 21)), float(draw.uniform(0.8, 2))])
    for i, alert in enumerate(around):
        if not looked(alert.ra, alert.dec):
            continue
        angle, speed = draw.uniform(0, 2 * math.pi), draw.uniform(500, 10_000)
        motion = [float(speed * math.cos(angle)), float(speed * math.sin(angle))]
        ra, dec = beside(alert, draw, 0.3)
        if i % 5 == 0:
            now = SkyCoord(
                ra * u.deg, dec * u.deg, distance=0.1 * u.pc, pm_ra_cosdec=motion[0] * u.mas / u.yr, pm_dec=motion[1] * u.mas / u.yr,
                radial_velocity=0 * u.km / u.s, obstime=Time(alert.year or EPOCH, format="jyear"),
            )
            first = now.apply_space_motion(new_obstime=Time(EPOCH, format="jyear"))
            motion = [float(first.pm_ra_cosdec.to_value(u.mas / u.yr)), float(first.pm_dec.to_value(u.mas / u.yr))]
            rows.append([float(first.ra.deg) % 360, float(first.dec.deg), *motion, 15.0, 1.0])
        elif i % 5 == 1:
            rows.append([ra, dec, *motion, 15.0, 1.0])
        elif i % 5 == 2:
            rows.append([ra, dec, 1.0, -2.0, 19.5, 1.0])
            rows.append([*beside(alert, draw, 0.9), -3.0, 0.5, 15.0, 1.0])
            rows.append([*beside(alert, draw, 0.95), -3.0, 0.5, 15.0, 1.0])
        elif i % 5 == 3:
            rows.append([ra, dec, 1.0, -2.0, 15.0, None])
        else:
            share = 0.999 if i % 10 == 4 else 1.001
            rows.append([*beside(alert, draw, share * RADII["stars"]), 1.0, -2.0, 15.0, 1.0])
    head = ["source_id", "ra", "dec", "pmra", "pmdec", "gmag", "ruwe"]
    write_csv(f"{folder}/stars.csv", head, [[i, *row] for i, row in enumerate(rows, 4_000_000_000)])


def make(folder, around):
    """Writes catalogues, lists and the MOC; `around` are alerts with a position."""
    draw = numpy.random.default_rng(20_261)
    listed, wide, crowd, watch, near = [], [], [], [], []
    kinds = ["blazar", "star", None, "galaxy"]
    for i, alert in enumerate(around):
        for share in {1: [0.4], 2: [0.999, 0.1, 0.7, 1.001, 3.0]}.get(i % 4, []):
            listed.append((*beside(alert, draw, share * RADII["list"]), kinds[len(listed) % 4]))
        if i % 3 == 0:
            size = float(10 ** draw.uniform(0.5, 3.5))
            # As the file has it: what reads it converts that.
            for share in (0.999, 1.001):
                wide.append((*beside(alert, draw, share * size), size / 60))
        for away in ([0.5, 1, 2, 3, 4.9], [1, 4], [0.999 * RADII["crowd"], 1.001 * RADII["crowd"]])[i % 3]:
            crowd.append(beside(alert, draw, away))
        for away, radius in {0: [(20.0, 30.0)], 1: [(20.0, 10.0)], 2: [(200.0, 300.0), (5.0, 5.5)]}.get(i % 6, []):
            watch.append((*beside(alert, draw, away), radius))
        if i % 4 == 1:
            near += [beside(alert, draw, share * RADII["near"]) for share in (0.999, 1.001)]
    listed += [(*place, "star") for place in anywhere(draw, 300)]
    wide += [(*place, float(draw.uniform(0.05, 60))) for place in anywhere(draw, 300)]
    crowd += anywhere(draw, 500)
    # The same ids in both.
    rows = [(f"s{i}", ra, dec, kind, i / 7 if i % 5 else None, i if i % 3 else None) for i, (ra, dec, kind) in enumerate(listed)]
    write_csv(f"{folder}/list.csv", ["id", "ra", "dec", "kind", "weight", "count"], rows)
    make_stars(folder, around, draw)
    table = Table()
    table["NAME"] = [f"W {i:04}" for i in range(len(wide))]
    table["RAdeg"], table["DEdeg"] = [w[0] for w in wide] * u.deg, [w[1] for w in wide] * u.deg
    table["SIZE"] = [w[2] for w in wide] * u.arcmin
    table["TYPE"] = [("SNR", "galaxy", "cluster")[i % 3] for i in range(len(wide))]
    table["Z"] = numpy.array([i / 100 for i in range(len(wide))], dtype=numpy.float32)
    table.write(f"{folder}/wide.fits")
    with open(f"{folder}/wide.yaml", "w") as file:
        file.write("name: wide\nversion: '3'\npath: wide.fits\n")
        file.write("columns: { id: NAME, ra: RAdeg, dec: DEdeg, radius: SIZE, radius_unit: arcmin }\n")
        file.write("carry: [{ column: TYPE, as: type }, { column: Z, as: z }]\n")
    count = range(len(crowd))
    pyarrow.parquet.write_table(
        pyarrow.table({
            "id": [f"s{i}" for i in count], "ra": [c[0] for c in crowd], "dec": [c[1] for c in crowd],
            "mag": pyarrow.array([i / 10 if i % 4 else None for i in count], pyarrow.float32()),
            "flag": [i % 2 == 0 if i % 3 else None for i in count], "number": pyarrow.array([i % 1000 for i in count], pyarrow.int16()),
            "unwanted": [f"text {i}" for i in count],
        }),
        f"{folder}/crowd.parquet",
    )
    write_csv(f"{folder}/watch.csv", ["id", "ra", "dec", "radius"], [(f"w{i}", *row) for i, row in enumerate(watch)])
    entries = {"id": [f"n{i}" for i in range(len(near))], "ra": [n[0] for n in near], "dec": [n[1] for n in near]}
    pyarrow.parquet.write_table(pyarrow.table(entries), f"{folder}/near.parquet")
    cone = MOC.from_cone(lon=0 * u.deg, lat=0 * u.deg, radius=25 * u.deg, max_depth=10)
    cone.union(MOC.from_cone(lon=77 * u.deg, lat=-90 * u.deg, radius=10 * u.deg, max_depth=8)).save(f"{folder}/avoid.fits", format="fits")
    made = ("list.csv", "stars.csv", "wide.fits", "crowd.parquet", "watch.csv", "near.parquet")
    return {name: os.path.getsize(f"{folder}/{name}") for name in made}
