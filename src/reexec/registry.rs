//! The roles: functions by name, registered at link time ([`role!`](crate::role)) or at run time
//! ([`register`]).

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use super::credential::MAX_ROLE_NAME;

/// The link-time table. Filled by [`role!`](crate::role).
#[doc(hidden)]
#[linkme::distributed_slice]
pub static ROLES: [Role];

/// What a role ended with.
pub type RoleOutcome = Result<(), RoleError>;

/// The error that a role returned, as it displays itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct RoleError {
    text: String,
}

/// What a role function may return, like [`std::process::Termination`]: nothing, or a `Result` with an error
/// that can be displayed.
pub trait RoleResult {
    /// As one type.
    fn into_outcome(self) -> RoleOutcome;
}

impl RoleResult for () {
    fn into_outcome(self) -> RoleOutcome {
        Ok(())
    }
}

impl RoleResult for std::convert::Infallible {
    fn into_outcome(self) -> RoleOutcome {
        match self {}
    }
}

impl<T: RoleResult, E: fmt::Display> RoleResult for Result<T, E> {
    fn into_outcome(self) -> RoleOutcome {
        match self {
            Ok(value) => value.into_outcome(),
            // The alternate form shows the causes too, where an error has one (anyhow).
            Err(error) => Err(RoleError { text: format!("{error:#}") }),
        }
    }
}

/// An entry of the link-time table.
#[derive(Debug, Clone, Copy)]
pub struct Role {
    name: &'static str,
    function: fn() -> RoleOutcome,
}

impl Role {
    /// For [`role!`](crate::role): a bad name does not compile.
    #[doc(hidden)]
    pub const fn new(name: &'static str, function: fn() -> RoleOutcome) -> Role {
        assert!(
            is_valid(name),
            "a role's name is not empty, has no '/', ':' or NUL, and does not start with '-'"
        );
        Role { name, function }
    }

    /// A role of belljar's own: the name has a `:`, which keeps it apart from everybody else's.
    pub(crate) const fn reserved(name: &'static str, function: fn() -> RoleOutcome) -> Role {
        Role { name, function }
    }
}

const fn is_valid(name: &str) -> bool {
    let bytes = name.as_bytes();
    if bytes.is_empty() || bytes.len() > MAX_ROLE_NAME || bytes[0] == b'-' {
        return false;
    }
    let mut index = 0;
    while index < bytes.len() {
        if matches!(bytes[index], b'/' | b':' | 0) {
            return false;
        }
        index += 1;
    }
    true
}

/// Is the role one of belljar's own, which alone may run in a new namespace.
pub(crate) fn is_reserved(name: &str) -> bool {
    name.contains(':')
}

pub(super) type Function = Arc<dyn Fn() -> RoleOutcome + Send + Sync>;

static AT_RUN_TIME: Mutex<Vec<(String, Function)>> = Mutex::new(Vec::new());

/// Why a name cannot be registered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RegisterError {
    /// The name is taken.
    #[error("a role named {name:?} is registered already")]
    Duplicate {
        /// The name.
        name: String,
    },
    /// The name is empty.
    #[error("a role needs a name")]
    Empty,
    /// The name is not possible.
    #[error(
        "{name:?} cannot name a role: no '/', ':' (belljar's own) or NUL, no '-' at the start, at most {MAX_ROLE_NAME} bytes"
    )]
    Invalid {
        /// The name.
        name: String,
    },
}

/// Registers a role at run time. It must happen in the child too, so: in `main`, before
/// [`init`](super::init).
///
/// # Errors
/// The name is empty, taken, or has a path separator, a `:` (reserved for belljar itself), a NUL, or a `-` in
/// front.
///
/// ```
/// use belljar::reexec::{RegisterError, register};
/// register("greet", || println!("hello"))?;
/// assert_eq!(register("greet", || ()), Err(RegisterError::Duplicate { name: "greet".into() }));
/// assert!(register("../greet", || ()).is_err());
/// # Ok::<(), RegisterError>(())
/// ```
pub fn register<F, R>(name: impl Into<String>, function: F) -> Result<(), RegisterError>
where
    F: Fn() -> R + Send + Sync + 'static,
    R: RoleResult,
{
    let name = name.into();
    if name.is_empty() {
        return Err(RegisterError::Empty);
    }
    if !is_valid(&name) {
        return Err(RegisterError::Invalid { name });
    }
    let mut table = AT_RUN_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    if table.iter().any(|(known, _)| *known == name) || ROLES.iter().any(|role| role.name == name) {
        return Err(RegisterError::Duplicate { name });
    }
    table.push((name, Arc::new(move || function().into_outcome())));
    Ok(())
}

/// The names of all roles that can be run by name, sorted; belljar's own are left out.
pub fn roles() -> Vec<String> {
    let table = AT_RUN_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let at_link_time = ROLES.iter().map(|role| role.name.to_owned());
    let mut names: Vec<String> = table
        .iter()
        .map(|(name, _)| name.clone())
        .chain(at_link_time)
        .filter(|name| !is_reserved(name))
        .collect();
    names.sort();
    names.dedup();
    names
}

