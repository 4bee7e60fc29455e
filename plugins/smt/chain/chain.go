package chain

import (
	"reflect"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/datum"
)

// chain is the stages of a context, with what was compiled for the topics and schemas that came by.
type chain struct {
	phases []phase
	// joined is the whole chain as one fused phase, for rows that are alike, where its phases are fused stages and
	// masks; nil: there is none. Rows that differ, and all that fail, go by phases.
	joined *phase
	// live: joined holds for rows alone whose value is no null. That is what is known there of RecordIsTombstone.
	live bool
	// stamp is what gives rows their topic behind joined, where it is the chain's last phase; nil: joined is all.
	stamp *stampRouter
	// test is set when the chain is one predicate, for the contract's test.
	test condition
}

// phase is a part of a chain that a row goes through as one: stages that are fused into plans, or one operation on the
// row.
type phase struct {
	// condition is asked for each row, nil: every row goes through.
	condition condition
	negate    bool
	// given is the condition as prepare was given it: stages with the same one may be fused.
	given *wit.Condition
	// operation, at its place in the chain; nil: the stages below.
	operation rowOperation
	number    int

	stages []stage
	routes map[string]*route
	// readsAll: no member of a structure is left unread, because by phases all are.
	readsAll bool
	// last is the route of the last row, lastTopic the topic that it came with.
	last      *route
	lastTopic string
}

// stage is a transform of a fused phase, with its condition where that asks the topic alone.
type stage struct {
	number    int
	operation operation
	condition topicCondition // nil: always
	negate    bool
}

// condition is a predicate.
type condition interface {
	// matches tells whether the row at work is one of those. An *unmatched is that row's failure, another error the
	// call's.
	matches(v *view, e *Engine) (bool, error)
}

// topicCondition is a predicate that asks the topic alone: in a fused phase it is asked once for each topic, not for
// each row.
type topicCondition interface {
	condition
	matchesTopic(topic string) (bool, *unmatched)
}

// operation is what a transform does.
type operation interface {
	// route does what depends on the topic alone: it changes the topic, drops, or adds steps. Of a [rowOperation] that
	// is no [fieldOperation] it is not asked.
	route(r *route, stage int)
}

// fieldOperation is an operation on the fields of keys or values.
type fieldOperation interface {
	operation
	// layout changes the layout of a structure.
	layout(l *structDraft, s step) *failure
	// schemaless changes the entries of a map.
	schemaless(m *entries, s step, row *wit.Row) *failure
	// purpose names the operation in messages.
	purpose() string
}

// failure is what a row fails by.
type failure struct {
	stage       int
	class, text string
}

// route is what fused stages come to for the records of one topic.
type route struct {
	from    string
	topic   string
	dropped bool
	// stop fails every record that is not dropped before.
	stop *failure
	// sides are the plans of key and value.
	sides [2]plan
	// keyed: a step on values makes the key, so that steps on keys go with those on values from there on.
	keyed bool
}

// step is a field operation at its place: in which stage, and with which topic.
type step struct {
	stage     int
	operation fieldOperation
	topic     string
	// onKey: it is a step on the key that a step before made of the value.
	onKey bool
}

// plan is the steps of one side, with the programs compiled from them by schema.
type plan struct {
	steps []step
	// readsAll is that of the phase.
	readsAll bool
	programs map[uint32]*program
	last     *program
	lastID   uint32
	// shape is what became of the last map without schema; misses counts shapes that did not come again.
	shape  *shape
	misses int
}

func (r *route) add(at side, stage int, o fieldOperation) {
	s := step{stage: stage, operation: o, topic: r.topic}
	if at == keySide && r.keyed {
		at, s.onKey = valueSide, true
	}
	r.sides[at].steps = append(r.sides[at].steps, s)
}

// maxCached is how many routes of a phase, and programs of a plan, are kept.
const maxCached = 1000

// route returns the topic's route. The name may lie in memory that is used again.
func (p *phase) route(topic string) *route {
	if p.last != nil && p.lastTopic == topic {
		return p.last
	}
	r := p.routes[topic]
	if r == nil {
		topic = strings.Clone(topic)
		r = newRoute(p.stages, topic)
		for i := range r.sides {
			r.sides[i].readsAll = p.readsAll
		}
		if len(p.routes) >= maxCached {
			clear(p.routes)
		}
		p.routes[topic] = r
	}
	p.last, p.lastTopic = r, r.from
	return r
}

func newRoute(stages []stage, topic string) *route {
	r := &route{from: topic, topic: topic}
	for i := range stages {
		s := &stages[i]
		if s.condition != nil {
			matches, unknown := s.condition.matchesTopic(r.topic)
			if unknown != nil {
				r.stop = unknown.at(s.number)
				break
			}
			if matches == s.negate {
				continue
			}
		}
		s.operation.route(r, s.number)
		if r.dropped || r.stop != nil {
			break
		}
	}
	return r
}

