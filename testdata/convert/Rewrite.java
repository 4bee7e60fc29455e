import java.io.BufferedReader;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Base64;
import java.util.HashMap;
import java.util.Map;

import org.apache.kafka.connect.data.SchemaAndValue;
import org.apache.kafka.connect.json.JsonConverter;

/**
 * Reads documents with Kafka Connect's own JsonConverter and writes them anew: java -cp 'LIB/*' Rewrite.java FILE. A line of FILE
 * is the reader's settings, the writer's, and the document in base64, with tabs between; each becomes a line of what was written, "(null)",
 * or "!" and the exception's class and message. The first line is Java's version. With a second argument, `plain`, documents are as they are.
 */
public class Rewrite {
    static final Map<String, JsonConverter> converters = new HashMap<>();

    public static void main(String[] args) throws IOException {
        PrintStream out = new PrintStream(System.out, false, StandardCharsets.UTF_8);
        out.println(Runtime.version().feature());
        try (BufferedReader lines = Files.newBufferedReader(Path.of(args[0]))) {
            for (String line; (line = lines.readLine()) != null; ) {
                String[] parts = line.split("\t", 3);
                out.println(rewrite(parts[0], parts[1], args.length > 1 ? parts[2].getBytes(StandardCharsets.UTF_8) : Base64.getDecoder().decode(parts[2])));
            }
        }
        out.flush();
    }

    static String rewrite(String reader, String writer, byte[] document) {
        try {
            SchemaAndValue value = converter(reader).toConnectData("t", document);
            byte[] bytes = converter(writer).fromConnectData("t", value.schema(), value.value());
            return bytes == null ? "(null)" : new String(bytes, StandardCharsets.UTF_8);
        } catch (Exception e) {
            return "!" + e.getClass().getName() + ": " + String.valueOf(e.getMessage()).replace('\n', ' ');
        }
    }

    static JsonConverter converter(String settings) {
        return converters.computeIfAbsent(settings, s -> {
            Map<String, String> map = new HashMap<>();
            for (String pair : s.split(" ")) {
                if (!pair.isEmpty()) {
                    map.put(pair.substring(0, pair.indexOf('=')), pair.substring(pair.indexOf('=') + 1));
                }
            }
            JsonConverter c = new JsonConverter();
            c.configure(map, false);
            return c;
        });
    }
}
