//! Backends in programs of their own: `backends/<name>/backend.toml` says how to build and run each of them.
//!
//! Nothing in them is built or started unless it is asked for.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use serde::Deserialize;

use super::child::Launch;
use super::describe::{self, Described, Named};
use super::plan::Choice;
use super::runner;
use crate::analysis::growth::Claim;
use crate::pipe::{Pipe, PipeError};
use crate::record::version::{CELL_PROTOCOL, SCHEMA};
use crate::registry::{Registry, UnknownBackend, is_name};
use crate::system::command::{command, lines_of, run_within};
use crate::system::directory::Directory;

/// The directory of the external backends, in the directory in which the program runs.
pub const DIRECTORY: &str = "backends";
/// What each of them declares.
const FILE: &str = "backend.toml";
/// Where cargo puts what it builds for all of them, in their directory. What they share is built once.
const TARGET: &str = "target";
/// The hidden subcommand that becomes a program behind a pipe.
pub const BECOME: &str = "become";
/// What counts in their place the primitives that their implementations use, in their directory.
const COUNTING: &str = "counting";
/// Says when a backend was built.
const STAMP: &str = "built";
/// What a program may say of its backends, in bytes, and how long it may take.
const MAX_DESCRIBED: u64 = 1 << 20;
const DESCRIBES_WITHIN: Duration = Duration::from_secs(10);
/// How many of the lines are shown that a program complains in.
const COMPLAINT_LINES: usize = 4;

/// A backend in a program of its own, which may have several variants.
#[derive(Clone, Debug)]
pub struct External {
    /// What its file declares.
    pub declared: Declared,
    /// Its directory.
    pub directory: PathBuf,
    /// What is known of its program.
    pub state: State,
}

/// What `backend.toml` declares.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Declared {
    /// The backend's name, and that of its directory.
    pub name: String,
    /// Name and version of the implementation.
    pub implementation: String,
    /// The licence of the implementation, as an SPDX expression.
    pub licence: String,
    /// The licences of what it pulls in, as SPDX expressions.
    pub pulls_in: Vec<String>,
    /// How its costs grow with the group, as in `Description::growth`.
    #[serde(default)]
    pub growth: Vec<String>,
    /// The command that builds it, in its directory. Empty if there is nothing to build.
    #[serde(default)]
    pub build: Vec<String>,
    /// The command that runs it, in its directory.
    pub run: Vec<String>,
    /// What the program speaks.
    #[serde(default)]
    pub kind: Kind,
}

/// What the program of an external backend speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// It is on the library `harness`, and speaks the cell protocol.
    #[default]
    Harness,
    /// It holds members, and speaks the member protocol. The runners are of this program.
    Member,
}

/// What is known of the program of an external backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// It has not been built.
    NotBuilt,
    /// Its sources, or those of the harness, have changed since it was built; or it speaks an older version.
    TooOld(String),
    /// It is built, but does not say which backends it has.
    Broken(String),
    /// It has these backends.
    Built(Vec<Named>),
}

/// An external backend cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ExternalError {
    /// The file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// The file or directory.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The file does not say what it must.
    #[error("{}: {reason}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The build did not succeed.
    #[error("`{}` was not built: {reason}", name)]
    Build {
        /// The backend.
        name: String,
        /// How the build ended.
        reason: String,
    },
    /// The program behind a pipe cannot be used.
    #[error("`{name}`: {source}")]
    Pipe {
        /// The backend.
        name: String,
        /// Why not.
        source: PipeError,
    },
}

/// The external backends in this directory, in order of their names; none if there is no such directory.
///
/// # Errors
/// A file cannot be read, or is malformed.
pub fn all(directory: &Path) -> Result<Vec<External>, ExternalError> {
    let unreadable = |path: &Path, source| ExternalError::Unreadable { path: path.to_owned(), source };
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(unreadable(directory, error)),
    };
    let mut found = BTreeMap::new();
    for entry in entries {
        let path = entry.map_err(|error| unreadable(directory, error))?.path();
        if !path.join(FILE).exists() {
            continue;
        }
        let path = path.canonicalize().map_err(|error| unreadable(&path, error))?;
        let external = match read(&path) {
            Ok(declared) => External::new(declared, path),
            Err(error) => External::undeclared(path, &error),
        };
        found.insert(external.declared.name.clone(), external);
    }
    Ok(found.into_values().collect())
}

/// Starts the program in this directory, which speaks the member protocol.
///
/// # Errors
/// It cannot be used.
pub fn pipe(directory: &Path) -> Result<Pipe, ExternalError> {
    let Declared { name, implementation, .. } = read(directory)?;
    let launch = Launch::subcommand(BECOME).map(|launch| launch.piped(directory));
    let pipe = launch.map_err(PipeError::from);
    let pipe = pipe.and_then(|launch| Pipe::start(&name, &implementation, move || launch.command()));
    pipe.map_err(|source| ExternalError::Pipe { name, source })
}

