//! `factory package upload`

use crate::cli::terminal::Terminal;
use crate::cli::{UsageError, plain, say};
use crate::package::hub::Hub;
use crate::package::lock;
use anyhow::{Context, Result, ensure};
use std::path::{Path, PathBuf};

/// Upload a package that is there already, once it is found to be as it was made.
#[derive(clap::Args)]
pub struct Args {
    /// The package.
    #[arg(value_name = "DIR")]
    package: PathBuf,
    /// Model repository of the hub (OWNER/NAME), made if need be.
    #[arg(long, value_name = "REPO")]
    hub: String,
}

pub fn run(args: &Args) -> Result<()> {
    let hub = Hub::of(&args.hub).map_err(UsageError::of)?;
    let faults = lock::changed(&args.package)?;
    ensure!(
        faults.is_empty(),
        "{}: {}",
        args.package.display(),
        faults.join("; ")
    );
    send(&hub, &args.package)
}

/// Uploads, and says where it is.
pub fn send(hub: &Hub, package: &Path) -> Result<()> {
    let sent = hub.upload(package, &Terminal::default());
    let place = sent.with_context(|| {
        let package = package.display();
        format!("nothing was committed; {package} is whole, go on with: factory package upload {package} --hub REPO")
    })?;
    say(format_args!("uploaded: {}", plain(&place)))
}
