import java.math.BigDecimal;
import java.net.URI;
import java.sql.Timestamp;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Calendar;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.SortedMap;
import java.util.TimeZone;
import java.util.TreeMap;
import java.util.UUID;
import java.util.stream.IntStream;
import org.apache.olingo.commons.api.data.ComplexValue;
import org.apache.olingo.commons.api.data.Entity;
import org.apache.olingo.commons.api.data.EntityCollection;
import org.apache.olingo.commons.api.data.Link;
import org.apache.olingo.commons.api.data.Property;
import org.apache.olingo.commons.api.data.ValueType;

/**
 * Rows holds the products. Products 1 to base are computed from their number until they are written; written ones are in memory. Each
 * write adds to a log; a delta token counts the changes before it. Callers hold the lock of Rows.
 */
class Rows {
  /** Change is a written product, or a link from it to an item if pos is not zero. */
  record Change(int id, int pos, boolean isAdded) {}

  final List<Change> log = new ArrayList<>();
  /** The token of the log's begin. Smaller ones are no longer valid. */
  int start;
  /** Counts of writes by their kind, for tests. */
  final Map<String, Integer> writes = new HashMap<>();

  private final int base;
  private final TreeMap<Integer, Entity> written = new TreeMap<>();
  private int last;
  private int count;
  private List<Runnable> undo;

  Rows(int base) {
    this.base = base;
    last = base;
    count = base;
  }

  int count() {
    return count;
  }

  /** last returns the largest number that a product ever had. */
  int last() {
    return last;
  }

  /** ids returns the numbers of products behind one, in ascending or descending order. */
  IntStream ids(Integer after, boolean isDescending) {
    IntStream ids;
    if (isDescending) {
      int end = after == null ? Integer.MAX_VALUE : after;
      ids = IntStream.concat(keys(written.subMap(base, false, Math.max(base, end), false).descendingMap()),
          IntStream.iterate(Math.min(base, end - 1), i -> i >= 1, i -> i - 1));
    } else {
      int start = after == null ? 0 : after;
      ids = IntStream.concat(IntStream.rangeClosed(start + 1, base), keys(written.tailMap(Math.max(start, base), false)));
    }
    return ids.filter(this::contains);
  }

  private static IntStream keys(SortedMap<Integer, Entity> rows) {
    return rows.keySet().stream().mapToInt(i -> i);
  }

  /** token returns the delta token of now. */
  int token() {
    return start + log.size();
  }

  /** forget makes the tokens so far invalid, as a service does that cleans up its log. */
  void forget() {
    start += log.size() + 1;
    log.clear();
  }

  boolean contains(int id) {
    return written.containsKey(id) ? written.get(id) != null : id >= 1 && id <= base;
  }

  /** get returns the product, or null. */
  Entity get(int id) {
    return !contains(id) ? null : written.containsKey(id) ? written.get(id) : product(id);
  }

  /** put stores the product, or deletes it if entity is null. kind counts the write. */
  void put(int id, Entity entity, String kind) {
    boolean isKnown = written.containsKey(id);
    Entity old = written.get(id);
    int oldCount = count;
    int oldLast = last;
    count += (entity == null ? 0 : 1) - (contains(id) ? 1 : 0);
    written.put(id, entity);
    last = Math.max(last, id);
    log.add(new Change(id, 0, false));
    writes.merge(kind, 1, Integer::sum);
    if (undo != null) {
      undo.add(() -> {
        if (isKnown) {
          written.put(id, old);
        } else {
          written.remove(id);
        }
        count = oldCount;
        last = oldLast;
        log.remove(log.size() - 1);
        writes.merge(kind, -1, Integer::sum);
      });
    }
  }

  /** begin starts a group of writes that rollback undoes; commit keeps them. */
  void begin() {
    undo = new ArrayList<>();
  }

  void rollback() {
    Collections.reverse(undo);
    undo.forEach(Runnable::run);
    undo = null;
  }

  void commit() {
    undo = null;
  }

