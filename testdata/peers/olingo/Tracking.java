import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.olingo.odata2.annotation.processor.core.ListsProcessor;
import org.apache.olingo.odata2.annotation.processor.core.datasource.AnnotationValueAccess;
import org.apache.olingo.odata2.api.ODataCallback;
import org.apache.olingo.odata2.api.ep.EntityProvider;
import org.apache.olingo.odata2.api.ep.EntityProviderWriteProperties;
import org.apache.olingo.odata2.api.ep.callback.TombstoneCallback;
import org.apache.olingo.odata2.api.ep.callback.TombstoneCallbackResult;
import org.apache.olingo.odata2.api.exception.ODataException;
import org.apache.olingo.odata2.api.processor.ODataResponse;
import org.apache.olingo.odata2.api.uri.info.GetEntitySetUriInfo;

/**
 * Tracking reads Rows with changes tracked, for requests that prefer it: in pages whose links count rows, with a delta link by
 * Olingo's own callback at the end. No row changes. All else is Olingo's processor of lists.
 */
class Tracking extends ListsProcessor {
  private static final int PAGE = 100;

  private final List<Row> rows;

  Tracking(Source source) {
    super(source, new AnnotationValueAccess());
    rows = source.rows;
  }

  @Override
  public ODataResponse readEntitySet(GetEntitySetUriInfo uri, String contentType) throws ODataException {
    String token = uri.getCustomQueryOptions().get("!deltatoken");
    String prefer = getContext().getRequestHeader("Prefer");
    if (token == null && (prefer == null || !prefer.contains("odata.track-changes"))
        || !uri.getTargetEntitySet().getName().equals("Rows")) {
      return super.readEntitySet(uri, contentType);
    }
    int from = token != null ? rows.size() : uri.getSkipToken() == null ? 0 : Integer.parseInt(uri.getSkipToken());
    int to = Math.min(from + PAGE, rows.size());
    List<Map<String, Object>> page = new ArrayList<>();
    for (Row row : rows.subList(from, to)) {
      page.add(Map.of("RowId", row.RowId, "Name", row.Name));
    }
    var properties = EntityProviderWriteProperties.serviceRoot(getContext().getPathInfo().getServiceRoot());
    if (to < rows.size()) {
      properties.nextLink("Rows?$skiptoken=" + to);
    } else {
      TombstoneCallbackResult end = new TombstoneCallbackResult();
      end.setDeletedEntriesData(new ArrayList<>());
      end.setDeltaLink("Rows?!deltatoken=1");
      Map<String, ODataCallback> callbacks = new HashMap<>();
      callbacks.put(TombstoneCallback.CALLBACK_KEY_TOMBSTONE, (TombstoneCallback) () -> end);
      properties.callbacks(callbacks);
    }
    return EntityProvider.writeFeed(contentType, uri.getTargetEntitySet(), page, properties.build());
  }
}
