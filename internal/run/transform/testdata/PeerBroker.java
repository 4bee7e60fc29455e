import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.lang.management.ManagementFactory;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.UUID;

import com.sun.management.OperatingSystemMXBean;

import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.connect.data.SchemaAndValue;
import org.apache.kafka.connect.json.JsonConverter;
import org.apache.kafka.connect.source.SourceRecord;
import org.apache.kafka.connect.transforms.InsertField;
import org.apache.kafka.connect.transforms.ReplaceField;
import org.apache.kafka.connect.transforms.Transformation;

/**
 * Peer.java with a broker on both sides, for BenchmarkRealPeersBroker: Kafka's own consumer, JsonConverter, the three transforms of
 * Peer.java, JsonConverter and Kafka's own producer, with the settings that Connect gives its clients. The broker is that of BOOTSTRAP in
 * the environment. A line of standard input is the topic that is read from its start, the one that is written, whether records have a schema
 * (schema, plain) and how many there are, with blanks between; it is answered with the nanoseconds of CPU of one record, of all threads.
 */
public class PeerBroker {
    static <T extends Transformation<SourceRecord>> T with(T t, String... settings) {
        Map<String, String> m = new LinkedHashMap<>();
        for (int i = 0; i < settings.length; i += 2) {
            m.put(settings[i], settings[i + 1]);
        }
        t.configure(m);
        return t;
    }

    static void copy(String from, String to, boolean typed, int count) throws Exception {
        List<Transformation<SourceRecord>> chain = List.of(
            with(new InsertField.Value<SourceRecord>(), "static.field", "system", "static.value", "SAP-PRD-100"),
            with(new ReplaceField.Value<SourceRecord>(), "renames", "f0:id,f3:name", "exclude", "f7"),
            with(new InsertField.Value<SourceRecord>(), "topic.field", "topic"));
        JsonConverter json = new JsonConverter();
        json.configure(Map.of("schemas.enable", String.valueOf(typed)), false);
        Map<String, Object> settings = new HashMap<>();
        settings.put("bootstrap.servers", System.getenv("BOOTSTRAP"));
        Map<String, Object> reads = new HashMap<>(settings);
        reads.put("group.id", UUID.randomUUID().toString());
        reads.put("enable.auto.commit", "false");
        reads.put("auto.offset.reset", "earliest");
        Map<String, Object> writes = new HashMap<>(settings);
        writes.put("acks", "all");
        writes.put("max.in.flight.requests.per.connection", "1");
        writes.put("delivery.timeout.ms", String.valueOf(Integer.MAX_VALUE));
        Exception[] failed = new Exception[1];
        try (KafkaConsumer<byte[], byte[]> consumer = new KafkaConsumer<>(reads, new ByteArrayDeserializer(), new ByteArrayDeserializer());
             KafkaProducer<byte[], byte[]> producer = new KafkaProducer<>(writes, new ByteArraySerializer(), new ByteArraySerializer())) {
            consumer.subscribe(List.of(from));
            for (int n = 0; n < count; ) {
                for (ConsumerRecord<byte[], byte[]> read : consumer.poll(Duration.ofSeconds(10))) {
                    SchemaAndValue in = json.toConnectData(from, read.value());
                    SourceRecord r = new SourceRecord(null, null, read.topic(), null, null, null, in.schema(), in.value(), read.timestamp());
                    for (Transformation<SourceRecord> t : chain) {
                        r = t.apply(r);
                    }
                    byte[] out = json.fromConnectData(to, r.valueSchema(), r.value());
                    producer.send(new ProducerRecord<>(to, null, r.timestamp(), null, out), (metadata, e) -> {
                        if (e != null) {
                            failed[0] = e;
                        }
                    });
                    n++;
                }
            }
            producer.flush();
            consumer.commitSync();
        }
        if (failed[0] != null) {
            throw failed[0];
        }
    }

    public static void main(String[] args) throws Exception {
        OperatingSystemMXBean system = (OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line; (line = lines.readLine()) != null; ) {
            String[] parts = line.split(" ");
            int n = Integer.parseInt(parts[0]);
            long before = system.getProcessCpuTime();
            copy(parts[1], parts[2], parts[3].equals("schema"), n);
            System.out.println((system.getProcessCpuTime() - before) / n);
        }
    }
}
