//! Expressions as a table of cases: what they say of six alerts, and what is wrong with those that are wrong.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use arrow_array::builder::{Float32Builder, ListBuilder};
use arrow_array::types::Int8Type;
use arrow_array::{
    Array, ArrayRef, BinaryArray, BooleanArray, DictionaryArray, Float32Array, Float64Array, Int32Array, Int64Array, RecordBatch,
    StringArray, StringViewArray, StructArray,
};
use arrow_buffer::NullBuffer;
use arrow_schema::{DataType, Field, FieldRef, Schema};

use super::{Expression, FilterError};

fn nested(columns: Vec<(&str, ArrayRef)>, nulls: Option<Vec<bool>>) -> StructArray {
    let fields = columns.iter().map(|(n, a)| Field::new(*n, a.data_type().clone(), true)).collect::<Vec<_>>();
    StructArray::new(fields.into(), columns.into_iter().map(|c| c.1).collect(), nulls.map(NullBuffer::from))
}

/// Six alerts. `ssSource` is null in rows 1, 3 and 5, with values below the null that must not be seen.
fn alerts() -> RecordBatch {
    let nan = f32::NAN;
    let mut history = ListBuilder::new(Float32Builder::new());
    (0..6).for_each(|_| history.append_value([Some(1.0)]));
    let band: DictionaryArray<Int8Type> = vec![Some("g"), Some("r"), None, Some("i"), Some("g"), Some("r")].into_iter().collect();
    let candidate = nested(
        vec![
            ("rb", Arc::new(Float32Array::from(vec![Some(0.65), Some(0.1), None, Some(nan), Some(0.9), Some(0.55)]))),
            ("magdiff", Arc::new(Float32Array::from(vec![0.1, -0.1, 0.2, -0.3, 0.0, nan]))),
            ("jd", Arc::new(Float64Array::from(vec![2.5, -1.0, 0.0, f64::NAN, f64::INFINITY, 1e9]))),
            ("fid", Arc::new(Int32Array::from(vec![Some(1), Some(2), None, Some(3), Some(1), Some(0)]))),
            ("nid", Arc::new(Int64Array::from(vec![1, i64::MAX, i64::MIN, 9_007_199_254_740_993, 0, -7]))),
            (
                "ssnamenr",
                Arc::new(StringViewArray::from(vec![Some("null"), Some("17495"), None, Some(""), Some("50%"), Some("ü")])),
            ),
            ("good", Arc::new(BooleanArray::from(vec![Some(true), Some(false), None, Some(true), Some(false), Some(true)]))),
            ("band", Arc::new(band)),
            ("short", Arc::new(arrow_array::Int16Array::from(vec![1, 2, 3, 4, 5, 6]))),
        ],
        None,
    );
    let source = nested(
        vec![("psfFlux", Arc::new(Float64Array::from(vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0])))],
        Some(vec![true, false, true, false, true, false]),
    );
    RecordBatch::try_from_iter_with_nullable([
        ("objectId", Arc::new(StringArray::from(vec!["a", "b", "c", "d", "e", "f"])) as ArrayRef, false),
        ("candidate", Arc::new(candidate) as ArrayRef, false),
        ("ssSource", Arc::new(source) as ArrayRef, true),
        ("prv_candidates", Arc::new(history.finish()) as ArrayRef, true),
        ("cutout", Arc::new(BinaryArray::from_vec(vec![b"x"; 6])) as ArrayRef, true),
        ("odd name", Arc::new(Int32Array::from(vec![1, 2, 3, 4, 5, 6])) as ArrayRef, false),
    ])
    .unwrap()
}

fn annotations() -> (Vec<FieldRef>, Vec<ArrayRef>) {
    let values = Int32Array::from(vec![Some(0), Some(1), None, Some(2), Some(0), Some(1)]);
    (vec![Arc::new(Field::new("matches", DataType::Int32, true))], vec![Arc::new(values)])
}

/// One character a row: t, f, or ? for unknown.
fn says(text: &str) -> Result<String, FilterError> {
    let (records, (fields, arrays)) = (alerts(), annotations());
    let mask = Expression::parse(text)?.bind(&records.schema(), &fields)?.evaluate(&records, &arrays)?;
    assert_eq!(mask.len(), 6);
    Ok(mask.iter().map(|v| v.map_or('?', |v| if v { 't' } else { 'f' })).collect())
}

