//! How files come and go: names, leftovers, builds at the same time, replacement under running searches.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, RwLock};

use super::{batch, build, folder, keeping, number, numbers};
use crate::catalog::Hits;
use crate::catalog::tests::Dice;
use crate::catalog::zones::{Builder, Keep, ZoneError, ZoneIndex};

fn listed(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_build_leaves_the_index_alone_and_nothing_where_it_is_dropped() {
    let folder = folder();
    let path = folder.path().join("a.zones");
    build(&path, &[(1.0, 2.0)], keeping(Keep::Everything));
    assert_eq!(listed(folder.path()), ["a.zones"]);
    let mut dropped = Builder::create(&path, keeping(Keep::Everything)).unwrap();
    dropped.push(&batch(numbers(1), &[5.0], &[5.0])).unwrap();
    assert_eq!(listed(folder.path()), [".a.zones.building", "a.zones"]);
    drop(dropped);
    assert_eq!(listed(folder.path()), ["a.zones"]);
    assert_eq!(ZoneIndex::open(&path).unwrap().position(0), (1.0, 2.0));
}

#[test]
fn what_a_killed_build_left_is_cleaned_by_the_next() {
    let folder = folder();
    let path = folder.path().join("a.zones");
    let left = folder.path().join(".a.zones.building");
    fs::create_dir(&left).unwrap();
    for name in ["records", "heap", "index", "lock"] {
        fs::write(left.join(name), b"half of something").unwrap();
    }
    build(&path, &[(1.0, 2.0)], keeping(Keep::Everything));
    assert_eq!(listed(folder.path()), ["a.zones"]);
}

#[test]
fn two_builds_of_one_index_do_not_meet() {
    let folder = folder();
    let path = folder.path().join("a.zones");
    let first = Builder::create(&path, keeping(Keep::Everything)).unwrap();
    let error = Builder::create(&path, keeping(Keep::Everything)).err().unwrap();
    assert!(matches!(error, ZoneError::Busy { .. }), "{error}");
    Builder::create(&folder.path().join("b.zones"), keeping(Keep::Everything)).unwrap();
    drop(first);
    Builder::create(&path, keeping(Keep::Everything)).unwrap();
}

/// How many maps of files of a folder this process has.
fn maps(folder: &Path) -> usize {
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    maps.lines().filter(|line| line.contains(folder.to_str().unwrap())).count()
}

/// Versions of a catalogue, each with its own declinations, swapped by renames a thousand times while threads search: each
/// answer is that of one version, whole, and nothing of the old files stays mapped.
#[test]
fn an_index_is_replaced_under_running_searches() {
    let folder = folder();
    let live = folder.path().join("live.zones");
    let mut dice = Dice(40);
    let rows: Vec<(f64, f64)> = (0..5_000).map(|_| (dice.within(0.0, 360.0), dice.within(-80.0, 80.0))).collect();
    // Version v has its sources v milliarcseconds to the north; ids tell the version.
    let versions: Vec<PathBuf> = (0..4)
        .map(|v| {
            let path = folder.path().join(format!("v{v}"));
            let (ra, dec): (Vec<f64>, Vec<f64>) = rows.iter().map(|p| (p.0, p.1 + f64::from(v) / 3.6e6)).unzip();
            let ids = (0..rows.len()).map(|i| (i * 4) as i64 + i64::from(v));
            let mut builder = Builder::create(&path, keeping(Keep::Everything)).unwrap();
            builder.push(&batch(Arc::new(arrow_array::Int64Array::from_iter_values(ids)), &ra, &dec)).unwrap();
            builder.finish(&mut |_| ()).unwrap();
            path
        })
        .collect();
    let publish = |v: usize| {
        fs::copy(&versions[v], folder.path().join("next")).unwrap();
        fs::rename(folder.path().join("next"), &live).unwrap();
        Arc::new(ZoneIndex::open(&live).unwrap())
    };
    let current = RwLock::new(publish(0));
    let (done, searches) = (AtomicBool::new(false), AtomicUsize::new(0));
    let (current_ref, done_ref, searches_ref) = (&current, &done, &searches);
    let rows_ref = &rows;
    std::thread::scope(|scope| {
        for thread in 0..3 {
            scope.spawn(move || {
                let (mut hits, mut start) = (Hits::default(), thread * 100);
                while !done_ref.load(Ordering::Relaxed) {
                    let index = current_ref.read().unwrap().clone();
                    start = (start + 64) % (rows_ref.len() - 64);
                    index.search(&rows_ref[start..start + 64], 0.5, &mut hits);
                    let version = number(&index, hits.of(0)[0].row) % 4;
                    for query in 0..64 {
                        let wanted = hits.of(query).iter().find(|h| number(&index, h.row) / 4 == (start + query) as u32);
                        let hit = wanted.expect("the source is in each version");
                        assert_eq!(number(&index, hit.row) % 4, version);
                        assert!((hit.distance - f64::from(version) / 1_000.0).abs() < 1e-6);
                    }
                    searches_ref.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for swap in 1..=1_000 {
            let next = publish(swap % 4);
            assert!(maps(folder.path()) <= 8, "old files stay mapped");
            *current.write().unwrap() = next;
        }
        done.store(true, Ordering::Relaxed);
    });
    assert!(searches.load(Ordering::Relaxed) > 100);
    assert_eq!(maps(folder.path()), 1);
    drop(current);
    assert_eq!(maps(folder.path()), 0);
}

/// Asking ahead for pages changes nothing of what is found, of any cone.
#[test]
fn asking_ahead_changes_nothing() {
    let folder = folder();
    let mut dice = Dice(41);
    let rows: Vec<(f64, f64)> = (0..50_000).map(|_| dice.anywhere()).collect();
    let index = build(&folder.path().join("a.zones"), &rows, keeping(Keep::Everything));
    let (mut before, mut after) = (Hits::default(), Hits::default());
    for radius in [-1.0, 0.0, 1.5, 36_000.0, 648_000.0] {
        let positions = [&rows[..50], &[(f64::NAN, 0.0), (0.0, 90.0), (0.0, -90.0)]].concat();
        index.search(&positions, radius, &mut before);
        index.will_need(&positions, radius);
        index.search(&positions, radius, &mut after);
        assert!((0..positions.len()).all(|q| before.of(q) == after.of(q)));
    }
    index.expect_random_reads();
    index.search(&rows[..10], 1.0, &mut after);
    assert!(after.total() >= 10);
}
