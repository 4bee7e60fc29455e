package query

import (
	"slices"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/decode"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/value"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// RowChecker checks decoded rows against the conditions in $filter, and applies the conditions on expanded rows.
type RowChecker struct {
	// Tracked are the columns that the row schema must track for [RowChecker.Check].
	Tracked []int
	// TrackedCount is the number of columns that the row schema tracks, or zero if it tracks only these.
	TrackedCount int

	query       *Query
	nodes       []wit.SchemaNode
	checks      []check
	rewrite     *rewrite
	approximate bool // decimals are rounded, so the service may have compared other values
}

// check is a condition with its position in rows.
type check struct {
	*condition
	// tracked is the index among the tracked columns, node the column's schema node, steps are field indexes below it.
	tracked int
	node    uint32
	steps   []int
}

// RowChecker compiles the query for rows under these options. It returns nil if rows need no checks.
func (q *Query) RowChecker(m *edm.Model, options edm.Options) (*RowChecker, error) {
	if len(q.rowConditions) == 0 && len(q.expandedConditions) == 0 && !q.View.HidesNested() {
		return nil, nil
	}
	nodes, err := m.ReadSchema(q.View, options)
	if err != nil {
		return nil, err
	}
	r := &RowChecker{query: q, nodes: nodes, approximate: options.Rounding != edm.RoundFail}
	for i := range q.expandedConditions {
		q.expandedConditions[i].setRowFormat(options)
	}
	for i := range q.rowConditions {
		c := &q.rowConditions[i]
		c.setRowFormat(options)
		column := fieldIndex(&nodes[0], c.path[0])
		k := check{condition: c, node: nodes[0].Fields[column].Node}
		k.steps = fieldIndexes(nodes, k.node, c.path[1:])
		if k.tracked = slices.Index(r.Tracked, column); k.tracked < 0 {
			k.tracked = len(r.Tracked)
			r.Tracked = append(r.Tracked, column)
		}
		r.checks = append(r.checks, k)
	}
	if len(q.expandedConditions) > 0 || q.View.HidesNested() {
		r.rewrite = r.compile(q.View, 0, nil)
	}
	return r, nil
}

func fieldIndex(n *wit.SchemaNode, name string) int {
	return slices.IndexFunc(n.Fields, func(m wit.Field) bool { return m.Name == name })
}

func fieldIndexes(nodes []wit.SchemaNode, node uint32, path []string) []int {
	var out []int
	for _, name := range path {
		i := fieldIndex(&nodes[node], name)
		out = append(out, i)
		node = nodes[node].Fields[i].Node
	}
	return out
}

// value returns a nested value. null means that the value or one around it is null.
func (r *RowChecker) value(node uint32, b []byte, path []int) (n uint32, inside []byte, null bool, err error) {
	for {
		isNull, size, ok := connectdata.IsNull(&r.nodes[node], b)
		switch {
		case !ok:
			return node, nil, false, &connectdata.Error{Message: "no branch of an optional value"}
		case isNull:
			return node, nil, true, nil
		case len(path) == 0:
			return node, b, false, nil
		}
		b = b[size:]
		members := r.nodes[node].Fields
		for _, m := range members[:path[0]] {
			size, err := connectdata.Skip(r.nodes, m.Node, b)
			if err != nil {
				return node, nil, false, err
			}
			b = b[size:]
		}
		node = members[path[0]].Node
		path = path[1:]
	}
}

// Check returns an error for a row that contradicts a condition, because a service that ignores $filter would fill a
// topic with unwanted rows. It accepts differences between services, such as case and blanks of texts. Rows for which
// except, if not nil, returns true are not checked.
func (r *RowChecker) Check(out *decode.Output, except func(row int) bool) *wit.Error {
	if r == nil {
		return nil
	}
	for i := range out.Rows {
		if len(r.checks) > 0 && except != nil && except(i) {
			continue
		}
		for k := range r.checks {
			if err := r.checkRow(out, i, &r.checks[k]); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkRow returns an error if a row contradicts a condition.
func (r *RowChecker) checkRow(out *decode.Output, row int, c *check) *wit.Error {
	span := out.Tracked[row*max(r.TrackedCount, len(r.Tracked))+c.tracked]
	node, b, null, err := r.value(c.node, out.Data[span.Start:span.Start+span.Size], c.steps)
	if err != nil {
		return &wit.Error{Kind: wit.ErrorInternal, Message: c.setting + ": " + err.Error()}
	}
	actual := rowText{null: null}
	if !null {
		if actual.text, _, err = value.Text(c.property.Type.Primitive, r.nodes, node, b); err != nil {
			return nil // the decoder has accepted the value
		}
	}
	first, second := c.serviceValues(actual)
	if !c.contradicts(first, r.approximate) || !c.contradicts(second, r.approximate) {
		return nil
	}
	return &wit.Error{Kind: wit.ErrorData, Setting: &c.setting,
		Message: "row " + strconv.Itoa(int(out.Rows[row].RowIndex)) + " of the page: " + strings.Join(c.path, "/") +
			" is " + first.String() + ", but " + c.setting + " requires " + c.describe() +
			": the service accepts $filter but ignores it"}
}

// rewrite copies a struct without its hidden fields.
type rewrite struct {
	fields []fieldRewrite
}

type fieldRewrite struct {
	node   uint32
	hidden bool // not written
	// inner rewrites the value, or each item if many. Nil means a plain copy.
	inner *rewrite
	many  bool
	// conditions apply to the items; paths are the field indexes of their values.
	conditions []*condition
	paths      [][]int
}

// compile returns the rewrite of a view at a schema node.
func (r *RowChecker) compile(v *edm.View, node uint32, path []string) *rewrite {
	w := &rewrite{}
	for _, m := range r.nodes[node].Fields {
		out := fieldRewrite{node: m.Node, hidden: slices.Contains(v.Hidden, m.Name)}
		if expansion := v.Expansion(m.Name); expansion != nil {
			inside := m.Node
			if expansion.Many {
				out.many = true
				inside = r.nodes[m.Node].Element
			}
			steps := append(path[:len(path):len(path)], m.Name)
			for i := range r.query.expandedConditions {
				if c := &r.query.expandedConditions[i]; strings.Join(c.many, "/") == strings.Join(steps, "/") {
					out.conditions = append(out.conditions, c)
					out.paths = append(out.paths, fieldIndexes(r.nodes, inside, c.path))
				}
			}
			out.inner = r.compile(expansion.View, inside, steps)
			if len(out.conditions) == 0 && out.inner.isIdentity() {
				out.inner = nil
			}
		}
		w.fields = append(w.fields, out)
	}
	return w
}

func (r *rewrite) isIdentity() bool {
	return !slices.ContainsFunc(r.fields, func(m fieldRewrite) bool { return m.hidden || m.inner != nil })
}

// Rewrite removes expanded rows that do not meet their conditions and fields that were read for conditions only.
func (r *RowChecker) Rewrite(out *decode.Output) error {
	if r == nil || r.rewrite == nil {
		return nil
	}
	for i := range out.Rows {
		d := &out.Rows[i].Value
		start := len(out.Data)
		data, _, err := r.write(out.Data, r.rewrite, out.Data[d.Start:d.Start+d.Size])
		if err != nil {
			return err
		}
		out.Data = data
		d.Start = uint32(start)
		d.Size = uint32(len(data) - start)
	}
	return nil
}

// write writes a struct and returns how many bytes of b it read. b does not contain hidden fields of the row itself.
func (r *RowChecker) write(dst []byte, w *rewrite, b []byte) (out []byte, size int, err error) {
	length := len(b)
	for i := range w.fields {
		field := &w.fields[i]
		if field.hidden && w == r.rewrite {
			continue
		}
		size, err := connectdata.Skip(r.nodes, field.node, b)
		if err != nil {
			return dst, 0, err
		}
		switch value := b[:size]; {
		case field.hidden:
			// not copied
		case field.inner == nil:
			dst = append(dst, value...)
		case field.many:
			dst, err = r.items(dst, field, value)
		default:
			null, branch, _ := connectdata.IsNull(&r.nodes[field.node], value)
			dst = append(dst, value[:branch]...)
			if !null {
				dst, _, err = r.write(dst, field.inner, value[branch:])
			}
		}
		if err != nil {
			return dst, 0, err
		}
		b = b[size:]
	}
	return dst, length - len(b), nil
}

// items writes the items of an array that meet the field's conditions.
func (r *RowChecker) items(dst []byte, field *fieldRewrite, b []byte) ([]byte, error) {
	element := r.nodes[field.node].Element
	var matching [][]byte
	for {
		count, size := connectdata.Number(b)
		if size <= 0 {
			return dst, &connectdata.Error{Message: "no count of an array"}
		}
		b = b[size:]
		if count == 0 {
			break
		}
		if count < 0 { // the size of the block follows the count
			count = -count
			_, size := connectdata.Number(b)
			b = b[max(size, 0):]
		}
		for ; count > 0; count-- {
			size, err := connectdata.Skip(r.nodes, element, b)
			if err != nil {
				return dst, err
			}
			meets, err := r.meets(field, element, b[:size])
			if err != nil {
				return dst, err
			}
			if meets {
				matching = append(matching, b[:size])
			}
			b = b[size:]
		}
	}
	if len(matching) > 0 {
		dst = connectdata.AppendNumber(dst, int64(len(matching)))
	}
	for _, item := range matching {
		var err error
		if dst, _, err = r.write(dst, field.inner, item); err != nil {
			return dst, err
		}
	}
	return append(dst, 0), nil
}

// meets reports whether an item meets the field's conditions, with one of the values that the service may compare.
func (r *RowChecker) meets(m *fieldRewrite, element uint32, item []byte) (bool, error) {
	for i, condition := range m.conditions {
		node, b, null, err := r.value(element, item, m.paths[i])
		if err != nil {
			return false, err
		}
		actual := rowText{null: null}
		if !null {
			if actual.text, _, err = value.Text(condition.property.Type.Primitive, r.nodes, node, b); err != nil {
				return false, err
			}
		}
		if first, second := condition.serviceValues(actual); !condition.matches(first) && !condition.matches(second) {
			return false, nil
		}
	}
	return true, nil
}
