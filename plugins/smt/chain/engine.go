package chain

import (
	"strconv"

	"github.com/culvert-project/culvert/sdk/go/pack"
	"github.com/culvert-project/culvert/wit"
)

// Engine is what an instance of the plugin keeps from call to call: schemas, compiled chains, buffers. All of it is a
// cache. Results are valid until the next call. It belongs to one goroutine.
type Engine struct {
	chains map[string]*transformationChain
	// call is the call at work, out its result.
	call call
	out  callResult
	// lane is the fast lane's, work the plain way's.
	lane lane
	work
}

// New returns an empty engine.
func New() *Engine {
	e := &Engine{chains: map[string]*transformationChain{}}
	e.schemas = schemas{known: map[uint32][]wit.SchemaNode{}, first: wit.GuestSchemas}
	e.lane.call, e.lane.out, e.lane.work = &e.call, &e.out, &e.work
	return e
}

// Prepare checks stages and makes a context of them.
func (e *Engine) Prepare(list []wit.Stage) ([]byte, error) {
	if _, err := newChain(list); err != nil {
		return nil, err
	}
	return pack.Stages(nil, list), nil
}

func (e *Engine) chain(context []byte) (*transformationChain, error) {
	if c := e.chains[string(context)]; c != nil {
		return c, nil
	}
	r := pack.Open(context)
	list := r.Stages()
	if !r.Done() {
		return nil, &wit.Error{Kind: wit.ErrorInternal,
			Message: "a context that this version of the plugin did not make"}
	}
	c, err := newChain(list)
	if err != nil {
		return nil, err
	}
	if len(e.chains) >= maxCached {
		clear(e.chains)
	}
	e.chains[string(context)] = c
	return c, nil
}

// maxMade is how many schemas of its own an engine begins a call with.
const maxMade = 1000

// begin finds the chain of a call. Where the plugin's own schemas are many it gives them up, and all that was compiled
// with their numbers. One that is made again gets a new number; the host, which knows equal schemas for one, translates
// both.
func (e *Engine) begin(context []byte, declared []wit.Schema) (*transformationChain, error) {
	if s := &e.schemas; len(s.made) >= maxMade {
		for i := range s.made {
			delete(s.known, s.first+uint32(i))
		}
		s.first += uint32(len(s.made))
		s.made, e.layouts = nil, programs[*layout]{}
		clear(e.chains)
	}
	for i := range declared {
		e.schemas.known[declared[i].ID] = declared[i].Nodes
	}
	return e.chain(context)
}

// Apply sends rows through the chain of a context.
func (e *Engine) Apply(context []byte, schemas []wit.Schema, topics []string, rows []wit.Row,
	data []byte) (wit.ApplyResult,
	error) {
	c, err := e.begin(context, schemas)
	if err != nil {
		return wit.ApplyResult{}, err
	}
	e.begun(call{topics, rows, data})
	out, n := &e.out, 0
	for n < len(rows) && len(out.data) < maxData {
		if next := e.lane.alike(c, n); next > n {
			n = next
			continue
		}
		if err := e.plain(c, n); err != nil {
			return wit.ApplyResult{}, err
		}
		n++
	}
	done := out.ApplyResult
	done.Rows, done.Data, done.Consumed = out.rows, out.data, uint32(n)
	if out.here != nil {
		done.Data = out.here
	}
	done.Schemas, e.schemas.pending = e.schemas.pending, nil
	e.call = call{} // it is the host's memory
	return done, nil
}

// begun makes the result of a call an empty one.
func (e *Engine) begun(c call) {
	out := &e.out
	if cap(out.rows) < len(c.rows) {
		out.rows = make([]wit.Row, 0, len(c.rows))
	}
	e.call, *out = c, callResult{rows: out.rows[:0], data: out.data[:0]}
	e.lane.begin()
}

