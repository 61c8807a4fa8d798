import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.lang.reflect.Array;
import java.lang.reflect.Constructor;
import java.lang.reflect.Field;
import java.lang.reflect.Modifier;
import java.nio.ByteBuffer;
import java.util.AbstractMap;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * Objects as bytes, and back. The prototype cannot write its state, and some of it changes in place. So members are exported,
 * restored and copied field by field.
 */
final class Graph {
    /** What a state refers to and does not hold. */
    private static Object outside;

    private final IdentityHashMap<Object, Integer> written = new IdentityHashMap<>();
    private final List<Object> read = new ArrayList<>();

    static void setOutside(Object object) {
        outside = object;
    }

    static byte[] write(Object object) {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        try {
            new Graph().put(object, new DataOutputStream(bytes));
        } catch (IOException | ReflectiveOperationException error) {
            throw new IllegalStateException(error);
        }
        return bytes.toByteArray();
    }

    static Object read(byte[] bytes) {
        try {
            return new Graph().get(new DataInputStream(new ByteArrayInputStream(bytes)));
        } catch (IOException | ReflectiveOperationException | RuntimeException error) {
            throw new IllegalArgumentException("no state", error);
        }
    }

    private void put(Object object, DataOutputStream out) throws IOException, ReflectiveOperationException {
        if (object == null) {
            out.writeByte('0');
        } else if (object == outside) {
            out.writeByte('o');
        } else if (written.containsKey(object)) {
            out.writeByte('r');
            out.writeInt(written.get(object));
        } else if (object instanceof Integer) {
            out.writeByte('i');
            out.writeInt((Integer) object);
        } else if (object instanceof Boolean) {
            out.writeByte('z');
            out.writeBoolean((Boolean) object);
        } else if (object instanceof String) {
            out.writeByte('s');
            out.writeUTF((String) object);
        } else if (object instanceof Enum) {
            out.writeByte('e');
            out.writeUTF(((Enum<?>) object).getDeclaringClass().getName());
            out.writeUTF(((Enum<?>) object).name());
        } else {
            written.put(object, written.size());
            putNew(object, out);
        }
    }

    private void putNew(Object object, DataOutputStream out) throws IOException, ReflectiveOperationException {
        if (object instanceof byte[]) {
            putBytes('b', (byte[]) object, out);
        } else if (object instanceof ByteBuffer) {
            ByteBuffer copy = ((ByteBuffer) object).duplicate();
            byte[] bytes = new byte[copy.remaining()];
            copy.get(bytes);
            putBytes('B', bytes, out);
        } else if (object.getClass().isArray()) {
            int length = Array.getLength(object);
            out.writeByte('a');
            out.writeUTF(object.getClass().getComponentType().getName());
            out.writeInt(length);
            for (int i = 0; i < length; i++) {
                put(Array.get(object, i), out);
            }
        } else if (object.getClass().getName().startsWith("java.util.")) {
            if (object instanceof Map.Entry) {
                out.writeByte('E');
                put(((Map.Entry<?, ?>) object).getKey(), out);
                put(((Map.Entry<?, ?>) object).getValue(), out);
            } else if (object instanceof Map) {
                out.writeByte('M');
                out.writeInt(((Map<?, ?>) object).size());
                for (Map.Entry<?, ?> entry : ((Map<?, ?>) object).entrySet()) {
                    put(entry.getKey(), out);
                    put(entry.getValue(), out);
                }
            } else {
                out.writeByte(object instanceof Set ? 'S' : 'L');
                out.writeInt(((Collection<?>) object).size());
                for (Object element : (Collection<?>) object) {
                    put(element, out);
                }
            }
        } else {
            out.writeByte('O');
            out.writeUTF(object.getClass().getName());
            for (Field field : fields(object.getClass())) {
                if (field.getType() == int.class) {
                    out.writeInt(field.getInt(object));
                } else if (field.getType() == long.class) {
                    out.writeLong(field.getLong(object));
                } else if (field.getType() == boolean.class) {
                    out.writeBoolean(field.getBoolean(object));
                } else if (field.getType() == byte.class) {
                    out.writeByte(field.getByte(object));
                } else {
                    put(field.get(object), out);
                }
            }
        }
    }