#[test]
fn expressions_say_what_sql_says() {
    for (text, expected) in [
        // Numbers; NaN fails every comparison, null is unknown.
        ("candidate.rb >= 0.65", "tf?ftf"),
        ("candidate.rb = 0.65", "tf?fff"),
        ("0.65 <= candidate.rb", "tf?ftf"),
        ("candidate.rb <> 0.65", "ft?ftt"),
        ("candidate.rb != 0.65", "ft?ftt"),
        ("NOT candidate.rb >= 0.65", "ft?tft"),
        ("candidate.rb = candidate.rb", "tt?ftt"),
        ("candidate.jd < 1e300", "tttfft"),
        ("candidate.jd > 1e300", "fffftf"),
        ("candidate.rb < 1e300", "tt?ftt"),
        ("candidate.magdiff > 1e-60", "tftfff"),
        ("candidate.fid = 1", "tf?ftf"),
        ("candidate.fid < 1.5", "tf?ftt"),
        ("candidate.nid = 9007199254740993", "ffftff"),
        ("candidate.nid = 9007199254740992", "ffffff"),
        ("candidate.nid = 9007199254740992.0", "ffftff"),
        ("candidate.nid > 9223372036854775806", "ftffff"),
        ("candidate.short >= 5", "fffftt"),
        // A text that is a number is text.
        ("candidate.ssnamenr = '17495'", "ft?fff"),
        ("candidate.ssnamenr <> 'null'", "ft?ttt"),
        ("candidate.ssnamenr IN ('null', '')", "tf?tff"),
        ("objectId >= 'c'", "fftttt"),
        ("objectId < candidate.ssnamenr", "tf?fft"),
        ("candidate.band = 'g'", "tf?ftf"),
        ("candidate.band IN ('g', 'i')", "tf?ttf"),
        ("candidate.band LIKE '_'", "tt?ttt"),
        // Fink's cut on magdiff: 0.1 is what the survey wrote, in 32 bits.
        ("abs(candidate.magdiff) <= 0.1", "ttfftf"),
        ("ABS(-candidate.magdiff) <= 0.1", "ttfftf"),
        ("candidate.magdiff BETWEEN -0.1 AND 0.1", "ttfftf"),
        ("candidate.magdiff NOT BETWEEN -0.1 AND 0.1", "ffttft"),
        // Logic of three values.
        ("candidate.good", "tf?tft"),
        ("NOT candidate.good", "ft?ftf"),
        ("candidate.good = TRUE", "tf?tft"),
        ("candidate.good <> candidate.good", "ff?fff"),
        ("candidate.good AND NULL", "?f??f?"),
        ("candidate.good OR NULL", "t??t?t"),
        ("candidate.good AND FALSE", "ffffff"),
        ("candidate.good OR TRUE", "tttttt"),
        ("candidate.good IS TRUE", "tfftft"),
        ("candidate.good IS NOT TRUE", "fttftf"),
        ("candidate.good IS FALSE", "ftfftf"),
        ("candidate.good IS UNKNOWN", "fftfff"),
        ("NULL", "??????"),
        ("candidate.rb = NULL", "??????"),
        ("TRUE", "tttttt"),
        ("1 < 2 AND 'a' < 'b'", "tttttt"),
        ("candidate.fid = 1 OR candidate.fid = 2 AND candidate.rb > 0.5", "tf?ftf"),
        ("(candidate.fid = 1 OR candidate.fid = 2) AND candidate.rb > 0.5", "tf?ftf"),
        // Nulls, also of the record around a field.
        ("candidate.rb IS NULL", "fftfff"),
        ("candidate.rb IS NOT NULL", "ttfttt"),
        ("ssSource IS NULL", "ftftft"),
        ("ssSource.psfFlux IS NULL", "ftftft"),
        ("ssSource.psfFlux > 2", "f?t?t?"),
        ("prv_candidates IS NOT NULL AND cutout IS NOT NULL", "tttttt"),
        ("candidate.fid + 1 IS NULL", "fftfff"),
        ("(candidate.rb > 1) IS NULL", "fftfff"),
        // Lists.
        ("candidate.fid IN (1, 3)", "tf?ttf"),
        ("candidate.fid NOT IN (1, 3)", "ft?fft"),
        ("candidate.fid IN (1, NULL)", "t???t?"),
        ("candidate.fid NOT IN (1, NULL)", "f???f?"),
        ("candidate.fid IN (1.0, 2.5)", "tf?ftf"),
        ("candidate.rb IN (0.65, 0.55)", "tf?fft"),
        ("candidate.jd IN (0, -1)", "fttfff"),
        ("candidate.magdiff IN (-0.0)", "fffftf"),
        // Arithmetic.
        ("candidate.fid * 2 - 1 = 3", "ft?fff"),
        ("candidate.fid / 2 = 0.5", "tf?ftf"),
        ("candidate.fid % 2 = 1", "tf?ttf"),
        ("1 / candidate.fid > 0.4", "tt?ft?"),
        ("1 % candidate.fid = 0", "tf?ft?"),
        ("candidate.jd / 0 IS NULL", "tttttt"),
        ("candidate.nid + 1 IS NULL", "ftffff"),
        ("abs(candidate.nid) IS NULL", "fftfff"),
        ("-candidate.nid = 7", "ff?fft"),
        ("candidate.jd - candidate.fid >= 1.5", "tf?ftt"),
        ("2 + 3 * 4 = 14", "tttttt"),
        // LIKE.
        ("candidate.ssnamenr LIKE '%ll'", "tf?fff"),
        ("candidate.ssnamenr LIKE '_'", "ff?fft"),
        ("candidate.ssnamenr LIKE '%!%' ESCAPE '!'", "ff?ftf"),
        ("candidate.ssnamenr NOT LIKE '1%5'", "tf?ttt"),
        // Names.
        ("\"odd name\" = 3", "fftfff"),
        ("\"candidate\".\"fid\" = 3", "ff?tff"),
        ("`candidate`.fid = 3", "ff?tff"),
        ("matches > 0", "ft?tft"),
        ("matches > 0 AND candidate.good", "ff?tft"),
    ] {
        assert_eq!(says(text).as_deref(), Ok(expected), "{text}");
    }
}

