package convert

import (
	"context"
	"strconv"
)

// What a conversion may make of a record, whatever its bytes say.
const (
	// maxDecodedBytes is how many bytes one key or value of a topic may become in a batch: members that are not there
	// become defaults, so that a document of some megabytes could become any number of them.
	maxDecodedBytes = 64 << 20
	// maxEnvelopeBytes is how long the JSON of a schema may be, with its defaults and their escapes: it stands in every
	// record.
	maxEnvelopeBytes = 16 << 20
	// maxCachedBytes is how many bytes, about, the schemas take that a converter keeps compiled in one direction;
	// in addition to `schemas.cache.size`, which counts schemas. With more the converter forgets all and compiles again
	// what comes.
	maxCachedBytes = 64 << 20
	// maxErrorBytes is how long the text of an error gets by the names of the fields around the value at fault: further
	// names are left out.
	maxErrorBytes = 2000
	// maxQuoted is how much of a text an error says.
	maxQuoted = 100
)

// watchEvery is how many items of arrays and maps are converted between two looks at the context.
const watchEvery = 1024

// budget bounds one conversion of a value into text.
type budget struct {
	ctx context.Context
	// most is the length of the output that must not be passed.
	most int
	// allowed is how much of it is this value's, for the error.
	allowed int
	// empty counts structures without bytes, items all items.
	empty, items uint
	// shapes are those of the maps of a dynamic value, in the order in which they begin; met says how many were begun.
	shapes []shape
	met    int
	// objects: all maps are taken for such of texts, without a survey; errPairs tells of another.
	objects bool
	// leads are the names of the object without schema that came last, with what is written for them.
	leads []lead
}

// start begins a value whose output may be that long, after what is there.
func (k *budget) start(ctx context.Context, dst []byte, most int) {
	k.ctx, k.most, k.allowed, k.empty, k.items, k.shapes, k.met = ctx, len(dst)+most, most, 0, 0, k.shapes[:0], 0
	k.objects = false
}

// room refuses output of so many bytes more.
func (k *budget) room(dst []byte, more int) *Error {
	if more > k.most-len(dst) {
		return k.tooLarge()
	}
	return nil
}

func (k *budget) tooLarge() *Error {
	return &Error{TooLargeException, "more than " + strconv.Itoa(k.allowed) + " bytes when serialized"}
}

// item is called for each item of an array or map.
func (k *budget) item(dst []byte) *Error {
	if k.items++; k.items%watchEvery == 0 || len(dst) > k.most {
		return k.look(dst)
	}
	return nil
}

// bound is item and room for a [values.Writer].
func (k *budget) bound(dst []byte, more int) error {
	err := k.item(dst)
	if err == nil {
		err = k.room(dst, more)
	}
	if err != nil {
		return endedBy(k.ctx, err)
	}
	return nil
}

func (k *budget) look(dst []byte) *Error {
	if k.ctx.Err() != nil {
		return errEnded
	}
	return k.room(dst, 0)
}

// errEnded stands for the end of the context on the way up: [endedBy] makes the context's own error of it.
var errEnded = &Error{Text: "the conversion was ended"}

// endedBy is the error of a conversion as its caller gets it.
func endedBy(ctx context.Context, err *Error) error {
	if err == errEnded {
		return context.Cause(ctx)
	}
	return err
}

// in puts the name of a field in front of an error, for as long as there is room for names.
func (e *Error) in(field string) *Error {
	const more = "... "
	switch {
	case e == errEnded:
		return e
	case len(e.Text) < maxErrorBytes:
		return &Error{e.Class, "field " + quoted(field) + ": " + e.Text}
	case e.Text[:len(more)] == more:
		return e
	}
	return &Error{e.Class, more + e.Text}
}

// quoted is a text in quotation marks, cut where it is long.
func quoted[T string | []byte](s T) string { return strconv.Quote(cut(s)) }

// cut is the beginning of a text that an error says.
func cut[T string | []byte](s T) string {
	if len(s) > maxQuoted {
		return string(s[:maxQuoted]) + "..."
	}
	return string(s)
}
