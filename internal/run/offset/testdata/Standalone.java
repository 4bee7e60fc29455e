import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.connect.json.JsonConverter;
import org.apache.kafka.connect.runtime.standalone.StandaloneConfig;
import org.apache.kafka.connect.storage.FileOffsetBackingStore;

/**
 * Writes offsets as a standalone Kafka Connect worker does, with its own class: java -cp 'LIB/*' Standalone.java FILE. One of them is
 * set to null when the worker is started once more. The order of the entries differs with each run: HashMap orders arrays by identity.
 */
public class Standalone {
    public static void main(String[] args) throws Exception {
        JsonConverter json = new JsonConverter();
        json.configure(Map.of("schemas.enable", "false"), true);
        Map<String, String> config = Map.of(
            "bootstrap.servers", "localhost:9092",
            "key.converter", "org.apache.kafka.connect.json.JsonConverter",
            "value.converter", "org.apache.kafka.connect.json.JsonConverter",
            StandaloneConfig.OFFSET_STORAGE_FILE_FILENAME_CONFIG, args[0]);
        Map<ByteBuffer, ByteBuffer> offsets = new LinkedHashMap<>();
        String path = "/V2/Northwind/Northwind.svc";
        offsets.put(buffer(json, List.of("reads", partition(path, "Orders"))), buffer(json, Map.of("next", path + "/Orders?$skip=7")));
        offsets.put(buffer(json, List.of("others", Map.of("filename", "/tmp/gr\u00f6\u00dfe"))), buffer(json, Map.of("position", 12L)));
        ByteBuffer gone = buffer(json, List.of("reads", partition(path, "Customers")));
        offsets.put(gone, buffer(json, Map.of("next", path + "/Customers?$skip=7")));
        store(json, config, offsets);
        Map<ByteBuffer, ByteBuffer> more = new LinkedHashMap<>();
        more.put(gone, null);
        more.put(buffer(json, List.of("others", Map.of("filename", "long"))), buffer(json, Map.of("note", "x".repeat(300))));
        store(json, config, more);
    }

    static void store(JsonConverter json, Map<String, String> config, Map<ByteBuffer, ByteBuffer> offsets) throws Exception {
        FileOffsetBackingStore store = new FileOffsetBackingStore(json);
        store.configure(new StandaloneConfig(config));
        store.start();
        store.set(offsets, null).get(60, TimeUnit.SECONDS);
        store.stop();
    }

    static Map<String, Object> partition(String path, String set) {
        Map<String, Object> fields = new LinkedHashMap<>();
        fields.put("path", path);
        fields.put("set", set);
        return fields;
    }

    static ByteBuffer buffer(JsonConverter json, Object value) {
        return ByteBuffer.wrap(json.fromConnectData("", null, value));
    }
}
