//! What the sections of policies name: looked up even where no route needs it, so that whoever wrote the
//! policy is told at once.

use std::collections::BTreeSet;

use crate::report::Code;

use super::super::findings::Findings;
use super::{Policies, Sections};

/// Something that a section names and that cannot be found or used.
pub(in crate::translate) struct Unresolved {
    pub(in crate::translate) code: Code,
    /// A sentence without a full stop, with what follows from it.
    pub(in crate::translate) why: String,
}

impl Policies<'_> {
    /// Looks up what each policy names in one of its sections. What cannot be found or used is told
    /// to the policy, and stands in its status.
    pub(in crate::translate) fn look_up<T>(
        &mut self,
        named: impl Fn(&Sections) -> Option<&T>,
        mut find: impl FnMut(&T) -> Result<(), Unresolved>,
        findings: &mut Findings,
    ) {
        for policy in &mut self.all {
            let Some(Err(Unresolved { code, why })) = named(&policy.sections).map(&mut find) else {
                continue;
            };
            findings.add(&policy.object, code, why.clone());
            policy.unresolved.push(why);
        }
    }

    /// Looks up the error pages that each policy names, in the same way.
    pub(in crate::translate) fn look_up_pages(&mut self, findings: &mut Findings) {
        for policy in &mut self.all {
            let named = policy.sections.pages();
            let named: BTreeSet<_> = named.filter_map(|it| it.config_map.as_ref()).collect();
            for (namespace, name) in named {
                for Unresolved { code, why } in self.pages.defects((namespace, name)) {
                    findings.add(&policy.object, code, why.clone());
                    policy.unresolved.push(why);
                }
            }
        }
    }
}
