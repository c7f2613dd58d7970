//! How a recipe's run is shown: on a terminal a line a stage that is at work and one for the whole; else lines now and then.

use crate::cli::{note, plain};
use crate::recipe::execute::Event;
use crate::recipe::process::quoted;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

/// How often a stage's last line is said where there is no terminal.
const NOW_AND_THEN: Duration = Duration::from_secs(30);

/// How often a terminal is drawn anew.
const TICK: Duration = Duration::from_millis(200);

/// What is shown while stages run.
pub struct Show {
    terminal: Option<(MultiProgress, ProgressBar)>,
    /// The bars of the stages at work, and when each last said something.
    stages: BTreeMap<String, (Option<ProgressBar>, Instant)>,
    total: usize,
    done: usize,
}

impl Show {
    /// For so many stages.
    pub fn new(total: usize) -> Self {
        let terminal = std::io::stderr().is_terminal().then(|| {
            let all = MultiProgress::new();
            let whole = all.add(ProgressBar::new(total as u64));
            style(&whole, "{bar:30} {pos}/{len} stages  {elapsed}");
            whole.enable_steady_tick(TICK);
            (all, whole)
        });
        Self {
            terminal,
            stages: BTreeMap::new(),
            total,
            done: 0,
        }
    }

    /// Shows what happens.
    pub fn event(&mut self, event: &Event) {
        match event {
            Event::Cached(stage, _) => self.ended(&stage.name, "done before"),
            Event::Started { stage, resumed } => {
                let how = if *resumed { "goes on" } else { "begins" };
                match &self.terminal {
                    None => self.line(&format!(
                        "{}: {how}: factory {}",
                        stage.name,
                        quoted(&stage.command)
                    )),
                    Some((all, whole)) => {
                        let bar = all.insert_before(whole, ProgressBar::new_spinner());
                        style(&bar, "{spinner} {prefix}  {wide_msg}  {elapsed}");
                        bar.set_prefix(stage.name.clone());
                        bar.enable_steady_tick(TICK);
                        self.stages
                            .insert(stage.name.clone(), (Some(bar), Instant::now()));
                    }
                }
                let entry = self.stages.entry(stage.name.clone());
                entry.or_insert((None, Instant::now()));
            }
            Event::Said(stage, line) => {
                let line = plain(line);
                match self.stages.get_mut(&stage.name) {
                    Some((Some(bar), _)) => bar.set_message(line),
                    Some((None, last)) if last.elapsed() >= NOW_AND_THEN => {
                        *last = Instant::now();
                        self.line(&format!("{}: {line}", stage.name));
                    }
                    _ => {}
                }
            }
            Event::Done(stage, done) => {
                let memory = done.peak_rss_mb.map(|mb| format!(", at most {mb:.0} MB"));
                let memory = memory.unwrap_or_default();
                self.ended(
                    &stage.name,
                    &format!("done in {:.1} s{memory}", done.seconds),
                );
            }
            Event::Failed(stage, failure) => {
                self.ended(&stage.name, &format!("failed: {}", plain(&failure.how)));
                for line in &failure.tail {
                    self.line(&format!("  {}", plain(line)));
                }
            }
        }
    }

    /// Takes the bars away.
    pub fn finish(&self) {
        if let Some((all, _)) = &self.terminal {
            // A terminal that is gone needs no clearing.
            let _ = all.clear();
        }
    }

    fn ended(&mut self, stage: &str, how: &str) {
        self.done += 1;
        if let Some((Some(bar), _)) = self.stages.remove(stage) {
            bar.finish_and_clear();
        }
        if let Some((_, whole)) = &self.terminal {
            whole.set_position(self.done as u64);
        }
        self.line(&format!("[{}/{}] {stage}: {how}", self.done, self.total));
    }

    fn line(&self, line: &str) {
        match &self.terminal {
            None => note(line),
            Some((all, _)) => {
                let _ = all.println(line);
            }
        }
    }
}

fn style(bar: &ProgressBar, template: &str) {
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
}
