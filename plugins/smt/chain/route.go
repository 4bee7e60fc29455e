package chain

import (
	"github.com/culvert-project/culvert/wit"
)

// route is what a chain comes to for the records of one topic.
type route struct {
	topic string
	// slow: all rows go the plain way.
	slow bool
	// live: the route holds for rows alone whose value is no null. That is what is known there of RecordIsTombstone.
	live bool
	// steps are those on values, and on the key that one of them makes.
	steps []step
	// stamp is what gives rows their topic after the steps; nil: topic is all.
	stamp *stampRouter

	programs programs[*program]
	// shape is what became of the last map without schema; misses counts shapes that did not come again.
	shape  *shape
	misses int
}

// add adds a stage; it is false where that has no place in the fast lane.
func (r *route) add(s *transformationStage, last bool) bool {
	switch when := s.condition.(type) {
	case nil:
	case tombstone:
		r.live = true
		if !s.negate {
			return true // it is for tombstones
		}
	case topicCondition:
		matches, unknown := when.matchesTopic(r.topic)
		if unknown != nil {
			return false
		}
		if matches == s.negate {
			return true
		}
	default:
		return false
	}
	switch o := s.operation.(type) {
	case topicOperation:
		topic, f := o.topicFor(r.topic, s.number)
		r.topic = topic
		return f == nil
	case *stampRouter:
		r.stamp = o
		return o.wrong == "" && last && s.condition == nil
	case fieldOperation:
		return r.step(s.number, o)
	}
	return false
}

// step adds an operation on fields: of values, or of the key that was made of one before.
func (r *route) step(stage int, o fieldOperation) bool {
	onKey := o.about().at == keySide
	if onKey {
		keyed := false
		for i := range r.steps {
			_, is := r.steps[i].operation.(*valueToKey)
			keyed = keyed || is
		}
		if !keyed {
			return false
		}
	}
	switch x := o.(type) {
	case *extract:
		if !onKey || len(x.path) != 1 {
			return false
		}
	case *headerFrom, *valueToKey:
		if onKey {
			return false
		}
	}
	r.steps = append(r.steps, step{stage, o, r.topic, onKey})
	return true
}

// study learns what becomes of a map in the fast lane.
func (r *route) study(m *entries, in []byte, row *wit.Row) {
	if r.misses >= maxMisses || !littleEndian || m.take(in, 0, "") != nil {
		return
	}
	m.lesson = &lesson{}
	for _, s := range r.steps {
		of := m
		if s.onKey {
			of = m.key
		}
		if of.whole || s.operation.schemaless(of, s, row) != nil {
			r.misses++
			return
		}
	}
	r.misses++
	if made := newShape(m, in, row); made != nil {
		r.shape = made
	}
}
