package convert

import (
	"context"
	"slices"
	"strings"

	"github.com/culvert-project/culvert/internal/convert/conversion"
	"github.com/culvert-project/culvert/internal/convert/fault"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// classSimpleHeaders is the converter of headers that is Kafka Connect's default.
const classSimpleHeaders = "org.apache.kafka.connect.storage.SimpleHeaderConverter"

// Headers converts the values of headers. Like a [Converter] it belongs to one goroutine at a time.
type Headers interface {
	// Encode appends the bytes of a header of b to dst, at most `most` of them; null tells that it has none.
	Encode(ctx context.Context, dst []byte, most int, topic string, b *record.Batch, h *connectdata.Header) (out []byte,
		null bool, err error)
	// Decode makes a header of what a record of a topic has, nil for none. What it writes is appended to b.Data.
	Decode(ctx context.Context, topic, name string, data []byte, b *record.Batch) (connectdata.Header, error)
}

// FindHeaders returns the declaration of a converter of headers: SimpleHeaderConverter, or a converter of keys and
// values that Kafka Connect takes for headers, too.
func FindHeaders(class string) (Declaration, error) {
	class = setting.Trim(class)
	if class == classSimpleHeaders || class == conversion.LastPart(classSimpleHeaders) ||
		class == strings.TrimSuffix(conversion.LastPart(classSimpleHeaders), "HeaderConverter") {
		return Declaration{Class: classSimpleHeaders, table: setting.NewTable()}, nil
	}
	d, err := Find(class, false)
	switch {
	case err != nil:
		return d, fault.Config("header converter: unknown class %q; there are %s, and the converters of keys and "+
			"values but those with a schema registry", class, classSimpleHeaders)
	case d.Class == ClassAvro || d.Class == ClassJSONSchema:
		return d, fault.Config("header converter: %s converts no headers, in Kafka Connect neither", d.Class)
	}
	return d, nil
}

// HeaderClasses are the classes that FindHeaders knows, sorted.
func HeaderClasses() []string {
	classes := []string{classSimpleHeaders}
	for _, d := range declarations {
		if _, err := FindHeaders(d.Class); err == nil {
			classes = append(classes, d.Class)
		}
	}
	slices.Sort(classes)
	return classes
}

// NewHeaders makes the converter of headers of a class. settings are those after `header.converter.`.
func NewHeaders(class string, settings map[string]string, u conversion.Use) (Headers, error) {
	d, err := FindHeaders(class)
	if err != nil {
		return nil, err
	}
	if d.Class == classSimpleHeaders {
		return SimpleHeaders{Registry: u.Schemas}, nil
	}
	u.Key = false
	c, err := New(d.Class, settings, u)
	return &valueHeaders{c: c, batch: record.Batch{Registry: u.Schemas}}, err
}

// valueHeaders converts headers as a converter of values does.
type valueHeaders struct {
	c conversion.Converter
	// batch holds the value of the header at work.
	batch record.Batch
}

func (c *valueHeaders) Encode(ctx context.Context, dst []byte, most int, topic string, _ *record.Batch,
	h *connectdata.Header) ([]byte, bool, error) {
	if h.Encoding == wit.Raw { // bytes that nobody has read are as they were
		return appendRaw(ctx, dst, most, h.Value)
	}
	d := wit.ValueSlice{Encoding: h.Encoding, Schema: h.Schema, Size: uint32(len(h.Value))}
	if h.Encoding == wit.Schemaless && string(h.Value) == string(nullValue) {
		d = wit.ValueSlice{}
	}
	c.batch.Data = h.Value
	defer func() { c.batch.Data = nil }()
	return c.c.Encode(ctx, dst, most, topic, &c.batch, d)
}

func (c *valueHeaders) Decode(ctx context.Context, topic, name string, data []byte,
	b *record.Batch) (connectdata.Header,
	error) {
	d, err := c.c.Decode(ctx, topic, data, b)
	h := connectdata.Header{Name: name, Encoding: d.Encoding, Schema: d.Schema}
	if h.Value = b.Bytes(d); d.Encoding == wit.Absent {
		h.Encoding, h.Value = wit.Schemaless, nullValue
	}
	return h, err
}

// nullValue is a null without schema.
var nullValue = []byte{connectdata.TagNull}

// Decode hands the bytes over as they are: what SimpleHeaderConverter would guess of them is nobody's need here.
func (SimpleHeaders) Decode(_ context.Context, _, name string, data []byte, _ *record.Batch) (connectdata.Header,
	error) {
	if data == nil {
		return connectdata.Header{Name: name, Encoding: wit.Schemaless, Value: nullValue}, nil
	}
	return connectdata.Header{Name: name, Encoding: wit.Raw, Value: data}, nil
}

// appendRaw appends bytes, at most `most` of them.
func appendRaw(ctx context.Context, dst []byte, most int, raw []byte) ([]byte, bool, error) {
	var k conversion.Budget
	k.Start(ctx, dst, most)
	if err := k.Room(dst, len(raw)); err != nil {
		return dst, false, err
	}
	return append(dst, raw...), false, nil
}
