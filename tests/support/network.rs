//! A network namespace of a test's own, joined to the rest of the machine by one cable that can be pulled.

use std::process::{Command, Output};

use super::skip;

/// The namespace. Gone with its cable when dropped.
pub struct Network {
    name: String,
    /// The end of the cable inside.
    inside: String,
    /// Address of the machine, as it is seen from inside and from outside.
    pub host: String,
}

impl Network {
    /// A new one; `None` (said, or a failure where required) where it can't be made: that takes Linux, `ip` and its rights.
    pub fn ready() -> Option<Network> {
        remove_orphans();
        let number = std::process::id();
        let name = format!("skysluice-{number}");
        let (inside, outside) = (format!("ssi{number}"), format!("sso{number}"));
        let subnet = format!("10.213.{}", number % 250 + 1);
        let network = Network { name: name.clone(), inside: inside.clone(), host: format!("{subnet}.1") };
        if let Err(reason) = ip(&["netns", "add", &name]) {
            return skip("network", &format!("no network namespace: {reason}"));
        }
        let (address, within) = (format!("{subnet}.1/30"), format!("{subnet}.2/30"));
        let outer = [
            vec!["link", "add", &outside, "type", "veth", "peer", "name", &inside, "netns", &name],
            vec!["addr", "add", &address, "dev", &outside],
            vec!["link", "set", &outside, "up"],
            vec!["-n", &name, "addr", "add", &within, "dev", &inside],
            vec!["-n", &name, "link", "set", "lo", "up"],
            vec!["-n", &name, "link", "set", &inside, "up"],
        ];
        for arguments in &outer {
            if let Err(reason) = ip(arguments) {
                return skip("network", &format!("no cable into a network namespace: {reason}"));
            }
        }
        Some(network)
    }

    /// The command that becomes the program that follows it, inside.
    pub fn command(&self) -> Vec<&str> {
        vec!["ip", "netns", "exec", &self.name]
    }

    /// Pulls the cable: nothing goes through, and connections are not told.
    pub fn cut(&self) {
        ip(&["-n", &self.name, "link", "set", &self.inside, "down"]).unwrap();
    }

    /// Puts it back.
    pub fn mend(&self) {
        ip(&["-n", &self.name, "link", "set", &self.inside, "up"]).unwrap();
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let _ = ip(&["netns", "del", &self.name]);
    }
}

/// Namespaces of test binaries that were killed.
fn remove_orphans() {
    for name in ip(&["netns", "list"]).unwrap_or_default().lines().filter_map(|line| line.split_whitespace().next()) {
        let process = name.strip_prefix("skysluice-").and_then(|number| number.parse::<u32>().ok());
        if process.is_some_and(|process| !std::path::Path::new(&format!("/proc/{process}")).exists()) {
            let _ = ip(&["netns", "del", name]);
        }
    }
}

fn ip(arguments: &[&str]) -> Result<String, String> {
    let output: Output = Command::new("ip").args(arguments).output().map_err(|e| format!("ip: {e}"))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(format!("ip {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim()))
    }
}
