package record

import (
	"strings"

	"github.com/culvert-project/culvert/plugins/smt/javaclass"
	"github.com/culvert-project/culvert/plugins/smt/object"
	"github.com/culvert-project/culvert/plugins/smt/rowerror"
	"github.com/culvert-project/culvert/plugins/smt/schemas"
	"github.com/culvert-project/culvert/wit"
)

// Record is a row as stages see it on the plain way: three columns, the topic, and what the row says besides.
type Record struct {
	// Row is the row as it came: its partition, offset and timestamp hold to the end of the chain.
	Row     *wit.Row
	Topic   string
	Parts   [3]Part
	Dropped bool
}

// Target is the place of a column in a view.
type Target uint8

const (
	Key Target = iota
	Value
	Headers
)

// Load takes a row of a call.
func (v *Record) Load(in *wit.Row, topic string, data []byte) error {
	v.Row, v.Topic, v.Dropped = in, topic, false
	if !v.Parts[Key].load(&in.Key, data) || !v.Parts[Value].load(&in.Value, data) ||
		!v.Parts[Headers].load(&in.Headers, data) {
		return &wit.Error{Kind: wit.ErrorInternal, Message: "a datum that runs past the call's data"}
	}
	return nil
}

// AddHeaders adds n headers to those of a row, which add appends.
func (v *Record) AddHeaders(b *object.Scratch, n, stage int, add func(dst []byte) []byte) *rowerror.Failure {
	c := &v.Parts[Headers]
	started, f := beginHeaders(b.Buf, c, n, stage)
	if f == nil {
		from := len(b.Buf)
		b.Buf = add(started)
		c.Set(wit.Raw, 0, b.Buf[from:])
	}
	return f
}

// WithClass is a failure that names the class of a value, with the class that Kafka holds that value in.
func (v *Record) WithClass(s *schemas.Registry, f *rowerror.Failure) *rowerror.Failure {
	for at := Key; at <= Value; at++ {
		c := &v.Parts[at]
		if c.Class == "" || c.Encoding != wit.WithSchema {
			continue
		}
		text, ok := strings.CutSuffix(f.Message, javaclass.Of(&s.Nodes(c.Schema)[0]))
		if ok && strings.HasSuffix(text, rowerror.Found) {
			return rowerror.New(f.Stage, f.Class, text+c.Class)
		}
	}
	return f
}
