import java.io.BufferedOutputStream;
import java.io.BufferedReader;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.text.ParseException;
import java.text.SimpleDateFormat;
import java.util.ArrayList;
import java.util.Date;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TimeZone;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;

import org.apache.kafka.common.config.ConfigDef;
import org.apache.kafka.common.config.ConfigException;
import org.apache.kafka.common.config.ConfigValue;
import org.apache.kafka.common.record.TimestampType;
import org.apache.kafka.connect.connector.ConnectRecord;
import org.apache.kafka.connect.data.SchemaAndValue;
import org.apache.kafka.connect.header.ConnectHeaders;
import org.apache.kafka.connect.header.Header;
import org.apache.kafka.connect.header.Headers;
import org.apache.kafka.connect.json.JsonConverter;
import org.apache.kafka.connect.sink.SinkRecord;
import org.apache.kafka.connect.source.SourceRecord;
import org.apache.kafka.connect.storage.SimpleHeaderConverter;
import org.apache.kafka.connect.transforms.Transformation;
import org.apache.kafka.connect.transforms.predicates.Predicate;

/**
 * Runs the golden cases of this folder through Kafka Connect's own transforms: java -cp 'LIB/*' Replay.java FOLDER [write].
 * With `-` in the place of FOLDER it answers the cases of standard input, `record refused` where JsonConverter does not take the record.
 * A case is a `stage` line for each stage, a `record` line, `-----`, and what comes out. Without `write` it compares and ends with
 * 1 where they differ; with it, it puts Kafka's answer in. LIB holds connect-transforms, connect-json and what they need.
 * A file dates.tsv of the folder has lines of a pattern, milliseconds since 1970 and what SimpleDateFormat makes of them; parses.tsv
 * those of a pattern, a JSON text and the milliseconds that it reads there, or `none`; patterns.tsv those of a regular expression, texts, and
 * for each text whether it matches whole and where the first match lies, or `fails`.
 */
public class Replay {
    static final ObjectMapper JSON = new ObjectMapper();

    public static void main(String[] args) throws IOException {
        Locale.setDefault(Locale.US);
        TimeZone.setDefault(TimeZone.getTimeZone("UTC"));
        if (args[0].equals("-")) {
            stream();
            return;
        }
        int bad = dates(Path.of(args[0], "dates.tsv"), args.length > 1) + dates(Path.of(args[0], "parses.tsv"), args.length > 1)
                + patterns(Path.of(args[0], "patterns.tsv"), args.length > 1), good = 0;
        try (DirectoryStream<Path> files = Files.newDirectoryStream(Path.of(args[0]), "*.golden")) {
            for (Path file : files) {
                String text = Files.readString(file);
                String head = text.substring(0, text.indexOf("-----\n") + 6);
                String found = answer(head.split("\n"));
                if (args.length > 1) {
                    Files.writeString(file, head + found);
                } else if (!text.equals(head + found)) {
                    bad++;
                    System.out.println(file.getFileName() + ": Kafka makes\n" + found);
                    continue;
                }
                good++;
            }
        }
        System.out.println(good + " good, " + bad + " differ");
        System.exit(bad == 0 ? 0 : 1);
    }

    /** Answers the cases of standard input, each up to a line `-----`, by what comes out and such a line. */
    static void stream() throws IOException {
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        PrintStream out = new PrintStream(new BufferedOutputStream(new FileOutputStream(FileDescriptor.out)), false, StandardCharsets.UTF_8);
        List<String> lines = new ArrayList<>();
        for (String line; (line = in.readLine()) != null;) {
            if (!line.equals("-----")) {
                lines.add(line);
                continue;
            }
            out.print(answer(lines.toArray(new String[0])) + "-----\n");
            lines.clear();
        }
        out.flush();
    }

    /** Compares the file of dates, or writes their texts into it; returns how many differ. */
    static int dates(Path file, boolean write) throws IOException {
        if (!Files.exists(file)) {
            return 0;
        }
        int bad = 0;
        List<String> out = new ArrayList<>();
        for (String line : Files.readAllLines(file)) {
            String[] parts = line.split("\t", -1);
            String found;
            try {
                SimpleDateFormat format = new SimpleDateFormat(parts[0]);
                format.setTimeZone(TimeZone.getTimeZone("UTC"));
                found = parts[1].startsWith("\"") ? "" + format.parse(JSON.readValue(parts[1], String.class)).getTime()
                        : format.format(new Date(Long.parseLong(parts[1])));
            } catch (ParseException e) {
                found = "none";
            } catch (IllegalArgumentException e) {
                found = "fails: " + e.getMessage();
            }
            String is = parts[0] + "\t" + parts[1] + "\t" + found;
            if (!write && !is.equals(line)) {
                System.out.println(file.getFileName() + ": Java makes " + is);
                bad++;
            }
            out.add(is);
        }
        if (write) {
            Files.write(file, out);
        }
        return bad;
    }

    /** Compares the file of regular expressions, or writes what they match into it; returns how many differ. */
    static int patterns(Path file, boolean write) throws IOException {
        if (!Files.exists(file)) {
            return 0;
        }
        int bad = 0;
        List<String> out = new ArrayList<>();
        for (String line : Files.readAllLines(file)) {
            String[] parts = line.split("\t", -1), texts = JSON.readValue(parts[1], String[].class);
            StringBuilder found = new StringBuilder();
            try {
                Pattern pattern = Pattern.compile(JSON.readValue(parts[0], String.class));
                for (String text : texts) {
                    Matcher first = pattern.matcher(text);
                    found.append(pattern.matcher(text).matches() ? "1" : "0").append(first.find() ? first.start() + "-" + first.end() : "").append(";");
                }
            } catch (RuntimeException | StackOverflowError e) { // some wrong expressions end it otherwise than by PatternSyntaxException
                found.append("fails");
            }
            String is = parts[0] + "\t" + parts[1] + "\t" + found;
            if (!write && !is.equals(line)) {
                System.out.println(file.getFileName() + ": Java makes " + is);
                bad++;
            }
            out.add(is);
        }
        if (write) {
            Files.write(file, out);
        }
        return bad;
    }

