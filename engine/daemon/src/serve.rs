//! Start, service and end of the daemon. A start after a crash is the same as any other: load what is not over, ask
//! what should be going on, compare with what is.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use runbook_core::action::Carried;
use runbook_core::definition::Command;
use runbook_core::id::{AttemptNo, RunUid};
use runbook_core::machine::{AttemptRef, Machine, Settings};
use runbook_core::run::{ArtifactPaths, AttemptKind, Fact, Progress, StopLevel};
use runbook_core::time::Span;
use runbook_journal::{Store as _, View};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::api::{self, Shared};
use crate::attempts::{Adoption, Attempts, Patience, ShimCopy, Standing, sweep};
use crate::config::Config;
use crate::definitions::Definitions;
use crate::dispatcher::{self, Dispatcher};
use crate::kept::Shelf;
use crate::layout::Layout;
use crate::library::{FOLDER, Library};
use crate::preflight::Preflight;
use crate::readiness::Readiness;
use crate::runs::{self, all_events};
use crate::schedules::{self, Workshop};
use crate::secrets::{Fetcher, Hidden, Sealer, Secrets};
use crate::successes::Successes;
use crate::surroundings::Surroundings;
use crate::{clock, descriptors, folder, hooks, maintenance, opening, timed, unit, verdicts};

/// How long a start waits for the folder of runbooks: less than those wait who start a daemon.
const LOAD_PATIENCE: Duration = Duration::from_secs(3);
/// How long the end of the daemon waits for actions that end with it.
const DRAIN: Duration = Duration::from_secs(30);
/// The name of the shim beside the daemon.
const SHIM: &str = "runbook-shim";

