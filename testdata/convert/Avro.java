import java.io.BufferedReader;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.lang.reflect.Field;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.Map;

import io.apicurio.registry.serde.avro.NonRecordContainer;
import io.apicurio.registry.utils.converter.avro.AvroData;
import io.apicurio.registry.utils.converter.avro.AvroDataConfig;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericDatumReader;
import org.apache.avro.generic.GenericDatumWriter;
import org.apache.avro.io.BinaryEncoder;
import org.apache.avro.io.DecoderFactory;
import org.apache.avro.io.EncoderFactory;
import org.apache.kafka.connect.data.SchemaAndValue;
import org.apache.kafka.connect.json.JsonConverter;

/**
 * Turns values into Avro and back with Apicurio's fork of Confluent's AvroData: java -cp 'LIB/*' Avro.java FILE. A line of FILE is
 * the options of AvroDataConfig and a document of Kafka Connect's JsonConverter with its schema, with a tab between; each becomes a
 * line of the Avro schema, the Avro bytes in hex, and the document that the bytes become again, with tabs between, or "!" and what
 * was thrown. A line with three parts is options, an Avro schema and bytes in hex: it becomes the document alone. With a fourth, the
 * version that a registry has for the schema, it becomes the document (or "!" and what was thrown), a tab, and the Avro schema that
 * AvroData writes of what it read, which has defaults of structures too: JsonConverter cannot write those.
 */
public class Avro {
    public static void main(String[] args) throws IOException {
        PrintStream out = new PrintStream(System.out, false, StandardCharsets.UTF_8);
        JsonConverter json = new JsonConverter();
        json.configure(Map.of("replace.null.with.default", "false"), false);
        try (BufferedReader lines = Files.newBufferedReader(Path.of(args[0]))) {
            for (String line; (line = lines.readLine()) != null; ) {
                String[] parts = line.split("\t", -1);
                AvroData data = open(options(parts[0]));
                try {
                    if (parts.length == 2) {
                        out.println(both(data, json, parts[1]));
                        continue;
                    }
                    Schema schema = new Schema.Parser().parse(parts[1]);
                    byte[] bytes = HexFormat.of().parseHex(parts[2]);
                    out.println(parts.length == 3 ? document(data, json, schema, bytes)
                        : again(data, json, schema, bytes, parts[3].isEmpty() ? null : Integer.valueOf(parts[3])));
                } catch (Exception | StackOverflowError e) {
                    out.println(thrown(e));
                }
            }
        }
        out.flush();
    }

    static String thrown(Throwable e) {
        return "!" + e.getClass().getName() + ": " + String.valueOf(e.getMessage()).replace('\n', ' ').replace('\t', ' ');
    }

    static String again(AvroData data, JsonConverter json, Schema schema, byte[] bytes, Integer version) throws IOException {
        Object read = new GenericDatumReader<Object>(schema).read(null, DecoderFactory.get().binaryDecoder(bytes, null));
        SchemaAndValue value = data.toConnectData(schema, read, version);
        String document;
        try {
            document = new String(json.fromConnectData("t", value.schema(), value.value()), StandardCharsets.UTF_8);
        } catch (RuntimeException e) {
            document = thrown(e);
        }
        return document + "\t" + data.fromConnectSchema(value.schema());
    }

    /** The fork kept these options of Confluent's AvroData as fields, but has no settings for them. */
    static AvroData open(Map<String, Object> options) {
        AvroData data = new AvroData(new AvroDataConfig(options));
        for (String[] option : new String[][] {
                {"scrub.invalid.names", "scrubInvalidNames"}, {"allow.optional.map.keys", "allowOptionalMapKey"},
                {"ignore.default.for.nullables", "ignoreDefaultForNullables"}}) {
            if ("true".equals(options.get(option[0]))) {
                try {
                    Field field = AvroData.class.getDeclaredField(option[1]);
                    field.setAccessible(true);
                    field.setBoolean(data, true);
                } catch (ReflectiveOperationException e) {
                    throw new IllegalStateException(e);
                }
            }
        }
        return data;
    }

    static Map<String, Object> options(String text) {
        Map<String, Object> map = new HashMap<>();
        for (String pair : text.split(" ")) {
            if (!pair.isEmpty()) {
                map.put(pair.substring(0, pair.indexOf('=')), pair.substring(pair.indexOf('=') + 1));
            }
        }
        return map;
    }

    static String both(AvroData data, JsonConverter json, String document) throws IOException {
        SchemaAndValue value = json.toConnectData("t", document.getBytes(StandardCharsets.UTF_8));
        Schema schema = data.fromConnectSchema(value.schema());
        String text = schema.toString();
        Object avro = data.fromConnectData(value.schema(), value.value());
        if (avro instanceof NonRecordContainer) {
            avro = ((NonRecordContainer) avro).getValue();
        }
        if (avro == null) {
            return text + "\tnull\tnull";
        }
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        BinaryEncoder encoder = EncoderFactory.get().binaryEncoder(bytes, null);
        new GenericDatumWriter<Object>(schema).write(avro, encoder);
        encoder.flush();
        String back;
        try {
            back = document(data, json, new Schema.Parser().parse(text), bytes.toByteArray());
        } catch (Exception | StackOverflowError e) {
            back = thrown(e);
        }
        return text + "\t" + HexFormat.of().formatHex(bytes.toByteArray()) + "\t" + back;
    }

    static String document(AvroData data, JsonConverter json, Schema schema, byte[] bytes) throws IOException {
        Object read = new GenericDatumReader<Object>(schema).read(null, DecoderFactory.get().binaryDecoder(bytes, null));
        SchemaAndValue value = data.toConnectData(schema, read);
        return value == null ? "null" : new String(json.fromConnectData("t", value.schema(), value.value()), StandardCharsets.UTF_8);
    }
}
