//! What of a runbook a start leaves out: the options of `exec` and `plan`, and how it is told. Never judges a name.

use clap::Args;
use runbook_proto::v1::{GivenOutput, Selection};
use serde_json::{Value, json};

/// The options.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "What runs")]
pub struct Selecting {
    /// Leaves a step out: it counts as succeeded; may be repeated, as the others here
    #[arg(long, value_name = "STEP")]
    pub skip: Vec<String>,
    /// Of the main steps runs these alone
    #[arg(long, value_name = "STEP")]
    pub only: Vec<String>,
    /// Of the main steps runs this one alone, and what comes after it
    #[arg(long, value_name = "STEP")]
    pub from: Vec<String>,
    /// Of the main steps runs this one alone, and what comes before it
    #[arg(long, value_name = "STEP")]
    pub until: Vec<String>,
    /// Gives an output of a step that is left out
    #[arg(long, value_name = "STEP.KEY=VALUE", value_parser = output)]
    pub set_output: Vec<(String, String, String)>,
    /// Takes the inputs and the steps of another run, by its number or uid, where nothing else is said
    #[arg(long, value_name = "RUN")]
    pub like: Option<String>,
}

impl Selecting {
    /// As the API takes it.
    pub fn selection(&self) -> Option<Selection> {
        let Self { skip, only, from, until, set_output, .. } = self;
        let outputs = set_output.iter().cloned().map(|(step, key, text)| GivenOutput { step, key, text });
        let selection = Selection {
            skip: skip.clone(),
            only: only.clone(),
            from: from.clone(),
            until: until.clone(),
            outputs: outputs.collect(),
            left_out: Vec::new(),
        };
        (selection != Selection::default()).then_some(selection)
    }
}

/// Reads `STEP.KEY=VALUE`.
fn output(text: &str) -> Result<(String, String, String), String> {
    let parts = text.split_once('=').and_then(|(name, value)| Some((name.split_once('.')?, value)));
    match parts {
        Some(((step, key), value)) if !step.is_empty() && !key.is_empty() => {
            Ok((step.to_owned(), key.to_owned(), value.to_owned()))
        }
        _ => Err("write it as STEP.KEY=VALUE".to_owned()),
    }
}

/// What was asked for, as it was typed.
pub fn typed(selection: &Selection) -> String {
    let options =
        [("skip", &selection.skip), ("only", &selection.only), ("from", &selection.from), ("until", &selection.until)];
    let words = options.into_iter().flat_map(|(option, ids)| ids.iter().map(move |id| format!("--{option} {id}")));
    let outputs = selection.outputs.iter().map(|given| format!("--set-output {}.{}=…", given.step, given.key));
    words.chain(outputs).collect::<Vec<_>>().join(" ")
}

/// As JSON; null where nothing is left out.
pub fn to_json(selection: Option<&Selection>) -> Value {
    let Some(selection) = selection else { return Value::Null };
    let outputs = selection.outputs.iter();
    let outputs: Vec<Value> =
        outputs.map(|given| json!({"step": given.step, "key": given.key, "text": given.text})).collect();
    json!({
        "skip": selection.skip,
        "only": selection.only,
        "from": selection.from,
        "until": selection.until,
        "outputs": outputs,
        "left_out": selection.left_out,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_are_read_and_told() {
        let triple = |a: &str, b: &str, c: &str| Ok((a.to_owned(), b.to_owned(), c.to_owned()));
        assert_eq!(output("dump.bytes=7"), triple("dump", "bytes", "7"));
        assert_eq!(output("dump.url=http://a.b/?x=y"), triple("dump", "url", "http://a.b/?x=y"));
        for wrong in ["dump=7", "dump.bytes", ".bytes=7", "dump.=7", ""] {
            assert!(output(wrong).is_err(), "{wrong:?}");
        }
        let set_output = vec![output("dump.bytes=7").unwrap()];
        let selecting =
            Selecting { skip: vec!["dump".into()], from: vec!["a".into()], set_output, ..Default::default() };
        assert_eq!(typed(&selecting.selection().unwrap()), "--skip dump --from a --set-output dump.bytes=…");
        assert_eq!(Selecting::default().selection(), None);
    }
}
