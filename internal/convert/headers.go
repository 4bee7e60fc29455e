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

const classSimpleHeaders = "org.apache.kafka.connect.storage.SimpleHeaderConverter"

// Headers converts header values. A value belongs to one goroutine at a time.
type Headers interface {
	// Encode appends the value of a header of b to dst, at most maxBytes. isNull reports that the header has no value.
	Encode(ctx context.Context, dst []byte, maxBytes int, topic string, b *record.Batch,
		h *connectdata.Header) (out []byte, isNull bool, err error)
	// Decode returns a header of a record. Its value refers to b.Data, to which it is appended, or to data.
	Decode(ctx context.Context, topic, name string, data []byte, b *record.Batch) (connectdata.Header, error)
}

// FindHeaders returns the declaration of a header converter: SimpleHeaderConverter, or a value converter that fits.
func FindHeaders(class string) (Declaration, error) {
	class = setting.Trim(class)
	if class == classSimpleHeaders || class == conversion.SimpleName(classSimpleHeaders) ||
		class == strings.TrimSuffix(conversion.SimpleName(classSimpleHeaders), "HeaderConverter") {
		return Declaration{Class: classSimpleHeaders, table: setting.NewTable()}, nil
	}
	const isKey = false
	d, err := Find(class, isKey)
	switch {
	case err != nil:
		return d, fault.Config("header converter: unknown class %q; expected %s, or a converter of keys and values "+
			"without a schema registry", class, classSimpleHeaders)
	case d.Class == ClassAvro || d.Class == ClassJSONSchema:
		return d, fault.Config("header converter: %s does not convert headers, as in Kafka Connect", d.Class)
	}
	return d, nil
}

// HeaderClasses returns the classes that FindHeaders accepts, sorted.
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

// NewHeaders creates a header converter. settings are named without the prefix header.converter.
func NewHeaders(class string, settings map[string]string, options conversion.Options) (Headers, error) {
	d, err := FindHeaders(class)
	if err != nil {
		return nil, err
	}
	if d.Class == classSimpleHeaders {
		return SimpleHeaders{Registry: options.Schemas}, nil
	}
	options.IsKey = false
	converter, err := New(d.Class, settings, options)
	return &valueHeaders{converter: converter, batch: record.Batch{Registry: options.Schemas}}, err
}

// valueHeaders converts headers with a value converter.
type valueHeaders struct {
	converter conversion.Converter
	batch     record.Batch // of the header to encode
}

// Encode implements [Headers]. Bytes that no converter has read are written unchanged.
func (v *valueHeaders) Encode(ctx context.Context, dst []byte, maxBytes int, topic string, _ *record.Batch,
	h *connectdata.Header) ([]byte, bool, error) {
	if h.Encoding == wit.Raw {
		return appendRaw(ctx, dst, maxBytes, h.Value)
	}
	d := wit.ValueSlice{Encoding: h.Encoding, Schema: h.Schema, Size: uint32(len(h.Value))}
	if h.Encoding == wit.Schemaless && string(h.Value) == string(nullValue) {
		d = wit.ValueSlice{}
	}
	v.batch.Data = h.Value
	defer func() { v.batch.Data = nil }()
	return v.converter.Encode(ctx, dst, maxBytes, topic, &v.batch, d)
}

// Decode implements [Headers]. A header without a value becomes a schemaless null.
func (v *valueHeaders) Decode(ctx context.Context, topic, name string, data []byte,
	b *record.Batch) (connectdata.Header, error) {
	d, err := v.converter.Decode(ctx, topic, data, b)
	h := connectdata.Header{Name: name, Encoding: d.Encoding, Schema: d.Schema}
	h.Value = b.Bytes(d)
	if d.Encoding == wit.Absent {
		h.Encoding = wit.Schemaless
		h.Value = nullValue
	}
	return h, err
}

// nullValue is a schemaless null.
var nullValue = []byte{connectdata.TagNull}

// appendRaw appends the bytes of a header that no converter has read.
func appendRaw(ctx context.Context, dst []byte, maxBytes int, raw []byte) ([]byte, bool, error) {
	var k conversion.Budget
	k.Start(ctx, dst, maxBytes)
	if err := k.CheckRoom(dst, len(raw)); err != nil {
		return dst, false, err
	}
	return append(dst, raw...), false, nil
}
