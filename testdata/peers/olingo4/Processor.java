import java.io.ByteArrayInputStream;
import java.math.BigDecimal;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.Iterator;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import org.apache.olingo.commons.api.data.ContextURL;
import org.apache.olingo.commons.api.data.DeletedEntity;
import org.apache.olingo.commons.api.data.Delta;
import org.apache.olingo.commons.api.data.DeltaLink;
import org.apache.olingo.commons.api.data.Entity;
import org.apache.olingo.commons.api.data.EntityCollection;
import org.apache.olingo.commons.api.data.Link;
import org.apache.olingo.commons.api.edm.EdmEntitySet;
import org.apache.olingo.commons.api.edm.EdmEntityType;
import org.apache.olingo.commons.api.format.ContentType;
import org.apache.olingo.commons.api.http.HttpHeader;
import org.apache.olingo.server.api.OData;
import org.apache.olingo.server.api.ODataApplicationException;
import org.apache.olingo.server.api.ODataLibraryException;
import org.apache.olingo.server.api.ODataRequest;
import org.apache.olingo.server.api.ODataResponse;
import org.apache.olingo.server.api.ServiceMetadata;
import org.apache.olingo.server.api.prefer.Preferences;
import org.apache.olingo.server.api.prefer.PreferencesApplied;
import org.apache.olingo.server.api.processor.CountEntityCollectionProcessor;
import org.apache.olingo.server.api.serializer.EntityCollectionSerializerOptions;
import org.apache.olingo.server.api.uri.UriInfo;
import org.apache.olingo.server.api.uri.UriParameter;
import org.apache.olingo.server.api.uri.UriResource;
import org.apache.olingo.server.api.uri.UriResourceEntitySet;
import org.apache.olingo.server.api.uri.UriResourceNavigation;
import org.apache.olingo.server.api.uri.queryoption.ExpandItem;
import org.apache.olingo.server.api.uri.queryoption.ExpandOption;
import org.apache.olingo.server.api.uri.queryoption.FilterOption;
import org.apache.olingo.server.api.uri.queryoption.OrderByItem;
import org.apache.olingo.server.api.uri.queryoption.OrderByOption;
import org.apache.olingo.server.api.uri.queryoption.SkipOption;
import org.apache.olingo.server.api.uri.queryoption.TopOption;
import org.apache.olingo.server.api.uri.queryoption.expression.Member;

/**
 * Processor reads: pages of Products whose skip token is the last key, and, where changes are tracked, a "-" and the delta token of the
 * first page; changes since a delta token; Items in one answer.
 */
class Processor implements CountEntityCollectionProcessor {
  protected final Rows rows;
  private final int page;
  protected OData odata;
  protected ServiceMetadata metadata;

  Processor(Rows rows, int page) {
    this.rows = rows;
    this.page = page;
  }

  @Override
  public void init(OData odata, ServiceMetadata metadata) {
    this.odata = odata;
    this.metadata = metadata;
  }

  @Override
  public void readEntityCollection(ODataRequest request, ODataResponse response, UriInfo uri, ContentType format)
      throws ODataApplicationException, ODataLibraryException {
    if (uri.getApplyOption() != null || uri.getSearchOption() != null) {
      throw new ODataApplicationException("not supported: $apply, $search", 501, Locale.ROOT);
    }
    EdmEntitySet set = set(uri);
    Preferences preferences = odata.createPreferences(request.getHeaders(HttpHeader.PREFER));
    PreferencesApplied.Builder applied = PreferencesApplied.with();
    int size = page;
    if (preferences.getMaxPageSize() != null) {
      size = Math.max(1, Math.min(page, preferences.getMaxPageSize()));
      applied.maxPageSize(size);
    }
    String token = uri.getSkipTokenOption() == null ? null : uri.getSkipTokenOption().getValue();
    EntityCollection result;
    if (isRoot(uri, "Products")) {
      boolean isTracked = preferences.hasTrackChanges() && token == null && uri.getDeltaTokenOption() == null;
      if (isTracked) {
        applied.trackChanges();
      }
      if (uri.getDeltaTokenOption() != null) {
        result = changes(request, uri, uri.getDeltaTokenOption().getValue(), size);
      } else if (token != null && token.startsWith("d")) {
        result = changes(request, uri, token.substring(1), size);
      } else {
        result = products(request, uri, token, isTracked, size);
      }
    } else {
      List<Entity> matching = select(list(uri), uri.getFilterOption(), uri.getOrderByOption(), null, null);
      result = new EntityCollection();
      result.setCount(matching.size());
      result.getEntities().addAll(select(matching, null, null, uri.getSkipOption(), uri.getTopOption()));
    }
    for (Entity e : result) {
      expand(e, uri.getExpandOption());
    }
    EdmEntityType type = set.getEntityType();
    ContextURL context = ContextURL.with().entitySet(set)
        .selectList(odata.createUriHelper().buildContextURLSelectList(type, uri.getExpandOption(), uri.getSelectOption())).build();
    EntityCollectionSerializerOptions options = EntityCollectionSerializerOptions.with().contextURL(context).id("Products")
        .count(uri.getCountOption()).select(uri.getSelectOption()).expand(uri.getExpandOption()).build();
    List<String> versions = request.getHeaders(HttpHeader.ODATA_MAX_VERSION);
    response.setContent((result instanceof Delta
        ? odata.createEdmDeltaSerializer(format, versions).entityCollection(metadata, type, (Delta) result, options)
        : odata.createSerializer(format, versions).entityCollection(metadata, type, result, options)).getContent());
    response.setStatusCode(200);
    response.setHeader(HttpHeader.CONTENT_TYPE, format.toContentTypeString());
    String header = applied.build().toValueString();
    if (!header.isEmpty()) {
      response.setHeader(HttpHeader.PREFERENCE_APPLIED, header);
    }
  }

