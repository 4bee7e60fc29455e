package chain

import (
	"strconv"

	"github.com/culvert-project/culvert/plugins/smt/batch"
	"github.com/culvert-project/culvert/plugins/smt/catalog"
	"github.com/culvert-project/culvert/plugins/smt/fastpath"
	"github.com/culvert-project/culvert/plugins/smt/interpreter"
	"github.com/culvert-project/culvert/plugins/smt/object"
	"github.com/culvert-project/culvert/plugins/smt/operation"
	"github.com/culvert-project/culvert/plugins/smt/record"
	"github.com/culvert-project/culvert/plugins/smt/rowerror"
	"github.com/culvert-project/culvert/plugins/smt/schemas"
	"github.com/culvert-project/culvert/sdk/go/pack"
	"github.com/culvert-project/culvert/wit"
)

// Engine sends rows through chains and caches what it compiles. A result is valid until the next call.
type Engine struct {
	chains      map[string]*compiledChain
	call        batch.Input
	out         batch.Output
	fastPath    fastpath.Runner
	interpreter interpreter.Interpreter
	// record is the current record, number the index of its row.
	record record.Record
	number int
}

// New returns an empty engine.
func New() *Engine {
	engine := &Engine{chains: map[string]*compiledChain{}}
	engine.interpreter.Schemas = schemas.NewRegistry()
	engine.fastPath = fastpath.NewRunner(&engine.call, &engine.out, &engine.interpreter.Scratch)
	engine.interpreter.Emit = func(rec *record.Record) { engine.out.Add(rec, engine.number, engine.call.Topics) }
	return engine
}

// Prepare validates stages and encodes them as a context.
func (e *Engine) Prepare(list []wit.Stage) ([]byte, error) {
	if _, err := newChain(list); err != nil {
		return nil, err
	}
	return pack.Stages(nil, list), nil
}

type compiledChain struct {
	stages []operation.Stage
	routes *fastpath.Routes
	// test is set for a context of one predicate, see [Engine.Test].
	test operation.Predicate
}

func newChain(list []wit.Stage) (*compiledChain, *wit.Error) {
	chain := &compiledChain{routes: fastpath.NewRoutes(nil)} // Apply with a predicate passes rows through
	if len(list) == 1 {
		if test, ok, err := catalog.NewPredicate(list[0].Component, list[0].Settings); ok {
			chain.test = test
			return chain, err
		}
	}
	for i := range list {
		stage, err := catalog.NewStage(i, &list[i])
		if err != nil {
			err.Message = "stage " + strconv.Itoa(i) + ", " + list[i].Component + ": " + err.Message
			return nil, err
		}
		chain.stages = append(chain.stages, stage)
	}
	chain.routes = fastpath.NewRoutes(chain.stages)
	return chain, nil
}

func (e *Engine) chain(context []byte) (*compiledChain, error) {
	if chain := e.chains[string(context)]; chain != nil {
		return chain, nil
	}
	r := pack.NewReader(context)
	list := r.Stages()
	if !r.Done() {
		return nil, &wit.Error{Kind: wit.ErrorInternal,
			Message: "the context is not of this version of the plugin"}
	}
	chain, err := newChain(list)
	if err != nil {
		return nil, err
	}
	if len(e.chains) >= schemas.MaxCached {
		clear(e.chains)
	}
	e.chains[string(context)] = chain
	return chain, nil
}

func (e *Engine) begin(context []byte, declared []wit.Schema) (*compiledChain, error) {
	if e.interpreter.Schemas.Forget() {
		e.interpreter.Readers = schemas.Cache[*object.ValueReader]{}
		clear(e.chains)
	}
	e.interpreter.Schemas.Add(declared)
	return e.chain(context)
}

// Apply sends rows through the chain of a context.
func (e *Engine) Apply(context []byte, schemas []wit.Schema, topics []string, rows []wit.Row,
	data []byte) (wit.ApplyResult,
	error) {
	chain, err := e.begin(context, schemas)
	if err != nil {
		return wit.ApplyResult{}, err
	}
	e.start(batch.Input{Topics: topics, Rows: rows, Data: data})
	out, row := &e.out, 0
	for row < len(rows) && len(out.Data) < batch.MaxData {
		if next := e.fastPath.Run(chain.routes, row); next > row {
			row = next
			continue
		}
		if err := e.interpret(chain, row); err != nil {
			return wit.ApplyResult{}, err
		}
		row++
	}
	e.call = batch.Input{} // the memory belongs to the host
	return out.Result(row, e.interpreter.Schemas.DrainPending()), nil
}

func (e *Engine) start(c batch.Input) {
	e.call = c
	e.out.Reset(c)
	e.fastPath.Reset()
}

// interpret sends one row through the chain, and then compiles a program for rows like it.
func (e *Engine) interpret(chain *compiledChain, row int) error {
	if err := e.load(row); err != nil {
		return err
	}
	e.out.MoveInPlace()
	before := e.out
	e.number = row
	failure, err := e.interpreter.Run(chain.stages, &e.record)
	if err != nil {
		return err
	}
	e.fastPath.Learn(chain.routes, row)
	if failure != nil {
		e.out.Fail(row, failure, &before)
	}
	return nil
}

func (e *Engine) load(row int) error {
	in := &e.call.Rows[row]
	if int(in.Topic) >= len(e.call.Topics) {
		return &wit.Error{Kind: wit.ErrorInternal, Message: "row " + strconv.Itoa(row) +
			" refers to a topic that is not in the call"}
	}
	return e.record.Load(in, e.call.Topics[in.Topic], e.call.Data)
}

// Test evaluates the predicate of a context for each row.
func (e *Engine) Test(context []byte, schemas []wit.Schema, topics []string, rows []wit.Row,
	data []byte) (wit.TestResult,
	error) {
	chain, err := e.begin(context, schemas)
	if err != nil {
		return wit.TestResult{}, err
	}
	if chain.test == nil {
		return wit.TestResult{}, &wit.Error{Kind: wit.ErrorConfig, Message: "test: expected a context of one predicate"}
	}
	e.call = batch.Input{Topics: topics, Rows: rows, Data: data}
	out := wit.TestResult{Matches: make([]bool, len(rows))}
	for i := range rows {
		if err := e.load(i); err != nil {
			return wit.TestResult{}, err
		}
		out.Matches[i], err = chain.test.Matches(&e.record, &e.interpreter.Context)
		if matchErr, ok := err.(*operation.MatchError); ok {
			out.Errors = append(out.Errors, wit.RowError{RowIndex: uint32(i), ErrorClass: rowerror.ConnectException,
				Error: wit.Error{Kind: wit.ErrorData, Message: matchErr.Error()}})
			continue
		}
		if err != nil {
			return wit.TestResult{}, err
		}
	}
	return out, nil
}
