package chain

import (
	"strings"
	"unsafe"

	"github.com/culvert-project/culvert/plugins/smt/kernel"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/datum"
)

// lane is the fast lane: it does rows that are alike by the loops of package kernel, as the plain way would have done
// them, or stops at a row that it cannot do.
type lane struct {
	// routes are those of the call's topics.
	routes []*route
	loop   kernel.Rows
	// pieces is what the caller of the kernel makes of values.
	pieces []byte
	// single is the row that tail holds the value of.
	single [1]wit.Row
	tail   []byte
	// stamped is the end of the call's rows that get the same topic by their timestamps as one that came before them.
	stamped int
	// apart tells whether the values of the call have room after them.
	apart answer
}

// answer is whether something is so.
type answer uint8

const (
	unknown answer = iota
	yes
	no
)

func (l *lane) begin(topics []string) {
	l.routes = append(l.routes[:0], make([]*route, len(topics))...)
	l.stamped, l.apart = 0, unknown
}

// route is what a chain comes to for the records of one topic.
type route struct {
	topic string
	// slow: all rows go the plain way.
	slow bool
	// live: the route holds for rows alone whose value is no null. That is what is known there of RecordIsTombstone.
	live bool
	// steps are those on values, and on the key that one of them makes.
	steps []step
	// stamp is what gives rows their topic after the steps; nil: topic is all.
	stamp *stampRouter

	programs programs[*program]
	// shape is what became of the last map without schema; misses counts shapes that did not come again.
	shape  *shape
	misses int
}

// route returns the topic's route. The name may lie in memory that is used again.
func (c *chain) route(topic string) *route {
	r := c.routes[topic]
	if r == nil {
		topic = strings.Clone(topic)
		r = &route{topic: topic}
		for i := range c.stages {
			if r.slow = r.slow || !r.add(&c.stages[i], i == len(c.stages)-1); r.slow {
				break
			}
		}
		if len(c.routes) >= maxCached {
			clear(c.routes)
		}
		c.routes[topic] = r
	}
	return r
}

// add adds a stage; it is false where that has no place in the fast lane.
func (r *route) add(s *stage, last bool) bool {
	switch when := s.condition.(type) {
	case nil:
	case tombstone:
		r.live = true
		if !s.negate {
			return true // it is for tombstones
		}
	case topicCondition:
		matches, unknown := when.matchesTopic(r.topic)
		if unknown != nil {
			return false
		}
		if matches == s.negate {
			return true
		}
	default:
		return false
	}
	switch o := s.operation.(type) {
	case topicOperation:
		topic, f := o.route(r.topic, s.number)
		r.topic = topic
		return f == nil
	case *stampRouter:
		r.stamp = o
		return o.wrong == "" && last && s.condition == nil
	case fieldOperation:
		return r.step(s.number, o)
	}
	return false
}

// step adds an operation on fields: of values, or of the key that was made of one before.
func (r *route) step(stage int, o fieldOperation) bool {
	onKey := o.about().at == keySide
	if onKey {
		keyed := false
		for i := range r.steps {
			_, is := r.steps[i].operation.(*valueToKey)
			keyed = keyed || is
		}
		if !keyed {
			return false
		}
	}
	switch x := o.(type) {
	case *extract:
		if !onKey || len(x.path) != 1 {
			return false
		}
	case *headerFrom, *valueToKey:
		if onKey {
			return false
		}
	}
	r.steps = append(r.steps, step{stage, o, r.topic, onKey})
	return true
}

// alike handles rows that need nothing but what was compiled before. It returns the first row that is left; the plain
// way does that one, and compiles what the next will need.
func (e *Engine) alike(c *chain, n int) int {
	l, rows, data := &e.lane, e.call.rows, e.call.data
	in := &rows[n]
	if int(in.Topic) >= len(e.call.topics) {
		return n
	}
	r := l.routes[in.Topic]
	if r == nil {
		r = c.route(e.call.topics[in.Topic])
		l.routes[in.Topic] = r
	}
	if r.slow {
		return n
	}
	to, name := in.Topic, r.topic
	named := e.out.Topics
	if r.stamp != nil {
		if in.Timestamp < 0 {
			return n
		}
		if name = r.stamp.topicOf(name, in.Timestamp); name == "" {
			return n
		}
		l.mayAppend(&e.call) // looks at all rows of the call
		if n >= l.stamped {
			l.stamped = r.stamp.alike(rows, n)
		}
		rows = rows[:l.stamped]
	}
	if name != e.call.topics[to] {
		to = e.out.topic(name, e.call.topics)
	}
	first := 0
	if end := uint64(in.Value.Start) + uint64(in.Value.Size) + kernel.Room; len(r.steps) > 0 &&
		end > uint64(len(data)) && end <= uint64(len(data))+kernel.Room {
		rows, data = l.alone(in, data)
		first, n = n, 0
	}
	next := first + e.loop(r, first, to, rows, n, data)
	if next == first+n {
		e.out.Topics = named // a topic that no row got is none of the result's
	}
	return next
}

