//! The search: cones in groups, each step of a group asking memory for what the next one reads.
//!
//! A query at random touches three places of a large file (directory, rows, payload), each of which takes a hundred nanoseconds
//! or more to come. So 32 queries go together: their windows are planned and the cells of the directory asked for; the cells
//! are read and the rows asked for; the rows are tested and the payload of what passes asked for; last comes the exact test.
//!
//! **Invariant:** whatever the bytes of the file, a search ends without a panic: each number of the file is used through a
//! checked access. **Invariant:** the steady state allocates nothing.

use std::cell::RefCell;

use super::grid::Window;
use super::map::prefetch;
use super::open::ZoneIndex;
use super::view::View;
use crate::catalog::{Hit, Hits};
use crate::sky::{self, Viewpoint};

/// Queries that go together.
const GROUP: usize = 32;
/// Candidates that are gathered before they are tested: a wide cone has millions.
const CANDIDATES: usize = 1 << 12;
/// Spans and candidates that are kept for the next search.
const KEPT: usize = 1 << 16;
/// Rows of a cell up to which it is read from end to end.
const SHORT: usize = 32;
/// Rows in a cache line.
const LINE: usize = 8;

/// How far a cone reaches.
#[derive(Clone, Copy, Debug)]
pub enum Radius<'a> {
    /// The same for all, arcseconds.
    All(f64),
    /// One for each position, arcseconds; positions beyond the end have none and find nothing.
    Each(&'a [f64]),
    /// That of each source, times this: found are the sources in whose own radius, made so much larger, the position is.
    Own(f64),
}

/// A batch of cones.
#[derive(Clone, Copy, Debug)]
pub struct Cones<'a> {
    /// Right ascensions and declinations, ICRS, degrees.
    pub positions: &'a [(f64, f64)],
    /// How far they reach.
    pub radius: Radius<'a>,
    /// Julian year to which movers are moved; `None`: all sources are where the catalogue has them.
    pub epoch: Option<f64>,
}

/// Rows that may lie in a window: from one cell of the directory to another, right ascensions between two quanta.
#[derive(Clone, Copy, Debug)]
struct Span {
    query: u32,
    /// Place in COFF of the first cell, and of the one behind the last.
    cells: (u32, u32),
    ra: (u32, u32),
    dec: (u32, u32),
    /// Rows, once the directory has been read.
    rows: (u32, u32),
    /// How far in its cell the window begins, of 2^32; then the row at which it is likely to begin.
    guess: u32,
}

/// Buffers that a thread keeps from search to search.
#[derive(Default)]
struct Work {
    spans: Vec<Span>,
    /// Query and row.
    candidates: Vec<(u32, u32)>,
}

thread_local! {
    static WORK: RefCell<Work> = RefCell::default();
}

impl ZoneIndex {
    /// All sources within `radius` (arcseconds, the boundary included) of each position (right ascension, declination, ICRS
    /// degrees), where the catalogue has them. `hits` is emptied first and keeps its memory. What is no position has no hits
    /// (NaN, declinations beyond 90), nor has a radius that is negative or NaN.
    pub fn search(&self, positions: &[(f64, f64)], radius: f64, hits: &mut Hits) {
        self.find(&Cones { positions, radius: Radius::All(radius), epoch: None }, hits);
    }

    /// As [`ZoneIndex::search`], movers where they are at the epoch (Julian year).
    pub fn search_at(&self, epoch: f64, positions: &[(f64, f64)], radius: f64, hits: &mut Hits) {
        self.find(&Cones { positions, radius: Radius::All(radius), epoch: Some(epoch) }, hits);
    }

    /// All sources in each of a batch of cones; as [`ZoneIndex::search`] in all else.
    pub fn find(&self, cones: &Cones, hits: &mut Hits) {
        hits.begin(cones.positions.len());
        let view = View::new(self);
        WORK.with_borrow_mut(|work| {
            for start in (0..cones.positions.len()).step_by(GROUP) {
                let end = cones.positions.len().min(start + GROUP);
                Group { view: &view, cones, years: view.years(cones.epoch) }.search(start..end, work, hits);
            }
            if work.spans.capacity() > KEPT {
                work.spans = Vec::new();
            }
        });
    }
}

/// Queries that are searched together.
struct Group<'a> {
    view: &'a View<'a>,
    cones: &'a Cones<'a>,
    /// Years from the catalogue's epoch to that of the search.
    years: f64,
}

