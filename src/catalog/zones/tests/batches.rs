//! What goes into an index and comes out again: ids, columns, rejected rows, footprints.

use std::sync::Arc;

use arrow_array::builder::StringBuilder;
use arrow_array::{
    ArrayRef, BooleanArray, Float32Array, Float64Array, Int8Array, Int16Array, Int32Array, Int64Array, RecordBatch, StringArray,
    UInt8Array, UInt16Array, UInt32Array, UInt64Array,
};

use super::{batch, build, columns, folder, galactic, keeping, numbers};
use crate::catalog::Hits;
use crate::catalog::tests::Dice;
use crate::catalog::zones::{Batch, Builder, Footprint, Id, Keep, Options, Reject, ZoneError, ZoneIndex};

/// A batch of each type that can be carried, with and without missing values.
fn carried(from: usize, count: usize) -> RecordBatch {
    let rows = || from..from + count;
    let mut text = StringBuilder::new();
    rows().for_each(|i| text.append_option((!i.is_multiple_of(3)).then(|| format!("type {}", i % 50))));
    let missing = |i: usize| i % 7 == 2;
    columns(vec![
        ("b", Arc::new(rows().map(|i| (!missing(i)).then_some(i % 2 == 0)).collect::<BooleanArray>()) as ArrayRef),
        ("i8", Arc::new(Int8Array::from_iter_values(rows().map(|i| i as i8)))),
        ("i16", Arc::new(rows().map(|i| (!missing(i)).then_some(-(i as i16))).collect::<Int16Array>())),
        ("i32", Arc::new(Int32Array::from_iter_values(rows().map(|i| -(i as i32) * 1_000)))),
        ("i64", Arc::new(Int64Array::from_iter_values(rows().map(|i| i64::MIN + i as i64)))),
        ("u8", Arc::new(UInt8Array::from_iter_values(rows().map(|i| i as u8)))),
        ("u16", Arc::new(UInt16Array::from_iter_values(rows().map(|i| i as u16)))),
        ("u32", Arc::new(UInt32Array::from_iter_values(rows().map(|i| u32::MAX - i as u32)))),
        ("u64", Arc::new(UInt64Array::from_iter_values(rows().map(|i| u64::MAX - i as u64)))),
        ("f32", Arc::new(rows().map(|i| (!missing(i)).then_some(i as f32 * 0.1)).collect::<Float32Array>())),
        ("f64", Arc::new(Float64Array::from_iter_values(rows().map(|i| if i == 5 { f64::NAN } else { i as f64 * 0.1 })))),
        ("text", Arc::new(text.finish())),
        ("every", Arc::new(StringArray::from_iter_values(rows().map(|i| format!("π{i}"))))),
    ])
}

#[test]
fn ids_positions_and_columns_come_back_as_they_were() {
    let folder = folder();
    let path = folder.path().join("a.zones");
    let rows = galactic(&mut Dice(20), 10_000);
    let units = [("f64".to_owned(), "mag".to_owned())].into();
    let mut builder = Builder::create(&path, Options { units, ..keeping(Keep::Everything) }).unwrap();
    for (part, first) in rows.chunks(3_000).zip((0..).step_by(3_000)) {
        let (ra, dec): (Vec<f64>, Vec<f64>) = part.iter().copied().unzip();
        let id: ArrayRef = Arc::new(StringArray::from_iter_values((first..first + part.len()).map(|i| format!("AT {i} ö"))));
        builder.push(&Batch { carried: Some(carried(first, part.len())), ..batch(id, &ra, &dec) }).unwrap();
    }
    builder.finish(&mut |_| ()).unwrap();
    let index = ZoneIndex::open(&path).unwrap();
    index.verify().unwrap();
    assert_eq!(index.meta().id, "utf8");
    let unit = index.meta().columns.iter().find(|c| c.name == "f64").unwrap();
    assert_eq!((unit.kind.as_str(), unit.unit.as_str()), ("float64", "mag"));
    let all = carried(0, rows.len());
    assert_eq!(index.schema(), &all.schema());
    let every: Vec<u32> = (0..rows.len() as u32).collect();
    let order: Vec<u32> = every
        .iter()
        .map(|row| {
            let Id::Text(id) = index.id(*row) else { panic!("ids are texts") };
            id.strip_prefix("AT ").unwrap().strip_suffix(" ö").unwrap().parse().unwrap()
        })
        .collect();
    let got = index.carried(&every);
    for (row, &id) in order.iter().enumerate() {
        assert_eq!(index.position(row as u32), rows[id as usize]);
        for (g, e) in got.columns().iter().zip(all.columns()) {
            assert_eq!(&g.slice(row, 1), &e.slice(id as usize, 1));
        }
    }
    assert_eq!(index.carried(&[]).num_rows(), 0);
    assert_eq!(index.carried(&[7, 7, 3]).slice(1, 1), index.carried(&[7]));
    // Texts that repeat themselves are there once.
    assert!(index.section(crate::catalog::zones::format::Kind::Heap).len() < rows.len() * 25);
}

