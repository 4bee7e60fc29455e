package chain

import (
	"slices"

	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/datum"
)

var valueToKeySpecs = []wit.SettingSpec{
	needsList("fields", "Field names on the record value to extract as the record key."),
	replaceNullSpec,
}

// valueToKey is ValueToKey: the key becomes a structure, or a map, of fields of the value.
type valueToKey struct {
	fields      []string
	replaceNull bool
	programs    programs[*program]
}

const valueToKeyPurpose = "copying fields from value to key"

func newValueToKey(s settings) (operation, *wit.Fault) {
	fields, err := s.distinct("fields")
	if err != nil {
		return nil, err
	}
	o := &valueToKey{fields: fields}
	o.replaceNull, err = s.boolean(replaceNullSpec.Name)
	return o, err
}

// distinct reads a list that has to have items, none of them empty.
func (s settings) distinct(name string) ([]string, *wit.Fault) {
	if _, err := s.needed(name); err != nil {
		return nil, err
	}
	list, err := s.items(name)
	if err == nil && len(list) == 0 {
		return nil, fail(name, "Configuration '"+name+"' must not be empty. Valid values include: any non-empty value")
	}
	return list, err
}

// items reads a list that may have none, none of them empty and none twice, as Kafka's validation of a connector does.
func (s settings) items(name string) ([]string, *wit.Fault) {
	list := s.list(name)
	if len(slices.Compact(slices.Sorted(slices.Values(list)))) < len(list) {
		return nil, fail(name, "Configuration '"+name+"' values must not be duplicated.")
	}
	if slices.Contains(list, "") {
		return nil, fail(name, "Configuration '"+name+"' values must not be empty.")
	}
	return list, nil
}

func (o *valueToKey) route(r *route, stage int) {
	r.add(valueSide, stage, o)
	r.keyed = true
}

func (o *valueToKey) purpose() string { return valueToKeyPurpose }

// layout makes the key of fields of the value.
func (o *valueToKey) layout(l *structDraft, _ step) *failure {
	if l.key != nil {
		return byPhases
	}
	l.key = &structDraft{edited: l.edited}
	for _, name := range o.fields {
		at := slices.IndexFunc(l.fields, func(f field) bool { return f.name == name })
		if at < 0 {
			return byPhases // and all rows fail there
		}
		l.fields[at].shared = l.fields[at].edited > 0
		l.key.fields = append(l.key.fields, l.fields[at])
	}
	if o.replaceNull {
		l.key.replaceNulls()
	}
	return nil
}

// schemaless makes the key of entries of the value; one that is not there becomes a null.
func (o *valueToKey) schemaless(m *entries, _ step, _ *wit.Row) *failure {
	if m.key != nil {
		return byPhases
	}
	m.key = &entries{lesson: m.lesson, changed: true}
	for _, name := range o.fields {
		made := entry{value: []byte{datum.TagNull}, valueAt: -1}
		if x := m.find(name); x != nil {
			if made = *x; made.edited > 0 {
				x.shared, made.shared = true, true
			}
		}
		m.key.put(name, made)
	}
	return nil
}

func (o *valueToKey) compile(e *Engine, nodes []wit.Node, stage int) *program {
	p, l := beginProgram(nodes)
	e.room(p)
	if l == nil {
		p.failure = onlyStruct(stage, valueToKeyPurpose, javaClass(&nodes[0]))
		return p
	}
	if o.replaceNull {
		l.replaceNulls()
	}
	key := &structDraft{}
	for _, name := range o.fields {
		at := slices.IndexFunc(l.fields, func(f field) bool { return f.name == name })
		if at < 0 {
			p.failure = &failure{stage, dataException, "Field does not exist: " + name}
			return p
		}
		key.fields = append(key.fields, l.fields[at])
	}
	p.finish(key, wit.Node{Kind: wit.Structure}, stage, e.declare)
	return p
}

func (o *valueToKey) apply(e *Engine, v *view, stage int) (*failure, error) {
	key, value := &v.columns[keySide], &v.columns[valueSide]
	from := len(e.scratch)
	switch value.form {
	case wit.Absent:
		return onlyMap(stage, valueToKeyPurpose, "null"), nil
	case wit.Dynamic:
		if f := e.entries.take(value.bytes, stage, valueToKeyPurpose); f != nil {
			return f, nil
		}
		e.scratch = datum.AppendNumber(append(e.scratch, datum.TagMap), int64(len(o.fields)))
		for _, name := range o.fields { // as schemaless does, without the entries
			e.scratch = datum.AppendText(append(e.scratch, datum.TagText), name)
			if x := e.entries.find(name); x != nil {
				e.scratch = append(e.scratch, x.value...)
			} else {
				e.scratch = append(e.scratch, datum.TagNull)
			}
		}
		key.set(wit.Dynamic, 0, e.scratch[from:], -1)
		return nil, nil
	}
	p, err := o.programs.of(e, value.schema, func(nodes []wit.Node) *program { return o.compile(e, nodes, stage) })
	if err != nil {
		return nil, err
	}
	if f := e.members(p, value.bytes, stage, valueToKeyPurpose); f != nil {
		return f, nil
	}
	e.scratch = p.write(e.scratch, e.ends, value.bytes, v.row)
	key.set(wit.Structured, p.out, e.scratch[from:], -1)
	return nil, nil
}
