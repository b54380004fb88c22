//! A real Apache Kafka (KRaft) of the test's own: jars by Maven once, free ports, a folder that goes with the test.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::scratch::{Process, Scratch};
use super::{await_for, cached, has_program, poll, root, skip, tail};

mod client;

#[allow(unused_imports, reason = "each test binary uses its share")]
pub use client::{Incoming, Outgoing, Placed, headers};

const VERSION: &str = "4.1.0";
const CLUSTER: &str = "c2t5c2x1aWNlLXRlc3Q0MQ";

/// What kind of cluster to start.
#[derive(Clone, Debug)]
pub struct Options {
    /// Brokers; the first is the controller too.
    pub brokers: usize,
    /// Address that brokers listen at and tell clients.
    pub host: String,
    /// Further broker properties.
    pub properties: Vec<(String, String)>,
}

impl Default for Options {
    fn default() -> Self {
        Self { brokers: 1, host: "127.0.0.1".into(), properties: Vec::new() }
    }
}

/// A running cluster. Dropped, it is gone with its data.
pub struct Kafka {
    libs: PathBuf,
    host: String,
    nodes: Vec<Node>,
    // After the nodes: the folder goes last.
    scratch: Scratch,
}

struct Node {
    id: usize,
    port: u16,
    process: Option<Process>,
}

impl Kafka {
    /// Starts a cluster; `None` (said, or a failure where required) without Java or Maven.
    pub fn start(options: &Options) -> Option<Kafka> {
        match libraries() {
            Ok(libs) => Some(Self::boot(libs, options)),
            Err(reason) => skip("kafka", &reason),
        }
    }

