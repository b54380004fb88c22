//! What is in a file and how it is written.

use super::*;

#[test]
fn columns_of_one_name_are_refused() {
    for name in ["candid", "CandID", "skysluice"] {
        let mut house = House::new();
        let mut part = part(1, rows(0..3));
        part.annotations[0].field = Arc::new(Field::new(name, DataType::Int32, false));
        let fault = house.sink().accept(&batch(0, 0..3, vec![part])).unwrap_err();
        assert_eq!(fault.kind, FaultKind::Defect);
        assert!(fault.message.contains(name) && fault.message.contains("rename"), "{fault}");
    }
}

#[test]
fn a_type_that_parquet_has_not_is_a_defect_and_no_panic() {
    let union = arrow_schema::UnionFields::from_iter([(0, Arc::new(Field::new("a", DataType::Int32, true)))]);
    let values: ArrayRef = arrow_array::new_empty_array(&DataType::Union(union, arrow_schema::UnionMode::Dense));
    let values = arrow_array::make_array(values.to_data());
    let records = RecordBatch::try_from_iter([("odd", values)]).unwrap();
    let mut alerts = part(1, rows(0..1));
    alerts.records = records;
    let fault = House::new().sink().accept(&batch(0, 0..1, vec![alerts])).unwrap_err();
    assert_eq!(fault.kind, FaultKind::Defect);
}

#[test]
fn verdicts_and_flags_are_archived_with_the_row() {
    let mut house = House::new();
    let mut alerts = part(1, rows(0..3));
    alerts.verdicts[1] = Verdict::Skipped(1);
    alerts.flags[2].set(Flags::NO_ID);
    alerts.flags[2].set(Flags::BAD_TIME);
    alerts.rows[2].timestamp = None;
    house.config.by = HourBy::Observation;
    house.accept(&batch(0, 0..3, vec![alerts]));
    house.seal();
    let found = &read(&house.files()[0].path)[0];
    let own = found["skysluice"].as_struct();
    let text = |name: &str| own[name].as_string::<i32>().iter().map(|t| t.map(str::to_owned)).collect::<Vec<_>>();
    assert_eq!(own["passed"].as_boolean().iter().collect::<Vec<_>>(), [Some(true), Some(false), Some(true)]);
    assert_eq!(text("skipped_by"), [None, Some("bright".to_owned()), None]);
    assert_eq!(text("flags"), [None, None, Some("no_id,bad_time".to_owned())]);
    assert_eq!(text("topic"), vec![Some("ztf_local".to_owned()); 3]);
    let received = own["received"].as_primitive::<TimestampMillisecondType>();
    assert_eq!(received.iter().collect::<Vec<_>>(), [Some(T0), Some(T0 + 1), None]);
    assert_eq!(received.data_type(), &DataType::Timestamp(arrow_schema::TimeUnit::Millisecond, Some("UTC".into())));
}

/// Every Arrow type that decoding makes, nested and null in all places; three rows.
pub(super) fn every_type() -> RecordBatch {
    let text = |values: Vec<Option<&str>>| Arc::new(StringViewArray::from(values)) as ArrayRef;
    let long = "longer than the twelve bytes that a view holds itself";
    let history_fields = Fields::from(vec![
        Field::new("magpsf", DataType::Float64, true),
        Field::new("survey", DataType::Utf8View, true),
        Field::new("ids", DataType::List(Arc::new(Field::new("item", DataType::Utf8View, true))), true),
    ]);
    let mut ids = ListBuilder::new(StringViewBuilder::new());
    for values in [vec![Some("a"), None], vec![], vec![Some(long)]] {
        ids.append_value(values);
    }
    let history = StructArray::new(
        history_fields.clone(),
        vec![
            Arc::new(Float64Array::from(vec![Some(f64::NAN), None, Some(1.5)])),
            text(vec![Some("ztf"), None, Some(long)]),
            Arc::new(ids.finish()),
        ],
        None,
    );
    let item = Arc::new(Field::new("item", DataType::Struct(history_fields), true));
    // Three, none, and null: the null row has no items.
    let lists = ListArray::new(
        item,
        OffsetBuffer::from_lengths([3, 0, 0]),
        Arc::new(history),
        Some(NullBuffer::from(vec![true, true, false])),
    );
    let mut map = MapBuilder::new(None, StringViewBuilder::new(), arrow_array::builder::BinaryViewBuilder::new());
    map.keys().append_value("k");
    map.values().append_value(b"v");
    map.append(true).unwrap();
    map.append(true).unwrap();
    map.append(false).unwrap();
    let filters: DictionaryArray<Int32Type> = vec![Some("g"), None, Some("g")].into_iter().collect();
    let decimals = Decimal128Array::from(vec![Some(123_456), None, Some(-1)]).with_precision_and_scale(20, 4).unwrap();
    let inner = StructArray::new(
        Fields::from(vec![Field::new("stamp", DataType::BinaryView, true), Field::new("none", DataType::Null, true)]),
        vec![
            Arc::new(BinaryViewArray::from(vec![Some(&b"\x1f\x8b0123456789abcdef"[..]), None, Some(&b""[..])])),
            Arc::new(NullArray::new(3)),
        ],
        Some(NullBuffer::from(vec![true, false, true])),
    );
    RecordBatch::try_from_iter_with_nullable([
        ("objectId", text(vec![Some("ZTF18abcdefg"), Some(long), None]), true),
        ("history", Arc::new(lists) as ArrayRef, true),
        ("map", Arc::new(map.finish()) as ArrayRef, true),
        ("filter", Arc::new(filters) as ArrayRef, true),
        ("decimal", Arc::new(decimals) as ArrayRef, true),
        ("cutout", Arc::new(inner) as ArrayRef, true),
        ("nothing", Arc::new(NullArray::new(3)) as ArrayRef, true),
        ("number", Arc::new(Int32Array::from(vec![Some(1), None, Some(3)])) as ArrayRef, true),
    ])
    .unwrap()
}

