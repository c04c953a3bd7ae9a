//! The inputs of a run as given on the command line: `-i key=value` as text, which the daemon reads by the declared
//! type, and a JSON file of typed values. Never judges a value.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use prost_types::Struct;
use serde_json::Value;

use crate::failure::{Failure, Result};
use crate::to_json::to_struct_value;
use crate::unique_json;

/// The largest file of inputs, in bytes.
const INPUT_FILE_BYTES: u64 = 16 << 20;
/// The name of the file that means standard input.
const STANDARD_INPUT: &str = "-";

/// Inputs, ready for a request. No name is in both.
#[derive(Debug, Default, PartialEq)]
pub struct Inputs {
    /// Typed values.
    pub values: Struct,
    /// Texts.
    pub texts: HashMap<String, String>,
}

/// Reads `KEY=VALUE`.
///
/// # Errors
/// There is no `=`, or nothing before it.
pub fn assignment(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        Some(_) => Err("there is no name before the `=`; write it as KEY=VALUE".to_owned()),
        None => Err("there is no `=`; write it as KEY=VALUE".to_owned()),
    }
}

/// The inputs of both sources; what is typed wins over the file.
///
/// # Errors
/// A name was typed twice, or the file is no JSON object.
pub fn collect(typed: &[(String, String)], file: Option<&Path>) -> Result<Inputs> {
    let mut inputs = match file {
        Some(path) => from_file(path)?,
        None => Inputs::default(),
    };
    let mut twice = Vec::new();
    let mut seen = HashMap::new();
    for (key, value) in typed {
        inputs.values.fields.remove(key);
        if seen.insert(key, value).is_some() {
            twice.push((key.clone(), "given twice".to_owned()));
        }
        inputs.texts.insert(key.clone(), value.clone());
    }
    if twice.is_empty() {
        return Ok(inputs);
    }
    Err(Failure { details: twice, ..Failure::usage("inputs are given more than once") })
}

fn from_file(path: &Path) -> Result<Inputs> {
    let name = path.display();
    let wrong = |what: String| {
        Failure::usage(format!("cannot read the inputs in {name}"))
            .why(what)
            .next("an input file holds one JSON object: {\"key\": value, ...}")
    };
    let mut bytes = Vec::new();
    let read = if path.as_os_str() == STANDARD_INPUT {
        std::io::stdin().lock().take(INPUT_FILE_BYTES + 1).read_to_end(&mut bytes)
    } else {
        File::open(path).and_then(|file| file.take(INPUT_FILE_BYTES + 1).read_to_end(&mut bytes))
    };
    let length = read.map_err(|error| wrong(error.to_string()))?;
    if length as u64 > INPUT_FILE_BYTES {
        return Err(wrong(format!("it has more than {INPUT_FILE_BYTES} bytes, which is the limit")));
    }
    parse(&bytes).map_err(wrong)
}

/// A JSON object as inputs. A value with an integer that a double cannot hold goes as its JSON text.
fn parse(bytes: &[u8]) -> Result<Inputs, String> {
    let value = unique_json::parse(bytes)?;
    let Value::Object(fields) = value else { return Err("it is not an object".to_owned()) };
    let mut inputs = Inputs::default();
    for (key, value) in fields {
        match to_struct_value(&value) {
            Some(typed) => drop(inputs.values.fields.insert(key, typed)),
            None => drop(inputs.texts.insert(key, value.to_string())),
        }
    }
    Ok(inputs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit_code::ExitCode;
    use crate::to_json::object;
    use serde_json::json;

    #[test]
    fn assignments() {
        for (text, expected) in [
            ("a=b", Ok(("a", "b"))),
            ("a=", Ok(("a", ""))),
            ("a=b=c", Ok(("a", "b=c"))),
            ("a= b ", Ok(("a", " b "))),
            ("=b", Err("there is no name before the `=`; write it as KEY=VALUE")),
            ("ab", Err("there is no `=`; write it as KEY=VALUE")),
        ] {
            let expected = expected.map(|(k, v)| (k.to_owned(), v.to_owned())).map_err(str::to_owned);
            assert_eq!(assignment(text), expected);
        }
    }

    #[test]
    fn what_is_typed_wins_over_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("in.json");
        std::fs::write(&path, r#"{"keep": 7, "source": "x", "big": 9007199254740993}"#).unwrap();
        let inputs = collect(&[("source".into(), "y".into())], Some(&path)).unwrap();
        assert_eq!(object(Some(&inputs.values)), json!({"keep": 7}));
        let mut texts: Vec<_> = inputs.texts.into_iter().collect();
        texts.sort();
        assert_eq!(texts, [("big".into(), "9007199254740993".into()), ("source".into(), "y".into())]);
    }

    #[test]
    fn what_is_wrong_is_said() {
        let pair = |k: &str, v: &str| (k.to_owned(), v.to_owned());
        let twice = collect(&[pair("a", "1"), pair("a", "2")], None).unwrap_err();
        assert_eq!((twice.code, twice.details.len()), (ExitCode::Usage, 1));
        for (bytes, why) in [
            (&b"[]"[..], "not an object"),
            (b"{", "EOF"),
            (b"\xff", "expected value"),
            (b"{} {}", "trailing"),
            (b"{\"a\":1,\"a\":2}", "twice"),
        ] {
            let error = parse(bytes).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
        let missing = collect(&[], Some(Path::new("/nonexistent/in.json"))).unwrap_err();
        assert_eq!(missing.code, ExitCode::Usage);
    }
}
