// Package pack encodes the opaque bytes that the host keeps for a plugin: contexts and states. In a guest it is smaller
// and faster than encoding/json, which adds 1.4 MB to a module. Integers are encoded as in Avro, strings with their
// length. There is no type information, because only the version that wrote the bytes reads them.
package pack

import (
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// String appends the length of s in bytes and s.
func String(dst []byte, s string) []byte { return connectdata.AppendString(dst, s) }

// Int appends an integer. Small absolute values take fewer bytes.
func Int(dst []byte, n int) []byte { return connectdata.AppendNumber(dst, int64(n)) }

// Bool appends a boolean as one byte.
func Bool(dst []byte, b bool) []byte { return connectdata.AppendBoolean(dst, b) }

// Strings appends the length of the list and its strings.
func Strings(dst []byte, list []string) []byte {
	dst = Int(dst, len(list))
	for _, s := range list {
		dst = String(dst, s)
	}
	return dst
}

// Settings appends the number of settings and their names and values.
func Settings(dst []byte, list []wit.Setting) []byte {
	dst = Int(dst, len(list))
	for _, s := range list {
		dst = String(String(dst, s.Name), s.Value)
	}
	return dst
}

// Stages appends the stages of a chain.
func Stages(dst []byte, chain []wit.Stage) []byte {
	dst = Int(dst, len(chain))
	for _, s := range chain {
		dst = Bool(Settings(String(dst, s.Component), s.Settings), s.Condition != nil)
		if c := s.Condition; c != nil {
			dst = Bool(Settings(String(dst, c.Component), c.Settings), c.Negate)
		}
	}
	return dst
}

// Reader reads values in the order of appending. After an error all methods return zero values and Failed is true.
type Reader struct {
	remaining []byte
	Failed    bool // whether the bytes do not have the values that were read
	// text is the whole input. The strings that are read are parts of it.
	text string
}

// NewReader returns a reader of b, which must not change until everything is read. Strings that were read stay valid.
func NewReader(b []byte) *Reader { return &Reader{remaining: b, text: string(b)} }

// Done reports whether all bytes were read without an error.
func (r *Reader) Done() bool { return !r.Failed && len(r.remaining) == 0 }

// String reads a string that [String] wrote.
func (r *Reader) String() string {
	content, size := connectdata.LengthPrefixed(r.remaining)
	if size <= 0 {
		r.fail()
		return ""
	}
	r.remaining = r.remaining[size:]
	end := len(r.text) - len(r.remaining)
	return r.text[end-len(content) : end]
}

// Int reads an integer that [Int] wrote.
func (r *Reader) Int() int {
	n, size := connectdata.Number(r.remaining)
	if size <= 0 {
		r.fail()
		return 0
	}
	r.remaining = r.remaining[size:]
	return int(n)
}

// Count reads the length of a list whose items take at least one byte each.
func (r *Reader) Count() int {
	n := r.Int()
	if n < 0 || n > len(r.remaining) {
		r.fail()
		return 0
	}
	return n
}

// Bool reads a boolean that [Bool] wrote.
func (r *Reader) Bool() bool {
	if len(r.remaining) == 0 {
		r.fail()
		return false
	}
	b := r.remaining[0]
	r.remaining = r.remaining[1:]
	return b == 1
}

// Strings reads a list that [Strings] wrote.
func (r *Reader) Strings() []string {
	n := r.Count()
	if n == 0 {
		return nil
	}
	list := make([]string, n)
	for i := range list {
		list[i] = r.String()
	}
	return list
}

// Settings reads settings that the function [Settings] wrote.
func (r *Reader) Settings() (list []wit.Setting) {
	for n := r.Count(); n > 0 && !r.Failed; n-- {
		list = append(list, wit.Setting{Name: r.String(), Value: r.String()})
	}
	return list
}

// Stages reads stages that the function [Stages] wrote.
func (r *Reader) Stages() (chain []wit.Stage) {
	for n := r.Count(); n > 0 && !r.Failed; n-- {
		s := wit.Stage{Component: r.String(), Settings: r.Settings()}
		if r.Bool() {
			s.Condition = &wit.Condition{Component: r.String(), Settings: r.Settings(), Negate: r.Bool()}
		}
		chain = append(chain, s)
	}
	return chain
}

func (r *Reader) fail() {
	r.Failed = true
	r.remaining = nil
}
