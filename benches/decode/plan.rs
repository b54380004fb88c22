//! The compiled plan, as the stage runs it.

use std::collections::BTreeMap;
use std::hint::black_box;

use skysluice::alert::{RawBatch, Transform};
use skysluice::avro::Wanted;
use skysluice::config::Framing;
use skysluice::decode::Decode;

use crate::Row;
use crate::packets::{Packets, names};
use crate::seen::of_columns;

/// Rows of the plan; the one that the others are compared with comes first.
pub fn rows(packets: &Packets) -> Vec<Row<'_>> {
    let frames = Framing::Confluent(BTreeMap::from([(1, packets.schema.as_str().into())]));
    let cutouts = || Wanted::all_but(["cutoutScience", "cutoutTemplate", "cutoutDifference"].map(names));
    let row = |name, framing: &Framing, wanted: Wanted, batch| row(packets, name, framing, wanted, batch);
    let mut rows = vec![
        row("plan, all columns", &frames, Wanted::everything(), &packets.frames),
        row("plan, without cut-outs", &frames, cutouts(), &packets.frames),
        row("plan, the candidate view alone", &frames, Wanted::only([]), &packets.frames),
    ];
    if let Some(containers) = &packets.containers {
        rows.push(row("plan, all columns, containers", &Framing::Container, Wanted::everything(), containers));
        rows.push(row("plan, candidate view, containers", &Framing::Container, Wanted::only([]), containers));
    }
    rows
}

fn row<'a>(packets: &Packets, name: &'static str, framing: &Framing, wanted: Wanted, batch: &'a RawBatch) -> Row<'a> {
    let decode = Decode::new(framing, packets.survey.clone(), wanted).unwrap();
    let decoded = decode.apply(batch).unwrap();
    assert!(decoded.letters.is_empty() && decoded.parts.len() == 1, "{name}: {:?}", decoded.letters.first());
    let seen = of_columns(packets.is_ztf, &decoded.parts[0].records);
    Row { name, seen, run: Box::new(move || drop(black_box(decode.apply(batch)))) }
}
