import java.math.BigDecimal;
import java.util.Calendar;
import java.util.List;
import java.util.TimeZone;
import org.apache.olingo.odata2.annotation.processor.core.datasource.DataStore;
import org.apache.olingo.odata2.annotation.processor.core.edm.AnnotationEdmProvider;
import org.apache.olingo.odata2.api.ODataService;
import org.apache.olingo.odata2.api.ODataServiceFactory;
import org.apache.olingo.odata2.api.exception.ODataException;
import org.apache.olingo.odata2.api.processor.ODataContext;
import org.apache.olingo.odata2.api.rt.RuntimeDelegate;
import org.apache.olingo.odata2.core.servlet.ODataServlet;
import org.eclipse.jetty.server.Server;
import org.eclipse.jetty.server.ServerConnector;
import org.eclipse.jetty.servlet.ServletContextHandler;
import org.eclipse.jetty.servlet.ServletHolder;

/** Service PORT ORDERS [ROWS] serves Orders, Items and Rows from memory with Apache Olingo's own processor of lists, at /odata.svc. */
public class Service extends ODataServiceFactory {
  private static Source rows;
  private static AnnotationEdmProvider model;

  /** A processor knows the request that it is at, so each request has its own. */
  @Override
  public ODataService createService(ODataContext context) throws ODataException {
    return RuntimeDelegate.createODataSingleProcessorService(model, new Tracking(rows));
  }

  public static void main(String[] arguments) throws Exception {
    List<Class<?>> types = List.of(Order.class, Item.class, Row.class);
    rows = new Source(types, arguments.length > 2 ? Integer.parseInt(arguments[2]) : 0);
    model = new AnnotationEdmProvider(types);
    fill(Integer.parseInt(arguments[1]));
    Server server = new Server();
    ServerConnector connector = new ServerConnector(server);
    connector.setHost("127.0.0.1");
    connector.setPort(Integer.parseInt(arguments[0]));
    server.addConnector(connector);
    ServletHolder servlet = new ServletHolder(new ODataServlet());
    servlet.setInitParameter(ODataServiceFactory.FACTORY_LABEL, Service.class.getName());
    ServletContextHandler handler = new ServletContextHandler();
    handler.addServlet(servlet, "/odata.svc/*");
    server.setHandler(handler);
    server.start();
    server.join();
  }

  /** fill makes orders with two items each: keys that have to be quoted, nulls, and values at the ends of their types. */
  private static void fill(int orders) throws Exception {
    DataStore<Order> allOrders = rows.getDataStore(Order.class);
    DataStore<Item> allItems = rows.getDataStore(Item.class);
    for (int i = 0; i < orders; i++) {
      Order order = new Order();
      order.OrderId = "O/" + i + "'ä";
      order.Line = i % 3;
      order.Customer = i % 5 == 0 ? null : "Müller & Söhne <" + i + ">";
      order.Amount = i * 1.1;
      order.Price = new BigDecimal(i + ".125");
      order.Paid = i % 2 == 0;
      order.Created = Calendar.getInstance(TimeZone.getTimeZone("UTC"));
      order.Created.setTimeInMillis(1_700_000_000_000L + i * 1001L);
      order.Number = Long.MAX_VALUE - i;
      order.Image = new byte[] {(byte) i, 1, 2};
      order.Small = (byte) i;
      allOrders.create(order);
      for (int k = 0; k < 2; k++) {
        Item item = new Item();
        item.ItemId = i * 10 + k;
        item.Name = "item " + k;
        item.Order = order;
        allItems.create(item);
        order.Items.add(item);
      }
    }
  }
}
