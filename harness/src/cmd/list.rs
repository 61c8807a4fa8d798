//! `harness list`: the backends and what they can do.

use clap::Args;
use protocol::member::{Backend, Ordering};
use serde_json::json;

use super::failure::{Failure, OK};
use super::options::Format;
use super::output::print;
use crate::analysis::measurement::or_not_applicable;
use crate::registry::{Registry, full_name, is_default};

#[derive(Args)]
pub(super) struct Options {
    /// Format of the list
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
}

const COLUMNS: [&str; 12] = [
    "backend",
    "variant",
    "default",
    "summary",
    "concurrent_operations",
    "pcs_update",
    "forward_secrecy",
    "signed",
    "ordering",
    "deterministic",
    "public_randomness",
    "threads",
];

pub(super) fn run(options: &Options, registry: &Registry) -> Result<u8, Failure> {
    let mut text = Vec::new();
    match options.format {
        Format::Human => {
            for backend in registry.all() {
                let (name, description) = (full_name(&*backend), backend.description());
                let alone = if is_default(registry, &*backend) && name != description.name {
                    format!(" (the default variant of `{}`)", description.name)
                } else {
                    String::new()
                };
                text.extend(format!("{name}{alone}\n  {}\n", description.summary).into_bytes());
                for (name, value) in COLUMNS.iter().zip(fields(registry, &*backend)).skip(4) {
                    text.extend(format!("  {}: {value}\n", name.replace('_', " ")).into_bytes());
                }
            }
        }
        Format::Json => {
            for backend in registry.all() {
                let description = backend.description();
                let capabilities = description.capabilities;
                let line = json!({
                    "backend": description.name,
                    "variant": description.variant,
                    "default": is_default(registry, &*backend),
                    "summary": description.summary,
                    "concurrent_operations": capabilities.concurrent_operations,
                    "pcs_update": capabilities.pcs_update,
                    "forward_secrecy": capabilities.forward_secrecy,
                    "signed": capabilities.signed,
                    "ordering": ordering(capabilities.ordering),
                    "deterministic": capabilities.deterministic,
                    "public_randomness": capabilities.public_randomness,
                    "threads": capabilities.threads,
                });
                text.extend(format!("{line}\n").into_bytes());
            }
        }
        Format::Csv => {
            let mut writer = csv::Writer::from_writer(&mut text);
            writer.write_record(COLUMNS)?;
            for backend in registry.all() {
                let mut fields = fields(registry, &*backend);
                fields[1] = or_not_applicable(&fields[1]).to_owned();
                writer.write_record(fields)?;
            }
            writer.flush()?;
        }
    }
    print(&text)?;
    Ok(OK)
}

/// The fields of a backend, in the order of [`COLUMNS`].
fn fields(registry: &Registry, backend: &dyn Backend) -> [String; COLUMNS.len()] {
    let description = backend.description();
    let capabilities = description.capabilities;
    [
        description.name.to_owned(),
        description.variant.to_owned(),
        is_default(registry, backend).to_string(),
        description.summary.to_owned(),
        capabilities.concurrent_operations.to_string(),
        capabilities.pcs_update.to_string(),
        capabilities.forward_secrecy.to_string(),
        capabilities.signed.to_owned(),
        ordering(capabilities.ordering).to_owned(),
        capabilities.deterministic.to_string(),
        capabilities.public_randomness.join(" "),
        capabilities.threads.to_string(),
    ]
}

fn ordering(ordering: Ordering) -> &'static str {
    match ordering {
        Ordering::Causal => "causal",
        Ordering::Total => "total",
    }
}
