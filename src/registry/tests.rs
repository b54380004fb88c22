//! The client against a server that says what it is told to say, and the whole with its thread.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, HashMap};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use serde_json::json;

use super::*;
use crate::config::{AfterWait, UnknownIds};

const JSON: &str = r#"{"type":"record","name":"a","fields":[{"name":"x","type":"int"}]}"#;

/// What is asked, and what is answered: a status and a body.
type Page = (u16, String);

/// A server on a free port; it lives as long as the process.
struct Server {
    url: String,
    pages: Arc<Mutex<HashMap<String, Page>>>,
    /// Paths that were asked for, with the header `authorization`.
    asked: Arc<Mutex<Vec<(String, String)>>>,
}

impl Server {
    fn start() -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = Server { url, pages: Arc::default(), asked: Arc::default() };
        let (pages, asked) = (server.pages.clone(), server.asked.clone());
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (pages, asked) = (pages.clone(), asked.clone());
                thread::spawn(move || answer(&stream.unwrap(), &pages, &asked));
            }
        });
        server
    }

    fn page(&self, path: &str, status: u16, body: impl ToString) {
        self.pages.lock().unwrap().insert(path.to_owned(), (status, body.to_string()));
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().iter().map(|(path, _)| path.clone()).collect()
    }

    fn settings(&self) -> config::Registry {
        let unknown = UnknownIds { wait: Duration::from_millis(300), then: AfterWait::DeadLetter };
        config::Registry { url: self.url.clone(), login: None, ca: None, timeout: Duration::from_secs(5), unknown }
    }

    fn client(&self) -> Client {
        Client::open(&self.settings()).unwrap()
    }
}

fn answer(stream: &TcpStream, pages: &Mutex<HashMap<String, Page>>, asked: &Mutex<Vec<(String, String)>>) {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    while let Some(first) = lines.next() {
        let path = first.split(' ').nth(1).unwrap().to_owned();
        let headers: BTreeMap<String, String> = lines
            .by_ref()
            .take_while(|line| !line.is_empty())
            .filter_map(|line| line.split_once(": ").map(|(k, v)| (k.to_ascii_lowercase(), v.to_owned())))
            .collect();
        asked.lock().unwrap().push((path.clone(), headers.get("authorization").cloned().unwrap_or_default()));
        let page = pages.lock().unwrap().get(&path).cloned();
        let (status, body) = page.unwrap_or((404, json!({"error_code": 40403, "message": "Schema not found"}).to_string()));
        let more = if status == 302 { "Location: http://127.0.0.1:1/\r\n" } else { "" };
        let head = format!("HTTP/1.1 {status} Said\r\nContent-Length: {}\r\n{more}\r\n", body.len());
        if (&mut &*stream).write_all([head.as_bytes(), body.as_bytes()].concat().as_slice()).is_err() {
            return;
        }
    }
}

