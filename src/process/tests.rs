//! The chain on batches built by hand.

#![allow(clippy::unwrap_used)]

mod columns;
mod matching;
mod places;

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int32Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef, Float64Array, Int32Array, Int64Array, PrimitiveArray, RecordBatch, StringArray, StructArray};
use arrow_schema::{DataType, Field, Schema};

use super::{CatalogReport, Chain, ChainError, StepReport};
use crate::alert::{AlertBatch, Candidate, Decoded, Flags, Permit, RowOrigin, Span, Token, TopicPartition, Transform, Verdict};
use crate::avro::AlertSchema;
use crate::config::{Class, Matched, Step, StepKind};
use crate::filter::FilterError;

/// The one place that makes a schema.
fn schema(name: &str, records: &RecordBatch) -> Arc<AlertSchema> {
    AlertSchema::of_columns(name.len() as u64, name, records.schema())
}

fn records(real_bogus: &str, rb: &[Option<f64>]) -> RecordBatch {
    let rb: ArrayRef = Arc::new(Float64Array::from(rb.to_vec()));
    let fields = vec![Field::new(real_bogus, DataType::Float64, true)];
    let candidate = StructArray::new(fields.into(), vec![rb], None);
    RecordBatch::try_from_iter([("candidate", Arc::new(candidate) as ArrayRef)]).unwrap()
}

/// Alerts at these positions, with ids from 100.
fn part(schema: &Arc<AlertSchema>, records: RecordBatch, positions: &[Option<(f64, f64)>]) -> AlertBatch {
    let rows = positions.len();
    let ids = Int64Array::from_iter_values((100..).take(rows));
    let time: PrimitiveArray<TimestampMicrosecondType> = std::iter::repeat_n(Some(0), rows).collect();
    AlertBatch {
        schema: schema.clone(),
        records,
        rows: vec![RowOrigin::default(); rows],
        buffers: Vec::new(),
        candidate: Candidate {
            alert_id: Arc::new(ids),
            object_id: Arc::new(StringArray::new_null(rows)),
            ra: Arc::new(Float64Array::from_iter(positions.iter().map(|p| p.map(|p| p.0)))),
            dec: Arc::new(Float64Array::from_iter(positions.iter().map(|p| p.map(|p| p.1)))),
            time: Arc::new(time),
            magnitude: Arc::new(Float64Array::new_null(rows)),
        },
        annotations: Vec::new(),
        steps: Vec::new().into(),
        verdicts: vec![Verdict::Passed; rows],
        flags: vec![Flags::default(); rows],
    }
}

fn batch(parts: Vec<AlertBatch>) -> Decoded {
    let origin = Arc::new(TopicPartition { topic: "t".into(), partition: 0 });
    Decoded {
        token: Token { origin, span: Span { start: 0, end: 9 }, generation: 1 },
        parts,
        letters: Vec::new(),
        permit: Arc::new(Permit::unbounded()),
    }
}

fn cut(name: &str, condition: &str) -> Step {
    Step { name: name.to_owned(), kind: StepKind::Cut { condition: condition.to_owned() } }
}

fn crossmatch(name: &str, catalog: &Path, id: &str, radius: f64) -> Step {
    matched(name, vec![Matched::within(catalog, id, radius)])
}

fn matched(name: &str, catalogs: Vec<Matched>) -> Step {
    Step { name: name.to_owned(), kind: StepKind::Crossmatch { catalogs } }
}

fn catalog(rows: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    write!(file, "id,ra,dec\n{rows}").unwrap();
    file
}

fn matches(part: &AlertBatch) -> Vec<Option<i32>> {
    part.annotations[0].values.as_primitive::<Int32Type>().iter().collect()
}

/// `catalog/source/alert` of each match of a row, or nothing where none was tried.
fn found(part: &AlertBatch, row: usize) -> Option<Vec<String>> {
    let list = part.annotations[1].values.as_list::<i32>();
    list.is_valid(row).then(|| {
        let items = list.value(row);
        let items = items.as_struct();
        let text = |name: &str, i: usize| items.column_by_name(name).unwrap().as_string::<i32>().value(i).to_owned();
        (0..items.len()).map(|i| [text("catalogid", i), text("sourceid", i), text("candid", i)].join("/")).collect()
    })
}

const HERE: Option<(f64, f64)> = Some((10.0, 20.0));
const THERE: Option<(f64, f64)> = Some((200.0, -20.0));

#[test]
fn cuts_pass_what_is_true_and_count_the_unknown_apart() {
    let chain = Chain::new(&[cut("good", "candidate.rb >= 0.55"), cut("better", "candidate.rb > 0.8")], None).unwrap();
    let records = records("rb", &[Some(0.6), Some(0.5), None, Some(f64::NAN), Some(0.9)]);
    chain.check(&records.schema()).unwrap();
    let out = chain.apply(&batch(vec![part(&schema("s", &records), records, &[HERE; 5])])).unwrap();
    let (passed, first, second) = (Verdict::Passed, Verdict::Skipped(0), Verdict::Skipped(1));
    assert_eq!(out.parts[0].verdicts, [second, first, first, first, passed]);
    assert_eq!(&*out.parts[0].steps, ["good", "better"]);
    assert!(out.parts[0].annotations.is_empty() && chain.annotation_fields().is_empty());
    assert_eq!(
        chain.report().steps,
        [
            StepReport { name: "good".into(), kind: "cut", passed: 2, skipped: 3, unknown: 2, ..Default::default() },
            StepReport { name: "better".into(), kind: "cut", passed: 1, skipped: 1, ..Default::default() },
        ]
    );
}