    private static void putBytes(char kind, byte[] bytes, DataOutputStream out) throws IOException {
        out.writeByte(kind);
        out.writeInt(bytes.length);
        out.write(bytes);
    }

    private Object get(DataInputStream in) throws IOException, ReflectiveOperationException {
        char kind = (char) in.readByte();
        switch (kind) {
            case '0':
                return null;
            case 'o':
                return outside;
            case 'r':
                return read.get(in.readInt());
            case 'i':
                return in.readInt();
            case 'z':
                return in.readBoolean();
            case 's':
                return in.readUTF();
            case 'e':
                return getEnum(in);
            case 'b':
                return keep(getBytes(in));
            case 'B':
                return keep(ByteBuffer.wrap(getBytes(in)));
            case 'a':
                return getArray(in);
            case 'M':
                Map<Object, Object> map = new HashMap<>();
                read.add(map);
                for (int left = in.readInt(); left > 0; left--) {
                    Object key = get(in);
                    map.put(key, get(in));
                }
                return map;
            case 'E':
                int number = read.size();
                read.add(null);
                Object first = get(in);
                Object entry = new AbstractMap.SimpleImmutableEntry<>(first, get(in));
                read.set(number, entry);
                return entry;
            case 'S':
                return fill(new HashSet<>(), in);
            case 'L':
                return fill(new ArrayList<>(), in);
            case 'O':
                return getObject(in);
            default:
                throw new IOException("unknown kind");
        }
    }

    private Object keep(Object object) {
        read.add(object);
        return object;
    }

    private static byte[] getBytes(DataInputStream in) throws IOException {
        int length = in.readInt();
        if (length < 0 || length > in.available()) {
            throw new IOException("too long");
        }
        byte[] bytes = new byte[length];
        in.readFully(bytes);
        return bytes;
    }

    @SuppressWarnings({"unchecked", "rawtypes"})
    private static Object getEnum(DataInputStream in) throws IOException, ReflectiveOperationException {
        Class type = Class.forName(in.readUTF());
        return Enum.valueOf(type, in.readUTF());
    }

    private Object getArray(DataInputStream in) throws IOException, ReflectiveOperationException {
        Class<?> type = Class.forName(in.readUTF());
        int length = in.readInt();
        if (length < 0 || length > in.available()) {
            throw new IOException("too long");
        }
        Object array = keep(Array.newInstance(type, length));
        for (int i = 0; i < length; i++) {
            Array.set(array, i, get(in));
        }
        return array;
    }

    private Object fill(Collection<Object> collection, DataInputStream in) throws IOException, ReflectiveOperationException {
        read.add(collection);
        for (int left = in.readInt(); left > 0; left--) {
            collection.add(get(in));
        }
        return collection;
    }

    /** Without a call of its constructor. */
    private Object getObject(DataInputStream in) throws IOException, ReflectiveOperationException {
        Class<?> type = Class.forName(in.readUTF());
        if (type.getName().startsWith("java.")) {
            throw new IOException("a class of the system");
        }
        Constructor<?> constructor = sun.reflect.ReflectionFactory.getReflectionFactory()
                .newConstructorForSerialization(type, Object.class.getDeclaredConstructor());
        Object object = keep(constructor.newInstance());
        for (Field field : fields(type)) {
            if (field.getType() == int.class) {
                field.setInt(object, in.readInt());
            } else if (field.getType() == long.class) {
                field.setLong(object, in.readLong());
            } else if (field.getType() == boolean.class) {
                field.setBoolean(object, in.readBoolean());
            } else if (field.getType() == byte.class) {
                field.setByte(object, in.readByte());
            } else {
                field.set(object, get(in));
            }
        }
        return object;
    }

    private static List<Field> fields(Class<?> type) {
        List<Field> fields = new ArrayList<>();
        for (Class<?> at = type; at != null && !at.getName().startsWith("java."); at = at.getSuperclass()) {
            for (Field field : at.getDeclaredFields()) {
                if (!Modifier.isStatic(field.getModifiers())) {
                    field.setAccessible(true);
                    fields.add(field);
                }
            }
        }
        return fields;
    }
}
