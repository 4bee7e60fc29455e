import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;

import org.apache.kafka.connect.data.SchemaAndValue;
import org.apache.kafka.connect.json.JsonConverter;

/**
 * Runs the golden cases of this folder through Kafka Connect's own JsonConverter: java -cp 'LIB/*' Replay.java FOLDER [write].
 * A case is `settings`, `schema` and `value` lines, `-----`, and the bytes that the converter makes of them. Without `write` it
 * compares and ends with 1 where they differ; with it, it puts Kafka's answer in. LIB holds connect-json and what it needs.
 */
public class Replay {
    public static void main(String[] args) throws IOException {
        int bad = 0, good = 0;
        try (DirectoryStream<Path> files = Files.newDirectoryStream(Path.of(args[0]), "*.golden")) {
            for (Path file : files) {
                String text = Files.readString(file);
                String head = text.substring(0, text.indexOf("-----\n") + 6);
                String found;
                try {
                    found = answer(head.split("\n"));
                } catch (Exception e) {
                    found = e.getClass().getName() + ": " + e.getMessage();
                }
                if (args.length > 1) {
                    Files.writeString(file, head + found + "\n");
                } else if (!text.equals(head + found + "\n")) {
                    bad++;
                    System.out.println(file.getFileName() + ": Kafka writes " + found);
                    continue;
                }
                good++;
            }
        }
        System.out.println(good + " good, " + bad + " differ");
        System.exit(bad == 0 ? 0 : 1);
    }

    static String answer(String[] lines) {
        Map<String, String> settings = new HashMap<>();
        for (String pair : after("settings", lines[0]).trim().split(" ")) {
            if (!pair.isEmpty()) {
                settings.put(pair.substring(0, pair.indexOf('=')), pair.substring(pair.indexOf('=') + 1));
            }
        }
        JsonConverter maker = new JsonConverter();
        maker.configure(Map.of("replace.null.with.default", "false"), false);
        String document = "{\"schema\":" + after("schema", lines[1]) + ",\"payload\":" + after("value", lines[2]) + "}";
        SchemaAndValue value = maker.toConnectData("t", document.getBytes(StandardCharsets.UTF_8));
        JsonConverter converter = new JsonConverter();
        converter.configure(settings, false);
        byte[] bytes = converter.fromConnectData("t", value.schema(), value.value());
        return bytes == null ? "(null)" : new String(bytes, StandardCharsets.UTF_8);
    }

    static String after(String name, String line) {
        if (!line.startsWith(name + " ")) {
            throw new IllegalArgumentException("expected a line of " + name + ", found " + line);
        }
        return line.substring(name.length() + 1);
    }
}