// loop handles rows of one route from n on, and returns the first that it did not do; first is the number of rows[0] in
// the call.
func (e *Engine) loop(r *route, first int, to uint32, rows []wit.Row, n int, data []byte) int {
	in, p := &rows[n].Value, r.programs.last
	switch {
	case len(r.steps) == 0:
		return e.pass(r, to, rows, n)
	case in.Form == wit.Dynamic && r.shape != nil:
		result := wit.Dynamic
		if r.shape.same {
			result = wit.Unchanged
		}
		done := e.values(&r.shape.fast, nil, first, to, rows, n, data, 0, datumWord(result, 0))
		r.misses = max(0, r.misses-(done-n))
		return done
	case in.Form == wit.Structured && r.programs.any && p.fast.usable:
		return e.structures(r, p, first, to, rows, n, data)
	}
	return n
}

// alone copies a row without as much after its value as kernels read, so that it has that.
func (l *lane) alone(in *wit.Row, data []byte) ([]wit.Row, []byte) {
	end := in.Value.Start + in.Value.Size
	l.tail = append(append(l.tail[:0], data[in.Value.Start:end]...), make([]byte, kernel.Room)...)
	l.single[0] = *in
	l.single[0].Value.Start = 0
	l.single[0].Headers.Start = uint32(len(l.tail)) // they are not there
	l.apart = no
	return l.single[:], l.tail
}

// beginLoop makes the loop ready for rows of one route from n on; first is the number of rows[0] in the call.
func (e *Engine) beginLoop(first int, to uint32, rows []wit.Row, n int, data []byte) *kernel.Rows {
	o := &e.out
	e.lane.loop = kernel.Rows{In: unsafe.Pointer(unsafe.SliceData(rows)), First: first, N: n, Count: len(rows),
		Out: unsafe.Pointer(unsafe.SliceData(o.rows)), Made: len(o.rows), Most: cap(o.rows),
		Data: unsafe.Pointer(unsafe.SliceData(data)), Limit: len(data) - kernel.Room,
		Dst: unsafe.Pointer(unsafe.SliceData(o.data)), At: len(o.data), Size: cap(o.data), Full: maxData,
		Topic: uint64(rows[n].Topic), To: uint64(to)}
	return &e.lane.loop
}

// endLoop takes what the loop has made and returns the first row that it did not do.
func (e *Engine) endLoop() int {
	s := &e.lane.loop
	n := s.N
	e.out.rows, e.out.data = e.out.rows[:s.Made], e.out.data[:s.At]
	*s = kernel.Rows{} // it holds on to the call's memory
	return n
}

// grow makes room for the result of the row at work, for about a call's worth at once.
func (e *Engine) grow(in *wit.Row) {
	s := &e.lane.loop
	need := (int(in.Value.Size)+int(in.Headers.Size)+s.Edited)<<s.Program.Twice + s.Program.Extra + kernel.Room
	bigger := make([]byte, s.At, max(2*cap(e.out.data), s.At+need, 64<<10))
	copy(bigger, e.out.data[:s.At])
	e.out.data = bigger
	s.Dst, s.Size = unsafe.Pointer(unsafe.SliceData(bigger)), cap(bigger)
}

// pass handles rows of one route without steps: only the topic changes. It returns the first row that it did not do.
func (e *Engine) pass(r *route, to uint32, rows []wit.Row, n int) int {
	var mask, wanted uint64
	if in := &rows[n].Value; r.live {
		// rows of another form or schema may be tombstones
		nodes := e.schemas.known[in.Schema]
		if in.Form != wit.Dynamic && (in.Form != wit.Structured || nodes == nil || nodes[0].Optional) {
			return n
		}
		mask, wanted = datumWord(0xff, ^uint32(0)), datumWord(in.Form, in.Schema)
	}
	s := e.beginLoop(0, to, rows, n, nil)
	s.Mask, s.Value = mask, wanted
	s.Keep, s.Result = datumWord(0, ^uint32(0)), datumWord(wit.Unchanged, 0)
	kernel.Pass(s)
	return e.endLoop()
}

