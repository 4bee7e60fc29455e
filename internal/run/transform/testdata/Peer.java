import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.lang.management.ManagementFactory;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Supplier;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;

import org.apache.kafka.common.Configurable;
import org.apache.kafka.connect.data.Schema;
import org.apache.kafka.connect.data.SchemaAndValue;
import org.apache.kafka.connect.data.SchemaBuilder;
import org.apache.kafka.connect.data.Struct;
import org.apache.kafka.connect.json.JsonConverter;
import org.apache.kafka.connect.source.SourceRecord;
import org.apache.kafka.connect.transforms.Transformation;
import org.apache.kafka.connect.transforms.predicates.Predicate;

/**
 * Kafka's own transforms and converters on records of ten fields and 1 KB, for BenchmarkRealPeers: a line of standard input is how many
 * records, a name (in, out and path are converters, and path has the stages between), whether records have a schema (schema, plain), and
 * the stages in JSON; it is answered with the nanoseconds of CPU of one record, of this thread.
 */
public class Peer {
    static final Schema SCHEMA = schema();
    static final String TEXT = "x".repeat(1024 / 6 - 5);
    static Object sink;

    static Schema schema() {
        SchemaBuilder b = SchemaBuilder.struct().name("Order").field("f0", Schema.INT32_SCHEMA).field("f1", Schema.OPTIONAL_INT64_SCHEMA)
            .field("f2", Schema.OPTIONAL_FLOAT64_SCHEMA);
        for (int i = 3; i < 10; i++) {
            b.field("f" + i, i == 6 ? Schema.OPTIONAL_BOOLEAN_SCHEMA : Schema.OPTIONAL_STRING_SCHEMA);
        }
        return b.build();
    }

    static Object value(boolean typed) {
        Struct s = new Struct(SCHEMA);
        Map<String, Object> m = new LinkedHashMap<>();
        for (int i = 0; i < 10; i++) {
            Object v = i == 0 ? (Object) 100_000 : i == 1 ? (Object) 1_709_184_496_789L : i == 2 ? (Object) 1.5 : i == 6 ? (Object) true : TEXT;
            s.put("f" + i, v);
            m.put("f" + i, v);
        }
        return typed ? s : m;
    }

    static Object make(JsonNode stage) throws Exception {
        Map<String, String> settings = new LinkedHashMap<>();
        stage.fields().forEachRemaining(e -> {
            if (e.getValue().isTextual()) {
                settings.put(e.getKey(), e.getValue().textValue());
            }
        });
        Object made = Class.forName(settings.remove("type")).getDeclaredConstructor().newInstance();
        ((Configurable) made).configure(settings);
        return made;
    }

    /** A stage, with the predicate that a worker asks before it, or null. */
    record Stage(Transformation<SourceRecord> transform, Predicate<SourceRecord> predicate, boolean negate) {
        @SuppressWarnings("unchecked")
        static Stage of(JsonNode stage) throws Exception {
            return new Stage((Transformation<SourceRecord>) make(stage),
                stage.has("predicate") ? (Predicate<SourceRecord>) make(stage.get("predicate")) : null, stage.path("negate").asBoolean());
        }
    }

    static List<Stage> chain(String text) throws Exception {
        List<Stage> list = new ArrayList<>();
        for (JsonNode stage : new ObjectMapper().readTree(text)) {
            list.add(Stage.of(stage));
        }
        return list;
    }

    static SourceRecord apply(List<Stage> chain, SourceRecord r) {
        for (Stage s : chain) {
            if (s.predicate != null && s.predicate.test(r) == s.negate) {
                continue;
            }
            r = s.transform.apply(r);
            if (r == null) {
                return null;
            }
        }
        return r;
    }

    static Supplier<Object> work(String what, boolean typed, String stages) throws Exception {
        JsonConverter json = new JsonConverter();
        json.configure(Map.of("schemas.enable", String.valueOf(typed)), false);
        Object value = value(typed);
        Schema schema = typed ? SCHEMA : null;
        byte[] bytes = json.fromConnectData("orders", schema, value);
        List<Stage> chain = chain(stages);
        switch (what) {
            case "in":
                return () -> json.toConnectData("orders", bytes);
            case "out":
                return () -> json.fromConnectData("orders", schema, value);
            case "path":
                return () -> {
                    SchemaAndValue in = json.toConnectData("orders", bytes);
                    SourceRecord r = apply(chain, new SourceRecord(null, null, "orders", null, null, null, in.schema(), in.value(), 1L));
                    return json.fromConnectData("orders", r.valueSchema(), r.value());
                };
            default:
                return () -> apply(chain, new SourceRecord(null, null, "orders", null, null, null, schema, value, 1L));
        }
    }

    public static void main(String[] args) throws Exception {
        Map<String, Supplier<Object>> all = new LinkedHashMap<>();
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line; (line = in.readLine()) != null; ) {
            String[] parts = line.split(" ", 4);
            Supplier<Object> one = all.get(parts[1] + " " + parts[2]);
            if (one == null) {
                all.put(parts[1] + " " + parts[2], one = work(parts[1], parts[2].equals("schema"), parts[3]));
            }
            int n = Integer.parseInt(parts[0]);
            long before = ManagementFactory.getThreadMXBean().getCurrentThreadCpuTime();
            for (int i = 0; i < n; i++) {
                sink = one.get();
            }
            System.out.println((ManagementFactory.getThreadMXBean().getCurrentThreadCpuTime() - before) / n);
        }
    }
}
