//! Decoding, side by side on the same packets: the compiled plan, arrow-avro, apache-avro (to its values, and through serde into
//! structs), serde_avro_fast and fastavro. One thread, batches of 256 distinct packets of the simulator, mimalloc.
//!
//! Every row begins with what one message says once its schema is known: the bytes of one datum each. The plan's rows have a
//! registry's frame of five bytes around it, and give all that the stage gives: columns, candidate view, row origins, dead
//! letters. The rows `containers` have ZTF's whole containers, whose embedded schema is compared by the plan and parsed by
//! apache-avro, as its reader does for every message. Dropping what was decoded is part of every row.
//!
//! Before anything is timed all decoders have to agree about some fields of every packet. After criterion's figures, which are
//! one row after the other, comes a table of medians of rounds in which the rows take turns: that one is to be quoted.
//! serde_avro_fast (a program beside this one, see there) and fastavro (with the Python of `SKYSLUICE_PYTHON`, or `python3`) are
//! in the table where they can be run; they get the same datums in a file, and time themselves.

#![allow(missing_docs, clippy::unwrap_used)]

#[path = "decode/beside.rs"]
mod beside;
#[path = "decode/others.rs"]
mod others;
#[path = "decode/packets.rs"]
mod packets;
#[path = "decode/plan.rs"]
mod plan;
#[path = "decode/seen.rs"]
mod seen;
#[path = "decode/structs.rs"]
mod structs;

use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput};
use packets::{ALERTS, Packets};
use seen::Seen;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Rounds in which the rows take turns.
const ROUNDS: usize = 21;

/// One way of decoding all packets of a set.
pub struct Row<'a> {
    pub name: &'static str,
    /// What it reads of every packet, to be held against the others; as much of it as it decodes.
    pub seen: Vec<Seen>,
    /// Decodes all packets and drops what comes out.
    pub run: Box<dyn FnMut() + 'a>,
}

fn rows(packets: &Packets) -> Vec<Row<'_>> {
    let rows: Vec<Row<'_>> = plan::rows(packets).into_iter().chain(others::rows(packets)).collect();
    for row in &rows {
        agree(packets, row.name, &row.seen);
    }
    rows
}

/// Nobody may time nonsense.
fn agree(packets: &Packets, name: &str, seen: &[Seen]) {
    assert_eq!(seen.len(), packets.made.len(), "{}, {name}", packets.name);
    for (seen, made) in seen.iter().zip(&packets.made) {
        assert!(seen.is_part_of(made), "{}, {name}: {seen:?} is not {made:?}", packets.name);
    }
}

fn criterion(criterion: &mut Criterion, packets: &Packets) {
    let mut group = criterion.benchmark_group(packets.name);
    group.throughput(Throughput::Elements(ALERTS as u64)).sample_size(10);
    group.warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(2));
    for mut row in rows(packets) {
        group.bench_function(row.name, |bencher| bencher.iter(&mut row.run));
    }
    group.finish();
}

/// Microseconds an alert of every row, the median of rounds in which they take turns.
fn turns(packets: &Packets) -> Vec<(&'static str, f64)> {
    let mut rows = rows(packets);
    let mut times = vec![Vec::new(); rows.len()];
    for _ in 0..ROUNDS {
        for (row, times) in rows.iter_mut().zip(&mut times) {
            let start = Instant::now();
            (row.run)();
            times.push(start.elapsed().as_secs_f64() * 1e6 / ALERTS as f64);
        }
    }
    let median = |mut times: Vec<f64>| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    };
    rows.iter().map(|row| row.name).zip(times.into_iter().map(median)).collect()
}

fn table(packets: &Packets) {
    let mut rows = turns(packets);
    match beside::measure(packets) {
        Ok(beside) => {
            for (name, outcome) in beside {
                match outcome {
                    Ok((us, seen)) => {
                        agree(packets, name, &seen);
                        rows.push((name, us));
                    }
                    Err(reason) => eprintln!("{name} is left out: {reason}"),
                }
            }
        }
        Err(error) => eprintln!("programs beside this one are left out: {error}"),
    }
    let bytes = packets.datums().map(<[u8]>::len).sum::<usize>() / ALERTS;
    println!("\n{}: {bytes} bytes a datum, {ALERTS} a batch, one thread, median of {ROUNDS} rounds in turn\n", packets.name);
    println!("| {:44} | us an alert | times the plan |\n|{:-<46}|-------------|----------------|", "decoder", "");
    let plan = rows[0].1;
    for (name, us) in rows {
        println!("| {name:44} | {us:11.2} | {:14.2} |", us / plan);
    }
}

fn main() {
    let all = Packets::all();
    let mut bench = Criterion::default().configure_from_args();
    for packets in &all {
        criterion(&mut bench, packets);
    }
    bench.final_summary();
    // `cargo test --benches` only wants to know whether it runs.
    if !std::env::args().any(|argument| argument == "--test") {
        all.iter().for_each(table);
    }
}
