import java.math.BigDecimal;
import java.util.ArrayList;
import java.util.Calendar;
import java.util.List;
import org.apache.olingo.odata2.api.annotation.edm.EdmEntitySet;
import org.apache.olingo.odata2.api.annotation.edm.EdmEntityType;
import org.apache.olingo.odata2.api.annotation.edm.EdmFacets;
import org.apache.olingo.odata2.api.annotation.edm.EdmKey;
import org.apache.olingo.odata2.api.annotation.edm.EdmNavigationProperty;
import org.apache.olingo.odata2.api.annotation.edm.EdmProperty;

/** An order with a property of each kind; the library takes its fields as they are. */
@EdmEntityType(name = "Order", namespace = "peer")
@EdmEntitySet(name = "Orders")
public class Order {
  @EdmKey @EdmProperty public String OrderId;
  @EdmKey @EdmProperty public Integer Line;
  @EdmProperty public String Customer;
  @EdmProperty public Double Amount;
  @EdmProperty(facets = @EdmFacets(precision = 15, scale = 3)) public BigDecimal Price;
  @EdmProperty public Boolean Paid;
  @EdmProperty public Calendar Created;
  @EdmProperty public Long Number;
  @EdmProperty public byte[] Image;
  @EdmProperty public Byte Small;

  @EdmNavigationProperty(name = "Items", toType = Item.class, toMultiplicity = EdmNavigationProperty.Multiplicity.MANY)
  public List<Item> Items = new ArrayList<>();
}