/// Serves a project until it is told to stop.
///
/// # Errors
/// It cannot start, or the journal cannot be written any more: what, where, why and what to do.
pub fn serve(config: Config) -> anyhow::Result<()> {
    let started_at = clock::now();
    if !config.project.join(FOLDER).is_dir() {
        anyhow::bail!("{} has no folder {FOLDER}/; name the project's folder with --project", config.project.display());
    }
    // Whatever is made from here on is for this user alone, also for the moment before it gets its own mode. The umask
    // is the process's: it is set before there are threads, and never again. Steps get one of their own.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    let layout = Layout::new(config.data_dir.clone());
    let mut warnings = config.warnings.clone();
    warnings.extend(unit::warnings());
    warnings.extend(descriptors::provide(config.max_attempts));
    let (journal, notes) = opening::open(&config)?;
    warnings.extend(notes);
    let boot = runbook_shim::process::boot_id().context("the boot's id cannot be read from /proc")?;
    let shim = ShimCopy::make(&shim_path()?, &layout)?;
    let reader = journal.view();

    let definitions = Arc::new(Definitions::new(layout.clone()));
    let shelf = Arc::new(Shelf::open(&*reader)?);
    let surroundings = Surroundings {
        project: config.project.clone(),
        own_program: std::env::current_exe().context("the daemon's own path cannot be read from /proc")?,
        substitutes: Arc::new(config.programs.clone()),
        layout: layout.clone(),
        definitions: Arc::clone(&definitions),
        shelf: Arc::clone(&shelf),
        secrets: Arc::new(Secrets::new(config.secrets.clone())),
        sealer: Arc::new(Sealer::open(&layout).context("the instance's key cannot be had")?),
        ephemeral: Arc::default(),
    };
    opening::sweep(&*reader, &definitions, &surroundings.sealer)?;
    let places = layout.clone();
    let artifacts = ArtifactPaths::new(move |run, step, attempt, name| {
        places.artifacts(AttemptRef { run, step, attempt }).join(name).to_string_lossy().into_owned()
    });
    let settings =
        Settings { places: config.max_attempts, pools: Some(config.pools.clone()), boot: boot.clone(), artifacts };
    let mut machine = Machine::new(settings, reader.next_number()?);
    let loaded = load(&mut machine, &*reader, &definitions, &boot)?;
    for (schedule, record) in reader.schedules()? {
        machine.load_schedule(schedule, record);
    }

    let (handle, receiver) = dispatcher::channel();
    let reporter = handle.clone();
    let attempts = Attempts::start(layout.clone(), shim, boot, Arc::new(move |report| reporter.report(report)))?;
    let insiders = attempts.insiders();
    warnings.extend(take_up(&machine, &attempts, &*reader, &layout, &loaded)?);
    warnings.extend(loaded.warnings);
    for warning in &warnings {
        tracing::warn!("{warning}");
    }

    let library = Arc::new(Library::new(&config.project, config.configured()));
    let successes = Arc::new(Successes::new(Arc::clone(&reader)));
    let readiness = Arc::new(Readiness::new(Arc::clone(&reader), Arc::clone(&definitions)));
    let drain = CancellationToken::new();
    let shared = Arc::new(Shared {
        dispatcher: handle.clone(),
        reader: Arc::clone(&reader),
        library: Arc::clone(&library),
        successes: Arc::clone(&successes),
        readiness: Arc::clone(&readiness),
        shelf: Arc::clone(&shelf),
        surroundings: surroundings.clone(),
        preflight: Preflight::default(),
        config: config.clone(),
        started_at,
        warnings,
        drain: drain.clone(),
        shutdown: CancellationToken::new(),
    });

    let (ear, news) = hooks::ear(&config.hooks);
    let hooks = hooks::Workshop {
        hooks: config.hooks.clone(),
        library: Arc::clone(&library),
        surroundings: surroundings.clone(),
        dispatcher: handle.clone(),
        reader: Arc::clone(&reader),
        successes: Arc::clone(&successes),
        drain: drain.clone(),
        data_dir: config.data_dir.clone(),
    };
    let (planner, inbox) = schedules::planner();
    if config.schedules {
        let workshop = Workshop {
            library: Arc::clone(&library),
            surroundings: surroundings.clone(),
            dispatcher: handle.clone(),
            drain: drain.clone(),
            data_dir: config.data_dir.clone(),
        };
        schedules::start(inbox, workshop)?;
    } else {
        drop(inbox);
    }
    let (fires, changed, looks) = (planner.clone(), ear.clone(), Arc::new(Notify::new()));
    let (relook, judged) = (Arc::clone(&looks), Arc::new(Notify::new()));
    let rejudge = Arc::clone(&judged);
    library.on_change(move || {
        fires.changed();
        changed.changed();
        relook.notify_one();
        rejudge.notify_one();
    });
    let verdicts = verdicts::Workshop {
        library: Arc::clone(&library),
        readiness: Arc::clone(&readiness),
        shelf: Arc::clone(&shelf),
        dispatcher: handle.clone(),
        drain: drain.clone(),
    };
    let timed = timed::Workshop {
        library: Arc::clone(&library),
        surroundings: surroundings.clone(),
        dispatcher: handle.clone(),
        shelf: Arc::clone(&shelf),
        looked: Arc::clone(&judged),
        drain: drain.clone(),
    };
    let archiver = maintenance::start(journal.archiver(), Arc::clone(&reader), config.data_dir.clone())?;
    let retention = runbook_journal::Retention {
        max_age: Some(Span::minutes(i64::try_from(config.retention.days).unwrap_or(i64::MAX).saturating_mul(1_440))),
        max_runs: usize::try_from(config.retention.runs).ok(),
    };
    let told = handle.clone();
    let fetcher = Fetcher::start(Arc::clone(&surroundings.secrets), move |attempt, fetched| {
        told.fetched(attempt, fetched);
    })?;
    let dispatcher = Dispatcher {
        machine,
        journal,
        reader,
        attempts,
        surroundings,
        handle: handle.clone(),
        archiver,
        retention,
        planner,
        ear: ear.clone(),
        successes,
        readiness,
        shelf,
        fetcher,
        fetching: HashMap::new(),
        hidden: Hidden::default(),
    };
    let failed = drain.clone();
    let loop_thread = std::thread::Builder::new().name("dispatcher".into()).spawn(move || {
        // However the loop ends, the daemon ends with it.
        let _ends = failed.drop_guard();
        dispatcher.run(&receiver)
    })?;

    let loaded = folder::watch(&library)?;
    // Mostly it takes milliseconds. Where it takes longer, whoever asks for a runbook waits for it, and nobody else.
    if loaded.recv_timeout(LOAD_PATIENCE).is_err() {
        tracing::warn!("the folder of runbooks takes long to load; it goes on meanwhile");
    }
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).thread_name("api").enable_all().build()?;
    let served = runtime.block_on(async {
        let (listener, socket) = api::listen(&config.socket, &config.data_dir, config.socket_group.as_deref())?;
        tokio::spawn(stop_on_signals(drain)?);
        tokio::spawn(hooks::run(news, hooks));
        // What nobody was told to start by itself does not look by itself either.
        tokio::spawn(verdicts::run(judged, verdicts));
        if config.schedules {
            tokio::spawn(timed::run(looks, timed));
        }
        ready(&config);
        let served = api::serve(Arc::clone(&shared), listener).await;
        if let Err(error) = sd_notify::notify(&[sd_notify::NotifyState::Stopping]) {
            tracing::warn!(%error, "systemd cannot be told that the daemon is stopping");
        }
        socket.remove();
        served
    });
    runtime.shutdown_timeout(Duration::from_secs(1));
    insiders.drain(DRAIN);
    handle.stop();
    let looped = loop_thread.join().map_err(|_| anyhow::anyhow!("the dispatcher panicked; please report this"))?;
    looped.context(
        "the journal cannot be written, so nothing more may be acknowledged; make room or mend the disk under the \
         data directory, and start runbookd again: everything that was acknowledged is there",
    )?;
    served?;
    tracing::info!("stopped; attempts that run go on, and the next start takes them up");
    Ok(())
}