  @Override
  public void countEntityCollection(ODataRequest request, ODataResponse response, UriInfo uri) throws ODataApplicationException {
    int count = isRoot(uri, "Products") ? count(uri.getFilterOption())
        : select(list(uri), uri.getFilterOption(), null, null, null).size();
    response.setContent(new ByteArrayInputStream(Integer.toString(count).getBytes(StandardCharsets.US_ASCII)));
    response.setStatusCode(200);
    response.setHeader(HttpHeader.CONTENT_TYPE, "text/plain");
  }

  private boolean isRoot(UriInfo uri, String set) {
    UriResource last = uri.getUriResourceParts().get(uri.getUriResourceParts().size() - 1);
    boolean isCount = last.getSegmentValue().equals("$count");
    return set(uri).getName().equals(set) && uri.getUriResourceParts().size() == (isCount ? 2 : 1);
  }

  private int count(FilterOption filter) throws ODataApplicationException {
    if (filter == null) {
      return rows.count();
    }
    int count = 0;
    for (Iterator<Integer> ids = rows.ids(null, false).iterator(); ids.hasNext();) {
      int id = ids.next();
      count += Boolean.TRUE.equals(Filter.value(filter.getExpression(), id, () -> rows.get(id))) ? 1 : 0;
    }
    return count;
  }

  /** products returns one page, with a next link, or a delta link behind the last one. */
  private EntityCollection products(ODataRequest request, UriInfo uri, String token, boolean isTracked, int size)
      throws ODataApplicationException {
    Integer after = null;
    String state = isTracked ? "-" + rows.token() : "";
    if (token != null) {
      if (!token.matches("[0-9]{1,9}(-[0-9]{1,9})?")) {
        throw new ODataApplicationException("wrong $skiptoken " + token, 400, Locale.ROOT);
      }
      int dash = token.indexOf('-');
      after = Integer.valueOf(dash < 0 ? token : token.substring(0, dash));
      state = dash < 0 ? "" : token.substring(dash);
    }
    OrderByOption order = uri.getOrderByOption();
    boolean isByKey = order == null || order.getOrders().get(0).getExpression() instanceof Member
        && order.getOrders().get(0).getExpression().toString().equals("[ID]");
    int top = uri.getTopOption() == null ? Integer.MAX_VALUE : uri.getTopOption().getValue();
    int skip = token != null || uri.getSkipOption() == null ? 0 : uri.getSkipOption().getValue();
    Iterator<Integer> ids = isByKey ? rows.ids(after, order != null && order.getOrders().get(0).isDescending()).iterator()
        : sorted(order, after).iterator();
    EntityCollection result = new EntityCollection();
    FilterOption filter = uri.getFilterOption();
    boolean hasMore = false;
    int last = 0;
    while (ids.hasNext() && result.getEntities().size() < top) {
      int id = ids.next();
      if (filter != null && !Boolean.TRUE.equals(Filter.value(filter.getExpression(), id, () -> rows.get(id))) || skip-- > 0) {
        continue;
      }
      if (result.getEntities().size() == size) {
        hasMore = true;
        break;
      }
      result.getEntities().add(copy(rows.get(id)));
      last = id;
    }
    if (hasMore) {
      result.setNext(link(request, "$skiptoken=" + last + state, top == Integer.MAX_VALUE ? -1 : top - size, true));
    } else if (!state.isEmpty()) {
      result.setDeltaLink(link(request, "$deltatoken=" + state.substring(1), -1, false));
    }
    if (uri.getCountOption() != null && uri.getCountOption().getValue()) {
      result.setCount(count(filter));
    }
    return result;
  }

