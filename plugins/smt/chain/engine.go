package chain

import (
	"reflect"
	"slices"
	"strconv"

	"github.com/culvert-project/culvert/plugins/smt/kernel"
	"github.com/culvert-project/culvert/wit"
)

// Engine is what an instance of the plugin keeps from call to call: schemas, compiled chains, buffers. All of it is a
// cache. Results are valid until the next call. It belongs to one goroutine.
type Engine struct {
	// schemas holds those that the host declared (each once per instance; it replaces an instance that has too many)
	// and the plugin's own.
	schemas map[uint32][]wit.Node
	// made are the plugin's own schemas, by number less first; pending those that the host does not know yet.
	made    [][]wit.Node
	first   uint32
	pending []wit.Schema
	chains  map[string]*chain

	// routes are those of the call's topics, where the chain is fused or joined.
	routes []*route
	rows   []wit.Row
	data   []byte
	// view is the row at work; scratch takes what is written for it on the way.
	view    view
	scratch []byte
	// ends are where the members of the value at work begin, and where the last ends.
	ends    []uint64
	entries entries
	// loop is the kernel's at work.
	loop kernel.Rows
	// single is the row that tail holds the value of.
	single [1]wit.Row
	tail   []byte
	// stamped is the end of the call's rows that get the same topic by their timestamps as one that came before them.
	stamped int
	// apart tells whether the values of the call have room behind them; here is what of the call's data the result has,
	// where it has that and nothing else. That begins with the call's first byte, so keys, headers and the room between
	// values go back to the host, too.
	apart answer
	here  []byte
	// number is that of the row at work, topics are those of its call.
	number int
	topics []string
	// spent is what the parts of the row at work have come to, in bytes.
	spent int
	out   wit.Applied
}

// maxData is how much Apply writes before it stops early, in bytes.
const maxData = 1 << 20

// answer is whether something is so.
type answer uint8

const (
	unknown answer = iota
	yes
	no
)

