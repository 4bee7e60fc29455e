import java.util.List;
import org.apache.olingo.commons.api.edm.EdmPrimitiveTypeKind;
import org.apache.olingo.commons.api.edm.FullQualifiedName;
import org.apache.olingo.commons.api.edm.provider.CsdlAbstractEdmProvider;
import org.apache.olingo.commons.api.edm.provider.CsdlComplexType;
import org.apache.olingo.commons.api.edm.provider.CsdlEntityContainer;
import org.apache.olingo.commons.api.edm.provider.CsdlEntityContainerInfo;
import org.apache.olingo.commons.api.edm.provider.CsdlEntitySet;
import org.apache.olingo.commons.api.edm.provider.CsdlEntityType;
import org.apache.olingo.commons.api.edm.provider.CsdlEnumMember;
import org.apache.olingo.commons.api.edm.provider.CsdlEnumType;
import org.apache.olingo.commons.api.edm.provider.CsdlNavigationProperty;
import org.apache.olingo.commons.api.edm.provider.CsdlNavigationPropertyBinding;
import org.apache.olingo.commons.api.edm.provider.CsdlProperty;
import org.apache.olingo.commons.api.edm.provider.CsdlPropertyRef;
import org.apache.olingo.commons.api.edm.provider.CsdlSchema;
import org.apache.olingo.commons.api.edm.provider.CsdlTypeDefinition;

/** Model is the metadata of the service: Products with their Items, with a property of each type. */
class Model extends CsdlAbstractEdmProvider {
  private static final String NAMESPACE = "peer";
  private static final FullQualifiedName CONTAINER = name("Container");
  static final FullQualifiedName ADDRESS = name("Address");

  private final CsdlEnumType color = new CsdlEnumType().setName("Color").setUnderlyingType(primitive("Int32"))
      .setMembers(List.of(new CsdlEnumMember().setName("Red").setValue("0"), new CsdlEnumMember().setName("Green").setValue("1"),
          new CsdlEnumMember().setName("Blue").setValue("2")));
  private final CsdlEnumType flags = new CsdlEnumType().setName("Flags").setFlags(true).setUnderlyingType(primitive("Int32"))
      .setMembers(List.of(new CsdlEnumMember().setName("New").setValue("1"), new CsdlEnumMember().setName("Sale").setValue("2")));
  private final CsdlTypeDefinition amount = new CsdlTypeDefinition().setName("Amount").setUnderlyingType(primitive("Decimal"))
      .setPrecision(15).setScale(3);
  private final CsdlComplexType address = new CsdlComplexType().setName("Address").setProperties(List.of(
      property("Street", "String"), property("City", "String"), property("Zip", "Int32")));
  private final CsdlEntityType product = new CsdlEntityType().setName("Product")
      .setKey(List.of(new CsdlPropertyRef().setName("ID")))
      .setProperties(List.of(property("ID", "Int32").setNullable(false), property("Name", "String").setMaxLength(80),
          property("Price", "Decimal").setPrecision(13).setScale(2), property("Free", "Decimal").setScaleAsString("variable"),
          property("Total", name("Amount")), property("Weight", "Double"), property("Ratio", "Single"),
          property("Active", "Boolean"), property("Big", "Int64"), property("Small", "SByte"), property("Short", "Int16"),
          property("Changed", "DateTimeOffset").setPrecision(3), property("Exact", "DateTimeOffset").setPrecision(9),
          property("Released", "Date"), property("Opens", "TimeOfDay").setPrecision(3), property("Took", "Duration").setPrecision(3),
          property("Code", "Guid"), property("Payload", "Binary"), property("Color", name("Color")),
          property("Flags", name("Flags")), property("Tags", "String").setCollection(true),
          property("Bigs", "Int64").setCollection(true), property("Colors", name("Color")).setCollection(true),
          property("Address", ADDRESS), property("Addresses", ADDRESS).setCollection(true)))
      .setNavigationProperties(List.of(
          new CsdlNavigationProperty().setName("Items").setType(name("Item")).setCollection(true).setPartner("Product")));
  private final CsdlEntityType item = new CsdlEntityType().setName("Item")
      .setKey(List.of(new CsdlPropertyRef().setName("ProductID"), new CsdlPropertyRef().setName("Pos")))
      .setProperties(List.of(property("ProductID", "Int32").setNullable(false), property("Pos", "Int16").setNullable(false),
          property("Text", "String"), property("Quantity", "Decimal").setPrecision(13).setScale(3)))
      .setNavigationProperties(List.of(
          new CsdlNavigationProperty().setName("Product").setType(name("Product")).setPartner("Items")));
  private final CsdlEntitySet products = new CsdlEntitySet().setName("Products").setType(name("Product"))
      .setNavigationPropertyBindings(List.of(new CsdlNavigationPropertyBinding().setPath("Items").setTarget("Items")));
  private final CsdlEntitySet items = new CsdlEntitySet().setName("Items").setType(name("Item"))
      .setNavigationPropertyBindings(List.of(new CsdlNavigationPropertyBinding().setPath("Product").setTarget("Products")));

  private static FullQualifiedName name(String name) {
    return new FullQualifiedName(NAMESPACE, name);
  }

  private static FullQualifiedName primitive(String name) {
    return EdmPrimitiveTypeKind.valueOf(name).getFullQualifiedName();
  }

  private static CsdlProperty property(String name, String type) {
    return property(name, primitive(type));
  }

  private static CsdlProperty property(String name, FullQualifiedName type) {
    return new CsdlProperty().setName(name).setType(type);
  }

  @Override
  public CsdlEntityContainer getEntityContainer() {
    return new CsdlEntityContainer().setName(CONTAINER.getName()).setEntitySets(List.of(products, items));
  }

  @Override
  public CsdlEntityContainerInfo getEntityContainerInfo(FullQualifiedName container) {
    return new CsdlEntityContainerInfo().setContainerName(CONTAINER);
  }

  @Override
  public List<CsdlSchema> getSchemas() {
    return List.of(new CsdlSchema().setNamespace(NAMESPACE).setEnumTypes(List.of(color, flags)).setTypeDefinitions(List.of(amount))
        .setComplexTypes(List.of(address)).setEntityTypes(List.of(product, item)).setEntityContainer(getEntityContainer()));
  }

  @Override
  public CsdlEntityType getEntityType(FullQualifiedName type) {
    return type.equals(name("Product")) ? product : type.equals(name("Item")) ? item : null;
  }

  @Override
  public CsdlComplexType getComplexType(FullQualifiedName type) {
    return type.equals(ADDRESS) ? address : null;
  }

  @Override
  public CsdlEnumType getEnumType(FullQualifiedName type) {
    return type.equals(name("Color")) ? color : type.equals(name("Flags")) ? flags : null;
  }

  @Override
  public CsdlTypeDefinition getTypeDefinition(FullQualifiedName type) {
    return type.equals(name("Amount")) ? amount : null;
  }

  @Override
  public CsdlEntitySet getEntitySet(FullQualifiedName container, String set) {
    return set.equals("Products") ? products : set.equals("Items") ? items : null;
  }
}
