#![allow(clippy::unwrap_used)]

use super::*;
#[test]
fn scratch() {
    for (i, text) in [
        "components:\n  - name: ztf\n    type: pipeline\n    survey: ztf\n    source: { kafka: { brokers: \"localhost:9092\", topics: [ztf_local] } }\n    steps:\n      - crossmatch: { catalog: Cargo.toml, radus: 1.5 arcsec }\n",
        "components:\n  - name: ztf\n    typ: pipeline\n",
        "components:\n  - name: ztf\n    type: pipelin\n",
        "components:\n  - name: ztf\n    type: pipeline\n",
        "components:\n  - name: ztf\n    type: pipeline\n    survey: ztf\n    source: { kafka: { brokers: \"localhost:9092\", topics: ztf_local } }\n",
        "components:\n  - name: ztf\n    type: pipeline\n    survey: ztf\n    source: { kafka: { brokers: \"localhost:9092\", topics: [ztf_local] }, files: {path: a} }\n",
        "components:\n  - name: ztf\n    type: pipeline\n    survey: ztf\n    source: { kafk: { brokers: \"localhost:9092\", topics: [ztf_local] }}\n",
        "components:\n  - name: ztf\n    type: pipeline\n    survey: ztf\n    source: kafka\n",
        "components:\n  - name: ztf\n    type: pipeline\n    name: ztf\n    source: kafka\n",
        "service: { memory: 512, restarts: -1 }\ncomponents: []\n",
        "service: { memory: 512, grace: -1 s, stall: 0 s }\ncomponents: []\n",
        "service: { memory: [512] }\ncomponents: []\n",
        "service: { memory: 1 MiB\ncomponents: []\n",
        "service:\n   - a\ncomponents: []\n",
        "components:\n  name: ztf\n",
        "", "a", "components:\n\t- a",
        "components:\n  - name: ztf\n    type: pipeline\n    survey: ztff\n    source: { kafka: { brokers: \"localhost\", topics: [ztf_local, 'a b'], properties: {group.id: a, sasl.password: 123, x: {env: UUU}, y: {envv: a}} } }\n",
        "components:\n  - name: ztf\n    type: pipeline\n    survey: ztff\n    source: { kafka: { brokers: \"localhost\", topics: [ztf_local, 'a b'], properties: {group.id: a, sasl.password: 123, x: {env: UUU}} } }\n    steps:\n    - cut: {where: ''}\n    - cut: {where: 'a > b', name: cut-1}\n    publish: [{topic: x}]\n",
    ].iter().enumerate() {
        eprintln!("--- {i}");
        match load_text(text, Path::new("conf/x.yaml")) { Ok(s) => eprintln!("{s:#?}"), Err(e) => eprint!("{e}") }
    }
}
