package registered

import (
	"context"

	"github.com/culvert-project/culvert/internal/convert/conversion"
	"github.com/culvert-project/culvert/internal/convert/fault"
	"github.com/culvert-project/culvert/internal/convert/registry"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/wit"
)

// Readings caches the compiled schemas of values that were read, so that each is requested and compiled once.
type Readings[R compiled] struct {
	Kept conversion.Cache[readingKey, reading[R]]
	asks *Schemas
	// compile compiles the last of several schemas; read decodes a value.
	compile func(ctx context.Context, topic string, texts []registry.Text) (R, error)
	read    func(by R, ctx context.Context, topic string, data []byte, b *record.Batch) (wit.ValueSlice, error)
	last    lastReading[R]
}

// lastReading is the last result of find: mostly all values of a topic have one schema.
type lastReading[R compiled] struct {
	reading[R]
	key  readingKey
	some bool
}

// compiled decodes the values of one schema.
type compiled interface {
	// DecodedSchema returns the schema of decoded values, nil for none.
	DecodedSchema() *record.Schema
}

// reading is a compiled schema, or why it cannot be compiled.
type reading[R compiled] struct {
	by  R
	err error
}

// readingKey includes the topic, because a schema's version depends on the topic's subject.
type readingKey struct {
	topic string
	id    schemaID
}

// NewReadings returns a cache of at most kept schemas, which asks requests.
func NewReadings[R compiled](maxEntries int, schemas *Schemas,
	compile func(context.Context, string, []registry.Text) (R, error),
	read func(R, context.Context, string, []byte, *record.Batch) (wit.ValueSlice, error)) Readings[R] {
	return Readings[R]{Kept: conversion.NewCache[readingKey, reading[R]](maxEntries), asks: schemas, compile: compile,
		read: read}
}

// Decode implements conversion.Converter.
func (k *Readings[R]) Decode(ctx context.Context, topic string, data []byte, b *record.Batch) (wit.ValueSlice, error) {
	if data == nil {
		return wit.ValueSlice{}, nil
	}
	id, err := idOf(data)
	if err != nil {
		return wit.ValueSlice{}, err
	}
	return k.decode(ctx, topic, id, data[IDBytes:], b)
}

// DecodeBy implements convert.HeaderDecoder.
func (k *Readings[R]) DecodeBy(ctx context.Context, topic string, header, data []byte, b *record.Batch) (wit.ValueSlice,
	error) {
	id, err := idIn(header)
	if err != nil || data == nil {
		return wit.ValueSlice{}, err
	}
	return k.decode(ctx, topic, id, data, b)
}

func (k *Readings[R]) decode(ctx context.Context, topic string, id schemaID, data []byte,
	b *record.Batch) (wit.ValueSlice,
	error) {
	r, known := k.find(topic, id)
	if !known {
		var err error
		if r, err = k.add(ctx, topic, id); err != nil {
			return wit.ValueSlice{}, err
		}
	}
	if r.err != nil {
		return wit.ValueSlice{}, r.err
	}
	start := len(b.Data)
	d, err := k.read(r.by, ctx, topic, data, b)
	if err != nil {
		b.Data = b.Data[:start]
		return wit.ValueSlice{}, err
	}
	return d, nil
}

func (k *Readings[R]) find(topic string, id schemaID) (r reading[R], known bool) {
	key := readingKey{topic, id}
	if k.last.some && key == k.last.key {
		return k.last.reading, true
	}
	if r, known = k.Kept.Entries[key]; known {
		k.last = lastReading[R]{r, key, true}
	}
	return r, known
}

// add requests and compiles a schema. An invalid schema is cached like others, but not an error that ends the task or
// may pass.
func (k *Readings[R]) add(ctx context.Context, topic string, id schemaID) (reading[R], error) {
	texts, wrong, err := k.asks.writerSchema(ctx, id)
	if err != nil {
		return reading[R]{}, err
	}
	r := reading[R]{err: wrong}
	if wrong == nil {
		r.by, r.err = k.compile(ctx, topic, texts)
	}
	if ctx.Err() != nil {
		return reading[R]{}, context.Cause(ctx)
	}
	if fault.IsFatal(r.err) {
		return reading[R]{}, r.err
	}
	size := 1000
	if r.err == nil && r.by.DecodedSchema() != nil {
		size += conversion.CompiledBytes(r.by.DecodedSchema())
	}
	k.Kept.Put(readingKey{topic, id}, r, size)
	return r, nil
}
