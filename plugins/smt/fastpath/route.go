package fastpath

import (
	"slices"
	"strings"

	"github.com/culvert-project/culvert/plugins/smt/compile"
	"github.com/culvert-project/culvert/plugins/smt/object"
	"github.com/culvert-project/culvert/plugins/smt/operation"
	"github.com/culvert-project/culvert/plugins/smt/predicates"
	"github.com/culvert-project/culvert/plugins/smt/record"
	"github.com/culvert-project/culvert/plugins/smt/rowerror"
	"github.com/culvert-project/culvert/plugins/smt/schemas"
	"github.com/culvert-project/culvert/plugins/smt/transforms/fields"
	"github.com/culvert-project/culvert/plugins/smt/transforms/records"
	"github.com/culvert-project/culvert/plugins/smt/transforms/topics"
	"github.com/culvert-project/culvert/wit"
)

// Routes holds the routes of a chain.
type Routes struct {
	stages []operation.Stage
	// headers are the conditions on headers.
	headers []*predicates.HasHeaderKey
	known   map[routeKey]*route
}

func NewRoutes(stages []operation.Stage) *Routes {
	c := &Routes{stages: stages, known: map[routeKey]*route{}}
	for i := range stages {
		if h, ok := stages[i].Predicate.(*predicates.HasHeaderKey); ok {
			c.headers = append(c.headers, h)
		}
	}
	return c
}

// routeKey tells routes apart: by the topic, and a bit for each condition on headers that matches.
type routeKey struct {
	topic         string
	headerMatches uint64
}

// route is what a chain does to the records of one topic for which its conditions on headers have the same answers.
type route struct {
	topic string
	// interpreted: all rows go the plain way. drops: none goes out.
	interpreted, drops bool
	// notTombstone: the route holds only for rows whose value is not null, which is what it knows of RecordIsTombstone.
	notTombstone bool
	// stages are those on fields, of values and of the key that one of them makes, and [insertHeader]; after them come
	// those that hoist the value.
	stages, hoists []*operation.Stage
	topics         []string // of the stages
	// timestampRouter gives rows their topic after the stages, nil if topic is all.
	timestampRouter *topics.TimestampRouter

	programs schemas.Cache[*compile.Program]
	// mapProgram is the program of the last map; misses counts shapes that did not come again.
	mapProgram *compile.Program
	misses     int
}

// matchHeaders are those of the conditions on headers for a row, a bit each.
func (c *Routes) matchHeaders(row *wit.Row, data []byte) (bits uint64) {
	if len(c.headers) == 0 || row.Headers.Encoding != wit.Raw {
		return 0
	}
	block := data[row.Headers.Start:][:row.Headers.Size]
	for i, h := range c.headers {
		if h.In(block) {
			bits |= 1 << i
		}
	}
	return bits
}

// route returns the route of a topic and of answers. The topic may be in memory that is used again.
func (c *Routes) route(topic string, answers uint64) *route {
	r := c.known[routeKey{topic, answers}]
	if r == nil {
		topic = strings.Clone(topic)
		r = &route{topic: topic, interpreted: len(c.headers) > 64}
		for i := 0; i < len(c.stages) && !r.interpreted && !r.drops; i++ {
			r.interpreted = !r.add(&c.stages[i], i == len(c.stages)-1, c, answers)
		}
		if len(c.known) >= schemas.MaxCached {
			clear(c.known)
		}
		c.known[routeKey{topic, answers}] = r
	}
	return r
}

