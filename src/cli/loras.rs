//! `--lora [NAME=]FOLDER [--lora-weight W]`, any number of times.

use crate::answering::loras::{Lora, Loras};
use clap::{Arg, ArgAction, ArgMatches, Command, Error};
use std::path::PathBuf;

/// The adapters of a command line, in its order.
#[derive(Clone, Debug, Default)]
pub struct LoraArgs(pub Loras);

impl LoraArgs {
    /// The words of a command line that say the same, each weight times that of `weights`.
    pub fn flags(&self, weights: &[f64]) -> Vec<String> {
        let flags = self.0.0.iter().zip(weights).flat_map(|(lora, weight)| {
            let lora_and = format!("{}={}", lora.name, lora.folder.display());
            let weight = (lora.weight * weight).to_string();
            ["--lora".into(), lora_and, "--lora-weight".into(), weight]
        });
        flags.collect()
    }
}

/// Reads `[NAME=]FOLDER`; without a name it is the folder's.
pub fn parse(text: &str) -> Lora {
    let folder = PathBuf::from(text);
    let named = text.split_once('=').filter(|_| !folder.exists());
    let (name, folder) = match named {
        Some((name, folder)) => (name.to_owned(), PathBuf::from(folder)),
        None => {
            let last = folder.file_name().unwrap_or(folder.as_os_str());
            (last.to_string_lossy().into_owned(), folder)
        }
    };
    Lora {
        name,
        folder,
        weight: 1.0,
    }
}

// Derived code would lose which weight stood behind which adapter.
impl clap::Args for LoraArgs {
    fn augment_args(command: Command) -> Command {
        let repeatable = |name: &'static str, value: &'static str, help: &'static str| {
            Arg::new(name)
                .long(name)
                .value_name(value)
                .help(help)
                .action(ArgAction::Append)
        };
        command
            .arg(repeatable(
                "lora",
                "[NAME=]FOLDER",
                "Adapter: a folder of PEFT's or mlx-lm's, or llama.cpp's .gguf; several are added to the base, each with its weight",
            ))
            .arg(
                repeatable(
                    "lora-weight",
                    "W",
                    "Weight of the adapter named before it: 0 is the base, 1 the adapter [default: 1]",
                )
                .value_parser(clap::value_parser!(f64))
                .allow_negative_numbers(true),
            )
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl clap::FromArgMatches for LoraArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let mut loras = Self::default();
        loras.update_from_arg_matches(matches)?;
        Ok(loras)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        let texts = matches.get_many::<String>("lora").into_iter().flatten();
        let places = matches.indices_of("lora").into_iter().flatten();
        let mut loras: Vec<(usize, Lora)> = places.zip(texts.map(|text| parse(text))).collect();
        let weights = matches.get_many::<f64>("lora-weight").into_iter().flatten();
        let places = matches.indices_of("lora-weight").into_iter().flatten();
        let (mut weighted, mut faults) = (None, Vec::new());
        let usage =
            |message: String| Error::raw(clap::error::ErrorKind::ValueValidation, message + "\n");
        for (place, &weight) in places.zip(weights) {
            let before = loras.iter_mut().rev().find(|(lora, _)| *lora < place);
            let Some((lora_place, lora)) = before else {
                return Err(usage(format!(
                    "--lora-weight {weight} stands before any --lora"
                )));
            };
            if weighted == Some(*lora_place) {
                return Err(usage(format!(
                    "--lora {} has two weights",
                    lora.folder.display()
                )));
            }
            if !weight.is_finite() {
                let folder = lora.folder.display();
                faults.push(format!("--lora-weight {weight} of {folder} is not finite"));
            }
            weighted = Some(*lora_place);
            lora.weight = weight;
        }
        let names: Vec<_> = loras.iter().map(|(_, lora)| lora.name.as_str()).collect();
        for (i, name) in names.iter().enumerate() {
            if name.is_empty() {
                faults.push("a --lora has no name: give NAME=FOLDER".to_owned());
            } else if names[..i].contains(name) {
                faults.push(format!(
                    "two adapters are called {name}: give --lora NAME=FOLDER"
                ));
            }
        }
        if !faults.is_empty() {
            return Err(usage(faults.join("; ")));
        }
        self.0 = Loras(loras.into_iter().map(|(_, lora)| lora).collect());
        Ok(())
    }
}
