//! The `candidate` record of a packet, field by field in the order of `ztf.avsc`. Values are drawn from the ranges of real packets;
//! -999 is "none" where ZTF writes it, and the name of the solar-system object is the text "null" where there is none.

use crate::encode::{Encoder, digits};
use crate::night::{Alert, Image, Nature};
use crate::random::Random;

/// ZTF's "none".
const NONE: f32 = -999.0;
/// Version of the real-bogus classifier.
pub(crate) const RB_VERSION: &[u8] = b"t17_f5_c3";
/// Side of a readout channel, pixels.
pub(crate) const CHANNEL: (f32, f32) = (3072.0, 3080.0);

/// Length of the name of a difference image.
pub(crate) const IMAGE_NAME: usize = 57;

/// Name of the difference image, such as `ztf_20231012433727_000505_zg_c01_o_q1_scimrefdiffimg.fits`.
pub(crate) fn image_name(image: &Image) -> [u8; IMAGE_NAME] {
    let mut name = *b"ztf_yyyymmddffffff_nnnnnn_zg_ccc_o_q1_scimrefdiffimg.fits";
    digits(&mut name[19..25], image.field.into());
    digits(&mut name[30..32], u64::from(image.rcid / 4 + 1));
    digits(&mut name[36..37], u64::from(image.rcid % 4 + 1));
    set_exposure(&mut name, image);
    name
}

/// Sets time and filter in the name of an image of the same field and channel.
pub(crate) fn set_exposure(name: &mut [u8], image: &Image) {
    digits(&mut name[4..12], image.day());
    digits(&mut name[12..18], image.fraction());
    name[27] = b"gri"[image.fid as usize - 1];
}

/// Number of the reference image: field, version, filter, channel.
pub(crate) fn reference(image: &Image) -> i64 {
    i64::from(image.field) * 1_000_000 + 120_000 + i64::from(image.fid) * 100 + i64::from(image.rcid)
}

/// Magnitude error of a detection that is `above` magnitudes brighter than the limit of five sigma.
pub(crate) fn magnitude_error(above: f32) -> f32 {
    0.02 + 0.19 * (-0.92 * above).exp()
}

/// Real-bogus score: most are real.
pub(crate) fn real_bogus(random: &mut Random) -> f32 {
    1.0 - 0.9 * random.between(0.0, 1.0).powi(2)
}

/// What of the candidate its history repeats.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reference {
    /// Distance to the nearest source of the reference image, pixels.
    pub(crate) distance: f32,
    /// Its magnitude, error, chi and sharpness.
    pub(crate) source: [f32; 4],
    /// Its position, degrees.
    pub(crate) ra: f64,
    /// Its position, degrees.
    pub(crate) dec: f64,
}

impl Reference {
    /// Draws the nearest source of the reference image.
    fn draw(alert: &Alert, random: &mut Random) -> Self {
        let distance = if alert.nature == Nature::Known { random.between(0.05, 0.5) } else { random.between(0.1, 25.0) };
        // A pixel has 1.01 arcseconds.
        let degrees = f64::from(distance) * 1.01 / 3600.0;
        let narrow = alert.place.dec.to_radians().cos().max(1e-3);
        Self {
            distance,
            source: [random.between(14.0, 22.5), random.between(0.006, 0.3), random.between(0.3, 1.5), random.between(-0.3, 0.3)],
            ra: (alert.place.ra + 0.7 * degrees / narrow).rem_euclid(360.0),
            dec: (alert.place.dec + 0.7 * degrees).min(90.0),
        }
    }
}

/// Writes the record but for what a version adds at its end; also returns what the history repeats.
pub(crate) fn write(alert: &Alert, history: usize, random: &mut Random, encoder: &mut Encoder<'_>) -> Reference {
    let image = &alert.image;
    let limit = (alert.magnitude + random.between(0.3, 1.5)).max(19.2);
    let above = limit - alert.magnitude;
    let aperture = alert.magnitude + 0.08 * random.normal();
    let seeing = random.between(1.6, 3.2);
    let (x, y) = (random.between(5.0, CHANNEL.0 - 5.0), random.between(5.0, CHANNEL.1 - 5.0));
    let edge = x.min(CHANNEL.0 - x).min(y).min(CHANNEL.1 - y);
    let nearest = Reference::draw(alert, random);

    encoder.double(image.jd);
    encoder.long(image.fid.into());
    encoder.long(image.pid());
    encoder.some_float(limit);
    encoder.some_text(&image_name(image));
    encoder.some_text(b"Kulkarni");
    encoder.long(1);
    encoder.long(alert.candid);
    encoder.bytes(if alert.positive { b"t" } else { b"f" });
    encoder.some_long(alert.candid % 1000);
    encoder.some_long(image.nid());
    encoder.some_long(image.rcid.into());
    encoder.some_long(image.field.into());
    encoder.some_floats([x, y]);
    encoder.double(alert.place.ra);
    encoder.double(alert.place.dec);
    encoder.float(alert.magnitude);
    encoder.float(magnitude_error(above));
    // chipsf, magap, sigmagap
    encoder.some_floats([random.between(0.8, 12.0), aperture, magnitude_error(above) * 0.8]);
    encoder.some_float(nearest.distance);
    encoder.some_floats(nearest.source);
    // sky, magdiff, fwhm, classtar, mindtoedge, magfromlim
    encoder.some_floats([0.4 * random.normal(), aperture - alert.magnitude, seeing * random.between(0.8, 2.0)]);
    encoder.some_floats([random.between(0.3, 1.0), edge, above]);
    shape(seeing, random, encoder);
    encoder.some_long(random.below(8).into());
    // A bad pixel in 12 of 100.
    encoder.some_long(if random.chance(0.12) { 1 + i64::from(random.below(3)) } else { 0 });
    encoder.some_float(real_bogus(random));
    solar_system(alert, random, encoder);
    // sumrat, magapbig, sigmagapbig
    encoder.some_floats([random.between(0.7, 1.0), aperture - 0.03, magnitude_error(above) * 1.1]);
    encoder.double(nearest.ra);
    encoder.double(nearest.dec);
    neighbour(random.between(0.1, 8.0), random, encoder);
    encoder.long(1 + history as i64 / 3);
    encoder.long(200 + i64::from(random.below(1_500)));
    encoder.some_double(image.jd - if history > 0 { 30.0 + 1_500.0 * random.unit() } else { 0.0 });
    encoder.some_double(image.jd);
    encoder.some_double(f64::from(5.0 + above * above * random.between(2.0, 5.0)));
    encoder.some_long(0);
    encoder.some_long(pan_starrs(random));
    encoder.some_long(pan_starrs(random));
    neighbour(random.between(8.0, 18.0), random, encoder);
    // A third neighbour within 30 arcseconds in three of four.
    if random.chance(0.75) {
        encoder.some_long(pan_starrs(random));
        neighbour(random.between(18.0, 30.0), random, encoder);
    } else {
        encoder.some_long(-999);
        encoder.some_floats([NONE; 6]);
    }
    calibration(image, random, encoder);
    nearest
}

