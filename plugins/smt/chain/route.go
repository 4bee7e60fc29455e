package chain

import (
	"slices"
	"strings"

	"github.com/culvert-project/culvert/plugins/smt/record"
	"github.com/culvert-project/culvert/plugins/smt/transforms"
	"github.com/culvert-project/culvert/wit"
)

// routeTable holds the routes of a chain, which it creates when they are needed.
type routeTable struct {
	stages              []transforms.Stage
	headerTests         []headerTest // what a route depends on in the headers of its rows
	hasHeaderPredicates bool         // whether a stage applies only to rows with some header
	byKey               map[routeKey]*route
}

// headerTest returns a result of headerTestBits for encoded headers. The result for rows without headers is 0.
type headerTest struct {
	owner  any // *transforms.HasHeaderKey or *transforms.DropHeaders
	result func(block []byte) uint64
}

const (
	headerTestBits = 2
	maxHeaderTests = 64 / headerTestBits
)

// newRouteTable returns the routes of a chain.
func newRouteTable(stages []transforms.Stage) *routeTable {
	routes := &routeTable{stages: stages, byKey: map[routeKey]*route{}}
	for i := range stages {
		if predicate, ok := stages[i].Predicate.(*transforms.HasHeaderKey); ok {
			routes.hasHeaderPredicates = true
			routes.headerTests = append(routes.headerTests, headerTest{predicate, func(block []byte) uint64 {
				if predicate.In(block) {
					return 1
				}
				return 0
			}})
		}
		if drop, ok := stages[i].Operation.(*transforms.DropHeaders); ok {
			test := func(block []byte) uint64 { return uint64(drop.Effect(block)) }
			routes.headerTests = append(routes.headerTests, headerTest{drop, test})
		}
	}
	return routes
}

// headerResult returns the result of the test that owner, a predicate or operation, depends on.
func (r *routeTable) headerResult(owner any, results uint64) uint64 {
	index := slices.IndexFunc(r.headerTests, func(test headerTest) bool { return test.owner == owner })
	return results >> (headerTestBits * index) & (1<<headerTestBits - 1)
}

// routeKey identifies a route: the topic, and the results of the header tests.
type routeKey struct {
	topic         string
	headerResults uint64
}

// route is what a chain does to rows of one topic, if the header tests have the same results.
type route struct {
	topic              string                      // of the result, before timestampRouter
	needsInterpreter   bool                        // for all rows
	dropsRows          bool                        // no row is emitted
	excludesTombstones bool                        // RecordIsTombstone was evaluated for values that are not null
	addsHeaders        bool                        // a stage adds headers
	copiesHeaders      bool                        // a stage adds fields as headers
	dropsHeaders       bool                        // a stage drops all headers of the rows
	stages             []*transforms.Stage         // the operations on fields, InsertHeader and DropHeaders
	hoists             []*transforms.Stage         // HoistField, after all stages
	topics             []string                    // the topic before each of the stages
	timestampRouter    *transforms.TimestampRouter // if not nil, computes the topic after all stages

	programs   record.SchemaCache[*compiledProgram]
	mapProgram *compiledProgram // of the last map
	misses     int              // maps whose keys did not repeat
}

// testHeaders returns the results of the header tests.
func (r *routeTable) testHeaders(row *wit.Row, data []byte) (results uint64) {
	if len(r.headerTests) == 0 || row.Headers.Encoding != wit.Raw {
		return 0
	}
	block := data[row.Headers.Start:][:row.Headers.Size]
	for i := range r.headerTests {
		results |= r.headerTests[i].result(block) << (headerTestBits * i)
	}
	return results
}

// route returns the route of a topic, whose memory may be reused.
func (r *routeTable) route(topic string, headerResults uint64) *route {
	current := r.byKey[routeKey{topic, headerResults}]
	if current == nil {
		topic = strings.Clone(topic)
		current = &route{topic: topic, needsInterpreter: len(r.headerTests) > maxHeaderTests}
		for i := 0; i < len(r.stages) && !current.needsInterpreter && !current.dropsRows; i++ {
			current.needsInterpreter = !current.add(&r.stages[i], i == len(r.stages)-1, r, headerResults)
		}
		if len(r.byKey) >= record.MaxCached {
			clear(r.byKey)
		}
		r.byKey[routeKey{topic, headerResults}] = current
	}
	return current
}

// add adds a stage to the route. It returns false if only the interpreter supports the rows.
func (r *route) add(stage *transforms.Stage, isLast bool, routes *routeTable, headerResults uint64) bool {
	applies, supported := r.evaluate(stage, routes, headerResults)
	if !supported || !applies {
		return supported
	}
	switch op := stage.Operation.(type) {
	case transforms.Filter:
		r.dropsRows = true
		return len(r.stages)+len(r.hoists) == 0 // an earlier stage may fail the row
	case transforms.TopicOperation:
		topic, failure := op.TopicFor(r.topic, stage.Number)
		r.topic = topic
		return failure == nil
	case *transforms.TimestampRouter:
		r.timestampRouter = op
		return op.Err == nil && isLast && stage.Predicate == nil // later stages could depend on the topic
	case *transforms.HoistField:
		r.hoists = append(r.hoists, stage)
		return op.Target == record.Value
	case *transforms.InsertHeader, *transforms.HeaderFrom:
		if routes.hasHeaderPredicates { // they were evaluated before all stages
			return false
		}
		r.addsHeaders = true
		if _, ok := op.(*transforms.HeaderFrom); ok {
			r.copiesHeaders = true
		}
	case *transforms.DropHeaders:
		effect := transforms.DropEffect(routes.headerResult(op, headerResults))
		if r.dropsHeaders { // an earlier stage has dropped all headers of the row
			effect = transforms.DropsNothing
		}
		if effect == transforms.DropsSome || routes.hasHeaderPredicates {
			return false
		}
		if effect == transforms.DropsNothing && !r.addsHeaders {
			return true // the stage has no effect
		}
		r.dropsHeaders = r.dropsHeaders || effect == transforms.DropsAll
	}
	r.stages = append(r.stages, stage)
	r.topics = append(r.topics, r.topic)
	return len(r.hoists) == 0 // fields cannot be changed after a HoistField
}

// evaluate evaluates the predicate of a stage for the rows of the route.
func (r *route) evaluate(stage *transforms.Stage, routes *routeTable, headerResults uint64) (applies, supported bool) {
	switch predicate := stage.Predicate.(type) {
	case transforms.RecordIsTombstone:
		extractsValue := func(stage *transforms.Stage) bool {
			extract, ok := stage.Operation.(*transforms.ExtractField)
			return ok && extract.Target == record.Value
		}
		if slices.ContainsFunc(r.stages, extractsValue) {
			return false, false // only some rows may have a null in the extracted field
		}
		r.excludesTombstones = true
		return stage.Negate, true
	case *transforms.HasHeaderKey:
		return (routes.headerResult(predicate, headerResults) != 0) != stage.Negate, true
	case transforms.TopicPredicate:
		matches, matchErr := predicate.MatchesTopic(r.topic)
		return matches != stage.Negate, matchErr == nil
	}
	return true, true
}