impl Group<'_> {
    fn search(&self, queries: std::ops::Range<usize>, work: &mut Work, hits: &mut Hits) {
        let Work { spans, candidates } = work;
        spans.clear();
        candidates.clear();
        let mut judge = Judge { group: self, from: None, open: queries.start };
        for query in queries.clone() {
            self.plan(query, spans);
        }
        for span in spans.iter_mut() {
            self.locate(span);
        }
        for span in spans.iter() {
            self.scan(span, candidates, &mut judge, hits);
        }
        judge.settle(candidates, hits);
        judge.close_up_to(queries.end, hits);
    }

    /// Radius of a query in arcseconds, and whether it is one.
    fn radius(&self, query: usize) -> f64 {
        match self.cones.radius {
            Radius::All(radius) => radius,
            Radius::Each(radii) => radii.get(query).copied().unwrap_or(f64::NAN),
            Radius::Own(times) => {
                if times >= 0.0 {
                    0.0
                } else {
                    f64::NAN
                }
            }
        }
    }

    /// The spans of a query; asks for their cells.
    fn plan(&self, query: usize, spans: &mut Vec<Span>) {
        let (ra, dec) = self.cones.positions[query];
        let radius = self.radius(query);
        if !(ra.is_finite() && (-90.0..=90.0).contains(&dec) && radius >= 0.0) {
            return;
        }
        let ra = if (0.0..360.0).contains(&ra) { ra } else { sky::normalise_ra(ra) };
        for class in self.view.classes() {
            let own = if let Radius::Own(times) = self.cones.radius { class.radius * times } else { radius };
            let reach = ((own + class.motion * self.years.abs()) / 3_600.0).min(180.0);
            let window = Window::new(ra, dec, reach, class.cosine(dec));
            let (first, second) = window.parts();
            for zone in class.zones(window.dec) {
                let cells = class.cells(zone);
                for ra in std::iter::once(first).chain(second) {
                    let guess = cells.within(ra.0);
                    let cells = (cells.place(ra.0), cells.place(ra.1).wrapping_add(1));
                    prefetch(self.view.offsets, cells.0 as usize);
                    spans.push(Span { query: query as u32, cells, ra, dec: window.dec, rows: (0, 0), guess });
                }
            }
        }
    }

    /// Reads the cells of a span; asks for its rows.
    #[inline]
    fn locate(&self, span: &mut Span) {
        let offset = |cell: u32| self.view.offsets.get(cell as usize).copied().unwrap_or(0);
        let (start, end) = (offset(span.cells.0), offset(span.cells.1));
        span.rows = (start, end.max(start));
        let within = std::mem::replace(&mut span.guess, start);
        if (span.rows.1 - start) as usize > SHORT {
            let held = offset(span.cells.0.wrapping_add(1)).saturating_sub(start).min(span.rows.1 - start);
            span.guess = start + ((u64::from(held) * u64::from(within)) >> 32) as u32;
            // The window begins near there, not there: sources are not laid out evenly.
            prefetch(self.view.rows, (span.guess as usize).saturating_sub(LINE));
        }
        prefetch(self.view.rows, span.guess as usize);
        prefetch(self.view.rows, span.guess as usize + LINE);
    }

    /// Tests the rows of a span against the window; asks for the payload of what is inside.
    #[inline]
    fn scan(&self, span: &Span, candidates: &mut Vec<(u32, u32)>, judge: &mut Judge, hits: &mut Hits) {
        let (start, end) = (span.rows.0 as usize, span.rows.1 as usize);
        let Some(mut rows) = self.view.rows.get(start..end) else { return };
        let mut first = start;
        if rows.len() > SHORT {
            let skipped = lower(rows, span.ra.0, span.guess as usize - start);
            (rows, first) = (&rows[skipped..], start + skipped);
        }
        let (wide, high) = (span.ra.1 - span.ra.0, span.dec.1 - span.dec.0);
        for (i, &[ra, dec]) in rows.iter().enumerate() {
            let inside = (ra.wrapping_sub(span.ra.0) <= wide) & (dec.wrapping_sub(span.dec.0) <= high);
            if inside {
                let row = first + i;
                self.view.prefetch_payload(row);
                candidates.push((span.query, row as u32));
                if candidates.len() >= CANDIDATES {
                    judge.settle(candidates, hits);
                }
            } else if ra > span.ra.1 {
                break;
            }
        }
    }
}

/// The first of rows, sorted by right ascension, that is not west of `west`, searched from a guess outward.
fn lower(rows: &[[u32; 2]], west: u32, guess: usize) -> usize {
    let guess = guess.min(rows.len() - 1);
    let mut step = LINE;
    let (low, high) = if rows[guess][0] < west {
        let mut low = guess;
        loop {
            let next = low + step;
            if next >= rows.len() || rows[next][0] >= west {
                break (low, next.min(rows.len()));
            }
            (low, step) = (next, 2 * step);
        }
    } else {
        let mut high = guess;
        loop {
            let next = high.saturating_sub(step);
            if next == 0 || rows[next][0] < west {
                break (next, high);
            }
            (high, step) = (next, 2 * step);
        }
    };
    low + rows[low..high].partition_point(|row| row[0] < west)
}

/// The exact test, in the order of the queries.
struct Judge<'a> {
    group: &'a Group<'a>,
    /// The query that was tested last, with its position.
    from: Option<(u32, Viewpoint)>,
    /// The query whose hits are being gathered.
    open: usize,
}

impl Judge<'_> {
    fn settle(&mut self, candidates: &mut Vec<(u32, u32)>, hits: &mut Hits) {
        let Group { view, cones, years } = self.group;
        for &(query, row) in candidates.iter() {
            self.close_up_to(query as usize, hits);
            let from = match self.from {
                Some((last, from)) if last == query => from,
                _ => Viewpoint::new(cones.positions[query as usize]),
            };
            self.from = Some((query, from));
            let distance = from.separation(view.position(row, *years));
            let radius = match cones.radius {
                Radius::Own(times) => times * view.radii.get(row as usize).copied().unwrap_or(f64::NAN),
                _ => self.group.radius(query as usize),
            };
            if distance <= radius {
                hits.push(Hit { row, distance });
            }
        }
        candidates.clear();
    }

    /// Ends the hits of all queries before this one.
    fn close_up_to(&mut self, query: usize, hits: &mut Hits) {
        while self.open < query {
            hits.close();
            self.open += 1;
        }
    }
}