  /** sorted returns the numbers of products in an order by other properties than the key, behind one of them. */
  private List<Integer> sorted(OrderByOption order, Integer after) throws ODataApplicationException {
    List<Entity> entities = new ArrayList<>();
    rows.ids(null, false).forEach(id -> entities.add(rows.get(id)));
    List<Integer> ids = new ArrayList<>();
    for (Entity e : select(entities, null, order, null, null)) {
      ids.add((Integer) e.getProperty("ID").getValue());
    }
    return after == null ? ids : ids.subList(ids.indexOf(after) + 1, ids.size());
  }

  /** changes returns one page of changes since a token. Rows that the filter no longer matches are removed as changed. */
  private Delta changes(ODataRequest request, UriInfo uri, String token, int size) throws ODataApplicationException {
    int from = token.matches("[0-9]{1,9}") ? Integer.parseInt(token) - rows.start : -1;
    if (from < 0 || from > rows.log.size()) {
      throw new ODataApplicationException("The delta token " + token + " is no longer valid", 410, Locale.ROOT, "TokenExpired");
    }
    int to = Math.min(from + size, rows.log.size());
    Delta delta = new Delta();
    Set<Integer> ids = new LinkedHashSet<>();
    for (Rows.Change change : rows.log.subList(from, to)) {
      if (change.pos() == 0) {
        ids.add(change.id());
      } else if (uri.getExpandOption() != null) {
        DeltaLink link = new DeltaLink();
        link.setSource(URI.create("Products(" + change.id() + ")"));
        link.setRelationship("Items");
        link.setTarget(URI.create("Items(ProductID=" + change.id() + ",Pos=" + change.pos() + ")"));
        (change.isAdded() ? delta.getAddedLinks() : delta.getDeletedLinks()).add(link);
      }
    }
    for (int id : ids) {
      Entity entity = rows.get(id);
      if (entity != null && Filter.matches(uri.getFilterOption(), entity)) {
        delta.getEntities().add(copy(entity));
        continue;
      }
      DeletedEntity deleted = new DeletedEntity();
      deleted.setId(URI.create("Products(" + id + ")"));
      deleted.setReason(entity == null ? DeletedEntity.Reason.deleted : DeletedEntity.Reason.changed);
      delta.getDeletedEntities().add(deleted);
    }
    if (to < rows.log.size()) {
      delta.setNext(link(request, "$skiptoken=d" + (rows.start + to), -1, true));
    } else {
      delta.setDeltaLink(link(request, "$deltatoken=" + rows.token(), -1, false));
    }
    delta.setCount(delta.getEntities().size() + delta.getDeletedEntities().size());
    return delta;
  }

  /** link returns the request's address with another token, for the next page with top rows left to read if that is not negative. */
  private URI link(ODataRequest request, String token, int top, boolean isNext) {
    List<String> options = new ArrayList<>();
    String query = request.getRawQueryPath() == null ? "" : request.getRawQueryPath();
    for (String option : query.split("&")) {
      String name = option.replaceFirst("=.*", "").replace("%24", "$");
      if (!option.isEmpty() && !name.matches("\\$(skiptoken|deltatoken|skip|top)") && (isNext || !name.equals("$count"))) {
        options.add(option);
      }
    }
    if (top >= 0) {
      options.add("$top=" + top);
    }
    options.add(token);
    return URI.create(request.getRawBaseUri() + request.getRawODataPath() + "?" + String.join("&", options));
  }

  protected static EdmEntitySet set(UriInfo uri) {
    EdmEntitySet set = null;
    for (UriResource part : uri.getUriResourceParts()) {
      if (part instanceof UriResourceEntitySet) {
        set = ((UriResourceEntitySet) part).getEntitySet();
      } else if (part instanceof UriResourceNavigation) {
        set = (EdmEntitySet) set.getRelatedBindingTarget(((UriResourceNavigation) part).getProperty().getName());
      }
    }
    return set;
  }

