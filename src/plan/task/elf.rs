//! Just enough of an ELF header to tell why a program would not start, see `elf(5)`.

use std::io;

use crate::seccomp::Arch;

/// Program headers that are looked at; the kernel takes 64 KiB of them, linkers write a dozen.
const MAX_HEADERS: u16 = 128;
/// `PATH_MAX`: the longest loader path that the kernel takes.
const MAX_INTERPRETER: u64 = 4096;
const HEADER: usize = 64;
const PROGRAM_HEADER: u16 = 56;
const PT_INTERP: u32 = 3;

/// What an ELF file is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Elf {
    /// A program for this machine, and the loader it names.
    Here { loader: Option<Vec<u8>> },
    /// For another machine.
    Foreign { machine: String },
    /// Not a program.
    Broken,
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

/// Looks at an ELF file. `read` gives bytes at an offset, fewer at the end of the file.
pub(crate) fn inspect(read: impl Fn(u64, usize) -> io::Result<Vec<u8>>, arch: Arch) -> io::Result<Elf> {
    let header = read(0, HEADER)?;
    let (Some(&class), Some(&order)) = (header.get(4), header.get(5)) else { return Ok(Elf::Broken) };
    let Some((kind, machine)) = u16_at(&header, 16).zip(u16_at(&header, 18)) else { return Ok(Elf::Broken) };
    let machine = if order == 2 { machine.swap_bytes() } else { machine };
    let native = match arch {
        Arch::X86_64 => 62,
        Arch::Aarch64 => 183,
    };
    if class != 2 || order != 1 || machine != native {
        return Ok(Elf::Foreign { machine: machine_name(class, order, machine) });
    }
    // ET_EXEC or ET_DYN
    if !matches!(kind, 2 | 3) {
        return Ok(Elf::Broken);
    }
    with_loader(&read, &header)
}

/// A program for this machine, with the loader that it names, if any.
fn with_loader(read: &impl Fn(u64, usize) -> io::Result<Vec<u8>>, header: &[u8]) -> io::Result<Elf> {
    let fields = u64_at(header, 32).zip(u16_at(header, 54)).zip(u16_at(header, 56));
    let Some(((start, PROGRAM_HEADER), count @ 1..=MAX_HEADERS)) = fields else { return Ok(Elf::Broken) };
    let length = usize::from(PROGRAM_HEADER) * usize::from(count);
    let table = read(start, length)?;
    if table.len() != length {
        return Ok(Elf::Broken);
    }
    let mut entries = table.chunks_exact(usize::from(PROGRAM_HEADER));
    let Some(entry) = entries.find(|entry| u32_at(entry, 0) == Some(PT_INTERP)) else {
        return Ok(Elf::Here { loader: None });
    };
    let Some((offset, length @ 2..=MAX_INTERPRETER)) = u64_at(entry, 8).zip(u64_at(entry, 32)) else {
        return Ok(Elf::Broken);
    };
    let mut loader = read(offset, length as usize)?;
    let ends = loader.pop() == Some(0) && loader.len() as u64 == length - 1 && !loader.contains(&0);
    Ok(if ends { Elf::Here { loader: Some(loader) } } else { Elf::Broken })
}

fn machine_name(class: u8, order: u8, machine: u16) -> String {
    let name = match machine {
        3 => "i386",
        8 => "mips",
        20 => "powerpc",
        21 => "powerpc64",
        22 => "s390",
        40 => "arm",
        62 => "x86_64",
        183 => "aarch64",
        243 => "riscv",
        258 => "loongarch",
        _ => return format!("machine {machine}"),
    };
    let bits = if class == 1 { ", 32 bit" } else { "" };
    let endian = if order == 2 { ", big endian" } else { "" };
    format!("{name}{bits}{endian}")
}

/// The smallest file that [`inspect`] takes for a program: for tests.
#[cfg(test)]
pub(crate) fn sample(machine: u16, loader: Option<&str>) -> Vec<u8> {
    let mut file = vec![0; HEADER + usize::from(PROGRAM_HEADER)];
    file[..6].copy_from_slice(b"\x7fELF\x02\x01");
    file[16..18].copy_from_slice(&3_u16.to_le_bytes());
    file[18..20].copy_from_slice(&machine.to_le_bytes());
    file[32..40].copy_from_slice(&(HEADER as u64).to_le_bytes());
    file[54..56].copy_from_slice(&PROGRAM_HEADER.to_le_bytes());
    file[56..58].copy_from_slice(&1_u16.to_le_bytes());
    file[64..68].copy_from_slice(&if loader.is_some() { PT_INTERP } else { 1 }.to_le_bytes());
    if let Some(loader) = loader {
        let offset = file.len() as u64;
        file[72..80].copy_from_slice(&offset.to_le_bytes());
        file[96..104].copy_from_slice(&(loader.len() as u64 + 1).to_le_bytes());
        file.extend_from_slice(loader.as_bytes());
        file.push(0);
    }
    file
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(file: &[u8], arch: Arch) -> Elf {
        let read = |offset: u64, len: usize| {
            let start = usize::try_from(offset).unwrap_or(usize::MAX).min(file.len());
            Ok(file[start..start.saturating_add(len).min(file.len())].to_vec())
        };
        inspect(read, arch).unwrap()
    }

    #[test]
    fn finds_loaders_and_strangers() {
        let file = sample(62, Some("/lib64/ld.so"));
        assert_eq!(look(&file, Arch::X86_64), Elf::Here { loader: Some(b"/lib64/ld.so".to_vec()) });
        assert_eq!(look(&file, Arch::Aarch64), Elf::Foreign { machine: "x86_64".into() });
        assert_eq!(look(&sample(62, None), Arch::X86_64), Elf::Here { loader: None });
        let mut small = sample(3, None);
        small[4] = 1;
        assert_eq!(look(&small, Arch::X86_64), Elf::Foreign { machine: "i386, 32 bit".into() });
        assert_eq!(look(&file[..file.len() - 1], Arch::X86_64), Elf::Broken);
        assert_eq!(look(b"\x7fELF", Arch::X86_64), Elf::Broken);
        let headless = &sample(62, None)[..64];
        assert_eq!(look(headless, Arch::X86_64), Elf::Broken, "program headers behind the end of the file");
    }

    #[test]
    fn reads_this_very_program() {
        let file = std::fs::read("/proc/self/exe").unwrap();
        assert!(matches!(look(&file, Arch::NATIVE), Elf::Here { .. }));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_looked_at_calmly(mut file: Vec<u8>, fix: bool) {
            if fix {
                let good = sample(62, Some("/x"));
                let n = file.len().min(32);
                file.splice(..n, good[..good.len().min(58)].iter().copied());
            }
            look(&file, Arch::X86_64);
        }
    }
}
