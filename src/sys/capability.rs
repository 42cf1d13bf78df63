//! Capability sets and securebits of the calling thread (capabilities(7)).
//!
//! The ambient set is changed by the crate caps, a call for a call. The others are read, set and dropped by
//! the system calls: capset(2) once where the crate needs six calls, and to the kernel's last capability, not
//! the crate's.

use caps::CapSet;
use caps::errors::CapsError;
use nix::errno::Errno;

use crate::capability::CapabilitySet;

use super::check;

/// `_LINUX_CAPABILITY_VERSION_3`
const VERSION_3: u32 = 0x2008_0522;
/// More than the kernel has: the loops end at the first `EINVAL`.
const LIMIT: u32 = 64;

#[repr(C)]
struct Header {
    version: u32,
    pid: i32,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Data {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// All five sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sets {
    pub(crate) effective: CapabilitySet,
    pub(crate) permitted: CapabilitySet,
    pub(crate) inheritable: CapabilitySet,
    pub(crate) bounding: CapabilitySet,
    pub(crate) ambient: CapabilitySet,
}

fn join(low: u32, high: u32) -> CapabilitySet {
    CapabilitySet::from_bits(u64::from(low) | u64::from(high) << 32)
}

#[allow(clippy::cast_possible_truncation)] // taking the halves is the point
fn halves(set: CapabilitySet) -> (u32, u32) {
    (set.bits() as u32, (set.bits() >> 32) as u32)
}

fn data() -> Result<[Data; 2], Errno> {
    let header = Header { version: VERSION_3, pid: 0 };
    let mut data = [Data::default(); 2];
    // SAFETY: version 3 takes a header and two data structs, all of which live through the call.
    check(unsafe { libc::syscall(libc::SYS_capget, &raw const header, data.as_mut_ptr()) })?;
    Ok(data)
}

/// The effective set.
pub(crate) fn effective() -> Result<CapabilitySet, Errno> {
    let [low, high] = data()?;
    Ok(join(low.effective, high.effective))
}

/// Reads the permitted set: no other can have what it has not.
pub(crate) fn permitted() -> Result<CapabilitySet, Errno> {
    data().map(|[low, high]| join(low.permitted, high.permitted))
}

/// Reads all five sets back from the kernel.
pub(crate) fn get() -> Result<Sets, Errno> {
    let [low, high] = data()?;
    Ok(Sets {
        effective: join(low.effective, high.effective),
        permitted: join(low.permitted, high.permitted),
        inheritable: join(low.inheritable, high.inheritable),
        bounding: read_set(|cap| prctl(libc::PR_CAPBSET_READ, cap, 0))?,
        ambient: read_set(|cap| {
            prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_IS_SET.cast_unsigned().into(), cap)
        })?,
    })
}

fn read_set(read: impl Fn(u64) -> Result<libc::c_long, Errno>) -> Result<CapabilitySet, Errno> {
    let mut set = 0;
    for cap in 0..LIMIT {
        match read(u64::from(cap)) {
            Ok(0) => {}
            Ok(_) => set |= 1 << cap,
            Err(Errno::EINVAL) if cap > 0 => break, // past the kernel's last capability
            Err(errno) => return Err(errno),
        }
    }
    Ok(CapabilitySet::from_bits(set))
}

/// `capset(2)`: effective = permitted.
pub(crate) fn set(permitted: CapabilitySet, inheritable: CapabilitySet) -> Result<(), Errno> {
    let header = Header { version: VERSION_3, pid: 0 };
    let (permitted_low, permitted_high) = halves(permitted);
    let (inheritable_low, inheritable_high) = halves(inheritable);
    let data = [
        Data { effective: permitted_low, permitted: permitted_low, inheritable: inheritable_low },
        Data { effective: permitted_high, permitted: permitted_high, inheritable: inheritable_high },
    ];
    // SAFETY: version 3 takes a header and two data structs, all of which live through the call.
    check(unsafe { libc::syscall(libc::SYS_capset, &raw const header, data.as_ptr()) }).map(drop)
}

/// Drops from the bounding set all that is not in `keep`.
pub(crate) fn limit_bounding(keep: CapabilitySet) -> Result<(), Errno> {
    for cap in 0..LIMIT {
        if keep.bits() >> cap & 1 == 1 {
            continue;
        }
        match prctl(libc::PR_CAPBSET_DROP, u64::from(cap), 0) {
            Ok(_) => {}
            Err(Errno::EINVAL) if cap > 0 => break, // past the kernel's last capability
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// Empties the ambient set.
pub(crate) fn clear_ambient() -> Result<(), Errno> {
    caps::clear(None, CapSet::Ambient).map_err(errno)
}

/// Raises each capability of `set` (permitted and inheritable already) as ambient. By number: the crate's
/// list of all is a `HashSet`, which panics where the kernel gives no random numbers.
pub(crate) fn raise_ambient(set: CapabilitySet) -> Result<(), Errno> {
    let raise = u64::from(libc::PR_CAP_AMBIENT_RAISE.cast_unsigned());
    let mut raised = (0..u64::BITS).filter(|cap| set.bits() >> cap & 1 == 1).map(u64::from);
    raised.try_for_each(|cap| prctl(libc::PR_CAP_AMBIENT, raise, cap).map(drop))
}

/// The crate makes its error a text, of the errno that the call has left.
fn errno(_: CapsError) -> Errno {
    Errno::last()
}

/// Sets and reads the securebits.
pub(crate) fn set_securebits(bits: i32) -> Result<(), Errno> {
    prctl(libc::PR_SET_SECUREBITS, u64::from(bits.cast_unsigned()), 0).map(drop)
}

/// Reads the securebits.
pub(crate) fn securebits() -> Result<i32, Errno> {
    let bits = prctl(libc::PR_GET_SECUREBITS, 0, 0)?;
    i32::try_from(bits).map_err(|_| Errno::EOVERFLOW)
}

fn prctl(option: libc::c_int, arg2: u64, arg3: u64) -> Result<libc::c_long, Errno> {
    // SAFETY: these options take numbers only.
    check(libc::c_long::from(unsafe { libc::prctl(option, arg2, arg3, 0, 0) }))
}
