"""Which positions lie in which regions, by astropy, mocpy, astropy-healpix and plain numpy.

make FOLDER     writes asked.f64 (pairs of right ascension and declination in degrees), regions.json, and MOCs in all formats
check FOLDER    compares NAME.u8 (one byte a position: inside or not) of each region
"""

import json
import sys
import warnings
from pathlib import Path

import astropy.units as u
import numpy
from astropy.coordinates import Latitude, Longitude, SkyCoord
from astropy_healpix import HEALPix
from mocpy import MOC, STMOC, TimeMOC

# Nearer to a boundary than this (radians), two ways to compute may differ.
TOLERANCE = 1e-12
POSITIONS = 100_000


def sphere(random, count):
    return numpy.column_stack((random.uniform(0, 360, count), numpy.degrees(numpy.arcsin(random.uniform(-1, 1, count)))))


def vectors(positions):
    ra, dec = numpy.radians(positions).T
    return numpy.column_stack((numpy.cos(dec) * numpy.cos(ra), numpy.cos(dec) * numpy.sin(ra), numpy.sin(dec)))


def around(centre, directions, away):
    """Positions at angles from a centre, degrees."""
    there = SkyCoord(*centre, unit="deg").directional_offset_by(directions * u.deg, away * u.deg)
    return [[float(ra) % 360, float(dec)] for ra, dec in zip(there.ra.deg, there.dec.deg)]


def polygons(random):
    all_round = numpy.linspace(0, 360, 20, endpoint=False)
    yield "triangle", [[10, 20], [12, 20.5], [11, 22]]
    yield "border", [[355, -8], [4, -9], [7, 6], [0, 2], [352, 9]]
    yield "north", [[0, 70], [90, 80], [180, 60], [270, 85]]
    yield "south", [[270, -60], [180, -60], [90, -60], [0, -60]]
    yield "touching-the-pole", [[30, 90], [100, 40], [160, 35]]
    yield "over-the-pole", [[20, 75], [200, 75], [290, 60]]
    yield "tiny", around((200, -45), all_round, 10 / 3600 * (1 + 0.5 * (numpy.arange(20) % 2)))
    yield "star", around((83, -5), all_round, 20.0 - 12 * (numpy.arange(20) % 2))
    yield "star-backward", around((83, -5), all_round, 20.0 - 12 * (numpy.arange(20) % 2))[::-1]
    yield "wiggly", around((10, 88), numpy.linspace(0, 360, 400, endpoint=False), random.uniform(5, 30, 400))
    yield "nearly-half", [[0, -1], [120, -2], [240, -1]]
    # Of the sphere without this star, which is the smaller part.
    yield "beyond", around((150, 40), all_round, 150.0 - 40 * (numpy.arange(20) % 2))
    ra = numpy.arange(0, 310, 5)
    yield "band", [[a, -5 + a / 100] for a in ra.tolist()] + [[a, 5 - a / 200] for a in ra[::-1].tolist()]
    turns = numpy.linspace(0, 720, 120)
    spiral = around((350, -70), turns, 8 + turns / 20)
    yield "spiral", spiral + around((350, -70), turns[::-1], 4 + turns[::-1] / 20)


