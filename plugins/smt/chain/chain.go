package chain

import (
	"slices"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/wit"
)

// transformationChain is the stages of a context.
type transformationChain struct {
	stages []transformationStage
	// routes are those of the topics that came by.
	routes map[routeKey]*route
	// headers are the conditions on headers.
	headers []*hasHeader
	// test is set when the chain is one predicate, for the contract's test.
	test condition
}

// routeKey tells routes apart: by the topic, and a bit for each condition on headers that matches.
type routeKey struct {
	topic   string
	headers uint64
}

// route is what a chain does to the records of one topic for which its conditions on headers have the same answers.
type route struct {
	topic string
	// slow: all rows go the plain way. drops: none goes out.
	slow, drops bool
	// live: the route holds only for rows whose value is not null, which is what it knows of RecordIsTombstone.
	live bool
	// stages are those on fields, of values and of the key that one of them makes, and [insertHeader]; after them come
	// those that hoist the value.
	stages, hoists []*transformationStage
	topics         []string // of the stages
	// stamp gives rows their topic after the stages, nil if topic is all.
	stamp *stampRouter

	programs programs[*program]
	// shape is the program of the last map; misses counts shapes that did not come again.
	shape  *program
	misses int
}

// newChain makes the stages that prepare was given.
func newChain(list []wit.Stage) (*transformationChain, *wit.Error) {
	c := &transformationChain{routes: map[routeKey]*route{}}
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
		if h, is := condition.(*hasHeader); is {
			c.headers = append(c.headers, h)
		}
	}
	return c, nil
}

func newStage(of *wit.Stage) (operation, condition, *wit.Error) {
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

// answers are those of the conditions on headers for a row, a bit each.
func (c *transformationChain) answers(row *wit.Row, data []byte) (bits uint64) {
	if len(c.headers) == 0 || row.Headers.Encoding != wit.Raw {
		return 0
	}
	block := data[row.Headers.Start:][:row.Headers.Size]
	for i, h := range c.headers {
		if h.in(block) {
			bits |= 1 << i
		}
	}
	return bits
}

// route returns the route of a topic and of answers. The topic may be in memory that is used again.
func (c *transformationChain) route(topic string, answers uint64) *route {
	r := c.routes[routeKey{topic, answers}]
	if r == nil {
		topic = strings.Clone(topic)
		r = &route{topic: topic, slow: len(c.headers) > 64}
		for i := 0; i < len(c.stages) && !r.slow && !r.drops; i++ {
			r.slow = !r.add(&c.stages[i], i == len(c.stages)-1, c, answers)
		}
		if len(c.routes) >= maxCached {
			clear(c.routes)
		}
		c.routes[routeKey{topic, answers}] = r
	}
	return r
}

// add adds a stage; it is false if that has no place in the fast lane.
func (r *route) add(s *transformationStage, last bool, c *transformationChain, answers uint64) bool {
	switch when := s.condition.(type) {
	case nil:
	case tombstone:
		if slices.ContainsFunc(r.stages, (*transformationStage).extractsValue) {
			return false // the extracted field may be null in some rows only
		}
		r.live = true
		if !s.negate {
			return true // it is for tombstones
		}
	case *hasHeader:
		if answers>>slices.Index(c.headers, when)&1 == 0 != s.negate {
			return true
		}
	case topicCondition:
		matches, unknown := when.matchesTopic(r.topic)
		if unknown != nil {
			return false
		}
		if matches == s.negate {
			return true
		}
	}
	switch o := s.operation.(type) {
	case filter:
		r.drops = true
		return len(r.stages)+len(r.hoists) == 0 // a stage before may fail the row
	case topicOperation:
		topic, f := o.topicFor(r.topic, s.number)
		r.topic = topic
		return f == nil
	case *stampRouter:
		r.stamp = o
		return o.wrong == nil && last && s.condition == nil
	case *hoist:
		r.hoists = append(r.hoists, s)
		return o.at == valueSide
	case *insertHeader, *headerFrom:
		if len(c.headers) > 0 { // the conditions on headers are asked before all stages
			return false
		}
	case *dropHeaders:
		return false
	}
	r.stages, r.topics = append(r.stages, s), append(r.topics, r.topic)
	return len(r.hoists) == 0
}

// extractsValue reports whether the stage replaces the value by one of its fields.
func (s *transformationStage) extractsValue() bool {
	o, is := s.operation.(*extract)
	return is && o.at == valueSide
}

// unfit is the failure of a row that cannot be traced. No row fails by it.
var unfit = &failure{0, dataException, "the kernel cannot do this"}

// trace sends a row's value through the stages and makes the program of that, if it can.
func (r *route) trace(w *work, p *program, row *wit.Row, data []byte) {
	x := &object{}
	in := data[row.Value.Start:][:row.Value.Size]
	if row.Value.Encoding == wit.WithSchema {
		l, err := w.layout(row.Value.Schema)
		if err != nil || !l.isStruct() {
			return
		}
		if null, start, ok := l.null(in); ok && !null {
			x.open(w, l, in, start)
		} else {
			return
		}
	} else if class, bad := x.readMap(w, in); class != "" || bad {
		return
	}
	x.trace = &trace{}
	for i, s := range r.stages {
		if f := x.step(w, s, step{s.number, r.topics[i], row}); f != nil {
			return
		}
	}
	if !x.isMap && !x.untouched() {
		x.load(0)
	}
	if x.pending != nil || x.key != nil && x.key.pending != nil {
		return
	}
	schemas := &results{}
	if !x.isMap {
		if x.root.DefaultValue != nil && !x.stays { // whose own way through the stages is the plain one's
			return
		}
		if schemas = x.results(&w.schemas, 0, nil); schemas.failure != nil {
			return
		}
	}
	for _, s := range r.hoists {
		out, ok := s.operation.(*hoist).relabel(w, schemas.value, s.number)
		if !ok || x.isMap {
			return
		}
		schemas.value = out
	}
	x.compile(p, schemas, row)
}

// step does a stage to an object that is traced, or to the key that was made of it.
func (x *object) step(w *work, s *transformationStage, at step) *failure {
	if o, is := s.operation.(*insertHeader); is {
		x.headers = append(x.headers, header{bytes: o.header(&w.schemas)})
		return nil
	}
	on := x
	side := func(at side) bool {
		if at == keySide {
			on = x.key
		}
		return on != nil && !on.whole
	}
	if o, is := s.operation.(fieldOperation); is {
		_, keys := o.(*valueToKey)
		_, heads := o.(*headerFrom)
		if !side(o.about().at) || o.about().whole || on == x.key && heads || keys && x.key != nil {
			return unfit
		}
		return o.apply(on, at)
	}
	return unfit
}
