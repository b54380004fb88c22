//! MOCs as JSON (MOC 2.0, section 4.2.4): `{"3": [1, 2], "4": []}`, the cells of each order.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::Ranges;
use crate::sky::region::RegionError;

pub(super) fn read(text: &str, ranges: &mut Ranges) -> Result<(), RegionError> {
    let mut json = serde_json::Deserializer::from_str(text);
    let error = |e: serde_json::Error| {
        let what = e.to_string();
        // The place stands at the end of what serde_json says.
        let what = what.strip_suffix(&format!(" at line {} column {}", e.line(), e.column())).unwrap_or(&what);
        RegionError::moc(
            format!("line {}, column {}", e.line(), e.column()),
            format!("{what}: a MOC reads like {{\"3\": [1, 2]}}"),
        )
    };
    json.deserialize_map(Orders(ranges)).map_err(error)?;
    json.end().map_err(error)
}

/// Takes the cells as they come: a document of them would take several times the memory.
struct Orders<'a>(&'a mut Ranges);

impl<'de> Visitor<'de> for Orders<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("the cells of each order")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<Cow<str>>()? {
            let order = key.parse().map_err(|_| Error::custom(format!("{key:.20?} is no order")))?;
            let order = self.0.order(order).map_err(Error::custom)?;
            map.next_value_seed(Cells { ranges: self.0, order })?;
        }
        Ok(())
    }
}

struct Cells<'a> {
    ranges: &'a mut Ranges,
    order: u8,
}

impl<'de> DeserializeSeed<'de> for Cells<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Cells<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a list of cells")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while let Some(cell) = list.next_element()? {
            self.ranges.cells(self.order, cell, cell).map_err(Error::custom)?;
        }
        Ok(())
    }
}
