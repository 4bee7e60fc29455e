package chain

import (
	"strconv"

	"github.com/culvert-project/culvert/plugins/smt/record"
	"github.com/culvert-project/culvert/plugins/smt/transforms"
	"github.com/culvert-project/culvert/sdk/go/pack"
	"github.com/culvert-project/culvert/wit"
)

// Engine sends rows through chains and caches what it compiles. A result is valid until the next call.
type Engine struct {
	chains      map[string]*compiledChain // by context
	call        input
	out         output
	fastPath    runner
	interpreter interpreter
	record      record.Record // in the interpreter
	rowIndex    int           // of the record's row
}

// New returns an empty engine.
func New() *Engine {
	engine := &Engine{chains: map[string]*compiledChain{}}
	engine.interpreter.Schemas = record.NewSchemas()
	engine.fastPath = runner{call: &engine.call, out: &engine.out, scratch: &engine.interpreter.Scratch}
	engine.interpreter.emit = func(rec *record.Record) { engine.out.add(rec, engine.rowIndex, engine.call.topics) }
	return engine
}

// Prepare validates stages and encodes them as a context.
func (e *Engine) Prepare(list []wit.Stage) ([]byte, error) {
	if _, err := newChain(list); err != nil {
		return nil, err
	}
	return pack.Stages(nil, list), nil
}

// Apply sends rows through the chain of a context.
func (e *Engine) Apply(context []byte, schemas []wit.Schema, topics []string, rows []wit.Row,
	data []byte) (wit.ApplyResult, error) {
	chain, err := e.begin(context, schemas)
	if err != nil {
		return wit.ApplyResult{}, err
	}
	e.start(input{topics: topics, rows: rows, data: data})
	rowIndex := 0
	for rowIndex < len(rows) && len(e.out.data) < maxData {
		if next := e.fastPath.run(chain.routes, rowIndex); next > rowIndex {
			rowIndex = next
			continue
		}
		if err := e.interpret(chain, rowIndex); err != nil {
			return wit.ApplyResult{}, err
		}
		rowIndex++
	}
	e.call = input{} // the memory belongs to the host
	return e.out.result(rowIndex, e.interpreter.Schemas.DrainPending()), nil
}

// Test evaluates the predicate of a context for each row.
func (e *Engine) Test(context []byte, schemas []wit.Schema, topics []string, rows []wit.Row,
	data []byte) (wit.TestResult, error) {
	chain, err := e.begin(context, schemas)
	if err != nil {
		return wit.TestResult{}, err
	}
	if chain.predicate == nil {
		return wit.TestResult{}, &wit.Error{Kind: wit.ErrorConfig, Message: "test: expected a context of one predicate"}
	}
	e.call = input{topics: topics, rows: rows, data: data}
	out := wit.TestResult{Matches: make([]bool, len(rows))}
	for i := range rows {
		if err := e.load(i); err != nil {
			return wit.TestResult{}, err
		}
		out.Matches[i], err = chain.predicate.Matches(&e.record, &e.interpreter.Context)
		if matchErr, ok := err.(*transforms.MatchError); ok {
			out.Errors = append(out.Errors, wit.RowError{RowIndex: uint32(i), ErrorClass: record.ConnectException,
				Error: wit.Error{Kind: wit.ErrorData, Message: matchErr.Error()}})
			continue
		}
		if err != nil {
			return wit.TestResult{}, err
		}
	}
	return out, nil
}

// begin adds the schemas of a call and returns the chain of its context. If there are too many schemas, it empties all
// caches first.
func (e *Engine) begin(context []byte, declared []wit.Schema) (*compiledChain, error) {
	if e.interpreter.Schemas.Forget() {
		e.interpreter.Readers = record.SchemaCache[*record.ValueReader]{}
		clear(e.chains)
	}
	e.interpreter.Schemas.Add(declared)
	return e.chain(context)
}

func (e *Engine) chain(context []byte) (*compiledChain, error) {
	if chain := e.chains[string(context)]; chain != nil {
		return chain, nil
	}
	reader := pack.NewReader(context)
	list := reader.Stages()
	if !reader.Done() {
		return nil, &wit.Error{Kind: wit.ErrorInternal, Message: "the context is not of this version of the plugin"}
	}
	chain, err := newChain(list)
	if err != nil {
		return nil, err
	}
	if len(e.chains) >= record.MaxCached {
		clear(e.chains)
	}
	e.chains[string(context)] = chain
	return chain, nil
}

// start empties the output and prepares for the rows of a call.
func (e *Engine) start(call input) {
	e.call = call
	e.out.reset(call)
	e.fastPath.reset()
}

// interpret sends one row through the chain, and then compiles a program for rows like it.
func (e *Engine) interpret(chain *compiledChain, rowIndex int) error {
	if err := e.load(rowIndex); err != nil {
		return err
	}
	e.out.moveInPlace()
	snapshot := e.out
	e.rowIndex = rowIndex
	failure, err := e.interpreter.run(chain.stages, &e.record)
	if err != nil {
		return err
	}
	e.fastPath.learn(chain.routes, rowIndex)
	if failure != nil {
		e.out.fail(rowIndex, failure, &snapshot)
	}
	return nil
}

// load loads a row of the call into the record.
func (e *Engine) load(rowIndex int) error {
	row := &e.call.rows[rowIndex]
	if int(row.Topic) >= len(e.call.topics) {
		return &wit.Error{Kind: wit.ErrorInternal, Message: "row " + strconv.Itoa(rowIndex) +
			" refers to a topic that is not in the call"}
	}
	return e.record.Load(row, e.call.topics[row.Topic], e.call.data)
}

// compiledChain is the compiled form of a context: the stages of a chain, or one predicate.
type compiledChain struct {
	stages    []transforms.Stage
	routes    *routeTable
	predicate transforms.Predicate // of a context of one predicate, otherwise nil; see [Engine.Test]
}

// newChain compiles stages, or one predicate, with which [Engine.Apply] passes rows through.
func newChain(list []wit.Stage) (*compiledChain, *wit.Error) {
	chain := &compiledChain{routes: newRouteTable(nil)}
	if len(list) == 1 {
		if predicate, ok, err := transforms.NewPredicate(list[0].Component, list[0].Settings); ok {
			chain.predicate = predicate
			return chain, err
		}
	}
	for i := range list {
		stage, err := transforms.NewStage(i, &list[i])
		if err != nil {
			err.Message = "stage " + strconv.Itoa(i) + ", " + list[i].Component + ": " + err.Message
			return nil, err
		}
		chain.stages = append(chain.stages, stage)
	}
	chain.routes = newRouteTable(chain.stages)
	return chain, nil
}
