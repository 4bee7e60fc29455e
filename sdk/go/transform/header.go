package transform

import (
	"slices"

	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/datum"
)

// headers are those of a record. They are read when they are asked for.
type headers struct {
	// at is where they lie in data.
	at      wit.Datum
	data    []byte
	all     []header
	read    bool
	changed bool
	err     error
}

// header is one of them. nodes is the schema of one that was set, which has no number yet.
type header struct {
	datum.Header
	nodes []wit.Node
}

// load points h at those of another row of the same data.
func (h *headers) load(at wit.Datum) {
	h.at, h.read, h.changed = at, false, false
	if h.err != nil {
		h.err = nil
	}
}

// list reads the headers, once.
func (h *headers) list() []header {
	if h.read {
		return h.all
	}
	h.read, h.all = true, h.all[:0]
	if h.at.Form == wit.Absent {
		return nil
	}
	var all []datum.Header
	all, h.err = datum.Headers(nil, h.data[h.at.Start:h.at.Start+h.at.Size])
	for _, one := range all {
		h.all = append(h.all, header{Header: one})
	}
	return h.all
}

// Header returns the value of the last header of that name, as Kafka's lastHeader does: as package datum reads it, or
// its bytes, to be read until the Func returns, where no converter has read it. ok is false when there is none. What
// cannot be read fails the record when the Func returns.
func (r *Record) Header(name string) (value any, ok bool) {
	all := r.headers.list()
	for i := len(all) - 1; i >= 0; i-- {
		h := &all[i]
		if h.Name != name {
			continue
		}
		var err error
		switch nodes := h.nodes; h.Form {
		case wit.Raw:
			return h.Value, true
		case wit.Dynamic:
			value, _, err = datum.ReadDynamic(h.Value)
		default:
			if nodes == nil {
				nodes = r.schemas[h.Schema]
			}
			value, _, err = datum.Read(nodes, 0, h.Value)
		}
		if err != nil {
			r.headers.err = err
			return nil, false
		}
		return value, true
	}
	return nil, false
}

// SetHeader puts a header after the others, in place of all of that name. nodes is its schema, such as
// []wit.Node{{Kind: wit.Text}}; nil: it has none. A value that does not fit the schema is an error.
func (r *Record) SetHeader(name string, nodes []wit.Node, value any) (err error) {
	one := header{datum.Header{Name: name, Form: wit.Structured}, nodes}
	if nodes == nil {
		one.Form = wit.Dynamic
		one.Value, err = datum.AppendDynamic(nil, value)
	} else {
		one.Value, err = datum.Append(nil, nodes, 0, value)
	}
	if err != nil {
		return in("header "+name, err)
	}
	r.DropHeader(name)
	r.headers.all, r.headers.changed = append(r.headers.all, one), true
	return nil
}

// DropHeader takes out all headers of that name.
func (r *Record) DropHeader(name string) {
	before := len(r.headers.list())
	r.headers.all = slices.DeleteFunc(r.headers.all, func(h header) bool { return h.Name == name })
	r.headers.changed = r.headers.changed || len(r.headers.all) < before
}
