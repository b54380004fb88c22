//! Cross-matches with several catalogues, their columns and conditions; classes; new editions.

use std::path::PathBuf;

use arrow_array::types::Int64Type;
use arrow_array::{BooleanArray, Float32Array};

use super::*;
use crate::catalog::zones::{Batch, Builder, Footprint, Options, ZoneIndex};
use crate::config::MatchRadius;

/// Degrees of an arcsecond.
pub(super) const ARCSEC: f64 = 1.0 / 3_600.0;

/// A zone index of sources (id, ra, dec, own radius), magnitude 10, 11, ... and class `s0`, `s1`, ..., that has looked at the
/// northern sky.
pub(super) fn index(folder: &Path, name: &str, rows: &[(i64, f64, f64, f64)]) -> PathBuf {
    let path = folder.join(name);
    let options = Options { name: "made".into(), version: "v1".into(), footprint: north(), ..Options::default() };
    let mut builder = Builder::create(&path, options).unwrap();
    let column = |of: fn(&(i64, f64, f64, f64)) -> f64| rows.iter().map(of).collect::<Vec<_>>();
    let numbers = Float32Array::from_iter_values((0..rows.len()).map(|i| 10.0 + i as f32));
    let classes = StringArray::from_iter_values((0..rows.len()).map(|i| format!("s{i}")));
    let carried = RecordBatch::try_from_iter([("mag", Arc::new(numbers) as ArrayRef), ("kind", Arc::new(classes))]).unwrap();
    let batch = Batch {
        id: Arc::new(Int64Array::from_iter_values(rows.iter().map(|r| r.0))),
        ra: &column(|r| r.1),
        dec: &column(|r| r.2),
        motion: None,
        radius: Some(&column(|r| r.3)),
        carried: Some(carried),
    };
    builder.push(&batch).unwrap();
    builder.finish(&mut |_| {}).unwrap();
    path
}

/// The four of twelve base cells around the north pole.
fn north() -> Footprint {
    Footprint::Given(std::iter::once(0..(4u64 << 58)).collect())
}

fn run(chain: &Chain, positions: &[Option<(f64, f64)>]) -> AlertBatch {
    let records = records("rb", &vec![Some(1.0); positions.len()]);
    let out = chain.apply(&batch(vec![part(&schema("s", &records), records, positions)])).unwrap();
    out.parts.into_iter().next().unwrap()
}

pub(super) fn column(part: &AlertBatch, path: &str) -> ArrayRef {
    let mut names = path.split('.');
    let root = names.next().unwrap();
    let start = part.annotations.iter().find(|a| a.field.name() == root).unwrap().values.clone();
    names.fold(start, |array, name| array.as_struct().column_by_name(name).unwrap().clone())
}

pub(super) fn ints(part: &AlertBatch, path: &str) -> Vec<Option<i32>> {
    column(part, path).as_primitive::<Int32Type>().iter().collect()
}

pub(super) fn bools(part: &AlertBatch, path: &str) -> Vec<Option<bool>> {
    column(part, path).as_any().downcast_ref::<BooleanArray>().unwrap().iter().collect()
}

pub(super) fn texts(part: &AlertBatch, path: &str) -> Vec<Option<String>> {
    column(part, path).as_string::<i32>().iter().map(|t| t.map(str::to_owned)).collect()
}

/// Sources 0.5, 1 and 2 arcseconds north of (10, 60), with radii of 0.6, 0.6 and 3.
fn three(folder: &Path) -> PathBuf {
    let at = |id, arcsec: f64, radius| (id, 10.0, 60.0 + arcsec * ARCSEC, radius);
    index(folder, "three.skyz", &[at(1, 0.5, 0.6), at(2, 1.0, 0.6), at(3, 2.0, 3.0)])
}

const STAR: Option<(f64, f64)> = Some((10.0, 60.0));
const EMPTY: Option<(f64, f64)> = Some((50.0, 70.0));
const SOUTH: Option<(f64, f64)> = Some((50.0, -60.0));