def make(folder):
    random = numpy.random.default_rng(42)
    regions = []
    for i, (ra, dec, radius) in enumerate(
        [(0, 0, 1), (10, 89.5, 2), (200, -90, 0.1), (359.99, 30, 60), (83.6, 22, 1e-3), (123, -45, 120), (10, 20, 180), (10, 20, 179.9), (77, 0, 90)]
    ):
        regions.append({"name": f"circle-{i}", "kind": "circle", "centre": [ra, dec], "radius": radius})
    for i, (ra, dec) in enumerate(
        [[(10, 20), (-5, 5)], [(350, 10), (-90, 90)], [(0, 360), (80, 90)], [(10, 350), (-30, 30)], [(0, 1), (-90, -89)], [(300, 360), (0, 1)]]
    ):
        regions.append({"name": f"box-{i}", "kind": "box", "ra": ra, "dec": dec})
    for name, vertices in polygons(random):
        regions.append({"name": f"polygon-{name}", "kind": "polygon", "vertices": vertices})
    for name, moc in mocs(random):
        forms = [("fits", "range.fits", {}), ("fits", "nuniq.fits", {"v1_compatible": True}), ("ascii", "txt", {}), ("ascii", "folded.txt", {"fold": 60}), ("json", "json", {})]
        for form, end, options in forms:
            path = folder / f"{name}.{end}"
            moc.save(path, format=form, **options)
            regions.append({"name": path.name, "kind": "moc", "like": f"{name}.range.fits", "ranges": len(moc.to_depth29_ranges)})
    (folder / "regions.json").write_text(json.dumps(regions))
    time = TimeMOC.from_depth61_ranges(61, numpy.array([[1000, 2000], [10**15, 10**15 + 7]], dtype=numpy.uint64))
    time.save(folder / "time.fits", format="fits")
    time.save(folder / "time.txt", format="ascii")
    time.save(folder / "time.json", format="json")
    both = STMOC.from_string("t61/1-5 s3/1-7")
    both.save(folder / "both.fits", format="fits")
    both.save(folder / "both.txt", format="ascii")
    both.save(folder / "both.json", format="json")
    positions(random, regions).tofile(folder / "asked.f64")
    return {"regions": len(regions)}


def mocs(random):
    yield "cells", MOC.from_string("3/1-5 7 4/80 90-95 12/199999999 29/5 3458764513820540900-3458764513820540927")
    yield "all", MOC.from_string("0/0-11")
    yield "poles", MOC.from_polygon(lon=Longitude([0, 90, 180, 270] * u.deg), lat=Latitude([50, 60, 70, 80] * u.deg), max_depth=9)
    ra, dec = random.uniform(0, 360, 200) * u.deg, random.uniform(-90, 90, 200) * u.deg
    yield "cones", MOC.from_cones(lon=Longitude(ra), lat=Latitude(dec), radius=3 * u.deg, max_depth=10, union_strategy="large_cones")
    yield "scattered", MOC.from_lonlat(*(sphere(random, 50_000) * u.deg).T, max_norder=8)
    yield "border", MOC.from_cone(lon=Longitude(0 * u.deg), lat=Latitude(0 * u.deg), radius=20 * u.deg, max_depth=12)


def positions(random, regions):
    everywhere = sphere(random, 55_000)
    border = numpy.column_stack((random.choice([0, 360], 5_000) + random.normal(0, 1e-3, 5_000), random.uniform(-90, 90, 5_000)))
    border[:, 0] %= 360
    poles = numpy.column_stack((random.uniform(0, 360, 6_000), random.choice([-1, 1], 6_000) * (90 - 10 ** random.uniform(-9, 1, 6_000))))
    ra, dec = numpy.meshgrid(numpy.arange(0, 361, 5.0), numpy.arange(-90, 91, 5.0))
    grid = numpy.column_stack((ra.ravel(), dec.ravel()))
    corners = numpy.array([vertex for region in regions if region["kind"] == "polygon" for vertex in region["vertices"]])
    rest = POSITIONS - len(everywhere) - len(border) - len(poles) - len(grid)
    picked = corners[random.integers(0, len(corners), rest)]
    near = SkyCoord(picked * u.deg).directional_offset_by(random.uniform(0, 360, rest) * u.deg, 10 ** random.uniform(-8, 1.5, rest) * u.deg)
    near = numpy.column_stack((near.ra.deg % 360, near.dec.deg))
    return numpy.concatenate([everywhere, border, poles, grid, near])


def circle(region, asked):
    away = SkyCoord(asked * u.deg).separation(SkyCoord(*region["centre"], unit="deg")).rad
    radius = numpy.radians(region["radius"])
    return away <= radius, numpy.abs(away - radius) > TOLERANCE


def box(region, asked):
    (west, east), (south, north) = region["ra"], region["dec"]
    ra, dec = asked.T
    width = (east - west) % 360 or 360
    inside = ((ra - west) % 360 <= width) | (numpy.abs(dec) == 90)
    return inside & (dec >= south) & (dec <= north), numpy.full(len(asked), True)


