package chain

import (
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/wit"
)

// transformationChain is the stages of a context.
type transformationChain struct {
	stages []transformationStage
	// routes are those of the topics that came by.
	routes map[string]*route
	// test is set when the chain is one predicate, for the contract's test.
	test condition
}

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

// newChain makes the stages that prepare was given.
func newChain(list []wit.Stage) (*transformationChain, *wit.Fault) {
	c := &transformationChain{routes: map[string]*route{}}
	if len(list) == 1 {
		if k := componentOf(list[0].Component); k != nil && k.kind == wit.ComponentPredicate {
			test, err := k.predicate(settings{list[0].Settings})
			c.test = test
			return c, err
		}
	}
	for i := range list {
		operation, condition, err := newStage(&list[i])
		if err != nil {
			err.Message = "stage " + strconv.Itoa(i) + ", " + list[i].Component + ": " + err.Message
			return nil, err
		}
		given := list[i].Condition
		c.stages = append(c.stages, transformationStage{number: i, operation: operation, condition: condition,
			negate: given != nil && given.Negate})
	}
	return c, nil
}

func newStage(of *wit.Stage) (operation, condition, *wit.Fault) {
	k := componentOf(of.Component)
	if k == nil || k.transform == nil {
		return nil, nil, fail("", "expected a transform of this plugin")
	}
	made, err := k.transform(settings{of.Settings})
	if err != nil || of.Condition == nil {
		return made, nil, err
	}
	k = componentOf(of.Condition.Component)
	if k == nil || k.predicate == nil {
		return nil, nil, fail("", "expected a predicate of this plugin as the condition, found "+
			strconv.Quote(of.Condition.Component))
	}
	when, err := k.predicate(settings{of.Condition.Settings})
	return made, when, err
}

// route returns the topic's route. The name may lie in memory that is used again.
func (c *transformationChain) route(topic string) *route {
	r := c.routes[topic]
	if r == nil {
		topic = strings.Clone(topic)
		r = &route{topic: topic}
		for i := range c.stages {
			if r.slow = r.slow || !r.add(&c.stages[i], i == len(c.stages)-1); r.slow {
				break
			}
		}
		if len(c.routes) >= maxCached {
			clear(c.routes)
		}
		c.routes[topic] = r
	}
	return r
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
		return o.wrong == nil && last && s.condition == nil
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
