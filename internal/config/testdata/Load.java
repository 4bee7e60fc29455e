import java.io.*;
import java.nio.charset.StandardCharsets;
import java.util.*;

/** Reads properties, one text in hexadecimal of UTF-8 a line, and says what java.util.Properties makes of each. */
public class Load {
    public static void main(String[] args) throws IOException {
        var in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.US_ASCII));
        var out = new PrintStream(new BufferedOutputStream(System.out), false, StandardCharsets.US_ASCII);
        var hex = HexFormat.of();
        for (String line; (line = in.readLine()) != null; ) {
            var p = new Properties();
            try {
                p.load(new StringReader(new String(hex.parseHex(line), StandardCharsets.UTF_8)));
            } catch (IllegalArgumentException e) {
                out.println("refused");
                continue;
            }
            var found = new TreeMap<String, String>();
            for (String key : p.stringPropertyNames())
                found.put(hex.formatHex(key.getBytes(StandardCharsets.UTF_8)),
                        hex.formatHex(p.getProperty(key).getBytes(StandardCharsets.UTF_8)));
            out.println(found);
        }
        out.flush();
    }
}