#[test]
fn not_tried_not_covered_and_no_match_are_three_answers() {
    let folder = tempfile::tempdir().unwrap();
    let (zones, list) = (three(folder.path()), catalog("a,50,-60\n"));
    let steps = [matched("x", vec![Matched::within(&zones, "3-made", 1.5), Matched::within(list.path(), "list", 1.0)])];
    let chain = Chain::new(&steps, None).unwrap();
    let part = run(&chain, &[STAR, EMPTY, SOUTH, None]);
    assert_eq!(matches(&part), [Some(2), Some(0), Some(1), None]);
    assert_eq!(ints(&part, "catalogs._3_made.matches"), [Some(2), Some(0), Some(0), None]);
    assert_eq!(bools(&part, "catalogs._3_made.covered"), [Some(true), Some(true), Some(false), None]);
    assert_eq!(bools(&part, "catalogs._3_made.capped"), [Some(false), Some(false), Some(false), None]);
    assert_eq!(ints(&part, "catalogs.list.matches"), [Some(0), Some(0), Some(1), None]);
    assert_eq!(bools(&part, "catalogs.list.covered"), [None; 4]);
    let distance = column(&part, "catalogs._3_made.distance");
    let distance = distance.as_primitive::<Float64Type>();
    assert!((distance.value(0) - 0.5).abs() < 1e-6 && distance.null_count() == 3);
    // What is carried comes with the nearest, and in the list with each.
    assert_eq!(texts(&part, "catalogs._3_made.kind"), [Some("s0".to_owned()), None, None, None]);
    let list = part.annotations[1].values.as_list::<i32>();
    let of_first = list.value(0);
    let kinds =
        of_first.as_struct().column_by_name("kind").unwrap().as_string::<i32>().iter().flatten().collect::<Vec<_>>().join(" ");
    assert_eq!(kinds, "s0 s1");
    let of_list = list.value(2);
    assert!(of_list.as_struct().column_by_name("kind").unwrap().is_null(0));
    assert_eq!(found(&part, 2), Some(vec!["list/a/102".to_owned()]));

    let report = &chain.report().steps[0];
    assert_eq!((report.passed, report.not_tried, report.matched_alerts, report.matches), (4, 1, 2, 3));
    let numbers = |c: &CatalogReport| (c.id.clone(), c.matched_alerts, c.matches, c.not_covered, c.capped);
    let numbers: Vec<_> = report.catalogs.iter().map(numbers).collect();
    assert_eq!(numbers, [("3-made".to_owned(), 1, 2, 1, 0), ("list".to_owned(), 1, 1, 0, 0)]);
    assert!(chain.catalogs()[0].starts_with("3-made v1, 3 sources, zones "), "{:?}", chain.catalogs());
}

#[test]
fn nearest_limit_condition_and_own_radii_choose_among_matches() {
    let folder = tempfile::tempdir().unwrap();
    let zones = three(folder.path());
    let all = Matched::within(&zones, "m", 5.0);
    let found_by = |matched: Matched| {
        let chain = Chain::new(&[super::matched("x", vec![matched])], None).unwrap();
        let part = run(&chain, &[STAR]);
        let ids = found(&part, 0).unwrap().into_iter().map(|m| m.split('/').nth(1).unwrap().to_owned()).collect::<Vec<_>>();
        (ids.join(" "), bools(&part, "catalogs.m.capped")[0].unwrap(), chain.report().steps[0].catalogs[0].capped)
    };
    assert_eq!(found_by(all.clone()), ("1 2 3".to_owned(), false, 0));
    assert_eq!(found_by(Matched { nearest: Some(1), ..all.clone() }), ("1".to_owned(), false, 0));
    assert_eq!(found_by(Matched { limit: 2, ..all.clone() }), ("1 2".to_owned(), true, 1));
    assert_eq!(found_by(Matched { limit: 3, ..all.clone() }), ("1 2 3".to_owned(), false, 0));
    assert_eq!(found_by(Matched { nearest: Some(3), limit: 2, ..all.clone() }), ("1 2".to_owned(), true, 1));
    assert_eq!(found_by(Matched { condition: Some("mag > 10.5".into()), ..all.clone() }), ("2 3".to_owned(), false, 0));
    // The condition comes first: the nearest of those for which it is true.
    let both = Matched { condition: Some("kind <> 's0'".into()), nearest: Some(1), ..all.clone() };
    assert_eq!(found_by(both), ("2".to_owned(), false, 0));
    // The second is 1 arcsecond away and reaches 0.6.
    assert_eq!(found_by(Matched { radius: MatchRadius::Own(1.0), ..all.clone() }), ("1 3".to_owned(), false, 0));
    assert_eq!(found_by(Matched { radius: MatchRadius::Own(2.0), ..all.clone() }), ("1 2 3".to_owned(), false, 0));
    assert_eq!(found_by(Matched { radius: MatchRadius::Own(0.7), ..all }), ("3".to_owned(), false, 0));
}

