//! Typed calls: a function of this program, in isolation; its value, its error or its panic comes back.
//!
//! The function is named by its offset from an anchor in the image. That is sound because the child runs the
//! very same image (the descriptor or the literal `/proc/self/exe` is executed, never a path that could have
//! been replaced), and the offset comes from the caller, in the sealed Plan. What comes back is hostile: it
//! is bounded, and decoded as data.

use std::any::Any;
use std::fs::File;
use std::io::{Read, Write};
use std::mem::ManuallyDrop;
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::codec::{self, CodecError};
use super::error::{Error, Step};
use super::reading::Reading;
use super::spawn::errno_of;
use super::{Command, Ended, Sandbox};
use crate::plan::TaskRequest;
use crate::reexec::Stdio;
use crate::sys;

/// The largest result that is taken, bytes.
pub(crate) const RESULT_LIMIT: u64 = 64 * 1024 * 1024;

/// Bytes of a panic's message that are shown, and of its location.
const MAX_PANIC: usize = 4096;

/// What crosses back.
#[derive(Serialize, Deserialize)]
enum Reply<R> {
    Returned(R),
    Panicked {
        message: String,
        location: String,
    },
    /// The argument could not be decoded; the function did not run.
    ArgumentRefused(String),
    /// What the function returned could not be encoded.
    ResultRefused(String),
}

type Entry = fn(function: usize, argument: OwnedFd, result: OwnedFd) -> i32;

/// The exit status of a call whose reply could not be sent.
const NO_REPLY: i32 = 125;

impl Sandbox {
    /// Runs `function(argument)` in isolation and gives what it returned. A `Result` that the function
    /// returns comes back as the value it is; a panic is [`Error::Panicked`].
    ///
    /// Standard input is `/dev/null`; standard output and error are the caller's. The function sees nothing
    /// of the caller's memory but its argument.
    ///
    /// ```no_run
    /// fn count(text: String) -> usize {
    ///     text.lines().count()
    /// }
    ///
    /// fn main() -> Result<(), belljar::Error> {
    ///     belljar::init();
    ///     let sandbox = belljar::Sandbox::new("strict")?;
    ///     assert_eq!(sandbox.call(count, &"a\nb".to_owned())?, 2);
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    /// As [`Command::spawn`]; the function's panic; an end without a result (a signal, a limit, an exit); a
    /// result that is longer than 64 MiB, is nested more than 256 levels deep (fewer where a
    /// level takes more than 4 KiB of stack), or would take more memory than 8 MiB and 128 bytes for every
    /// byte that was sent (512 MiB at most; lists and tables are counted with the room in which they grow,
    /// four times their elements); a type that does not read what it writes ([`Error::Value`]; an argument is
    /// refused before the function runs).
    pub fn call<A, R>(&self, function: fn(A) -> R, argument: &A) -> Result<R, Error>
    where
        A: Serialize + DeserializeOwned,
        R: Serialize + DeserializeOwned,
    {
        let entry: Entry = perform::<A, R>;
        let task =
            TaskRequest::Function { entry: offset(entry as usize)?, function: offset(function as usize)? };
        let bytes = codec::encode(argument).map_err(|source| value("encode the argument", source))?;
        let failed = |source: std::io::Error| {
            Error::prepare(Step::Descriptors, "write", "a call's argument")(errno_of(&source))
        };
        super::spawn::fill_streams()?;
        let argument = argument_file(&bytes).map_err(failed)?;
        let (reader, writer) = std::io::pipe().map_err(failed)?;
        // The function may give the writing end to a process outside: what ends the call is the end of its
        // process.
        let mut reply = [Reading::new(Some(reader.into()), RESULT_LIMIT).map_err(failed)?];
        let mut child = Command::new(self, task).spawn_with(
            [Stdio::null, Stdio::inherit, Stdio::inherit],
            Some((argument, writer.into())),
            &mut (),
        )?;
        let outcome = child.wait_reading(&mut (), &mut reply)?;
        let [reply] = reply;
        if reply.has_too_much() {
            return Err(Error::ResultTooLong { limit: RESULT_LIMIT });
        }
        let bytes = reply.into_bytes();
        // No reply is empty.
        if outcome.ended != (Ended::Exit { code: 0 }) || bytes.is_empty() {
            return Err(Error::CallEnded { ended: outcome.ended });
        }
        decode_reply(&bytes)
    }
}

