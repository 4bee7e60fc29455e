package chain

import (
	"reflect"
	"slices"
	"strconv"

	"github.com/culvert-project/culvert/wit"
)

// Engine is what an instance of the plugin keeps from call to call: schemas, compiled chains, buffers. All of it is a cache.
// Results are valid until the next call. It belongs to one goroutine.
type Engine struct {
	schemas map[uint32][]wit.Node
	// made are the plugin's own schemas, by number less wit.GuestSchemas; pending those that the host does not know yet.
	made    [][]wit.Node
	pending []wit.Schema
	chains  map[string]*chain

	routes  []*route
	rows    []wit.Row
	data    []byte
	ends    []uint32
	entries entries
	out     wit.Applied
}

// maxData is how much Apply writes before it stops early, in bytes.
const maxData = 1 << 20

// New returns an empty engine.
func New() *Engine {
	return &Engine{schemas: map[uint32][]wit.Node{}, chains: map[string]*chain{}}
}

// Prepare checks stages and makes a context of them.
func (e *Engine) Prepare(list []wit.Stage) ([]byte, error) {
	if _, err := newChain(list); err != nil {
		return nil, err
	}
	return encode(list), nil
}

func (e *Engine) chain(context []byte) (*chain, error) {
	if c := e.chains[string(context)]; c != nil {
		return c, nil
	}
	list, ok := decode(context)
	if !ok {
		return nil, &wit.Fault{Kind: wit.FaultInternal, Message: "a context that this version of the plugin did not make"}
	}
	c, err := newChain(list)
	if err != nil {
		return nil, err
	}
	e.chains[string(context)] = c
	return c, nil
}

func (e *Engine) learn(schemas []wit.Schema) {
	for i := range schemas {
		e.schemas[schemas[i].ID] = schemas[i].Nodes
	}
}

// declare gives a schema of ours its number: that of an equal one where there is one.
func (e *Engine) declare(nodes []wit.Node) uint32 {
	for i := range e.made {
		if reflect.DeepEqual(e.made[i], nodes) {
			return wit.GuestSchemas + uint32(i)
		}
	}
	id := wit.GuestSchemas + uint32(len(e.made))
	e.made = append(e.made, nodes)
	e.schemas[id] = nodes
	e.pending = append(e.pending, wit.Schema{ID: id, Nodes: nodes})
	return id
}

// Apply sends rows through the chain of a context.
func (e *Engine) Apply(context []byte, schemas []wit.Schema, topics []string, rows []wit.Row, data []byte) (wit.Applied, error) {
	e.learn(schemas)
	c, err := e.chain(context)
	if err != nil {
		return wit.Applied{}, err
	}
	e.begin(len(topics), len(rows))
	n := 0
	for n < len(rows) && len(e.data) < maxData {
		if n = e.alike(topics, rows, n, data); n == len(rows) || len(e.data) >= maxData {
			break
		}
		if err := e.row(c, topics, rows, n, data); err != nil {
			return wit.Applied{}, err
		}
		n++
	}
	out := e.out
	out.Rows, out.Data, out.Consumed = e.rows, e.data, uint32(n)
	out.Schemas, e.pending = e.pending, nil
	return out, nil
}

func (e *Engine) begin(topics, rows int) {
	e.out = wit.Applied{}
	if cap(e.rows) < rows {
		e.rows = make([]wit.Row, 0, rows)
	}
	e.rows, e.data = e.rows[:0], e.data[:0]
	e.routes = append(e.routes[:0], make([]*route, topics)...)
}

// alike handles rows that need nothing but what was compiled before, by the loops of fast.go. It returns the first row that is
// left; Engine.row does that one, and compiles what the next will need.
func (e *Engine) alike(topics []string, rows []wit.Row, n int, data []byte) int {
	in := &rows[n]
	if int(in.Topic) >= len(topics) || e.routes[in.Topic] == nil {
		return n
	}
	r := e.routes[in.Topic]
	value := &r.sides[valueSide]
	if r.dropped || r.stop != nil || len(r.sides[keySide].steps) > 0 {
		return n
	}
	to := in.Topic
	if r.topic != topics[to] {
		to = e.topic(r.topic, topics)
	}
	if len(value.steps) == 0 {
		return e.pass(r, in.Topic, to, rows, n)
	}
	if in.Value.Form == wit.Dynamic {
		if value.shape == nil {
			return n
		}
		return e.maps(value, in.Topic, to, rows, n, data)
	}
	if p := value.last; p != nil && p.fast.usable {
		return e.structures(p, value.lastID, in.Topic, to, rows, n, data)
	}
	return n
}

