//! Whether the API is written in buf's standard style, read from its descriptors: what a generator of any language
//! makes of it has the names that people expect. Never judges what a message means.

use std::collections::BTreeMap;

use prost::Message as _;
use prost_types::{DescriptorProto, EnumDescriptorProto, FileDescriptorProto, FileDescriptorSet};
use runbook_proto::v1;

use crate::repository::none;

/// The files of the API, without those of Google that they import.
fn ours(set: FileDescriptorSet) -> Vec<FileDescriptorProto> {
    set.file.into_iter().filter(|file| !file.package().starts_with("google.")).collect()
}

fn is_pascal(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_uppercase()) && name.chars().all(|c| c.is_ascii_alphanumeric())
}

fn is_snake(name: &str) -> bool {
    let words = name.split('_');
    let mut words =
        words.map(|word| !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit()));
    name.starts_with(|c: char| c.is_ascii_lowercase()) && words.all(|good| good)
}

/// `RunStatus` → `RUN_STATUS`.
fn upper_snake(pascal: &str) -> String {
    let mut name = String::new();
    for c in pascal.chars() {
        if c.is_ascii_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(c.to_ascii_uppercase());
    }
    name
}

fn is_version(part: &str) -> bool {
    part.strip_prefix('v').is_some_and(|number| number.parse::<u32>().is_ok_and(|number| number > 0))
}

/// What the rules of buf's category STANDARD object to, as `RULE name`.
fn objections(files: &[FileDescriptorProto]) -> Vec<String> {
    let mut found = Vec::new();
    let mut messages: BTreeMap<String, usize> = BTreeMap::new();
    for file in files {
        let (name, package) = (file.name(), file.package());
        let mut object = |rule: &str, what: &str| found.push(format!("{rule} {what}"));
        let (folder, base) = name.rsplit_once('/').unwrap_or(("", name));
        if package.is_empty() || folder != package.replace('.', "/") {
            object("PACKAGE_DIRECTORY_MATCH", name);
        }
        if !package.split('.').all(is_snake) {
            object("PACKAGE_LOWER_SNAKE_CASE", package);
        }
        if !package.rsplit('.').next().is_some_and(is_version) {
            object("PACKAGE_VERSION_SUFFIX", package);
        }
        if !base.strip_suffix(".proto").is_some_and(is_snake) {
            object("FILE_LOWER_SNAKE_CASE", name);
        }
        if file.syntax() != "proto3" {
            object("SYNTAX_SPECIFIED", name);
        }
        if !file.public_dependency.is_empty() || !file.weak_dependency.is_empty() {
            object("IMPORT_NO_PUBLIC", name);
        }
        for service in &file.service {
            if !is_pascal(service.name()) {
                object("SERVICE_PASCAL_CASE", service.name());
            }
            if !service.name().ends_with("Service") {
                object("SERVICE_SUFFIX", service.name());
            }
            for rpc in &service.method {
                if !is_pascal(rpc.name()) {
                    object("RPC_PASCAL_CASE", rpc.name());
                }
                for (rule, kind, suffix) in [
                    ("RPC_REQUEST_STANDARD_NAME", rpc.input_type(), "Request"),
                    ("RPC_RESPONSE_STANDARD_NAME", rpc.output_type(), "Response"),
                ] {
                    let plain = format!(".{package}.{}{suffix}", rpc.name());
                    let long = format!(".{package}.{}{}{suffix}", service.name(), rpc.name());
                    if kind != plain && kind != long {
                        object(rule, rpc.name());
                    }
                    *messages.entry(kind.to_owned()).or_default() += 1;
                }
            }
        }
        file.enum_type.iter().for_each(|it| enumeration(it, &mut object));
        file.message_type.iter().for_each(|it| message(it, &mut object));
    }
    let twice = messages.into_iter().filter(|(_, count)| *count > 1);
    found.extend(twice.map(|(name, _)| format!("RPC_REQUEST_RESPONSE_UNIQUE {name}")));
    found
}

fn enumeration(it: &EnumDescriptorProto, object: &mut impl FnMut(&str, &str)) {
    if !is_pascal(it.name()) {
        object("ENUM_PASCAL_CASE", it.name());
    }
    if it.options.as_ref().is_some_and(|options| options.allow_alias()) {
        object("ENUM_NO_ALLOW_ALIAS", it.name());
    }
    let prefix = format!("{}_", upper_snake(it.name()));
    for value in &it.value {
        if !is_snake(&value.name().to_ascii_lowercase()) || value.name() != value.name().to_ascii_uppercase() {
            object("ENUM_VALUE_UPPER_SNAKE_CASE", value.name());
        }
        if !value.name().starts_with(&prefix) {
            object("ENUM_VALUE_PREFIX", value.name());
        }
        if (value.number() == 0) != (value.name() == format!("{prefix}UNSPECIFIED")) {
            object("ENUM_ZERO_VALUE_SUFFIX", value.name());
        }
    }
    if it.value.first().is_none_or(|value| value.number() != 0) {
        object("ENUM_FIRST_VALUE_ZERO", it.name());
    }
}

