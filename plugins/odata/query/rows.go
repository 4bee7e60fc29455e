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
	nodes       []wit.SchemaNode // the schema of rows
	checks      []check
	rewrite     *structRewrite // nil if rows are not rewritten
	approximate bool           // decimals are rounded, so the service may have compared other values
}

// check is a condition with its position in rows.
type check struct {
	*condition
	// trackedIndex is the index among the tracked columns, node the column's schema node, steps are field indexes below
	// it.
	trackedIndex int
	node         uint32
	steps        []int
}

// RowChecker compiles the query for rows decoded with these options. It returns nil if rows need no checks.
func (q *Query) RowChecker(model *edm.Model, options edm.Options) (*RowChecker, error) {
	if len(q.rowConditions) == 0 && len(q.expandedConditions) == 0 && !q.View.HidesNested() {
		return nil, nil
	}
	nodes, err := model.ReadSchema(q.View, options)
	if err != nil {
		return nil, err
	}
	checker := &RowChecker{query: q, nodes: nodes, approximate: options.Rounding != edm.RoundFail}
	for i := range q.expandedConditions {
		q.expandedConditions[i].setRowFormat(options)
	}
	for i := range q.rowConditions {
		compiled := &q.rowConditions[i]
		compiled.setRowFormat(options)
		column := fieldIndex(&nodes[0], compiled.path[0])
		rowCheck := check{condition: compiled, node: nodes[0].Fields[column].Node}
		rowCheck.steps = fieldIndexes(nodes, rowCheck.node, compiled.path[1:])
		if rowCheck.trackedIndex = slices.Index(checker.Tracked, column); rowCheck.trackedIndex < 0 {
			rowCheck.trackedIndex = len(checker.Tracked)
			checker.Tracked = append(checker.Tracked, column)
		}
		checker.checks = append(checker.checks, rowCheck)
	}
	if len(q.expandedConditions) > 0 || q.View.HidesNested() {
		checker.rewrite = checker.compileRewrite(q.View, 0, nil)
	}
	return checker, nil
}

func fieldIndex(node *wit.SchemaNode, name string) int {
	return slices.IndexFunc(node.Fields, func(field wit.Field) bool { return field.Name == name })
}

func fieldIndexes(nodes []wit.SchemaNode, node uint32, path []string) []int {
	var indexes []int
	for _, name := range path {
		index := fieldIndex(&nodes[node], name)
		indexes = append(indexes, index)
		node = nodes[node].Fields[index].Node
	}
	return indexes
}

// valueAt returns the schema node and the data of the value at a path. isNil means that it, or a value around it, is
// null.
func (r *RowChecker) valueAt(node uint32, data []byte, path []int) (_ uint32, _ []byte, isNil bool, err error) {
	for {
		isNull, size, ok := connectdata.IsNull(&r.nodes[node], data)
		switch {
		case !ok:
			return node, nil, false, &connectdata.Error{Message: "no branch of an optional value"}
		case isNull:
			return node, nil, true, nil
		case len(path) == 0:
			return node, data, false, nil
		}
		data = data[size:]
		members := r.nodes[node].Fields
		for _, member := range members[:path[0]] {
			size, err := connectdata.Skip(r.nodes, member.Node, data)
			if err != nil {
				return node, nil, false, err
			}
			data = data[size:]
		}
		node = members[path[0]].Node
		path = path[1:]
	}
}

