//! Row groups: stamps and histories as pages of our own, order by place, filters, what is held while rows wait.

use arrow_array::{BooleanArray, Float32Array, TimestampMicrosecondArray};
use parquet::arrow::arrow_reader::{ArrowReaderOptions, RowSelection, RowSelector};
use parquet::file::metadata::PageIndexPolicy;
use parquet::file::reader::{FileReader, SerializedFileReader};

use super::columns::shown;
use super::*;
use crate::alert::Budget;

/// Numbers without an order (splitmix64).
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn stamp(&mut self, most: u64) -> Vec<u8> {
        let length = self.next() % (most + 1);
        (0..length).map(|_| self.next() as u8).collect()
    }
}

/// Stamps of all lengths, null here and there, at the top, in a struct and in a struct of a struct.
fn stamps(rows: usize, most: u64, nulls: bool) -> RecordBatch {
    let mut noise = Noise(rows as u64 + most);
    let mut column = |nullable: bool| {
        let value = |noise: &mut Noise| (!nullable || !noise.next().is_multiple_of(5)).then(|| noise.stamp(most));
        Arc::new((0..rows).map(|_| value(&mut noise)).collect::<BinaryViewArray>()) as ArrayRef
    };
    let [top, inner, deep] = [column(nulls), column(nulls), column(nulls)];
    let mut mask = |nullable: bool| nullable.then(|| NullBuffer::from_iter((0..rows).map(|_| !noise.next().is_multiple_of(4))));
    let field = |name: &str, array: &ArrayRef| Field::new(name, array.data_type().clone(), nulls);
    let within = |name: &str, array: ArrayRef, mask: Option<NullBuffer>| {
        Arc::new(StructArray::new(Fields::from(vec![field(name, &array)]), vec![array], mask)) as ArrayRef
    };
    let one = within("stamp", inner, mask(nulls));
    let two = within("outer", within("stamp", deep, mask(nulls)), mask(nulls));
    RecordBatch::try_from_iter_with_nullable([("top", top, nulls), ("one", one, nulls), ("two", two, nulls)]).unwrap()
}

#[test]
fn stamps_come_back_whatever_their_length_and_wherever_they_are_null() {
    for (rows, most, nulls) in [(1, 0, false), (3, 10, true), (400, 30_000, true), (150, 30_000, false), (4, 3 << 20, true)] {
        let alerts = stamps(rows, most, nulls);
        let mut house = House::new();
        let origins = self::rows(0..rows as i64);
        house.accept(&batch(0, 0..rows as i64, vec![part_of(1, alerts.clone(), origins)]));
        house.seal();
        let path = &house.files()[0].path;
        let found = arrow_select::concat::concat_batches(&read(path)[0].schema(), &read(path)).unwrap();
        for name in ["top", "one", "two"] {
            assert_eq!(shown(&found[name]), shown(&alerts[name]), "{rows} rows, {name}");
        }
        // Every other run of rows by the page index alone, which skips pages.
        let mut selectors = Vec::new();
        let mut keep = Vec::new();
        for start in (0..rows).step_by(37) {
            let count = 37.min(rows - start);
            let skip = (start / 37) % 2 == 0;
            selectors.push(if skip { RowSelector::skip(count) } else { RowSelector::select(count) });
            keep.extend(std::iter::repeat_n(!skip, count));
        }
        let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Required);
        let reader = ParquetRecordBatchReaderBuilder::try_new_with_options(fs::File::open(path).unwrap(), options).unwrap();
        let reader = reader.with_row_selection(RowSelection::from(selectors)).build().unwrap();
        let chosen: Vec<RecordBatch> = reader.map(Result::unwrap).collect();
        let values: Vec<String> = chosen.iter().flat_map(|b| shown(&b["one"])).collect();
        let expected = arrow_select::filter::filter(&alerts["one"], &BooleanArray::from(keep)).unwrap();
        assert_eq!(values, shown(&expected), "{rows} rows");
    }
}

