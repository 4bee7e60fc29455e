import org.apache.olingo.odata2.api.annotation.edm.EdmEntitySet;
import org.apache.olingo.odata2.api.annotation.edm.EdmEntityType;
import org.apache.olingo.odata2.api.annotation.edm.EdmKey;
import org.apache.olingo.odata2.api.annotation.edm.EdmNavigationProperty;
import org.apache.olingo.odata2.api.annotation.edm.EdmProperty;

/** An item of an order. */
@EdmEntityType(name = "Item", namespace = "peer")
@EdmEntitySet(name = "Items")
public class Item {
  @EdmKey @EdmProperty public Integer ItemId;
  @EdmProperty public String Name;

  @EdmNavigationProperty(name = "Order", toType = Order.class, toMultiplicity = EdmNavigationProperty.Multiplicity.ONE)
  public Order Order;
}
