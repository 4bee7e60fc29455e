import java.util.ArrayList;
import java.util.List;
import org.apache.olingo.odata2.annotation.processor.core.datasource.AnnotationInMemoryDs;
import org.apache.olingo.odata2.api.edm.EdmEntitySet;
import org.apache.olingo.odata2.api.edm.EdmException;
import org.apache.olingo.odata2.api.exception.ODataApplicationException;
import org.apache.olingo.odata2.api.exception.ODataException;
import org.apache.olingo.odata2.api.exception.ODataNotFoundException;
import org.apache.olingo.odata2.api.exception.ODataNotImplementedException;

/** Source holds Rows in a list, since Olingo's memory compares each new row with all others; all else is Olingo's. */
class Source extends AnnotationInMemoryDs {
  final List<Row> rows = new ArrayList<>();

  Source(List<Class<?>> types, int rows) throws ODataException {
    super(types, true);
    for (int i = 0; i < rows; i++) {
      Row row = new Row();
      row.RowId = 1_000_000 + 2 * i;
      row.Name = "row " + i;
      this.rows.add(row);
    }
  }

  @Override
  public List<?> readData(EdmEntitySet set)
      throws ODataNotImplementedException, ODataNotFoundException, EdmException, ODataApplicationException {
    return set.getName().equals("Rows") ? rows : super.readData(set);
  }
}
