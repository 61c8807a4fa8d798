//! Names of backends: how a registry resolves them, and which it refuses.

use harness::registry::{BadName, Constructor, Registry};
use harness::run::plan::Plan;
use harness::run::schedule;
use protocol::error::Error;
use protocol::member::{Backend, Description, Member, NewUser};
use protocol::operation::{Expected, Operation};
use rand_core::CryptoRng;

use crate::boxes::Boxes;
use crate::toy::{Flaw, Toy, VARIANTS};
use crate::{PROTOCOLS, TOYS, measure, plan};

pub(crate) fn names_of_backends_are_resolved() {
    assert_eq!(TOYS.find("toy").unwrap().description().variant, "");
    assert_eq!(TOYS.find("toy:leaks").unwrap().description().variant, "leaks");
    let error = TOYS.find("toys").err().unwrap().to_string();
    assert!(error.starts_with("there is no backend `toys`; try toy, toy:hidden"), "{error}");
    assert!(TOYS.find("toy:none").is_err());
    schedule::check(&plan(&["", "hidden"])).unwrap();
    assert!(schedule::check(&Plan { sizes: vec![], ..plan(&[""]) }).is_err());
    let error = measure(&plan(&["none"])).unwrap_err().to_string();
    assert!(error.starts_with("the runner of `toy:none` did not start"), "{error}");
}

pub(crate) fn added_backends_are_found_beside_the_others() {
    const BOTH: Registry = PROTOCOLS.with(&VARIANTS);
    BOTH.check().unwrap();
    assert_eq!(BOTH.names().take(3).collect::<Vec<_>>(), ["boxes", "toy", "toy:hidden"]);
    assert_eq!(BOTH.find("boxes").unwrap().description().name, "boxes");
    assert_eq!(BOTH.find("toy:leaks").unwrap().description().variant, "leaks");
    assert!(BOTH.find("toys").err().unwrap().to_string().starts_with("there is no backend `toys`; try boxes, toy, "));
}

pub(crate) fn a_name_that_means_another_backend_is_an_error() {
    const BOXES: &[Constructor] = &[|| Box::new(Boxes)];
    const HIDDEN: &[Constructor] = &[|| Box::new(Toy(Flaw::Hidden))];
    let taken = |registry: Registry| registry.check().unwrap_err();
    assert_eq!(taken(PROTOCOLS.with(BOXES)), BadName::Taken("boxes".to_owned()));
    assert_eq!(taken(TOYS.with(HIDDEN)), BadName::Taken("toy:hidden".to_owned()));
    // `toy` means the first variant with that name.
    let shadowed = taken(Registry::new(HIDDEN).with(&VARIANTS));
    assert_eq!(shadowed, BadName::Taken("toy".to_owned()));
    assert!(shadowed.to_string().contains("`toy`") && shadowed.to_string().contains("; try another name"));
    Registry::new(HIDDEN).with(BOXES).check().unwrap();
}

/// Boxes under one of these names.
struct Named<const N: usize>;

const NAMES: [(&str, &str); 12] = [
    ("boxes", "large"),
    ("", ""),
    ("a,b", ""),
    ("a/b", ""),
    ("a:b", ""),
    ("--help", ""),
    ("Boxes", ""),
    ("boxes without acks", ""),
    ("mi\nne", ""),
    ("mine", "A"),
    ("boxes-large", ""),
    ("full", ""),
];

impl<const N: usize> Backend for Named<N> {
    fn description(&self) -> Description {
        let (name, variant) = NAMES[N];
        Description { name, variant, ..Boxes.description() }
    }

    fn new_user(&self, one_time_prekeys: usize, rng: &mut dyn CryptoRng) -> NewUser {
        Boxes.new_user(one_time_prekeys, rng)
    }

    fn restore(&self, state: &[u8]) -> Result<Box<dyn Member>, Error> {
        Boxes.restore(state)
    }

    fn expected(&self, operation: Operation, group_size: usize) -> Option<Expected> {
        Boxes.expected(operation, group_size)
    }
}

pub(crate) fn a_name_is_a_word_that_is_distinct_in_every_file() {
    const MALFORMED: [Constructor; 9] = [
        || Box::new(Named::<1>),
        || Box::new(Named::<2>),
        || Box::new(Named::<3>),
        || Box::new(Named::<4>),
        || Box::new(Named::<5>),
        || Box::new(Named::<6>),
        || Box::new(Named::<7>),
        || Box::new(Named::<8>),
        || Box::new(Named::<9>),
    ];
    const LARGE: Registry = Registry::new(&[|| Box::new(Named::<0>)]);
    LARGE.check().unwrap();
    for constructor in &MALFORMED {
        let name = harness::registry::full_name(&*constructor());
        assert_eq!(Registry::new(std::slice::from_ref(constructor)).check(), Err(BadName::Malformed(name)));
    }
    let taken = |name: &str| Err(BadName::Taken(name.to_owned()));
    assert_eq!(LARGE.with(&[|| Box::new(Named::<10>)]).check(), taken("boxes-large"));
    assert_eq!(Registry::new(&[|| Box::new(Named::<11>)]).check(), taken("full"));
}
