//! Repeats the published sweep of partitions (`LiangrunDa/keyhive-eval`, commit 5af19da) with the version of BeeKEM that it
//! measured: 64 members in 4 parts, 64 updates, 15 random layouts. Prints the bytes of each layout and their medians, and
//! fails if these are not the published ones.
//!
//! The backend `beekem` takes a newer version, which encodes the same operations in fewer bytes. This program shows what of
//! the difference between its figures and the published ones comes from there.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;

use beekem::cgka::Cgka;
use beekem::id::{MemberId, TreeId};
use beekem::keys::ShareKeyMap;
use beekem::operation::CgkaOperation;
use future_form::Local;
use keyhive_crypto::share_key::{ShareKey, ShareSecretKey};
use keyhive_crypto::signed::Signed;
use keyhive_crypto::signer::memory::MemorySigner;
use keyhive_crypto::verifiable::Verifiable as _;
use rand::SeedableRng as _;
use rand::rngs::{OsRng, StdRng};
use rand::seq::SliceRandom as _;

const MEMBERS: usize = 64;
const PARTS: usize = 4;
const UPDATES: usize = 64;
const LAYOUTS: u64 = 15;
/// The published medians: bytes of the first update after the merge, bytes of all updates until no node is in conflict, and
/// the number of these updates.
const PUBLISHED: [usize; 3] = [9_940, 166_900, 54];

type Operation = Arc<Signed<CgkaOperation>>;
type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<ExitCode> {
    futures::executor::block_on(async {
        let mut columns: [Vec<usize>; 3] = Default::default();
        println!("layout,first_bytes,recovery_bytes,recovery_updates");
        for layout in 0..LAYOUTS {
            let row = recover(layout).await?;
            println!("{layout},{},{},{}", row[0], row[1], row[2]);
            columns.iter_mut().zip(row).for_each(|(column, value)| column.push(value));
        }
        let medians = columns.map(|mut column| {
            column.sort_unstable();
            column[column.len() / 2]
        });
        println!("median,{},{},{}", medians[0], medians[1], medians[2]);
        println!("published,{},{},{}", PUBLISHED[0], PUBLISHED[1], PUBLISHED[2]);
        Ok(if medians == PUBLISHED { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    })
}

/// One layout: everybody updates in turn, the group splits, some update in their parts, all is merged, and those who have
/// updated update again until no node is in conflict.
async fn recover(layout: u64) -> Result<[usize; 3]> {
    let mut group = Group::new(MEMBERS).await?;
    let everybody: Vec<usize> = (0..MEMBERS).collect();
    let mut tree = Tree::default();
    for member in 0..MEMBERS {
        let update = group.update(member).await?;
        group.deliver(&update, member, &everybody)?;
        tree.apply(&update);
    }

    let mut random = StdRng::seed_from_u64(layout);
    let mut authors = Vec::new();
    while authors.len() < UPDATES {
        let mut round = everybody.clone();
        round.shuffle(&mut random);
        authors.extend(round.into_iter().take(UPDATES - authors.len()));
    }
    let in_part = |part: usize| everybody.iter().copied().filter(move |member| member % PARTS == part);
    let mut made = vec![Vec::new(); PARTS];
    for author in &authors {
        let update = group.update(*author).await?;
        group.deliver(&update, *author, &in_part(author % PARTS).collect::<Vec<_>>())?;
        made[author % PARTS].push(update);
    }
    for (part, updates) in made.iter().enumerate() {
        let others: Vec<_> = everybody.iter().copied().filter(|member| member % PARTS != part).collect();
        for update in updates {
            group.deliver(update, MEMBERS, &others)?;
            tree.apply(update);
        }
    }

    let mut again: Vec<usize> = authors.into_iter().collect::<BTreeSet<_>>().into_iter().collect();
    again.shuffle(&mut random);
    let mut sizes = Vec::new();
    for author in again {
        let update = group.update(author).await?;
        group.deliver(&update, author, &everybody)?;
        sizes.push(bincode::serialize(update.as_ref())?.len());
        tree.apply(&update);
        if tree.conflicts() == 0 {
            break;
        }
    }
    Ok([sizes[0], sizes.iter().sum(), sizes.len()])
}

struct Group {
    members: Vec<(MemorySigner, Cgka)>,
}

impl Group {
    /// A group whose first member has added the others one by one.
    async fn new(size: usize) -> Result<Self> {
        let user = || {
            let signer = MemorySigner::generate(&mut OsRng);
            (MemberId(signer.verifying_key()), signer, ShareSecretKey::generate(&mut OsRng))
        };
        let (id, signer, key) = user();
        let tree = TreeId(MemorySigner::generate(&mut OsRng).verifying_key());
        let mut creator = Cgka::new::<Local, _>(tree, id, key.share_key(), &signer).await?;
        creator.owner_sks.insert(key.share_key(), key);
        let mut members = vec![(signer.clone(), creator)];
        for _ in 1..size {
            let (id, its_signer, key) = user();
            let added = members[0].1.add::<Local, _>(id, key.share_key(), &signer).await?;
            let added = Arc::new(added.ok_or("a member that is new is added")?);
            for (_, member) in &mut members[1..] {
                member.merge_concurrent_operation(Arc::clone(&added))?;
            }
            let mut keys = ShareKeyMap::new();
            keys.insert(key.share_key(), key);
            let joined = members[0].1.with_new_owner(id, keys)?;
            members.push((its_signer, joined));
        }
        Ok(Self { members })
    }

    async fn update(&mut self, author: usize) -> Result<Operation> {
        let (signer, member) = &mut self.members[author];
        let key = ShareSecretKey::generate(&mut OsRng);
        let (_, update) = member.update::<Local, _, _>(key.share_key(), key, signer, &mut OsRng).await?;
        Ok(Arc::new(update))
    }

    /// Delivers an operation to these members but for its author.
    fn deliver(&mut self, operation: &Operation, author: usize, to: &[usize]) -> Result<()> {
        for member in to.iter().filter(|member| **member != author) {
            self.members[*member].1.merge_concurrent_operation(Arc::clone(operation))?;
        }
        Ok(())
    }
}

/// The keys of each node, as the updates say it. BeeKEM does not show its tree.
#[derive(Default)]
struct Tree {
    keys: BTreeMap<u32, BTreeSet<ShareKey>>,
}

impl Tree {
    fn apply(&mut self, operation: &Operation) {
        if let CgkaOperation::Update { new_path, .. } = operation.payload() {
            for (node, store) in &new_path.path {
                let keys = self.keys.entry(*node).or_default();
                keys.retain(|key| !new_path.removed_keys.contains(key));
                keys.extend(store.node_key().keys());
            }
        }
    }

    /// The number of nodes with several keys.
    fn conflicts(&self) -> usize {
        self.keys.values().filter(|keys| keys.len() > 1).count()
    }
}
