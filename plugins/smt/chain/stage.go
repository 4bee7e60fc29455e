package chain

import (
	"strings"

	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/datum"
)

// transformationStage is a transform with its condition.
type transformationStage struct {
	number    int
	operation operation
	condition condition // nil: always
	negate    bool
	// programs are those of a [fieldOperation], by topic where that is part of them.
	programs map[string]*programs[*program]
}

// applies tells whether a stage is for the row at work.
func (s *transformationStage) applies(w *work, v *view) (bool, *failure, error) {
	if s.condition == nil {
		return true, nil, nil
	}
	matches, err := s.condition.matches(v, w)
	if unknown, is := err.(*unmatched); is {
		return false, unknown.at(s.number), nil
	}
	return matches != s.negate, nil, err
}

// apply does a stage to the row at work.
func (s *transformationStage) apply(w *work, v *view) (*failure, error) {
	if o, ok := s.operation.(rowOperation); ok {
		w.closeMap()
		return o.apply(w, v, s.number)
	}
	return s.applyFields(w, s.operation.(fieldOperation), v)
}

// applyFields does a stage on fields to the row at work.
func (s *transformationStage) applyFields(w *work, o fieldOperation, v *view) (*failure, error) {
	about := o.about()
	c := &v.columns[about.at]
	switch {
	case c.form == wit.Absent && about.needed:
		return onlyMap(s.number, about.purpose, "null"), nil
	case c.form == wit.Absent:
		return nil, nil
	case c.form == wit.Dynamic:
		return s.applyEntries(w, o, v), nil
	}
	w.closeMap()
	p, err := s.program(w, o, v.topic, c.schema)
	if err != nil {
		return nil, err
	}
	return p.apply(w, v, c, s.number), nil
}

// program is what a stage on fields comes to for a topic and a schema.
func (s *transformationStage) program(w *work, o fieldOperation, topic string, schema uint32) (*program, error) {
	if !o.about().topical {
		topic = ""
	}
	list := s.programs[topic]
	if list == nil {
		if s.programs == nil || len(s.programs) >= maxCached {
			s.programs = map[string]*programs[*program]{}
		}
		topic = strings.Clone(topic)
		list = &programs[*program]{}
		s.programs[topic] = list
	}
	return list.of(&w.schemas, schema, func(nodes []wit.Node) *program {
		return newProgram(&w.schemas, []step{{s.number, o, topic, false}}, schema, nodes)
	})
}

// applyEntries does a stage on fields to a column without schema. The map stays open for further stages on fields.
func (s *transformationStage) applyEntries(w *work, o fieldOperation, v *view) *failure {
	m, about := &w.entries, o.about()
	c := &v.columns[about.at]
	if w.open != c {
		w.closeMap()
		if f := m.take(c.bytes, s.number, about.purpose); f != nil {
			return f
		}
		w.open = c
	}
	if f := o.schemaless(m, step{s.number, o, v.topic, false}, v.row); f != nil {
		return f
	}
	if !about.keeps {
		c.class = "" // Kafka's transforms make a new map, even of the same entries
	}
	if m.key != nil {
		from := len(w.scratch)
		w.scratch = m.key.write(w.scratch)
		v.columns[keySide].set(wit.Dynamic, 0, w.scratch[from:])
		m.key = nil
	}
	if len(m.headers) == 0 {
		return nil
	}
	f := w.addHeaders(v, len(m.headers), s.number, func(dst []byte) ([]byte, *failure) {
		for i := range m.headers {
			h := &m.headers[i]
			dst = append(datum.AppendText(dst, h.name), byte(wit.Dynamic), 0)
			dst = datum.AppendBytes(dst, h.entry.value)
		}
		return dst, nil
	})
	m.headers = m.headers[:0]
	return f
}
