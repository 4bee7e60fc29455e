import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.lang.management.ManagementFactory;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Supplier;

import org.apache.kafka.connect.data.Schema;
import org.apache.kafka.connect.data.SchemaAndValue;
import org.apache.kafka.connect.data.SchemaBuilder;
import org.apache.kafka.connect.data.Struct;
import org.apache.kafka.connect.json.JsonConverter;
import org.apache.kafka.connect.source.SourceRecord;
import org.apache.kafka.connect.transforms.Cast;
import org.apache.kafka.connect.transforms.ExtractField;
import org.apache.kafka.connect.transforms.HeaderFrom;
import org.apache.kafka.connect.transforms.InsertField;
import org.apache.kafka.connect.transforms.MaskField;
import org.apache.kafka.connect.transforms.RegexRouter;
import org.apache.kafka.connect.transforms.ReplaceField;
import org.apache.kafka.connect.transforms.TimestampConverter;
import org.apache.kafka.connect.transforms.TimestampRouter;
import org.apache.kafka.connect.transforms.Transformation;
import org.apache.kafka.connect.transforms.ValueToKey;
import org.apache.kafka.connect.transforms.predicates.RecordIsTombstone;

/**
 * Kafka's own transforms and converters on records of ten fields and 1 KB, for BenchmarkRealPeers: a line of standard input is a case and
 * how many records; it is answered with the nanoseconds of CPU of one record, of this thread. A case is what is done (chain-1, chain-3,
 * chain-5, in, out, path, or a chain of its own: see chain) and whether records have a schema (schema, plain), with a blank between.
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

    static <T extends Transformation<SourceRecord>> T with(T t, String... settings) {
        Map<String, String> m = new LinkedHashMap<>();
        for (int i = 0; i < settings.length; i += 2) {
            m.put(settings[i], settings[i + 1]);
        }
        t.configure(m);
        return t;
    }

    /** edited is editedStages of bench_test.go: Cast and TimestampConverter among others. */
    static List<Transformation<SourceRecord>> edited(String what) {
        Transformation<SourceRecord> insert = with(new InsertField.Value<>(), "static.field", "system", "static.value", "SAP-PRD-100");
        Transformation<SourceRecord> cast = with(new Cast.Value<>(), "spec", "f0:string,f2:float32");
        Transformation<SourceRecord> names = with(new ReplaceField.Value<>(), "renames", "f3:name", "exclude", "f7");
        Transformation<SourceRecord> when = with(new TimestampConverter.Value<>(), "field", "f1", "target.type", "string",
            "format", "yyyy-MM-dd'T'HH:mm:ss");
        Transformation<SourceRecord> topic = with(new InsertField.Value<>(), "topic.field", "topic");
        switch (what) {
            case "edited-3-1":
                return List.of(insert, cast, names);
            case "edited-3-2":
                return List.of(cast, names, when);
            case "edited-5-1":
                return List.of(insert, cast, names, with(new MaskField.Value<>(), "fields", "f4"), topic);
            default:
                return List.of(insert, cast, names, when, topic);
        }
    }

    /** live has each transform done to what is no tombstone. */
    static List<Transformation<SourceRecord>> live(List<Transformation<SourceRecord>> chain) {
        RecordIsTombstone<SourceRecord> tombstone = new RecordIsTombstone<>();
        List<Transformation<SourceRecord>> list = new ArrayList<>();
        for (Transformation<SourceRecord> t : chain) {
            list.add(new InsertField.Value<>() {
                @Override
                public SourceRecord apply(SourceRecord r) {
                    return tombstone.test(r) ? r : t.apply(r);
                }
            });
        }
        return list;
    }

    static List<Transformation<SourceRecord>> chain(String what) {
        switch (what) {
            case "keys":
                return List.of(with(new ValueToKey<>(), "fields", "f0"), with(new ExtractField.Key<>(), "field", "f0"),
                    with(new RegexRouter<>(), "regex", "(.*)", "replacement", "sap.$1"));
            case "columns":
                return List.of(with(new ValueToKey<>(), "fields", "f0,f3"),
                    with(new HeaderFrom.Value<>(), "fields", "f1", "headers", "at", "operation", "move"), with(new TimestampRouter<>()));
            case "days":
                return List.of(with(new InsertField.Value<>(), "static.field", "system", "static.value", "SAP-PRD-100"),
                    with(new TimestampRouter<>()));
            case "live":
                return live(chain("chain-3"));
            default:
                return what.startsWith("edited") ? edited(what) : plain(what.startsWith("chain-") ? what.charAt(6) - '0' : 3);
        }
    }

    static List<Transformation<SourceRecord>> plain(int stages) {
        List<Transformation<SourceRecord>> list = new ArrayList<>();
        list.add(with(new InsertField.Value<>(), "static.field", "system", "static.value", "SAP-PRD-100"));
        list.add(with(new ReplaceField.Value<>(), "renames", "f0:id,f3:name", "exclude", "f7"));
        list.add(with(new InsertField.Value<>(), "topic.field", "topic"));
        list.add(with(new MaskField.Value<>(), "fields", "f4"));
        list.add(with(new ReplaceField.Value<>(), "exclude", "f5"));
        return list.subList(0, stages);
    }

    static SourceRecord apply(List<Transformation<SourceRecord>> chain, SourceRecord r) {
        for (Transformation<SourceRecord> t : chain) {
            r = t.apply(r);
        }
        return r;
    }

    static Supplier<Object> work(String what, boolean typed) {
        JsonConverter json = new JsonConverter();
        json.configure(Map.of("schemas.enable", String.valueOf(typed)), false);
        Object value = value(typed);
        Schema schema = typed ? SCHEMA : null;
        byte[] bytes = json.fromConnectData("orders", schema, value);
        List<Transformation<SourceRecord>> chain = chain(what);
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
            String[] parts = line.split(" ");
            Supplier<Object> one = all.computeIfAbsent(parts[0] + " " + parts[1], k -> work(parts[0], parts[1].equals("schema")));
            int n = Integer.parseInt(parts[2]);
            long before = ManagementFactory.getThreadMXBean().getCurrentThreadCpuTime();
            for (int i = 0; i < n; i++) {
                sink = one.get();
            }
            System.out.println((ManagementFactory.getThreadMXBean().getCurrentThreadCpuTime() - before) / n);
        }
    }
}