    /// One broker for all tests of a binary, with topics of up to 10 MiB a message. Tests take topics of their own.
    pub fn shared() -> Option<&'static Kafka> {
        static SHARED: OnceLock<Result<Kafka, String>> = OnceLock::new();
        match SHARED.get_or_init(|| libraries().map(|libs| Self::boot(libs, &Options::default()))) {
            Ok(kafka) => Some(kafka),
            Err(reason) => skip("kafka", reason),
        }
    }

    fn boot(libs: PathBuf, options: &Options) -> Kafka {
        // A port that was free a moment ago may be taken by another test binary: then all is tried again with other ports.
        for _ in 0..3 {
            let ports = free_ports(options.brokers + 1);
            let nodes = (1..=options.brokers).map(|id| Node { id, port: ports[id], process: None }).collect();
            let mut kafka = Kafka { libs: libs.clone(), host: options.host.clone(), nodes, scratch: Scratch::new("kafka") };
            kafka.format(options, ports[0]);
            (0..options.brokers).for_each(|i| kafka.launch(i));
            if kafka.ready() {
                return kafka;
            }
            let log = kafka.log(0);
            assert!(log.contains("Address already in use"), "Kafka did not start; its log ends:\n{}", tail(&log, 40));
        }
        panic!("no free ports for Kafka after three attempts")
    }

    fn format(&self, options: &Options, controller: u16) {
        for node in &self.nodes {
            let folder = self.scratch.folder(&format!("node{}", node.id));
            let file = folder.join("server.properties");
            std::fs::write(&file, properties(node, controller, &folder, options)).unwrap();
            let output = self
                .java(&["-Xmx128m", "kafka.tools.StorageTool", "format", "-t", CLUSTER, "-c"])
                .arg(&file)
                .stdin(Stdio::null())
                .output()
                .unwrap();
            assert!(output.status.success(), "Kafka's folder could not be formatted: {output:?}");
        }
    }

    fn java(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("java");
        command.args(["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp"]).arg(self.libs.join("*")).args(arguments);
        command
    }

    fn launch(&mut self, index: usize) {
        let node = &mut self.nodes[index];
        let folder = self.scratch.join(format!("node{}", node.id));
        let libs = self.libs.join("*");
        node.process = Some(self.scratch.spawn(&format!("kafka{}", node.id), Path::new("java"), |command| {
            command.args([
                "-Xmx512m",
                "-XX:+UseSerialGC",
                "-XX:TieredStopAtLevel=1",
                "-Dorg.slf4j.simpleLogger.showDateTime=true",
                "-cp",
            ]);
            command.arg(libs).arg("kafka.Kafka").arg(folder.join("server.properties")).current_dir(folder);
        }));
    }

    /// Whether all brokers that were started answer within a while: one that was killed looks through its log first, and machines
    /// stand still at times.
    fn ready(&mut self) -> bool {
        let expected = self.nodes.iter().filter(|n| n.process.is_some()).count();
        let consumer: BaseConsumer = self.client().set("log_level", "0").create().unwrap();
        let answers = |consumer: &BaseConsumer| {
            let metadata = consumer.fetch_metadata(None, Duration::from_millis(500)).ok()?;
            (metadata.brokers().len() >= expected).then_some(true)
        };
        poll(Duration::from_secs(150), || {
            if self.nodes.iter_mut().any(|n| n.process.as_mut().is_some_and(|p| p.exited().is_some())) {
                return Some(false);
            }
            answers(&consumer)
        })
        .unwrap_or(false)
    }

    /// `host:port` of all brokers, comma-separated.
    pub fn bootstrap(&self) -> String {
        self.nodes.iter().map(|n| format!("{}:{}", self.host, n.port)).collect::<Vec<_>>().join(",")
    }

    /// Properties that any client of this cluster needs.
    pub fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.bootstrap());
        config
    }

    /// Creates a topic with as many replicas as there are brokers.
    pub fn create_topic(&self, name: &str, partitions: i32) {
        let admin: AdminClient<_> = self.client().create().unwrap();
        let replicas = i32::try_from(self.nodes.len()).unwrap();
        let topic = NewTopic::new(name, partitions, TopicReplication::Fixed(replicas)).set("max.message.bytes", "10485760");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let options = AdminOptions::new().operation_timeout(Some(Duration::from_secs(20)));
        let results = runtime.block_on(admin.create_topics([&topic], &options)).unwrap();
        assert!(results.iter().all(Result::is_ok), "topic {name}: {results:?}");
        // The answer comes from the controller; what the brokers tell clients may be a moment behind.
        await_for(&format!("topic {name}"), Duration::from_secs(20), || {
            let metadata = admin.inner().fetch_metadata(Some(name), Duration::from_secs(1)).ok()?;
            let found = metadata.topics().first()?;
            (found.error().is_none() && found.partitions().iter().all(|p| p.leader() >= 0)).then_some(())
        });
    }

    /// Adds partitions to a topic, so that it has this many.
    pub fn grow(&self, name: &str, partitions: usize) {
        let admin: AdminClient<_> = self.client().create().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let more = rdkafka::admin::NewPartitions::new(name, partitions);
        let results = runtime.block_on(admin.create_partitions([&more], &AdminOptions::new())).unwrap();
        assert!(results.iter().all(Result::is_ok), "topic {name}: {results:?}");
    }

    /// Creates a topic of a name that no other test has.
    pub fn topic(&self, prefix: &str, partitions: i32) -> String {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("{prefix}-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        self.create_topic(&name, partitions);
        name
    }

    /// Deletes the messages of a partition below an offset, as retention does in its time.
    pub fn delete_below(&self, topic: &str, partition: i32, offset: i64) {
        let admin: AdminClient<_> = self.client().create().unwrap();
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, partition, Offset::Offset(offset)).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let options = AdminOptions::new().operation_timeout(Some(Duration::from_secs(20)));
        let deleted = runtime.block_on(admin.delete_records(&list, &options)).unwrap();
        deleted.elements().into_iter().for_each(|element| element.error().unwrap());
    }

    /// Kills every broker as a power cut would.
    pub fn kill_9(&mut self) {
        self.nodes.iter_mut().for_each(|n| n.process = None);
    }

    /// Kills one broker (from 0) as a power cut would.
    pub fn kill_9_one(&mut self, index: usize) {
        self.nodes[index].process = None;
    }

    /// Starts the brokers that are not running, on their ports and data; ready when this returns.
    pub fn restart(&mut self) {
        for index in 0..self.nodes.len() {
            if self.nodes[index].process.is_none() {
                self.launch(index);
            }
        }
        assert!(self.ready(), "Kafka did not come back; its log ends:\n{}", tail(&self.log(0), 40));
    }

    /// Stops every broker in order.
    pub fn stop(&mut self) {
        for node in self.nodes.iter_mut().rev() {
            if let Some(mut process) = node.process.take()
                && process.exited().is_none()
            {
                process.signal("TERM");
                process.wait(Duration::from_secs(30));
            }
        }
    }

    /// Freezes every broker: connections stay, nothing answers.
    pub fn freeze(&self) {
        self.nodes.iter().filter_map(|n| n.process.as_ref()).for_each(|p| p.signal("STOP"));
    }

    /// Ends [`Kafka::freeze`].
    pub fn thaw(&self) {
        self.nodes.iter().filter_map(|n| n.process.as_ref()).for_each(|p| p.signal("CONT"));
    }

    /// Process numbers of the running brokers.
    pub fn pids(&self) -> Vec<u32> {
        self.nodes.iter().filter_map(|n| n.process.as_ref()).map(Process::id).collect()
    }

    /// All that a broker has logged.
    pub fn log(&self, index: usize) -> String {
        let name = format!("kafka{}.log", self.nodes[index].id);
        String::from_utf8_lossy(&std::fs::read(self.scratch.join(name)).unwrap_or_default()).into_owned()
    }
}

