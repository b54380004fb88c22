//! The target `frame`.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use skysluice::alert::SchemasById;
use skysluice::avro::{Wanted, container_magic, embedded_schema};
use skysluice::config::Framing;
use skysluice::decode::Decode;

use crate::known::{self, ID, KNOWN};
use crate::{container, datum, stage};

/// Schemas that are looked up elsewhere: two that are right, some that are of no use, and nothing else.
#[derive(Debug)]
struct Elsewhere;

impl SchemasById for Elsewhere {
    fn schema(&self, id: u32) -> Result<Arc<str>, String> {
        match id {
            0 | 1 => Ok(KNOWN[id as usize].json.clone()),
            2 => Ok("{not json".into()),
            3 => Ok(r#""int""#.into()),
            4 => Ok(r#"{"type":"record","name":"r","fields":[{"name":"next","type":["null","r"]}]}"#.into()),
            5 => Ok("[".repeat(100_000).into()),
            _ => Err(format!("the registry does not know the id {id}")),
        }
    }
}

static BY_ID: LazyLock<Decode> = LazyLock::new(|| {
    let framing = Framing::Confluent(BTreeMap::new());
    let stage = Decode::new(&framing, known::survey("ztf"), Wanted::everything());
    stage.expect("there is no schema in it").with_schemas(Arc::new(Elsewhere))
});

pub fn run(data: &[u8]) {
    let Some((byte, message)) = data.split_first() else { return };
    let known = known::chosen(*byte);

    let contained = &container::with_stage(|stage| stage::decode(stage, &[message]))[0];
    let magic = message.starts_with(b"Obj\x01");
    assert_eq!(container_magic(message), magic);
    let embedded = embedded_schema(message);
    assert!(magic || embedded.is_err());
    match &contained.reason {
        None => assert!(magic && embedded.is_ok(), "a container without its header"),
        Some(reason) => {
            assert_eq!(!magic && !message.is_empty(), reason.contains("message begins with"), "{reason}");
            assert_eq!(message.is_empty(), reason == "the payload is empty");
        }
    }

    let looked_up = &stage::decode(&BY_ID, &[message])[0];
    let framed = &stage::decode(&known.framed, &[message])[0];
    for (fate, ids) in [(looked_up, &[0, 1][..]), (framed, &[ID])] {
        let id = id(message);
        assert!(fate.reason.is_some() || id.is_some_and(|id| ids.contains(&id)), "taken without a frame: {id:?}");
    }
    if let (Some(ID), Some(reason)) = (id(message), &framed.reason) {
        assert!(!reason.contains("is not known"), "{reason}");
    }

    // A frame with the id and the bare datum are the same to decoding.
    let bare = &stage::decode(&known.bare, &[message])[0];
    let frame = [&[0][..], &ID.to_be_bytes(), message].concat();
    let in_frame = &stage::decode(&known.framed, &[&frame])[0];
    assert!(magic || message.is_empty() || bare.is(in_frame), "bare {bare:?}, in a frame {in_frame:?}");
    datum::judged(&known.schema, message, bare);
}

/// The schema id in front of a message.
fn id(message: &[u8]) -> Option<u32> {
    let (frame, _) = message.split_first_chunk::<5>()?;
    (frame[0] == 0).then(|| u32::from_be_bytes([frame[1], frame[2], frame[3], frame[4]]))
}
