//! `pool` of a step and of `defaults`: a name of the daemon's configuration, where that is known. Never knows how many places
//! a pool has, nor who has one.

use super::code::Code;
use super::command::{Defaults, Reader};
use super::item::{Fields, Item};
use super::names;
use super::report::Problem;
use super::show;
use crate::definition::Step;
use crate::expression::did_you_mean;

/// The name of a pool.
pub(super) fn name(item: Item<'_>, reader: &mut Reader<'_, '_, '_>) -> Option<String> {
    item.text(reader.report)?;
    let name = names::id(item, reader.report);
    if let Some(pools) = reader.interfaces.configured().map(|configured| &configured.pools)
        && !pools.contains_key(name)
        && crate::id::is_id(name)
    {
        let message = format!("the daemon's configuration has no pool `{}`", show(name));
        let help = match did_you_mean(name, pools.keys().map(String::as_str)) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None if pools.is_empty() => {
                format!("add `pools: {{{name}: 2}}` to runbookd.yaml, and start the daemon anew")
            }
            None => format!("there are {}", pools.keys().map(String::as_str).collect::<Vec<_>>().join(", ")),
        };
        reader.report.add(Problem::new(Code::UnknownPool, item.span(), message).help(help));
    }
    Some(name.to_owned())
}

/// The pool of a step: its own, else the default one, if it has attempts of its own.
pub(super) fn of_step(
    fields: &Fields<'_>,
    step: &Step,
    defaults: &Defaults,
    reader: &mut Reader<'_, '_, '_>,
) -> Option<String> {
    match fields.get("pool") {
        Some(item) => name(item, reader),
        None => defaults.pool.clone().filter(|_| step.command().is_some()),
    }
}