/// Lets this process become the program in this directory. On Linux it ends with the thread that has started it, even if it
/// does not read its input. Returns only if that is not possible.
///
/// # Errors
/// The program cannot be started.
pub fn become_program(directory: &Path) -> Result<Infallible, ExternalError> {
    let declared = read(directory)?;
    let external = External { declared, directory: directory.to_owned(), state: State::NotBuilt };
    let (program, args) = external.run();
    let mut command = command(external.path_of(program));
    command.args(args).current_dir(directory);
    let source = PipeError::Start(replace(command));
    Err(ExternalError::Pipe { name: external.declared.name, source })
}

#[cfg(target_os = "linux")]
fn replace(mut command: Command) -> io::Error {
    match rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL)) {
        Ok(()) => std::os::unix::process::CommandExt::exec(&mut command),
        Err(error) => error.into(),
    }
}

/// Elsewhere the CPU time of another process is unknown.
#[cfg(not(target_os = "linux"))]
fn replace(_command: Command) -> io::Error {
    io::ErrorKind::Unsupported.into()
}

fn read(directory: &Path) -> Result<Declared, ExternalError> {
    let path = directory.join(FILE);
    let malformed = |reason| ExternalError::Malformed { path: path.clone(), reason };
    // A pipe would never end, and no declaration is long.
    let text = match fs::metadata(&path) {
        Ok(file) if !file.is_file() || file.len() > MAX_DESCRIBED => {
            return Err(malformed(format!("it is no file of at most {MAX_DESCRIBED} bytes")));
        }
        metadata => metadata.and_then(|_| fs::read_to_string(&path)),
    };
    let text = match text {
        Ok(text) => text,
        Err(source) => return Err(ExternalError::Unreadable { path, source }),
    };
    let declared: Declared = toml::from_str(&text).map_err(|error| malformed(error.to_string()))?;
    if directory.file_name() != Some(declared.name.as_ref()) || !is_name(&declared.name) {
        let wanted = "a name is that of the directory, of a to z, 0 to 9 and hyphens";
        return Err(malformed(format!("`{}` cannot be the name; {wanted}", declared.name)));
    }
    for claim in &declared.growth {
        claim.parse::<Claim>().map_err(|error| malformed(error.to_string()))?;
    }
    if declared.run.is_empty() {
        return Err(malformed("`run` is empty; try the path of a program".to_owned()));
    }
    Ok(declared)
}

impl External {
    fn new(declared: Declared, directory: PathBuf) -> Self {
        let mut external = Self { declared, directory, state: State::NotBuilt };
        external.state = external.look();
        external
    }

    /// One whose file cannot be read. The others can be used all the same.
    fn undeclared(directory: PathBuf, error: &ExternalError) -> Self {
        let name = directory.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Self { declared: Declared { name, ..Declared::default() }, directory, state: State::Broken(error.to_string()) }
    }

    /// How to start a subcommand of its program, or of this one for it.
    fn subcommand(&self, verb: &str) -> Launch {
        if self.declared.kind == Kind::Member {
            let program = Launch::subcommand(verb).map_or_else(|_| PathBuf::from(DIRECTORY), |launch| launch.program);
            let (args, directory) = (vec![verb.to_owned()], None);
            return Launch { program, args, directory, piped: Some(self.directory.clone()) };
        }
        let (program, args) = self.run();
        let args = args.iter().map(String::as_str).chain([verb]).map(str::to_owned).collect();
        Launch { program: self.path_of(program), args, directory: Some(self.directory.clone()), piped: None }
    }

    /// The program that it declares, and the arguments.
    fn run(&self) -> (&str, &[String]) {
        self.declared.run.split_first().map_or((DIRECTORY, &[][..]), |(program, args)| (program, args))
    }

    /// A program in its directory, or one that the system finds by its name.
    fn path_of(&self, program: &str) -> PathBuf {
        if program.contains('/') { self.directory.join(program) } else { PathBuf::from(program) }
    }

    /// Where cargo puts what it builds.
    fn target(&self) -> PathBuf {
        self.directory.parent().unwrap_or(&self.directory).join(TARGET)
    }

    /// The name of the file that says when it was built.
    fn stamp_name(&self) -> String {
        format!("{}.{STAMP}", self.declared.name)
    }

