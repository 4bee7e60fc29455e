import java.io.BufferedReader;
import java.io.ByteArrayInputStream;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.lang.management.ManagementFactory;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;

import org.apache.olingo.odata2.api.edm.EdmEntitySet;
import org.apache.olingo.odata2.api.ep.EntityProvider;
import org.apache.olingo.odata2.api.ep.EntityProviderReadProperties;
import org.apache.olingo.odata2.api.ep.feed.ODataFeed;

/**
 * Apache Olingo's reading of feeds, for BenchmarkRealPeersPages. Its argument is a metadata document with a set Orders. A line of standard
 * input is how many times to read a page, its content type and its file; it is answered with the number of entries, or -1 if Olingo refuses
 * the page, and the nanoseconds of CPU of one reading, of this thread.
 */
public class Olingo {
    static ODataFeed feed;

    public static void main(String[] args) throws Exception {
        EdmEntitySet orders;
        try (InputStream metadata = Files.newInputStream(Path.of(args[0]))) {
            orders = EntityProvider.readMetadata(metadata, true).getDefaultEntityContainer().getEntitySet("Orders");
        }
        EntityProviderReadProperties properties = EntityProviderReadProperties.init().build();
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line; (line = in.readLine()) != null; ) {
            String[] parts = line.split(" ", 3);
            byte[] page = Files.readAllBytes(Path.of(parts[2]));
            int n = Integer.parseInt(parts[0]);
            long before = ManagementFactory.getThreadMXBean().getCurrentThreadCpuTime();
            try {
                for (int i = 0; i < n; i++) {
                    feed = EntityProvider.readFeed(parts[1], orders, new ByteArrayInputStream(page), properties);
                }
            } catch (Exception e) {
                System.out.println("-1 0");
                if (System.getenv("VERBOSE") != null) {
                    System.err.println(parts[2] + ": " + e + ", " + e.getCause());
                }
                continue;
            }
            long ns = ManagementFactory.getThreadMXBean().getCurrentThreadCpuTime() - before;
            System.out.println(feed.getEntries().size() + " " + ns / n);
        }
    }
}
