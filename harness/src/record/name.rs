//! Names of backends and cells, on the command line and in data.

use protocol::operation::Operation;

/// `name`, or `name:variant` if the variant is not empty.
#[must_use]
pub fn join(name: &str, variant: &str) -> String {
    if variant.is_empty() { name.to_owned() } else { format!("{name}:{variant}") }
}

/// The id of a sample in its run: `backend/operation/group size/iteration`.
#[must_use]
pub fn cell_id(backend: &str, variant: &str, operation: Operation, group_size: u32, iteration: u32) -> String {
    format!("{}/{operation}/{group_size}/{iteration}", join(backend, variant))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_have_distinct_readable_names() {
        assert_eq!(cell_id("dcgka", "", Operation::UpdateCold, 128, 3), "dcgka/update-cold/128/3");
        assert_eq!(cell_id("toy", "hidden", Operation::Add, 8, 0), "toy:hidden/add/8/0");
    }
}