// Check returns an error for a row that contradicts a condition, because a service that ignores $filter would fill a
// topic with unwanted rows. It accepts differences between services, such as case and blanks of texts. It skips
// rows for which isExempt, and conditions for whose setting isUnchecked returns true; nil skips none.
func (r *RowChecker) Check(out *decode.Output, isExempt func(row int) bool,
	isUnchecked func(setting string) bool) *wit.Error {
	if r == nil {
		return nil
	}
	checks := r.checks
	if isUnchecked != nil {
		checks = slices.DeleteFunc(slices.Clone(checks), func(c check) bool { return isUnchecked(c.setting) })
	}
	for i := range out.Rows {
		if len(checks) > 0 && isExempt != nil && isExempt(i) {
			continue
		}
		for index := range checks {
			if err := r.checkRow(out, i, &checks[index]); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkRow returns an error if a row contradicts a condition.
func (r *RowChecker) checkRow(out *decode.Output, row int, c *check) *wit.Error {
	span := out.Tracked[row*max(r.TrackedCount, len(r.Tracked))+c.trackedIndex]
	node, data, isNull, err := r.valueAt(c.node, out.Data[span.Start:span.Start+span.Size], c.steps)
	if err != nil {
		return &wit.Error{Kind: wit.ErrorInternal, Message: c.setting + ": " + err.Error()}
	}
	actual := rowText{isNull: isNull}
	if !isNull {
		if actual.text, _, err = value.Text(c.property.Type.Primitive, r.nodes, node, data); err != nil {
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

// structRewrite describes how to copy a struct without its hidden fields.
type structRewrite struct {
	fields []fieldRewrite
}

type fieldRewrite struct {
	node     uint32 // of the field
	isHidden bool   // not written
	// inner rewrites the value, or each item of an array. Nil means a plain copy.
	inner   *structRewrite
	isArray bool // of expanded rows
	// conditions apply to the items; paths are the field indexes of their values.
	conditions []*condition
	paths      [][]int
}

// compileRewrite returns the rewrite of a view at a schema node. path leads there from the row.
func (r *RowChecker) compileRewrite(view *edm.View, node uint32, path []string) *structRewrite {
	compiled := &structRewrite{}
	for _, field := range r.nodes[node].Fields {
		rewriteField := fieldRewrite{node: field.Node, isHidden: slices.Contains(view.Hidden, field.Name)}
		if e := view.Expansion(field.Name); e != nil {
			itemNode := field.Node
			if e.Many {
				rewriteField.isArray = true
				itemNode = r.nodes[field.Node].Element
			}
			steps := append(path[:len(path):len(path)], field.Name)
			for i := range r.query.expandedConditions {
				c := &r.query.expandedConditions[i]
				if slices.Equal(c.itemPath, steps) {
					rewriteField.conditions = append(rewriteField.conditions, c)
					rewriteField.paths = append(rewriteField.paths, fieldIndexes(r.nodes, itemNode, c.path))
				}
			}
			rewriteField.inner = r.compileRewrite(e.View, itemNode, steps)
			if len(rewriteField.conditions) == 0 && rewriteField.inner.isIdentity() {
				rewriteField.inner = nil
			}
		}
		compiled.fields = append(compiled.fields, rewriteField)
	}
	return compiled
}

func (r *structRewrite) isIdentity() bool {
	return !slices.ContainsFunc(r.fields, func(field fieldRewrite) bool { return field.isHidden || field.inner != nil })
}

// Rewrite removes expanded rows that do not meet their conditions and fields that were read for conditions only.
func (r *RowChecker) Rewrite(out *decode.Output) error {
	if r == nil || r.rewrite == nil {
		return nil
	}
	for i := range out.Rows {
		slice := &out.Rows[i].Value
		start := len(out.Data)
		data, _, err := r.writeStruct(out.Data, r.rewrite, out.Data[slice.Start:slice.Start+slice.Size])
		if err != nil {
			return err
		}
		out.Data = data
		slice.Start = uint32(start)
		slice.Size = uint32(len(data) - start)
	}
	return nil
}

// writeStruct appends a rewritten struct and returns how many bytes of data it read. data does not contain hidden
// fields of the row itself, because the decoder omits them.
func (r *RowChecker) writeStruct(dst []byte, rewrite *structRewrite, data []byte) (out []byte, size int, err error) {
	length := len(data)
	for i := range rewrite.fields {
		field := &rewrite.fields[i]
		if field.isHidden && rewrite == r.rewrite {
			continue
		}
		size, err := connectdata.Skip(r.nodes, field.node, data)
		if err != nil {
			return dst, 0, err
		}
		switch encoded := data[:size]; {
		case field.isHidden:
			// not copied
		case field.inner == nil:
			dst = append(dst, encoded...)
		case field.isArray:
			dst, err = r.writeItems(dst, field, encoded)
		default:
			isNull, branchSize, _ := connectdata.IsNull(&r.nodes[field.node], encoded)
			dst = append(dst, encoded[:branchSize]...)
			if !isNull {
				dst, _, err = r.writeStruct(dst, field.inner, encoded[branchSize:])
			}
		}
		if err != nil {
			return dst, 0, err
		}
		data = data[size:]
	}
	return dst, length - len(data), nil
}

// writeItems appends an array with the items that meet the field's conditions.
func (r *RowChecker) writeItems(dst []byte, field *fieldRewrite, data []byte) ([]byte, error) {
	element := r.nodes[field.node].Element
	var matching [][]byte
	for {
		count, size := connectdata.Number(data)
		if size <= 0 {
			return dst, &connectdata.Error{Message: "no count of an array"}
		}
		data = data[size:]
		if count == 0 {
			break
		}
		if count < 0 { // the size of the block follows the count
			count = -count
			_, size := connectdata.Number(data)
			data = data[max(size, 0):]
		}
		for ; count > 0; count-- {
			size, err := connectdata.Skip(r.nodes, element, data)
			if err != nil {
				return dst, err
			}
			meets, err := r.meetsConditions(field, element, data[:size])
			if err != nil {
				return dst, err
			}
			if meets {
				matching = append(matching, data[:size])
			}
			data = data[size:]
		}
	}
	if len(matching) > 0 {
		dst = connectdata.AppendNumber(dst, int64(len(matching)))
	}
	for _, item := range matching {
		var err error
		if dst, _, err = r.writeStruct(dst, field.inner, item); err != nil {
			return dst, err
		}
	}
	return append(dst, 0), nil
}

// meetsConditions reports whether an item meets the field's conditions, with one of the values that the service may
// compare.
func (r *RowChecker) meetsConditions(field *fieldRewrite, element uint32, item []byte) (bool, error) {
	for i, c := range field.conditions {
		node, data, isNull, err := r.valueAt(element, item, field.paths[i])
		if err != nil {
			return false, err
		}
		actual := rowText{isNull: isNull}
		if !isNull {
			if actual.text, _, err = value.Text(c.property.Type.Primitive, r.nodes, node, data); err != nil {
				return false, err
			}
		}
		if first, second := c.serviceValues(actual); !c.matches(first) && !c.matches(second) {
			return false, nil
		}
	}
	return true, nil
}
