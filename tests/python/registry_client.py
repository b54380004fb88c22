"""registry_client.py URL USER PASSWORD ID FRAME PACKET: the test's registry held against Confluent's own client. ID is that of
the schema of PACKET (a container), which the registry has; FRAME is the same alert with the id in front."""

import json
import sys

from confluent_kafka.schema_registry import Schema, SchemaReference, SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.schema_registry.error import SchemaRegistryError
from confluent_kafka.serialization import MessageField, SerializationContext

from packets import Comparer, finish, read_container


def main():
    url, user, password, number, frame, packet = sys.argv[1:]
    number = int(number)
    problems = []

    def check(what, right):
        if not right:
            problems.append(what)

    def refused(what, call, status, code):
        try:
            call()
            problems.append(f"{what}: no error")
        except SchemaRegistryError as error:
            check(f"{what}: {error}", (error.http_status_code, error.error_code) == (status, code))

    client = SchemaRegistryClient({"url": url, "basic.auth.user.info": f"{user}:{password}"})
    with open(packet, "rb") as file:
        schema, (record,) = read_container(file.read())
    with open(frame, "rb") as file:
        message = file.read()
    context = SerializationContext("alerts", MessageField.VALUE)

    # An alert as Rubin sends it.
    decoded = AvroDeserializer(client)(message, context)
    comparer = Comparer(schema, arrow=False)
    comparer.record(record, decoded)

    # What the client registers it finds again, and so does everyone else.
    point = '{"type":"record","name":"s.point","fields":[{"name":"ra","type":"double"}]}'
    alert = '{"type":"record","name":"s.alert","fields":[{"name":"at","type":"s.point"}]}'
    first = client.register_schema("points/of 1", Schema(point, "AVRO"))
    check("the same schema has the same id", client.register_schema("points/of 1", Schema(point, "AVRO")) == first)
    reference = SchemaReference(name="s.point", subject="points/of 1", version=1)
    second = client.register_schema("alerts-value", Schema(alert, "AVRO", [reference]))
    check("ids grow", second > first)
    fresh = SchemaRegistryClient({"url": url, "basic.auth.user.info": f"{user}:{password}"})
    known = fresh.get_schema(second)
    check("text", json.loads(known.schema_str) == json.loads(alert))
    check("references", [(r.subject, r.version) for r in known.references] == [("points/of 1", 1)])
    version = fresh.get_version("points/of 1", 1)
    check("version", (version.schema_id, version.version, version.subject) == (first, 1, "points/of 1"))
    check("latest", fresh.get_latest_version("alerts-value").schema_id == second)
    check("lookup", fresh.lookup_schema("points/of 1", Schema(point, "AVRO")).schema_id == first)
    check("subjects", {"points/of 1", "alerts-value"} <= set(fresh.get_subjects()))
    check("versions", fresh.get_versions("alerts-value") == [1])

    # A frame that the client writes, read by the id in it.
    written = AvroSerializer(client, point)({"ra": 12.5}, context)
    check("frame", written[0] == 0 and int.from_bytes(written[1:5], "big") == first)
    check("round trip", AvroDeserializer(fresh)(written, context) == {"ra": 12.5})

    refused("unknown id", lambda: fresh.get_schema(99_999), 404, 40403)
    refused("unknown subject", lambda: fresh.get_version("nothing", 1), 404, 40401)
    refused("unknown version", lambda: fresh.get_version("alerts-value", 9), 404, 40402)
    wrong = SchemaRegistryClient({"url": url, "basic.auth.user.info": f"{user}:wrong"})
    refused("wrong password", lambda: wrong.get_schema(number), 401, 401)
    finish(problems, fields=comparer.fields)


main()