/// seeratio, aimage, bimage, aimagerat, bimagerat, elong.
pub(crate) fn shape(seeing: f32, random: &mut Random, encoder: &mut Encoder<'_>) {
    let (long, elongation) = (random.between(0.6, 1.8), random.between(1.0, 1.7));
    let short = long / elongation;
    encoder.some_floats([random.between(0.5, 2.0), long, short, long / seeing, short / seeing, elongation]);
}

/// ssdistnr, ssmagnr, ssnamenr.
fn solar_system(alert: &Alert, random: &mut Random, encoder: &mut Encoder<'_>) {
    if alert.nature != Nature::SolarSystem {
        encoder.some_floats([NONE, NONE]);
        encoder.some_text(b"null");
        return;
    }
    encoder.some_floats([random.between(0.0, 2.0).floor(), alert.magnitude + 0.3 * random.normal()]);
    if random.chance(0.85) {
        // A numbered asteroid.
        let mut name = [0; 6];
        let number = 1_000 + random.below(650_000);
        digits(&mut name, number.into());
        let zeros = name.iter().take_while(|digit| **digit == b'0').count();
        encoder.some_text(&name[zeros..]);
    } else {
        // A provisional designation, such as 2014QX433.
        let mut name = *b"2014QX433";
        digits(&mut name[..4], u64::from(2000 + random.below(26)));
        name[4] = b"ABCDEFGHJKLMNOPQRSTUVWXY"[random.below(24) as usize];
        name[5] = b"ABCDEFGHJKLMNOPQRSTUVWXYZ"[random.below(25) as usize];
        digits(&mut name[6..], u64::from(100 + random.below(400)));
        encoder.some_text(&name);
    }
}

/// Magnitudes in g, r, i, z, star score and distance of a source of Pan-STARRS; some filters are missing.
fn neighbour(distance: f32, random: &mut Random, encoder: &mut Encoder<'_>) {
    let red = random.between(14.0, 22.5);
    let color = random.between(0.1, 1.2);
    let g = if random.chance(0.2) { NONE } else { red + color };
    let z = if random.chance(0.05) { NONE } else { red - color * 0.6 };
    encoder.some_floats([g, red, red - color * 0.4, z, random.between(0.0, 1.0), distance]);
}

/// An object id of Pan-STARRS.
fn pan_starrs(random: &mut Random) -> i64 {
    (70_000_000_000_000_000 + (random.bits() >> 8) % 140_000_000_000_000_000) as i64
}

/// From nmtchps to the end of the record.
fn calibration(image: &Image, random: &mut Random, encoder: &mut Encoder<'_>) {
    encoder.long(2 + i64::from(random.below(15)));
    encoder.long(reference(image));
    encoder.double(2_458_313.966_389 + f64::from(image.rcid));
    encoder.double(2_458_434.888_519 + f64::from(image.rcid));
    encoder.long(15);
    encoder.bytes(RB_VERSION);
    // dsnrms, ssnrms, dsdiff
    let (difference, science) = (random.between(5.0, 30.0), random.between(15.0, 60.0));
    encoder.some_floats([difference, science, difference - science]);
    zero_point(random, encoder);
    encoder.long(100 + i64::from(random.below(900)));
    // clrcoeff, clrcounc, zpclrcov, zpmed, clrmed, clrrms
    encoder.some_floats([random.between(-0.09, 0.12), random.between(1e-5, 2e-4), random.between(-7e-5, -1e-5)]);
    encoder.some_floats([random.between(25.8, 26.4), random.between(0.5, 0.9), random.between(0.2, 0.35)]);
    // neargaia, neargaiabright, maggaia, maggaiabright
    let bright = random.chance(0.1);
    encoder.some_floats([random.between(0.1, 60.0), if bright { random.between(20.0, 90.0) } else { NONE }]);
    encoder.some_floats([random.between(12.0, 20.5), if bright { random.between(9.0, 14.0) } else { NONE }]);
    encoder.some_float(30.0);
    encoder.some_float(real_bogus(random));
    encoder.bytes(b"d6_m7");
}

/// magzpsci, magzpsciunc, magzpscirms.
pub(crate) fn zero_point(random: &mut Random, encoder: &mut Encoder<'_>) {
    encoder.some_floats([random.between(25.9, 26.4), random.between(1e-5, 6e-5), random.between(0.02, 0.06)]);
}