    /// Builds it, with the output of the build on standard error.
    ///
    /// # Errors
    /// The build cannot be started, or fails.
    pub fn build(&mut self) -> Result<(), ExternalError> {
        let failed = |reason: String| ExternalError::Build { name: self.declared.name.clone(), reason };
        if let Some((program, args)) = self.declared.build.split_first() {
            let mut build = command(self.path_of(program));
            build.args(args).current_dir(&self.directory).env("CARGO_TARGET_DIR", self.target());
            build.stdin(Stdio::null()).stdout(io::stderr());
            let ended = build.status().map_err(|error| failed(format!("cannot start `{program}`: {error}")))?;
            if !ended.success() {
                return Err(failed(ended.to_string()));
            }
        }
        let target = Directory::wait(&self.target()).map_err(|error| failed(error.to_string()))?;
        target.write(self.stamp_name(), b"").map_err(|error| failed(error.to_string()))?;
        self.state = self.look();
        match &self.state {
            State::Built(_) => Ok(()),
            other => Err(failed(other.words())),
        }
    }

    fn look(&self) -> State {
        let Ok(built) = fs::metadata(self.target().join(self.stamp_name())).and_then(|stamp| stamp.modified()) else {
            return State::NotBuilt;
        };
        // What is not built is always as new as its sources.
        if !self.declared.build.is_empty() && self.sources().into_iter().any(|path| is_newer(&path, built)) {
            return State::TooOld("the sources have changed since it was built".to_owned());
        }
        match self.describe() {
            Err(error) => State::Broken(error),
            Ok(Described { protocol, schema, .. }) if (protocol, schema) != (CELL_PROTOCOL, SCHEMA) => {
                State::TooOld(format!("it speaks cell protocol {protocol}, and this program {CELL_PROTOCOL}"))
            }
            Ok(Described { backends, .. }) => match backends.iter().find(|it| it.backend != self.declared.name) {
                Some(other) => State::Broken(format!("it has a backend of another name, `{}`", other.backend)),
                None if backends.is_empty() => State::Broken("it has no backend".to_owned()),
                None => State::Built(backends),
            },
        }
    }

    /// What it is built from: its own sources, what counts beside it, and those of the harness if it is on the library and in
    /// its repository.
    fn sources(&self) -> Vec<PathBuf> {
        if self.declared.kind == Kind::Member {
            return ["src", FILE].map(|path| self.directory.join(path)).into();
        }
        let own = ["src", "Cargo.toml", "Cargo.lock"].map(|path| self.directory.join(path));
        let root = self.directory.parent().and_then(Path::parent).unwrap_or(&self.directory);
        let ours = ["harness", "protocol", "baselines"]
            .iter()
            .flat_map(|it| [root.join(it).join("src"), root.join(it).join("Cargo.toml")]);
        let counting = self.directory.with_file_name(COUNTING);
        own.into_iter().chain([counting]).chain(ours).collect()
    }

    fn describe(&self) -> Result<Described, String> {
        let ended = run_within(self.subcommand(describe::VERB).command(), DESCRIBES_WITHIN, MAX_DESCRIBED);
        let silent = |why: String| format!("it does not say which backends it has: {why}");
        let Some(ended) = ended.map_err(|error| format!("it cannot be started: {error}"))? else {
            return Err(silent(format!("no answer within {DESCRIBES_WITHIN:?}")));
        };
        if !ended.status.success() {
            return Err(silent(format!("{}: {}", ended.status, in_a_line(&ended.stderr))));
        }
        serde_json::from_slice(&ended.stdout).map_err(|error| silent(error.to_string()))
    }
}

impl State {
    /// The state in words.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::NotBuilt => "not built".to_owned(),
            Self::TooOld(why) => format!("too old: {why}"),
            Self::Broken(why) => format!("broken: {why}"),
            Self::Built(_) => "built".to_owned(),
        }
    }
}

impl State {
    /// What to do about it.
    fn remedy(&self, name: &str) -> String {
        let first = if let Self::Broken(_) = self { "correcting it, and then " } else { "" };
        format!("{first}`harness backends --build {name}`")
    }
}

/// What a program has complained about, in one line.
fn in_a_line(complaint: &[u8]) -> String {
    let text = String::from_utf8_lossy(complaint);
    let lines: Vec<&str> = lines_of(&text).collect();
    // The last lines say most: before them a traceback shows where.
    lines[lines.len().saturating_sub(COMPLAINT_LINES)..].join("; ")
}

/// Whether a file, or one in a directory, has changed after a time. What cannot be read has not.
fn is_newer(path: &Path, time: SystemTime) -> bool {
    // Links are not followed: they can lead back.
    let Ok(metadata) = fs::symlink_metadata(path) else { return false };
    if metadata.is_dir() {
        let entries = fs::read_dir(path).into_iter().flatten().flatten();
        return entries.into_iter().any(|entry| is_newer(&entry.path(), time));
    }
    metadata.modified().is_ok_and(|modified| modified > time)
}

