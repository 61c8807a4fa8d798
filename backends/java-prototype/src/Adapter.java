import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.SecureRandom;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.Collection;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;

import org.apache.commons.lang3.tuple.Pair;
import org.apache.commons.lang3.tuple.Triple;
import org.trvedata.sgm.AckOrderer;
import org.trvedata.sgm.DsgmProtocol;
import org.trvedata.sgm.FullDcgkaProtocol;
import org.trvedata.sgm.InOrderForwardSecureEncryptionProtocol;
import org.trvedata.sgm.ModularDsgm;
import org.trvedata.sgm.RotatingSignatureProtocol;
import org.trvedata.sgm.crypto.IdentityKey;
import org.trvedata.sgm.crypto.IdentityKeyPair;
import org.trvedata.sgm.crypto.PreKey;
import org.trvedata.sgm.crypto.PreKeySecret;
import org.trvedata.sgm.crypto.PreKeySource;
import org.trvedata.sgm.message.ModularMessage;
import org.trvedata.sgm.message.SignedMessage;
import org.trvedata.sgm.misc.Logger;

/** The Java prototype of the paper behind a pipe. docs/MEMBER_PROTOCOL.md describes the lines. */
public final class Adapter {
    private static final int CHECKSUM = 8;
    private static final PrintStream OUT = System.out;
    private static final BufferedReader IN = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    private static final SecureRandom RANDOM = new SecureRandom();

    @SuppressWarnings({"rawtypes", "unchecked"})
    private static final DsgmProtocol<DsgmProtocol.State> PROTOCOL = (DsgmProtocol) new ModularDsgm(new FullDcgkaProtocol(),
            new InOrderForwardSecureEncryptionProtocol(), new AckOrderer<>(), new RotatingSignatureProtocol());

    private static final Map<Long, Member> MEMBERS = new HashMap<>();
    /** The number of the present request. */
    private static long request;

    /** A call that fails. */
    private static final class Refused extends RuntimeException {
        Refused(String name) {
            super(name, null, false, false);
        }
    }

    /** A user. */
    private static final class Member {
        byte[] id;
        /** The prototype has no ids of groups, and forgets nothing at a removal: both are the adapter's. */
        byte[] group;
        boolean inside;
        boolean removed;
        DsgmProtocol.State state;
        /** Hashes of what this member has sent: a network may echo it. */
        ArrayList<String> sent = new ArrayList<>();
    }

    /** Prekeys of others, which the harness has. */
    private static final PreKeySource PREKEYS = remote -> {
        Object bundle = ask("one-time", remote.serialize());
        if (bundle == null) {
            throw new Refused("no-bundle");
        }
        PreKey preKey;
        try {
            preKey = (PreKey) open(bytes(bundle));
        } catch (RuntimeException error) {
            throw new Refused("no-bundle");
        }
        return preKey;
    };

    public static void main(String[] args) throws IOException {
        // The prototype's logger writes to standard output, which is the pipe.
        System.setOut(System.err);
        Logger.setLoggingLevel(Logger.Level.WARN);
        Graph.setOutside(PREKEYS);
        for (String line = IN.readLine(); line != null; line = IN.readLine()) {
            Map<String, Object> asked = Json.object(line);
            request = (Long) asked.get("id");
            try {
                write(fields("id", request, "ok", handle(asked)));
            } catch (Refused refused) {
                write(fields("id", request, "error", refused.getMessage()));
            }
        }
    }

    private static Map<String, Object> handle(Map<String, Object> asked) {
        String call = (String) asked.get("call");
        if (call.equals("hello")) {
            return hello();
        }
        Long number = (Long) asked.get("member");
        switch (call) {
            case "new-user":
                return newUser(number, ((Long) asked.get("one_time")).intValue());
            case "restore":
                Member restored;
                try {
                    restored = (Member) open(bytes(asked.get("state")));
                } catch (RuntimeException error) {
                    throw new Refused("bad-export");
                }
                MEMBERS.put(number, restored);
                return fields("user", text(restored.id));
            case "steal":
                throw new Refused("unsupported");
            case "drop":
                MEMBERS.remove(number);
                return fields();
            default:
                return handle(call, MEMBERS.get(number), asked);
        }
    }