fn message(it: &DescriptorProto, object: &mut impl FnMut(&str, &str)) {
    // The entries of a map are made by the compiler.
    if it.options.as_ref().is_some_and(|options| options.map_entry()) {
        return;
    }
    if !is_pascal(it.name()) {
        object("MESSAGE_PASCAL_CASE", it.name());
    }
    for field in it.field.iter().filter(|field| !is_snake(field.name())) {
        object("FIELD_LOWER_SNAKE_CASE", field.name());
    }
    // The compiler makes one for each optional field, with an underscore before its name.
    for one in it.oneof_decl.iter().filter(|one| !is_snake(one.name().trim_start_matches('_'))) {
        object("ONEOF_LOWER_SNAKE_CASE", one.name());
    }
    it.enum_type.iter().for_each(|it| enumeration(it, object));
    it.nested_type.iter().for_each(|it| message(it, object));
}

#[test]
fn the_api_is_written_in_the_standard_style() {
    let files = ours(FileDescriptorSet::decode(v1::DESCRIPTORS).expect("descriptors"));
    let rpcs: usize = files.iter().flat_map(|file| &file.service).map(|service| service.method.len()).sum();
    assert!(files.len() >= 3 && rpcs >= 14, "the control: {} files and {rpcs} methods", files.len());
    none("the API departs from buf's standard style", &objections(&files));
}

/// Each way of departing from it is objected to by its rule, and by no other.
#[test]
fn what_departs_from_the_style_is_objected_to() {
    type Change = fn(&mut FileDescriptorProto);
    let files = ours(FileDescriptorSet::decode(v1::DESCRIPTORS).expect("descriptors"));
    let at = files.iter().position(|file| file.name() == "runbook/v1/runs.proto").expect("the runs");
    let cases: [(&str, Change); 17] = [
        ("PACKAGE_DIRECTORY_MATCH", |file| file.name = Some("runbook/runs.proto".into())),
        ("FILE_LOWER_SNAKE_CASE", |file| file.name = Some("runbook/v1/Runs.proto".into())),
        ("SYNTAX_SPECIFIED", |file| file.syntax = None),
        ("IMPORT_NO_PUBLIC", |file| file.public_dependency.push(0)),
        ("SERVICE_PASCAL_CASE", |file| file.service[0].name = Some("run_Service".into())),
        ("SERVICE_SUFFIX", |file| file.service[0].name = Some("Runs".into())),
        ("RPC_REQUEST_STANDARD_NAME", |file| file.service[0].method[0].input_type = Some(".runbook.v1.Run".into())),
        ("RPC_RESPONSE_STANDARD_NAME", |file| file.service[0].method[0].output_type = Some(".runbook.v1.Run".into())),
        ("RPC_REQUEST_RESPONSE_UNIQUE", |file| {
            let again = file.service[0].method[0].clone();
            file.service[0].method.push(again);
        }),
        ("ENUM_PASCAL_CASE", |file| {
            file.enum_type.push(EnumDescriptorProto {
                name: Some("mode".into()),
                value: vec![value("MODE_UNSPECIFIED", 0)],
                ..Default::default()
            })
        }),
        ("ENUM_VALUE_PREFIX", |file| file.enum_type[0].value.push(value("LATE", 90))),
        ("ENUM_VALUE_UPPER_SNAKE_CASE", |file| file.enum_type[0].value.push(value("RUN_STATUS_late", 90))),
        ("ENUM_ZERO_VALUE_SUFFIX", |file| file.enum_type[0].value[0] = value("RUN_STATUS_NONE", 0)),
        ("ENUM_FIRST_VALUE_ZERO", |file| file.enum_type[0].value.reverse()),
        ("MESSAGE_PASCAL_CASE", |file| file.message_type[0].name = Some("start_run".into())),
        ("FIELD_LOWER_SNAKE_CASE", |file| file.message_type[0].field[0].name = Some("runBook".into())),
        ("ENUM_NO_ALLOW_ALIAS", |file| {
            file.enum_type[0].options.get_or_insert_default().allow_alias = Some(true);
        }),
    ];
    for (rule, change) in cases {
        let mut changed = files.clone();
        change(&mut changed[at]);
        let found = objections(&changed);
        assert!(!found.is_empty(), "{rule} does not object");
        assert!(found.iter().all(|found| found.starts_with(rule)), "{rule}: {found:?}");
    }
    let mut unversioned = files.clone();
    unversioned.iter_mut().for_each(|file| {
        file.package = Some("runbook".into());
        file.name = file.name.as_ref().map(|name| name.replace("/v1/", "/"));
        file.service.clear();
    });
    assert!(objections(&unversioned).iter().all(|found| found.starts_with("PACKAGE_VERSION_SUFFIX")));
    assert_eq!(objections(&unversioned).len(), files.len());
}

fn value(name: &str, number: i32) -> prost_types::EnumValueDescriptorProto {
    prost_types::EnumValueDescriptorProto { name: Some(name.into()), number: Some(number), options: None }
}
