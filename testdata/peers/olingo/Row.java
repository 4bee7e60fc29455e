import org.apache.olingo.odata2.api.annotation.edm.EdmEntitySet;
import org.apache.olingo.odata2.api.annotation.edm.EdmEntityType;
import org.apache.olingo.odata2.api.annotation.edm.EdmKey;
import org.apache.olingo.odata2.api.annotation.edm.EdmProperty;

/** A row of a large set whose changes are tracked. */
@EdmEntityType(name = "Row", namespace = "peer")
@EdmEntitySet(name = "Rows")
public class Row {
  @EdmKey @EdmProperty public Integer RowId;
  @EdmProperty public String Name;
}