/// What a call returned, from bytes that the sandbox wrote.
pub(crate) fn decode_reply<R: DeserializeOwned>(bytes: &[u8]) -> Result<R, Error> {
    match codec::decode(bytes) {
        Ok(Reply::Returned(value)) => Ok(value),
        Ok(Reply::Panicked { message, location }) => {
            Err(Error::Panicked { message: shortened(message), location: shortened(location) })
        }
        Ok(Reply::ArgumentRefused(text)) => Err(value("decode the argument", CodecError::Type(text))),
        Ok(Reply::ResultRefused(text)) => Err(value("encode the result", CodecError::Type(text))),
        Err(CodecError::Depth { limit }) => Err(Error::ResultTooDeep { limit }),
        Err(CodecError::Memory { limit }) => Err(Error::ResultTooLarge { limit }),
        Err(source) => Err(value("decode the result", source)),
    }
}

/// What a call that returned this value sends.
pub(crate) fn encode_reply<R: Serialize>(value: &R) -> Result<Vec<u8>, CodecError> {
    codec::encode(&Reply::Returned(value))
}

/// The start of a text of a panic that is longer than anyone would read.
fn shortened(mut text: String) -> String {
    if text.len() > MAX_PANIC {
        let end = (0..=MAX_PANIC).rev().find(|at| text.is_char_boundary(*at));
        text.truncate(end.unwrap_or_default());
        text.push('…');
    }
    text
}

fn value(action: &'static str, source: CodecError) -> Error {
    Error::Value { action, source: Box::new(source) }
}

/// What a call that panicked sends.
#[cfg(test)]
pub(crate) fn encode_panic(message: &str, location: &str) -> Vec<u8> {
    let (message, location) = (message.to_owned(), location.to_owned());
    codec::encode(&Reply::<()>::Panicked { message, location }).expect("two texts")
}

/// The argument, in memory of its own: any size, nothing to block on.
fn argument_file(bytes: &[u8]) -> std::io::Result<OwnedFd> {
    let mut file = sys::memory::filled(c"belljar-call", &[bytes])?;
    std::io::Seek::rewind(&mut file)?;
    Ok(file.into())
}

/// A code address of this image, as an offset from the anchor.
fn offset(address: usize) -> Result<i64, Error> {
    let anchor = anchor();
    if image_of(address) != image_of(anchor) || image_of(anchor).is_none() {
        return Err(Error::ForeignFunction);
    }
    let difference = (address as isize).wrapping_sub(anchor as isize);
    i64::try_from(difference).map_err(|_| Error::ForeignFunction)
}

/// Any function of this crate: it is linked into the same image as the caller's, or the offset is refused.
fn anchor() -> usize {
    enter_call as *const () as usize
}

/// Which loaded object an address is in, by its load address.
fn image_of(address: usize) -> Option<usize> {
    struct Search {
        address: usize,
        found: Option<usize>,
    }
    // SAFETY (of a call): `data` is this function's Search, `info` is libc's: dl_iterate_phdr(3) below, the
    // only one to call it.
    unsafe extern "C" fn look(
        info: *mut libc::dl_phdr_info,
        _: libc::size_t,
        data: *mut libc::c_void,
    ) -> libc::c_int {
        // SAFETY: `data` is the Search below, and libc passes a valid info with dlpi_phnum headers.
        let (search, info) = unsafe { (&mut *data.cast::<Search>(), &*info) };
        for index in 0..usize::from(info.dlpi_phnum) {
            // SAFETY: index is below dlpi_phnum.
            let header = unsafe { &*info.dlpi_phdr.add(index) };
            let start = (info.dlpi_addr as usize).wrapping_add(header.p_vaddr as usize);
            if header.p_type == libc::PT_LOAD && search.address.wrapping_sub(start) < header.p_memsz as usize
            {
                search.found = Some(info.dlpi_addr as usize);
                return 1;
            }
        }
        0
    }
    let mut search = Search { address, found: None };
    // SAFETY: the callback fits, and the Search outlives the call.
    unsafe { libc::dl_iterate_phdr(Some(look), (&raw mut search).cast()) };
    search.found
}

