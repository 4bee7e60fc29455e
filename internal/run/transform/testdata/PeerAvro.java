import java.io.BufferedReader;
import java.io.ByteArrayOutputStream;
import java.io.InputStreamReader;
import java.lang.management.ManagementFactory;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;

import io.apicurio.registry.utils.converter.avro.AvroData;
import io.apicurio.registry.utils.converter.avro.AvroDataConfig;

import org.apache.avro.generic.GenericDatumReader;
import org.apache.avro.generic.GenericDatumWriter;
import org.apache.avro.io.BinaryEncoder;
import org.apache.avro.io.DecoderFactory;
import org.apache.avro.io.EncoderFactory;
import org.apache.kafka.connect.data.Schema;
import org.apache.kafka.connect.data.SchemaAndValue;
import org.apache.kafka.connect.data.SchemaBuilder;
import org.apache.kafka.connect.data.Struct;
import org.apache.kafka.connect.source.SourceRecord;
import org.apache.kafka.connect.transforms.InsertField;
import org.apache.kafka.connect.transforms.ReplaceField;
import org.apache.kafka.connect.transforms.Transformation;

/**
 * Peer.java for Avro: what Confluent's AvroConverter does with its caches filled, by Apicurio's fork of AvroData and Avro's generic reader
 * and writer, on the same records. The cases are avro-in, avro-out and avro-path, which has the three transforms of Peer.java between.
 */
public class PeerAvro {
    static final String TEXT = "x".repeat(1024 / 6 - 5);
    static Object sink;

    static <T extends Transformation<SourceRecord>> T with(T t, String... settings) {
        Map<String, String> m = new LinkedHashMap<>();
        for (int i = 0; i < settings.length; i += 2) {
            m.put(settings[i], settings[i + 1]);
        }
        t.configure(m);
        return t;
    }

    static byte[] out(AvroData data, Map<Schema, org.apache.avro.Schema> known, Schema schema, Object value) throws Exception {
        org.apache.avro.Schema avro = known.computeIfAbsent(schema, data::fromConnectSchema);
        Object made = data.fromConnectData(schema, value);
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        bytes.write(0);
        bytes.write(ByteBuffer.allocate(4).putInt(1).array());
        BinaryEncoder encoder = EncoderFactory.get().directBinaryEncoder(bytes, null);
        new GenericDatumWriter<Object>(avro).write(made, encoder);
        encoder.flush();
        return bytes.toByteArray();
    }

    static SchemaAndValue in(AvroData data, GenericDatumReader<Object> reader, org.apache.avro.Schema schema, byte[] bytes) throws Exception {
        return data.toConnectData(schema, reader.read(null, DecoderFactory.get().binaryDecoder(bytes, 5, bytes.length - 5, null)));
    }

    public static void main(String[] args) throws Exception {
        SchemaBuilder b = SchemaBuilder.struct().name("Order").field("f0", Schema.INT32_SCHEMA).field("f1", Schema.OPTIONAL_INT64_SCHEMA)
            .field("f2", Schema.OPTIONAL_FLOAT64_SCHEMA);
        for (int i = 3; i < 10; i++) {
            b.field("f" + i, i == 6 ? Schema.OPTIONAL_BOOLEAN_SCHEMA : Schema.OPTIONAL_STRING_SCHEMA);
        }
        Schema schema = b.build();
        Struct value = new Struct(schema);
        for (int i = 0; i < 10; i++) {
            value.put("f" + i, i == 0 ? (Object) 100_000 : i == 1 ? (Object) 1_709_184_496_789L : i == 2 ? (Object) 1.5 : i == 6 ? (Object) true : TEXT);
        }
        List<Transformation<SourceRecord>> chain = List.of(
            with(new InsertField.Value<SourceRecord>(), "static.field", "system", "static.value", "SAP-PRD-100"),
            with(new ReplaceField.Value<SourceRecord>(), "renames", "f0:id,f3:name", "exclude", "f7"),
            with(new InsertField.Value<SourceRecord>(), "topic.field", "topic"));
        AvroData data = new AvroData(new AvroDataConfig(Map.of()));
        Map<Schema, org.apache.avro.Schema> known = new LinkedHashMap<>();
        org.apache.avro.Schema avro = data.fromConnectSchema(schema);
        GenericDatumReader<Object> reader = new GenericDatumReader<>(avro);
        byte[] bytes = out(data, known, schema, value);
        Map<String, Callable<Object>> all = Map.of(
            "avro-in", () -> in(data, reader, avro, bytes),
            "avro-out", () -> out(data, known, schema, value),
            "avro-path", () -> {
                SchemaAndValue read = in(data, reader, avro, bytes);
                SourceRecord r = new SourceRecord(null, null, "orders", null, null, null, read.schema(), read.value(), 1L);
                for (Transformation<SourceRecord> t : chain) {
                    r = t.apply(r);
                }
                return out(data, known, r.valueSchema(), r.value());
            });
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line; (line = lines.readLine()) != null; ) {
            String[] parts = line.split(" ");
            Callable<Object> one = all.get(parts[1]);
            int n = Integer.parseInt(parts[0]);
            long before = ManagementFactory.getThreadMXBean().getCurrentThreadCpuTime();
            for (int i = 0; i < n; i++) {
                sink = one.call();
            }
            System.out.println((ManagementFactory.getThreadMXBean().getCurrentThreadCpuTime() - before) / n);
        }
    }
}