#[test]
fn slices_of_a_batch_are_read_where_they_begin() {
    let (records, (fields, arrays)) = (alerts(), annotations());
    for text in ["candidate.rb >= 0.65 OR matches > 0", "candidate.band = 'g'", "ssSource.psfFlux > 2", "candidate.good"] {
        let bound = Expression::parse(text).unwrap().bind(&records.schema(), &fields).unwrap();
        let whole = bound.evaluate(&records, &arrays).unwrap();
        let part = bound.evaluate(&records.slice(2, 3), &[arrays[0].slice(2, 3)]).unwrap();
        assert_eq!(part, whole.slice(2, 3), "{text}");
        assert_eq!(bound.evaluate(&records.slice(0, 0), &[arrays[0].slice(0, 0)]).unwrap().len(), 0);
    }
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    for (text, message, offset) in [
        ("candidate.rbb > 1", "no field `candidate.rbb`; did you mean `candidate.rb`?", Some(0)),
        ("1 < Candidate.RB", "no field `Candidate.RB`; did you mean `candidate.rb`?", Some(4)),
        ("rb > 1", "no field `rb`; did you mean `candidate.rb`?", Some(0)),
        ("match > 1", "no field `match`; did you mean `matches`?", Some(0)),
        ("candidate.fid.x = 1", "no field `candidate.fid.x`; did you mean `candidate.fid`?", Some(0)),
        ("utterly_unknown = 1", "no field `utterly_unknown`", Some(0)),
        (
            "prv_candidates.magpsf < 1",
            "`prv_candidates.magpsf` lies inside the array `prv_candidates`, so an alert has many of it; only fields with one value \
             can be compared",
            Some(0),
        ),
        ("candidate.rb = 'abc'", "`candidate.rb` is a float, 'abc' is text", Some(15)),
        ("objectId > 3", "`objectId` is text, 3 is an integer", Some(11)),
        ("candidate.good = 1", "`candidate.good` is true or false, 1 is an integer", Some(17)),
        ("candidate.good < TRUE", "`candidate.good` is true or false and has no order; use = or <>", Some(0)),
        ("candidate.rb", "`candidate.rb` is a float; a condition (true or false) is needed here", Some(0)),
        (
            "candidate.good AND candidate.fid",
            "`candidate.fid` is an integer; a condition (true or false) is needed here",
            Some(19),
        ),
        ("candidate = 1", "`candidate` is a record and can only be tested with IS NULL", Some(0)),
        ("cutout = 'x'", "`cutout` is bytes and can only be tested with IS NULL", Some(0)),
        ("objectId + 1 > 2", "`objectId` is text; a number is needed here", Some(0)),
        ("candidate.fid IN (1, 'a')", "`candidate.fid` is an integer, 'a' is not", Some(21)),
        ("candidate.rb LIKE 'a'", "`candidate.rb` is a float; LIKE takes text", Some(0)),
        ("", "the expression is empty", Some(0)),
        ("candidate.rb >", "expected an expression, found the end", Some(14)),
        ("candidate.rb > 1 candidate", "expected an operator or the end, found candidate", Some(17)),
        ("candidate.ssnamenr = 'ü", "Unterminated string literal", Some(21)),
        ("\n  candidate.rb > > 1", "expected an expression, found >", Some(18)),
    ] {
        let error = says(text).unwrap_err();
        assert_eq!((error.to_string().as_str(), error.offset()), (message, offset), "{text}");
    }
    for text in [
        "sqrt(candidate.rb) > 1",
        "candidate.rb > (SELECT 1)",
        "CASE WHEN TRUE THEN TRUE END",
        "prv_candidates[0] > 1",
        "candidate.fid IN (candidate.nid)",
        "candidate.fid IN (SELECT 1)",
        "candidate.fid << 2 = 1",
        "candidate.ssnamenr LIKE objectId",
        "abs(1, 2) = 1",
        "EXISTS (SELECT 1)",
        "x'00' = 1",
    ] {
        let error = says(text).unwrap_err();
        assert!(matches!(error, FilterError::Unsupported { .. }), "{text}: {error:?}");
    }
    assert_eq!(says("rb > 1").unwrap_err().suggestion(), Some("candidate.rb"));
}