  /** product computes a product from its number. Each tenth has nulls, each fiftieth a name with special characters. */
  static Entity product(int i) {
    boolean isNull = i % 10 == 0;
    Entity e = new Entity();
    e.setType("peer.Product");
    e.setId(URI.create("Products(" + i + ")"));
    e.setETag("W/\"0\"");
    long day = i % 9000;
    long millis = 946_684_800_000L + day * 86_400_000 + i % 86_400_000;
    e.addProperty(value("ID", i));
    e.addProperty(value("Name", "Product " + i + (i % 50 == 0 ? " – O'Neil & <Co> €" : "")));
    e.addProperty(value("Price", BigDecimal.valueOf(i * 37L % 1_000_000, 2)));
    // Where the scale is variable, Olingo's serializer refuses fractions, and its client more than 15 digits before the point.
    e.addProperty(value("Free", isNull ? null : BigDecimal.valueOf(900_719_925_474_000L + i)));
    e.addProperty(value("Total", BigDecimal.valueOf(i * 125L, 3)));
    e.addProperty(value("Weight", i / 7.0));
    e.addProperty(value("Ratio", i / 3f));
    e.addProperty(value("Active", isNull ? null : i % 2 == 1));
    e.addProperty(value("Big", 9_007_199_254_740_993L + i));
    e.addProperty(value("Small", (byte) (i % 256 - 128)));
    e.addProperty(value("Short", (short) (i % 65536 - 32768)));
    e.addProperty(value("Changed", new Timestamp(millis)));
    Timestamp exact = Timestamp.from(Instant.ofEpochMilli(millis / 1000 * 1000));
    exact.setNanos((int) (i * 1001L % 1_000_000_000));
    e.addProperty(value("Exact", exact));
    e.addProperty(value("Released", calendar(946_684_800_000L + day * 86_400_000)));
    e.addProperty(value("Opens", calendar(i * 61_001L % 86_400_000)));
    e.addProperty(value("Took", isNull ? null : BigDecimal.valueOf(i * 1500L, 3)));
    e.addProperty(value("Code", new UUID((long) i << 32 | 0x4000, 0x8000_0000_0000_0000L | i)));
    e.addProperty(value("Payload", new byte[] {(byte) i, (byte) (i >> 8), -1, -2}));
    e.addProperty(new Property(null, "Color", ValueType.ENUM, isNull ? null : i % 3));
    e.addProperty(new Property(null, "Flags", ValueType.ENUM, 1 + i % 3));
    e.addProperty(new Property(null, "Tags", ValueType.COLLECTION_PRIMITIVE, isNull ? List.of() : List.of("t" + i % 7, "ä \"q\"")));
    e.addProperty(new Property(null, "Bigs", ValueType.COLLECTION_PRIMITIVE, isNull ? List.of() : List.of(Long.MAX_VALUE - i, 1L)));
    e.addProperty(new Property(null, "Colors", ValueType.COLLECTION_ENUM, isNull ? List.of() : List.of(i % 3, 2)));
    e.addProperty(new Property("peer.Address", "Address", ValueType.COMPLEX, isNull ? null : address(i)));
    e.addProperty(new Property("peer.Address", "Addresses", ValueType.COLLECTION_COMPLEX,
        isNull ? List.of() : List.of(address(i), address(i + 1))));
    return e;
  }

  /** items returns the items of a product: those that it was written with, or as many as its number modulo 3. */
  static EntityCollection items(Entity product) {
    Link written = product.getNavigationLink("Items");
    if (written != null && written.getInlineEntitySet() != null) {
      return written.getInlineEntitySet();
    }
    int id = (Integer) product.getProperty("ID").getValue();
    EntityCollection items = new EntityCollection();
    for (int pos = 1; pos <= id % 3; pos++) {
      Entity e = new Entity();
      e.setType("peer.Item");
      e.setId(URI.create("Items(ProductID=" + id + ",Pos=" + pos + ")"));
      e.addProperty(value("ProductID", id));
      e.addProperty(value("Pos", (short) pos));
      e.addProperty(value("Text", "Item " + pos + " of " + id));
      e.addProperty(value("Quantity", BigDecimal.valueOf(pos * 1125L, 3)));
      items.getEntities().add(e);
    }
    return items;
  }

  private static Property value(String name, Object value) {
    return new Property(null, name, ValueType.PRIMITIVE, value);
  }

  private static Calendar calendar(long millis) {
    Calendar calendar = Calendar.getInstance(TimeZone.getTimeZone("GMT"));
    calendar.setTimeInMillis(millis);
    return calendar;
  }

  private static ComplexValue address(int i) {
    ComplexValue address = new ComplexValue();
    address.getValue().add(value("Street", "Street " + i));
    address.getValue().add(value("City", i % 2 == 0 ? "Köln" : "東京"));
    address.getValue().add(value("Zip", i % 5 == 0 ? null : 50_000 + i));
    return address;
  }
}
