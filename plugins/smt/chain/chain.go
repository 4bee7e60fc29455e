package chain

import (
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/wit"
)

// chain is the stages of a context.
type chain struct {
	stages []stage
	// routes are those of the topics that came by.
	routes map[string]*route
	// test is set when the chain is one predicate, for the contract's test.
	test condition
}

// stage is a transform with its condition.
type stage struct {
	number    int
	operation operation
	condition condition // nil: always
	negate    bool
	// programs are those of a [fieldOperation], by topic where that is part of them.
	programs map[string]*programs[*program]
}

// condition is a predicate.
type condition interface {
	// matches tells whether the row at work is one of those. An *unmatched is that row's failure, another error the
	// call's.
	matches(v *view, e *Engine) (bool, error)
}

// topicCondition is a predicate that asks the topic alone: in the fast lane it is asked once for each topic.
type topicCondition interface {
	condition
	matchesTopic(topic string) (bool, *unmatched)
}

// operation is what a transform does: a [rowOperation], a [fieldOperation], or both.
type operation any

// rowOperation works on the view of one row: on several columns, or by what the row holds.
type rowOperation interface {
	// apply changes the view. What it writes goes after e.scratch. The error is of the call, not of the row.
	apply(e *Engine, v *view, stage int) (*failure, error)
}

// topicOperation is a rowOperation that changes the topic alone, by the topic alone.
type topicOperation interface {
	rowOperation
	// route returns the topic that becomes of one.
	route(topic string, stage int) (string, *failure)
}

// fieldOperation works on the fields of a key or value, as a step of a program. One that is a rowOperation as well is
// that on the plain way.
type fieldOperation interface {
	about() *target
	// layout changes the fields of a structure.
	layout(l *structDraft, s step) *failure
	// schemaless changes the entries of a map.
	schemaless(m *entries, s step, row *wit.Row) *failure
}

// target is what all operations on fields have.
type target struct {
	at side
	// purpose names the operation in messages.
	purpose string
	// needed: it takes no null in the place of a structure or map.
	needed bool
	// keeps: the structure or map stays the one that it is.
	keeps bool
	// topical: programs have the topic in them.
	topical bool
	// replaceNull: a null is its field's default, where that has one.
	replaceNull bool
}

func (t *target) about() *target { return t }

// configure reads the setting that all have.
func (t *target) configure(s settings) (err *wit.Fault) {
	t.replaceNull, err = s.boolean(replaceNullSpec.Name)
	return err
}

// failure is what a row fails by.
type failure struct {
	stage       int
	class, text string
}

// newChain makes the stages that prepare was given.
func newChain(list []wit.Stage) (*chain, *wit.Fault) {
	c := &chain{routes: map[string]*route{}}
	if len(list) == 1 {
		if k := find(list[0].Component); k != nil && k.kind == wit.ComponentPredicate {
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
		c.stages = append(c.stages, stage{number: i, operation: operation, condition: condition,
			negate: given != nil && given.Negate})
	}
	return c, nil
}

func newStage(of *wit.Stage) (operation, condition, *wit.Fault) {
	k := find(of.Component)
	if k == nil || k.transform == nil {
		return nil, nil, fail("", "expected a transform of this plugin")
	}
	made, err := k.transform(settings{of.Settings})
	if err != nil || of.Condition == nil {
		return made, nil, err
	}
	k = find(of.Condition.Component)
	if k == nil || k.predicate == nil {
		return nil, nil, fail("", "expected a predicate of this plugin as the condition, found "+
			strconv.Quote(of.Condition.Component))
	}
	when, err := k.predicate(settings{of.Condition.Settings})
	return made, when, err
}

// applies tells whether a stage is for the row at work.
func (s *stage) applies(e *Engine, v *view) (bool, *failure, error) {
	if s.condition == nil {
		return true, nil, nil
	}
	matches, err := s.condition.matches(v, e)
	if unknown, is := err.(*unmatched); is {
		return false, unknown.at(s.number), nil
	}
	return matches != s.negate, nil, err
}

// program is what a stage on fields comes to for a topic and a schema.
func (s *stage) program(e *Engine, o fieldOperation, topic string, schema uint32) (*program, error) {
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
	return list.of(e, schema, func(nodes []wit.Node) *program {
		return newProgram(&e.schemas, []step{{s.number, o, topic, false}}, schema, nodes)
	})
}

// apply does a stage to the row at work.
func (s *stage) apply(e *Engine, v *view) (*failure, error) {
	if o, ok := s.operation.(rowOperation); ok {
		e.closeMap()
		return o.apply(e, v, s.number)
	}
	return e.applyFields(s, s.operation.(fieldOperation), v)
}