/// The values of a column as text, whatever holds them.
pub(super) fn shown(array: &dyn Array) -> Vec<String> {
    let options = arrow_cast::display::FormatOptions::default().with_null("null");
    let formatter = arrow_cast::display::ArrayFormatter::try_new(array, &options).unwrap();
    (0..array.len()).map(|i| formatter.value(i).to_string()).collect()
}

#[test]
fn every_type_comes_back_as_it_was() {
    let alerts = every_type();
    for keep_all in [true, false] {
        let mut house = House::new();
        let later = if keep_all { T0 } else { T0 + HOUR };
        let rows = vec![row(0, T0), row(1, later), row(2, T0)];
        house.accept(&batch(0, 0..3, vec![part_of(1, alerts.clone(), rows)]));
        house.seal();
        let files = house.files();
        let found: Vec<RecordBatch> = files.iter().flat_map(|f| read(&f.path)).collect();
        let order: &[usize] = if keep_all { &[0, 1, 2] } else { &[0, 2, 1] };
        for (field, column) in alerts.schema().fields().iter().zip(alerts.columns()) {
            let values: Vec<String> = found.iter().flat_map(|b| shown(b[field.name().as_str()].as_ref())).collect();
            let all = shown(column.as_ref());
            let expected: Vec<String> = order.iter().map(|&i| all[i].clone()).collect();
            assert_eq!(values, expected, "column {}", field.name());
        }
        let types: BTreeMap<String, DataType> =
            found[0].schema().fields().iter().map(|f| (f.name().clone(), f.data_type().clone())).collect();
        assert_eq!(types["objectId"], DataType::Utf8, "no reader is told of views");
        assert_eq!(types["filter"], DataType::Utf8, "nor of dictionaries");
    }
}

#[test]
fn encodings_and_footer_are_as_promised() {
    let mut house = House::new();
    house.accept(&batch(0, 0..3, vec![part_of(1, every_type(), rows(0..3))]));
    house.seal();
    let file = fs::File::open(&house.files()[0].path).unwrap();
    let metadata = ParquetMetaDataReader::new().parse_and_finish(&file).unwrap();
    assert_eq!(metadata.file_metadata().created_by(), Some(concat!("skysluice version ", env!("CARGO_PKG_VERSION"))));
    let pairs = metadata.file_metadata().key_value_metadata().unwrap();
    let value = |key: &str| pairs.iter().find(|p| p.key == key).unwrap().value.clone().unwrap();
    for (key, expected) in [
        ("skysluice.version", env!("CARGO_PKG_VERSION")),
        ("skysluice.configuration", "c0ffee"),
        ("skysluice.catalogs", "gcvs 5.1"),
        ("skysluice.survey", "ztf"),
        ("skysluice.schema", &json(1, "")),
    ] {
        assert_eq!(value(key), expected);
    }
    for column in metadata.row_group(0).columns() {
        let path = column.column_path().string();
        let dictionary = column.encodings().any(|e| matches!(e, Encoding::RLE_DICTIONARY | Encoding::PLAIN_DICTIONARY));
        let bytes = path == "cutout.stamp" || path == "map.entries.value";
        // Three numbers are too few to be compressed.
        let codec = !bytes && !["matches", "number"].contains(&path.as_str());
        assert_eq!(column.compression() != Compression::UNCOMPRESSED, codec, "{path}");
        let plain = bytes
            || [
                "matches",
                "number",
                "history.list.item.magpsf",
                "decimal",
                "skysluice.offset",
                "skysluice.received",
                "skysluice.healpix29",
                "skysluice.passed",
            ]
            .contains(&path.as_str());
        assert_eq!(dictionary, !plain, "{path}");
        assert!(column.offset_index_offset().is_some(), "{path}");
    }
}

