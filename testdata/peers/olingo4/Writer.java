import java.io.InputStream;
import java.net.URI;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.UUID;
import org.apache.olingo.commons.api.data.ContextURL;
import org.apache.olingo.commons.api.data.Entity;
import org.apache.olingo.commons.api.data.Link;
import org.apache.olingo.commons.api.data.Property;
import org.apache.olingo.commons.api.edm.EdmEntitySet;
import org.apache.olingo.commons.api.edm.EdmEntityType;
import org.apache.olingo.commons.api.format.ContentType;
import org.apache.olingo.commons.api.http.HttpHeader;
import org.apache.olingo.commons.api.http.HttpMethod;
import org.apache.olingo.server.api.ODataApplicationException;
import org.apache.olingo.server.api.ODataLibraryException;
import org.apache.olingo.server.api.ODataRequest;
import org.apache.olingo.server.api.ODataResponse;
import org.apache.olingo.server.api.batch.BatchFacade;
import org.apache.olingo.server.api.deserializer.batch.BatchOptions;
import org.apache.olingo.server.api.deserializer.batch.BatchRequestPart;
import org.apache.olingo.server.api.deserializer.batch.ODataResponsePart;
import org.apache.olingo.server.api.prefer.Preferences;
import org.apache.olingo.server.api.prefer.PreferencesApplied;
import org.apache.olingo.server.api.processor.BatchProcessor;
import org.apache.olingo.server.api.processor.EntityProcessor;
import org.apache.olingo.server.api.serializer.EntitySerializerOptions;
import org.apache.olingo.server.api.uri.UriInfo;

/** Writer adds single entities, writes to Products, and multipart $batch. A change set that fails changes nothing. */
class Writer extends Processor implements EntityProcessor, BatchProcessor {
  Writer(Rows rows, int page) {
    super(rows, page);
  }

  @Override
  public void readEntity(ODataRequest request, ODataResponse response, UriInfo uri, ContentType format)
      throws ODataApplicationException, ODataLibraryException {
    Entity entity = existing(uri);
    expand(entity, uri.getExpandOption());
    write(request, response, uri, entity, format, 200);
  }

  @Override
  public void createEntity(ODataRequest request, ODataResponse response, UriInfo uri, ContentType requestFormat, ContentType format)
      throws ODataApplicationException, ODataLibraryException {
    Entity entity = body(request, uri, requestFormat);
    Property key = entity.getProperty("ID");
    int id = key == null ? rows.last() + 1 : (Integer) key.getValue();
    if (id < 1 || rows.contains(id)) {
      rows.writes.merge("refused", 1, Integer::sum);
      throw new ODataApplicationException(id < 1 ? "ID must be positive" : "Products(" + id + ") exists", id < 1 ? 400 : 409, Locale.ROOT);
    }
    store(id, complete(entity, id), "inserted");
    answer(request, response, uri, rows.get(id), format, 201);
  }

  @Override
  public void updateEntity(ODataRequest request, ODataResponse response, UriInfo uri, ContentType requestFormat, ContentType format)
      throws ODataApplicationException, ODataLibraryException {
    Entity old = existing(uri);
    checkPreconditions(request, old);
    Entity entity = body(request, uri, requestFormat);
    int id = (Integer) old.getProperty("ID").getValue();
    if (request.getMethod() == HttpMethod.PATCH) {
      for (Property property : old.getProperties()) {
        if (entity.getProperty(property.getName()) == null) {
          entity.addProperty(property);
        }
      }
      for (Link link : old.getNavigationLinks()) {
        if (entity.getNavigationLink(link.getTitle()) == null) {
          entity.getNavigationLinks().add(link);
        }
      }
    }
    store(id, complete(entity, id), request.getMethod() == HttpMethod.PATCH ? "patched" : "replaced");
    answer(request, response, uri, rows.get(id), format, 200);
  }

  @Override
  public void deleteEntity(ODataRequest request, ODataResponse response, UriInfo uri)
      throws ODataApplicationException, ODataLibraryException {
    Entity old = existing(uri);
    onlyProducts(uri);
    checkPreconditions(request, old);
    rows.put((Integer) old.getProperty("ID").getValue(), null, "deleted");
    response.setStatusCode(204);
  }

  private Entity existing(UriInfo uri) throws ODataApplicationException {
    List<Entity> entities = list(uri);
    if (entities.isEmpty()) {
      throw new ODataApplicationException("Not found", 404, Locale.ROOT);
    }
    return entities.get(0);
  }

  private static void onlyProducts(UriInfo uri) throws ODataApplicationException {
    if (!set(uri).getName().equals("Products")) {
      throw new ODataApplicationException("Only Products can be written", 405, Locale.ROOT);
    }
  }

  private void checkPreconditions(ODataRequest request, Entity old) throws ODataLibraryException {
    odata.createETagHelper().checkChangePreconditions(old.getETag(), request.getHeaders(HttpHeader.IF_MATCH),
        request.getHeaders(HttpHeader.IF_NONE_MATCH));
  }

  private Entity body(ODataRequest request, UriInfo uri, ContentType format) throws ODataApplicationException, ODataLibraryException {
    onlyProducts(uri);
    return odata.createDeserializer(format, metadata).entity(request.getBody(), set(uri).getEntityType()).getEntity();
  }