#[test]
fn rows_that_cannot_be_are_counted_by_kind() {
    let folder = folder();
    let path = folder.path().join("a.zones");
    let ra = [1.0, f64::NAN, 2.0, 3.0, f64::INFINITY, 4.0, 400.0, 900.0, 5.0, -1e-18];
    let dec = [1.0, 1.0, f64::NEG_INFINITY, 90.000_001, 1.0, -91.0, 2.0, 0.0, 5.0, 0.0];
    let id: ArrayRef = Arc::new(Int64Array::from_iter((0..10).map(|i| (i != 8).then_some(i))));
    let mut radius = [1.0; 10];
    radius[0] = -1.0;
    let given = Batch { radius: Some(&radius), ..batch(id.clone(), &ra, &dec) };
    let mut builder = Builder::create(&path, keeping(Keep::Everything)).unwrap();
    builder.push(&given).unwrap();
    let rejects = builder.finish(&mut |_| ()).unwrap().rejects;
    assert_eq!((rejects.not_finite, rejects.off_sphere, rejects.no_id, rejects.radius), (3, 3, 1, 1));
    assert_eq!((rejects.total(), rejects.first), (8, vec![0, 1, 2, 3, 4, 5, 7, 8]));
    let index = ZoneIndex::open(&path).unwrap();
    let kept: Vec<(Id, (f64, f64))> = (0..2).map(|row| (index.id(row), index.position(row))).collect();
    assert_eq!(kept, [(Id::Number(9), (0.0, 0.0)), (Id::Number(6), (40.0, 2.0))]);

    let mut strict = Builder::create(&path, Options { strict: true, ..keeping(Keep::Everything) }).unwrap();
    strict.push(&batch(numbers(1), &[1.0], &[1.0])).unwrap();
    let error = strict.push(&batch(id, &ra, &dec)).unwrap_err();
    assert!(matches!(error, ZoneError::Rejected { row: 2, kind: Reject::NotFinite }), "{error}");
}

#[test]
fn batches_that_do_not_fit_are_refused() {
    let folder = folder();
    let path = folder.path().join("a.zones");
    let text: ArrayRef = Arc::new(StringArray::from(vec!["x"]));
    let with = |name: &str, column: ArrayRef| Batch {
        carried: Some(columns(vec![(name, column)])),
        ..batch(numbers(1), &[1.0], &[1.0])
    };
    let binary: ArrayRef = Arc::new(arrow_array::BinaryArray::from_iter_values([b"x"]));
    for (first, second, expected) in [
        (batch(numbers(2), &[1.0], &[1.0]), None, "1 right ascensions, but 2 ids"),
        (batch(numbers(1), &[1.0], &[1.0, 2.0]), None, "but 2 declinations"),
        (Batch { radius: Some(&[]), ..batch(numbers(1), &[1.0], &[1.0]) }, None, "but 0 radii"),
        (batch(binary.clone(), &[1.0], &[1.0]), None, "ids are Binary, they can be Int64 or Utf8"),
        (with("odd", binary), None, "column `odd` is Binary; what can be carried is bool"),
        (with("a", numbers(1)), Some(with("b", numbers(1))), "not those of the first batch"),
        (with("a", numbers(1)), Some(batch(numbers(1), &[1.0], &[1.0])), "not those of the first batch"),
        (batch(numbers(1), &[1.0], &[1.0]), Some(batch(text, &[1.0], &[1.0])), "not those of the first batch"),
        (batch(numbers(1), &[1.0], &[1.0]), Some(Batch { radius: Some(&[1.0]), ..batch(numbers(1), &[1.0], &[1.0]) }), "radii"),
    ] {
        let mut builder = Builder::create(&path, keeping(Keep::Everything)).unwrap();
        let error = match second {
            None => builder.push(&first).unwrap_err(),
            Some(second) => {
                builder.push(&first).unwrap();
                builder.push(&second).unwrap_err()
            }
        };
        assert!(error.to_string().contains(expected), "{error}");
    }
}

