//! Files that are colder than memory: the pages of a batch of cones are asked for together, sorted and each once, before the
//! search waits for them one after the other.

use super::ZoneIndex;
use super::format::{Kind, PAGE};
use super::grid::Window;
use super::view::View;
use crate::sky;

/// Pages that are asked for one by one at most: of a cone that wide the kernel reads ahead by itself.
const WIDEST: usize = 4096;

impl ZoneIndex {
    /// Asks the kernel for what a search of these cones (degrees, radius in arcseconds) reads, as [`ZoneIndex::search`] has
    /// them. It waits for the directory of cells only, which is a sixteenth of the rows; reading goes on while the search
    /// begins. Worth while where the file is larger than memory or was not used for long; of a file in memory it costs a few
    /// hundred nanoseconds a position.
    pub fn will_need(&self, positions: &[(f64, f64)], radius: f64) {
        let view = View::new(self);
        let mut cells: Vec<(u32, u32)> = Vec::new();
        for &(ra, dec) in positions {
            if !(ra.is_finite() && (-90.0..=90.0).contains(&dec) && radius >= 0.0) {
                continue;
            }
            for class in view.classes() {
                let window = Window::new(sky::normalise_ra(ra), dec, (radius / 3_600.0).min(180.0), class.cosine(dec));
                let (first, second) = window.parts();
                for zone in class.zones(window.dec).take(WIDEST) {
                    let zone = class.cells(zone);
                    let part = |ra: (u32, u32)| (zone.place(ra.0), zone.place(ra.1).wrapping_add(2));
                    cells.extend(std::iter::once(first).chain(second).map(part));
                }
            }
        }
        self.ask(Kind::CellOffsets, 4, &cells);
        let row = |cell: u32| view.offsets.get(cell as usize).copied();
        let rows: Vec<(u32, u32)> =
            cells.iter().filter_map(|(first, behind)| row(*first).zip(row(behind.wrapping_sub(1)))).collect();
        self.ask(Kind::Rows, 8, &rows);
        self.ask(Kind::Payload, self.header.stride as usize, &rows);
    }

    /// Tells the kernel that this index is searched at random from a disk that is larger than memory: it then reads single
    /// pages where it would read ahead.
    pub fn expect_random_reads(&self) {
        self.map.at_random();
    }

    /// Asks for the pages of elements of a section.
    fn ask(&self, kind: Kind, width: usize, elements: &[(u32, u32)]) {
        let place = self.place(kind);
        let page = |element: u32| (place.start + element as usize * width).min(place.end) / PAGE;
        let mut pages: Vec<(usize, usize)> = elements.iter().map(|(first, behind)| (page(*first), page(*behind) + 1)).collect();
        pages.sort_unstable();
        let mut pages = pages.into_iter().peekable();
        while let Some((start, mut end)) = pages.next() {
            while let Some((_, further)) = pages.next_if(|(next, _)| *next <= end) {
                end = end.max(further);
            }
            self.map.will_need(start * PAGE, (end - start) * PAGE);
        }
    }
}
