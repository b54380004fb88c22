//! The night: which exposure an alert belongs to, and what it is called. Everything is a function of the alert's number.
//!
//! Names follow ZTF: a night's id counts days since 2017-01-01T00:00 UTC; the processing id is night, day fraction in five digits,
//! readout channel and "15"; the candidate id is the processing id, "010" for negative or "015" for positive, and a number.

use std::fmt;
use std::ops::Deref;

use crate::config::SimulatorConfig;
use crate::encode::digits;
use crate::random::{Random, Stream};
use crate::sky::{self, Field, Place};

/// Milliseconds of a day.
const DAY: i64 = 86_400_000;
/// Julian date of 1970-01-01T00:00.
const UNIX_JD: f64 = 2_440_587.5;
/// Julian date at which ZTF's night 0 begins.
const NIGHT_ZERO_JD: f64 = 2_457_754.5;
/// Nights before candidate ids repeat.
const NIGHTS: u64 = 3_000;
/// Exposure time and readout, milliseconds.
const EXPOSURE: i64 = 30_000;
/// Readout channels of the camera.
pub(crate) const CHANNELS: u32 = 64;
/// 26^6: names that begin with the same letter.
const NAMES_PER_LETTER: u64 = 308_915_776;
/// Names of new objects: all but those that begin with "z", which are the known objects'.
const NEW_NAMES: u64 = 25 * NAMES_PER_LETTER;

/// An object's name, such as `ZTF26abcdefg`, or its number in decimal; text without an allocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectId {
    /// Filled up with zeros.
    text: [u8; 19],
    length: u8,
}

impl ObjectId {
    /// ZTF's name with this number, below 26^7.
    pub(crate) fn name(number: u64) -> Self {
        let mut text = [0; 19];
        text[..5].copy_from_slice(b"ZTF26");
        let mut rest = number;
        for letter in text[5..12].iter_mut().rev() {
            *letter = b'a' + (rest % 26) as u8;
            rest /= 26;
        }
        Self { text, length: 12 }
    }

    /// A number of 18 digits.
    pub(crate) fn number(number: u64) -> Self {
        let mut text = [0; 19];
        digits(&mut text[..18], number);
        Self { text, length: 18 }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.text[..usize::from(self.length)]).expect("a name is made of ASCII letters and digits")
    }
}

impl Deref for ObjectId {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

/// The image that an alert, or an entry of its history, comes from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Image {
    /// Start of the exposure, Julian date, UTC.
    pub(crate) jd: f64,
    /// Filter: 1 is g, 2 is r, 3 is i.
    pub(crate) fid: u32,
    /// Number of the field.
    pub(crate) field: u32,
    /// Readout channel, 0 to 63.
    pub(crate) rcid: u32,
}

impl Image {
    /// The night's id.
    pub(crate) fn nid(&self) -> i64 {
        (self.jd - NIGHT_ZERO_JD) as i64
    }

    /// The processing id.
    pub(crate) fn pid(&self) -> i64 {
        ((self.jd - NIGHT_ZERO_JD) * 1e5) as i64 * 10_000 + i64::from(self.rcid) * 100 + 15
    }

    /// Six digits of the fraction of the day.
    pub(crate) fn fraction(&self) -> u64 {
        // A night of before 2017 does not come, so that dropping the fraction is rounding down.
        let days = self.jd - NIGHT_ZERO_JD;
        ((days - days as i64 as f64) * 1e6) as u64
    }

    /// The day, UTC, as the number yyyymmdd.
    pub(crate) fn day(&self) -> u64 {
        // Hinnant, "chrono-compatible low-level date algorithms", civil_from_days, for days after 1970.
        let days = (self.jd - UNIX_JD) as u32 + 719_468;
        let era = days / 146_097;
        let of_era = days - era * 146_097;
        let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year + year / 4 - year / 100);
        let shifted = (5 * of_year + 2) / 153;
        let day = of_year - (153 * shifted + 2) / 5 + 1;
        let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
        let year = year + era * 400 + u32::from(month <= 2);
        u64::from(year * 10_000 + month * 100 + day)
    }
}

/// What kind of thing an alert is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Nature {
    /// Something new, or a variable star.
    Star,
    /// On one of the targets.
    Known,
    /// A known asteroid.
    SolarSystem,
}

/// An alert before its packet is written.
#[derive(Clone, Debug)]
pub(crate) struct Alert {
    /// Draws the rest.
    pub(crate) random: Random,
    /// Its number in the stream.
    pub(crate) index: u64,
    /// The image.
    pub(crate) image: Image,
    /// The candidate id.
    pub(crate) candid: i64,
    /// The number of its object: that of ZTF's name.
    pub(crate) object: u64,
    /// What it is.
    pub(crate) nature: Nature,
    /// Brighter than the reference.
    pub(crate) positive: bool,
    /// Where.
    pub(crate) place: Place,
    /// PSF magnitude.
    pub(crate) magnitude: f32,
    /// When the packet is sent, Unix time, ms.
    pub(crate) timestamp: i64,
    /// Start of the exposure, Unix time, s.
    pub(crate) unix: u32,
}