#[test]
fn columns_are_chosen_by_name_and_told_when_they_are_not_there() {
    let folder = tempfile::tempdir().unwrap();
    let zones = three(folder.path());
    let with = |columns: &[&str], condition: Option<&str>| {
        let columns = Some(columns.iter().map(|c| (*c).to_owned()).collect());
        let condition = condition.map(str::to_owned);
        Chain::new(&[matched("x", vec![Matched { columns, condition, ..Matched::within(&zones, "m", 5.0) }])], None)
    };
    let names = |chain: &Chain| match chain.annotation_fields()[2].data_type() {
        DataType::Struct(all) => match all[0].data_type() {
            DataType::Struct(own) => own.iter().skip(4).map(|f| f.name().clone()).collect::<Vec<_>>().join(" "),
            _ => panic!(),
        },
        _ => panic!(),
    };
    assert_eq!(names(&with(&["k*"], Some("mag < 11")).unwrap()), "kind");
    assert_eq!(names(&with(&[], None).unwrap()), "");
    assert_eq!(names(&with(&["*"], None).unwrap()), "mag kind");
    let error = with(&["colour"], None).unwrap_err().to_string();
    assert!(
        error.starts_with("step 1 (`x`): catalogue ") && error.ends_with("no column is called `colour`; there are mag, kind"),
        "{error}"
    );
    let error = with(&[], Some("colour > 1")).unwrap_err().to_string();
    assert!(error.ends_with("`where`: no field `colour`"), "{error}");

    // Of a table without a description only what is named is read.
    let mut table = tempfile::Builder::new().suffix(".csv").tempfile().unwrap();
    write!(table, "id,ra,dec,mag,n\na,10,60,12.5,7\n").unwrap();
    let plain = Matched {
        columns: Some(vec!["n".into()]),
        condition: Some("mag > 12".into()),
        ..Matched::within(table.path(), "t", 1.0)
    };
    let chain = Chain::new(&[matched("x", vec![plain])], None).unwrap();
    assert_eq!(names(&chain), "n");
    assert_eq!(column(&run(&chain, &[STAR]), "catalogs.t.n").as_primitive::<Int64Type>().value(0), 7);
    // No radii in it.
    let own = Matched { radius: MatchRadius::Own(1.0), ..Matched::within(table.path(), "t", 1.0) };
    let error = Chain::new(&[matched("x", vec![own])], None).unwrap_err().to_string();
    assert!(error.contains("there is no column `radius`"), "{error}");

    // One name for two types would be no column.
    let two = [
        Matched::within(&zones, "m", 1.0),
        Matched { columns: Some(vec!["mag".into()]), ..Matched::within(table.path(), "t", 1.0) },
    ];
    let error = Chain::new(&[matched("x", two.to_vec())], None).unwrap_err().to_string();
    assert!(error.contains("catalogue `t` carries `mag` as Float64, another one as Float32"), "{error}");
}

#[test]
fn the_first_condition_that_is_true_names_the_class() {
    let folder = tempfile::tempdir().unwrap();
    let zones = three(folder.path());
    let class = |name: &str, condition: &str| Class { name: name.into(), condition: condition.into() };
    let classify = |column: &str, classes: Vec<Class>| Step {
        name: "kinds".into(),
        kind: StepKind::Classify { column: column.into(), classes, otherwise: "unknown".into() },
    };
    let classes = vec![
        class("near", "catalogs.m.distance < 1 AND catalogs.m.mag < 11"),
        class("crowded", "matches > 1"),
        class("bogus", "candidate.rb < 0"),
    ];
    let steps = [
        matched("x", vec![Matched::within(&zones, "m", 5.0)]),
        classify("class", classes.clone()),
        cut("known", "class = 'near'"),
    ];
    let chain = Chain::new(&steps, None).unwrap();
    let beside = Some((10.0, 60.0 + 3.5 * ARCSEC));
    let part = run(&chain, &[STAR, beside, EMPTY, None]);
    let text = |t: &str| Some(t.to_owned());
    assert_eq!(texts(&part, "class"), [text("near"), text("crowded"), text("unknown"), None]);
    assert_eq!(part.verdicts, [Verdict::Passed, Verdict::Skipped(2), Verdict::Skipped(2), Verdict::Skipped(2)]);
    let report = &chain.report().steps[1];
    let counts: Vec<_> = report.classes.iter().map(|(class, number)| format!("{class} {number}")).collect();
    assert_eq!((counts.join(", ").as_str(), report.not_tried), ("near 1, crowded 1, bogus 0, unknown 1", 1));

    let early = [classify("class", classes), matched("x", vec![Matched::within(&zones, "m", 5.0)])];
    let error = Chain::new(&early, None).unwrap_err().to_string();
    assert_eq!(error, "step 1 (`kinds`): `catalogs.m.distance` is not known before the step `x`; move this step after it");
}

