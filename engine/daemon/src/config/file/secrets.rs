//! The configuration file's `secrets`: for each where it comes from, and who may have it. Never reads a secret.

use std::collections::BTreeMap;
use std::path::Path;

use runbook_core::id::is_id;
use runbook_core::language::yaml::{Content, Value};

use super::{Entry, Reader, kind};
use crate::secrets::{Secret, Source};

/// The keys of a secret that say where it comes from, each with the keys of its own.
pub(in crate::config) const SOURCES: [(&str, &[&str]); 8] = [
    ("env", &[]),
    ("file", &[]),
    ("age", &["file", "identity"]),
    ("sops", &["file", "field"]),
    ("vault", &["path", "field", "mount"]),
    ("gcp", &["secret", "project", "version", "field"]),
    ("aws", &["secret", "region", "field"]),
    ("exec", &[]),
];
/// The other keys of a secret.
pub(in crate::config) const OTHER_KEYS: [&str; 3] = ["environments", "runbooks", "multiline"];

impl Reader {
    pub(super) fn secrets(&mut self, line: u32, value: &Value, project: &Path) -> BTreeMap<String, Secret> {
        let mut secrets = BTreeMap::new();
        for Entry { name, line, value } in self.map(line, "secrets", "", value, None).unwrap_or_default() {
            let what = format!("secrets.{name}");
            if !is_id(name) {
                let problem = "a secret's name has small letters, digits, _ and -, and begins with a letter";
                self.problem(line, &what, problem);
            } else if let Some(secret) = self.secret(line, &what, value, project) {
                secrets.insert(name.to_owned(), secret);
            }
        }
        secrets
    }

    fn secret(&mut self, line: u32, what: &str, value: &Value, project: &Path) -> Option<Secret> {
        let known: Vec<&str> = SOURCES.iter().map(|(key, _)| *key).chain(OTHER_KEYS).collect();
        let before = self.problems.len();
        let mut secret = Secret { source: None, environments: BTreeMap::new(), runbooks: None, multiline: false };
        let mut sources = Vec::new();
        for entry in self.map(line, what, &format!("{what}."), value, Some(&known))? {
            let Entry { name: key, line, value } = entry;
            let own = format!("{what}.{key}");
            match key {
                "runbooks" => secret.runbooks = Some(self.texts(line, &own, value)),
                "multiline" => secret.multiline = self.boolean(line, &own, value).unwrap_or_default(),
                "environments" => {
                    let known: Vec<&str> = SOURCES.iter().map(|(key, _)| *key).collect();
                    for Entry { name, line, value } in self.map(line, &own, "", value, None).unwrap_or_default() {
                        let what = format!("{own}.{name}");
                        let there = self.map(line, &what, &format!("{what}."), value, Some(&known)).unwrap_or_default();
                        let source = self.one_source(line, &what, &there, before, project);
                        secret.environments.extend(source.map(|source| (name.to_owned(), source)));
                    }
                }
                _ => sources.push(Entry { name: key, line, value }),
            }
        }
        if secret.environments.is_empty() || !sources.is_empty() {
            secret.source = self.one_source(line, what, &sources, before, project);
        }
        Some(secret)
    }