#[test]
fn matches_are_ordered_by_step_then_distance() {
    // 1 arcsecond is 2.8e-4 degrees.
    let near = catalog("far,10,20.00028\nclose,10,20.0001\naway,10,21\n");
    let other = catalog("close,10,20\n");
    let steps = [
        crossmatch("one", near.path(), "near", 1.5),
        cut("matched", "matches > 0"),
        crossmatch("two", other.path(), "other", 1.5),
        cut("listed", "crossmatches IS NOT NULL AND matches >= 3"),
    ];
    let chain = Chain::new(&steps, None).unwrap();
    let records = records("rb", &[Some(1.0); 3]);
    chain.check(&records.schema()).unwrap();
    let out = chain.apply(&batch(vec![part(&schema("s", &records), records, &[HERE, None, THERE])])).unwrap();
    let part = &out.parts[0];
    assert_eq!(part.verdicts, [Verdict::Passed, Verdict::Skipped(1), Verdict::Skipped(1)]);
    assert_eq!(matches(part), [Some(3), None, Some(0)]);
    let all = ["near/close/100", "near/far/100", "other/close/100"].map(str::to_owned).to_vec();
    assert_eq!((found(part, 0), found(part, 1), found(part, 2)), (Some(all), None, Some(vec![])));

    let list = part.annotations[1].values.as_list::<i32>().value(0);
    let column = |name: &str| list.as_struct().column_by_name(name).unwrap().as_primitive::<Float64Type>().values().to_vec();
    let expected = [0.36, 1.008, 0.0];
    assert!(column("distance").iter().zip(expected).all(|(d, e)| (d - e).abs() < 1e-6), "{:?}", column("distance"));
    assert_eq!((column("candra"), column("canddec")), (vec![10.0; 3], vec![20.0; 3]));
    assert_eq!((column("sourcera"), column("sourcedec")), (vec![10.0; 3], vec![20.0001, 20.000_28, 20.0]));

    let report = chain.report().steps;
    let first = StepReport {
        name: "one".into(),
        kind: "crossmatch",
        catalogs: vec![CatalogReport { id: "near".into(), matched_alerts: 1, matches: 2, ..Default::default() }],
        passed: 3,
        matched_alerts: 1,
        matches: 2,
        not_tried: 1,
        ..Default::default()
    };
    assert_eq!(report[0], first);
    assert_eq!((report[1].passed, report[1].skipped, report[1].unknown), (1, 2, 1));
    assert_eq!((report[2].passed, report[2].matches, report[3].passed), (1, 1, 1));
}

#[test]
fn every_batch_leaves_with_the_same_columns() {
    let file = catalog("a,10,20\n");
    let chain = Chain::new(&[cut("none", "candidate.rb > 1"), crossmatch("x", file.path(), "c", 1.0)], None).unwrap();
    for rows in [0, 2] {
        let records = records("rb", &vec![Some(0.0); rows]);
        let out = chain.apply(&batch(vec![part(&schema("s", &records), records, &vec![HERE; rows])])).unwrap();
        let fields: Vec<_> = out.parts[0].annotations.iter().map(|a| a.field.clone()).collect();
        assert_eq!(fields, chain.annotation_fields());
        for annotation in &out.parts[0].annotations {
            assert_eq!(annotation.values.data_type(), annotation.field.data_type());
            let record = annotation.field.name() == "catalogs";
            assert_eq!((annotation.values.len(), annotation.values.null_count()), (rows, if record { 0 } else { rows }));
        }
    }
    let fields = chain.annotation_fields();
    assert_eq!(fields.iter().map(|f| f.name().as_str()).collect::<Vec<_>>(), ["matches", "crossmatches", "catalogs"]);
    let DataType::List(item) = fields[1].data_type() else { panic!("not a list") };
    let DataType::Struct(columns) = item.data_type() else { panic!("not a record") };
    let units = columns.iter().map(|f| (f.name().as_str(), f.metadata().get("unit").map(|u| u.to_string()))).collect::<Vec<_>>();
    let deg = Some("deg".to_owned());
    assert_eq!(
        units,
        [
            ("candid", None),
            ("candra", deg.clone()),
            ("canddec", deg.clone()),
            ("catalogid", None),
            ("sourceid", None),
            ("sourcera", deg.clone()),
            ("sourcedec", deg),
            ("distance", Some("arcsec".to_owned())),
        ]
    );
    assert!(columns.iter().all(|f| f.metadata().get("doc").is_some()));
}