/// An error with its causes, each said once: some say their cause themselves.
pub fn tell(error: &anyhow::Error) -> String {
    let mut told = String::new();
    for cause in error.chain() {
        let cause = cause.to_string();
        if told.is_empty() {
            told = cause;
        } else if !told.contains(&cause) {
            told = format!("{told}: {cause}");
        }
    }
    told
}

/// The shim beside the daemon's own executable.
fn shim_path() -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe().context("the daemon's own path cannot be read from /proc")?;
    let beside = own.parent().unwrap_or(Path::new("/")).join(SHIM);
    if beside.exists() {
        return Ok(beside);
    }
    // Tests run from a folder below the one that holds the programs.
    let above = own.parent().and_then(Path::parent).map(|folder| folder.join(SHIM)).filter(|path| path.exists());
    above.with_context(|| {
        format!("{} is missing; it belongs beside runbookd (cargo build --workspace makes both)", beside.display())
    })
}

/// What was found when the runs were taken in.
#[derive(Default)]
struct Loaded {
    warnings: Vec<String>,
    /// Runs that are not over and could not be taken in: nothing of them is touched.
    unread: HashSet<RunUid>,
    /// Attempts that began in another boot of the machine, whether or not they are over.
    foreign: HashSet<AttemptRef>,
}

/// Takes in every run that is not over.
fn load(machine: &mut Machine, reader: &dyn View, definitions: &Definitions, own_boot: &str) -> anyhow::Result<Loaded> {
    let mut loaded = Loaded::default();
    let now = clock::now();
    reader.each_unfinished(&mut |uid, events| {
        let take = || -> anyhow::Result<()> {
            let events = events?;
            for event in &events {
                if let Fact::AttemptStarting { step, attempt, boot, .. } = &event.fact
                    && boot != own_boot
                {
                    loaded.foreign.insert(AttemptRef { run: uid, step: *step, attempt: *attempt });
                }
            }
            if let Some(illegal) = runs::take_in(machine, definitions, uid, &events, now)? {
                anyhow::bail!("{illegal}");
            }
            Ok(())
        };
        if let Err(error) = take() {
            loaded.warnings.push(format!("run {uid} is out of service: {error:#}"));
            loaded.unread.insert(uid);
        }
    })?;
    for uid in &loaded.unread {
        // Without one of its runs a tree never comes to its end: a person has to know.
        if let Some(top) = reader.row_of_tree(*uid)?.filter(|row| row.uid != *uid) {
            machine.take_out(top.uid, &format!("its child run {uid} cannot be read"), now);
        }
    }
    Ok(loaded)
}

