package chain

import (
	"slices"
	"strings"

	"github.com/culvert-project/culvert/wit"
)

// chainRoutes holds the routes of a chain.
type chainRoutes struct {
	stages []transformationStage
	// headers are the conditions on headers.
	headers []*hasHeader
	known   map[routeKey]*route
}

func newRoutes(stages []transformationStage) *chainRoutes {
	c := &chainRoutes{stages: stages, known: map[routeKey]*route{}}
	for i := range stages {
		if h, is := stages[i].condition.(*hasHeader); is {
			c.headers = append(c.headers, h)
		}
	}
	return c
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

// answers are those of the conditions on headers for a row, a bit each.
func (c *chainRoutes) answers(row *wit.Row, data []byte) (bits uint64) {
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
func (c *chainRoutes) route(topic string, answers uint64) *route {
	r := c.known[routeKey{topic, answers}]
	if r == nil {
		topic = strings.Clone(topic)
		r = &route{topic: topic, slow: len(c.headers) > 64}
		for i := 0; i < len(c.stages) && !r.slow && !r.drops; i++ {
			r.slow = !r.add(&c.stages[i], i == len(c.stages)-1, c, answers)
		}
		if len(c.known) >= maxCached {
			clear(c.known)
		}
		c.known[routeKey{topic, answers}] = r
	}
	return r
}

// add adds a stage; it is false if that has no place in the fast lane.
func (r *route) add(s *transformationStage, last bool, c *chainRoutes, answers uint64) bool {
	switch when := s.condition.(type) {
	case nil:
	case tombstone:
		if slices.ContainsFunc(r.stages, extractsValue) {
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
func extractsValue(s *transformationStage) bool {
	o, is := s.operation.(*extract)
	return is && o.at == valueSide
}

// unfit is the failure of a row that cannot be traced. No row fails by it.
var unfit = &failure{0, dataException, "the kernel cannot do this"}

// trace sends a row's value through the stages and compiles that into a program. The program is not usable if the
// kernel cannot do what the stages do.
func (r *route) trace(b *buffers, row *wit.Row, data []byte) *program {
	x := &object{}
	in := data[row.Value.Start:][:row.Value.Size]
	if row.Value.Encoding == wit.WithSchema {
		l, err := b.layout(row.Value.Schema)
		if err != nil || !l.isStruct() {
			return &program{}
		}
		null, start, ok := l.null(in)
		if !ok || null {
			return &program{}
		}
		x.open(b, l, in, start)
	} else if class, bad := x.readMap(b, in); class != "" || bad {
		return &program{}
	}
	x.trace = &trace{}
	for i, s := range r.stages {
		if f := traceStage(x, s, step{stage: s.number, topic: r.topics[i], row: row}); f != nil {
			return &program{}
		}
	}
	if !x.isMap && !x.untouched() {
		x.load(0)
	}
	if x.pending != nil || x.key != nil && x.key.pending != nil {
		return &program{}
	}
	out := &results{}
	if !x.isMap {
		// The default of a struct goes through the stages, too: the interpreter does that.
		if x.root.DefaultValue != nil && !x.stays {
			return &program{}
		}
		if out = x.results(&b.schemas, 0, nil); out.failure != nil {
			return &program{}
		}
	}
	for _, s := range r.hoists {
		schema, ok := s.operation.(*hoist).relabel(&b.schemas, out.value, s.number)
		if !ok || x.isMap {
			return &program{}
		}
		out.value = schema
	}
	return compileProgram(x, out, row)
}

// traceStage applies a stage to an object that is traced, or to the key that was made of it.
func traceStage(x *object, s *transformationStage, at step) *failure {
	if o, is := s.operation.(*insertHeader); is {
		x.headers = append(x.headers, header{bytes: o.header(&x.w.schemas)})
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