// New returns an empty engine.
func New() *Engine {
	return &Engine{schemas: map[uint32][]wit.Node{}, chains: map[string]*chain{}, first: wit.GuestSchemas}
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
		return nil, &wit.Fault{Kind: wit.FaultInternal,
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

func (e *Engine) learn(schemas []wit.Schema) {
	for i := range schemas {
		e.schemas[schemas[i].ID] = schemas[i].Nodes
	}
}

// declare gives a schema of ours its number: that of an equal one where there is one.
func (e *Engine) declare(nodes []wit.Node) uint32 {
	for i := range e.made {
		if reflect.DeepEqual(e.made[i], nodes) {
			return e.first + uint32(i)
		}
	}
	id := e.first + uint32(len(e.made))
	e.made = append(e.made, nodes)
	e.schemas[id] = nodes
	e.pending = append(e.pending, wit.Schema{ID: id, Nodes: nodes})
	return id
}

// maxMade is how many schemas of its own an engine begins a call with.
const maxMade = 1000

// forget gives up the plugin's own schemas where they are many, and all that was compiled with their numbers. One that
// is made again gets a new number; the host, which knows equal schemas for one, translates both.
func (e *Engine) forget() {
	if len(e.made) < maxMade {
		return
	}
	for i := range e.made {
		delete(e.schemas, e.first+uint32(i))
	}
	e.first += uint32(len(e.made))
	e.made = nil
	clear(e.chains)
}

// Apply sends rows through the chain of a context.
func (e *Engine) Apply(context []byte, schemas []wit.Schema, topics []string, rows []wit.Row, data []byte) (wit.Applied,
	error) {
	e.forget()
	e.learn(schemas)
	c, err := e.chain(context)
	if err != nil {
		return wit.Applied{}, err
	}
	e.begin(len(topics), len(rows))
	n := 0
	for n < len(rows) && len(e.data) < maxData {
		named := e.out.Topics
		if behind := e.alike(c, topics, rows, n, data); behind > n {
			n = behind
			continue
		}
		e.out.Topics = named // a topic that no row got is none of the result's
		if err := e.row(c, topics, rows, n, data); err != nil {
			return wit.Applied{}, err
		}
		n++
	}
	out := e.out
	out.Rows, out.Data, out.Consumed = e.rows, e.data, uint32(n)
	if e.here != nil {
		out.Data, e.here = e.here, nil
	}
	out.Schemas, e.pending = e.pending, nil
	return out, nil
}

func (e *Engine) begin(topics, rows int) {
	e.out = wit.Applied{}
	if cap(e.rows) < rows {
		e.rows = make([]wit.Row, 0, rows)
	}
	e.rows, e.data, e.apart, e.here, e.stamped = e.rows[:0], e.data[:0], unknown, nil, 0
	e.routes = append(e.routes[:0], make([]*route, topics)...)
}

// alike handles rows that need nothing but what was compiled before, by the loops of fast.go. It returns the first row
// that is left; Engine.row does that one, and compiles what the next will need.
func (e *Engine) alike(c *chain, topics []string, rows []wit.Row, n int, data []byte) int {
	in := &rows[n]
	if c.joined == nil || int(in.Topic) >= len(topics) {
		return n
	}
	if e.routes[in.Topic] == nil {
		e.routes[in.Topic] = c.joined.route(topics[in.Topic])
	}
	r := e.routes[in.Topic]
	value := &r.sides[valueSide]
	if r.dropped || r.stop != nil || len(r.sides[keySide].steps) > 0 {
		return n
	}
	to, name := in.Topic, r.topic
	if c.stamp != nil {
		if in.Timestamp < 0 {
			return n
		}
		if name = c.stamp.topicOf(name, in.Timestamp); name == "" {
			return n
		}
		e.mayAppend(rows, data) // looks at all rows of the call
		if n >= e.stamped {
			e.stamped = c.stamp.alike(rows, n)
		}
		rows = rows[:e.stamped]
	}
	if name != topics[to] {
		to = e.topic(name, topics)
	}
	if len(value.steps) == 0 {
		return e.pass(c, to, rows, n)
	}
	first := 0
	if behind := uint64(in.Value.Start) + uint64(in.Value.Size) + kernel.Room; behind > uint64(len(data)) &&
		behind <= uint64(len(data))+kernel.Room {
		rows, data = e.alone(in, data)
		first, n = n, 0
	}
	switch p := value.last; {
	case in.Value.Form == wit.Dynamic && value.shape != nil:
		n = e.maps(value, first, to, rows, n, data)
	case in.Value.Form == wit.Structured && p != nil && p.fast.usable:
		n = e.structures(p, value.lastID, first, to, rows, n, data)
	}
	return first + n
}

// alone copies a row without as much behind its value as kernels read, so that it has that.
func (e *Engine) alone(in *wit.Row, data []byte) ([]wit.Row, []byte) {
	end := in.Value.Start + in.Value.Size
	e.tail = append(append(e.tail[:0], data[in.Value.Start:end]...), make([]byte, kernel.Room)...)
	e.single[0] = *in
	e.single[0].Value.Start = 0
	e.apart = no
	return e.single[:], e.tail
}

// row handles one row. The error is of the call, not of the row.
func (e *Engine) row(c *chain, topics []string, rows []wit.Row, n int, data []byte) error {
	in := &rows[n]
	if int(in.Topic) >= len(topics) {
		return &wit.Fault{Kind: wit.FaultInternal, Message: "row " + strconv.Itoa(n) +
			" names a topic that is not in the call"}
	}
	e.settle()
	v, written, kept, named := &e.view, len(e.data), len(e.rows), e.out.Topics
	if err := v.load(in, topics[in.Topic], data); err != nil {
		return err
	}
	e.number, e.topics = n, topics
	var worst *failure
	var err error
	if c.fused() {
		// what is written is the result's
		var dropped bool
		worst, dropped, err = e.fused(&c.phases[0], v, &e.data)
		if worst == nil && err == nil {
			if dropped {
				e.data = e.data[:written]
			} else {
				e.emit(v)
			}
		}
	} else {
		e.scratch, e.spent = e.scratch[:0], 0
		worst, err = e.through(c, v, 0)
	}
	if err == nil && c.joined != nil && !c.fused() {
		err = e.ready(&e.routes[in.Topic].sides[valueSide], in, data)
	}
	if err != nil {
		return err
	}
	if worst != nil {
		e.out.Faults = append(e.out.Faults, wit.RowFault{Origin: uint32(n), Stage: uint32(worst.stage),
			ErrorClass: worst.class,
			Fault:      wit.Fault{Kind: wit.FaultData, Message: worst.text}})
		e.data, e.rows, e.out.Topics = e.data[:written], e.rows[:kept], named
	}
	return nil
}

// ready compiles what Engine.alike needs for rows like one that has gone by phases.
func (e *Engine) ready(p *plan, in *wit.Row, data []byte) error {
	switch {
	case len(p.steps) == 0:
	case in.Value.Form == wit.Structured && (p.last == nil || p.lastID != in.Value.Schema):
		made, err := e.program(p, in.Value.Schema)
		if err != nil {
			return err
		}
		p.last, p.lastID = made, in.Value.Schema
	case in.Value.Form == wit.Dynamic:
		p.study(&e.entries, data[in.Value.Start:in.Value.Start+in.Value.Size], in)
	}
	return nil
}

// emit adds a row to the result: the view of the row at work.
func (e *Engine) emit(v *view) {
	in, n := v.row, len(e.rows)
	if n == cap(e.rows) { // a row that was split
		e.rows = append(e.rows, wit.Row{})
	}
	e.rows = e.rows[:n+1]
	out := &e.rows[n]
	out.Origin, out.Topic, out.Partition = uint32(e.number), in.Topic, in.Partition
	out.Offset, out.Timestamp = in.Offset, in.Timestamp
	e.put(&out.Key, &v.columns[keySide])
	e.put(&out.Value, &v.columns[valueSide])
	e.put(&out.Headers, &v.columns[headerSide])
	if v.topic != e.topics[in.Topic] {
		out.Topic = e.topic(v.topic, e.topics)
	}
}

// through sends a row through the phases of a chain from one on, one after another, and emits it where it is not
// dropped: several times where it is split.
func (e *Engine) through(c *chain, v *view, from int) (*failure, error) {
	for i := from; i < len(c.phases); i++ {
		p := &c.phases[i]
		if p.condition != nil {
			matches, err := p.condition.matches(v, e)
			if unknown, is := err.(*unmatched); is {
				return unknown.at(p.number), nil
			}
			if err != nil {
				return nil, err
			}
			if matches == p.negate {
				continue
			}
		}
		var f *failure
		var dropped bool
		var err error
		if o, ok := p.operation.(*split); ok {
			return o.through(e, c, v, i+1, p.number)
		} else if p.operation != nil {
			f, err = p.operation.apply(e, v, p.number)
		} else {
			f, dropped, err = e.fused(p, v, &e.scratch)
		}
		if f != nil && err == nil {
			f = v.named(e, f)
		}
		if f != nil || dropped || err != nil {
			return f, err
		}
	}
	for at := keySide; at <= valueSide; at++ {
		if v.columns[at].missing == nil {
			continue
		}
		if f := v.columns[at].settle(e); f != nil {
			return f, nil
		}
	}
	e.emit(v)
	return nil, nil
}

// fused does the stages of a fused phase; what they write goes behind dst, which is e.data or e.scratch.
func (e *Engine) fused(p *phase, v *view, dst *[]byte) (*failure, bool, error) {
	r := p.route(v.topic)
	worst := r.stop
	for at := range r.sides {
		f, err := e.plan(&r.sides[at], &v.columns[at], v.row, dst)
		if err != nil {
			return nil, false, err
		}
		if f != nil && (worst == nil || f.stage < worst.stage) {
			worst = f
		}
	}
	v.topic = r.topic
	return worst, r.dropped, nil
}

// plan does a plan on a key or value.
func (e *Engine) plan(p *plan, c *column, row *wit.Row, dst *[]byte) (f *failure, err error) {
	if len(p.steps) == 0 || c.form == wit.Absent {
		return nil, nil
	}
	from := len(*dst)
	if c.form == wit.Dynamic {
		*dst, f = p.runDynamic(&e.entries, *dst, c, row)
	} else {
		if p.last == nil || p.lastID != c.schema {
			made, err := e.program(p, c.schema)
			if err != nil {
				return nil, err
			}
			p.last, p.lastID = made, c.schema
		}
		*dst, f = p.last.run(*dst, e.ends, c, row, p.steps[0].stage)
	}
	if c.changed && dst == &e.data {
		c.at = from
	}
	if f == nil {
		c.class = "" // Kafka's transforms make a map or structure anew, even of the same entries
	}
	return f, nil
}

// put writes a column as the result has it.
func (e *Engine) put(d *wit.Datum, c *column) {
	switch {
	case !c.changed:
		d.Form, d.Schema, d.Start, d.Size = wit.Unchanged, c.schema, 0, 0
		return
	case c.form == wit.Absent:
		d.Form, d.Schema, d.Start, d.Size = wit.Absent, 0, 0, 0
		return
	case c.at < 0:
		c.at = len(e.data)
		e.data = append(e.data, c.bytes...)
	}
	d.Form, d.Schema, d.Start, d.Size = c.form, c.schema, uint32(c.at), uint32(len(c.bytes))
}

// program returns the plan's program for a schema.
func (e *Engine) program(p *plan, schema uint32) (*program, error) {
	if made := p.programs[schema]; made != nil {
		return made, nil
	}
	nodes, err := schemaOf(e.schemas, schema)
	if err != nil {
		return nil, err
	}
	if p.programs == nil || len(p.programs) >= maxCached {
		p.programs = map[uint32]*program{}
	}
	made := newProgram(p.steps, schema, nodes, e.declare)
	if p.readsAll {
		made.fast.appends = false
	} else {
		made.readLess()
	}
	p.programs[schema] = made
	e.room(made)
	return made, nil
}

// room makes room for the offsets of a program's members.
func (e *Engine) room(p *program) {
	if n := len(p.skips) + 1; len(e.ends) < n {
		e.ends = make([]uint64, n)
	}
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
func (e *Engine) Test(context []byte, schemas []wit.Schema, topics []string, rows []wit.Row, data []byte) (wit.Tested,
	error) {
	e.forget()
	e.learn(schemas)
	c, err := e.chain(context)
	if err != nil {
		return wit.Tested{}, err
	}
	if c.test == nil {
		return wit.Tested{}, &wit.Fault{Kind: wit.FaultConfig, Message: "test: expected a context of one predicate"}
	}
	out := wit.Tested{Matches: make([]bool, len(rows))}
	for i := range rows {
		in := &rows[i]
		if int(in.Topic) >= len(topics) {
			return wit.Tested{}, &wit.Fault{Kind: wit.FaultInternal, Message: "row " + strconv.Itoa(i) +
				" names a topic that is not in the call"}
		}
		if err := e.view.load(in, topics[in.Topic], data); err != nil {
			return wit.Tested{}, err
		}
		out.Matches[i], err = c.test.matches(&e.view, e)
		if unknown, is := err.(*unmatched); is {
			out.Faults = append(out.Faults, wit.RowFault{Origin: uint32(i), ErrorClass: connectException,
				Fault: wit.Fault{Kind: wit.FaultData, Message: unknown.Error()}})
			continue
		}
		if err != nil {
			return wit.Tested{}, err
		}
	}
	return out, nil
}
