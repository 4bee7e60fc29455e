import java.io.BufferedReader;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HexFormat;
import java.util.Map;

import org.apache.kafka.connect.storage.StringConverter;

/**
 * Reads bytes with Kafka Connect's own StringConverter and writes them anew: java -cp 'LIB/*' Decode.java FILE. A line of FILE is the reader's
 * encoding, the writer's, and bytes in hex, with tabs between; each becomes a line of what was written, in hex.
 */
public class Decode {
    public static void main(String[] args) throws IOException {
        StringBuilder out = new StringBuilder();
        try (BufferedReader lines = Files.newBufferedReader(Path.of(args[0]))) {
            for (String line; (line = lines.readLine()) != null; ) {
                String[] parts = line.split("\t", 3);
                StringConverter c = new StringConverter();
                c.configure(Map.of("value.deserializer.encoding", parts[0], "value.serializer.encoding", parts[1]), false);
                Object text = c.toConnectData("t", HexFormat.of().parseHex(parts[2])).value();
                out.append(HexFormat.of().formatHex(c.fromConnectData("t", null, text))).append('\n');
            }
        }
        System.out.write(out.toString().getBytes(StandardCharsets.US_ASCII));
        System.out.flush();
    }
}
