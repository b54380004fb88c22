//! Clashes between the parts of a configuration: what two of them claim, and loops of topics.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::config::at::Place;
use crate::config::problem::{Problem, Shown};

/// What a folder is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Folder {
    /// Root of an archive: nothing else may be in it.
    Archive,
    /// Root of a backup: nothing else may be in it.
    Backup,
    /// Files being written.
    Staging,
    /// Files that stand in for topics.
    Output,
    /// Dead letters.
    Dead,
}

impl Folder {
    fn name(self) -> &'static str {
        match self {
            Self::Archive => "the archive",
            Self::Backup => "the backup",
            Self::Staging => "the staging folder",
            Self::Output => "the output folder",
            Self::Dead => "the folder of dead letters",
        }
    }
}

/// Where a topic is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// The brokers of a cluster.
    Cluster(BTreeSet<String>),
    /// A folder that stands in for one.
    Folder(PathBuf),
}

impl Target {
    /// True when they are the same as far as the text tells: one broker in common is one cluster.
    fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Cluster(left), Self::Cluster(right)) => !left.is_disjoint(right),
            (Self::Folder(left), Self::Folder(right)) => left == right,
            _ => false,
        }
    }
}

struct Claim<T> {
    component: usize,
    what: T,
    place: Place,
}

struct Topic {
    target: Target,
    topic: String,
    group: String,
}

impl Topic {
    fn same(&self, other: &Self) -> bool {
        self.topic == other.topic && self.target.same(&other.target)
    }
}

/// What the components claim.
#[derive(Default)]
pub(super) struct Claims {
    names: BTreeMap<String, Place>,
    inputs: Vec<Claim<Topic>>,
    outputs: Vec<Claim<Topic>>,
    folders: Vec<Claim<(Folder, PathBuf)>>,
}

impl Claims {
    /// Claims the name of a component and gives the place of one that has it already.
    pub(super) fn name(&mut self, name: &str, place: Place) -> Option<Place> {
        let first = self.names.get(name).copied();
        self.names.entry(name.to_owned()).or_insert(place);
        first
    }

    pub(super) fn input(&mut self, component: usize, cluster: &BTreeSet<String>, topic: &str, group: &str, place: Place) {
        let (topic, group) = (topic.to_owned(), group.to_owned());
        let what = Topic { target: Target::Cluster(cluster.clone()), topic, group };
        self.inputs.push(Claim { component, what, place });
    }

    pub(super) fn output(&mut self, component: usize, target: Target, topic: &str, place: Place) {
        let what = Topic { target, topic: topic.to_owned(), group: String::new() };
        self.outputs.push(Claim { component, what, place });
    }

    pub(super) fn folder(&mut self, component: usize, folder: Folder, path: &Path, place: Place) {
        self.folders.push(Claim { component, what: (folder, path.to_owned()), place });
    }

    /// Tells the clashes.
    pub(super) fn clashes(&self, shown: &Shown, problems: &mut Vec<Problem>) {
        let line = |place: Place| shown.problem(place, "", "").span.map_or(0, |span| span.line);
        for (index, later) in self.outputs.iter().enumerate() {
            let topic = &later.what.topic;
            if let Some(first) = self.outputs[..index].iter().find(|first| first.what.same(&later.what)) {
                let help = format!("the other is in line {}; give one of them another name", line(first.place));
                problems.push(shown.problem(later.place, format!("two outputs go to the topic `{topic}`"), help));
            }
            if let Some(input) = self.inputs.iter().find(|input| self.leads_to(later, input)) {
                let message = format!("what goes to `{topic}` comes back: the topic is read in line {}", line(input.place));
                problems.push(shown.problem(later.place, message, "alerts would go round for ever; publish to another topic"));
            }
        }
        for (index, later) in self.inputs.iter().enumerate() {
            let clash = |first: &&Claim<Topic>| {
                first.component != later.component && first.what.same(&later.what) && first.what.group == later.what.group
            };
            if let Some(first) = self.inputs[..index].iter().find(clash) {
                let group = &later.what.group;
                let message = format!("two components read `{}` as the group `{group}`", later.what.topic);
                let help =
                    format!("each would get a part of it (the other is in line {}); give one another `group`", line(first.place));
                problems.push(shown.problem(later.place, message, help));
            }
        }
        // One problem for each key: a folder in the wrong place clashes with much.
        let mut told: Vec<Place> = Vec::new();
        for (index, later) in self.folders.iter().enumerate() {
            let clash = self.folders[..index].iter().find_map(|first| Some((first, folder_clash(first, later)?)));
            if let Some((first, (message, help))) = clash
                && !told.contains(&later.place)
            {
                told.push(later.place);
                problems.push(shown.problem(later.place, message, format!("{help} (line {})", line(first.place))));
            }
        }
    }

    /// True when an output is the input, and what is read there comes to the component of the output.
    fn leads_to(&self, output: &Claim<Topic>, input: &Claim<Topic>) -> bool {
        if !output.what.same(&input.what) {
            return false;
        }
        let mut reached = BTreeSet::from([input.component]);
        let mut open = vec![input.component];
        while let Some(component) = open.pop() {
            for next in self.outputs.iter().filter(|output| output.component == component) {
                for input in self.inputs.iter().filter(|input| next.what.same(&input.what)) {
                    if reached.insert(input.component) {
                        open.push(input.component);
                    }
                }
            }
        }
        reached.contains(&output.component)
    }
}

fn folder_clash(first: &Claim<(Folder, PathBuf)>, later: &Claim<(Folder, PathBuf)>) -> Option<(String, &'static str)> {
    let ((first_use, first_path), (later_use, later_path)) = (&first.what, &later.what);
    let (first_name, later_name) = (first_use.name(), later_use.name());
    let shown = later_path.display();
    if first_path == later_path {
        // Several topics in one folder of outputs are what it is for; dead letters of several components tell their origin.
        return match (first_use, later_use) {
            (Folder::Output, Folder::Output) | (Folder::Dead, Folder::Dead) => None,
            (Folder::Archive, Folder::Archive) => Some((format!("two archives have the root {shown}"), "give each its own root")),
            (Folder::Backup, Folder::Backup) => Some((format!("two backups have the root {shown}"), "give each its own root")),
            _ => Some((format!("{later_name} is also {first_name}: {shown}"), "give each its own folder")),
        };
    }
    let inside =
        |inner: &Path, outer: (&Folder, &Path)| matches!(outer.0, Folder::Archive | Folder::Backup) && inner.starts_with(outer.1);
    if inside(later_path, (first_use, first_path)) {
        let message = format!("{later_name} is inside {first_name} {}", first_path.display());
        return Some((message, "its readers would take the files there for alerts; put it beside"));
    }
    if inside(first_path, (later_use, later_path)) {
        let message = format!("{first_name} {} is inside {later_name}", first_path.display());
        return Some((message, "its readers would take the files there for alerts; put it beside"));
    }
    None
}
