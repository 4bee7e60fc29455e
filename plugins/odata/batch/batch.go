// Package batch writes the body of a `$batch` request of OData v2 and takes the answer to one apart.
package batch

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strconv"

	"github.com/culvert-project/culvert/wit"
)

// Operation is a request inside a batch.
type Operation struct {
	Method string
	// Target is relative to the service's root, without a slash at its start.
	Target  string
	Headers []wit.Header
	Body    []byte
}

// Part is a changeset, of which all or nothing is done, or a single request that reads.
type Part struct {
	Changeset  bool
	Operations []Operation
}

// Append writes the body of a batch and tells its boundary, which stands in none of the bodies. The operations of
// changesets have their numbers, counted from 1 through all parts, as Content-ID.
func Append(dst []byte, parts []Part) (body []byte, boundary string) {
	suffix := unused(parts)
	boundary = "batch_" + suffix
	changeset := "changeset_" + suffix + "_"
	w := writer{dst: slices.Grow(dst, size(parts, len(suffix)))}
	delimiter := "--" + boundary + "\r\n"
	opening := delimiter + "Content-Type: multipart/mixed; boundary=" + changeset
	inner := "--" + changeset
	number := 0
	for i := range parts {
		p := &parts[i]
		if !p.Changeset {
			for j := range p.Operations {
				w.text(delimiter)
				w.operation(&p.Operations[j], 0)
			}
			number += len(p.Operations)
			continue
		}
		var digits [20]byte
		of := strconv.AppendInt(digits[:0], int64(i+1), 10)
		w.dst = append(append(append(w.dst, opening...), of...), "\r\n\r\n"...)
		for j := range p.Operations {
			number++
			w.dst = append(append(append(w.dst, inner...), of...), "\r\n"...)
			w.operation(&p.Operations[j], number)
		}
		w.dst = append(append(append(w.dst, inner...), of...), "--\r\n\r\n"...)
	}
	w.text("--")
	w.text(boundary)
	w.text("--\r\n")
	return w.dst, boundary
}

// size is how many bytes a batch has at most, with a suffix of some length at the end of its boundaries.
func size(parts []Part, suffix int) int {
	n := 100 + suffix
	for i := range parts {
		n += 150 + 4*suffix
		for j := range parts[i].Operations {
			o := &parts[i].Operations[j]
			n += 200 + suffix + len(o.Method) + len(o.Target) + len(o.Body)
			for k := range o.Headers {
				n += 4 + len(o.Headers[k].Name) + len(o.Headers[k].Value)
			}
		}
	}
	return n
}

// writer writes a batch.
type writer struct {
	dst []byte
	// headers are those of the operation before, which stand in dst from one place to another: mostly they are those of
	// the next one too.
	headers  []wit.Header
	from, to int
}

func (w *writer) text(s string) { w.dst = append(w.dst, s...) }

// operation writes a request as a part; id 0: it has no Content-ID. The line end after the body belongs to the
// boundary that follows.
func (w *writer) operation(o *Operation, id int) {
	if id > 0 {
		w.text("Content-Type: application/http\r\nContent-Transfer-Encoding: binary\r\nContent-ID: ")
		w.dst = strconv.AppendInt(w.dst, int64(id), 10)
		w.text("\r\n\r\n")
	} else {
		w.text("Content-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n\r\n")
	}
	w.text(o.Method)
	w.dst = append(w.dst, ' ')
	w.text(o.Target)
	w.text(" HTTP/1.1\r\n")
	if n := len(o.Headers); n > 0 && len(w.headers) == n && &w.headers[0] == &o.Headers[0] {
		w.dst = append(w.dst, w.dst[w.from:w.to]...)
	} else {
		w.from = len(w.dst)
		for i := range o.Headers {
			w.text(o.Headers[i].Name)
			w.text(": ")
			w.text(o.Headers[i].Value)
			w.text("\r\n")
		}
		w.headers, w.to = o.Headers, len(w.dst)
	}
	if len(o.Body) > 0 {
		w.text("Content-Length: ")
		w.dst = strconv.AppendInt(w.dst, int64(len(o.Body)), 10)
		w.text("\r\n")
	}
	w.text("\r\n")
	w.dst = append(w.dst, o.Body...)
	w.text("\r\n")
}

// unused makes what is different about the boundaries of a batch: made of the bodies, so that the same batch is the
// same text, and found in none of them.
func unused(parts []Part) string {
	h := uint64(seed)
	for round := byte(0); ; round++ {
		h = mixed(h, []byte{round})
		for i := range parts {
			for j := range parts[i].Operations {
				h = mixed(h, parts[i].Operations[j].Body)
			}
		}
		suffix := strconv.FormatUint(h, 36)
		if !within(parts, []byte("_"+suffix)) { // few texts have underscores, so that this is a quick search
			return suffix
		}
	}
}

const seed, factor = 14695981039346656037, 1099511628211

// mixed goes on with a hash: FNV-1a on eight bytes at a time, whose upper bits are mixed into the lower ones.
func mixed(h uint64, b []byte) uint64 {
	for ; len(b) >= 8; b = b[8:] {
		h = (h ^ binary.LittleEndian.Uint64(b)) * factor
		h ^= h >> 29
	}
	for _, c := range b {
		h = (h ^ uint64(c)) * factor
	}
	return h
}

func within(parts []Part, text []byte) bool {
	for i := range parts {
		for j := range parts[i].Operations {
			if bytes.Contains(parts[i].Operations[j].Body, text) {
				return true
			}
		}
	}
	return false
}
