//! What a batch of cones found, in flat buffers that are used again for the next batch.

/// Hits of a batch of queries.
#[derive(Clone, Debug, Default)]
pub struct Hits {
    ends: Vec<usize>,
    found: Vec<Hit>,
}

/// A source that was found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hit {
    /// Row in the catalogue.
    pub row: u32,
    /// Separation from the position asked for, arcseconds.
    pub distance: f64,
}

impl Hits {
    /// Hits of a query, by its place in the batch: ordered by separation, then row.
    ///
    /// # Panics
    /// When there was no such query.
    #[must_use]
    pub fn of(&self, query: usize) -> &[Hit] {
        let start = if query == 0 { 0 } else { self.ends[query - 1] };
        &self.found[start..self.ends[query]]
    }

    /// Number of queries of the batch.
    #[must_use]
    pub fn queries(&self) -> usize {
        self.ends.len()
    }

    /// Number of hits of all queries.
    #[must_use]
    pub fn total(&self) -> usize {
        self.found.len()
    }

    /// Keeps the hits for which `keep` is true, asked in the order of queries and hits.
    pub fn retain(&mut self, mut keep: impl FnMut(usize, &Hit) -> bool) {
        let (mut kept, mut start) = (0, 0);
        for (query, end) in self.ends.iter_mut().enumerate() {
            for at in start..*end {
                let hit = self.found[at];
                if keep(query, &hit) {
                    self.found[kept] = hit;
                    kept += 1;
                }
            }
            start = std::mem::replace(end, kept);
        }
        self.found.truncate(kept);
    }

    /// Puts the queries of other hits behind these.
    pub fn append(&mut self, other: &Hits) {
        let before = self.found.len();
        self.found.extend_from_slice(&other.found);
        self.ends.extend(other.ends.iter().map(|end| before + end));
    }

    /// All hits, query by query.
    #[must_use]
    pub fn all(&self) -> &[Hit] {
        &self.found
    }

    /// Forgets all hits; has room for so many queries.
    pub(super) fn begin(&mut self, queries: usize) {
        self.ends.clear();
        self.ends.reserve(queries);
        self.found.clear();
    }

    pub(super) fn push(&mut self, hit: Hit) {
        self.found.push(hit);
    }

    /// Ends the hits of one query.
    pub(super) fn close(&mut self) {
        let start = self.ends.last().copied().unwrap_or(0);
        self.found[start..].sort_unstable_by(|a, b| a.distance.total_cmp(&b.distance).then(a.row.cmp(&b.row)));
        self.ends.push(self.found.len());
    }
}