#[test]
fn a_schema_that_lacks_a_field_stops_only_its_own_alerts() {
    let file = catalog("a,10,20\n");
    let chain = Chain::new(&[crossmatch("x", file.path(), "c", 1.0), cut("good", "candidate.rb > 0.5")], None).unwrap();
    let (new, old) = (records("drb", &[Some(1.0), Some(1.0)]), records("rb", &[Some(1.0), Some(0.0)]));
    let (new_schema, old_schema) = (schema("new", &new), schema("old", &old));
    for _ in 0..2 {
        let parts = vec![part(&new_schema, new.clone(), &[HERE; 2]), part(&old_schema, old.clone(), &[HERE; 2])];
        let out = chain.apply(&batch(parts)).unwrap();
        assert_eq!(out.parts[0].verdicts, [Verdict::Skipped(1); 2]);
        assert_eq!(out.parts[0].flags, [Flags::STEP_ERROR; 2]);
        assert_eq!(matches(&out.parts[0]), [Some(1), Some(1)]);
        assert_eq!(out.parts[1].verdicts, [Verdict::Passed, Verdict::Skipped(1)]);
        assert_eq!(out.parts[1].flags, [Flags::default(); 2]);
    }
    let step = &chain.report().steps[1];
    assert_eq!((step.passed, step.skipped, step.errors, step.unknown), (2, 2, 4, 0));
    assert_eq!(chain.bindings.read().unwrap().len(), 2);
}

#[test]
fn what_cannot_work_is_refused_with_its_step() {
    let file = catalog("a,10,20\n");
    let matcher = crossmatch("x", file.path(), "c", 1.0);
    let bad = |steps: &[Step]| {
        let error = Chain::new(steps, None).unwrap_err();
        (error.step(), error.to_string())
    };
    let (step, text) = bad(&[matcher.clone(), cut("c", "candidate.rb >")]);
    assert_eq!((step, text.as_str()), (Some(1), "step 2 (`c`): expected an expression, found the end"));
    let (step, text) = bad(&[cut("early", "matches > 0"), matcher.clone()]);
    assert_eq!(step, Some(0));
    assert_eq!(text, "step 1 (`early`): `matches` is not known before the step `x`; move this step after it");
    let absent = Chain::new(&[crossmatch("x", Path::new("/nowhere.csv"), "c", 1.0)], None);
    assert!(matches!(absent, Err(ChainError::Catalog { index: 0, .. })));

    let chain = Chain::new(&[matcher, cut("c", "candidate.rbb > 1")], None).unwrap();
    let error = chain.check(&records("rb", &[]).schema()).unwrap_err();
    assert_eq!(error.to_string(), "step 2 (`c`): no field `candidate.rbb`; did you mean `candidate.rb`?");
    let shadowing = Schema::new(vec![Field::new("matches", DataType::Int32, true)]);
    let ChainError::Condition { index: 0, source: FilterError::Shadowed { .. }, .. } = chain.check(&shadowing).unwrap_err()
    else {
        panic!("a shadowed annotation must be refused")
    };
}

#[test]
fn a_fault_or_panic_counts_nothing_and_leaves_the_chain_usable() {
    let file = catalog("a,10,20\n");
    let chain = Chain::new(&[crossmatch("x", file.path(), "c", 1.0), cut("good", "candidate.rb > 0.5")], None).unwrap();
    let records = records("rb", &[Some(1.0)]);
    let schema = schema("s", &records);
    let sound = part(&schema, records.clone(), &[HERE]);
    let mut broken = sound.clone();
    broken.candidate.ra = Arc::new(Int32Array::from(vec![10]));
    assert!(chain.apply(&batch(vec![sound.clone(), broken])).is_err());
    let mut torn = sound.clone();
    torn.candidate.dec = Arc::new(Float64Array::from(Vec::<f64>::new()));
    let poisoned = std::thread::scope(|scope| {
        scope
            .spawn(|| {
                let _guard = chain.bindings.write();
                panic!("while the list is locked");
            })
            .join()
    });
    assert!(poisoned.is_err());
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| chain.apply(&batch(vec![torn])))).is_err());
    assert_eq!(chain.report().steps[0].passed, 0);
    let out = chain.apply(&batch(vec![sound])).unwrap();
    assert_eq!(out.parts[0].verdicts, [Verdict::Passed]);
    assert_eq!((chain.report().steps[0].passed, chain.report().steps[1].passed), (1, 1));
}

#[test]
fn threads_share_a_chain() {
    let file = catalog("a,10,20\n");
    let chain = Chain::new(&[crossmatch("x", file.path(), "c", 1.0), cut("matched", "matches = 1")], None).unwrap();
    let records = records("rb", &[Some(1.0); 4]);
    let schema = schema("s", &records);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..50 {
                    let out = chain.apply(&batch(vec![part(&schema, records.clone(), &[HERE, THERE, HERE, None])])).unwrap();
                    assert_eq!(matches(&out.parts[0]), [Some(1), Some(0), Some(1), None]);
                }
            });
        }
    });
    let report = chain.report().steps;
    assert_eq!((report[0].passed, report[0].matches, report[0].not_tried), (800, 400, 200));
    assert_eq!((report[1].passed, report[1].skipped, report[1].unknown), (400, 400, 200));
}
