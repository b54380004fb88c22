//! A schema registry of a test's own: the part of Confluent's REST interface that clients use, held against Confluent's own
//! client by `tests/registry.rs`. It can be stopped and started again on its port, ask for a password, and tells what it was
//! asked.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use serde_json::{Value, json};

#[derive(Default)]
struct State {
    /// Schemas by id, as they were registered.
    schemas: BTreeMap<u32, Value>,
    /// Ids by subject, the versions from 1 on.
    subjects: BTreeMap<String, Vec<u32>>,
    /// Value that the header `Authorization` has to have.
    authorization: Option<String>,
    /// Method and path of every request that was let in.
    calls: Vec<String>,
    /// Requests that were not.
    refused: usize,
}

/// The registry. Dropped, it is gone.
pub struct Registry {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    running: Option<Running>,
}

struct Running {
    stop: Arc<AtomicBool>,
    connections: Arc<Mutex<Vec<TcpStream>>>,
    thread: JoinHandle<()>,
}

type Answer = Result<Value, (u16, u32, &'static str)>;

const NO_SUBJECT: (u16, u32, &str) = (404, 40401, "Subject not found");
const NO_VERSION: (u16, u32, &str) = (404, 40402, "Version not found");
const NO_SCHEMA: (u16, u32, &str) = (404, 40403, "Schema not found");

impl Registry {
    /// An empty registry on a free port.
    pub fn start() -> Registry {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut registry = Registry { address: listener.local_addr().unwrap(), state: Arc::default(), running: None };
        registry.run(listener);
        registry
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Puts a schema under an id of the test's choice.
    pub fn put(&self, id: u32, schema: &str) {
        self.state.lock().unwrap().schemas.insert(id, json!({ "schema": schema }));
    }

    /// Lets only those in who know the user and the password, given as `base64(user:password)`.
    pub fn ask_for(&self, login: &str) {
        self.state.lock().unwrap().authorization = Some(format!("Basic {login}"));
    }

    /// How often the schema of an id was asked for.
    pub fn calls(&self, id: u32) -> usize {
        let wanted = format!("GET /schemas/ids/{id}");
        self.state.lock().unwrap().calls.iter().filter(|call| **call == wanted).count()
    }

    /// Requests that were not let in.
    pub fn refused(&self) -> usize {
        self.state.lock().unwrap().refused
    }

    /// Goes away: nobody listens, and open connections end.
    pub fn stop(&mut self) {
        let Some(running) = self.running.take() else { return };
        running.stop.store(true, Ordering::Release);
        // The thread looks at its flag when someone comes.
        let _ = TcpStream::connect(self.address);
        running.thread.join().unwrap();
        for connection in running.connections.lock().unwrap().drain(..) {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }

    /// Comes back on its port with all that it had.
    pub fn resume(&mut self) {
        let listener =
            super::await_for("the registry's port", std::time::Duration::from_secs(30), || TcpListener::bind(self.address).ok());
        self.run(listener);
    }

    fn run(&mut self, listener: TcpListener) {
        let (stop, connections) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let (ended, open, state) = (stop.clone(), connections.clone(), self.state.clone());
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else { continue };
                if ended.load(Ordering::Acquire) {
                    return;
                }
                open.lock().unwrap().push(stream.try_clone().unwrap());
                let state = state.clone();
                std::thread::spawn(move || serve(&stream, &state));
            }
        });
        self.running = Some(Running { stop, connections, thread });
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Answers the requests of one connection until it ends.
fn serve(stream: &TcpStream, state: &Mutex<State>) {
    let mut reader = BufReader::new(stream);
    loop {
        let mut first = String::new();
        if reader.read_line(&mut first).is_err() || first.is_empty() {
            return;
        }
        let (mut length, mut authorization) = (0, None);
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).is_err() || line.trim().is_empty() {
                break;
            }
            match line.trim().split_once(": ") {
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => length = value.parse().unwrap(),
                Some((name, value)) if name.eq_ignore_ascii_case("authorization") => authorization = Some(value.to_owned()),
                _ => {}
            }
        }
        let mut body = vec![0; length];
        if reader.read_exact(&mut body).is_err() {
            return;
        }
        let mut words = first.split(' ');
        let (method, target) = (words.next().unwrap(), words.next().unwrap_or_default());
        let path = target.split('?').next().unwrap();
        let (status, body) = {
            let mut state = state.lock().unwrap();
            if state.authorization.is_some() && state.authorization != authorization {
                state.refused += 1;
                (401, json!({ "error_code": 401, "message": "Unauthorized" }))
            } else {
                state.calls.push(format!("{method} {path}"));
                match state.answer(method, path, &serde_json::from_slice(&body).unwrap_or_default()) {
                    Ok(body) => (200, body),
                    Err((status, code, message)) => (status, json!({ "error_code": code, "message": message })),
                }
            }
        };
        let body = body.to_string();
        let head = format!(
            "HTTP/1.1 {status} {}\r\nContent-Type: application/vnd.schemaregistry.v1+json\r\nContent-Length: {}\r\n\r\n",
            if status == 200 { "OK" } else { "Not OK" },
            body.len()
        );
        if (&mut &*stream).write_all((head + &body).as_bytes()).is_err() {
            return;
        }
    }
}