    @SuppressWarnings({"unchecked", "rawtypes"})
    static String answer(String[] lines) throws IOException {
        ConnectRecord record = null;
        for (String line : lines) {
            if (line.startsWith("record ")) {
                try {
                    record = record(JSON.readTree(line.substring(7)));
                } catch (RuntimeException e) { // JsonConverter does not take it
                    return "record refused: " + e.getClass().getName() + ": " + e.getMessage() + "\n";
                }
            }
        }
        List<Transformation> transforms = new ArrayList<>();
        List<Predicate> predicates = new ArrayList<>();
        List<Boolean> negated = new ArrayList<>();
        for (String line : lines) {
            if (!line.startsWith("stage ")) {
                continue;
            }
            try {
                JsonNode stage = JSON.readTree(line.substring(6));
                Transformation transform = (Transformation) make(stage);
                predicates.add(stage.has("predicate") ? (Predicate) make(stage.get("predicate")) : null);
                transforms.add(transform);
                negated.add(stage.path("negate").asBoolean());
            } catch (Exception e) {
                return "stage " + transforms.size() + " refused: " + e.getClass().getName() + ": " + e.getMessage() + "\n";
            }
        }
        for (int at = 0; at < transforms.size(); at++) {
            try {
                if (predicates.get(at) != null && predicates.get(at).test(record) == negated.get(at)) {
                    continue;
                }
                record = transforms.get(at).apply(record);
            } catch (Exception e) {
                return "stage " + at + " fails: " + e.getClass().getName() + ": " + e.getMessage() + "\n";
            }
            if (record == null) {
                return "dropped\n";
            }
        }
        String out = "topic " + record.topic() + "\nkey " + json(record, true) + "\nvalue " + json(record, false) + "\n";
        for (Object o : record.headers()) {
            Header h = (Header) o;
            out += "header " + JSON.writeValueAsString(h.key()) + " " + json(new SchemaAndValue(h.schema(), h.value()), false)
                    + " " + written(h) + "\n";
        }
        return out;
    }

    static Object make(JsonNode of) throws Exception {
        Map<String, String> settings = new HashMap<>();
        of.fields().forEachRemaining(e -> {
            if (e.getValue().isTextual()) {
                settings.put(e.getKey(), e.getValue().textValue());
            }
        });
        Object made = Class.forName(settings.remove("type")).getDeclaredConstructor().newInstance();
        ConfigDef def = made instanceof Transformation<?> t ? t.config() : ((Predicate<?>) made).config();
        // A worker does so first, and shows all that it finds; configure itself takes an item once.
        String twice = def.validate(settings).stream().map(ConfigValue::errorMessages).flatMap(List::stream)
                .filter(message -> message.endsWith("values must not be duplicated.")).sorted().findFirst().orElse(null);
        if (twice != null) {
            throw new ConfigException(twice);
        }
        ((org.apache.kafka.common.Configurable) made).configure(settings);
        return made;
    }

    static ConnectRecord record(JsonNode r) {
        SchemaAndValue key = datum(r.get("key")), value = datum(r.get("value"));
        Integer partition = r.has("partition") ? r.get("partition").intValue() : null;
        Long timestamp = r.has("timestamp") ? r.get("timestamp").longValue() : null;
        Headers headers = new ConnectHeaders();
        for (JsonNode header : r.path("headers")) {
            headers.add(header.get(0).textValue(), datum(header.get(1)));
        }
        if (r.has("offset")) {
            return new SinkRecord(r.get("topic").textValue(), partition, key.schema(), key.value(), value.schema(), value.value(),
                    r.get("offset").longValue(), timestamp, TimestampType.CREATE_TIME, headers);
        }
        return new SourceRecord(null, null, r.get("topic").textValue(), partition, key.schema(), key.value(), value.schema(), value.value(), timestamp,
                headers);
    }

    static SchemaAndValue datum(JsonNode envelope) {
        JsonConverter converter = new JsonConverter();
        converter.configure(Map.of("replace.null.with.default", "false"), false);
        return converter.toConnectData("t", envelope == null ? null : envelope.toString().getBytes(StandardCharsets.UTF_8));
    }

    /** What SimpleHeaderConverter writes of a header, as a JSON text. */
    static String written(Header h) throws IOException {
        byte[] bytes = new SimpleHeaderConverter().fromConnectHeader("t", h.key(), h.schema(), h.value());
        return JSON.writeValueAsString(bytes == null ? null : new String(bytes, StandardCharsets.UTF_8));
    }

    static String json(ConnectRecord r, boolean key) {
        return key ? json(new SchemaAndValue(r.keySchema(), r.key()), true) : json(new SchemaAndValue(r.valueSchema(), r.value()), false);
    }

    static String json(SchemaAndValue v, boolean key) {
        JsonConverter converter = new JsonConverter();
        converter.configure(Map.of("replace.null.with.default", "false"), key);
        try {
            byte[] bytes = converter.fromConnectData("t", v.schema(), v.value());
            return bytes == null ? "(none)" : new String(bytes, StandardCharsets.UTF_8);
        } catch (Exception e) {
            return "cannot be converted: " + e.getMessage();
        }
    }
}