// newChain makes the phases of the stages that prepare was given.
func newChain(list []wit.Stage) (*chain, *wit.Fault) {
	c := &chain{}
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
		c.add(i, operation, condition, list[i].Condition)
	}
	c.join()
	return c, nil
}

// join makes one phase of all where that can be.
func (c *chain) join() {
	if c.fused() {
		c.joined = &c.phases[0]
		return
	}
	whole := &phase{routes: map[string]*route{}}
	for i := range c.phases {
		p := &c.phases[i]
		byTopic, ok := p.condition.(topicCondition)
		switch _, byValue := p.condition.(tombstone); {
		case byValue:
			c.live = true
			if !p.negate {
				continue // it is for tombstones
			}
		case p.condition != nil && !ok:
			return
		}
		if o, is := p.operation.(*stampRouter); is && o.wrong == "" && i == len(c.phases)-1 && byTopic == nil {
			c.stamp = o
			continue
		}
		whole.readsAll = i > 0 || p.operation != nil
		if p.operation == nil {
			whole.stages = append(whole.stages, p.stages...)
			continue
		}
		if !joins(p.operation) {
			return
		}
		whole.stages = append(whole.stages, stage{p.number, p.operation, byTopic, byTopic != nil && p.negate})
	}
	c.joined = whole
}

// joins tells whether a phase of its own can be a stage of a joined one.
func joins(o rowOperation) bool {
	switch x := o.(type) {
	case *cast:
		return x.whole == nil
	case *timestampConverter:
		return x.field != ""
	case *extract:
		return x.at == keySide && len(x.path) == 1
	case fieldOperation:
		return true
	}
	return false
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

// add puts a stage at the end: into the last phase, where it can be fused with that one, else into one of its own.
func (c *chain) add(number int, made operation, when condition, given *wit.Condition) {
	negate := given != nil && given.Negate
	if o, ok := made.(rowOperation); ok {
		c.phases = append(c.phases, phase{operation: o, number: number, condition: when, negate: negate})
		return
	}
	s := stage{number: number, operation: made}
	if byTopic, ok := when.(topicCondition); ok {
		s.condition, s.negate = byTopic, negate
		when, given, negate = nil, nil, false
	}
	// Fused stages change neither the headers of a row nor whether a value is null, so a condition that was met once
	// still is.
	n := len(c.phases)
	if n == 0 || c.phases[n-1].operation != nil || !reflect.DeepEqual(c.phases[n-1].given, given) {
		c.phases = append(c.phases, phase{condition: when, negate: negate, given: given, routes: map[string]*route{}})
		n++
	}
	c.phases[n-1].stages = append(c.phases[n-1].stages, s)
}

// fused tells whether the chain is one phase of fused stages that all rows go through.
func (c *chain) fused() bool {
	return len(c.phases) == 1 && c.phases[0].operation == nil && c.phases[0].condition == nil
}

// encode writes stages as a context: texts and counts as package datum writes them.
func encode(list []wit.Stage) []byte {
	var b []byte
	put := func(given []wit.Setting) {
		b = datum.AppendNumber(b, int64(len(given)))
		for _, s := range given {
			b = datum.AppendText(datum.AppendText(b, s.Name), s.Value)
		}
	}
	b = datum.AppendNumber(b, int64(len(list)))
	for i := range list {
		s := &list[i]
		b = datum.AppendText(b, s.Component)
		put(s.Settings)
		b = datum.AppendBoolean(b, s.Condition != nil)
		if s.Condition != nil {
			b = datum.AppendText(b, s.Condition.Component)
			put(s.Condition.Settings)
			b = datum.AppendBoolean(b, s.Condition.Negate)
		}
	}
	return b
}

// decode reads a context; ok is false when it is none.
func decode(b []byte) (list []wit.Stage, ok bool) {
	ok = true
	number := func() int {
		n, size := datum.Number(b)
		if size <= 0 || n < 0 || n > int64(len(b)) {
			ok = false
			return 0
		}
		b = b[size:]
		return int(n)
	}
	text := func() string {
		s, size := datum.Block(b)
		if size <= 0 {
			ok = false
			return ""
		}
		b = b[size:]
		return string(s)
	}
	flag := func() bool {
		if len(b) == 0 {
			ok = false
			return false
		}
		v := b[0] == 1
		b = b[1:]
		return v
	}
	given := func() (out []wit.Setting) {
		for n := number(); n > 0 && ok; n-- {
			out = append(out, wit.Setting{Name: text(), Value: text()})
		}
		return out
	}
	for n := number(); n > 0 && ok; n-- {
		s := wit.Stage{Component: text(), Settings: given()}
		if flag() {
			s.Condition = &wit.Condition{Component: text(), Settings: given(), Negate: flag()}
		}
		list = append(list, s)
	}
	return list, ok && len(b) == 0
}
