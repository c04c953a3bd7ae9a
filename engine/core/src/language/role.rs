//! Names of roles: in an approval, and in what protects an environment; those of the daemon's configuration, where that is known.
//! Never knows who has one.

use super::code::Code;
use super::interface::Configured;
use super::item::Item;
use super::names;
use super::report::{Problem, Report};
use super::show;
use crate::expression::did_you_mean;
use crate::id::is_id;

/// A list of roles, each once. Told of are those that nobody has.
pub(super) fn names(item: Item<'_>, configured: Option<&Configured>, report: &mut Report<'_>) -> Vec<String> {
    names::distinct(item, report, |item, report| {
        let name = item.text(report).map(|_| names::id(item, report))?;
        if let Some(Configured { roles, .. }) = configured.filter(|_| is_id(name))
            && !roles.contains(name)
        {
            let message = format!("nobody has the role `{}` by the daemon's configuration", show(name));
            let help = match did_you_mean(name, roles.iter().map(String::as_str)) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => {
                    format!("add `roles: {{{name}: {{users: [NAME]}}}}` to runbookd.yaml, and start the daemon anew")
                }
            };
            report.add(Problem::new(Code::UnknownRole, item.span(), message).help(help));
        }
        Some(name)
    })
}
