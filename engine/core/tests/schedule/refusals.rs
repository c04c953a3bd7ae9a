//! What is no rule of crontab(5): each with the column, what is wrong, and what to write instead.

use runbook_core::schedule::Rule;

/// A text, the column, the message, the help.
type Case = (&'static str, usize, &'static str, &'static str);

const ORDER: &str = "write five fields: minute, hour, day of the month, month, day of the week, as in `30 2 * * 1-5`";
const MINUTES: &str = "minutes are 0 to 59";
const LIST: &str = "write minutes with one comma between two of them: `1,2`";
const STEP: &str = "a step is a whole number from 1 on: `*/2` is every second one";
const NTH: &str = "name the weekday, and let the runbook's first step look at the day of the month";
const LAST: &str =
    "`0 0 1 * *` is the first minute after the last day of each month; a rule cannot name that day itself";
const WEEKDAYS: &str = "days of the week are 0 to 7 or sun, mon, tue, wed, thu, fri, sat";
const ALIASES: &str = "there are @yearly, @annually, @monthly, @weekly, @daily, @midnight and @hourly";

const CASES: &[Case] = &[
    // How many fields.
    ("", 1, "the rule is empty", ORDER),
    ("   ", 1, "the rule is empty", ORDER),
    ("5", 1, "the rule has 1 field of five; an hour is missing", ORDER),
    ("0 2 * *", 1, "the rule has 4 fields of five; a day of the week is missing", ORDER),
    ("  0 2", 3, "the rule has 2 fields of five; a day of the month is missing", ORDER),
    (
        "0 0 2 * * *",
        11,
        "the rule has six fields; crontab(5) has five",
        "a rule has no seconds, a minute is the finest: if the first field is seconds, write `0 2 * * *`",
    ),
    (
        "*/10 * * * * *",
        14,
        "the rule has six fields; crontab(5) has five",
        "a rule has no seconds, a minute is the finest: if the first field is seconds, write `* * * * *`",
    ),
    (
        "0 0 12 * * ?",
        12,
        "the rule has six fields; crontab(5) has five",
        "a rule has no seconds, a minute is the finest: if the first field is seconds, write `0 12 * * *`",
    ),
    ("0 2 * * * 2027", 11, "the rule has six fields; crontab(5) has five", "a rule has no years: write `0 2 * * *`"),
    (
        "0 2 * * * root",
        11,
        "the rule has six fields; crontab(5) has five",
        "a rule ends with the day of the week, and has no user and no command: write `0 2 * * *`",
    ),
    (
        "0 0 2 * * ? 2027",
        11,
        "the rule has 7 fields; crontab(5) has five",
        "a rule has neither seconds nor years: write `0 2 * * *`",
    ),
    ("0 2 * * * root backup now", 11, "the rule has 8 fields; crontab(5) has five", ORDER),
    // Lists, ranges, steps.
    ("1,,2 * * * *", 3, "something is missing in the list", LIST),
    (",1 * * * *", 1, "something is missing in the list", LIST),
    ("1, * * * *", 3, "something is missing in the list", LIST),
    (", * * * *", 1, "something is missing in the list", LIST),
    ("5-1 * * * *", 1, "the range `5-1` runs backwards", "write `5-59,0-1`"),
    ("0 22-6 * * *", 3, "the range `22-6` runs backwards", "write `22-23,0-6`"),
    ("0 23-0 * * *", 3, "the range `23-0` runs backwards", "write `23,0`"),
    ("0 0 28-3 * *", 5, "the range `28-3` runs backwards", "write `28-31,1-3`"),
    ("0 0 * nov-feb *", 7, "the range `nov-feb` runs backwards", "write `11-12,1-2`"),
    ("0 0 * * 5-1", 9, "the range `5-1` runs backwards", "write `5-6,0-1`"),
    ("0 0 * * fri-sun", 9, "the range `fri-sun` runs backwards", "at the end of a range Sunday is 7: write `5-7`"),
    ("0 0 * * 6-0", 9, "the range `6-0` runs backwards", "at the end of a range Sunday is 7: write `6-7`"),
    ("0 0 * * 7-2", 9, "the range `7-2` runs backwards", "write `7,0-2`"),
    ("0 22-6/2 * * *", 3, "the range `22-6` runs backwards", "write two ranges, each with its step"),
    ("5/15 * * * *", 1, "`5/15`: a step follows `*` or a range", "write `5-59/15`, or `5`"),
    ("0 0 * * mon/2", 9, "`mon/2`: a step follows `*` or a range", "write `1-6/2`, or `1`"),
    ("*/0 * * * *", 3, "a step of 0 leads nowhere", STEP),
    ("*/ * * * *", 3, "a step is missing here", STEP),
    ("*/-5 * * * *", 3, "`-5` is not a step", STEP),
    ("*/5/2 * * * *", 3, "`5/2` is not a step", STEP),
    ("*/a * * * *", 3, "`a` is not a step", STEP),
    ("*/99999 * * * *", 3, "`99999` is not a step", STEP),
    ("/5 * * * *", 1, "a minute is missing here", "a range is written `1-5`"),
    ("*5 * * * *", 1, "`*5`: `*` stands alone or before a step", "write `*/5` for every 5, or `5`"),
    ("** * * * *", 1, "`**`: `*` stands alone or before a step", "write `*`, or `*/2` for every second one"),
    ("*-5 * * * *", 1, "`*-5`: `*` stands alone or before a step", "write `*`, or `*/2` for every second one"),
    ("1-* * * * *", 3, "`*` is not a minute", MINUTES),
    ("-5 * * * *", 1, "a minute is missing here", "a range is written `1-5`"),
    ("5- * * * *", 3, "a minute is missing here", "a range is written `1-5`"),
    ("1-2-3 * * * *", 3, "`2-3` is not a minute", MINUTES),
    ("- * * * *", 1, "a minute is missing here", "a range is written `1-5`"),
    // Numbers out of range, or absurdly long.
    ("60 * * * *", 1, "`60` is not a minute", "minutes are 0 to 59, the full hour is 0"),
    ("0-60 * * * *", 3, "`60` is not a minute", "minutes are 0 to 59, the full hour is 0"),
    ("0 24 * * *", 3, "`24` is not an hour", "hours are 0 to 23, midnight is 0"),
    ("0 25 * * *", 3, "`25` is not an hour", "hours are 0 to 23"),
    ("0 0 0 * *", 5, "`0` is not a day of the month", "days of the month are 1 to 31"),
    ("0 0 32 * *", 5, "`32` is not a day of the month", "days of the month are 1 to 31"),
    ("0 0 * 0 *", 7, "`0` is not a month", "months are 1 to 12"),
    ("0 0 * 13 *", 7, "`13` is not a month", "months are 1 to 12"),
    ("0 0 * * 8", 9, "`8` is not a day of the week", "days of the week are 0 to 7, Sunday is 0 and 7"),
    ("1,2,99 * * * *", 5, "`99` is not a minute", MINUTES),
    ("99999999999999999999 * * * *", 1, "`99999999999999999999` is not a minute", MINUTES),
    ("00000 * * * *", 1, "`00000` is not a minute", MINUTES),
    ("4294967296 * * * *", 1, "`4294967296` is not a minute", MINUTES),
    // What other programs have.
    ("? * * * *", 1, "`?` is not of crontab(5)", "write `*`"),
    ("0 0 ? * 1", 5, "`?` is not of crontab(5)", "write `*`"),
    ("0 0 * * 1#2", 10, "`#`, the n-th such weekday of a month, is not of crontab(5)", NTH),
    ("0 0 * * fri#1", 12, "`#`, the n-th such weekday of a month, is not of crontab(5)", NTH),
    ("0 0 L * *", 5, "`L`, the last day, is not of crontab(5)", LAST),
    ("0 0 l-3 * *", 5, "`L`, the last day, is not of crontab(5)", LAST),
    ("0 0 * * 5L", 10, "`L`, the last day, is not of crontab(5)", LAST),
    (
        "0 0 15W * *",
        7,
        "`W`, the nearest weekday, is not of crontab(5)",
        "name days of the week in the fifth field, as `1-5`",
    ),
    (
        "0 0 LW * *",
        6,
        "`W`, the nearest weekday, is not of crontab(5)",
        "name days of the week in the fifth field, as `1-5`",
    ),
    (
        "0 0 W * *",
        5,
        "`W`, the nearest weekday, is not of crontab(5)",
        "name days of the week in the fifth field, as `1-5`",
    ),
    ("H * * * *", 1, "`H`, a time by hash, is not of crontab(5)", "name one number"),
    ("0~30 * * * *", 2, "`~`, a random time, is not of crontab(5)", "name one number"),
    ("+5 * * * *", 1, "`+` does not belong in a rule", "name the numbers, as a list `1,2` or a range `1-5`"),
    ("1.5 * * * *", 2, "'.' does not belong in a rule", "a field has numbers, names, `*`, `,`, `-` and `/`"),
    ("0 12:30 * * *", 5, "':' does not belong in a rule", "a field has numbers, names, `*`, `,`, `-` and `/`"),
    ("1–5 * * * *", 2, "'–' does not belong in a rule", "a field has numbers, names, `*`, `,`, `-` and `/`"),
    ("0 2 * * *\n0 3 * * *", 10, "'\\n' does not belong in a rule", "fields are separated by spaces, on one line"),
    ("0\u{a0}2 * * *", 2, "'\\u{a0}' does not belong in a rule", "fields are separated by spaces, on one line"),
    // Names.
    ("0 0 * * monday", 9, "`monday` is not a day of the week", "names have three letters: write `mon`"),
    ("0 0 * January *", 7, "`January` is not a month", "names have three letters: write `jan`"),
    ("0 0 * * mno", 9, "`mno` is not a day of the week", "did you mean `mon`?"),
    ("0 0 * * jan", 9, "`jan` is not a day of the week", WEEKDAYS),
    ("mon * * * *", 1, "`mon` is not a minute", MINUTES),
    ("0 0 * * xyz", 9, "`xyz` is not a day of the week", WEEKDAYS),
    ("0 0 mon * *", 5, "`mon` is not a day of the month", "days of the month are 1 to 31"),
    // Names of rules.
    ("@dayly", 1, "there is no rule `@dayly`", "did you mean `@daily`?"),
    ("@Daily", 1, "there is no rule `@Daily`", "did you mean `@daily`?"),
    ("@", 1, "there is no rule `@`", ALIASES),
    ("@fortnightly", 1, "there is no rule `@fortnightly`", ALIASES),
    (
        "@reboot",
        1,
        "there is no rule `@reboot`",
        "it names no time: a runbook that belongs to a start of the machine is started by the unit",
    ),
    (
        "@every 5m",
        1,
        "there is no rule `@every`",
        "write the minutes or hours with a step: `*/15 * * * *`, `0 */2 * * *`",
    ),
    ("@daily 5", 8, "nothing follows `@daily`", "write `@daily` alone, or as five fields: `0 0 * * *`"),
];

#[test]
fn what_is_no_rule_is_refused_at_its_place_with_what_to_write() {
    let mut wrong = Vec::new();
    for (text, column, message, help) in CASES {
        match text.parse::<Rule>() {
            Ok(_) => wrong.push(format!("{text:?} was taken")),
            Err(fault) => {
                let found = (fault.column(text), fault.message.as_str(), fault.help.as_str());
                if found != (*column, *message, *help) {
                    wrong.push(format!("{text:?}\n    {found:?}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), CASES.len(), wrong.join("\n"));
}

#[test]
fn a_rule_of_any_length_is_answered() {
    let long = vec!["0-59"; 10_000].join(",");
    let fault = format!("{long} * * * *").parse::<Rule>().unwrap_err();
    assert_eq!(fault.message, "the rule has 50007 bytes, the limit is 1024");
    let all = (0..60).map(|minute| minute.to_string()).collect::<Vec<_>>().join(",");
    assert!(format!("{all} * * * *").parse::<Rule>().is_ok(), "every minute by its number");
}

#[test]
fn what_a_hint_says_to_write_is_taken() {
    let mut taken = 0;
    for (text, _, _, help) in CASES {
        for written in help.split('`').skip(1).step_by(2).filter(|it| it.contains(' ')) {
            assert!(written.parse::<Rule>().is_ok(), "{text:?}: {help}");
            taken += 1;
        }
    }
    assert!(taken > 15, "the control: only {taken} rules were found in hints");
}