  private void store(int id, Entity entity, String kind) {
    entity.setETag("W/\"" + (rows.token() + 1) + "\"");
    rows.put(id, entity, kind);
  }

  /** complete adds the properties that a body lacks, as null. */
  private static Entity complete(Entity entity, int id) {
    Entity complete = new Entity();
    complete.setType("peer.Product");
    complete.setId(URI.create("Products(" + id + ")"));
    for (Property p : Rows.product(id).getProperties()) {
      Property sent = p.getName().equals("ID") ? p : entity.getProperty(p.getName());
      complete.addProperty(sent != null ? sent
          : new Property(p.getType(), p.getName(), p.getValueType(), p.isCollection() ? List.of() : null));
    }
    Link items = entity.getNavigationLink("Items");
    if (items != null && items.getInlineEntitySet() != null) {
      for (Entity item : items.getInlineEntitySet()) {
        Property pos = item.getProperty("Pos");
        item.setId(URI.create("Items(ProductID=" + id + ",Pos=" + (pos == null ? 0 : pos.getValue()) + ")"));
      }
      complete.getNavigationLinks().add(items);
    }
    return complete;
  }

  /** answer sends the written entity, or only its address if the client prefers that. */
  private void answer(ODataRequest request, ODataResponse response, UriInfo uri, Entity entity, ContentType format, int status)
      throws ODataApplicationException, ODataLibraryException {
    Preferences.Return preferred = odata.createPreferences(request.getHeaders(HttpHeader.PREFER)).getReturn();
    String address = request.getRawBaseUri() + "/" + entity.getId();
    if (preferred == Preferences.Return.MINIMAL) {
      response.setStatusCode(204);
      response.setHeader(HttpHeader.ODATA_ENTITY_ID, address);
      response.setHeader(HttpHeader.ETAG, entity.getETag());
    } else {
      write(request, response, uri, entity, format, status);
    }
    if (status == 201) {
      response.setHeader(HttpHeader.LOCATION, address);
    }
    if (preferred != null) {
      response.setHeader(HttpHeader.PREFERENCE_APPLIED, PreferencesApplied.with().returnRepresentation(preferred).build().toValueString());
    }
  }

  private void write(ODataRequest request, ODataResponse response, UriInfo uri, Entity entity, ContentType format, int status)
      throws ODataLibraryException {
    EdmEntitySet set = set(uri);
    EdmEntityType type = set.getEntityType();
    ContextURL context = ContextURL.with().entitySet(set).suffix(ContextURL.Suffix.ENTITY)
        .selectList(odata.createUriHelper().buildContextURLSelectList(type, uri.getExpandOption(), uri.getSelectOption())).build();
    response.setContent(odata.createSerializer(format, request.getHeaders(HttpHeader.ODATA_MAX_VERSION)).entity(metadata, type, entity,
        EntitySerializerOptions.with().contextURL(context).select(uri.getSelectOption()).expand(uri.getExpandOption()).build())
        .getContent());
    response.setStatusCode(status);
    response.setHeader(HttpHeader.CONTENT_TYPE, format.toContentTypeString());
    if (entity.getETag() != null) {
      response.setHeader(HttpHeader.ETAG, entity.getETag());
    }
  }

  @Override
  public void processBatch(BatchFacade facade, ODataRequest request, ODataResponse response)
      throws ODataApplicationException, ODataLibraryException {
    boolean isContinued = odata.createPreferences(request.getHeaders(HttpHeader.PREFER)).hasContinueOnError();
    BatchOptions options = BatchOptions.with().rawBaseUri(request.getRawBaseUri())
        .rawServiceResolutionUri(request.getRawServiceResolutionUri()).build();
    List<ODataResponsePart> answers = new ArrayList<>();
    for (BatchRequestPart part : odata.createFixedFormatDeserializer().parseBatchRequest(request.getBody(),
        facade.extractBoundaryFromContentType(request.getHeader(HttpHeader.CONTENT_TYPE)), options)) {
      ODataResponsePart answer = facade.handleBatchRequest(part);
      answers.add(answer);
      if (answer.getResponses().get(0).getStatusCode() >= 400 && !isContinued) {
        break;
      }
    }
    String boundary = "batch_" + UUID.randomUUID();
    InputStream content = odata.createFixedFormatSerializer().batchResponse(answers, boundary);
    response.setHeader(HttpHeader.CONTENT_TYPE, ContentType.MULTIPART_MIXED + ";boundary=" + boundary);
    response.setContent(content);
    response.setStatusCode(200);
    if (isContinued) {
      response.setHeader(HttpHeader.PREFERENCE_APPLIED, PreferencesApplied.with().continueOnError().build().toValueString());
    }
  }

  @Override
  public ODataResponsePart processChangeSet(BatchFacade facade, List<ODataRequest> requests)
      throws ODataApplicationException, ODataLibraryException {
    List<ODataResponse> answers = new ArrayList<>();
    rows.begin();
    for (ODataRequest request : requests) {
      ODataResponse answer = facade.handleODataRequest(request);
      if (answer.getStatusCode() >= 400) {
        rows.rollback();
        return new ODataResponsePart(answer, false);
      }
      answers.add(answer);
    }
    rows.commit();
    return new ODataResponsePart(answers, true);
  }
}
