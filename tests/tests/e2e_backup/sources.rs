//! What a source may be called: a name that cannot be told from two others is refused, never taken for them.

use runbook_tests::e2e::Project;

use super::{DATA, backups, beside, fail, fill, repository, start, succeed};

/// One folder, with a newline in its name.
const BROKEN: (&str, &str) = ("source", r#"["data\nmore"]"#);

#[test]
fn a_name_with_a_newline_is_no_two_sources() {
    let project = Project::with_library();
    for folder in ["data", "more", "data\nmore"] {
        fill(&project, folder, "new");
    }
    let daemon = start(&project);
    let (_, said) = fail(&daemon, "backup", &[BROKEN], "preflight");
    assert!(said.contains("newline in its name") && said.contains("back up the folder above it"), "{said}");
    assert!(!said.contains("does not exist"), "{said}");
    assert_eq!(backups(&repository(&project)), Vec::<String>::new());

    // Nor when both halves could be restored.
    succeed(&daemon, "backup", &[("source", r#"["data","more"]"#)]);
    let (_, said) = fail(&daemon, "dr-restore", &[BROKEN], "choose");
    assert!(said.contains("newline in its name") && said.contains("restore the folder above it"), "{said}");
    for target in ["data", "more"] {
        assert_eq!(beside(&project, target), Vec::<String>::new());
    }
    succeed(&daemon, "dr-restore", &[DATA]);
}

#[test]
fn no_source_at_all_is_told_as_that() {
    let project = Project::with_library();
    let daemon = start(&project);
    let (_, said) = fail(&daemon, "backup", &[("source", "[]")], "preflight");
    assert!(said.contains("no source is named"), "{said}");
    fill(&project, "data", "new");
    succeed(&daemon, "backup", &[DATA]);
    let (_, said) = fail(&daemon, "dr-restore", &[("source", "[]")], "choose");
    assert!(said.contains("no source is named"), "{said}");
}
