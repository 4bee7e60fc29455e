import java.nio.charset.StandardCharsets;
import java.util.*;
import org.apache.kafka.connect.json.JsonConverter;

/** Writes keys and values of offsets as a Kafka Connect worker does: one line for each case, kind, tab, bytes. */
public class Offsets {
    static JsonConverter key = new JsonConverter(), value = new JsonConverter();
    static Map<String, Object> map(Object... kv) {
        Map<String, Object> m = new LinkedHashMap<>();
        for (int i = 0; i < kv.length; i += 2) m.put((String) kv[i], kv[i + 1]);
        return m;
    }
    static void key(String connector, Map<String, Object> partition) {
        print("key", key.fromConnectData("connect-offsets", null, Arrays.asList(connector, partition)));
    }
    static void value(Map<String, Object> offset) { print("value", value.fromConnectData("connect-offsets", null, offset)); }
    static void print(String kind, byte[] bytes) { System.out.println(kind + "\t" + new String(bytes, StandardCharsets.UTF_8)); }

    public static void main(String[] args) {
        key.configure(Map.of("schemas.enable", "false"), true);
        value.configure(Map.of("schemas.enable", "false"), false);
        key("orders", map("service", "/sap/opu/odata/sap/API_SALES_ORDER_SRV", "entityset", "A_SalesOrder"));
        key("n\u00e4me \"x\"", map("b", 1L, "a", null, "t", true, "f", 1.5));
        key("file", map("filename", "/tmp/a\\b<c>&d"));
        key("mirror", map("cluster", "source", "partition", 0, "topic", "t"));
        key("empty", map());
        value(map("url", "https://host:443/x?$skiptoken=1%20a&b", "record", 12L, "next", null, "done", false));
        value(map("text", "\u0000\u0001\b\t\n\u000b\f\r\u001f\u007f\u0080\u2028\u2029\ufeff\"\\/'"));
        value(map("emoji", "\ud83d\ude00 \ud800\udc00 \udbff\udfff", "\ud83d\ude00", "k", "gr\u00f6\u00dfe", "\u4e2d\u6587"));
        value(map("max", Long.MAX_VALUE, "min", Long.MIN_VALUE, "zero", 0L, "minus", -1L));
        value(map("byte", (byte) -1, "short", (short) 300, "int", 2147483647));
        value(map("d0", 0.0, "d-0", -0.0, "one", 1.0, "tenth", 0.1, "d3", 1e-3, "below", 9.999e-4, "seven", 9999999.0, "e7", 1e7,
                  "big", 1.7976931348623157E308, "tiny", 4.9E-324, "third", 1.0 / 3, "e21", 1e21, "e16", 1.2345678901234567e16, "neg", -123.456e-10, "hundred", 100.0));
        value(map("nan", Double.NaN, "inf", Double.POSITIVE_INFINITY, "-inf", Double.NEGATIVE_INFINITY));
        value(map("float", 1.1f, "f7", 1e7f));
        value(map());
        Map<String, Object> hash = new HashMap<>();
        for (String s : new String[] {"url", "record", "next", "digest", "fingerprint", "service", "entityset"}) hash.put(s, s);
        value(hash);
    }
}
