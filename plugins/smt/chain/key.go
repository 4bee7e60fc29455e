package chain

import (
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/datum"
)

var valueToKeySpecs = []wit.SettingSpec{
	needsList("fields", "Field names on the record value to extract as the record key."),
	replaceNullSpec,
}

// valueToKey is ValueToKey: the key becomes a structure, or a map, of fields of the value.
type valueToKey struct {
	target
	fields []string
}

func newValueToKey(s settings) (operation, *wit.Fault) {
	fields, err := s.distinct("fields")
	if err != nil {
		return nil, err
	}
	o := &valueToKey{fields: fields}
	o.target = target{at: valueSide, purpose: "copying fields from value to key", needed: true, keeps: true}
	return o, o.configure(s)
}

// layout makes the key of fields of the value.
func (o *valueToKey) layout(l *structDraft, s step) *failure {
	if l.key != nil {
		return unfit
	}
	l.key = &structDraft{root: wit.Node{Kind: wit.Structure}, edited: l.edited}
	for _, name := range o.fields {
		at := l.find(name)
		if at < 0 {
			return &failure{s.stage, dataException, "Field does not exist: " + name}
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
		return unfit
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
