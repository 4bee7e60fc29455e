package chain

import (
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/datum"
)

// chain is the stages of a context, with what was compiled for the topics and schemas that came by.
type chain struct {
	stages []stage
	routes map[string]*route
	// test is set when the chain is one predicate, for the contract's test.
	test condition
}

// stage is a transform with its condition.
type stage struct {
	operation operation
	condition condition // nil: always
	negate    bool
}

// condition is a predicate. All that there are ask the topic alone; it is asked once for each topic, not for each row.
type condition interface{ matches(topic string) bool }

// operation is what a transform does.
type operation interface {
	// route does what depends on the topic alone: it changes the topic, drops, or adds steps.
	route(r *route, stage int)
}

// fieldOperation is an operation on the fields of keys or values.
type fieldOperation interface {
	operation
	// layout changes the layout of a structure.
	layout(l *layout, s step) *failure
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

// side is the key or the value of a record.
type side uint8

const (
	keySide side = iota
	valueSide
)

// route is what the stages come to for the records of one topic.
type route struct {
	topic   string
	dropped bool
	// stop fails every record that is not dropped before.
	stop  *failure
	sides [2]plan
}

// step is a field operation at its place: in which stage, and with which topic.
type step struct {
	stage     int
	operation fieldOperation
	topic     string
}

// plan is the steps of one side, with the programs compiled from them by schema.
type plan struct {
	steps    []step
	programs map[uint32]*program
	last     *program
	lastID   uint32
	// shape is what became of the last map without schema; misses counts shapes that did not come again.
	shape  *shape
	misses int
}

func (r *route) add(at side, s step) { r.sides[at].steps = append(r.sides[at].steps, s) }

// maxCached is how many routes of a chain, and programs of a plan, are kept.
const maxCached = 1000

// route returns the topic's route. The name may lie in memory that is used again.
func (c *chain) route(topic string) *route {
	if r := c.routes[topic]; r != nil {
		return r
	}
	topic = strings.Clone(topic)
	r := &route{topic: topic}
	for i := range c.stages {
		s := &c.stages[i]
		if s.condition != nil && s.condition.matches(r.topic) == s.negate {
			continue
		}
		s.operation.route(r, i)
		if r.dropped || r.stop != nil {
			break
		}
	}
	if len(c.routes) >= maxCached {
		clear(c.routes)
	}
	c.routes[topic] = r
	return r
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
		s, err := newStage(&list[i])
		if err != nil {
			err.Message = "stage " + strconv.Itoa(i) + ", " + list[i].Component + ": " + err.Message
			return nil, err
		}
		c.stages = append(c.stages, s)
	}
	return c, nil
}

func newStage(of *wit.Stage) (s stage, err *wit.Fault) {
	k := find(of.Component)
	if k == nil || k.transform == nil {
		return s, fail("", "expected a transform of this plugin")
	}
	if s.operation, err = k.transform(settings{of.Settings}); err != nil || of.Condition == nil {
		return s, err
	}
	k = find(of.Condition.Component)
	if k == nil || k.predicate == nil {
		return s, fail("", "expected a predicate of this plugin as the condition, found "+strconv.Quote(of.Condition.Component))
	}
	s.negate = of.Condition.Negate
	s.condition, err = k.predicate(settings{of.Condition.Settings})
	return s, err
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