  /** list returns the entities at an address: one if the address ends with a key or leads to one. */
  protected List<Entity> list(UriInfo uri) throws ODataApplicationException {
    List<Entity> list = new ArrayList<>();
    for (UriResource part : uri.getUriResourceParts()) {
      if (part instanceof UriResourceEntitySet) {
        List<UriParameter> keys = ((UriResourceEntitySet) part).getKeyPredicates();
        boolean isProducts = part.getSegmentValue().equals("Products");
        if (!keys.isEmpty()) {
          Entity product = rows.get(Integer.parseInt(key(keys, isProducts ? "ID" : "ProductID")));
          list = product == null ? List.of() : isProducts ? List.of(product) : withKey(Rows.items(product).getEntities(), keys);
        } else {
          for (Iterator<Integer> ids = rows.ids(null, false).iterator(); ids.hasNext();) {
            Entity product = rows.get(ids.next());
            list.addAll(isProducts ? List.of(product) : Rows.items(product).getEntities());
          }
        }
      } else if (part instanceof UriResourceNavigation) {
        if (list.isEmpty()) {
          throw new ODataApplicationException("Not found", 404, Locale.ROOT);
        }
        list = withKey(related(list.get(0), part.getSegmentValue()), ((UriResourceNavigation) part).getKeyPredicates());
      }
    }
    List<Entity> copies = new ArrayList<>();
    list.forEach(e -> copies.add(copy(e)));
    return copies;
  }

  private static String key(List<UriParameter> keys, String name) {
    return keys.stream().filter(k -> k.getName().equals(name)).findFirst().map(UriParameter::getText).orElse("0");
  }

  private static List<Entity> withKey(List<Entity> items, List<UriParameter> keys) {
    return keys.isEmpty() ? items : items.stream().filter(e -> keys.stream().allMatch(k ->
        new BigDecimal(String.valueOf(e.getProperty(k.getName()).getValue())).equals(new BigDecimal(k.getText())))).toList();
  }

  private List<Entity> related(Entity entity, String name) {
    return name.equals("Items") ? Rows.items(entity).getEntities()
        : List.of(rows.get((Integer) entity.getProperty("ProductID").getValue()));
  }

  /** copy returns an entity without what a navigation property was expanded to, so that an answer does not change stored rows. */
  private static Entity copy(Entity entity) {
    Entity copy = new Entity();
    copy.setId(entity.getId());
    copy.setType(entity.getType());
    copy.setETag(entity.getETag());
    copy.getProperties().addAll(entity.getProperties());
    copy.getNavigationLinks().addAll(entity.getNavigationLinks());
    return copy;
  }

  /** select filters, sorts and cuts a list. */
  private static List<Entity> select(List<Entity> list, FilterOption filter, OrderByOption order, SkipOption skip, TopOption top)
      throws ODataApplicationException {
    List<Entity> matching = new ArrayList<>();
    for (Entity e : list) {
      if (Filter.matches(filter, e)) {
        matching.add(e);
      }
    }
    if (order != null) {
      Comparator<Entity> comparator = (a, b) -> 0;
      for (OrderByItem item : order.getOrders()) {
        Comparator<Entity> next = (a, b) -> Filter.compare(value(item, a), value(item, b));
        comparator = comparator.thenComparing(item.isDescending() ? next.reversed() : next);
      }
      matching.sort(comparator);
    }
    int from = Math.min(matching.size(), skip == null ? 0 : skip.getValue());
    return matching.subList(from, top == null ? matching.size() : (int) Math.min(matching.size(), (long) from + top.getValue()));
  }

  private static Object value(OrderByItem item, Entity entity) {
    try {
      return Filter.value(item.getExpression(), null, () -> entity);
    } catch (ODataApplicationException e) {
      throw new IllegalStateException(e);
    }
  }

  protected void expand(Entity entity, ExpandOption expand) throws ODataApplicationException {
    if (expand == null) {
      return;
    }
    for (ExpandItem item : expand.getExpandItems()) {
      if (item.isStar()) {
        throw new ODataApplicationException("not supported: $expand=*", 501, Locale.ROOT);
      }
      String name = item.getResourcePath().getUriResourceParts().get(0).getSegmentValue();
      List<Entity> matching = select(related(entity, name), item.getFilterOption(), item.getOrderByOption(), null, null);
      EntityCollection related = new EntityCollection();
      related.setCount(matching.size());
      for (Entity e : select(matching, null, null, item.getSkipOption(), item.getTopOption())) {
        Entity copy = copy(e);
        expand(copy, item.getExpandOption());
        related.getEntities().add(copy);
      }
      entity.getNavigationLinks().removeIf(l -> l.getTitle().equals(name));
      Link link = new Link();
      link.setTitle(name);
      if (name.equals("Items")) {
        link.setInlineEntitySet(related);
      } else {
        link.setInlineEntity(related.getEntities().get(0));
      }
      entity.getNavigationLinks().add(link);
    }
  }
}
