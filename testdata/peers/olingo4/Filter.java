import java.math.BigDecimal;
import java.util.Calendar;
import java.util.Date;
import java.util.List;
import java.util.Locale;
import java.util.function.Supplier;
import org.apache.olingo.commons.api.data.Entity;
import org.apache.olingo.commons.api.data.Property;
import org.apache.olingo.commons.api.edm.EdmEnumType;
import org.apache.olingo.commons.api.edm.EdmPrimitiveType;
import org.apache.olingo.commons.api.edm.EdmPrimitiveTypeException;
import org.apache.olingo.commons.api.edm.EdmType;
import org.apache.olingo.server.api.ODataApplicationException;
import org.apache.olingo.server.api.uri.UriResource;
import org.apache.olingo.server.api.uri.UriResourceProperty;
import org.apache.olingo.server.api.uri.queryoption.FilterOption;
import org.apache.olingo.server.api.uri.queryoption.expression.BinaryOperatorKind;
import org.apache.olingo.server.api.uri.queryoption.expression.Expression;
import org.apache.olingo.server.api.uri.queryoption.expression.ExpressionVisitException;
import org.apache.olingo.server.api.uri.queryoption.expression.ExpressionVisitor;
import org.apache.olingo.server.api.uri.queryoption.expression.Literal;
import org.apache.olingo.server.api.uri.queryoption.expression.Member;
import org.apache.olingo.server.api.uri.queryoption.expression.MethodKind;
import org.apache.olingo.server.api.uri.queryoption.expression.UnaryOperatorKind;

/** Filter computes an expression for one entity: comparisons, and, or, not, startswith, contains. It refuses others with 501. */
class Filter implements ExpressionVisitor<Object> {
  private final Integer id;
  private final Supplier<Entity> entity;

  private Filter(Integer id, Supplier<Entity> entity) {
    this.id = id;
    this.entity = entity;
  }

  /** matches reports whether the entity fulfils the expression. A null expression matches. */
  static boolean matches(FilterOption filter, Entity entity) throws ODataApplicationException {
    return filter == null || Boolean.TRUE.equals(value(filter.getExpression(), null, () -> entity));
  }

  /** value computes an expression. id is the value of ID, so that most entities need not be built; null if it is not known. */
  static Object value(Expression expression, Integer id, Supplier<Entity> entity) throws ODataApplicationException {
    try {
      return expression.accept(new Filter(id, entity));
    } catch (ExpressionVisitException e) {
      throw new ODataApplicationException(e.getMessage(), 400, Locale.ROOT, e);
    }
  }

  /** compare orders values of one property; null is the smallest. */
  @SuppressWarnings({"unchecked", "rawtypes"})
  static int compare(Object a, Object b) {
    if (a == null || b == null) {
      return (a == null ? 0 : 1) - (b == null ? 0 : 1);
    }
    return ((Comparable) a).compareTo(b);
  }

  /** comparable makes numbers and points in time of different classes comparable. */
  private static Object comparable(Object value) {
    return value instanceof Number ? new BigDecimal(value.toString())
        : value instanceof Calendar ? (Object) ((Calendar) value).getTimeInMillis()
        : value instanceof Date ? ((Date) value).toInstant() : value;
  }

  @Override
  public Object visitBinaryOperator(BinaryOperatorKind operator, Object left, Object right) throws ODataApplicationException {
    switch (operator) {
      case AND: return Boolean.TRUE.equals(left) && Boolean.TRUE.equals(right);
      case OR: return Boolean.TRUE.equals(left) || Boolean.TRUE.equals(right);
      case EQ: return compare(left, right) == 0;
      case NE: return compare(left, right) != 0;
      case GT: return left != null && right != null && compare(left, right) > 0;
      case GE: return left != null && right != null && compare(left, right) >= 0;
      case LT: return left != null && right != null && compare(left, right) < 0;
      case LE: return left != null && right != null && compare(left, right) <= 0;
      default: throw unsupported(operator);
    }
  }

  @Override
  public Object visitUnaryOperator(UnaryOperatorKind operator, Object operand) throws ODataApplicationException {
    if (operator != UnaryOperatorKind.NOT) {
      throw unsupported(operator);
    }
    return !Boolean.TRUE.equals(operand);
  }

  @Override
  public Object visitMethodCall(MethodKind method, List<Object> arguments) throws ODataApplicationException {
    String value = String.valueOf(arguments.get(0));
    switch (method) {
      case STARTSWITH: return value.startsWith(String.valueOf(arguments.get(1)));
      case CONTAINS: return value.contains(String.valueOf(arguments.get(1)));
      default: throw unsupported(method);
    }
  }

  @Override
  public Object visitLiteral(Literal literal) throws ODataApplicationException {
    if (literal.getType() == null) {
      return null;
    }
    EdmPrimitiveType type = (EdmPrimitiveType) literal.getType();
    try {
      return comparable(type.valueOfString(type.fromUriLiteral(literal.getText()), null, null, 12, 34, null, type.getDefaultType()));
    } catch (EdmPrimitiveTypeException e) {
      throw new ODataApplicationException("wrong literal " + literal.getText(), 400, Locale.ROOT, e);
    }
  }

  @Override
  public Object visitMember(Member member) throws ODataApplicationException {
    Property property = null;
    for (UriResource part : member.getResourcePath().getUriResourceParts()) {
      if (!(part instanceof UriResourceProperty)) {
        throw unsupported(part);
      }
      String name = ((UriResourceProperty) part).getProperty().getName();
      if (id != null && name.equals("ID")) {
        return comparable(id);
      }
      if (property == null) {
        property = entity.get().getProperty(name);
      } else {
        property = property.getValue() == null ? null : property.asComplex().getValue().stream()
            .filter(p -> p.getName().equals(name)).findFirst().orElse(null);
      }
      if (property == null) {
        return null;
      }
    }
    return property == null ? null : comparable(property.getValue());
  }

  @Override
  public Object visitEnum(EdmEnumType type, List<String> members) throws ODataApplicationException {
    int value = 0;
    for (String member : members) {
      value |= Integer.parseInt(type.getMember(member).getValue());
    }
    return comparable(value);
  }

  @Override
  public Object visitLambdaExpression(String function, String variable, Expression expression) throws ODataApplicationException {
    throw unsupported(function);
  }

  @Override
  public Object visitAlias(String alias) throws ODataApplicationException {
    throw unsupported(alias);
  }

  @Override
  public Object visitTypeLiteral(EdmType type) throws ODataApplicationException {
    throw unsupported(type);
  }

  @Override
  public Object visitLambdaReference(String variable) throws ODataApplicationException {
    throw unsupported(variable);
  }

  @Override
  public Object visitBinaryOperator(BinaryOperatorKind operator, Object left, List<Object> right) throws ODataApplicationException {
    if (operator != BinaryOperatorKind.IN) {
      throw unsupported(operator);
    }
    return right.stream().anyMatch(r -> compare(left, r) == 0);
  }

  private static ODataApplicationException unsupported(Object what) {
    return new ODataApplicationException("not supported: " + what, 501, Locale.ROOT);
  }
}
