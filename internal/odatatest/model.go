package odatatest

// property is one column of an entity or complex type.
type property struct {
	name      string
	kind      kind
	nullable  bool
	maxLength int // zero means none, -1 means Max
	precision int // of Decimal; zero means none
	scale     int
	day       bool   // has no time of day: a Date in v4
	version   bool   // ConcurrencyMode="Fixed": makes the ETag
	identity  bool   // numbered by the service when a POST leaves it out
	sap       string // further sap: annotations
	complex   *complexType
}

type complexType struct {
	name       string
	properties []property
}

// entityType describes one row; the key properties come first, in the order of the key.
type entityType struct {
	name        string
	keys        int // number of key properties
	properties  []property
	navigations []*navigation
}

// property returns the index of a property, or -1.
func (t *entityType) property(name string) int {
	for i := range t.properties {
		if t.properties[i].name == name {
			return i
		}
	}
	return -1
}

func (t *entityType) navigation(name string) *navigation {
	for _, n := range t.navigations {
		if n.name == name {
			return n
		}
	}
	return nil
}

// versionProperty returns the index of the property of the ETag, or -1.
func (t *entityType) versionProperty() int {
	for i := range t.properties {
		if t.properties[i].version {
			return i
		}
	}
	return -1
}

func (t *entityType) newRow() *row {
	r := &row{values: make([]value, len(t.properties))}
	for i := range t.properties {
		r.values[i].kind = t.properties[i].kind
	}
	return r
}

// association joins two sets: dependent rows have the key of a principal row.
type association struct {
	name      string
	principal *table
	dependent *table
	optional  bool  // a dependent row may have no principal row
	foreign   []int // properties of the dependent type that contain the principal's key, in the key's order
}

// navigation is one direction of an association, seen from the entity type that has it.
type navigation struct {
	name        string
	association *association
	many        bool // from the principal to its dependent rows
	target      *table
	candidates  candidatesFunc // nil means all rows
}

// candidatesFunc bounds the generated rows that can be related to a parent.
type candidatesFunc func(parent *row) (start, step, end int)

// row is one entity. Generated rows reuse one row, whose texts are in buf.
type row struct {
	values []value
	buf    []byte
	number int // number of the generated row, -1 for written ones
}

func (r *row) clone() *row { return &row{values: cloneValues(r.values), number: r.number} }

func (r *row) key(t *entityType) []value { return r.values[:t.keys] }

func (r *row) setNull(i int) { r.values[i].null = true }

func (r *row) setNumber(i int, n int64) {
	v := &r.values[i]
	v.null = false
	v.num = n
}

// setText stores s without a copy: it must not change while the row is used.
func (r *row) setText(i int, s []byte) {
	v := &r.values[i]
	v.null = false
	v.text = s
}

// setMarked uses the bytes appended to buf since it had the length mark as the text of a value.
func (r *row) setMarked(i, mark int) { r.setText(i, r.buf[mark:len(r.buf):len(r.buf)]) }

// appendKey writes the key predicate with its brackets: (10248) or (OrderID=10248,ProductID=11).
func appendKey(b []byte, t *entityType, r *row) []byte { return v2.appendKey(b, t, r) }

// appendKey writes the key predicate with the literals of a dialect.
func (s *syntax) appendKey(b []byte, t *entityType, r *row) []byte {
	b = append(b, '(')
	for i := range t.keys {
		if t.keys > 1 {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(b, t.properties[i].name...)
			b = append(b, '=')
		}
		b = s.appendLiteral(b, &r.values[i])
	}
	return append(b, ')')
}

// appendETag writes W/"3", or nothing if the type has no version.
func appendETag(b []byte, t *entityType, r *row) []byte {
	i := t.versionProperty()
	if i < 0 {
		return b
	}
	b = append(b, `W/"`...)
	b = appendPlain(b, &r.values[i])
	return append(b, '"')
}
