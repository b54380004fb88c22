"""Spark opens an archive that others have read too.

readers_spark.py batch WORK ROOTS EXPECTED: ROOTS/ztf and ROOTS/lsst as tables of all schema versions; then as streams of files,
each file once.
readers_spark.py pages WORK ARCHIVE: rows that a scan with a condition on the HEALPix cell reads, of how many.
readers_spark.py follow WORK ARCHIVE: a stream of an archive that is being written, until WORK/done is there. WORK/ready-spark
says that it follows.

WORK is a folder for what Spark keeps."""

import os
import pathlib
import sys
import time

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from packets import finish
from readers_common import HOUR, SURVEYS, compare, count, load


def session(work):
    settings = {
        "spark.local.dir": f"{work}/spark",
        "spark.sql.warehouse.dir": f"{work}/warehouse",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.driver.memory": "768m",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.extraJavaOptions": "-XX:+UseSerialGC -XX:TieredStopAtLevel=1",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.shuffle.partitions": "2",
        # So that the plan that is looked at is the plan that ran.
        "spark.sql.adaptive.enabled": "false",
        "spark.log.level": "ERROR",
    }
    builder = SparkSession.builder.master("local[2]").appName("readers")
    for key, value in settings.items():
        builder = builder.config(key, value)
    return builder.getOrCreate()


def ask(question):
    """The question as an expression of Spark's SQL."""
    kind, path, *item = question
    return {
        "value": path,
        "ms": f"unix_millis({path})",
        "count": f"CASE WHEN {path} IS NOT NULL THEN size({path}) END",
        "length": f"octet_length({path})",
        "sha256": f"sha2({path}, 256)",
        "sum": f"aggregate({path}, 0D, (sum, x) -> sum + coalesce(CAST(x.{(item or [''])[0]} AS DOUBLE), 0D))",
    }[kind]


def stream(spark, root, schema, checkpoint, take, **trigger):
    source = spark.readStream.schema(schema).option("maxFilesPerTrigger", 8).parquet(root)
    rows = source.select("skysluice.topic", "skysluice.partition", "skysluice.offset", "skysluice.record", *HOUR)
    writer = rows.writeStream.option("checkpointLocation", checkpoint).trigger(**trigger)
    return writer.foreachBatch(lambda frame, number: take([tuple(row) for row in frame.collect()])).start()


def batch(work, roots, expected_file):
    spark = session(work)
    problems, compared = [], {}
    for survey, expected in load(expected_file).items():
        table = spark.read.option("mergeSchema", "true").parquet(f"{roots}/{survey}")
        columns = [F.expr(ask(question)).alias(name) for name, question in SURVEYS[survey].items()]
        rows = [row.asDict() for row in table.select(*columns, *HOUR).collect()]
        wrong, compared[f"spark {survey}"] = compare("spark", survey, expected, rows)
        problems += wrong
        types = dict(table.dtypes)
        if {types[n] for n in HOUR} != {"int"}:
            problems.append(f"spark, {survey}: the parts of the path are {[types[n] for n in HOUR]}")
        hours = {tuple(row)[:4]: row[4] for row in table.groupBy(HOUR).count().collect()}
        if hours != count(expected, HOUR):
            problems.append(f"spark, {survey}: rows by hour {hours}, not {count(expected, HOUR)}")
        if "version" in SURVEYS[survey]:
            versions = {tuple(row)[:1]: row[1] for row in table.groupBy("schemavsn").count().collect()}
            if versions != count(expected, ["version"]):
                problems.append(f"spark, {survey}: rows by version {versions}, not {count(expected, ['version'])}")

        # As a stream: all there is in small portions, then asked again, when nothing is new.
        for turn, number in (("first", len(expected)), ("second", 0)):
            seen, portions = [], []
            take = lambda rows: (seen.extend(rows), portions.append(len(rows)))
            query = stream(spark, f"{roots}/{survey}", table.schema, f"{work}/batch-{survey}", take, availableNow=True)
            query.awaitTermination()
            if len(seen) != number or len(set(seen)) != number:
                problems.append(f"spark, {survey}: the {turn} stream has {len(seen)} rows of {len(set(seen))} alerts, not {number}")
            if number:
                compared[f"spark stream {survey}"] = len(seen)
                found = {(r[2], *r[4:]) for r in seen}
                if found != {(e["offset"], *(e[n] for n in HOUR)) for e in expected} or len(portions) < 2:
                    problems.append(f"spark, {survey}: the stream of {len(portions)} portions has other rows than expected")
    finish(problems, compared=compared)


def pages(work, archive):
    spark = session(work)
    table = spark.read.parquet(archive)
    cells = [row[0] for row in table.select("skysluice.healpix29").orderBy("healpix29").collect()]
    low, high = cells[len(cells) // 2], cells[len(cells) // 2 + 20]
    part = table.where(f"skysluice.healpix29 BETWEEN {low} AND {high}").select("objectId", "skysluice.healpix29")
    # Executed in place, so that its own plan has counted.
    plan = part._jdf.queryExecution().executedPlan()
    found = plan.executeCollect()
    scanned = plan.collectLeaves().apply(0).metrics().get("numOutputRows").get().value()
    expected = sum(low <= cell <= high for cell in cells)
    problems = [] if len(found) == expected else [f"spark finds {len(found)} rows between {low} and {high}, there are {expected}"]
    finish(problems, rows=len(cells), found=len(found), scanned=scanned)


def follow(work, archive):
    spark = session(work)
    schema = spark.read.parquet(archive).schema
    seen, portions, done = [], [], pathlib.Path(f"{work}/done")
    take = lambda rows: (seen.extend(rows), portions.append(len(rows)))
    query = stream(spark, archive, schema, f"{work}/follow", take, processingTime="300 milliseconds")
    while query.isActive and not seen:
        time.sleep(0.05)
    pathlib.Path(f"{work}/ready-spark").touch()
    during = None
    while query.isActive:
        over = done.exists()
        if over and during is None:
            during = len(portions)
        if over:
            query.processAllAvailable()
            query.stop()
        time.sleep(0.05)
    problems = [f"the stream ended with {query.exception()}"] if query.exception() else []
    finish(problems, rows=len(seen), alerts=len(set(seen)), portions=len(portions), portions_during=during)


if __name__ == "__main__":
    # What the machine has set for other Sparks is not for this one.
    for name in ("SPARK_HOME", "SPARK_CONF_DIR", "PYSPARK_SUBMIT_ARGS"):
        os.environ.pop(name, None)
    os.environ["PYSPARK_PYTHON"] = sys.executable
    {"batch": batch, "pages": pages, "follow": follow}[sys.argv[1]](*sys.argv[2:])