/// Attempts that may have processes: those that are due, and those of unknown steps whose processes could not be killed.
fn may_have_processes(machine: &Machine) -> BTreeMap<AttemptRef, StopLevel> {
    let mut attempts: BTreeMap<_, _> = machine.due(clock::now()).attempts.into_iter().collect();
    for state in machine.runs().filter(|state| machine.quarantine(state.uid()).is_none()) {
        for step in state.unknown().keys() {
            if let Some(of_step) = state.step(*step)
                && of_step.progress == (Progress::Unknown { processes_left: true })
            {
                let attempt = AttemptRef { run: state.uid(), step: *step, attempt: AttemptNo(of_step.attempts) };
                attempts.insert(attempt, StopLevel::Run);
            }
        }
    }
    attempts
}

/// Compares what should be going on with what the attempts' directories say.
fn take_up(
    machine: &Machine,
    attempts: &Attempts,
    reader: &dyn View,
    layout: &Layout,
    loaded: &Loaded,
) -> anyhow::Result<Vec<String>> {
    let live = may_have_processes(machine);
    let mut warnings = Vec::new();
    let standing = |attempt: AttemptRef| -> Standing {
        if live.contains_key(&attempt) || loaded.unread.contains(&attempt.run) {
            return Standing::Live;
        }
        let known = match machine.run(attempt.run) {
            Some(state) => state.step(attempt.step).is_some_and(|step| attempt.attempt.0 <= step.attempts),
            None => knows(reader, attempt),
        };
        if known { Standing::Ended } else { Standing::Unknown }
    };
    for aside in sweep(layout, standing).context("the attempts' directories cannot be gone through")? {
        warnings.push(format!("an attempt that the journal does not know was set aside: {aside}"));
    }
    for (attempt, level) in live {
        let Some(state) = machine.run(attempt.run) else { continue };
        let kind = state.live().find(|(step, _, _, _)| *step == attempt.step).map(|(_, _, kind, _)| kind);
        let step = state.pinned().runbook.step(attempt.step);
        let id = step.map_or_else(String::new, |step| step.id.clone());
        tracing::debug!(run = %attempt.run, step = id, attempt = attempt.attempt.0, ?level, "taken up");
        let command = step.and_then(|step| match kind {
            Some(AttemptKind::Run) | None => step.command(),
            Some(AttemptKind::Verify) => step.verify.as_ref(),
            Some(AttemptKind::OnCancel) => step.on_cancel.as_ref(),
            Some(AttemptKind::Rollback) => step.rollback.as_ref(),
        });
        let patience = Patience {
            timeout: command.and_then(|command| command.timeout),
            grace: command.map_or(Span::ZERO, |command| command.stop.grace),
        };
        let foreign = loaded.foreign.contains(&attempt);
        let inside = command.and_then(Command::action).is_some_and(|acting| acting.carried() == Carried::Inside);
        attempts.adopt(Adoption { attempt, step: id, foreign, inside, level, patience });
    }
    Ok(warnings)
}

/// Whether a run that is over started this attempt.
fn knows(reader: &dyn View, attempt: AttemptRef) -> bool {
    let uid: RunUid = attempt.run;
    all_events(reader, uid).is_ok_and(|events| {
        events.iter().any(|event| {
            matches!(&event.fact, Fact::AttemptStarting { step, attempt: number, .. }
                if *step == attempt.step && *number == attempt.attempt)
        })
    })
}

/// Tells whoever started the daemon that it answers.
fn ready(config: &Config) {
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        project = %config.project.display(),
        socket = %config.socket.display(),
        "ready"
    );
    if let Err(error) = sd_notify::notify(&[sd_notify::NotifyState::Ready]) {
        tracing::warn!(%error, "systemd cannot be told that the daemon is ready");
    }
    if config.announce {
        let mut out = std::io::stdout().lock();
        // Whoever waited may have gone.
        let _ = writeln!(out, "ready {}", config.socket.display());
        let _ = out.flush();
        drop(out);
        // Whoever reads on sees the end, and this daemon outlives its terminal.
        if let Ok(null) = std::fs::OpenOptions::new().write(true).open("/dev/null") {
            let _ = rustix::stdio::dup2_stdout(&null);
        }
    }
}

/// TERM and INT drain: no new run, streams end, attempts go on.
fn stop_on_signals(drain: CancellationToken) -> anyhow::Result<impl std::future::Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if drain.is_cancelled() {
                tracing::info!("asked to stop once more; it is on its way");
            } else {
                tracing::info!("asked to stop; attempts go on");
            }
            drain.cancel();
        }
    })
}
