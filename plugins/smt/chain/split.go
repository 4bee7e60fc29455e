package chain

import (
	"strconv"

	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

var splitSpecs = []wit.ConfigKey{
	{Name: "field", Kind: wit.KindString, DefaultValue: wit.Ptr(""), Importance: wit.High,
		Documentation: "Field of the record's value whose items become records; empty: the value itself."},
	{Name: "extract", Kind: wit.KindBoolean, DefaultValue: wit.Ptr("false"), Importance: wit.Medium,
		Documentation: "If true, an item becomes the whole value of its record. Otherwise the value keeps its other " +
			"fields, and the item stands in the place of the array."},
	{Name: "empty", Kind: wit.KindString, DefaultValue: wit.Ptr("drop"), Importance: wit.Medium,
		Documentation: "What becomes of a record whose array is empty, null or not there: " +
			"<code>drop</code> or <code>fail</code>."},
}

// split is Split: each item of an array becomes a record. Key, topic, headers and time are those of the record that it
// comes from.
type split struct {
	field       string
	extract     bool
	failOnEmpty bool
	programs    programs[*splitProgram]
}

// splitProgram is what Split comes to for a schema.
type splitProgram struct {
	failure        *failure
	member         int
	array, element uint32
	out            uint32
}

// maxSplit is how many bytes, rows counted, the parts of one record may come to.
const maxSplit = 32 << 20

// rowSize is what a row takes besides its data.
const rowSize = 100

func newSplit(s settings) (operation, *wit.Error) {
	o := &split{}
	if text, given := s.find("field"); given {
		o.field = setting.Trim(text)
	}
	var err *wit.Error
	if o.extract, err = s.boolean("extract", false); err != nil {
		return nil, err
	}
	if text, given := s.find("empty"); given {
		switch setting.Trim(text) {
		case "drop":
		case "fail":
			o.failOnEmpty = true
		default:
			return nil, invalid("empty", text, "String must be one of: drop, fail")
		}
	}
	return o, nil
}

func (o *split) compile(w *work, l *layout, stage int) *splitProgram {
	nodes, x := l.nodes, &splitProgram{}
	wrong := func(n *wit.SchemaNode) *splitProgram {
		x.failure = &failure{stage, dataException, "Only arrays can be split, found: " + javaClass(n)}
		return x
	}
	if o.field == "" {
		if nodes[0].Kind != wit.Array {
			return wrong(&nodes[0])
		}
		x.element = nodes[0].Element
		x.out = w.schemas.declare(graft(nil, nodes, x.element))
		return x
	}
	y := &w.object
	y.open(w, l, nil, 0)
	f := y.find(o.field)
	switch {
	case !l.isStruct():
		x.failure = onlyStruct(stage, "splitting", javaClass(&nodes[0]))
		return x
	case f == nil:
		x.failure = &failure{stage, dataException, "Field does not exist: " + o.field}
		return x
	}
	x.member, x.array = f.index, f.node
	if nodes[x.array].Kind != wit.Array {
		return wrong(&nodes[x.array])
	}
	x.element = nodes[x.array].Element
	if o.extract {
		x.out = w.schemas.declare(graft(nil, nodes, x.element))
		return x
	}
	f.node = x.element
	y.renew()
	x.out, x.failure = w.schemas.declareMade(y.nodes(), stage)
	return x
}

// splitParts are the values that a value is split into: each is prefix, item, suffix.
type splitParts struct {
	form           wit.Encoding
	schema         uint32
	prefix, suffix []byte
	items          [][]byte
	// nulls: what is empty is a value of no schema.
	nulls bool
}

// split takes the value of a view apart. ok is false where the row goes on as it is: a tombstone.
func (o *split) split(w *work, v *view, stage int) (p splitParts, ok bool, _ *failure, _ error) {
	c := &v.columns[valueSide]
	switch c.form {
	case wit.Absent:
		return p, false, nil, nil
	case wit.Schemaless:
		f := o.dynamic(w, c.bytes, stage, &p)
		return p, true, f, nil
	}
	l, err := w.layout(c.schema)
	if err != nil {
		return p, false, nil, err
	}
	x, _ := o.programs.of(&w.schemas, c.schema, func([]wit.SchemaNode) *splitProgram { return o.compile(w, l, stage) })
	null, start, good := l.null(c.bytes)
	switch {
	case !good:
		return p, false, broken(stage, 0), nil
	case null:
		return p, false, nil, nil
	case x.failure != nil:
		return p, false, x.failure, nil
	}
	p.form, p.schema = wit.WithSchema, x.out
	array := c.bytes[start:]
	if o.field != "" {
		y := &w.object
		if y.open(w, l, c.bytes, start); !y.load(stage) {
			return p, false, y.pending, nil
		}
		from, to := w.ends[x.member], w.ends[x.member+1]
		array = c.bytes[from:to]
		if !o.extract {
			p.prefix, p.suffix = c.bytes[start:from], c.bytes[to:]
		}
		null, size, good := connectdata.IsNull(&l.nodes[x.array], array)
		if !good {
			return p, false, broken(stage, x.member), nil
		}
		if null {
			return p, true, nil, nil
		}
		array = array[size:]
	}
	if p.items, good = arrayItems(l.nodes, x.element, array); !good {
		return p, false, broken(stage, x.member), nil
	}
	return p, true, nil, nil
}

// maxItems bounds the items of one array; each becomes a row.
const maxItems = maxSplit / rowSize

// arrayItems are those of an array, without its branch. Of more than maxItems only the first ones are there.
func arrayItems(nodes []wit.SchemaNode, element uint32, b []byte) (list [][]byte, ok bool) {
	for {
		n, k := connectdata.Number(b)
		if k <= 0 || n == -1<<63 {
			return nil, false
		}
		b = b[k:]
		if n < 0 {
			size, k := connectdata.Number(b)
			if k <= 0 || size < 0 {
				return nil, false
			}
			n, b = -n, b[k:]
		}
		if n == 0 {
			return list, len(b) == 0
		}
		for ; n > 0; n-- {
			if len(list) > maxItems {
				return list, true
			}
			size, err := connectdata.Skip(nodes, element, b)
			if err != nil {
				return nil, false
			}
			list, b = append(list, b[:size:size]), b[size:]
		}
	}
}

// dynamic is split for a value without schema.
func (o *split) dynamic(w *work, in []byte, stage int, p *splitParts) *failure {
	p.form, p.nulls = wit.Schemaless, true
	array := in
	if o.field != "" {
		if f := w.object.openMap(w, in, stage, "splitting"); f != nil {
			return f
		}
		at := w.object.find(o.field)
		if at == nil {
			return nil
		}
		if array = at.bytes; !o.extract {
			p.nulls = false
			from := cap(in) - cap(array) // it is a slice of in, up to the same end
			p.prefix, p.suffix = in[:from], in[from+len(array):]
		}
	}
	if array[0] == connectdata.TagNull {
		return nil
	}
	if array[0] != connectdata.TagArray {
		return &failure{stage, dataException, "Only arrays can be split, found: " + dynamicClasses[array[0]]}
	}
	n, k := connectdata.Number(array[1:])
	if k <= 0 {
		return brokenDynamic(stage)
	}
	for b := array[1+k:]; n > 0 && len(p.items) <= maxItems; n-- {
		size, err := connectdata.SkipSchemaless(b)
		if err != nil {
			return brokenDynamic(stage)
		}
		p.items, b = append(p.items, b[:size:size]), b[size:]
	}
	return nil
}

// through splits a row and sends its parts, one after another in the view, through what follows in the chain.
func (o *split) through(w *work, v *view, stage int, next func() (*failure, error)) (*failure, error) {
	p, ok, f, err := o.split(w, v, stage)
	switch {
	case f != nil || err != nil:
		return f, err
	case !ok:
		return next()
	case len(p.items) == 0 && o.failOnEmpty:
		return &failure{stage, dataException, "Nothing to split: the array " + strconv.Quote(o.field) +
			" is empty or null"}, nil
	}
	before, mark := *v, len(w.scratch)
	for _, item := range p.items {
		size := len(p.prefix) + len(item) + len(p.suffix)
		if w.spent += size + rowSize; w.spent > maxSplit {
			return &failure{stage, dataException, "the records that one is split into come to more than " +
				strconv.Itoa(maxSplit) + " bytes"}, nil
		}
		*v = before
		w.scratch = append(append(append(w.scratch[:mark], p.prefix...), item...), p.suffix...)
		if p.nulls && item[0] == connectdata.TagNull {
			v.columns[valueSide].set(wit.Absent, 0, nil)
		} else {
			v.columns[valueSide].set(p.form, p.schema, w.scratch[mark:])
		}
		if f, err := next(); f != nil || err != nil {
			return f, err
		}
	}
	return nil, nil
}
