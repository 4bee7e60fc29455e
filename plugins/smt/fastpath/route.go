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
	routes := &Routes{stages: stages, known: map[routeKey]*route{}}
	for i := range stages {
		if h, ok := stages[i].Predicate.(*predicates.HasHeaderKey); ok {
			routes.headers = append(routes.headers, h)
		}
	}
	return routes
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
	current := c.known[routeKey{topic, matches}]
	if current == nil {
		topic = strings.Clone(topic)
		current = &route{topic: topic, interpreted: len(c.headers) > 64}
		for i := 0; i < len(c.stages) && !current.interpreted && !current.drops; i++ {
			current.interpreted = !current.add(&c.stages[i], i == len(c.stages)-1, c, matches)
		}
		if len(c.known) >= schemas.MaxCached {
			clear(c.known)
		}
		c.known[routeKey{topic, matches}] = current
	}
	return current
}

// add adds a stage. It returns false if only the interpreter supports it.
func (r *route) add(stage *operation.Stage, last bool, routes *Routes, matches uint64) bool {
	switch predicate := stage.Predicate.(type) {
	case nil:
	case predicates.RecordIsTombstone:
		if slices.ContainsFunc(r.stages, extractsValue) {
			return false // only some rows may have a null in the extracted field
		}
		r.notTombstone = true
		if !stage.Negate {
			return true // the stage applies to tombstones only
		}
	case *predicates.HasHeaderKey:
		if matches>>slices.Index(routes.headers, predicate)&1 == 0 != stage.Negate {
			return true
		}
	case operation.TopicPredicate:
		matches, matchErr := predicate.MatchesTopic(r.topic)
		if matchErr != nil {
			return false
		}
		if matches == stage.Negate {
			return true
		}
	}
	switch o := stage.Operation.(type) {
	case records.Filter:
		r.drops = true
		return len(r.stages)+len(r.hoists) == 0 // an earlier stage may fail the row
	case operation.TopicOperation:
		topic, failure := o.TopicFor(r.topic, stage.Number)
		r.topic = topic
		return failure == nil
	case *topics.TimestampRouter:
		r.timestampRouter = o
		return o.Err == nil && last && stage.Predicate == nil
	case *records.HoistField:
		r.hoists = append(r.hoists, stage)
		return o.Target == record.Value
	case *records.InsertHeader, *fields.HeaderFrom:
		if len(routes.headers) > 0 { // the predicates on headers were evaluated before all stages
			return false
		}
	case *records.DropHeaders:
		return false
	}
	r.stages, r.topics = append(r.stages, stage), append(r.topics, r.topic)
	return len(r.hoists) == 0
}

func extractsValue(stage *operation.Stage) bool {
	o, ok := stage.Operation.(*fields.ExtractField)
	return ok && o.Target == record.Value
}

// trace compiles a program for rows like row. It is not usable if the kernel does not support the stages.
func (r *route) trace(scratch *object.Scratch, row *wit.Row, data []byte) *compile.Program {
	obj := &object.Object{}
	input := data[row.Value.Start:][:row.Value.Size]
	if row.Value.Encoding == wit.WithSchema {
		reader, err := scratch.Reader(row.Value.Schema)
		if err != nil || !reader.IsStruct() {
			return &compile.Program{}
		}
		isNull, start, ok := reader.Null(input)
		if !ok || isNull {
			return &compile.Program{}
		}
		obj.Open(scratch, reader, input, start)
	} else if class, invalid := obj.ReadMap(scratch, input); class != "" || invalid {
		return &compile.Program{}
	}
	obj.Trace = &object.Trace{}
	for i, stage := range r.stages {
		if failure := traceStage(obj, stage, operation.Step{Stage: stage.Number, Topic: r.topics[i],
			Row: row}); failure != nil {
			return &compile.Program{}
		}
	}
	if !obj.IsMap && !obj.KeepsInput() {
		obj.Load(0)
	}
	if obj.Pending != nil || obj.Key != nil && obj.Key.Pending != nil {
		return &compile.Program{}
	}
	out := &object.Results{}
	if !obj.IsMap {
		// Only the interpreter converts the default of a struct.
		if obj.Root.DefaultValue != nil && !obj.KeepsSchema {
			return &compile.Program{}
		}
		if out = obj.Results(&scratch.Schemas, 0, nil); out.Failure != nil {
			return &compile.Program{}
		}
	}
	for _, stage := range r.hoists {
		schema, ok := stage.Operation.(*records.HoistField).Relabel(&scratch.Schemas, out.Value, stage.Number)
		if !ok || obj.IsMap {
			return &compile.Program{}
		}
		out.Value = schema
	}
	return compile.Compile(obj, out, row)
}

// traceStage applies a stage to a traced object, or to the key created from it.
func traceStage(obj *object.Object, stage *operation.Stage, step operation.Step) *rowerror.Failure {
	if o, ok := stage.Operation.(*records.InsertHeader); ok {
		obj.Headers = append(obj.Headers, object.AddedHeader{Bytes: o.Header(&obj.Scratch.Schemas)})
		return nil
	}
	target := obj
	hasTarget := func(at record.Target) bool {
		if at == record.Key {
			target = obj.Key
		}
		return target != nil && !target.Whole
	}
	if fieldOp, ok := stage.Operation.(operation.FieldOperation); ok {
		_, isValueToKey := fieldOp.(*fields.ValueToKey)
		_, isHeaderFrom := fieldOp.(*fields.HeaderFrom)
		options := fieldOp.Options()
		if !hasTarget(options.Target) || options.Whole || target == obj.Key && isHeaderFrom ||
			isValueToKey && obj.Key != nil {
			return object.NotTraceable
		}
		return fieldOp.Apply(target, step)
	}
	return object.NotTraceable
}
