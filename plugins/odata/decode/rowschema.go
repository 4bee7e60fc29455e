package decode

import (
	"bytes"
	"errors"
	"slices"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/datetime"
	"github.com/culvert-project/culvert/plugins/odata/edm"
)

// Mapping selects how a value is written where its EDM type leaves a choice.
type Mapping uint8

const (
	// DefaultMapping writes decimals and times as Connect's Decimal, Timestamp and Time.
	DefaultMapping Mapping = iota
	// Float64Mapping writes a Decimal as the nearest float64 (`decimal.mapping = primitive`, scale above 0).
	Float64Mapping
	// Int64Mapping writes a Decimal without fraction as int64 (`decimal.mapping = primitive`, scale 0).
	Int64Mapping
	// DateMapping writes the days of a DateTime as Connect's Date, without its time of day and without a zone shift.
	DateMapping
	// MicrosMapping writes a DateTime or DateTimeOffset in microseconds (`timestamp.precision = micros`).
	MicrosMapping
)

// ColumnKind is the kind of value that a column holds.
type ColumnKind uint8

const (
	// Primitive columns hold a value of a primitive type.
	Primitive ColumnKind = iota
	// Complex columns hold a struct of a complex type, described by [Column.Nested].
	Complex
	// NavigationToOne columns hold an expanded navigation to at most one entity, a struct.
	NavigationToOne
	// NavigationToMany columns hold an expanded navigation to many entities, an array of required structs.
	NavigationToMany
	// Synthetic columns are not read from the response. They are optional, and null unless the plugin sets them.
	Synthetic
	// Collection columns hold an array. The only column of [Column.Nested], which has no name, describes its items.
	Collection
)

// Column is one field of a row's struct.
type Column struct {
	Name    string
	Kind    ColumnKind
	Type    edm.Primitive
	Mapping Mapping
	// Optional columns are preceded by a union branch; null and absent values are null. In other columns they make the
	// row fail.
	Optional bool
	// Inline reports that the request expanded this navigation: a link in its place makes the row fail instead of being
	// null.
	Inline bool
	// Precision is the number of digits allowed in a Decimal. Zero means no limit.
	Precision int
	// Scale is the number of digits after the point of a Decimal in the schema.
	Scale    int
	Rounding edm.Rounding   // what happens to digits after the scale
	Zone     *datetime.Zone // of an Edm.DateTime (`datetime.zone`); nil means UTC
	// Enum has the members of an Edm.Enum; nil means that its text may be any.
	Enum *edm.EnumType
	// Nested describes the struct of the column or of its items. Its keys identify the items of an expanded collection.
	Nested *RowSchema
	// Target is the FC_TargetPath of the metadata (`SyndicationTitle`, `geo/lat`, `geo/@lat`). In Atom, a value that is
	// missing from the properties is read from there.
	Target string

	// Hints are added to the errors of values that do not fit.
	Hints ErrorHints

	inner string   // the name and a slash, with which the paths of nested properties begin
	steps []string // element names of the target, the last one @name for an attribute
}

// ErrorHints are recommendations for values that a column cannot hold.
type ErrorHints struct {
	Scale     string // a Decimal with more digits after the point
	Precision string // a Decimal with more digits
	Range     string // a Decimal out of the range of its mapped type
	Null      string
	Inline    string // a link instead of an expanded entity
	Time      string // a duration that is no time of day
}

// RowSchema is the compiled form of an entity type or complex type under a projection and expansion. Decoders share it
// and do not change it. Call [RowSchema.Init] after building one by hand.
type RowSchema struct {
	// Name of the type, for messages: `NS.Product`.
	Name    string
	Columns []Column
	// ValueColumns is the number of leading columns that form the row's value, in schema order. The columns after them
	// are decoded for the key or for tracking only.
	ValueColumns int
	// Keys are the columns of the record's key, in order; empty if rows have no key. A key is a struct of required
	// fields, so a null there makes the row fail.
	Keys []int
	// KeyTail is appended to each key: encoded fields with the same value in every row (`key.extra`).
	KeyTail     []byte
	KeySchema   uint32 // schema ID of the keys
	ValueSchema uint32 // schema ID of the values
	// Tracked are the columns whose encoded values [Output.Tracked] locates in each row (change modes, counters,
	// cursors).
	Tracked []int
	// Ignored are names of the type that the projection leaves out, including navigation properties. They are not
	// reported as unknown.
	Ignored []string
	// Types are the names of the type and of types derived from it, without namespaces, for items of an expanded
	// collection. Empty means that items may have any type.
	Types []string

	columnByName map[string]int
	isIgnored    map[string]bool
	members      map[*edm.EnumType]map[string]bool // the members of each [Column.Enum]
}

