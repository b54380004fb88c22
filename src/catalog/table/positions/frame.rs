//! Frames of positions, turned to ICRS.

use serde::Deserialize;

use crate::sky;

/// The frame of positions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Frame {
    /// The International Celestial Reference System.
    #[default]
    Icrs,
    /// FK5 at equinox J2000: up to 23 mas from ICRS.
    Fk5,
    /// Galactic longitude and latitude (IAU 1958).
    Galactic,
}

type Matrix = [[f64; 3]; 3];

impl Frame {
    /// The frame that a file names, with its equinox; the reason when positions in it are not understood.
    pub(super) fn named(name: &str, equinox: Option<&str>) -> Result<Frame, String> {
        let plain: String = name.to_ascii_lowercase().chars().filter(char::is_ascii_alphanumeric).collect();
        let year = equinox.and_then(|text| text.trim_start_matches(['J', 'j', 'B', 'b']).trim().parse::<f64>().ok());
        match plain.as_str() {
            "icrs" | "icrf" => Ok(Frame::Icrs),
            "fk5" | "eqfk5" | "j2000" | "fk5j2000" => match year {
                Some(year) if (year - 2000.0).abs() > 1e-3 => Err(format!("FK5 at equinox {year} is not understood, only J2000")),
                _ => Ok(Frame::Fk5),
            },
            "galactic" | "gal" => Ok(Frame::Galactic),
            _ => Err(format!("the frame `{name}` is not understood; there are icrs, fk5 and galactic")),
        }
    }

    /// The matrix that turns unit vectors of this frame into ICRS; none for ICRS itself.
    pub(super) fn to_icrs(self) -> Option<Matrix> {
        match self {
            Frame::Icrs => None,
            Frame::Fk5 => Some(fk5_to_icrs()),
            Frame::Galactic => Some(product(&fk5_to_icrs(), &galactic_to_fk5())),
        }
    }
}

/// A turn of the axes about one of them, by degrees.
fn turn(axis: usize, angle: f64) -> Matrix {
    let (sin, cos) = angle.to_radians().sin_cos();
    let (next, last) = ((axis + 1) % 3, (axis + 2) % 3);
    let mut matrix = [[0.0; 3]; 3];
    matrix[axis][axis] = 1.0;
    (matrix[next][next], matrix[next][last]) = (cos, sin);
    (matrix[last][next], matrix[last][last]) = (-sin, cos);
    matrix
}

fn product(a: &Matrix, b: &Matrix) -> Matrix {
    std::array::from_fn(|row| std::array::from_fn(|column| (0..3).map(|k| a[row][k] * b[k][column]).sum()))
}

fn transpose(a: &Matrix) -> Matrix {
    std::array::from_fn(|row| std::array::from_fn(|column| a[column][row]))
}

/// The frame bias of FK5 (J2000) against ICRS: eta0 = -19.9, xi0 = 9.1, da0 = -22.9 mas (Feissel and Mignard 1998, A&A 331,
/// L33).
fn fk5_to_icrs() -> Matrix {
    const MAS: f64 = 1.0 / 3.6e6;
    let icrs_to_fk5 = product(&turn(0, 19.9 * MAS), &product(&turn(1, 9.1 * MAS), &turn(2, -22.9 * MAS)));
    transpose(&icrs_to_fk5)
}

/// The IAU 1958 system (Blaauw et al. 1960, MNRAS 121, 123) as it is in FK5 at J2000: the pole, and the longitude of the
/// celestial pole, after Murray (1989, A&A 218, 325).
fn galactic_to_fk5() -> Matrix {
    const POLE_RA: f64 = 192.859_481_206_534_8;
    const POLE_DEC: f64 = 27.128_251_180_856_22;
    const LONGITUDE: f64 = 122.931_918_568_002_6;
    let fk5_to_galactic = product(&turn(2, 180.0 - LONGITUDE), &product(&turn(1, 90.0 - POLE_DEC), &turn(2, POLE_RA)));
    transpose(&fk5_to_galactic)
}

/// A position (degrees) turned by a matrix.
pub(super) fn turned(matrix: &Matrix, lon: f64, lat: f64) -> (f64, f64) {
    let vector = sky::unit_vector(lon, lat);
    let [x, y, z]: [f64; 3] = std::array::from_fn(|row| (0..3).map(|k| matrix[row][k] * vector[k]).sum());
    (sky::normalise_ra(y.atan2(x).to_degrees()), z.atan2(x.hypot(y)).to_degrees())
}