    /// The source that is there alone. `before` is how many problems there were before the secret's.
    fn one_source(
        &mut self,
        line: u32,
        what: &str,
        sources: &[Entry<'_>],
        before: usize,
        project: &Path,
    ) -> Option<Source> {
        if let [Entry { name: key, line, value }] = sources {
            return self.source(*line, &format!("{what}.{key}"), key, value, project);
        }
        // What is wrong inside says enough.
        if self.problems.len() == before {
            let names: Vec<&str> = SOURCES.iter().map(|(key, _)| *key).collect();
            let problem = format!("give one of {}, such as `file: PATH`, and no other of them", names.join(", "));
            self.problem(line, what, &problem);
        }
        None
    }

    fn source(&mut self, line: u32, what: &str, key: &str, value: &Value, project: &Path) -> Option<Source> {
        match key {
            "env" => return self.text(line, what, value).map(Source::Env),
            "file" => return self.text(line, what, value).map(|path| Source::File(project.join(path))),
            "exec" => {
                let mut argv = self.texts(line, what, value);
                // One with a path is relative to the project, wherever the daemon is started.
                let program = argv.first_mut()?;
                if program.contains('/') {
                    *program = project.join(&*program).to_string_lossy().into_owned();
                }
                return Some(Source::Exec { argv, folder: project.to_path_buf() });
            }
            _ => {}
        }
        let keys = SOURCES.iter().find(|(name, _)| *name == key)?.1;
        let mut given = BTreeMap::new();
        for Entry { name, line, value } in self.map(line, what, &format!("{what}."), value, Some(keys))? {
            given.insert(name, self.text(line, &format!("{what}.{name}"), value)?);
        }
        let mut required = |reader: &mut Self, name: &str| {
            let text = given.remove(name);
            if text.is_none() {
                reader.problem(line, what, &format!("`{name}` is missing"));
            }
            text
        };
        Some(match key {
            "age" => {
                let (file, identity) = (required(self, "file"), required(self, "identity"));
                Source::Age { file: project.join(file?), identity: project.join(identity?) }
            }
            "sops" => {
                let file = project.join(required(self, "file")?);
                let field = given.remove("field").map(|way| way.split('.').map(str::to_owned).collect());
                Source::Sops { file, field: field.unwrap_or_default() }
            }
            "vault" => {
                let (path, field) = (required(self, "path"), required(self, "field"));
                let mount = given.remove("mount").unwrap_or_else(|| "secret".to_owned());
                Source::Vault { mount, path: path?, field: field? }
            }
            "gcp" => Source::Gcp {
                secret: required(self, "secret")?,
                project: given.remove("project"),
                version: given.remove("version").unwrap_or_else(|| "latest".to_owned()),
                field: given.remove("field"),
            },
            _ => Source::Aws {
                secret: required(self, "secret")?,
                region: given.remove("region"),
                field: given.remove("field"),
            },
        })
    }

    /// A list of texts that has some.
    fn texts(&mut self, line: u32, what: &str, value: &Value) -> Vec<String> {
        match &value.content {
            Content::List(items) if !items.is_empty() => {
                items.iter().filter_map(|item| self.text(item.line, what, item)).collect()
            }
            other => {
                let is = if matches!(other, Content::List(_)) { "empty" } else { kind(other) };
                self.problem(line, what, &format!("it must be a list of texts, and is {is}"));
                Vec::new()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    fn read(text: &str) -> (BTreeMap<String, Secret>, Vec<String>) {
        let mut problems = Vec::new();
        let file = parse(&format!("secrets:\n{text}"), "f".to_owned(), Path::new("/p"), &mut problems);
        (file.secrets, problems)
    }

    #[test]
    fn every_source_is_read() {
        let text = "  a: {env: A, runbooks: [backup]}\n  b: {file: s/b, multiline: true}\n  c: {age: {file: c.age, identity: /k}}\n  \
            d: {sops: {file: d.yaml, field: db.pass}}\n  e: {sops: {file: e.txt}}\n  \
            f: {vault: {path: db/orders, field: pass}}\n  g: {gcp: {secret: s, project: p, field: x}}\n  \
            h: {aws: {secret: s, region: eu-west-1}}\n  i: {exec: [pass, show, i]}\n  \
            j: {exec: [scripts/j]}\n";
        let (secrets, problems) = read(text);
        assert_eq!(problems, [""; 0]);
        let text = |text: &str| text.to_owned();
        let expected = [
            ("a", Source::Env(text("A"))),
            ("b", Source::File("/p/s/b".into())),
            ("c", Source::Age { file: "/p/c.age".into(), identity: "/k".into() }),
            ("d", Source::Sops { file: "/p/d.yaml".into(), field: vec![text("db"), text("pass")] }),
            ("e", Source::Sops { file: "/p/e.txt".into(), field: Vec::new() }),
            ("f", Source::Vault { mount: text("secret"), path: text("db/orders"), field: text("pass") }),
            (
                "g",
                Source::Gcp {
                    secret: text("s"),
                    project: Some(text("p")),
                    version: text("latest"),
                    field: Some(text("x")),
                },
            ),
            ("h", Source::Aws { secret: text("s"), region: Some(text("eu-west-1")), field: None }),
            ("i", Source::Exec { argv: ["pass", "show", "i"].map(str::to_owned).into(), folder: "/p".into() }),
            ("j", Source::Exec { argv: vec![text("/p/scripts/j")], folder: "/p".into() }),
        ];
        for (name, source) in &expected {
            assert_eq!(secrets[*name].source.as_ref(), Some(source), "{name}");
        }
        assert_eq!(secrets.len(), expected.len());
        assert_eq!(secrets["a"].runbooks, Some(vec![text("backup")]));
        assert!(secrets["b"].multiline && !secrets["a"].multiline);
    }

    #[test]
    fn what_is_wrong_with_a_source_is_told() {
        let (secrets, problems) =
            read("  a: {environments: {prod: {file: /s}}}\n  b: {env: B, environments: {dev: {env: C}}}\n");
        assert_eq!(problems, [""; 0]);
        assert_eq!((&secrets["a"].source, &secrets["a"].environments["prod"]), (&None, &Source::File("/s".into())));
        assert_eq!(secrets["b"].sources().count(), 2);
        let text = "  h: {environments: {dev: {env: A, file: b}, prod: {fil: x}}}\n  a: {age: {file: x}}\n  b: {vault: {path: x, feild: y}}\n  c: {exec: []}\n  d: {runbooks: x, env: A}\n  \
            e: {multiline: true}\n  f: {sops: x}\n  g: {gcp: {}}\n";
        let expected = [
            "f:2: secrets.h.environments.dev: give one of env, file, age, sops, vault, gcp, aws, exec, such as `file: PATH`, and no other of them",
            "f:2: secrets.h.environments.prod.fil: there is no such key; did you mean `file`?",
            "f:3: secrets.a.age: `identity` is missing",
            "f:4: secrets.b.vault.feild: there is no such key; did you mean `field`?",
            "f:4: secrets.b.vault: `field` is missing",
            "f:5: secrets.c.exec: it must be a list of texts, and is empty",
            "f:6: secrets.d.runbooks: it must be a list of texts, and is text",
            "f:7: secrets.e: give one of env, file, age, sops, vault, gcp, aws, exec, such as `file: PATH`, and no other of them",
            "f:8: secrets.f.sops: it must be a map, and is text",
            "f:9: secrets.g.gcp: `secret` is missing",
        ];
        assert_eq!(read(text).1, expected);
    }
}
