package fastpath

import (
	"slices"
	"strings"

	"github.com/culvert-project/culvert/plugins/smt/compile"
	"github.com/culvert-project/culvert/plugins/smt/operation"
	"github.com/culvert-project/culvert/plugins/smt/predicates"
	"github.com/culvert-project/culvert/plugins/smt/record"
	"github.com/culvert-project/culvert/plugins/smt/schemas"
	"github.com/culvert-project/culvert/plugins/smt/transforms/fields"
	"github.com/culvert-project/culvert/plugins/smt/transforms/records"
	"github.com/culvert-project/culvert/plugins/smt/transforms/topics"
	"github.com/culvert-project/culvert/wit"
)

// Routes holds the routes of a chain, which it creates when they are needed.
type Routes struct {
	stages  []operation.Stage
	headers []*predicates.HasHeaderKey // the predicates on headers
	known   map[routeKey]*route
}

// NewRoutes returns the routes of a chain.
func NewRoutes(stages []operation.Stage) *Routes {
	routes := &Routes{stages: stages, known: map[routeKey]*route{}}
	for i := range stages {
		if predicate, ok := stages[i].Predicate.(*predicates.HasHeaderKey); ok {
			routes.headers = append(routes.headers, predicate)
		}
	}
	return routes
}

// routeKey identifies a route: the topic, and a bit for each predicate on headers that matches.
type routeKey struct {
	topic         string
	headerMatches uint64
}

// route is what a chain does to rows of one topic, if the predicates on headers have the same results.
type route struct {
	topic        string // of the result, before timestampRouter
	interpreted  bool   // all rows need the interpreter
	drops        bool   // no row is emitted
	notTombstone bool   // only for values that are not null: RecordIsTombstone was evaluated for them
	// stages holds the operations on fields, and InsertHeader, topics the topic before each. hoists follow them.
	stages, hoists  []*operation.Stage
	topics          []string
	timestampRouter *topics.TimestampRouter // if not nil, computes the topic after all stages

	programs   schemas.Cache[*compile.Program]
	mapProgram *compile.Program // of the last map
	misses     int              // maps whose keys did not repeat
}

// matchHeaders returns a bit for each predicate on headers that matches.
func (c *Routes) matchHeaders(row *wit.Row, data []byte) (bits uint64) {
	if len(c.headers) == 0 || row.Headers.Encoding != wit.Raw {
		return 0
	}
	block := data[row.Headers.Start:][:row.Headers.Size]
	for i, predicate := range c.headers {
		if predicate.In(block) {
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
func (r *route) add(stage *operation.Stage, isLast bool, routes *Routes, matches uint64) bool {
	applies, supported := r.evaluate(stage, routes, matches)
	if !supported || !applies {
		return supported
	}
	switch op := stage.Operation.(type) {
	case records.Filter:
		r.drops = true
		return len(r.stages)+len(r.hoists) == 0 // an earlier stage may fail the row
	case operation.TopicOperation:
		topic, failure := op.TopicFor(r.topic, stage.Number)
		r.topic = topic
		return failure == nil
	case *topics.TimestampRouter:
		r.timestampRouter = op
		return op.Err == nil && isLast && stage.Predicate == nil
	case *records.HoistField:
		r.hoists = append(r.hoists, stage)
		return op.Target == record.Value
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

// evaluate evaluates the predicate of a stage for the rows of the route.
func (r *route) evaluate(stage *operation.Stage, routes *Routes, headerMatches uint64) (applies, supported bool) {
	switch predicate := stage.Predicate.(type) {
	case predicates.RecordIsTombstone:
		if slices.ContainsFunc(r.stages, extractsValue) {
			return false, false // only some rows may have a null in the extracted field
		}
		r.notTombstone = true
		return stage.Negate, true
	case *predicates.HasHeaderKey:
		matches := headerMatches>>slices.Index(routes.headers, predicate)&1 != 0
		return matches != stage.Negate, true
	case operation.TopicPredicate:
		matches, matchErr := predicate.MatchesTopic(r.topic)
		return matches != stage.Negate, matchErr == nil
	}
	return true, true
}

func extractsValue(stage *operation.Stage) bool {
	extract, ok := stage.Operation.(*fields.ExtractField)
	return ok && extract.Target == record.Value
}
