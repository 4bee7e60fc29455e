package batch

import (
	"bytes"
	"unsafe"

	"github.com/culvert-project/culvert/plugins/odata/encode"
)

// Plain goes over the answer to a batch in which nothing is out of the ordinary, without taking it apart: each part is
// a changeset with an answer of success to each of its requests, whose bodies are as long as they say. What it accepts
// [Parse] reads the same; all else is left to that.
type Plain struct {
	body    []byte
	answers encode.Answers

	// First: the answer is the first one of its part.
	First bool
	// Number is its Content-ID, -1 where it has none, or one that is no number as it was sent.
	Number int
	// ID, Location and Repeated, that of RepeatabilityResult, are header values, nil where there are none. Body is the
	// answer's, in memory of the whole one.
	ID, Location, Repeated, Body []byte
}

// NewPlain begins to go over an answer. ok is false where it is none of several parts.
func NewPlain(contentType string, body []byte) (p Plain, ok bool) {
	boundary, _ := Boundary(contentType)
	outer := append([]byte("--"), boundary...)
	if !bytes.HasPrefix(body, outer) || !bytes.HasPrefix(body[len(outer):], []byte("\r\n")) {
		return p, false
	}
	p = Plain{body: body, answers: encode.Answers{Text: unsafe.Pointer(unsafe.SliceData(body)), At: len(outer) + 2,
		End: len(body), Outer: unsafe.Pointer(unsafe.SliceData(outer)), OuterSize: len(outer)}}
	return p, boundary != ""
}

// Next goes to the next answer. ok is false where there is none, or one that is not plain.
func (p *Plain) Next() (ok bool) {
	a := &p.answers
	if a.Complete != 0 || encode.Next(a) == 0 {
		return false
	}
	p.First, p.Number = a.First != 0, a.Number
	p.ID, p.Location = p.value(a.IDFrom, a.IDTo), p.value(a.LocationFrom, a.LocationTo)
	p.Repeated, p.Body = p.value(a.RepeatedFrom, a.RepeatedTo), p.body[a.BodyFrom:a.BodyTo:a.BodyTo]
	return true
}

func (p *Plain) value(from, to int) []byte {
	if from == 0 {
		return nil
	}
	return p.body[from:to:to]
}

// Complete tells whether the answer ended as it should.
func (p *Plain) Complete() bool { return p.answers.Complete != 0 }
