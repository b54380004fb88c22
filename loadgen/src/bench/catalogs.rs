//! Catalogues for a run: random sources all over the sky, some of them beside the alerts, so that there is something to match.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::packets::Packets;
use crate::random::Random;

/// One alert of so many has a source of a catalogue beside it.
const BESIDE: u64 = 5;
/// How far beside, degrees: 0.3 arcseconds.
const AWAY: f64 = 0.3 / 3600.0;

/// Writes `number` catalogues of `rows` sources each into `folder` as CSV. Where alerts are made up, every fifth of the first `count`
/// lies beside a source of each catalogue, other ones for the next; `rows` may leave no room for all of them.
pub(crate) fn write(number: u32, rows: u64, packets: &Packets, count: u64, folder: &Path) -> Result<Vec<PathBuf>, Error> {
    std::fs::create_dir_all(folder).map_err(Error::file("create", folder))?;
    (0..u64::from(number)).map(|catalogue| one(catalogue, rows, packets, count, folder)).collect()
}

fn one(catalogue: u64, rows: u64, packets: &Packets, count: u64, folder: &Path) -> Result<PathBuf, Error> {
    let path = folder.join(format!("random-{}.csv", catalogue + 1));
    let file = File::create(&path).map_err(Error::file("create", &path))?;
    let mut out = BufWriter::with_capacity(1 << 20, file);
    let mut random = Random::new(catalogue);
    let mut text = || -> std::io::Result<()> {
        writeln!(out, "id,ra,dec")?;
        for row in 0..rows {
            let alert = row * BESIDE + catalogue % BESIDE;
            let (ra, dec) = match packets.look(alert).filter(|_| alert < count) {
                Some(info) => (info.ra, if info.dec > 0.0 { info.dec - AWAY } else { info.dec + AWAY }),
                None => random.place(),
            };
            writeln!(out, "c{}-{row:09},{ra:.7},{dec:.7}", catalogue + 1)?;
        }
        out.flush()
    };
    text().map_err(Error::file("write", &path))?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::packets::tests::args;

    #[test]
    fn every_fifth_alert_has_a_source_beside_it_and_the_rest_are_anywhere() {
        let folder = tempfile::tempdir().unwrap();
        let packets = Packets::new(&args(None)).unwrap();
        let paths = write(2, 1000, &packets, 500, folder.path()).unwrap();
        for (path, first) in paths.iter().zip(0..) {
            let text = std::fs::read_to_string(path).unwrap();
            let rows: Vec<(f64, f64)> = text
                .lines()
                .skip(1)
                .map(|line| {
                    let cells: Vec<&str> = line.split(',').collect();
                    (cells[1].parse().unwrap(), cells[2].parse().unwrap())
                })
                .collect();
            assert_eq!(rows.len(), 1000);
            assert!(rows.iter().all(|(ra, dec)| (0.0..=360.0).contains(ra) && (-90.0..=90.0).contains(dec)));
            for (row, (ra, dec)) in rows.iter().take(100).enumerate() {
                let info = packets.look(row as u64 * 5 + first).unwrap();
                assert!((ra - info.ra).abs() < 1e-6 && (0.2..0.4).contains(&((dec - info.dec).abs() * 3600.0)), "{row}");
            }
            // A half of the sphere holds a half of them.
            let north = rows[100..].iter().filter(|(_, dec)| *dec > 0.0).count();
            assert!((380..520).contains(&north), "{north}");
        }
    }
}