#[test]
fn an_annotation_may_not_shadow_a_field() {
    let schema = Schema::new(vec![Field::new("matches", DataType::Int32, true)]);
    let error = Expression::parse("TRUE").unwrap().bind(&schema, &annotations().0).unwrap_err();
    assert_eq!(error, FilterError::Shadowed { name: "matches".to_owned() });
}

#[test]
fn a_batch_of_another_schema_is_refused() {
    let records = alerts();
    let bound = Expression::parse("candidate.rb > 1").unwrap().bind(&records.schema(), &[]).unwrap();
    let error = bound.evaluate(&records.project(&[0]).unwrap(), &[]).unwrap_err();
    assert!(matches!(error, FilterError::Mismatch { .. }), "{error:?}");
}

#[test]
fn where_a_nan_hid_is_told() {
    let (records, (fields, arrays)) = (alerts(), annotations());
    let nans = |text: &str| {
        let bound = Expression::parse(text).unwrap().bind(&records.schema(), &fields).unwrap();
        bound.nans(&records, &arrays).unwrap().map(|n| n.set_indices().collect::<Vec<_>>())
    };
    assert_eq!(nans("candidate.rb > 0.5"), Some(vec![3]));
    assert_eq!(nans("candidate.rb > 0.5 AND abs(candidate.magdiff) < 0.1"), Some(vec![3, 5]));
    assert_eq!(nans("candidate.fid > 0"), None);
}

#[test]
fn hostile_expressions_are_refused_and_do_not_overflow_the_stack() {
    let n = 10_000;
    for text in [
        format!("{}1 = 1{}", "(".repeat(n), ")".repeat(n)),
        "(".repeat(n),
        format!("{}TRUE", "NOT ".repeat(n)),
        format!("{}1 = 1", "- ".repeat(n)),
        format!("{}candidate.rb{} > 1", "abs(".repeat(n), ")".repeat(n)),
        vec!["candidate.rb"; n].join(" + ") + " > 1",
        vec!["1"; n].join("+") + " > 1",
        vec!["candidate.good"; n].join(" AND "),
        "a ".repeat(600_000),
    ] {
        let error = says(&text).unwrap_err();
        assert!(
            matches!(error, FilterError::TooLarge { .. } | FilterError::Syntax { .. } | FilterError::Unsupported { .. }),
            "{error:?}"
        );
    }
    // Just under the limit of words, on a small stack.
    let sum = vec!["1"; 2_000].join("+") + " > 1";
    let chain = vec!["candidate.good"; 400].join(" AND ");
    std::thread::Builder::new()
        .stack_size(2 << 20)
        .spawn(move || {
            assert!(matches!(says(&sum), Err(FilterError::TooLarge { .. })));
            assert_eq!(says(&chain).as_deref(), Ok("tf?tft"));
            let list = (0..20_000).map(|i| i.to_string()).collect::<Vec<_>>().join(", ");
            assert_eq!(says(&format!("candidate.fid IN ({list})")).as_deref(), Ok("tt?ttt"));
        })
        .unwrap()
        .join()
        .unwrap();
}
