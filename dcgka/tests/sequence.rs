//! One operation after the other.

mod common;

use common::World;

#[test]
fn a_group_lives() {
    let mut world = World::with_group(5, 8, 1);
    world.check(&[0, 1, 2, 3, 4]);
    world.update(0);
    world.settle();
    world.check(&[0, 1, 2, 3, 4]);
    world.add(1, 5);
    world.settle();
    world.check(&[0, 1, 2, 3, 4, 5]);
    world.remove(5, 0);
    world.settle();
    world.check(&[1, 2, 3, 4, 5]);
    world.update(3);
    world.settle();
    world.add(3, 6);
    world.settle();
    world.add(6, 7);
    world.settle();
    world.check(&[1, 2, 3, 4, 5, 6, 7]);
    world.remove(7, 3);
    world.settle();
    world.check(&[1, 2, 4, 5, 6, 7]);
}
