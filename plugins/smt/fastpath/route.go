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
	stages  []operation.Stage
	headers []*predicates.HasHeaderKey
	known   map[routeKey]*route
}

// NewRoutes returns the routes of a chain, which it creates when they are needed.
func NewRoutes(stages []operation.Stage) *Routes {
	c := &Routes{stages: stages, known: map[routeKey]*route{}}
	for i := range stages {
		if h, ok := stages[i].Predicate.(*predicates.HasHeaderKey); ok {
			c.headers = append(c.headers, h)
		}
	}
	return c
}

// routeKey identifies a route: the topic, and a bit for each predicate on headers that matches.
type routeKey struct {
	topic         string
	headerMatches uint64
}

// route is what a chain does to rows of one topic with the same results of the predicates on headers.
type route struct {
	topic string
	// interpreted sends all rows to the interpreter. drops reports whether no row is emitted.
	interpreted, drops bool
	// notTombstone limits the route to values that are not null, for which RecordIsTombstone was evaluated.
	notTombstone bool
	// stages holds the operations on fields, and InsertHeader. hoists follow them.
	stages, hoists []*operation.Stage
	topics         []string // of the stages
	// timestampRouter computes the topic after all stages. If nil, the topic is fixed.
	timestampRouter *topics.TimestampRouter

	programs schemas.Cache[*compile.Program]
	// mapProgram is the program of the last map. misses counts maps whose keys did not repeat.
	mapProgram *compile.Program
	misses     int
}

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

// route returns the route of a topic, whose memory may be reused.
func (c *Routes) route(topic string, matches uint64) *route {
	r := c.known[routeKey{topic, matches}]
	if r == nil {
		topic = strings.Clone(topic)
		r = &route{topic: topic, interpreted: len(c.headers) > 64}
		for i := 0; i < len(c.stages) && !r.interpreted && !r.drops; i++ {
			r.interpreted = !r.add(&c.stages[i], i == len(c.stages)-1, c, matches)
		}
		if len(c.known) >= schemas.MaxCached {
			clear(c.known)
		}
		c.known[routeKey{topic, matches}] = r
	}
	return r
}

// add adds a stage. It returns false if only the interpreter supports it.
func (r *route) add(s *operation.Stage, last bool, c *Routes, matches uint64) bool {
	switch predicate := s.Predicate.(type) {
	case nil:
	case predicates.RecordIsTombstone:
		if slices.ContainsFunc(r.stages, extractsValue) {
			return false // only some rows may have a null in the extracted field
		}
		r.notTombstone = true
		if !s.Negate {
			return true // the stage applies to tombstones only
		}
	case *predicates.HasHeaderKey:
		if matches>>slices.Index(c.headers, predicate)&1 == 0 != s.Negate {
			return true
		}
	case operation.TopicPredicate:
		matches, matchErr := predicate.MatchesTopic(r.topic)
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
		return len(r.stages)+len(r.hoists) == 0 // an earlier stage may fail the row
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
		if len(c.headers) > 0 { // the predicates on headers were evaluated before all stages
			return false
		}
	case *records.DropHeaders:
		return false
	}
	r.stages, r.topics = append(r.stages, s), append(r.topics, r.topic)
	return len(r.hoists) == 0
}

func extractsValue(s *operation.Stage) bool {
	o, ok := s.Operation.(*fields.ExtractField)
	return ok && o.Target == record.Value
}

// trace compiles a program for rows like row. It is not usable if the kernel does not support the stages.
func (r *route) trace(scratch *object.Scratch, row *wit.Row, data []byte) *compile.Program {
	x := &object.Object{}
	in := data[row.Value.Start:][:row.Value.Size]
	if row.Value.Encoding == wit.WithSchema {
		l, err := scratch.Layout(row.Value.Schema)
		if err != nil || !l.IsStruct() {
			return &compile.Program{}
		}
		isNull, start, ok := l.Null(in)
		if !ok || isNull {
			return &compile.Program{}
		}
		x.Open(scratch, l, in, start)
	} else if class, invalid := x.ReadMap(scratch, in); class != "" || invalid {
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
		// Only the interpreter converts the default of a struct.
		if x.Root.DefaultValue != nil && !x.KeepsSchema {
			return &compile.Program{}
		}
		if out = x.Results(&scratch.Schemas, 0, nil); out.Failure != nil {
			return &compile.Program{}
		}
	}
	for _, s := range r.hoists {
		schema, ok := s.Operation.(*records.HoistField).Relabel(&scratch.Schemas, out.Value, s.Number)
		if !ok || x.IsMap {
			return &compile.Program{}
		}
		out.Value = schema
	}
	return compile.Compile(x, out, row)
}

// traceStage applies a stage to a traced object, or to the key created from it.
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
		options := o.Options()
		if !hasTarget(options.Target) || options.Whole || target == x.Key && isHeaderFrom ||
			isValueToKey && x.Key != nil {
			return object.NotTraceable
		}
		return o.Apply(target, at)
	}
	return object.NotTraceable
}
