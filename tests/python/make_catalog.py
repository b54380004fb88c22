"""make_catalog.py MANIFEST OUT RA DEC RADIUS: a catalogue (CSV) around the positions of packets. RA and DEC are paths such as
candidate.ra; RADIUS is in arcseconds. One alert in three gets no source, one gets one, one gets several, just inside and just
outside of the radius; the rest of the sky is strewn with others."""

import csv
import json
import random
import sys

import astropy.units as u
from astropy.coordinates import SkyCoord

from packets import Packets


def field(record, path):
    for name in path.split("."):
        record = record[name]
    return record


def main():
    manifest, out, ra, dec, radius = sys.argv[1:]
    radius = float(radius)
    packets = Packets(manifest)
    draw = random.Random(1)
    rows = [(f"field-{i}", draw.uniform(0, 360), draw.uniform(-90, 90)) for i in range(2000)]
    rows += [("pole-n", 10.0, 90.0), ("pole-s", 200.0, -90.0), ("wrap", 359.99999, 0.0)]
    positions = {}
    for origin in sorted(packets.paths):
        for record in packets.get(origin)[1]:
            positions.setdefault((field(record, ra), field(record, dec)), None)
    for i, (alpha, delta) in enumerate(positions):
        near = {0: [], 1: [0.4], 2: [0.999, 0.1, 0.7, 1.001, 3.0]}[i % 3]
        for j, share in enumerate(near):
            there = SkyCoord(alpha * u.deg, delta * u.deg).directional_offset_by(draw.uniform(0, 360) * u.deg, share * radius * u.arcsec)
            rows.append((f"near-{i}-{j}", there.ra.deg, there.dec.deg))
    draw.shuffle(rows)
    with open(out, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "ra", "dec"])
        writer.writerows((name, repr(float(a)), repr(float(d))) for name, a, d in rows)
    print(json.dumps({"sources": len(rows)}))


main()
