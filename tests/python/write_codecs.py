"""write_codecs.py FOLDER PACKET...: the records of those packets that share the most frequent schema, as one container for each
codec of Avro, several records to a block and several blocks."""

import json
import sys

import fastavro

from packets import finish, read_container

CODECS = ["null", "deflate", "snappy", "zstandard", "bzip2", "xz"]


def main():
    folder, *packets = sys.argv[1:]
    schemas = {}
    for packet in packets:
        with open(packet, "rb") as file:
            schema, records = read_container(file.read())
        schemas.setdefault(json.dumps(schema), []).extend(records)
    schema, records = max(schemas.items(), key=lambda item: len(item[1]))
    parsed = fastavro.parse_schema(json.loads(schema))
    blocks = {}
    for codec in CODECS:
        path = f"{folder}/{codec}.avro"
        with open(path, "wb") as file:
            fastavro.writer(file, parsed, records, codec=codec, sync_interval=120_000)
        with open(path, "rb") as file:
            blocks[codec] = [block.num_records for block in fastavro.block_reader(file)]
    problems = [f"{codec}: {b}" for codec, b in blocks.items() if len(b) < 3 or max(b) < 2]
    finish(problems, records=len(records), blocks=blocks)


main()
