"""A toy protocol behind a pipe, to copy: a backend in another language than Rust, with Python's standard library alone.

The members of a group share a secret. Each change of the group begins a new epoch with a new secret, which the member that
makes the change sends to each other one in a box. Messages are encrypted with keys from the secret. Only one member may
change the group at a time. Insecure: the arithmetic takes secret-dependent time, and members could speak in each other's name.

docs/MEMBER_PROTOCOL.md describes the lines of JSON. This file has three parts, of which you replace the first two:

1. primitives: X25519, and encryption by HMAC;
2. `Member`: one user in one group;
3. the loop that reads requests and writes answers.
"""

import hashlib
import hmac
import json
import sys
from base64 import b64decode, b64encode

HELLO = {
    "protocol": 1,
    "name": "python-toy",
    "variants": [{
        "variant": "",
        "summary": "a shared secret in a box for each member, in Python: the example of a backend behind a pipe",
        "operations": ["create", "add", "remove", "update", "update-cold", "message", "message-after-remove"],
        "kinds": ["create", "add", "welcome", "remove", "update", "message"],
        "concurrent_operations": False,
        "pcs_update": True,
        "forward_secrecy": False,
        "signed": "nothing: boxes have tags by keys of two members, messages by keys of all",
        "ordering": "causal",
        "deterministic": True,
        "public_randomness": [],
        "caveats": ["interpreted Python, with X25519 in it"],
    }],
}

# What a member keeps: secrets of this many epochs, for messages that come late, and this many messages that come early.
MAX_EPOCHS = 16
MAX_EARLY = 256
MAX_EARLY_LEN = 1 << 14
# How far a message may be ahead of those of its author that have arrived.
MAX_AHEAD = 1 << 10


class Refused(Exception):
    """A call that fails. Its argument is the name of an error. The state must be as it was."""


# Part 1: primitives. Bytes inside, base64 in the state and on the wire, so that a state is JSON.

P = 2**255 - 19
BASE = (9).to_bytes(32, "little")
TAG_LEN = 16


def x25519(secret, point):
    """RFC 7748."""
    scalar = int.from_bytes(secret, "little") & ~7 & ~(128 << 248) | (64 << 248)
    x1 = int.from_bytes(point, "little") % (1 << 255)
    x2, z2, x3, z3 = 1, 0, x1, 1
    for bit in range(254, -1, -1):
        one = scalar >> bit & 1
        if one:
            x2, z2, x3, z3 = x3, z3, x2, z2
        a, b, c, d = x2 + z2, x2 - z2, x3 + z3, x3 - z3
        aa, bb, da, cb = a * a % P, b * b % P, d * a % P, c * b % P
        x3, z3 = (da + cb) ** 2 % P, x1 * (da - cb) ** 2 % P
        e = aa - bb
        x2, z2 = aa * bb % P, e * (aa + 121665 * e) % P
        if one:
            x2, z2, x3, z3 = x3, z3, x2, z2
    return (x2 * pow(z2, P - 2, P) % P).to_bytes(32, "little")


def prf(key, *parts):
    """HMAC of parts of which no two sequences look alike."""
    return hmac.digest(key, b"".join(len(part).to_bytes(4, "big") + part for part in parts), "sha256")


