// Package pack writes and reads the opaque bytes that a plugin hands to the host to keep: contexts, states, memos. It
// is smaller and faster in a guest than encoding/json, which adds 1.4 MB to a module. Numbers are Avro's, texts carry
// their length; there is no description inside, since only the version that wrote them reads them.
package pack

import (
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// String appends a text to dst: its length in bytes, then these.
func String(dst []byte, s string) []byte { return connectdata.AppendString(dst, s) }

// Int appends a whole number to dst: the nearer to 0 the shorter.
func Int(dst []byte, n int) []byte { return connectdata.AppendNumber(dst, int64(n)) }

// Bool appends a boolean to dst, as a byte.
func Bool(dst []byte, b bool) []byte { return connectdata.AppendBoolean(dst, b) }

// Strings appends a list of texts to dst: their number, then each as [String] does.
func Strings(dst []byte, list []string) []byte {
	dst = Int(dst, len(list))
	for _, s := range list {
		dst = String(dst, s)
	}
	return dst
}

// Settings appends settings to dst: their number, then name and value of each.
func Settings(dst []byte, list []wit.Setting) []byte {
	dst = Int(dst, len(list))
	for _, s := range list {
		dst = String(String(dst, s.Name), s.Value)
	}
	return dst
}

// Stages appends the stages of a chain to dst.
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

// Reader reads what was packed, in the same order. After a mistake everything reads as zero and Bad is true.
type Reader struct {
	rest []byte
	// Failed: the bytes are not what was read as them, or there are too few.
	Failed bool
	// text is all of it, of which texts are parts.
	text string
}

// NewReader begins to read b, which must not change until all is read. Texts that are read stay as they are.
func NewReader(b []byte) *Reader { return &Reader{rest: b, text: string(b)} }

// Done reports whether all was read and nothing was wrong.
func (r *Reader) Done() bool { return !r.Failed && len(r.rest) == 0 }

// String reads what [String] has written; "" after a mistake.
func (r *Reader) String() string {
	content, size := connectdata.LengthPrefixed(r.rest)
	if size <= 0 {
		r.fail()
		return ""
	}
	r.rest = r.rest[size:]
	end := len(r.text) - len(r.rest)
	return r.text[end-len(content) : end]
}

// Int reads what [Int] has written; 0 after a mistake.
func (r *Reader) Int() int {
	n, size := connectdata.Number(r.rest)
	if size <= 0 {
		r.fail()
		return 0
	}
	r.rest = r.rest[size:]
	return int(n)
}

// Count reads the length of a list, each item of which takes at least one byte.
func (r *Reader) Count() int {
	n := r.Int()
	if n < 0 || n > len(r.rest) {
		r.fail()
		return 0
	}
	return n
}

// Bool reads a boolean.
func (r *Reader) Bool() bool {
	if len(r.rest) == 0 {
		r.fail()
		return false
	}
	b := r.rest[0]
	r.rest = r.rest[1:]
	return b == 1
}

// Strings reads a list of texts.
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

// Settings reads what [Settings] has written.
func (r *Reader) Settings() (list []wit.Setting) {
	for n := r.Count(); n > 0 && !r.Failed; n-- {
		list = append(list, wit.Setting{Name: r.String(), Value: r.String()})
	}
	return list
}

// Stages reads what [Stages] has written.
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

func (r *Reader) fail() { r.Failed, r.rest = true, nil }