/// Little memory, many runs, one crowded spot, rows of one position in the order of the input: the same bytes as with much.
#[test]
fn memory_is_kept_to_and_changes_nothing() {
    let folder = folder();
    let mut dice = Dice(21);
    let mut rows = galactic(&mut dice, 60_000);
    let spot = rows[5];
    rows.extend((0..240_000).map(|i| if i % 30 == 0 { spot } else { dice.near(spot, 100.0) }));
    let texts: Vec<String> = (0..rows.len()).map(|i| format!("{i:0>60}")).collect();
    let wide: Vec<(String, ArrayRef)> =
        (0..24).map(|i| (format!("c{i}"), Arc::new(Int64Array::from(vec![i; rows.len()])) as ArrayRef)).collect();
    let make = |name: &str, memory: u64| {
        let path = folder.path().join(name);
        let mut builder = Builder::create(&path, Options { memory, ..keeping(Keep::Everything) }).unwrap();
        for (part, first) in rows.chunks(10_000).zip((0..).step_by(10_000)) {
            let (ra, dec): (Vec<f64>, Vec<f64>) = part.iter().copied().unzip();
            let id: ArrayRef = Arc::new(StringArray::from_iter_values(&texts[first..first + part.len()]));
            let carried = RecordBatch::try_from_iter(wide.iter().map(|(n, c)| (n, c.slice(first, part.len())))).unwrap();
            builder.push(&Batch { carried: Some(carried), ..batch(id, &ra, &dec) }).unwrap();
        }
        builder.finish(&mut |_| ()).unwrap();
        ZoneIndex::open(&path).unwrap().verify().unwrap();
        std::fs::read(path).unwrap()
    };
    // 300,000 records of 230 bytes are twice what the little one holds; the spot alone is larger than its share.
    assert!(make("little", 0) == make("much", 1 << 30), "the file depends on the memory");
    let index = ZoneIndex::open(&folder.path().join("little")).unwrap();
    let mut hits = Hits::default();
    index.search(&[spot], 0.0, &mut hits);
    let ids: Vec<String> = hits.of(0).iter().map(|h| index.id(h.row).to_string()).collect();
    assert!(ids.len() > 8_000 && ids.is_sorted());
}

/// So many sources at one point that they cannot be sorted in the memory: said, with what they need.
#[test]
fn a_point_that_is_larger_than_the_memory_is_told() {
    let folder = folder();
    let path = folder.path().join("a.zones");
    let mut builder = Builder::create(&path, Options { memory: 0, ..keeping(Keep::Everything) }).unwrap();
    let (ra, dec) = (vec![10.0; 200_000], vec![20.0; 200_000]);
    builder.push(&batch(numbers(200_000), &ra, &dec)).unwrap();
    let error = builder.finish(&mut |_| ()).unwrap_err();
    assert!(matches!(error, ZoneError::Memory { rows: 200_000, .. }), "{error}");
    assert!(!path.exists());
}

#[test]
fn footprints_are_estimated_given_or_unknown() {
    let folder = folder();
    let mut dice = Dice(22);
    let field: Vec<(f64, f64)> = (0..200_000).map(|_| (sky_ra(dice.within(-3.0, 3.0)), dice.within(10.0, 16.0))).collect();
    let path = folder.path().join("a.zones");
    let index = build(&path, &field, keeping(Keep::Everything));
    assert!(index.meta().footprint_order.is_some_and(|order| order >= 6));
    assert!(field.iter().all(|p| index.covers(p.0, p.1) == Some(true)));
    for (ra, dec) in [(5.0, 12.0), (180.0, 12.0), (0.0, 18.0), (0.0, -90.0), (f64::NAN, 1.0), (1.0, 99.0)] {
        assert_eq!(index.covers(ra, dec), Some(false), "{ra} {dec}");
    }
    let unknown = build(&path, &field, Options { footprint: Footprint::Unknown, ..keeping(Keep::Everything) });
    assert_eq!(unknown.covers(0.0, 12.0), None);
    let cell = cdshealpix::nested::get(5).hash(0.1, 0.2);
    let given = Footprint::Given(std::iter::once(cell << 48..(cell + 1) << 48).collect());
    let given = build(&path, &field[..10], Options { footprint: given, ..keeping(Keep::Positions) });
    assert_eq!(given.meta().footprint_order, Some(5));
    let (lon, lat) = cdshealpix::nested::get(5).center(cell);
    assert_eq!(given.covers(lon.to_degrees(), lat.to_degrees()), Some(true));
    assert_eq!(given.covers(lon.to_degrees() + 5.0, lat.to_degrees()), Some(false));
    let few = build(&path, &field[..3], keeping(Keep::Everything));
    assert_eq!(few.covers(0.0, 12.0), None);
    let nowhere = build(&path, &field[..3], Options { footprint: Footprint::Given(vec![]), ..keeping(Keep::Everything) });
    assert_eq!(nowhere.covers(0.0, 12.0), Some(false));
}

fn sky_ra(ra: f64) -> f64 {
    crate::sky::normalise_ra(ra)
}

/// 8.5 bytes a source where positions are all that is kept.
#[test]
fn positions_alone_take_less_than_nine_bytes() {
    let folder = folder();
    let rows: Vec<(f64, f64)> = (0..200_000).scan(Dice(23), |dice, _| Some(dice.anywhere())).collect();
    let index = build(&folder.path().join("a.zones"), &rows, keeping(Keep::Positions));
    let each = index.bytes() as f64 / rows.len() as f64;
    assert!(each < 8.8, "{each}");
}