/// Histories of up to `most` points: numbers that compress and such that do not, a time, a text, and lists of bare numbers. With `nulls`,
/// rows without a list and points without numbers, and with `holes` points that are missing as a whole.
fn histories(rows: usize, most: u64, nulls: bool, holes: bool) -> RecordBatch {
    let mut noise = Noise(rows as u64 + most);
    let lengths: Vec<usize> = (0..rows).map(|_| (noise.next() % (most + 1)) as usize).collect();
    let points: usize = lengths.iter().sum();
    let mut there = |nulls: bool| (0..points).map(|_| !nulls || !noise.next().is_multiple_of(3)).collect::<Vec<bool>>();
    let [a, b, c, d] = [there(nulls), there(nulls), there(nulls), there(holes)];
    let one = |at: usize| (at as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let columns: Vec<ArrayRef> = vec![
        Arc::new((0..points).map(|at| a[at].then(|| f64::from_bits(one(at)))).collect::<Float64Array>()),
        Arc::new((0..points).map(|at| b[at].then_some((at / 100) as f32)).collect::<Float32Array>()),
        Arc::new((0..points).map(|at| c[at].then(|| one(at) as i64)).collect::<TimestampMicrosecondArray>()),
        Arc::new((0..points).map(|at| b[at].then_some(at as i32 / 3)).collect::<Int32Array>()),
        Arc::new((0..points).map(|at| Some(format!("{}", at % 7))).collect::<StringViewArray>()),
    ];
    let field = |name: &str, array: &ArrayRef, nullable| Field::new(name, array.data_type().clone(), nullable);
    let names = ["noise", "steps", "time", "number", "filter"];
    let fields: Fields = names.iter().zip(&columns).map(|(name, array)| field(name, array, nulls)).collect();
    let numbers = columns[0].clone();
    let records = Arc::new(StructArray::new(fields, columns, holes.then(|| NullBuffer::from(d)))) as ArrayRef;
    let lists = |values: ArrayRef, nullable: bool| {
        let item = Arc::new(field("item", &values, nullable));
        // What is null has no points, as the decoder makes it.
        let valid = nulls.then(|| lengths.iter().enumerate().map(|(row, length)| *length > 0 || row % 2 == 0).collect());
        Arc::new(ListArray::new(item, OffsetBuffer::from_lengths(lengths.iter().copied()), values, valid)) as ArrayRef
    };
    let columns = [("history", lists(records, nulls || holes), nulls), ("numbers", lists(numbers, nulls), nulls)];
    RecordBatch::try_from_iter_with_nullable(columns).unwrap()
}

#[test]
fn histories_come_back_whatever_their_length_and_wherever_they_are_null() {
    let cases = [(1, 0, false, false), (3, 4, true, false), (300, 40, true, false), (300, 40, false, true), (150, 1, true, true)];
    for (rows, most, nulls, holes) in
        cases.into_iter().chain([(9000, 60, true, false), (9000, 60, false, false), (3, 400_000, true, false)])
    {
        let alerts = histories(rows, most, nulls, holes);
        let case = format!("{rows} rows of {most} points, {nulls}, {holes}");
        let mut house = House::new();
        house.accept(&batch(0, 0..rows as i64, vec![part_of(1, alerts.clone(), self::rows(0..rows as i64))]));
        house.seal();
        let path = &house.files()[0].path;
        let found = arrow_select::concat::concat_batches(&read(path)[0].schema(), &read(path)).unwrap();
        for name in ["history", "numbers"] {
            assert_eq!(shown(&found[name]), shown(&alerts[name]), "{case}: {name}");
        }
        let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Required);
        let reader = ParquetRecordBatchReaderBuilder::try_new_with_options(fs::File::open(path).unwrap(), options).unwrap();
        let group = reader.metadata().row_group(0).clone();
        let pages = reader.metadata().page_index_for_row_group(0).page_locations(0).unwrap().len();
        assert_eq!(pages > 1, rows * most as usize > 500_000, "{case}: {pages} pages");
        if rows > 100 && most > 1 && !holes {
            let codec = |path: &str| group.columns().iter().find(|c| c.column_path().string() == path).unwrap().compression();
            assert_eq!(codec("history.list.item.noise"), Compression::UNCOMPRESSED, "{case}");
            assert!(matches!(codec("history.list.item.steps"), Compression::ZSTD(_)), "{case}");
        }
        // Every other run of rows by the page index alone, which skips pages.
        let mut keep: Vec<bool> = (0..rows).map(|row| row / 370 % 2 == 1).collect();
        keep[rows - 1] = true;
        let selectors = keep.chunk_by(|a, b| a == b).map(|run| match run[0] {
            true => RowSelector::select(run.len()),
            false => RowSelector::skip(run.len()),
        });
        let reader = reader.with_row_selection(RowSelection::from(selectors.collect::<Vec<_>>())).build().unwrap();
        let chosen: Vec<RecordBatch> = reader.map(Result::unwrap).collect();
        let values: Vec<String> = chosen.iter().flat_map(|b| shown(&b["history"])).collect();
        let expected = arrow_select::filter::filter(&alerts["history"], &BooleanArray::from(keep)).unwrap();
        assert_eq!(values, shown(&expected), "{case}");
    }
}