fn these(paths: &[&str]) -> ColumnChoice {
    ColumnChoice::These(paths.iter().map(|path| FieldPath(path.split('.').map(str::to_owned).collect())).collect())
}

#[test]
fn chosen_columns_are_archived_and_no_other() {
    let alerts = every_type();
    let whole = |name: &str| alerts.column_by_name(name).unwrap().clone();
    let history = whole("history").as_list::<i32>().values().as_struct().clone();
    for (choice, expected) in [
        (these(&["hist*.magpsf", "cutout", "num*", "nowhere.at_all"]), &["cutout", "history", "number"][..]),
        (ColumnChoice::AllExceptCutouts, &["decimal", "filter", "history", "map", "nothing", "number", "objectId"]),
    ] {
        let mut house = House::new();
        house.config.columns = choice.clone();
        house.accept(&batch(0, 0..3, vec![part_of(1, alerts.clone(), rows(0..3))]));
        house.seal();
        let found = &read(&house.files()[0].path)[0];
        let mut names: Vec<String> = found.schema().fields().iter().map(|field| field.name().clone()).collect();
        names.sort_unstable();
        let added = ["matches", "skysluice"].map(str::to_owned);
        let mut expected: Vec<String> = expected.iter().map(|name| (*name).to_owned()).chain(added).collect();
        expected.sort_unstable();
        assert_eq!(names, expected, "{choice:?}");
        assert_eq!(shown(found["number"].as_ref()), shown(whole("number").as_ref()));
        let items = found["history"].as_list::<i32>();
        assert_eq!((items.value_length(0), items.value_length(1), items.is_null(2)), (3, 0, true));
        if choice != ColumnChoice::AllExceptCutouts {
            assert_eq!(items.values().as_struct().column_names(), ["magpsf"]);
            assert_eq!(shown(items.values().as_struct().column(0)), shown(history.column(0)));
            assert_eq!(shown(found["cutout"].as_ref()), shown(whole("cutout").as_ref()));
        }
    }
}

#[test]
fn another_choice_of_columns_begins_another_file_and_archives_nothing_twice() {
    let mut house = House::new();
    house.config.columns = these(&["candid"]);
    house.accept(&plain(0, 0..3));
    house.seal();
    house.crash();
    house.config.columns = ColumnChoice::All;
    // What was not committed comes again and is known, whatever its file holds.
    house.accept(&plain(0, 0..3));
    house.accept(&plain(0, 3..6));
    house.seal();
    let files = house.files();
    let columns: Vec<usize> = files.iter().map(|file| read(&file.path)[0].num_columns()).collect();
    assert_eq!((house.rows(), columns), (offsets(0, 0..6), vec![3, 4]));
}

#[test]
fn a_path_that_leads_to_no_column_is_told_with_what_was_meant() {
    let schema = |field: &str| {
        let candidate = format!(r#"{{"type": "record", "name": "c", "fields": [{{"name": "{field}", "type": "float"}}]}}"#);
        let items =
            r#"{"type": "array", "items": {"type": "record", "name": "p", "fields": [{"name": "magpsf", "type": "float"}]}}"#;
        AlertSchema::parse(&format!(
            r#"{{"type": "record", "name": "a", "fields": [{{"name": "candidate", "type": {candidate}}}, {{"name": "previous", "type": {items}}}]}}"#
        ))
        .unwrap()
    };
    let known = [schema("ra"), schema("drb")];
    let told = |path: &str| crate::archive::check(&these(&["candidate", path]), &known).map_err(|e| (e.index, e.suggestion));
    // One of the schemas is enough: fields come and go with versions.
    for good in ["candidate.ra", "candidate.drb", "candidate.*", "*", "prev*.mag*", "previous.magpsf"] {
        assert_eq!(told(good), Ok(()), "{good}");
    }
    for (wrong, meant) in [
        ("candidat.ra", Some("candidate.ra")),
        ("candidate.dbr", Some("candidate.drb")),
        ("previous.magpfs", Some("previous.magpsf")),
        ("prev*.magpfs", None),
        ("candidate.ra.x", None),
        ("unlike.anything", None),
    ] {
        assert_eq!(told(wrong), Err((1, meant.map(str::to_owned))), "{wrong}");
    }
    assert!(crate::archive::check(&these(&["anything"]), &[]).is_ok(), "without a schema nothing can be told");
}