/// The exposure with this number: start (Unix time, ms), filter and field.
fn exposure(config: &SimulatorConfig, number: u64) -> (i64, u32, Field) {
    let per_night = u64::from(config.exposures_per_night);
    let night = (number / per_night % NIGHTS) as i64;
    let start = config.start + night * DAY + (number % per_night) as i64 * i64::from(config.cadence);
    let mut random = Random::new(config.seed, Stream::Exposure, number);
    let fid = match random.below(20) {
        0..9 => 1,
        9..19 => 2,
        _ => 3,
    };
    (start, fid, sky::field(sky::anywhere(&mut random)))
}

/// Draws the alert with this number.
pub(crate) fn draw(config: &SimulatorConfig, index: u64) -> Alert {
    let size = u64::from(config.alerts_per_exposure);
    let (start, fid, field) = exposure(config, index / size);
    let mut random = Random::new(config.seed, Stream::Alert, index);

    // Channels one after the other; in each the negative candidates first, so that candidate ids grow.
    let turn = index % size;
    let rcid = turn * u64::from(CHANNELS) / size;
    let first = (rcid * size).div_ceil(u64::from(CHANNELS));
    let next = ((rcid + 1) * size).div_ceil(u64::from(CHANNELS));
    let positive = turn - first >= (next - first) * 3 / 10;

    let nature = match random.unit() {
        draw if draw < config.solar_system_fraction => Nature::SolarSystem,
        draw if draw < config.solar_system_fraction + config.target_fraction && !config.targets.is_empty() => Nature::Known,
        _ => Nature::Star,
    };
    let mut place = sky::in_field(&field, &mut random);
    let mut magnitude = 20.4 - 4.5 * random.unit() as f32 * random.unit() as f32;
    let mut object = new_name(index);
    let mut field_number = field.number;
    if nature == Nature::Known {
        let number = random.below(config.targets.len() as u32);
        let target = &config.targets[number as usize];
        let home = Place { ra: target.ra.rem_euclid(360.0), dec: target.dec };
        place = sky::beside(home, 0.1 + 0.4 * random.unit(), std::f64::consts::TAU * random.unit());
        field_number = sky::field(place).number;
        object = NEW_NAMES + u64::from(number) % NAMES_PER_LETTER;
        // The same object has about the same brightness each time.
        magnitude = Random::new(config.seed, Stream::Target, number.into()).between(15.5, 19.5) + 0.2 * random.normal();
    }
    let image = Image { jd: UNIX_JD + start as f64 / DAY as f64, fid, field: field_number, rcid: rcid as u32 };
    let offset = if positive { 15_000 } else { 10_000 };
    Alert {
        random,
        index,
        image,
        candid: image.pid() * 1_000_000 + offset + (turn - first) as i64,
        object,
        nature,
        positive,
        place,
        magnitude,
        timestamp: start + EXPOSURE + (turn * u64::from(config.cadence) / size) as i64,
        unix: (start / 1000) as u32,
    }
}

/// A bijection of the first 7.7e9 numbers, so that no two new objects have the same name.
fn new_name(index: u64) -> u64 {
    // The factor has no common divisor with 25 * 26^6, which is made of 2, 5 and 13.
    ((u128::from(index) * 4_771_830_227 + 1_234_567_891) % u128::from(NEW_NAMES)) as u64
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::config::Target;

    #[test]
    fn names_and_dates_are_those_of_a_real_packet() {
        // 2475433850415015004 of 2023-10-12, channel 4.
        let image = Image { jd: 2_460_229.933_854_2, fid: 1, field: 505, rcid: 4 };
        assert_eq!(image.nid(), 2475);
        assert_eq!(image.pid(), 2_475_433_850_415);
        assert_eq!(image.day(), 20_231_012);
        assert_eq!(Image { jd: 2_461_353.625, ..image }.day(), 20_261_109);
        assert_eq!(Image { jd: 2_460_369.5, ..image }.day(), 20_240_229);
    }

    #[test]
    fn candidate_ids_grow_and_new_names_are_unique() {
        for (size, per_night) in [(400, 800), (1, 800), (7, 50), (32_000, 2)] {
            let config =
                SimulatorConfig { alerts_per_exposure: size, exposures_per_night: per_night, ..SimulatorConfig::default() };
            let mut last = (0, 0);
            let mut names = HashSet::new();
            for index in 0..70_000 {
                let alert = draw(&config, index);
                assert!(alert.candid > last.0, "{size} {index}: {} after {}", alert.candid, last.0);
                assert!(alert.timestamp >= last.1, "{size} {index}");
                assert!(names.insert(alert.object), "{index}");
                last = (alert.candid, alert.timestamp);
            }
        }
    }

    #[test]
    fn a_target_keeps_its_name() {
        let targets = (0..3).map(|n| Target { id: format!("t{n}"), ra: 40.0 * f64::from(n), dec: 12.0 }).collect();
        let config = SimulatorConfig { targets, target_fraction: 0.5, ..SimulatorConfig::default() };
        let known: HashSet<_> = (0..300)
            .map(|index| draw(&config, index))
            .filter(|alert| alert.nature == Nature::Known)
            .map(|alert| alert.object)
            .collect();
        assert_eq!(known.len(), 3);
        assert!(known.iter().all(|number| ObjectId::name(*number).starts_with("ZTF26z")));
    }
}