#[test]
fn each_answer_is_what_it_is() {
    let server = Server::start();
    let client = server.client();
    server.page("/schemas/ids/1", 200, json!({ "schema": JSON }));
    server.page("/schemas/ids/2", 200, json!({ "schema": JSON, "schemaType": "AVRO", "references": null, "new": 1 }));
    for id in [1, 2] {
        assert_eq!(client.schema(id), Answer::Found(JSON.into()));
    }
    assert_eq!(client.schema(3), Answer::Unknown);
    server.page("/schemas/ids/4", 200, json!({ "schema": "message A {}", "schemaType": "PROTOBUF" }));
    assert_eq!(client.schema(4), Answer::Unusable("it is of type PROTOBUF, not AVRO".to_owned()));
    for (id, status, body, said) in [
        (5, 500, "", "500"),
        (6, 429, "", "429"),
        (7, 503, "busy", "503"),
        (8, 302, "", "points to http://127.0.0.1:1/"),
        (9, 404, "<html>nothing here</html>", "is decode.registry.url that of a schema registry?"),
        (10, 200, "<html>log in</html>", "none of a schema registry"),
        (11, 404, r#"{"error_code": 404}"#, "is decode.registry.url that of a schema registry?"),
    ] {
        server.page(&format!("/schemas/ids/{id}"), status, body);
        let Answer::Away(told) = client.schema(id) else { panic!("{status} {body}") };
        assert!(told.contains(said), "{told} / {said}");
    }
    for (id, status) in [(20, 401), (21, 403)] {
        server.page(&format!("/schemas/ids/{id}"), status, "");
        let Answer::Refused(told) = client.schema(id) else { panic!("{status}") };
        assert!(told.contains(&status.to_string()));
    }
    // Nobody listens there.
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let nobody = config::Registry { url: format!("http://{free}"), ..server.settings() };
    assert!(matches!(Client::open(&nobody).unwrap().schema(1), Answer::Away(_)));
    // It listens and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let silent_settings = config::Registry { url, timeout: Duration::from_millis(200), ..server.settings() };
    let Answer::Away(told) = Client::open(&silent_settings).unwrap().schema(1) else { panic!() };
    assert!(told.contains("timeout"), "{told}");
}

#[test]
fn user_and_password_are_sent_and_never_shown() {
    let server = Server::start();
    server.page("/schemas/ids/1", 200, json!({ "schema": JSON }));
    let login = Some(("Aladdin".to_owned(), "open sesame".to_owned()));
    let client = Client::open(&config::Registry { login, ..server.settings() }).unwrap();
    assert!(matches!(client.schema(1), Answer::Found(_)));
    // The example of RFC 7617.
    assert_eq!(server.asked.lock().unwrap()[0].1, "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
    assert!(!format!("{client:?}").contains("QWxh") && !format!("{client:?}").contains("sesame"));
}

#[test]
fn what_a_schema_refers_to_is_fetched_once_and_put_in() {
    let server = Server::start();
    let record = |name: &str, fields: serde_json::Value| json!({"type": "record", "name": name, "fields": fields}).to_string();
    let root = record("s.alert", json!([{"name": "a", "type": "s.source"}, {"name": "b", "type": ["null", "s.object"]}]));
    let source = record("s.source", json!([{"name": "p", "type": "s.point"}]));
    let object = record("s.object", json!([{"name": "p", "type": "s.point"}]));
    let point = record("s.point", json!([{"name": "ra", "type": "double"}]));
    let refers =
        |to: &[&str]| -> Vec<_> { to.iter().map(|s| json!({"name": s, "subject": format!("a/{s} 1"), "version": 2})).collect() };
    server.page("/schemas/ids/9", 200, json!({"schema": root, "references": refers(&["s.source", "s.object"])}));
    let page = |name: &str, schema: &str, to: &[&str]| {
        let path = format!("/subjects/a%2F{}%201/versions/2", name.replace('.', "%2E"));
        server.page(&path, 200, json!({"subject": name, "version": 2, "id": 1, "schema": schema, "references": refers(to)}));
    };
    page("s.source", &source, &["s.point"]);
    page("s.object", &object, &["s.point"]);
    let Answer::Away(missing) = server.client().schema(9) else { panic!() };
    assert!(missing.contains("it has id 9, but not the subject a/s.point 1, version 2"), "{missing}");
    page("s.point", &point, &[]);
    let before = server.asked().len();
    let Answer::Found(json) = server.client().schema(9) else { panic!() };
    assert_eq!(server.asked().len() - before, 4, "one call each");
    let schema = crate::avro::AlertSchema::parse(&json).unwrap();
    assert_eq!(schema.name, "s.alert");
    assert!(schema.arrow.field(1).is_nullable());
}

#[test]
fn a_file_of_certificates_is_checked_before_anything_is_asked() {
    let server = Server::start();
    let folder = tempfile::tempdir().unwrap();
    let open = |content: &str| {
        let path = folder.path().join("ca.pem");
        std::fs::write(&path, content).unwrap();
        Client::open(&config::Registry { ca: Some(path), ..server.settings() }).map(drop)
    };
    for (content, said) in [("", "it holds no certificate"), ("-----BEGIN CERTIFICATE-----\n!", "decode.registry.ca")] {
        let told = open(content).unwrap_err().to_string();
        assert!(told.contains(said) && told.contains("ca.pem"), "{told}");
    }
}

/// Asks until it is not to wait.
fn admitted(registry: &Registry, partition: i32, id: u32) -> Admission {
    let origin = Arc::new(TopicPartition { topic: "t".into(), partition });
    let end = Instant::now() + Duration::from_secs(30);
    loop {
        match registry.admit(&origin, id) {
            Admission::Hold => assert!(Instant::now() < end, "{:?}", registry.holds()),
            other => return other,
        }
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_new_id_is_one_call_and_then_none_also_after_a_restart_without_the_registry() {
    let server = Server::start();
    let data = tempfile::tempdir().unwrap();
    server.page("/schemas/ids/900", 200, json!({ "schema": JSON }));
    let start = || Registry::start(&server.settings(), "test", BTreeSet::from([7]), data.path()).unwrap();
    let registry = Arc::new(start());
    assert_eq!(admitted(&registry, 0, 7), Admission::Always, "known elsewhere");
    let threads: Vec<_> = (0..8)
        .map(|partition| {
            let registry = registry.clone();
            thread::spawn(move || admitted(&registry, partition, 900))
        })
        .collect();
    assert!(threads.into_iter().all(|t| t.join().unwrap() == Admission::Always));
    assert_eq!(&*registry.schema(900).unwrap(), JSON);
    assert_eq!(server.asked(), ["/schemas/ids/900"]);
    // A second component of the process finds it on disk.
    assert_eq!(admitted(&start(), 0, 900), Admission::Always);
    drop(registry);
    server.page("/schemas/ids/900", 500, "");
    assert_eq!(admitted(&start(), 0, 900), Admission::Always);
    assert_eq!(server.asked().len(), 1);
}

#[test]
fn an_unknown_id_is_given_up_after_its_wait_and_said_so() {
    let server = Server::start();
    let data = tempfile::tempdir().unwrap();
    let registry = Registry::start(&server.settings(), "test", BTreeSet::new(), data.path()).unwrap();
    assert_eq!(admitted(&registry, 0, 901), Admission::Once);
    let calls = server.asked().len();
    assert!((2..10).contains(&calls), "{calls} calls");
    let told = registry.schema(901).unwrap_err();
    assert!(told.contains("schema id 901 is not known") && told.contains(&server.url), "{told}");
    // It is remembered, and another one is asked for once.
    assert_eq!(admitted(&registry, 0, 901), Admission::Once);
    assert_eq!(admitted(&registry, 0, 902), Admission::Once);
    assert_eq!(server.asked().len(), calls + 1);
}
