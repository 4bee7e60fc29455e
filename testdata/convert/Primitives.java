import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;

import org.apache.kafka.connect.data.SchemaAndValue;
import org.apache.kafka.connect.json.JsonConverter;
import org.apache.kafka.connect.storage.Converter;
import org.apache.kafka.connect.storage.SimpleHeaderConverter;

/**
 * Runs the lines of primitives.tsv through Kafka Connect's own converters of numbers, booleans, texts, bytes and headers: java -cp 'LIB/*' Primitives.java FILE [write].
 * A line is a class, `write` with a value as JsonConverter writes it or `read` with bytes in hex, and what came out: bytes in hex, a value, or
 * the message of a failure behind an exclamation mark. Without `write` it compares and ends with 1 where lines differ.
 */
public class Primitives {
    public static void main(String[] args) throws IOException {
        int bad = 0;
        List<String> out = new ArrayList<>();
        for (String line : Files.readAllLines(Path.of(args[0]))) {
            String[] parts = line.split("\t", -1);
            String is = parts[0] + "\t" + parts[1] + "\t" + parts[2] + "\t" + answer(parts);
            if (!is.equals(line)) {
                bad++;
                System.out.println("Kafka makes " + is);
            }
            out.add(is);
        }
        if (args.length > 1) {
            Files.write(Path.of(args[0]), out);
            return;
        }
        System.out.println((out.size() - bad) + " good, " + bad + " differ");
        System.exit(bad == 0 ? 0 : 1);
    }

    static String answer(String[] parts) {
        JsonConverter json = new JsonConverter();
        json.configure(Map.of(), false);
        try {
            if (parts[0].equals("SimpleHeaderConverter")) {
                SchemaAndValue v = json.toConnectData("t", parts[2].getBytes(StandardCharsets.UTF_8));
                byte[] bytes = new SimpleHeaderConverter().fromConnectHeader("t", "h", v.schema(), v.value());
                return bytes == null ? "(none)" : HexFormat.of().formatHex(bytes);
            }
            String room = parts[0].equals("StringConverter") ? "storage." : "converters.";
            Converter converter = (Converter) Class.forName("org.apache.kafka.connect." + room + parts[0]).getDeclaredConstructor().newInstance();
            converter.configure(Map.of(), false);
            if (parts[1].equals("read")) {
                SchemaAndValue v = converter.toConnectData("t", HexFormat.of().parseHex(parts[2]));
                return new String(json.fromConnectData("t", v.schema(), v.value()), StandardCharsets.UTF_8);
            }
            SchemaAndValue v = json.toConnectData("t", parts[2].getBytes(StandardCharsets.UTF_8));
            byte[] bytes = converter.fromConnectData("t", v.schema(), v.value());
            return bytes == null ? "(none)" : HexFormat.of().formatHex(bytes);
        } catch (Exception e) {
            return "!" + e.getMessage();
        }
    }
}