def polygon(region, asked):
    """The line is the border of a sum of triangles with a common corner, each counted by its sense of rotation: positions that are
    counted equally often lie on the same side. Most of the sphere is outside."""
    corners = vectors(numpy.array(region["vertices"], dtype=float))
    p = vectors(asked)
    apex = vectors(numpy.array([[47.11, 12.34]]))[0]
    counted = numpy.zeros(len(asked), dtype=int)
    clear = numpy.full(len(asked), True)
    for a, b in zip(corners, numpy.roll(corners, -1, axis=0)):
        sense = numpy.sign(numpy.dot(numpy.cross(apex, a), b))
        sides = [numpy.cross(x, y) * sense for x, y in ((apex, a), (a, b), (b, apex))]
        sides = [p @ (side / numpy.linalg.norm(side)) for side in sides]
        counted += (sense * numpy.all([side > 0 for side in sides], axis=0)).astype(int)
        for side, is_edge in zip(sides, (False, True, False)):
            if is_edge:
                # Only near the edge itself, not near what of its great circle is elsewhere.
                middle = (a + b) / numpy.linalg.norm(a + b)
                beside = p @ middle >= a @ middle - 1e-9
                clear &= ~((numpy.abs(side) < 1e-10) & beside)
            else:
                clear &= numpy.abs(side) > TOLERANCE
    kinds, numbers = numpy.unique(counted[:55_000][clear[:55_000]], return_counts=True)
    assert 1 <= len(kinds) <= 2, f"{region['name']} is no simple polygon: {kinds}"
    return counted != kinds[numpy.argmax(numbers)], clear


def by_mocpy(region, asked):
    """What is surely inside and what is surely outside: mocpy's cells cover the side and all of the line."""
    ra, dec = numpy.array(region["vertices"], dtype=float).T
    ra, dec, asked = Longitude(ra * u.deg), Latitude(dec * u.deg), (asked[:, 0] % 360 * u.deg, asked[:, 1] * u.deg)
    inside, outside = (MOC.from_polygon(lon=ra, lat=dec, complement=complement, max_depth=9) for complement in (False, True))
    return ~outside.contains_lonlat(*asked), ~inside.contains_lonlat(*asked)


def moc(folder, region, asked):
    found = MOC.from_fits(folder / region["like"])
    ra, dec = asked.T * u.deg
    inside = found.contains_lonlat(ra, dec)
    # A second opinion that shares no code, right but for the borders of cells.
    cells = HEALPix(nside=2**29, order="nested").lonlat_to_healpix(ra, dec).astype(numpy.uint64)
    ranges = numpy.array(found.to_depth29_ranges)
    at = numpy.searchsorted(ranges[:, 0], cells, side="right") - 1
    second = (at >= 0) & (cells < ranges[numpy.maximum(at, 0), 1])
    different = int(numpy.sum(second != inside))
    assert different < 300, f"mocpy and astropy-healpix differ {different} times in {region['name']}"
    return inside, second == inside


def check(folder):
    asked = numpy.fromfile(folder / "asked.f64").reshape(-1, 2)
    said = {"compared": 0, "inside": 0, "near": 0, "mocpy": 0}
    for region in json.loads((folder / "regions.json").read_text()):
        got = numpy.fromfile(folder / f"{region['name']}.u8", dtype=numpy.uint8).astype(bool)
        assert len(got) == len(asked) == POSITIONS
        kinds = {"circle": circle, "box": box, "polygon": polygon, "moc": lambda *a: moc(folder, *a)}
        inside, clear = kinds[region["kind"]](region, asked)
        wrong = numpy.flatnonzero((got != inside) & clear)
        assert not len(wrong), f"{region['name']}: {len(wrong)} positions, such as {asked[wrong[0]].tolist()}, inside: {bool(inside[wrong[0]])}"
        unclear = int(numpy.sum(~clear))
        assert unclear < 1_000 or region["name"] == "polygon-tiny", f"{region['name']}: {unclear} positions are near the boundary"
        if region["kind"] == "polygon":
            within, without = by_mocpy(region, asked)
            wrong = numpy.flatnonzero(((within & ~got) | (without & got)) & clear)
            assert not len(wrong), f"mocpy has another {region['name']}: {asked[wrong[:5]].tolist()}"
            said["mocpy"] += int(within.sum() + without.sum())
        said["compared"] += int(clear.sum())
        said["inside"] += int(inside.sum())
        said["near"] += unclear
    return said


warnings.simplefilter("ignore")
step, folder = sys.argv[1:]
print(json.dumps({"make": make, "check": check}[step](Path(folder))))
