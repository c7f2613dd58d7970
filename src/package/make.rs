//! Makes a package.

use super::compared::Compared;
use super::request::{CARD, COMPARED, MODELFILE, PAGE, PROMPT, Request, Weights};
use super::serving::Serving;
use super::{card, compared, lock, ollama, prompt, weights};
use crate::recipe::publish;
use crate::recipe::records::{self, Choice};
use crate::recipe::status::{Phase, Status};
use crate::recipe::validate::{Records, Wanted};
use crate::report::{html, markdown};
use crate::run::files::json;
use crate::run::folder::{RunFolder, check_free};
use crate::run::observer::Observer;
use crate::run::words::plain;
use anyhow::{Context, Result, bail, ensure};
use std::fs;

/// Makes the package, and says how far merged weights are from what was measured. It is there whole, or not at all. What is worth knowing goes to `observer`.
///
/// Errors where the run is not whole, true and decided to ship, where its base is gone or another, and where something cannot be
/// written exactly; the faults that the publish check finds are told to `observer` one by one.
pub fn make(request: &Request, observer: &dyn Observer) -> Result<Option<Compared>> {
    let run = request.run;
    check_free(request.out)?;
    decided(request)?;
    let records = Records::read(run, Wanted::Whole);
    let (Some(config), Some(evidence), Some(artifact)) =
        (&records.config, &records.evidence, &records.artifact)
    else {
        bail!("{}: {}", run.display(), records.faults.join("; "));
    };
    let serving = Serving::of(evidence, artifact, request)?;
    let base = serving.base(config)?;
    published(request, observer)?;

    let folder = RunFolder::create(request.out)?;
    // The run measured a whole model as it is.
    let copied = serving.whole && request.weights == Weights::Merged;
    let made = weights::write(&folder, &serving, request, observer)?;
    let compared = match request.weights {
        Weights::Gguf(_) | Weights::Merged if !copied => Some(compared::compare(
            &folder, &serving, evidence, request, observer,
        )?),
        _ => None,
    };
    let asked = prompt::Prompt::of(&serving, &made)?;
    if request.ollama {
        let modelfile = ollama::modelfile(&asked, made.template)?;
        folder.write(MODELFILE, modelfile.as_bytes())?;
    }
    folder.write(PROMPT, &json(&asked)?)?;
    for name in [records::DECISION, records::GATES, records::RECIPE] {
        let path = run.join(name);
        let content = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        folder.write(name, &content)?;
    }
    folder.write(PAGE, html(run)?.as_bytes())?;
    folder.write(records::REPORT, markdown(run)?.as_bytes())?;
    if let Some(compared) = &compared {
        folder.write(COMPARED, &json(compared)?)?;
    }
    let card = card::Card {
        records: &records,
        weights: request.weights,
        base: &base,
        base_id: request.base_id,
        license: made.license.as_deref(),
        ollama: request.ollama,
        asked: &asked,
        compared: compared.as_ref(),
    };
    folder.write(CARD, card.text()?.as_bytes())?;
    let lock = lock::Lock::of(folder.path(), &config.run_id, base, request.weights)?;
    folder.write(lock::FILE, &json(&lock)?)?;
    folder.finish()?;
    Ok(compared)
}

/// Errors where the run is not decided, or not to be shipped and may not be packaged all the same.
fn decided(request: &Request) -> Result<()> {
    let run = request.run.display();
    let status = Status::read(request.run)?;
    ensure!(
        status.phase == Phase::Decided,
        "{run} is {}: only a decided run can be packaged",
        status.phase
    );
    let decision: records::Decision = records::read(request.run, records::DECISION)?;
    ensure!(
        decision.decision == Choice::Ship || request.not_shipped,
        "{run} was decided {}, not to ship: {} (--allow-not-shipped packages it all the same)",
        decision.decision,
        decision.reason
    );
    Ok(())
}

/// Errors where the publish check finds a fault.
fn published(request: &Request, observer: &dyn Observer) -> Result<()> {
    let faults = publish::check(request.run, request.check)?;
    for fault in &faults {
        observer.note(format_args!("{}", plain(fault)));
    }
    ensure!(
        faults.is_empty(),
        "{} may not be published, {} in it, the first: {}",
        request.run.display(),
        match faults.len() {
            1 => "one fault".to_owned(),
            many => format!("{many} faults"),
        },
        faults[0]
    );
    Ok(())
}