def stream(key, length):
    blocks = (prf(key, b"stream", block.to_bytes(4, "big")) for block in range(-(-length // 32)))
    return b"".join(blocks)[:length]


def seal(key, associated, plaintext):
    """Encrypts with a key that is used once."""
    ciphertext = bytes(a ^ b for a, b in zip(plaintext, stream(key, len(plaintext))))
    return ciphertext + prf(key, b"tag", associated, ciphertext)[:TAG_LEN]


def open_(key, associated, sealed):
    ciphertext, tag = sealed[:-TAG_LEN], sealed[-TAG_LEN:]
    if not hmac.compare_digest(tag, prf(key, b"tag", associated, ciphertext)[:TAG_LEN]):
        raise Refused("not-authentic")
    return bytes(a ^ b for a, b in zip(ciphertext, stream(key, len(ciphertext))))


def text(data):
    return b64encode(data).decode()


# Part 2: a member. Its state is JSON, and its methods are the calls. Users and groups are named by their ids in base64.

KINDS = ["create", "add", "welcome", "remove", "update", "message"]
ID_LEN = 32


class Member:
    def __init__(self, state):
        self.state = state
        # Key agreements of the present call. They are kept only if it succeeds.
        self.agreed = {}

    @staticmethod
    def new(seed):
        """A user. Its id is its first public key, so that a bundle needs no signature: it must equal the id."""
        secret = prf(seed, b"identity")
        public = text(x25519(secret, BASE))
        return Member(Member.blank(public, identity=text(secret), key=text(secret), public=public))

    @staticmethod
    def blank(user, stage="outside", group=None, identity="", key="", public=""):
        return {
            "id": user, "stage": stage, "group": group, "stolen": False,
            # The key that stays, which shows who somebody is, and the one that updates replace.
            "identity": identity, "key": key, "public": public,
            # The number of the last epoch, and for each the secret, the number of messages that I have sent, and for each author
            # what I have read: up to which number, which beyond it, and the last number that there can be.
            "epoch": 0, "secrets": {}, "sent": {}, "read": {},
            # The members' present public keys, and who was a member.
            "members": {}, "former": [],
            # Key agreements that were made, and messages that came too early.
            "agreed": {}, "early": [],
        }

    @staticmethod
    def restore(state):
        try:
            if hashlib.sha256(state[:-8]).digest()[:8] != state[-8:]:
                raise Refused("bad-export")
            return Member(json.loads(state[:-8]))
        except ValueError:
            raise Refused("bad-export") from None

    def export(self):
        state = json.dumps(self.state, separators=(",", ":")).encode()
        return state + hashlib.sha256(state).digest()[:8]

    # Calls that change the group. `ask` asks the harness, `seed` is the randomness of the call.

    def create(self, others, seed, ask):
        if self.state["stage"] != "outside":
            raise Refused("already-in-group")
        if self.state["stolen"]:
            raise Refused("unsupported")
        if len({*others, self.state["id"]}) != len(others) + 1:
            raise Refused("already-a-member")
        for other in others:
            self.check_bundle(other, ask)
        # An id is a user's first public key.
        members = {member: member for member in sorted([*others, self.state["id"]])}
        sealing = {**self.state, "members": members, "group": text(prf(seed, b"group")), "epoch": 0}
        before, self.state = self.state, sealing
        try:
            boxes = [self.box("create", other, self.roster(), seed) for other in others]
        except Exception:
            self.state = before
            raise
        self.state["stage"] = "inside"
        self.begin_epoch(1, prf(seed, b"secret"))
        return boxes

    def add(self, user, seed, ask):
        self.may_act()
        members = self.state["members"]
        if user in members or user in self.state["former"]:
            raise Refused("already-a-member")
        self.check_bundle(user, ask)
        boxes = [self.box("add", other, b64decode(user), seed) for other in self.others()]
        members[user] = user
        boxes.append(self.box("welcome", user, self.roster(), seed))
        self.begin_epoch(self.state["epoch"] + 1, prf(seed, b"secret"))
        return boxes

    def remove(self, user, seed, ask):
        self.may_act()
        if user == self.state["id"]:
            raise Refused("removes-itself")
        if user not in self.state["members"]:
            raise Refused("not-a-member")
        boxes = [self.box("remove", other, b64decode(user), seed) for other in self.others()]
        self.forget(user)
        self.begin_epoch(self.state["epoch"] + 1, prf(seed, b"secret"))
        return boxes

    def update(self, seed, ask):
        """A new key, and a new secret in boxes that it seals: a thief of the old one cannot open them. And how many messages I
        have sent before: the thief cannot add any."""
        self.may_act()
        state, me = self.state, self.state["id"]
        secret = prf(seed, b"key")
        kept = {name: state[name] for name in ("key", "public", "agreed")}
        self.change_key(me, text(x25519(secret, BASE)), text(secret))
        try:
            sent = b"".join(int(epoch).to_bytes(4, "big") + count.to_bytes(4, "big")
                            for epoch, count in state["sent"].items() if count)
            boxes = [self.box("update", other, sent, seed) for other in self.others()]
        except Exception:
            state.update(kept)
            raise
        self.begin_epoch(state["epoch"] + 1, prf(seed, b"secret"))
        return boxes

    def send(self, plaintext, seed, ask):
        self.may_act()
        state = self.state
        number = state["sent"][str(state["epoch"])] + 1
        header = bytes([KINDS.index("message")]) + state["epoch"].to_bytes(4, "big") + number.to_bytes(4, "big")
        key = self.message_key(state["id"], state["epoch"], number)
        state["sent"][str(state["epoch"])] = number
        sealed = seal(key, self.associated(state["id"], header), plaintext)
        return [{"to": None, "kind": "message", "bytes": text(header + sealed)}]

    # Messages.

    def receive(self, group, author, message, ask):
        """Returns the events."""
        state = self.state
        if state["stage"] == "removed":
            return []
        kind, epoch, header, body = self.parse(message)
        if state["stage"] == "inside" and group != state["group"]:
            raise Refused("wrong-group")
        if author == state["id"] and not state["stolen"]:
            return self.own(kind, epoch, header)
        if kind == "message":
            events = self.read(group, author, epoch, header, body)
        elif header[5:13] != b64decode(state["id"])[:8] and not state["stolen"]:
            raise Refused("not-authentic")
        elif kind in ("create", "welcome"):
            events = self.join(group, author, kind, epoch, header, body, ask)
        else:
            events = self.change(group, author, kind, epoch, header, body)
        if events is None:
            self.keep([group, author, text(message)])
            return []
        self.state["agreed"].update(self.agreed)
        return events + (self.retry(ask) if events else [])

    @staticmethod
    def parse(message):
        """Kind, epoch, header and the rest. The header has an epoch, then a number or the first bytes of the recipient's id,
        and in what begins an epoch the author's public key."""
        if not message or message[0] >= len(KINDS):
            raise Refused("malformed")
        kind = KINDS[message[0]]
        length = 9 if kind == "message" else 45
        if len(message) < length + TAG_LEN:
            raise Refused("malformed")
        return kind, int.from_bytes(message[1:5], "big"), message[:length], message[length:]

    def own(self, kind, epoch, header):
        """A network may echo what I have sent. Anything else in my name is not mine."""
        state = self.state
        number = int.from_bytes(header[5:], "big") if kind == "message" else 0
        if epoch > state["epoch"] or number > state["sent"].get(str(epoch), number):
            raise Refused("wrong-author")
        return []

    def read(self, group, author, epoch, header, body):
        state = self.state
        if state["stage"] == "outside" or epoch > state["epoch"]:
            return None
        if str(epoch) not in state["secrets"]:
            raise Refused("not-authentic")
        number = int.from_bytes(header[5:], "big")
        plaintext = open_(self.message_key(author, epoch, number), self.associated(author, header), body)
        upto, beyond, last = state["read"][str(epoch)].get(author, [0, [], None])
        if number <= upto or number in beyond:
            return []
        if last is not None and number > last:
            # By somebody who has stolen a state from before an update.
            raise Refused("not-authentic")
        if number > upto + MAX_AHEAD:
            raise Refused("queue-full")
        if author not in state["members"]:
            return [{"event": "rejected", "from": author, "rule": "author-not-a-member"}]
        beyond = sorted([*beyond, number])
        while beyond and beyond[0] == upto + 1:
            upto = beyond.pop(0)
        state["read"][str(epoch)][author] = [upto, beyond, last]
        return [{"event": "message", "from": author, "plaintext": text(plaintext)}]

    def join(self, group, author, kind, epoch, header, body, ask):
        state = self.state
        if state["stage"] == "inside":
            # Of the group that I am in already.
            return []
        if (kind == "create") != (epoch == 1) or kind == "create" and text(header[13:]) != author:
            raise Refused("malformed")
        opened = self.open_box(group, author, header, body, {author: text(header[13:])})
        entries = [opened[at:at + 2 * ID_LEN] for at in range(ID_LEN, len(opened), 2 * ID_LEN)]
        members = {text(entry[:ID_LEN]): text(entry[ID_LEN:]) for entry in entries}
        if state["id"] not in members or members.get(author) != text(header[13:]):
            raise Refused("malformed")
        if not ask("confirm", author):
            raise Refused("inviter-not-confirmed")
        state.update(stage="inside", group=group, members=members)
        self.begin_epoch(epoch, opened[:ID_LEN])
        return [{"event": "joined", "inviter": author}]

    def change(self, group, author, kind, epoch, header, body):
        state, me = self.state, self.state["id"]
        if state["stage"] == "outside" or epoch > state["epoch"] + 1:
            return None
        if epoch <= state["epoch"]:
            # Received before, or made at the same time as another change, which is not supported.
            return []
        if author not in state["members"]:
            raise Refused("not-authentic")
        public = text(header[13:])
        if kind != "update" and public != state["members"][author]:
            raise Refused("not-authentic")
        opened = self.open_box(group, author, header, body, {**state["members"], author: public})
        secret, content, subject = opened[:ID_LEN], opened[ID_LEN:], text(opened[ID_LEN:])
        if kind == "add":
            state["members"][subject] = subject
            event = {"event": "added", "by": author, "user": subject}
        elif kind == "remove":
            event = {"event": "removed", "by": author, "user": subject}
            if subject == me:
                if not state["stolen"]:
                    # Nothing stays that opens a message.
                    self.state, self.agreed = Member.blank(me, "removed", group), {}
                return [event]
            self.forget(subject)
        else:
            self.change_key(author, public)
            sent = {int.from_bytes(content[at:at + 4], "big"): int.from_bytes(content[at + 4:at + 8], "big")
                    for at in range(0, len(content), 8)}
            for earlier, read in state["read"].items():
                upto, beyond, _ = read.get(author, [0, [], None])
                read[author] = [upto, beyond, sent.get(int(earlier), 0)]
            event = {"event": "updated", "by": author}
        self.begin_epoch(epoch, secret)
        return [event]

    def keep(self, early):
        if early in self.state["early"]:
            return
        if len(self.state["early"]) >= MAX_EARLY or len(early[2]) > MAX_EARLY_LEN:
            raise Refused("queue-full")
        self.state["early"].append(early)

    def retry(self, ask):
        """Messages that waited are received again, now that something has changed."""
        early, self.state["early"] = self.state["early"], []
        events = []
        for group, author, message in early:
            try:
                self.agreed = {}
                events += self.receive(group, author, b64decode(message), ask)
            except Refused:
                # Nobody had checked it before.
                pass
        return events

    # What a member shows.

    def members(self):
        return sorted(self.state["members"], key=b64decode)

    def fingerprints(self):
        """Of the key that each member's messages are encrypted with."""
        if not self.state["secrets"]:
            return []
        secret = b64decode(self.state["secrets"][str(self.state["epoch"])])
        return [[member, text(prf(secret, b"fingerprint", b64decode(member)))] for member in self.members()]

    # Parts of the above.

    def may_act(self):
        if self.state["stage"] != "inside":
            raise Refused("not-in-group")
        if self.state["stolen"]:
            raise Refused("unsupported")

    @staticmethod
    def check_bundle(user, ask):
        if ask("bundle", user) != user:
            raise Refused("no-bundle")

    def others(self):
        return [member for member in self.state["members"] if member != self.state["id"]]

    def roster(self):
        """The members, each with its present public key."""
        return b"".join(b64decode(member) + b64decode(key) for member, key in self.state["members"].items())

    def forget(self, user):
        public = self.state["members"].pop(user)
        self.state["former"].append(user)
        for name in [name for name in self.state["agreed"] if name.endswith((user, public))]:
            del self.state["agreed"][name]

    def change_key(self, user, public, secret=None):
        """A user has a new key; if that is me, with this secret. What was agreed with the old key is forgotten."""
        state = self.state
        old, state["members"][user] = state["members"][user], public
        if secret is not None:
            state["key"], state["public"] = secret, public
        # An identity stays.
        state["agreed"] = {
            name: value for name, value in state["agreed"].items()
            if (name.startswith("identity ") or secret is None) and (old == user or not name.endswith(old))
        }

    def begin_epoch(self, epoch, secret):
        state = self.state
        state["epoch"] = epoch
        for name, value in (("secrets", text(secret)), ("sent", 0), ("read", {})):
            state[name][str(epoch)] = value
            for old in list(state[name])[:-MAX_EPOCHS]:
                del state[name][old]

    def associated(self, author, header, group=None, recipient=None):
        names = [group or self.state["group"], author, recipient or ""]
        return b"".join(b64decode(name) for name in names) + header

    def message_key(self, author, epoch, number):
        secret = b64decode(self.state["secrets"][str(epoch)])
        return prf(secret, b"message", b64decode(author), number.to_bytes(4, "big"))

    def agree(self, which, public):
        """A key agreement of one of my keys, `identity` or `key`, with a public key."""
        if which == "key" and self.state["key"] == self.state["identity"]:
            which = "identity"
        name = f"{which} {public}"
        known = self.state["agreed"].get(name) or self.agreed.get(name)
        if known is None:
            known = self.agreed[name] = text(x25519(b64decode(self.state[which]), b64decode(public)))
        return b64decode(known)

    def box_key(self, group, author, recipient, header, members):
        """A key that only two members know: by their identities, which shows who they are, and by their present keys, which
        a thief of older ones does not know."""
        peer = recipient if author == self.state["id"] else author
        agreed = self.agree("identity", peer) + self.agree("key", members[peer])
        return prf(agreed, b"box", self.associated(author, header, group, recipient))

    def box(self, kind, recipient, content, seed):
        """What one member needs to know of an epoch. A removed member is not told the secret."""
        state, me = self.state, self.state["id"]
        header = bytes([KINDS.index(kind)]) + (state["epoch"] + 1).to_bytes(4, "big")
        header += b64decode(recipient)[:8] + b64decode(state["public"])
        key = self.box_key(state["group"], me, recipient, header, state["members"])
        secret = bytes(32) if kind == "remove" and content == b64decode(recipient) else prf(seed, b"secret")
        sealed = seal(key, header, secret + content)
        return {"to": recipient, "kind": kind, "bytes": text(header + sealed)}

    def open_box(self, group, author, header, body, members):
        me = self.state["id"]
        recipient = me
        if self.state["stolen"] and author == me:
            # A thief opens what its owner has sent, if it knows the recipient.
            recipient = next((user for user in members if b64decode(user)[:8] == header[5:13]), me)
        return open_(self.box_key(group, author, recipient, header, members), header, body)


# Part 3: requests and answers.

members = {}


def write(line):
    sys.stdout.write(json.dumps(line, separators=(",", ":")) + "\n")
    sys.stdout.flush()


def handle(request):
    """The fields of the answer to a request."""
    call, number = request["call"], request.get("member")

    def ask(what, user):
        """Asks the harness during a call: for a user's `bundle`, or whether to `confirm` an inviter."""
        write({"id": request["id"], "ask": what, "user": user})
        return json.loads(sys.stdin.readline())["answer"]

    if call == "hello":
        return HELLO
    if call == "new-user":
        member = members[number] = Member.new(b64decode(request["seed"]))
        return {"user": member.state["id"], "bundle": member.state["id"], "one_time": []}
    if call in ("restore", "steal"):
        member = Member.restore(b64decode(request["state"]))
        member.state["stolen"] |= call == "steal"
        members[number] = member
        return {"user": member.state["id"]}
    if call == "drop":
        members.pop(number, None)
        return {}
    member = members[number]
    if call == "duplicate":
        members[request["copy"]] = Member(json.loads(json.dumps(member.state)))
        return {}
    if call == "group":
        return {"group": member.state["group"]}
    if call == "members":
        return {"members": member.members()}
    if call == "fingerprints":
        return {"fingerprints": member.fingerprints()}
    if call == "delivered":
        return {"delivered": None}
    if call == "export":
        return {"state": text(member.export())}
    if call == "receive":
        return {"results": [receive(member, message, ask) for message in request["messages"]]}
    member.agreed = {}
    seed = b64decode(request["seed"])
    if call == "create":
        outgoing = member.create(request["users"], seed, ask)
    elif call in ("add", "remove"):
        outgoing = getattr(member, call)(request["user"], seed, ask)
    elif call == "update":
        outgoing = member.update(seed, ask)
    elif call == "send":
        outgoing = member.send(b64decode(request["plaintext"]), seed, ask)
    else:
        raise Refused("unsupported")
    member.state["agreed"].update(member.agreed)
    return {"outgoing": outgoing}


def receive(member, message, ask):
    member.agreed = {}
    try:
        return {"events": member.receive(message["group"], message["author"], b64decode(message["bytes"]), ask)}
    except Refused as refused:
        return {"error": str(refused)}


def main():
    while line := sys.stdin.readline():
        request = json.loads(line)
        try:
            write({"id": request["id"], "ok": handle(request)})
        except Refused as refused:
            write({"id": request["id"], "error": str(refused)})


if __name__ == "__main__":
    main()
