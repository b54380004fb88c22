"""Reads an output topic by confluent-kafka and fastavro: every source alert at least once, its original fields identical, its
annotations as astropy finds them, its origin in the headers."""

import argparse
import json
import time

from confluent_kafka import Consumer, TopicPartition

from matches import Catalog
from packets import Comparer, Mismatch, Packets, finish, read_container, read_datum


def messages(bootstrap, topic):
    """All messages of a topic, to the end that it has now."""
    consumer = Consumer({
        "bootstrap.servers": bootstrap, "group.id": "independent-reader", "enable.auto.commit": False,
        "auto.offset.reset": "earliest", "isolation.level": "read_committed",
    })
    partitions = consumer.list_topics(topic, timeout=20).topics[topic].partitions
    ends = {p: consumer.get_watermark_offsets(TopicPartition(topic, p), timeout=20) for p in partitions}
    consumer.assign([TopicPartition(topic, p, low) for p, (low, high) in ends.items()])
    left = {p for p, (low, high) in ends.items() if high > low}
    found = []
    last = time.monotonic()
    while left:
        # Waits for as many, or for the whole time.
        batch = consumer.consume(500, timeout=0.2)
        if batch:
            last = time.monotonic()
        assert time.monotonic() - last < 20, f"nothing more of {topic} comes; partitions not read to their end: {left}"
        for message in batch:
            assert message.error() is None, message.error()
            found.append(message)
            if message.offset() + 1 >= ends[message.partition()][1]:
                left.discard(message.partition())
    consumer.close()
    return found


def field(record, paths):
    for path in paths:
        value = record
        for name in path.split("."):
            value = value.get(name) if isinstance(value, dict) else None
        if value is not None:
            return value
    return None


def origin(message):
    headers = dict(message.headers() or [])
    text = {k: v.decode() for k, v in headers.items() if k.startswith("skysluice.")}
    return (text["skysluice.topic"], int(text["skysluice.partition"]), int(text["skysluice.offset"]))


def main():
    parser = argparse.ArgumentParser()
    for name in ("bootstrap", "topic", "manifest"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--format", choices=["container", "confluent", "bare"], required=True)
    parser.add_argument("--schemas", help="folder of ID.avsc (confluent)")
    parser.add_argument("--schemas-from", help="a container topic of the same alerts, whose schemas a bare datum has")
    parser.add_argument("--catalog")
    parser.add_argument("--catalog-id")
    parser.add_argument("--radius", type=float)
    parser.add_argument("--matched", action="store_true", help="only alerts with a match are expected")
    parser.add_argument("--id", nargs="+", default=["candid", "candidate.candid"])
    parser.add_argument("--ra", nargs="+", default=["candidate.ra"])
    parser.add_argument("--dec", nargs="+", default=["candidate.dec"])
    parser.add_argument("--object", nargs="+", default=["objectId"])
    given = parser.parse_args()
    packets = Packets(given.manifest)
    catalog = Catalog(given.catalog, given.catalog_id, given.radius) if given.catalog else None
    schemas = {}
    if given.schemas_from:
        schemas = {origin(m): read_container(m.value())[0] for m in messages(given.bootstrap, given.schemas_from)}

    def decode(message, source):
        value = message.value()
        if given.format == "container":
            schema, records = read_container(value)
            assert len(records) == 1, f"{len(records)} records in one message"
            return schema, records[0]
        if given.format == "confluent":
            assert value[0] == 0, f"begins with {value[:5]!r}"
            with open(f"{given.schemas}/{int.from_bytes(value[1:5], 'big')}.avsc") as file:
                schema = json.load(file)
            return schema, read_datum(schema, value[5:])
        schema = schemas[source]
        return schema, read_datum(schema, value)

    problems, seen = [], {}
    fields = matches = 0
    for message in messages(given.bootstrap, given.topic):
        source = origin(message)
        seen[source] = seen.get(source, 0) + 1
        where = f"{given.topic} {source}"
        if source not in packets.paths:
            problems.append(f"{where}: no such message was sent")
            continue
        packet_schema, records = packets.get(source)
        record = int(dict(message.headers()).get("skysluice.record", b"0"))
        original = records[record]
        try:
            schema, published = decode(message, source)
        except Exception as error:
            problems.append(f"{where}: cannot be decoded: {type(error).__name__}: {error}")
            continue
        comparer = Comparer(packet_schema, arrow=False)
        try:
            comparer.record(original, published)
        except Mismatch as mismatch:
            problems.append(f"{where}: {mismatch}")
        fields += comparer.fields
        before = [f["name"] for f in packet_schema["fields"]]
        if [f["name"] for f in schema["fields"]][:len(before)] != before:
            problems.append(f"{where}: the schema does not begin with the fields of the packet")
        name = field(original, given.object)
        if name is not None and (message.key() or b"").decode() != str(name):
            problems.append(f"{where}: key {message.key()!r} is not the object id {name!r}")
        if catalog:
            ra, dec = field(original, given.ra), field(original, given.dec)
            wrong, number = catalog.check(field(original, given.id), ra, dec, published)
            problems += [f"{where}: {w}" for w in wrong]
            matches += number
            if given.matched and number == 0:
                problems.append(f"{where}: has no match")
    expected = set(packets.paths)
    if given.matched:
        def matched(source):
            record = packets.get(source)[1][0]
            return bool(catalog.around(field(record, given.ra), field(record, given.dec)))
        expected = {source for source in expected if matched(source)}
    missing = sorted(expected - set(seen))
    problems += [f"{m} ({packets.paths[m]}): missing in {given.topic}" for m in missing]
    finish(problems, messages=sum(seen.values()), alerts=len(seen), fields=fields, matches=matches,
           duplicates=sum(seen.values()) - len(seen), missing=len(missing))


main()
