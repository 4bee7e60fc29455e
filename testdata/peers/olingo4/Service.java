import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.TreeMap;
import java.util.concurrent.Executors;
import java.util.function.IntConsumer;
import java.util.stream.IntStream;
import org.apache.olingo.commons.api.data.Entity;
import org.apache.olingo.commons.api.data.Property;
import org.apache.olingo.commons.api.data.ValueType;
import org.apache.olingo.commons.api.http.HttpMethod;
import org.apache.olingo.server.api.OData;
import org.apache.olingo.server.api.ODataHandler;
import org.apache.olingo.server.api.ODataRequest;
import org.apache.olingo.server.api.ODataResponse;
import org.apache.olingo.server.api.ServiceMetadata;

/**
 * Service PORT ROWS PAGE serves Products and Items at /odata4.svc with Apache Olingo, behind the JDK's HTTP server. /change is no part
 * of OData: it changes rows and returns the counts of writes.
 */
public class Service {
  private static final String ROOT = "/odata4.svc";

  private final Rows rows;
  private final Writer writer;

  Service(int count, int page) {
    rows = new Rows(count);
    writer = new Writer(rows, page);
  }

  public static void main(String[] arguments) throws IOException {
    System.setProperty("sun.net.httpserver.nodelay", "true");
    Service service = new Service(Integer.parseInt(arguments[1]), Integer.parseInt(arguments[2]));
    HttpServer server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), Integer.parseInt(arguments[0])), 100);
    server.createContext(ROOT, exchange -> answer(exchange, service::odata));
    server.createContext("/change", exchange -> answer(exchange, service::change));
    server.setExecutor(Executors.newCachedThreadPool());
    server.start();
  }

  /** Handler answers a request with a body that was read. */
  private interface Handler {
    ODataResponse handle(HttpExchange exchange, byte[] body) throws IOException;
  }

  private static void answer(HttpExchange exchange, Handler handler) throws IOException {
    try (exchange) {
      byte[] body = exchange.getRequestBody().readAllBytes();
      ODataResponse answer = handler.handle(exchange, body);
      answer.getAllHeaders().forEach((name, values) -> exchange.getResponseHeaders().put(name, values));
      byte[] content = answer.getContent() == null ? new byte[0] : answer.getContent().readAllBytes();
      System.out.println("[peer] " + exchange.getRequestMethod() + " " + exchange.getRequestURI() + " " + answer.getStatusCode());
      exchange.sendResponseHeaders(answer.getStatusCode(), content.length == 0 ? -1 : content.length);
      exchange.getResponseBody().write(content);
    } catch (IOException | RuntimeException e) {
      e.printStackTrace(System.out);
      throw e;
    }
  }

  private ODataResponse odata(HttpExchange exchange, byte[] body) throws IOException {
    ODataRequest request = new ODataRequest();
    String path = exchange.getRequestURI().getRawPath().substring(ROOT.length());
    String query = exchange.getRequestURI().getRawQuery();
    String host = exchange.getRequestHeaders().getFirst("Host");
    request.setMethod(HttpMethod.valueOf(exchange.getRequestMethod()));
    request.setRawBaseUri("http://" + host + ROOT);
    request.setRawODataPath(path);
    request.setRawQueryPath(query);
    request.setRawRequestUri(request.getRawBaseUri() + path + (query == null ? "" : "?" + query));
    request.setProtocol("HTTP/1.1");
    request.setBody(new ByteArrayInputStream(body));
    exchange.getRequestHeaders().forEach(request::addHeader);
    synchronized (rows) {
      OData odata = OData.newInstance();
      ServiceMetadata metadata = odata.createServiceMetadata(new Model(), List.of());
      ODataHandler handler = odata.createRawHandler(metadata);
      handler.register(writer);
      ODataResponse answer = handler.process(request);
      if (answer.getODataContent() != null) {
        ByteArrayOutputStream content = new ByteArrayOutputStream();
        answer.getODataContent().write(content);
        answer.setContent(new ByteArrayInputStream(content.toByteArray()));
      } else if (answer.getContent() != null) {
        answer.setContent(new ByteArrayInputStream(answer.getContent().readAllBytes()));
      }
      return answer;
    }
  }

  /**
   * change obeys the options in their order. update=1-5, insert=26-27, delete=7: products of these numbers. link=4-1, unlink=4-2: a
   * product and the position of an item, for the log alone. forget: tokens so far are no longer valid. It returns the counts of writes.
   */
  private ODataResponse change(HttpExchange exchange, byte[] body) {
    synchronized (rows) {
      String query = exchange.getRequestURI().getRawQuery();
      for (String option : query == null ? new String[0] : query.split("&")) {
        String[] parts = option.split("[=-]");
        int from = parts.length > 1 ? Integer.parseInt(parts[1]) : 0;
        int to = parts.length > 2 ? Integer.parseInt(parts[2]) : from;
        switch (parts[0]) {
          case "update": each(from, to, this::update); break;
          case "insert": each(from, to, id -> rows.put(id, Rows.product(id), "changes")); break;
          case "delete": each(from, to, id -> rows.put(id, null, "changes")); break;
          case "link": rows.log.add(new Rows.Change(from, to, true)); break;
          case "unlink": rows.log.add(new Rows.Change(from, to, false)); break;
          case "forget": rows.forget(); break;
          default: throw new IllegalArgumentException("unknown option " + option);
        }
      }
      StringBuilder counts = new StringBuilder();
      new TreeMap<>(rows.writes).forEach((kind, count) -> counts.append(counts.length() == 0 ? "" : ",")
          .append('"').append(kind).append("\":").append(count));
      ODataResponse answer = new ODataResponse();
      answer.setStatusCode(200);
      answer.setHeader("Content-Type", "application/json");
      answer.setContent(new ByteArrayInputStream(("{" + counts + "}\n").getBytes(StandardCharsets.UTF_8)));
      return answer;
    }
  }

  private static void each(int from, int to, IntConsumer write) {
    IntStream.rangeClosed(from, to).forEach(write);
  }

  /** update gives a product another name. */
  private void update(int id) {
    int version = rows.token() + 1;
    Entity entity = Rows.product(id);
    entity.getProperties().removeIf(p -> p.getName().equals("Name"));
    entity.getProperties().add(1, new Property(null, "Name", ValueType.PRIMITIVE, "Product " + id + ", change " + version));
    entity.setETag("W/\"" + version + "\"");
    rows.put(id, entity, "changes");
  }
}
