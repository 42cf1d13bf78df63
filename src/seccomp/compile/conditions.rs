//! The conditions of a verdict, by the crate seccompiler: 64-bit comparisons on a machine of 32 bits.
//!
//! Its filters have two actions, and compare numbers one by one; its rules know of neither, and are what is
//! used here.

use seccompiler::{BackendError, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompRule};

use super::assembler::{Assembler, Label};
use super::verdicts::{Branch, Verdict};
use crate::seccomp::{Condition, Op};

/// The code of a verdict.
pub(super) fn verdict(assembler: &mut Assembler, verdict: &Verdict) -> Result<Label, BackendError> {
    let mut label = assembler.ret(verdict.last);
    for Branch { args, action } in verdict.branches.iter().rev() {
        let conditions = args.iter().map(condition).collect::<Result<_, _>>()?;
        label = assembler.rule(SeccompRule::new(conditions)?, *action, label);
    }
    Ok(label)
}

fn condition(condition: &Condition) -> Result<SeccompCondition, BackendError> {
    use SeccompCmpArgLen::{Dword, Qword};
    const LOW: u64 = u32::MAX as u64;
    let (length, operator) = match condition.op {
        Op::Eq => (Qword, SeccompCmpOp::Eq),
        Op::Ne => (Qword, SeccompCmpOp::Ne),
        Op::Lt => (Qword, SeccompCmpOp::Lt),
        Op::Le => (Qword, SeccompCmpOp::Le),
        Op::Gt => (Qword, SeccompCmpOp::Gt),
        Op::Ge => (Qword, SeccompCmpOp::Ge),
        // Half as long where the upper half does not count.
        Op::MaskedEq(LOW) => (Dword, SeccompCmpOp::Eq),
        Op::MaskedEq(mask) if mask <= LOW => (Dword, SeccompCmpOp::MaskedEq(mask)),
        Op::MaskedEq(mask) => (Qword, SeccompCmpOp::MaskedEq(mask)),
    };
    SeccompCondition::new(condition.index, length, operator, condition.value)
}
