//! The arrays of ZTF's packet: previous candidates (detections and upper limits of the last 30 days) and forced photometry, field
//! by field in the order of `ztf.avsc`. How long they are, and when their entries were, holds for LSST too.

use crate::candidate::{self, CHANNEL, IMAGE_NAME, RB_VERSION, Reference};
use crate::encode::Encoder;
use crate::night::{Alert, Image, Nature};
use crate::random::Random;
use crate::sky::{self, Place};

/// What ZTF writes into forced photometry that failed.
const FAILED: f32 = -99_999.0;
/// The archive's path of an image, before its name.
const ARCHIVE: &[u8] = b"/ztf/archive/sci/";

/// How many entries the arrays have; `None` is a null array.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lengths {
    /// Previous candidates.
    pub(crate) previous: Option<usize>,
    /// Forced photometry.
    pub(crate) forced: Option<usize>,
}

impl Lengths {
    /// Draws them: 4 of 100 alerts have null arrays, 4 have empty ones.
    pub(crate) fn draw(mean_previous: f64, mean_forced: f64, random: &mut Random) -> Self {
        let kind = random.unit();
        if kind < 0.04 {
            return Self { previous: None, forced: None };
        }
        if kind < 0.08 {
            return Self { previous: Some(0), forced: Some(0) };
        }
        // A gamma distribution of shape 3, cut at three times its mean, which takes 0.4 % of the mean.
        let gamma = -((1.0 - random.unit()) * (1.0 - random.unit()) * (1.0 - random.unit())).ln() / 3.0;
        let previous = (mean_previous / 0.916 * gamma).min(mean_previous * 3.0).round();
        let forced = (mean_forced / 0.92 * 2.0 * random.unit()).min(mean_forced * 1.8).round();
        Self { previous: Some(previous as usize), forced: Some(forced as usize) }
    }
}

/// Writes an array in a union as one block.
pub(crate) fn array(length: Option<usize>, encoder: &mut Encoder<'_>, mut item: impl FnMut(usize, &mut Encoder<'_>)) {
    let Some(length) = length else {
        encoder.nulls(1);
        return;
    };
    encoder.value();
    if length > 0 {
        encoder.long(length as i64);
        for number in 0..length {
            item(number, encoder);
        }
    }
    encoder.long(0);
}

/// The image of entry `number` of `length`, spread over the 29 days before the alert, the oldest first.
pub(crate) fn earlier(alert: &Alert, number: usize, length: usize, random: &mut Random) -> Image {
    let day = 29.0 * (number as f64 + random.unit()) / length as f64;
    Image { jd: alert.image.jd - 29.9 + day, fid: 1 + u32::from(random.below(20) > 9), ..alert.image }
}

/// Writes `prv_candidates`.
pub(crate) fn previous(
    alert: &Alert,
    length: Option<usize>,
    nearest: &Reference,
    random: &mut Random,
    encoder: &mut Encoder<'_>,
) {
    let detected = match alert.nature {
        Nature::Known => 0.6,
        Nature::Star => 0.4,
        // An asteroid was somewhere else.
        Nature::SolarSystem => 0.02,
    };
    let narrow = alert.place.dec.to_radians().cos();
    let mut path = Path::of(&alert.image);
    array(length, encoder, |number, encoder| {
        let image = earlier(alert, number, length.unwrap_or(1), random);
        let limit = random.between(19.3, 20.9);
        encoder.double(image.jd);
        encoder.long(image.fid.into());
        encoder.long(image.pid());
        encoder.some_float(limit);
        encoder.some_text(path.at(&image));
        encoder.some_text(b"Kulkarni");
        encoder.long(1);
        if random.chance(detected) {
            let place = sky::scattered(alert.place, narrow, 0.1, random);
            detection(alert, &image, place, limit, nearest, random, encoder);
        } else {
            upper_limit(&image, encoder);
        }
        candidate::zero_point(random, encoder);
        encoder.some_floats([random.between(-0.09, 0.12), random.between(1e-5, 2e-4)]);
        encoder.bytes(RB_VERSION);
    });
}

/// From candid to scorr of an upper limit: only the image is known.
fn upper_limit(image: &Image, encoder: &mut Encoder<'_>) {
    // candid, isdiffpos, tblid
    encoder.nulls(3);
    encoder.some_long(image.nid());
    encoder.some_long(image.rcid.into());
    encoder.some_long(image.field.into());
    // From xpos to scorr.
    encoder.nulls(38);
}

