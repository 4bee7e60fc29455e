import java.io.BufferedReader;
import java.io.ByteArrayInputStream;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.lang.management.ManagementFactory;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Iterator;
import org.apache.olingo.client.api.ODataClient;
import org.apache.olingo.client.api.domain.ClientCollectionValue;
import org.apache.olingo.client.api.domain.ClientEntity;
import org.apache.olingo.client.api.domain.ClientEntitySet;
import org.apache.olingo.client.api.domain.ClientInlineEntity;
import org.apache.olingo.client.api.domain.ClientInlineEntitySet;
import org.apache.olingo.client.api.domain.ClientLink;
import org.apache.olingo.client.api.domain.ClientProperty;
import org.apache.olingo.client.api.domain.ClientValue;
import org.apache.olingo.client.core.EdmEnabledODataClientImpl;
import org.apache.olingo.client.core.ODataClientFactory;
import org.apache.olingo.commons.api.edm.Edm;
import org.apache.olingo.commons.api.format.ContentType;

/**
 * Values METADATA.xml reads pages as Apache Olingo's client does. A line of standard input is "TIMES MODE FILE", where MODE is typed
 * (by the metadata) or untyped. If TIMES is 0, the answer is one line for each value, PATH TAB TYPE TAB VALUE, and a line "."; else
 * the number of entities and the nanoseconds of CPU of one reading. "-1 MESSAGE" answers a page that Olingo refuses.
 */
public class Values {
  public static void main(String[] arguments) throws Exception {
    PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
    ODataClient untyped = ODataClientFactory.getClient();
    Edm edm;
    try (InputStream metadata = Files.newInputStream(Path.of(arguments[0]))) {
      edm = untyped.getReader().readMetadata(metadata);
    }
    ODataClient typed = new EdmEnabledODataClientImpl("http://localhost/", edm, null) {
      @Override
      public Edm getEdm(String tag) {
        return edm;
      }

      @Override
      public Edm getCachedEdm() {
        return edm;
      }
    };
    BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    for (String line; (line = in.readLine()) != null;) {
      String[] parts = line.split(" ", 3);
      int times = Integer.parseInt(parts[0]);
      ODataClient client = parts[1].equals("typed") ? typed : untyped;
      byte[] page = Files.readAllBytes(Path.of(parts[2]));
      try {
        if (times == 0) {
          write(out, "", read(client, page));
          out.println(".");
          continue;
        }
        long start = ManagementFactory.getThreadMXBean().getCurrentThreadCpuTime();
        int count = 0;
        for (int i = 0; i < times; i++) {
          count = read(client, page).getEntities().size();
        }
        out.println(count + " " + (ManagementFactory.getThreadMXBean().getCurrentThreadCpuTime() - start) / times);
      } catch (Exception e) {
        out.println("-1 " + e.toString().replace('\n', ' '));
      }
    }
  }

  private static ClientEntitySet read(ODataClient client, byte[] page) throws Exception {
    return client.getBinder().getODataEntitySet(client.getDeserializer(ContentType.JSON).toEntitySet(new ByteArrayInputStream(page)));
  }

  private static void write(PrintStream out, String path, ClientEntitySet set) {
    if (set.getCount() != null) {
      out.println(path + "@count\t\t" + set.getCount());
    }
    link(out, path + "@nextLink", set.getNext());
    link(out, path + "@deltaLink", set.getDeltaLink());
    int i = 0;
    for (ClientEntity entity : set.getEntities()) {
      write(out, path + i++, entity);
    }
  }

  private static void link(PrintStream out, String path, URI link) {
    if (link != null) {
      out.println(path + "\t\t" + link);
    }
  }

  private static void write(PrintStream out, String path, ClientEntity entity) {
    if (entity.getETag() != null) {
      out.println(path + "@etag\t\t" + entity.getETag());
    }
    for (ClientProperty property : entity.getProperties()) {
      write(out, path + "/" + property.getName(), property.getValue());
    }
    for (ClientLink link : entity.getNavigationLinks()) {
      String name = path + "/" + link.getName();
      if (link instanceof ClientInlineEntitySet) {
        write(out, name + "/", ((ClientInlineEntitySet) link).getEntitySet());
      } else if (link instanceof ClientInlineEntity) {
        write(out, name, ((ClientInlineEntity) link).getEntity());
      }
    }
  }

  private static void write(PrintStream out, String path, ClientValue value) {
    if (value == null || value.isPrimitive() && value.asPrimitive().toValue() == null
        || value.isEnum() && value.asEnum().getValue() == null) {
      out.println(path + "\t\tnull");
    } else if (value.isCollection()) {
      ClientCollectionValue<ClientValue> collection = value.asCollection();
      int i = 0;
      for (Iterator<ClientValue> members = collection.iterator(); members.hasNext();) {
        write(out, path + "/" + i++, members.next());
      }
      out.println(path + "@length\t\t" + i);
    } else if (value.isComplex()) {
      for (ClientProperty property : value.asComplex()) {
        write(out, path + "/" + property.getName(), property.getValue());
      }
    } else {
      String type = value.isEnum() ? value.getTypeName() : value.asPrimitive().getTypeName();
      String content = value.isEnum() ? value.asEnum().getValue() : value.asPrimitive().toString();
      out.println(path + "\t" + type + "\t" + content.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t"));
    }
  }
}