// add adds a stage; it is false if that has no place in the fast lane.
func (r *route) add(s *operation.Stage, last bool, c *Routes, answers uint64) bool {
	switch when := s.Predicate.(type) {
	case nil:
	case predicates.RecordIsTombstone:
		if slices.ContainsFunc(r.stages, extractsValue) {
			return false // the extracted field may be null in some rows only
		}
		r.notTombstone = true
		if !s.Negate {
			return true // it is for tombstones
		}
	case *predicates.HasHeaderKey:
		if answers>>slices.Index(c.headers, when)&1 == 0 != s.Negate {
			return true
		}
	case operation.TopicPredicate:
		matches, matchErr := when.MatchesTopic(r.topic)
		if matchErr != nil {
			return false
		}
		if matches == s.Negate {
			return true
		}
	}
	switch o := s.Operation.(type) {
	case records.Filter:
		r.drops = true
		return len(r.stages)+len(r.hoists) == 0 // a stage before may fail the row
	case operation.TopicOperation:
		topic, f := o.TopicFor(r.topic, s.Number)
		r.topic = topic
		return f == nil
	case *topics.TimestampRouter:
		r.timestampRouter = o
		return o.Err == nil && last && s.Predicate == nil
	case *records.HoistField:
		r.hoists = append(r.hoists, s)
		return o.Target == record.Value
	case *records.InsertHeader, *fields.HeaderFrom:
		if len(c.headers) > 0 { // the conditions on headers are asked before all stages
			return false
		}
	case *records.DropHeaders:
		return false
	}
	r.stages, r.topics = append(r.stages, s), append(r.topics, r.topic)
	return len(r.hoists) == 0
}

// extractsValue reports whether the stage replaces the value by one of its fields.
func extractsValue(s *operation.Stage) bool {
	o, ok := s.Operation.(*fields.ExtractField)
	return ok && o.Target == record.Value
}

// trace sends a row's value through the stages and compiles that into a program. The program is not usable if the
// kernel cannot do what the stages do.
func (r *route) trace(b *object.Scratch, row *wit.Row, data []byte) *compile.Program {
	x := &object.Object{}
	in := data[row.Value.Start:][:row.Value.Size]
	if row.Value.Encoding == wit.WithSchema {
		l, err := b.Layout(row.Value.Schema)
		if err != nil || !l.IsStruct() {
			return &compile.Program{}
		}
		isNull, start, ok := l.Null(in)
		if !ok || isNull {
			return &compile.Program{}
		}
		x.Open(b, l, in, start)
	} else if class, invalid := x.ReadMap(b, in); class != "" || invalid {
		return &compile.Program{}
	}
	x.Trace = &object.Trace{}
	for i, s := range r.stages {
		if f := traceStage(x, s, operation.Step{Stage: s.Number, Topic: r.topics[i], Row: row}); f != nil {
			return &compile.Program{}
		}
	}
	if !x.IsMap && !x.KeepsInput() {
		x.Load(0)
	}
	if x.Pending != nil || x.Key != nil && x.Key.Pending != nil {
		return &compile.Program{}
	}
	out := &object.Results{}
	if !x.IsMap {
		// The default of a struct goes through the stages, too: the interpreter does that.
		if x.Root.DefaultValue != nil && !x.KeepsSchema {
			return &compile.Program{}
		}
		if out = x.Results(&b.Schemas, 0, nil); out.Failure != nil {
			return &compile.Program{}
		}
	}
	for _, s := range r.hoists {
		schema, ok := s.Operation.(*records.HoistField).Relabel(&b.Schemas, out.Value, s.Number)
		if !ok || x.IsMap {
			return &compile.Program{}
		}
		out.Value = schema
	}
	return compile.Compile(x, out, row)
}

// traceStage applies a stage to an object that is traced, or to the key that was made of it.
func traceStage(x *object.Object, s *operation.Stage, at operation.Step) *rowerror.Failure {
	if o, ok := s.Operation.(*records.InsertHeader); ok {
		x.Headers = append(x.Headers, object.AddedHeader{Bytes: o.Header(&x.Scratch.Schemas)})
		return nil
	}
	target := x
	hasTarget := func(at record.Target) bool {
		if at == record.Key {
			target = x.Key
		}
		return target != nil && !target.Whole
	}
	if o, ok := s.Operation.(operation.FieldOperation); ok {
		_, isValueToKey := o.(*fields.ValueToKey)
		_, isHeaderFrom := o.(*fields.HeaderFrom)
		if !hasTarget(o.Options().Target) || o.Options().Whole || target == x.Key && isHeaderFrom || isValueToKey && x.Key != nil {
			return object.NotTraceable
		}
		return o.Apply(target, at)
	}
	return object.NotTraceable
}