#[test]
fn a_new_edition_is_taken_up_and_a_bad_one_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = three(folder.path());
    let chain = Chain::new(&[matched("x", vec![Matched::within(&path, "m", 1.5)])], None).unwrap();
    let number = || matches(&run(&chain, &[STAR]))[0].unwrap();
    assert_eq!(number(), 2);
    let old = chain.entries[0].live.get();

    let next = index(folder.path(), "next.skyz", &[(9, 10.0, 60.0, 1.0)]);
    std::fs::rename(&next, &path).unwrap();
    chain.look();
    assert_eq!(number(), 2, "a change has to be seen twice");
    chain.look();
    assert_eq!(number(), 1);
    assert_eq!(chain.catalogs().len(), 2, "both editions are under way: {:?}", chain.catalogs());
    // Who has the old one keeps it.
    assert_eq!((old.catalog.len(), old.catalog.source_id(0).to_string().as_str()), (3, "1"));

    // Broken, of another kind, or without the columns: the edition before stays, until a sound one comes.
    let broken = std::fs::read(&path).unwrap()[..5_000].to_vec();
    for bad in [&broken[..], b"id,ra,dec\n1,10,60\n", b""] {
        std::fs::write(folder.path().join("bad"), bad).unwrap();
        std::fs::rename(folder.path().join("bad"), &path).unwrap();
        chain.look();
        chain.look();
        assert_eq!(number(), 1);
    }
    std::fs::remove_file(&path).unwrap();
    chain.look();
    chain.look();
    assert_eq!(number(), 1);
    three(folder.path());
    chain.look();
    chain.look();
    assert_eq!(number(), 2);
}

/// 1,000 swaps while four threads match: each batch is whole of one edition, and the files that are gone are given back.
#[test]
fn swaps_during_matching_tear_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let edition = |n: i64| {
        // Edition n has n % 7 + 1 sources, all of id n.
        let rows: Vec<_> = (0..n % 7 + 1).map(|i| (n, 10.0, 60.0 + 0.1 * i as f64 * ARCSEC, 1.0)).collect();
        index(folder.path(), "next.skyz", &rows)
    };
    let path = folder.path().join("live.skyz");
    std::fs::rename(edition(0), &path).unwrap();
    let chain = Chain::new(&[matched("x", vec![Matched::within(&path, "m", 5.0)])], None).unwrap();
    let (swaps, done) = (1_000i64, std::sync::atomic::AtomicBool::new(false));
    let seen: usize = std::thread::scope(|scope| {
        let match_on = || {
            let mut seen = std::collections::BTreeSet::new();
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                let part = run(&chain, &[STAR, EMPTY, STAR]);
                let (first, last) = (found(&part, 0).unwrap(), found(&part, 2).unwrap());
                let ids =
                    |all: &[String]| all.iter().map(|m| m.split('/').nth(1).unwrap().parse::<i64>().unwrap()).collect::<Vec<_>>();
                let edition = ids(&first)[0];
                assert_eq!(ids(&first), vec![edition; (edition % 7 + 1) as usize]);
                assert_eq!(ids(&last), ids(&first));
                seen.insert(edition);
            }
            seen.len()
        };
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(match_on)).collect();
        for n in 1..=swaps {
            std::fs::rename(edition(n), &path).unwrap();
            chain.look();
            chain.look();
            assert_eq!(chain.entries[0].live.get().catalog.source_id(0).to_string(), n.to_string());
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        threads.into_iter().map(|t| t.join().unwrap()).max().unwrap()
    });
    assert!(seen > 10, "a thread saw only {seen} editions");
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let mapped = maps.lines().filter(|line| line.contains(folder.path().to_str().unwrap())).count();
    assert!(mapped <= 1, "{mapped} editions are still mapped");
    assert_eq!(ZoneIndex::open(&path).unwrap().len() as i64, swaps % 7 + 1);
}
