//! Requests to a program and its answers, one after the other.

use std::panic::resume_unwind;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

use protocol::error::Error;
use protocol::member::Context;
use rand_core::CryptoRng;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::error::PipeError;
use super::line::{Ask, Said, base64, fields, said};
use super::program::Program;
use super::wire::{self, Hello};
use crate::record::version::MEMBER_PROTOCOL;

/// A program, which is started again after it has failed.
pub(super) struct Connection {
    command: Box<dyn Fn() -> Command + Send + Sync>,
    /// What the program said of itself.
    hello: Map<String, Value>,
    state: Mutex<State>,
}

struct State {
    /// `None` after it has failed, until the next call.
    program: Option<Program>,
    /// How often it has failed.
    failures: u64,
    /// The process that runs, or the last one that did.
    process: u32,
    /// The numbers of the last request and of the last member.
    request: u64,
    member: u64,
    /// What went wrong where nobody could be told.
    unsaid: Option<String>,
}

/// A member in the process of a program.
#[derive(Clone, Copy)]
pub(super) struct Handle {
    /// Its number.
    pub(super) number: u64,
    /// How often the program had failed before.
    process: u64,
}

/// Why there is no answer.
enum NoAnswer {
    /// The program refuses the call.
    Refused(Error),
    /// It has failed, in words.
    Failed(String),
}

impl From<String> for NoAnswer {
    fn from(what: String) -> Self {
        Self::Failed(what)
    }
}

impl Connection {
    /// Starts a program and asks what it is.
    pub(super) fn start(command: Box<dyn Fn() -> Command + Send + Sync>) -> Result<(Self, Hello), PipeError> {
        let mut program = Program::start(command())?;
        let process = program.id();
        let hello = hello(&mut program)?;
        let parsed = fields("hello", hello.clone()).map_err(broken)?;
        let state = State { program: Some(program), failures: 0, process, request: 0, member: 0, unsaid: None };
        Ok((Self { command, hello, state: Mutex::new(state) }, parsed))
    }

    /// The number of the program's process.
    pub(super) fn process(&self) -> u32 {
        self.lock().process
    }

    /// A number for a new member.
    pub(super) fn new_member(&self) -> Handle {
        let mut state = self.lock();
        state.member += 1;
        Handle { number: state.member, process: state.failures }
    }

    /// Makes a call that needs neither randomness nor a directory.
    ///
    /// # Errors
    /// The program refuses it.
    pub(super) fn ask<T: DeserializeOwned>(&self, call: &str, who: Handle, with: Value) -> Result<T, Error> {
        self.finish(call, self.request(call, who, with, None))
    }

    /// Makes a call that no program can refuse.
    pub(super) fn must<T: DeserializeOwned>(&self, call: &str, who: Handle, with: Value) -> T {
        let answer = self.ask(call, who, with);
        answer.unwrap_or_else(|error| self.give_up(&format!("in `{call}`, which it refuses: {error}")))
    }

    /// Makes a call of a member. The program gets a seed, and may ask for bundles.
    ///
    /// # Errors
    /// The program refuses it.
    pub(super) fn call<T: DeserializeOwned>(
        &self,
        call: &str,
        who: Handle,
        mut with: Value,
        context: &mut Context<'_>,
    ) -> Result<T, Error> {
        with["seed"] = seed(&mut *context.rng);
        self.finish(call, self.request(call, who, with, Some(context)))
    }

    /// Makes a call that nobody waits for. That it failed is said at the next one.
    pub(super) fn tell(&self, call: &str, who: Handle) {
        if self.lock().failures != who.process {
            // The member has gone with its process.
            return;
        }
        if let Err(NoAnswer::Failed(what)) = self.request(call, who, json!({}), None) {
            self.lock().unsaid.get_or_insert(what);
        }
    }

    /// The answer, or the end of the program.
    fn finish<T: DeserializeOwned>(
        &self,
        call: &str,
        answer: Result<Map<String, Value>, NoAnswer>,
    ) -> Result<T, Error> {
        match answer.and_then(|ok| Ok(fields(call, ok)?)) {
            Ok(answer) => Ok(answer),
            Err(NoAnswer::Refused(error)) => Err(error),
            Err(NoAnswer::Failed(what)) => self.give_up(&format!("in `{call}`: {what}")),
        }
    }

