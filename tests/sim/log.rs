//! Owns what the nodes' log lines tell a simulation: counts of some, and all of them for a reader.

use std::cell::{Cell, RefCell};
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::{EnvFilter, Registry};

thread_local! {
    /// The seed that this thread runs.
    static SEED: Cell<Option<u64>> = const { Cell::new(None) };
    /// What panicked on this thread.
    static PANICS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// How often the nodes said what matters, and who said it last.
#[derive(Clone, Default)]
pub(crate) struct Said {
    pub(crate) led: Arc<AtomicU64>,
    pub(crate) installed: Arc<AtomicU64>,
    /// How often a log that met a disk without room has gone on by itself.
    pub(crate) resumed: Arc<AtomicU64>,
    /// Who began to lead last; 0: nobody.
    pub(crate) leader: Arc<AtomicU64>,
    /// Who granted a vote last, and to whom, until somebody takes it.
    pub(crate) granted: Arc<Mutex<Option<(u64, u64)>>>,
    /// Who runs now.
    running: Arc<AtomicU64>,
}

/// The number after `mark`.
fn number_after(text: &str, mark: &str) -> Option<u64> {
    let (_, rest) = text.split_once(mark)?;
    rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let _ = if field.name() == "message" {
            write!(self.0, "{value:?}")
        } else {
            write!(self.0, " {}={value:?}", field.name())
        };
    }
}

struct Listening {
    said: Said,
    shown: bool,
}

impl<S: Subscriber> Layer<S> for Listening {
    /// turmoil opens a span for each host that it runs.
    fn on_new_span(&self, span: &Attributes<'_>, _: &Id, _: Context<'_, S>) {
        if span.metadata().name() == "node" {
            let mut name = Message(String::new());
            span.record(&mut name);
            self.said.running.store(number_after(&name.0, "name=\"n").unwrap_or(0), Ordering::Relaxed);
        }
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut message = Message(String::new());
        event.record(&mut message);
        let text = message.0;
        if text.starts_with("This node is MASTER") || text.starts_with("[WARNING] I am the new TEMP MASTER") {
            self.said.led.fetch_add(1, Ordering::Relaxed);
            self.said.leader.store(self.said.running.load(Ordering::Relaxed), Ordering::Relaxed);
        } else if text.starts_with("installed a snapshot") {
            self.said.installed.fetch_add(1, Ordering::Relaxed);
        } else if text.starts_with("the log has room again") {
            self.said.resumed.fetch_add(1, Ordering::Relaxed);
        } else if text.starts_with("handle vote request result") && text.ends_with("result: Ok(())") {
            let granted = number_after(&text, "-N").map(|to| (self.said.running.load(Ordering::Relaxed), to));
            *self.said.granted.lock().unwrap() = granted;
        }
        if self.shown {
            let at = turmoil::sim_elapsed().unwrap_or_default().as_secs_f64();
            let (level, target) = (event.metadata().level(), event.metadata().target());
            eprintln!("{at:9.4} {level:5} {target}: {text}");
        }
    }
}

/// Runs `f` while the nodes' log lines are listened to, and shown where SIM_LOG says so.
pub(crate) fn listening<T>(said: &Said, f: impl FnOnce() -> T) -> T {
    let shown = std::env::var("SIM_LOG").ok();
    let filter = EnvFilter::new(shown.as_deref().unwrap_or("info"));
    let layer = Listening { said: said.clone(), shown: shown.is_some() };
    let subscriber = Registry::default().with(filter).with(layer);
    tracing::subscriber::with_default(subscriber, f)
}

/// Notes the panics of `seed` on this thread until it is over, also those that a task's runtime keeps to itself.
///
/// Each is told at once, as it may be the last: where a runtime drops its tasks after a panic and one of them wakes
/// another, tokio panics again, and a panic amid another ends the process.
pub(crate) fn watch_panics(seed: Option<u64>) {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            before(info);
            if let Some(seed) = SEED.get() {
                eprintln!("it was seed {seed} that panicked");
                let panic = info.to_string().replacen(":\n", ": ", 1);
                #[cfg(feature = "mutants")]
                crate::mutants::found(seed, &panic);
                PANICS.with_borrow_mut(|panics| panics.push(panic));
            }
        }));
    });
    SEED.set(seed);
}

/// The panics of this thread since the last call.
pub(crate) fn panics() -> Vec<String> {
    PANICS.take()
}