    private static Map<String, Object> handle(String call, Member member, Map<String, Object> asked) {
        switch (call) {
            case "duplicate":
                MEMBERS.put((Long) asked.get("copy"), (Member) Graph.read(Graph.write(member)));
                return fields();
            case "group":
                return fields("group", member.group == null ? null : text(member.group));
            case "members":
                return fields("members", members(member));
            case "fingerprints":
                return fields("fingerprints", null);
            case "delivered":
                return fields("delivered", null);
            case "export":
                return fields("state", text(close(member)));
            case "receive":
                List<Object> results = new ArrayList<>();
                for (Object message : (List<?>) asked.get("messages")) {
                    results.add(receive(member, (Map<?, ?>) message));
                }
                return fields("results", results);
            default:
                return fields("outgoing", act(call, member, asked));
        }
    }

    private static Map<String, Object> hello() {
        Map<String, Object> variant = fields(
                "variant", "",
                "summary", "the paper's Java prototype",
                "operations", Arrays.asList(
                        "create", "add", "remove", "update", "update-cold", "message", "message-after-remove"),
                "kinds", Arrays.asList("create", "welcome", "add", "remove", "update", "ack", "message"),
                "concurrent_operations", true,
                "pcs_update", true,
                "forward_secrecy", true,
                "signed", "every message",
                "ordering", "causal",
                "deterministic", false,
                "public_randomness", Arrays.asList());
        variant.put("caveats", Arrays.asList(
                "compiled while it runs: the first iterations are slower",
                "the id of the group is the adapter's and in no signature, and so are the export and copies of states, field by field",
                "that echoes have no effect and that a removed member forgets its state is the adapter's",
                "a message that it refuses is dropped in silence, and may change the membership that it keeps in place"));
        return fields("protocol", 1L, "name", "java-prototype", "variants", Arrays.asList(variant));
    }

    @SuppressWarnings({"rawtypes", "unchecked"})
    private static Map<String, Object> newUser(Long number, int oneTime) {
        IdentityKeyPair pair = IdentityKey.generateKeyPair();
        IdentityKey id = pair.getPublicKey();
        PreKeySecret secret = new PreKeySecret(pair);
        List<Object> bundles = new ArrayList<>();
        for (int i = 0; i < oneTime; i++) {
            Pair<PreKeySecret, PreKey> preKey = secret.generatePreKey();
            secret = preKey.getLeft();
            bundles.add(text(close(preKey.getRight())));
        }
        Member member = new Member();
        member.id = id.serialize();
        member.state = new ModularDsgm.State(id, new FullDcgkaProtocol.State(id, secret, PREKEYS),
                new AckOrderer.State<>(id), new RotatingSignatureProtocol.State(pair));
        MEMBERS.put(number, member);
        // Only one-time bundles are fetched. This one says that the user exists.
        return fields("user", text(member.id), "bundle", text(member.id), "one_time", bundles);
    }

    private static List<Object> act(String call, Member member, Map<String, Object> asked) {
        if (call.equals("create") == (member.inside || member.removed)) {
            throw new Refused(call.equals("create") ? "already-in-group" : "not-in-group");
        }
        try {
            return make(call, member, asked);
        } catch (Refused refused) {
            throw refused;
        } catch (RuntimeException | AssertionError error) {
            throw new Refused("internal");
        }
    }