// structures handles rows whose values are structures of one schema.
func (e *Engine) structures(r *route, p *program, first int, to uint32, rows []wit.Row, n int, data []byte) int {
	wanted, result := datumWord(wit.Structured, r.programs.lastID), datumWord(wit.Structured, p.made.schema)
	if p.same {
		result = datumWord(wit.Unchanged, p.made.schema)
	}
	if p.same && p.key == nil && p.headers == nil && !p.optional {
		s := e.beginLoop(first, to, rows, n, data)
		s.Value, s.Mask, s.Result = wanted, datumWord(0xff, ^uint32(0)), result
		kernel.Pass(s)
		return e.endLoop()
	}
	return e.values(&p.fast, p.skips, first, to, rows, n, data, wanted, result)
}

// values has the kernel do rows; skips are the members of a structure, nil: it does maps. wanted and result are the
// words with form and schema of values.
func (e *Engine) values(p *fastProgram, skips []skip, first int, to uint32, rows []wit.Row, n int, data []byte,
	wanted, result uint64) int {
	l, out := &e.lane, &e.out
	appends := p.tail.Appends != 0 && l.mayAppend(&e.call) && len(out.data) == 0
	if !appends {
		out.settle()
	}
	s := e.beginLoop(first, to, rows, n, data)
	s.Program, s.Value, s.Result = &p.Program, wanted, result
	if appends {
		s.Program, s.Dst = &p.tail, s.Data
	}
	e.room(max(len(skips), p.Members) + 1)
	s.Ends = unsafe.Pointer(unsafe.SliceData(e.ends))
	for {
		switch why := kernel.Values(s); why {
		case kernel.Done:
			return e.endValues(appends, n, data)
		case kernel.Full:
			e.grow(&rows[s.N])
		case kernel.Edit:
			if !l.edit(e, p, &rows[s.N], data) {
				return e.endValues(appends, n, data)
			}
		default:
			value := &rows[s.N].Value
			size, err := skipped(skips, s.Member-1, data[s.Place:value.Start+value.Size])
			if err != nil {
				return e.endValues(appends, n, data)
			}
			s.Place += size
		}
	}
}

// endValues is endLoop, where results may have been written after the call's values.
func (e *Engine) endValues(appended bool, n int, data []byte) int {
	if s := &e.lane.loop; appended {
		if s.N > n {
			e.out.here = data[:s.At]
		}
		s.At = len(e.out.data)
	}
	return e.endLoop()
}

// skipped is the size of a value that the kernel does not know: of a member, or of an entry where there are none.
func skipped(members []skip, at int, in []byte) (int, error) {
	if members == nil {
		return datum.SkipDynamic(in)
	}
	return datum.Skip(members[at].nodes, members[at].node, in)
}

// mayAppend tells whether results may be written after the call's own values: those are apart.
func (l *lane) mayAppend(c *call) bool {
	if l.apart == unknown {
		l.apart = no
		s := &kernel.Rows{In: unsafe.Pointer(unsafe.SliceData(c.rows)), Count: len(c.rows),
			Limit: len(c.data) - kernel.Room}
		if len(c.data) <= maxData && kernel.Apart(s) == kernel.Full {
			l.apart = yes
		}
	}
	return l.apart == yes
}

// learn compiles what the fast lane needs for rows like one that has gone the plain way.
func (e *Engine) learn(c *chain, n int) error {
	in := &e.call.rows[n]
	r := c.route(e.call.topics[in.Topic])
	switch {
	case r.slow, len(r.steps) == 0:
	case in.Value.Form == wit.Structured:
		_, err := r.programs.of(e, in.Value.Schema, func(nodes []wit.Node) *program {
			return newProgram(&e.schemas, r.steps, in.Value.Schema, nodes)
		})
		return err
	case in.Value.Form == wit.Dynamic:
		r.study(&e.entries, e.call.data[in.Value.Start:in.Value.Start+in.Value.Size], in)
	}
	return nil
}