impl State {
    fn answer(&mut self, method: &str, path: &str, body: &Value) -> Answer {
        let parts: Vec<String> = path.trim_start_matches('/').split('/').map(decoded).collect();
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        match (method, parts.as_slice()) {
            ("GET", ["schemas", "ids", id]) => {
                let id = id.parse::<u32>().map_err(|_| (404, 404, "HTTP 404 Not Found"))?;
                self.schemas.get(&id).cloned().ok_or(NO_SCHEMA)
            }
            ("GET", ["subjects"]) => Ok(json!(self.subjects.keys().collect::<Vec<_>>())),
            ("GET", ["subjects", subject, "versions"]) => {
                let ids = self.subjects.get(*subject).ok_or(NO_SUBJECT)?;
                Ok(json!((1..=ids.len()).collect::<Vec<_>>()))
            }
            ("GET", ["subjects", subject, "versions", version]) => {
                let ids = self.subjects.get(*subject).ok_or(NO_SUBJECT)?;
                let version = if *version == "latest" { ids.len() } else { version.parse().unwrap_or(0) };
                let id = version.checked_sub(1).and_then(|i| ids.get(i)).ok_or(NO_VERSION)?;
                Ok(self.version(subject, version, *id))
            }
            ("POST", ["subjects", subject, "versions"]) => {
                let schema = registered(body);
                let same = self.schemas.iter().find(|(_, known)| **known == schema).map(|(id, _)| *id);
                let id = same.unwrap_or_else(|| self.schemas.keys().last().map_or(1, |last| last + 1));
                self.schemas.insert(id, schema);
                let ids = self.subjects.entry((*subject).to_owned()).or_default();
                if !ids.contains(&id) {
                    ids.push(id);
                }
                Ok(json!({ "id": id }))
            }
            ("POST", ["subjects", subject]) => {
                let ids = self.subjects.get(*subject).ok_or(NO_SUBJECT)?;
                let schema = registered(body);
                let found = ids.iter().position(|id| self.schemas[id] == schema).ok_or(NO_SCHEMA)?;
                Ok(self.version(subject, found + 1, ids[found]))
            }
            _ => Err((404, 404, "HTTP 404 Not Found")),
        }
    }

    fn version(&self, subject: &str, version: usize, id: u32) -> Value {
        let mut told = self.schemas[&id].clone();
        told["subject"] = json!(subject);
        told["version"] = json!(version);
        told["id"] = json!(id);
        told
    }
}

/// What is kept of a request: only what differs from the default is told again.
fn registered(body: &Value) -> Value {
    let mut schema = json!({ "schema": body["schema"] });
    if let Some(references) = body["references"].as_array().filter(|r| !r.is_empty()) {
        schema["references"] = json!(references);
    }
    if let Some(kind) = body["schemaType"].as_str().filter(|kind| *kind != "AVRO") {
        schema["schemaType"] = json!(kind);
    }
    schema
}

/// A part of a path without its escapes.
fn decoded(part: &str) -> String {
    let (mut out, mut bytes) = (Vec::new(), part.bytes());
    while let Some(byte) = bytes.next() {
        let hex: Option<Vec<u8>> = (byte == b'%').then(|| bytes.by_ref().take(2).collect());
        out.push(hex.map_or(byte, |hex| u8::from_str_radix(std::str::from_utf8(&hex).unwrap(), 16).unwrap()));
    }
    String::from_utf8(out).unwrap()
}