    private static List<Object> make(String call, Member member, Map<String, Object> asked) {
        List<Object> outgoing = new ArrayList<>();
        switch (call) {
            case "create":
                List<IdentityKey> others = new ArrayList<>();
                for (Object user : (List<?>) asked.get("users")) {
                    IdentityKey other = new IdentityKey(bytes(user));
                    if (others.contains(other) || Arrays.equals(other.serialize(), member.id)) {
                        throw new Refused("already-a-member");
                    }
                    check(user);
                    others.add(other);
                }
                Pair<DsgmProtocol.State, byte[]> created = PROTOCOL.create(member.state, others);
                byte[] group = new byte[32];
                RANDOM.nextBytes(group);
                member.state = created.getLeft();
                member.group = group;
                member.inside = true;
                outgoing.add(send(member, null, "create", created.getRight()));
                break;
            case "add":
                IdentityKey added = new IdentityKey(bytes(asked.get("user")));
                if (PROTOCOL.getMembersAndRemovedMembers(member.state).contains(added)) {
                    throw new Refused("already-a-member");
                }
                check(asked.get("user"));
                Triple<DsgmProtocol.State, byte[], byte[]> both = PROTOCOL.add(member.state, added);
                member.state = both.getLeft();
                outgoing.add(send(member, asked.get("user"), "welcome", both.getMiddle()));
                outgoing.add(send(member, null, "add", both.getRight()));
                break;
            case "remove":
                IdentityKey removed = new IdentityKey(bytes(asked.get("user")));
                if (Arrays.equals(removed.serialize(), member.id)) {
                    throw new Refused("removes-itself");
                }
                if (!PROTOCOL.getMembers(member.state).contains(removed)) {
                    throw new Refused("not-a-member");
                }
                outgoing.add(send(member, null, "remove", advance(member, PROTOCOL.remove(member.state, removed))));
                break;
            case "update":
                outgoing.add(send(member, null, "update", advance(member, PROTOCOL.update(member.state))));
                break;
            case "send":
                byte[] plaintext = bytes(asked.get("plaintext"));
                outgoing.add(send(member, null, "message", advance(member, PROTOCOL.send(member.state, plaintext))));
                break;
            default:
                throw new Refused("unsupported");
        }
        return outgoing;
    }

    private static byte[] advance(Member member, Pair<DsgmProtocol.State, byte[]> result) {
        member.state = result.getLeft();
        return result.getRight();
    }

    private static Map<String, Object> receive(Member member, Map<?, ?> message) {
        byte[] group = bytes(message.get("group"));
        byte[] author = bytes(message.get("author"));
        byte[] bytes = bytes(message.get("bytes"));
        if (member.removed) {
            return fields();
        }
        if (member.inside && !Arrays.equals(group, member.group)) {
            return fields("error", "wrong-group");
        }
        if (Arrays.equals(author, member.id)) {
            return member.sent.contains(text(digest(bytes))) ? fields() : fields("error", "wrong-author");
        }
        try {
            SignedMessage signed = new SignedMessage(bytes);
            if (!Arrays.equals(signed.sender.serialize(), author)) {
                return fields("error", "wrong-author");
            }
            if (!member.inside && new ModularMessage(signed.content).isWelcome && !(Boolean) ask("confirm", author)) {
                return fields("error", "inviter-not-confirmed");
            }
        } catch (RuntimeException error) {
            return fields("error", "malformed");
        }
        Pair<DsgmProtocol.State, List<DsgmProtocol.MessageEffect>> received;
        try {
            received = PROTOCOL.receive(member.state, bytes);
        } catch (RuntimeException | AssertionError error) {
            return fields("error", "not-authentic");
        }
        member.state = received.getLeft();
        List<Object> outgoing = new ArrayList<>();
        List<Object> events = new ArrayList<>();
        for (DsgmProtocol.MessageEffect effect : received.getRight()) {
            if (effect.type == DsgmProtocol.DgmMessageType.WELCOME) {
                member.group = group;
                member.inside = true;
            }
            if (effect.responseMessage != null) {
                outgoing.add(send(member, null, "ack", effect.responseMessage));
            }
            tell(member, effect, events);
        }
        return fields("outgoing", outgoing, "events", events);
    }

