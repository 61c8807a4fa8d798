import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** JSON as maps, lists, strings, longs, booleans and null. The prototype has no library for it. */
final class Json {
    private final String text;
    private int at;

    private Json(String text) {
        this.text = text;
    }

    @SuppressWarnings("unchecked")
    static Map<String, Object> object(String text) {
        return (Map<String, Object>) new Json(text).value();
    }

    static String write(Object value) {
        StringBuilder out = new StringBuilder();
        write(value, out);
        return out.toString();
    }

    private static void write(Object value, StringBuilder out) {
        if (value instanceof Map) {
            out.append('{');
            String comma = "";
            for (Map.Entry<?, ?> entry : ((Map<?, ?>) value).entrySet()) {
                out.append(comma).append('"').append(entry.getKey()).append("\":");
                write(entry.getValue(), out);
                comma = ",";
            }
            out.append('}');
        } else if (value instanceof List) {
            out.append('[');
            String comma = "";
            for (Object element : (List<?>) value) {
                out.append(comma);
                write(element, out);
                comma = ",";
            }
            out.append(']');
        } else if (value instanceof String) {
            // Names, base64, and texts of this adapter: nothing in them needs an escape.
            out.append('"').append(value).append('"');
        } else {
            out.append(value);
        }
    }

    private Object value() {
        switch (next()) {
            case '{':
                Map<String, Object> map = new LinkedHashMap<>();
                for (char c = next(); c != '}'; c = next()) {
                    if (c == ',') {
                        continue;
                    }
                    String name = string();
                    next();
                    map.put(name, value());
                }
                return map;
            case '[':
                List<Object> list = new ArrayList<>();
                for (char c = next(); c != ']'; c = next()) {
                    if (c != ',') {
                        at--;
                        list.add(value());
                    }
                }
                return list;
            case '"':
                return string();
            case 't':
                at += 3;
                return true;
            case 'f':
                at += 4;
                return false;
            case 'n':
                at += 3;
                return null;
            default:
                int start = at - 1;
                while (at < text.length() && "0123456789+-.eE".indexOf(text.charAt(at)) >= 0) {
                    at++;
                }
                return Long.parseLong(text.substring(start, at));
        }
    }

    /** The next character that is no space. */
    private char next() {
        while (Character.isWhitespace(text.charAt(at))) {
            at++;
        }
        return text.charAt(at++);
    }

    /** The rest of a string whose first quotation mark has been read. The harness sends no escapes. */
    private String string() {
        int end = text.indexOf('"', at);
        String string = text.substring(at, end);
        at = end + 1;
        return string;
    }
}