/// From candid to scorr of a detection.
fn detection(
    alert: &Alert,
    image: &Image,
    place: Place,
    limit: f32,
    nearest: &Reference,
    random: &mut Random,
    encoder: &mut Encoder<'_>,
) {
    let serial = i64::from(random.below(60));
    let positive = if random.chance(0.9) { alert.positive } else { !alert.positive };
    let magnitude = (alert.magnitude + 0.4 * random.normal()).min(limit - 0.1);
    let above = limit - magnitude;
    let aperture = magnitude + 0.08 * random.normal();
    let seeing = random.between(1.6, 3.2);
    let (x, y) = (random.between(5.0, CHANNEL.0 - 5.0), random.between(5.0, CHANNEL.1 - 5.0));
    encoder.some_long(image.pid() * 1_000_000 + if positive { 15_000 } else { 10_000 } + serial);
    encoder.some_text(if positive { b"t" } else { b"f" });
    encoder.some_long(serial);
    encoder.some_long(image.nid());
    encoder.some_long(image.rcid.into());
    encoder.some_long(image.field.into());
    encoder.some_floats([x, y]);
    encoder.some_double(place.ra);
    encoder.some_double(place.dec);
    // magpsf, sigmapsf, chipsf, magap, sigmagap
    let error = candidate::magnitude_error(above);
    encoder.some_floats([magnitude, error, random.between(0.8, 12.0), aperture, error * 0.8]);
    encoder.some_float(nearest.distance);
    encoder.some_floats(nearest.source);
    // sky, magdiff, fwhm, classtar, mindtoedge, magfromlim
    let edge = x.min(CHANNEL.0 - x).min(y).min(CHANNEL.1 - y);
    encoder.some_floats([0.4 * random.normal(), aperture - magnitude, seeing, random.between(0.3, 1.0), edge, above]);
    candidate::shape(seeing, random, encoder);
    encoder.some_long(random.below(8).into());
    encoder.some_long(0);
    encoder.some_float(candidate::real_bogus(random));
    // Real packets have no solar-system match in the history of most alerts.
    encoder.nulls(3);
    // sumrat, magapbig, sigmagapbig
    encoder.some_floats([random.between(0.7, 1.0), aperture - 0.03, error * 1.1]);
    encoder.some_double(nearest.ra);
    encoder.some_double(nearest.dec);
    encoder.some_double(f64::from(5.0 + above * above * 3.0));
}

/// Paths of a channel's images in the archive, such as
/// `/ztf/archive/sci/2023/0908/479803/ztf_20230908479803_000252_zr_c01_o_q1_scimrefdiffimg.fits.fz`.
struct Path([u8; 94]);

impl Path {
    /// Begins with this image.
    fn of(image: &Image) -> Self {
        let mut path = [b'/'; 94];
        path[..17].copy_from_slice(ARCHIVE);
        path[34..34 + IMAGE_NAME].copy_from_slice(&candidate::image_name(image));
        path[34 + IMAGE_NAME..].copy_from_slice(b".fz");
        Self(path)
    }

    /// The path of another image of the same field and channel.
    fn at(&mut self, image: &Image) -> &[u8] {
        let (folders, name) = self.0.split_at_mut(34);
        candidate::set_exposure(name, image);
        folders[17..21].copy_from_slice(&name[4..8]);
        folders[22..26].copy_from_slice(&name[8..12]);
        folders[27..33].copy_from_slice(&name[12..18]);
        &self.0
    }
}

/// Writes `fp_hists`.
pub(crate) fn forced(alert: &Alert, length: Option<usize>, nearest: &Reference, random: &mut Random, encoder: &mut Encoder<'_>) {
    array(length, encoder, |number, encoder| {
        let image = earlier(alert, number, length.unwrap_or(1), random);
        encoder.some_long(image.field.into());
        encoder.some_long(image.rcid.into());
        encoder.long(image.fid.into());
        encoder.long(image.pid());
        encoder.long(candidate::reference(&image));
        // sciinpseeing, scibckgnd, scisigpix
        encoder.some_floats([random.between(1.6, 3.8), random.between(110.0, 350.0), random.between(5.5, 9.0)]);
        candidate::zero_point(random, encoder);
        encoder.some_floats([random.between(-0.09, 0.12), random.between(1e-5, 2e-4), 30.0]);
        // adpctdif1, adpctdif2, diffmaglim
        encoder.some_floats([random.between(0.07, 0.12), random.between(0.07, 0.12), random.between(19.5, 20.6)]);
        encoder.long(1);
        encoder.double(image.jd);
        if random.chance(0.07) {
            encoder.some_floats([FAILED; 2]);
            encoder.some_text(b"61");
            encoder.some_float(FAILED);
            encoder.double(FAILED.into());
            encoder.double(FAILED.into());
            encoder.some_floats([FAILED; 4]);
        } else {
            let noise = random.between(20.0, 60.0);
            encoder.some_floats([noise * 6.0 * random.normal(), noise]);
            encoder.some_text(b"0");
            encoder.some_float(nearest.distance);
            encoder.double(nearest.ra);
            encoder.double(nearest.dec);
            encoder.some_floats(nearest.source);
        }
    });
}
