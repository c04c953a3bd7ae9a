//! Reading `$RUNBOOK_OUTPUT`: `key=value` lines, or JSON objects a line. Never knows what was declared.

use indexmap::IndexMap;
use runbook_core::limits;
use runbook_core::run::decide::OUTPUT_PROBLEM;
use serde_json::Value;

/// Reads what a command wrote. What is malformed is reported under [`OUTPUT_PROBLEM`], beside what is not.
pub(super) fn parse(bytes: &[u8]) -> IndexMap<String, Value> {
    let mut outputs = IndexMap::new();
    if let Err(problem) = read(bytes, &mut outputs) {
        outputs.insert(OUTPUT_PROBLEM.to_owned(), Value::String(format!("$RUNBOOK_OUTPUT: {problem}")));
    }
    outputs
}

fn read(bytes: &[u8], outputs: &mut IndexMap<String, Value>) -> Result<(), String> {
    let text = std::str::from_utf8(bytes).map_err(|e| format!("it is not UTF-8 at byte {}", e.valid_up_to()))?;
    for (index, line) in text.lines().enumerate() {
        let number = index + 1;
        if line.trim().is_empty() {
            continue;
        }
        let pairs: Vec<(String, Value)> = if line.starts_with('{') {
            let object: serde_json::Map<String, Value> =
                serde_json::from_str(line).map_err(|e| format!("line {number} is no JSON object: {e}"))?;
            object.into_iter().collect()
        } else {
            let (key, value) =
                line.split_once('=').ok_or_else(|| format!("line {number} is neither key=value nor a JSON object"))?;
            vec![(key.trim().to_owned(), Value::from(value))]
        };
        for (key, value) in pairs {
            let length = value.as_str().map_or_else(|| value.to_string().len(), str::len);
            if length > limits::OUTPUT_BYTES {
                return Err(format!("{key:?} has {length} bytes, the limit is {}", limits::OUTPUT_BYTES));
            }
            if outputs.len() >= limits::OUTPUTS {
                return Err(format!("it has more than {} keys", limits::OUTPUTS));
            }
            if outputs.insert(key.clone(), value).is_some() {
                return Err(format!("line {number} gives {key:?} a second time"));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_json_are_read_and_problems_are_told() {
        let read = parse(b"a=1\n\n{\"b\": [1, 2], \"c\": null}\nd=x=y\n");
        let json = serde_json::to_value(&read).unwrap();
        assert_eq!(json, serde_json::json!({"a": "1", "b": [1, 2], "c": null, "d": "x=y"}));
        for (bytes, problem) in [
            (&b"a=1\na=2\n"[..], "$RUNBOOK_OUTPUT: line 2 gives \"a\" a second time"),
            (b"what", "$RUNBOOK_OUTPUT: line 1 is neither key=value nor a JSON object"),
            (b"a=\xff", "$RUNBOOK_OUTPUT: it is not UTF-8 at byte 2"),
        ] {
            assert_eq!(parse(bytes).get(OUTPUT_PROBLEM), Some(&Value::from(problem)));
        }
    }
}
