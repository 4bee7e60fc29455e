package decode

import (
	"errors"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/zone"
)

// As says how a value is written where its type leaves a choice.
type As uint8

const (
	// AsUsual: Boolean boolean; SByte int8; Byte, Int16 int16; Int32 int32; Int64 int64; Single float32; Double
	// float64; String, Guid text; Binary bytes; Decimal Connect's Decimal; DateTime, DateTimeOffset Connect's
	// Timestamp; Time Connect's Time.
	AsUsual As = iota
	// AsFloat64 writes a Decimal as the nearest float64 (`decimal.mapping = primitive`, scale above 0).
	AsFloat64
	// AsInt64 writes a Decimal without fraction as int64 (`decimal.mapping = primitive`, scale 0).
	AsInt64
	// AsDate writes the days of a DateTime as Connect's Date; it never shifts by zone, a time of day is dropped.
	AsDate
	// AsMicros writes a DateTime or DateTimeOffset in microseconds (`timestamp.precision = micros`).
	AsMicros
)

// Shape is what a column holds.
type Shape uint8

const (
	// Primitive: a value of a primitive type.
	Primitive Shape = iota
	// Complex: a structure of a complex type, in [Column.Nested].
	Complex
	// One: an expanded navigation to at most one entity, a structure.
	One
	// Many: an expanded navigation to many entities, an array of structures (that are not optional themselves).
	Many
	// Blank: never read from a page and always null (DELETED_AT of rows that are not deleted); must be optional.
	Blank
)

// Column is one member of a row's structure.
type Column struct {
	// Name of the property or navigation property as the service writes it.
	Name  string
	Shape Shape
	Type  edm.Primitive
	As    As
	// Optional: the schema's node is optional, so a branch number precedes the value, and null or absent is null.
	// Otherwise null or absent makes the row a fault. `nullable = lenient` is: optional everywhere but in keys.
	Optional bool
	// Inline: the service was asked to expand this navigation, so a link in place of what it leads to makes the row a
	// fault. Without it a link is null.
	Inline bool
	// Precision is the number of digits allowed in a Decimal, 0: any. Scale is that of the schema.
	Precision, Scale int
	Rounding         edm.Rounding
	// Zone is that of the clock of an Edm.DateTime (`datetime.zone`); nil: it is UTC.
	Zone *zone.Zone
	// Nested is the layout of the structure of Complex and One, of the items of Many. It has no keys.
	Nested *RowLayout
	// Target is the FC_TargetPath of metadata (`SyndicationTitle`, `geo/lat`, `geo/@lat`): in Atom, a value that is not
	// among the properties is taken from there. "" for none.
	Target string

	// Advice is said of values that do not fit.
	Advice Advice

	// inner is the name and a slash; steps is the target as names of elements, the last one @name for an attribute
	inner string
	steps []string
}

// Advice is what the user can do about values that a column cannot take, "" where nothing helps: a Decimal with digits
// after its scale, with more digits than its precision, out of the range of the type that it is mapped to; null where
// it is not allowed; a link where an expanded entity was asked for; a duration that is no time of day.
type Advice struct{ Scale, Precision, Range, Null, Inline, Time string }

// RowLayout is the compiled form of an entity type or complex type under a projection and expansion. It is not changed
// by decoders, which may share it. Call [RowLayout.Ready] after making one.
type RowLayout struct {
	// Name of the type, for messages: `NS.Product`.
	Name    string
	Columns []Column
	// Visible is how many of the columns make the row's value, in the order of the schema's members; those after are
	// decoded for the key or to be watched only.
	Visible int
	// Keys are the columns that make the record's key, in order; empty: rows have no key. Members of a key are written
	// as their columns but never optional: a null there makes the row a fault. A key is a structure, also of one
	// member.
	Keys []int
	// KeyTail is appended to each key: members with the same value everywhere, already encoded (`key.extra`).
	KeyTail []byte
	// KeySchema and ValueSchema are the schema ids in the rows made.
	KeySchema, ValueSchema uint32
	// Watch are the columns whose bytes in each row [Output.Watched] points at (change modes, counters, cursors).
	Watch []int
	// Known are names that the type has and the projection leaves out, navigation properties among them: skipped, and
	// not reported as unknown.
	Known []string
	names map[string]int
	known map[string]bool
}

// Ready readies a layout for decoders. The error is of metadata that no rows can have.
func (l *RowLayout) Ready() error {
	l.names, l.known = make(map[string]int, len(l.Columns)), make(map[string]bool, len(l.Known))
	for _, name := range l.Known {
		l.known[name] = true
	}
	for i := range l.Columns {
		c := &l.Columns[i]
		c.inner, c.steps = c.Name+"/", targetSteps(c.Target)
		if c.Nested != nil {
			if err := c.Nested.Ready(); err != nil {
				return err
			}
		}
		if c.Shape == Blank {
			continue
		}
		if _, twice := l.names[c.Name]; twice {
			return errors.New("layout " + l.Name + ": column " + c.Name + " is there twice")
		}
		l.names[c.Name] = i
	}
	for _, i := range l.Keys {
		if l.Columns[i].Shape != Primitive {
			return errors.New("layout " + l.Name + ": key column " + l.Columns[i].Name + " is not primitive")
		}
	}
	return nil
}

// regular reports whether a row's key is columns of it that stand side by side, and none is watched.
func (l *RowLayout) regular() bool {
	for n, i := range l.Keys {
		if i != l.Keys[0]+n || l.Columns[i].Optional {
			return false
		}
	}
	return len(l.Keys) > 0 && len(l.KeyTail) == 0 && len(l.Watch) == 0
}

// syndication are the targets that metadata has a word for.
var syndication = map[string]string{
	"SyndicationTitle": "title", "SyndicationSummary": "summary", "SyndicationUpdated": "updated",
	"SyndicationPublished": "published",
	"SyndicationRights":    "rights", "SyndicationAuthorName": "author/name", "SyndicationAuthorEmail": "author/email",
	"SyndicationAuthorUri": "author/uri", "SyndicationContributorName": "contributor/name",
	"SyndicationContributorEmail": "contributor/email", "SyndicationContributorUri": "contributor/uri",
}

func targetSteps(target string) []string {
	if target == "" {
		return nil
	}
	if path, ok := syndication[target]; ok {
		target = path
	}
	return strings.Split(target, "/")
}
