//! Schemas that are part of the program, by the id that the survey's registry gives them: registries have been down for hours.

/// Ids are the survey's own, stable for ever: major version * 100 + minor.
const LSST: [(u32, &str); 9] = [
    (700, include_str!("../../conf/schemas/lsst/700.avsc")),
    (701, include_str!("../../conf/schemas/lsst/701.avsc")),
    (702, include_str!("../../conf/schemas/lsst/702.avsc")),
    (703, include_str!("../../conf/schemas/lsst/703.avsc")),
    (704, include_str!("../../conf/schemas/lsst/704.avsc")),
    (800, include_str!("../../conf/schemas/lsst/800.avsc")),
    (900, include_str!("../../conf/schemas/lsst/900.avsc")),
    (1000, include_str!("../../conf/schemas/lsst/1000.avsc")),
    (1100, include_str!("../../conf/schemas/lsst/1100.avsc")),
];

/// The JSON text of the schema with this id, where it is known without a registry.
#[must_use]
pub fn schema_of_id(id: u32) -> Option<&'static str> {
    LSST.iter().find(|(known, _)| *known == id).map(|(_, json)| *json)
}

/// The ids that are known without a registry.
pub fn schema_ids() -> impl Iterator<Item = u32> {
    LSST.iter().map(|(id, _)| *id)
}
