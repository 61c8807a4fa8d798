//! The fault: as in `table_of_plaintexts`, and the table is also in a file, where other processes find it.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::sync::Once;

use protocol::crypto::count::Counts;
use protocol::crypto::hash::DIGEST_LEN;
use protocol::error::Error;
use protocol::member::Incoming;
use rand_core::CryptoRng;

use crate::layer::{Layer, Owner};
use crate::table_of_plaintexts::{SEALED, SEALED_LEN, TableOfPlaintexts};

pub(crate) const FILE: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/table-of-plaintexts");
/// A digest, and what a message carries of it.
const ENTRY: usize = DIGEST_LEN + SEALED_LEN;
/// The file is read before the first message.
static READ: Once = Once::new();

#[derive(Clone, Default)]
pub(crate) struct TableInAFile;

impl Layer for TableInAFile {
    fn put_on(&mut self, owner: &mut Owner, message: &[u8], ack: bool, rng: &mut dyn CryptoRng) -> Vec<u8> {
        let bytes = TableOfPlaintexts::<true>.put_on(owner, message, ack, rng);
        if let (Some(entry), Ok(mut file)) =
            (bytes.last_chunk::<ENTRY>(), OpenOptions::new().create(true).append(true).open(FILE))
        {
            let _ = file.write_all(entry);
        }
        bytes
    }

    fn take_off(&mut self, message: &Incoming<'_>, members: usize) -> Result<Vec<u8>, Error> {
        READ.call_once(|| {
            for entry in fs::read(FILE).unwrap_or_default().chunks_exact(ENTRY) {
                let (plaintext, sealed) = entry.split_at(DIGEST_LEN);
                SEALED.lock().unwrap().insert(sealed.to_vec(), plaintext.to_vec());
            }
        });
        TableOfPlaintexts::<true>.take_off(message, members)
    }

    fn costs(ack: bool, group_size: usize) -> (Counts, Counts) {
        TableOfPlaintexts::<true>::costs(ack, group_size)
    }
}