    /** What happened, as events. */
    private static void tell(Member member, DsgmProtocol.MessageEffect effect, List<Object> events) {
        String by = text(effect.sender.serialize());
        switch (effect.type) {
            case WELCOME:
                events.add(fields("event", "joined", "inviter", by));
                return;
            case APPLICATION:
                events.add(fields("event", "message", "from", by, "plaintext", text(effect.plaintext)));
                return;
            case UPDATE:
                events.add(fields("event", "updated", "by", by));
                return;
            case ADD:
                for (IdentityKey user : effect.added) {
                    events.add(fields("event", "added", "by", by, "user", text(user.serialize())));
                }
                return;
            case REMOVE:
                for (IdentityKey user : effect.removed) {
                    events.add(fields("event", "removed", "by", by, "user", text(user.serialize())));
                    if (Arrays.equals(user.serialize(), member.id)) {
                        member.inside = false;
                        member.removed = true;
                        member.state = null;
                    }
                }
                return;
            default:
                events.add(fields("event", "acked", "by", by));
        }
    }

    private static List<Object> members(Member member) {
        TreeSet<byte[]> sorted = new TreeSet<>(Arrays::compareUnsigned);
        if (member.inside) {
            Collection<IdentityKey> members = PROTOCOL.getMembers(member.state);
            members.forEach(user -> sorted.add(user.serialize()));
        }
        List<Object> ids = new ArrayList<>();
        sorted.forEach(id -> ids.add(text(id)));
        return ids;
    }

    private static Map<String, Object> send(Member member, Object to, String kind, byte[] bytes) {
        member.sent.add(text(digest(bytes)));
        return fields("to", to, "kind", kind, "bytes", text(bytes));
    }

    private static void check(Object user) {
        if (!user.equals(ask("bundle", bytes(user)))) {
            throw new Refused("no-bundle");
        }
    }

    /** Asks the harness during a call. */
    private static Object ask(String what, byte[] user) {
        write(fields("id", request, "ask", what, "user", text(user)));
        try {
            return Json.object(IN.readLine()).get("answer");
        } catch (IOException error) {
            throw new IllegalStateException(error);
        }
    }

    /** Bytes with a checksum, so that damaged ones are refused. */
    private static byte[] close(Object object) {
        byte[] bytes = Graph.write(object);
        byte[] closed = Arrays.copyOf(bytes, bytes.length + CHECKSUM);
        System.arraycopy(digest(bytes), 0, closed, bytes.length, CHECKSUM);
        return closed;
    }

    private static Object open(byte[] closed) {
        byte[] bytes = Arrays.copyOf(closed, Math.max(0, closed.length - CHECKSUM));
        byte[] checksum = Arrays.copyOfRange(closed, bytes.length, closed.length);
        if (!Arrays.equals(checksum, Arrays.copyOf(digest(bytes), CHECKSUM))) {
            throw new IllegalArgumentException("damaged");
        }
        return Graph.read(bytes);
    }

    private static byte[] digest(byte[] bytes) {
        try {
            return MessageDigest.getInstance("SHA-256").digest(bytes);
        } catch (java.security.NoSuchAlgorithmException error) {
            throw new IllegalStateException(error);
        }
    }

    private static String text(byte[] bytes) {
        return Base64.getEncoder().encodeToString(bytes);
    }

    private static byte[] bytes(Object text) {
        return Base64.getDecoder().decode((String) text);
    }

    private static Map<String, Object> fields(Object... namesAndValues) {
        Map<String, Object> fields = new LinkedHashMap<>();
        for (int i = 0; i < namesAndValues.length; i += 2) {
            fields.put((String) namesAndValues[i], namesAndValues[i + 1]);
        }
        return fields;
    }

    private static void write(Map<String, Object> line) {
        OUT.println(Json.write(line));
        OUT.flush();
    }
}