    /// Ends the program and unwinds.
    pub(super) fn give_up(&self, what: &str) -> ! {
        let mut state = self.lock();
        state.fail();
        drop(state);
        let what = format!("the program has failed {what}");
        eprintln!("{what}");
        resume_unwind(Box::new(what))
    }

    /// Makes a call. If that fails, the program has ended.
    fn request(
        &self,
        call: &str,
        who: Handle,
        mut with: Value,
        context: Option<&mut Context<'_>>,
    ) -> Result<Map<String, Value>, NoAnswer> {
        let mut state = self.lock();
        if let Some(what) = state.unsaid.take() {
            return Err(NoAnswer::Failed(what));
        }
        if who.process != state.failures {
            return Err(NoAnswer::Failed("the process that held the member has ended".to_owned()));
        }
        let answer = self.running(&mut state).and_then(|()| {
            state.request += 1;
            let id = state.request;
            (with["id"], with["call"], with["member"]) = (id.into(), call.into(), who.number.into());
            state.exchange(id, &with, context)
        });
        if let Err(NoAnswer::Failed(_)) = &answer {
            state.fail();
        }
        answer
    }

    /// Starts the program again if it has failed.
    fn running(&self, state: &mut State) -> Result<(), NoAnswer> {
        if state.program.is_some() {
            return Ok(());
        }
        let mut program = Program::start((self.command)()).map_err(|error| error.to_string())?;
        state.process = program.id();
        if hello(&mut program).map_err(|error| error.to_string())? != self.hello {
            return Err(NoAnswer::Failed("when it was started again, it said something else of itself".to_owned()));
        }
        state.program = Some(program);
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code below leaves the numbers wrong if it panics.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn fail(&mut self) {
        if self.program.take().is_some() {
            self.failures += 1;
        }
    }

    /// Writes a request, answers what the program asks, and returns its answer.
    fn exchange(
        &mut self,
        id: u64,
        request: &Value,
        mut context: Option<&mut Context<'_>>,
    ) -> Result<Map<String, Value>, NoAnswer> {
        let Some(program) = &mut self.program else { return Err(NoAnswer::Failed("it does not run".to_owned())) };
        program.write(request);
        loop {
            let (ask, user) = match said(&program.read()?, id)? {
                Said::Ok(ok) => return Ok(ok),
                Said::Error(name) => {
                    let error = wire::error_of(&name).ok_or_else(|| format!("it knows no error `{name}`"))?;
                    return Err(NoAnswer::Refused(error));
                }
                Said::Asks(ask, user) => (ask, user),
            };
            let Some(context) = &mut context else {
                return Err(NoAnswer::Failed("it asks in a call that has nothing to ask for".to_owned()));
            };
            let bundle = |bytes: Option<Vec<u8>>| bytes.map_or(Value::Null, |bytes| base64(&bytes).into());
            let answer = match ask {
                Ask::Bundle => bundle(context.directory.bundle(&user)),
                Ask::OneTime => bundle(context.directory.one_time(&user)),
                Ask::Confirm => (context.confirm_inviter)(&user).into(),
            };
            program.write(&json!({ "id": id, "answer": answer }));
        }
    }
}

/// A seed for a call.
pub(super) fn seed(rng: &mut dyn CryptoRng) -> Value {
    let mut seed = [0; 32];
    rng.fill_bytes(&mut seed);
    base64(&seed).into()
}

fn broken(what: String) -> PipeError {
    PipeError::Broken(format!("the program has failed: {what}"))
}

/// What a program that has just been started says of itself, if it speaks this version.
fn hello(program: &mut Program) -> Result<Map<String, Value>, PipeError> {
    program.write(&json!({ "id": 0, "call": "hello", "protocol": MEMBER_PROTOCOL }));
    let line = program.read().map_err(broken)?;
    match said(&line, 0).map_err(broken)? {
        // No matter what else another version says.
        Said::Ok(ok) => match ok.get("protocol").and_then(Value::as_u64) {
            Some(theirs) if theirs == u64::from(MEMBER_PROTOCOL) => Ok(ok),
            Some(theirs) => Err(PipeError::Version { theirs }),
            None => Err(broken("its first line has no `protocol`".to_owned())),
        },
        Said::Error(name) => Err(broken(format!("it refuses `hello`: {name}"))),
        Said::Asks(..) => Err(broken("its first line asks something".to_owned())),
    }
}
