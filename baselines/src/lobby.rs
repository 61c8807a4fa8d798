//! What a user in no group has received: it waits until the user has been invited and can join.

use std::collections::BTreeMap;

use protocol::error::Error;
use protocol::id::{GROUP_ID_LEN, GroupId, MemberId};
use protocol::wire::codec::{Reader, put_len, put_prefixed};

use crate::parked::Parked;

/// Groups whose messages may wait for an invitation.
const MAX_LOBBIES: usize = 8;

/// What a user has received of a group before it is in the group.
#[derive(Clone, Default)]
pub struct Lobby {
    /// The author of the founders message, and its bytes. The group's id commits to the author's id and to the
    /// founders.
    pub founders: Option<(MemberId, Vec<u8>)>,
    /// Everything else.
    pub parked: Parked,
}

/// The lobbies of all groups that have sent anything.
pub type Lobbies = BTreeMap<GroupId, Lobby>;

/// The lobby of a group. Empty lobbies of other groups are dropped.
///
/// [`Error::QueueFull`] if there are too many others.
pub fn of<'a>(lobbies: &'a mut Lobbies, group: &GroupId) -> Result<&'a mut Lobby, Error> {
    lobbies.retain(|id, lobby| id == group || lobby.founders.is_some() || lobby.parked.len() > 0);
    if !lobbies.contains_key(group) && lobbies.len() >= MAX_LOBBIES {
        return Err(Error::QueueFull);
    }
    Ok(lobbies.entry(*group).or_default())
}

/// The same for a group with a founders message that names the user. It takes precedence over a group that nobody has
/// invited the user to.
pub fn of_invited<'a>(lobbies: &'a mut Lobbies, group: &GroupId) -> Result<&'a mut Lobby, Error> {
    if !lobbies.contains_key(group) && lobbies.len() >= MAX_LOBBIES {
        let uninvited = lobbies.iter().find(|(_, lobby)| lobby.founders.is_none()).map(|(id, _)| *id);
        lobbies.remove(&uninvited.ok_or(Error::QueueFull)?);
    }
    of(lobbies, group)
}

/// Appends all lobbies, for an export.
pub fn encode(lobbies: &Lobbies, out: &mut Vec<u8>) {
    put_len(out, lobbies.len());
    for (id, Lobby { founders, parked }) in lobbies {
        out.extend_from_slice(&id.0);
        out.push(founders.is_some().into());
        if let Some((creator, bytes)) = founders {
            out.extend_from_slice(&creator.0);
            put_prefixed(out, bytes);
        }
        parked.encode(out);
    }
}

/// Reads what [`encode`] wrote.
///
/// # Errors
/// [`Error::Malformed`].
pub fn decode(reader: &mut Reader<'_>) -> Result<Lobbies, Error> {
    let mut lobbies = Lobbies::new();
    for _ in 0..reader.count(GROUP_ID_LEN)? {
        let id = GroupId(reader.array()?);
        let founders = match reader.flag()? {
            true => Some((MemberId(reader.array()?), reader.prefixed()?.to_vec())),
            false => None,
        };
        lobbies.insert(id, Lobby { founders, parked: Parked::decode(reader)? });
    }
    Ok(lobbies)
}
