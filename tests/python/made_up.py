"""made_up.py FOLDER: every *.packet of the simulator, read by fastavro with FOLDER/schema.avsc (a frame of Confluent before the
datum) or by the schema inside; each cut-out opened by astropy. Prints what they are like."""

import glob
import gzip
import io
import json
import sys

import fastavro
import numpy
import zstandard
from astropy.io import fits

from packets import finish

CUTOUTS = ("cutoutDifference", "cutoutScience", "cutoutTemplate")


def read(packet, schema):
    if packet[:4] == b"Obj\x01":
        reader = fastavro.reader(io.BytesIO(packet))
        (alert,) = list(reader)
        assert reader.metadata["avro.schema"] == schema, "another schema is embedded"
        return alert
    rest = io.BytesIO(packet[5:])
    alert = fastavro.schemaless_reader(rest, fastavro.parse_schema(json.loads(schema)))
    assert packet[0] == 0 and not rest.read(), "bytes before or after the datum"
    return alert


def images(cutout):
    """The pixels of all images of a cut-out."""
    data = cutout if isinstance(cutout, bytes) else gzip.decompress(cutout["stampData"])
    with fits.open(io.BytesIO(data)) as file:
        file.verify("exception")
        return [image.data.copy() for image in file], dict(file[0].header)


def main():
    folder = sys.argv[1]
    with open(f"{folder}/schema.avsc") as file:
        schema = file.read()
    ids, cutouts, size, packed, number = set(), set(), 0, 0, 0
    problems = []
    for name in sorted(glob.glob(f"{folder}/*.packet")):
        with open(name, "rb") as file:
            packet = file.read()
        alert = read(packet, schema)
        number += 1
        ids.add(alert.get("candid", alert.get("diaSourceId")))
        size += len(packet)
        packed += len(zstandard.ZstdCompressor(level=3).compress(packet))
        source = alert.get("candidate") or alert["diaSource"]
        for field in CUTOUTS:
            pixels, header = images(alert[field])
            cutouts.add((field, pixels[0].tobytes()))
            if not all(numpy.isfinite(image).all() for image in pixels):
                problems.append(f"{name}: {field} has pixels that are no numbers")
            if pixels[0].std() == 0:
                problems.append(f"{name}: {field} has no noise")
            if "CRVAL1" in header and abs(header["CRVAL1"] - source["ra"]) + abs(header["CRVAL2"] - source["dec"]) > 1e-6:
                problems.append(f"{name}: {field} is somewhere else")
    finish(problems, alerts=number, ids=len(ids), cutouts=len(cutouts), bytes=size / number, zstd=packed / size)


main()
