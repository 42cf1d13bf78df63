//! Why a process with a credential is not given its role.

/// Why a re-executed child refused to run its role; it ends with exit code 125.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[repr(u8)]
pub enum Refusal {
    /// `AT_SECURE` (getauxval(3)): the image is set-user-ID, set-group-ID or has file capabilities.
    #[error(
        "the program gains privileges when it is executed (set-user-ID, set-group-ID or file capabilities), and such a program takes no role from outside"
    )]
    Privileged = 1,
    /// The credential is damaged.
    #[error("the credential on descriptor 3 is malformed")]
    Malformed,
    /// The credential was made by another version of belljar.
    #[error("the credential on descriptor 3 was made by another version of belljar")]
    Version,
    /// Descriptor 4 is not the child's end of the channel.
    #[error("descriptor 4 is not a channel to a launcher")]
    Channel,
    /// The other end of the channel was not made by the parent process.
    #[error("the credential was not made by the parent process (it has ended, or another process made it)")]
    NotTheParent,
    /// The parent runs another program.
    #[error("the credential was made by another program than this one")]
    OtherProgram,
    /// The parent's image cannot be looked at (`/proc/<pid>/exe`).
    #[error(
        "cannot see which program the parent runs (/proc/<pid>/exe is refused): a parent that changed its user or turned its dumpable flag off needs prctl(PR_SET_DUMPABLE, 1) to launch roles"
    )]
    UnreadableParent,
    /// A credential for a new namespace that names an ordinary role, or that was handed over outside of one.
    #[error("the credential is for a sandbox's init, and this is not one")]
    NotASandbox,
    /// The role is not registered in the child.
    #[error(
        "the role is not registered in the re-executed program (a role must be registered before belljar::init() is called; in tests only roles of belljar::role! are)"
    )]
    UnknownRole,
    /// The child could not tie its life to the parent's.
    #[error("cannot arrange to end with the parent")]
    DeathWatch,
}

impl Refusal {
    const ALL: [Refusal; 10] = [
        Refusal::Privileged,
        Refusal::Malformed,
        Refusal::Version,
        Refusal::Channel,
        Refusal::NotTheParent,
        Refusal::OtherProgram,
        Refusal::UnreadableParent,
        Refusal::NotASandbox,
        Refusal::UnknownRole,
        Refusal::DeathWatch,
    ];

    pub(super) fn from_code(code: u8) -> Option<Refusal> {
        Refusal::ALL.into_iter().find(|refusal| *refusal as u8 == code)
    }
}