#[test]
fn rows_of_a_group_are_sorted_by_place_and_stay_whole() {
    let mut noise = Noise(7);
    let mut house = House::new();
    for (number, partition) in [(0, 0), (1, 1), (2, 0)] {
        let first = i64::from(number) * 100;
        let mut alerts = part(1, rows(first..first + 100));
        let mut degrees = |range: f64, from: f64| {
            let value = |noise: &mut Noise| {
                (!noise.next().is_multiple_of(9)).then(|| from + range * (noise.next() as f64 / u64::MAX as f64))
            };
            Arc::new((0..100).map(|_| value(&mut noise)).collect::<Float64Array>()) as ArrayRef
        };
        alerts.candidate.ra = degrees(359.9, 0.0);
        alerts.candidate.dec = degrees(180.0, -90.0);
        house.accept(&batch(partition, first..first + 100, vec![alerts]));
    }
    house.seal();
    let found = read(&house.files()[0].path);
    let found = arrow_select::concat::concat_batches(&found[0].schema(), &found).unwrap();
    let own = found["skysluice"].as_struct();
    let cells = own["healpix29"].as_primitive::<Int64Type>();
    let keys: Vec<i64> = cells.iter().map(|c| c.unwrap_or(i64::MAX)).collect();
    assert!(keys.is_sorted() && keys.iter().filter(|k| **k != i64::MAX).count() > 200);
    assert!(keys.iter().all(|k| (0..=12 << 58).contains(k) || *k == i64::MAX));
    let (ids, offsets) = (found["candid"].as_primitive::<Int64Type>(), own["offset"].as_primitive::<Int64Type>());
    assert!((0..300).all(|i| ids.value(i) == offsets.value(i) * 10));
    let mut all: Vec<i64> = offsets.values().to_vec();
    assert!(!all.is_sorted());
    all.sort_unstable();
    assert_eq!(all, (0..300).collect::<Vec<_>>());
    // Without a place they keep the order in which they came.
    let placeless: Vec<i64> = (0..300).filter(|i| keys[*i] == i64::MAX).map(|i| offsets.value(i)).collect();
    assert!(placeless.is_sorted() && placeless.len() > 20);
}

#[test]
fn a_file_says_which_objects_are_not_in_it() {
    let mut house = House::new();
    let mut survey = (*survey()).clone();
    survey.object_id = vec![config::FieldPath(vec!["objectId".into()])];
    house.survey = Arc::new(survey);
    house.accept(&batch(0, 0..3, vec![part_of(1, super::columns::every_type(), rows(0..3))]));
    house.seal();
    let file = fs::File::open(&house.files()[0].path).unwrap();
    let options = parquet::file::serialized_reader::ReadOptionsBuilder::new()
        .with_reader_properties(parquet::file::properties::ReaderProperties::builder().set_read_bloom_filter(true).build());
    let reader = SerializedFileReader::new_with_options(file, options.build()).unwrap();
    let group = reader.get_row_group(0).unwrap();
    let filters: Vec<usize> = (0..group.num_columns()).filter(|c| group.get_column_bloom_filter(*c).is_some()).collect();
    assert_eq!(filters, [0]);
    let filter = group.get_column_bloom_filter(0).unwrap();
    assert!(filter.check(&"ZTF18abcdefg") && !filter.check(&"ZTF18abcdefh"));
}

#[test]
fn a_batch_is_held_until_its_rows_are_written_and_a_part_of_one_is_not() {
    let budget = Budget::new(1000);
    let held = |hours: [i64; 2]| {
        let origins = vec![row(0, T0 + hours[0] * HOUR), row(1, T0 + hours[1] * HOUR)];
        let mut decoded = batch(0, 0..2, vec![part_of(1, records(&origins), origins)]);
        decoded.permit = Arc::new(budget.try_take(100).unwrap());
        decoded
    };
    let mut house = House::new();
    house.accept(&held([0, 0]));
    assert_eq!(budget.used(), 100, "its rows wait");
    house.seal();
    assert_eq!(budget.used(), 0);
    let mut house = House::new();
    house.accept(&held([0, 5]));
    assert_eq!(budget.used(), 0, "a late row has bytes of its own");
    house.seal();
    assert_eq!(house.files().len(), 2);
}

/// Small batches in large arenas: the budget is charged for the arenas, so the group has to count them too, or the source waits for
/// room that nobody makes.
#[test]
fn a_group_is_written_when_it_holds_much_of_the_budget_however_few_its_bytes_are() {
    let budget = Budget::new(256 << 20);
    let mut house = House::new();
    for offset in 0..256 {
        let origins = vec![row(offset, T0)];
        let mut decoded = batch(0, offset..offset + 1, vec![part_of(1, records(&origins), origins)]);
        decoded.permit = Arc::new(budget.try_take(4 << 20).expect("rows before it are on disk"));
        house.accept(&decoded);
        assert!(budget.used() < 128 << 20, "{} bytes are held", budget.used());
    }
    house.seal();
    assert_eq!((budget.used(), house.files().iter().map(|file| file.rows).sum::<u64>()), (0, 256));
}