/// In the sandbox: calls the entry that the Plan names.
pub(crate) fn enter_call(entry: i64, function: i64, argument: OwnedFd, result: OwnedFd) -> i32 {
    let address = |offset: i64| (anchor() as isize).wrapping_add(offset as isize) as usize;
    // SAFETY: the offset was made from an `Entry` of this very image, by `Sandbox::call` (see the module's
    // text).
    let entry: Entry = unsafe { std::mem::transmute::<usize, Entry>(address(entry)) };
    entry(address(function), argument, result)
}

/// Where the last panic happened, for the reply.
static PANIC: Mutex<Option<String>> = Mutex::new(None);

/// In the sandbox: decodes, calls, encodes, all of which are the program's code and may panic.
fn perform<A: DeserializeOwned, R: Serialize>(function: usize, argument: OwnedFd, result: OwnedFd) -> i32 {
    let mut bytes = Vec::new();
    if File::from(argument).read_to_end(&mut bytes).is_err() {
        return NO_REPLY;
    }
    // SAFETY: the offset was made from a `fn(A) -> R` of this very image together with this entry, by
    // `Sandbox::call`.
    let function = unsafe { std::mem::transmute::<usize, fn(A) -> R>(function) };
    // Whoever takes it sends the only reply.
    let result = Arc::new(Mutex::new(Some(File::from(result))));
    let of_panic = Arc::clone(&result);
    // The panic is the caller's to report: nothing is printed here.
    std::panic::set_hook(Box::new(move |info| {
        let location = info.location().map(ToString::to_string);
        if cfg!(panic = "abort") {
            // The process ends with the panic, in whichever thread: it is told of now.
            std::process::exit(send(&of_panic, codec::encode(&panicked(info.payload(), location))));
        }
        if let Ok(mut place) = PANIC.lock() {
            *place = location;
        }
    }));
    let bytes = catch_unwind(AssertUnwindSafe(|| reply(&bytes, function))).unwrap_or_else(|payload| {
        let bytes = codec::encode(&panicked(&*payload, PANIC.lock().ok().and_then(|mut place| place.take())));
        // Its destructor is the function's code, and could panic again.
        std::mem::forget(payload);
        bytes
    });
    send(&result, bytes)
}

/// Sends the reply, and gives the exit status of the call's process.
fn send(result: &Mutex<Option<File>>, reply: Result<Vec<u8>, CodecError>) -> i32 {
    let Ok(bytes) = reply else { return NO_REPLY };
    // Held until it is sent: another thread does not end the process meanwhile.
    let Ok(mut result) = result.lock() else { return NO_REPLY };
    match result.take().map(|mut file| file.write_all(&bytes)) {
        Some(Ok(())) => 0,
        Some(Err(_)) | None => NO_REPLY,
    }
}

/// The encoded reply of a function that does not panic.
fn reply<A: DeserializeOwned, R: Serialize>(
    argument: &[u8],
    function: fn(A) -> R,
) -> Result<Vec<u8>, CodecError> {
    let argument = match codec::decode_trusted::<A>(argument) {
        Ok(argument) => argument,
        Err(error) => return codec::encode(&Reply::<()>::ArgumentRefused(error.to_string())),
    };
    // The process ends with the reply. What dropping the value does, a panic for instance, is not the
    // caller's concern.
    let value = ManuallyDrop::new(function(argument));
    encode_reply(&*value).or_else(|error| codec::encode(&Reply::<()>::ResultRefused(error.to_string())))
}

fn panicked(payload: &(dyn Any + Send), location: Option<String>) -> Reply<()> {
    let text = payload.downcast_ref::<&str>().map(ToString::to_string);
    let text = text.or_else(|| payload.downcast_ref::<String>().cloned());
    Reply::Panicked {
        message: shortened(text.unwrap_or_else(|| "a value that is not text".to_owned())),
        location: location.unwrap_or_else(|| "an unknown place".to_owned()),
    }
}
