package decode

import (
	"errors"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/zone"
)

// Mapping says how a value is written where its type leaves a choice.
type Mapping uint8

const (
	// DefaultMapping: Boolean boolean; SByte int8; Byte, Int16 int16; Int32 int32; Int64 int64; Single float32; Double
	// float64; String, Guid text; Binary bytes; Decimal Connect's Decimal; DateTime, DateTimeOffset Connect's
	// Timestamp; Time Connect's Time.
	DefaultMapping Mapping = iota
	// Float64Mapping writes a Decimal as the nearest float64 (`decimal.mapping = primitive`, scale above 0).
	Float64Mapping
	// Int64Mapping writes a Decimal without fraction as int64 (`decimal.mapping = primitive`, scale 0).
	Int64Mapping
	// DateMapping writes the days of a DateTime as Connect's Date; it never shifts by zone, a time of day is dropped.
	DateMapping
	// MicrosMapping writes a DateTime or DateTimeOffset in microseconds (`timestamp.precision = micros`).
	MicrosMapping
)

// Shape is what a column holds.
type ColumnKind uint8

const (
	// Primitive: a value of a primitive type.
	Primitive ColumnKind = iota
	// Complex: a structure of a complex type, in [Column.Nested].
	Complex
	// NavigationToOne: an expanded navigation to at most one entity, a structure.
	NavigationToOne
	// NavigationToMany: an expanded navigation to many entities, an array of structures (that are not optional
	// themselves).
	NavigationToMany
	// Synthetic: never read from a page and always null (DELETED_AT of rows that are not deleted); must be optional.
	Synthetic
)

// Column is one member of a row's structure.
type Column struct {
	// Name of the property or navigation property as the service writes it.
	Name    string
	Kind    ColumnKind
	Type    edm.Primitive
	Mapping Mapping
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
	Nested *RowSchema
	// Target is the FC_TargetPath of metadata (`SyndicationTitle`, `geo/lat`, `geo/@lat`): in Atom, a value that is not
	// among the properties is taken from there. "" for none.
	Target string

	// Hints is said of values that do not fit.
	Hints ErrorHints

	// inner is the name and a slash; steps is the target as names of elements, the last one @name for an attribute
	inner string
	steps []string
}

// Advice is what the user can do about values that a column cannot take, "" where nothing helps: a Decimal with digits
// after its scale, with more digits than its precision, out of the range of the type that it is mapped to; null where
// it is not allowed; a link where an expanded entity was asked for; a duration that is no time of day.
type ErrorHints struct{ Scale, Precision, Range, Null, Inline, Time string }

// RowSchema is the compiled form of an entity type or complex type under a projection and expansion. It is not changed
// by decoders, which may share it. Call [RowSchema.Init] after making one.
type RowSchema struct {
	// Name of the type, for messages: `NS.Product`.
	Name    string
	Columns []Column
	// ValueColumns is how many of the columns make the row's value, in the order of the schema's members; those after
	// are decoded for the key or to be watched only.
	ValueColumns int
	// Keys are the columns that make the record's key, in order; empty: rows have no key. Members of a key are written
	// as their columns but never optional: a null there makes the row a fault. A key is a structure, also of one
	// member.
	Keys []int
	// KeyTail is appended to each key: members with the same value everywhere, already encoded (`key.extra`).
	KeyTail []byte
	// KeySchema and ValueSchema are the schema ids in the rows made.
	KeySchema, ValueSchema uint32
	// Tracked are the columns whose bytes in each row [Output.Tracked] points at (change modes, counters, cursors).
	Tracked []int
	// Ignored are names that the type has and the projection leaves out, navigation properties among them: skipped, and
	// not reported as unknown.
	Ignored []string
	names   map[string]int
	ignored map[string]bool
}

// Init readies a layout for decoders. The error is of metadata that no rows can have.
func (l *RowSchema) Init() error {
	l.names, l.ignored = make(map[string]int, len(l.Columns)), make(map[string]bool, len(l.Ignored))
	for _, name := range l.Ignored {
		l.ignored[name] = true
	}
	for i := range l.Columns {
		c := &l.Columns[i]
		c.inner, c.steps = c.Name+"/", targetSteps(c.Target)
		if c.Nested != nil {
			if err := c.Nested.Init(); err != nil {
				return err
			}
		}
		if c.Kind == Synthetic {
			continue
		}
		if _, duplicate := l.names[c.Name]; duplicate {
			return errors.New("layout " + l.Name + ": column " + c.Name + " is there twice")
		}
		l.names[c.Name] = i
	}
	for _, i := range l.Keys {
		if l.Columns[i].Kind != Primitive {
			return errors.New("layout " + l.Name + ": key column " + l.Columns[i].Name + " is not primitive")
		}
	}
	return nil
}

// keyIsInPlace reports whether a row's key is columns of it that stand side by side, and none is watched.
func (l *RowSchema) keyIsInPlace() bool {
	for n, i := range l.Keys {
		if i != l.Keys[0]+n || l.Columns[i].Optional {
			return false
		}
	}
	return len(l.Keys) > 0 && len(l.KeyTail) == 0 && len(l.Tracked) == 0
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
