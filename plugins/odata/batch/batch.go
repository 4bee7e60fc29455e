// Package batch writes the body of a `$batch` request of OData v2 and takes the answer to one apart.
package batch

import (
	"bytes"
	"hash/fnv"
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
	number := 0
	for i, p := range parts {
		dst = delimiter(dst, boundary)
		if !p.Changeset {
			for j := range p.Operations {
				if j > 0 {
					dst = delimiter(dst, boundary)
				}
				dst = operation(dst, &p.Operations[j], 0)
			}
			number += len(p.Operations)
			continue
		}
		set := "changeset_" + suffix + "_" + strconv.Itoa(i+1)
		dst = append(dst, "Content-Type: multipart/mixed; boundary="+set+"\r\n\r\n"...)
		for j := range p.Operations {
			number++
			dst = operation(delimiter(dst, set), &p.Operations[j], number)
		}
		dst = append(append(append(dst, "--"...), set...), "--\r\n\r\n"...)
	}
	return append(append(append(dst, "--"...), boundary...), "--\r\n"...), boundary
}

func delimiter(dst []byte, boundary string) []byte {
	return append(append(append(dst, "--"...), boundary...), "\r\n"...)
}

// operation writes a request as a part; id 0: it has no Content-ID. The line end behind the body belongs to the
// boundary that follows.
func operation(dst []byte, o *Operation, id int) []byte {
	dst = append(dst, "Content-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n"...)
	if id > 0 {
		dst = append(strconv.AppendInt(append(dst, "Content-ID: "...), int64(id), 10), "\r\n"...)
	}
	dst = append(dst, "\r\n"...)
	dst = append(append(append(append(dst, o.Method...), ' '), o.Target...), " HTTP/1.1\r\n"...)
	for _, h := range o.Headers {
		dst = append(append(append(append(dst, h.Name...), ": "...), h.Value...), "\r\n"...)
	}
	if len(o.Body) > 0 {
		dst = append(strconv.AppendInt(append(dst, "Content-Length: "...), int64(len(o.Body)), 10), "\r\n"...)
	}
	return append(append(append(dst, "\r\n"...), o.Body...), "\r\n"...)
}

// unused makes what is different about the boundaries of a batch: made of the bodies, so that the same batch is the
// same text, and found in none of them.
func unused(parts []Part) string {
	h := fnv.New64a()
	for round := 0; ; round++ {
		h.Write([]byte{byte(round)})
		for i := range parts {
			for j := range parts[i].Operations {
				h.Write(parts[i].Operations[j].Body)
			}
		}
		suffix := strconv.FormatUint(h.Sum64(), 36)
		if !within(parts, []byte(suffix)) {
			return suffix
		}
	}
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