// row handles one row. The error is of the call, not of the row.
func (e *Engine) row(c *chain, topics []string, rows []wit.Row, n int, data []byte) error {
	in := &rows[n]
	if int(in.Topic) >= len(topics) {
		return &wit.Fault{Kind: wit.FaultInternal, Message: "row " + strconv.Itoa(n) + " names a topic that is not in the call"}
	}
	r := e.routes[in.Topic]
	if r == nil {
		r = c.route(topics[in.Topic])
		e.routes[in.Topic] = r
	}
	at := len(e.rows)
	e.rows = append(e.rows, *in)
	row, written := &e.rows[at], len(e.data)
	row.Origin, row.Headers = uint32(n), wit.Datum{Form: wit.Unchanged}
	worst := r.stop
	for _, s := range [...]struct {
		of  side
		put *wit.Datum
	}{{keySide, &row.Key}, {valueSide, &row.Value}} {
		f, err := e.side(&r.sides[s.of], s.put, in, data)
		if err != nil {
			return err
		}
		if f != nil && (worst == nil || f.stage < worst.stage) {
			worst = f
		}
	}
	if worst != nil {
		e.out.Faults = append(e.out.Faults, wit.RowFault{Origin: uint32(n), Stage: uint32(worst.stage), ErrorClass: worst.class,
			Fault: wit.Fault{Kind: wit.FaultData, Message: worst.text}})
	}
	if worst != nil || r.dropped {
		e.rows, e.data = e.rows[:at], e.data[:written]
		return nil
	}
	if r.topic != topics[in.Topic] {
		row.Topic = e.topic(r.topic, topics)
	}
	return nil
}

// side does a plan on a key or value: d is the input's datum, and becomes the result's.
func (e *Engine) side(p *plan, d *wit.Datum, row *wit.Row, data []byte) (*failure, error) {
	if len(p.steps) == 0 || d.Form == wit.Absent {
		*d = wit.Datum{Form: wit.Unchanged, Schema: d.Schema}
		return nil, nil
	}
	end := uint64(d.Start) + uint64(d.Size)
	if end > uint64(len(data)) {
		return nil, &wit.Fault{Kind: wit.FaultInternal, Message: "a datum that runs past the call's data"}
	}
	in, form := data[d.Start:end], d.Form
	*d = wit.Datum{Form: wit.Unchanged, Schema: d.Schema}
	var f *failure
	if form == wit.Dynamic {
		e.data, f = p.runDynamic(&e.entries, e.data, d, in, row)
		return f, nil
	}
	if p.last == nil || p.lastID != d.Schema {
		made, err := e.program(p, d.Schema)
		if err != nil {
			return nil, err
		}
		p.last, p.lastID = made, d.Schema
	}
	e.data, f = p.last.run(e.data, e.ends, d, in, row, p.steps[0].stage)
	return f, nil
}

// program returns the plan's program for a schema.
func (e *Engine) program(p *plan, schema uint32) (*program, error) {
	if made := p.programs[schema]; made != nil {
		return made, nil
	}
	nodes := e.schemas[schema]
	if nodes == nil {
		return nil, &wit.Fault{Kind: wit.FaultInternal, Message: "schema " + strconv.Itoa(int(schema)) + " was never given to this instance"}
	}
	if p.programs == nil || len(p.programs) >= maxCached {
		p.programs = map[uint32]*program{}
	}
	made := newProgram(p.steps, nodes, e.declare)
	p.programs[schema] = made
	if n := len(made.skips) + 1; len(e.ends) < n {
		e.ends = make([]uint32, n)
	}
	return made, nil
}

// topic returns the index of a topic in the result's list, which begins with the call's.
func (e *Engine) topic(name string, topics []string) uint32 {
	if e.out.Topics == nil {
		e.out.Topics = slices.Clone(topics)
	}
	at := slices.Index(e.out.Topics, name)
	if at < 0 {
		at = len(e.out.Topics)
		e.out.Topics = append(e.out.Topics, name)
	}
	return uint32(at)
}

// Test asks the predicate of a context of each row.
func (e *Engine) Test(context []byte, schemas []wit.Schema, topics []string, rows []wit.Row, data []byte) (wit.Tested, error) {
	e.learn(schemas)
	c, err := e.chain(context)
	if err != nil {
		return wit.Tested{}, err
	}
	if c.test == nil {
		return wit.Tested{}, &wit.Fault{Kind: wit.FaultConfig, Message: "test: expected a context of one predicate"}
	}
	byTopic := make([]bool, len(topics))
	for i, name := range topics {
		byTopic[i] = c.test.matches(name)
	}
	out := wit.Tested{Matches: make([]bool, len(rows))}
	for i := range rows {
		if int(rows[i].Topic) >= len(topics) {
			return wit.Tested{}, &wit.Fault{Kind: wit.FaultInternal, Message: "row " + strconv.Itoa(i) + " names a topic that is not in the call"}
		}
		out.Matches[i] = byTopic[rows[i].Topic]
	}
	return out, nil
}