/// Messages of simulated nights are older than Kafka's usual week: nothing is deleted here.
fn properties(node: &Node, controller: u16, folder: &Path, options: &Options) -> String {
    let (Node { id, port, .. }, host) = (node, &options.host);
    let (roles, listeners) = match id {
        1 => ("broker,controller", format!("PLAINTEXT://{host}:{port},CONTROLLER://127.0.0.1:{controller}")),
        _ => ("broker", format!("PLAINTEXT://{host}:{port}")),
    };
    let replicas = options.brokers.min(3);
    let logs = folder.join("logs");
    let mut text = format!(
        "process.roles={roles}\nnode.id={id}\ncontroller.quorum.voters=1@127.0.0.1:{controller}\nlisteners={listeners}\n\
         advertised.listeners=PLAINTEXT://{host}:{port}\ncontroller.listener.names=CONTROLLER\n\
         listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT\nlog.dirs={}\n\
         offsets.topic.replication.factor={replicas}\noffsets.topic.num.partitions=4\n\
         transaction.state.log.replication.factor={replicas}\ntransaction.state.log.min.isr=1\n\
         transaction.state.log.num.partitions=4\ngroup.initial.rebalance.delay.ms=0\n\
         group.min.session.timeout.ms=1000\nmessage.max.bytes=10485760\n\
         replica.fetch.max.bytes=10485760\nauto.create.topics.enable=false\nlog.retention.ms=-1\n",
        logs.display()
    );
    options.properties.iter().for_each(|(key, value)| text.push_str(&format!("{key}={value}\n")));
    text
}

/// Ports below those that the system gives to outgoing connections, so that a broker finds its own free when it restarts.
fn free_ports(count: usize) -> Vec<u16> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let mut found = Vec::new();
    while found.len() < count {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = u16::try_from(15_000 + (std::process::id().wrapping_mul(37) + step) % 15_000).unwrap();
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            found.push(port);
        }
    }
    found
}

/// The jars of Kafka, fetched once.
fn libraries() -> Result<PathBuf, String> {
    if !has_program("java", "-version") {
        return Err("no Java to start Kafka with".into());
    }
    let folder = cached(&format!("kafka-{VERSION}"), |partial| {
        if !has_program("mvn", "--version") {
            return Err("no Maven to fetch Kafka with".into());
        }
        let output = Command::new("mvn")
            .args(["-q", "-B", "-f"])
            .arg(root().join("tests/support/kafka/pom.xml"))
            .arg("dependency:copy-dependencies")
            .arg(format!("-DoutputDirectory={}", partial.join("libs").display()))
            .stdin(Stdio::null())
            .output()
            .map_err(|e| format!("mvn: {e}"))?;
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        if output.status.success() { Ok(()) } else { Err(format!("Maven could not fetch Kafka: {}", tail(&said, 10))) }
    })?;
    Ok(folder.join("libs"))
}