/// All backends that can be measured: those of this program, and those in programs of their own.
#[derive(Clone, Debug)]
pub struct Catalog<'a> {
    registry: &'a Registry,
    /// The external backends, in order of their names.
    pub external: Vec<External>,
}

/// A backend cannot be measured.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotFound {
    /// There is no backend of this name.
    #[error(transparent)]
    Unknown(#[from] UnknownBackend),
    /// Its program cannot be used.
    #[error("the backend `{name}` is {}; try {}", state.words(), state.remedy(name))]
    Unusable {
        /// The backend.
        name: String,
        /// The state of its program.
        state: State,
    },
}

impl<'a> Catalog<'a> {
    /// The backends of this program and those in [`DIRECTORY`]. If these names are all of this program, nothing is looked for
    /// or started there.
    ///
    /// # Errors
    /// As [`all`].
    pub fn load(registry: &'a Registry, named: &[String]) -> Result<Self, ExternalError> {
        if !named.is_empty() && named.iter().all(|name| registry.find(name).is_ok()) {
            return Ok(Self { registry, external: Vec::new() });
        }
        let own: Vec<String> = registry.all().map(|backend| backend.description().name.to_owned()).collect();
        let mut external = all(Path::new(DIRECTORY))?;
        // A name means a backend of this program first.
        external.retain(|it| !own.contains(&it.declared.name));
        Ok(Self { registry, external })
    }

    /// The backend with this name: `name` or `name:variant`. A name alone means the first variant.
    ///
    /// # Errors
    /// There is none, or its program cannot be used.
    pub fn find(&self, name: &str) -> Result<Choice, NotFound> {
        let unknown = match Choice::find(self.registry, name) {
            Ok(choice) => return Ok(choice),
            Err(unknown) => unknown,
        };
        let (backend, variant) = name.split_once(':').map_or((name, None), |(it, variant)| (it, Some(variant)));
        let Some(external) = self.external.iter().find(|it| it.declared.name == backend) else {
            return Err(self.with_external(unknown).into());
        };
        let State::Built(named) = &external.state else {
            return Err(NotFound::Unusable { name: backend.to_owned(), state: external.state.clone() });
        };
        let found = named.iter().find(|it| variant.is_none_or(|variant| it.variant == variant));
        found.map(Choice::from).ok_or_else(|| self.with_external(unknown).into())
    }

    /// The error that names the external backends too.
    fn with_external(&self, unknown: UnknownBackend) -> UnknownBackend {
        let more = self.external.iter().flat_map(|it| match &it.state {
            State::Built(named) => named.iter().map(|it| Choice::from(it).full_name()).collect(),
            _ => vec![format!("{} ({})", it.declared.name, it.state.words())],
        });
        let known = unknown.known.iter().cloned().chain(more).collect();
        UnknownBackend { known, ..unknown }
    }

    /// All backends that can be measured now.
    pub fn usable(&self) -> impl Iterator<Item = Choice> {
        let own = self.registry.all().map(|backend| {
            let description = backend.description();
            Choice { backend: description.name.to_owned(), variant: description.variant.to_owned() }
        });
        own.chain(self.external.iter().flat_map(|it| it.built()).map(Choice::from))
    }

    /// The external backends that cannot be measured now.
    pub fn unusable(&self) -> impl Iterator<Item = &External> {
        self.external.iter().filter(|it| it.built().is_empty())
    }

    /// What the files of external backends claim of their growth.
    #[must_use]
    pub fn growth(&self) -> BTreeMap<String, Vec<String>> {
        self.external.iter().map(|it| (it.declared.name.clone(), it.declared.growth.clone())).collect()
    }

    /// How to start the runners of the external ones among these backends, by the backend's name.
    #[must_use]
    pub fn launches(&self, choices: &[Choice]) -> BTreeMap<String, Launch> {
        self.launches_of(runner::VERB, choices)
    }

    /// The same for another subcommand of their programs.
    #[must_use]
    pub fn launches_of(&self, verb: &str, choices: &[Choice]) -> BTreeMap<String, Launch> {
        let chosen = |it: &&External| choices.iter().any(|choice| choice.backend == it.declared.name);
        let launch = |it: &External| (it.declared.name.clone(), it.subcommand(verb));
        self.external.iter().filter(chosen).map(launch).collect()
    }
}

impl External {
    /// Its backends, if it is built.
    #[must_use]
    pub fn built(&self) -> &[Named] {
        if let State::Built(named) = &self.state { named } else { &[] }
    }
}

impl From<&Named> for Choice {
    fn from(named: &Named) -> Self {
        Self { backend: named.backend.clone(), variant: named.variant.clone() }
    }
}