/// Why a role cannot be found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LookupError {
    /// There is none of that name.
    #[error("no role is named {name:?}{}; known: {}", hint(.nearest.as_deref()), listed(.known))]
    Unknown {
        /// The name.
        name: String,
        /// The known name that looks most like it.
        nearest: Option<String>,
        /// All names.
        known: Vec<String>,
    },
    /// The link-time table has the name more than once, and none is preferred.
    #[error("{count} roles are named {name:?}: rename all but one")]
    Ambiguous {
        /// The name.
        name: String,
        /// How many.
        count: usize,
    },
}

impl LookupError {
    /// With what there is instead.
    pub(crate) fn unknown(name: &str) -> Self {
        let known = roles();
        let nearest = nearest(name, &known);
        Self::Unknown { name: name.to_owned(), nearest, known }
    }
}

fn hint(nearest: Option<&str>) -> String {
    nearest.map(|nearest| format!(" (did you mean {nearest:?}?)")).unwrap_or_default()
}

fn listed(known: &[String]) -> String {
    if known.is_empty() {
        "none (a crate that is only listed in Cargo.toml is not linked: `use it as _;`)".to_owned()
    } else {
        known.join(", ")
    }
}

/// The role's function.
pub(crate) fn find(name: &str) -> Result<Function, LookupError> {
    let at_link_time: Vec<&Role> = ROLES.iter().filter(|role| role.name == name).collect();
    if let [role, _, ..] = at_link_time.as_slice() {
        return Err(LookupError::Ambiguous { name: role.name.to_owned(), count: at_link_time.len() });
    }
    if let [role] = at_link_time.as_slice() {
        let function = role.function;
        return Ok(Arc::new(function));
    }
    let table = AT_RUN_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, function)) = table.iter().find(|(known, _)| known == name) {
        return Ok(Arc::clone(function));
    }
    drop(table);
    Err(LookupError::unknown(name))
}

/// The known name that is fewest edits away, if that is few.
fn nearest(name: &str, known: &[String]) -> Option<String> {
    let limit = (name.chars().count() / 3).max(1);
    known
        .iter()
        .map(|candidate| (strsim::levenshtein(name, candidate), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate.clone())
}

/// Registers a role at link time: a name and a function without arguments that returns nothing or a `Result`
/// (see `RoleResult` in [`reexec`](crate::reexec)).
///
/// Works in any crate that is linked in, also before `main` and in test programs. A name that cannot be
/// (empty, with `/`, `:` or NUL, or with `-` in front) does not compile; a name that is taken is an error
/// when the role is looked up.
///
/// ```
/// fn resize() -> Result<(), std::io::Error> { Ok(()) }
/// belljar::role!("resize", resize);
/// assert!(belljar::reexec::roles().iter().any(|name| name == "resize"));
/// ```
///
/// ```compile_fail
/// belljar::role!("a/path", || ());
/// ```
///
/// ```compile_fail
/// belljar::role!("belljar:probe", || ());
/// ```
#[macro_export]
macro_rules! role {
    ($name:expr, $function:expr $(,)?) => {
        const _: () = {
            fn call() -> $crate::reexec::RoleOutcome {
                $crate::reexec::RoleResult::into_outcome(($function)())
            }
            #[$crate::reexec::__private::linkme::distributed_slice($crate::reexec::__private::ROLES)]
            #[linkme(crate = $crate::reexec::__private::linkme)]
            static ROLE: $crate::reexec::__private::Role = $crate::reexec::__private::Role::new($name, call);
        };
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first() {}
    role!("registry-first", first);
    role!("registry-twice", first);
    role!("registry-twice", || Err::<(), _>("second"));

    #[test]
    fn names_are_checked() {
        assert_eq!(register("", || ()), Err(RegisterError::Empty));
        for bad in ["a/b", "/", "a:b", "belljar:probe", "belljar:", "-a", "a\0b", &"x".repeat(256)] {
            assert_eq!(register(bad, || ()), Err(RegisterError::Invalid { name: bad.into() }));
        }
        register("registry-run-time", || ()).unwrap();
        let taken = |name: &str| Err(RegisterError::Duplicate { name: name.into() });
        assert_eq!(register("registry-run-time", || ()), taken("registry-run-time"));
        assert_eq!(register("registry-first", || ()), taken("registry-first"));
    }

    #[test]
    fn lookup_finds_lists_and_refuses_to_choose() {
        assert_eq!(find("registry-first").unwrap()(), Ok(()));
        register("registry-fails", || Err::<(), _>("no luck")).unwrap();
        assert_eq!(find("registry-fails").unwrap()().unwrap_err().to_string(), "no luck");
        assert!(matches!(find("registry-twice"), Err(LookupError::Ambiguous { count: 2, .. })));
        let Err(error) = find("registry-frist") else { panic!("found") };
        let text = error.to_string();
        assert!(text.contains("did you mean \"registry-first\"?"), "{text}");
        assert!(text.contains("known: "), "{text}");
    }

    #[test]
    fn what_is_built_in_has_a_name_that_no_program_can_take() {
        let names: Vec<_> = ROLES.iter().map(|role| role.name).collect();
        assert!(names.contains(&"belljar:init"), "{names:?}");
        for name in names.into_iter().filter(|name| !name.contains("test") && !name.starts_with("registry-"))
        {
            assert!(name.starts_with("belljar:") && is_reserved(name), "{name}");
            let taken = register(name, || ());
            assert_eq!(taken, Err(RegisterError::Invalid { name: name.to_owned() }), "{name}");
        }
    }
}