// plain takes one row the plain way, and compiles what the fast lane needs for the next ones like it. The error is of
// the call, not of the row.
func (e *Engine) plain(c *transformationChain, n int) error {
	v, out := &e.view, &e.out
	if err := e.load(n); err != nil {
		return err
	}
	out.settle()
	written, kept, named := len(out.data), len(out.rows), out.Topics
	e.number, e.scratch, e.spent = n, e.scratch[:0], 0
	worst, err := e.through(c, v, 0)
	if err != nil {
		return err
	}
	e.lane.learn(c, n)
	if worst != nil {
		out.Errors = append(out.Errors, wit.RowError{RowIndex: uint32(n), Stage: uint32(worst.stage),
			ErrorClass: worst.class, Error: wit.Error{Kind: wit.ErrorData, Message: worst.text}})
		out.data, out.rows, out.Topics = out.data[:written], out.rows[:kept], named
	}
	return nil
}

// load makes the view one of a row of the call.
func (e *Engine) load(n int) error {
	in := &e.call.rows[n]
	if int(in.Topic) >= len(e.call.topics) {
		return &wit.Error{Kind: wit.ErrorInternal, Message: "row " + strconv.Itoa(n) +
			" names a topic that is not in the call"}
	}
	return e.view.load(in, e.call.topics[in.Topic], e.call.data)
}

// through sends a row through the stages of a chain from one on, and emits it where it is not dropped: several times
// where it is split.
func (e *Engine) through(c *transformationChain, v *view, from int) (*failure, error) {
	for i := from; i < len(c.stages); i++ {
		s := &c.stages[i]
		applies, f, err := s.applies(&e.work, v)
		if f != nil || err != nil {
			return f, err
		}
		if !applies {
			continue
		}
		if o, ok := s.operation.(*split); ok {
			return o.through(&e.work, v, s.number, func() (*failure, error) { return e.through(c, v, i+1) })
		}
		if f, err = s.apply(&e.work, v); err != nil {
			return nil, err
		}
		if f != nil {
			return v.named(&e.schemas, f), nil
		}
		if v.dropped {
			return nil, nil
		}
	}
	for at := keySide; at <= valueSide; at++ {
		if f := v.columns[at].settle(&e.schemas); f != nil {
			return f, nil
		}
	}
	e.emit(v)
	return nil, nil
}

// emit adds a row to the result: the view of the row at work.
func (e *Engine) emit(v *view) {
	in, o := v.row, &e.out
	n := len(o.rows)
	if n == cap(o.rows) { // a row that was split
		o.rows = append(o.rows, wit.Row{})
	}
	o.rows = o.rows[:n+1]
	out := &o.rows[n]
	out.RowIndex, out.Topic, out.Partition = uint32(e.number), in.Topic, in.Partition
	out.Offset, out.Timestamp = in.Offset, in.Timestamp
	o.put(&out.Key, &v.columns[keySide])
	o.put(&out.Value, &v.columns[valueSide])
	o.put(&out.Headers, &v.columns[headerSide])
	if v.topic != e.call.topics[in.Topic] {
		out.Topic = o.topic(v.topic, e.call.topics)
	}
}

// Test asks the predicate of a context of each row.
func (e *Engine) Test(context []byte, schemas []wit.Schema, topics []string, rows []wit.Row,
	data []byte) (wit.TestResult,
	error) {
	c, err := e.begin(context, schemas)
	if err != nil {
		return wit.TestResult{}, err
	}
	if c.test == nil {
		return wit.TestResult{}, &wit.Error{Kind: wit.ErrorConfig, Message: "test: expected a context of one predicate"}
	}
	e.call = call{topics, rows, data}
	out := wit.TestResult{Matches: make([]bool, len(rows))}
	for i := range rows {
		if err := e.load(i); err != nil {
			return wit.TestResult{}, err
		}
		out.Matches[i], err = c.test.matches(&e.view, &e.work)
		if unknown, is := err.(*unmatched); is {
			out.Errors = append(out.Errors, wit.RowError{RowIndex: uint32(i), ErrorClass: connectException,
				Error: wit.Error{Kind: wit.ErrorData, Message: unknown.Error()}})
			continue
		}
		if err != nil {
			return wit.TestResult{}, err
		}
	}
	return out, nil
}
