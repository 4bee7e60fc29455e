// Package batch writes the body of a $batch request, multipart or in JSON, and parses the response to such a request.
package batch

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strconv"
	"unsafe"

	"github.com/culvert-project/culvert/plugins/odata/jsontext"
	"github.com/culvert-project/culvert/wit"
)

// Operation is a request inside a batch.
type Operation struct {
	Method  string
	Target  string
	Key     string // appended to Target
	Query   string // without '?', "" for none
	Headers []wit.Header
	Body    []byte
}

// Part is a changeset, which is executed as a whole or not at all, or a single read.
type Part struct {
	Changeset  bool
	Operations []Operation
}

// Append writes the body of a batch and returns its boundary, which no body contains. Operations in changesets are
// numbered from 1 through all parts by their Content-ID.
func Append(dst []byte, parts []Part) (body []byte, boundary string) {
	suffix := unusedSuffix(parts)
	boundary = "batch_" + suffix
	changeset := "changeset_" + suffix + "_"
	out := writer{dst: slices.Grow(dst, estimatedSize(parts, len(suffix)))}
	delimiter := "--" + boundary + "\r\n"
	opening := delimiter + "Content-Type: multipart/mixed; boundary=" + changeset
	inner := "\r\n--" + changeset
	number := 0
	for i := range parts {
		part := &parts[i]
		if !part.Changeset {
			for j := range part.Operations {
				out.text(delimiter + partHead + "\r\n")
				out.operation(&part.Operations[j])
				out.text("\r\n")
			}
			number += len(part.Operations)
			continue
		}
		out.text(opening)
		out.number(i + 1)
		out.text("\r\n")
		for j := range part.Operations {
			number++
			out.text(inner)
			out.number(i + 1)
			out.text("\r\n" + partHead + "Content-ID: ")
			out.number(number)
			out.text("\r\n\r\n")
			out.operation(&part.Operations[j])
		}
		out.text(inner)
		out.number(i + 1)
		out.text("--\r\n\r\n")
	}
	out.text("--" + boundary + "--\r\n")
	return out.dst, boundary
}

const partHead = "Content-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n"

// estimatedSize returns an upper estimate of the bytes of a batch: its texts, and enough for boundaries and headers.
func estimatedSize(parts []Part, suffix int) int {
	n := 100 + suffix
	for i := range parts {
		n += 150 + 4*suffix
		for j := range parts[i].Operations {
			operation := &parts[i].Operations[j]
			n += 200 + suffix + len(operation.Method) + len(operation.Target) + len(operation.Key) +
				len(operation.Query) + len(operation.Body)
			for k := range operation.Headers {
				n += 4 + len(operation.Headers[k].Name) + len(operation.Headers[k].Value)
			}
		}
	}
	return n
}

type writer struct {
	dst []byte
	// previous is the operation before, whose head is dst[from:to]. Most operations have the same one.
	previous *Operation
	from     int
	to       int
}

func (w *writer) text(s string) { w.dst = append(w.dst, s...) }

func (w *writer) number(n int) { w.dst = jsontext.AppendInt(w.dst, int64(n)) }

// operation writes a request. The line end after it belongs to the next boundary.
func (w *writer) operation(operation *Operation) {
	if w.previous != nil && operation.hasHeadOf(w.previous) {
		w.dst = append(w.dst, w.dst[w.from:w.to]...)
	} else {
		w.from = len(w.dst)
		w.text(operation.Method)
		w.dst = append(w.dst, ' ')
		w.text(operation.Target)
		w.text(operation.Key)
		if operation.Query != "" {
			w.dst = append(w.dst, '?')
			w.text(operation.Query)
		}
		w.text(" HTTP/1.1\r\n")
		for i := range operation.Headers {
			w.text(operation.Headers[i].Name)
			w.text(": ")
			w.text(operation.Headers[i].Value)
			w.text("\r\n")
		}
		if len(operation.Body) > 0 {
			w.text("Content-Length: ")
		}
		w.to = len(w.dst)
	}
	w.previous = operation
	if len(operation.Body) > 0 {
		w.number(len(operation.Body))
		w.text("\r\n")
	}
	w.text("\r\n")
	w.dst = append(w.dst, operation.Body...)
}

// hasHeadOf reports whether two operations have the same text before the length of the body. It compares the memory of
// headers and target only, which requests to one set share.
func (o *Operation) hasHeadOf(other *Operation) bool {
	return o.Method == other.Method && unsafe.StringData(o.Target) == unsafe.StringData(other.Target) &&
		len(o.Target) == len(other.Target) && o.Key == other.Key && o.Query == other.Query &&
		len(o.Headers) == len(other.Headers) && unsafe.SliceData(o.Headers) == unsafe.SliceData(other.Headers) &&
		(len(o.Body) > 0) == (len(other.Body) > 0)
}

// unusedSuffix returns a suffix that no body contains. The same batch has the same suffix.
func unusedSuffix(parts []Part) string {
	hash := uint64(hashSeed)
	for round := byte(0); ; round++ {
		hash = mixHash(hash, []byte{round})
		for i := range parts {
			for j := range parts[i].Operations {
				hash = mixHash(hash, parts[i].Operations[j].Body)
			}
		}
		// a fast search, because few texts have underscores
		if suffix := strconv.FormatUint(hash, 36); !anyContains(parts, []byte("_"+suffix)) {
			return suffix
		}
	}
}

const hashSeed, hashPrime = 14695981039346656037, 1099511628211

func mixHash(hash uint64, b []byte) uint64 {
	for ; len(b) >= 8; b = b[8:] {
		hash = (hash ^ binary.LittleEndian.Uint64(b)) * hashPrime
		hash ^= hash >> 29
	}
	for _, c := range b {
		hash = (hash ^ uint64(c)) * hashPrime
	}
	return hash
}

func anyContains(parts []Part, text []byte) bool {
	for i := range parts {
		for j := range parts[i].Operations {
			if bytes.Contains(parts[i].Operations[j].Body, text) {
				return true
			}
		}
	}
	return false
}
