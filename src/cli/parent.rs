//! A stage of a recipe ends when the `factory run` that started it is gone, however that went.

use crate::recipe::process::PARENT;

/// Ends this process soon after the one that started it as a stage.
pub fn watch() {
    #[cfg(unix)]
    if let Some(parent) = std::env::var(PARENT)
        .ok()
        .and_then(|id| id.parse::<u32>().ok())
    {
        // What this process starts itself is no stage.
        std::thread::spawn(move || {
            while std::os::unix::process::parent_id() == parent {
                std::thread::sleep(std::time::Duration::from_millis(100));
            }
            std::process::exit(ENDED);
        });
    }
}

/// A shell's exit code for a killed program.
#[cfg(unix)]
const ENDED: i32 = 137;