// Init builds the lookup tables. It returns an error for a duplicate column and for a key column that is not primitive.
func (r *RowSchema) Init() error { return r.init(map[*edm.EnumType]map[string]bool{}) }

// init is Init with the members of enumerations, which all schemas share.
func (r *RowSchema) init(members map[*edm.EnumType]map[string]bool) error {
	r.columnByName = make(map[string]int, len(r.Columns))
	r.isIgnored = make(map[string]bool, len(r.Ignored))
	for _, name := range r.Ignored {
		r.isIgnored[name] = true
	}
	r.members = members
	for i := range r.Columns {
		column := &r.Columns[i]
		column.inner = strings.TrimPrefix(column.Name+"/", "/") // an item of a collection has no name
		column.steps = targetSteps(column.Target)
		if enum := column.Enum; enum != nil && members[enum] == nil {
			members[enum] = make(map[string]bool, len(enum.Members))
			for _, name := range enum.Members {
				members[enum][name] = true
			}
		}
		if column.Nested != nil {
			if err := column.Nested.init(members); err != nil {
				return err
			}
		}
		if column.Kind == Synthetic {
			continue
		}
		if _, ok := r.columnByName[column.Name]; ok {
			return errors.New("row schema " + r.Name + ": duplicate column " + column.Name)
		}
		r.columnByName[column.Name] = i
	}
	for _, i := range r.Keys {
		if r.Columns[i].Kind != Primitive {
			return errors.New("row schema " + r.Name + ": key column " + r.Columns[i].Name + " is not primitive")
		}
	}
	return nil
}

// kernelWritesRows reports whether package kernel can write rows: their key is a contiguous part of their value, and
// they need no spans in [Output.Tracked].
func (r *RowSchema) kernelWritesRows() bool {
	for n, i := range r.Keys {
		if i != r.Keys[0]+n || r.Columns[i].Optional {
			return false
		}
	}
	return len(r.Keys) > 0 && len(r.KeyTail) == 0 && len(r.Tracked) == 0
}

// hasProperty reports whether the type has a property or a navigation property with a name.
func (r *RowSchema) hasProperty(name string) bool {
	_, ok := r.columnByName[name]
	return ok || r.isIgnored[name]
}

func (c *Column) isArray() bool { return c.Kind == NavigationToMany || c.Kind == Collection }

func (c *Column) isNavigation() bool { return c.Kind == NavigationToOne || c.Kind == NavigationToMany }

// isNull reports whether an encoded value of the column is null.
func (c *Column) isNull(encoded []byte) bool { return c.Optional && encoded[0] == 0 }

// acceptsType reports whether the type that a row names may be in the collection. Namespaces are not compared, since a
// service may write an alias. An empty name means that the row does not name its type.
func (r *RowSchema) acceptsType(name []byte) bool {
	name = name[bytes.LastIndexByte(name, '.')+1:]
	return len(name) == 0 || len(r.Types) == 0 || slices.Contains(r.Types, string(name))
}

// syndication maps the target names of the metadata to Atom elements.
var syndication = map[string]string{
	"SyndicationTitle":            "title",
	"SyndicationSummary":          "summary",
	"SyndicationUpdated":          "updated",
	"SyndicationPublished":        "published",
	"SyndicationRights":           "rights",
	"SyndicationAuthorName":       "author/name",
	"SyndicationAuthorEmail":      "author/email",
	"SyndicationAuthorUri":        "author/uri",
	"SyndicationContributorName":  "contributor/name",
	"SyndicationContributorEmail": "contributor/email",
	"SyndicationContributorUri":   "contributor/uri",
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
